/**
 * The coefficient proof: good folds are equal, spoiled ones are not, and no difference between two files, however small or
 * wherever it hides, is ever called equal.
 */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { f, float32, float64, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { blocks, chain, type DType, type Fault } from "./nets.ts";

const outcome = (a: ModelSpec, b: ModelSpec, foreign = false) => prove(model(a), model(b), { foreign }).outcome;

describe("chains of Conv, BatchNormalization, Relu", () => {
  it.each(["float32", "float16", "float64"] as DType[])("are equal when folded, in %s", (dtype) => {
    for (let seed = 1; seed <= 5; seed++) {
      const list = blocks(dtype, seed);
      const before = chain(list, dtype, false, { batch: "N" });
      expect(prove(before, folded(before).model, { foreign: false }).outcome).toBe("equal");
      expect(prove(before, chain(list, dtype, true, { batch: "N" })).outcome).toBe("equal");
      expect(prove(before, before).outcome).toBe("equal");
    }
  });

  const faults: Record<string, Fault> = {
    "one weight off by 1e-3": (_b, { W }, i) => {
      if (i === 1) W[17] *= 1 + 1e-3;
    },
    "one bias off by 1e-4": (_b, { b }, i) => {
      if (i === 1) b[3] += 1e-4;
    },
    "the mean missing": ({ gamma, variance, b, beta }, out, i) => {
      if (i === 0) out.b = b.map((v, c) => (gamma[c] / Math.sqrt(variance[c] + 1e-5)) * v + beta[c]);
    },
    "the bias not scaled": ({ b, beta, mean, gamma, variance }, out, i) => {
      if (i === 0) out.b = b.map((v, c) => v - (mean[c] * gamma[c]) / Math.sqrt(variance[c] + 1e-5) + beta[c]);
    },
    "two channels swapped": ({ in: into }, { W }, i) => {
      if (i !== 2) return;
      const n = into * 9;
      const [p, q] = [W.slice(0, n), W.slice(n, 2 * n)];
      W.splice(0, 2 * n, ...q, ...p);
    },
    "another epsilon": ({ variance, gamma, W, in: into }, out, i) => {
      if (i === 0)
        out.W = W.map((w, k) =>
          Math.fround((w * gamma[Math.floor(k / (into * 9))]) / Math.sqrt(variance[Math.floor(k / (into * 9))] + 1e-3)),
        );
    },
    "epsilon outside the root": ({ variance, gamma, W, in: into }, out, i) => {
      if (i === 0)
        out.W = W.map((w, k) =>
          Math.fround((w * gamma[Math.floor(k / (into * 9))]) / (Math.sqrt(variance[Math.floor(k / (into * 9))]) + 1e-5)),
        );
    },
    "a sign lost": (_b, { W }, i) => {
      if (i === 1) W[0] = -W[0];
    },
    "the gain on the wrong axis": ({ in: into, gamma, variance, W }, out, i) => {
      if (i === 1)
        out.W = W.map((w, k) =>
          Math.fround((w * gamma[Math.floor(k / 9) % into]) / Math.sqrt(variance[Math.floor(k / 9) % into] + 1e-5)),
        );
    },
    "a fold forgotten": ({ W, b }, out, i) => {
      if (i === 1) [out.W, out.b] = [W.slice(), b.slice()];
    },
    "one weight zero": (_b, { W }, i) => {
      if (i === 2) W[5] = 0;
    },
  };
  it.each(Object.entries(faults))("are different with %s, also for another tool's file", (_name, fault) => {
    const list = blocks("float32", 3);
    const [before, after] = [chain(list, "float32", false), chain(list, "float32", true, { fault })];
    expect(prove(before, after, { foreign: false }).outcome).toBe("different");
    expect(prove(before, after).outcome).toBe("different");
  });

  it("name the tensor and the place", () => {
    const list = blocks("float32", 3);
    const fault: Fault = (_b, { b }, i) => {
      if (i === 1) b[3] += 1e-3;
    };
    const { regions } = prove(chain(list, "float32", false), chain(list, "float32", true, { fault }));
    expect(regions.find((r) => r.outcome === "different")?.at).toMatchObject({ tensor: "b1", index: [3] });
  });

  it("allow another tool its staged rounding, and bnfold none", () => {
    const list = blocks("float32", 4);
    const staged: Fault = ({ W, gamma, variance, in: into, b, mean, beta }, out) => {
      const g = gamma.map((v, c) => Math.fround(v / Math.fround(Math.sqrt(Math.fround(variance[c] + Math.fround(1e-5))))));
      out.W = W.map((w, k) => Math.fround(w * g[Math.floor(k / (into * 9))]));
      out.b = b.map((v, c) => Math.fround(Math.fround(Math.fround(v - mean[c]) * g[c]) + beta[c]));
    };
    const [before, after] = [chain(list, "float32", false), chain(list, "float32", true, { fault: staged })];
    expect(prove(before, after).outcome).toBe("equal");
    expect(prove(before, after, { foreign: false }).outcome).toBe("different");
  });
});

/** Pairs of files that compute different things though they look alike: equal would be a lie. */
const x = { name: "x", dims: ["N", 4, 8, 8] };
const net = (nodes: NodeSpec[], initializers: Record<string, TensorSpec> = {}, more: Partial<ModelSpec> = {}): ModelSpec => ({
  nodes,
  initializers,
  inputs: [x],
  outputs: [{ name: "y" }],
  ...more,
});
const one = (
  op: string,
  inputs: string[],
  attributes: NodeSpec["attributes"] = {},
  initializers: Record<string, TensorSpec> = {},
  more: Partial<ModelSpec> = {},
) => net([node(op, inputs, ["y"], attributes)], initializers, more);
const scalar = (v: number) => float32([], [v]);
const w = float32(
  [4, 4, 1, 1],
  Array.from({ length: 16 }, (_, i) => i - 7.5),
);
const branch = (name: string, op: string, other: string, swap: boolean) => ({
  nodes: [node(op, ["x"], [`${name}1`]), node(other, ["x"], [`${name}2`])],
  outputs: [{ name: swap ? `${name}2` : `${name}1` }, { name: swap ? `${name}1` : `${name}2` }],
});
const choice = (swap: boolean): ModelSpec => ({
  nodes: [
    node("If", ["c"], ["y", "z"], {
      then_branch: branch("t", "Relu", "Sigmoid", swap),
      else_branch: branch("e", "Tanh", "Abs", false),
    }),
  ],
  inputs: [x, { name: "c", dtype: "bool", dims: [] }],
  outputs: [{ name: "y" }, { name: "z" }],
});
const body = (names: readonly [string, string]) => ({
  nodes: [node("Identity", ["go"], ["on"]), node("Sigmoid", ["p"], ["p1"]), node("Relu", ["q"], ["q1"])],
  inputs: [
    { name: "i", dtype: "int64", dims: [] },
    { name: "go", dtype: "bool", dims: [] },
    { name: names[0], dims: ["N", 4, 8, 8] },
    { name: names[1], dims: ["N", 4, 8, 8] },
  ],
  outputs: [
    { name: "on", dtype: "bool", dims: [] },
    { name: "p1", dims: ["N", 4, 8, 8] },
    { name: "q1", dims: ["N", 4, 8, 8] },
  ],
});
const loop = (names: readonly [string, string]): ModelSpec => ({
  nodes: [node("Loop", ["n", "", "x", "x2"], ["y", "z"], { body: body(names) })],
  initializers: { n: int64([], [1]) },
  inputs: [x, { name: "x2", dims: ["N", 4, 8, 8] }],
  outputs: [{ name: "y" }, { name: "z" }],
});
const unequal: Record<string, readonly [ModelSpec, ModelSpec]> = {
  "a larger pooling window": [one("MaxPool", ["x"], { kernel_shape: [2, 2] }), one("MaxPool", ["x"], { kernel_shape: [3, 3] })],
  "an average over another window": [
    one("AveragePool", ["x"], { kernel_shape: [2, 2], pads: [1, 1, 1, 1] }),
    one("AveragePool", ["x"], { kernel_shape: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1 }),
  ],
  "LeakyRelu with slope 1 against the default": [one("LeakyRelu", ["x"], { alpha: f(1) }), one("LeakyRelu", ["x"])],
  "HardSigmoid with alpha 1 against the default": [one("HardSigmoid", ["x"], { alpha: f(1) }), one("HardSigmoid", ["x"])],
  "HardSigmoid with beta 1 against the default": [one("HardSigmoid", ["x"], { beta: f(1) }), one("HardSigmoid", ["x"])],
  "a custom operator's attribute against its absence": [
    net(
      [node("Op", ["x"], ["y"], { epsilon: f(Math.fround(1e-5)) }, { domain: "custom" })],
      {},
      { opsets: { "": 21, custom: 1 } },
    ),
    net([node("Op", ["x"], ["y"], {}, { domain: "custom" })], {}, { opsets: { "": 21, custom: 1 } }),
  ],
  "a large tensor attribute": [
    net(
      [node("Op", ["x"], ["y"], { t: float32([100], new Array(100).fill(1)) }, { domain: "custom" })],
      {},
      { opsets: { "": 21, custom: 1 } },
    ),
    net(
      [node("Op", ["x"], ["y"], { t: float32([100], new Array(100).fill(2)) }, { domain: "custom" })],
      {},
      { opsets: { "": 21, custom: 1 } },
    ),
  ],
  "the constant of a Max, on either side": [
    one("Max", ["k", "x"], {}, { k: scalar(1) }),
    one("Max", ["x", "k"], {}, { k: scalar(2) }),
  ],
  "a Clip without its upper bound": [
    one("Clip", ["x", "lo", "hi"], {}, { lo: scalar(0), hi: scalar(6) }),
    one("Clip", ["x", "lo"], {}, { lo: scalar(0) }),
  ],
  "a Clip with its lower bound left empty": [
    one("Clip", ["x", "lo", "hi"], {}, { lo: scalar(0), hi: scalar(6) }),
    one("Clip", ["x", "", "hi"], {}, { hi: scalar(6) }),
  ],
  "a Slice without its steps": [
    one(
      "Slice",
      ["x", "s", "e", "a", "t"],
      {},
      { s: int64([1], [0]), e: int64([1], [8]), a: int64([1], [2]), t: int64([1], [2]) },
    ),
    one("Slice", ["x", "s", "e", "a"], {}, { s: int64([1], [0]), e: int64([1], [8]), a: int64([1], [2]) }),
  ],
  "a reduction over other axes": [
    one("ReduceSum", ["x", "a"], {}, { a: int64([1], [2]) }),
    one("ReduceSum", ["x", "a"], {}, { a: int64([1], [3]) }),
  ],
  "a Gemm whose bias became a constant": [
    {
      nodes: [node("Gemm", ["m", "k", "c"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [
        { name: "m", dims: ["N", 2] },
        { name: "c", dims: [2] },
      ],
      outputs: [{ name: "y" }],
    },
    {
      nodes: [node("Gemm", ["m", "k", "c0"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]), c0: float32([2], [0, 0]) },
      inputs: [
        { name: "m", dims: ["N", 2] },
        { name: "c", dims: [2] },
      ],
      outputs: [{ name: "y" }],
    },
  ],
  "a Gemm that transposes its input": [
    {
      nodes: [node("Gemm", ["m", "k"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [{ name: "m", dims: [2, 2] }],
      outputs: [{ name: "y" }],
    },
    {
      nodes: [node("Gemm", ["m", "k"], ["y"], { transA: 1 })],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [{ name: "m", dims: [2, 2] }],
      outputs: [{ name: "y" }],
    },
  ],
  "a Gemm with its weight transposed": [
    {
      nodes: [node("Gemm", ["m", "k"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [{ name: "m", dims: [2, 2] }],
      outputs: [{ name: "y" }],
    },
    {
      nodes: [node("Gemm", ["m", "k"], ["y"], { transB: 1 })],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [{ name: "m", dims: [2, 2] }],
      outputs: [{ name: "y" }],
    },
  ],
  "a MatMul with its operands exchanged": [
    {
      nodes: [node("MatMul", ["m", "k"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [{ name: "m", dims: [2, 2] }],
      outputs: [{ name: "y" }],
    },
    {
      nodes: [node("MatMul", ["k", "m"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]) },
      inputs: [{ name: "m", dims: [2, 2] }],
      outputs: [{ name: "y" }],
    },
  ],
  "other padding of a Conv": [
    one("Conv", ["x", "w"], { pads: [0, 0, 0, 0] }, { w }),
    one("Conv", ["x", "w"], { pads: [1, 1, 0, 0] }, { w }),
  ],
  "a Conv with a stride": [one("Conv", ["x", "w"], {}, { w }), one("Conv", ["x", "w"], { strides: [2, 2] }, { w })],
  "a Flatten at another axis of a tensor of unknown rank": [
    one("Flatten", ["x"], { axis: 1 }, {}, { inputs: [{ name: "x" }] }),
    one("Flatten", ["x"], { axis: 2 }, {}, { inputs: [{ name: "x" }] }),
  ],
  "an output that is gone": [
    net([node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["z"])], {}, { outputs: [{ name: "y" }, { name: "z" }] }),
    net([node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["z"])]),
  ],
  "outputs that are exchanged": [
    net([node("Relu", ["x"], ["y"]), node("Tanh", ["x"], ["z"])], {}, { outputs: [{ name: "y" }, { name: "z" }] }),
    net([node("Relu", ["x"], ["z"]), node("Tanh", ["x"], ["y"])], {}, { outputs: [{ name: "y" }, { name: "z" }] }),
  ],
  "outputs of a branch that are exchanged": [choice(false), choice(true)],
  "inputs of a loop body that are exchanged": [loop(["p", "q"]), loop(["q", "p"])],
  "momentum of a normalization that trains": [
    net(
      [node("BatchNormalization", ["x", "g", "g", "g", "g"], ["y", "m", "v"], { training_mode: 1, momentum: f(0.9) })],
      { g: float32([4], [1, 1, 1, 1]) },
      { outputs: [{ name: "y" }, { name: "m" }, { name: "v" }] },
    ),
    net(
      [node("BatchNormalization", ["x", "g", "g", "g", "g"], ["y", "m", "v"], { training_mode: 1, momentum: f(0.5) })],
      { g: float32([4], [1, 1, 1, 1]) },
      { outputs: [{ name: "y" }, { name: "m" }, { name: "v" }] },
    ),
  ],
  "a Mul that is gone": [net([node("Relu", ["x"], ["r"]), node("Mul", ["r", "k"], ["y"])], { k: scalar(2) }), one("Relu", ["x"])],
  "a Sub the other way round": [one("Sub", ["x", "k"], {}, { k: scalar(2) }), one("Sub", ["k", "x"], {}, { k: scalar(2) })],
  "a moved bound of an old Clip": [
    net([node("Clip", ["x"], ["c"], { min: f(0), max: f(6) }), node("Mul", ["c", "k"], ["y"])], { k: scalar(2) }, { opset: 10 }),
    net([node("Mul", ["x", "k"], ["c"]), node("Clip", ["c"], ["y"], { min: f(0), max: f(11) })], { k: scalar(2) }, { opset: 10 }),
  ],
  "a shift before padding": [
    net([node("Add", ["x", "k"], ["a"]), node("Conv", ["a", "w"], ["y"], { pads: [1, 1, 1, 1] })], {
      k: scalar(1),
      w: float32([1, 4, 3, 3], new Array(36).fill(1)),
    }),
    net([node("Conv", ["x", "w", "b"], ["y"], { pads: [1, 1, 1, 1] })], {
      b: float32([1], [36]),
      w: float32([1, 4, 3, 3], new Array(36).fill(1)),
    }),
  ],
  "a negative gain before Relu": [
    net([node("Mul", ["x", "k"], ["a"]), node("Relu", ["a"], ["y"])], { k: scalar(-1) }),
    net([node("Relu", ["x"], ["a"]), node("Mul", ["a", "k"], ["y"])], { k: scalar(-1) }),
  ],
  "a gain along another axis of equal length": [
    one("Mul", ["x", "k"], {}, { k: float32([8, 1], [1, 2, 3, 4, 5, 6, 7, 8]) }),
    one("Mul", ["x", "k"], {}, { k: float32([8], [1, 2, 3, 4, 5, 6, 7, 8]) }),
  ],
  "one more element of an operand, in double": [
    one("Add", ["x", "k"], {}, { k: float64([1], [1]) }, { inputs: [{ ...x, dtype: "float64" }] }),
    one("Add", ["x", "k"], {}, { k: float64([1], [1 + 1e-12]) }, { inputs: [{ ...x, dtype: "float64" }] }),
  ],
};

describe("differences", () => {
  it.each(Object.entries(unequal))("%s is never equal", (_name, [a, b]) => {
    for (const foreign of [false, true]) {
      expect(outcome(a, b, foreign)).not.toBe("equal");
      expect(outcome(b, a, foreign)).not.toBe("equal");
    }
    expect(outcome(a, a)).toBe("equal");
    expect(outcome(b, b)).toBe("equal");
  });
});

/** Pairs that compute the same in different words. */
const same: Record<string, readonly [ModelSpec, ModelSpec]> = {
  "defaults spelled out": [
    one("Conv", ["x", "w"], {}, { w }),
    one("Conv", ["x", "w"], { strides: [1, 1], pads: [0, 0, 0, 0], dilations: [1, 1], group: 1, kernel_shape: [1, 1] }, { w }),
  ],
  "defaults of a Resize spelled out": [
    one("Resize", ["x", "", "s"], {}, { s: float32([4], [1, 1, 2, 2]) }),
    one(
      "Resize",
      ["x", "", "s"],
      {
        mode: "nearest",
        coordinate_transformation_mode: "half_pixel",
        nearest_mode: "round_prefer_floor",
        cubic_coeff_a: f(-0.75),
        exclude_outside: 0,
        extrapolation_value: f(0),
        antialias: 0,
        keep_aspect_ratio_policy: "stretch",
      },
      { s: float32([4], [1, 1, 2, 2]) },
    ),
  ],
  "Flatten or Reshape": [
    net([node("Relu", ["x"], ["r"]), node("Flatten", ["r"], ["y"])], {}),
    net([node("Relu", ["x"], ["r"]), node("Reshape", ["r", "t"], ["y"])], { t: int64([2], [0, -1]) }),
  ],
  "a Constant node or an initializer": [
    one("Add", ["x", "k"], {}, { k: scalar(2) }),
    net([node("Constant", [], ["k"], { value: scalar(2) }), node("Add", ["x", "k"], ["y"])]),
  ],
  "a commuted Add": [
    net([node("Relu", ["x"], ["a"]), node("Tanh", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])]),
    net([node("Relu", ["x"], ["a"]), node("Tanh", ["x"], ["b"]), node("Add", ["b", "a"], ["y"])]),
  ],
  "other inner names": [
    net([node("Relu", ["x"], ["a"]), node("Tanh", ["a"], ["y"])]),
    net([node("Relu", ["x"], ["inner"]), node("Tanh", ["inner"], ["y"])]),
  ],
  "another order of independent nodes": [
    net([node("Relu", ["x"], ["a"]), node("Tanh", ["x"], ["b"]), node("Mul", ["a", "b"], ["y"])]),
    net([node("Tanh", ["x"], ["b"]), node("Relu", ["x"], ["a"]), node("Mul", ["a", "b"], ["y"])]),
  ],
  "an Identity less": [net([node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"])]), one("Relu", ["x"])],
  "MatMul and Add as Gemm": [
    {
      nodes: [node("MatMul", ["m", "k"], ["p"]), node("Add", ["p", "c"], ["y"])],
      initializers: { k: float32([2, 3], [1, 2, 3, 4, 5, 6]), c: float32([3], [1, 2, 3]) },
      inputs: [{ name: "m", dims: ["N", 2] }],
      outputs: [{ name: "y" }],
    },
    {
      nodes: [node("Gemm", ["m", "k", "c"], ["y"])],
      initializers: { k: float32([2, 3], [1, 2, 3, 4, 5, 6]), c: float32([3], [1, 2, 3]) },
      inputs: [{ name: "m", dims: ["N", 2] }],
      outputs: [{ name: "y" }],
    },
  ],
  "a left-hand MatMul as Gemm": [
    {
      nodes: [node("MatMul", ["k", "m"], ["p"]), node("Mul", ["p", "s"], ["y"])],
      initializers: { k: float32([2, 2], [1, 2, 3, 4]), s: float32([2, 1], [2, 4]) },
      inputs: [{ name: "m", dims: [2, 5] }],
      outputs: [{ name: "y" }],
    },
    {
      nodes: [node("Gemm", ["k", "m"], ["y"])],
      initializers: { k: float32([2, 2], [2, 4, 12, 16]) },
      inputs: [{ name: "m", dims: [2, 5] }],
      outputs: [{ name: "y" }],
    },
  ],
  "a gain on a row of zeros": [
    net([node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])], {
      w: float32([2, 4, 1, 1], [0, 0, 0, 0, 1, 2, 3, 4]),
      k: float32([2, 1, 1], [3, 2]),
    }),
    one("Conv", ["x", "w"], {}, { w: float32([2, 4, 1, 1], [0, 0, 0, 0, 2, 4, 6, 8]) }),
  ],
};

describe("different words", () => {
  it.each(Object.entries(same))("%s", (_name, [a, b]) => {
    expect(outcome(a, b)).toBe("equal");
    expect(outcome(a, b, true)).toBe("equal");
  });
});
