import { f16round } from "@petamoriken/float16";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeTable, encodeFloat, type NarrowFloat, roundArray, roundTo } from "../../src/onnx/float.ts";

const FLOAT8 = ["float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"] as const;
const SIGNED = ["float16", "bfloat16", ...FLOAT8, "float4e2m1", "float6e2m3", "float6e3m2"] as const;

/** Nearest value of a finite list by exact comparison, ties to the even bit pattern: the definition, searched. */
function nearest(dtype: NarrowFloat, x: number): number {
  const table = decodeTable(dtype);
  let best = -1;
  for (let bits = 0; bits < table.length; bits++) {
    const value = table[bits];
    if (!Number.isFinite(value) || Object.is(value, -0) || Math.sign(value) * Math.sign(x) < 0) continue;
    if (best < 0) best = bits;
    const d = Math.abs(value - x) - Math.abs(table[best] - x);
    if (d < 0 || (d === 0 && bits % 2 === 0)) best = bits;
  }
  return table[best];
}

describe("tables", () => {
  it("have the extremes the papers give", () => {
    const largest = (dtype: NarrowFloat) => Math.max(...decodeTable(dtype).filter(Number.isFinite));
    const smallest = (dtype: NarrowFloat) => Math.min(...decodeTable(dtype).filter((v) => v > 0));
    expect(SIGNED.map(largest)).toEqual([65504, (2 - 2 ** -7) * 2 ** 127, 448, 240, 57344, 57344, 6, 7.5, 28]);
    expect(SIGNED.map(smallest)).toEqual([2 ** -24, 2 ** -133, 2 ** -9, 2 ** -10, 2 ** -16, 2 ** -17, 0.5, 0.125, 0.0625]);
    expect(largest("float8e8m0")).toBe(2 ** 127);
    expect(smallest("float8e8m0")).toBe(2 ** -127);
  });

  it("count NaN and infinity as the formats define them", () => {
    const nans = (dtype: NarrowFloat) => decodeTable(dtype).filter(Number.isNaN).length;
    const infinities = (dtype: NarrowFloat) => decodeTable(dtype).filter((v) => Math.abs(v) === Infinity).length;
    expect(SIGNED.map(nans)).toEqual([2046, 254, 2, 1, 6, 1, 0, 0, 0]);
    expect(SIGNED.map(infinities)).toEqual([2, 2, 0, 0, 2, 0, 0, 0, 0]);
    expect([...decodeTable("float4e2m1")]).toEqual([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]);
  });

  it("come back from encode, bit by bit", () => {
    for (const dtype of [...SIGNED, "float8e8m0"] as const) {
      decodeTable(dtype).forEach((value, bits) => {
        if (!Number.isNaN(value)) expect(encodeFloat(dtype, value, { saturate: false }), `${dtype} ${bits}`).toBe(bits);
      });
    }
  });
});

describe("rounding", () => {
  it("is the definition: nearest, ties to even (every format of at most 8 bits)", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SIGNED.slice(2)),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.integer({ min: -40, max: 40 }),
        (dtype, x, e) => {
          const scaled = (x === 0 ? 0 : x / 2 ** Math.floor(Math.log2(Math.abs(x)))) * 2 ** (e / 2);
          if (Number.isFinite(scaled)) expect(Math.abs(roundTo(dtype, scaled))).toBe(Math.abs(nearest(dtype, scaled)));
        },
      ),
    );
  });

  it("takes ties between every two neighbours to the even one", () => {
    for (const dtype of SIGNED) {
      const values = decodeTable(dtype);
      for (let bits = 0; values[bits + 1] > values[bits]; bits += dtype.endsWith("16") ? 97 : 1) {
        const [low, high] = [values[bits], values[bits + 1]];
        if (!Number.isFinite(high)) break;
        const tie = (low + high) / 2;
        const even = bits % 2 === 0 ? low : high;
        expect(roundTo(dtype, tie), `${dtype} ${tie}`).toBe(even);
        expect(roundTo(dtype, tie - tie * 2 ** -52)).toBe(low);
        expect(roundTo(dtype, tie + tie * 2 ** -52)).toBe(high);
      }
    }
  });

  it("rounds once, not by way of float32", () => {
    // Just above a tie of float16: float32 drops the excess and would round to even, downward.
    expect(roundTo("float16", 1 + 2 ** -11 + 2 ** -40)).toBe(1 + 2 ** -10);
    expect(roundTo("bfloat16", 1 + 2 ** -8 + 2 ** -40)).toBe(1 + 2 ** -7);
    expect(roundTo("float16", 2 ** -25 + 2 ** -60)).toBe(2 ** -24);
    expect(roundTo("bfloat16", 2 ** -134 + 2 ** -180)).toBe(2 ** -133);
    expect(roundTo("float16", 2 ** -25)).toBe(0);
    expect(roundTo("bfloat16", 2 ** -134)).toBe(0);
    expect(roundTo("bfloat16", Number.MIN_VALUE)).toBe(0);
    expect(roundTo("bfloat16", Number.MAX_VALUE)).toBe(Infinity);
    expect(roundTo("float16", 65519.999)).toBe(65504);
    expect(roundTo("float16", 65520)).toBe(Infinity);
    expect(roundTo("bfloat16", -3.39e38)).toBe(-(2 - 2 ** -7) * 2 ** 127);
  });

  it("agrees with an independent float16", () => {
    fc.assert(
      fc.property(fc.double(), fc.double({ min: -1e5, max: 1e5 }), fc.double({ min: -1e-4, max: 1e-4 }), (...xs) => {
        for (const x of xs) expect(roundTo("float16", x)).toBe(f16round(x));
      }),
    );
  });

  it("keeps the sign of zero, except where there is no negative zero", () => {
    for (const dtype of SIGNED) expect(Object.is(roundTo(dtype, -0), -0)).toBe(!dtype.endsWith("uz"));
    expect(roundTo("float8e4m3fnuz", -1e-9)).toBe(0);
  });

  it("overflows as Cast says, with and without saturate", () => {
    for (const dtype of FLOAT8) {
      const max = roundTo(dtype, 1e9);
      expect([max, roundTo(dtype, Infinity), roundTo(dtype, -Infinity), roundTo(dtype, -1e9)]).toEqual([max, max, -max, -max]);
      const over = dtype === "float8e5m2" ? Infinity : Number.NaN;
      expect(roundTo(dtype, Infinity, { saturate: false })).toBe(over);
      expect(roundTo(dtype, 1e9, { saturate: false })).toBe(over);
      expect(roundTo(dtype, Number.NaN)).toBe(Number.NaN);
    }
    // The value is rounded first: 464 is a tie that goes down to 448, 465 is out of range.
    expect(roundTo("float8e4m3fn", 464, { saturate: false })).toBe(448);
    expect(roundTo("float8e4m3fn", 465, { saturate: false })).toBe(Number.NaN);
    for (const [dtype, max] of [
      ["float4e2m1", 6],
      ["float6e2m3", 7.5],
      ["float6e3m2", 28],
    ] as const) {
      expect([1e9, Infinity, -Infinity, Number.NaN].map((x) => roundTo(dtype, x, { saturate: false }))).toEqual([
        max,
        max,
        -max,
        max,
      ]);
    }
  });

  it("rounds to powers of two in e8m0 by mode", () => {
    const modes = ["up", "down", "nearest"] as const;
    expect(modes.map((roundMode) => roundTo("float8e8m0", 5, { roundMode }))).toEqual([8, 4, 4]);
    expect(modes.map((roundMode) => roundTo("float8e8m0", 6, { roundMode }))).toEqual([8, 4, 8]);
    expect(modes.map((roundMode) => roundTo("float8e8m0", 0.25, { roundMode }))).toEqual([0.25, 0.25, 0.25]);
    expect([0, Infinity, 1e300, 1e-300].map((x) => roundTo("float8e8m0", x))).toEqual([2 ** -127, 2 ** 127, 2 ** 127, 2 ** -127]);
    expect([0, Infinity, 1e300, 1e-300].map((x) => roundTo("float8e8m0", x, { saturate: false }))).toEqual([NaN, NaN, NaN, NaN]);
  });

  it("does arrays like single numbers", () => {
    const data = Float64Array.of(0.1, -1e-7, 3e38, 1e39, Number.NaN, -0);
    for (const dtype of ["float64", "float32", "float16", "bfloat16", "float8e5m2"] as const) {
      expect([...roundArray(dtype, data)]).toEqual([...data].map((x) => roundTo(dtype, x)));
    }
    expect(roundTo("float32", 0.1)).toBe(Math.fround(0.1));
  });
});
