/** Folding touches the nodes, constants and value_info it says it touches; every other byte of the file stays, in its order. */
import { describe, expect, it } from "vitest";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { isEmpty } from "../../src/onnx/write.ts";
import { bytesField, float32, intField, type ModelSpec, modelBytes, node, type TensorSpec, textField } from "../helpers/build.ts";
import { type Folded, folded } from "../helpers/fold.ts";
import { grow } from "../laws/graphs.ts";
import { batchNorm, floats, whole } from "../rules/check.ts";
import { differences, fields, nameOf } from "./bytes.ts";

const GRAPH = new Set(["7"]);

/** What the plan's edits allow to differ in the main graph. */
function allowed({ edits }: Folded, before: Model) {
  const outputs = (list: readonly string[]) => list.join(",");
  const main = (graph: unknown) => graph === before.graph;
  const rewritten = edits.rewriteNodes.map(({ node: n, outputs: o }) => ({
    was: outputs(n.outputs),
    is: outputs(o ?? n.outputs),
  }));
  const holders = new Set(edits.replaceTensors.map(({ tensor }) => tensor.name));
  const constants = before.graph.nodes.filter((n) =>
    [...n.attributes.values()].some((a) => a.t !== undefined && edits.replaceTensors.some((r) => r.tensor === a.t)),
  );
  // A node with subgraphs may change inside.
  const bodies = before.graph.nodes.filter((n) =>
    [...n.attributes.values()].some((a) => a.g !== undefined || a.graphs.length > 0),
  );
  return {
    nodesGone: new Set([
      ...edits.dropNodes.map((n) => outputs(n.outputs)),
      ...rewritten.map((r) => r.was),
      ...[...constants, ...bodies].map((n) => outputs(n.outputs)),
    ]),
    nodesMade: new Set([
      ...rewritten.map((r) => r.is),
      ...edits.insertNodes.map((i) => outputs(i.node.outputs)),
      ...[...constants, ...bodies].map((n) => outputs(n.outputs)),
    ]),
    tensorsGone: new Set([...edits.dropTensors.map((t) => ("values" in t ? t.values.name : t.name)), ...holders]),
    tensorsMade: new Set([...edits.addTensors.filter((a) => main(a.graph)).map((a) => a.tensor.name), ...holders]),
    infosGone: new Set(edits.dropValueInfos.map((v) => v.name)),
  };
}

function walk(bytes: Uint8Array): void {
  const before = read(memorySource(bytes, "before.onnx"));
  const result = folded(before);
  const may = allowed(result, before);
  for (const { path, before: gone, after: made } of differences(bytes, result.bytes, GRAPH)) {
    const [where, id] = [path.join("."), path[path.length - 1]];
    const name = nameOf((gone ?? made) as NonNullable<typeof gone>);
    expect(["7.1", "7.5", "7.11", "7.13"], `field ${where} of "${name}" changed`).toContain(where);
    const list =
      id === 1
        ? gone
          ? may.nodesGone
          : may.nodesMade
        : id === 5
          ? gone
            ? may.tensorsGone
            : may.tensorsMade
          : gone
            ? may.infosGone
            : new Set<string>();
    expect([...list], `${gone ? "old" : "new"} field ${where} of "${name}"`).toContain(name);
  }
  if (isEmpty(result.edits)) expect(result.bytes).toEqual(bytes);
}

const join = (...parts: Uint8Array[]) => Uint8Array.from(Buffer.concat(parts));
const normed = (more: Partial<ModelSpec> = {}, tensors: Record<string, TensorSpec> = {}): ModelSpec => {
  const n = batchNorm("c", "n", 3);
  return {
    nodes: [node("Conv", ["x", "w", "b"], ["c"], {}, { name: "conv" }), n.node, node("Relu", ["n"], ["y"])],
    initializers: { w: whole([3, 2, 1, 1]), b: whole([3]), ...n.initializers, ...tensors },
    inputs: [floats("x", ["N", 2, 4, 4])],
    outputs: [floats("y")],
    ...more,
  };
};
const names = (f: Folded) => f.model.graph.initializers.map((t) => t.name);

describe("bytes that are not touched", () => {
  it("stay in random graphs", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const { spec } = grow(seed);
      if (spec.outputs.length > 0)
        walk(
          modelBytes({
            ...spec,
            valueInfos: spec.nodes.slice(0, 4).flatMap((n) => n.outputs.map((name) => ({ name, dtype: "float32" }))),
          }),
        );
    }
  });

  it("stay with unknown fields, metadata, training information and typed constants", () => {
    const n = batchNorm("c", "n", 3);
    const typed = Object.fromEntries(Object.entries(n.initializers).map(([k, t]) => [k, { ...t, encoding: "typed" as const }]));
    const plain = modelBytes(
      normed({ metadata: { author: "x", note: "keep" } }, { ...typed, w: { ...whole([3, 2, 1, 1]), encoding: "typed" } }),
    );
    walk(plain);
    walk(join(plain, textField(99, "future field"), intField(1000, 7)));
    const binding = bytesField(4, join(textField(1, "w"), textField(2, "c")));
    walk(join(plain, bytesField(20, binding)));
  });

  it("keep the order of nodes and constants", () => {
    const before = modelBytes(normed());
    const after = folded(read(memorySource(before, "m"))).bytes;
    const order = (bytes: Uint8Array) =>
      fields(fields(bytes).find((f) => f.id === 7)?.body ?? bytes)
        .filter((f) => [1, 5, 13].includes(f.id))
        .map((f) => `${f.id}:${nameOf(f)}`);
    const [x, y] = [order(before), order(after)];
    const left = x.filter((e) => y.includes(e));
    expect(y.filter((e) => x.includes(e))).toEqual(left);
    expect(y.some((e) => e.startsWith("1:n"))).toBe(true);
  });
});

describe("constants", () => {
  it("are rewritten in place when nobody else reads them", () => {
    expect(names(folded(read(memorySource(modelBytes(normed()), "m"))))).toEqual(["w", "b"]);
  });

  it("are copied under a free name when somebody does", () => {
    const spec = normed({ outputs: [floats("y"), floats("z")] }, { w_1: whole([1]) });
    const nodes = [...spec.nodes, node("Conv", ["x", "w"], ["z0"]), node("Add", ["z0", "w_1"], ["z"])];
    const result = folded(read(memorySource(modelBytes({ ...spec, nodes, outputs: [floats("y"), floats("z")] }), "m")));
    const list = names(result);
    expect(new Set(list).size).toBe(list.length);
    expect(list).toContain("w");
    expect(list).toContain("w_2");
    expect(result.model.graph.nodes[0].inputs.slice(0, 2)).toEqual(["x", "w_2"]);
  });

  it("that are outputs of the graph, or bound by training information, keep their numbers", () => {
    const before = modelBytes(normed({ outputs: [floats("y"), floats("w")] }));
    const result = folded(read(memorySource(before, "m")));
    expect(names(result)).toContain("w");
    expect(result.model.graph.nodes[0].inputs[1]).not.toBe("w");
    walk(before);
    const bound = join(modelBytes(normed()), bytesField(20, bytesField(4, join(textField(1, "w"), textField(2, "w")))));
    const kept = folded(read(memorySource(bound, "m")));
    expect(names(kept)).toContain("w");
    expect(kept.data.folds).toHaveLength(1);
    expect(kept.model.graph.nodes[0].inputs[1]).not.toBe("w");
  });

  it("shared by two normalizations go when both are folded", () => {
    const n = batchNorm("c", "n", 3);
    const [g, B, m, v] = n.node.inputs.slice(1);
    const spec: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        n.node,
        node("Conv", ["n", "w2"], ["d"]),
        node("BatchNormalization", ["d", g, B, m, v], ["y"], n.node.attributes),
      ],
      initializers: { w: whole([3, 2, 1, 1]), w2: whole([3, 3, 1, 1]), ...n.initializers },
      inputs: [floats("x", ["N", 2, 4, 4])],
      outputs: [floats("y")],
    };
    const result = folded(read(memorySource(modelBytes(spec), "m")));
    expect(result.data.folds).toHaveLength(2);
    expect(names(result).filter((name) => name.startsWith("n_"))).toEqual([]);
    walk(modelBytes(spec));
  });

  it("become Constant nodes before IR 4, where every initializer is an input", () => {
    const spec = normed();
    const { b: _b, ...rest } = spec.initializers as Record<string, TensorSpec>;
    const nodes = [node("Conv", ["x", "w"], ["c"]), ...spec.nodes.slice(1)];
    const inputs = [...(spec.inputs ?? []), ...Object.entries(rest).map(([name, t]) => floats(name, t.dims))];
    const result = folded(read(memorySource(modelBytes({ ...spec, nodes, initializers: rest, inputs, irVersion: 3 }), "m")));
    expect(result.data.folds).toHaveLength(1);
    // Parameters that nobody reads any more go, from both lists.
    expect(result.model.graph.inputs.map((i) => i.name)).toEqual(["x", "w"]);
    expect(result.model.graph.initializers.map((t) => t.name)).toEqual(["w"]);
    const given = new Set([...inputs.map((i) => i.name), ...result.model.graph.nodes.flatMap((n) => n.outputs)]);
    for (const n of result.model.graph.nodes) for (const name of n.inputs) expect([...given]).toContain(name);
    expect(result.model.graph.nodes.map((n) => n.opType)).toEqual(["Constant", "Conv", "Relu"]);
  });
});

describe("inner graphs and functions", () => {
  it("fold inside a branch with constants from around it, which others still read", () => {
    const n = batchNorm("c", "t", 3);
    const then = { nodes: [node("Conv", ["x", "w"], ["c"]), n.node], outputs: [floats("t")] };
    const otherwise = { nodes: [node("Conv", ["x", "w"], ["e"])], outputs: [floats("e")] };
    const spec: ModelSpec = {
      nodes: [node("If", ["p"], ["y"], { then_branch: then, else_branch: otherwise })],
      initializers: { w: whole([3, 2, 1, 1]), ...n.initializers },
      inputs: [floats("x", ["N", 2, 4, 4]), { name: "p", dtype: "bool", dims: [] }],
      outputs: [floats("y")],
    };
    const result = folded(read(memorySource(modelBytes(spec), "m")));
    expect(result.data.folds).toHaveLength(1);
    expect(names(result)).toContain("w");
    walk(modelBytes(spec));
  });

  it("fold in a function with its own constants", () => {
    const constant = (name: string, t: TensorSpec) => node("Constant", [], [name], { value: t });
    const n = batchNorm("c", "out", 3);
    const body = [
      constant("w", whole([3, 2, 1, 1])),
      ...Object.entries(n.initializers).map(([name, t]) => constant(name, t)),
      node("Conv", ["in", "w"], ["c"]),
      n.node,
    ];
    const spec: ModelSpec = {
      nodes: [node("Block", ["x"], ["y"], {}, { domain: "local" })],
      inputs: [floats("x", ["N", 2, 4, 4])],
      outputs: [floats("y")],
      opsets: { "": 21, local: 1 },
      functions: [{ name: "Block", domain: "local", inputs: ["in"], outputs: ["out"], nodes: body }],
    };
    const result = folded(read(memorySource(modelBytes(spec), "m")));
    const said = result.data.kept.map((k) => `${k.code}: ${k.message}`).join("\n");
    if (result.data.folds.length === 1)
      expect(result.model.functions[0].nodes.map((f) => f.opType)).not.toContain("BatchNormalization");
    else expect(said).toMatch(/shape-unknown|function/);
  });

  it("float32 constants keep the order of their bytes", () => {
    const result = folded(read(memorySource(modelBytes(normed({}, { unused: float32([2], [1, 2]) })), "m")));
    expect(names(result)).toContain("unused");
  });
});
