/** Normalizations that nothing takes, as convolutions of their own. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { float32, type ModelSpec, model, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { batchNorm, check, operators } from "../rules/check.ts";

const C = 3;
/** A normalization between two operators that nothing passes. */
const lone = (dims: readonly (number | string)[], opset?: number): ModelSpec => {
  const made = batchNorm("a", "b", C);
  return {
    nodes: [node("Sigmoid", ["x"], ["a"]), made.node, node("Tanh", ["b"], ["y"])],
    initializers: made.initializers,
    inputs: [{ name: "x", dims }],
    outputs: [{ name: "y" }],
    ...(opset === undefined ? {} : { opset }),
  };
};
const options = { bnToConv: true };

describe("a lone BatchNormalization", () => {
  it.each([
    ["rank 3", ["N", C, 5]],
    ["rank 4", [2, C, 4, 5]],
    ["rank 5", [1, C, 2, 3, 4]],
  ])("of %s becomes a depthwise Conv when asked to, proven", (_name, dims) => {
    const done = check(lone(dims), { folds: 1, options, tolerance: 1e-6 });
    expect(operators(done)).toEqual(["Sigmoid", "Conv", "Tanh"]);
    expect(done.data.after.operators).toEqual({ Sigmoid: 1, Conv: 1, Tanh: 1 });
    expect(done.data.folds[0].notes.join()).toContain("depthwise Conv");
  });

  it.each([
    ["of rank 2", [4, C]],
    ["of channels nobody knows", [2, "C", 4, 4]],
    ["of rank 6", [1, C, 1, 2, 2, 2]],
  ])("%s stays", (_name, dims) => {
    const { data } = folded(model(lone(dims)), options);
    expect(data.folds).toEqual([]);
    expect(data.kept.length).toBe(1);
  });

  it("stays when nobody asks, and what a layer takes goes there", () => {
    expect(folded(model(lone([2, C, 4, 4]))).data.kept.length).toBe(1);
    const made = batchNorm("c", "y", C);
    const spec: ModelSpec = {
      nodes: [node("Conv", ["x", "w"], ["c"]), made.node],
      initializers: { w: float32([C, C, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8, 9]), ...made.initializers },
      inputs: [{ name: "x", dims: [1, C, 4, 4] }],
      outputs: [{ name: "y" }],
    };
    expect(operators(check(spec, { folds: 1, options, tolerance: 1e-5 }))).toEqual(["Conv"]);
  });

  it("is told from a Conv with another number on one channel", () => {
    const before = model(lone([2, C, 4, 4]));
    const { model: after } = folded(before, options);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
    const other = batchNorm("a", "b", C);
    const wrong = { ...other.initializers };
    const [name] = Object.keys(wrong);
    wrong[name] = { ...wrong[name], values: Array.from(wrong[name].values as number[], (v, i) => (i === 1 ? v * 1.01 : v)) };
    const spoiled = folded(model({ ...lone([2, C, 4, 4]), initializers: wrong }), options).model;
    expect(prove(before, spoiled).outcome).toBe("different");
  });
});
