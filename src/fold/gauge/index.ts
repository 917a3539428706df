/**
 * Folds of all candidates at once: gauges of every value between them are solved for (laws.ts, search.ts), so that readers of one
 * value may make up for each other, and the constants of the operators that stay are changed accordingly (settle.ts).
 *
 * A shift on a value that others read costs digits there, log₂|β/γ| bits: none beyond 4 bits is made. What an operator refuses when
 * it comes to its numbers (range, type), and what the guard forbids, stays, and the rest is solved for again.
 */
import { type Gauge, isPlain, plainGauge } from "../../affine/gauge.ts";
import { plus, type Spread, simplify, times, uniform } from "../../affine/spread.ts";
import type { Steps } from "../../diag/steps.ts";
import type { GraphNode, GraphValue, GraphView } from "../../graph/view.ts";
import type { Candidate } from "../../laws/candidates.ts";
import type { Draft } from "../../laws/draft.ts";
import { type Laws, lawsOf } from "../../laws/laws.ts";
import { layerOf } from "../../laws/linear.ts";
import type { Mover } from "../../laws/movers.ts";
import { isTable } from "../../laws/wires.ts";
import { isRefused, type NodeState, type Refused, refuse } from "../../rules/types.ts";
import type { Success } from "../attempt.ts";
import type { Fold } from "../types.ts";
import { contradiction } from "./conflict.ts";
import { type Found, searchOf } from "./search.ts";
import { derivedShift, settleAffine, settleLayer } from "./settle.ts";

/** Times that a refusal makes everything be solved for again. */
const ROUNDS = 16;
/** |β/γ| beyond which a shift on a value that others read costs them too many digits: 4 bits. */
const STEEPEST = 16;
/** How much dearer a shift is on a value that several read. */
const SHARED = 1e4;
/** Operators told of for one fold: the nearest. */
const TOLD = 64;

export interface GaugeOptions {
  /** Nodes that may go. */
  readonly may: (found: Candidate) => boolean;
  /** Nodes whose surroundings are solved for; what they cannot reach is left alone. */
  readonly from: (found: Candidate) => boolean;
  readonly check: (touched: ReadonlyMap<GraphNode, NodeState | undefined>) => Refused | undefined;
}

export interface Gauged {
  readonly folds: readonly { readonly found: Candidate; readonly success: Success }[];
  /** For nodes that stay because others go, or because the numbers forbid it: why. */
  readonly conflicts: ReadonlyMap<GraphNode, Refused>;
  readonly gauges: ReadonlyMap<GraphValue, Gauge>;
}

/** Solves for gauges and writes them into the draft; the nodes that go are still in the graph. Undefined when nothing can go. */
export function* gauged(
  view: GraphView,
  draft: Draft,
  found: readonly Candidate[],
  options: GaugeOptions,
): Steps<Gauged | undefined> {
  // What varies from element to element is folded where it stands, or not at all.
  const narrow = found.filter(({ scale, shift }) => !isTable(scale) && !isTable(shift));
  const laws = yield* lawsOf(view, draft, narrow, options.may, options.from);
  if (!laws.movers.some(({ may }) => may)) return undefined;
  return yield* new Solver(draft, laws, options).run();
}

class Solver {
  /** How many values carry an unknown, and which shifts are on a value that several read. */
  private readonly carried: Float64Array;
  private readonly shared: Uint8Array;
  private readonly forbidden = new Map<number, Refused>();
  /** Of them, those that the guard of digits forbids: what an operator refuses is told better by who tries it alone. */
  private readonly guarded = new Set<number>();
  private readonly byNode: ReadonlyMap<GraphNode, number>;

  constructor(
    private readonly draft: Draft,
    private readonly laws: Laws,
    private readonly options: GaugeOptions,
  ) {
    const { network, wires } = laws;
    this.carried = new Float64Array(network.scales);
    this.shared = new Uint8Array(network.shifts);
    for (const [value, { scale, shift }] of wires) {
      for (const x of scale.data) this.carried[x]++;
      if (value.readerCount > 1) for (const x of shift.data) this.shared[x] = 1;
    }
    this.byNode = new Map(laws.movers.map(({ found }, k) => [found.node, k]));
  }

  *run(): Steps<Gauged | undefined> {
    const search = yield* searchOf(this.laws.network, this.laws.movers, {
      shift: (x) => (this.shared[x] === 1 ? SHARED : 1),
      scale: (x) => this.carried[x],
    });
    for (let round = 0; round < ROUNDS; round++) {
      const solved = yield* search.solve(new Set(this.forbidden.keys()));
      const mark = this.draft.mark();
      const gauges = this.gauges(solved);
      const stopped = this.steep(solved, gauges) ?? (yield* this.settle(solved, gauges, mark));
      if (stopped === undefined) return this.told(solved, gauges, mark);
      this.draft.undo(mark);
      for (const [k, refused] of stopped) this.forbidden.set(k, refused);
    }
    return undefined;
  }

  private gauges({ scales, shifts, gone }: Found): Map<GraphValue, Gauge> {
    const made = new Map<GraphValue, Gauge>();
    const numbers = (names: Spread, values: Float64Array): Spread =>
      simplify({ ...names, data: names.data.map((x) => values[x]) });
    for (const [value, { scale, shift }] of this.laws.wires) {
      const gauge = { scale: numbers(scale, scales), shift: numbers(shift, shifts) };
      if (!isPlain(gauge)) made.set(value, gauge);
    }
    // What was a constant in a channel that nobody needs is one whatever stands there now.
    for (const k of gone) {
      for (const [value, { live, made: constant }] of this.laws.movers[k].released?.values ?? []) {
        const { scale, shift } = made.get(value) ?? plainGauge(live.dims.length);
        made.set(value, { scale: simplify(times(scale, live)), shift: simplify(plus(times(shift, live), constant)) });
      }
    }
    return made;
  }

  /** Candidates whose shifts on values that others read cost too many digits. */
  private steep({ gone }: Found, gauges: ReadonlyMap<GraphValue, Gauge>): Map<number, Refused> | undefined {
    const stopped = new Map<number, Refused>();
    for (const k of gone) {
      const { node, input, kind } = this.laws.movers[k].found;
      const x = node.inputs[input];
      const gauge = x && gauges.get(x);
      if (kind !== "batch-normalization" || x === undefined || gauge === undefined || x.readerCount < 2) continue;
      const bits = this.bitsLost(node, gauge.shift);
      if (bits === undefined) continue;
      const because = `would cost ${bits} bits of what else reads "${x.name}"`;
      this.guarded.add(k);
      stopped.set(k, refuse("storage-precision", because, { value: x, facts: { bits } }));
    }
    return stopped.size === 0 ? undefined : stopped;
  }

  /** A shifted value lies around (μ − b)/σ; undefined where that costs little, or no more than μ/σ did before. */
  private bitsLost(node: GraphNode, shift: Spread): number | undefined {
    const at = this.draft.at(node);
    const [mean, variance] = [at.param(3), at.param(4)];
    if (isRefused(mean) || isRefused(variance)) return undefined;
    const [mu, v] = [mean.values(), variance.values()];
    const epsilon = at.float("epsilon", Math.fround(1e-5));
    let most = 0;
    for (const [c, m] of mu.entries()) {
      const sigma = Math.sqrt(v[c] + epsilon);
      const far = Math.abs(m - shift.data[shift.data.length === 1 ? 0 : c]) / sigma;
      if (far > STEEPEST && far > Math.abs(m) / sigma) most = Math.max(most, far);
    }
    return most === 0 ? undefined : Math.ceil(Math.log2(most));
  }

  /** Changes what stays; candidates next to an operator that refuses. */
  private *settle({ gone }: Found, gauges: Map<GraphValue, Gauge>, mark: number): Steps<Map<number, Refused> | undefined> {
    const stopped = new Map<number, Refused>();
    const stop = (node: GraphNode, refused: Refused) => {
      for (const k of this.nearest(node, gone)) if (!stopped.has(k)) stopped.set(k, refused);
    };
    for (const node of this.laws.absorbers) {
      const k = this.byNode.get(node);
      if (k !== undefined && gone.has(k)) continue;
      const refused = this.derive(node, gauges) ?? this.absorb(node, k === undefined ? undefined : this.laws.movers[k], gauges);
      if (refused !== undefined) stop(node, refused);
      yield;
    }
    if (stopped.size === 0) {
      const refused = this.options.check(this.draft.since(mark));
      if (refused?.node !== undefined) stop(refused.node, refused);
    }
    return stopped.size === 0 ? undefined : stopped;
  }

  /** Says what shift a layer makes of that of its input, where constant Adds behind it take it. */
  private derive(node: GraphNode, gauges: Map<GraphValue, Gauge>): Refused | undefined {
    const [y] = node.outputs;
    if (y === undefined || !this.laws.derived.has(y)) return undefined;
    const index = layerOf(this.draft.at(node))?.index ?? 0;
    const x = node.inputs[index];
    const rank = this.draft.facts.rank(y) ?? 0;
    const shift = derivedShift(this.draft, node, index, (x && gauges.get(x)) ?? plainGauge(rank));
    if (isRefused(shift)) return shift;
    const gauge = { scale: gauges.get(y)?.scale ?? plainGauge(rank).scale, shift };
    if (isPlain(gauge)) gauges.delete(y);
    else gauges.set(y, gauge);
    return undefined;
  }

  private absorb(node: GraphNode, mover: Mover | undefined, gauges: ReadonlyMap<GraphValue, Gauge>): Refused | undefined {
    const index = mover?.found.input ?? layerOf(this.draft.at(node))?.index ?? 0;
    const [x, y] = [node.inputs[index], node.outputs[0]];
    const [from, to] = [x && gauges.get(x), y && gauges.get(y)];
    if (from === undefined && to === undefined) return undefined;
    const rank = (from ?? to)?.scale.dims.length as number;
    const plain = (value: GraphValue | undefined) => plainGauge(this.draft.facts.rank(value) ?? rank);
    const [input, output] = [from ?? plain(x), to ?? plain(y)];
    // Its shifts are those of the Adds behind.
    if (y !== undefined && this.laws.derived.has(y))
      return settleLayer(this.draft, node, index, unshifted(input), unshifted(output));
    if (mover !== undefined && mover.found.kind !== "batch-normalization")
      return settleAffine(this.draft, mover.found, input, output);
    return settleLayer(this.draft, node, index, input, output);
  }

  /** The candidates that go and are nearest to an operator. */
  private nearest(node: GraphNode, gone: ReadonlySet<number>): number[] {
    const found: number[] = [];
    let ring: GraphNode[] = [node];
    const seen = new Set(ring);
    while (ring.length > 0 && found.length === 0) {
      const next: GraphNode[] = [];
      for (const other of ring.flatMap((at) => neighbours(at))) {
        if (seen.has(other)) continue;
        seen.add(other);
        next.push(other);
        const k = this.byNode.get(other);
        if (k !== undefined && gone.has(k)) found.push(k);
      }
      ring = next;
    }
    return found.length > 0 ? found : [...gone];
  }

  private told({ gone, conflicts }: Found, gauges: ReadonlyMap<GraphValue, Gauge>, mark: number): Gauged {
    const changed = new Set(this.draft.since(mark).keys());
    const { movers } = this.laws;
    const folds = [...gone]
      .sort((p, q) => p - q)
      .map((k) => {
        const { found } = movers[k];
        return { found, success: this.success(found, changed, gauges, gone) };
      });
    const stay = new Map<GraphNode, Refused>();
    for (const [k, found] of conflicts) {
      const refused = contradiction(movers, k, found);
      if (refused !== undefined) stay.set(movers[k].found.node, refused);
    }
    for (const k of this.guarded) stay.set(movers[k].found.node, this.forbidden.get(k) as Refused);
    return { folds, conflicts: stay, gauges };
  }

  /** How a fold is told: the operators around it that changed, and those on the way to them. */
  private success(
    { node, input }: Candidate,
    changed: ReadonlySet<GraphNode>,
    gauges: ReadonlyMap<GraphValue, Gauge>,
    gone: ReadonlySet<number>,
  ): Success {
    const seen = new Set<GraphNode>([node]);
    const visited: GraphNode[] = [];
    const open = [node];
    for (let i = 0; i < Math.min(open.length, TOLD); i++) {
      for (const other of neighbours(open[i])) {
        if (seen.has(other)) continue;
        seen.add(other);
        const k = this.byNode.get(other);
        const goes = k !== undefined && gone.has(k);
        const isMoved = [...other.inputs, ...other.outputs].some((value) => value !== undefined && gauges.has(value));
        if (!isMoved && !changed.has(other)) continue;
        if (!goes) visited.push(other);
        if (!changed.has(other)) open.push(other);
      }
    }
    visited.sort((p, q) => p.order - q.order);
    const direction = directionOf(gauges.has(node.inputs[input] as GraphValue), gauges.has(node.outputs[0] as GraphValue));
    return { direction, visited, touched: new Set(visited.filter((other) => changed.has(other))) };
  }
}

const unshifted = ({ scale }: Gauge): Gauge => ({ scale, shift: uniform(scale.dims.length, 0) });

const directionOf = (before: boolean, after: boolean): Fold["direction"] =>
  before && after ? "both" : after ? "forward" : "backward";

function neighbours(node: GraphNode): GraphNode[] {
  const before = node.inputs.flatMap((value) => value?.producer ?? []);
  const after = node.outputs.flatMap((value) => (value === undefined ? [] : [...value.readers()].map((use) => use.node)));
  return [...before, ...after];
}
