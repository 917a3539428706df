/**
 * What may change about a value, v_old = a ⊙ v_new + b: each entry of a and b along the axes on which they may vary is an unknown
 * of its own, named by a number. Number 0 is ground: a = 1, b = 0. Operators that only move elements about move the names.
 */
import { combine, type Spread, stretch, uniform } from "../../affine/spread.ts";
import type { Row } from "./shifts.ts";

/** Names in place of numbers: they are whole, and a spread of float64 holds them exactly. */
export interface Wire {
  readonly scale: Spread;
  readonly shift: Spread;
}

export const grounded = (rank: number): Wire => ({ scale: uniform(rank, 0), shift: uniform(rank, 0) });

export const isGround = (names: Spread): boolean => names.data.every((x) => x === 0);

/** The dimensions over which two spreads of one rank vary together. */
export const over = (...list: readonly Spread[]): number[] =>
  list[0].dims.map((_, axis) => list.reduce((most, { dims }) => Math.max(most, dims[axis]), 1));

/** A spread filled out to dimensions. */
export function filled(names: Spread, dims: readonly number[]): Spread {
  let out = names;
  for (const [axis, d] of dims.entries()) out = stretch(out, axis, d);
  return out;
}

/** a_x = by · a_y. */
export interface Ratio {
  readonly x: number;
  readonly y: number;
  readonly by: number;
}

/** What a candidate asks for when it goes. */
export interface Demand {
  readonly ratios: Ratio[];
  readonly rows: Row[];
}

/** All unknowns and what holds between them in any case. */
export class Network {
  scales = 1;
  shifts = 1;
  readonly ratios: Ratio[] = [];
  readonly positive: number[] = [];
  readonly zeros: number[] = [];
  readonly rows: Row[] = [];

  scale(dims: readonly number[]): Spread {
    const made = names(dims, this.scales);
    this.scales += made.data.length;
    return made;
  }

  shift(dims: readonly number[]): Spread {
    const made = names(dims, this.shifts);
    this.shifts += made.data.length;
    return made;
  }

  /** Says that gains are equal, entry by entry. */
  equal(x: Spread, y: Spread): void {
    each(x, y, (p, q) => {
      if (p !== q) this.ratios.push({ x: p, y: q, by: 1 });
    });
  }

  ground({ scale, shift }: Wire): void {
    this.equal(scale, uniform(scale.dims.length, 0));
    this.still(shift);
  }

  /** Says that nothing is shifted. */
  still(shift: Spread): void {
    for (const x of shift.data) if (x !== 0) this.zeros.push(x);
  }
}

function names(dims: readonly number[], first: number): Spread {
  const count = dims.reduce((n, d) => n * d, 1);
  return { dims, data: Float64Array.from({ length: count }, (_, i) => first + i) };
}

/** Goes through the entries of two spreads of one rank, broadcast over each other. */
export function each(x: Spread, y: Spread, visit: (p: number, q: number, k: number) => void): void {
  let k = 0;
  combine(x, y, (p, q) => {
    visit(p, q, k++);
    return 0;
  });
}
