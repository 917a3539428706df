/** What comes of comparing one operator with another. */

import type { Relation } from "./relation.ts";
import type { Misfit } from "./rows.ts";

export type Outcome =
  | { readonly ok: true; readonly outputs: (Relation | undefined)[]; readonly worst: number; readonly coefficients: number }
  | Failure;

export interface Failure {
  readonly ok: false;
  readonly reason: string;
  readonly misfit?: Misfit;
  /** What the node was meant to compute, if that is known. */
  readonly meant?: Relation;
  /** What it computes but for a few numbers, where that is no value of the first file. */
  readonly likely?: Relation;
  /** True when the laws say that no such map passes the operator, false when they only do not say that it does. */
  readonly impassable?: boolean;
  /**
   * Where an operator does the same to the same values but for an attribute or a constant: what its counterpart gives. That it
   * says something else is certain, only not whether an output shows it.
   */
  readonly instead?: Relation;
}

export const failed = (reason: string, misfit?: Misfit, meant?: Relation): Failure => ({
  ok: false,
  reason,
  ...(misfit ? { misfit } : {}),
  ...(meant ? { meant } : {}),
});
