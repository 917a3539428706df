/**
 * What may change about a value, v_old = a ⊙ v_new + b: each entry of a and b along the axes on which they may vary is an unknown
 * of its own, named by a number. Number 0 is ground: a = 1, b = 0. Number 1 is anything: what is said of it is not noted. Operators that
 * only move elements about move the names.
 */
import { axesOf, combine, type Spread, stretch, together, uniform } from "../affine/spread.ts";
import type { GraphNode } from "../graph/view.ts";

/** The name of what no equation holds of. */
const ANY = 1;

/** Names in place of numbers: they are whole, and a spread of float64 holds them exactly. */
export interface Wire {
  readonly scale: Spread;
  readonly shift: Spread;
}

export const grounded = (rank: number): Wire => ({ scale: uniform(rank, 0), shift: uniform(rank, 0) });

export const anything = (rank: number): Spread => uniform(rank, ANY);

export const isGround = (names: Spread): boolean => names.data.every((x) => x === 0);

/** Numbers along several axes, beyond which they are no gains or shifts of channels but a table. */
export const TABLE = 2 ** 12;

/** Position tables, masks and what is made of them by joining at other axes than that of the channels. */
export const isTable = (s: Spread): boolean => s.data.length > TABLE && axesOf(s).length > 1;

/** The dimensions over which two spreads of one rank vary together. */
export const over = (...list: readonly Spread[]): number[] =>
  list[0].dims.map((_, axis) => list.reduce((size, { dims }) => together(size, dims[axis]), 1));

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

/** Σ by·b_at = is. */
export interface Row {
  /** Unknowns, with their coefficients beside them. */
  readonly at: readonly number[];
  readonly by: readonly number[];
  readonly is: number;
}

/** What a candidate asks for when it goes. */
export class Demand {
  readonly ratios: Ratio[] = [];
  readonly rows: Row[] = [];

  /** a_x = by · a_y. */
  gain(x: number, y: number, by: number): void {
    if (x !== ANY && y !== ANY && (x !== y || by !== 1)) this.ratios.push({ x, y, by });
  }

  /** b_x − by · b_y = is. */
  shift(x: number, y: number, by: number, is: number): void {
    if (x !== ANY && y !== ANY) this.rows.push({ at: [x, y], by: [1, -by], is });
  }
}

/** Kinds of equations that hold in any case. */
export type EquationKind = "ratios" | "positive" | "rows";

/** An equation of a law: the operator that asks for it, and its place among those of its kind there. */
export interface Address {
  readonly node: GraphNode;
  readonly entry: number;
}

/** All unknowns and what holds between them in any case. */
export class Network {
  scales = 2;
  shifts = 2;
  /** Operators in the order they were visited, each with where its equations begin. */
  private readonly sections: ({ readonly node: GraphNode } & Readonly<Record<EquationKind, number>>)[] = [];
  readonly ratios: Ratio[] = [];
  readonly positive: number[] = [];
  readonly zeros: number[] = [];
  readonly rows: Row[] = [];

  /** What is said from here on is the law of `node`. */
  begin(node: GraphNode): void {
    this.sections.push({ node, ratios: this.ratios.length, positive: this.positive.length, rows: this.rows.length });
  }

  /** Whose law an equation is. */
  addressOf(kind: EquationKind, index: number): Address {
    let [low, high] = [0, this.sections.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.sections[middle][kind] <= index) low = middle;
      else high = middle;
    }
    return { node: this.sections[low].node, entry: index - this.sections[low][kind] };
  }

  /** The first equation of each kind of every operator's law, and how many there are. */
  byNode(): Map<GraphNode, Readonly<Record<EquationKind, readonly [first: number, count: number]>>> {
    const whole = { ratios: this.ratios.length, positive: this.positive.length, rows: this.rows.length };
    return new Map(
      this.sections.map((section, i) => {
        const next = this.sections[i + 1] ?? whole;
        const of = (kind: EquationKind) => [section[kind], next[kind] - section[kind]] as const;
        return [section.node, { ratios: of("ratios"), positive: of("positive"), rows: of("rows") }];
      }),
    );
  }

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
    each(x, y, (p, q) => this.alike(p, q));
  }

  /** Says that two gains are equal. */
  alike(x: number, y: number): void {
    if (x !== y && x !== ANY && y !== ANY) this.ratios.push({ x, y, by: 1 });
  }

  /** Says that gains are positive. */
  above({ data }: Spread): void {
    for (const x of data) if (x !== ANY) this.positive.push(x);
  }

  /** Says that Σ by·b_at = 0. */
  add(at: readonly number[], by: readonly number[]): void {
    if (!at.includes(ANY)) this.rows.push({ at, by, is: 0 });
  }

  ground({ scale, shift }: Wire): void {
    this.equal(scale, uniform(scale.dims.length, 0));
    this.still(shift);
  }

  /** Says that nothing is shifted. */
  still(shift: Spread): void {
    for (const x of shift.data) if (x !== 0 && x !== ANY) this.zeros.push(x);
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
