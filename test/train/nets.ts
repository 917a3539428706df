/** Networks for the tests of the training side, in float64 so that nothing is rounded on the way to the file. */
import type { Tensor } from "../../src/onnx/tensor.ts";
import type { BlockSource, Feeds } from "../../src/train/index.ts";
import { f, float64, type ModelSpec, node } from "../helpers/build.ts";

/** Numbers that repeat on every machine. */
export function numbers(n: number, seed: number): number[] {
  let state = seed;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32) * 4 - 1;
  });
}

/** x [N, 2] → Gemm → bn1 → Relu → Gemm → bn2 → y [N, 3]. */
export function twoLayers(more: Partial<ModelSpec> = {}): ModelSpec {
  const bn = (name: string, x: string, y: string, i: number) =>
    node("BatchNormalization", [x, `g${i}`, `b${i}`, `m${i}`, `v${i}`], [y], { epsilon: f(1e-5) }, { name });
  return {
    nodes: [
      node("Gemm", ["x", "w1"], ["a1"]),
      bn("bn1", "a1", "n1", 1),
      node("Relu", ["n1"], ["r1"]),
      node("Gemm", ["r1", "w2"], ["a2"]),
      bn("bn2", "a2", "y", 2),
    ],
    initializers: {
      w1: float64([2, 4], numbers(8, 1)),
      w2: float64([4, 3], numbers(12, 2)),
      ...{ g1: float64([4], numbers(4, 3)), b1: float64([4], numbers(4, 4)) },
      ...{ m1: float64([4], [0, 0.5, 0, 1]), v1: float64([4], [1, 2, 1, 4]) },
      ...{ g2: float64([3], numbers(3, 5)), b2: float64([3], numbers(3, 6)) },
      ...{ m2: float64([3], [0, 0, 0]), v2: float64([3], [1, 1, 1]) },
    },
    inputs: [{ name: "x", dtype: "float64", dims: ["N", 2] }],
    outputs: [{ name: "y", dtype: "float64", dims: ["N", 3] }],
    opset: 17,
    ...more,
  };
}

/** Rows of a matrix in blocks of `size`. */
export function rows(data: readonly number[], width: number, size: number): BlockSource & { readonly samples: number } {
  const samples = data.length / width;
  return {
    samples,
    blocks: Math.ceil(samples / size),
    load(k): Feeds {
      const part = data.slice(k * size * width, (k + 1) * size * width);
      const x: Tensor = { dtype: "float64", dims: [part.length / width, width], data: Float64Array.from(part) };
      return new Map([["x", x]]);
    },
  };
}
