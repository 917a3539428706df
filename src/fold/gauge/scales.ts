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
  /**
   * The equations that hold, as trees with an edge each: from an unknown to the next one towards the top of its tree, where the
   * equation comes from, and 1 where it says log|a| of the unknown less that of the next one, −1 where it says the reverse.
   */
  private readonly next: Int32Array;
  private readonly label: Int32Array;
  private readonly index: Int32Array;
  private readonly turned: Int8Array;
  /**
   * Five numbers a step: a root that was joined to another, the other's witness and sign before, and the ends of the equation; or, with ends
   * of −1, a root that learned its sign.
   */
  private readonly log: number[] = [];

  constructor(count: number) {
    this.parent = Int32Array.from({ length: count }, (_, i) => i);
    this.ratio = new Float64Array(count).fill(1);
    this.size = new Int32Array(count).fill(1);
    this.witness = new Int32Array(count).fill(-1);
    this.sign = new Int8Array(count);
    this.next = new Int32Array(count).fill(-1);
    this.label = new Int32Array(count);
    this.index = new Int32Array(count);
    this.turned = new Int8Array(count);
    this.witness[0] = 0;
    this.sign[0] = 1;
  }

  /** What stands for the class of an unknown. */
  find(x: number): number {
    let root = x;
    while (this.parent[root] !== root) root = this.parent[root];
    return root;
  }

  /** The ratio of an unknown to what stands for its class. */
  private ratioOf(x: number): number {
    let ratio = 1;
    for (let at = x; this.parent[at] !== at; at = this.parent[at]) ratio *= this.ratio[at];
    return ratio;
  }

  mark(): number {
    return this.log.length;
  }

  undo(mark: number): void {
    const { log } = this;
    for (let i = log.length - 5; i >= mark; i -= 5) {
      const root = log[i];
      const x = log[i + 3];
      const y = log[i + 4];
      const top = this.parent[root];
      if (top !== root) {
        this.parent[root] = root;
        this.ratio[root] = 1;
        this.size[top] -= this.size[root];
        // What came later may have turned the edge round.
        this.next[this.next[x] === y ? x : y] = -1;
      }
      this.witness[top] = log[i + 1];
      this.sign[top] = log[i + 2];
    }
    log.length = mark;
  }

  /** a_x > 0, the law at `index` of those. True unless it contradicts others. */
  positive(x: number, index: number): boolean {
    const root = this.find(x);
    const sign = Math.sign(this.ratioOf(x));
    if (this.sign[root] !== 0) return this.sign[root] === sign;
    if (!this.positives.has(x)) this.positives.set(x, index);
    this.log.push(root, -1, 0, -1, -1);
    this.witness[root] = x;
    this.sign[root] = sign;
    return true;
  }

  /** a_x = by · a_y. Undefined, or the sum of equations that is a contradiction: of logarithms, or of signs. */
  join({ x, y, by }: Ratio, source: Source): Term[] | undefined {
    const p = this.find(x);
    const q = this.find(y);
    // ratio_x · a_p = by · ratio_y · a_q
    const ratio = (by * this.ratioOf(y)) / this.ratioOf(x);
    if (p === q) return Math.abs(ratio - 1) <= CLOSE ? undefined : [own(source), ...this.between(y, x)];
    const wanted = this.sign[q] * Math.sign(ratio);
    if (wanted !== 0 && this.sign[p] !== 0 && wanted !== this.sign[p]) {
      const ends = [this.witness[p], this.witness[q]].flatMap((z): Term[] => {
        const index = this.positives.get(z);
        return index === undefined ? [] : [{ label: -1, index, kind: "positive", by: 1 }];
      });
      return [own(source), ...this.between(this.witness[p], x), ...this.between(y, this.witness[q]), ...ends];
    }
    // Ground stands for its class.
    const flip = p === 0 || (q !== 0 && this.size[p] > this.size[q]);
    const low = flip ? q : p;
    const high = flip ? p : q;
    this.log.push(low, this.witness[high], this.sign[high], x, y);
    this.parent[low] = high;
    this.ratio[low] = flip ? 1 / ratio : ratio;
    this.size[high] += this.size[low];
    if (this.sign[high] === 0 && this.sign[low] !== 0) {
      this.sign[high] = this.sign[low] * Math.sign(ratio);
      this.witness[high] = this.witness[low];
    }
    if (flip) this.edge(y, x, source, -1);
    else this.edge(x, y, source, 1);
    return undefined;
  }

  /** An edge between two trees, from one of which every way then leads up into the other. */
  private edge(from: number, to: number, { label, index }: Source, turned: number): void {
    let [at, next, l, i, t] = [from, to, label, index, turned];
    for (;;) {
      const [after, l2, i2, t2] = [this.next[at], this.label[at], this.index[at], this.turned[at]];
      [this.next[at], this.label[at], this.index[at], this.turned[at]] = [next, l, i, t];
      if (after < 0) return;
      [next, at, l, i, t] = [at, after, l2, i2, -t2];
    }
  }

  /** The equations that lead from one unknown of a class to another: their sum says log|a_x| − log|a_y|. */
  private between(x: number, y: number): Term[] {
    const places = new Map<number, number>();
    const up: Term[] = [];
    const term = (at: number, by: number): Term => ({ label: this.label[at], index: this.index[at], kind: "ratios", by });
    for (let at = x; ; at = this.next[at]) {
      places.set(at, up.length);
      if (this.next[at] < 0) break;
      up.push(term(at, this.turned[at]));
    }
    const down: Term[] = [];
    let at = y;
    for (; !places.has(at); at = this.next[at]) down.push(term(at, -this.turned[at]));
    return [...up.slice(0, places.get(at)), ...down];
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
      const root = this.find(x);
      const ratio = this.ratioOf(x);
      roots[x] = root;
      ratios[x] = ratio;
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

const own = ({ label, index }: Source): Term => ({ label, index, kind: "ratios", by: 1 });
