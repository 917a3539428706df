/**
 * Operators that a negative gain turns into each other: max(s·x) = s·min(x) for s < 0. The two of a pair have the same
 * attributes, and change at the same opsets; of equal elements both point at the first (or, where told so, the last), and a
 * NaN is the extreme of either.
 */
import { every, type Spread } from "../affine/spread.ts";
import type { NodeState } from "./types.ts";

const PAIRS: readonly (readonly [string, string])[] = [
  ["ReduceMax", "ReduceMin"],
  ["ArgMax", "ArgMin"],
  ["Max", "Min"],
];

const mirrors = new Map(PAIRS.flatMap(([a, b]) => [[a, b] as const, [b, a] as const]));

/** Whichever of a pair an operator is, the name is the same; its own name for any other operator. */
export const pairOf = (opType: string): string => PAIRS.find((pair) => pair.includes(opType))?.[0] ?? opType;

/** The operator as its mirror image; undefined when it has none. */
export function mirrored(state: NodeState): NodeState | undefined {
  const opType = mirrors.get(state.opType);
  return opType === undefined ? undefined : { ...state, opType, mirrored: true };
}

/** True for gains none of which is positive, and not all zero: those under which maxima are minima. */
export const turnsRound = (s: Spread): boolean => every(s, (v) => v <= 0) && !every(s, (v) => v === 0);
