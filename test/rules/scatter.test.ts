/** Operators that read or write elements at computed places. */
import { describe, expect, it } from "vitest";
import { float32, int64, type ModelSpec, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, operators, whole } from "./check.ts";
import { verdict } from "./helpers.ts";

const C = 4;
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const mixed = per([1, -2, 0.5, 4]);
const places = (name: string, dims: readonly number[]): ValueSpec => ({ name, dtype: "int64", dims });
const add = (spec: ModelSpec): ModelSpec => ({
  ...spec,
  nodes: spec.nodes.map((n) => (n.op === "Mul" ? { ...n, op: "Add" } : n)),
});

interface More {
  readonly constants?: Record<string, TensorSpec>;
  readonly inputs?: readonly ValueSpec[];
  readonly nodes?: readonly NodeSpec[];
  readonly weight?: TensorSpec;
}
/** Convs c and d of x and z → node to "m" → Mul by k. */
const backward = (step: NodeSpec, k: TensorSpec, { constants = {}, inputs = [], nodes = [], weight }: More = {}): ModelSpec => ({
  opset: 21,
  irVersion: 10,
  nodes: [node("Conv", ["x", "w"], ["c"]), node("Conv", ["z", "v"], ["d"]), ...nodes, step, node("Mul", ["m", "k"], ["y"])],
  initializers: { w: weight ?? whole([C, C, 1, 1]), v: whole([C, C, 1, 1], 9), k, ...constants },
  inputs: [floats("x", [C, C, C, C]), floats("z", [C, C, C, C]), ...inputs],
  outputs: [floats("y"), floats("d")].slice(0, step.inputs.includes("d") ? 1 : 2),
});
/** Mul of x and of z by k → node from "a" and "b" to "m" → Conv. */
const forward = (step: NodeSpec, k: TensorSpec, { constants = {}, inputs = [], nodes = [], weight }: More = {}): ModelSpec => ({
  opset: 21,
  irVersion: 10,
  nodes: [
    node("Mul", ["x", "k"], ["a"]),
    ...(step.inputs.includes("b") ? [node("Mul", ["z", "k"], ["b"])] : []),
    ...nodes,
    step,
    node("Conv", ["m", "w"], ["y"]),
  ],
  initializers: { w: weight ?? whole([2, C, 1, 1]), k, ...constants },
  inputs: [floats("x", [C, C, C, C]), floats("z", [C, C, C, C]), ...inputs],
  outputs: [floats("y")],
});

describe("GatherND", () => {
  const step = (from: string, batch_dims = 0) => node("GatherND", [from, "i"], ["m"], batch_dims === 0 ? {} : { batch_dims });

  it("renumbers the axes of a map", () => {
    // [4, 4, 4, 4] by pairs of the first two axes: the rest is [4, 4].
    const pairs = { inputs: [places("i", [3, 2])] };
    const last = float32([C], [1, -2, 4, 0.5]);
    const nhwc = (from: string, to: string) => node("Transpose", [from], [to], { perm: [0, 2, 3, 1] });
    const back = { ...pairs, nodes: [nhwc("c", "t")] };
    check(backward(step("t"), last, back), { folds: 1 });
    check(add(backward(step("t"), last, back)), { folds: 1 });
    check(backward(step("t"), float32([C, 1], [1, -2, 4, 0.5]), back), { folds: 0, refused: "axis-blocks" });
    // One batch axis, then one index: [4, 2, 4, 4] with the channels at axis 2.
    const batch = { inputs: [places("i", [C, 2, 1])], nodes: [node("Transpose", ["c"], ["t"], { perm: [0, 2, 1, 3] })] };
    check(backward(step("t", 1), float32([C, 1], [1, -2, 4, 0.5]), batch), { folds: 1 });
    check(backward(step("t", 1), float32([2, 1, 1], [1, -2]), batch), { folds: 0, refused: "axis-blocks" });
    check(backward(step("t", 1), float32([C], [1, -2, 4, 0.5]), batch), { folds: 0, refused: "axis-blocks" });
  });

  it("forward", () => {
    // The batch axis is picked: [2, 4, 4, 4].
    const rows = { inputs: [places("i", [2, 1])] };
    check(forward(step("a"), mixed, rows), { folds: 1 });
    check(add(forward(step("a"), mixed, rows)), { folds: 1 });
    // The channels are.
    const channels = { inputs: [places("i", [C, 3, 1])], weight: whole([2, 3, 1, 1]) };
    check(forward(step("a", 1), mixed, channels), { folds: 0, refused: "axis-blocks" });
    check(forward(step("a", 1), float32([C, 1], [1, -2, 0.5, 4]), channels), { folds: 0 });
    check(forward(step("a", 1), float32([], [3]), channels), { folds: 1 });
  });

  it("not with tuples of unknown length", () => {
    const spec = forward(step("a"), mixed, { inputs: [{ name: "i", dtype: "int64", dims: [2, undefined] }] });
    const { folds, messages } = verdict(spec);
    expect(folds, messages).toBe(0);
    expect(messages).toMatch(/as many indices as are known at run time/);
  });
});

describe("ScatterElements and Scatter", () => {
  const elements = (data: string, updates: string, axis: number, more = {}) =>
    node("ScatterElements", [data, "i", updates], ["m"], { axis, ...more });
  const all = { inputs: [places("i", [C, C, C, C])] };

  it("data and updates take one map, back and forward", () => {
    for (const axis of [2, -1, 0]) {
      check(backward(elements("c", "d", axis), mixed, all), { folds: 1 });
      check(forward(elements("a", "b", axis), mixed, all), { folds: 2 });
      check(add(forward(elements("a", "b", axis), mixed, all)), { folds: 2 });
    }
    check(add(backward(elements("c", "d", 2), mixed, all)), { folds: 1 });
    // Each of two weights has a rounding of its own.
    const odd = per([1.1, -2.3, 0.7, 4.9]);
    check(backward(elements("c", "d", 2), odd, all), { folds: 1, tolerance: 1e-6 });
    check(forward(elements("a", "b", 2), odd, all), { folds: 2, tolerance: 1e-6 });
    const bn = batchNorm("m", "y", C, { gain: [1.1, -2.3, 0.7, 4.9] });
    const both = backward(elements("c", "d", 2), odd, all);
    const normal = { ...both, nodes: both.nodes.with(-1, bn.node), initializers: { ...both.initializers, ...bn.initializers } };
    check(normal, { folds: 1, tolerance: 1e-6 });
    const old = backward(node("Scatter", ["c", "i", "d"], ["m"], { axis: 3 }), mixed, all);
    check({ ...old, opset: 9, irVersion: 4 }, { folds: 1 });
  });

  it("not along the axis of the indices, nor into a part of an axis", () => {
    check(backward(elements("c", "d", 1), mixed, all), { folds: 0, refused: "axis-blocks" });
    check(forward(elements("a", "b", 1), mixed, all), { folds: 0, refused: "axis-blocks" });
    const part = {
      inputs: [places("i", [C, 2, C, C])],
      nodes: [node("Slice", ["d", "s", "e", "ax"], ["u"])],
      constants: { s: int64([1], [2]), e: int64([1], [4]), ax: int64([1], [1]) },
    };
    check({ ...backward(elements("c", "u", 2), mixed, part), outputs: [floats("y")] }, { folds: 0, refused: "axis-blocks" });
  });

  it("not with a reduction, not when one of the two does not carry the map", () => {
    check(backward(elements("c", "d", 2, { reduction: "add" }), mixed, all), { folds: 0, refused: "operator-blocks" });
    const one = forward(elements("a", "z", 2), mixed, all);
    check(one, { folds: 0, because: /does not carry the same map/ });
    const other = forward(elements("x", "b", 2), mixed, all);
    check({ ...other, nodes: other.nodes.slice(1) }, { folds: 0, because: /does not carry the same map/ });
    const two = forward(elements("a", "b", 2), mixed, { ...all, constants: { q: per([1, -2, 0.5, 8]) } });
    const odd = { ...two, nodes: two.nodes.map((n) => (n.outputs[0] === "b" ? { ...n, inputs: ["z", "q"] } : n)) };
    check(odd, { folds: 0 });
    const blocked = backward(elements("c", "t", 2), mixed, { ...all, nodes: [node("Tanh", ["z"], ["t"])] });
    check(blocked, { folds: 0, refused: "operator-blocks" });
  });

  it("constants take in what the other side needs", () => {
    const zeros = { inputs: all.inputs, constants: { q: whole([C, C, C, C], 5) } };
    for (const [data, updates] of [
      ["c", "q"],
      ["q", "c"],
    ]) {
      check(backward(elements(data, updates, 2), mixed, zeros), { folds: 1 });
      check(add(backward(elements(data, updates, 2), mixed, zeros)), { folds: 1 });
      const [a, b] = [data, updates].map((name) => (name === "c" ? "a" : name));
      check(forward(elements(a, b, 2), mixed, zeros), { folds: 1 });
      check(add(forward(elements(a, b, 2), mixed, zeros)), { folds: 1 });
      check(forward(elements(a, b, 2), per([1, 0, 2, 4]), zeros), { folds: 0, refused: "sign-blocks" });
    }
  });
});

describe("ScatterND", () => {
  const write = (data: string, updates: string) => node("ScatterND", [data, "i", updates], ["m"]);
  const rows = { inputs: [places("i", [C, 1])] };

  it("data and updates take one map, each along its own axes", () => {
    check(backward(write("c", "d"), mixed, rows), { folds: 1 });
    check(add(backward(write("c", "d"), mixed, rows)), { folds: 1 });
    check(forward(write("a", "b"), mixed, rows), { folds: 2 });
    // Rows of other rank: [4, 4, 4, 4] by pairs, channels last.
    const last = float32([C], [1, -2, 4, 0.3]);
    const nhwc = (from: string, to: string) => node("Transpose", [from], [to], { perm: [0, 2, 3, 1] });
    const pairs = { inputs: [places("i", [C, C, 2])], nodes: [nhwc("c", "t"), nhwc("d", "e")] };
    check({ ...backward(write("t", "e"), last, pairs), outputs: [floats("y")] }, { folds: 1, tolerance: 1e-6 });
    // What is written has an axis less.
    const positive = float32([C], [1, 2.3, 4, 0.3]);
    const single = {
      inputs: [places("i", [C, 2])],
      nodes: [
        nhwc("c", "t"),
        nhwc("d", "e"),
        node("GlobalMaxPool", ["d"], ["g"]),
        node("Reshape", ["g", "s"], ["h"]),
        node("Expand", ["h", "n"], ["u"]),
      ],
      constants: { s: int64([3], [C, 1, C]), n: int64([3], [C, C, C]) },
    };
    const spec = backward(write("t", "u"), positive, single);
    check(
      { ...spec, nodes: spec.nodes.filter((n) => n.outputs[0] !== "e"), outputs: [floats("y")] },
      { folds: 1, tolerance: 1e-6 },
    );
  });

  it("not along what the indices pick", () => {
    check(backward(write("c", "d"), float32([C, 1, 1, 1], [1, 2, 3, 4]), rows), { folds: 0, refused: "axis-blocks" });
  });

  it("into a constant", () => {
    const zeros = { ...rows, constants: { q: whole([C, C, C, C], 5) } };
    check(backward(write("q", "c"), mixed, zeros), { folds: 1 });
    check(forward(write("q", "a"), mixed, zeros), { folds: 1 });
    check(add(forward(write("a", "q"), mixed, zeros)), { folds: 1 });
  });
});

describe("MaxUnpool", () => {
  const pool = node("MaxPool", ["c"], ["p", "i"], { kernel_shape: [2, 2], strides: [2, 2] });
  const unpool = (from: string, more = {}) =>
    node("MaxUnpool", [from, "i"], ["m"], { kernel_shape: [2, 2], strides: [2, 2], ...more });

  it("a gain of each channel where its indices stay there, forward and back", () => {
    const nodes = [pool, node("Conv", ["p", "u"], ["q"])];
    const constants = { u: whole([C, C, 1, 1], 3) };
    const spec = backward(unpool("q"), mixed, { nodes, constants });
    check({ ...spec, outputs: [floats("y")] }, { folds: 1 });
    check({ ...add(spec), outputs: [floats("y")] }, { folds: 0, refused: "shift-blocks" });
    const rows = backward(unpool("q"), float32([C, 1], [1, -2, 3, 4]), { nodes, constants });
    check({ ...rows, outputs: [floats("y")] }, { folds: 0, refused: "axis-blocks" });
    const before = forward(unpool("r"), mixed, {
      nodes: [{ ...pool, inputs: ["z"] }, node("Mul", ["p", "k"], ["r"])],
    });
    const only = { ...before, nodes: before.nodes.slice(1) };
    check(only, { folds: 1 });
  });

  it("one gain for all wherever they are", () => {
    const given = {
      inputs: [places("i", [C, C, 2, 2])],
      nodes: [node("MaxPool", ["c"], ["p"], { kernel_shape: [3, 3] }), node("Conv", ["p", "u"], ["q"])],
      constants: { u: whole([C, C, 1, 1], 3) },
    };
    const spec = (k: TensorSpec) => ({ ...backward(unpool("q"), k, given), outputs: [floats("y")] });
    check(spec(float32([], [-2])), { folds: 1 });
    check(spec(mixed), { folds: 0, refused: "axis-blocks" });
    // A pool of another shape counts its elements otherwise.
    const other = backward(unpool("q"), mixed, {
      ...given,
      inputs: [],
      nodes: [node("MaxPool", ["c"], ["p", "i"], { kernel_shape: [3, 3] }), node("Conv", ["p", "u"], ["q"])],
    });
    check({ ...other, outputs: [floats("y")] }, { folds: 1 });
    const small = {
      ...other,
      inputs: [floats("x", [C, C, 3, 3]), floats("z", [C, C, C, C])],
      nodes: other.nodes.map((n) => (n.op === "MaxPool" ? { ...n, attributes: { kernel_shape: [2, 2] } } : n)),
    };
    check({ ...small, outputs: [floats("y")] }, { folds: 0, refused: "axis-blocks" });
  });
});

describe("MaxRoiPool and Col2Im", () => {
  it("MaxRoiPool: gains that are not negative", () => {
    const step = node("MaxRoiPool", ["c", "r"], ["m"], { pooled_shape: [4, 4] });
    const constants = { r: float32([4, 5], [0, 0, 0, 3, 3, 1, 1, 1, 2, 3, 3, 0, 1, 3, 2, 2, 9, 9, 12, 12]) };
    check(backward(step, per([1, 2, 0, 4]), { constants }), { folds: 1 });
    check(backward(step, mixed, { constants }), { folds: 0, refused: "sign-blocks" });
    check(add(backward(step, mixed, { constants })), { folds: 0, refused: "padding-blocks" });
    check(backward(step, float32([C, 1], [1, 2, 3, 4]), { constants }), { folds: 0, refused: "axis-blocks" });
    check(backward(step, float32([C, 1, 1, 1], [1, 2, 3, 4]), { constants }), { folds: 0, refused: "axis-blocks" });
    check(forward({ ...step, inputs: ["a", "r"] }, per([1, 2, 0.5, 4]), { constants }), { folds: 1 });
  });

  it("Col2Im: a gain of each channel of the image, once for each element of a block", () => {
    const constants = {
      s: int64([2], [3, 3]),
      b: int64([2], [2, 2]),
      u: whole([8, C, 1], 3),
      t: int64([3], [0, 0, -1]),
      f: int64([1], [4]),
    };
    // [4, 8, 4] columns of two channels.
    const columns = [
      node("MaxPool", ["c"], ["p"], { kernel_shape: [3, 3] }),
      node("Reshape", ["p", "t"], ["q"]),
      node("Conv", ["q", "u"], ["l"]),
    ];
    const step = node("Col2Im", ["l", "s", "b"], ["m"]);
    const back = (k: TensorSpec) => ({ ...backward(step, k, { constants, nodes: columns }), outputs: [floats("y")] });
    const done = check(back(per([2, -3])), { folds: 1 });
    expect(operators(done)).toContain("Col2Im");
    check(add(back(per([2, -3]))), { folds: 0, refused: "shift-blocks" });
    check(back(float32([3], [2, -3, 4])), { folds: 0, refused: "axis-blocks" });
    const onward = (k: TensorSpec): ModelSpec => ({
      opset: 21,
      irVersion: 10,
      nodes: [node("Mul", ["x", "k"], ["a"]), node("Col2Im", ["a", "s", "b"], ["m"]), node("Conv", ["m", "w"], ["y"])],
      initializers: { k, s: constants.s, b: constants.b, w: whole([3, 2, 1, 1]) },
      inputs: [floats("x", [2, 8, 4])],
      outputs: [floats("y")],
    });
    check(onward(float32([8, 1], [2, 2, 2, 2, -3, -3, -3, -3])), { folds: 1 });
    check(onward(float32([8, 1], [2, -3, 2, -3, 2, -3, 2, -3])), { folds: 0, refused: "axis-blocks" });
    check(onward(float32([4], [2, 3, 4, 5])), { folds: 0, refused: "axis-blocks" });
  });
});
