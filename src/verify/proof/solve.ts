/**
 * The map under which a row of A becomes that of B, where nothing says what it is: the gain is the point all coefficients of a row
 * agree on, within their rounding (fit.ts), and what is left of its interval travels on as slack. Where some do not agree they are what
 * differs, and the gain is what the others say.
 */
import { STORAGE_FLOATS } from "../../onnx/dtype.ts";
import { allowances, biasHalf, biasMisfit, openBias, type StoredRows } from "./fit.ts";
import { allows, type Misfit, type Rows, type Tolerance } from "./rows.ts";

export interface Fit {
  readonly k: Float64Array;
  readonly d: Float64Array;
  readonly slackK: Float64Array;
  readonly slackD: Float64Array;
  readonly worst: number;
}

/** What most coefficients of a row agree on, when some do not. */
export interface Likely {
  readonly misfit: Misfit;
  /** Undefined where no map comes near. */
  readonly likely: Fit | undefined;
}

/** Finds the k and d under which B = k ⊙ A + d, row by row. */
export function solve(a: Rows, b: StoredRows, tolerance: Tolerance): Fit | Likely {
  const { rows } = b;
  const [k, d, slackK, slackD] = [0, 0, 0, 0].map(() => new Float64Array(a.count));
  const zeros: number[] = [];
  const allowance = allowances(b);
  const roomOf: Allowed = (i) => {
    const w = a.weights[i];
    // What A's coefficient may be off makes the gain uncertain by as much of itself.
    const theirs = a.open === undefined || w === 0 ? 0 : (a.open[i] / Math.abs(w)) * Math.abs(rows.weights[i]);
    return tolerance.weight * allowance(i) + (b.gain ?? 0) * Math.abs(rows.weights[i]) + theirs + (rows.open?.[i] ?? 0);
  };
  let [least, most] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  let worst = 0;
  let misfit: Misfit | undefined;
  for (let o = 0; o < a.count; o++) {
    const [from, end] = [o * a.width, (o + 1) * a.width];
    const gain = gainOf(a, rows, { from, end }, roomOf);
    if (gain === undefined) {
      zeros.push(o);
      continue;
    }
    const { low, high, wrong } = gain;
    if (wrong !== undefined) {
      misfit ??= {
        tensor: b.stored.weight,
        index: [o, wrong - from],
        expected: a.weights[wrong] === 0 ? 0 : ((low + high) / 2) * a.weights[wrong],
        got: rows.weights[wrong],
      };
      if (!gain.likely) return { misfit, likely: undefined };
    }
    // An interval that holds 1 or 0 means just that.
    k[o] = low <= 1 && high >= 1 ? 1 : low <= 0 && high >= 0 ? 0 : (low + high) / 2;
    slackK[o] = k[o] === 1 || k[o] === 0 ? 0 : (high - low) / 2;
    [least, most] = [Math.max(least, k[o] - slackK[o]), Math.min(most, k[o] + slackK[o])];
    if (misfit === undefined) worst = worstError(a, rows, { from, end }, k[o], allowance, worst);
  }
  // Nothing but zeros: any gain does. The one all other rows may have keeps the map uniform; else 1 is the plainest.
  const common = zeros.length < a.count && least <= most;
  for (const o of zeros) [k[o], slackK[o]] = common ? [(least + most) / 2, (most - least) / 2] : [1, 0];
  for (let o = 0; o < a.count; o++) {
    d[o] = rows.bias[o] - k[o] * a.bias[o];
    const size = Math.abs(rows.bias[o]) + Math.abs(k[o]) * (a.biasMagnitude?.[o] ?? Math.abs(a.bias[o]));
    slackD[o] =
      1.01 * biasHalf(b, o) + (b.open?.[o] ?? 0) + openBias(a, b, o, k[o]) + slackK[o] * Math.abs(a.bias[o]) + 2 ** -50 * size;
    if (tolerance.foreign) slackD[o] += 4 * STORAGE_FLOATS[b.dtype].unitRoundoff * size;
    if (!Number.isFinite(d[o])) misfit ??= biasMisfit(b, o, k[o] * a.bias[o]);
  }
  const fit = { k, d, slackK, slackD, worst };
  return misfit === undefined ? fit : { misfit, likely: fit };
}

interface Range {
  readonly from: number;
  readonly end: number;
}

/** How far coefficient i may be off. */
type Allowed = (i: number) => number;

/** The largest error of a row under a gain, in units of `allowance`, or `worst` when that is larger. */
function worstError(a: Rows, b: Rows, { from, end }: Range, gain: number, allowance: Allowed, worst: number): number {
  const [x, y] = [a.weights, b.weights];
  let most = worst;
  for (let i = from; i < end; i++) {
    const error = Math.abs(y[i] - gain * x[i]);
    if (error === 0) continue;
    const unit = allowance(i);
    if (error > most * unit) most = error / unit;
  }
  return most;
}

interface Gain {
  readonly low: number;
  readonly high: number;
  /** The first coefficient this gain does not give. */
  readonly wrong: number | undefined;
  /** True when it gives more than half of them, or nearly gives all. */
  readonly likely: boolean;
}

/** The gains under which a row of A becomes that of B; undefined when both are zeros. */
function gainOf(a: Rows, rows: Rows, { from, end }: Range, allowed: Allowed): Gain | undefined {
  const [x, y] = [a.weights, rows.weights];
  let low = Number.NEGATIVE_INFINITY;
  let high = Number.POSITIVE_INFINITY;
  let wrong: number | undefined;
  for (let i = from; i < end; i++) {
    const wa = x[i];
    const wb = y[i];
    const room = allowed(i) + Math.abs(wb) * 2 ** -50;
    if (wa === 0 && allows(room, Math.abs(wb))) continue;
    const middle = wb / wa;
    const half = room / Math.abs(wa);
    // Nothing holds of NaN, which infinite numbers and those beside zeros lead to.
    if (!(middle - half <= high && middle + half >= low && Number.isFinite(wa))) {
      wrong = i;
      break;
    }
    if (middle - half > low) low = middle - half;
    if (middle + half < high) high = middle + half;
  }
  if (wrong === undefined) return low === Number.NEGATIVE_INFINITY ? undefined : { low, high, wrong, likely: true };
  return majority(a, rows, { from, end }, allowed, wrong);
}

/** Places of a row that are tried for what most of it agrees on: where there is such a gain, each gives it with odds of a half. */
const TRIED = 12;

/** The gain that the intervals of most coefficients hold, where many of them overlap; else the nearest one. */
function majority(a: Rows, rows: Rows, { from, end }: Range, allowed: Allowed, first: number): Gain {
  const [lows, highs] = [new Float64Array(end - from), new Float64Array(end - from)];
  let count = 0;
  for (let i = from; i < end; i++) {
    const [wa, wb] = [a.weights[i], rows.weights[i]];
    if (wa === 0) continue;
    const room = allowed(i) + Math.abs(wb) * 2 ** -50;
    const [p, q] = [(wb - room) / wa, (wb + room) / wa];
    lows[count] = Math.min(p, q);
    highs[count++] = Math.max(p, q);
  }
  const bounds = { lows: lows.subarray(0, count), highs: highs.subarray(0, count) };
  const { held, low, high } = sampled(bounds) ?? mostHeld(bounds);
  const gives = (i: number) => {
    const [x, y] = [low * a.weights[i], high * a.weights[i]];
    const room = allowed(i) + Math.abs(rows.weights[i]) * 2 ** -50;
    return rows.weights[i] >= Math.min(x, y) - room && rows.weights[i] <= Math.max(x, y) + room;
  };
  let wrong = from;
  while (wrong < end && gives(wrong)) wrong++;
  if (2 * held > count) return { low, high, wrong: wrong < end ? wrong : first, likely: true };
  const { gain, rest } = nearest(a.weights.subarray(from, end), rows.weights.subarray(from, end));
  return { low: gain - rest, high: gain + rest, wrong: first, likely: rest <= Math.abs(gain) / 4 };
}

interface Bounds {
  readonly lows: Float64Array;
  readonly highs: Float64Array;
}

/** What intervals have in common, and how many they are. */
interface Held {
  readonly held: number;
  readonly low: number;
  readonly high: number;
}

/** The part common to all intervals that hold the middle of one of them, when these are more than half. */
function sampled({ lows, highs }: Bounds): Held | undefined {
  const count = lows.length;
  for (let n = 0; n < TRIED && n < count; n++) {
    const at = Math.floor(((n + 0.5) * count) / Math.min(TRIED, count));
    const middle = lows[at] / 2 + highs[at] / 2;
    let [held, low, high] = [0, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let i = 0; i < count; i++) {
      if (!(lows[i] <= middle && highs[i] >= middle)) continue;
      held++;
      if (lows[i] > low) low = lows[i];
      if (highs[i] < high) high = highs[i];
    }
    if (2 * held > count) return { held, low, high };
  }
  return undefined;
}

/** Where the most intervals overlap: lower bounds are taken before upper ones at the same place. */
function mostHeld({ lows, highs }: Bounds): Held {
  const [opening, closing] = [lows.toSorted(), highs.toSorted()];
  let [best, low, high] = [0, 0, 0];
  for (let i = 0, j = 0; i < opening.length; i++) {
    while (closing[j] < opening[i]) j++;
    if (i + 1 - j > best) [best, low, high] = [i + 1 - j, opening[i], Math.min(closing[j], opening[i + 1] ?? closing[j])];
  }
  return { held: best, low, high };
}

/** The gain of least squares, and the size of what it leaves of y, as a gain. */
function nearest(x: Float64Array, y: Float64Array): { gain: number; rest: number } {
  let [xx, xy, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    xx += x[i] * x[i];
    xy += x[i] * y[i];
    yy += y[i] * y[i];
  }
  const gain = xy / xx;
  return { gain, rest: Math.sqrt(Math.max(0, yy - gain * xy) / xx) };
}
