/** The page in a real browser: every way in, nothing asked of anybody else, the bytes of the command line. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { unzipSync, zipSync } from "fflate";
import type { Download, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { bin, folder } from "../cli/bnfold.ts";
import { modelBytes as build, float32 } from "../helpers/build.ts";
import { dist, faults, give, hasBrowser, hosted, openPage, root, throwAt } from "./browser.ts";

const fixture = (name: string, file = "model.onnx") => new Uint8Array(readFileSync(join(root, "fixtures/models", name, file)));
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** What the command line makes of these files: SHA-256 by name. */
function byCommand(files: readonly { name: string; bytes: Uint8Array }[], command: string): Map<string, string> {
  const cwd = folder();
  for (const { name, bytes } of files) writeFileSync(join(cwd, name), bytes);
  const words = command.split(" ").slice(1);
  const { status, stderr } = spawnSync(process.execPath, [bin, ...words, "-q"], { cwd, encoding: "utf8" });
  expect([status, stderr]).toEqual([0, expect.not.stringContaining("error")]);
  const output = words[words.indexOf("-o") + 1];
  return new Map(
    [output, `${output}.bnfold.data`].flatMap((name) => {
      try {
        return [[name, sha256(readFileSync(join(cwd, name)))] as const];
      } catch {
        return [];
      }
    }),
  );
}

async function bytesOf(download: Download): Promise<Uint8Array> {
  return new Uint8Array(readFileSync(await download.path()));
}

async function save(page: Page): Promise<{ name: string; bytes: Uint8Array }> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page
      .getByRole("button", { name: /^Download (?!the certificate)/ })
      .last()
      .click(),
  ]);
  return { name: download.suggestedFilename(), bytes: await bytesOf(download) };
}

/** Bytes of files of the site, compressed. */
const sizeOf = (names: readonly string[]): number =>
  names.reduce(
    (n, name) => n + gzipSync(readFileSync(join(dist, name.endsWith("/") ? `${name}index.html` : name)), { level: 9 }).length,
    0,
  );

/** What the worker loads for a fold before anything else, with all it imports. */
function foldingFiles(): Set<string> {
  const text = (name: string) => readFileSync(join(dist, name), "utf8");
  const found = new Set([...text("worker.js").matchAll(/import\("\.(\/chunks\/fold-[^"]+)"\)/g)].map(([, name]) => name));
  for (const name of found)
    for (const [, file] of text(name).matchAll(/(?:from|import)"\.\/([^"]+)"/g)) found.add(`/chunks/${file}`);
  return found;
}

const answer = async (page: Page): Promise<string> =>
  (await page.locator(".answer").first().textContent({ timeout: 60_000 })) ?? "";

describe.skipIf(!hasBrowser)("the page", () => {
  const site = hosted();

  const model = { name: "net.onnx", bytes: fixture("repvgg-ts17") };
  const ways: readonly [string, (page: Page) => Promise<void>][] = [
    ["the picker", (page) => give(page, [model])],
    ["a drop", (page) => throwAt(page, "drop", [model])],
    ["a paste", (page) => throwAt(page, "paste", [model])],
    [
      "Ctrl-O",
      async (page) => {
        const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.keyboard.press("Control+o")]);
        await chooser.setFiles([{ name: model.name, mimeType: "", buffer: Buffer.from(model.bytes) }]);
      },
    ],
  ];
  it.each(ways)("takes a model by %s, asks nobody else, and gives the command line's bytes", async (_, way) => {
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    expect(await page.locator("#hero").textContent()).toContain("stays on your machine");
    await way(page);
    expect(await answer(page)).toMatch(/^Equivalent\. 8 of 8 BatchNormalization folded/);
    const command = (await page.locator(".command code").textContent()) ?? "";
    const saved = await save(page);
    expect(sha256(saved.bytes)).toBe(byCommand([model], command).get(saved.name));
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("recomputes for other options, keeps results, and names the command that makes the same bytes", async () => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [model]);
    await answer(page);
    const first = await save(page);
    await page.getByText("Options", { exact: true }).click();
    await page.getByLabel("Leave parallel linear branches as they are").check();
    await page.getByText("bnfold fold net.onnx -o net.folded.onnx --no-merge").waitFor();
    const second = await save(page);
    expect(sha256(second.bytes)).toBe(byCommand([model], "bnfold fold net.onnx -o net.folded.onnx --no-merge").get(second.name));
    expect(sha256(second.bytes)).not.toBe(sha256(first.bytes));
    await page.getByRole("button", { name: "Reset" }).click();
    expect(sha256((await save(page)).bytes)).toBe(sha256(first.bytes));
    expect(errors).toEqual([]);
    await context.close();
  });

  const choices: readonly (readonly [string, Uint8Array, readonly string[], string])[] = [
    ["--bn-to-conv", fixture("resnet-ts9"), ["depthwise 1\u00d71 Conv"], "--bn-to-conv"],
    ["--constant-channel", fixture("resnet-ts9"), ["Let a shift pass zero padding"], "--constant-channel"],
    ["--equalize", fixture("resnet-ts9"), ["even out channels by powers of two"], "--equalize"],
    ["--freeze", fixture("training-ts17"), ["inference semantics first"], "--freeze"],
    [
      "--drop-outputs",
      fixture("training-ts17"),
      ["inference semantics first", "drop running statistics"],
      "--freeze --drop-outputs",
    ],
    ["--certificate", fixture("resnet-ts9"), ["Also make a certificate"], "--certificate net.folded.certificate.json"],
  ];
  it.each(choices)("makes with %s what the command that it names makes", async (option, bytes, labels, words) => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "net.onnx", bytes }]);
    await answer(page);
    await page.getByText("Options", { exact: true }).click();
    for (const label of labels) await page.getByLabel(label).check();
    const command = `bnfold fold net.onnx -o net.folded.onnx ${words}`;
    await page.locator(".command code", { hasText: command }).waitFor({ timeout: 60_000 });
    const cwd = folder();
    writeFileSync(join(cwd, "net.onnx"), bytes);
    const { status, stderr } = spawnSync(process.execPath, [bin, ...command.split(" ").slice(1), "-q"], {
      cwd,
      encoding: "utf8",
    });
    expect([status, stderr]).toEqual([0, expect.not.stringContaining("error")]);
    const made = (name: string) => sha256(readFileSync(join(cwd, name)));
    expect(sha256((await save(page)).bytes)).toBe(made("net.folded.onnx"));
    if (option === "--certificate") {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download the certificate" }).click(),
      ]);
      expect(sha256(await bytesOf(download))).toBe(made(download.suggestedFilename()));
    }
    expect(errors).toEqual([]);
    await context.close();
  });

  it("leaves out of the check what does not fit into the memory it is given, and says so", async () => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [model]);
    await answer(page);
    await page.getByText("Options", { exact: true }).click();
    await page.getByLabel("Most memory for the check").fill("1M");
    await page.getByLabel("Most memory for the check").press("Enter");
    expect(await page.locator(".problem").first().textContent({ timeout: 60_000 })).toMatch(/--max-memory: bnfold itself needs/);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("takes side files with the model, and gives all files in one archive", async () => {
    const location = "model.onnx.data";
    const dims = [1, 2, 4, 4];
    const outside = (offset: number) => ({ ...float32([2, 2, 1, 1], []), external: { location, offset, length: 16 } });
    const norm = ["g", "b", "m", "v"];
    const bytes = build({
      inputs: [{ name: "x", dims }],
      outputs: [{ name: "y", dims }],
      initializers: { w: outside(0), u: outside(16), ...Object.fromEntries(norm.map((one) => [one, float32([2], [1, 2])])) },
      nodes: [
        { op: "Conv", inputs: ["x", "w"], outputs: ["c"] },
        { op: "BatchNormalization", inputs: ["c", ...norm], outputs: ["n"] },
        { op: "Relu", inputs: ["n"], outputs: ["r"] },
        { op: "Conv", inputs: ["r", "u"], outputs: ["y"] },
      ],
    });
    const weights = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const files = [
      { name: "model.onnx", bytes },
      { name: location, bytes: new Uint8Array(weights.buffer) },
    ];
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, files);
    expect(await answer(page)).toMatch(/^Equivalent\./);
    const made = unzipSync((await save(page)).bytes);
    const expected = byCommand(files, "bnfold fold model.onnx -o model.folded.onnx");
    expect(Object.keys(made).sort()).toEqual(["model.folded.onnx", "model.folded.onnx.bnfold.data", location]);
    expect(expected.size).toBe(2);
    for (const [name, hash] of expected) expect([name, sha256(made[name])]).toEqual([name, hash]);
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    // Without them it says what is missing.
    await give(page, [files[0]]);
    await page
      .getByText(/model\.onnx\.data/)
      .first()
      .waitFor();
    expect(await page.locator(".problem").first().textContent()).toMatch(/side file.*Drop the model and/s);
    await context.close();
  });

  it("folds many models, stored and deflated in a zip, into a table and one archive", async () => {
    const inside = {
      "a/one.onnx": [model.bytes, { level: 0 }],
      "a/two.onnx": fixture("resnet-ts9"),
      "b/bad.onnx": new Uint8Array([1, 2, 3]),
    } as const;
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await throwAt(page, "drop", [{ name: "models.zip", bytes: zipSync(inside as never) }]);
    await page.getByText("2 of 3 models done.").waitFor({ timeout: 60_000 });
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download all" }).click(),
    ]);
    const made = unzipSync(await bytesOf(download));
    expect(Object.keys(made).sort()).toEqual(["one.folded.onnx", "two.folded.onnx"]);
    const expected = byCommand([{ ...model, name: "one.onnx" }], "bnfold fold one.onnx -o one.folded.onnx");
    expect(sha256(made["one.folded.onnx"])).toBe(expected.get("one.folded.onnx"));
    expect(errors).toEqual([]);
    await context.close();
  });

  it("stops when it is told to, and the same fold made again has the command line's bytes", async () => {
    // Large enough that it is still at work when Cancel is pressed.
    const size = 384;
    const weight = (seed: number) => Float64Array.from({ length: size * size * 9 }, (_, i) => Math.sin(i * 0.37 + seed));
    const layers = Array.from({ length: 6 }, (_, i) => i);
    const channels = (from: number) =>
      float32(
        [size],
        Float64Array.from({ length: size }, (_, c) => from + (c % 7) / 8),
      );
    const large = {
      name: "large.onnx",
      bytes: build({
        inputs: [{ name: "x0", dims: [1, size, 8, 8] }],
        outputs: [{ name: "x6", dims: [1, size, 8, 8] }],
        initializers: Object.fromEntries(
          layers.flatMap((i) => [
            [`w${i}`, float32([size, size, 3, 3], weight(i))],
            ...["g", "b", "m"].map((name) => [`${name}${i}`, channels(0.5)]),
            [`v${i}`, channels(1)],
          ]),
        ),
        nodes: layers.flatMap((i) => [
          { op: "Conv", inputs: [`x${i}`, `w${i}`], outputs: [`c${i}`], attributes: { pads: [1, 1, 1, 1] } },
          { op: "BatchNormalization", inputs: [`c${i}`, `g${i}`, `b${i}`, `m${i}`, `v${i}`], outputs: [`x${i + 1}`] },
        ]),
      }),
    };
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    const path = join(folder(), large.name);
    writeFileSync(path, large.bytes);
    await page.locator("#pick").setInputFiles(path);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("Called off.").first().waitFor();
    await page.getByRole("button", { name: "Fold again" }).click();
    expect(await answer(page)).toMatch(/^Equivalent\. 6 of 6/);
    const saved = await save(page);
    expect(sha256(saved.bytes)).toBe(byCommand([large], "bnfold fold large.onnx -o large.folded.onnx").get(saved.name));
    expect(errors).toEqual([]);
    await context.close();
  }, 180_000);

  it("shows hostile names as text", async () => {
    const name = '<img src=x onerror="document.title=1">';
    const hostile = build({
      inputs: [{ name: "x", dims: [1, 2, 3, 3] }],
      outputs: [{ name, dims: [1, 2, 3, 3] }],
      initializers: Object.fromEntries(["g", "b", "m", "v"].map((one) => [one, float32([2], [1, 2])])),
      nodes: [{ op: "BatchNormalization", name: `</script><b>${name}`, inputs: ["x", "g", "b", "m", "v"], outputs: [name] }],
    });
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    const title = await page.title();
    await give(page, [{ name: "<b>x.onnx", bytes: hostile }]);
    await answer(page);
    expect(await page.locator(".result").textContent()).toContain(`</script><b>${name}`);
    expect(await page.locator(".result img, .result script, .result b").count()).toBe(0);
    expect(await page.title()).toBe(title);
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("says what a file really is", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "w.onnx", bytes: new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n") }]);
    expect(await page.locator(".problem").textContent({ timeout: 30_000 })).toContain("Git LFS pointer");
    await context.close();
  });

  it("opens a report of the command line", async () => {
    const cwd = folder();
    writeFileSync(join(cwd, "net.onnx"), model.bytes);
    const { stdout } = spawnSync(process.execPath, [bin, "fold", "net.onnx", "-o", "o.onnx", "--json"], {
      cwd,
      encoding: "utf8",
    });
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "report.json", bytes: new TextEncoder().encode(stdout) }]);
    expect(await answer(page)).toMatch(/^Equivalent\. 8 of 8/);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("verifies two files, and names the first place that differs", async () => {
    const dims = [1, 2, 4, 4];
    const two = (weight: number) =>
      build({
        inputs: [{ name: "x", dims }],
        outputs: [{ name: "y", dims }],
        initializers: {
          w: float32([2, 2, 1, 1], [1, 2, 3, weight]),
          ...Object.fromEntries(["g", "b", "m", "v"].map((one) => [one, float32([2], [1, 2])])),
        },
        nodes: [
          { op: "Conv", name: "conv", inputs: ["x", "w"], outputs: ["c"] },
          { op: "BatchNormalization", name: "norm", inputs: ["c", "g", "b", "m", "v"], outputs: ["y"] },
        ],
      });
    const [source, folded] = ["net.onnx", "f.onnx"].map((name) => join(folder(), name));
    writeFileSync(source, two(4));
    spawnSync(process.execPath, [bin, "fold", source, "-o", folded, "-q"]);
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(`${site.url}/#verify`);
    await page.locator("#verify-0").setInputFiles(source);
    await page.locator("#verify-1").setInputFiles(folded);
    expect(await answer(page)).toMatch(/^Equivalent/);
    await page.getByText("Nodes only in the original").waitFor();
    await page.locator("#verify-1").setInputFiles({ name: "changed.onnx", mimeType: "", buffer: Buffer.from(two(5)) });
    await page.getByText("The first place that differs").waitFor({ timeout: 60_000 });
    expect(await answer(page)).toMatch(/^Different/);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("has no violation of accessibility, in either colour scheme, and fits a narrow screen", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, context } = await openPage(site.browser, site.url);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width: 360, height: 740 });
      const check = async (where: string) => {
        expect([where, colorScheme, await faults(page)]).toEqual([where, colorScheme, []]);
      };
      await page.goto(site.url);
      await check("empty");
      await give(page, [{ name: "net.onnx", bytes: fixture("training-ts17") }, model]);
      await answer(page);
      await page.evaluate(() => {
        for (const part of document.querySelectorAll("details")) part.open = true;
      });
      await check("result");
      await page.goto(`${site.url}/#verify`);
      await page.locator("#verify-0").waitFor();
      await check("verify");
      await page.goto(`${site.url}/docs/index.html`);
      await check("docs");
      await page.goto(`${site.url}/docs/reasons/other-reader.html`);
      await check("reason");
      await context.close();
    }
  }, 180_000);

  it("is worked by keyboard alone", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    const onto = async (wanted: RegExp) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        if (wanted.test(await page.evaluate(() => document.activeElement?.textContent ?? ""))) return;
      }
      throw new Error(`no way to ${wanted}`);
    };
    await onto(/Try an example/);
    await page.keyboard.press("Enter");
    await answer(page);
    await onto(/^Download/);
    const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    expect(download.suggestedFilename()).toBe("repvgg-example.folded.onnx");
    await context.close();
  });

  it("searches the documentation without asking a server for the words", async () => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(`${site.url}/docs/index.html`);
    await page.getByLabel("Search").fill("padding zero border");
    await page.locator("#found a", { hasText: "padding-blocks" }).first().click();
    expect(await page.locator("h1").textContent()).toContain("padding-blocks");
    expect(errors).toEqual([]);
    await context.close();
  });

  it("works without a network after the first visit, then on all processors, with the same bytes", async () => {
    const { page, context } = await openPage(site.browser, site.url, "allow");
    await page.goto(site.url);
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
    await context.setOffline(true);
    await page.reload();
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await give(page, [model]);
    expect(await answer(page)).toMatch(/^Equivalent\. 8 of 8/);
    const threads = await page.evaluate(() => navigator.hardwareConcurrency);
    expect(page.workers().length).toBe(Math.min(8, threads));
    const saved = await save(page);
    expect(sha256(saved.bytes)).toBe(byCommand([model], "bnfold fold net.onnx -o net.folded.onnx").get(saved.name));
    await context.close();
  });

  it("works from one file on a disk, without a network", async () => {
    const { page, context, errors } = await openPage(site.browser, "file:");
    await context.setOffline(true);
    await page.goto(pathToFileURL(join(dist, "bnfold.html")).href);
    await give(page, [model]);
    expect(await answer(page)).toMatch(/^Equivalent\. 8 of 8/);
    const saved = await save(page);
    expect(sha256(saved.bytes)).toBe(byCommand([model], "bnfold fold net.onnx -o net.folded.onnx").get(saved.name));
    await page.goto(`${pathToFileURL(join(dist, "bnfold.html")).href}#docs/reasons/other-reader`);
    await page.getByRole("heading", { name: "other-reader" }).waitFor();
    expect(errors).toEqual([]);
    await context.close();
  });

  it("loads little before there is a model", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    site.served.length = 0;
    await page.goto(site.url, { waitUntil: "networkidle" });
    const first = [...new Set(site.served)];
    expect(first.some((name) => /worker/.test(name))).toBe(false);
    expect(sizeOf(first)).toBeLessThan(15_000);
    site.served.length = 0;
    await page.getByRole("button", { name: "Try an example" }).click();
    await answer(page);
    const engine = [...new Set(site.served)].filter((name) => !/example/.test(name));
    // What folds comes with the file; what checks it is fetched meanwhile: see docs/page.md.
    const folding = foldingFiles();
    expect(sizeOf([...folding])).toBeLessThan(200_000);
    expect(engine).toEqual(expect.arrayContaining([...folding]));
    expect(sizeOf(engine)).toBeLessThan(348_000);
    await context.close();
  });

  it("folds and checks what the operators need that come later", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    const nodes = [
      { op: "Conv", inputs: ["x", "w"], outputs: ["c"] },
      { op: "BatchNormalization", inputs: ["c", "g", "b", "m", "v"], outputs: ["n"] },
      { op: "TopK", inputs: ["n", "two"], outputs: ["y", "places"] },
    ];
    const four = (from: number) => float32([4], [from, 2, 3, 4]);
    const bytes = build({
      nodes,
      initializers: {
        w: float32(
          [4, 4, 1, 1],
          Array.from({ length: 16 }, (_, i) => i - 7),
        ),
        ...{ g: four(2), b: four(1), m: four(0), v: four(1) },
        two: { dtype: "int64", dims: [1], values: [2] },
      },
      inputs: [{ name: "x", dims: [1, 4, 3, 3] }],
      outputs: [{ name: "y" }],
    });
    await give(page, [{ name: "top.onnx", bytes }]);
    expect(await answer(page)).toMatch(/^Equivalent\. 1 of 1/);
    const saved = await save(page);
    const made = byCommand([{ name: "top.onnx", bytes }], "bnfold fold top.onnx -o top.folded.onnx");
    expect(sha256(saved.bytes)).toBe(made.get(saved.name));
    await context.close();
  });
});
