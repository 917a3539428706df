/** Layers whose constants do not fit them: a file that contradicts itself is left as it is, with the reason. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { isTensor } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/proof.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const filled = (...dims: number[]) =>
  float32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => 1 + (i % 3)),
  );
const norm = { g: filled(6), be: filled(6), mu: filled(6), va: filled(6) };
const behind = (
  layer: NodeSpec,
  initializers: Record<string, TensorSpec>,
  dims: number[],
  rank: (number | string)[],
): ModelSpec => ({
  opsets: { "": 17 },
  nodes: [layer, node("BatchNormalization", ["c", "g", "be", "mu", "va"], ["y"], { epsilon: f(1e-5) })],
  initializers: { ...norm, ...initializers },
  inputs: [{ name: "x", dims }],
  outputs: [{ name: "y", dims: rank }],
});
const image = [2, 4, 5, 5];
const conv = (initializers: Record<string, TensorSpec>, attributes: NodeSpec["attributes"] = {}) =>
  behind(node("Conv", ["x", "w", "b"], ["c"], attributes), initializers, image, ["N", 6, "H", "W"]);
const turned = (initializers: Record<string, TensorSpec>) =>
  behind(node("ConvTranspose", ["x", "w", "b"], ["c"]), initializers, image, ["N", 6, "H", "W"]);
const gemm = (initializers: Record<string, TensorSpec>) =>
  behind(node("Gemm", ["x", "w", "b"], ["c"]), initializers, [2, 4], ["N", 6]);

const broken: Record<string, ModelSpec> = {
  "Conv: a bias of two axes": conv({ w: filled(6, 4, 3, 3), b: filled(6, 2) }),
  "Conv: a bias of three for six": conv({ w: filled(6, 4, 3, 3), b: filled(3) }),
  "Conv: a weight of two axes": conv({ w: filled(6, 4), b: filled(6) }),
  "Conv: a weight of an axis too many": conv({ w: filled(6, 4, 3, 3, 2), b: filled(6) }),
  "Conv: pads of one axis": conv({ w: filled(6, 4, 3, 3), b: filled(6) }, { pads: [1, 1] }),
  "Conv: channels that are not there": conv({ w: filled(6, 3, 3, 3), b: filled(6) }),
  "ConvTranspose: a bias of two axes": turned({ w: filled(4, 6, 3, 3), b: filled(6, 1) }),
  "ConvTranspose: a weight of one axis": turned({ w: filled(4), b: filled(6) }),
  "Gemm: a bias of three axes": gemm({ w: filled(4, 6), b: filled(1, 1, 6) }),
  "Gemm: a bias of three for six": gemm({ w: filled(4, 6), b: filled(3) }),
  "Gemm: a weight of three axes": gemm({ w: filled(4, 6, 2), b: filled(6) }),
};

describe("a normalization behind a layer that is broken", () => {
  it.each(Object.entries(broken))("%s", (_name, spec) => {
    const { folds, merges, kept } = plan(model(spec)).data;
    expect([folds.length, merges.length, kept.map(({ code }) => code)]).toEqual([0, 0, ["parameter-shape"]]);
  });

  it("that is another normalization", () => {
    const spec = behind(
      node("BatchNormalization", ["x", "g", "wrong", "mu", "va"], ["c"], { epsilon: f(1e-5) }),
      { wrong: filled(6, 2) },
      [2, 6, 5, 5],
      ["N", 6, 5, 5],
    );
    expect(plan(model(spec)).data.folds).toEqual([]);
  });
});

describe("a normalization of one number, as where operands changed places", () => {
  const spec = (first: string, second: string): ModelSpec => ({
    ...behind(node("Clip", [first, second], ["c"]), { low: float32([], [0]) }, image, []),
    inputs: [{ name: "x", dims: [2, 6] }],
  });

  it("stays, and is another file's", () => {
    const [right, wrong] = [model(spec("x", "low")), model(spec("low", "x"))];
    const { data } = plan(wrong);
    expect(data.folds).toEqual([]);
    expect(data.kept[0].message).toContain("parameters of shape [6] for an input of rank 0");
    expect(prove(right, wrong).outcome).not.toBe("equal");
    expect(prove(wrong, right).outcome).not.toBe("equal");
  });
});

describe("a name that is given twice in one graph", () => {
  const relu = (from: string, to: string) => node("Relu", [from], [to]);
  const graph = (nodes: readonly NodeSpec[], more: Partial<ModelSpec> = {}): ModelSpec => ({
    nodes,
    inputs: [{ name: "x", dims: image }],
    outputs: [{ name: "y" }],
    ...more,
  });
  const sparse = { c: { dtype: "float32", dims: [4], indices: [1], values: [2] } };
  const twice: Record<string, ModelSpec> = {
    "by two nodes": graph([relu("x", "y"), node("Abs", ["x"], ["y"])]),
    "by one node": graph([node("Split", ["x"], ["y", "y"], { axis: 1 })]),
    "by a node and the file": graph([relu("x", "c"), node("Add", ["x", "c"], ["y"])], { initializers: { c: filled(4, 1, 1) } }),
    "by a node and the caller": graph([relu("x", "x"), relu("x", "y")]),
    "by the file, dense and sparse": graph([node("Mul", ["x", "c"], ["y"])], { initializers: { c: filled(5) }, sparse }),
  };
  it.each(Object.entries(twice))("%s", (_how, spec) => {
    expect(() => plan(model(spec))).toThrow(/is given twice in one graph/);
  });

  it("not where a default is an input as well, an output is left out, or another graph has the name", () => {
    const branch = (op: string) => ({ nodes: [node(op, ["x"], ["a"])], inputs: [], outputs: [{ name: "a" }] });
    const spec = graph(
      [
        node("Dropout", ["x"], ["d", ""]),
        node("Dropout", ["d"], ["e", ""]),
        node("Mul", ["e", "c"], ["m"]),
        node("If", ["p"], ["i"], { then_branch: branch("Relu"), else_branch: branch("Abs") }),
        node("Add", ["i", "m"], ["y"]),
      ],
      {
        initializers: { c: filled(4, 1, 1) },
        inputs: [
          { name: "x", dims: image },
          { name: "p", dtype: "bool", dims: [] },
          { name: "c", dims: [4, 1, 1] },
        ],
      },
    );
    expect(plan(model(spec)).data.folds).toEqual([]);
  });
});

describe("a normalization behind a layer of no features", () => {
  it.each([0, 1])("goes into the bias, and the weight keeps its shape: transB=%i", (transB) => {
    const dims = transB === 0 ? [0, 6] : [6, 0];
    const spec = behind(node("Gemm", ["x", "w"], ["c"], { transB }), { w: float32(dims, []) }, [2, 0], [2, 6]);
    const before = model(spec);
    const { model: after, data } = folded(before);
    expect(data.folds.length).toBe(1);
    expect(after.graph.initializers.find(({ name }) => name === "w")?.dims).toEqual(dims);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
    const none = new Map([["x", { dtype: "float32" as const, dims: [2, 0], data: new Float32Array(0) }]]);
    const [x, y] = [before, after].map((net) => createSession(net).run(none).get("y"));
    if (!isTensor(x) || !isTensor(y)) throw new Error("the output is no tensor");
    expect(y.dims).toEqual([2, 6]);
    for (const [i, v] of asFloat64(x).entries()) expect(y.data[i]).toBeCloseTo(v, 6);
  });
});

describe("a gain in front of an Add of operator set 6", () => {
  it("that lays its constant over axes there are not stays", () => {
    const spec: ModelSpec = {
      opsets: { "": 6 },
      nodes: [
        node("Mul", ["x", "k"], ["m"], { broadcast: 1, axis: 1 }),
        node("Add", ["m", "c"], ["a"], { broadcast: 1, axis: 4 }),
        node("Conv", ["a", "w"], ["y"]),
      ],
      initializers: { k: filled(4), c: filled(4), w: filled(6, 4, 3, 3) },
      inputs: [{ name: "x", dims: image }],
      outputs: [{ name: "y", dims: [2, 6, 3, 3] }],
    };
    const { folds, kept } = plan(model(spec)).data;
    expect([folds.length, kept.map(({ message }) => message)]).toEqual([
      0,
      [expect.stringContaining("has a constant of higher rank than its other operand")],
    ]);
  });
});
