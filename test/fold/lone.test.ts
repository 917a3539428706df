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

  it("of operator set 7 becomes one, and its constants are called after it", () => {
    const spec = lone([2, C, 4, 4], 7);
    const nodes = spec.nodes.map((one) => (one.op === "BatchNormalization" ? { ...one, name: "norm" } : one));
    const done = check({ ...spec, nodes }, { folds: 1, options, tolerance: 1e-6 });
    expect(operators(done)).toEqual(["Sigmoid", "Conv", "Tanh"]);
    expect(done.after.graph.initializers.map(({ name }) => name).sort()).toEqual(["norm_bias", "norm_weight"]);
    const unnamed = check(spec, { folds: 1, options, tolerance: 1e-6 });
    expect(unnamed.after.graph.initializers.map(({ name }) => name).sort()).toEqual(["b_bias", "b_weight"]);
  });

  it("of an operator set before 7 stays: its Conv and its normalization broadcast otherwise", () => {
    const spec = lone([2, C, 4, 4], 6);
    const nodes = spec.nodes.map((one) => (one.op === "BatchNormalization" ? { ...one, attributes: { is_test: 1 } } : one));
    expect(folded(model({ ...spec, nodes }), options).data).toMatchObject({ folds: [], kept: [{}] });
  });

  it("becomes one as well where all channels have one gain and one shift", () => {
    const spec = lone([2, C, 4, 4]);
    const alike = Object.fromEntries(
      Object.keys(spec.initializers ?? {}).map((name, i) => [name, float32([C], [i + 1, i + 1, i + 1])]),
    );
    const done = check({ ...spec, initializers: alike }, { folds: 1, options, tolerance: 1e-6 });
    expect(operators(done)).toEqual(["Sigmoid", "Conv", "Tanh"]);
  });

  it("stays where its gain fits no weight of its type", () => {
    const made = batchNorm("a", "b", C);
    const half = (values: readonly number[]) => ({ dtype: "float16", dims: [C], values });
    const [gain, shift, mean, variance] = made.node.inputs.slice(1);
    const spec: ModelSpec = {
      ...lone([2, C, 4, 4]),
      inputs: [{ name: "x", dims: [2, C, 4, 4], dtype: "float16" }],
      outputs: [{ name: "y", dtype: "float16" }],
      initializers: {
        [gain]: half([1, 300, 1]),
        [shift]: half([0, 0, 0]),
        [mean]: half([0, 0, 0]),
        [variance]: half([1, 2 ** -14, 1]),
      },
    };
    // 300 / √(2^-14 + 1e-5) is 35 600, and with a gain of 600 beyond 65 504.
    expect(folded(model(spec), options).data.folds.length).toBe(1);
    const large = { ...spec, initializers: { ...spec.initializers, [gain]: half([1, 600, 1]) } };
    expect(folded(model(large), options).data.folds).toEqual([]);
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
