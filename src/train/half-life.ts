/**
 * How long a running statistic remembers. With m the weight of the old value (ONNX's sense), what was there before n batches
 * still weighs mⁿ, so it weighs w after
 *
 *   n = ln w / ln m        (0 for m = 0, never for m = 1)
 */
import { CONVENTIONS, complementMomentum, type Framework } from "./momentum.ts";

export interface HalfLife {
  /** Weight of the old value at each update. */
  readonly old: number;
  /** Batches until old statistics weigh one half, and one hundredth; Infinity when they never fade. */
  readonly half: number;
  readonly hundredth: number;
}

function batches(weight: number, m: number): number {
  if (m === 0) return 0;
  return m === 1 ? Number.POSITIVE_INFINITY : Math.log(weight) / Math.log(m);
}

/** Of a momentum as `framework` writes it. */
export function halfLife(momentum: number, framework: Framework): HalfLife {
  const old = CONVENTIONS[framework].sense === "old" ? momentum : complementMomentum(momentum);
  return { old, half: batches(0.5, old), hundredth: batches(0.01, old) };
}

/** Weight of old statistics after `at` batches. */
export const remaining = ({ old }: HalfLife, at: number): number => old ** at;

const BLOCKS = "▁▂▃▄▅▆▇█";

/** A weight from 0 to 1 as one block character. */
export const blockCharacter = (weight: number): string => BLOCKS[Math.max(0, Math.min(7, Math.ceil(weight * 8) - 1))];

/** The last batch of the axis that fading is drawn on. */
export const FADING_END = 1000;

/**
 * The fading of old statistics as block characters: their weight after 1 to 1000 batches, on one logarithmic axis for every momentum, so
 * that two of them can be compared at a glance.
 */
export const fadingCurve = (life: HalfLife, width = 32): string =>
  Array.from({ length: width }, (_, i) => blockCharacter(remaining(life, FADING_END ** (i / (width - 1))))).join("");
