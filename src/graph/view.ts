/**
 * A model as a graph: scopes, values with their producer and every use (captures by inner graphs and graph outputs
 * included), nodes in file order. The planner edits such a view; nothing here touches the file.
 */
import type {
  FunctionRecord,
  GraphRecord,
  Model,
  NodeRecord,
  SparseTensorRecord,
  TensorRecord,
  ValueInfoRecord,
} from "../onnx/records.ts";
import { Functions, functionLabel, graphsOf } from "./functions.ts";

export interface Use {
  readonly node: GraphNode;
  /** Input position. */
  readonly index: number;
}

/** One named value of one scope. */
export class GraphValue {
  producer: GraphNode | undefined;
  outputIndex = 0;
  initializer: TensorRecord | undefined;
  sparse: SparseTensorRecord | undefined;
  /** Declared as input of its graph or function. */
  isInput = false;
  /** Output of its graph or function (for outer values: also when an inner graph returns it). */
  isOutput = false;
  /** A quantisation annotation, or a training binding, names it. */
  isAnnotated = false;
  isBound = false;
  private list: Use[] = [];
  /** Entries of the list that were given up since it was last put right, and how many of its first ones are known to be. */
  private gone = 0;
  private first = 0;
  /** Declarations in the file: input, output or value_info entries. */
  readonly declared: ValueInfoRecord[] = [];

  constructor(
    readonly name: string,
    readonly scope: Scope,
  ) {}

  /** Who reads it, nodes taken out of the graph excepted. */
  get uses(): Use[] {
    if (this.gone > 0) this.uses = this.list.filter((use) => this.isRead(use));
    return this.list;
  }

  set uses(list: Use[]) {
    this.list = list;
    this.gone = 0;
    this.first = 0;
  }

  private isRead({ node, index }: Use): boolean {
    return !node.removed && node.inputs[index] === this;
  }

  /** The same one by one, for who stops early: the list is not put right for it. */
  *readers(): Generator<Use> {
    while (this.first < this.list.length && !this.isRead(this.list[this.first])) this.first++;
    for (let i = this.first; i < this.list.length; i++) if (this.isRead(this.list[i])) yield this.list[i];
  }

  /** How many places read it. */
  get readerCount(): number {
    return this.list.length - this.gone;
  }

  /** Says that one place stopped reading it. The list is put right when somebody asks: a value may have 100,000 readers. */
  release(): void {
    this.gone++;
  }

  /** Takes over the readers of another value. */
  adopt(uses: readonly Use[]): void {
    for (const use of uses) this.list.push(use);
  }

  /** True when an inner graph reads it. */
  get captured(): boolean {
    return this.uses.some((use) => use.node.scope !== this.scope);
  }
}

export class GraphNode {
  /** Subgraphs, by attribute name. */
  readonly bodies: Scope[] = [];
  removed = false;
  /** Rank in a topological order over the whole model; inner nodes come before the node that holds them. */
  order = 0;

  constructor(
    readonly record: NodeRecord,
    readonly scope: Scope,
    readonly opType: string,
    /** As in the record; one of `UNDETERMINED` where that does not say what the node does. */
    readonly domain: string,
    /** Opset version of the domain in force; 0 when it is not imported. */
    readonly version: number,
    public inputs: (GraphValue | undefined)[],
    public outputs: (GraphValue | undefined)[],
  ) {}

  get label(): string {
    return `${this.record.name || this.record.outputs.find((o) => o !== "") || `#${this.record.index}`} (${this.opType})`;
  }
}

export class Scope {
  readonly values = new Map<string, GraphValue>();
  readonly nodes: GraphNode[] = [];

  constructor(
    readonly kind: "main" | "subgraph" | "function",
    /** "" for the main graph, else the path to it; of two files compared, the second takes the first one's (proof/scopes.ts). */
    public path: string,
    readonly record: GraphRecord | FunctionRecord,
    readonly parent: Scope | undefined,
    readonly opsets: ReadonlyMap<string, number>,
  ) {}

  /** The value a name means here: this scope's own, or the nearest enclosing one's. */
  resolve(name: string): GraphValue | undefined {
    return this.values.get(name) ?? this.parent?.resolve(name);
  }
}

export interface GraphView {
  readonly model: Model;
  readonly main: Scope;
  /** Every scope, outer before inner, functions last. */
  readonly scopes: readonly Scope[];
  /** Every node, producers before users. */
  readonly nodes: readonly GraphNode[];
  /** Nodes on a cycle, or after one: they have no order. */
  readonly cyclic: ReadonlySet<GraphNode>;
}

const isGraph = (record: GraphRecord | FunctionRecord): record is GraphRecord => "initializers" in record;

/** Builds the view. Never throws: what is inconsistent (missing values, cycles) shows as such. */
export function viewOf(model: Model): GraphView {
  const scopes: Scope[] = [];
  const functions = new Functions(model.functions);
  // Names may be anything: two ways through them may read the same.
  const taken = new Set<string>();
  const build = (
    kind: Scope["kind"],
    path: string,
    record: GraphRecord | FunctionRecord,
    parent: Scope | undefined,
    opsets: ReadonlyMap<string, number>,
  ): Scope => {
    let own = path;
    for (let k = 2; taken.has(own); k++) own = `${path} (${k})`;
    taken.add(own);
    const scope = new Scope(kind, own, record, parent, opsets);
    scopes.push(scope);
    declare(scope, functions);
    for (const node of scope.nodes) {
      for (const attribute of node.record.attributes.values()) {
        graphsOf(attribute).forEach((graph, i) => {
          node.bodies.push(build("subgraph", innerPath(own, node.record, record.nodes, attribute.name, i), graph, scope, opsets));
        });
      }
    }
    return scope;
  };
  const main = build("main", "", model.graph, undefined, model.opsets);
  for (const fn of model.functions) build("function", functionLabel(fn), fn, undefined, fn.opsets);
  for (const scope of scopes) connect(scope);
  for (const name of model.trainingNames) {
    const value = main.values.get(name);
    if (value !== undefined) value.isBound = true;
  }
  return { model, main, scopes, ...sort(scopes) };
}

/** The path of a graph inside a node: of its attribute `attribute`, the i-th there. */
export function innerPath(path: string, node: NodeRecord, siblings: readonly NodeRecord[], attribute: string, i: number): string {
  const own = isShared(node.name, siblings) ? "" : node.name;
  const name = own || node.outputs[0] || `#${node.index}`;
  return `${path === "" ? "" : `${path}/`}${name}/${attribute}${i === 0 ? "" : i}`;
}

const sharedNames = new WeakMap<readonly NodeRecord[], ReadonlySet<string>>();

/** True of a name that several nodes with inner graphs have in one graph, which ONNX does not forbid. */
function isShared(name: string, nodes: readonly NodeRecord[]): boolean {
  let shared = sharedNames.get(nodes);
  if (shared === undefined) {
    const seen = new Set<string>();
    const holders = nodes.filter(({ attributes }) => [...attributes.values()].some((one) => graphsOf(one).length > 0));
    shared = new Set(holders.flatMap((node) => (seen.size === seen.add(node.name).size ? [node.name] : [])));
    sharedNames.set(nodes, shared);
  }
  return shared.has(name);
}

/** Domains of nodes no rule is about: what they do is not in their own record. */
export const UNDETERMINED = {
  /** A standard operator, or a call of a function of that name: runtimes differ. */
  ambiguous: "operator or function",
  /** An attribute is what each call of the function gives. */
  open: "attribute of the call",
} as const;

function domainOf(node: NodeRecord, functions: Functions): string {
  if (functions.isAmbiguous(node)) return UNDETERMINED.ambiguous;
  for (const { refAttrName } of node.attributes.values()) if (refAttrName !== "") return UNDETERMINED.open;
  return node.domain;
}

function declare(scope: Scope, functions: Functions): void {
  const { record } = scope;
  const value = (name: string): GraphValue => {
    let found = scope.values.get(name);
    if (found === undefined) {
      found = new GraphValue(name, scope);
      scope.values.set(name, found);
    }
    return found;
  };
  if (isGraph(record)) {
    for (const tensor of record.initializers) value(tensor.name).initializer = tensor;
    for (const sparse of record.sparseInitializers) value(sparse.values.name).sparse = sparse;
    for (const input of record.inputs) {
      value(input.name).isInput = true;
      value(input.name).declared.push(input);
    }
  } else for (const name of record.inputs) value(name).isInput = true;
  for (const node of record.nodes) {
    const version = scope.opsets.get(node.domain) ?? 0;
    const outputs = node.outputs.map((name) => (name === "" ? undefined : value(name)));
    const made = new GraphNode(node, scope, node.opType, domainOf(node, functions), version, [], outputs);
    outputs.forEach((output, i) => {
      if (output === undefined) return;
      output.producer = made;
      output.outputIndex = i;
    });
    scope.nodes.push(made);
  }
}

function connect(scope: Scope): void {
  const { record } = scope;
  for (const node of scope.nodes) {
    node.inputs = node.record.inputs.map((name) => (name === "" ? undefined : scope.resolve(name)));
    node.inputs.forEach((value, index) => value?.uses.push({ node, index }));
  }
  if (isGraph(record)) {
    for (const output of record.outputs) {
      const value = scope.resolve(output.name);
      if (value === undefined) continue;
      value.isOutput = true;
      if (value.scope === scope) value.declared.push(output);
    }
    for (const info of record.valueInfos) scope.values.get(info.name)?.declared.push(info);
    for (const annotation of record.annotations) {
      for (const name of [annotation.tensorName, ...annotation.parameters]) {
        const value = scope.resolve(name);
        if (value !== undefined) value.isAnnotated = true;
      }
    }
  } else {
    for (const name of record.outputs) {
      const value = scope.values.get(name);
      if (value !== undefined) value.isOutput = true;
    }
    for (const info of record.valueInfos) scope.values.get(info.name)?.declared.push(info);
  }
}

/** Kahn's algorithm over all scopes; ties in file order. A node waits for what its bodies capture and for their nodes. */
function sort(scopes: readonly Scope[]): { nodes: GraphNode[]; cyclic: ReadonlySet<GraphNode> } {
  const waiting = new Map<GraphNode, number>();
  const after = new Map<GraphNode, GraphNode[]>();
  const depend = (first: GraphNode, then: GraphNode) => {
    waiting.set(then, (waiting.get(then) ?? 0) + 1);
    const list = after.get(first);
    if (list === undefined) after.set(first, [then]);
    else list.push(then);
  };
  const all = scopes.flatMap((scope) => scope.nodes);
  for (const node of all) {
    for (const input of node.inputs) {
      if (input?.producer === undefined) continue;
      depend(input.producer, node);
    }
    for (const body of node.bodies) for (const inner of body.nodes) depend(inner, node);
  }
  const ready = all.filter((node) => !waiting.get(node));
  const nodes: GraphNode[] = [];
  for (let i = 0; i < ready.length; i++) {
    const node = ready[i];
    node.order = nodes.length;
    nodes.push(node);
    for (const next of after.get(node) ?? []) {
      const left = (waiting.get(next) as number) - 1;
      waiting.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  const cyclic = nodes.length === all.length ? new Set<GraphNode>() : new Set(all.filter((node) => waiting.get(node)));
  return { nodes, cyclic };
}
