/** Sums of equations: why a set of candidates cannot go together, in numbers that somebody else can add up. */
import type { EquationKind } from "../../laws/wires.ts";

/** An equation: of a law, by its place among all of its kind, or what a candidate asks for, by its place among its demands. */
export interface Source {
  /** The candidate that asks for it; −1 where it is a law, which holds in any case. */
  readonly label: number;
  readonly index: number;
}

/** An equation as often as it is taken. */
export interface Term extends Source {
  readonly kind: EquationKind;
  readonly by: number;
}

/** The candidates without which a sum could not be made. */
export function coreOf(terms: readonly Term[]): Set<number> {
  return new Set(terms.flatMap(({ label }) => (label < 0 ? [] : [label])));
}
