/**
 * Offset tables of sliding windows over planes of any rank. With padded extents P and their row-major strides s,
 *   tap[t] = Σ_i t_i·dilation_i·s_i      col[o] = Σ_i o_i·stride_i·s_i      tap[t] + col[o] = element under tap t at output o.
 */
import { sizeOf, stridesOf } from "../onnx/tensor.ts";
import type { Frame } from "./types.ts";

/** A sliding window over the spatial axes. */
export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begin: readonly number[];
  readonly end: readonly number[];
}

/** Σ_i index_i·steps_i + base for every index below `dims`, row-major. */
export function lattice(dims: readonly number[], steps: readonly number[], base = 0): Int32Array {
  const table = new Int32Array(sizeOf(dims));
  if (table.length === 0) return table;
  table[0] = base;
  let filled = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    for (let i = 1; i < dims[axis]; i++) {
      const shift = i * steps[axis];
      for (let j = 0; j < filled; j++) table[i * filled + j] = table[j] + shift;
    }
    filled *= dims[axis];
  }
  return table;
}

/** Extents after padding. */
export function padded(spatial: readonly number[], begin: readonly number[], end: readonly number[]): number[] {
  return spatial.map((d, i) => d + begin[i] + end[i]);
}

/** How `planes` planes of `spatial` extents lie in zeroed planes with the given padding; undefined when there is none. */
export function frameOf(
  planes: number,
  spatial: readonly number[],
  begin: readonly number[],
  end: readonly number[],
): Frame | undefined {
  if (begin.every((p) => p === 0) && end.every((p) => p === 0)) return undefined;
  const outer = padded(spatial, begin, end);
  const strides = stridesOf(outer);
  const base = begin.reduce((sum, p, i) => sum + p * strides[i], 0);
  const rowAt = lattice(spatial.slice(0, -1), strides.slice(0, -1), base);
  return { planes, rows: rowAt.length, rowLength: spatial[spatial.length - 1], plane: sizeOf(outer), rowAt };
}

/** Number of window positions on each axis: ⌊(d + begin + end − dilation·(kernel−1) − 1) / stride⌋ + 1. */
export function positions(spatial: readonly number[], window: Window): number[] {
  return spatial.map((d, i) => {
    const span = window.dilations[i] * (window.kernel[i] - 1) + 1;
    return Math.max(0, Math.floor((d + window.begin[i] + window.end[i] - span) / window.strides[i]) + 1);
  });
}

/** Adds `count` copies of `table`, each `step` further: element (c, t) at c·|table| + t. */
export function repeated(table: Int32Array, count: number, step: number): Int32Array {
  const out = new Int32Array(table.length * count);
  for (let c = 0, at = 0; c < count; c++) for (let t = 0; t < table.length; t++) out[at++] = table[t] + c * step;
  return out;
}

/** 0, 1, 2, … times `step`. */
export function ramp(count: number, step = 1): Int32Array {
  const out = new Int32Array(count);
  for (let i = 0; i < count; i++) out[i] = i * step;
  return out;
}
