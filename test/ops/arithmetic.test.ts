import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sizeOf, stridesOf } from "../../src/onnx/tensor.ts";
import { f } from "../helpers/build.ts";
import { evaluate, ints, list, longs, noisy, real } from "./evaluate.ts";

/** Two shapes that broadcast: a common shape with random axes set to 1 and leading axes cut. */
const shapes = fc
  .array(fc.integer({ min: 0, max: 4 }), { minLength: 0, maxLength: 4 })
  .chain((dims) =>
    fc.tuple(fc.constant(dims), ...[0, 1].map(() => fc.tuple(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.nat(4)))),
  )
  .map(([dims, ...masks]) =>
    masks.map(([ones, cut]) => (dims as number[]).map((d, i) => (ones[i] ? 1 : d)).slice(Math.min(cut, dims.length))),
  );

/** Element of `t` at a multi-index of the broadcast shape. */
function at(dims: readonly number[], data: ArrayLike<unknown>, index: readonly number[]): unknown {
  const strides = stridesOf(dims);
  const skip = index.length - dims.length;
  return data[dims.reduce((sum, d, i) => sum + (d === 1 ? 0 : index[skip + i] * strides[i]), 0)];
}

const OPERATIONS: Record<string, (x: number, y: number) => number> = {
  Add: (x, y) => x + y,
  Sub: (x, y) => x - y,
  Mul: (x, y) => x * y,
  Div: (x, y) => x / y,
  Max: Math.max,
  Min: Math.min,
};

describe("broadcasting", () => {
  for (const [op, fn] of Object.entries(OPERATIONS)) {
    it(`${op} equals the loop over multi-indices, bit for bit`, () => {
      fc.assert(
        fc.property(shapes, ([da, db]) => {
          const [a, b] = [noisy(da, 7), noisy(db, 11)];
          const y = evaluate(op, 14, [a, b]);
          const rank = Math.max(da.length, db.length);
          const dims = Array.from({ length: rank }, (_, i) => {
            const [p, q] = [da[i - rank + da.length] ?? 1, db[i - rank + db.length] ?? 1];
            return p === 1 ? q : p;
          });
          expect(y.dims).toEqual(dims);
          const strides = stridesOf(dims);
          for (let i = 0; i < sizeOf(dims); i++) {
            const index = dims.map((d, k) => Math.floor(i / strides[k]) % d);
            const want = fn(at(da, a.data, index) as number, at(db, b.data, index) as number);
            if (!Object.is(y.data[i], want)) throw new Error(`${op} at ${index}: ${y.data[i]}, expected ${want}`);
          }
        }),
        { numRuns: 150 },
      );
    });
  }

  it("mixes Float32Array constants with doubles without loss", () => {
    const a = { dtype: "float32", dims: [2], data: Float32Array.of(0.1, 0.2) } as const;
    const y = evaluate("Add", 14, [a, real([2], [1e-12, 1e-12])]);
    expect(list(y)).toEqual([Math.fround(0.1) + 1e-12, Math.fround(0.2) + 1e-12]);
  });

  it("refuses shapes that do not fit", () => {
    expect(() => evaluate("Add", 14, [noisy([2, 3], 1), noisy([2], 1)])).toThrow(/broadcast/);
  });
});

describe("before opset 7", () => {
  const a = real([2, 3, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);

  it("lays B over A from `axis` on", () => {
    const y = evaluate("Add", 6, [a, real([3], [10, 20, 30])], { broadcast: 1, axis: 1 });
    expect(list(y)).toEqual([10, 11, 22, 23, 34, 35, 16, 17, 28, 29, 40, 41]);
    expect(list(evaluate("Add", 1, [a, real([3], [10, 20, 30])], { broadcast: 1, axis: -2 }))).toEqual(list(y));
  });

  it("lays B over the last axes when there is no `axis`", () => {
    const y = evaluate("Mul", 6, [a, real([2], [1, -1])], { broadcast: 1 });
    expect(list(y)).toEqual([0, -1, 2, -3, 4, -5, 6, -7, 8, -9, 10, -11]);
  });

  it("takes one-element B of any rank", () => {
    expect(list(evaluate("Div", 6, [a, real([1, 1], [2])], { broadcast: 1 }))[3]).toBe(1.5);
  });

  it("serves Pow, And and Equal too", () => {
    expect(list(evaluate("Pow", 1, [real([1, 2], [3, 4]), real([1], [3])], { broadcast: 1, axis: 0 }))).toEqual([27, 64]);
    const flags = ints("bool", [2, 2], [1, 1, 0, 1]);
    expect(list(evaluate("And", 1, [flags, ints("bool", [2], [1, 0])], { broadcast: 1, axis: 0 }))).toEqual([1, 1, 0, 0]);
    expect(
      list(evaluate("Equal", 1, [ints("int32", [2, 2], [1, 2, 3, 4]), ints("int32", [2], [1, 4])], { broadcast: 1 })),
    ).toEqual([1, 0, 0, 1]);
  });

  it("does not broadcast unasked, nor to an axis that does not fit", () => {
    expect(() => evaluate("Add", 6, [a, real([2], [1, 2])])).toThrow(/broadcast=1/);
    expect(() => evaluate("Add", 6, [a, real([2], [1, 2])], { broadcast: 1, axis: 1 })).toThrow(/does not fit/);
  });

  it("is ignored from opset 7 on", () => {
    expect(() => evaluate("Add", 7, [a, real([3], [1, 2, 3])], { broadcast: 1, axis: 1 })).toThrow(/broadcast together/);
  });
});

describe("integers", () => {
  it("wrap at their width", () => {
    expect(list(evaluate("Add", 14, [ints("int8", [2], [127, -128]), ints("int8", [2], [1, -1])]))).toEqual([-128, 127]);
    expect(list(evaluate("Sub", 14, [ints("uint8", [1], [0]), ints("uint8", [1], [1])]))).toEqual([255]);
    expect(list(evaluate("Mul", 14, [ints("int32", [1], [0x7fffffff]), ints("int32", [1], [0x7fffffff])]))).toEqual([1]);
    expect(list(evaluate("Mul", 14, [ints("uint32", [1], [0xffffffff]), ints("uint32", [1], [3])]))).toEqual([0xfffffffd]);
    expect(list(evaluate("Add", 14, [longs([1], [2n ** 63n - 1n]), longs([1], [1n])]))).toEqual([-(2n ** 63n)]);
    expect(list(evaluate("Neg", 13, [ints("int8", [1], [-128])]))).toEqual([-128]);
    expect(list(evaluate("Abs", 13, [longs([2], [-(2n ** 62n), 5n])]))).toEqual([2n ** 62n, 5n]);
  });

  it("divide toward zero, and give 0 for a zero divisor", () => {
    const [x, y] = [
      [7, -7, 7, -7, 5],
      [2, 2, -2, -2, 0],
    ];
    expect(list(evaluate("Div", 14, [ints("int32", [5], x), ints("int32", [5], y)]))).toEqual([3, -3, -3, 3, 0]);
    expect(list(evaluate("Div", 14, [longs([5], x.map(BigInt)), longs([5], y.map(BigInt))]))).toEqual([3n, -3n, -3n, 3n, 0n]);
  });

  it("keep 64 bits in Min, Max, Clip and ReduceSum", () => {
    const [a, b] = [2n ** 60n + 1n, 2n ** 60n + 2n];
    expect(list(evaluate("Max", 13, [longs([1], [a]), longs([1], [b])]))).toEqual([b]);
    expect(list(evaluate("Min", 13, [longs([1], [a]), longs([1], [b])]))).toEqual([a]);
    expect(list(evaluate("Clip", 13, [longs([1], [b]), undefined, longs([], [a])]))).toEqual([a]);
    expect(list(evaluate("ReduceSum", 13, [longs([2], [a, b])], { keepdims: 0 }))).toEqual([a + b]);
  });

  it("refuse operands of two types", () => {
    expect(() => evaluate("Add", 14, [ints("int32", [1], [1]), longs([1], [1n])])).toThrow(/types must be equal/);
  });
});

describe("Mod", () => {
  const [x, y] = [
    [-7, 7, -7, 7],
    [3, -3, -3, 3],
  ];
  it("has the divisor's sign, with fmod the dividend's", () => {
    expect(list(evaluate("Mod", 13, [ints("int16", [4], x), ints("int16", [4], y)]))).toEqual([2, -2, -1, 1]);
    expect(list(evaluate("Mod", 13, [longs([4], x.map(BigInt)), longs([4], y.map(BigInt))]))).toEqual([2n, -2n, -1n, 1n]);
    expect(list(evaluate("Mod", 13, [ints("int16", [4], x), ints("int16", [4], y)], { fmod: 1 }))).toEqual([-1, 1, -1, 1]);
    expect(
      list(evaluate("Mod", 13, [real([3], [-5.5, 1, 2]), real([3], [2, Number.POSITIVE_INFINITY, 0])], { fmod: 1 })),
    ).toEqual([-1.5, 1, Number.NaN]);
  });
});

describe("Pow", () => {
  it("keeps the type of the base", () => {
    const y = evaluate("Pow", 15, [ints("int32", [3], [2, -3, 10]), real([3], [0.5, 3, -1])]);
    expect([y.dtype, list(y)]).toEqual(["int32", [1, -27, 0]]);
    expect(list(evaluate("Pow", 15, [longs([1], [3n]), longs([1], [39n])]))).toEqual([3n ** 39n]);
    expect(list(evaluate("Pow", 15, [ints("int32", [1], [3]), ints("int32", [1], [21])]))).toEqual([
      Number(BigInt.asIntN(32, 3n ** 21n)),
    ]);
  });

  it("squares exactly as a product, and stretches to the exponent's shape", () => {
    const x = noisy([5], 3);
    expect(list(evaluate("Pow", 15, [x, real([], [2])]))).toEqual(list(x).map((v) => (v as number) * (v as number)));
    expect(evaluate("Pow", 15, [real([1], [3]), real([1, 1], [2])]).dims).toEqual([1, 1]);
  });
});

describe("variadic operators", () => {
  it("fold any number of operands, and pass NaN on", () => {
    const nan = real([2], [Number.NaN, 1]);
    expect(list(evaluate("Max", 13, [real([2], [1, 2]), nan, real([], [5])]))).toEqual([Number.NaN, 5]);
    expect(list(evaluate("Min", 13, [nan, real([2], [0, 7])]))).toEqual([Number.NaN, 1]);
    expect(list(evaluate("Mean", 13, [real([2], [1, 2]), real([2], [3, 4]), real([], [5])]))).toEqual([3, 11 / 3]);
    expect(list(evaluate("Sum", 13, [real([1], [4])]))).toEqual([4]);
  });

  it("keep signed zeros where IEEE 754 does", () => {
    expect(list(evaluate("Add", 14, [real([2], [-0, -0]), real([2], [-0, 0])]))).toEqual([-0, 0]);
    expect(list(evaluate("Mul", 14, [real([1], [-0]), real([1], [3])]))).toEqual([-0]);
    expect(list(evaluate("Neg", 13, [real([1], [0])]))).toEqual([-0]);
    expect(list(evaluate("Sign", 13, [real([2], [-0, Number.NaN])]))).toEqual([-0, Number.NaN]);
  });
});

describe("Clip", () => {
  const x = real([4], [-10, 0.5, 10, Number.NaN]);
  it("takes its bounds from attributes before opset 11, from inputs since", () => {
    for (const version of [1, 6]) {
      expect(list(evaluate("Clip", version, [x], { min: f(-1), max: f(1) }))).toEqual([-1, 0.5, 1, Number.NaN]);
    }
    expect(list(evaluate("Clip", 11, [x, real([], [-1]), undefined]))).toEqual([-1, 0.5, 10, Number.NaN]);
    expect(list(evaluate("Clip", 13, [x, undefined, real([], [1])]))).toEqual([-10, 0.5, 1, Number.NaN]);
  });
  it("gives the upper bound when the bounds cross", () => {
    expect(list(evaluate("Clip", 13, [real([2], [0, 5]), real([], [3]), real([], [1])]))).toEqual([1, 1]);
  });
  it("bounds infinities by the float32 range in opset 6 only", () => {
    const inf = real([1], [Number.POSITIVE_INFINITY]);
    expect(list(evaluate("Clip", 6, [inf]))).toEqual([(2 - 2 ** -23) * 2 ** 127]);
    expect(list(evaluate("Clip", 13, [inf]))).toEqual([Number.POSITIVE_INFINITY]);
  });
});
