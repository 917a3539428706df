/** Numbers of many channels as few bars. */

/** Bars of a picture; more channels share one. */
const BARS = 128;

/** Four digits are more than a picture shows. */
const rounded = (value: number): number => (Number.isFinite(value) ? Number(value.toPrecision(4)) : value);

/** At most `bars` values: the largest in size of each run of neighbours. */
export function condensed(values: readonly number[], bars = BARS): number[] {
  const n = Math.min(bars, values.length);
  return Array.from({ length: n }, (_, i) => {
    const part = values.slice(Math.floor((i * values.length) / n), Math.floor(((i + 1) * values.length) / n));
    return rounded(part.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)));
  });
}
