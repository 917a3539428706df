/**
 * The plain TypeScript backend: the specification the WebAssembly kernels are compared with bit for bit, and what runs
 * where WebAssembly SIMD is missing. Formulas: types.ts. Four columns are packed at a time so that the inner loop reads two
 * dense streams; each output still has one accumulator and k ascends.
 */
import type { FloatArray } from "../onnx/tensor.ts";
import { framed } from "./plain-frame.ts";
import { plainTiles } from "./plain-tiles.ts";
import { type Backend, type Contraction, type Depthwise, type Part, TAME_EXPONENT } from "./types.ts";

/** The rows of `a` as dense float64, m × k. */
function denseRows(job: Contraction): Float64Array {
  const { m, k, a, aBase, aRow, aTap } = job;
  const dense = new Float64Array(m * k);
  for (let i = 0, at = 0; i < m; i++) {
    const base = aBase + i * aRow;
    for (let t = 0; t < k; t++) dense[at++] = a[base + aTap[t]];
  }
  return dense;
}

/** A group of at most four columns: packed[k][4], missing columns repeat the last. */
function packColumns(x: FloatArray, from: number, job: Contraction, first: number, packed: Float64Array): void {
  const { k, n, tap, col } = job;
  const last = n - 1;
  const c0 = from + col[first];
  const c1 = from + col[Math.min(first + 1, last)];
  const c2 = from + col[Math.min(first + 2, last)];
  const c3 = from + col[Math.min(first + 3, last)];
  for (let t = 0, at = 0; t < k; t++, at += 4) {
    const offset = tap[t];
    packed[at] = x[c0 + offset];
    packed[at + 1] = x[c1 + offset];
    packed[at + 2] = x[c2 + offset];
    packed[at + 3] = x[c3 + offset];
  }
}

function contractPart(job: Contraction, rows: Float64Array, x: FloatArray, part: Part, packed: Float64Array): void {
  const { m, n, k, init, initBase = 0, initRow = 0, initCol = 0, out, outRow } = job;
  const from = job.frame ? 0 : part.from;
  for (let j = 0; j < n; j += 4) {
    packColumns(x, from, job, j, packed);
    const columns = Math.min(4, n - j);
    for (let i = 0; i < m; i++) {
      const start = initBase + i * initRow + j * initCol;
      let c0 = init ? init[start] : 0;
      let c1 = init && columns > 1 ? init[start + initCol] : 0;
      let c2 = init && columns > 2 ? init[start + 2 * initCol] : 0;
      let c3 = init && columns > 3 ? init[start + 3 * initCol] : 0;
      const end = (i + 1) * k;
      for (let t = i * k, b = 0; t < end; t++, b += 4) {
        const w = rows[t];
        c0 += w * packed[b];
        c1 += w * packed[b + 1];
        c2 += w * packed[b + 2];
        c3 += w * packed[b + 3];
      }
      const target = part.to + i * outRow + j;
      out[target] = c0;
      if (columns > 1) out[target + 1] = c1;
      if (columns > 2) out[target + 2] = c2;
      if (columns > 3) out[target + 3] = c3;
    }
  }
}

/** Columns that advance together: their sums stay in the first-level cache. */
const ADVANCING = 1024;

/** A row or two of products: columns advance together through k, which reads rows of x in order; the sums are the same. */
function contractRows(job: Contraction, part: Part): void {
  const { m, n, k, a, aBase, aRow, aTap, x, tap, col, init, initBase = 0, initRow = 0, initCol = 0, out, outRow } = job;
  for (let first = 0; first < n; first += ADVANCING) {
    const width = Math.min(ADVANCING, n - first);
    const sums = new Float64Array(width);
    for (let i = 0; i < m; i++) {
      if (init) for (let j = 0; j < width; j++) sums[j] = init[initBase + i * initRow + (first + j) * initCol];
      else sums.fill(0);
      for (let t = 0; t < k; t++) {
        const w = a[aBase + i * aRow + aTap[t]];
        const from = part.from + tap[t] + col[0] + first;
        for (let j = 0; j < width; j++) sums[j] += w * x[from + j];
      }
      out.set(sums, part.to + i * outRow + first);
    }
  }
}

/** A row or two against columns that lie one after the other: four sums at a time, each along its own column. */
function contractColumns(job: Contraction, part: Part): void {
  const { m, n, k, a, aBase, aRow, aTap, x, tap, col, init, initBase = 0, initRow = 0, initCol = 0, out, outRow } = job;
  const row = new Float64Array(k);
  const last = n - 1;
  const first = part.from + tap[0];
  for (let i = 0; i < m; i++) {
    for (let t = 0; t < k; t++) row[t] = a[aBase + i * aRow + aTap[t]];
    const start = initBase + i * initRow;
    const target = part.to + i * outRow;
    for (let j = 0; j < n; j += 4) {
      const [j1, j2, j3] = [Math.min(j + 1, last), Math.min(j + 2, last), Math.min(j + 3, last)];
      let c0 = init ? init[start + j * initCol] : 0;
      let c1 = init ? init[start + j1 * initCol] : 0;
      let c2 = init ? init[start + j2 * initCol] : 0;
      let c3 = init ? init[start + j3 * initCol] : 0;
      const [p0, p1, p2, p3] = [first + col[j], first + col[j1], first + col[j2], first + col[j3]];
      for (let t = 0; t < k; t++) {
        const w = row[t];
        c0 += w * x[p0 + t];
        c1 += w * x[p1 + t];
        c2 += w * x[p2 + t];
        c3 += w * x[p3 + t];
      }
      // Beyond the end the last column again.
      out[target + j3] = c3;
      out[target + j2] = c2;
      out[target + j1] = c1;
      out[target + j] = c0;
    }
  }
}

/** Whether `contractColumns` suits a job: again no packing can make it faster. */
export function isColumnWise({ m, n, k, tap, frame }: Contraction): boolean {
  if (m > 2 || n < 4 || k < 4 || frame) return false;
  for (let t = 1; t < k; t++) if (tap[t] !== tap[0] + t) return false;
  return true;
}

/** Whether `contractRows` suits a job: memory is read in order, so no packing can make it faster. */
export function isRowWise({ m, n, col, frame }: Contraction): boolean {
  return m <= 2 && n > 1 && !frame && col[n - 1] - col[0] === n - 1;
}

function contract(job: Contraction): void {
  const { frame } = job;
  if (isRowWise(job)) {
    for (const part of job.parts) contractRows(job, part);
    return;
  }
  if (isColumnWise(job)) {
    for (const part of job.parts) contractColumns(job, part);
    return;
  }
  const rows = denseRows(job);
  const packed = new Float64Array(4 * job.k);
  const planes = frame ? new Float64Array(frame.planes * frame.plane) : undefined;
  for (const part of job.parts) {
    if (planes && frame) framed(job.x, frame, part.from, planes);
    contractPart(job, rows, planes ?? job.x, part, packed);
  }
}

function depthwise(job: Depthwise): void {
  const { channels, multiplier, k, w, plane, tap, row, length, step, init, out, frame } = job;
  const planes = frame ? new Float64Array(frame.planes * frame.plane) : undefined;
  for (const part of job.parts) {
    if (planes && frame) framed(job.x, frame, part.from, planes);
    const x = planes ?? job.x;
    const from = planes ? 0 : part.from;
    let target = part.to;
    for (let m = 0; m < channels; m++) {
      const base = from + Math.floor(m / multiplier) * plane;
      const start = init ? init[m] : 0;
      for (let r = 0; r < row.length; r++) {
        const line = base + row[r];
        for (let j = 0; j < length; j++) {
          const at = line + j * step;
          let c = start;
          for (let t = 0; t < k; t++) c += w[m * k + t] * x[at + tap[t]];
          out[target++] = c;
        }
      }
    }
  }
}

/**
 * By exponents, without a branch an element: the sign bit of exponent + (2^31 − that of the limit) says that it is not below. In single
 * precision every finite number is.
 */
function tame(x: FloatArray): boolean {
  const single = x instanceof Float32Array;
  const words = new Int32Array(x.buffer, x.byteOffset, single ? x.length : 2 * x.length);
  const exponent = single ? 0x7f800000 : 0x7ff00000;
  const rest = single ? 0x00800000 : 2 ** 31 - ((1023 + TAME_EXPONENT) << 20);
  const step = single ? 1 : 2;
  let wild = 0;
  for (let i = step - 1; i < words.length; i += step) wild |= (words[i] & exponent) + rest;
  return wild >= 0;
}

const nothing = (): void => undefined;

/** The kernels in plain JavaScript: what computes where there is no WebAssembly with SIMD. */
export const plain: Backend = {
  name: "plain",
  contract,
  depthwise,
  tiles: (job) => plainTiles(job, tame),
  pointwise: () => false,
  largest: () => false,
  tame,
  hold: nothing,
  settle: nothing,
  drop: nothing,
};
