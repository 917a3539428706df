/**
 * The system of shifts: Σ k·b = c over unknowns of which number 0 is 0. Rows in echelon form: each has an unknown of its own (its
 * pivot) that no later row holds. A row that comes in is reduced by those that are there, oldest first; what is left of it is 0 = 0,
 * a contradiction, or a new row. What was added last can be taken back.
 *
 * Pivots are the unknowns that will be given numbers; all others stay 0. So a row takes the unknown whose shift costs least: one
 * on a value that nobody else reads.
 */

import type { Row } from "../../laws/wires.ts";
import type { Source, Term } from "./terms.ts";

/** Terms smaller than this part of what was added up in them are nothing. */
const NOTHING = 2 ** -40;
/** A pivot is at least this part of the largest coefficient of its row. */
const SMALLEST = 2 ** -12;

interface Held extends Row {
  readonly source: Source;
  /** Its place among the rows. */
  readonly place: number;
  /** Rows it was reduced by, and how many times each was taken away. */
  readonly from: readonly Held[];
  readonly factors: readonly number[];
  readonly pivot: number;
  /** Its coefficient. */
  readonly lead: number;
  /** Σ of absolute terms of `is`. */
  readonly size: number;
}

export class Shifts {
  private readonly rows: Held[] = [];
  /** The row an unknown is the pivot of; −1 none. */
  private readonly row: Int32Array;
  private readonly zero: Uint8Array;

  /** @param cost What a shift on an unknown costs: the cheapest one of a row takes it. */
  constructor(
    count: number,
    private readonly cost: (x: number) => number,
  ) {
    this.row = new Int32Array(count).fill(-1);
    this.zero = new Uint8Array(count);
    this.zero[0] = 1;
  }

  /** b_x = 0, in any case. Before any row. */
  ground(x: number): void {
    this.zero[x] = 1;
  }

  mark(): number {
    return this.rows.length;
  }

  undo(mark: number): void {
    while (this.rows.length > mark) this.row[(this.rows.pop() as Held).pivot] = -1;
  }

  /** Adds a row; the sum of rows that is a contradiction, if there is one. */
  add(row: Row, source: Source): Term[] | undefined {
    const work = new Map<number, { by: number; size: number }>();
    const put = (x: number, by: number, size: number): void => {
      // A coefficient of zero ties nothing.
      if (this.zero[x] === 1 || by === 0) return;
      const term = work.get(x);
      if (term === undefined) work.set(x, { by, size });
      else {
        term.by += by;
        term.size += size;
        if (Math.abs(term.by) <= NOTHING * term.size) work.delete(x);
      }
    };
    for (const [i, x] of row.at.entries()) put(x, row.by[i], Math.abs(row.by[i]));
    let { is } = row;
    let size = Math.abs(is);
    const from: Held[] = [];
    const factors: number[] = [];
    for (let first = this.oldest(work); first !== undefined; first = this.oldest(work)) {
      const term = work.get(first.pivot) as { by: number; size: number };
      work.delete(first.pivot);
      const factor = term.by / first.lead;
      for (const [i, x] of first.at.entries())
        if (x !== first.pivot) put(x, -factor * first.by[i], Math.abs(factor * first.by[i]));
      is -= factor * first.is;
      size += Math.abs(factor) * first.size;
      from.push(first);
      factors.push(factor);
    }
    if (work.size === 0) return Math.abs(is) <= NOTHING * size ? undefined : sumOf(source, from, factors);
    const pivot = this.cheapest(work);
    const at = [...work.keys()];
    const by = at.map((x) => (work.get(x) as { by: number }).by);
    const lead = (work.get(pivot) as { by: number }).by;
    this.row[pivot] = this.rows.length;
    this.rows.push({ at, by, is, size, source, place: this.rows.length, from, factors, pivot, lead });
    return undefined;
  }

  private oldest(work: ReadonlyMap<number, unknown>): Held | undefined {
    let least = this.rows.length;
    for (const x of work.keys()) if (this.row[x] >= 0 && this.row[x] < least) least = this.row[x];
    return this.rows[least];
  }

  private cheapest(work: ReadonlyMap<number, { readonly by: number }>): number {
    let most = 0;
    for (const { by } of work.values()) most = Math.max(most, Math.abs(by));
    let [best, least] = [work.keys().next().value as number, Number.POSITIVE_INFINITY];
    for (const [x, { by }] of work) {
      if (Math.abs(by) < SMALLEST * most) continue;
      const cost = this.cost(x) / Math.abs(by);
      if (cost < least) [best, least] = [x, cost];
    }
    return best;
  }

  /** A shift for every unknown. */
  solve(): Float64Array {
    const values = new Float64Array(this.row.length);
    // What a row holds besides its pivot is free, or the pivot of a later row.
    for (let r = this.rows.length - 1; r >= 0; r--) {
      const { at, by, is, pivot, lead } = this.rows[r];
      let left = is;
      let size = Math.abs(is);
      for (const [i, x] of at.entries()) {
        if (x === pivot) continue;
        left -= by[i] * values[x];
        size += Math.abs(by[i] * values[x]);
      }
      values[pivot] = Math.abs(left) <= NOTHING * size ? 0 : left / lead;
    }
    return values;
  }
}

/** The multiples of the rows as they came in that add up to what is left of one. */
function sumOf(source: Source, from: readonly Held[], factors: readonly number[]): Term[] {
  const sums = new Map<Held, { by: number; size: number }>();
  const take = (rows: readonly Held[], times: readonly number[], by: number): void => {
    for (const [i, row] of rows.entries()) {
      const sum = sums.get(row) ?? { by: 0, size: 0 };
      sum.by -= by * times[i];
      sum.size += Math.abs(by * times[i]);
      sums.set(row, sum);
    }
  };
  take(from, factors, 1);
  // A set goes on to what is added to it.
  const reached = new Set(from);
  for (const row of reached) for (const other of row.from) reached.add(other);
  const terms: Term[] = [{ ...source, kind: "rows", by: 1 }];
  // Each row was reduced by older ones only.
  for (const row of [...reached].sort((p, q) => q.place - p.place)) {
    const sum = sums.get(row);
    if (sum === undefined || Math.abs(sum.by) <= NOTHING * sum.size) continue;
    terms.push({ ...row.source, kind: "rows", by: sum.by });
    take(row.from, row.factors, sum.by);
  }
  return terms;
}
