/**
 * The page beside the command line: time of fold, proof and run of one model, in turns in one run, with the SHA-256 of both outputs;
 * and the memory of the tab (all processes that render it, PSS, sampled every 50 ms) above that of the empty page.
 *
 *   npm run build && npm run site && npm run bench -- page [model.onnx ...] [--sizes 3000] [--runs 3] [--folder /tmp] [--no-check] [--first] [--cold]
 *
 * Models that are named are measured as they are; a line under each says what the page answered, and its stages. `--sizes` adds
 * generated ones, of megabytes, nine tenths of them holes that stay. Of a second visit, which has threads; `--first` of the first, which has none;
 * `--cold` gives the file the moment it is asked for, before the engine is loaded. BNFOLD_BROWSER names the browser.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Browser, chromium as Chromium, Page } from "playwright-core";
import { program, serve } from "../test/site/server.ts";
import { generate } from "./generate.ts";

const write = (line: string): void => void process.stdout.write(`${line}\n`);
const { values, positionals } = parseArgs({
  args: process.argv.slice(3),
  allowPositionals: true,
  options: {
    sizes: { type: "string", default: "" },
    runs: { type: "string", default: "3" },
    folder: { type: "string", default: tmpdir() },
    "no-check": { type: "boolean", default: false },
    first: { type: "boolean", default: false },
    cold: { type: "boolean", default: false },
  },
});
if (program === undefined) throw new Error("no browser on this machine: BNFOLD_BROWSER names one");

const folder = mkdtempSync(join(resolve(values.folder), "bnfold-page-"));
const { chromium } = createRequire(resolve("package.json"))("playwright-core") as { chromium: typeof Chromium };
const site = await serve(resolve("site/dist"));
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });

/** Bytes of memory that are this process' share; 0 when it is gone. */
function shareOf(pid: number): number {
  try {
    const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
    return 1024 * Number(kilobytes ?? 0);
  } catch {
    return 0;
  }
}

/** The most that pages take while some work is done, and what they took before. */
async function watched<T>(of: Browser, work: () => Promise<T>): Promise<{ result: T; before: number; peak: number }> {
  const session = await of.newBrowserCDPSession();
  const { processInfo } = (await session.send("SystemInfo.getProcessInfo")) as { processInfo: { type: string; id: number }[] };
  const pids = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  const now = () => pids.reduce((n, pid) => n + shareOf(pid), 0);
  const before = now();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, now());
  }, 50);
  try {
    return { result: await work(), before, peak };
  } finally {
    clearInterval(timer);
    await session.detach();
  }
}

async function openPage(): Promise<Page> {
  const context = await browser.newContext({ acceptDownloads: true, serviceWorkers: values.first ? "block" : "allow" });
  const page = await context.newPage();
  await page.goto(site.url, { waitUntil: "networkidle" });
  if (values.first) return page;
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  await page.reload({ waitUntil: "networkidle" });
  return page;
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path, { highWaterMark: 1 << 22 })) hash.update(part as Uint8Array);
  return hash.digest("hex");
}

interface Timed {
  readonly seconds: number;
  readonly hash: string;
}

/** From the moment the file is given to the answer. */
async function inPage(
  model: string,
): Promise<Timed & { readonly memory: number; readonly answer: string; readonly stages: string }> {
  const page = await openPage();
  if (values["no-check"]) {
    await page.getByRole("button", { name: "Try an example" }).click();
    await page.locator(".answer").waitFor({ timeout: 60_000 });
    await page.getByText("Options", { exact: true }).click();
    await page.getByLabel("Skip the proof and the run").check();
    await page.locator(".answer.not-checked").waitFor({ timeout: 60_000 });
    // What is measured begins without the example on the screen.
    await page.evaluate(() => document.querySelector("#work .answer")?.remove());
  }
  // A person takes longer to choose a file than the page to get ready for it.
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.keyboard.press("Control+o")]);
  await page.waitForTimeout(values.cold ? 0 : 1000);
  const { result, before, peak } = await watched(browser, async () => {
    const began = performance.now();
    await chooser.setFiles(model);
    // Looked for in every frame: a locator looks twice a second.
    const shown = ".answer, .problem h2";
    await page.waitForFunction((what) => document.querySelector(what) !== null, shown, { polling: "raf", timeout: 3_600_000 });
    const seconds = (performance.now() - began) / 1000;
    return { seconds, answer: (await page.locator(shown).first().textContent()) ?? "" };
  });
  // What the page says of its stages.
  const stages = (await page.locator(".facts dt:text-is('took') + dd").first().textContent()) ?? "";
  const [download] = await Promise.all([
    page.waitForEvent("download", { timeout: 600_000 }),
    page
      .getByRole("button", { name: /^Download/ })
      .first()
      .click(),
  ]);
  const hash = await sha256(await download.path());
  await page.context().close();
  return { ...result, hash, memory: peak - before, stages };
}

async function byCommand(model: string): Promise<Timed> {
  const output = join(folder, "out.onnx");
  const more = values["no-check"] ? ["--no-check"] : [];
  const began = performance.now();
  const run = spawnSync(process.execPath, [resolve("bin/bnfold.js"), "fold", model, "-o", output, "-q", ...more], {
    encoding: "utf8",
  });
  const seconds = (performance.now() - began) / 1000;
  if (run.status !== 0) throw new Error(`${model}: ${run.stderr}`);
  const hash = await sha256(output);
  rmSync(output, { force: true });
  return { seconds, hash };
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const cells = (list: readonly string[]): string =>
  list.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(12))).join("");

async function compare(model: string): Promise<void> {
  const times: { page: number[]; command: number[]; memory: number[] } = { page: [], command: [], memory: [] };
  let [said, same] = ["", true];
  for (let run = 0; run < Number(values.runs); run++) {
    const page = await inPage(model);
    const command = await byCommand(model);
    times.page.push(page.seconds);
    times.command.push(command.seconds);
    times.memory.push(page.memory / 1e6);
    said = `${page.answer} ${page.stages}`;
    same &&= page.hash === command.hash;
  }
  const [p, c] = [median(times.page), median(times.command)];
  const size = `${(statSync(model).size / 1e6).toFixed(0)} MB`;
  const memory = `${Math.max(...times.memory).toFixed(0)} MB`;
  write(
    cells([
      basename(model),
      size,
      `${p.toFixed(2)} s`,
      `${c.toFixed(2)} s`,
      (p / c).toFixed(2),
      memory,
      same ? "same" : "DIFFERENT",
    ]),
  );
  write(`  ${said}`);
  if (!same) process.exitCode = 1;
}

try {
  write(cells(["model", "size", "page", "command", "ratio", "tab", "bytes"]));
  for (const model of positionals) await compare(resolve(model));
  for (const size of values.sizes.split(",").filter((one) => one !== "")) {
    const [model] = generate(folder, "vgg", Number(size) * 1e6, false, false);
    await compare(model);
    rmSync(model, { force: true });
  }
} finally {
  await browser.close();
  site.server.close();
  rmSync(folder, { recursive: true, force: true });
}
