import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sizeOf, stridesOf } from "../../src/onnx/tensor.ts";
import { evaluate, ints, list, longs, noisy, real } from "./evaluate.ts";

const NAIVE: Record<string, (g: readonly number[]) => number> = {
  ReduceSum: (g) => g.reduce((a, b) => a + b, 0),
  ReduceMean: (g) => g.reduce((a, b) => a + b, 0) / g.length,
  ReduceProd: (g) => g.reduce((a, b) => a * b, 1),
  ReduceMax: (g) => Math.max(...g),
  ReduceMin: (g) => Math.min(...g),
  ReduceL1: (g) => g.reduce((a, b) => a + Math.abs(b), 0),
  ReduceL2: (g) => Math.sqrt(g.reduce((a, b) => a + b * b, 0)),
  ReduceSumSquare: (g) => g.reduce((a, b) => a + b * b, 0),
  ReduceLogSum: (g) => Math.log(g.reduce((a, b) => a + b, 0)),
  ReduceLogSumExp: (g) => Math.log(g.reduce((a, b) => a + Math.exp(b), 0)),
};

const cases = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }).chain((dims) =>
  fc.tuple(
    fc.constant(dims),
    fc.subarray(
      dims.map((_, i) => i),
      { minLength: 1 },
    ),
    fc.boolean(),
  ),
);

describe("reductions equal the loop over groups", () => {
  for (const [op, fn] of Object.entries(NAIVE)) {
    it(op, () => {
      fc.assert(
        fc.property(cases, ([dims, axes, keep]) => {
          const x = noisy(dims, 5);
          const kept = dims.map((d, i) => (axes.includes(i) ? 1 : d));
          const groups: number[][] = Array.from({ length: sizeOf(kept) }, () => []);
          const [own, to] = [stridesOf(dims), stridesOf(kept)];
          list(x).forEach((v, i) => {
            const at = dims.reduce((sum, d, k) => sum + (axes.includes(k) ? 0 : (Math.floor(i / own[k]) % d) * to[k]), 0);
            groups[at].push(v as number);
          });
          const negative = axes.map((a, i) => (i % 2 === 0 ? a - dims.length : a));
          const y = evaluate(op, 18, [x, longs([axes.length], negative.map(BigInt))], { keepdims: keep ? 1 : 0 });
          expect(y.dims).toEqual(keep ? kept : dims.filter((_, i) => !axes.includes(i)));
          groups.forEach((g, i) => {
            const want = fn(g);
            if (Number.isNaN(want)) expect(y.data[i]).toBeNaN();
            else expect(Math.abs(Number(y.data[i]) - want)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(want)));
          });
          const legacy = evaluate(op, 11, [x], { axes, keepdims: keep ? 1 : 0 });
          expect(list(legacy)).toEqual(list(y));
        }),
        { numRuns: 60 },
      );
    });
  }
});

describe("without axes", () => {
  const x = real([2, 2], [1, -2, 3, -4]);
  it("all are reduced, or none with noop_with_empty_axes", () => {
    expect(evaluate("ReduceSum", 13, [x]).dims).toEqual([1, 1]);
    expect(list(evaluate("ReduceSum", 13, [x, longs([0], [])], { keepdims: 0 }))).toEqual([-2]);
    expect(list(evaluate("ReduceSum", 13, [x, longs([0], [])], { noop_with_empty_axes: 1 }))).toEqual(list(x));
    expect(list(evaluate("ReduceSumSquare", 18, [x], { noop_with_empty_axes: 1 }))).toEqual([1, 4, 9, 16]);
    expect(list(evaluate("ReduceL1", 18, [x], { noop_with_empty_axes: 1 }))).toEqual([1, 2, 3, 4]);
  });
});

describe("special values", () => {
  it("an empty set gives the neutral element", () => {
    const none = real([2, 0], []);
    const axis = longs([1], [1n]);
    const of = (op: string) => list(evaluate(op, 18, [none, axis], { keepdims: 0 }));
    expect(of("ReduceSum")).toEqual([0, 0]);
    expect(of("ReduceProd")).toEqual([1, 1]);
    expect(of("ReduceMax")).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(of("ReduceLogSumExp")).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    expect(list(evaluate("ReduceMax", 18, [ints("int16", [0], [])], {}))).toEqual([-32768]);
    expect(list(evaluate("ReduceMin", 18, [longs([0], [])], {}))).toEqual([2n ** 63n - 1n]);
    expect(list(evaluate("ReduceMin", 18, [longs([0], [], "uint64")], {}))).toEqual([2n ** 64n - 1n]);
    expect(list(evaluate("ReduceMin", 20, [ints("bool", [0], [])], {}))).toEqual([1]);
  });

  it("NaN reaches Max and Min, infinities LogSumExp", () => {
    expect(list(evaluate("ReduceMax", 18, [real([2], [Number.NaN, 1])]))).toEqual([Number.NaN]);
    expect(list(evaluate("ReduceMin", 18, [real([2], [1, Number.NaN])]))).toEqual([Number.NaN]);
    expect(list(evaluate("ReduceLogSumExp", 18, [real([2], [1, Number.POSITIVE_INFINITY])]))).toEqual([Number.POSITIVE_INFINITY]);
    expect(list(evaluate("ReduceLogSumExp", 18, [real([2], [1000, 1000])]))[0]).toBeCloseTo(1000 + Math.LN2, 12);
  });

  it("integers are exact and wrap", () => {
    expect(list(evaluate("ReduceProd", 18, [ints("int32", [3], [65537, 65537, 3])]))).toEqual([
      Number(BigInt.asIntN(32, 65537n * 65537n * 3n)),
    ]);
    expect(list(evaluate("ReduceSum", 13, [ints("uint8", [2], [200, 100])]))).toEqual([44]);
    expect(list(evaluate("ReduceMean", 18, [ints("int32", [2], [-3, 0])]))).toEqual([-1]);
    expect(list(evaluate("ReduceMean", 18, [longs([2], [2n ** 61n + 2n, 2n ** 61n])]))).toEqual([2n ** 61n + 1n]);
    expect(list(evaluate("ReduceSumSquare", 18, [longs([1], [3_037_000_499n])]))).toEqual([3_037_000_499n ** 2n]);
  });
});

describe("ArgMax and ArgMin", () => {
  const x = real([2, 3], [1, 3, 3, 0, -1, -1]);
  it("take the first of equals, or the last", () => {
    expect(list(evaluate("ArgMax", 13, [x], { axis: 1, keepdims: 0 }))).toEqual([1n, 0n]);
    expect(list(evaluate("ArgMax", 13, [x], { axis: -1, select_last_index: 1 }))).toEqual([2n, 0n]);
    expect(list(evaluate("ArgMin", 13, [x], { axis: 1, select_last_index: 1 }))).toEqual([0n, 2n]);
    expect(evaluate("ArgMin", 13, [x])).toMatchObject({ dtype: "int64", dims: [1, 3] });
  });
  it("point at a NaN when there is one", () => {
    expect(list(evaluate("ArgMax", 13, [real([3], [1, Number.NaN, 5])]))).toEqual([1n]);
    expect(list(evaluate("ArgMin", 13, [real([3], [Number.NaN, 1, Number.NaN])], { select_last_index: 1 }))).toEqual([2n]);
  });
  it("refuse an empty axis", () => {
    expect(() => evaluate("ArgMax", 13, [real([0, 2], [])])).toThrow(/empty/);
  });
});
