/**
 * Linear operators as rows of coefficients, one row per output channel, and the comparison of two of them.
 *
 * B's rows are accepted as k ⊙ A's rows with bias k·b + d when every stored coefficient lies within its rounding:
 *   |w_B − k·w_A| ≤ c·½ulp(w_B)                     c = 1.01 for bnfold's own folds, 6 for files of other tools
 *   |b_B − (k·b_A + d)| ≤ 1.01·½ulp(b_B) + 4·2⁻⁵³·Σ|terms|, for other tools 4·u·Σ|terms|
 * k and d are first taken from the members of A's class (what its own batch normalizations do next); if none fits, k is
 * the point all coefficients of a row agree on, and what is left of its interval travels on as slack.
 */
import type { GraphNode } from "../../graph/view.ts";
import { halfUlp, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import { isRefused, type Param, type RuleNode } from "../../rules/types.ts";
import { batchedOf, diagonalOf, einsumOf, scaledGemmOf } from "./producers.ts";

export interface Rows {
  /** Axis of the output tensor the rows lie on. */
  readonly axis: number;
  /** Where they lie on several axes: the output's axes, 1 where the coefficients do not vary. */
  readonly dims?: readonly number[];
  readonly count: number;
  readonly width: number;
  /** [count, width], row-major. */
  readonly weights: Float64Array;
  /** One number per row; zeros when there is no bias. */
  readonly bias: Float64Array;
  /** Σ|terms| of each coefficient and bias, where they were added up: what float64 rounding is measured against. */
  readonly magnitude?: Float64Array;
  readonly biasMagnitude?: Float64Array;
  /** Name of the weight, for messages. */
  readonly weight: string;
  readonly biasName: string;
}

/** What both files must agree on besides numbers. */
export interface Linear {
  readonly key: string;
  readonly weightIndex: number;
  readonly rowsOf: (weight: Float64Array, bias: Float64Array | undefined) => Rows;
  readonly weight: Param;
  readonly bias: Param | undefined;
  /** True when its scales are what is stored: a weight is then off by a part of itself. */
  readonly dequantized?: boolean;
  /** Attributes that must agree within one rounding. */
  readonly numbers?: Readonly<Record<string, number>>;
}

const spatial = (at: RuleNode): string => {
  const w = at.inShape(1);
  const n = (w?.length ?? 2) - 2;
  const list = (name: string, value: number, length = n) => (at.ints(name) ?? new Array(length).fill(value)).join(",");
  const auto = at.string("auto_pad", "NOTSET") || "NOTSET";
  return [list("strides", 1), list("dilations", 1), auto === "NOTSET" ? list("pads", 0, 2 * n) : auto, at.int("group", 1)].join(
    "|",
  );
};

/** The operator as rows, when it is linear with constant coefficients and a bias per row. */
export function linearOf(at: RuleNode): Linear | undefined {
  switch (at.state.opType) {
    case "Conv":
    case "DeformConv":
      return convolution(at, at.node.opType === "DeformConv" ? 3 : 2);
    case "ConvTranspose":
      return transposed(at);
    case "Gemm":
      return gemm(at) ?? scaledGemmOf(at);
    case "MatMul":
      return matmul(at) ?? batchedOf(at);
    default:
      return diagonalOf(at) ?? einsumOf(at);
  }
}

const param = (at: RuleNode, i: number): Param | undefined => {
  if (!at.has(i)) return undefined;
  const own = at.param(i);
  const p = isRefused(own) && own.refused === "quantized" ? at.stored(i) : own;
  return isRefused(p) ? undefined : p;
};
const named = (p: Param | undefined): string => p?.source?.name ?? "";

function make(
  at: RuleNode,
  index: number,
  biasIndex: number,
  key: string,
  axis: number,
  count: number,
  order: (w: Float64Array) => Float64Array,
): Linear | undefined {
  const weight = param(at, index);
  const bias = param(at, biasIndex);
  if (weight === undefined || (bias === undefined && at.has(biasIndex))) return undefined;
  return {
    key,
    weightIndex: index,
    weight,
    bias,
    dequantized: isRefused(at.param(index)),
    rowsOf: (w, b) => ({
      axis,
      count,
      width: count === 0 ? 0 : w.length / count,
      weights: order(w),
      bias: b ?? new Float64Array(count),
      weight: named(weight),
      biasName: named(bias),
    }),
  };
}

function convolution(at: RuleNode, biasIndex: number): Linear | undefined {
  const w = param(at, 1);
  if (w === undefined) return undefined;
  const key = `${at.state.opType}|${spatial(at)}|${w.dims.slice(1)}|${at.int("offset_group", 1)}`;
  return make(at, 1, biasIndex, key, 1, w.dims[0], (x) => x);
}

function transposed(at: RuleNode): Linear | undefined {
  const w = param(at, 1);
  if (w === undefined) return undefined;
  const groups = at.int("group", 1);
  const [inputs, perGroup] = w.dims;
  const taps = w.dims.slice(2).reduce((a, b) => a * b, 1);
  const inner = inputs / groups;
  const key = `ConvTranspose|${spatial(at)}|${w.dims}|${at.ints("output_padding")}|${at.ints("output_shape")}`;
  return make(at, 1, 2, key, 1, perGroup * groups, (x) => {
    const out = new Float64Array(x.length);
    let k = 0;
    for (let q = 0; q < groups; q++) {
      for (let j = 0; j < perGroup; j++) {
        for (let i = 0; i < inner; i++) {
          const from = ((q * inner + i) * perGroup + j) * taps;
          for (let t = 0; t < taps; t++) out[k++] = x[from + t];
        }
      }
    }
    return out;
  });
}

/** [rows, cols] turned so that output features are rows. */
const turned = (x: Float64Array, rows: number, cols: number): Float64Array => {
  const out = new Float64Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) out[c * rows + r] = x[r * cols + c];
  return out;
};

/** The matrix at `index` as seen after its transposition flag: [rows, cols], and whether it is stored the other way. */
function matrixOf(at: RuleNode, index: number): { rows: number; cols: number; swapped: boolean } | undefined {
  const w = at.isConstant(index) ? param(at, index) : undefined;
  if (w === undefined || w.dims.length !== 2) return undefined;
  const swapped = at.int(index === 0 ? "transA" : "transB", 0) !== 0;
  return { rows: w.dims[swapped ? 1 : 0], cols: w.dims[swapped ? 0 : 1], swapped };
}

function gemm(at: RuleNode): Linear | undefined {
  const index = at.isConstant(1) ? 1 : 0;
  const matrix = matrixOf(at, index);
  const c = param(at, 2);
  if (matrix === undefined || at.isConstant(1 - index)) return undefined;
  const { rows, cols, swapped } = matrix;
  const [axis, count, inner] = index === 1 ? [1, cols, rows] : [0, rows, cols];
  // A bias with one number per row of coefficients, or one for all.
  const dims = c && [...new Array<number>(2 - c.dims.length).fill(1), ...c.dims];
  if (dims?.some((d, i) => d !== 1 && (i !== axis || d !== count))) return undefined;
  const other = at.int(index === 1 ? "transA" : "transB", 0) === 0 ? "" : "|transposed";
  const [alpha, beta] = [at.float("alpha", 1), at.float("beta", 1)];
  const found = make(at, index, 2, `${index === 1 ? "linear" : "left"}|${inner}|2${other}`, axis, count, (x) => {
    const list = (index === 1) === swapped ? x.slice() : index === 1 ? turned(x, rows, cols) : turned(x, cols, rows);
    if (alpha !== 1) for (let i = 0; i < list.length; i++) list[i] *= alpha;
    return list;
  });
  if (found === undefined) return undefined;
  return {
    ...found,
    rowsOf: (w, bias) => {
      const full = bias === undefined ? undefined : bias.length === count ? bias.slice() : new Float64Array(count).fill(bias[0]);
      if (full !== undefined && beta !== 1) for (let i = 0; i < count; i++) full[i] *= beta;
      return found.rowsOf(w, full);
    },
  };
}

function matmul(at: RuleNode): Linear | undefined {
  const rank = at.outShape(0)?.length;
  if (rank === undefined || rank < 2) return undefined;
  for (const index of [1, 0]) {
    const w = at.isConstant(index) ? param(at, index) : undefined;
    if (w === undefined || w.dims.length !== 2 || at.inShape(1 - index)?.length !== rank) continue;
    const [rows, cols] = w.dims;
    return index === 1
      ? make(at, 1, 2, `linear|${rows}|${rank}`, rank - 1, cols, (x) => turned(x, rows, cols))
      : make(at, 0, 2, `left|${cols}|${rank}`, rank - 2, rows, (x) => x);
  }
  return undefined;
}

export interface Tolerance {
  /** Half-ulps a weight may be off. */
  readonly weight: number;
  /** True for files of other tools: biases are judged by the sum of their terms. */
  readonly foreign: boolean;
}

export const OWN: Tolerance = { weight: 1.01, foreign: false };
export const FOREIGN: Tolerance = { weight: 6, foreign: true };

export interface Misfit {
  readonly tensor: string;
  readonly index: readonly number[];
  readonly expected: number;
  readonly got: number;
}

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
}

/** Half-ulps of a storage type by the exponent bits of a double. */
const tables = new Map<StorageFloat, Float64Array>();
function halfUlps(dtype: StorageFloat): Float64Array {
  let table = tables.get(dtype);
  if (table === undefined) {
    table = Float64Array.from({ length: 2048 }, (_, e) => halfUlp(e === 0 ? 0 : 2 ** Math.min(e - 1023, 1023), dtype));
    tables.set(dtype, table);
  }
  return table;
}

/** How far B's coefficient i may be off, in a loop: exponents are read from the stored numbers in place. */
function allowances({ rows, stored, dtype, dequantized }: StoredRows): (i: number) => number {
  const [now, was] = [rows.weights, stored.weights];
  const { unitRoundoff } = STORAGE_FLOATS[dtype];
  if (dequantized) return (i) => unitRoundoff * Math.abs(now[i]);
  const table = halfUlps(dtype);
  const high = new Uint32Array(was.buffer, was.byteOffset, 2 * was.length);
  if (now === was) return (i) => table[(high[2 * i + 1] >>> 20) & 0x7ff];
  return (i) => {
    const half = table[(high[2 * i + 1] >>> 20) & 0x7ff];
    return was[i] === 0 || now[i] === was[i] ? half : half * Math.abs(now[i] / was[i]);
  };
}

/** What each row of A becomes: times k, and d added; `terms` is Σ|terms| that went into d. */
export interface RowMap {
  readonly k: Float64Array;
  readonly d: Float64Array;
  readonly terms: Float64Array;
}

/** Checks B = k ⊙ A + d for given k and d. A misfit says which part of the rows fits. */
export function fits(
  a: Rows,
  b: StoredRows,
  by: RowMap,
  tolerance: Tolerance,
): { readonly worst: number } | (Misfit & { readonly matching: number }) {
  const allowance = allowances(b);
  const [theirs, mine] = [a.weights, b.rows.weights];
  let worst = 0;
  let misfit: Misfit | undefined;
  let matching = 0;
  for (let o = 0; o < a.count; o++) {
    const gain = by.k[o];
    let wrong = -1;
    for (let i = o * a.width, end = i + a.width; i < end; i++) {
      const expected = gain * theirs[i];
      const error = Math.abs(mine[i] - expected);
      if (error === 0) continue;
      const half = allowance(i);
      const noise = (a.magnitude === undefined ? Math.abs(expected) : Math.abs(gain) * a.magnitude[i]) * 2 ** -50;
      if (!(error <= tolerance.weight * half + noise)) {
        wrong = i;
        break;
      }
      const units = error / half;
      if (units > worst) worst = units;
    }
    if (wrong >= 0)
      misfit ??= { tensor: b.stored.weight, index: [o, wrong - o * a.width], expected: gain * theirs[wrong], got: mine[wrong] };
    const bias = biasFit(a, b, by, tolerance, o);
    if (wrong < 0 && bias.ok) matching++;
    if (!bias.ok)
      misfit ??= {
        tensor: b.stored.biasName || `${b.stored.weight} (bias)`,
        index: [o],
        expected: bias.expected,
        got: b.rows.bias[o],
      };
    worst = Math.max(worst, bias.units);
  }
  return misfit === undefined ? { worst } : { ...misfit, matching: matching / a.count };
}

function biasFit(
  a: Rows,
  b: StoredRows,
  { k, d, terms }: RowMap,
  tolerance: Tolerance,
  o: number,
): { ok: boolean; expected: number; units: number } {
  const expected = k[o] * a.bias[o] + d[o];
  const [now, was] = [b.rows.bias[o], b.stored.bias[o]];
  const sum = Math.abs(k[o]) * (a.biasMagnitude?.[o] ?? Math.abs(a.bias[o])) + terms[o] + Math.abs(now - was);
  const half = b.biasType === undefined ? 0 : halfUlp(was, b.biasType);
  const error = Math.abs(now - expected);
  const noise = 4 * 2 ** -53 * sum;
  const allowed = tolerance.foreign
    ? 4 * STORAGE_FLOATS[b.dtype].unitRoundoff * sum + half
    : 1.01 * half + noise + 2 ** -1074 + (b.open?.[o] ?? 0);
  return {
    ok: error <= allowed,
    expected,
    units: half > 0 && !tolerance.foreign ? Math.max(0, error - noise - (b.open?.[o] ?? 0)) / half : 0,
  };
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
  let [least, most] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  let worst = 0;
  let misfit: Misfit | undefined;
  for (let o = 0; o < a.count; o++) {
    const [from, end] = [o * a.width, (o + 1) * a.width];
    const gain = gainOf(a, rows, { from, end }, (i) => tolerance.weight * allowance(i));
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
    if (misfit !== undefined) continue;
    for (let i = from; i < end; i++) {
      const error = Math.abs(rows.weights[i] - k[o] * a.weights[i]);
      if (error > 0) worst = Math.max(worst, error / allowance(i));
    }
  }
  // Nothing but zeros: any gain does. The one all other rows may have keeps the map uniform; else 1 is the plainest.
  const common = zeros.length < a.count && least <= most;
  for (const o of zeros) [k[o], slackK[o]] = common ? [(least + most) / 2, (most - least) / 2] : [1, 0];
  for (let o = 0; o < a.count; o++) {
    d[o] = rows.bias[o] - k[o] * a.bias[o];
    const half = b.biasType === undefined ? 0 : halfUlp(b.stored.bias[o], b.biasType);
    slackD[o] =
      1.01 * half +
      (b.open?.[o] ?? 0) +
      slackK[o] * Math.abs(a.bias[o]) +
      2 ** -50 * (Math.abs(rows.bias[o]) + Math.abs(k[o] * a.bias[o]));
    if (tolerance.foreign)
      slackD[o] += 4 * STORAGE_FLOATS[b.dtype].unitRoundoff * (Math.abs(rows.bias[o]) + Math.abs(k[o] * a.bias[o]));
  }
  const fit = { k, d, slackK, slackD, worst };
  return misfit === undefined ? fit : { misfit, likely: fit };
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
function gainOf(
  a: Rows,
  rows: Rows,
  { from, end }: { readonly from: number; readonly end: number },
  allowed: (i: number) => number,
): Gain | undefined {
  let [low, high] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  let wrong: number | undefined;
  for (let i = from; i < end && wrong === undefined; i++) {
    const [wa, wb] = [a.weights[i], rows.weights[i]];
    const room = allowed(i) + Math.abs(wb) * 2 ** -50;
    if (wa === 0) {
      if (Math.abs(wb) > room) wrong = i;
      continue;
    }
    const [p, q] = [(wb - room) / wa, (wb + room) / wa];
    const [l, h] = [Math.max(low, Math.min(p, q)), Math.min(high, Math.max(p, q))];
    if (l > h) wrong = i;
    else [low, high] = [l, h];
  }
  if (wrong === undefined) return low === Number.NEGATIVE_INFINITY ? undefined : { low, high, wrong, likely: true };
  return majority(a, rows, { from, end }, allowed, wrong);
}

/** The gain that the intervals of most coefficients hold, where the most of them overlap; else the nearest one. */
function majority(
  a: Rows,
  rows: Rows,
  { from, end }: { readonly from: number; readonly end: number },
  allowed: (i: number) => number,
  first: number,
): Gain {
  const bounds: { readonly at: number; readonly opens: boolean }[] = [];
  let count = 0;
  for (let i = from; i < end; i++) {
    if (a.weights[i] === 0) continue;
    const room = allowed(i) + Math.abs(rows.weights[i]) * 2 ** -50;
    const [p, q] = [(rows.weights[i] - room) / a.weights[i], (rows.weights[i] + room) / a.weights[i]];
    bounds.push({ at: Math.min(p, q), opens: true }, { at: Math.max(p, q), opens: false });
    count++;
  }
  bounds.sort((x, y) => x.at - y.at || Number(y.opens) - Number(x.opens));
  let [open, best, low, high] = [0, 0, 0, 0];
  for (const [n, { at, opens }] of bounds.entries()) {
    open += opens ? 1 : -1;
    if (opens && open > best) [best, low, high] = [open, at, bounds[n + 1].at];
  }
  const gives = (i: number) => {
    const [x, y] = [low * a.weights[i], high * a.weights[i]];
    const room = allowed(i) + Math.abs(rows.weights[i]) * 2 ** -50;
    return rows.weights[i] >= Math.min(x, y) - room && rows.weights[i] <= Math.max(x, y) + room;
  };
  let wrong = from;
  while (wrong < end && gives(wrong)) wrong++;
  if (2 * best > count) return { low, high, wrong: wrong < end ? wrong : first, likely: true };
  const { gain, rest } = nearest(a.weights.subarray(from, end), rows.weights.subarray(from, end));
  return { low: gain - rest, high: gain + rest, wrong: first, likely: rest <= Math.abs(gain) / 4 };
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
