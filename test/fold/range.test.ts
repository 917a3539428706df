import { describe, expect, it } from "vitest";
import { along } from "../../src/affine/spread.ts";
import { plan } from "../../src/fold/index.ts";
import { checkRange, checkStored, guarded, LateRefusal } from "../../src/fold/range.ts";
import { scaled } from "../../src/rules/params.ts";
import { PIECE, type Stream } from "../../src/rules/stream.ts";
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

describe("a row that underflows beside a bias", () => {
  const lost = 45.5 * 2 ** -24;
  const of = (beside: number[] | undefined, dims = [2, 1], numbers = [lost, lost], axis = 0) =>
    checkStored("float16", dims, Float64Array.from(numbers), {
      ...{ limit: 4, axis },
      ...(beside === undefined ? {} : { beside: Float64Array.from(beside) }),
    });

  it("is hidden by its own, or by one for all rows", () => {
    expect(of(undefined)).toMatchObject({ facts: { row: 0 } });
    expect(of([1, 0])).toMatchObject({ facts: { row: 1 } });
    expect(of([0, 1])).toMatchObject({ facts: { row: 0 } });
    expect(of([1, -1])).toBeUndefined();
    expect(of([-1])).toBeUndefined();
  });

  it("is what belongs to one place of its axis", () => {
    // Along the first axis each row has a one beside what it loses, along the second one row has none.
    expect(of(undefined, [2, 2], [1, lost, 1, lost])).toBeUndefined();
    const far = { ...{ limit: 4, axis: 1 }, beside: Float64Array.of(0, 0) };
    const found = checkStored("float16", [2, 2], Float64Array.of(2 ** -14, lost, 2 ** -14, lost), far);
    expect(found).toMatchObject({ facts: { row: 1 } });
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

describe("a constant that is checked while it is written, piece by piece", () => {
  const COUNT = PIECE + 5000;
  const plain = Float64Array.from({ length: COUNT }, (_, i) => Math.fround(1 + (i % 97) / 8));

  /** Numbers that are read from a file in stretches, times one gain for each row. */
  function streamed(numbers: Float64Array, rows: number, gains: readonly number[], single = true): Param {
    const stream: Stream = {
      length: numbers.length,
      read: (start, out) => out.set(numbers.subarray(start, start + out.length)),
      ...(single ? { read32: (start: number, out: Float32Array) => out.set(numbers.subarray(start, start + out.length)) } : {}),
      factors: [],
    };
    const values = Object.assign(() => numbers.slice(), { stream });
    const dims = [rows, numbers.length / rows];
    const param: Param = { dtype: "float32", dims, source: undefined, gain: 1, smallest: 1, mixed: false, values };
    return gains.length === 0 ? param : scaled(param, along(2, 0, Float64Array.from(gains)));
  }

  function written(param: Param): number[] {
    const values = guarded(param);
    if (values.pieces === undefined) return [...(values() as Float64Array)];
    const made: number[] = [];
    // Each piece is good until the next.
    for (const piece of values.pieces()) for (const v of piece as Float64Array) made.push(Math.fround(v));
    return made;
  }

  const halves = (gains: readonly number[], numbers = plain): number[] =>
    [...numbers].map((v, i) => Math.fround(v * gains[Math.floor(i / (COUNT / 2))]));
  const ways = { "as float32": true, "as float64": false };

  for (const [how, single] of Object.entries(ways)) {
    it(`has each number rounded once, ${how}`, () => {
      expect(written(streamed(plain, 2, [1 / 3, -7], single))).toEqual(halves([1 / 3, -7]));
    });

    it(`may hold numbers below the smallest normal beside larger ones, in every piece, ${how}`, () => {
      const numbers = plain.slice();
      for (const i of [3, PIECE - 1, PIECE + 7]) numbers[i] = 2 ** -130;
      const made = written(streamed(numbers, 2, [1 / 3, 1 / 5], single));
      expect(made).toEqual(halves([1 / 3, 1 / 5], numbers));
      expect([made[3], made[PIECE + 7]]).toEqual([Math.fround(2 ** -130 / 3), Math.fround(2 ** -130 / 5)]);
    });

    it(`is not finished where a number has outgrown its type, in the first piece or a later one, ${how}`, () => {
      for (const at of [5, PIECE + 5]) {
        const numbers = plain.slice();
        numbers[at] = 2 ** 120;
        expect(() => written(streamed(numbers, 2, [2 ** 10, 2 ** 10], single)), `${at}`).toThrow(LateRefusal);
        expect(written(streamed(numbers, 2, [2 ** 7, 2 ** 7], single))[at]).toBe(2 ** 127);
      }
    });
  }

  it("is not finished where a small one that is computed whole has outgrown its type", () => {
    const numbers = Float64Array.of(1, 2, 3, 2 ** 120);
    expect(() => written(streamed(numbers, 2, [1, 2 ** 10]))).toThrow(LateRefusal);
    expect(written(streamed(numbers, 2, [2 ** 10, 1]))).toEqual([2 ** 10, 2 ** 11, 3, 2 ** 120]);
  });

  it("adds up a row that lies in two pieces", () => {
    // Every number of the first piece is lost to underflow; those of the second are what hides it, or not.
    const lost = (rest: number) => Float64Array.from({ length: COUNT }, (_, i) => (i < PIECE ? 1.5 * 2 ** -149 : rest));
    for (const rest of [2 ** -149, 2 ** -120]) {
      const numbers = lost(rest);
      const found = checkRange(streamed(numbers, 1, []), true);
      expect(found).toEqual(checkStored("float32", [1, COUNT], numbers));
      expect(found?.refused).toBe(rest === 2 ** -120 ? undefined : "storage-precision");
    }
  });

  it("goes on with the same row in the next piece", () => {
    // The last row begins in the first piece, which loses all of it, and ends in the second, beside which that is nothing.
    const [rows, last] = [3, 2 * (COUNT / 3)];
    const numbers = Float64Array.from({ length: COUNT }, (_, i) =>
      i < last ? 2 ** -120 : i < PIECE ? 1.5 * 2 ** -149 : 2 ** -110,
    );
    expect(checkRange(streamed(numbers, rows, []), true)).toBeUndefined();
    const lost = numbers.map((v, i) => (i < last ? v : 1.5 * 2 ** -149));
    expect(checkRange(streamed(lost, rows, []), true)).toMatchObject({ refused: "storage-precision", facts: { row: 2 } });
  });

  it("is read before it is written where its gains are small enough to lose everything", () => {
    expect(checkRange(streamed(plain, 2, [2 ** -140 / 3, 2 ** -130]), false)).toMatchObject({
      refused: "storage-precision",
      facts: { row: 0 },
    });
    expect(checkRange(streamed(plain, 2, [2 ** -10, 1]), false)).toBeUndefined();
  });

  it("is one row where it has no axes", () => {
    expect(checkStored("float16", [], Float64Array.of(45.5 * 2 ** -24))).toMatchObject({ facts: { row: 0 } });
  });
});
