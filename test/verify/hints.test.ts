/** What readers of an input tell of its sizes: each is a model that runs with these sizes, and with no others on those axes. */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { allocate, type Tensor } from "../../src/onnx/tensor.ts";
import { createSession } from "../../src/run/session.ts";
import { constantDims, hintOf, totalStride } from "../../src/verify/hints.ts";
import { float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
const ones = (...dims: number[]): TensorSpec => float32(dims, new Array<number>(size(dims)).fill(1));
const net = (nodes: readonly NodeSpec[], initializers: Record<string, TensorSpec>, dtype = "float32"): ModelSpec => ({
  nodes: [...nodes],
  initializers,
  inputs: [{ name: "x", dtype }],
  outputs: [{ name: "y" }],
});
const told = (spec: ModelSpec, rank?: number) => {
  const view = viewOf(model(spec));
  const { rank: found, sizes, spatial, rows } = hintOf(view.main.values.get("x") as never, rank);
  return { rank: found, sizes: Object.fromEntries(sizes), spatial, rows };
};
/** True where the model takes an input of this shape. */
function takes(spec: ModelSpec, dims: readonly number[], dtype: "float32" | "int64" = "float32", value = 0): boolean {
  const data = allocate(dtype, size(dims));
  for (let i = 0; i < data.length; i++) data[i] = typeof data[i] === "bigint" ? BigInt(value) : value;
  const feed: Tensor = { dtype, dims, data };
  try {
    createSession(model(spec)).run(new Map([["x", feed]]));
    return true;
  } catch {
    return false;
  }
}

const turn = (perm: number[]) => node("Transpose", ["x"], ["t"], { perm });
const relu = node("Relu", ["x"], ["t"]);
const cases: Record<string, { nodes: NodeSpec[]; w: TensorSpec; rank?: number; sizes: Record<number, number>; runs: number[] }> =
  {
    "a Conv": { nodes: [node("Conv", ["x", "w"], ["y"])], w: ones(4, 3, 1, 1), sizes: { 1: 3 }, runs: [1, 3, 2, 2] },
    "a Conv in groups": {
      nodes: [node("Conv", ["x", "w"], ["y"], { group: 2 })],
      w: ones(4, 3, 1),
      sizes: { 1: 6 },
      runs: [1, 6, 2],
    },
    "a ConvTranspose": { nodes: [node("ConvTranspose", ["x", "w"], ["y"])], w: ones(3, 4, 1), sizes: { 1: 3 }, runs: [1, 3, 2] },
    "a Conv behind a Relu": {
      nodes: [relu, node("Conv", ["t", "w"], ["y"])],
      w: ones(4, 3, 1),
      sizes: { 1: 3 },
      runs: [1, 3, 2],
    },
    "a Conv of channels that lie last": {
      nodes: [turn([0, 3, 1, 2]), node("Conv", ["t", "w"], ["y"])],
      w: ones(4, 3, 1, 1),
      sizes: { 3: 3 },
      runs: [1, 2, 2, 3],
    },
    "a Conv behind two Transposes": {
      nodes: [turn([0, 2, 1]), node("Transpose", ["t"], ["u"], { perm: [1, 2, 0] }), node("Conv", ["u", "w"], ["y"])],
      w: ones(4, 3, 1),
      sizes: { 1: 3 },
      runs: [2, 3, 1],
    },
    "a Conv behind a Pad": {
      nodes: [node("Pad", ["x"], ["t"], { pads: [0, 0, 1, 0, 0, 1] }), node("Conv", ["t", "w"], ["y"])],
      w: ones(4, 3, 1),
      sizes: { 1: 3 },
      runs: [1, 3, 2],
    },
    "an LSTM": {
      nodes: [node("LSTM", ["x", "w", "r"], ["y"], { hidden_size: 2 })],
      w: ones(1, 8, 3),
      sizes: { 2: 3 },
      runs: [2, 1, 3],
    },
    "a Gemm": { nodes: [node("Gemm", ["x", "w"], ["y"])], w: ones(3, 4), sizes: { 1: 3 }, runs: [2, 3] },
    "a Gemm of two transposed": {
      nodes: [node("Gemm", ["x", "w"], ["y"], { transA: 1, transB: 1 })],
      w: ones(4, 3),
      sizes: { 0: 3 },
      runs: [3, 2],
    },
    "a Gemm, second": { nodes: [node("Gemm", ["w", "x"], ["y"])], w: ones(4, 3), sizes: { 0: 3 }, runs: [3, 2] },
    "a Gemm of two transposed, second": {
      nodes: [node("Gemm", ["w", "x"], ["y"], { transA: 1, transB: 1 })],
      w: ones(3, 4),
      sizes: { 1: 3 },
      runs: [2, 3],
    },
    "a MatMul": { nodes: [node("MatMul", ["x", "w"], ["y"])], w: ones(3, 4), sizes: { 1: 3 }, runs: [2, 3] },
    "a MatMul of a known rank": {
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      w: ones(3, 4),
      rank: 4,
      sizes: { 3: 3 },
      runs: [1, 1, 2, 3],
    },
    "a MatMul, second": { nodes: [node("MatMul", ["w", "x"], ["y"])], w: ones(4, 3), rank: 3, sizes: { 1: 3 }, runs: [1, 3, 2] },
    "an InstanceNormalization": {
      nodes: [node("InstanceNormalization", ["x", "w", "w"], ["y"])],
      w: ones(3),
      rank: 3,
      sizes: { 1: 3 },
      runs: [1, 3, 2],
    },
    "a LayerNormalization": {
      nodes: [node("LayerNormalization", ["x", "w"], ["y"])],
      w: ones(3),
      rank: 2,
      sizes: { 1: 3 },
      runs: [2, 3],
    },
    "an Add": { nodes: [node("Add", ["w", "x"], ["y"])], w: ones(3, 1, 4), rank: 4, sizes: { 1: 3, 3: 4 }, runs: [1, 3, 2, 4] },
    "a transposed weight": {
      nodes: [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])],
      w: ones(4, 3),
      sizes: { 1: 3 },
      runs: [2, 3],
    },
  };

describe.each(Object.entries(cases))("%s", (_name, { nodes, w, rank, sizes, runs }) => {
  const spec = { ...net(nodes, { w, r: ones(1, 8, 2) }), opset: nodes.some(({ op }) => op === "Pad") ? 10 : 17 };
  it("needs these sizes, and no others", () => {
    const found = told(spec, rank);
    expect({ rank: found.rank, sizes: found.sizes }).toEqual({ rank: runs.length, sizes });
    expect(takes(spec, runs)).toBe(true);
    for (const axis of Object.keys(sizes).map(Number))
      expect(takes(spec, runs.with(axis, runs[axis] + 2)), String(axis)).toBe(false);
  });
});

describe("of what tells nothing", () => {
  it.each<[string, NodeSpec[], number | undefined]>([
    ["a weight that is computed", [relu, node("MatMul", ["x", "t"], ["y"])], undefined],
    ["a bias", [node("Gemm", ["w", "w", "x"], ["y"])], undefined],
    ["a vector", [node("MatMul", ["x", "v"], ["y"])], 2],
    ["a MatMul's second operand of unknown rank", [node("MatMul", ["w", "x"], ["y"])], undefined],
    ["a wider constant", [node("Add", ["x", "w"], ["y"])], 1],
    ["a pooling without a kernel", [node("MaxPool", ["x"], ["y"])], undefined],
    ["a scale of unknown rank", [node("LayerNormalization", ["x", "v"], ["y"])], undefined],
    ["a Conv's weight", [node("Conv", ["w", "x"], ["y"])], undefined],
    ["an RNN's state", [node("RNN", ["w", "w", "w", "", "", "x"], ["y"])], undefined],
  ])("%s", (_name, nodes, rank) => {
    expect(told(net(nodes, { w: ones(3, 3), v: ones(3) }), rank)).toMatchObject({ rank, sizes: {} });
  });
});

describe("spatial axes", () => {
  const pool = (x: string) => node("MaxPool", [x], ["y"], { kernel_shape: [2, 2] });
  it("are those behind the channels, wherever they lie", () => {
    expect(told(net([pool("x")], {})).spatial).toEqual({ first: 2, count: 2 });
    expect(told(net([turn([0, 3, 1, 2]), pool("t")], {})).spatial).toEqual({ first: 1, count: 2 });
  });

  it("shrink by all strides on the way", () => {
    const strided = (x: string, y: string, strides: number[]) => node("MaxPool", [x], [y], { kernel_shape: [1, 1], strides });
    const spec = net([strided("x", "a", [2, 2]), node("Relu", ["a"], ["b"]), strided("b", "y", [3, 1])], {});
    expect(totalStride(viewOf(model(spec)))).toBe(6);
    expect(totalStride(viewOf(model(net([pool("x")], {}))))).toBe(1);
  });
});

describe("rows of tables", () => {
  const gather = (axis: number, x = "x") => node("Gather", ["w", x], ["y"], { axis });
  const rows = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) =>
    told(net(nodes, { w: ones(5, 7), ...more }, "int64")).rows;
  it.each<[string, NodeSpec[], number | undefined]>([
    ["the first axis", [gather(0)], 5],
    ["the last one", [gather(-1)], 7],
    ["a table that is computed", [node("Neg", ["w"], ["n"]), node("Gather", ["n", "x"], ["y"])], undefined],
    ["behind a Cast", [node("Cast", ["x"], ["t"], { to: 7 }), gather(1, "t")], 7],
    ["the data of a Gather", [node("Gather", ["x", "i"], ["y"])], undefined],
  ])("by %s", (_name, nodes, expected) => {
    expect(rows(nodes, { i: int64([1], [0]) })).toBe(expected);
    if (expected === undefined) return;
    const spec = net(nodes, { w: ones(5, 7), i: int64([1], [0]) }, "int64");
    expect(takes(spec, [5], "int64", expected - 1)).toBe(true);
    expect(takes(spec, [5], "int64", expected)).toBe(false);
  });

  it("of a OneHot are its depth; where it has no one depth nothing is known", () => {
    const hot = [node("OneHot", ["x", "d", "v"], ["y"])];
    expect(rows(hot, { d: int64([1], [4]), v: ones(2) })).toBe(4);
    expect(rows(hot, { d: int64([2], [4, 4]), v: ones(2) })).toBeUndefined();
    expect(
      rows([node("Neg", ["d"], ["m"]), node("OneHot", ["x", "m", "v"], ["y"])], { d: int64([1], [4]), v: ones(2) }),
    ).toBeUndefined();
  });

  it("are those of the smallest one", () => {
    expect(rows([gather(1), node("Gather", ["w", "x"], ["z"], { axis: 0 })])).toBe(5);
  });
});

it("dimensions of constants are found behind what keeps them, and of nothing else", () => {
  const nodes = [
    node("Identity", ["w"], ["i"]),
    node("Transpose", ["i"], ["t"], { perm: [1, 0, 2] }),
    node("Transpose", ["w"], ["r"]),
    node("Neg", ["w"], ["n"]),
    node("Transpose", ["n"], ["u"]),
    node("Identity", ["x"], ["y"]),
  ];
  const { values } = viewOf(model(net(nodes, { w: ones(2, 3, 4) }))).main;
  const dims = (name: string) => constantDims(values.get(name));
  expect([dims("w"), dims("i"), dims("t"), dims("r")]).toEqual([
    [2, 3, 4],
    [2, 3, 4],
    [3, 2, 4],
    [4, 3, 2],
  ]);
  expect([dims("n"), dims("u"), dims("y"), dims("missing")]).toEqual([undefined, undefined, undefined, undefined]);
});
