/**
 * Powers of two for the channels of one group: the whole numbers d for which the least noise of the tensors around it is felt, by the
 * noise that rounding makes on average (noise.ts). From nothing, and from what evens out ranges between the two sides of each channel
 * (d = ½·log2 of their ratio, Nagel et al. 2019, equation 11, rounded), channels go up and down one at a time, and all that reach near
 * the top of one tensor together, for as long as the sum falls.
 */
import type { Surveyed, Term } from "./noise.ts";

const ROUNDS = 12;
/** A step has to lower the sum by this part of it. */
const STEP = 1e-6;
/** How far below the largest number of a tensor channels go down together with it, as factors. */
const TOPS = [0.9, 0.7, 0.5, 0.25, 0.125];

/** One term with the exponents so far. */
class Weighing {
  private readonly high: Float64Array;
  private readonly low: Float64Array;
  private readonly stake: Float64Array;
  /** Entries of each class. */
  readonly of: ReadonlyMap<number, readonly number[]>;
  private sum = 0;
  private tops: readonly [first: number, at: number, second: number][] = [];
  /** Numbers were moved since these were added up. */
  private stale = true;

  constructor(
    private readonly term: Term,
    steps: Int32Array,
  ) {
    const n = term.at.length;
    [this.high, this.low, this.stake] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
    const of = new Map<number, number[]>();
    for (let k = 0; k < n; k++) {
      const factor = 2 ** (term.sign[k] * steps[term.at[k]]);
      this.put(k, factor);
      of.set(term.at[k], [...(of.get(term.at[k]) ?? []), k]);
    }
    this.of = of;
  }

  private put(k: number, factor: number): void {
    this.high[k] = this.term.high[k] * factor;
    this.low[k] = this.term.low[k] * factor;
    this.stake[k] = this.term.stake[k] / factor ** 2;
  }

  private refresh(): void {
    if (!this.stale) return;
    this.stale = false;
    const { rest } = this.term;
    this.sum = rest.stake;
    for (let k = 0; k < this.stake.length; k++) this.sum += this.stake[k];
    this.tops = [top(this.high, rest.high), top(this.low, rest.low)];
  }

  ratio(): number {
    this.refresh();
    return this.ratioOf(this.tops[0][0], this.tops[1][0], this.sum);
  }

  private ratioOf(high: number, low: number, stake: number): number {
    return this.term.factor * (high + low) ** 2 * stake;
  }

  /** What is felt with one class moved by `by`. */
  with(c: number, by: number): number {
    const list = this.of.get(c);
    this.refresh();
    if (list === undefined) return this.ratio();
    const { sign } = this.term;
    let stake = this.sum;
    const ends = [this.high, this.low].map((values, i) => {
      const [first, at, second] = this.tops[i];
      let most = list.includes(at) ? second : first;
      for (const k of list) most = Math.max(most, values[k] * 2 ** (sign[k] * by));
      return most;
    });
    for (const k of list) stake += this.stake[k] * (4 ** (-sign[k] * by) - 1);
    return this.ratioOf(ends[0], ends[1], stake);
  }

  move(c: number, steps: Int32Array): void {
    const list = this.of.get(c);
    if (list === undefined) return;
    for (const k of list) this.put(k, 2 ** (this.term.sign[k] * steps[c]));
    this.stale = true;
  }

  /** Classes near the top, with the direction that takes them from it. */
  near(part: number): [c: number, by: number][] {
    this.refresh();
    const [[high], [low]] = this.tops;
    const found: [number, number][] = [];
    for (const [k, c] of this.term.at.entries())
      if (this.high[k] > part * high || (low > 0 && this.low[k] > part * low)) found.push([c, -this.term.sign[k]]);
    return found;
  }
}

/** The largest, where it is (−1 in the rest), and the largest but for that. */
function top(values: Float64Array, rest: number): [number, number, number] {
  let [first, at, second] = [rest, -1, 0];
  for (let k = 0; k < values.length; k++) {
    if (values[k] > first) [first, at, second] = [values[k], k, first];
    else if (values[k] > second) second = values[k];
  }
  return [first, at, second];
}

const total = (list: readonly Weighing[]): number => list.reduce((n, weighing) => n + weighing.ratio(), 0);

/** Exponents to add to those the classes have, by position in the group. */
export function searchSteps(surveyed: Surveyed, count: number): Int32Array {
  let best: Int32Array = new Int32Array(count);
  let least = Number.POSITIVE_INFINITY;
  for (const start of starts(surveyed, count)) {
    const { steps, ratio } = descend(surveyed, start);
    if (ratio < least * (1 - STEP)) [best, least] = [steps, ratio];
  }
  return settled(surveyed, best);
}

/** Nothing; both sides evened out; either side alone. */
function starts({ terms, bounds }: Surveyed, count: number): Int32Array[] {
  const sides = [new Float64Array(count), new Float64Array(count)];
  for (const term of terms) {
    const most = term.high.reduce((m, v, k) => Math.max(m, v + term.low[k]), 0);
    if (most === 0) continue;
    for (const [k, c] of term.at.entries()) {
      const side = sides[term.sign[k] > 0 ? 1 : 0];
      side[c] = Math.max(side[c], (term.high[k] + term.low[k]) / most);
    }
  }
  const from = (d: (shrinks: number, grows: number) => number) =>
    Int32Array.from({ length: count }, (_, c) => {
      const step = Math.round(d(sides[0][c], sides[1][c]));
      return Number.isFinite(step) ? Math.min(bounds.most[c], Math.max(bounds.least[c], step)) : 0;
    });
  return [new Int32Array(count), from((p, q) => Math.log2(p / q) / 2), from((p) => Math.log2(p)), from((_, q) => -Math.log2(q))];
}

function descend({ terms, bounds }: Surveyed, start: Int32Array): { steps: Int32Array; ratio: number } {
  const steps = start.slice();
  const list = terms.map((term) => new Weighing(term, steps));
  const touching = Array.from({ length: steps.length }, (_, c) => list.filter((weighing) => weighing.of.has(c)));
  const fits = (c: number, by: number) => steps[c] + by >= bounds.least[c] && steps[c] + by <= bounds.most[c];
  const move = (c: number, by: number) => {
    steps[c] += by;
    for (const weighing of touching[c]) weighing.move(c, steps);
  };
  let ratio = total(list);
  for (let round = 0; round < ROUNDS; round++) {
    const before = ratio;
    for (let c = 0; c < steps.length; c++) {
      const now = touching[c].reduce((n, weighing) => n + weighing.ratio(), 0);
      for (const by of [1, -1, 2, -2]) {
        if (!fits(c, by)) continue;
        const then = touching[c].reduce((n, weighing) => n + weighing.with(c, by), 0);
        if (now - then <= STEP * ratio) continue;
        move(c, by);
        break;
      }
    }
    ratio = total(list);
    for (const weighing of list) {
      for (const part of TOPS) {
        const moved = [...new Map(weighing.near(part))].filter(([c, by]) => fits(c, by));
        if (moved.length === 0 || moved.length === steps.length) continue;
        for (const [c, by] of moved) move(c, by);
        const then = total(list);
        if (ratio - then > STEP * ratio) ratio = then;
        else for (const [c, by] of moved) move(c, -by);
      }
    }
    if (before - ratio <= STEP * before) break;
  }
  return { steps, ratio };
}

/** A step common to all channels, where it changes no noise, is taken back: as many stay as they are as can. */
function settled({ terms, bounds }: Surveyed, steps: Int32Array): Int32Array {
  const whole = terms.every(({ rest, at }) => rest.high === 0 && rest.low === 0 && new Set(at).size === at.length);
  if (!whole) return steps;
  const counts = new Map<number, number>();
  for (const d of steps) counts.set(d, (counts.get(d) ?? 0) + 1);
  const [common] = [...counts].sort(([p, a], [q, b]) => b - a || Math.abs(p) - Math.abs(q))[0];
  const next = steps.map((d) => d - common);
  return next.every((d, c) => d >= bounds.least[c] && d <= bounds.most[c]) ? next : steps;
}
