/** Maps and shifts as numbers of an operator's rows (rows.ts). */
import { type Spread, stretch, uniform } from "../../affine/spread.ts";
import { halfUlp, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import type { AffineMap, Core, Member } from "./classes.ts";
import type { RowMap } from "./fit.ts";
import { exact, relative } from "./relation.ts";
import type { Linear, Rows, Tolerance } from "./rows.ts";

/** What a value of the first file is. */
export type Known = AffineMap & { readonly core: Core };

/** The output's axes, 1 where rows do not vary. */
export const rowDims = (rows: Rows, rank: number): readonly number[] =>
  rows.dims ?? Array.from({ length: rank }, (_, i) => (i === rows.axis ? rows.count : 1));

/** Rows with a shift of what they make in their biases; undefined where it varies along others. */
export function shiftedRows(rows: Rows, shift: Spread | undefined): Rows | undefined {
  if (shift === undefined) return rows;
  const by = vector(shift, rowDims(rows, shift.dims.length));
  return by && { ...rows, bias: rows.bias.map((b, o) => b + by[o]) };
}

/** Σ|w| times what the shift of an input leaves open, in all or of each column, per row: the bias that took the shift is open by as much. */
export function openBias({ weights, count, width }: Rows, shift: number, columns?: Float64Array): Float64Array | undefined {
  if (shift === 0 && columns === undefined) return undefined;
  return Float64Array.from({ length: count }, (_, o) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += Math.abs(weights[o * width + i]) * (shift + (columns === undefined ? 0 : columns[i]));
    return sum;
  });
}

/**
 * Rows that end in the weights v of a channel of ones, with what is open of these beside their own rounding: what took the shift of an
 * input is open by Σ|w| times what is open of that, tap by tap, and by the rounding of its terms as a bias is. A shift that went into
 * v as it is stored leaves its rounding what it was.
 */
export function openOnes(
  rows: Rows,
  terms: readonly (Float64Array | undefined)[],
  stored: Rows,
  shift: number,
  by: { readonly unit: number; readonly weight: number; readonly dtype: StorageFloat },
): Rows {
  const [own] = terms;
  if (own === undefined) return rows;
  const { weights, count, width } = rows;
  const taps = own.length / count;
  const open = rows.open?.slice() ?? new Float64Array(weights.length);
  for (let o = 0; o < count; o++) {
    for (let k = 0; k < taps; k++) {
      const i = (o + 1) * width - taps + k;
      let sum = 0;
      for (let j = o * width + k; shift > 0 && j < i; j += taps) sum += Math.abs(weights[j]);
      const added = terms.reduce((n, list) => n + (list?.[o * taps + k] ?? 0), 0);
      const rounding = weights[i] === stored.weights[i] ? 0 : by.weight * halfUlp(stored.weights[i], by.dtype);
      open[i] += shift * sum + 4 * by.unit * added + rounding;
    }
  }
  return { ...rows, open };
}

/** A member as a map of the value the rows make; undefined when it is none by rows. */
export function rowMap(known: Known, m: Member, where: readonly number[]): RowMap | undefined {
  const by = relative(exact(known.core, m), known);
  if (by === undefined) return undefined;
  const [k, d, terms] = [by.scale, by.shift, m.magnitude].map((s) => vector(s, where));
  if (k === undefined || d === undefined || terms === undefined) return undefined;
  if (by.budget === undefined) return { k, d, terms };
  const [openK, openD] = [by.slackScale, by.slackShift].map((s) => vector(s, where));
  return openK === undefined || openD === undefined ? undefined : { k, d, terms, open: { k: openK, d: openD } };
}

/** A spread over `dims`, one number per place; undefined when it varies elsewhere. */
function vector(s: Spread, dims: readonly number[]): Float64Array | undefined {
  if (s.data.length > 1 && (s.dims.length !== dims.length || s.dims.some((d, i) => d !== 1 && d !== dims[i]))) return undefined;
  let full: Spread = s.dims.length === dims.length ? s : uniform(dims.length, s.data[0]);
  for (const [axis, d] of dims.entries()) full = stretch(full, axis, d);
  return full.data;
}

/**
 * What each t of W·t leaves open where no bias of its own takes the sum: what does, behind it, is rounded by its own size only, and
 * that may be nothing where the terms cancel.
 */
export function termsOf(
  { width }: Rows,
  mine: Linear,
  shifted: Spread | undefined,
  { foreign }: Tolerance,
): Float64Array | undefined {
  if (shifted === undefined || mine.bias !== undefined) return undefined;
  const unit = foreign ? STORAGE_FLOATS[mine.weight.dtype].unitRoundoff : 2 ** -53;
  const largest = shifted.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const along = /^(linear|left)\|/.test(mine.key) && shifted.data.length === width;
  return Float64Array.from({ length: width }, (_, i) => 4 * unit * (along ? Math.abs(shifted.data[i]) : largest));
}
