/**
 * Moves one scale or one shift away from where it stands, backward to producers or forward to readers, until constants have
 * absorbed all of it. All or nothing: a refusal anywhere undoes the attempt (the caller holds the mark).
 *
 * A value may change only if everyone who reads it agrees: backward, each reader must demand the same map (or not notice);
 * forward, each reader must take it. Nodes are visited in reverse topological (backward) or topological (forward) order, so
 * that all demands on a node are known when it is its turn. What an If shall give, each of its branches shall give.
 */
import { type Gauge, plainGauge } from "../affine/gauge.ts";
import { type Spread, sameSpread, simplify } from "../affine/spread.ts";
import { resultsOf } from "../graph/branches.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue, Use } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import { ruleOf } from "../rules/index.ts";
import { isNeutral } from "../rules/params.ts";
import { isRefused, type Kind, type Move, type MoveFn, type Refused, type Rule, refuse, type Step } from "../rules/types.ts";

export type Direction = "backward" | "forward";

export interface Pushed {
  /** Operators crossed or changed, in the order they were met. */
  readonly visited: readonly GraphNode[];
  /** Values that hold something else now. */
  readonly changed: Iterable<GraphValue>;
}

/** A map that a value's reader demands of it, or that a value's readers are to take. */
export interface MapRequest {
  readonly value: GraphValue;
  readonly by: Spread;
  readonly node: GraphNode;
  readonly index: number;
}

/** A node with more inputs or outputs than this is asked what it needs no map for before it is asked about a map. */
const HUB = 32;

/** Choices tried for one map before giving up; each costs one walk. */
const MAX_TRIES = 64;

/** What a user may allow. */
export interface Allowed {
  /** Operators may become others. */
  readonly retypes?: boolean;
  /** Numbers may come to be rounded to a half type. */
  readonly rounds?: boolean;
  /** Values may get one more channel, of constant 1. */
  readonly ones?: boolean;
}

interface Work {
  /** Nodes to visit, as a binary heap by order. */
  heap: GraphNode[];
  /** Maps wanted on values: per reader edge (backward) or per value (forward). */
  demands: Map<GraphValue, { node: GraphNode; index: number; by: Spread }[]>;
  visited: GraphNode[];
}

export class Push {
  private tries = 0;

  constructor(
    private readonly draft: Draft,
    private readonly kind: Kind,
    private readonly direction: Direction,
    private readonly allowed: Allowed = {},
  ) {}

  /**
   * Backward: demands that each `value` become by(value), on behalf of its reader `node`. Forward: hands `by` to every
   * reader of each `value`, which `node` makes: they will see the value before that map.
   */
  all(requests: readonly MapRequest[]): Pushed | Refused {
    const work: Work = { heap: [], demands: new Map(), visited: [] };
    for (const { value, by, node, index } of requests) {
      const refused = this.direction === "backward" ? this.demandOf(work, value, by, node, index) : this.handTo(work, value, by);
      if (refused !== undefined) return refused;
    }
    return this.walk(work) ?? { visited: work.visited, changed: work.demands.keys() };
  }

  private gaugeOf(by: Spread): Gauge {
    const plain = plainGauge(by.dims.length);
    return this.kind === "scale" ? { ...plain, scale: by } : { ...plain, shift: by };
  }

  private walk(work: Work): Refused | undefined {
    const before = (a: GraphNode, b: GraphNode) => (this.direction === "backward" ? a.order > b.order : a.order < b.order);
    for (;;) {
      const node = popHeap(work.heap, before);
      if (node === undefined) return undefined;
      let edges = 1;
      for (; work.heap[0] === node; edges++) popHeap(work.heap, before);
      const stop = Math.max(node.inputs.length, node.outputs.length) > HUB && edges === 1 ? this.hub(work, node) : undefined;
      if (stop !== undefined) return { node, ...stop };
      const steps = this.direction === "backward" ? this.visitBack(work, node) : this.visitForward(work, node);
      if (isRefused(steps)) return { node, ...steps };
      work.visited.push(node);
      if (steps.length === 1) {
        const refused = this.take(work, node, steps[0]);
        if (refused !== undefined) return refused;
        continue;
      }
      return this.choose(work, node, steps);
    }
  }

  /** What stops any map that comes to a node of many inputs or outputs from one of them, told without going through all. */
  private hub(work: Work, node: GraphNode): Refused | undefined {
    const rule = ruleOf(this.draft.state(node).opType, node.domain);
    if (rule?.handsOn !== this.direction) return undefined;
    if (this.direction === "backward") return this.ending(node.inputs[0], node);
    const other = rule.together === this.kind && node.inputs.find((value) => value !== undefined && this.isBare(work, value));
    if (other) return refuse("other-reader", "adds another value that does not carry the same gain", { value: other });
    return this.ending(node.outputs[0], node);
  }

  /** A computed value that carries no map. */
  private isBare(work: Work, value: GraphValue): boolean {
    return !work.demands.has(value) && !this.draft.constants.has(value);
  }

  /** What stops every map on `value` right there. */
  private ending(value: GraphValue | undefined, node: GraphNode): Refused | undefined {
    if (value === undefined) return undefined;
    const back = this.direction === "backward";
    if (back && value.producer === undefined)
      return refuse("is-graph-input", `reads the graph input "${value.name}"`, { value, node });
    const stop = untouchable(value);
    if (stop !== undefined) return stop;
    const [next] = back ? [value.producer] : [...value.readers()].map((use) => use.node);
    if (next === undefined || (back && hasTrait(next, "branches"))) return undefined;
    const rule = next.bodies.length === 0 ? ruleOf(this.draft.state(next).opType, next.domain) : undefined;
    const move = this.moves(rule);
    return move === undefined && rule?.ignores === undefined ? { node: next, ...this.lacking(rule) } : undefined;
  }

  /** Tries the steps in turn, each with the rest of the walk. */
  private choose(work: Work, node: GraphNode, steps: readonly Step[]): Refused | undefined {
    let refused: Refused | undefined;
    for (const step of steps) {
      if (++this.tries > MAX_TRIES)
        return refused ?? refuse("operator-blocks", "is where more ways part than are tried", { node });
      const mark = this.draft.mark();
      const copy: Work = {
        heap: [...work.heap],
        demands: new Map([...work.demands].map(([v, list]) => [v, [...list]])),
        visited: [...work.visited],
      };
      refused = this.take(copy, node, step) ?? this.walk(copy);
      if (refused === undefined) {
        work.visited = copy.visited;
        work.demands = copy.demands;
        return undefined;
      }
      this.draft.undo(mark);
    }
    return refused;
  }

  private take(work: Work, node: GraphNode, step: Step): Refused | undefined {
    if (step.state !== undefined && step.state !== this.draft.state(node)) this.draft.set(node, step.state);
    for (const [i, by] of step.pass.entries()) {
      if (by === undefined) continue;
      const value = this.direction === "backward" ? node.inputs[i] : node.outputs[i];
      if (value === undefined) continue;
      const refused = this.direction === "backward" ? this.demandOf(work, value, by, node, i) : this.handTo(work, value, by);
      if (refused !== undefined) return refused;
    }
    return undefined;
  }

  private demandOf(work: Work, value: GraphValue, by: Spread, node: GraphNode, index: number): Refused | undefined {
    if (isNeutral(this.kind, by)) return undefined;
    const stop =
      value.producer === undefined
        ? refuse("is-graph-input", `reads the graph input "${value.name}"`, { value, node })
        : untouchable(value);
    if (stop !== undefined) return stop;
    this.enter(work, value, { node, index, by });
    return undefined;
  }

  private enter(work: Work, value: GraphValue, demand: { node: GraphNode; index: number; by: Spread }): void {
    const list = work.demands.get(value);
    if (list === undefined) work.demands.set(value, [demand]);
    else list.push(demand);
    pushHeap(work.heap, value.producer as GraphNode, (a, b) => a.order > b.order);
  }

  /** Demands of each branch what is demanded of what they are chosen for. */
  private enterBranches(work: Work, node: GraphNode, by: readonly (Spread | undefined)[]): Move {
    for (const [index, map] of by.entries()) {
      for (const value of map === undefined ? [] : resultsOf(node, index)) {
        if (value === undefined) return refuse("operator-blocks", "has a branch that does not compute what it gives");
        if (value.isAnnotated) return annotated(value);
        this.enter(work, value, { node, index, by: map as Spread });
      }
    }
    return [{ pass: [] }];
  }

  private handTo(work: Work, value: GraphValue, by: Spread): Refused | undefined {
    if (isNeutral(this.kind, by)) return undefined;
    const stop = untouchable(value);
    if (stop !== undefined) return stop;
    this.draft.move(value, this.gaugeOf(by));
    work.demands.set(value, [{ node: value.producer as GraphNode, index: 0, by }]);
    for (const use of value.readers()) pushHeap(work.heap, use.node, (a, b) => a.order < b.order);
    return undefined;
  }

  private visitBack(work: Work, node: GraphNode): Move {
    const by: (Spread | undefined)[] = [];
    for (const [i, value] of node.outputs.entries()) {
      const demands = value && work.demands.get(value);
      if (value === undefined || demands === undefined) continue;
      const agreed = this.agree(value, demands);
      if (isRefused(agreed)) return agreed;
      this.draft.moveTo(value, this.gaugeOf(agreed));
      by[i] = agreed;
    }
    return hasTrait(node, "branches") ? this.enterBranches(work, node, by) : this.applyRule(node, Array.from(by));
  }

  /** The one map all readers of a value demand. */
  private agree(value: GraphValue, demands: readonly { node: GraphNode; index: number; by: Spread }[]): Spread | Refused {
    const { by } = demands[0];
    for (const other of demands) {
      if (!sameSpread(other.by, by))
        return refuse("other-reader", `makes "${value.name}", whose readers would need different maps`, { value });
    }
    const asked = demands.length > 8 ? new Set(demands.map(keyOf)) : undefined;
    for (const use of value.readers()) {
      if (asked?.has(keyOf(use)) ?? demands.some((d) => d.node === use.node && d.index === use.index)) continue;
      const ignores = ruleOf(use.node.opType, use.node.domain)?.ignores;
      if (ignores?.(this.draft.at(use.node), use.index, this.kind, by)) continue;
      return use.node.scope === value.scope
        ? refuse("other-reader", `makes "${value.name}", which ${use.node.label} reads too`, { value })
        : refuse("captured-by-subgraph", `makes "${value.name}", which ${use.node.label} reads inside a subgraph`, { value });
    }
    return simplify(by);
  }

  private visitForward(work: Work, node: GraphNode): Move {
    const by = node.inputs.map((value) => {
      const demand = value && work.demands.get(value);
      return demand && simplify(demand[0].by);
    });
    const ignores = ruleOf(node.opType, node.domain)?.ignores;
    if (by.every((map, i) => map === undefined || ignores?.(this.draft.at(node), i, this.kind, map))) return [{ pass: [] }];
    return this.applyRule(node, by);
  }

  private applyRule(node: GraphNode, by: readonly (Spread | undefined)[]): Move {
    const rule = node.bodies.length === 0 ? ruleOf(this.draft.state(node).opType, node.domain) : undefined;
    return this.moves(rule)?.(this.draft.at(node), by) ?? this.lacking(rule);
  }

  private moves(rule: Rule | undefined, kind = this.kind): MoveFn | undefined {
    const { retypes = false, rounds = false, ones = false } = this.allowed;
    const of = rounds ? (rule?.rounded ?? rule) : rule;
    if (this.direction === "backward") return kind === "scale" ? of?.backScale : of?.backShift;
    if (kind === "scale") return of?.forwardScale;
    return (
      (ones ? rule?.ones?.forwardShift : undefined) ?? of?.forwardShift ?? (retypes ? rule?.retyped?.forwardShift : undefined)
    );
  }

  private lacking(rule: Rule | undefined): Refused {
    return this.moves(rule, "scale") !== undefined
      ? refuse("shift-blocks", "passes a gain but no shift")
      : refuse("operator-blocks", `neither absorbs nor passes a ${this.kind === "scale" ? "gain" : "shift"}`);
  }
}

const keyOf = ({ node, index }: Use): string => `${node.order},${index}`;

/** Why a value may not change, whoever demands it. */
export function untouchable(value: GraphValue): Refused | undefined {
  const at = { value, node: value.producer };
  if (value.isOutput) return refuse("is-graph-output", `makes "${value.name}", which is an output of its graph`, at);
  return value.isAnnotated ? annotated(value) : undefined;
}

const annotated = (value: GraphValue): Refused =>
  refuse("quantized", `makes "${value.name}", which a quantisation annotation describes`, { value, node: value.producer });

function pushHeap<T>(heap: T[], item: T, before: (a: T, b: T) => boolean): void {
  let i = heap.length;
  heap.push(item);
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (!before(heap[i], heap[parent])) break;
    [heap[i], heap[parent]] = [heap[parent], heap[i]];
    i = parent;
  }
}

function popHeap<T>(heap: T[], before: (a: T, b: T) => boolean): T | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (heap.length === 0 || last === undefined) return top;
  heap[0] = last;
  for (let i = 0; ; ) {
    const [l, r] = [2 * i + 1, 2 * i + 2];
    let best = i;
    if (l < heap.length && before(heap[l], heap[best])) best = l;
    if (r < heap.length && before(heap[r], heap[best])) best = r;
    if (best === i) return top;
    [heap[i], heap[best]] = [heap[best], heap[i]];
    i = best;
  }
}
