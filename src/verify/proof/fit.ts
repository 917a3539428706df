/**
 * The comparison of two linear operators, given as rows (linear.ts). B's rows are accepted as k ⊙ A's rows with bias k·b + d
 * when every stored coefficient lies within its rounding:
 *   |w_B − k·w_A| ≤ c·½ulp(w_B)                     c = 1.01 for bnfold's own folds, 6 for files of other tools
 *   |b_B − (k·b_A + d)| ≤ 1.01·½ulp(b_B) + 4·2⁻⁵³·Σ|terms|, for other tools 4·u·Σ|terms|
 * k and d are first taken from the members of A's class (what its own batch normalizations do next); if none fits, k is
 * the point all coefficients of a row agree on, and what is left of its interval travels on as slack. Where some do not agree
 * they are what differs, and k is what the others say.
 */
import type { GraphNode } from "../../graph/view.ts";
import { halfUlp, halfUlps, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import { allows, distance, type Misfit, type Rows, type Tolerance } from "./rows.ts";

export interface Fit {
  readonly k: Float64Array;
  readonly d: Float64Array;
  readonly slackK: Float64Array;
  readonly slackD: Float64Array;
  readonly worst: number;
}

/** B as stored: its own numbers, before maps of its input went into them, give the rounding to allow. */
export interface StoredRows {
  readonly rows: Rows;
  readonly stored: Rows;
  readonly dtype: StorageFloat;
  readonly biasType: StorageFloat | undefined;
  readonly node: GraphNode;
  /** True for weights that a DequantizeLinear makes: what was rounded is the scale, and the weight a multiple of it. */
  readonly dequantized?: boolean;
  /** What each bias may be off because a shift that went into it is not known exactly. */
  readonly open?: Float64Array;
  /** What each coefficient may be off, relatively, because of computed constants that went into it. */
  readonly gain?: number;
}

/** Half the distance of neighbours of c in a storage type, for a number that stands in the file as c / factor: |factor| · ½ulp(c / factor). */
function storedHalf(c: number, dtype: StorageFloat, factor = 1): number {
  // A power of two, which a division may bring just below itself, keeps its own.
  return factor === 1 || factor === 0 ? halfUlp(c, dtype) : Math.abs(factor) * halfUlp((c / factor) * (1 + 2 ** -51), dtype);
}

const biasHalf = ({ stored, biasType }: StoredRows, o: number): number =>
  biasType === undefined ? 0 : storedHalf(stored.bias[o], biasType, stored.factors?.bias);

/** How far B's coefficient i may be off, in a loop: exponents are read from the stored numbers in place. */
function allowances({ rows, stored, dtype, dequantized }: StoredRows): (i: number) => number {
  const [now, was] = [rows.weights, stored.weights];
  const { unitRoundoff } = STORAGE_FLOATS[dtype];
  if (dequantized) return (i) => unitRoundoff * Math.abs(now[i]);
  const factor = stored.factors?.weights ?? 1;
  if (factor !== 1)
    return (i) => storedHalf(was[i], dtype, factor) * (was[i] === 0 || now[i] === was[i] ? 1 : Math.abs(now[i] / was[i]));
  const table = halfUlps(dtype);
  const high = new Uint32Array(was.buffer, was.byteOffset, 2 * was.length);
  if (now === was) return (i) => table[(high[2 * i + 1] >>> 20) & 0x7ff];
  return (i) => {
    const half = table[(high[2 * i + 1] >>> 20) & 0x7ff];
    return was[i] === 0 || now[i] === was[i] ? half : half * Math.abs(now[i] / was[i]);
  };
}

interface Compared {
  readonly theirs: Float64Array;
  readonly mine: Float64Array;
  readonly magnitude: (() => Float64Array) | undefined;
  readonly open: Float64Array | undefined;
}

type Check = (
  rows: Compared,
  range: readonly [from: number, end: number],
  gain: number,
  worst: number,
  openGain?: number,
) => { wrong: number; worst: number };

/** Compares a row: the first coefficient that is off (−1: none), and the largest error in half-ulps so far. */
function checkOf(b: StoredRows, weight: number): Check {
  const allowance = allowances(b);
  const loose = b.gain ?? 0;
  const any: Check = ({ theirs, mine, magnitude, open }, [from, end], gain, worst, openGain = 0) => {
    let most = worst;
    for (let i = from; i < end; i++) {
      const expected = gain * theirs[i];
      const error = distance(mine[i], expected);
      if (error === 0) continue;
      const half = allowance(i);
      if (!allows(weight * half + Math.abs(expected) * 2 ** -50, error)) {
        const noise = magnitude === undefined ? Math.abs(expected) * 2 ** -50 : Math.abs(gain) * magnitude()[i] * 2 ** -50;
        const budget =
          loose * Math.abs(expected) +
          openGain * Math.abs(theirs[i]) +
          (open === undefined ? 0 : Math.abs(gain) * open[i]) +
          (b.rows.open?.[i] ?? 0);
        if (!allows(weight * half + noise + budget, error)) return { wrong: i, worst: most };
      }
      if (error > most * half) most = error / half;
    }
    return { wrong: -1, worst: most };
  };
  const { rows, stored, dtype } = b;
  if (rows.weights !== stored.weights || b.dequantized || (stored.factors?.weights ?? 1) !== 1) return any;
  const table = halfUlps(dtype);
  const high = new Uint32Array(stored.weights.buffer, stored.weights.byteOffset, 2 * stored.weights.length);
  // The plain case, which is that of nearly all numbers there are: nothing but the loop.
  const sharp = loose === 0 && b.rows.open === undefined;
  return (compared, range, gain, worst, openGain = 0) => {
    const { theirs, mine, magnitude, open } = compared;
    const plain = sharp && openGain === 0 && magnitude === undefined && open === undefined;
    let most = worst;
    for (let i = range[0], end = range[1]; i < end; i++) {
      const expected = gain * theirs[i];
      const error = Math.abs(mine[i] - expected);
      const half = table[(high[2 * i + 1] >>> 20) & 0x7ff];
      if (error <= most * half) continue;
      if (!allows(weight * half + Math.abs(expected) * 2 ** -50, error)) {
        if (Object.is(mine[i], expected)) continue;
        return plain ? { wrong: i, worst: most } : any(compared, range, gain, worst, openGain);
      }
      most = error / half;
    }
    return { wrong: -1, worst: most };
  };
}

/** What each row of A becomes: times k, and d added; `terms` is Σ|terms| that went into d. */
export interface RowMap {
  readonly k: Float64Array;
  readonly d: Float64Array;
  readonly terms: Float64Array;
  /** What k and d may be off because the first file computes them. */
  readonly open?: { readonly k: Float64Array; readonly d: Float64Array };
}

/** Checks B = k ⊙ A + d for given k and d. A misfit says which part of the rows fits. */
export function fits(
  a: Rows,
  b: StoredRows,
  by: RowMap,
  tolerance: Tolerance,
): { readonly worst: number } | (Misfit & { readonly matching: number }) {
  const check = checkOf(b, tolerance.weight);
  const [theirs, mine] = [a.weights, b.rows.weights];
  let worst = 0;
  let misfit: Misfit | undefined;
  let matching = 0;
  for (let o = 0; o < a.count; o++) {
    const gain = by.k[o];
    const compared = { theirs, mine, magnitude: a.magnitude, open: a.open };
    const { wrong, worst: most } = check(compared, [o * a.width, (o + 1) * a.width], gain, worst, by.open?.k[o]);
    worst = most;
    if (wrong >= 0)
      misfit ??= { tensor: b.stored.weight, index: [o, wrong - o * a.width], expected: gain * theirs[wrong], got: mine[wrong] };
    const bias = biasFit(a, b, by, tolerance, o);
    if (wrong < 0 && bias.ok) matching++;
    if (!bias.ok) misfit ??= biasMisfit(b, o, bias.expected);
    worst = Math.max(worst, bias.units);
  }
  return misfit === undefined ? { worst } : { ...misfit, matching: matching / a.count };
}

const biasMisfit = ({ rows, stored }: StoredRows, o: number, expected: number): Misfit => ({
  tensor: stored.biasName || `${stored.weight} (bias)`,
  index: [o],
  expected,
  got: rows.bias[o],
});

/** The same of the biases alone: the largest error in half-ulps, undefined where one does not fit. */
export function biasesFit(a: Rows, b: StoredRows, by: RowMap, tolerance: Tolerance): number | undefined {
  let worst = 0;
  for (let o = 0; o < a.count; o++) {
    const { ok, units } = biasFit(a, b, by, tolerance, o);
    if (!ok) return undefined;
    worst = Math.max(worst, units);
  }
  return worst;
}

function biasFit(
  a: Rows,
  b: StoredRows,
  { k, d, terms, open }: RowMap,
  tolerance: Tolerance,
  o: number,
): { ok: boolean; expected: number; units: number } {
  const expected = k[o] * a.bias[o] + d[o];
  const [now, was] = [b.rows.bias[o], b.stored.bias[o]];
  const sum = Math.abs(k[o]) * (a.biasMagnitude?.[o] ?? Math.abs(a.bias[o])) + terms[o] + Math.abs(now - was);
  const half = biasHalf(b, o);
  const error = distance(now, expected);
  const noise = 4 * 2 ** -53 * sum;
  const budget =
    openBias(a, b, o, k[o]) + (b.open?.[o] ?? 0) + (open === undefined ? 0 : open.k[o] * Math.abs(a.bias[o]) + open.d[o]);
  const allowed = tolerance.foreign
    ? 4 * STORAGE_FLOATS[b.dtype].unitRoundoff * sum + half + budget
    : 1.01 * half + noise + 2 ** -1074 + budget;
  return {
    ok: error === 0 || allows(allowed, error),
    expected,
    units: unitsOf(Math.max(0, error - noise - (b.open?.[o] ?? 0)), half, tolerance.foreign ? normOf(b, o) : 0),
  };
}

/** What computed constants leave open of a row's biases, that of A times its gain. */
const openBias = (a: Rows, b: StoredRows, o: number, gain: number): number =>
  Math.abs(gain) * (a.biasOpen?.[o] ?? 0) + (b.rows.biasOpen?.[o] ?? 0);

const unitsOf = (error: number, half: number, norm: number): number =>
  error === 0 || half + norm === 0 ? 0 : error / Math.max(half, norm);

/**
 * What rounding the weights of a row does to inputs of size one, u·‖w‖. Where terms cancel, a bias is off by any number of its own
 * half-ulps; this is what its error is seen beside.
 */
function normOf({ rows, dtype }: StoredRows, o: number): number {
  let squares = 0;
  for (let i = o * rows.width, end = i + rows.width; i < end; i++) squares += rows.weights[i] ** 2;
  return STORAGE_FLOATS[dtype].unitRoundoff * Math.sqrt(squares);
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
