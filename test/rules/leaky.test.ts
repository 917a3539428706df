/** Functions of two slopes under gains of either sign. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, type Checked, check, floats, operators, whole } from "./check.ts";

const C = 4;
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const mixed = per([1, -2, 0.5, -4]);
const zeros = per([1, 0, -2, 4]);

/** Conv → f → Mul by k, and Mul by k → f → Conv. */
const sides = (step: (from: string) => NodeSpec, k: TensorSpec, more: Record<string, TensorSpec> = {}, opset = 21) => ({
  after: {
    opset,
    irVersion: 10,
    nodes: [node("Conv", ["x", "w"], ["c"]), step("c"), node("Mul", ["m", "k"], ["y"])],
    initializers: { w: whole([C, C, 1, 1]), k, ...more },
    inputs: [floats("x", ["N", C, 4, 4])],
    outputs: [floats("y")],
  } satisfies ModelSpec,
  before: {
    opset,
    irVersion: 10,
    nodes: [node("Mul", ["x", "k"], ["c"]), step("c"), node("Conv", ["m", "w"], ["y"])],
    initializers: { w: whole([2, C, 1, 1]), k, ...more },
    inputs: [floats("x", ["N", C, 4, 4])],
    outputs: [floats("y")],
  } satisfies ModelSpec,
});
const prelu = (from: string) => node("PRelu", [from, "p"], ["m"]);
const leaky = (alpha: number) => (from: string) => node("LeakyRelu", [from], ["m"], { alpha: f(alpha) });

/** The slopes of the only PRelu. */
function slopes({ after }: Checked): { dims: readonly number[]; values: number[] } {
  const name = after.graph.nodes.find((n) => n.opType === "PRelu")?.inputs[1];
  const tensor = after.graph.initializers.find((t) => t.name === name);
  if (tensor === undefined) throw new Error("no slope");
  return { dims: tensor.dims, values: [...asFloat64(decode(tensor))] };
}

describe("PRelu", () => {
  const p = { p: per([0.5, 0.25, 2, 4]) };

  it("takes gains of both signs, and turns over the slopes that need it", () => {
    const { after, before } = sides(prelu, mixed, p);
    expect(slopes(check(after, { folds: 1 }))).toEqual({ dims: [C, 1, 1], values: [0.5, 4, 2, 0.25] });
    expect(slopes(check(before, { folds: 1 }))).toEqual({ dims: [C, 1, 1], values: [0.5, 4, 2, 0.25] });
  });

  it("a gain of zero among them leaves its slope", () => {
    const { after, before } = sides(prelu, zeros, p);
    expect(slopes(check(after, { folds: 1 })).values).toEqual([0.5, 0.25, 0.5, 4]);
    check(before, { folds: 1 });
  });

  it("one slope becomes one for each channel only where the signs differ", () => {
    for (const [p, n] of [
      [float32([], [0.5]), 0],
      [float32([1], [0.5]), 1],
    ] as const) {
      const many = sides(prelu, mixed, { p });
      expect(slopes(check(many.after, { folds: 1 }))).toEqual({ dims: [C, 1, 1], values: [0.5, 2, 0.5, 2] });
      expect(slopes(check(many.before, { folds: 1 }))).toEqual({ dims: [C, 1, 1], values: [0.5, 2, 0.5, 2] });
      const one = sides(prelu, per([-1, -2, -0.5, -4]), { p });
      for (const spec of [one.after, one.before])
        expect(slopes(check(spec, { folds: 1 }))).toEqual({ dims: new Array(n).fill(1), values: [2] });
    }
  });

  it("slopes that are no powers of two are rounded once, and the proof allows for it", () => {
    const { after, before } = sides(prelu, per([-1, 3, -0.7, -1.1]), { p: per([0.3, 0.1, 0.25, 0.7]) });
    check(after, { folds: 1, tolerance: 1e-6 });
    check(before, { folds: 1, tolerance: 1e-6 });
    const shared = sides(prelu, per([-1, 3, -0.7, -1.1]), { p: float32([1], [0.3]) });
    check(shared.after, { folds: 1, tolerance: 1e-6 });
    check(shared.before, { folds: 1, tolerance: 1e-6 });
  });

  it("two in a row, with a batch normalization behind", () => {
    const bn = batchNorm("n", "y", C, { shift: [0, 0, 0, 0], gain: [-1, 2, -4, 0.5] });
    const free = Object.fromEntries(
      Object.entries(bn.initializers).map(([k, t]) => [k, k.endsWith("mean") || k.endsWith("_B") ? per0(C) : t]),
    );
    const spec: ModelSpec = {
      nodes: [node("Conv", ["x", "w"], ["c"]), prelu("c"), node("PRelu", ["m", "q"], ["n"]), bn.node],
      initializers: { w: whole([C, C, 1, 1]), ...p, q: float32([1], [0.5]), ...free },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
    };
    expect(operators(check(spec, { folds: 1 }))).toEqual(["Conv", "PRelu", "PRelu"]);
  });

  it("a negative slope lets negative gains forward, not back", () => {
    const { after, before } = sides(prelu, mixed, { p: per([0.5, -0.25, 2, 4]) });
    check(before, { folds: 1 });
    check(after, { folds: 0, refused: "sign-blocks" });
  });

  it("a slope of zero lets only its own channel's positive gain through", () => {
    const stops = sides(prelu, mixed, { p: per([0.5, 0, 2, 4]) });
    check(stops.after, { folds: 0, refused: "sign-blocks" });
    check(stops.before, { folds: 0, refused: "sign-blocks" });
    const passes = sides(prelu, mixed, { p: per([0, 0.5, 0, 4]) });
    check(passes.after, { folds: 1 });
    check(passes.before, { folds: 1 });
  });

  it("slopes along another axis of equal length stay there", () => {
    const rows = sides(prelu, mixed, { p: float32([C, 1], [0.5, 0.25, 2, 4]) });
    check(rows.before, { folds: 0, refused: "axis-blocks" });
    check(rows.after, { folds: 0, refused: "axis-blocks" });
    const uniform = sides(prelu, float32([], [-2]), { p: float32([C, 1], [0.5, 0.5, 0.5, 0.5]) });
    check(uniform.after, { folds: 1 });
    check(uniform.before, { folds: 1 });
  });

  it("copies a slope that others read", () => {
    const { after } = sides(prelu, mixed, p);
    const two: ModelSpec = {
      ...after,
      nodes: [...after.nodes, node("PRelu", ["x", "p"], ["z"])],
      outputs: [...after.outputs, floats("z")],
    };
    const done = check(two, { folds: 1 });
    expect(new Set(done.after.graph.nodes.filter((n) => n.opType === "PRelu").map((n) => n.inputs[1])).size).toBe(2);
  });

  it("not past a second reader", () => {
    const { after } = sides(prelu, mixed, p);
    check(
      { ...after, nodes: [...after.nodes, node("Tanh", ["c"], ["z"])], outputs: [...after.outputs, floats("z")] },
      {
        folds: 0,
        refused: "other-reader",
      },
    );
  });

  it("before opset 7 a vector of slopes lies along the channels", () => {
    const q = { p: float32([C], [0.5, 0.25, 2, 4]) };
    const spec = sides(prelu, float32([1, C, 1, 1], [1, -2, 0.5, -4]), q, 6);
    const bn = batchNorm("m", "y", C, { gain: [1, -2, 0.5, -4], shift: [0, 0, 0, 0] });
    const zero = float32([C], [0, 0, 0, 0]);
    const old: ModelSpec = {
      ...spec.after,
      nodes: [...spec.after.nodes.slice(0, 2), { ...bn.node, attributes: { ...bn.node.attributes, is_test: 1 } }],
      initializers: { ...spec.after.initializers, ...bn.initializers, y_mean: zero, y_B: zero },
    };
    expect(slopes(check(old, { folds: 1 }))).toEqual({ dims: [C], values: [0.5, 4, 2, 0.25] });
    const single = { ...old, initializers: { ...old.initializers, p: float32([1], [0.5]) } };
    expect(slopes(check(single, { folds: 1 }))).toEqual({ dims: [C], values: [0.5, 2, 0.5, 2] });
  });

  it("float16 holds an inverse only within its own range", () => {
    const half = (values: readonly number[]): ModelSpec => {
      const { after } = sides(prelu, mixed, { p: per(values) });
      const initializers = Object.fromEntries(
        Object.entries(after.initializers).map(([k, t]) => [k, { ...t, dtype: "float16" }]),
      );
      return {
        ...after,
        initializers,
        inputs: [{ name: "x", dtype: "float16", dims: ["N", C, 4, 4] }],
        outputs: [{ name: "y", dtype: "float16" }],
      };
    };
    const codes = (spec: ModelSpec) => plan(model(spec)).data.kept.map((k) => k.code);
    expect(codes(half([0.5, 0.25, 2, 4]))).toEqual([]);
    expect(codes(half([0.5, 0.25, 2, 2 ** -14]))).toEqual([]);
    expect(codes(half([0.5, 2 ** -16, 2, 4]))).toEqual(["storage-overflow"]);
    expect(codes(half([0.5, 32768, 2, 4]))).toEqual(["storage-precision"]);
    // Where no negative gain lies the slope does not change.
    expect(codes(half([2 ** -16, 0.25, 32768, 4]))).toEqual([]);
  });
});

const per0 = (n: number) => float32([n], new Array<number>(n).fill(0));

describe("LeakyRelu", () => {
  it("takes gains none of which is positive", () => {
    const { after, before } = sides(leaky(0.25), per([-1, -2, 0, -4]));
    for (const spec of [after, before]) {
      const done = check(spec, { folds: 1 });
      expect(done.after.graph.nodes.find((n) => n.opType === "LeakyRelu")?.attributes.get("alpha")?.f).toBe(4);
    }
    const plain = (from: string) => node("LeakyRelu", [from], ["m"]);
    const usual = sides(plain, float32([], [-3]));
    check(usual.after, { folds: 1, tolerance: 1e-6 });
    check(usual.before, { folds: 1, tolerance: 1e-6 });
  });

  it("but not of both signs, and none with a slope of zero", () => {
    for (const spec of Object.values(sides(leaky(0.25), mixed))) check(spec, { folds: 0, refused: "sign-blocks" });
    for (const spec of Object.values(sides(leaky(0), per([-1, -2, -3, -4])))) check(spec, { folds: 0, refused: "sign-blocks" });
  });

  it("a negative slope lets them forward only", () => {
    const { after, before } = sides(leaky(-0.5), per([-1, -2, -3, -4]));
    check(before, { folds: 1 });
    check(after, { folds: 0, refused: "sign-blocks" });
  });

  it("a slope whose inverse the attribute cannot hold stays", () => {
    for (const spec of Object.values(sides(leaky(1e-39), per([-1, -2, -3, -4]))))
      check(spec, { folds: 0, refused: "storage-overflow" });
  });
});
