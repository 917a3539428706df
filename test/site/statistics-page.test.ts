/** Statistics of channels in the page, and a channel taken into the explorer, in a real browser. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { bin, folder } from "../cli/bnfold.ts";
import { modelBytes as build, f, float32 } from "../helpers/build.ts";
import { dist, faults, give, hasBrowser, hosted, openPage } from "./browser.ts";

const HOSTILE = '</script><b><img src=x onerror="document.title=1">';
const dims = [1, 1, 4, 4];
/** Channel 0 is dead, 1 constant, 2 negative, 3 of tiny variance, 4 as it should be. */
const odd = (name = "norm") =>
  build({
    inputs: [{ name: "x", dims }],
    outputs: [{ name: "y", dims: [1, 5, 4, 4] }],
    initializers: {
      w: float32([5, 1, 1, 1], [1, 2, 3, 4, 5]),
      g: float32([5], [0, 0, -2, 0.5, 1.25]),
      b: float32([5], [0, 3, 1, 1, -0.75]),
      m: float32([5], [0, 0, 1, 0, 0.375]),
      v: float32([5], [1, 1, 1, 1e-9, 2.5]),
    },
    nodes: [
      { op: "Conv", name: "conv", inputs: ["x", "w"], outputs: ["c"] },
      { op: "BatchNormalization", name, inputs: ["c", "g", "b", "m", "v"], outputs: ["y"], attributes: { epsilon: f(1e-3) } },
    ],
  });

async function openStatistics(page: Page, bytes: Uint8Array): Promise<void> {
  await give(page, [{ name: "net.onnx", bytes }]);
  await page.locator(".answer").first().waitFor({ timeout: 60_000 });
  await page.locator("summary", { hasText: "Statistics of channels" }).click();
  await page.locator(".statistics .chart svg").first().waitFor({ timeout: 60_000 });
}

describe.skipIf(!hasBrowser)("statistics of channels in the page", () => {
  const site = hosted();

  it("names the channels to look at, draws each number beside its table, and gives the command line's CSV", async () => {
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await openStatistics(page, odd());
    const lines = await page.locator(".statistics .lines li").allTextContents();
    expect(lines).toEqual([
      "1 dead: 0",
      "1 constant: 1",
      "1 negative gain: 2",
      "1 variance below epsilon: 3",
      "1 widens the range: 3",
    ]);
    const charts = await page.locator(".statistics .chart h4").allTextContents();
    expect(charts.map((title) => title.replace(/ CSV$/, ""))).toEqual([
      "γ (scale)",
      "β (bias)",
      "μ (mean)",
      "v (variance)",
      "Gain, γ/√(v + ε)",
      "Sizes of gains",
      "Largest weight of each channel, before and after folding",
    ]);
    const bare = await page
      .locator(".statistics .chart")
      .evaluateAll((list) => list.filter((one) => !one.querySelector("table")).length);
    expect(bare).toBe(0);
    const gammas = await page
      .locator(".statistics .chart")
      .first()
      .locator("tbody tr")
      .evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent)));
    expect(gammas).toEqual([["0", "0"], ["1", "0"], ["2", "-2"], ["3", "0.5"], ["4", "1.25"]]); // biome-ignore format: pairs
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "All channels as CSV" }).click(),
    ]);
    const cwd = folder();
    writeFileSync(join(cwd, "net.onnx"), odd());
    const { stdout } = spawnSync(process.execPath, [bin, "inspect", "net.onnx", "--channels", "--csv"], {
      cwd,
      encoding: "utf8",
    });
    expect(readFileSync(await download.path(), "utf8").trim()).toBe(stdout.trim());
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("leads from a channel to the explorer, which shows its own numbers", async () => {
    const { page, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await openStatistics(page, odd());
    await page.getByLabel("Channel", { exact: true }).fill("4");
    await page.getByRole("button", { name: "Open in the explorer" }).click();
    await page.locator("#view-explorer .answer.equivalent").waitFor();
    const given = new URLSearchParams((await page.evaluate(() => location.hash)).replace(/^.*\?/, ""));
    expect(Object.fromEntries(["gamma", "beta", "mean", "variance"].map((name) => [name, Number(given.get(name))]))).toEqual({
      gamma: 1.25,
      beta: -0.75,
      mean: 0.375,
      variance: 2.5,
    });
    expect(Math.fround(Number(given.get("epsilon")))).toBe(Math.fround(1e-3));
    expect(errors).toEqual([]);
    await context.close();
  });

  it("takes a channel of a file that is given to the explorer, and one of a file dropped there", async () => {
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(`${site.url}/#explorer`);
    await page.locator("#explorer-file").setInputFiles({ name: "net.onnx", mimeType: "", buffer: Buffer.from(odd()) });
    await page.locator("#explorer-channel").waitFor();
    await page.locator("#explorer-channel").fill("2");
    await page.locator("#explorer-channel").press("Enter");
    await page.waitForFunction(() => location.hash.includes("gamma=-2"));
    expect(await page.locator("#view-explorer").textContent()).toContain(
      'Channel 2 of 5 channels of BatchNormalization "norm", net.onnx',
    );
    expect(await page.locator("#explorer-gamma").inputValue()).toBe("-2");
    await page.getByRole("button", { name: "Start" }).click();
    expect(await page.evaluate(() => location.hash)).toBe("#explorer");
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("shows hostile names as text, and breaks no rule of accessibility at 360 pixels", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, errors, context } = await openPage(site.browser, site.url);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width: 360, height: 740 });
      await page.goto(site.url);
      const title = await page.title();
      await openStatistics(page, odd(HOSTILE));
      expect(await page.locator(".statistics").textContent()).toContain(HOSTILE);
      // What stands under a picture keeps its size however small the picture is.
      const said = page.locator(".statistics .chart p.why", { hasText: /of \d+ channels?/ });
      const sizes = await said.evaluateAll((list) => list.map((one) => Number.parseFloat(getComputedStyle(one).fontSize)));
      expect(sizes.length).toBeGreaterThan(3);
      expect(Math.min(...sizes)).toBeGreaterThanOrEqual(12);
      expect(await page.locator(".statistics .chart svg text").count()).toBe(0);
      expect(await page.locator(".statistics img, .statistics script, .statistics b").count()).toBe(0);
      expect(await page.title()).toBe(title);
      await page.evaluate(() => {
        for (const part of document.querySelectorAll<HTMLDetailsElement>(".statistics details")) part.open = true;
      });
      expect([colorScheme, await faults(page)]).toEqual([colorScheme, []]);
      expect(errors).toEqual([]);
      await context.close();
    }
  }, 120_000);

  it("loads what draws only when it is opened, and little", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    await give(page, [{ name: "net.onnx", bytes: odd() }]);
    await page.locator(".answer").first().waitFor({ timeout: 60_000 });
    site.served.length = 0;
    await page.locator("summary", { hasText: "Statistics of channels" }).click();
    await page.locator(".statistics .chart svg").first().waitFor({ timeout: 60_000 });
    const asked = [...new Set(site.served)];
    expect(asked.some((name) => /statistics/.test(name))).toBe(true);
    const size = asked.reduce((n, name) => n + gzipSync(readFileSync(join(dist, name))).length, 0);
    expect(size).toBeLessThan(20_000);
    await context.close();
  });
});
