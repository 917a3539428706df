/** The graph in the page, in a real browser: what happened where, before and after, by keyboard, of two files, of ten thousand nodes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { folder } from "../cli/bnfold.ts";
import { modelBytes as build, float32 } from "../helpers/build.ts";
import { dist, faults, give, hasBrowser, hosted, openPage, root } from "./browser.ts";

const fixture = (name: string) => new Uint8Array(readFileSync(join(root, "fixtures/models", name, "model.onnx")));

const answer = async (page: Page): Promise<string> =>
  (await page.locator(".answer").first().textContent({ timeout: 60_000 })) ?? "";

async function openGraph(page: Page): Promise<void> {
  await page.locator("summary", { hasText: /^Graph/ }).click();
  await page.locator(".graphs .picture svg").first().waitFor({ timeout: 60_000 });
}

/** A normalization behind a Relu behind a convolution, with names of one's own. */
const small = (names: readonly [conv: string, relu: string, norm: string], shift = 0) => {
  const dims = [1, 2, 4, 4];
  return build({
    inputs: [{ name: "x", dims }],
    outputs: [{ name: "y", dims }],
    initializers: {
      w: float32([2, 2, 1, 1], [1, 2, 3, 4]),
      u: float32([2, 2, 1, 1], [1, 2, 3, 5]),
      g: float32([2], [1, 2]),
      b: float32([2], [shift, shift]),
      m: float32([2], [0, 0]),
      v: float32([2], [1, 2]),
    },
    nodes: [
      { op: "Conv", name: names[0], inputs: ["x", "w"], outputs: ["c"] },
      { op: "Relu", name: names[1], inputs: ["c"], outputs: ["r"] },
      { op: "BatchNormalization", name: names[2], inputs: ["r", "g", "b", "m", "v"], outputs: ["n"] },
      { op: "Conv", name: "last", inputs: ["n", "u"], outputs: ["y"] },
    ],
  });
};

const boxes = (page: Page, picture: number): Promise<string[]> =>
  page
    .locator(".picture")
    .nth(picture)
    .locator(".box")
    .evaluateAll((list) => list.map((one) => one.querySelector("title")?.textContent ?? ""));

describe.skipIf(!hasBrowser)("the graph in the page", () => {
  const site = hosted();

  it("shows a fold in the list where it was, and what is there afterwards", async () => {
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "net.onnx", bytes: small(["conv", "relu", "norm"]) }]);
    await answer(page);
    await page.getByRole("button", { name: 'Show BatchNormalization "norm" in the graph' }).click();
    await page.locator(".box.here").waitFor();
    expect(await page.locator(".told h4").textContent()).toContain('BatchNormalization "norm"');
    expect(await boxes(page, 0)).toContain('BatchNormalization "norm", folded');
    const after = (await boxes(page, 1)).map((label) => label.replace(/, changed$/, "")).sort();
    expect(after).toEqual(['Conv "conv"', 'Conv "last"', 'Relu "relu"', 'input "x"', 'output "y"']);
    expect(await page.locator(".told .way").allTextContents()).toEqual([
      'Its map went through: Relu "relu" ',
      'into: Conv "conv" ',
    ]);
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("writes nothing over what a box says: its lines and how many neighbours are left out stand beside each other", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.setViewportSize({ width: 1000, height: 800 });
    await page.goto(site.url);
    await give(page, [{ name: "net.onnx", bytes: fixture("repvgg-ts17") }]);
    await answer(page);
    await openGraph(page);
    const seen = await page.locator(".box", { has: page.locator(".more") }).evaluateAll((list) =>
      list.map((one) => {
        const [box, op, more] = ["rect", ".op", ".more"].map(
          (what) => one.querySelector(what)?.getBoundingClientRect() as DOMRect,
        );
        return op.right <= more.left && more.right <= box.right;
      }),
    );
    expect(seen.length).toBeGreaterThan(1);
    expect(seen).not.toContain(false);
    await context.close();
  });

  it("is walked by keyboard: up and down along edges, Enter to go there", async () => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "net.onnx", bytes: small(["conv", "relu", "norm"]) }]);
    await answer(page);
    await openGraph(page);
    await page.locator(".picture").first().locator(".box.here").focus();
    const now = () => page.evaluate(() => document.activeElement?.querySelector("title")?.textContent ?? "");
    expect(await now()).toContain('"norm"');
    await page.keyboard.press("ArrowUp");
    expect(await now()).toContain('"relu"');
    await page.keyboard.press("ArrowUp");
    expect(await now()).toContain('"conv"');
    await page.keyboard.press("Enter");
    await page.locator(".told h4", { hasText: 'Conv "conv"' }).waitFor();
    expect(await now()).toContain('"conv"');
    expect(errors).toEqual([]);
    await context.close();
  });

  it("counts what the report counts, goes from one to the next, and finds nodes by name", async () => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "net.onnx", bytes: fixture("repvgg-ts17") }]);
    expect(await answer(page)).toMatch(/8 of 8 BatchNormalization folded, 3 branch regions merged/);
    await openGraph(page);
    const folded = page.getByRole("button", { name: "folded: 8" });
    const first = await page.locator(".told h4").textContent();
    await folded.click();
    await page.waitForFunction((was) => document.querySelector(".told h4")?.textContent !== was, first);
    await page.getByLabel("Find a node").fill("relu");
    await page.getByRole("button", { name: /^Relu/ }).first().click();
    await page.locator(".told h4", { hasText: "Relu" }).waitFor();
    const before = await page.locator(".picture svg").first().getAttribute("width");
    await page.getByRole("button", { name: "Larger" }).click();
    await page.waitForFunction((was) => document.querySelector(".picture svg")?.getAttribute("width") !== was, before);
    await page.getByLabel("One over the other").check();
    await page.waitForFunction(() => document.querySelectorAll(".picture").length === 1);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("lays two files over each other: what is gone, new, changed", async () => {
    const [a, b] = [small(["conv", "relu", "norm"]), small(["conv", "relu", "norm"], 1)];
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(`${site.url}/#verify`);
    await page.locator("#verify-0").setInputFiles({ name: "a.onnx", mimeType: "", buffer: Buffer.from(a) });
    await page.locator("#verify-1").setInputFiles({ name: "b.onnx", mimeType: "", buffer: Buffer.from(b) });
    expect(await answer(page)).toMatch(/^Different/);
    await openGraph(page);
    await page.locator(".told h4", { hasText: 'BatchNormalization "norm"' }).waitFor();
    expect(await page.locator(".told").textContent()).toContain("b differs in 2 of 2 elements, by up to 1");
    expect(await page.locator(".legend").allTextContents()).toEqual([" changed: 1"]);
    expect(errors).toEqual([]);
    await context.close();
  });

  it("shows hostile names as text", async () => {
    const hostile = '<img src=x onerror="document.title=1">';
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    const title = await page.title();
    await give(page, [{ name: "net.onnx", bytes: small([hostile, "</svg><script>1</script>", `</title>${hostile}`]) }]);
    await answer(page);
    await openGraph(page);
    expect((await boxes(page, 0)).join()).toContain(hostile);
    expect(await page.locator(".graphs img, .graphs script").count()).toBe(0);
    expect(await page.title()).toBe(title);
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("has no violation of accessibility in either colour scheme, and fits a narrow screen", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, context } = await openPage(site.browser, site.url);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width: 360, height: 740 });
      await page.goto(site.url);
      await give(page, [{ name: "net.onnx", bytes: fixture("repvgg-ts17") }]);
      await answer(page);
      await openGraph(page);
      expect([colorScheme, await faults(page)]).toEqual([colorScheme, []]);
      await page.getByLabel("One over the other").check();
      await page.waitForFunction(() => document.querySelectorAll(".picture").length === 1);
      expect([colorScheme, await faults(page)]).toEqual([colorScheme, []]);
      await context.close();
    }
  }, 120_000);

  it("draws a map of ten thousand nodes, each with its own cell", async () => {
    const dims = [1, 2];
    const layers = Array.from({ length: 5000 }, (_, i) => i);
    const bytes = build({
      inputs: [{ name: "x0", dims }],
      outputs: [{ name: "x5000", dims }],
      initializers: { g: float32([2], [1, 2]), b: float32([2], [0, 1]), m: float32([2], [0, 0]), v: float32([2], [1, 1]) },
      nodes: layers.flatMap((i) => [
        { op: "Sigmoid", name: `act${i}`, inputs: [`x${i}`], outputs: [`s${i}`] },
        { op: "BatchNormalization", name: `norm${i}`, inputs: [`s${i}`, "g", "b", "m", "v"], outputs: [`x${i + 1}`] },
      ]),
    });
    const path = join(folder(), "long.onnx");
    writeFileSync(path, bytes);
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await page.locator("#pick").setInputFiles(path);
    await answer(page);
    await openGraph(page);
    await page.getByRole("button", { name: "kept: 5000" }).waitFor();
    const cells = await page
      .locator(".overview path")
      .evaluateAll((list) => list.reduce((n, one) => n + (one.getAttribute("d")?.match(/M/g)?.length ?? 0), 0));
    // A kept node's cell is a ring: two outlines.
    expect(cells).toBe(5000 * 2 + 5000 + 2);
    expect(errors).toEqual([]);
    await context.close();
  }, 180_000);

  it("loads the layout only when a graph is opened, and little", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await page.getByRole("button", { name: "Try an example" }).click();
    await answer(page);
    site.served.length = 0;
    await openGraph(page);
    const asked = [...new Set(site.served)];
    expect(asked.some((name) => /layout/.test(name))).toBe(true);
    const size = asked.reduce((n, name) => n + gzipSync(readFileSync(join(dist, name))).length, 0);
    expect(size).toBeLessThan(45_000);
    await context.close();
  });
});
