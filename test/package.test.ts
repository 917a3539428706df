/** The package as npm would ship it. Needs dist/, which `npm test` builds first. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { VERSION } from "../src/report/version.ts";

const { readmeFor, relativeTargets } = (await import("../scripts/readme.mjs" as string)) as {
  readmeFor(manifest: object, markdown: string): string;
  relativeTargets(markdown: string): string[];
};

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
const read = (file: string) => readFileSync(join(root, file), "utf8");

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((file) => join(folder, file))
    .filter((file) => statSync(join(root, file)).isFile());
}

const isBuiltIn = (name: string): boolean => name.startsWith("node:") || builtinModules.includes(name);

/** What a module imports: static, dynamic, re-exports, types. */
const imports = (code: string): string[] => ts.preProcessFile(code, true, true).importedFiles.map(({ fileName }) => fileName);

/** Names of the packages among them. */
const imported = (code: string): string[] =>
  imports(code)
    .filter((name) => !name.startsWith(".") && !isBuiltIn(name))
    .map((name) =>
      name
        .split("/")
        .slice(0, name.startsWith("@") ? 2 : 1)
        .join("/"),
    );

describe("package.json", () => {
  it("has the version the program prints and the changelog names", () => {
    expect(VERSION).toBe(manifest.version);
    expect(lock.version).toBe(manifest.version);
    expect(read("CHANGELOG.md")).toContain(`## ${manifest.version}`);
  });

  it("points only at files that exist", () => {
    const targets = [
      ...Object.values(manifest.exports as Record<string, string | Record<string, string>>).flatMap((entry) =>
        typeof entry === "string" ? [entry] : Object.values(entry),
      ),
      ...Object.values(manifest.bin as Record<string, string>),
    ];
    expect(targets.filter((target) => !existsSync(join(root, target)))).toEqual([]);
  });

  it("declares what the sources import, and nothing else", () => {
    const sources = filesUnder("src").filter((file) => file.endsWith(".ts"));
    // An optional peer is looked for when it is wanted, by its name, and not imported.
    const optional = Object.keys(manifest.peerDependenciesMeta).filter((name) =>
      sources.some((file) => read(file).includes(`"${name}"`)),
    );
    const used = new Set([...sources.flatMap((file) => imported(read(file))), ...optional]);
    const tooling = new Set([
      ...["test", "bench", "scripts", "fixtures", "site/src"].flatMap((folder) =>
        filesUnder(folder)
          .filter((file) => /\.(ts|mjs)$/.test(file))
          .flatMap((file) => imported(read(file))),
      ),
      ...imported(read("vitest.config.ts")),
    ]);
    const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
    expect(declared.filter((name) => !used.has(name))).toEqual([]);
    const known = new Set([...declared, ...Object.keys(manifest.devDependencies)]);
    expect([...used, ...tooling].filter((name) => !known.has(name) && name !== manifest.name)).toEqual([]);
    const commands = JSON.stringify(manifest.scripts);
    const tools: Record<string, string> = {
      "@arethetypeswrong/cli": "attw",
      "@biomejs/biome": "biome",
      "@vitest/coverage-v8": "--coverage",
      publint: "publint",
      typescript: "tsc",
    };
    const unused = Object.keys(manifest.devDependencies).filter(
      (name) => !used.has(name) && !tooling.has(name) && !name.startsWith("@types/") && !commands.includes(tools[name] ?? name),
    );
    expect(unused).toEqual([]);
  });

  it("needs nothing that runs code at install time", () => {
    expect(Object.keys(manifest.scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
    const packages = Object.entries(
      lock.packages as Record<string, { hasInstallScript?: boolean; dev?: boolean; peer?: boolean }>,
    );
    expect(packages.filter(([, entry]) => entry.hasInstallScript && !entry.dev && !entry.peer).map(([path]) => path)).toEqual([]);
  });

  it("locks every package another one names, those for other platforms included: npm ci refuses a lock with gaps", () => {
    const packages = lock.packages as Record<string, Record<string, Record<string, string> | undefined>>;
    /** Node's search: in the package's own node_modules, then in each enclosing one. */
    const isLocked = (from: string, name: string): boolean => {
      for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
        if (packages[`${at === "" ? "" : `${at}/`}node_modules/${name}`] !== undefined) return true;
        if (at === "") return false;
      }
    };
    const missing = Object.entries(packages).flatMap(([path, entry]) =>
      Object.keys({ ...entry.dependencies, ...entry.optionalDependencies, ...(path === "" ? entry.devDependencies : {}) })
        .filter((name) => !isLocked(path, name))
        .map((name) => `${path} -> ${name}`),
    );
    expect(missing).toEqual([]);
  });

  it("locks the content of every package, those for other platforms included", () => {
    const packages = Object.entries(lock.packages as Record<string, { integrity?: string; link?: boolean }>);
    const open = packages.filter(
      ([path, entry]) => path !== "" && entry.link !== true && !/^sha512-/.test(entry.integrity ?? ""),
    );
    expect(open.map(([path]) => path)).toEqual([]);
  });

  it("locks no address a package would be fetched from", () => {
    expect(read("package-lock.json")).not.toContain('"resolved"');
  });
});

describe("dist", () => {
  it("exports the same names the sources do", async () => {
    for (const entry of ["index", "node/index"]) {
      const built = await import(join(root, `dist/${entry}.js`));
      const source = await import(join(root, `src/${entry}.ts`));
      expect(Object.keys(built).sort()).toEqual(Object.keys(source).sort());
      expect(Object.keys(built).length).toBeGreaterThan(0);
    }
  });

  it("keeps Node's built-ins out of the library entry", () => {
    const seen = new Set<string>();
    const visit = (file: string) => {
      if (seen.has(file)) return;
      seen.add(file);
      const code = readFileSync(file, "utf8");
      for (const name of imports(code)) {
        expect(isBuiltIn(name)).toBe(false);
        if (name.startsWith(".")) visit(join(file, "..", name));
      }
    };
    visit(join(root, "dist/index.js"));
  });

  it("carries no types that point at sources", () => {
    const types = filesUnder("dist").filter((file) => file.endsWith(".d.ts"));
    expect(types.length).toBeGreaterThan(10);
    expect(types.filter((file) => /from "[^"]*\.ts"/.test(read(file)))).toEqual([]);
  });

  it("needs no package beside it", () => {
    expect(manifest.dependencies).toBeUndefined();
    const outside = ["index.js", "node/index.js"].flatMap((file) => imported(read(`dist/${file}`)));
    expect(outside).toEqual([]);
  });

  // What a page loads, in bytes, minified and compressed. The aim is 150 kB to plan and 200 kB for everything, and was held before
  // ONNX's schemas (6 kB) and what the planner and the proof learned since came in; the executor's operators take the most.
  it.each([
    ["read and write", "read, write, memorySource, collect, NO_EDITS", 25_000],
    ["plan and write", "read, write, memorySource, collect, plan, modelFacts", 194_500],
    [
      "everything with proof and run",
      "read, write, memorySource, collect, plan, prove, verifyModels, createSession, generateInputs",
      299_500,
    ],
  ])("is small in a page: %s", async (_what, names, bound) => {
    const { outputFiles } = await build({
      stdin: { contents: `export { ${names} } from "./dist/index.js";`, resolveDir: root },
      ...{ bundle: true, minify: true, format: "esm", platform: "browser", write: false },
    });
    expect(gzipSync(outputFiles[0].contents, { level: 9 }).length).toBeLessThanOrEqual(bound);
  });

  it("has the licence of everything that is bundled", () => {
    const notices = read("dist/third-party-licenses.txt");
    for (const name of ["yargs", "markdown-table", "fflate"]) expect(notices).toContain(`${name} `);
    for (const block of notices.split("-".repeat(72))) expect(block.trim().split("\n").length).toBeGreaterThan(5);
  });
});

describe("npm pack", () => {
  it("ships what is needed and nothing else", () => {
    const out = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const parsed = JSON.parse(out);
    const [{ files, size, unpackedSize }] = (Array.isArray(parsed) ? parsed : Object.values(parsed)) as [
      { files: { path: string }[]; size: number; unpackedSize: number },
    ];
    // What an install fetches, and what it leaves on the disk.
    expect(size).toBeLessThanOrEqual(1_436_000);
    expect(unpackedSize).toBeLessThanOrEqual(4_985_000);
    const paths = files.map(({ path }) => path);
    for (const needed of [
      "bin/bnfold.js",
      "dist/cli.js",
      "dist/index.js",
      "dist/index.d.ts",
      "dist/report.schema.json",
      "LICENSE",
    ]) {
      expect(paths).toContain(needed);
    }
    for (const target of relativeTargets(read("README.md"))) {
      if (target.startsWith("docs/")) expect(paths.some((path) => path.startsWith(target.replace(/#.*/, "")))).toBe(true);
    }
    const allowed = /^(bin|dist)\/|^docs\/([a-z-]+\/)?[A-Za-z-]+\.(md|svg)$|^(README\.md|CHANGELOG\.md|LICENSE|package\.json)$/;
    expect(paths.filter((path) => !allowed.test(path))).toEqual([]);
  });
});

describe("README.md on npm's page", () => {
  const text = read("README.md");
  const shown = (repository?: unknown) => readmeFor({ ...manifest, repository }, text);

  it("has links that lead to files of the checkout", () => {
    const targets = relativeTargets(text).map((target) => target.replace(/#.*/, ""));
    expect(targets.length).toBeGreaterThan(20);
    expect(targets.filter((target) => !existsSync(join(root, target)))).toEqual([]);
  });
  it("names the command that shows a page where no repository is known, and has no dead link", () => {
    for (const repository of [undefined, "https://forge.example/owner/bnfold"]) {
      const page = shown(repository);
      expect(relativeTargets(page)).toEqual([]);
      expect(page).toContain("(`bnfold explain gauges`)");
      const pages = [...page.matchAll(/`bnfold explain ([a-z-]+)`/g)].map(([, name]) => name);
      expect(pages.length).toBeGreaterThan(15);
      const there = (name: string) => [`docs/${name}.md`, `docs/reasons/${name}.md`].some((path) => existsSync(join(root, path)));
      expect(pages.filter((name) => !there(name))).toEqual([]);
    }
  });
  it.each([
    ["github:owner/bnfold", "https://github.com/owner/bnfold/blob/v", "https://github.com/owner/bnfold/raw/v"],
    ["owner/bnfold", "https://github.com/owner/bnfold/blob/v", "https://github.com/owner/bnfold/raw/v"],
    [
      { type: "git", url: "git+https://gitlab.com/owner/bnfold.git" },
      "https://gitlab.com/owner/bnfold/-/blob/v",
      "https://gitlab.com/owner/bnfold/-/raw/v",
    ],
    [
      { type: "git", url: "git+ssh://git@codeberg.org/owner/zoo.git", directory: "bnfold" },
      "https://codeberg.org/owner/zoo/src/tag/v",
      "https://codeberg.org/owner/zoo/raw/tag/v",
    ],
  ])("links to the files of its version: %j", (repository, file, bytes) => {
    const page = shown(repository);
    const below = typeof repository === "string" ? "" : ((repository as { directory?: string }).directory ?? "");
    const at = `${VERSION}/${below === "" ? "" : `${below}/`}docs`;
    expect(relativeTargets(page)).toEqual([]);
    expect(page).toContain(`](${file}${at}/gauges.md)`);
    expect(page).toContain(`](${bytes}${at}/fold.svg)`);
  });
  it("keeps blocks of code as they are", () => {
    const blocks = (markdown: string) => markdown.match(/^```[\s\S]*?^```$/gm);
    expect(blocks(shown())).toEqual(blocks(text));
  });
});
