import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { evaluate, evaluateAll, ints, list, longs, noisy, real } from "./evaluate.ts";

const index = (dims: number[], ...values: number[]) => longs(dims, values.map(BigInt));
const text = (...data: string[]): Tensor => ({ dtype: "string", dims: [data.length], data });

describe("gather", () => {
  const x = real([2, 3], [0, 1, 2, 3, 4, 5]);

  it("along an axis, by element, by tuple", () => {
    expect(evaluate("Gather", 13, [x, index([1, 2], -1, 0)], { axis: 1 })).toMatchObject({ dims: [2, 1, 2] });
    expect(list(evaluate("Gather", 13, [x, index([2], -1, 0)], { axis: 1 }))).toEqual([2, 0, 5, 3]);
    expect(list(evaluate("GatherElements", 13, [x, index([1, 3], 1, 0, 1)]))).toEqual([3, 1, 5]);
    expect(list(evaluate("GatherND", 13, [x, index([2, 2], 0, 1, -1, -1)]))).toEqual([1, 5]);
    expect(list(evaluate("GatherND", 13, [x, index([2, 1], 2, 0)], { batch_dims: 1 }))).toEqual([2, 3]);
    expect(list(evaluate("Gather", 13, [text("a", "b"), index([2], 1, 1)]))).toEqual(["b", "b"]);
  });

  it("names an index out of range", () => {
    expect(() => evaluate("Gather", 13, [x, index([1], 2)])).toThrow(/index 2 is outside \[-2, 1\]/);
    expect(() => evaluate("GatherND", 13, [x, index([1, 2], 0, 3)])).toThrow(/index 3/);
  });
});

describe("scatter", () => {
  const x = real([3], [1, 2, 3]);

  it("writes, adds, multiplies, takes the smaller or larger, in order", () => {
    const scatter = (reduction: string) =>
      list(evaluate("ScatterElements", 18, [x, index([2], 0, 0), real([2], [5, -4])], { reduction }));
    expect(scatter("none")).toEqual([-4, 2, 3]);
    expect(scatter("add")).toEqual([2, 2, 3]);
    expect(scatter("mul")).toEqual([-20, 2, 3]);
    expect(scatter("min")).toEqual([-4, 2, 3]);
    expect(scatter("max")).toEqual([5, 2, 3]);
    expect(list(x)).toEqual([1, 2, 3]);
  });

  it("ScatterND undoes GatherND", () => {
    const m = noisy([3, 4], 1);
    const at = index([2, 1], 2, 0);
    const rows = evaluate("GatherND", 13, [m, at]);
    expect(list(evaluate("ScatterND", 18, [m, at, rows]))).toEqual(list(m));
  });

  it("Scatter (9) is ScatterElements", () => {
    expect(list(evaluate("Scatter", 9, [x, index([1], -1), real([1], [9])]))).toEqual([1, 2, 9]);
  });
});

describe("by value", () => {
  it("TopK: ties by index, NaN largest, 64-bit integers exact, all versions", () => {
    const [values, at] = evaluateAll("TopK", 11, [real([4], [1, 3, 3, Number.NaN]), index([1], 3)], {}, { outputs: 2 });
    expect(list(values)).toEqual([Number.NaN, 3, 3]);
    expect(list(at)).toEqual([3n, 1n, 2n]);
    expect(list(evaluate("TopK", 11, [real([3], [2, 1, 1]), index([1], 2)], { largest: 0 }))).toEqual([1, 1]);
    expect(list(evaluate("TopK", 11, [longs([2], [9007199254740992n, 9007199254740993n]), index([1], 1)]))).toEqual([
      9007199254740993n,
    ]);
    expect(list(evaluate("TopK", 1, [real([3], [2, 7, 1])], { k: 1 }))).toEqual([7]);
    expect(() => evaluate("TopK", 11, [real([1], [2]), index([1], 2)])).toThrow(/k is 2/);
  });

  it("Unique gives values, first positions, inverse and counts", () => {
    const all = evaluateAll("Unique", 11, [real([5], [2, 1, 1, 3, 2])], {}, { outputs: 4 });
    expect(all.map(list)).toEqual([
      [1, 2, 3],
      [1n, 0n, 3n],
      [1n, 0n, 0n, 2n, 1n],
      [2n, 2n, 1n],
    ]);
    expect(list(evaluate("Unique", 11, [text("b", "a", "b")], { sorted: 0 }))).toEqual(["b", "a"]);
  });

  it("Where broadcasts three ways, also text; NonZero takes a scalar", () => {
    const condition = ints("bool", [2, 1], [1, 0]);
    expect(list(evaluate("Where", 16, [condition, real([2], [1, 2]), real([], [9])]))).toEqual([1, 2, 9, 9]);
    expect(list(evaluate("Where", 16, [ints("bool", [2], [0, 1]), text("a", "b"), text("c", "d")]))).toEqual(["c", "b"]);
    expect(evaluate("NonZero", 13, [real([], [5])])).toMatchObject({ dims: [1, 1] });
    expect(list(evaluate("NonZero", 13, [real([2, 2], [0, 1, 2, 0])]))).toEqual([0n, 1n, 1n, 0n]);
  });

  it("CumSum and CumProd, exclusive and reverse", () => {
    const x = real([4], [1, 2, 3, 4]);
    const axis = index([], 0);
    expect(list(evaluate("CumSum", 14, [x, axis]))).toEqual([1, 3, 6, 10]);
    expect(list(evaluate("CumSum", 14, [x, axis], { exclusive: 1, reverse: 1 }))).toEqual([9, 7, 4, 0]);
    expect(list(evaluate("CumProd", 26, [x, axis], { exclusive: 1 }))).toEqual([1, 1, 2, 6]);
    expect(list(evaluate("CumSum", 14, [longs([2], [2n ** 62n, 1n]), axis]))).toEqual([2n ** 62n, 2n ** 62n + 1n]);
  });

  it("OneHot counts negative indices from the end and leaves others off", () => {
    const depth = index([], 3);
    const values = real([2], [0, 1]);
    expect(list(evaluate("OneHot", 11, [index([3], 1, -1, 3), depth, values]))).toEqual([0, 1, 0, 0, 0, 1, 0, 0, 0]);
    expect(evaluate("OneHot", 11, [index([3], 0, 1, 2), depth, values], { axis: 0 }).dims).toEqual([3, 3]);
  });

  it("NonMaxSuppression keeps the best of overlapping boxes", () => {
    const boxes = real([1, 3, 4], [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, 10, 1, 11]);
    const scores = real([1, 1, 3], [0.9, 0.95, 0.5]);
    const kept = evaluate("NonMaxSuppression", 11, [boxes, scores, index([1], 3), real([1], [0.5]), real([1], [0])]);
    expect(list(kept)).toEqual([0n, 0n, 1n, 0n, 0n, 2n]);
  });
});
