/** ^C at a terminal, in each stage of a fold: the process ends by it at once, and nothing is left of the work. Needs dist/. */
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openModel } from "../../src/node/files.ts";
import { folder } from "../cli/bnfold.ts";
import { f, float32, modelBytes, node, type TensorSpec } from "../helpers/build.ts";
import { atTerminal, hasPty } from "./pty.ts";

const dir = folder();
const [LAYERS, CHANNELS] = [16, 160];

/** Convolutions, each with a BatchNormalization behind it: some seconds of proof; weights in the file, or in one beside it. */
function heavy(path: string, external: boolean): string {
  const size = CHANNELS * CHANNELS * 9;
  const numbers = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
  const initializers: Record<string, TensorSpec> = {};
  const nodes = [];
  let x = "x";
  for (let i = 0; i < LAYERS; i++) {
    const dims = [CHANNELS, CHANNELS, 3, 3];
    const place = { location: "w.data", offset: 4 * size * i, length: 4 * size };
    initializers[`w${i}`] = external ? { dtype: "float32", dims, values: [], external: place } : float32(dims, numbers);
    for (const [k, name] of ["s", "b", "m", "v"].entries())
      initializers[name + i] = float32([CHANNELS], new Float32Array(CHANNELS).fill(k + 1.5));
    nodes.push(
      node("Conv", [x, `w${i}`], [`c${i}`], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] }),
      node("BatchNormalization", [`c${i}`, `s${i}`, `b${i}`, `m${i}`, `v${i}`], [`n${i}`], { epsilon: f(1e-5) }),
      node("Relu", [`n${i}`], [`r${i}`]),
    );
    x = `r${i}`;
  }
  const shape = ["N", CHANNELS, 8, 8];
  writeFileSync(
    path,
    modelBytes({ nodes, initializers, inputs: [{ name: "x", dims: shape }], outputs: [{ name: x, dims: shape }] }),
  );
  if (external) {
    const bytes = new Uint8Array(4 * size * LAYERS);
    for (let i = 0; i < LAYERS; i++) bytes.set(new Uint8Array(numbers.buffer), 4 * size * i);
    writeFileSync(join(path, "..", "w.data"), bytes);
  }
  return path;
}

const inside = heavy(join(dir, "inside.onnx"), false);
mkdirSync(join(dir, "beside"));
heavy(join(dir, "beside", "m.onnx"), true);

const names = (path: string): string[] =>
  existsSync(path) ? readdirSync(path, { recursive: true, encoding: "utf8" }).sort() : [];

/** Either it had ended before and is whole, or it was ended by ^C, and there is nothing. */
function expectWholeOrNothing({ code, left }: { code: number; left: boolean }, out: string, whole: readonly string[]): void {
  expect(left).toBe(false);
  expect([0, 130]).toContain(code);
  expect(names(out)).toEqual(code === 0 ? whole : []);
}

describe.skipIf(!hasPty)("^C", { timeout: 300_000 }, () => {
  const stages = ["reading", "planning", "writing", "proof", "float64"];

  it.each(stages)("while %s: of a model in one file", (stage) => {
    const out = join(dir, `one-${stage}`);
    mkdirSync(out);
    const session = atTerminal(["fold", inside, "-o", join(out, "m.onnx"), "--full-run"], {
      folder: dir,
      until: `\u001b[K${stage}`,
    });
    expect(session.typed).toBe(true);
    expectWholeOrNothing(session, out, ["m.onnx"]);
    // A stage of seconds cannot have ended first.
    if (stage === "proof" || stage === "float64") expect(session.code).toBe(130);
    expect(session.screen).not.toMatch(/Error|\n\s+at /);
  });

  it.each(stages.slice(0, 4))("while %s: of a model with a side file", (stage) => {
    const out = join(dir, `two-${stage}`);
    mkdirSync(out);
    const session = atTerminal(["fold", "beside/m.onnx", "-o", join(out, "m.onnx")], { folder: dir, until: `\u001b[K${stage}` });
    expect(session.typed).toBe(true);
    expectWholeOrNothing(session, out, ["m.onnx", "m.onnx.data"]);
  });

  it("in the middle of many: what is done is whole, nothing half of the others, no process stays", () => {
    const models = join(dir, "models");
    mkdirSync(models);
    for (let i = 0; i < 4; i++) cpSync(inside, join(models, `m${i}.onnx`));
    const session = atTerminal(["fold", "models", "-o", "folded", "--jobs", "2"], { folder: dir, until: "folding", after: 1.5 });
    expect([session.typed, session.left, session.code]).toEqual([true, false, 130]);
    // The line of progress is gone, and the last word is how far it went.
    expect(session.screen).toMatch(
      /^bnfold: stopped: [0-4] of 4 models are done; the same command with --resume does the others\n$/,
    );
    for (const name of names(join(dir, "folded"))) {
      expect(name).toMatch(/^(m\d\.onnx|bnfold-report\.jsonl)$/);
      if (name.endsWith(".onnx")) openModel(join(dir, "folded", name)).close();
    }
    expect(names(models)).toEqual(["m0.onnx", "m1.onnx", "m2.onnx", "m3.onnx"]);
  });
});

describe.skipIf(!hasPty)("progress of many at a terminal", { timeout: 120_000 }, () => {
  it("counts, names what has been under way longest, says what is left, and is gone in the end", () => {
    mkdirSync(join(dir, "several"));
    for (let i = 0; i < 6; i++) cpSync(inside, join(dir, "several", `m${i}.onnx`));
    // So many samples that there is something left to estimate, however quick the machine.
    const slow = ["--jobs", "1", "--samples", "24"];
    const session = atTerminal(["fold", "several", "-o", "several-folded", ...slow], { folder: dir });
    expect(session.code).toBe(0);
    expect(session.screen).toMatch(/^6 of 6 models done/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is told
    const drawn = [...session.raw.matchAll(/\r\u001b\[K(folding \[[^\r\n\u001b]*)/g)].map(([, line]) => line);
    const counts = drawn.map((line) => / (\d)\/6/.exec(line)?.[1]);
    expect(counts).toEqual(counts.toSorted());
    for (const line of drawn) {
      expect(line.length).toBeLessThan(80);
      // Six of the same size, one at a time: the next one is being folded.
      const [, done, name] = / (\d)\/6 .*?m(\d)\.onnx$/.exec(line) ?? [];
      if (done !== undefined) expect(Number(name)).toBe(Number(done));
    }
    expect(drawn.some((line) => / [1-5]\/6 about \d+ s left {2}m\d\.onnx$/.test(line))).toBe(true);
  });
});

describe.skipIf(!hasPty)("progress at a terminal", { timeout: 120_000 }, () => {
  const session = hasPty
    ? // So many samples that the line is drawn more than once in their time, however quick the machine.
      atTerminal(["fold", inside, "-o", join(dir, "whole.onnx"), "--samples", "24"], { folder: dir, columns: 60 })
    : { raw: "", screen: "", code: 0 };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is told
  const drawn = [...session.raw.matchAll(/\r\u001b\[K([^\r\n\u001b]*)/g)].map(([, line]) => line).filter((line) => line !== "");

  it("names each stage, fits the line, and is gone in the end", () => {
    expect(session.code).toBe(0);
    const begun = drawn.map((line) => line.split(/ \[| \d/)[0]);
    for (const stage of ["reading", "planning", "writing", "proof", "float64"]) expect(begun).toContain(stage);
    for (const line of drawn) expect(line.length).toBeLessThan(60);
    expect(session.screen).toMatch(/^Equivalent\. /);
  });
  it("goes forward, and never beyond its end", () => {
    let last = { stage: "", done: 0 };
    for (const line of drawn) {
      const [, stage, done, total] = /^(.*?) \[[= ]*\] (\d+)\/(\d+)/.exec(line) ?? [];
      if (stage === undefined) continue;
      expect(Number(done)).toBeLessThanOrEqual(Number(total));
      if (stage === last.stage) expect(Number(done)).toBeGreaterThanOrEqual(last.done);
      last = { stage, done: Number(done) };
    }
    expect(last.stage).not.toBe("");
  });
});
