/** Constants that a Reshape or Transpose makes of the same numbers: equal where they come out alike, and only there. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { float32, int64, model, node, type TensorSpec } from "../helpers/build.ts";

const N = 6;
const numbers = (dims: readonly number[]): TensorSpec =>
  float32(
    dims,
    Array.from({ length: N }, (_, i) => i - 2.5),
  );

/** x + what is made of the numbers c. */
const added = (from: readonly number[], to: readonly number[]) =>
  model({
    nodes: [node("Reshape", ["c", "shape"], ["k"]), node("Add", ["x", "k"], ["y"])],
    initializers: { c: numbers(from), shape: int64([to.length], to) },
    inputs: [{ name: "x", dims: [N, N] }],
    outputs: [{ name: "y" }],
  });
const turned = (perm: readonly number[]) =>
  model({
    nodes: [node("Transpose", ["c"], ["k"], { perm }), node("Add", ["x", "k"], ["y"])],
    initializers: {
      c: float32(
        [3, 3],
        Array.from({ length: 9 }, (_, i) => i),
      ),
    },
    inputs: [{ name: "x", dims: [3, 3] }],
    outputs: [{ name: "y" }],
  });
const outcome = (a: Parameters<typeof prove>[0], b: typeof a) => prove(a, b).outcome;

describe("the same numbers, laid out", () => {
  it("alike are equal, along another axis not", () => {
    expect(outcome(added([N], [N, 1]), added([N], [N, 1]))).toBe("equal");
    expect(outcome(added([2, 3], [1, N]), added([3, 2], [1, N]))).toBe("equal");
    expect(outcome(added([N], [N, 1]), added([N], [1, N]))).not.toBe("equal");
    expect(outcome(added([N], [1, N]), added([N], [N, 1]))).not.toBe("equal");
  });

  it("are equal where the axes change places alike", () => {
    expect(outcome(turned([1, 0]), turned([1, 0]))).toBe("equal");
    expect(outcome(turned([0, 1]), turned([1, 0]))).not.toBe("equal");
  });
});
