/**
 * The planned graph → edits of the file. A constant that only the changed operator reads is rewritten in place; one that
 * others still read is copied under a fresh name; a new one becomes an initializer (a Constant node in function bodies and
 * in IR < 4, where an initializer would have to be a graph input as well). What nobody reads any more is dropped, except
 * graph inputs, graph outputs and what training information names.
 */
import { FreshNames } from "../graph/fresh-names.ts";
import { storedRecord } from "../graph/stored.ts";
import type { GraphNode, GraphValue, Scope } from "../graph/view.ts";
import type { Values } from "../onnx/payload.ts";
import type { FunctionRecord, GraphRecord, TensorRecord, ValueInfoRecord } from "../onnx/records.ts";
import type { AttributeValue, ModelEdits, NodeRewrite } from "../onnx/write.ts";
import type { Codes, NodeState, Param } from "../rules/types.ts";
import { widened } from "./constant-channel.ts";
import type { PlanDraft } from "./plan-draft.ts";
import { guarded } from "./range.ts";
import type { TensorChange } from "./types.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer U)[] ? U[] : T[K] };

export interface Patch {
  readonly edits: ModelEdits;
  /** Constants each operator got, by node. */
  readonly changes: ReadonlyMap<GraphNode, readonly TensorChange[]>;
}

export function patch(plan: PlanDraft): Patch {
  return new Patcher(plan).run();
}

/** What an operator is given in the place of a constant it had. */
type Operand = Param | Codes;

const operandsOf = ({ params, codes }: NodeState): [index: number, operand: Operand][] =>
  [...params, ...(codes ?? [])].sort(([a], [b]) => a - b);

/** The numbers to write: floats are looked at when they are rounded, codes are exact. */
const valuesOf = (operand: Operand): Values => ("gain" in operand ? guarded(operand) : operand.values);

const nameOf = (operand: Operand): string | undefined => operand.source?.name ?? operand.name;

const isGraph = (record: GraphRecord | FunctionRecord): record is GraphRecord => "initializers" in record;
const sameDims = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((d, i) => d === b[i]);

/** An operand that is to become another. */
interface Wanted {
  readonly node: GraphNode;
  readonly index: number;
  readonly operand: Operand;
}

/** A new constant that may have more readers. */
interface Common {
  readonly scope: Scope;
  readonly name: string;
  readonly operand: Operand;
}

/** New constants up to this size are compared by their numbers. */
const SMALL = 4096;

/** The same constant changed in the same way is one function, known before any number is computed; small new ones go by their numbers. */
const keyOf = ({ source, dims, values }: Operand): Operand["values"] | string =>
  source === undefined && dims.reduce((n, d) => n * d, 1) <= SMALL ? values().join() : values;

const isSame = (a: Operand, b: Operand): boolean =>
  a.dtype === b.dtype && sameDims(a.dims, b.dims) && (a.values === b.values || (a.source === undefined && keyOf(a) === keyOf(b)));

const isWanted = ({ node, index, operand }: Wanted, value: GraphValue, first: Wanted): boolean =>
  node.inputs[index] === value && isSame(operand, first.operand);

class Patcher {
  private readonly edits: Mutable<ModelEdits> = {
    dropNodes: [],
    rewriteNodes: [],
    insertNodes: [],
    replaceTensors: [],
    addTensors: [],
    dropTensors: [],
    dropValueInfos: [],
  };
  private readonly names: FreshNames;
  /** Operands that read a new constant instead of the value they read before. */
  private readonly replaced = new Map<GraphNode, Map<number, string>>();
  private readonly changes = new Map<GraphNode, TensorChange[]>();
  private readonly settledFor = new Map<GraphNode, TensorChange[]>();
  /** New constants by what they hold: one that several operators of a graph were given is written once. */
  private readonly common = new Map<Operand["values"] | string, Common[]>();
  /** The changed operands that derive from each constant. */
  private readonly wanted = new Map<GraphValue, Wanted[]>();
  /** Constants of which all readers want the same, and those of them that are rewritten already. */
  private readonly shared = new Set<GraphValue>();
  private readonly rewritten = new Set<GraphValue>();
  private readonly dead = new Set<GraphValue>();
  private readonly forgotten = new Set<ValueInfoRecord>();

  constructor(private readonly plan: PlanDraft) {
    this.names = FreshNames.of(plan.view);
  }

  run(): Patch {
    const wider = widened(this.plan.draft);
    const changed = [...this.plan.draft.changed()].filter(([node]) => !node.removed).sort(([a], [b]) => a.order - b.order);
    for (const [node, state] of changed) {
      for (const [index, operand] of operandsOf(state)) {
        const { source } = operand;
        if (source === undefined) continue;
        const list = this.wanted.get(source) ?? [];
        if (list.push({ node, index, operand }) === 1) this.wanted.set(source, list);
      }
    }
    for (const [value, list] of this.wanted) if (list.every((other) => isWanted(other, value, list[0]))) this.shared.add(value);
    for (const [node, state] of changed) this.mark(node, state);
    for (const [value, param] of this.plan.settled) this.settle(value, param);
    this.sweepAll();
    for (const [node, state] of changed) {
      if (node.removed) continue;
      this.constants(node, state);
      // What the file says of its shape is no longer so.
      if (state.grown === true) for (const value of node.outputs) if (value !== undefined) this.forget(value);
    }
    for (const value of wider) this.forget(value);
    for (const node of this.plan.view.nodes) if (!node.removed) this.rewrite(node);
    for (const [node, list] of this.settledFor) this.changes.set(node, [...list, ...(this.changes.get(node) ?? [])]);
    return { edits: this.edits, changes: this.changes };
  }

  /** Notes which operands will read another constant, so that what they read before can go. */
  private mark(node: GraphNode, state: NodeState): void {
    for (const [index, operand] of operandsOf(state)) if (!this.isInPlace(node, index, operand)) this.operand(node, index, "");
    for (const index of state.dropped ?? []) this.operand(node, index, "");
  }

  private sweepAll(): void {
    // Each value once: a constant may have lost many readers.
    const loose = new Set<GraphValue | undefined>(this.plan.removed.flatMap((node) => node.inputs));
    for (const value of this.plan.orphans) loose.add(value);
    for (const [node, operands] of this.replaced) for (const index of operands.keys()) loose.add(node.inputs[index]);
    for (const value of loose) if (value !== undefined) this.sweep(value);
    for (const node of this.plan.removed) {
      this.edits.dropNodes.push(node.record);
      // Whichever of its two names nothing produces any more is gone.
      for (const value of [...node.inputs, ...node.outputs]) if (value !== undefined && isGone(value)) this.forget(value);
    }
  }

  /** A computed constant becomes an initializer of its own name; what computed it goes. */
  private settle(value: GraphValue, param: Param): void {
    const producer = value.producer as GraphNode;
    this.addConstant(producer, value.name, param);
    producer.removed = true;
    this.edits.dropNodes.push(producer.record);
    for (const input of producer.inputs) if (input !== undefined) this.sweep(input);
    for (const { node } of value.uses) {
      const change = { from: "", to: value.name, dtype: param.dtype, dims: param.dims };
      this.settledFor.set(node, [...(this.settledFor.get(node) ?? []), change]);
    }
  }

  /** Writes the changed constants of an operator and notes what its operands are called from now on. */
  private constants(node: GraphNode, state: NodeState): void {
    const list: TensorChange[] = [];
    for (const [index, param] of operandsOf(state)) {
      const to = this.replaced.get(node)?.has(index) ? this.writeNew(node, index, param) : this.writeInPlace(param);
      list.push({ from: param.source?.name ?? "", to, dtype: param.dtype, dims: param.dims });
    }
    if (state.bias !== undefined) list.push(this.insertBias(node, state.bias));
    if (state.ceiling !== undefined) list.push(this.insertCeiling(node, state.ceiling));
    this.changes.set(node, list);
  }

  private operand(node: GraphNode, index: number, name: string): void {
    const operands = this.replaced.get(node) ?? new Map<number, string>();
    this.replaced.set(node, operands.set(index, name));
  }

  /** True when all who read the constant want the same in its place, so that its bytes may change where they stand. */
  private isInPlace(node: GraphNode, index: number, param: Operand): boolean {
    const value = param.source;
    if (value === undefined || node.inputs[index] !== value || !this.shared.has(value)) return false;
    if (value.uses.length !== this.wanted.get(value)?.length) return false;
    if (value.isOutput || value.isBound || value.isAnnotated) return false;
    const tensor = this.tensorOf(value);
    return tensor !== undefined && (sameDims(tensor.dims, param.dims) || !value.isInput);
  }

  private writeInPlace(param: Operand): string {
    const value = param.source as GraphValue;
    if (this.rewritten.has(value)) return value.name;
    this.rewritten.add(value);
    const tensor = this.tensorOf(value) as TensorRecord;
    const resized = !sameDims(tensor.dims, param.dims);
    if (resized) this.forget(value);
    this.edits.replaceTensors.push({ tensor, ...(resized ? { dims: param.dims } : {}), values: valuesOf(param) });
    return value.name;
  }

  /** The tensor in the file that holds a constant, when there is one to rewrite. */
  private tensorOf(value: GraphValue): TensorRecord | undefined {
    return value.initializer !== undefined && value.producer !== undefined ? undefined : storedRecord(value);
  }

  private writeNew(node: GraphNode, index: number, param: Operand): string {
    const key = keyOf(param);
    const list = this.common.get(key) ?? [];
    const known = list.find((other) => other.scope === node.scope && isSame(other.operand, param));
    const name = known?.name ?? this.names.fresh(nameOf(param) ?? this.biasName(node));
    this.operand(node, index, name);
    if (known !== undefined) return name;
    this.addConstant(node, name, param);
    if (this.hasInitializers(node.scope)) this.common.set(key, [...list, { scope: node.scope, name, operand: param }]);
    return name;
  }

  /** False where a new constant has to be a node, which only what follows it may read. */
  private hasInitializers({ record }: Scope): boolean {
    return isGraph(record) && this.plan.view.model.irVersion >= 4;
  }

  /** A name for a bias an operator did not have: the weight's with "bias" for "weight", as exporters do. */
  private biasName(node: GraphNode): string {
    const weight = node.inputs[1]?.initializer?.name ?? "";
    if (/weight$/.test(weight)) return weight.replace(/weight$/, "bias");
    return `${weight || node.record.name || node.record.outputs[0]}_bias`;
  }

  private addConstant(node: GraphNode, name: string, param: Operand): void {
    const { record } = node.scope;
    const like = param.source?.initializer;
    if (isGraph(record) && this.plan.view.model.irVersion >= 4) {
      this.edits.addTensors.push({
        graph: record,
        tensor: { name, dims: param.dims, dtype: param.dtype, ...(like ? { like } : {}), values: valuesOf(param) },
      });
      return;
    }
    const tensor: AttributeValue = { tensor: { dtype: param.dtype, dims: param.dims, values: valuesOf(param)() } };
    this.edits.insertNodes.push({
      into: record,
      before: node.record,
      node: { opType: "Constant", inputs: [], outputs: [name], attributes: { value: tensor } },
    });
  }

  private insertBias(node: GraphNode, bias: Param): TensorChange {
    return this.insertAfter(node, "Add", bias, this.biasName(node), ["product", "bias"]);
  }

  private insertCeiling(node: GraphNode, ceiling: Param): TensorChange {
    const name = `${node.record.name || node.record.outputs[0]}_max`;
    return this.insertAfter(node, "Min", ceiling, name, ["unbounded", "max"]);
  }

  /** An operator with a constant behind another takes over its output's name; what it reads gets a new one. */
  private insertAfter(
    node: GraphNode,
    opType: "Add" | "Min",
    constant: Param,
    wanted: string,
    [inner, suffix]: readonly [string, string],
  ): TensorChange {
    const output = node.outputs[0] as GraphValue;
    const name = this.names.fresh(wanted);
    const before = this.names.fresh(`${output.name}_${inner}`);
    this.addConstant(node, name, constant);
    const { record } = node.scope;
    this.edits.insertNodes.push({
      into: record,
      before: record.nodes[node.record.index + 1],
      node: {
        opType,
        name: node.record.name === "" ? "" : this.names.fresh(`${node.record.name}_${suffix}`),
        inputs: [before, name],
        outputs: [output.name],
        ...(node.version < 7 ? { attributes: { broadcast: { int: 1 } } } : {}),
      },
    });
    this.products.set(node, before);
    return { from: "", to: name, dtype: constant.dtype, dims: constant.dims };
  }

  private readonly products = new Map<GraphNode, string>();

  private rewrite(node: GraphNode): void {
    const { record } = node;
    const state = this.plan.draft.state(node);
    const operands = this.replaced.get(node);
    const inputs = node.inputs.map((value, i) => value?.name ?? record.inputs[i]);
    for (const [index, name] of operands ?? []) {
      while (inputs.length < index) inputs.push("");
      inputs[index] = name;
    }
    if (state.dropped !== undefined) while (inputs[inputs.length - 1] === "") inputs.pop();
    const outputs = node.outputs.map((value, i) => value?.name ?? record.outputs[i]);
    const product = this.products.get(node);
    if (product !== undefined) outputs[0] = product;
    const set: Record<string, AttributeValue> = { ...state.attributes };
    const change: Mutable<NodeRewrite> = { node: record };
    let any = false;
    if (!sameNames(inputs, record.inputs)) [change.inputs, any] = [inputs, true];
    if (!sameNames(outputs, record.outputs)) [change.outputs, any] = [outputs, true];
    if (state.opType !== node.opType) {
      [change.opType, any] = [state.opType, true];
      // Another operator has attributes of its own.
      if (state.mirrored !== true) change.remove = [...record.attributes.keys()];
    }
    if (Object.keys(set).length > 0) [change.set, any] = [set, true];
    if (any) this.edits.rewriteNodes.push(change as NodeRewrite);
  }

  /** Drops constants nobody reads any more: this one, and what only it needed. */
  private sweep(value: GraphValue): void {
    const open = [value];
    for (let next = open.pop(); next !== undefined; next = open.pop())
      for (const input of this.drop(next)) if (input !== undefined) open.push(input);
  }

  /** Drops one constant when nobody reads it; what its node read. */
  private drop(value: GraphValue): readonly (GraphValue | undefined)[] {
    if (this.dead.has(value) || value.isOutput || value.isBound || value.isAnnotated) return [];
    if (value.uses.some((use) => !use.node.removed && !this.replaced.get(use.node)?.has(use.index))) return [];
    const stored = value.initializer ?? value.sparse;
    if (stored !== undefined && value.producer === undefined) {
      if (value.isInput && !this.isListed(value)) return [];
      this.dead.add(value);
      this.edits.dropTensors.push(stored);
      this.forget(value);
      if (value.isInput) this.edits.dropValueInfos.push(...value.declared.filter((info) => !this.forgotten.has(info)));
      return [];
    }
    const { producer } = value;
    if (producer === undefined || producer.removed || !this.plan.draft.constants.has(value)) return [];
    if (
      producer.outputs.some((output) => output !== undefined && output !== value && (output.uses.length > 0 || output.isOutput))
    )
      return [];
    this.dead.add(value);
    producer.removed = true;
    this.edits.dropNodes.push(producer.record);
    this.forget(value);
    return producer.inputs;
  }

  /** True for an initializer of IR 3 or before, which is listed as an input because it has to be: that says nothing of callers. */
  private isListed({ scope, isBound }: GraphValue): boolean {
    return scope.kind === "main" && this.plan.view.model.irVersion < 4 && !isBound;
  }

  private readonly infos = new Map<Scope, ReadonlySet<ValueInfoRecord>>();

  private infosOf(scope: Scope): ReadonlySet<ValueInfoRecord> {
    const known = this.infos.get(scope) ?? new Set(scope.record.valueInfos);
    this.infos.set(scope, known);
    return known;
  }

  /** Drops the value_info entries of a name. */
  private forget(value: GraphValue): void {
    for (const info of value.declared) {
      if (this.forgotten.has(info) || !this.infosOf(value.scope).has(info)) continue;
      this.forgotten.add(info);
      this.edits.dropValueInfos.push(info);
    }
  }
}

/** A name that nothing in the written file makes or reads any more. */
const isGone = (value: GraphValue): boolean =>
  value.initializer === undefined &&
  value.sparse === undefined &&
  !value.isInput &&
  (value.producer === undefined ? value.uses.length === 0 : value.producer.removed && !value.isOutput);

const sameNames = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((name, i) => name === b[i]);
