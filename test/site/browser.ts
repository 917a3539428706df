/**
 * A browser of this machine on the page as it would be hosted. Where there is none the tests say so and are skipped: `.ci/run`
 * installs one where it can. BNFOLD_BROWSER names another program.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const dist = join(root, "site/dist");

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const program = [process.env.BNFOLD_BROWSER, ...CANDIDATES].find((path) => path !== undefined && existsSync(path));

/** False where there is no browser, which is said. */
export const hasBrowser = program !== undefined;
if (!hasBrowser) {
  console.error(
    "\n*** NO CHROMIUM ON THIS MACHINE: the tests of the page in a browser are SKIPPED (apt-get install chromium) ***\n",
  );
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

/** The built site on a port of its own; `served` lists what was asked for. */
async function serve(): Promise<{ url: string; server: Server; served: string[] }> {
  const served: string[] = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
    const path = join(dist, name.endsWith("/") ? `${name}index.html` : name);
    served.push(name);
    if (!path.startsWith(dist) || !existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end();
    else response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, server, served };
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
