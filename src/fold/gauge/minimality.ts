/**
 * Why no fewer nodes can stay: a certificate for src/certify to check. Per component of candidates
 *   alone     each candidate that cannot go even if nothing else does
 *   cliques   disjoint sets of candidates of which every two are in conflict: all but one stay
 *   others    conflicts of more that share no node with those: one of each stays; or, where that falls short of what is kept and the
 *             component is small, all its conflicts together
 * Each conflict is shown by a sum of equations; where it has several, by the one that leaves most.
 */
import { sumOfGains, sumOfShifts, sumOfSigns } from "../../certify/sums.ts";
import { ASSUMPTIONS, type Certificate, type Conflict, FORMAT, type KeptSet, LAWS, type Taken } from "../../certify/types.ts";
import { finish, type Steps } from "../../diag/steps.ts";
import type { GraphNode } from "../../graph/view.ts";
import { viewOf } from "../../graph/view.ts";
import { affinesOf, readingOf } from "../../laws/affines.ts";
import { type Laws, laxLaws } from "../../laws/laws.ts";
import type { Model } from "../../onnx/records.ts";
import { nodeKey, refOf } from "../describe.ts";
import type { PlanData } from "../types.ts";
import { hittingSet } from "./cover.ts";
import { type Search, searchOf } from "./search.ts";
import { coreOf, type Term } from "./terms.ts";

/** Components up to this many candidates have every pair tried. */
const PAIRED = 512;
/** And up to this many are shown by all their conflicts together. */
const SMALL = 24;
/** Rounds of conflicts in one component. */
const ROUNDS = 64;

/** Options of `minimality`. */
export interface MinimalityOptions {
  readonly assumeConstant?: boolean;
  /** SHA-256 of the model's file. */
  readonly sha256?: string;
}

/** The certificate of a model, with what a plan of it keeps. */
export const minimality = (model: Model, plan: Pick<PlanData, "kept">, options: MinimalityOptions = {}): Certificate =>
  finish(minimalitySteps(model, plan, options));

/** The same in steps. */
export function* minimalitySteps(
  model: Model,
  { kept }: Pick<PlanData, "kept">,
  options: MinimalityOptions = {},
): Steps<Certificate> {
  const view = viewOf(model);
  const read = readingOf(view, options.assumeConstant);
  const laws = yield* laxLaws(view, read, affinesOf(view, read));
  const writer = new Writer(laws, yield* searchOf(laws.network, laws.movers, { shift: () => 1, scale: () => 1 }));
  const movers = new Map(laws.movers.map((mover, k) => [nodeKey(refOf(mover.found.node)), k]));
  const nodes = new Map(view.nodes.map((node) => [nodeKey(refOf(node)), node]));
  const sets = yield* writer.sets();
  const own: [number, string][] = [];
  const apart: [number, string][] = [];
  for (const { node: ref, code } of kept) {
    const node = nodes.get(nodeKey(ref));
    const k = movers.get(nodeKey(ref));
    if (node !== undefined) (k !== undefined && laws.movers[k].may ? own : apart).push([writer.index(node), code]);
  }
  return {
    format: FORMAT,
    laws: LAWS,
    sha256: options.sha256 ?? null,
    nodes: writer.nodes.map(refOf),
    candidates: laws.movers.filter(({ may }) => may).length,
    kept: own,
    least: sets.reduce((n, set) => n + set.least, 0),
    sets,
    apart,
    assumptions: ASSUMPTIONS,
  };
}

class Writer {
  readonly nodes: GraphNode[] = [];
  private readonly known = new Map<GraphNode, number>();
  private readonly still: ReadonlySet<number>;

  constructor(
    private readonly laws: Laws,
    private readonly search: Search,
  ) {
    this.still = new Set([0, ...laws.network.zeros]);
  }

  index(node: GraphNode): number {
    const known = this.known.get(node);
    if (known !== undefined) return known;
    this.known.set(node, this.nodes.length);
    this.nodes.push(node);
    return this.nodes.length - 1;
  }

  *sets(): Steps<KeptSet[]> {
    const made: KeptSet[] = [];
    for (const part of this.search.components) made.push(...(yield* this.component(part)));
    return made;
  }

  private *component(part: readonly number[]): Steps<KeptSet[]> {
    const alone = part.filter((k) => this.search.tryAll([k]) !== undefined);
    const made = alone.flatMap((k) => this.set([k], 1, [[k]]));
    const others = part.filter((k) => !alone.includes(k));
    const cores: Set<number>[] = [];
    const kept = yield* this.search.rest(others, new Set(), cores);
    if (kept.size === 0) return made;
    if (others.length <= PAIRED) yield* this.search.pairs(others, kept, cores);
    const apart = this.disjoint(others, cores);
    const least = apart.reduce((n, set) => n + set.least, 0);
    if (least < kept.size && others.length <= SMALL) {
      const whole = yield* this.whole(others, cores);
      if (whole !== undefined && whole.least > least) return [...made, whole];
    }
    return [...made, ...apart];
  }

  /** Cliques, and conflicts of more, that share no node. */
  private disjoint(list: readonly number[], cores: readonly ReadonlySet<number>[]): KeptSet[] {
    const beside = new Map<number, Set<number>>(list.map((k) => [k, new Set()]));
    for (const core of cores) {
      if (core.size !== 2) continue;
      const [p, q] = core;
      beside.get(p)?.add(q);
      beside.get(q)?.add(p);
    }
    const made: KeptSet[] = [];
    for (let clique = cliqueOf(beside); clique.length > 1; clique = cliqueOf(beside)) {
      const pairs = clique.flatMap((p, i) => clique.slice(i + 1).map((q) => [p, q]));
      made.push(...this.set(clique, clique.length - 1, pairs));
      for (const k of clique) {
        for (const other of beside.get(k) as Set<number>) beside.get(other)?.delete(k);
        beside.delete(k);
      }
    }
    for (const core of cores) {
      if (core.size < 3 || [...core].some((k) => !beside.has(k))) continue;
      made.push(...this.set([...core], 1, [[...core]]));
      for (const k of core) beside.delete(k);
    }
    return made;
  }

  /** All conflicts of a component, and how many have to stay for them. */
  private *whole(list: readonly number[], cores: Set<number>[]): Steps<KeptSet | undefined> {
    for (let round = 0; round < ROUNDS; round++) {
      const { set, exact } = hittingSet(cores);
      if (!exact) return undefined;
      const before = cores.length;
      const kept = yield* this.search.rest(list, set, cores);
      if (kept.size > set.size && cores.length > before) continue;
      const least = smallest(cores);
      const nodes = [...new Set(least.flatMap((core) => [...core]))].sort((p, q) => p - q);
      return this.set(
        nodes,
        set.size,
        least.map((core) => [...core]),
      )[0];
    }
    return undefined;
  }

  /** A set with its conflicts shown; none when one of them cannot be. */
  private set(members: readonly number[], least: number, conflicts: readonly (readonly number[])[]): KeptSet[] {
    const shown: Conflict[] = [];
    for (const core of conflicts) {
      const conflict = this.show([...core].sort((p, q) => p - q));
      if (conflict === undefined) return [];
      shown.push(conflict);
    }
    return [{ nodes: members.map((k) => this.index(this.laws.movers[k].found.node)), least, conflicts: shown }];
  }

  /** The sum of equations that shows that candidates cannot all go: of those there are, the one that leaves most. */
  private show(core: readonly number[]): Conflict | undefined {
    const nodes = core.map((k) => this.index(this.laws.movers[k].found.node));
    let best: Conflict | undefined;
    const names = this.search.contradictions(core, (terms) => {
      if ([...coreOf(terms)].some((k) => !core.includes(k))) return;
      const found = this.conflict(nodes, terms);
      if (found !== undefined && (best === undefined || strength(found) > strength(best))) best = found;
    });
    return best ?? (names ? { nodes, system: "name", laws: [], goes: [], positive: [], sum: 0 } : undefined);
  }

  private conflict(nodes: readonly number[], terms: readonly Term[]): Conflict | undefined {
    const { network, movers } = this.laws;
    const laws: Taken[] = [];
    const goes: Taken[] = [];
    const positive: Taken[] = [];
    for (const { label, kind, index, by } of terms) {
      if (label >= 0) goes.push([this.index(movers[label].found.node), index, by]);
      else {
        const { node, entry } = network.addressOf(kind, index);
        (kind === "positive" ? positive : laws).push([this.index(node), entry, by]);
      }
    }
    const of = <K extends "ratios" | "rows">(kind: K) =>
      terms.flatMap(({ label, kind: own, index, by: times }) => {
        const list: readonly (typeof network)[K][number][] = label < 0 ? network[kind] : movers[label].demand[kind];
        return own === kind ? [{ of: list[index], times }] : [];
      });
    if (terms.some(({ kind }) => kind === "rows")) {
      const sum = sumOfShifts(of("rows"), (x) => this.still.has(x));
      return sum === undefined ? undefined : { nodes, system: "shift", laws, goes, positive, sum };
    }
    const ratios = of("ratios");
    const sum = positive.length === 0 ? sumOfGains(ratios) : undefined;
    if (sum !== undefined) return { nodes, system: "gain", laws, goes, positive, sum };
    const signs = sumOfSigns(
      ratios.map((one) => one.of),
      terms.flatMap(({ kind, index }) => (kind === "positive" ? [network.positive[index]] : [])),
    );
    return signs === undefined ? undefined : { nodes, system: "sign", laws, goes, positive, sum: signs };
  }
}

/** A clash of signs cannot be due to rounding. */
const strength = ({ system, sum, laws, goes }: Conflict): number =>
  (system === "sign" ? Number.MAX_VALUE : Math.abs(sum)) / (laws.length + goes.length);

/** A large clique, taken from the busiest node on. */
function cliqueOf(beside: ReadonlyMap<number, ReadonlySet<number>>): number[] {
  let best: number[] = [];
  for (const [first, own] of beside) {
    if (own.size < best.length) continue;
    const clique = [first];
    const degree = (k: number): number => (beside.get(k) as ReadonlySet<number>).size;
    const open = [...own].sort((p, q) => degree(q) - degree(p));
    for (const k of open) if (clique.every((other) => beside.get(other)?.has(k))) clique.push(k);
    if (clique.length > best.length) best = clique;
  }
  return best;
}

/** Sets without those that hold another one. */
function smallest(cores: readonly ReadonlySet<number>[]): ReadonlySet<number>[] {
  const sorted = [...cores].sort((p, q) => p.size - q.size);
  const made: ReadonlySet<number>[] = [];
  for (const core of sorted) if (!made.some((other) => [...other].every((k) => core.has(k)))) made.push(core);
  return made;
}
