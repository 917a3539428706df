/**
 * The pictures of docs/ that show the page: node scripts/pictures.mjs [name ...], after `npm run build` and `npm run site`. Each is under 60 kB, which is
 * checked here; look at them before they are committed, and at the same in dark colours: --dark <folder> writes those there.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deflateSync } from "node:zlib";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "site/dist");
const MOST = 60_000;
/** Around what is shown. */
const MARGIN = 16;
/** Part of a picture's pixels from which on a colour is kept as it is. */
const FREQUENT = 1e-3;
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
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-lcd-text"] });

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

/** Name of the file, width, and what is done until it is on the screen: gives what the picture shows, from its first to its last part. */
const PICTURES = {
  "page-fold": [
    900,
    async (page) => {
      await folded(page);
      return [page.locator("header.bar"), page.locator(".summary")];
    },
  ],
  "page-graph": [
    1000,
    async (page) => {
      await folded(page, /^Graph/);
      await page.locator(".picture svg").first().waitFor();
      return [page.locator(".graphs")];
    },
  ],
  "page-verify": [
    640,
    async (page) => {
      await page.goto(`${url}/#verify`);
      await page.locator("#verify-0").setInputFiles(model);
      await page.locator("#verify-1").setInputFiles(other);
      await answered(page);
      await page.locator("summary", { hasText: /^Graph/ }).click();
      await page.locator(".picture svg").first().waitFor();
      return [page.locator(".graphs")];
    },
  ],
  "page-statistics": [
    1000,
    async (page) => {
      await folded(page, /^Statistics/);
      await page.locator(".statistics .chart svg").first().waitFor();
      return [page.locator(".statistics h3"), page.locator(".statistics .columns")];
    },
  ],
  "page-explorer": [
    900,
    async (page) => {
      await page.goto(`${url}/#explorer?n=8`);
      await page.locator("#view-explorer .answer").waitFor();
      return [page.locator("#view-explorer .controls").last(), page.locator("#view-explorer .figure").first()];
    },
  ],
};

/** Around all of these, with a margin, in which nothing is seen of what stands beside them. */
async function frame(page, parts, width) {
  const boxes = await Promise.all(parts.map((part) => part.boundingBox()));
  const [top, left] = [Math.min(...boxes.map(({ y }) => y)), Math.min(...boxes.map(({ x }) => x))];
  const [bottom, right] = [
    Math.max(...boxes.map((box) => box.y + box.height)),
    Math.max(...boxes.map((box) => box.x + box.width)),
  ];
  await page.evaluate(
    ([from, to]) => {
      for (const element of document.body.querySelectorAll("*")) {
        const box = element.getBoundingClientRect();
        if (box.bottom <= from || box.top >= to) element.style.visibility = "hidden";
      }
    },
    [top, bottom],
  );
  const [x0, y0] = [Math.max(0, left - MARGIN), Math.max(0, top - MARGIN)].map(Math.round);
  return { x: x0, y: y0, width: Math.round(Math.min(width, right + MARGIN)) - x0, height: Math.round(bottom + MARGIN) - y0 };
}

/** The screenshot's pixels, read by the browser. */
async function pixels(png) {
  const page = await browser.newPage();
  const found = await page.evaluate(
    async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      const context = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height }).getContext(
        "2d",
      );
      context.drawImage(image, 0, 0);
      const { data } = context.getImageData(0, 0, image.width, image.height);
      let text = "";
      for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
      return { width: image.width, height: image.height, base64: btoa(text) };
    },
    `data:image/png;base64,${png.toString("base64")}`,
  );
  await page.close();
  return { ...found, data: Buffer.from(found.base64, "base64") };
}

const chunk = (type, content) => {
  const body = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
};

/** CRC-32 of PNG: x^32 + x^26 + … reversed. */
function crc32(bytes) {
  let c = ~0;
  for (const byte of bytes) {
    c ^= byte;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return ~c >>> 0;
}

/** A PNG with a palette: frequent colours as they are, others to four bits a channel, the 256 most frequent of these. */
function indexed({ width, height, data }) {
  const exact = (at) => (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  const coarse = (at) => [0, 1, 2].reduce((n, k) => (n << 8) | (17 * Math.round(data[at + k] / 17)), 0);
  const count = (key) => {
    const counts = new Map();
    for (let at = 0; at < 4 * width * height; at += 4) counts.set(key(at), (counts.get(key(at)) ?? 0) + 1);
    return counts;
  };
  const seen = count(exact);
  const key = (at) => (seen.get(exact(at)) > FREQUENT * width * height ? exact(at) : coarse(at));
  const counts = count(key);
  const palette = [...counts]
    .sort((p, q) => q[1] - p[1])
    .slice(0, 256)
    .map(([colour]) => colour);
  const parts = (colour) => [colour >> 16, (colour >> 8) & 255, colour & 255];
  const distance = (p, q) => parts(p).reduce((n, v, i) => n + (v - parts(q)[i]) ** 2, 0);
  const place = new Map(
    [...counts.keys()].map((colour) => [
      colour,
      palette.reduce((best, one, i) => (distance(one, colour) < distance(palette[best], colour) ? i : best), 0),
    ]),
  );
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = place.get(key(4 * (y * width + x)));
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const colours = Buffer.from(palette.flatMap(parts));
  return Buffer.concat([
    Buffer.from("89504e470d0a1a0a", "hex"),
    chunk("IHDR", head),
    chunk("PLTE", colours),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

const { values, positionals: wanted } = parseArgs({ allowPositionals: true, options: { dark: { type: "string" } } });
const target = values.dark ?? join(root, "docs");
const colorScheme = values.dark === undefined ? "light" : "dark";
for (const [name, [width, show]] of Object.entries(PICTURES)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const page = await browser.newPage({ viewport: { width, height: 2400 }, colorScheme, reducedMotion: "reduce" });
  const parts = await show(page);
  await page.waitForTimeout(200);
  const shot = await page.screenshot({ clip: await frame(page, parts, width) });
  await page.close();
  const bytes = indexed(await pixels(shot));
  if (bytes.length >= MOST) throw new Error(`${name}.png has ${bytes.length} bytes, more than ${MOST}: show less of it`);
  writeFileSync(join(target, `${name}.png`), bytes);
  console.log(`${join(target, name)}.png ${bytes.length}`);
}
await browser.close();
server.close();
rmSync(folder, { recursive: true, force: true });
