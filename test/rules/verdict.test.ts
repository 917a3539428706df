/** Whole verdicts, proof and run, on folds through operators whose own numbers or type change with the gain. */
import { describe, expect, it } from "vitest";
import { verifyModels } from "../../src/verify/index.ts";
import { f, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { floats } from "./check.ts";

const C = 4;
const random = (dims: readonly number[], seed: number): TensorSpec => {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return float32(dims, Array.from({ length: dims.reduce((n, d) => n * d, 1) }, next));
};
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const mixed = per([1.1, -2.3, 0.7, -0.4]);
const negative = per([-1.1, -2.3, -0.7, -0.4]);
const positive = per([1.1, 2.3, 0.7, 0.4]);
const axes = { ax: int64([1], [2]) };

/** Operators behind a Conv and before a Mul. */
const back: readonly (readonly [NodeSpec, TensorSpec, Record<string, TensorSpec>])[] = [
  [node("PRelu", ["c", "p"], ["m"]), mixed, { p: per([0.1, 0.3, 0.7, 1.3]) }],
  [node("PRelu", ["c", "p"], ["m"]), mixed, { p: float32([1], [0.3]) }],
  [node("LeakyRelu", ["c"], ["m"], { alpha: f(0.1) }), negative, {}],
  [node("Clip", ["c", "lo", "hi"], ["m"]), float32([], [-1.7]), { lo: float32([], [-0.3]), hi: float32([], [0.9]) }],
  [node("Max", ["c", "lo"], ["m"]), float32([], [-1.7]), { lo: float32([], [-0.3]) }],
  [node("ReduceMax", ["c", "ax"], ["m"]), negative, axes],
  [node("ReduceSumSquare", ["c", "ax"], ["m"]), positive, axes],
  [node("TopK", ["c", "two"], ["m", "i"], { axis: 2 }), positive, { two: int64([1], [2]) }],
  [
    node("ScatterElements", ["c", "at", "q"], ["m"], { axis: 2 }),
    mixed,
    { at: int64([2, C, 1, 5], new Array(40).fill(3)), q: random([2, C, 1, 5], 5) },
  ],
  [node("Div", ["q", "c"], ["m"]), mixed, { q: float32([], [0.3]) }],
];

/** Operators behind a Mul and before a Conv; the values are made positive first where they have to be. */
const forward: readonly (readonly [NodeSpec, TensorSpec, Record<string, TensorSpec>])[] = [
  [node("PRelu", ["a", "p"], ["m"]), mixed, { p: per([0.1, -0.3, 0.7, 1.3]) }],
  [node("LeakyRelu", ["a"], ["m"]), negative, {}],
  [node("Sqrt", ["a"], ["m"]), positive, {}],
  [node("Reciprocal", ["a"], ["m"]), mixed, {}],
  [node("Pow", ["a", "p"], ["m"]), mixed, { p: float32([], [3]) }],
  [node("ReduceProd", ["a", "ax"], ["m"]), mixed, axes],
  [node("Div", ["q", "a"], ["m"]), mixed, { q: float32([], [0.3]) }],
];

/** Folds everything, and both witnesses say so. */
function proven(spec: ModelSpec): void {
  const before = model(spec);
  // The algebra is looked at, whatever it costs in bytes.
  const after = folded(before, { maxGrowth: Number.POSITIVE_INFINITY });
  expect(after.data.kept).toEqual([]);
  const verdict = verifyModels(before, after.model, { foreign: false });
  expect([verdict.outcome, verdict.proof?.outcome, verdict.run?.outcome], verdict.summary).toEqual([
    "equivalent",
    "equal",
    "equal",
  ]);
}

describe("folded, proven and run", () => {
  it.each(back.map((one) => [one[0].op, ...one] as const))("%s, back", (_op, step, k, constants) => {
    proven({
      opset: 21,
      irVersion: 10,
      nodes: [node("Conv", ["x", "w"], ["c"]), step, node("Mul", ["m", "k"], ["y"])],
      initializers: { w: random([C, 3, 3, 3], 1), k, ...constants },
      inputs: [floats("x", [2, 3, 7, 7])],
      outputs: [floats("y"), ...step.outputs.slice(1).map((name) => ({ name, dtype: "int64" }))],
    });
  });

  it.each(forward.map((one) => [one[0].op, ...one] as const))("%s, forward", (_op, step, k, constants) => {
    proven({
      opset: 21,
      irVersion: 10,
      nodes: [node("Sigmoid", ["x"], ["s"]), node("Mul", ["s", "k"], ["a"]), step, node("Conv", ["m", "w"], ["y"])],
      initializers: { w: random([3, C, 1, 1], 1), k, ...constants },
      inputs: [floats("x", [2, C, 7, 7])],
      outputs: [floats("y")],
    });
  });

  it("ArgMax that became ArgMin", () => {
    proven({
      opset: 21,
      irVersion: 10,
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("Relu", ["c"], ["r"]),
        node("Mul", ["r", "k"], ["a"]),
        node("ArgMax", ["a"], ["y"], { axis: 2 }),
      ],
      initializers: { w: random([C, 3, 3, 3], 1), k: negative },
      inputs: [floats("x", [2, 3, 7, 7])],
      outputs: [{ name: "y", dtype: "int64" }],
    });
  });
});
