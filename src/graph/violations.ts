/**
 * What ONNX's checker refuses in a model, as far as the model itself says it without being computed: names, order, operators
 * and their attributes against ONNX's schemas, sizes of payloads. Numbers are not read.
 */
import { rawLength } from "../onnx/codec.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import type { AttributeRecord, FunctionRecord, GraphRecord, Model, NodeRecord, TensorRecord } from "../onnx/records.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { allNodes, Functions, functionLabel, graphsOf } from "./functions.ts";
import { type AttributeKind, newestOpset, type OperatorSchema, type ParameterSchema, schemaOf, versionsOf } from "./schemas.ts";

export interface Violation {
  /** The rule that is broken, with the operator and attribute it is about: the same in files that break it alike. */
  readonly rule: string;
  /** "broken": no runtime can load it. "refused": the checker refuses it, and some runtimes take it all the same. */
  readonly weight: "broken" | "refused";
  readonly message: string;
}

/** AttributeProto.AttributeType by number. */
const KINDS: readonly (AttributeKind | undefined)[] = [
  ...[undefined, "float", "int", "string", "tensor", "graph", "floats", "ints", "strings", "tensors", "graphs"],
  ...["sparse_tensor", undefined, "type_proto"],
] as (AttributeKind | undefined)[];

const labelOf = (node: NodeRecord): string =>
  `${node.name || node.outputs.find((name) => name !== "") || `#${node.index}`} (${node.opType})`;

/** Everything that is wrong, in the order of the file; the first of each rule. */
export function violations(model: Model): readonly Violation[] {
  const found = new Map<string, Violation>();
  const say = (weight: Violation["weight"], rule: string, message: string): void => {
    if (!found.has(rule)) found.set(rule, { rule, weight, message });
  };
  const checker = new Checker(model, say);
  checker.graph(model.graph, new Set(), model.opsets);
  for (const fn of model.functions) checker.function(fn);
  return [...found.values()];
}

type Say = (weight: Violation["weight"], rule: string, message: string) => void;

class Checker {
  private readonly functions: Functions;
  private readonly shadowed: ReadonlySet<string>;

  constructor(
    private readonly model: Model,
    private readonly say: Say,
  ) {
    this.functions = new Functions(model.functions);
    this.shadowed = new Set(model.functions.map(functionLabel));
  }

  /** @param outer Names that the graphs around this one have made before it. */
  graph(graph: GraphRecord, outer: ReadonlySet<string>, opsets: ReadonlyMap<string, number>): void {
    const own = new Set<string>();
    for (const { name } of graph.inputs) this.declare(own, name, "an input");
    const initializers = new Set<string>();
    for (const tensor of [...graph.initializers, ...graph.sparseInitializers.map(({ values }) => values)]) {
      this.declare(initializers, tensor.name, "an initializer");
      own.add(tensor.name);
    }
    for (const tensor of graph.initializers) this.payload(tensor);
    this.nodes(graph.nodes, own, outer, opsets);
    for (const { name } of graph.outputs) {
      if (!own.has(name) && !outer.has(name))
        this.say(
          "broken",
          `output ${name}`,
          `the output "${name}" of a graph is made by no node, and is no input or initializer`,
        );
    }
  }

  function(fn: FunctionRecord): void {
    const own = new Set<string>();
    for (const name of fn.inputs) this.declare(own, name, "an input");
    this.nodes(fn.nodes, own, new Set(), fn.opsets);
    for (const name of fn.outputs) {
      if (!own.has(name))
        this.say("broken", `output ${functionLabel(fn)}`, `the function ${functionLabel(fn)} does not make its output "${name}"`);
    }
  }

  private declare(names: Set<string>, name: string, what: string): void {
    if (name !== "" && names.has(name)) this.say("broken", `twice ${name}`, `"${name}" is ${what} twice`);
    names.add(name);
  }

  private nodes(
    nodes: readonly NodeRecord[],
    own: Set<string>,
    outer: ReadonlySet<string>,
    opsets: ReadonlyMap<string, number>,
  ): void {
    const later = new Set(nodes.flatMap(({ outputs }) => outputs));
    // What inner graphs see of this one: in large graphs with none it is never made.
    let seen: ReadonlySet<string> | undefined;
    for (const node of nodes) {
      for (const name of node.inputs) {
        if (name === "" || own.has(name) || outer.has(name)) continue;
        if (later.has(name))
          this.say("refused", "order", `${labelOf(node)} reads "${name}" before it is made: the nodes are not in order`);
        else this.say("broken", `undefined ${name}`, `${labelOf(node)} reads "${name}", which nothing makes`);
      }
      for (const attribute of node.attributes.values()) {
        for (const graph of graphsOf(attribute)) {
          seen ??= new Set([...outer, ...own, ...later]);
          this.graph(graph, seen, opsets);
        }
      }
      this.node(node, opsets);
      for (const name of node.outputs) {
        if (name !== "" && own.has(name))
          this.say("broken", `twice ${name}`, `${labelOf(node)} makes "${name}", which is there already: names are given once`);
        own.add(name);
      }
    }
  }

  private payload(tensor: TensorRecord): void {
    const { name, dims, dataType, raw, external } = tensor;
    const dtype = dtypeOf(dataType);
    if (dtype === undefined) {
      this.say("broken", `type ${name}`, `the initializer "${name}" has no element type ONNX knows (${dataType})`);
      return;
    }
    const size = external === undefined ? (raw === undefined ? undefined : raw.end - raw.start) : external.length;
    const wanted = rawLength(dtype, sizeOf(dims));
    if (size !== undefined && size !== wanted)
      this.say(
        "broken",
        `size ${name}`,
        `the initializer "${name}" has ${size} bytes, expected ${wanted} for dims [${dims}] of ${dtype}`,
      );
  }

  private node(node: NodeRecord, opsets: ReadonlyMap<string, number>): void {
    const { domain, opType } = node;
    if (
      this.functions.called(node) !== undefined ||
      this.shadowed.has(functionLabel({ domain, name: opType, overload: node.overload }))
    )
      return;
    const version = opsets.get(domain) ?? this.model.opsets.get(domain);
    const set = domain === "" ? "ai.onnx" : domain;
    if (version === undefined) {
      // A file without any import is of the first operator set.
      if (opsets.size > 0)
        this.say("broken", `import ${set}`, `${labelOf(node)} is of ${set}, of which no operator set is imported`);
      return;
    }
    const newest = newestOpset(domain);
    if (newest === undefined || version > newest) return;
    const schema = schemaOf(domain, opType, version);
    if (schema === undefined || schema.deprecated) {
      const since = versionsOf(domain, opType).find((one) => one.since > version)?.since;
      const why =
        since === undefined ? (schema === undefined ? "" : `: it went with ${schema.since}`) : `: it came with ${since}`;
      this.say("refused", `operator ${set} ${opType}`, `${labelOf(node)} is no operator of ${set} ${version}${why}`);
      return;
    }
    this.attributes(node, schema);
    this.arity(node, "input", node.inputs, schema.inputs);
    this.arity(node, "output", node.outputs, schema.outputs);
  }

  private attributes(node: NodeRecord, { attributes, since, type }: OperatorSchema): void {
    for (const { name, required } of attributes.values()) {
      if (required && !node.attributes.has(name) && name !== "consumed_inputs")
        this.say(
          "broken",
          `attribute ${type} ${name}`,
          `${labelOf(node)} lacks the attribute "${name}", which ${type} (${since}) needs`,
        );
    }
    for (const [name, attribute] of node.attributes) {
      const schema = attributes.get(name);
      if (schema === undefined) {
        if (!name.startsWith("__"))
          this.say(
            "refused",
            `attribute ${type} ${name}`,
            `${labelOf(node)} has an attribute "${name}", which ${type} (${since}) does not know`,
          );
      } else if (kindOf(attribute) !== undefined && kindOf(attribute) !== schema.kind) {
        const message = `the attribute "${name}" of ${labelOf(node)} is of type ${kindOf(attribute)}, expected ${schema.kind}`;
        this.say("broken", `attribute ${type} ${name}`, message);
      }
    }
  }

  private arity(node: NodeRecord, side: "input" | "output", names: readonly string[], formal: readonly ParameterSchema[]): void {
    const rule = `${side}s ${node.opType}`;
    const last = formal.at(-1);
    const most = last?.option === "variadic" ? Infinity : formal.length;
    if (names.length > most) this.say("broken", rule, `${labelOf(node)} has ${names.length} ${side}s, expected at most ${most}`);
    for (const [i, { option, least, name }] of formal.entries()) {
      const missing = option === "single" ? (names[i] ?? "") === "" : option === "variadic" && names.length - i < least;
      if (missing) this.say("broken", rule, `${labelOf(node)} lacks ${side} ${i} ("${name}")`);
    }
  }
}

/** The type an attribute says it is; undefined where it does not say it, or refers to one of a function. */
const kindOf = ({ type, refAttrName }: AttributeRecord): AttributeKind | undefined =>
  refAttrName === "" ? KINDS[type] : undefined;

/** The values that something reads: nodes of any graph, and outputs. */
export const readNames = (graph: GraphRecord): ReadonlySet<string> =>
  new Set([
    ...graph.outputs.map(({ name }) => name),
    ...[...allNodes(graph.nodes)].flatMap((node) => [
      ...node.inputs,
      ...[...node.attributes.values()].flatMap(graphsOf).flatMap(({ outputs }) => outputs.map(({ name }) => name)),
    ]),
  ]);
