/**
 * The comparison of two linear operators, given as rows (linear.ts). B's rows are accepted as k ⊙ A's rows with bias k·b + d
 * when every stored coefficient lies within its rounding:
 *   |w_B − k·w_A| ≤ c·½ulp(w_B)                     c = 1.01 for bnfold's own folds, 6 for files of other tools
 *   |b_B − (k·b_A + d)| ≤ 1.01·½ulp(b_B) + 4·2⁻⁵³·Σ|terms|, for other tools 4·u·Σ|terms|
 * k and d are first taken from the members of A's class (what its own batch normalizations do next); if none fits, they are
 * solved for (solve.ts).
 */
import type { GraphNode } from "../../graph/view.ts";
import { halfUlp, halfUlps, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import { allows, distance, type Misfit, type Rows, type Tolerance } from "./rows.ts";

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

export const biasHalf = ({ stored, biasType }: StoredRows, o: number): number =>
  biasType === undefined ? 0 : storedHalf(stored.bias[o], biasType, stored.factors?.bias);

/** How far B's coefficient i may be off, in a loop: exponents are read from the stored numbers in place. */
export function allowances({ rows, stored, dtype, dequantized }: StoredRows): (i: number) => number {
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

export const biasMisfit = ({ rows, stored }: StoredRows, o: number, expected: number): Misfit => ({
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
export const openBias = (a: Rows, b: StoredRows, o: number, gain: number): number =>
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
