/**
 * Files that really compute something else: fixtures, and their folds, with one thing changed by chance (a number, an attribute, an
 * operator, the order of operands, a node left out). The proof never calls them equal, and the verdict is never that they are.
 */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { decode } from "../../src/onnx/codec.ts";
import { dtypeOf, isFloat } from "../../src/onnx/dtype.ts";
import { read } from "../../src/onnx/read.ts";
import type { AttributeRecord, Model, NodeRecord } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { type Random, randomOf } from "../../src/verify/random.ts";
import { foldOf, withTensors } from "./faults/cases.ts";

const folder = fileURLToPath(new URL("../../fixtures/models", import.meta.url));
const SMALL = 8_000;
const MUTANTS = 200;

const models = readdirSync(folder)
  .map((name) => ({ name, bytes: new Uint8Array(readFileSync(`${folder}/${name}/model.onnx`)) }))
  .filter(({ bytes }) => bytes.length < SMALL)
  .map(({ name, bytes }) => ({ name, model: read(memorySource(bytes, name)) }));

const pick = <T>(list: readonly T[], by: Random): T | undefined => (list.length === 0 ? undefined : list[by.below(list.length)]);

/** The model with one node of its graph replaced. */
const withNode = (model: Model, node: NodeRecord, by: NodeRecord): Model => ({
  ...model,
  graph: { ...model.graph, nodes: model.graph.nodes.map((one) => (one === node ? by : one)) },
});

const withAttribute = (node: NodeRecord, changed: AttributeRecord): NodeRecord => ({
  ...node,
  attributes: new Map(node.attributes).set(changed.name, changed),
});

/**
 * Attributes that may mean nothing where they stand: what training would have used, sizes of weights, steps between the taps of a
 * kernel of one, what holds without axes where axes are given. So may the axis of a Flatten, where the batch is 1.
 */
const IDLE = new Set([
  "dilations",
  "momentum",
  "kernel_shape",
  "hidden_size",
  "training_mode",
  "spatial",
  "consumed_inputs",
  "noop_with_empty_axes",
]);

const SWAPS: Readonly<Record<string, string>> = {
  ...{ Relu: "Sigmoid", Sigmoid: "Tanh", Tanh: "Sigmoid", Add: "Sub", Sub: "Add", Mul: "Add", HardSwish: "Relu", Exp: "Relu" },
  ...{ GlobalAveragePool: "GlobalMaxPool", Elu: "Relu", Erf: "Tanh", LeakyRelu: "Relu", ReduceMean: "ReduceMax" },
};

type Mutation = (model: Model, by: Random) => Model | undefined;

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  number(model, by) {
    const tensor = pick(
      model.graph.initializers.filter(({ dataType, dims }) => {
        const dtype = dtypeOf(dataType);
        return dtype !== undefined && isFloat(dtype) && dims.reduce((n, d) => n * d, 1) > 0;
      }),
      by,
    );
    if (tensor === undefined) return undefined;
    const values = Float64Array.from(asFloat64(decode(tensor)));
    const i = by.below(values.length);
    values[i] = values[i] * 1.25 + 0.125;
    return withTensors(model, new Map([[tensor, values]]));
  },
  attribute(model, by) {
    const found = model.graph.nodes
      .filter(({ opType }) => opType !== "Flatten")
      .flatMap((node) => [...node.attributes.values()].filter((one) => !IDLE.has(one.name)).map((one) => ({ node, one })));
    const { node, one } = pick(found, by) ?? {};
    if (node === undefined || one === undefined) return undefined;
    if (one.f !== undefined) return withNode(model, node, withAttribute(node, { ...one, f: Math.fround(one.f * 1.5 + 0.125) }));
    if (one.i !== undefined)
      return withNode(model, node, withAttribute(node, { ...one, i: one.i === 0n ? 1n : one.i === 1n ? 0n : one.i + 1n }));
    if (one.ints.length === 0) return undefined;
    const at = by.below(one.ints.length);
    return withNode(model, node, withAttribute(node, { ...one, ints: one.ints.map((v, i) => (i === at ? v + 1n : v)) }));
  },
  operator(model, by) {
    const node = pick(
      model.graph.nodes.filter(({ opType, domain }) => domain === "" && opType in SWAPS),
      by,
    );
    return node && withNode(model, node, { ...node, opType: SWAPS[node.opType], attributes: new Map() });
  },
  order(model, by) {
    const node = pick(
      model.graph.nodes.filter(({ opType }) => ["Sub", "Div", "Concat", "MatMul", "Pow"].includes(opType)),
      by,
    );
    return node && withNode(model, node, { ...node, inputs: [...node.inputs].reverse() });
  },
  omission(model, by) {
    const node = pick(
      model.graph.nodes.filter(({ opType }) =>
        ["Relu", "BatchNormalization", "Sigmoid", "HardSwish", "Tanh", "Erf", "Softmax"].includes(opType),
      ),
      by,
    );
    const [x] = node?.inputs ?? [];
    return (
      node &&
      withNode(model, node, {
        ...node,
        opType: "Identity",
        inputs: [x],
        outputs: node.outputs.slice(0, 1),
        attributes: new Map(),
      })
    );
  },
};

const changed = (model: Model, mutant: Model): string => {
  const text = (node: NodeRecord) =>
    `${node.opType} ${node.inputs} ${[...node.attributes.values()].map(({ name, f, i, ints, s }) => `${name}=${f ?? i ?? (s && new TextDecoder().decode(s)) ?? ints}`)}`;
  return mutant.graph.nodes
    .flatMap((node, i) => (text(node) === text(model.graph.nodes[i]) ? [] : [`${text(model.graph.nodes[i])} -> ${text(node)}`]))
    .join("; ");
};

describe("mutants of the fixtures", () => {
  it("are never equivalent", { timeout: 300_000 }, () => {
    const by = randomOf("mutants", 7);
    const kinds = Object.keys(MUTATIONS);
    const found: string[] = [];
    let shown = 0;
    for (let made = 0; made < MUTANTS; ) {
      const { name, model } = pick(models, by) as (typeof models)[number];
      const kind = pick(kinds, by) as string;
      const base = by.uniform() < 0.5 ? model : foldOf(model).model;
      const mutant = MUTATIONS[kind](base, by);
      if (mutant === undefined) continue;
      made++;
      try {
        const verdict = verifyModels(model, mutant, { samples: 1, seed: made });
        if (verdict.run?.outcome === "different") shown++;
        // Sizes are fixed in the fixtures: a stride along an axis of one, and a padding that a later stride leaves out, change nothing.
        const sized = kind === "attribute" && /(strides|pads)=/.test(changed(base, mutant)) && verdict.run?.outcome === "equal";
        if (verdict.proof?.outcome === "equal" || (verdict.outcome === "equivalent" && !sized))
          found.push(`${made} ${name} ${kind} ${changed(base, mutant)}: ${verdict.summary}`);
      } catch (error) {
        // What nothing can read is not equal either.
        if (!(error instanceof BnfoldError)) throw error;
      }
    }
    expect(found).toEqual([]);
    expect(shown).toBeGreaterThan(MUTANTS / 2);
  });
});
