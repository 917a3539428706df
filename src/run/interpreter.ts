/**
 * Runs planned nodes in a scope. A scope is a graph, a subgraph body or a function call: it holds values, knows where its
 * constants are, and (bodies) sees the values of the scope around it.
 */
import { BnfoldError } from "../diag/error.ts";
import { finish, type Steps } from "../diag/steps.ts";
import { backend } from "../kernels/index.ts";
import { decode, decodeSparse } from "../onnx/codec.ts";
import type { AttributeRecord, FunctionRecord, GraphRecord, Model, NodeRecord, TensorRecord } from "../onnx/records.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { type Body, isTensor, type NumericMode, type Value } from "../ops/define.ts";
import { operator } from "../ops/index.ts";
import { type Host, NodeContext } from "./context.ts";
import { Memory } from "./memory.ts";
import { captures, nodeName, type Plan, plan } from "./plan.ts";
import { hash, uniform } from "./random.ts";
import { roundValue } from "./values.ts";

/** Function calls deeper than this go round in a circle. */
const MAX_CALLS = 128;

/** An attribute with the scope it was written in: a graph handed to a function still captures from there. */
interface Bound {
  readonly record: AttributeRecord;
  readonly home: Scope;
}

export interface Scope {
  readonly values: Map<string, Value | undefined>;
  /** Constants not decoded yet. */
  readonly constants: ReadonlyMap<string, () => Tensor>;
  readonly parent: Scope | undefined;
  /** Attributes of the function call this scope belongs to. */
  readonly attributes: ReadonlyMap<string, Bound>;
  readonly opsets: ReadonlyMap<string, number>;
  /** Names of the bodies and functions around, for messages and seeds: "" in the main graph. */
  readonly path: string;
  readonly calls: number;
}

export interface Watcher {
  before?(node: NodeRecord): void;
  after?(node: NodeRecord, inputs: readonly (Value | undefined)[], outputs: readonly (Value | undefined)[]): void;
}

/** Brings what the kernels hold back of a value up to date. */
export function settle(value: Value | undefined): void {
  if (isTensor(value)) backend().settle(value.data);
}

const decodeTensor = (record: TensorRecord) => decode(record, { keepStorage: true });

export function constantsOf(graph: GraphRecord, replaced?: ReadonlyMap<string, Tensor>): Map<string, () => Tensor> {
  const out = new Map<string, () => Tensor>();
  for (const record of graph.initializers) out.set(record.name, () => decodeTensor(record));
  for (const record of graph.sparseInitializers) out.set(record.values.name, () => decodeSparse(record));
  for (const [name, tensor] of replaced ?? []) out.set(name, () => tensor);
  return out;
}

const functionKey = (domain: string, name: string, overload: string) => `${domain}\0${name}\0${overload}`;

/** Plans and functions of one model: shared by all its runs. */
export class Library {
  private readonly plans = new WeakMap<object, Plan>();
  private readonly functions = new Map<string, FunctionRecord>();
  readonly opsets: ReadonlyMap<string, number>;

  constructor(model?: Pick<Model, "functions" | "opsets">) {
    this.opsets = model?.opsets ?? new Map();
    for (const f of model?.functions ?? []) this.functions.set(functionKey(f.domain, f.name, f.overload), f);
  }

  find(node: NodeRecord): FunctionRecord | undefined {
    return this.functions.get(functionKey(node.domain, node.opType, node.overload));
  }

  planOf(owner: GraphRecord | FunctionRecord): Plan {
    let known = this.plans.get(owner);
    if (known === undefined) {
      known = plan(
        owner.nodes,
        (owner.outputs as readonly (string | { name: string })[]).map((o) => (typeof o === "string" ? o : o.name)),
      );
      this.plans.set(owner, known);
    }
    return known;
  }
}

/** One run: its mode and the states of its random generators. */
export class Interpreter {
  private readonly generators = new Map<NodeRecord, () => number>();

  constructor(
    private readonly library: Library,
    readonly mode: NumericMode,
    private readonly seed: number,
    private readonly memory = new Memory(),
    /** Keeps what attributes hold from run to run. */
    private readonly keep: (key: TensorRecord, decode: () => Tensor) => Tensor = (_, decode) => decode(),
  ) {}

  /** `reuse`: memory of dying values is written over; only for a main graph whose inner values nobody keeps. */
  *runSteps(scope: Scope, steps: Plan["steps"], watcher?: Watcher, reuse = false): Steps<void> {
    for (const { node, frees } of steps) {
      yield;
      watcher?.before?.(node);
      const inputs = node.inputs.map((name) => (name === "" ? undefined : this.get(scope, name, node)));
      const outputs = this.evaluate(scope, node, inputs, reuse ? frees : [], reuse);
      node.outputs.forEach((name, i) => {
        if (name !== "") scope.values.set(name, outputs[i]);
      });
      watcher?.after?.(node, inputs, outputs);
      for (const name of frees) {
        const value = scope.values.get(name);
        scope.values.delete(name);
        // Written over: the array lives on in an output.
        if (reuse && !outputs.some((output) => isTensor(output) && isTensor(value) && output.data === value.data)) {
          this.memory.release(value);
        }
      }
    }
  }

  /** A value by name, from the scope or one around it; a constant is decoded the first time it is asked for. */
  get(scope: Scope, name: string, reader?: NodeRecord): Value | undefined {
    for (let at: Scope | undefined = scope; at !== undefined; at = at.parent) {
      if (at.values.has(name)) return at.values.get(name);
      const constant = at.constants.get(name);
      if (constant !== undefined) {
        const value = constant();
        at.values.set(name, value);
        return value;
      }
    }
    throw missing(name, reader);
  }

  /** `dying`: names of the scope's values whose memory the node may write over; `main`: nobody else keeps its results. */
  private evaluate(
    scope: Scope,
    node: NodeRecord,
    inputs: readonly (Value | undefined)[],
    dying: readonly string[],
    main: boolean,
  ): readonly (Value | undefined)[] {
    const called = this.library.find(node);
    if (called !== undefined) {
      for (const input of inputs) {
        this.memory.disown(input);
        settle(input);
      }
      return this.call(scope, node, called, inputs);
    }
    const version = scope.opsets.get(node.domain) ?? this.library.opsets.get(node.domain);
    const op = version === undefined ? undefined : operator(node.domain, node.opType, version);
    if (op === undefined) throw unknownOperator(node, version);
    if (!op.takesHeld) {
      for (const input of inputs) settle(input);
      for (const name of captures(node)) settle(scope.values.get(name));
    }
    if (!op.owns) {
      for (const input of inputs) this.memory.disown(input);
      for (const name of captures(node)) this.memory.disown(scope.values.get(name));
    }
    const taken = new Set<object>();
    const holds = main && this.mode === "float64" && scope.parent === undefined && scope.calls === 0;
    const memory = (n: number, over: readonly Tensor[]) => {
      const free = over.find(
        ({ data }) =>
          data.length === n &&
          this.memory.isOwned(data) &&
          node.inputs.some((name, i) => dying.includes(name) && (inputs[i] as Tensor | undefined)?.data === data),
      );
      if (free === undefined) return this.memory.take(n);
      taken.add(free.data);
      return free.data as Float64Array;
    };
    const context = new NodeContext(this.host(scope), node, version as number, inputs, memory, holds);
    let outputs: readonly (Value | undefined)[];
    try {
      outputs = op.run(context, inputs);
    } catch (error) {
      if (error instanceof BnfoldError) throw context.explain(error);
      throw context.fail(`the node cannot be computed: ${(error as Error).message}`);
    }
    if (this.mode !== "float64") outputs = outputs.map((value) => this.rounded(value, inputs, taken));
    if (op.owns && scope.parent === undefined && scope.calls === 0) this.claim(outputs, inputs, taken);
    return outputs;
  }

  /** Outputs of an owning operator are owned, unless one is an input that lives on. */
  private claim(
    outputs: readonly (Value | undefined)[],
    inputs: readonly (Value | undefined)[],
    taken: ReadonlySet<object>,
  ): void {
    for (const output of outputs) {
      if (!isTensor(output)) continue;
      const shared = inputs.some((input) => isTensor(input) && input.data === output.data) && !taken.has(output.data);
      if (shared) this.memory.disown(output);
      else this.memory.own(output);
    }
  }

  private rounded(
    value: Value | undefined,
    inputs: readonly (Value | undefined)[],
    taken: ReadonlySet<object>,
  ): Value | undefined {
    if (value === undefined || !isTensor(value)) return value; // what a sequence holds was rounded when it was computed
    if (taken.has(value.data)) return roundValue(value);
    const same = inputs.find((input) => input !== undefined && isTensor(input) && input.data === value.data) as
      | Tensor
      | undefined;
    if (same?.dtype === value.dtype) return value;
    return roundValue(value);
  }

  private host(scope: Scope): Host {
    return {
      mode: this.mode,
      attribute: (node, name) => resolve(scope, node, name)?.record,
      body: (node, name) => {
        const bound = resolve(scope, node, name);
        return bound?.record.g === undefined
          ? undefined
          : this.body(bound.home, bound.record.g, `${scope.path}${nodeName(node)}/${name}/`);
      },
      random: (node, seed) => {
        let generator = this.generators.get(node);
        if (generator === undefined) {
          // By output name: it survives the removal of other nodes, which a position does not.
          const own = hash(`${this.seed}/${scope.path}${node.outputs.find((o) => o !== "")}`);
          generator = uniform(seed === undefined ? own : Number.isInteger(seed) ? seed : hash(String(seed)));
          this.generators.set(node, generator);
        }
        return generator;
      },
      decode: (record) => this.keep(record, () => decodeTensor(record)),
    };
  }

  private body(home: Scope, graph: GraphRecord, path: string): Body {
    const { steps } = this.library.planOf(graph);
    const constants = constantsOf(graph);
    // Decoded once per use of the body, not once per iteration.
    const held: Scope = { ...home, parent: home, values: new Map(), constants, path };
    return (inputs) => {
      if (inputs.length > graph.inputs.length) {
        throw new BnfoldError("model", `the body takes ${graph.inputs.length} inputs and was given ${inputs.length}`, {
          node: path.slice(0, -1),
        });
      }
      const values = new Map<string, Value | undefined>();
      graph.inputs.forEach(({ name }, i) => {
        if (i < inputs.length || !constants.has(name)) values.set(name, inputs[i]);
      });
      const scope: Scope = { ...held, parent: held, values, constants: new Map() };
      finish(this.runSteps(scope, steps));
      return graph.outputs.map(({ name }) => this.get(scope, name) as Value);
    };
  }

  private call(
    scope: Scope,
    node: NodeRecord,
    called: FunctionRecord,
    inputs: readonly (Value | undefined)[],
  ): readonly (Value | undefined)[] {
    if (scope.calls >= MAX_CALLS) {
      throw new BnfoldError("model", `functions call each other more than ${MAX_CALLS} deep`, { node: nodeName(node) });
    }
    const attributes = new Map<string, Bound>();
    for (const [name, record] of called.attributeDefaults) attributes.set(name, { record, home: scope });
    for (const name of node.attributes.keys()) {
      const bound = resolve(scope, node, name);
      if (bound !== undefined) attributes.set(name, bound);
    }
    const inner: Scope = {
      values: new Map(called.inputs.map((name, i) => [name, inputs[i]])),
      constants: new Map(),
      parent: undefined,
      attributes,
      opsets: called.opsets,
      path: `${scope.path}${nodeName(node)}/`,
      calls: scope.calls + 1,
    };
    const { steps, needs } = this.library.planOf(called);
    for (const [name, reader] of needs) if (!inner.values.has(name)) throw missing(name, reader, inner.path);
    finish(this.runSteps(inner, steps));
    return called.outputs.map((name) => this.get(inner, name));
  }
}

/** The attribute of a node with `ref_attr_name` replaced by what the function was called with; undefined when absent. */
function resolve(scope: Scope, node: NodeRecord, name: string): Bound | undefined {
  const record = node.attributes.get(name);
  if (record === undefined) return undefined;
  if (record.refAttrName === "") return { record, home: scope };
  const given = scope.attributes.get(record.refAttrName);
  return given === undefined ? undefined : { record: { ...given.record, name }, home: given.home };
}

export function missing(name: string, reader: NodeRecord | undefined, path = ""): BnfoldError {
  const who = reader === undefined ? "an output of the graph" : `${path}${nodeName(reader)}`;
  return new BnfoldError(
    "model",
    `no input, initializer or node gives the value "${name}" that ${who} needs`,
    reader === undefined ? { tensor: name } : { tensor: name, node: nodeName(reader) },
  );
}

function unknownOperator(node: NodeRecord, version: number | undefined): BnfoldError {
  const domain = node.domain === "" ? "ai.onnx" : node.domain;
  const opset = version === undefined ? "which the model does not import" : `opset ${version}`;
  return new BnfoldError(
    "operator",
    `the operator ${node.opType} (domain ${domain}, ${opset}) is not one the executor knows`,
    { node: nodeName(node) },
    "Models with operators of a runtime's own domain can be folded, but not run here.",
  );
}
