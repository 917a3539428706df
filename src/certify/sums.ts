/**
 * Adds equations up: Σ_i times_i · (Σ_k by_ik · u_k) = Σ_i times_i · c_i. A sum that leaves no unknown on the left and something on the
 * right, beyond what rounding explains, shows that the equations cannot all hold.
 *
 *   gains    log|a_x| − log|a_y| = log|k|        signs   σ_x + σ_y = [k < 0] and σ_x = 0, modulo 2       shifts   Σ by·b = c
 */
import type { Ratio, Row } from "../laws/wires.ts";

export interface Times<T> {
  readonly of: T;
  readonly times: number;
}

/** A coefficient of float64 carries this much, relative. */
const ROUNDING = 2 ** -50;
/** Terms of shifts smaller than this part of what was added up in them are nothing. */
const NOTHING = 2 ** -38;

/** What is left of a sum; undefined where an unknown is, or where rounding explains it. */
export type Left = number | undefined;

/** Logarithms of gains. Unknown 0 is 1. */
export function sumOfGains(ratios: readonly Times<Ratio>[]): Left {
  const left = new Map<number, number>();
  let sum = 0;
  let rounding = 0;
  for (const { of, times } of ratios) {
    if (of.x !== 0) left.set(of.x, (left.get(of.x) ?? 0) + times);
    if (of.y !== 0) left.set(of.y, (left.get(of.y) ?? 0) - times);
    const log = Math.log(Math.abs(of.by));
    sum += times * log;
    rounding += Math.abs(times) * ROUNDING * (1 + Math.abs(log));
  }
  for (const by of left.values()) if (by !== 0) return undefined;
  return Math.abs(sum) > rounding ? sum : undefined;
}

/** Signs, modulo 2: what is left is 0 = 1. */
export function sumOfSigns(ratios: readonly Ratio[], positive: readonly number[]): Left {
  const odd = new Set<number>();
  const turn = (x: number): void => {
    if (x !== 0 && !odd.delete(x)) odd.add(x);
  };
  let negative = false;
  for (const { x, y, by } of ratios) {
    turn(x);
    turn(y);
    negative = negative !== by < 0;
  }
  for (const x of positive) turn(x);
  return odd.size === 0 && negative ? 1 : undefined;
}

/** Shifts. `still`: unknowns that some law says are 0. */
export function sumOfShifts(rows: readonly Times<Row>[], still: (x: number) => boolean): Left {
  const left = new Map<number, { by: number; size: number }>();
  let sum = 0;
  let size = 0;
  for (const { of, times } of rows) {
    for (const [i, x] of of.at.entries()) {
      if (still(x)) continue;
      const term = left.get(x) ?? { by: 0, size: 0 };
      term.by += times * of.by[i];
      term.size += Math.abs(times * of.by[i]);
      left.set(x, term);
    }
    sum += times * of.is;
    size += Math.abs(times * of.is);
  }
  for (const { by, size: terms } of left.values()) if (Math.abs(by) > NOTHING * terms) return undefined;
  return Math.abs(sum) > NOTHING * size ? sum : undefined;
}
