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
  /** The row as it came in. */
  readonly given: Row;
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

const NONE: readonly never[] = [];

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
    return this.isApart(row) ? this.take(row, source) : this.reduce(row, source);
  }

  /** True of a row of different unknowns of which none is a pivot: most are, and nothing is to be done to them. */
  private isApart({ at }: Row): boolean {
    if (at.length > 3 || at[0] === at[1] || (at.length === 3 && (at[0] === at[2] || at[1] === at[2]))) return false;
    for (const x of at) if (this.row[x] >= 0) return false;
    return true;
  }

  private take(row: Row, source: Source): Term[] | undefined {
    const { at: all, by: factors, is } = row;
    const at: number[] = [];
    const by: number[] = [];
    for (let i = 0; i < all.length; i++) {
      if (this.zero[all[i]] === 1 || factors[i] === 0) continue;
      at.push(all[i]);
      by.push(factors[i]);
    }
    if (at.length === 0) return is === 0 ? undefined : [{ ...source, kind: "rows", by: 1 }];
    this.hold({ at, by, is, source, given: row, size: Math.abs(is), from: NONE, factors: NONE });
    return undefined;
  }

  private hold({ at, by, is, source, given, size, from, factors }: Omit<Held, "place" | "pivot" | "lead">): void {
    const i = this.cheapest(at, by);
    const place = this.rows.length;
    this.row[at[i]] = place;
    this.rows.push({ at, by, is, source, given, size, from, factors, place, pivot: at[i], lead: by[i] });
  }

  private reduce(row: Row, source: Source): Term[] | undefined {
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
    for (let i = 0; i < row.at.length; i++) put(row.at[i], row.by[i], Math.abs(row.by[i]));
    let { is } = row;
    let size = Math.abs(is);
    const from: Held[] = [];
    const factors: number[] = [];
    for (let first = this.oldest(work); first !== undefined; first = this.oldest(work)) {
      const term = work.get(first.pivot) as { by: number; size: number };
      work.delete(first.pivot);
      const factor = term.by / first.lead;
      for (let i = 0; i < first.at.length; i++) {
        if (first.at[i] === first.pivot) continue;
        const by = factor * first.by[i];
        put(first.at[i], -by, Math.abs(by));
      }
      is -= factor * first.is;
      size += Math.abs(factor) * first.size;
      from.push(first);
      factors.push(factor);
    }
    if (work.size === 0) return Math.abs(is) <= NOTHING * size ? undefined : sumOf(source, from, factors);
    const at = [...work.keys()];
    const by = at.map((x) => (work.get(x) as { by: number }).by);
    this.hold({ at, by, is, size, source, given: row, from, factors });
    return undefined;
  }

  private oldest(work: ReadonlyMap<number, unknown>): Held | undefined {
    let least = this.rows.length;
    for (const x of work.keys()) if (this.row[x] >= 0 && this.row[x] < least) least = this.row[x];
    return this.rows[least];
  }

  /** The place of the unknown that takes a row. */
  private cheapest(at: readonly number[], by: readonly number[]): number {
    if (at.length === 1) return 0;
    let most = 0;
    for (const factor of by) most = Math.max(most, Math.abs(factor));
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < at.length; i++) {
      if (Math.abs(by[i]) < SMALLEST * most) continue;
      const cost = this.cost(at[i]) / Math.abs(by[i]);
      if (cost >= least) continue;
      best = i;
      least = cost;
    }
    return best;
  }

  /** A shift for every unknown. */
  solve(): Float64Array {
    const values = new Float64Array(this.row.length);
    // What a row holds besides its pivot is free, or the pivot of a later row.
    for (let r = this.rows.length - 1; r >= 0; r--) {
      const { at, by, is, size: terms, pivot, lead } = this.rows[r];
      let left = is;
      let size = terms;
      for (let i = 0; i < at.length; i++) {
        if (at[i] === pivot) continue;
        const term = by[i] * values[at[i]];
        left -= term;
        size += Math.abs(term);
      }
      values[pivot] = Math.abs(left) <= NOTHING * size ? 0 : left / lead;
    }
    this.refine(values);
    return values;
  }

  /**
   * One step of iterative refinement (Higham, Accuracy and Stability of Numerical Algorithms, ch. 12): what is left of the rows as they
   * came in is solved for. Sums that were reduced carry the rounding of all they met; each law has to hold within that of its own terms,
   * for nothing else is known where it is checked.
   */
  private refine(values: Float64Array): void {
    const left = new Float64Array(this.rows.length);
    for (let r = 0; r < this.rows.length; r++) {
      const { given, from, factors } = this.rows[r];
      let rest = given.is;
      for (let i = 0; i < given.at.length; i++) rest -= given.by[i] * values[given.at[i]];
      for (let i = 0; i < from.length; i++) rest -= factors[i] * left[from[i].place];
      left[r] = rest;
    }
    const more = new Float64Array(values.length);
    for (let r = this.rows.length - 1; r >= 0; r--) {
      const { at, by, pivot, lead } = this.rows[r];
      // What was nothing stays nothing.
      if (values[pivot] === 0) continue;
      let rest = left[r];
      for (let i = 0; i < at.length; i++) if (at[i] !== pivot) rest -= by[i] * more[at[i]];
      more[pivot] = rest / lead;
    }
    for (let x = 0; x < more.length; x++) values[x] += more[x];
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
