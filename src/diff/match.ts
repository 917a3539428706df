/**
 * Which node of one graph is which of the other. What looks the same from inputs and outputs alike is paired first, then what looks the
 * same from one side only (a change cuts what lies above it from what lies below), then what has the same surroundings; pairs lead
 * to their neighbours, over a few nodes that only one of the graphs has. Names decide among those that look alike, and lead where
 * nothing else does. Each pass is linear in nodes and edges, so that 100,000 nodes take seconds.
 */
import type { GraphNode, GraphValue, Scope } from "../graph/view.ts";
import { Interner, type Look, ordered, type Signatures, signatures } from "./signatures.ts";

/** Nodes that only one graph has, one behind the other, over which a pair still leads to the next. */
const GAP = 3;
/** Readers of a value looked at from a pair: a value read 10,000 times leads nowhere by itself. */
const READERS = 32;

export class Matching {
  readonly forward = new Map<GraphNode, GraphNode>();
  readonly backward = new Map<GraphNode, GraphNode>();

  pair(a: GraphNode, b: GraphNode): void {
    this.forward.set(a, b);
    this.backward.set(b, a);
  }

  isFree(a: GraphNode, b: GraphNode): boolean {
    return !this.forward.has(a) && !this.backward.has(b);
  }
}

const nameOf = ({ record }: GraphNode): string => record.name || record.outputs.find((output) => output !== "") || "";

/** Share of the pairs that must have one name for names to be trusted. */
const TRUSTED = 0.9;

const keyOf = (node: GraphNode): string => `${node.record.domain}:${node.record.opType} ${nameOf(node)}`;

const isSame = (a: GraphNode, b: GraphNode): boolean =>
  a.record.opType === b.record.opType && a.record.domain === b.record.domain && a.record.overload === b.record.overload;

/** Lists by key, in the order they come. */
function grouped<T>(list: readonly T[], key: (one: T) => string | number | undefined): Map<string | number, T[]> {
  const groups = new Map<string | number, T[]>();
  for (const one of list) {
    const id = key(one);
    if (id === undefined) continue;
    const group = groups.get(id);
    if (group === undefined) groups.set(id, [one]);
    else group.push(one);
  }
  return groups;
}

/** Pairs two scopes' nodes. */
class Matcher {
  private readonly a: GraphNode[];
  private readonly b: GraphNode[];
  private readonly interner = new Interner();
  private readonly ids = new Map<GraphNode, number>();
  private readonly queue: [GraphNode, GraphNode][] = [];
  private readonly mine: ReadonlySet<string>;
  private readonly theirs: ReadonlySet<string>;
  private trusted = true;
  /** Whether pairs lead over nodes that only one side has. */
  private leaps = false;

  constructor(
    readonly first: Scope,
    readonly second: Scope,
    readonly matching: Matching,
  ) {
    this.a = ordered(first);
    this.b = ordered(second);
    this.mine = new Set(this.a.map(keyOf));
    this.theirs = new Set(this.b.map(keyOf));
  }

  run(): void {
    for (const look of ["content", "shape"] as const) {
      const [x, y] = this.look(look);
      this.byKey(x, y, (s, i) => this.interner.of(`both ${s.up[i]} ${s.down[i]}`), true);
      this.byKey(x, y, (s, i) => s.up[i], true);
      this.byKey(x, y, (s, i) => s.down[i], false);
      this.judgeNames();
      this.spread();
      this.unique(x, y, (s, i) => s.wide[i]);
      this.spread();
    }
    this.edges();
    this.spread();
    if (this.trusted) this.names();
    this.leaps = true;
    this.edges();
    this.spread();
    this.names();
    this.spread();
    this.trusted = false;
    this.spread();
    const [x, y] = this.look("shape");
    this.unique(x, y, (s, i) => s.near[i]);
    this.unique(x, y, (s, i) => s.own[i]);
    this.spread();
    this.between();
  }

  /** Names are trusted where those that structure alone pairs have one name: a numbering that was shifted by a node has not. */
  private judgeNames(): void {
    const pairs = [...this.matching.forward].filter(([a]) => a.scope === this.first);
    const same = pairs.filter(([a, b]) => nameOf(a) === nameOf(b)).length;
    this.trusted = same >= TRUSTED * pairs.length;
  }

  /** True where a name says that a node is another one. */
  private conflicts(a: GraphNode, b: GraphNode): boolean {
    if (!this.trusted || nameOf(a) === nameOf(b)) return false;
    return this.theirs.has(keyOf(a)) || this.mine.has(keyOf(b));
  }

  private look(look: Look): [Signatures, Signatures] {
    return [signatures(this.a, look, this.interner), signatures(this.b, look, this.interner)];
  }

  private take(a: GraphNode, b: GraphNode): void {
    this.matching.pair(a, b);
    this.queue.push([a, b]);
  }

  /** Free nodes by a key, as places in the lists. */
  private free(x: Signatures, y: Signatures, key: (s: Signatures, i: number) => number) {
    const places = (nodes: readonly GraphNode[], taken: ReadonlyMap<GraphNode, GraphNode>) =>
      nodes.flatMap((node, i) => (taken.has(node) ? [] : [i]));
    return [
      grouped(places(this.a, this.matching.forward), (i) => key(x, i)),
      grouped(places(this.b, this.matching.backward), (i) => key(y, i)),
    ] as const;
  }

  /** Groups that look alike are paired whole; among several, those whose partners around them are partners, then names, then order. */
  private byKey(x: Signatures, y: Signatures, key: (s: Signatures, i: number) => number, above: boolean): void {
    const [mine, theirs] = this.free(x, y, key);
    const groups = [...mine].sort(([, p], [, q]) => (above ? p[0] - q[0] : q[q.length - 1] - p[p.length - 1]));
    for (const [id, group] of groups) {
      const other = theirs.get(id);
      if (other === undefined) continue;
      const [left, right] = [group.map((i) => this.a[i]), other.map((i) => this.b[i])];
      if (left.length === 1 && right.length === 1) this.take(left[0], right[0]);
      else this.within(left, right, above);
    }
  }

  /** Marks that partners share: of what is above (or below) a node, when all of it is paired. */
  private mark(node: GraphNode, above: boolean, isFirst: boolean): string | undefined {
    const neighbours = above
      ? node.inputs.flatMap((value) => value?.producer ?? [])
      : node.outputs.flatMap((value) => (value?.uses ?? []).slice(0, READERS).map((use) => use.node));
    if (neighbours.length === 0) return undefined;
    const ids = neighbours.map((one) => {
      const first = isFirst ? one : this.matching.backward.get(one);
      if (first === undefined || (isFirst && !this.matching.forward.has(one))) return undefined;
      let id = this.ids.get(first);
      if (id === undefined) {
        id = this.ids.size;
        this.ids.set(first, id);
      }
      return id;
    });
    return ids.includes(undefined) ? undefined : (above ? ids : [...ids].sort()).join(",");
  }

  private within(left: GraphNode[], right: GraphNode[], above: boolean): void {
    const keys: ((node: GraphNode, isFirst: boolean) => string | undefined)[] = [
      (node, isFirst) => {
        const mark = this.mark(node, above, isFirst);
        return mark === undefined ? undefined : `${mark} ${nameOf(node)}`;
      },
      (node, isFirst) => this.mark(node, above, isFirst),
      (node) => nameOf(node),
      () => "",
    ];
    for (const key of keys) {
      const [p, q] = [left, right].map((list, k) =>
        grouped(
          list.filter((node) => !(k === 0 ? this.matching.forward : this.matching.backward).has(node)),
          (node) => key(node, k === 0),
        ),
      );
      for (const [id, group] of p) {
        const other = q.get(id) ?? [];
        for (let i = 0; i < Math.min(group.length, other.length); i++) this.take(group[i], other[i]);
      }
    }
  }

  /** Pairs what is alone of its kind on both sides. */
  private unique(x: Signatures, y: Signatures, key: (s: Signatures, i: number) => number): void {
    const [mine, theirs] = this.free(x, y, key);
    for (const [id, group] of mine) {
      const other = theirs.get(id);
      if (group.length === 1 && other?.length === 1) this.take(this.a[group[0]], this.b[other[0]]);
    }
  }

  /** From pairs to their neighbours, until nothing more follows. */
  private spread(): void {
    for (const [a, b] of this.matching.forward) this.queue.push([a, b]);
    for (let pair = this.queue.pop(); pair !== undefined; pair = this.queue.pop()) {
      const [a, b] = pair;
      for (let k = 0; k < Math.min(a.outputs.length, b.outputs.length); k++) this.below(a.outputs[k], b.outputs[k]);
      for (let k = 0; k < Math.min(a.inputs.length, b.inputs.length); k++) this.above(a.inputs[k], b.inputs[k]);
    }
  }

  /** Graph inputs of one name, or one place, lead to what reads them; outputs to what makes them. */
  private edges(): void {
    const sides = (scope: Scope, side: "inputs" | "outputs") =>
      scope.record[side].map((entry) => scope.values.get(typeof entry === "string" ? entry : entry.name));
    for (const side of ["inputs", "outputs"] as const) {
      const [p, q] = [sides(this.first, side), sides(this.second, side)];
      const named = new Map(q.map((value) => [value?.name, value]));
      p.forEach((value, i) => {
        const partner = named.get(value?.name) ?? q[i];
        if (side === "inputs") this.below(value, partner);
        else this.above(value, partner);
      });
    }
  }

  /** Readers of a value at one input position that are free; over nodes of the other kind as far as `GAP`. */
  private below(p: GraphValue | undefined, q: GraphValue | undefined): void {
    if (p === undefined || q === undefined) return;
    const [mine, theirs] = [readersOf(p, this.matching.forward), readersOf(q, this.matching.backward)];
    for (const { node, index } of mine) {
      const alike = theirs.filter(
        (use) =>
          use.index === index &&
          isSame(node, use.node) &&
          this.matching.isFree(node, use.node) &&
          !this.conflicts(node, use.node),
      );
      const found = alike.find((use) => nameOf(use.node) === nameOf(node)) ?? alike[0];
      if (found !== undefined && this.matching.isFree(node, found.node)) this.take(node, found.node);
    }
    this.leap(
      mine.filter(({ node }) => !this.matching.forward.has(node)).map(({ node }) => node),
      theirs.filter(({ node }) => !this.matching.backward.has(node)).map(({ node }) => node),
      (node) => node.outputs.flatMap((value) => (value?.uses ?? []).slice(0, READERS).map((use) => use.node)),
    );
  }

  private above(p: GraphValue | undefined, q: GraphValue | undefined): void {
    const [a, b] = [p?.producer, q?.producer];
    if (a === undefined || b === undefined || a.scope !== this.first || b.scope !== this.second) return;
    if (this.matching.isFree(a, b) && isSame(a, b) && p?.outputIndex === q?.outputIndex && !this.conflicts(a, b)) this.take(a, b);
    else
      this.leap(
        this.matching.forward.has(a) ? [] : [a],
        this.matching.backward.has(b) ? [] : [b],
        (node) => node.inputs.flatMap((value) => value?.producer ?? []),
        [a, b],
      );
  }

  /** One side has nodes the other does not: what comes behind them may be what the other has here. */
  private leap(
    mine: readonly GraphNode[],
    theirs: readonly GraphNode[],
    next: (node: GraphNode) => readonly GraphNode[],
    at: readonly GraphNode[] = [],
  ): void {
    if (!this.leaps) return;
    const reach = (from: readonly GraphNode[], scope: Scope, taken: ReadonlyMap<GraphNode, GraphNode>): GraphNode[] => {
      let ring = from.filter((node) => node.scope === scope);
      const all = new Set(ring);
      for (let depth = 0; depth < GAP && ring.length > 0 && all.size <= READERS; depth++) {
        ring = ring.flatMap(next).filter((node) => node.scope === scope && !taken.has(node) && !all.has(node));
        for (const node of ring) all.add(node);
      }
      return [...all];
    };
    const [p, q] = [
      reach(mine.length > 0 ? mine : at.slice(0, 1), this.first, this.matching.forward),
      reach(theirs.length > 0 ? theirs : at.slice(1), this.second, this.matching.backward),
    ].map((list, k) => list.filter((node) => !(k === 0 ? this.matching.forward : this.matching.backward).has(node)));
    if (p.length === 0 || q.length === 0) return;
    const kinds = (list: readonly GraphNode[]) =>
      grouped(list, ({ record }) => `${record.domain}:${record.opType}:${record.overload}`);
    const other = kinds(q);
    for (const [kind, group] of kinds(p)) {
      const rivals = other.get(kind);
      if (group.length !== 1 || rivals?.length !== 1) continue;
      if (this.matching.isFree(group[0], rivals[0]) && !this.conflicts(group[0], rivals[0])) this.take(group[0], rivals[0]);
    }
  }

  /** The same operator under the same name. */
  private names(): void {
    const key = (node: GraphNode) => (nameOf(node) === "" ? undefined : keyOf(node));
    const theirs = grouped(
      this.b.filter((node) => !this.matching.backward.has(node)),
      key,
    );
    for (const [id, group] of grouped(
      this.a.filter((node) => !this.matching.forward.has(node)),
      key,
    )) {
      const other = theirs.get(id);
      if (group.length === 1 && other?.length === 1) this.take(group[0], other[0]);
    }
  }

  /** What is left between two pairs in the order of the file: the same operators, one after the other. */
  private between(): void {
    const after = new Map<GraphNode | undefined, GraphNode[]>();
    let last: GraphNode | undefined;
    for (const node of this.b) {
      if (this.matching.backward.has(node)) last = node;
      else {
        const list = after.get(last);
        if (list === undefined) after.set(last, [node]);
        else list.push(node);
      }
    }
    let gap: GraphNode[] = [];
    let from: GraphNode | undefined;
    const close = () => {
      const open = [...(after.get(from) ?? [])];
      for (const node of gap) {
        const i = open.findIndex((other) => isSame(node, other));
        if (i >= 0) this.take(node, open.splice(0, i + 1)[i]);
      }
      gap = [];
    };
    for (const node of this.a) {
      const partner = this.matching.forward.get(node);
      if (partner === undefined) gap.push(node);
      else {
        close();
        from = partner;
      }
    }
    close();
  }
}

function readersOf(value: GraphValue, taken: ReadonlyMap<GraphNode, GraphNode>) {
  const out: { node: GraphNode; index: number }[] = [];
  for (const use of value.readers()) {
    if (out.length >= READERS) break;
    if (!taken.has(use.node) && use.node.scope === value.scope) out.push(use);
  }
  return out;
}

/** Adds the pairs of two scopes' own nodes. */
export function matchScopes(first: Scope, second: Scope, matching: Matching): void {
  new Matcher(first, second, matching).run();
}
