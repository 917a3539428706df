/** Weights that constants compute (weight normalization, spectral normalization), written out: `norms`. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { float16, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { batchNorm, type Checked, check, floats, integers, operators, whole } from "../rules/check.ts";

const NORMS = { options: { norms: true }, tolerance: 1e-6 };
const SEED = 20261122;

const net = (
  nodes: NodeSpec[],
  initializers: Record<string, TensorSpec>,
  dims: number[],
  more: Partial<ModelSpec> = {},
): ModelSpec => ({ opset: 17, irVersion: 10, nodes, initializers, inputs: [floats("x", dims)], outputs: [floats("y")], ...more });

/** w = g·v/‖v‖, the norm over all axes but the first. */
const weightNorm = (axes: number[], v = "v", w = "w"): NodeSpec[] => [
  node("ReduceL2", [v], [`${w}_norm`], { axes, keepdims: 1 }),
  node("Div", [v, `${w}_norm`], [`${w}_unit`]),
  node("Mul", ["g", `${w}_unit`], [w]),
];
const conv = node("Conv", ["x", "w"], ["y"]);
const parts = { v: whole([3, 2, 3, 3]), g: float32([3, 1, 1, 1], [2, -1, 0.5]) };
const dims = [1, 2, 5, 5];

const names = ({ after }: Pick<Checked, "after">) => after.graph.initializers.map((t) => t.name).sort();
const numbers = ({ after }: Pick<Checked, "after">, name: string) => {
  const found = after.graph.initializers.find((t) => t.name === name);
  return found === undefined ? [] : [...asFloat64(decode(found))];
};

describe("a weight that constants compute", () => {
  it("becomes an initializer of its own name, computed in float64 and rounded once", () => {
    const done = check(net([...weightNorm([1, 2, 3]), conv], parts, dims), { folds: 1, ...NORMS });
    expect(operators(done)).toEqual(["Conv"]);
    expect(names(done)).toEqual(["w"]);
    const v = integers(54, 7, -3, 3);
    const lengths = [0, 1, 2].map((o) => Math.sqrt(v.slice(18 * o, 18 * o + 18).reduce((s, e) => s + e * e, 0)));
    expect(numbers(done, "w")).toEqual(
      v.map((e, i) => Math.fround([2, -1, 0.5][Math.floor(i / 18)] * (e / lengths[Math.floor(i / 18)]))),
    );
    const [fold] = done.data.folds;
    expect(fold).toMatchObject({ kind: "weight", direction: "evaluated", node: { opType: "Mul", output: "w" } });
    expect(fold.into.map(({ node, tensors }) => [node.opType, tensors])).toEqual([
      ["Conv", [{ from: "", to: "w", dtype: "float32", dims: [3, 2, 3, 3] }]],
    ]);
    expect(fold.notes).toEqual(["computed once and for all from 3 constant operators"]);
    expect(done.data.before).toMatchObject({ norms: 0, weights: 1 });
  });

  it(`of every layer and shape (seed ${SEED})`, () => {
    const layer = fc.record({
      op: fc.constantFrom("Conv", "ConvTranspose", "Gemm", "MatMul"),
      out: fc.integer({ min: 1, max: 4 }),
      inner: fc.integer({ min: 1, max: 4 }),
      kernel: fc.integer({ min: 1, max: 3 }),
      spectral: fc.boolean(),
      seed: fc.integer({ min: 1, max: 999 }),
    });
    fc.assert(
      fc.property(layer, ({ op, out, inner, kernel, spectral, seed }) => {
        const spatial = op === "Conv" || op === "ConvTranspose";
        const shape = op === "Conv" ? [out, inner, kernel] : op === "ConvTranspose" ? [inner, out, kernel] : [inner, out];
        const rows = shape[0];
        const columns = shape.slice(1).reduce((n, d) => n * d, 1);
        const positive = (n: number, s: number) => float32([n], integers(n, s, 1, 4));
        const constants: Record<string, TensorSpec> = {
          v: float32(shape, integers(rows * columns, seed, 1, 5)),
          ...(spectral
            ? { m: int64([2], [BigInt(rows), BigInt(columns)]), a: positive(rows, seed + 1), b: positive(columns, seed + 2) }
            : { g: float32([rows, ...new Array(shape.length - 1).fill(1)], integers(rows, seed + 3, 1, 3)) }),
        };
        const compute = spectral
          ? [
              node("Reshape", ["v", "m"], ["flat"]),
              node("MatMul", ["flat", "b"], ["wv"]),
              node("MatMul", ["a", "wv"], ["sigma"]),
              node("Div", ["v", "sigma"], ["w"]),
            ]
          : weightNorm(shape.map((_, i) => i).slice(1));
        const done = check(net([...compute, node(op, ["x", "w"], ["y"])], constants, spatial ? [2, inner, 4] : [2, inner]), {
          folds: 1,
          options: { norms: true },
          tolerance: 1e-6,
        });
        expect(operators(done)).toEqual([op]);
        expect(names(done)).toEqual(["w"]);
      }),
      { numRuns: 60, seed: SEED },
    );
  });

  it("by an operator that has an operand left out", () => {
    const nodes = [node("Clip", ["v", "", "top"], ["w"]), conv];
    const done = check(net(nodes, { v: parts.v, top: float32([], [1]) }, dims), { folds: 1, ...NORMS });
    expect(operators(done)).toEqual(["Conv"]);
    expect(names(done)).toEqual(["w"]);
    expect(numbers(done, "w")).toEqual(integers(54, 7, -3, 3).map((v) => Math.min(v, 1)));
  });

  it("is written once for several readers", () => {
    const nodes = [
      ...weightNorm([1, 2, 3]),
      node("Conv", ["x", "w"], ["y"]),
      node("Conv", ["x", "w"], ["z"], { strides: [2, 2] }),
    ];
    const spec = net(nodes, parts, dims, { outputs: [floats("y"), floats("z")] });
    const done = check(spec, { folds: 1, ...NORMS });
    expect(names(done)).toEqual(["w"]);
    expect(done.data.folds[0].into.length).toBe(2);
  });

  it("takes only what nobody else needs with it", () => {
    const nodes = [...weightNorm([1, 2, 3]), conv, node("Mul", ["x", "u"], ["m"]), node("ReduceSum", ["v"], ["k"])];
    const more = node("Add", ["m", "k"], ["z"]);
    const spec = net([...nodes, more], { ...parts, u: float32([], [2]) }, dims, { outputs: [floats("y"), floats("z")] });
    const done = check(spec, { folds: 1, ...NORMS });
    expect(names(done)).toEqual(["u", "v", "w"]);
    expect(operators(done)).toEqual(["Conv", "Mul", "ReduceSum", "Add"]);
  });

  it("and that a batch normalization goes into is written with it", () => {
    const bn = batchNorm("c", "y", 3);
    const nodes = [...weightNorm([1, 2, 3]), node("Conv", ["x", "w"], ["c"]), bn.node];
    const done = check(net(nodes, { ...parts, ...bn.initializers }, dims), { folds: 1, ...NORMS });
    expect(operators(done)).toEqual(["Conv"]);
    expect(done.data.before.weights).toBe(0);
  });

  it("inside a branch and around it", () => {
    const body = (nodes: NodeSpec[]) => ({ nodes, outputs: [floats("r", [1, 3, 3, 3])] });
    const inner = body([node("Conv", ["x", "w"], ["r"])]);
    const own = body([...weightNorm([1, 2, 3], "v", "o"), node("Conv", ["x", "o"], ["r"])]);
    const nodes = [...weightNorm([1, 2, 3]), node("If", ["cond"], ["y"], { then_branch: inner, else_branch: own })];
    const inputs = [floats("x", dims), { name: "cond", dtype: "bool", dims: [] }];
    const done = check(net(nodes, parts, dims, { inputs }), { folds: 2, ...NORMS });
    expect(operators(done)).toEqual(["If"]);
    expect(names(done)).toEqual(["w"]);
  });

  it("as a node where a new initializer would have to be an input", () => {
    const inputs = [floats("x", dims), floats("v", [3, 2, 3, 3]), floats("g", [3, 1, 1, 1])];
    const spec = net([...weightNorm([1, 2, 3]), conv], parts, dims, { irVersion: 3, opset: 8, inputs });
    expect(operators(check(spec, { folds: 1, ...NORMS }))).toEqual(["Constant", "Conv"]);
  });
});

describe("what stays", () => {
  const stays = (spec: ModelSpec, code: string, options = {}) => {
    const { data } = plan(model(spec), { norms: true, ...options });
    expect(data.folds).toEqual([]);
    expect(data.kept.map((k) => [k.kind, k.code])).toEqual([["weight", code]]);
    expect(data.before.weights).toBe(1);
  };
  const spec = net([...weightNorm([1, 2, 3]), conv], parts, dims);

  it("a graph output", () => {
    stays({ ...spec, outputs: [floats("y"), floats("w")] }, "is-graph-output");
  });

  it("what the user excludes, and what was not shown to be equivalent", () => {
    stays(spec, "excluded-by-user", { skip: (name: string) => name === "w" });
    stays(spec, "not-proven", { unproven: new Set(["#2"]) });
  });

  it("numbers beyond the type, or none at all", () => {
    const half = { v: float16([1, 2, 1, 1], [60000, 60000]), g: float16([1, 1, 1, 1], [60000]) };
    const scaled = [node("Mul", ["g", "v"], ["w"]), conv];
    const inputs = [{ name: "x", dtype: "float16", dims }];
    stays(net(scaled, half, dims, { inputs, outputs: [{ name: "y", dtype: "float16" }] }), "storage-overflow");
    stays(
      net([...weightNorm([1, 2, 3]), conv], { ...parts, v: float32([3, 2, 1, 1], new Array(6).fill(0)) }, dims),
      "storage-overflow",
    );
  });

  it("another output that is read", () => {
    const nodes = [
      node("LayerNormalization", ["v", "g"], ["w", "mean"]),
      node("MatMul", ["x", "w"], ["p"]),
      node("Max", ["p", "mean"], ["y"]),
    ];
    stays(net(nodes, { v: whole([3, 4]), g: whole([4]) }, [4, 3, 3]), "extra-outputs-used");
  });

  it("another output that is an output of the graph", () => {
    const nodes = [node("LayerNormalization", ["v", "g"], ["w", "mean"]), node("MatMul", ["x", "w"], ["y"])];
    const initializers = { v: whole([3, 4]), g: whole([4]) };
    stays(net(nodes, initializers, [4, 3, 3], { outputs: [floats("y"), floats("mean")] }), "extra-outputs-used");
  });

  it("a weight whose numbers a quantization annotation is about", () => {
    const { data } = folded(model(net([...weightNorm([1, 2, 3]), conv], parts, dims, { annotations: ["w"] })), NORMS.options);
    expect(data.folds).toEqual([]);
    expect(data.kept.map(({ node: { output } }) => output)).toContain("w");
  });

  it("what is only moved, cast or dequantised is none of them", () => {
    const { data } = plan(
      model(
        net(
          [
            node("Transpose", ["v"], ["t"], { perm: [1, 0] }),
            node("MatMul", ["x", "t"], ["a"]),
            node("Cast", ["h"], ["d"], { to: 1 }),
            node("MatMul", ["a", "d"], ["b"]),
            node("DequantizeLinear", ["q", "s"], ["e"]),
            node("Mul", ["e", "two"], ["e2"]),
            node("MatMul", ["b", "e2"], ["y"]),
          ],
          {
            v: whole([3, 3]),
            h: float16([3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]),
            q: { dtype: "int8", dims: [3, 3], values: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
            s: float32([], [0.5]),
            two: float32([], [2]),
          },
          [2, 3, 3],
        ),
      ),
      { norms: true },
    );
    expect(data.before).toMatchObject({ norms: 0, weights: 0 });
    expect(data.folds).toEqual([]);
  });

  it("everything, without the option", () => {
    const before = model(spec);
    const { data, bytes } = folded(before);
    expect(data).toMatchObject({ folds: [], kept: [] });
    expect(bytes.length).toBe(before.files.main.size);
  });
});
