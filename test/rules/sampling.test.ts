import { describe, expect, it } from "vitest";
import { f, float32, int64, type ModelSpec, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";
import { check, floats, operators, whole } from "./check.ts";

const CHANNELS = float32([3, 1, 1], [2, 0.5, 4]);
const ROUNDING = { tolerance: 1e-12 };
const conv = node("Conv", ["x", "w"], ["c"]);
const w = whole([3, 2, 1, 1], 1);

/** Conv → `between` → Mul or Add per channel. */
function net(
  between: NodeSpec,
  op: string,
  more: { constants?: Record<string, TensorSpec>; inputs?: ValueSpec[]; map?: TensorSpec; opset?: number } = {},
): ModelSpec {
  return {
    opset: more.opset ?? 21,
    irVersion: 10,
    nodes: [conv, between, node(op, ["m", "s"], ["y"])],
    initializers: { w, s: more.map ?? CHANNELS, ...more.constants },
    inputs: [floats("x", [2, 2, 4, 4]), ...(more.inputs ?? [])],
    outputs: [floats("y")],
  };
}
const folds = (spec: ModelSpec, n: number, more = {}) => check(spec, { folds: n, ...ROUNDING, ...more });

describe("operators that sample and pick", () => {
  it("GridSample: a gain always, a shift unless zeros lie around", () => {
    const sample = (attributes = {}) => node("GridSample", ["c", "grid"], ["m"], attributes);
    const inputs = [floats("grid", [2, 3, 5, 2])];
    folds(net(sample(), "Mul", { inputs }), 1);
    folds(net(sample(), "Add", { inputs }), 0, { because: /writes zeros/ });
    for (const padding_mode of ["border", "reflection"]) folds(net(sample({ padding_mode }), "Add", { inputs }), 1);
    folds(net(sample(), "Mul", { inputs, map: float32([5], [1, 2, 4, 8, 16]) }), 0, { refused: "axis-blocks" });
  });

  it("RoiAlign: a gain, positive for maxima, never a shift", () => {
    const align = (mode: string) => node("RoiAlign", ["c", "rois", "batch"], ["m"], { mode, output_height: 2, output_width: 2 });
    const constants = { rois: float32([3, 4], [0, 0, 3, 3, 1, 1, 2, 3, 0, 1, 3, 2]), batch: int64([3], [0, 1, 1]) };
    folds(net(align("avg"), "Mul", { constants, map: float32([3, 1, 1], [2, -1, 4]) }), 1);
    folds(net(align("max"), "Mul", { constants }), 1);
    folds(net(align("max"), "Mul", { constants, map: float32([3, 1, 1], [2, -1, 4]) }), 0, { refused: "sign-blocks" });
    folds(net(align("avg"), "Add", { constants }), 0, { refused: "padding-blocks" });
    // Three regions are not three channels.
    folds(net(align("avg"), "Mul", { constants, map: float32([3, 1, 1, 1], [2, 0.5, 4]) }), 0, { refused: "axis-blocks" });
  });

  it("GatherElements, ReverseSequence, Compress: off their axis", () => {
    const gather = (axis: number) => node("GatherElements", ["c", "i"], ["m"], { axis });
    const inputs = [{ name: "i", dtype: "int64", dims: [2, 3, 2, 4] }];
    folds(net(gather(2), "Add", { inputs }), 1);
    folds(net(gather(1), "Add", { inputs: [{ name: "i", dtype: "int64", dims: [2, 3, 4, 4] }] }), 0, { refused: "axis-blocks" });
    folds(
      net(gather(2), "Add", { inputs: [{ name: "i", dtype: "int64", dims: [2, 2, 2, 4] }], map: float32([2, 1, 1], [2, 4]) }),
      0,
      { refused: "axis-blocks" },
    );
    const reverse = (time_axis: number, batch_axis: number) =>
      node("ReverseSequence", ["c", "n"], ["m"], { time_axis, batch_axis });
    folds(net(reverse(0, 1), "Mul", { constants: { n: int64([3], [1, 2, 2]) } }), 1);
    folds(net(reverse(1, 0), "Mul", { constants: { n: int64([2], [3, 2]) } }), 0, { refused: "axis-blocks" });
    const compress = (attributes: Record<string, number>) => node("Compress", ["c", "k"], ["m"], attributes);
    const k: TensorSpec = { dtype: "bool", dims: [3], values: [1, 0, 1] };
    folds(net(compress({ axis: 2 }), "Add", { constants: { k } }), 1);
    folds(net(compress({ axis: 1 }), "Add", { constants: { k }, map: float32([2, 1, 1], [1, 2]) }), 0);
  });

  it("CenterCropPad: crops like a Slice, pads with zeros", () => {
    const crop = node("CenterCropPad", ["c", "size"], ["m"], { axes: [2, 3] });
    folds(net(crop, "Add", { constants: { size: int64([2], [2, 3]) } }), 1);
    folds(net(crop, "Add", { constants: { size: int64([2], [2, 6]) } }), 0, { refused: "padding-blocks" });
    folds(net(crop, "Mul", { constants: { size: int64([2], [2, 6]) } }), 1);
  });

  it("Trilu: gains", () => {
    folds(net(node("Trilu", ["c"], ["m"]), "Mul"), 1);
    folds(net(node("Trilu", ["c"], ["m"]), "Add"), 0, { refused: "padding-blocks" });
  });

  it("GlobalLpPool and ReduceLogSumExp", () => {
    folds(net(node("GlobalLpPool", ["c"], ["m"]), "Mul"), 1);
    folds(net(node("GlobalLpPool", ["c"], ["m"]), "Add"), 0);
    const log = node("ReduceLogSumExp", ["c", "axes"], ["m"]);
    folds(net(log, "Add", { constants: { axes: int64([2], [2, 3]) } }), 1);
    folds(net(log, "Mul", { constants: { axes: int64([2], [2, 3]) } }), 0);
  });
});

describe("activations with a unit", () => {
  it("HardSigmoid takes one map of its input", () => {
    const spec = (map: TensorSpec): ModelSpec => ({
      nodes: [
        node("Mul", ["x", "s"], ["m"]),
        node("Add", ["m", "t"], ["a"]),
        node("HardSigmoid", ["a"], ["y"], { alpha: f(0.25) }),
      ],
      initializers: { s: map, t: float32([], [0.5]) },
      inputs: [floats("x", [2, 3])],
      outputs: [floats("y")],
    });
    const done = check(spec(float32([], [-2])), { folds: 2 });
    expect(operators(done)).toEqual(["HardSigmoid"]);
    expect(["alpha", "beta"].map((name) => done.after.graph.nodes[0].attributes.get(name)?.f)).toEqual([-0.5, 0.625]);
    check(spec(float32([3], [2, 1, 4])), { folds: 1, refused: "axis-blocks" });
  });

  it("Celu and Shrink scale with their thresholds", () => {
    folds(net(node("Celu", ["c"], ["m"], { alpha: f(0.5) }), "Mul", { map: float32([], [4]) }), 1);
    folds(net(node("Shrink", ["c"], ["m"], { lambd: f(1.5), bias: f(0.5) }), "Mul", { map: float32([], [4]) }), 1);
    folds(net(node("Celu", ["c"], ["m"]), "Mul"), 0, { refused: "sign-blocks" });
  });
});

describe("Mean", () => {
  it("takes gains of all and shifts of one, n times", () => {
    const spec = (op: string): ModelSpec => ({
      nodes: [conv, node("Conv", ["x", "v"], ["d"]), node("Mean", ["c", "d"], ["m"]), node(op, ["m", "s"], ["y"])],
      initializers: { w, v: whole([3, 2, 1, 1], 2), s: CHANNELS },
      inputs: [floats("x", [2, 2, 4, 4])],
      outputs: [floats("y")],
    });
    for (const op of ["Mul", "Add"]) expect(operators(check(spec(op), { folds: 1 }))).toEqual(["Conv", "Conv", "Mean"]);
  });

  it("forward, with a constant and without", () => {
    const spec = (second: string): ModelSpec => ({
      nodes: [node("Add", ["x", "t"], ["a"]), node("Mean", ["a", second], ["m"]), node("Conv", ["m", "w"], ["y"])],
      initializers: { w: whole([2, 3, 1, 1], 1), t: float32([3, 1, 1], [2, 4, -2]), k: whole([3, 1, 1], 4) },
      inputs: [floats("x", [2, 3, 4, 4]), floats("z", [2, 3, 4, 4])],
      outputs: [floats("y")],
    });
    check(spec("k"), { folds: 1 });
    check(spec("z"), { folds: 1 });
  });
});
