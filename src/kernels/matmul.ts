/**
 * Matrix products on strided views: y[m, n] = init + Σ_k a[m, k]·b[k, n], k ascending. A large `b` is taken in slices of columns
 * so that a backend's memory stays small.
 */
import type { FloatArray } from "../onnx/tensor.ts";
import { backend } from "./backend.ts";
import { ramp } from "./grid.ts";

/** Element (r, c) of a matrix at data[base + r·row + c·column]. */
export interface Matrix {
  readonly data: FloatArray;
  readonly base: number;
  readonly row: number;
  readonly column: number;
}

/** Elements of b handed over at once (16 MB). */
const SLICE = 1 << 21;

/** Writes m × n products to out[to …], row-major. `rowInit` starts each row's sums, `columnInit` each column's; at most one. */
export function multiply(
  m: number,
  n: number,
  k: number,
  a: Matrix,
  b: Matrix,
  out: Float64Array,
  to = 0,
  init?: { readonly data: FloatArray; readonly per: "row" | "column" },
): void {
  if (m === 0 || n === 0) return;
  const width = k * n <= SLICE ? n : Math.max(64, Math.floor(SLICE / k / 64) * 64);
  for (let n0 = 0; n0 < n; n0 += width) {
    const columns = Math.min(width, n - n0);
    const slice = columns === n ? b : sliceOf(b, k, n0, columns);
    backend().contract({
      m,
      n: columns,
      k,
      a: a.data,
      aBase: a.base,
      aRow: a.row,
      aTap: ramp(k, a.column),
      x: slice.data,
      tap: ramp(k, slice.row),
      col: ramp(columns, slice.column),
      init: init?.data,
      initBase: init?.per === "column" ? n0 : 0,
      initRow: init?.per === "row" ? 1 : 0,
      initCol: init?.per === "column" ? 1 : 0,
      out,
      outRow: n,
      parts: [{ from: slice.base, length: k === 0 ? 0 : (k - 1) * slice.row + (columns - 1) * slice.column + 1, to: to + n0 }],
    });
  }
}

/** Columns n0 … of b: the same memory when they lie together, else a dense copy. */
function sliceOf(b: Matrix, k: number, n0: number, columns: number): Matrix {
  const base = b.base + n0 * b.column;
  if (b.column >= b.row) return { ...b, base };
  const data = new Float64Array(k * columns);
  for (let r = 0, at = 0; r < k; r++) {
    const from = base + r * b.row;
    for (let c = 0; c < columns; c++) data[at++] = b.data[from + c * b.column];
  }
  return { data, base: 0, row: columns, column: 1 };
}
