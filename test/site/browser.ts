/**
 * A browser of this machine on the page as it would be hosted. Where there is none the tests say so and are skipped: `.ci/run`
 * installs one where it can. BNFOLD_BROWSER names another program.
 */
import axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { program, serve } from "./server.ts";

export { dist, root } from "./server.ts";

/** False where there is no browser, which is said. */
export const hasBrowser = program !== undefined;
if (!hasBrowser) {
  console.error(
    "\n*** NO CHROMIUM ON THIS MACHINE: the tests of the page in a browser are SKIPPED (apt-get install chromium) ***\n",
  );
}

const launch = (): Promise<Browser> => chromium.launch({ executablePath: program, args: ["--no-sandbox"] });

/** The hosted site and a browser, for the tests of the group this is called in: they are there once its tests run. */
export function hosted(): { readonly browser: Browser; readonly url: string; readonly served: string[] } {
  const made: { browser?: Browser; site?: Awaited<ReturnType<typeof serve>> } = {};
  beforeAll(async () => {
    made.site = await serve();
    made.browser = await launch();
  });
  afterAll(async () => {
    await made.browser?.close();
    made.site?.server.close();
  });
  return {
    get browser() {
      return made.browser as Browser;
    },
    get url() {
      return made.site?.url as string;
    },
    get served() {
      return made.site?.served as string[];
    },
  };
}

/** A page that may ask its own origin only; what it asked of others, and what went wrong in it. */
export async function openPage(browser: Browser, url: string, serviceWorkers: "allow" | "block" = "block") {
  const context = await browser.newContext({ acceptDownloads: true, serviceWorkers });
  const page = await context.newPage();
  const foreign: string[] = [];
  const errors: string[] = [];
  const origin = new URL(url).origin;
  await page.route("**/*", async (route) => {
    const asked = route.request().url();
    if (asked.startsWith(`${origin}/`) || /^(data|blob):/.test(asked) || url.startsWith("file:")) await route.continue();
    else {
      foreign.push(asked);
      await route.abort();
    }
  });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  return { page, context, foreign, errors };
}

/** Gives files to the page's picker. */
export const give = (page: Page, files: readonly { name: string; bytes: Uint8Array }[]): Promise<void> =>
  page
    .locator("#pick")
    .setInputFiles(files.map(({ name, bytes }) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(bytes) })));

/** The way of a drop or a paste, which no real pointer can make in a test. */
export const throwAt = (
  page: Page,
  kind: "drop" | "paste",
  files: readonly { name: string; bytes: Uint8Array }[],
): Promise<void> =>
  page.evaluate(
    ([type, list]) => {
      const data = new DataTransfer();
      for (const { name, bytes } of list) data.items.add(new File([new Uint8Array(bytes)], name));
      const event =
        type === "drop"
          ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
          : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
    },
    [kind, files.map(({ name, bytes }) => ({ name, bytes: [...bytes] }))] as const,
  );

/** What axe finds, and whether the page is wider than its window. */
export async function faults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { axe: checker } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await checker.run();
    const wide = document.documentElement.scrollWidth > innerWidth ? ["wider than the window"] : [];
    return [...violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`), ...wide];
  });
}
