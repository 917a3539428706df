import { describe, expect, it } from "vitest";
import { diffModels } from "../../src/diff/index.ts";
import { plan } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { write } from "../../src/onnx/write.ts";
import { convNet } from "../cli/bnfold.ts";
import {
  f,
  float32,
  type ModelSpec,
  model,
  modelBytes,
  type NodeSpec,
  node,
  payload,
  type TensorSpec,
} from "../helpers/build.ts";

const range = (n: number, of: (i: number) => number) => Array.from({ length: n }, (_, i) => of(i));
const weight = (seed: number): TensorSpec =>
  float32(
    [2, 2],
    range(4, (i) => Math.sin(seed + i)),
  );

/** x → (MatMul → Relu) n times → y, with names from `name`. */
const chain = (n: number, name: (i: number) => string = String, seed = (i: number) => 10 * i): ModelSpec => {
  const value = (i: number) => (i === 0 ? "x" : i === n ? "y" : `v${name(i)}`);
  return {
    nodes: range(n, (i) => i).flatMap((i) => [
      node("MatMul", [value(i), `w${name(i)}`], [`m${name(i)}`], {}, { name: `mat_${name(i)}` }),
      node("Relu", [`m${name(i)}`], [value(i + 1)], {}, { name: `relu_${name(i)}` }),
    ]),
    initializers: Object.fromEntries(range(n, (i) => i).map((i) => [`w${name(i)}`, weight(seed(i))])),
    inputs: [{ name: "x", dims: ["N", 2] }],
    outputs: [{ name: "y", dims: ["N", 2] }],
  };
};
const diff = (a: ModelSpec, b: ModelSpec) => diffModels(model(a), model(b));
const NONE = { added: [], removed: [], changed: [] };

describe("diffModels", () => {
  it("finds nothing between a model and itself", () => {
    expect(diff(chain(5), chain(5))).toMatchObject({
      changes: 0,
      nodes: { matched: 10, ...NONE },
      tensors: NONE,
      renamed: { nodes: 0, tensors: 0, values: 0 },
      reordered: false,
    });
  });

  it("counts renames beside, whatever the names were before", () => {
    const found = diff(
      chain(5),
      chain(5, (i) => String((i + 2) % 5)),
    );
    expect(found).toMatchObject({ changes: 0, nodes: { matched: 10 }, renamed: { nodes: 10, tensors: 5, values: 9 } });
  });

  it("takes another order of parallel branches for none, renamed or not", () => {
    const branches = (order: readonly number[], name: (i: number) => string): ModelSpec => ({
      nodes: [
        ...order.flatMap((i) => [
          node("MatMul", ["x", `w${name(i)}`], [`m${name(i)}`]),
          node("Relu", [`m${name(i)}`], [`r${name(i)}`]),
        ]),
        node(
          "Concat",
          [0, 1, 2].map((i) => `r${name(i)}`),
          ["y"],
          { axis: 1 },
        ),
      ],
      initializers: Object.fromEntries([0, 1, 2].map((i) => [`w${name(i)}`, weight(i)])),
      inputs: [{ name: "x", dims: ["N", 2] }],
      outputs: [{ name: "y" }],
    });
    for (const name of [String, (i: number) => String(2 - i)]) {
      expect(diff(branches([0, 1, 2], String), branches([2, 0, 1], name))).toMatchObject({
        changes: 0,
        reordered: true,
        nodes: { matched: 7 },
      });
    }
  });

  it("measures the one weight that changed", () => {
    const other = chain(5, String, (i) => 10 * i + (i === 3 ? 1 : 0));
    const found = diff(chain(5), other);
    const [a, b] = [30, 31].map((seed) => range(4, (i) => Math.fround(Math.sin(seed + i))));
    const d = a.map((value, i) => value - b[i]);
    expect(found).toMatchObject({ changes: 1, nodes: { matched: 10, ...NONE } });
    expect(found.tensors.changed).toEqual([
      {
        tensor: { scope: "", name: "w3", dtype: "float32", dims: [2, 2] },
        now: { scope: "", name: "w3", dtype: "float32", dims: [2, 2] },
        numbers: {
          ...{ elements: 4, differing: 4, largest: Math.max(...d.map(Math.abs)) },
          rms: Math.sqrt(d.reduce((n, v) => n + v * v, 0) / 4),
          scale: Math.sqrt(a.reduce((n, v) => n + v * v, 0) / 4),
        },
      },
    ]);
  });

  it.each(["named as before", "numbered anew"])("finds a node inserted in a chain, the others %s", (how) => {
    const a = chain(8);
    const at = 7;
    const nodes = [...a.nodes];
    const before = nodes[at];
    nodes.splice(at, 1, { ...before, outputs: ["inserted"] }, node("Sigmoid", ["inserted"], before.outputs, {}, { name: "new" }));
    const named = how === "named as before" ? nodes : nodes.map((one, i) => ({ ...one, name: `${one.op}_${i}` }));
    const first = how === "named as before" ? a : { ...a, nodes: a.nodes.map((one, i) => ({ ...one, name: `${one.op}_${i}` })) };
    const found = diff(first, { ...a, nodes: named });
    expect(found.nodes.added.map(({ opType }) => opType)).toEqual(["Sigmoid"]);
    expect(found.nodes.removed).toEqual([]);
    expect(found.nodes.changed.map(({ node: { opType }, inputs }) => [opType, inputs.map(({ index }) => index)])).toEqual([
      ["MatMul", [0]],
    ]);
    expect(found.tensors).toMatchObject(NONE);
  });

  it.each([true, false])("shows a fold: BatchNormalization gone, weight changed, bias new (names kept: %s)", (kept) => {
    const spec = convNet();
    const first = model(spec);
    const bytes = collect(write(first, plan(first).edits).main);
    const second = read(memorySource(bytes, "folded.onnx"), { external: () => memorySource(new Uint8Array()) });
    const renamed = kept ? first : model({ ...spec, nodes: spec.nodes.map((one, i) => ({ ...one, name: `n${i}` })) });
    const found = diffModels(renamed, second);
    expect(found.nodes.removed.map(({ opType }) => opType)).toEqual(["BatchNormalization"]);
    expect(found.nodes.added).toEqual([]);
    expect(found.tensors.changed.map(({ tensor }) => tensor.name)).toEqual(["w"]);
    expect(found.tensors.removed.map(({ name }) => name).sort()).toEqual(["mean", "scale", "shift", "var"]);
    expect(found.tensors.added).toHaveLength(1);
    expect(found.operators.after).not.toHaveProperty("BatchNormalization");
  });

  it("sees attributes, of defaults written out and of tensors inside them", () => {
    const net = (attributes: NodeSpec["attributes"], value: readonly number[]): ModelSpec => ({
      nodes: [
        node("Constant", [], ["c"], { value: float32([2], value) }),
        node("LeakyRelu", ["x"], ["l"], attributes),
        node("Add", ["l", "c"], ["y"]),
      ],
      inputs: [{ name: "x", dims: [2] }],
      outputs: [{ name: "y" }],
    });
    const found = diff(net({}, [1, 2]), net({ alpha: f(0.5) }, [1, 2.5]));
    expect(found.nodes.changed.map(({ node: { opType }, attributes }) => [opType, attributes])).toEqual([
      ["Constant", [{ name: "value", a: "float32[2]", b: "float32[2], 1 of 2 elements differ, by up to 0.5" }]],
      ["LeakyRelu", [{ name: "alpha", b: "0.5" }]],
    ]);
  });

  it("sees what the files say of themselves, and the interface", () => {
    const a: ModelSpec = { ...chain(2), metadata: { author: "a", gone: "1" } };
    const b: ModelSpec = {
      ...chain(2),
      ...{ opset: 20, irVersion: 8, metadata: { author: "b" } },
      inputs: [{ name: "image", dims: [1, 2] }],
      nodes: chain(2).nodes.map((one) => ({ ...one, inputs: one.inputs.map((name) => (name === "x" ? "image" : name)) })),
    };
    const found = diff(a, b);
    expect(found.facts).toEqual([
      { what: "IR version", a: "9", b: "8" },
      { what: "operator set ai.onnx", a: "21", b: "20" },
      { what: "metadata author", a: "a", b: "b" },
      { what: "metadata gone", a: "1" },
    ]);
    expect(found.interface).toEqual([
      { side: "input", change: "renamed", name: "x", now: "image" },
      { side: "input", change: "changed", name: "x", a: "float32[N, 2]", b: "float32[1, 2]" },
    ]);
    expect(found.nodes).toMatchObject({ matched: 4, ...NONE });
  });

  it("looks into bodies and functions", () => {
    const body = (op: string, seed: number) => ({
      nodes: [node("MatMul", ["x", "k"], ["t"]), node(op, ["t"], ["r"])],
      initializers: { k: weight(seed) },
      outputs: [{ name: "r" }],
    });
    const net = (op: string, seed: number, slope: number): ModelSpec => ({
      nodes: [
        node("If", ["c"], ["z"], { then_branch: body(op, seed), else_branch: body("Relu", 7) }, { name: "if" }),
        node("F", ["z"], ["y"], {}, { domain: "local" }),
      ],
      inputs: [
        { name: "c", dtype: "bool", dims: [] },
        { name: "x", dims: [2, 2] },
      ],
      outputs: [{ name: "y" }],
      opsets: { "": 21, local: 1 },
      functions: [
        {
          name: "F",
          domain: "local",
          inputs: ["i"],
          outputs: ["o"],
          nodes: [node("LeakyRelu", ["i"], ["o"], { alpha: f(slope) })],
        },
      ],
    });
    expect(diff(net("Sigmoid", 1, 0.1), net("Sigmoid", 1, 0.1)).changes).toBe(0);
    const found = diff(net("Sigmoid", 1, 0.1), net("Tanh", 2, 0.2));
    expect(found.nodes.removed).toMatchObject([{ scope: "if/then_branch", opType: "Sigmoid" }]);
    expect(found.nodes.added).toMatchObject([{ scope: "if/then_branch", opType: "Tanh" }]);
    expect(found.nodes.changed).toMatchObject([{ node: { scope: "local:F", opType: "LeakyRelu" } }]);
    expect(found.tensors.changed).toMatchObject([{ tensor: { scope: "if/then_branch", name: "k" } }]);
    expect(found.interface).toMatchObject([{ change: "source", name: "if/then_branch/r", a: 'Sigmoid "r"', b: 'Tanh "r"' }]);
  });

  it("compares sparse tensors with dense ones, and external ones with those inside, by their numbers", () => {
    const plain = chain(1);
    const dense = float32([2, 2], [0, 3, 0, 0]);
    const a: ModelSpec = { ...plain, initializers: { w0: dense } };
    const sparse: ModelSpec = {
      ...plain,
      initializers: {},
      sparse: { w0: { dtype: "float32", dims: [2, 2], indices: [1], values: [3] } },
    };
    expect(diff(a, sparse).tensors.changed).toMatchObject([{ form: ["dense", "sparse"], numbers: { differing: 0 } }]);
    const external = model(
      { ...plain, initializers: { w0: { ...dense, external: { location: "w.bin", offset: 0, length: 16 } } } },
      { "w.bin": payload(dense) },
    );
    expect(diffModels(model(a), external)).toMatchObject({
      changes: 1,
      tensors: NONE,
      sideFiles: { added: ["w.bin"], removed: [] },
    });
    const typed: ModelSpec = { ...plain, initializers: { w0: { ...dense, encoding: "typed" } } };
    expect(diff(a, typed).changes).toBe(0);
  });

  it("tells numbers from what is none", () => {
    const of = (values: readonly number[], dims = [2, 2]): ModelSpec => ({
      ...chain(1),
      initializers: { w0: float32(dims, values) },
    });
    const [nan, infinite] = [of([Number.NaN, 1, 2, 3]), of([Number.POSITIVE_INFINITY, 1, 2, 3])];
    expect(diff(nan, of([Number.NaN, 1, 2, 3])).changes).toBe(0);
    expect(diff(nan, infinite).tensors.changed[0].numbers).toMatchObject({ differing: 1, largest: 0, rms: 0 });
    expect(diff(of([0, 1, 2, 3]), of([0, 1, 2, 3, 4, 5], [2, 3])).tensors.changed[0]).not.toHaveProperty("numbers");
  });

  it("pairs 20,000 nodes in seconds, around changes in the middle", () => {
    const [a, b] = [chain(10_000), chain(10_000, (i) => `other${i}`)];
    const nodes = b.nodes.filter(({ name }) => !["relu_other3000", "relu_other7000"].includes(name ?? ""));
    const spliced = nodes.map((one) => ({
      ...one,
      inputs: one.inputs.map((name) => (/^vother(3001|7001)$/.test(name) ? `mother${Number(name.slice(6)) - 1}` : name)),
    }));
    const start = performance.now();
    const found = diffModels(
      model(a),
      read(memorySource(modelBytes({ ...b, nodes: spliced }), "b"), { external: () => memorySource(new Uint8Array()) }),
    );
    expect(performance.now() - start).toBeLessThan(60_000);
    expect(found.nodes.removed.map(({ name }) => name)).toEqual(["relu_3000", "relu_7000"]);
    expect(found.nodes.added).toEqual([]);
    expect(found.nodes.changed).toHaveLength(2);
  });
});
