/**
 * Rewritings of the normal form by version of the operator set: attributes that became operands, operators that did not broadcast
 * yet. In each version the form computes what the model does, as the executor runs both, of what ONNX has in that version; `since` is the first that is rewritten.
 */
import { describe, expect, it } from "vitest";
import type { Model } from "../../../src/onnx/records.ts";
import { allocate, asFloat64, type Tensor } from "../../../src/onnx/tensor.ts";
import { createSession } from "../../../src/run/session.ts";
import { normalForms } from "../../../src/verify/proof/normal.ts";
import { f, float32, int64, model, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { unknownTo } from "./pairs.ts";

const SHAPE = [2, 4, 3, 6];
const COUNT = SHAPE.reduce((n, d) => n * d, 1);

interface Case {
  /** The nodes from "x" to "y", or to all that is said. */
  readonly nodes: (opset: number) => readonly NodeSpec[];
  readonly constants?: Readonly<Record<string, TensorSpec>>;
  readonly dims?: readonly number[];
  readonly outputs?: readonly string[];
  /** Versions to look at, and the first of them that is rewritten. */
  readonly opsets: readonly number[];
  readonly since: number | undefined;
}

const ints = (...list: number[]): TensorSpec => int64([list.length], list);
/** Channels first, and back. */
const turn = (from: string, to: string): NodeSpec => node("Transpose", [from], [to], { perm: [0, 2, 3, 1] });
const gain = float32([4], [1, 2, -1, 0.5]);
const shift = float32([4], [0.25, -1, 2, 1]);
const rows = float32([6], [1, 2, -1, 0.5, 3, -2]);

const CASES: Readonly<Record<string, Case>> = {
  LayerNormalization: {
    nodes: () => [node("LayerNormalization", ["x", "r", "r"], ["y"], { axis: -1 })],
    constants: { r: rows },
    opsets: [17, 18, 21],
    since: 17,
  },
  InstanceNormalization: {
    nodes: () => [node("InstanceNormalization", ["x", "g", "h"], ["y"])],
    constants: { g: gain, h: shift },
    opsets: [6, 7, 17, 18, 22],
    since: 7,
  },
  "GroupNormalization by groups, then by channels": {
    nodes: (opset) => [
      node("GroupNormalization", ["x", opset < 21 ? "p" : "g", opset < 21 ? "q" : "h"], ["y"], { num_groups: 2 }),
    ],
    constants: { g: gain, h: shift, p: float32([2], [2, -0.5]), q: float32([2], [1, 3]) },
    opsets: [18, 20, 21],
    since: 18,
  },
  "a Slice of a Transpose": {
    nodes: (opset) => [
      turn("x", "t"),
      opset < 10
        ? node("Slice", ["t"], ["y"], { starts: [1], ends: [5], axes: [2] })
        : node("Slice", ["t", "from", "to", "axis"], ["y"]),
    ],
    constants: { from: ints(1), to: ints(5), axis: ints(2) },
    opsets: [9, 10, 13],
    since: 10,
  },
  "a Softmax of a Transpose": {
    nodes: () => [turn("x", "t"), node("Softmax", ["t"], ["y"], { axis: 2 })],
    opsets: [11, 12, 13],
    since: 13,
  },
  "a Concat of Transposes": {
    nodes: () => [turn("x", "t"), turn("x", "u"), node("Concat", ["t", "u"], ["y"], { axis: 3 })],
    opsets: [4, 5, 13],
    since: 5,
  },
  "a Pad of a Transpose": {
    nodes: (opset) => [
      turn("x", "t"),
      opset < 11
        ? node("Pad", ["t"], ["y"], { pads: [0, 1, 0, 2, 0, 0, 3, 0] })
        : node("Pad", opset < 18 ? ["t", "p"] : ["t", "q", "", "axes"], ["y"]),
    ],
    constants: { p: ints(0, 1, 0, 2, 0, 0, 3, 0), q: ints(1, 2, 0, 3), axes: ints(1, -1) },
    opsets: [10, 11, 18],
    since: 11,
  },
  "a Squeeze of a Transpose": {
    dims: [2, 1, 3, 6],
    nodes: (opset) => [
      turn("x", "t"),
      opset < 13 ? node("Squeeze", ["t"], ["y"], { axes: [-1] }) : node("Squeeze", ["t", "axes"], ["y"]),
    ],
    constants: { axes: ints(-1) },
    opsets: [11, 12, 13],
    since: 11,
  },
  "an Unsqueeze of a Transpose": {
    nodes: (opset) => [
      turn("x", "t"),
      opset < 13 ? node("Unsqueeze", ["t"], ["y"], { axes: [1, 3] }) : node("Unsqueeze", ["t", "axes"], ["y"]),
    ],
    constants: { axes: ints(1, -3) },
    opsets: [11, 12, 13],
    since: 11,
  },
  "Max and Min with a constant": {
    nodes: (opset) => [node("Max", ["x", opset < 8 ? "big" : "c"], ["m"]), node("Min", ["m", opset < 8 ? "big" : "d"], ["y"])],
    constants: {
      c: float32([6], [0, 1, -1, 2, 0.5, -2]),
      d: float32([], [0.75]),
      big: float32(SHAPE, new Array(COUNT).fill(0.5)),
    },
    opsets: [6, 7, 8, 12, 13],
    since: 8,
  },
  Clip: {
    nodes: (opset) => [
      opset < 11 ? node("Clip", ["x"], ["y"], { min: f(-0.5), max: f(0.75) }) : node("Clip", ["x", "low", "high"], ["y"]),
    ],
    constants: { low: float32([], [-0.5]), high: float32([], [0.75]) },
    opsets: [6, 7, 8, 10, 11, 13],
    since: 8,
  },
  HardSigmoid: { nodes: () => [node("HardSigmoid", ["x"], ["y"])], opsets: [6, 7, 22], since: 7 },
  "a Tile by ones": {
    nodes: () => [node("Tile", ["x", "ones"], ["y"])],
    constants: { ones: ints(1, 1, 1, 1) },
    opsets: [6, 13],
    since: 6,
  },
  "a Slice of everything": {
    nodes: (opset) => [
      opset < 10
        ? node("Slice", ["x"], ["y"], { starts: [0, 0], ends: [99, 6], axes: [2, 3] })
        : node("Slice", ["x", "from", "to", "axes"], ["y"]),
    ],
    constants: { from: ints(0, 0), to: ints(99, 6), axes: ints(2, 3) },
    opsets: [7, 9, 10, 13],
    since: 7,
  },
  "a Split": {
    nodes: (opset) => [
      opset < 13
        ? node("Split", ["x"], ["y", "z"], { axis: -1, split: [2, 4] })
        : node("Split", ["x", "sizes"], ["y", "z"], { axis: -1 }),
    ],
    constants: { sizes: ints(2, 4) },
    outputs: ["y", "z"],
    opsets: [9, 10, 11, 13, 18],
    since: 10,
  },
  "a Split in as many parts as there are outputs": {
    nodes: (opset) => [node("Split", ["x"], ["y", "z"], { axis: 3, ...(opset < 18 ? {} : { num_outputs: 2 }) })],
    outputs: ["y", "z"],
    opsets: [9, 10, 13, 18],
    since: 10,
  },
  "a Split in parts of which the last is smaller": {
    nodes: () => [node("Split", ["x"], ["y", "z"], { axis: 2, num_outputs: 2 })],
    outputs: ["y", "z"],
    opsets: [18, 22],
    since: 18,
  },
  "a Gather of one": {
    nodes: () => [node("Gather", ["x", "at"], ["y"], { axis: 1 })],
    constants: { at: int64([], [-2]) },
    opsets: [11, 12, 13],
    since: 13,
  },
  "a reduction that drops its axes": {
    nodes: (opset) => [
      opset < 18
        ? node("ReduceMax", ["x"], ["y"], { axes: [1, -1], keepdims: 0 })
        : node("ReduceMax", ["x", "axes"], ["y"], { keepdims: 0 }),
    ],
    constants: { axes: ints(1, -1) },
    opsets: [6, 7, 11, 12, 13, 18],
    since: 7,
  },
  "a sum of squares": {
    nodes: (opset) => [
      opset < 18 ? node("ReduceSumSquare", ["x"], ["y"], { axes: [1, 2] }) : node("ReduceSumSquare", ["x", "axes"], ["y"]),
    ],
    constants: { axes: ints(1, 2) },
    opsets: [6, 7, 11, 12, 13, 18],
    since: 7,
  },
  "a root of a sum of squares": {
    nodes: (opset) => [opset < 18 ? node("ReduceL2", ["x"], ["y"], { axes: [3] }) : node("ReduceL2", ["x", "axes"], ["y"])],
    constants: { axes: ints(3) },
    opsets: [6, 7, 12, 13, 18],
    since: 7,
  },
  "elements of a split sequence": {
    nodes: () => [node("SplitToSequence", ["x"], ["s"], { axis: 1, keepdims: 0 }), node("SequenceAt", ["s", "at"], ["y"])],
    constants: { at: int64([], [-1]) },
    opsets: [11, 12, 13],
    since: 11,
  },
  "a split sequence as a stack": {
    nodes: () => [
      node("SplitToSequence", ["x", "two"], ["s"], { axis: 3 }),
      node("ConcatFromSequence", ["s"], ["y"], { axis: 1, new_axis: 1 }),
    ],
    constants: { two: int64([], [2]) },
    opsets: [11, 12, 13],
    since: 13,
  },
  "a split sequence side by side": {
    nodes: () => [
      node("SplitToSequence", ["x", "four"], ["s"], { axis: 3 }),
      node("ConcatFromSequence", ["s"], ["y"], { axis: 3 }),
    ],
    constants: { four: int64([], [4]) },
    opsets: [11, 13],
    since: 11,
  },
  "a Gemm on flattened rows": {
    nodes: () => [node("Reshape", ["x", "two"], ["r"]), node("Gemm", ["r", "w", "b"], ["y"], { transB: 1 })],
    constants: {
      two: ints(-1, 6),
      w: float32(
        [2, 6],
        Array.from({ length: 12 }, (_, i) => ((i * 5) % 7) - 3),
      ),
      b: float32([2], [1, -2]),
    },
    opsets: [7, 11, 13],
    since: 7,
  },
  "squares, cubes and roots": {
    nodes: () => [
      node("Pow", ["x", "two"], ["q"]),
      node("Pow", ["q", "half"], ["r"]),
      node("Pow", ["r", "three"], ["c"]),
      node("Add", ["c", "two"], ["o"]),
      node("Pow", ["o", "under"], ["u"]),
      node("Pow", ["u", "less"], ["y"]),
    ],
    constants: {
      two: float32([], [2]),
      half: float32([], [0.5]),
      three: float32([], [3]),
      under: float32([], [-1]),
      less: float32([], [-0.5]),
    },
    opsets: [7, 12, 13, 15],
    since: 7,
  },
  "a Pad in front of a Conv": {
    nodes: (opset) => [
      opset < 11 ? node("Pad", ["x"], ["p"], { pads: [0, 0, 1, 2, 0, 0, 0, 1] }) : node("Pad", ["x", "pads"], ["p"]),
      node("Conv", ["p", "w"], ["y"], { pads: [1, 0, 0, 1] }),
    ],
    constants: {
      pads: ints(0, 0, 1, 2, 0, 0, 0, 1),
      w: float32(
        [2, 4, 2, 2],
        Array.from({ length: 32 }, (_, i) => ((i * 5) % 9) - 4),
      ),
    },
    opsets: [6, 10, 11, 13],
    since: 6,
  },
  "a Pad in front of a pool that counts its zeros": {
    nodes: (opset) => [
      opset < 11 ? node("Pad", ["x"], ["p"], { pads: [0, 0, 1, 0, 0, 0, 0, 1] }) : node("Pad", ["x", "pads"], ["p"]),
      node("AveragePool", ["p"], ["y"], { kernel_shape: [2, 2] }),
    ],
    constants: { pads: ints(0, 0, 1, 0, 0, 0, 0, 1) },
    opsets: [6, 7, 10, 11],
    since: 7,
  },
  "a Conv of one tap a channel": {
    nodes: () => [node("Conv", ["x", "w", "b"], ["y"], { group: 4 })],
    constants: { w: float32([4, 1, 1, 1], [1, 2, -1, 0.5]), b: shift },
    opsets: [6, 7, 11],
    since: 7,
  },
  "a Relu of a Transpose": {
    nodes: () => [turn("x", "t"), node("Relu", ["t"], ["y"])],
    opsets: [6, 13],
    since: 6,
  },
};

const modelOf = ({ nodes, constants = {}, dims = SHAPE, outputs = ["y"] }: Case, opset: number): Model =>
  model({
    nodes: [...nodes(opset)],
    initializers: constants,
    inputs: [{ name: "x", dims }],
    outputs: outputs.map((name) => ({ name })),
    opset,
  });

function run(made: Model, { dims = SHAPE, outputs = ["y"] }: Case): readonly (readonly number[])[] {
  const data = allocate(
    "float32",
    dims.reduce((n, d) => n * d, 1),
  ) as Float64Array;
  for (let i = 0; i < data.length; i++) data[i] = 2 * Math.sin(1 + 1.7 * i + 0.37 * i * i);
  const found = createSession(made, { mode: "float64" }).run(new Map([["x", { dtype: "float32", dims, data }]]));
  return outputs.map((name) => {
    const tensor = found.get(name) as Tensor;
    return [...tensor.dims, ...asFloat64(tensor)];
  });
}

const nodesOf = ({ graph }: Model): string => graph.nodes.map(({ opType, inputs }) => `${opType}(${inputs})`).join(" ");

describe.each(Object.entries(CASES))("%s", (_name, one) => {
  it.each(one.opsets)("in version %d", (opset) => {
    const before = modelOf(one, opset);
    const [form] = normalForms(before, before, true);
    const [was, is] = [run(before, one), run(form, one)];
    was.forEach((list, k) => {
      expect(is[k].length).toBe(list.length);
      list.forEach((v, i) => {
        expect(Math.abs(is[k][i] - v)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(v)));
      });
    });
    expect(unknownTo(form)).toEqual([]);
    expect(nodesOf(form) !== nodesOf(before), nodesOf(form)).toBe(one.since !== undefined && opset >= one.since);
  });
});
