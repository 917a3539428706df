/**
 * The system of gains: a_x = k·a_y and a_x > 0, over unknowns of which number 0 is 1. A forest of classes with the ratio of each
 * unknown to its parent; a class knows its sign where some member has to be positive. What was added last can be taken back.
 *
 * Each equation knows where it comes from. Where one contradicts the others, the equations on the way between its two unknowns are
 * a sum of which nothing is left but 0 = c, or 0 = 1 for signs.
 */

import type { Ratio } from "../../laws/wires.ts";
import type { Source, Term } from "./terms.ts";

/** Equations hold within this much, relative: products of a few float64 numbers. */
const CLOSE = 2 ** -44;

export class Scales {
  private readonly parent: Int32Array;
  /** a = ratio · a of the parent. */
  private readonly ratio: Float64Array;
  private readonly size: Int32Array;
  /** Of a root: an unknown that is known to be positive, and the sign that gives the root; −1 and 0 where none is. */
  private readonly witness: Int32Array;
  private readonly sign: Int8Array;
  /** Which law says of an unknown that it is positive. */
  private readonly positives = new Map<number, number>();
  /** Equations that hold, as edges: from each end, in the order of a list that can be cut back. */
  private readonly head: Int32Array;
  private readonly ends: number[] = [];
  private readonly next: number[] = [];
  private readonly sources: Source[] = [];
  /** Roots that were joined to another, with what the other knew of its sign; or (negative) roots that learned their sign. */
  private readonly log: { readonly root: number; readonly witness: number; readonly sign: number; readonly edge: boolean }[] = [];

  constructor(count: number) {
    this.parent = Int32Array.from({ length: count }, (_, i) => i);
    this.ratio = new Float64Array(count).fill(1);
    this.size = new Int32Array(count).fill(1);
    this.witness = new Int32Array(count).fill(-1);
    this.sign = new Int8Array(count);
    this.head = new Int32Array(count).fill(-1);
    this.witness[0] = 0;
    this.sign[0] = 1;
  }

  /** The class of an unknown, and its ratio to what stands for the class. */
  find(x: number): { root: number; ratio: number } {
    let [root, ratio] = [x, 1];
    while (this.parent[root] !== root) {
      ratio *= this.ratio[root];
      root = this.parent[root];
    }
    return { root, ratio };
  }

  mark(): number {
    return this.log.length;
  }

  undo(mark: number): void {
    while (this.log.length > mark) {
      const { root, witness, sign, edge } = this.log.pop() as (typeof this.log)[number];
      if (edge) {
        this.cut();
        continue;
      }
      const top = this.parent[root];
      if (top !== root) {
        this.parent[root] = root;
        this.ratio[root] = 1;
        this.size[top] -= this.size[root];
      }
      this.witness[top] = witness;
      this.sign[top] = sign;
    }
  }

  /** a_x > 0, the law at `index` of those. True unless it contradicts others. */
  positive(x: number, index: number): boolean {
    const { root, ratio } = this.find(x);
    const sign = Math.sign(ratio);
    if (this.sign[root] !== 0) return this.sign[root] === sign;
    if (!this.positives.has(x)) this.positives.set(x, index);
    this.log.push({ root, witness: -1, sign: 0, edge: false });
    this.witness[root] = x;
    this.sign[root] = sign;
    return true;
  }

  /** a_x = by · a_y. Undefined, or the sum of equations that is a contradiction: of logarithms, or of signs. */
  join({ x, y, by }: Ratio, source: Source): Term[] | undefined {
    const [p, q] = [this.find(x), this.find(y)];
    // ratio_p · a_p = by · ratio_q · a_q
    const ratio = (by * q.ratio) / p.ratio;
    const own: Term = { ...source, kind: "ratios", by: 1 };
    if (p.root === q.root) return Math.abs(ratio - 1) <= CLOSE ? undefined : [own, ...this.between(y, x)];
    const wanted = this.sign[q.root] * Math.sign(ratio);
    if (wanted !== 0 && this.sign[p.root] !== 0 && wanted !== this.sign[p.root]) {
      const ends = [this.witness[p.root], this.witness[q.root]].flatMap((z): Term[] => {
        const index = this.positives.get(z);
        return index === undefined ? [] : [{ label: -1, index, kind: "positive", by: 1 }];
      });
      return [own, ...this.between(this.witness[p.root], x), ...this.between(y, this.witness[q.root]), ...ends];
    }
    // Ground stands for its class.
    const flip = p.root === 0 || (q.root !== 0 && this.size[p.root] > this.size[q.root]);
    const [low, high] = flip ? [q.root, p.root] : [p.root, q.root];
    this.log.push({ root: low, witness: this.witness[high], sign: this.sign[high], edge: false });
    this.parent[low] = high;
    this.ratio[low] = flip ? 1 / ratio : ratio;
    this.size[high] += this.size[low];
    if (this.sign[high] === 0 && this.sign[low] !== 0) {
      this.sign[high] = this.sign[low] * Math.sign(ratio);
      this.witness[high] = this.witness[low];
    }
    this.edge(x, y, source);
    this.log.push({ root: low, witness: -1, sign: 0, edge: true });
    return undefined;
  }

  private edge(x: number, y: number, source: Source): void {
    for (const [from, to] of [
      [x, y],
      [y, x],
    ]) {
      this.ends.push(to);
      this.next.push(this.head[from]);
      this.sources.push(source);
      this.head[from] = this.ends.length - 1;
    }
  }

  private cut(): void {
    const second = this.ends.length - 1;
    const [x, y] = [this.ends[second], this.ends[second - 1]];
    this.head[y] = this.next[second];
    this.head[x] = this.next[second - 1];
    for (const list of [this.ends, this.next, this.sources]) list.length -= 2;
  }

  /** The equations that lead from one unknown of a class to another: their sum says log|a_x| − log|a_y|. */
  private between(x: number, y: number): Term[] {
    const from = new Map<number, { readonly at: number; readonly edge: number }>([[x, { at: x, edge: -1 }]]);
    const open = [x];
    for (let i = 0; i < open.length && !from.has(y); i++) {
      for (let e = this.head[open[i]]; e >= 0; e = this.next[e]) {
        if (from.has(this.ends[e])) continue;
        from.set(this.ends[e], { at: open[i], edge: e });
        open.push(this.ends[e]);
      }
    }
    const found: Term[] = [];
    for (let step = from.get(y), at = y; step !== undefined && at !== x; at = step.at, step = from.get(at))
      found.push({ ...this.sources[step.edge], kind: "ratios", by: step.edge % 2 === 0 ? 1 : -1 });
    return found;
  }

  /**
   * A gain for every unknown. A class that nothing holds is given the gains that leave most of its unknowns 1; `prefer` counts
   * how much each matters.
   */
  solve(prefer: (x: number) => number): Float64Array {
    const { length } = this.parent;
    const [roots, ratios] = [new Int32Array(length), new Float64Array(length)];
    const votes = new Map<number, Map<number, number>>();
    for (let x = 0; x < length; x++) {
      const { root, ratio } = this.find(x);
      [roots[x], ratios[x]] = [root, ratio];
      if (root === 0) continue;
      const list = votes.get(root) ?? new Map<number, number>();
      votes.set(root, list.set(ratio, (list.get(ratio) ?? 0) + prefer(x)));
    }
    const values = new Map<number, number>([[0, 1]]);
    for (const [root, list] of votes) {
      let [best, most] = [1, Number.NEGATIVE_INFINITY];
      for (const [ratio, count] of list) {
        const fits = this.sign[root] === 0 || Math.sign(ratio) === this.sign[root];
        if (fits && count >= most) [best, most] = [ratio, count];
      }
      values.set(root, 1 / best);
    }
    return ratios.map((ratio, x) => ratio * (values.get(roots[x]) as number));
  }
}
