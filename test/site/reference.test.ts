/** The API reference and the licences, as the build made them: nothing missing, no dead end, nothing the policy forbids. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, posix } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { folder } from "../cli/bnfold.ts";
import { dist, faults, hasBrowser, hosted, openPage, root } from "./browser.ts";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  name: string;
  version: string;
  exports: Record<string, string | { types: string }>;
};
/** Entry points with types: the name they are imported by, and their source. */
const entries = Object.entries(manifest.exports).flatMap(([path, target]) =>
  typeof target === "string"
    ? []
    : [{ name: manifest.name + path.slice(1), file: target.types.replace("./dist/", "src/").replace(/\.d\.ts$/, ".ts") }],
);
const pageOf = (name: string) => `docs/api/${name.replaceAll("/", "-")}.html`;
const read = (file: string) => readFileSync(join(dist, file), "utf8");
const htmlFiles = readdirSync(dist, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".html") && file !== "bnfold.html");
const hrefs = (html: string) => [...html.matchAll(/ href="([^"]*)"/g)].map(([, href]) => href.replaceAll("&amp;", "&"));
const ids = (html: string) => new Set([...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id));

describe("the API reference", () => {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    allowImportingTsExtensions: true,
    noEmit: true,
    noLib: true,
    types: [],
  };
  const program = ts.createProgram(
    entries.map(({ file }) => join(root, file)),
    options,
  );
  const checker = program.getTypeChecker();

  it.each(entries)("has a page for $name with everything it exports, each with its place and what it is", ({ name, file }) => {
    const source = program.getSourceFile(join(root, file)) as ts.SourceFile;
    const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(source) as ts.Symbol).map((symbol) => symbol.name);
    expect(exported.length).toBeGreaterThan(15);
    const page = pageOf(name);
    const places = new Map(
      hrefs(read(page))
        .filter((href) => href.includes("#"))
        .map((href) => [href.split("#")[1], posix.join(posix.dirname(page), href.split("#")[0])]),
    );
    expect(exported.filter((one) => !places.has(one))).toEqual([]);
    for (const one of exported) {
      const section =
        read(places.get(one) as string)
          .split(`<h3 id="${one}">`)[1]
          ?.split("</section>")[0] ?? "";
      expect([one, /<p>\S/.test(section)]).toEqual([one, true]);
      expect([one, section.includes(root)]).toEqual([one, false]);
    }
  });

  it("names the entry that is no module", () => {
    expect(read(pageOf(manifest.name))).toContain(`${manifest.name}/report.schema.json`);
  });

  it("has members with what they mean, types that are named and not exported, and links to them", () => {
    const page = read("docs/api/models.html");
    const model = page.split('<h3 id="Model">')[1].split("</section>")[0];
    expect(model).toContain('<dt><code>readonly graph: <a href="models.html#GraphRecord">GraphRecord</a></code></dt>');
    expect(model).toContain('Opset version per domain; "ai.onnx" normalised to "".'.replaceAll('"', "&quot;"));
    expect(page).toMatch(/<h3 id="GraphRecord">GraphRecord <small>interface, not exported<\/small>/);
  });

  it("is where docs/library.md leads", () => {
    const library = hrefs(read("docs/library.html"));
    expect(library).toContain("api/bnfold.html");
    expect(library).toContain("api/folding.html#foldChecked");
    expect(library).toContain("api/bnfold-node.html#openModel");
    expect(hrefs(read("docs/index.html"))).toContain("api/bnfold.html");
  });
});

describe("what the reference is made from", () => {
  interface Read {
    readonly entries: readonly { readonly name: string; readonly exports: readonly { readonly name: string }[] }[];
    readonly hidden: readonly { readonly name: string }[];
  }
  /** A package of one entry point. */
  async function typesOf(source: string): Promise<Read> {
    const { publicTypes } = (await import("../../scripts/site/types.mjs" as string)) as {
      publicTypes(root: string): Promise<Read>;
    };
    const at = folder();
    const files = {
      "package.json": { name: "one", version: "1.0.0", exports: { ".": { types: "./dist/index.d.ts" } } },
      "tsconfig.build.json": { compilerOptions: { target: "ES2022", module: "NodeNext", types: [] }, include: ["src"] },
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(at, name), JSON.stringify(content));
    mkdirSync(join(at, "src"));
    writeFileSync(join(at, "src/index.ts"), source);
    return publicTypes(at);
  }

  it("are exports, and the types they name, to the end", async () => {
    const { entries: made, hidden } = await typesOf(
      "interface Inner { readonly deep: Deep }\ntype Deep = 1 | 2;\ninterface Apart {}\n/** Says what it is. */\nexport const told = (x: Inner): Apart[] => [x];\n",
    );
    expect(made.map(({ name, exports }) => [name, exports.map((one) => one.name)])).toEqual([["one", ["told"]]]);
    expect(hidden.map(({ name }) => name).sort()).toEqual(["Apart", "Deep", "Inner"]);
  });

  it.each([
    ["a function", "export const quiet = (): number => 1;"],
    ["an interface", "export interface quiet { readonly a: 1 }"],
    ["a type", "export type quiet = 1;"],
    ["a method", "/** A class. */ export class C { quiet(): void {} }"],
    ["an accessor", "/** A class. */ export class C { get quiet(): number { return 1; } }"],
  ])("make the build fail where %s does not say what it is", async (_, source) => {
    await expect(typesOf(`/** Told. */ export const told = 1;\n${source}\n`)).rejects.toThrow(
      /^1 exports? .*\bquiet\b.*src\/index\.ts/s,
    );
  });
});

describe("the site's pages", () => {
  it("have no link into nothing", () => {
    const dead: string[] = [];
    const known = new Map(htmlFiles.map((file) => [file, ids(read(file))]));
    for (const file of htmlFiles) {
      for (const href of hrefs(read(file))) {
        if (/^(https?:|data:|mailto:)/.test(href) || /(^|index\.html)#(fold|verify|explorer)\b/.test(href)) continue;
        const [path, anchor] = href.split("#");
        const target = path === "" ? file : posix.join(posix.dirname(file), path);
        const there = known.get(target);
        if (there === undefined ? !readdirSync(join(dist, posix.dirname(target))).includes(posix.basename(target)) : false)
          dead.push(`${file}: ${href}`);
        else if (there !== undefined && anchor !== undefined && !there.has(anchor)) dead.push(`${file}: ${href}`);
      }
    }
    expect(htmlFiles.length).toBeGreaterThan(30);
    expect(dead).toEqual([]);
  });
});

describe("licences", () => {
  const notices = read("licenses.txt");

  it("are those of bnfold and of every package that is bundled, with their texts", () => {
    expect(notices).toContain(`bnfold ${manifest.version} (Apache-2.0)`);
    expect(notices).toContain("TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION");
    const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
    for (const name of ["@dagrejs/dagre", "markdown-table"]) {
      const { version, license } = lock[`node_modules/${name}`];
      const text = notices.split(`${name} ${version} (${license})`)[1]?.split("-".repeat(72))[0] ?? "";
      expect([name, /Copyright/.test(text), /WITHOUT WARRANTY OF ANY KIND/.test(text)]).toEqual([name, true, true]);
    }
  });

  it("lead there from the foot of every page, and are inside the one file", () => {
    for (const file of htmlFiles) {
      const up = "../".repeat(file.split("/").length - 1);
      expect([file, hrefs(read(file)).includes(`${up}licenses.txt`)]).toEqual([file, true]);
    }
    const one = read("bnfold.html");
    expect(hrefs(one)).toContain("#docs/licenses");
    const inside = one.split('<template data-page="licenses">')[1].split("</template>")[0];
    const plain = inside.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
    expect(plain).toContain(notices);
  });
});

describe.skipIf(!hasBrowser)("the reference and the licences in a browser", () => {
  const site = hosted();

  const pages = readdirSync(join(dist, "docs/api"));

  it("breaks no policy, asks nobody else, and fits a narrow screen, on every page", async () => {
    const { page, context, foreign, errors } = await openPage(site.browser, site.url);
    await page.setViewportSize({ width: 360, height: 740 });
    expect(pages.length).toBeGreaterThan(5);
    for (const file of pages) {
      await page.goto(`${site.url}/docs/api/${file}`, { waitUntil: "networkidle" });
      expect({ file, foreign, errors }).toEqual({ file, foreign: [], errors: [] });
      expect([file, await page.evaluate(() => document.documentElement.scrollWidth)]).toEqual([file, 360]);
    }
    await context.close();
  });

  it.each(["light", "dark"] as const)("is accessible in %s colours", async (colorScheme) => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.emulateMedia({ colorScheme });
    for (const file of ["bnfold.html", "errors.html"]) {
      await page.goto(`${site.url}/docs/api/${file}`);
      expect([file, await faults(page)]).toEqual([file, []]);
    }
    await context.close();
  });

  it.each([
    ["foldChecked", "foldChecked (function)", "#foldChecked"],
    ["trainingNames", "Model (interface)", "#Model"],
  ])("the search finds %s", async (query, title, anchor) => {
    const { page, context, errors } = await openPage(site.browser, site.url);
    await page.goto(`${site.url}/docs/index.html`);
    await page.getByLabel("Search").fill(query);
    await page.locator("#found a", { hasText: title }).first().click();
    expect(new URL(page.url()).hash).toBe(anchor);
    expect(await page.locator(anchor).isVisible()).toBe(true);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("the one file shows its licences without a network", async () => {
    const { page, context, errors } = await openPage(site.browser, "file:");
    await context.setOffline(true);
    await page.goto(pathToFileURL(join(dist, "bnfold.html")).href);
    await page.getByRole("link", { name: "Licences" }).click();
    await page.getByRole("heading", { name: "Licences" }).waitFor();
    expect(await page.locator("#view-docs pre").textContent()).toContain("@dagrejs/dagre");
    expect(errors).toEqual([]);
    await context.close();
  });
});
