/**
 * The pictures of docs/ that show the page: node scripts/pictures.mjs [name ...], after `npm run build` and `npm run site`. Each is under 60 kB, which is
 * checked here; look at them before they are committed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "site/dist");
const MOST = 60_000;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

const server = createServer((request, response) => {
  const name = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
  const path = join(dist, name.endsWith("/") ? `${name}index.html` : name);
  if (!path.startsWith(dist) || !existsSync(path) || !statSync(path).isFile()) response.writeHead(404).end();
  else response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(readFileSync(path));
});
await new Promise((resolve) => server.listen(0, "localhost", resolve));
const url = `http://localhost:${server.address().port}`;
const executablePath = process.env.BNFOLD_BROWSER ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

const folder = mkdtempSync(join(tmpdir(), "bnfold-pictures-"));
const model = join(root, "fixtures/models/repvgg-ts17/model.onnx");
const other = join(folder, "folded.onnx");
spawnSync(process.execPath, [join(root, "bin/bnfold.js"), "fold", model, "-o", other, "-q", "--no-merge"], { stdio: "inherit" });
const answered = (page) => page.locator(".answer").first().waitFor({ timeout: 60_000 });
async function folded(page, ...parts) {
  await page.goto(url);
  await page.locator("#pick").setInputFiles(model);
  await answered(page);
  for (const name of parts) await page.locator("summary", { hasText: name }).click();
}

/** Name of the file, width, and what is done until it is on the screen; the element that is taken, or the window. */
const PICTURES = {
  "page-fold": [900, (page) => folded(page)],
  "page-graph": [
    1000,
    async (page) => {
      await folded(page, /^Graph/);
      await page.locator(".picture svg").first().waitFor();
      return page.locator(".graphs");
    },
  ],
  "page-verify": [
    900,
    async (page) => {
      await page.goto(`${url}/#verify`);
      await page.locator("#verify-0").setInputFiles(model);
      await page.locator("#verify-1").setInputFiles(other);
      await answered(page);
      await page.locator("summary", { hasText: /^Graph/ }).click();
      await page.locator(".picture svg").first().waitFor();
      return page.locator(".graphs");
    },
  ],
  "page-statistics": [
    1000,
    async (page) => {
      await folded(page, /^Statistics/);
      await page.locator(".statistics .chart svg").first().waitFor();
      return page.locator(".statistics");
    },
  ],
  "page-explorer": [
    900,
    async (page) => {
      await page.goto(`${url}/#explorer?n=8`);
      await page.locator("#view-explorer .answer").waitFor();
    },
  ],
};

const wanted = process.argv.slice(2);
for (const [name, [width, show]] of Object.entries(PICTURES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const page = await browser.newPage({ viewport: { width, height: 760 }, colorScheme: "light", reducedMotion: "reduce" });
  const part = await show(page);
  await page.waitForTimeout(200);
  const box = part === undefined ? undefined : await part.boundingBox();
  const clip = box === undefined ? undefined : { x: box.x, y: box.y, width: box.width, height: Math.min(box.height, 900) };
  const bytes = await page.screenshot({ ...(clip === undefined ? {} : { clip, fullPage: true }) });
  await page.close();
  if (bytes.length >= MOST) throw new Error(`${name}.png has ${bytes.length} bytes, more than ${MOST}: show less of it`);
  writeFileSync(join(root, "docs", `${name}.png`), bytes);
  console.log(`docs/${name}.png ${bytes.length}`);
}
await browser.close();
server.close();
rmSync(folder, { recursive: true, force: true });
