/**
 * The plan in the making: the graph view plus what operators have become so far. Changes go through a log so that a failed
 * attempt leaves no trace.
 */
import { composeGauges, type Gauge, invertGauge } from "../affine/gauge.ts";
import { floatAttr, intAttr, intsAttr, stringAttr } from "../graph/attributes.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import { dtypeInfo, dtypeOf } from "../onnx/dtype.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { type Codes, type NodeState, type Param, type Refused, type RuleNode, refuse } from "../rules/types.ts";
import type { Constants } from "./constants.ts";

/** A change, with what was there before it. */
type Change =
  | { readonly node: GraphNode; readonly before: NodeState | undefined }
  | { readonly value: GraphValue; readonly had: boolean; readonly gauge: Gauge | undefined };

export class Draft {
  private readonly states = new Map<GraphNode, NodeState>();
  /** What values were in terms of what they are; undefined where that is lost. Those that did not change have no entry. */
  private readonly moved = new Map<GraphValue, Gauge | undefined>();
  private readonly log: Change[] = [];

  constructor(
    readonly facts: Facts,
    readonly constants: Constants,
  ) {}

  state(node: GraphNode): NodeState {
    return this.states.get(node) ?? { opType: node.opType, params: new Map(), attributes: {}, bias: undefined };
  }

  /** Every operator that changed, with what it became. */
  changed(): Iterable<[GraphNode, NodeState]> {
    return this.states;
  }

  /** A point to return to. */
  mark(): number {
    return this.log.length;
  }

  set(node: GraphNode, state: NodeState): void {
    this.log.push({ node, before: this.states.get(node) });
    this.states.set(node, state);
  }

  undo(mark: number): void {
    while (this.log.length > mark) {
      const change = this.log.pop() as Change;
      if ("node" in change) {
        if (change.before === undefined) this.states.delete(change.node);
        else this.states.set(change.node, change.before);
      } else if (change.had) this.moved.set(change.value, change.gauge);
      else this.moved.delete(change.value);
    }
  }

  /** Notes that a value changed: what it was until now, in terms of what it is. */
  move(value: GraphValue, by: Gauge): void {
    const [had, gauge] = [this.moved.has(value), this.moved.get(value)];
    this.log.push({ value, had, gauge });
    this.moved.set(value, had ? gauge && composeGauges(gauge, by) : by);
  }

  /** Notes the same the other way round: what it is, in terms of what it was. */
  moveTo(value: GraphValue, by: Gauge): void {
    const back = invertGauge(by);
    if (back !== undefined) {
      this.move(value, back);
      return;
    }
    this.log.push({ value, had: this.moved.has(value), gauge: this.moved.get(value) });
    this.moved.set(value, undefined);
  }

  /** What values were, in terms of what they are. */
  gauges(): Iterable<[GraphValue, Gauge | undefined]> {
    return this.moved;
  }

  /** Operators touched since a mark, each with its state before, in order of first touch. */
  since(mark: number): Map<GraphNode, NodeState | undefined> {
    const touched = new Map<GraphNode, NodeState | undefined>();
    for (const change of this.log.slice(mark))
      if ("node" in change && !touched.has(change.node)) touched.set(change.node, change.before);
    return touched;
  }

  /** A node as a rule sees it. */
  at(node: GraphNode): RuleNode {
    return new DraftNode(this, node);
  }
}

class DraftNode implements RuleNode {
  readonly facts: Facts;
  readonly version: number;
  readonly state: NodeState;

  constructor(
    private readonly draft: Draft,
    readonly node: GraphNode,
  ) {
    this.facts = draft.facts;
    this.version = node.version;
    this.state = draft.state(node);
  }

  inShape(i: number) {
    return this.facts.shape(this.node.inputs[i]);
  }

  outShape(i: number) {
    return this.facts.shape(this.node.outputs[i]);
  }

  param(i: number): Param | Refused {
    const changed = this.state.params.get(i);
    if (changed !== undefined) return changed;
    const value = this.node.inputs[i];
    if (value === undefined) return refuse("malformed-graph", `lacks its operand ${i}`);
    return this.draft.constants.param(value);
  }

  stored(i: number): Param | Refused {
    return this.draft.constants.param(this.node.inputs[i], true);
  }

  codes(i: number): Codes | undefined {
    const changed = this.state.codes?.get(i);
    const value = this.node.inputs[i];
    if (changed !== undefined || value === undefined || !this.draft.constants.has(value)) return changed;
    const { dtype: code, shape } = this.facts.of(value);
    const dtype = dtypeOf(code);
    const dims = shape?.every((d) => typeof d === "number") ? (shape as number[]) : undefined;
    if (dtype === undefined || dims === undefined || dtypeInfo(dtype).bits > 16) return undefined;
    return { dtype, dims, source: value, values: () => asFloat64(this.draft.constants.tensor(value)) };
  }

  has(i: number): boolean {
    if (this.state.dropped?.includes(i)) return false;
    return this.node.inputs[i] !== undefined || this.state.params.has(i) || this.state.codes?.has(i) === true;
  }

  isConstant(i: number): boolean {
    const value = this.node.inputs[i];
    return this.state.params.has(i) || (value !== undefined && this.draft.constants.has(value));
  }

  int(name: string, fallback: number): number {
    const changed = this.state.attributes[name];
    return changed !== undefined && "int" in changed ? changed.int : intAttr(this.node.record, name, fallback);
  }

  float(name: string, fallback: number): number {
    const changed = this.state.attributes[name];
    return changed !== undefined && "float" in changed ? changed.float : floatAttr(this.node.record, name, fallback);
  }

  ints(name: string): number[] | undefined {
    const changed = this.state.attributes[name];
    return changed !== undefined && "ints" in changed ? [...changed.ints] : intsAttr(this.node.record, name);
  }

  string(name: string, fallback: string): string {
    const changed = this.state.attributes[name];
    if (changed !== undefined && "string" in changed) return changed.string;
    return stringAttr(this.node.record, name, fallback);
  }
}
