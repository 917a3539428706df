/**
 * The largest set of candidates whose demands can hold at once. Sets that can are closed downward, but no matroid: so candidates
 * are taken one by one first, each refusal leaving a conflict (a set of candidates that cannot all go); then, in components of
 * few candidates, the smallest set that meets all conflicts found so far is kept instead and the rest tried, until nothing
 * contradicts it (then no fewer can stay) or it is no smaller than what is known.
 */

import type { Steps } from "../../diag/steps.ts";
import type { Mover } from "../../laws/movers.ts";
import type { Network } from "../../laws/wires.ts";
import type { Kind } from "../../rules/types.ts";
import { hittingSet, packing } from "./cover.ts";
import { Names } from "./names.ts";
import { Scales } from "./scales.ts";
import { Shifts } from "./shifts.ts";
import { coreOf, type Term } from "./terms.ts";

/** Components of more candidates are left as they were found one by one. */
const MOST = 64;
/** Contradictions of one candidate that are looked at. */
const LOOKED = 32;
/** Demands of the network made between two chances to stop. */
const OFTEN = 1 << 10;
/** Rounds of conflicts in one component. */
const ROUNDS = 200;

export interface Found {
  /** Candidates that go. */
  readonly gone: ReadonlySet<number>;
  /** Why each that stays cannot go as well. */
  readonly conflicts: ReadonlyMap<number, Contradiction>;
  readonly scales: Float64Array;
  readonly shifts: Float64Array;
}

/** Demands that cannot hold at once. */
export interface Contradiction {
  /** The candidates that cannot all go. */
  readonly core: Set<number>;
  /** What the last of them asks for in vain, and the place among its demands. */
  readonly kind: Kind | "name";
  readonly entry: number;
}

/** One of the things that a candidate asks for. */
interface Asked {
  readonly kind: Kind;
  readonly entry: number;
}

/** Channels of a candidate that are looked at for conflicts of two. */
const SHOWN = 16;
/** So many of what turns signs are tried as what stays. */
const TURNED = 8;

export interface Costs {
  /** What a shift on an unknown costs. */
  readonly shift: (x: number) => number;
  /** How much it matters that a gain is 1. */
  readonly scale: (x: number) => number;
}

type Marks = readonly [scales: number, shifts: number, names: number];

/** The search over a network, its own demands made. */
export function* searchOf(network: Network, movers: readonly Mover[], costs: Costs): Steps<Search> {
  const search = new Search(network, movers, costs);
  yield* search.begin();
  return search;
}

export class Search {
  private readonly scales: Scales;
  private readonly shifts: Shifts;
  private readonly names: Names;

  constructor(
    private readonly network: Network,
    private readonly movers: readonly Mover[],
    private readonly costs: Costs,
  ) {
    this.scales = new Scales(network.scales);
    this.shifts = new Shifts(network.shifts, costs.shift);
    this.names = new Names(movers);
  }

  /** Candidates in parts that share no unknown but ground. */
  components: readonly (readonly number[])[] = [];

  /** Makes the demands of the network: with everything at ground all of them hold. */
  *begin(): Steps<void> {
    const { network, scales, shifts } = this;
    for (const x of network.zeros) shifts.ground(x);
    for (let index = 0; index < network.ratios.length; index++) {
      scales.join(network.ratios[index], { label: -1, index });
      if (index % OFTEN === 0) yield;
    }
    for (const [index, x] of network.positive.entries()) scales.positive(x, index);
    for (let index = 0; index < network.rows.length; index++) {
      shifts.add(network.rows[index], { label: -1, index });
      if (index % OFTEN === 0) yield;
    }
    this.components = yield* this.parts();
  }

  /**
   * What turns signs goes where it can; where more of the others could go if it stayed, it stays.
   * @param forbidden Candidates that may not go.
   */
  *solve(forbidden: ReadonlySet<number>): Steps<Found> {
    let best = yield* this.solveWith(forbidden);
    const turning = [...best.gone].filter((k) => this.movers[k].stays !== undefined).slice(0, TURNED);
    let held = new Set(forbidden);
    for (const k of turning) {
      const less = new Set(held).add(k);
      const found = yield* this.solveWith(less);
      if (found.gone.size > best.gone.size) [best, held] = [found, less];
    }
    return best;
  }

  private *solveWith(forbidden: ReadonlySet<number>): Steps<Found> {
    const marks = this.mark();
    const gone = this.turned(forbidden);
    const conflicts = new Map<number, Contradiction>();
    for (const part of this.components) {
      const open = part.filter((k) => !forbidden.has(k) && this.movers[k].stays === undefined);
      const kept = yield* this.largest(open);
      for (const k of open) {
        if (!kept.has(k) && this.add(k) === undefined) gone.add(k);
        yield;
      }
      for (const k of kept) {
        const found = this.add(k);
        if (found === undefined) gone.add(k);
        else conflicts.set(k, found);
        yield;
      }
    }
    const found = { gone, conflicts, scales: this.scales.solve(this.costs.scale), shifts: this.shifts.solve() };
    this.undo(marks);
    return found;
  }

  /**
   * What turns signs asks for as much when it stays as when it goes: so it goes where it can, before all others. Where these do not fit
   * each other, all stay.
   */
  private turned(forbidden: ReadonlySet<number>): Set<number> {
    const list = [...this.movers.entries()].flatMap(([k, { may, stays }]) => (stays === undefined ? [] : [{ k, may, stays }]));
    const marks = this.mark();
    for (const all of [true, false]) {
      const gone = new Set<number>();
      const fits = list.every(({ k, may, stays }) => {
        if (all && may && !forbidden.has(k) && this.add(k, -1) === undefined) gone.add(k);
        else return stays.every((ratio, index) => this.scales.join(ratio, { label: -1, index }) === undefined);
        return true;
      });
      if (fits) return gone;
      this.undo(marks);
    }
    return new Set();
  }

  private mark(): Marks {
    return [this.scales.mark(), this.shifts.mark(), this.names.mark()];
  }

  private undo([scales, shifts, names]: Marks): void {
    this.scales.undo(scales);
    this.shifts.undo(shifts);
    this.names.undo(names);
  }

  /**
   * Lets a candidate go; where it cannot, nothing changes, and the candidates it cannot go with are returned.
   * @param shown how many of its demands of a kind are asked for, spread over all
   */
  private add(k: number, label = k, shown = Number.POSITIVE_INFINITY): Contradiction | undefined {
    const marks = this.mark();
    // What it failed at before it most likely fails at again.
    const last = this.failed.get(k);
    const found = (last === undefined ? undefined : this.ask(k, label, last.kind, last.entry)) ?? this.askAll(k, label, shown);
    if (found !== undefined) {
      this.undo(marks);
      this.failed.set(k, found);
      return found;
    }
    const core = this.names.join(k);
    if (core === undefined) return undefined;
    this.undo(marks);
    return { core, kind: "name", entry: 0 };
  }

  /** What candidates failed at. */
  private readonly failed = new Map<number, Asked>();

  private askAll(k: number, label: number, shown: number): (Contradiction & Asked) | undefined {
    const { ratios, rows } = this.movers[k].demand;
    for (const [kind, { length }] of [
      ["scale", ratios],
      ["shift", rows],
    ] as const) {
      const step = Math.max(1, Math.ceil(length / shown));
      for (let entry = 0; entry < length; entry += step) {
        const found = this.ask(k, label, kind, entry);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  /** Says one of the things that hold when a candidate goes. */
  private ask(k: number, label: number, kind: Kind, entry: number): (Contradiction & Asked) | undefined {
    const { ratios, rows } = this.movers[k].demand;
    const source = { label, index: entry };
    const terms = kind === "scale" ? this.scales.join(ratios[entry], source) : this.shifts.add(rows[entry], source);
    return terms === undefined ? undefined : { core: coreOf(terms), kind, entry };
  }

  /** Lets candidates go together and takes that back; why they cannot, where they cannot. */
  tryAll(list: readonly number[]): Contradiction | undefined {
    const marks = this.mark();
    let found: Contradiction | undefined;
    for (const k of list) found ??= this.add(k);
    this.undo(marks);
    return found;
  }

  /**
   * The contradictions that some candidates meet, one after the other, each the first of them.
   * @returns whether names contradict each other.
   */
  contradictions(list: readonly number[], visit: (terms: readonly Term[]) => void): boolean {
    const marks = this.mark();
    let names = false;
    for (const k of list) {
      const { ratios, rows } = this.movers[k].demand;
      let met = 0;
      const meet = (terms: readonly Term[] | undefined): void => {
        if (terms === undefined) return;
        met++;
        visit(terms);
      };
      for (let index = 0; index < ratios.length && met < LOOKED; index++)
        meet(this.scales.join(ratios[index], { label: k, index }));
      for (let index = 0; index < rows.length && met < LOOKED; index++) meet(this.shifts.add(rows[index], { label: k, index }));
      names ||= this.names.join(k) !== undefined;
    }
    this.undo(marks);
    return names;
  }

  /** Candidates of one component that have to stay. */
  private *largest(part: readonly number[]): Steps<ReadonlySet<number>> {
    const cores: Set<number>[] = [];
    let best = yield* this.rest(part, new Set(), cores);
    if (packing(cores) >= best.size || part.length > MOST) return best;
    yield* this.pairs(part, best, cores);
    for (let round = 0; round < ROUNDS; round++) {
      const { set } = hittingSet(cores);
      if (set.size >= best.size) break;
      const kept = yield* this.rest(part, set, cores);
      if (kept.size < best.size) best = kept;
      if (kept.size === set.size) break;
    }
    return best;
  }

  /** Takes candidates one by one, those of `kept` apart; all that stay. New conflicts join `cores`. */
  *rest(part: readonly number[], kept: ReadonlySet<number>, cores: Set<number>[]): Steps<Set<number>> {
    const marks = this.mark();
    const stay = new Set(kept);
    for (const k of part) {
      if (stay.has(k)) continue;
      const found = this.add(k);
      yield;
      if (found === undefined) continue;
      stay.add(k);
      cores.push(found.core);
    }
    this.undo(marks);
    return stay;
  }

  /** Why a candidate cannot go as well, as far as a few of the channels show it; nothing changes. */
  private clash(k: number): Contradiction | undefined {
    const marks = this.mark();
    const found = this.add(k, k, SHOWN);
    this.undo(marks);
    return found;
  }

  /** Conflicts of two; one that shows in few channels is met when all is put together. Those not in `stay` are known to go together. */
  *pairs(part: readonly number[], stay: ReadonlySet<number>, cores: Set<number>[]): Steps<void> {
    const alone = new Set(cores.filter((core) => core.size === 1).flatMap((core) => [...core]));
    const list = part.filter((k) => !alone.has(k));
    for (const [i, p] of list.entries()) {
      const marks = this.mark();
      this.add(p);
      for (const q of list.slice(i + 1)) {
        if (!stay.has(p) && !stay.has(q)) continue;
        const found = this.clash(q);
        if (found?.core.size === 2) cores.push(found.core);
        yield;
      }
      this.undo(marks);
    }
  }

  /** Candidates in parts that share no unknown but ground. */
  private *parts(): Steps<number[][]> {
    const { movers, network } = this;
    const parent = Int32Array.from({ length: movers.length + network.scales + network.shifts }, (_, i) => i);
    const find = (x: number): number => {
      let root = x;
      while (parent[root] !== root) root = parent[root];
      for (let at = x; at !== root; ) [at, parent[at]] = [parent[at], root];
      return root;
    };
    const join = (x: number, y: number) => {
      parent[find(x)] = find(y);
    };
    const gain = (x: number) => {
      const root = this.scales.find(x);
      return root === 0 ? undefined : movers.length + root;
    };
    const grounded = new Uint8Array(network.shifts);
    for (const x of network.zeros) grounded[x] = 1;
    const shift = (x: number) => (x === 0 || grounded[x] === 1 ? undefined : movers.length + network.scales + x);
    const beside = (x: number | undefined, y: number | undefined): number | undefined => {
      if (x !== undefined && y !== undefined) join(x, y);
      return x ?? y;
    };
    for (let index = 0; index < network.rows.length; index++) {
      if (index % OFTEN === 0) yield;
      const { at } = network.rows[index];
      let first: number | undefined;
      for (let i = 0; i < at.length; i++) first = beside(first, shift(at[i]));
    }
    for (const [k, { demand, stays }] of movers.entries()) {
      for (const { x, y } of stays ?? demand.ratios) {
        beside(k, gain(x));
        beside(k, gain(y));
      }
      for (const { at } of demand.rows) for (let i = 0; i < at.length; i++) beside(k, shift(at[i]));
      yield;
    }
    const parts = new Map<number, number[]>();
    for (const [k, { may }] of movers.entries()) {
      if (!may) continue;
      const root = find(k);
      const part = parts.get(root);
      if (part === undefined) parts.set(root, [k]);
      else part.push(k);
    }
    return [...parts.values()];
  }
}
