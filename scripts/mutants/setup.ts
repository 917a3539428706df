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
  const ran = noted.__ran as Uint8Array;
  const bits = new Uint8Array(Math.ceil(ran.length / 8));
  for (let i = 0; i < ran.length; i++) if (ran[i] === 1) bits[i >> 3] |= 1 << (i & 7);
  ran.fill(0);
  const line: Ran = { file: fileOf(context), name, ms, ok, parts: Buffer.from(bits).toString("base64") };
  appendFileSync(order.trace?.into as string, `${JSON.stringify(line)}\n`);
}

if (order.trace !== undefined) noted.__ran = new Uint8Array(order.trace.parts);

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
