/** Before each test: is it one of those to run? After it: which parts of the sources did it run? */
import { appendFileSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, type TestContext } from "vitest";
import type { Ran } from "./ran.ts";
import type { Order } from "./vitest.config.ts";

const order = JSON.parse(readFileSync(process.env.BNFOLD_MUTANT ?? "", "utf8")) as Order;
const picked = new Map(order.tests.map(({ file, names }) => [file, names && new Set(names)]));
const noted = globalThis as { __ran?: Uint8Array };
let begun = 0;
let loaded = false;

function nameOf({ task }: TestContext): string {
  const names = [task.name];
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) names.unshift(suite.name);
  return names.join(" > ");
}
const fileOf = ({ task }: TestContext) => task.file.filepath.slice(order.root.length + 1);

function note(context: TestContext, name: string, ms: number, ok: boolean): void {
  const [ran, trace] = [noted.__ran, order.trace];
  if (ran === undefined || trace === undefined) return;
  const parts: Record<string, string> = {};
  for (const source of trace.sources) {
    const own = ran.subarray(source.first, source.first + source.parts);
    if (!own.includes(1)) continue;
    const bits = new Uint8Array(Math.ceil(own.length / 8));
    own.forEach((one, i) => {
      bits[i >> 3] |= one << (i & 7);
    });
    parts[source.file] = Buffer.from(bits).toString("base64");
  }
  ran.fill(0);
  const line: Ran = { file: fileOf(context), name, ms, ok, parts };
  appendFileSync(trace.into, `${JSON.stringify(line)}\n`);
}

if (order.trace !== undefined) noted.__ran = new Uint8Array(order.trace.sources.reduce((sum, { parts }) => sum + parts, 0));

beforeEach((context) => {
  const names = picked.get(fileOf(context));
  if (names !== undefined && !names.has(nameOf(context))) context.skip();
  if (order.trace === undefined) return;
  if (!loaded) note(context, "", 0, true);
  loaded = true;
  begun = performance.now();
});

afterEach((context) => {
  if (order.trace !== undefined)
    note(context, nameOf(context), Math.round(performance.now() - begun), context.task.result?.state !== "fail");
});
