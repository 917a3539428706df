/** Operators a map crosses: activations, layout, selection, windows, arithmetic; the nearest cases that must stop it. */
import { describe, expect, it } from "vitest";
import { f, float32, int64, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, integers, operators, whole } from "./check.ts";
import { refuses, verdict } from "./helpers.ts";

const C = 4;
/** Conv → nodes from "c" to "m" → Mul by k. */
function backward(
  through: readonly NodeSpec[],
  k: TensorSpec,
  more: Record<string, TensorSpec> = {},
  rest: Partial<ModelSpec> = {},
): ModelSpec {
  return {
    nodes: [node("Conv", ["x", "w"], ["c"]), ...through, node("Mul", ["m", "k"], ["y"])],
    initializers: { w: whole([C, C, 1, 1]), k, ...more },
    inputs: [floats("x", ["N", C, 4, 4])],
    outputs: [floats("y")],
    ...rest,
  };
}
/** Mul of x by k → nodes from "a" to "m" → Conv. */
function forward(
  through: readonly NodeSpec[],
  k: TensorSpec,
  w: TensorSpec = whole([2, C, 1, 1]),
  more: Record<string, TensorSpec> = {},
  rest: Partial<ModelSpec> = {},
): ModelSpec {
  return {
    nodes: [node("Mul", ["x", "k"], ["a"]), ...through, node("Conv", ["m", "w"], ["y"])],
    initializers: { w, k, ...more },
    inputs: [floats("x", ["N", C, 4, 4])],
    outputs: [floats("y")],
    ...rest,
  };
}
const per = (values: number[]) => float32([values.length, 1, 1], values);
const positive = per([1, 2, 0.5, 4]);
const mixed = per([1, -2, 0.5, 4]);
const zero = per([1, 0, 2, 4]);
const shift = (spec: ModelSpec): ModelSpec => ({
  ...spec,
  nodes: spec.nodes.map((n) => (n.op === "Mul" ? { ...n, op: "Add" } : n)),
});

describe("activations", () => {
  it.each([
    ["Relu", {}],
    ["LeakyRelu", { alpha: f(0.5) }],
    ["LeakyRelu", { alpha: f(-0.5) }],
  ] as const)("%s %j lets gains that are not negative through, and no shift", (op, attributes) => {
    const step = (from: string) => [node(op, [from], ["m"], attributes)];
    check(backward(step("c"), positive), { folds: 1 });
    check(backward(step("c"), zero), { folds: 1 });
    check(forward(step("a"), positive), { folds: 1 });
    refuses(backward(step("c"), mixed), "sign-blocks");
    refuses(shift(backward(step("c"), positive)), "shift-blocks");
  });

  it("PRelu needs a constant slope", () => {
    const step = [node("PRelu", ["c", "p"], ["m"])];
    check(backward(step, positive, { p: per([0.5, -0.25, 2, 1]) }), { folds: 1 });
    const spec = backward(step, positive);
    refuses({ ...spec, inputs: [...(spec.inputs ?? []), floats("p", [C, 1, 1])] }, "weight-not-constant");
  });

  it("Abs lets a gain forward as its absolute value, and back only when it is not negative", () => {
    check(forward([node("Abs", ["a"], ["m"])], mixed), { folds: 1 });
    check(backward([node("Abs", ["c"], ["m"])], positive), { folds: 1 });
    refuses(backward([node("Abs", ["c"], ["m"])], mixed), "sign-blocks");
  });

  it("saturating activations stop everything", () => {
    for (const op of ["Sigmoid", "Tanh", "Erf", "Softplus"])
      refuses(backward([node(op, ["c"], ["m"])], positive), "operator-blocks");
  });

  it("Dropout counts as nothing only while it does nothing", () => {
    const drop = (inputs: string[]) => [node("Dropout", inputs, ["m"])];
    const off: TensorSpec = { dtype: "bool", dims: [], values: [0] };
    check(backward(drop(["c"]), mixed), { folds: 1 });
    check(backward(drop(["c", "", "t"]), mixed, { t: off }), { folds: 1 });
    const refused = backward(drop(["c", "", "t"]), mixed, { t: { ...off, values: [1] } });
    refuses(refused, "training-mode");
    const fed = backward(drop(["c", "", "t"]), mixed, { t: off });
    refuses({ ...fed, inputs: [...(fed.inputs ?? []), { name: "t", dtype: "bool", dims: [] }] }, "training-mode");
    const read = backward([node("Dropout", ["c"], ["m", "mask"]), node("Not", ["mask"], ["z"])], mixed);
    refuses({ ...read, outputs: [...read.outputs, { name: "z", dtype: "bool" }] }, "extra-outputs-used");
  });

  it("a Dropout before opset 7 drops unless it is told that it is tested", () => {
    const bn = batchNorm("m", "y", C);
    const old = (attributes: NodeSpec["attributes"]): ModelSpec => ({
      ...backward([node("Dropout", ["c"], ["m"], attributes)], mixed, bn.initializers, { opset: 6 }),
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("Dropout", ["c"], ["m"], attributes),
        { ...bn.node, attributes: { ...bn.node.attributes, is_test: 1 } },
      ],
    });
    check(old({ is_test: 1 }), { folds: 1 });
    refuses(old({}), "training-mode");
  });

  it("an exponent that is no number stops what a number lets through", () => {
    const power = (p: number) => forward([node("Pow", ["a", "p"], ["m"])], positive, undefined, { p: float32([], [p]) });
    check(power(2), { folds: 1 });
    expect(verdict(power(Number.POSITIVE_INFINITY)).folds).toBe(0);
    expect(verdict(power(Number.POSITIVE_INFINITY)).messages).toMatch(/has the exponent Infinity/);
  });
});

describe("layout", () => {
  it("a Transpose carries the axis along", () => {
    const step = [node("Transpose", ["c"], ["m"], { perm: [0, 2, 3, 1] })];
    check(backward(step, float32([C], [1, -2, 3, 4])), { folds: 1 });
    refuses(backward(step, per([1, -2, 3, 4])), "axis-blocks");
  });

  it("a Reshape of channels and pixels carries a map only when it can be told apart", () => {
    const merge = [node("Reshape", ["c", "t"], ["m"])];
    const t = int64([3], [0, C, 16]);
    check(backward(merge, float32([C, 1], [1, -2, 3, 4]), { t }), { folds: 1 });
    // [N, 4, 4, 4] → [N, 16, 4]: the new axis mixes channels with rows.
    const mixing = { t: int64([3], [0, 16, 4]) };
    refuses(backward(merge, float32([16, 1], integers(16, 3, 1, 9)), mixing), "axis-blocks");
    check(
      backward(
        merge,
        float32(
          [16, 1],
          Array.from({ length: 16 }, (_, i) => [1, -2, 3, 4][i >> 2]),
        ),
        mixing,
      ),
      { folds: 1 },
    );
    refuses(
      backward(
        merge,
        float32(
          [16, 1],
          Array.from({ length: 16 }, (_, i) => [1, -2, 3, 4][i % 4]),
        ),
        mixing,
      ),
      "axis-blocks",
    );
  });

  it("DepthToSpace takes blocks in each order", () => {
    for (const mode of ["DCR", "CRD"])
      check(backward([node("DepthToSpace", ["c"], ["m"], { blocksize: 2, mode })], float32([1], [3])), { folds: 1 });
    const wide = (mode: string, k: TensorSpec): ModelSpec => ({
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("DepthToSpace", ["c"], ["m"], { blocksize: 2, mode }),
        node("Mul", ["m", "k"], ["y"]),
      ],
      initializers: { w: whole([8, C, 1, 1]), k },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
    });
    for (const mode of ["DCR", "CRD"]) check(wide(mode, per([2, -3])), { folds: 1 });
    const into = (k: TensorSpec) => forward([node("DepthToSpace", ["a"], ["m"], { blocksize: 2 })], k, whole([2, 1, 1, 1]));
    check(into(per([3, 3, 3, 3])), { folds: 1 });
    refuses(into(per([3, 3, 3, 4])), "axis-blocks");
  });

  it("Expand and Tile stop a map along what they repeat", () => {
    const tile = [node("Tile", ["c", "r"], ["m"])];
    const r = int64([4], [1, 2, 1, 1]);
    check(backward(tile, per([1, 2, 3, 4, 1, 2, 3, 4]), { r }), { folds: 1 });
    refuses(backward(tile, per([1, 2, 3, 4, 5, 6, 7, 8]), { r }), "axis-blocks");
  });
});

describe("selection", () => {
  it("a Concat cuts the map, and one input that cannot take its part keeps it whole", () => {
    const two: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["x", "v"], ["b"]),
        node("Concat", ["a", "b"], ["m"], { axis: 1 }),
        node("Mul", ["m", "k"], ["y"]),
      ],
      initializers: { w: whole([2, C, 1, 1]), v: whole([3, C, 1, 1], 9), k: per([1, -2, 3, 4, 5]) },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
    };
    check(two, { folds: 1 });
    refuses(
      {
        ...two,
        nodes: two.nodes.map((n) => (n.outputs[0] === "b" ? node("Sigmoid", ["x"], ["b"]) : n)),
        initializers: { ...two.initializers, k: per([1, -2, 3, 4, 5, 6]) },
      },
      "operator-blocks",
    );
    refuses({ ...two, nodes: [...two.nodes, node("Relu", ["b"], ["z"])], outputs: [floats("y"), floats("z")] }, "other-reader");
  });

  it("a Slice leaves the channels alone that it does not take", () => {
    const first: ModelSpec = backward([node("Slice", ["c", "s", "e", "ax"], ["m"])], per([3, -2]), {
      s: int64([1], [1]),
      e: int64([1], [3]),
      ax: int64([1], [1]),
    });
    check(first, { folds: 1 });
    const other = {
      ...first,
      nodes: [...first.nodes, node("Slice", ["c", "s0", "e0", "ax"], ["z"])],
      outputs: [floats("y"), floats("z")],
    };
    check({ ...other, initializers: { ...first.initializers, s0: int64([1], [3]), e0: int64([1], [4]) } }, { folds: 1 });
    refuses({ ...other, initializers: { ...first.initializers, s0: int64([1], [2]), e0: int64([1], [4]) } }, "other-reader");
  });

  it("a Slice that takes all channels, whatever their number, does not see the map", () => {
    const spec = forward([node("Slice", ["a", "s", "e", "ax"], ["m"])], positive, undefined, {
      s: int64([2], [0, 1]),
      e: int64([2], [2 ** 31 - 1, -1]),
      ax: int64([2], [1, 2]),
    });
    const bn = batchNorm("x", "a", C);
    const initializers = { ...spec.initializers, ...bn.initializers };
    const known = { ...spec, nodes: [bn.node, ...spec.nodes.slice(1)], initializers };
    check(known, { folds: 1 });
    const open = { ...known, inputs: [floats("x", ["N", "C", "H", "W"])] };
    expect(verdict(open).folds).toBe(1);
    refuses({ ...open, initializers: { ...initializers, s: int64([2], [1, 1]) } }, "is-graph-input");
  });

  it("a Gather that takes a channel twice needs one gain for both", () => {
    const pick = (k: number[]) =>
      backward([node("Gather", ["c", "i"], ["m"], { axis: 1 })], per(k), { i: int64([3], [2, 0, 2]) });
    check(pick([3, -2, 3]), { folds: 1 });
    refuses(pick([3, -2, 4]), "axis-blocks");
  });

  it("one of three slices taken by scalar indices is scaled alone, as queries are", () => {
    const part = (to: string, index: string) => node("Gather", ["t", index], [to], { axis: 2 });
    const heads: ModelSpec = {
      nodes: [
        node("MatMul", ["x", "w"], ["c"]),
        node("Reshape", ["c", "s"], ["t"]),
        ...[part("q", "i0"), part("k", "i1"), part("v", "i2")],
        node("Mul", ["q", "half"], ["y"]),
      ],
      initializers: {
        w: whole([4, 18]),
        s: int64([5], [0, 0, 3, 2, 3]),
        ...{ i0: int64([], [0]), i1: int64([], [1]), i2: int64([], [-1]), half: float32([], [2]) },
      },
      inputs: [floats("x", ["N", 5, 4])],
      outputs: [floats("y"), floats("k"), floats("v")],
    };
    check(heads, { folds: 1 });
    const again = { ...heads, nodes: [...heads.nodes, part("z", "i0")], outputs: [...heads.outputs, floats("z")] };
    refuses(again, "other-reader");
    const grid: ModelSpec = backward([node("Gather", ["c", "i"], ["m"], { axis: 1 })], float32([2, 2, 1, 1], [1, 2, 3, 4]), {
      i: int64([2, 2], [3, 1, 0, 2]),
    });
    check(grid, { folds: 1 });
  });

  it("CastLike sees of its target only the type", () => {
    const spec = backward([node("CastLike", ["c", "u"], ["m"])], mixed, { u: float32([1], [7]) });
    check(spec, { folds: 1 });
    const target = backward([node("Identity", ["c"], ["m"])], mixed);
    check(
      {
        ...target,
        nodes: [...target.nodes, node("CastLike", ["one", "c"], ["z"])],
        initializers: { ...target.initializers, one: float32([1], [1]) },
        outputs: [...target.outputs, floats("z")],
      },
      { folds: 1 },
    );
  });

  it("a table takes a map on its columns, not on positions of equal number", () => {
    const table = (k: TensorSpec): ModelSpec => ({
      nodes: [node("Gather", ["t", "i"], ["m"]), node("Mul", ["m", "k"], ["y"])],
      initializers: { t: whole([5, 4]), k },
      inputs: [{ name: "i", dtype: "int64", dims: [2, 4] }],
      outputs: [floats("y")],
    });
    check(table(float32([4], [1, -2, 3, 4])), { folds: 1 });
    refuses(table(float32([4, 1], [1, -2, 3, 4])), "axis-blocks");
  });
});

describe("windows", () => {
  it("averages take gains always and shifts where no padding is averaged in", () => {
    const pool = (attributes: NodeSpec["attributes"]) => [
      node("AveragePool", ["c"], ["m"], { kernel_shape: [2, 2], ...attributes }),
    ];
    check(backward(pool({ pads: [1, 1, 0, 0], count_include_pad: 1 }), mixed), { folds: 1 });
    check(shift(backward(pool({ pads: [1, 1, 0, 0] }), mixed)), { folds: 1, tolerance: 1e-15 });
    refuses(shift(backward(pool({ pads: [1, 1, 0, 0], count_include_pad: 1 }), mixed)), "padding-blocks");
    refuses(shift(backward(pool({ ceil_mode: 1, strides: [3, 3], count_include_pad: 1 }), mixed)), "padding-blocks");
  });

  it("maxima turn round under negative gains", () => {
    const pool = [node("MaxPool", ["c"], ["m"], { kernel_shape: [2, 2] })];
    check(backward(pool, positive), { folds: 1 });
    check(shift(backward(pool, mixed)), { folds: 1 });
    refuses(backward(pool, mixed), "sign-blocks");
    const indexed = [node("MaxPool", ["c"], ["m", "i"], { kernel_shape: [2, 2] })];
    check(backward(indexed, positive, {}, { outputs: [floats("y"), { name: "i", dtype: "int64" }] }), { folds: 1 });
    refuses(backward(indexed, zero, {}, { outputs: [floats("y"), { name: "i", dtype: "int64" }] }), "sign-blocks");
  });

  it("norms are never negative, which is what is said of them", () => {
    const spec = backward([node("ReduceL2", ["c"], ["m"], { axes: [2, 3], keepdims: 1 })], mixed);
    check(spec, { folds: 0, refused: "sign-blocks", because: /gives no negative numbers/ });
  });

  it("a reduction over channels takes one gain for all", () => {
    const mean = [node("ReduceMean", ["c", "a"], ["m"])];
    check(backward(mean, float32([], [2]), { a: int64([1], [1]) }), { folds: 1 });
    refuses(forward([node("ReduceSum", ["a", "ax"], ["m"])], mixed, whole([2, 1, 1, 1]), { ax: int64([1], [1]) }), "axis-blocks");
    check(shift(backward([node("ReduceSum", ["c", "a"], ["m"])], mixed, { a: int64([1], [3]) })), { folds: 1 });
  });

  it("a Pad of zeros takes gains of any sign, and moves its value under a shift that is one number", () => {
    const pad = [node("Pad", ["c", "p"], ["m"])];
    const p = int64([8], [0, 0, 1, 1, 0, 0, 1, 1]);
    check(backward(pad, mixed, { p }), { folds: 1 });
    check(backward(pad, zero, { p }), { folds: 1 });
    check(shift(backward(pad, float32([], [3]), { p })), { folds: 1 });
    refuses(shift(backward(pad, mixed, { p })), "padding-blocks");
    check(shift(backward([node("Pad", ["c", "p"], ["m"], { mode: "reflect" })], mixed, { p })), { folds: 1 });
    const channels = int64([8], [0, 1, 0, 0, 0, 0, 0, 0]);
    refuses(backward(pad, per([1, 2, 3, 4, 5]), { p: channels }), "axis-blocks");
  });

  it("a Resize of other axes takes everything", () => {
    const resize = [node("Resize", ["c", "", "s"], ["m"], { mode: "linear" })];
    const s = float32([4], [1, 1, 2, 2]);
    check(backward(resize, mixed, { s }), { folds: 1 });
    check(shift(backward(resize, mixed, { s })), { folds: 1, tolerance: 1e-15 });
  });
});

describe("arithmetic", () => {
  it("a residual sum hands a gain to every branch, and a shift to one", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w"], ["a"]),
        node("Conv", ["x", "v"], ["b"]),
        node("Sub", ["a", "b"], ["m"]),
        node("Mul", ["m", "k"], ["y"]),
      ],
      initializers: { w: whole([C, C, 3, 3]), v: whole([C, C, 1, 1], 9), k: mixed },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
    };
    const padded = { ...spec, nodes: [node("Conv", ["x", "w"], ["a"], { pads: [1, 1, 1, 1] }), ...spec.nodes.slice(1)] };
    expect(check(padded, { folds: 1 }).after.graph.nodes.length).toBeLessThanOrEqual(3);
    const one = { ...padded, nodes: padded.nodes.map((n) => (n.outputs[0] === "b" ? node("Tanh", ["x"], ["b"]) : n)) };
    refuses(one, "operator-blocks");
    check(shift(one), { folds: 1, tolerance: 1e-14 });
  });

  it("a product hands a gain to one factor, never a shift", () => {
    const gate: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("Sigmoid", ["x"], ["g"]),
        node("Mul", ["c", "g"], ["m"]),
        node("Mul", ["m", "k"], ["y"]),
      ],
      initializers: { w: whole([C, C, 1, 1]), k: mixed },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
    };
    check(gate, { folds: 1, tolerance: 1e-15 });
    refuses({ ...gate, nodes: [...gate.nodes.slice(0, 3), node("Add", ["m", "k"], ["y"])] }, "shift-blocks");
  });

  it("a sum of one map along two axes of equal length is not one map", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Mul", ["x", "k"], ["a"]),
        node("Unsqueeze", ["a", "ax"], ["b"]),
        node("Add", ["a", "b"], ["m"]),
        node("MatMul", ["m", "w"], ["y"]),
      ],
      initializers: { k: float32([3], [1, 2, 3]), ax: int64([1], [1]), w: whole([3, 2]) },
      inputs: [floats("x", [3])],
      outputs: [floats("y")],
    };
    check(spec, { folds: 0 });
  });

  it("a constant the other way round keeps its sign", () => {
    const spec = (op: string, inputs: string[], k: TensorSpec) =>
      backward([node(op, inputs, ["m"])], float32([], [-2]), { q: k });
    for (const q of [per([1, 2, 3, 4]), float32([], [3])]) {
      check(spec("Sub", ["q", "c"], q), { folds: 2 });
      check(spec("Sub", ["c", "q"], q), { folds: 2 });
      check(spec("Add", ["q", "c"], q), { folds: 2 });
      check(spec("Mul", ["q", "c"], q), { folds: 2 });
    }
    check(spec("Neg", ["c"], per([1])), { folds: 2 });
  });

  it("maps that change nothing go, unless both of their names are spoken for", () => {
    const spec = (outputs: string[]): ModelSpec => ({
      nodes: [node("Relu", ["x"], ["a"]), node("Mul", ["a", "k"], ["b"]), node("Tanh", ["b"], ["c"])],
      initializers: { k: float32([C, 1, 1], [1, 1, 1, 1]) },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: outputs.map((name) => floats(name)),
    });
    expect(operators(check(spec(["c"]), { folds: 1 }))).toEqual(["Relu", "Tanh"]);
    check(spec(["a", "c"]), { folds: 1 });
    check(spec(["b", "c"]), { folds: 1 });
    refuses(spec(["a", "b", "c"]), "is-graph-output");
    refuses({ ...spec(["b"]), nodes: [node("Mul", ["x", "k"], ["b"])] }, "is-graph-input");
  });
});

describe("BatchNormalization as a neighbour", () => {
  it("absorbs what comes before and after when it has to stay", () => {
    const [n, m] = [batchNorm("x", "n", C), batchNorm("n", "y", C)];
    const spec: ModelSpec = {
      nodes: [n.node, m.node],
      initializers: { ...n.initializers, ...m.initializers },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
    };
    check(spec, { folds: 1, tolerance: 1e-6 });
  });

  it("stays when it trains, has its statistics read or lacks a positive variance", () => {
    const n = batchNorm("c", "y", C);
    const spec = (more: Partial<NodeSpec>, initializers = {}, opset = 15): ModelSpec => ({
      nodes: [node("Conv", ["x", "w"], ["c"]), { ...n.node, ...more }],
      initializers: { w: whole([C, C, 1, 1]), ...n.initializers, ...initializers },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
      opset,
    });
    refuses(spec({ attributes: { training_mode: 1 } }), "training-mode");
    refuses(spec({ outputs: ["y", "m", "v"] }, {}, 9), "training-mode");
    refuses(spec({ attributes: {} }, {}, 6), "training-mode");
    refuses(spec({}, { y_var: float32([C], [1, 0, 1, 1]) }), "parameter-not-finite");
    refuses(spec({}, { y_var: float32([C], [1, Number.NaN, 1, 1]) }), "parameter-not-finite");
    refuses(spec({}, { y_mean: float32([C], [1, Number.POSITIVE_INFINITY, 1, 1]) }), "parameter-not-finite");
    refuses(spec({}, { y_scale: float32([3], [1, 1, 1]) }), "parameter-shape");
    check(spec({ attributes: { is_test: 1, epsilon: f(0) } }, {}, 6), { folds: 1 });
    check(spec({ outputs: ["y", "", ""] }, {}, 9), { folds: 1 });
  });
});
