/** A few bytes of a file do not make gigabytes: what is large and made of little stays as it is, and the rest is folded. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { prove } from "../../src/verify/index.ts";
import { float32, int64, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, floats, whole } from "../rules/check.ts";

const MANY = 200_000_000;
const bombs: [string, NodeSpec[], Record<string, TensorSpec>][] = [
  ["ConstantOfShape", [node("ConstantOfShape", ["n"], ["big"])], { n: int64([1], [MANY]) }],
  [
    "Range of integers",
    [node("Range", ["a", "n0", "step"], ["big"])],
    { a: int64([], [0]), n0: int64([], [MANY]), step: int64([], [1]) },
  ],
  [
    "Range of floats",
    [node("Range", ["a", "n0", "step"], ["big"])],
    { a: float32([], [0]), n0: float32([], [MANY]), step: float32([], [1]) },
  ],
  ["Expand", [node("Expand", ["one", "n"], ["big"])], { one: float32([1], [1]), n: int64([1], [MANY]) }],
  ["Tile", [node("Tile", ["one", "n"], ["big"])], { one: float32([1], [1]), n: int64([1], [MANY]) }],
  ["HannWindow", [node("HannWindow", ["n0"], ["big"])], { n0: int64([], [MANY]) }],
  ["Pad", [node("Pad", ["one", "pads"], ["big"])], { one: float32([1], [1]), pads: int64([2], [0, MANY]) }],
  ["OneHot", [node("OneHot", ["i", "n", "v"], ["big"])], { i: int64([1], [0]), n: int64([1], [MANY]), v: float32([2], [0, 1]) }],
  [
    "Gather of what is Expanded",
    [node("Expand", ["one", "small"], ["wide"]), node("Gather", ["wide", "i"], ["big"], { axis: 1n })],
    { one: float32([1, 1], [1]), small: int64([2], [20000, 1]), i: int64([20000], new Array(20000).fill(0)) },
  ],
];

describe.each(bombs)("%s", (_name, nodes, initializers) => {
  const bn = batchNorm("c", "d", 2);
  const spec = {
    opset: 17,
    nodes: [
      ...nodes,
      node("ReduceMax", ["big"], ["m"], { keepdims: 0n }),
      node("Cast", ["m"], ["f"], { to: 1n }),
      node("Conv", ["x", "w"], ["c"]),
      bn.node,
      node("Mul", ["d", "f"], ["y"]),
    ],
    initializers: { w: whole([2, 3, 1, 1]), ...initializers, ...bn.initializers },
    inputs: [floats("x", [1, 3, 4, 4])],
    outputs: [floats("y")],
  };

  it("is not made: the normalization folds all the same, in little memory", () => {
    const before = process.memoryUsage().rss;
    const made = model(spec);
    const { data } = plan(made);
    expect(data.after.batchNormalizations).toBe(0);
    expect(prove(made, made).outcome).toBe("equal");
    expect(process.memoryUsage().rss - before).toBeLessThan(400e6);
  });
});
