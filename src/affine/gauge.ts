/**
 * A change of variables: what a value was, in terms of what it is now, v_old = scale ⊙ v_new + shift. Gauges of a whole file say how
 * a finished plan changed its values; whoever is given them checks them, operator by operator.
 */
import { combine, invert, isOne, isZero, plus, type Spread, simplify, times, uniform } from "./spread.ts";

export interface Gauge {
  readonly scale: Spread;
  readonly shift: Spread;
}

/** By the path of a graph ("" the main one), then by the name that a value has in both files. */
export type Gauges = ReadonlyMap<string, ReadonlyMap<string, Gauge>>;

export const plainGauge = (rank: number): Gauge => ({ scale: uniform(rank, 1), shift: uniform(rank, 0) });

/** True of the gauge of a value that nothing has changed. */
export const isPlain = ({ scale, shift }: Gauge): boolean => isOne(scale) && isZero(shift);

/** scale ⊙ x + shift. */
export const applied = (x: Spread, { scale, shift }: Gauge): Spread => plus(times(x, scale), shift);

/** First `inner` (old in terms of now), then `outer` (now in terms of what comes). */
export const composeGauges = (inner: Gauge, outer: Gauge): Gauge => ({
  scale: simplify(times(inner.scale, outer.scale)),
  shift: simplify(applied(outer.shift, inner)),
});

/** What is now, in terms of what was; undefined where a channel is lost. */
export function invertGauge({ scale, shift }: Gauge): Gauge | undefined {
  if (scale.data.includes(0)) return undefined;
  return { scale: invert(scale), shift: combine(shift, scale, (b, a) => -b / a) };
}
