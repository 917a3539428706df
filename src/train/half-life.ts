/**
 * How long a running statistic remembers. With m the weight of the old value (ONNX's sense), what was there before n batches
 * still weighs mⁿ, so it weighs w after
 *
 *   n = ln w / ln m        (0 for m = 0, never for m = 1)
 */
import { CONVENTIONS, complementMomentum, type Framework } from "./momentum.ts";

/** How long running statistics remember. */
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

/** Bars from the lowest to the highest, and what stands for them where only ASCII can be shown. */
export const BLOCKS = "▁▂▃▄▅▆▇█";
export const ASCII = ".:-=+*#@";

/** A weight from 0 to 1 as one character of a ramp, its lowest first. */
export const barOf = (weight: number, ramp = BLOCKS): string =>
  ramp[Math.max(0, Math.min(ramp.length - 1, Math.ceil(weight * ramp.length) - 1))];

/** The last batch of the axis that fading is drawn on. */
export const FADING_END = 1000;

/**
 * The fading of old statistics as bars, block characters if nothing else is asked for: their weight after 1 to 1000 batches, on one logarithmic axis for every momentum, so
 * that two of them can be compared at a glance.
 */
export const fadingCurve = (life: HalfLife, width = 32, ramp = BLOCKS): string =>
  Array.from({ length: width }, (_, i) => barOf(remaining(life, FADING_END ** (i / (width - 1))), ramp)).join("");
