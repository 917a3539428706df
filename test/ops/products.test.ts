import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { f } from "../helpers/build.ts";
import { evaluate, ints, list, longs, noisy, real } from "./evaluate.ts";

const at = (t: Tensor, ...index: number[]): number => {
  const rank = t.dims.length;
  const own = index.slice(index.length - rank).map((i, axis) => (t.dims[axis] === 1 ? 0 : i));
  return Number(t.data[own.reduce((offset, i, axis) => offset * t.dims[axis] + i, 0)]);
};

describe("MatMul", () => {
  it("broadcasts batches on both sides", () => {
    for (const [a, b] of [
      [
        [2, 1, 3, 4],
        [5, 4, 2],
      ],
      [
        [3, 4],
        [2, 4, 5],
      ],
      [
        [2, 3, 4],
        [4, 5],
      ],
      [
        [4, 3, 2],
        [1, 2, 6],
      ],
    ]) {
      const [x, y] = [noisy(a, 1), noisy(b, 2)];
      const z = evaluate("MatMul", 13, [x, y]);
      const [p = 1, q = 1, m, n] = z.dims.length === 4 ? z.dims : [1, ...z.dims];
      const k = a[a.length - 1];
      for (let i = 0; i < p * q * m * n; i++) {
        const [c, r, s, t] = [i % n, Math.floor(i / n) % m, Math.floor(i / n / m) % q, Math.floor(i / n / m / q)];
        let sum = 0;
        for (let j = 0; j < k; j++) sum += at(x, t, s, r, j) * at(y, t, s, j, c);
        expect(z.data[i]).toBe(sum);
      }
    }
  });

  it("treats one axis as a row on the left and a column on the right", () => {
    expect(evaluate("MatMul", 13, [real([2], [1, 2]), real([2], [3, 4])])).toMatchObject({ dims: [], data: Float64Array.of(11) });
    expect(evaluate("MatMul", 13, [real([2], [1, 2]), noisy([3, 2, 4], 1)]).dims).toEqual([3, 4]);
    expect(evaluate("MatMul", 13, [noisy([3, 2, 4], 1), real([4], [1, 2, 3, 4])]).dims).toEqual([3, 2]);
    expect(() => evaluate("MatMul", 13, [noisy([2, 3], 1), noisy([2, 3], 1)])).toThrow(/inner sizes 3 and 2/);
  });

  it("integers wrap at their width and are exact beyond 2^53", () => {
    const small = evaluate("MatMul", 13, [ints("int32", [1, 2], [65536, 1]), ints("int32", [2, 1], [65536, 7])]);
    expect(small.data).toEqual(Int32Array.of(7));
    const wide = evaluate("MatMul", 13, [longs([1, 2], [2n ** 53n, 1n]), longs([2, 1], [1n, 1n])]);
    expect(list(wide)).toEqual([2n ** 53n + 1n]);
  });

  it("quantised products centre, scale, round to even and saturate", () => {
    const a = ints("uint8", [1, 2], [10, 200]);
    const b = ints("int8", [2, 2], [1, 2, 3, -128]);
    const zero = ints("uint8", [], [10]);
    expect(list(evaluate("MatMulInteger", 10, [a, b, zero, ints("int8", [2], [1, 2])]))).toEqual([380, -24700]);
    const [one, tenth] = [real([], [1]), real([], [0.1])];
    const q = evaluate("QLinearMatMul", 21, [a, one, zero, b, tenth, ints("int8", [], [1]), one, ints("uint8", [], [5])]);
    expect(list(q)).toEqual([43, 0]);
  });
});

describe("Gemm", () => {
  const [a, b] = [real([2, 3], [1, 2, 3, 4, 5, 6]), real([3, 2], [1, 0, 0, 1, 1, 1])];

  it("adds C of every broadcast shape", () => {
    const product = [4, 5, 10, 11];
    for (const [dims, values, added] of [
      [
        [2, 2],
        [1, 2, 3, 4],
        [1, 2, 3, 4],
      ],
      [[2], [1, 2], [1, 2, 1, 2]],
      [
        [1, 2],
        [1, 2],
        [1, 2, 1, 2],
      ],
      [
        [2, 1],
        [1, 2],
        [1, 1, 2, 2],
      ],
      [[], [7], [7, 7, 7, 7]],
      [[1], [7], [7, 7, 7, 7]],
    ] as const) {
      const c = real(dims, values);
      expect(list(evaluate("Gemm", 13, [a, b, c]))).toEqual(product.map((v, i) => v + added[i]));
      expect(list(evaluate("Gemm", 13, [a, b, c], { alpha: f(2), beta: f(0.5) }))).toEqual(
        product.map((v, i) => 2 * v + added[i] / 2),
      );
    }
  });

  it("transposes either operand", () => {
    const plain = list(evaluate("Gemm", 13, [a, b]));
    const at = real([3, 2], [1, 4, 2, 5, 3, 6]);
    const bt = real([2, 3], [1, 0, 1, 0, 1, 1]);
    expect(list(evaluate("Gemm", 13, [at, b], { transA: 1 }))).toEqual(plain);
    expect(list(evaluate("Gemm", 13, [a, bt], { transB: 1 }))).toEqual(plain);
    expect(list(evaluate("Gemm", 13, [at, bt], { transA: 1, transB: 1 }))).toEqual(plain);
  });

  it("broadcasts before version 7 only when told to", () => {
    const c = real([2], [1, 2]);
    expect(() => evaluate("Gemm", 6, [a, b, c])).toThrow(/C cannot be added/);
    expect(list(evaluate("Gemm", 6, [a, b, c], { broadcast: 1 }))).toEqual([5, 7, 11, 13]);
  });

  it("is exact on integers", () => {
    const y = evaluate("Gemm", 13, [longs([1, 1], [2n ** 40n]), longs([1, 1], [2n ** 20n + 1n]), longs([1], [5n])]);
    expect(list(y)).toEqual([2n ** 60n + 2n ** 40n + 5n]);
  });
});

describe("Einsum", () => {
  const einsum = (equation: string, ...tensors: Tensor[]): Tensor => evaluate("Einsum", 12, tensors, { equation });
  const [x, y] = [noisy([3, 4], 1), noisy([4, 5], 2)];

  it("is a matrix product, a trace, a diagonal, an outer product, a transposition", () => {
    expect(list(einsum("ij,jk->ik", x, y))).toEqual(list(evaluate("MatMul", 13, [x, y])));
    const square = real([2, 2], [1, 2, 3, 4]);
    expect(list(einsum("ii", square))).toEqual([5]);
    expect(list(einsum("ii->i", square))).toEqual([1, 4]);
    expect(list(einsum("i,j->ji", real([2], [1, 2]), real([2], [3, 4])))).toEqual([3, 6, 4, 8]);
    expect(list(einsum(" ba ", square))).toEqual([1, 3, 2, 4]);
    expect(list(einsum("ij->", square))).toEqual([10]);
  });

  it("aligns the axes an ellipsis stands for at their end", () => {
    const [a, b] = [noisy([2, 1, 3, 4], 1), noisy([5, 4, 2], 2)];
    const z = einsum("...ij,...jk->...ik", a, b);
    expect(z.dims).toEqual([2, 5, 3, 2]);
    expect(list(z)).toEqual(list(evaluate("MatMul", 13, [a, b])));
    expect(einsum("...i->i...", noisy([2, 3, 4], 3)).dims).toEqual([4, 2, 3]);
  });

  it("contracts many operands", () => {
    const [a, b, c] = [noisy([3, 4], 1), noisy([4, 5], 2), noisy([5, 2], 3)];
    const z = einsum("ij,jk,kl->li", a, b, c);
    const left = evaluate("MatMul", 13, [evaluate("MatMul", 13, [a, b]), c]);
    expect(z.dims).toEqual([2, 3]);
    for (let i = 0; i < 6; i++) expect(z.data[i]).toBeCloseTo(at(left, i % 3, Math.floor(i / 3)), 12);
  });

  it("is exact on integers and refuses what does not fit", () => {
    expect(list(einsum("i,i->", longs([2], [2n ** 53n, 1n]), longs([2], [1n, 1n])))).toEqual([2n ** 53n + 1n]);
    expect(() => einsum("ij,jk->ik", x, noisy([3, 2], 1))).toThrow(/"j" stands for 4 and 3/);
    expect(() => einsum("ijk->i", x)).toThrow(/does not fit 2 axes/);
    expect(() => einsum("ij->z", x)).toThrow(/"z" is not in the inputs/);
  });
});

describe("Det", () => {
  it("pivots, and is zero for dependent rows", () => {
    expect(list(evaluate("Det", 11, [real([2, 2, 2], [0, 1, 1, 0, 1, 2, 2, 4])]))).toEqual([-1, 0]);
    const [a, b] = [noisy([4, 4], 1), noisy([4, 4], 2)];
    const det = (t: Tensor): number => Number(evaluate("Det", 22, [t]).data[0]);
    expect(det(evaluate("MatMul", 13, [a, b]))).toBeCloseTo(det(a) * det(b), 12);
  });
});
