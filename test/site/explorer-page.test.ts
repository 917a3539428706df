/** The explorer in a real browser: by keyboard, from its address, without a violation of accessibility. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { dist, faults, hasBrowser, hosted, openPage } from "./browser.ts";

describe.skipIf(!hasBrowser)("the explorer in the page", () => {
  const site = hosted();

  it("is reached and worked by keyboard alone, says what is set in its address, and comes back from it", async () => {
    const { page, foreign, errors, context } = await openPage(site.browser, site.url);
    await page.goto(site.url);
    const onto = async (wanted: string) => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        const now = await page.evaluate(() => document.activeElement?.id || (document.activeElement?.textContent ?? ""));
        if (now === wanted) return;
      }
      throw new Error(`no way to ${wanted}`);
    };
    await onto("Explorer");
    await page.keyboard.press("Enter");
    await page.locator("#view-explorer .answer").waitFor();
    await onto("Negative γ behind Relu");
    await page.keyboard.press("Enter");
    expect(await page.locator("#view-explorer .answer").textContent()).toMatch(/^Not the same function/);
    expect(await page.evaluate(() => location.hash)).toBe("#explorer?gamma=-1.2&order=relu-bn");
    await onto("explorer-gamma");
    await page.keyboard.press("End");
    await page.locator("#view-explorer .answer.equivalent").waitFor();
    expect(await page.evaluate(() => location.hash)).toBe("#explorer?gamma=3&order=relu-bn");
    const shown = await page.locator("#view-explorer").textContent();
    const address = await page.evaluate(() => location.href);

    const other = await context.newPage();
    await other.goto(address);
    await other.locator("#view-explorer .answer").waitFor();
    expect(await other.locator("#view-explorer").textContent()).toBe(shown);
    // Another address in the same page.
    await other.evaluate(() => {
      location.hash = "#explorer?order=bn-conv&n=2";
    });
    await other.locator("#view-explorer .answer.different").waitFor();
    expect(await other.locator("#explorer-n").inputValue()).toBe("2");
    expect(await other.locator("#view-explorer a.code").first().getAttribute("href")).toBe("docs/reasons/padding-blocks.html");
    expect({ foreign, errors }).toEqual({ foreign: [], errors: [] });
    await context.close();
  });

  it("has no violation of accessibility in either colour scheme, fits a narrow screen, and each picture has a table", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [360, 1280]) {
        const { page, context } = await openPage(site.browser, site.url);
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.setViewportSize({ width, height: 800 });
        for (const state of ["", "?gamma=0&order=bn-conv", "?spread=-4&n=32&batches=100"]) {
          await page.goto(`${site.url}/#explorer${state}`);
          await page.locator("#view-explorer .answer").waitFor();
          await page.evaluate(() => {
            for (const part of document.querySelectorAll("details")) part.open = true;
          });
          expect([colorScheme, width, state, await faults(page)]).toEqual([colorScheme, width, state, []]);
        }
        const bare = await page.evaluate(
          () =>
            [...document.querySelectorAll("#view-explorer .figure")].filter(
              (part) => !part.querySelector("svg") || !part.querySelector("table"),
            ).length,
        );
        expect(bare).toBe(0);
        await context.close();
      }
    }
  }, 120_000);

  it("loads when it is first shown, little, and without the worker", async () => {
    const { page, context } = await openPage(site.browser, site.url);
    await page.goto(site.url, { waitUntil: "networkidle" });
    site.served.length = 0;
    await page.locator("nav a", { hasText: "Explorer" }).click();
    await page.locator("#view-explorer .answer").waitFor();
    const asked = [...new Set(site.served)];
    expect(asked.some((name) => /worker/.test(name))).toBe(false);
    const size = asked.reduce((n, name) => n + gzipSync(readFileSync(join(dist, name))).length, 0);
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThan(60_000);
    await context.close();
  });

  it("works in the one file", async () => {
    const { page, context, errors } = await openPage(site.browser, "file:");
    await page.goto(`${pathToFileURL(join(dist, "bnfold.html")).href}#explorer?order=bn-conv`);
    await page.locator("#view-explorer .answer.different").waitFor();
    await page.getByRole("button", { name: "Start" }).click();
    await page.locator("#view-explorer .answer.equivalent").waitFor();
    expect(errors).toEqual([]);
    await context.close();
  });
});
