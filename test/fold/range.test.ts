import { describe, expect, it } from "vitest";
import { along } from "../../src/affine/spread.ts";
import { plan } from "../../src/fold/index.ts";
import { checkRange, checkStored } from "../../src/fold/range.ts";
import { scaled } from "../../src/rules/params.ts";
import type { Param } from "../../src/rules/types.ts";
import { model, node } from "../helpers/build.ts";

/** A constant of the file, which counts how often its numbers are computed. */
function constant(numbers: readonly number[], dtype: "float32" | "float16" = "float32"): { param: Param; reads: () => number } {
  let reads = 0;
  const values = () => {
    reads++;
    return Float64Array.from(numbers);
  };
  const sizes = numbers.map(Math.abs).filter((v) => v !== 0);
  const span = () => ({ least: Math.min(...sizes), most: Math.max(...sizes) });
  const dims = [numbers.length / 2, 2];
  return { param: { dtype, dims, source: undefined, span, gain: 1, smallest: 1, mixed: false, values }, reads: () => reads };
}

describe("the magnitudes of a constant of the file", () => {
  it("do not forget a NaN that numbers follow: the fold is refused, not broken off", () => {
    const w = new Array<number>(8).fill(1);
    w[1] = Number.NaN;
    const ones = { dtype: "float32", dims: [2], values: [1, 1] };
    const spec = {
      inputs: [{ name: "x", dims: [1, 4, 3, 3] }],
      outputs: [{ name: "y" }],
      initializers: {
        w: { dtype: "float32", dims: [2, 4, 1, 1], values: w },
        s: { ...ones, values: [2, 3] },
        b: ones,
        m: ones,
        v: ones,
      },
      nodes: [node("Conv", ["x", "w"], ["c"]), node("BatchNormalization", ["c", "s", "b", "m", "v"], ["y"])],
    };
    const { data } = plan(model(spec));
    expect(data.folds).toEqual([]);
    expect(data.kept.map(({ code }) => code)).toEqual(["storage-overflow"]);
  });
});

describe("a row that underflows", () => {
  // Half a step of float16's subnormals is lost: 2^-25 of k + ½ steps of 2^-24, which is 2^11 · ½/(k + ½) units of roundoff.
  const row = (k: number) => checkStored("float16", [1, 1], Float64Array.of((k + 0.5) * 2 ** -24));
  const bits = (k: number) => Math.log2((2 ** 11 * 0.5) / (k + 0.5));

  it("may lose four bits, and no more", () => {
    expect([bits(90), bits(64), bits(63), bits(45)].map((b) => b <= 4)).toEqual([true, true, false, false]);
    expect([90, 64].map(row)).toEqual([undefined, undefined]);
    for (const k of [63, 45]) expect(row(k)).toMatchObject({ refused: "storage-precision", facts: { row: 0, limit: 4 } });
  });
});

describe("the range of a constant that was scaled", () => {
  const by = (...gains: number[]) => along(2, 0, Float64Array.from(gains));

  it("is known from the magnitudes it began with: nothing is computed", () => {
    const { param, reads } = constant([1, -2, 0, 3]);
    expect(checkRange(scaled(param, by(1e-30, 1e30)), true)).toBeUndefined();
    expect(reads()).toBe(0);
  });

  it("is looked at where those do not suffice", () => {
    const { param, reads } = constant([1, -2, 0, 1e-20]);
    // The bounds allow 1e-20 · 1e-30, which no number is.
    expect(checkRange(scaled(param, by(1e-30, 1e10)), true)).toBeUndefined();
    expect(reads()).toBe(1);
    expect(checkRange(scaled(param, by(1e39, 1)), true)).toMatchObject({ refused: "storage-overflow" });
  });

  it("says what the numbers say, for any numbers and gains", () => {
    let state = 7;
    const random = () => {
      state = (state * 48271) % 2147483647;
      return state / 2147483647;
    };
    for (let trial = 0; trial < 400; trial++) {
      const numbers = Array.from({ length: 6 }, () =>
        random() < 0.1 ? 0 : (random() - 0.5) * 10 ** Math.floor(10 * random() - 5),
      );
      const gains = Array.from({ length: 3 }, () => (random() - 0.5) * 10 ** Math.floor(12 * random() - 6));
      const { param } = constant(numbers, "float16");
      const found = [param, { ...param, span: undefined }].map((one) => checkRange(scaled(one, by(...gains)), true)?.refused);
      expect(found[0], `trial ${trial}`).toBe(found[1]);
    }
  });
});
