/**
 * The plan in the making: the graph view plus what operators have become so far. Changes go through a log so that a failed
 * attempt leaves no trace.
 */
import { composeGauges, type Gauge, invertGauge } from "../affine/gauge.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { NodeState, RuleNode } from "../rules/types.ts";
import type { Constants } from "./constants.ts";
import { ReadNode, unchanged } from "./node.ts";

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
    return this.states.get(node) ?? unchanged(node);
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
    return new ReadNode(this, node, this.state(node));
  }
}
