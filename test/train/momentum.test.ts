import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CONVENTIONS,
  complementMomentum,
  convertMomentum,
  FRAMEWORKS,
  type Framework,
  frameworkNamed,
  shortestFloat32,
  suspectMomentum,
  updateFormula,
} from "../../src/train/momentum.ts";

const framework = fc.constantFrom(...FRAMEWORKS);
/** What people write: decimals with up to seven places. */
const written = fc.integer({ min: 0, max: 10_000_000 }).map((n) => Math.fround(n / 1e7));
const float32In = (min: number, max: number) =>
  fc.float({ min: Math.fround(min), max: Math.fround(max), noNaN: true, noDefaultInfinity: true }).map((v) => (v === 0 ? 0 : v));

describe("convertMomentum", () => {
  it.each([
    [0.1, "pytorch", "keras", "0.9"],
    [0.1, "pytorch", "onnx", "0.9"],
    [0.01, "pytorch", "keras", "0.99"],
    [0.99, "keras", "pytorch", "0.01"],
    [0.999, "caffe", "pytorch", "0.001"],
    [0.9, "mxnet", "pytorch", "0.1"],
    [0.3, "pytorch", "tensorflow", "0.7"],
    [0.99, "keras", "onnx", "0.99"],
    [0, "pytorch", "onnx", "1"],
    [1, "pytorch", "onnx", "0"],
    [0.0003, "pytorch", "onnx", "0.9997"],
  ] as const)("%s from %s to %s is %s", (value, from, to, expected) => {
    expect(shortestFloat32(convertMomentum(value, from, to) as number)).toBe(expected);
  });

  it("is its own inverse for every decimal of seven places", () => {
    fc.assert(
      fc.property(written, framework, framework, (m, from, to) => {
        expect(convertMomentum(convertMomentum(m, from, to), to, from)).toBe(m);
      }),
      { numRuns: 2000 },
    );
  });

  it("is its own inverse for every float32 in [0.5, 1] and for what those become", () => {
    fc.assert(
      fc.property(float32In(0.5, 1), (m) => {
        const other = complementMomentum(m);
        expect(complementMomentum(other)).toBe(m);
        expect(complementMomentum(complementMomentum(other))).toBe(other);
      }),
      { numRuns: 5000 },
    );
  });

  it("stays within one float32 rounding of 1 - m everywhere", () => {
    fc.assert(
      fc.property(float32In(0, 1), (m) => {
        expect(Math.abs(complementMomentum(m) - (1 - m))).toBeLessThanOrEqual(2 ** -24);
      }),
    );
  });

  it("makes the same update in both conventions, to float32 rounding", () => {
    const step = (name: Framework, m: number, running: number, batch: number) =>
      CONVENTIONS[name].sense === "new" ? (1 - m) * running + m * batch : m * running + (1 - m) * batch;
    fc.assert(
      fc.property(written, framework, framework, float32In(-1, 1), float32In(-1, 1), (m, from, to, running, batch) => {
        const a = step(from, m, running, batch);
        const b = step(to, convertMomentum(m, from, to) as number, running, batch);
        expect(Math.abs(a - b)).toBeLessThanOrEqual(2 ** -22);
      }),
    );
  });

  it("changes nothing between conventions of one sense", () => {
    fc.assert(
      fc.property(written, (m) => {
        expect(convertMomentum(m, "keras", "mxnet")).toBe(m);
      }),
    );
  });

  it("leaves PyTorch's None alone and refuses it elsewhere", () => {
    expect(convertMomentum(undefined, "pytorch", "keras")).toBeUndefined();
    expect(() => convertMomentum(undefined, "keras", "pytorch")).toThrow(/only PyTorch/);
  });

  it.each([-0.1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("refuses %s", (value) => {
    expect(() => convertMomentum(value, "pytorch", "keras")).toThrow(/from 0 to 1/);
    expect(() => convertMomentum(value, "keras", "onnx")).toThrow(/from 0 to 1/);
  });
});

describe("shortestFloat32", () => {
  it("names the float32 and no other, with as few digits as can", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (v) => {
        const text = shortestFloat32(v);
        expect(Math.fround(Number(text))).toBe(v === 0 ? 0 : v);
      }),
    );
    expect(shortestFloat32(Math.fround(0.1))).toBe("0.1");
    expect(shortestFloat32(0.10000002384185791)).toBe("0.100000024");
  });
});

describe("what is printed", () => {
  it("fills the numbers into both formulas", () => {
    expect(updateFormula("pytorch", 0.1)).toBe("running = (1 - 0.1) * running + 0.1 * batch = 0.9 * running + 0.1 * batch");
    expect(updateFormula("keras", 0.9)).toBe("running = 0.9 * running + (1 - 0.9) * batch = 0.9 * running + 0.1 * batch");
    expect(updateFormula("pytorch", undefined)).toContain("/ n");
  });

  it("flags values that belong to the other sense, and only those", () => {
    expect(suspectMomentum(0.99, "pytorch")).toMatch(/Keras.*0\.01 in PyTorch/);
    expect(suspectMomentum(0.1, "keras")).toMatch(/PyTorch.*0\.9 in Keras/);
    expect(suspectMomentum(0, "pytorch")).toMatch(/never change/);
    expect(suspectMomentum(0, "keras")).toMatch(/last batch alone/);
    for (const name of FRAMEWORKS) expect(suspectMomentum(CONVENTIONS[name].initial, name)).toBeUndefined();
    expect(suspectMomentum(undefined, "pytorch")).toBeUndefined();
  });
});

describe("frameworkNamed", () => {
  it("knows what people call them, in any case", () => {
    expect(["torch", "PyTorch", "tf", "jax", "Flax", "paddlepaddle", "darknet"].map(frameworkNamed)).toEqual([
      "pytorch",
      "pytorch",
      "tensorflow",
      "flax",
      "flax",
      "paddle",
      "darknet",
    ]);
    expect(["", "constructor", "torch "].map(frameworkNamed)).toEqual([undefined, undefined, undefined]);
  });
});
