/** ONNX Runtime's products of whole numbers: what their scales and biases take, and near misses. */
import { describe, expect, it } from "vitest";
import type { DType } from "../../src/onnx/dtype.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { prove } from "../../src/verify/index.ts";
import { float32, int8, type ModelSpec, model, type NodeSpec, node, type TensorSpec, uint8 } from "../helpers/build.ts";
import { batchNorm, check, floats, operators, whole } from "./check.ts";

const microsoft = { domain: "com.microsoft" };
const int32 = (values: number[]): TensorSpec => ({ dtype: "int32", dims: [values.length], values });
const b = int8([3, 4], [1, -2, 3, 4, -5, 6, 7, -8, 9, 10, -11, 12]);
const codes = { as: float32([], [0.5]), az: uint8([], [128]), b, bs: float32([], [0.25]), bz: int8([], [0]) };
const spec = (nodes: NodeSpec[], initializers: Record<string, TensorSpec>, inputs: ModelSpec["inputs"]): ModelSpec => ({
  opsets: { "": 21, "com.microsoft": 1 },
  irVersion: 10,
  nodes,
  initializers,
  inputs,
  outputs: [floats("y", [2, 4])],
});
const quantize = node("QuantizeLinear", ["x", "as", "az"], ["a"]);
const gemm = (rest: string[] = [], attributes = {}) =>
  node("QGemm", ["a", "as", "az", "b", "bs", "bz", ...rest], ["c"], attributes, microsoft);
const x = [floats("x", [2, 3])];
const mul = node("Mul", ["c", "k"], ["y"]);
const outcome = (p: ModelSpec, q: ModelSpec) => prove(model(p), model(q), { foreign: false }).outcome;

describe("QGemm that gives real numbers", () => {
  it("takes a gain of any sign into the scale of its weight, with a zero point for each column", () => {
    const done = check(spec([quantize, gemm(), mul], { ...codes, k: float32([4], [2, -1, 0.5, 4]) }, x), { folds: 1 });
    expect(operators(done)).toEqual(["QuantizeLinear", "QGemm"]);
    const record = done.after.graph.initializers.find((t) => t.name === done.after.graph.nodes[1].inputs[5]);
    expect(record?.dims).toEqual([4]);
    check(
      spec(
        [quantize, gemm([], { transB: 1 }), mul],
        { ...codes, b: { ...b, dims: [4, 3] }, k: float32([4], [2, -1, 0.5, 4]) },
        x,
      ),
      { folds: 1 },
    );
  });

  it("takes a shift that is a whole number of its steps, which go along with the gain", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, 1, 0.5, 4], shift: [1, -0.25, 0.5, 3] });
    check(spec([quantize, gemm(["i"]), bn.node], { ...codes, i: int32([1, 2, 3, -4]), ...bn.initializers }, x), { folds: 1 });
    check(spec([quantize, gemm(), bn.node], { ...codes, ...bn.initializers }, x), { folds: 1 });
  });

  it("keeps another one, and says how far off rounding it would be", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, 1, 0.5, 4], shift: [1, -0.1875, 0.5, 3] });
    check(spec([quantize, gemm(), bn.node], { ...codes, ...bn.initializers }, x), {
      folds: 0,
      refused: "quantized",
      because: /-1\.5 steps on channel 1 are none: rounded, it would be off by 0\.0625/,
    });
  });

  it("keeps what would have to come before the rounding of a result", () => {
    const nodes = [
      quantize,
      gemm(["", "as", "az"]),
      node("DequantizeLinear", ["c", "as", "az"], ["d"]),
      node("Mul", ["d", "k"], ["y"]),
    ];
    const done = check(spec(nodes, { ...codes, k: float32([4], [2, 1, 0.5, 4]) }, x), { folds: 1 });
    expect(operators(done)).toEqual(["QuantizeLinear", "QGemm", "DequantizeLinear"]);
    check(spec(nodes, { ...codes, k: float32([4], [2, -1, 0.5, 4]) }, x), { folds: 0, refused: "sign-blocks" });
  });

  it("wrong scales and whole numbers are different", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, 1, 0.5, 4], shift: [1, -0.25, 0.5, 3] });
    const before = spec([quantize, gemm(), bn.node], { ...codes, ...bn.initializers }, x);
    const made = node("QGemm", ["a", "as", "az", "b", "bs", "bz", "i"], ["y"], {}, microsoft);
    const folded = (scales: number[], bias: number[]) =>
      spec([quantize, made], { ...codes, bs: float32([4], scales), bz: int8([4], [0, 0, 0, 0]), i: int32(bias) }, x);
    expect(outcome(before, folded([0.5, 0.25, 0.125, 1], [4, -2, 8, 6]))).toBe("equal");
    expect(outcome(before, folded([0.5, 0.25, 0.125, 2], [4, -2, 8, 6]))).not.toBe("equal");
    expect(outcome(before, folded([0.5, 0.25, 0.125, 1], [4, -2, 8, 7]))).not.toBe("equal");
  });
});

describe.each([
  ["MatMulIntegerToFloat", ["a", "b", "as", "bs", "az", "bz"], [quantize]],
  ["DynamicQuantizeMatMul", ["x", "b", "bs", "bz"], []],
] as const)("%s", (op, inputs, before) => {
  const made = (rest: string[] = [], y = "c") => node(op, [...inputs, ...rest], [y], {}, microsoft);
  // What DynamicQuantizeLinear divides by 255 is not exact in float64.
  const rounding = { folds: 1, tolerance: 1e-13 };
  it("takes a gain of any sign and a shift, with a bias and without", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, -1, 0.5, -4] });
    const plain = check(spec([...before, made(), bn.node], { ...codes, ...bn.initializers }, x), rounding);
    expect(operators(plain)).toEqual([...before.map((n) => n.op), op]);
    check(spec([...before, made(["bias"]), bn.node], { ...codes, bias: whole([4]), ...bn.initializers }, x), rounding);
  });

  it("a wrong scale or bias is different", () => {
    const bn = batchNorm("c", "y", 4, { gain: [2, 1, 0.5, 4], shift: [1, -2, 0.5, 3] });
    const first = spec([...before, made(), bn.node], { ...codes, ...bn.initializers }, x);
    const folded = (scales: number[], bias: number[]) =>
      spec([...before, made(["t"], "y")], { ...codes, bs: float32([4], scales), t: float32([4], bias) }, x);
    expect(outcome(first, folded([0.5, 0.25, 0.125, 1], [1, -2, 0.5, 3]))).toBe("equal");
    expect(outcome(first, folded([0.5, 0.25, 0.125, 0.5], [1, -2, 0.5, 3]))).not.toBe("equal");
    expect(outcome(first, folded([0.5, 0.25, 0.125, 1], [1, -2, 0.5, 2]))).not.toBe("equal");
  });
});

describe("what is computed as it runs", () => {
  const wide = {
    ...codes,
    bs: float32([4], [0.25, 0.5, 1, 2]),
    bz: int8([4], [0, 1, -1, 2]),
    i: int32([1, 2, 3, -4]),
    f: whole([4]),
  };
  const arrays = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array, int32: Int32Array };
  const fed = ({ dtype, dims, values }: TensorSpec): Tensor => ({
    dtype: dtype as DType,
    dims,
    data: arrays[dtype as "int8"].from(values as number[]),
  });
  /** Each operator with a bias, and what has to be constant for a gain, and for a shift. */
  const products: Record<string, { nodes: NodeSpec[]; gain: string[]; shift: string[] }> = {
    QGemm: { nodes: [quantize, gemm(["i"])], gain: ["bs", "bz"], shift: ["as", "bs", "i"] },
    MatMulIntegerToFloat: {
      nodes: [quantize, node("MatMulIntegerToFloat", ["a", "b", "as", "bs", "az", "bz", "f"], ["c"], {}, microsoft)],
      gain: ["bs", "f"],
      shift: ["f"],
    },
    DynamicQuantizeMatMul: {
      nodes: [node("DynamicQuantizeMatMul", ["x", "b", "bs", "bz", "f"], ["c"], {}, microsoft)],
      gain: ["bs", "f"],
      shift: ["f"],
    },
  };
  const ways = {
    gain: [node("Mul", ["c", "k"], ["y"]), float32([4], [2, -1, 0.5, 4])],
    shift: [node("Add", ["c", "k"], ["y"]), float32([4], [1, -2, 3, 4])],
  } as const;
  it.each(Object.keys(products).flatMap((op) => (["gain", "shift"] as const).map((way) => [op, way] as const)))(
    "keeps a map that has to go into it: %s, %s",
    (op, way) => {
      const { nodes } = products[op];
      const [last, k] = ways[way];
      for (const name of new Set(nodes.flatMap(({ inputs }) => inputs))) {
        if (!(name in wide)) continue;
        const constant = wide[name as "bs"];
        const rest = Object.fromEntries(Object.entries(wide).filter(([own]) => own !== name));
        const inputs = [...x, { name, dtype: constant.dtype, dims: constant.dims }];
        const folds = products[op][way].includes(name) ? 0 : 1;
        check(spec([...nodes, last], { ...rest, k }, inputs), { folds, feeds: { [name]: fed(constant) }, tolerance: 1e-13 });
      }
    },
  );

  it("but takes one number for all columns into one scale, or into each", () => {
    for (const [op, { nodes }] of Object.entries(products)) {
      for (const bs of [codes.bs, float32([1], [0.25]), wide.bs]) {
        const bz = bs.dims[0] === 4 ? wide.bz : { ...codes.bz, dims: bs.dims };
        const done = check(spec([...nodes, mul], { ...wide, bs, bz, k: float32([], [-2]) }, x), { folds: 1, tolerance: 1e-13 });
        const made = done.after.graph.nodes.at(-1);
        const scale = done.after.graph.initializers.find(
          (t) => t.name === made?.inputs[op === "DynamicQuantizeMatMul" ? 2 : op === "QGemm" ? 4 : 3],
        );
        expect(scale?.dims).toEqual(bs.dims);
      }
    }
  });

  it("and no map that varies along rows, nor one of columns nobody knows", () => {
    for (const { nodes } of Object.values(products)) {
      for (const op of ["Mul", "Add"]) {
        const rows = spec([...nodes, node(op, ["c", "k"], ["y"])], { ...wide, k: float32([2, 1], [2, 4]) }, x);
        check(rows, { folds: 0, refused: "axis-blocks", tolerance: 1e-13 });
        const { b: matrix, ...others } = wide;
        const open = spec([...nodes, node(op, ["c", "k"], ["y"])], { ...others, k: float32([1, 1], [2]) }, [
          ...x,
          { name: "b", dtype: "int8", dims: [undefined, undefined] },
        ]);
        check(open, { folds: 0, refused: "shape-unknown", feeds: { b: fed(matrix) }, tolerance: 1e-13 });
      }
    }
  });

  it("and nothing where whole numbers are added that are not one for each column", () => {
    const bn = batchNorm("c", "y", 4, { gain: [1, 1, 1, 1], shift: [1, -0.25, 0.5, 3] });
    for (const bias of [int32([2]), { ...int32([1, 2, 3, 4, 5, 6, 7, 8]), dims: [2, 4] }])
      check(spec([quantize, gemm(["i"]), bn.node], { ...codes, i: bias, ...bn.initializers }, x), {
        folds: 0,
        refused: "parameter-shape",
      });
  });
});
