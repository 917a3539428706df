import { join } from "node:path";
import { expect, it } from "vitest";
import { memoryNeeds } from "../../src/engine/needs.ts";
import { openModel } from "../../src/node/files.ts";
import { float32, type ModelSpec, node } from "../helpers/build.ts";
import { bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "m.onnx"), convNet());

/** Three layers on a large image: what counts are values, not weights. */
const image = (): ModelSpec => {
  const spec = convNet();
  const side = (n: number) => [1, 3, n, n];
  return {
    ...spec,
    inputs: [{ name: "x", dims: [1, 2, 384, 384] }],
    outputs: [{ name: "y", dims: side(382) }],
  };
};
const large = writeModel(join(dir, "large.onnx"), image());

/** Weights of 9 MB: what counts is decoded constants. */
const heavy = writeModel(join(dir, "heavy.onnx"), {
  ...convNet(),
  initializers: {
    ...convNet().initializers,
    w: float32(
      [768, 768, 2, 2],
      new Array(768 * 768 * 4).fill(0).map((_, i) => Math.sin(i)),
    ),
    ...Object.fromEntries(
      ["scale", "shift", "mean", "var"].map((name) => [
        name,
        float32(
          [768],
          new Array(768).fill(0).map((_, i) => 1 + (i % 7) / 8),
        ),
      ]),
    ),
  },
  nodes: [node("Conv", ["x", "w"], ["c"], { kernel_shape: [2, 2] }, { name: "conv" }), ...convNet().nodes.slice(1)],
  inputs: [{ name: "x", dims: [1, 768, 3, 3] }],
  outputs: [{ name: "y", dims: [1, 768, 2, 2] }],
});

const needs = (file: string) => {
  const opened = openModel(file);
  const found = memoryNeeds(opened.model);
  opened.close();
  return found;
};

const fold = (file: string, bytes: number, ...more: string[]) =>
  bnfold(["fold", file, "-o", join(dir, "out.onnx"), "--max-memory", `${bytes / 1e6}M`, ...more]);

it("--max-memory leaves out what does not fit, and says so", { timeout: 60_000 }, () => {
  for (const file of [model, large]) {
    const { fold: least, proof, run } = needs(file);
    const above = fold(file, run + 1e6);
    expect([above.code, above.stderr]).toEqual([0, ""]);
    expect(above.stdout).toContain("confirmed by a run");
    const below = fold(file, run - 1e6);
    expect(below.code, below.stderr).toBe(0);
    expect(below.stderr).toMatch(/the run is left out: it needs about .*, more than --max-memory/);
    expect(below.stdout).toContain("It was not confirmed by a run.");
    if (proof > least + 1e6) expect(fold(file, proof - 1e6, "--no-run").stderr).toMatch(/the proof is left out/);
    expect(fold(file, least - 1e6).code).toBe(2);
  }
});

it("the estimates are what is needed, and not much more", { timeout: 60_000 }, () => {
  for (const file of [model, large, heavy]) {
    const { proof, run } = needs(file);
    for (const [need, more] of [
      [proof, ["--no-run"]],
      // The estimate is that of the whole networks; a run by regions needs less.
      [run, ["--full-run"]],
    ] as const) {
      const { code, stdout } = bnfold(["fold", file, "-o", join(dir, "out.onnx"), "--json", ...more]);
      expect(code).toBe(0);
      const { peakMemoryBytes: peak } = JSON.parse(stdout);
      expect(peak, `${file} ${more}: ${peak} of ${need}`).toBeLessThan(1.1 * need);
      expect(peak, `${file} ${more}: ${peak} of ${need}`).toBeGreaterThan(0.4 * need);
    }
  }
});

it("refuses what is no size, and less than the program itself takes", { timeout: 60_000 }, () => {
  for (const size of ["much", "10M", "-1G", "1X"])
    expect(bnfold(["fold", model, "--dry-run", "--max-memory", size]).code, size).toBe(2);
});

it("--no-run proves only", { timeout: 60_000 }, () => {
  const ran = bnfold(["fold", model, "--dry-run", "--no-run"]);
  expect(ran.code).toBe(0);
  expect(ran.stdout).toContain("It was not confirmed by a run.");
});

it("--external says what it takes", { timeout: 60_000 }, () => {
  for (const mode of ["keep", "copy", "inline", "split", "split=5"]) {
    expect(bnfold(["fold", model, "-o", join(dir, `${mode}.onnx`), "--no-check", "--external", mode]).code, mode).toBe(0);
  }
  for (const mode of ["none", "split=", "split=0", "split=x"])
    expect(bnfold(["fold", model, "--dry-run", "--external", mode]).code, mode).toBe(2);
});
