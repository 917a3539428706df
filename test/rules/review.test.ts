/** Graphs made to mislead the rules: what looks like the channel axis and is not, what looks unchanged and is not. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { prove } from "../../src/verify/index.ts";
import {
  f,
  float32,
  float64,
  fs,
  int64,
  type ModelSpec,
  model,
  type NodeSpec,
  node,
  type TensorSpec,
  type ValueSpec,
} from "../helpers/build.ts";
import { batchNorm, check, floats, operators, whole } from "./check.ts";

const GAINS = float32([4, 1, 1], [2, 0.5, 4, 1]);
const conv = node("Conv", ["x", "w"], ["c"]);
const w = whole([4, 2, 1, 1], 1);

function net(
  nodes: NodeSpec[],
  initializers: Record<string, TensorSpec>,
  more: Partial<ModelSpec> & { dims?: ValueSpec["dims"] } = {},
): ModelSpec {
  const { dims = [2, 2, 4, 4], ...rest } = more;
  return {
    opset: 21,
    irVersion: 10,
    nodes,
    initializers: { w, ...initializers },
    inputs: [floats("x", dims)],
    outputs: [floats("y")],
    ...rest,
  };
}
const follow = (
  between: NodeSpec | NodeSpec[],
  op: string,
  map: TensorSpec,
  constants: Record<string, TensorSpec> = {},
  more: Partial<ModelSpec> = {},
) => net([conv, ...[between].flat(), node(op, ["m", "s"], ["y"])], { s: map, ...constants }, more);
const ROUNDING = { tolerance: 1e-12 };

describe("Resize and Upsample", () => {
  it("a factor that keeps the size of the channel axis still moves its samples", () => {
    const resize = node("Resize", ["c", "", "scales"], ["m"], { mode: "linear" });
    check(follow(resize, "Mul", GAINS, { scales: float32([4], [1, 1.2, 2, 2]) }), {
      folds: 0,
      refused: "axis-blocks",
      ...ROUNDING,
    });
    check(follow(resize, "Mul", GAINS, { scales: float32([4], [1, 1, 2, 2]) }), { folds: 1, ...ROUNDING });
  });

  it("a policy that keeps the ratio takes one factor for all axes, which moves the samples of two channels", () => {
    const resize = (policy: string, axes: number[]) =>
      node("Resize", ["x", "", "", "sizes"], ["m"], { mode: "linear", axes, keep_aspect_ratio_policy: policy });
    const two = float32([2, 1, 1], [2, 0.5]);
    const spec = (made: NodeSpec, sizes: number[]) =>
      net(
        [node("Conv", ["x", "w"], ["c"]), { ...made, inputs: ["c", "", "", "sizes"] }, node("Mul", ["m", "s"], ["y"])],
        {
          w: whole([2, 2, 1, 1], 1),
          s: two,
          sizes: int64([sizes.length], sizes),
        },
        { dims: [2, 2, 10, 10], valueInfos: [floats("m", [2, 2, 12, 12])] },
      );
    // The smallest factor is 1.2 of 10: 2 channels stay 2, and are samples between them.
    check(spec(resize("not_larger", [1, 2, 3]), [3, 12, 12]), { folds: 0, refused: "axis-blocks", ...ROUNDING });
    check(spec(resize("stretch", [1, 2, 3]), [2, 12, 12]), { folds: 1, ...ROUNDING });
  });

  it("a factor that is known when the graph runs may move the samples of a size it keeps", () => {
    const spec = net(
      [conv, node("Resize", ["c", "", "factors"], ["m"], { mode: "linear" }), node("Mul", ["m", "s"], ["y"])],
      { s: GAINS },
      { valueInfos: [floats("m", [2, 4, 4, 4])], inputs: [floats("x", [2, 2, 4, 4]), floats("factors", [4])] },
    );
    const factors = { dtype: "float32" as const, dims: [4], data: Float32Array.from([1, 1.2, 1, 1]) };
    check(spec, { folds: 0, refused: "axis-blocks", feeds: { factors }, ...ROUNDING });
  });

  it("a factor that changes the number of channels is seen", () => {
    const resize = node("Resize", ["c", "", "scales"], ["m"], { mode: "nearest" });
    check(follow(resize, "Mul", float32([8, 1, 1], [1, 2, 4, 8, 1, 2, 4, 8]), { scales: float32([4], [1, 2, 1, 1]) }), {
      folds: 0,
    });
  });

  it("Upsample by attributes and by input", () => {
    check(follow(node("Upsample", ["c"], ["m"], { scales: fs([1, 1, 2, 2]) }), "Mul", GAINS, {}, { opset: 8 }), { folds: 1 });
    check(follow(node("Upsample", ["c", "scales"], ["m"]), "Add", GAINS, { scales: float32([4], [1, 1, 2, 2]) }, { opset: 9 }), {
      folds: 1,
    });
  });

  it("sizes that keep the channels; a crop with a filling only lets a gain through", () => {
    const resize = (attributes: Record<string, string>) =>
      node("Resize", ["c", "roi", "", "sizes"], ["m"], { mode: "linear", ...attributes });
    const constants = { roi: float32([8], [0, 0, 0, 0, 1, 1, 1.5, 1.5]), sizes: int64([4], [2, 4, 3, 3]) };
    check(follow(resize({}), "Add", GAINS, constants), { folds: 1, ...ROUNDING });
    check(follow(resize({ coordinate_transformation_mode: "tf_crop_and_resize" }), "Add", GAINS, constants), {
      folds: 0,
      refused: "padding-blocks",
      ...ROUNDING,
    });
    check(follow(resize({ coordinate_transformation_mode: "tf_crop_and_resize" }), "Mul", GAINS, constants), {
      folds: 1,
      ...ROUNDING,
    });
  });
});

describe("broadcasts", () => {
  it("MatMul of computed operands: a batch axis that only the other operand has", () => {
    const spec = (s: TensorSpec): ModelSpec => ({
      nodes: [
        node("Conv", ["x", "k"], ["a"]),
        node("Conv", ["z", "k"], ["b"]),
        node("MatMul", ["a", "b"], ["m"]),
        node("Mul", ["m", "s"], ["y"]),
      ],
      initializers: { k: whole([3, 2, 1, 1], 1), s },
      inputs: [floats("x", [1, 2, 4, 4]), floats("z", [5, 2, 4, 4])],
      outputs: [floats("y")],
    });
    check(spec(float32([5, 1, 1, 1], [1, 2, 4, 8, 16])), { folds: 0 });
    check(spec(float32([3, 1, 1], [1, 2, 4])), { folds: 1 });
  });

  it("a batch of constant matrices takes a gain per feature or per matrix", () => {
    const spec = (s: TensorSpec, nodes: NodeSpec): ModelSpec => ({
      nodes: [nodes, node("Mul", ["m", "s"], ["y"])],
      initializers: { b: whole([3, 4, 4], 2), s },
      inputs: [floats("x", [3, 4, 4])],
      outputs: [floats("y")],
    });
    check(spec(float32([4], [1, 2, 4, 8]), node("MatMul", ["x", "b"], ["m"])), { folds: 1 });
    check(spec(float32([3, 1, 1], [2, -4, 8]), node("MatMul", ["x", "b"], ["m"])), { folds: 1 });
    check(spec(float32([4, 1], [1, 2, 4, 8]), node("MatMul", ["b", "x"], ["m"])), { folds: 1 });
    check(spec(float32([4, 1], [1, 2, 4, 8]), node("MatMul", ["x", "b"], ["m"])), { folds: 0 });
  });

  it("a constant of higher rank than its partner changes the rank", () => {
    check(
      follow(
        [node("ReduceMax", ["c", "axes"], ["r"], { keepdims: 0 }), node("Max", ["r", "one"], ["m"])],
        "Mul",
        float32([], [2]),
        { axes: int64([2], [2, 3]), one: float32([1, 1, 1], [1]) },
      ),
      { folds: 0 },
    );
  });

  it("equal maps on different axes are not equal", () => {
    // a [4, 4] scaled along columns, b [2, 4, 4] along rows: both are [1, 4, …] to a careless eye.
    const nodes = [
      node("Mul", ["x", "s"], ["v"]),
      node("ReduceMax", ["v", "zero"], ["r"], { keepdims: 0 }),
      node("Transpose", ["r"], ["t"], { perm: [1, 0] }),
      node("Add", ["v", "t"], ["a"]),
      node("MatMul", ["a", "b"], ["y"]),
    ];
    check(
      {
        nodes,
        initializers: { s: float32([4, 1], [1, 2, 4, 8]), zero: int64([1], [0]), b: whole([4, 3]) },
        inputs: [floats("x", [2, 4, 4])],
        outputs: [floats("y")],
      },
      { folds: 0 },
    );
  });

  it("a constant that widens its partner", () => {
    check(
      {
        nodes: [node("Conv", ["x", "k"], ["c"]), node("Mul", ["c", "s"], ["y"])],
        initializers: { k: whole([1, 2, 1, 1], 1), s: GAINS },
        inputs: [floats("x", [2, 2, 3, 3])],
        outputs: [floats("y")],
      },
      { folds: 0, refused: "broadcast-grows" },
    );
  });
});

describe("what is picked", () => {
  it("a crop in height does not make the map depend on height", () => {
    const slice = node("Slice", ["c", "starts", "ends", "axes"], ["m"]);
    const constants = { starts: int64([1], [1]), ends: int64([1], [3]), axes: int64([1], [-2]) };
    check(follow(slice, "Mul", GAINS, constants), { folds: 1 });
    check(follow(slice, "Add", GAINS, constants), { folds: 1 });
  });

  it("bounds of which nobody knows how many there are may be those of any axis", () => {
    const slice = node("Slice", ["c", "starts", "ends"], ["m"]);
    const spec = follow(slice, "Mul", GAINS);
    const bounds = ["starts", "ends"].map((name) => ({ name, dtype: "int64", dims: [undefined] }));
    const feeds = { starts: [0, 0], ends: [2, 4] };
    const given = Object.entries(feeds).map(([name, v]) => [
      name,
      { dtype: "int64", dims: [2], data: BigInt64Array.from(v, BigInt) },
    ]);
    check({ ...spec, inputs: [...(spec.inputs ?? []), ...bounds] }, { folds: 0, feeds: Object.fromEntries(given) });
  });

  it("crops that share a value need one map", () => {
    const cut = (from: string, to: string, out: string) => node("Slice", ["c", from, to, "axes"], [out]);
    const constants = { i0: int64([1], [0]), i2: int64([1], [2]), i4: int64([1], [4]), axes: int64([1], [2]), s: GAINS };
    const two = net(
      [conv, cut("i0", "i2", "m"), cut("i2", "i4", "n"), node("Mul", ["m", "s"], ["y"]), node("Relu", ["n"], ["z"])],
      constants,
    );
    check({ ...two, outputs: [floats("y"), floats("z")] }, { folds: 0 });
  });

  it("a channel picked twice, and picked backwards", () => {
    const gather = node("Gather", ["c", "i"], ["m"], { axis: 1 });
    check(follow(gather, "Mul", GAINS, { i: int64([4], [0, 0, 1, 2]) }), { folds: 0, refused: "axis-blocks" });
    check(follow(gather, "Mul", GAINS, { i: int64([4], [-1, -2, -3, -4]) }), { folds: 1 });
    const slice = node("Slice", ["c", "a", "b", "axes", "steps"], ["m"]);
    check(
      follow(slice, "Mul", GAINS, { a: int64([1], [-1]), b: int64([1], [-9]), axes: int64([1], [1]), steps: int64([1], [-1]) }),
      { folds: 1 },
    );
  });

  it("a scalar index drops the axis", () => {
    const gather = node("Gather", ["c", "i"], ["m"], { axis: 0 });
    check(follow(gather, "Mul", float32([4, 1, 1], [1, 2, 4, 8]), { i: int64([], [1]) }), { folds: 1 });
    // The same length on the axis that moved up is another axis.
    check(follow(gather, "Mul", float32([4, 1], [1, 2, 4, 8]), { i: int64([], [1]) }), { folds: 0, refused: "axis-blocks" });
  });
});

describe("constants that are sequences", () => {
  it("count by what is taken out of them, in the plan and in the proof", () => {
    const spec = net(
      [
        node("SplitToSequence", ["bias", "sizes"], ["parts"], { axis: 0 }),
        node("SequenceAt", ["parts", "second"], ["b"]),
        node("Conv", ["x", "w", "b"], ["c"]),
        node("Mul", ["c", "s"], ["y"]),
      ],
      { s: GAINS, bias: float32([7], [9, 9, 9, 1, 2, 3, 4]), sizes: int64([2], [3, 4]), second: int64([], [1]) },
    );
    check(spec, { folds: 1 });
  });
});

describe("forms of other opsets", () => {
  it("Dropout whose training_mode a caller may set", () => {
    const dropout = node("Dropout", ["c", "", "t"], ["m"]);
    const t: TensorSpec = { dtype: "bool", dims: [], values: [0] };
    const spec = follow(dropout, "Mul", GAINS, { t });
    check(spec, { folds: 1 });
    check(
      { ...spec, inputs: [...(spec.inputs ?? []), { name: "t", dtype: "bool", dims: [] }] },
      { folds: 0, refused: "training-mode" },
    );
    check(follow(dropout, "Mul", GAINS, { t: { ...t, values: [1] } }), { folds: 0, refused: "training-mode" });
  });

  it("Dropout whose training_mode is computed from constants", () => {
    const spec = (on: number) => {
      const { nodes, ...rest } = follow(node("Dropout", ["c", "", "t"], ["m"]), "Mul", GAINS, {
        n: { dtype: "bool", dims: [], values: [on] },
      });
      return { ...rest, nodes: [node("Not", ["n"], ["t"]), ...(nodes ?? [])] };
    };
    check(spec(1), { folds: 1 });
    check(spec(0), { folds: 0, refused: "training-mode" });
  });

  it("float attributes beside float64 tensors must be exact", () => {
    const relu6 = node("Clip", ["c"], ["m"], { min: f(0), max: f(6) });
    const spec = (v: number): ModelSpec => ({
      opset: 9,
      nodes: [conv, relu6, node("Mul", ["m", "s"], ["y"])],
      initializers: { w: float64([4, 2, 1, 1], [1, 2, 3, 4, -1, 2, 0, 1]), s: float64([1], [v]) },
      inputs: [{ name: "x", dtype: "float64", dims: [2, 2, 4, 4] }],
      outputs: [{ name: "y", dtype: "float64" }],
    });
    check(spec(0.5), { folds: 1 });
    check(spec(0.1), { folds: 0, refused: "storage-precision" });
  });

  it("Gemm with computed operands in float64: alpha must be exact", () => {
    const spec = (v: number): ModelSpec => ({
      nodes: [node("Gemm", ["x", "z"], ["m"]), node("Mul", ["m", "s"], ["y"])],
      initializers: { s: float64([], [v]) },
      inputs: ["x", "z"].map((name) => ({ name, dtype: "float64", dims: [3, 3] })),
      outputs: [{ name: "y", dtype: "float64" }],
    });
    check(spec(0.5), { folds: 1 });
    check(spec(0.1), { folds: 0, refused: "storage-precision" });
  });

  it("Squeeze without axes behind a symbolic size: the rank is open", () => {
    const spec = follow(
      [node("GlobalAveragePool", ["c"], ["g"]), node("Squeeze", ["g"], ["m"])],
      "Mul",
      float32([4], [1, 2, 4, 8]),
    );
    check({ ...spec, inputs: [floats("x", ["N", 2, 4, 4])] }, { folds: 0, refused: "shape-unknown" });
    check(spec, { folds: 1 });
  });

  it("AveragePool: counted padding, and the window that only ceil_mode makes", () => {
    const pool = (attributes: Record<string, number | number[]>) =>
      node("AveragePool", ["c"], ["m"], { kernel_shape: [3, 3], ...attributes });
    check(follow(pool({ pads: [1, 1, 1, 1] }), "Add", GAINS), { folds: 1, ...ROUNDING });
    check(follow(pool({ pads: [1, 1, 1, 1], count_include_pad: 1 }), "Add", GAINS), {
      folds: 0,
      refused: "padding-blocks",
      ...ROUNDING,
    });
    check(follow(pool({ strides: [2, 2], ceil_mode: 1, count_include_pad: 1 }), "Add", GAINS), {
      folds: 0,
      refused: "padding-blocks",
      ...ROUNDING,
    });
    check(follow(pool({ strides: [2, 2], ceil_mode: 1 }), "Add", GAINS), { folds: 1, ...ROUNDING });
    check(follow(pool({ pads: [1, 1, 1, 1], count_include_pad: 1 }), "Mul", GAINS), { folds: 1, ...ROUNDING });
  });

  it("ReduceMean over no axes, over the channels, without keeping axes", () => {
    check(follow(node("ReduceMean", ["c"], ["m"], { noop_with_empty_axes: 1 }), "Mul", GAINS), { folds: 1 });
    check(follow(node("ReduceMean", ["c", "axes"], ["m"]), "Mul", float32([4], [1, 2, 4, 8]), { axes: int64([1], [-3]) }), {
      folds: 0,
      refused: "axis-blocks",
    });
    const flat = follow(node("ReduceMean", ["c", "axes"], ["m"], { keepdims: 0 }), "Mul", float32([4], [1, 2, 4, 8]), {
      axes: int64([2], [-1, -2]),
    });
    check(flat, { folds: 1 });
    check(
      {
        ...flat,
        nodes: flat.nodes.map((n) => (n.op === "Conv" ? node("Conv", ["x", "w"], ["c"]) : n)),
        initializers: { ...flat.initializers, axes: int64([2], [0, 3]) },
      },
      { folds: 0 },
    );
  });

  it("MaxPool with a zero gain and indices that are an output", () => {
    const zero = float32([4, 1, 1], [1, 0, 2, 4]);
    const spec = net([conv, node("MaxPool", ["c"], ["m", "i"], { kernel_shape: [2, 2] }), node("Mul", ["m", "s"], ["y"])], {
      s: zero,
    });
    check({ ...spec, outputs: [floats("y"), { name: "i", dtype: "int64" }] }, { folds: 0, refused: "sign-blocks" });
    check(spec, { folds: 1 });
  });

  it("Pad: negative amounts crop, a value of its own moves only as one number", () => {
    const pad = node("Pad", ["c", "pads", "p"], ["m"]);
    const constants = { pads: int64([8], [0, 0, -1, 0, 0, 0, 1, 0]), p: float32([], [2]) };
    check(follow(pad, "Mul", GAINS, constants), { folds: 0, refused: "padding-blocks" });
    check(follow(pad, "Mul", float32([], [2]), constants), { folds: 1 });
    check(follow(pad, "Mul", GAINS, { ...constants, p: float32([], [0]) }), { folds: 1 });
    const channels = { ...constants, pads: int64([8], [0, 1, 0, 0, 0, -1, 0, 0]) };
    check(follow(pad, "Mul", GAINS, channels), { folds: 0, refused: "axis-blocks" });
  });

  it("PRelu with constant slopes, and of a sign that it does not pass", () => {
    const prelu = node("PRelu", ["c", "p"], ["m"]);
    check(follow(prelu, "Mul", GAINS, { p: whole([4, 1, 1], 3) }), { folds: 1 });
    check(follow(prelu, "Mul", GAINS, { p: whole([4, 1, 1], 3) }, { opset: 8 }), { folds: 1 });
    const mixed = float32([4, 1, 1], [2, -1, 4, 1]);
    check(follow(prelu, "Mul", mixed, { p: float32([4, 1, 1], [-3, 2, 0, 1]) }), { folds: 1 });
    check(follow(prelu, "Mul", mixed, { p: float32([4, 1, 1], [3, -2, 3, 1]) }), { folds: 0, refused: "sign-blocks" });
  });
});

describe("the proof compares everything", () => {
  const lstm = (bias?: TensorSpec): ModelSpec => ({
    nodes: [node("RNN", bias ? ["x", "w", "r", "b"] : ["x", "w", "r"], ["y"], { hidden_size: 2 })],
    initializers: { w: whole([1, 2, 3], 1), r: whole([1, 2, 2], 2), ...(bias ? { b: bias } : {}) },
    inputs: [floats("x", [3, 1, 3])],
    outputs: [floats("y")],
  });
  const clip = (max?: number): ModelSpec => ({
    nodes: [node("Clip", max === undefined ? ["x", "lo"] : ["x", "lo", "hi"], ["y"])],
    initializers: { lo: float32([], [0]), ...(max === undefined ? {} : { hi: float32([], [max]) }) },
    inputs: [floats("x", [3])],
    outputs: [floats("y")],
  });
  const outcome = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b)).outcome;

  it("an operand that only one file has", () => {
    expect(outcome(lstm(), lstm(float32([1, 4], [1, 0, 0, 0])))).not.toBe("equal");
    expect(outcome(lstm(float32([1, 4], [1, 0, 0, 0])), lstm())).not.toBe("equal");
    expect(outcome(lstm(), lstm(float32([1, 4], [0, 0, 0, 0])))).toBe("equal");
    expect(outcome(clip(), clip(6))).not.toBe("equal");
    expect(outcome(clip(6), clip())).not.toBe("equal");
  });

  it("an attribute that a fold would have changed", () => {
    const clipped = (max: number, gain?: number): ModelSpec => {
      const scaled = gain === undefined ? [conv] : [conv, node("Mul", ["c", "s"], ["d"])];
      return net(
        [
          ...scaled,
          node("Clip", [gain === undefined ? "c" : "d"], ["e"], { min: f(0), max: f(max) }),
          node("Conv", ["e", "v"], ["y"]),
        ],
        { v: whole([2, 4, 1, 1], 3), ...(gain === undefined ? {} : { s: float32([1], [gain]) }) },
        { opset: 9 },
      );
    };
    const halved = (spec: ModelSpec): ModelSpec => ({
      ...spec,
      initializers: {
        ...spec.initializers,
        w: float32(
          [4, 2, 1, 1],
          Array.from(w.values as number[], (v) => v / 2),
        ),
      },
    });
    expect(outcome(clipped(6, 0.5), halved(clipped(6)))).toBe("equal");
    expect(outcome(clipped(6, 0.5), halved(clipped(5)))).not.toBe("equal");
    const norm = (k: number | undefined, epsilon: number): ModelSpec => ({
      nodes: [
        ...(k === undefined ? [] : [node("Mul", ["x", "k"], ["a"])]),
        node("InstanceNormalization", [k === undefined ? "x" : "a", "g", "b"], ["y"], { epsilon: f(epsilon) }),
      ],
      initializers: { g: whole([2], 1), b: whole([2], 2), ...(k === undefined ? {} : { k: float32([], [k]) }) },
      inputs: [floats("x", [1, 2, 4])],
      outputs: [floats("y")],
    });
    expect(outcome(norm(2, 0.5), norm(undefined, 0.125))).toBe("equal");
    expect(outcome(norm(2, 0.5), norm(undefined, 0.5))).not.toBe("equal");
    expect(outcome(norm(2, 0.5), norm(undefined, 0.25))).not.toBe("equal");
  });

  it("a batch normalization behind a Reshape of another spelling", () => {
    const bn = batchNorm("x", "n", 4);
    const spec = (flat: NodeSpec): ModelSpec => ({
      nodes: [bn.node, flat, node("Gemm", ["f", "m"], ["y"])],
      initializers: { ...bn.initializers, m: whole([36, 3], 5), shape: int64([2], [0, -1]) },
      inputs: [floats("x", ["N", 4, 3, 3])],
      outputs: [floats("y")],
    });
    const done = check(spec(node("Flatten", ["n"], ["f"])), { folds: 1 });
    expect(operators(done)).toEqual(["Flatten", "Gemm"]);
    expect(prove(done.before, check(spec(node("Reshape", ["n", "shape"], ["f"])), { folds: 1 }).after).outcome).toBe("equal");
  });
});

describe("constants that are none", () => {
  it("a weight behind a Dropout that trains is drawn anew each time", () => {
    const train: TensorSpec = { dtype: "bool", dims: [], values: [1] };
    const spec = net([node("Dropout", ["w", "", "t"], ["d"]), node("Conv", ["x", "d"], ["c"]), node("Mul", ["c", "s"], ["y"])], {
      t: train,
      s: GAINS,
    });
    const before = model(spec);
    expect(plan(before).data.folds).toEqual([]);
    const inference = net([node("Dropout", ["w"], ["d"]), node("Conv", ["x", "d"], ["c"]), node("Mul", ["c", "s"], ["y"])], {
      s: GAINS,
    });
    check(inference, { folds: 1 });
  });
});

describe("parts that are constant", () => {
  const joined = (axis: number, s: TensorSpec, op: string): ModelSpec =>
    net([conv, node("Concat", ["c", "k"], ["m"], { axis }), node(op, ["m", "s"], ["y"])], { k: whole([2, 4, 4, 4], 3), s });

  it("a Concat's constant part takes its part of the map, and the proof follows", () => {
    for (const op of ["Mul", "Add"]) {
      check(joined(1, float32([8, 1, 1], [1, 2, 4, -1, 2, 0.5, 1, 4]), op), { folds: 1 });
      check(joined(2, float32([4, 1, 1], [1, 2, 4, -1]), op), { folds: 1 });
    }
  });

  it("a constant part that did not take it is found", () => {
    const before = joined(1, float32([8, 1, 1], [1, 2, 4, -1, 2, 0.5, 1, 4]), "Mul");
    const { after } = check(before, { folds: 1 });
    const wrong = net([conv, node("Concat", ["c", "k"], ["y"], { axis: 1 })], {
      w: float32(
        [4, 2, 1, 1],
        Array.from(w.values as number[], (v, i) => v * [1, 2, 4, -1][i >> 1]),
      ),
      k: whole([2, 4, 4, 4], 3),
    });
    expect(prove(model(before), after).outcome).toBe("equal");
    expect(prove(model(before), model(wrong)).outcome).not.toBe("equal");
  });

  it("an embedding table takes a map of its rows' features", () => {
    const spec: ModelSpec = {
      nodes: [node("Gather", ["e", "i"], ["g"]), node("Mul", ["g", "s"], ["m"]), node("Add", ["m", "s"], ["y"])],
      initializers: { e: whole([5, 4]), s: float32([4], [1, 2, 4, -1]) },
      inputs: [{ name: "i", dtype: "int64", dims: [2, 3] }],
      outputs: [floats("y")],
    };
    check(spec, { folds: 2 });
  });
});
