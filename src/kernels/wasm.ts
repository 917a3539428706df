/**
 * The WebAssembly SIMD backend: lays a job out in one growing memory, runs the compiled kernels (assembly/kernels.ts) and copies results
 * back, unless they are held (lane.ts). Rows of `a` go in blocks of at most PACKED elements and columns of results that are not held in
 * chunks of at most CHUNK, so memory stays near the size of one layer's input. Jobs too small or too narrow to pay for the copies go to
 * the plain twin, which gives the same bits.
 */
import { Scratch } from "./heap.ts";
import { COLUMNS, Lane, ROWS, round, SHARED } from "./lane.ts";
import { isColumnWise, isRowWise, plain } from "./plain.ts";
import { instantiate, type Team } from "./team.ts";
import type { Backend, Contraction, Depthwise } from "./types.ts";
import { largest, pointwise, tame } from "./wasm-pointwise.ts";
import { tiles } from "./wasm-tiles.ts";

/** Elements of packed rows held at once (8 MB), columns of one output chunk. */
const PACKED = 1 << 20;
const CHUNK = 8190;
/** Columns packed at a time (assembly/kernels.ts). */
const BLOCK = 60;
/** Below this many multiply-adds the plain twin is as fast. */
const SMALL = 4096;
/** Above this many a row of products is faster with its operands exchanged. */
const FLIP = 1 << 15;
/** Kinds of jobs (assembly/kernels.ts). */
const CONTRACT = 0;
const DEPTHWISE = 1;
const PACK = 3;

/** Whether the rows of `a` lie one after the other without gaps. */
function isDense({ m, k, aRow, aTap }: Contraction): boolean {
  if (aRow !== k && m > 1) return false;
  for (let t = 0; t < k; t++) if (aTap[t] !== aTap[0] + t) return false;
  return true;
}

/** Rows m0 … m0+m of a dense `a` to `raw` as they are, and from there packed to `target` by all threads. */
function packDense(lane: Lane, raw: number, target: number, job: Contraction, m0: number, m: number): void {
  const { k, a, aBase, aRow, aTap } = job;
  const from = aBase + aTap[0] + m0 * aRow;
  const rows = a.subarray(from, from + m * k);
  const single = rows instanceof Float32Array;
  if (single) lane.heap.singles.set(rows, raw / 4);
  else lane.heap.doubles.set(rows, raw / 8);
  const each = lane.share(m, 8 * m * k, ROWS);
  lane.run([PACK, raw, target, m, k, single ? 1 : 0, each], Math.ceil(m / each));
}

/** packed[⌈m/3⌉][k][3] from rows m0 … m0+m of a; rows that are missing repeat the last. */
function packRows(target: Float64Array, at: number, job: Contraction, m0: number, m: number): void {
  const { k, a, aBase, aRow, aTap } = job;
  for (let i = 0; i < m; i += ROWS) {
    const r0 = aBase + (m0 + i) * aRow;
    const r1 = i + 1 < m ? r0 + aRow : r0;
    const r2 = i + 2 < m ? r1 + aRow : r1;
    for (let t = 0; t < k; t++, at += ROWS) {
      const offset = aTap[t];
      target[at] = a[r0 + offset];
      target[at + 1] = a[r1 + offset];
      target[at + 2] = a[r2 + offset];
    }
  }
}

/** Rows and columns of one task: columns are split first (each column is packed once), rows when there are too few. */
function shares(team: Team, m: number, n: number, k: number): { rows: number; columns: number; tasks: number } {
  const { size } = team;
  if (size === 1 || m * n * k < SHARED) return { rows: m, columns: n, tasks: 1 };
  if (n >= 96 * size) {
    const columns = round(Math.ceil(n / (n >= 512 * size ? 4 * size : 2 * size)), COLUMNS);
    return { rows: m, columns, tasks: Math.ceil(n / columns) };
  }
  const blocks = Math.ceil(n / BLOCK);
  const rows = Math.max(33, round(Math.ceil((m * blocks) / (2 * size)), ROWS));
  return { rows, columns: BLOCK, tasks: Math.ceil(m / rows) * blocks };
}

const longest = (parts: readonly { length: number }[]): number => parts.reduce((most, part) => Math.max(most, part.length), 0);

/**
 * A row or two against many columns that lie one after the other, the other way round: yᵀ = bᵀ·aᵀ, whose rows need no gathering. The
 * same sums; undefined where it does not pay.
 */
function flipped(job: Contraction): Contraction | undefined {
  const { m, n, k, a, aBase, aRow, aTap, x, tap, col, init, initBase, initRow, initCol, out, outRow, parts } = job;
  const step = col[1] - col[0];
  if (m > 2 || step !== k || m * n * k < FLIP || parts.length > 1 || !isColumnWise(job)) return undefined;
  for (let j = 1; j < n; j++) if (col[j] - col[j - 1] !== step) return undefined;
  const [{ from, to }] = parts;
  return {
    m: n,
    n: m,
    k,
    a: x,
    aBase: from + col[0],
    aRow: step,
    aTap: tap,
    x: a,
    tap: aTap,
    col: Int32Array.of(0, aRow).subarray(0, m),
    init,
    initBase,
    initRow: initCol,
    initCol: initRow,
    out: m === 1 && outRow === n ? out : new Float64Array(m * n),
    outRow: m,
    parts: [{ from: aBase, length: aTap[k - 1] + (m - 1) * aRow + 1, to: m === 1 && outRow === n ? to : 0 }],
  };
}

/** Computes a flipped job and puts its results where they belong; false when there is not enough memory. */
function contractFlipped(lane: Lane, job: Contraction, turned: Contraction, scratch: Scratch): boolean {
  if (lane.at(job.x) !== undefined || lane.at(job.out) !== undefined || !contractIn(lane, turned, scratch)) return false;
  const { m, n, out, outRow, parts } = job;
  if (turned.out !== out)
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) out[parts[0].to + i * outRow + j] = turned.out[j * m + i];
  return true;
}

function contract(lane: Lane, job: Contraction): void {
  const { m, n, k } = job;
  const scratch = new Scratch(lane.heap);
  const turned = flipped(job);
  if (turned !== undefined && contractFlipped(lane, job, turned, scratch)) {
    scratch.end();
    return;
  }
  const small = n < 3 || m * n * k < SMALL || isRowWise(job) || isColumnWise(job);
  if (small || !contractIn(lane, job, scratch)) {
    lane.settle(job.x);
    lane.settle(job.out);
    plain.contract(job);
  }
  scratch.end();
}

/** False when there is not enough memory. */
function contractIn(lane: Lane, job: Contraction, scratch: Scratch): boolean {
  const { m, n, k, out, outRow, init, initBase = 0, initRow = 0, initCol = 0 } = job;
  const { heap, team } = lane;
  const target = lane.at(out);
  const rowBlock = Math.min(round(m, ROWS), Math.max(ROWS, Math.floor(PACKED / k / ROWS) * ROWS));
  const columns = target === undefined ? Math.min(round(n, COLUMNS), CHUNK) : n;
  const a = scratch.take(8 * rowBlock * k);
  const dense = isDense(job);
  const raw = dense ? scratch.take((job.a instanceof Float32Array ? 4 : 8) * rowBlock * k) : 0;
  const panelBytes = round(192 + 8 * BLOCK * k, 64);
  const panels = scratch.take(panelBytes * team.size);
  const tap = scratch.take(4 * k);
  const col = scratch.take(4 * round(n, COLUMNS));
  const start = scratch.take(8 * round(initCol ? n : m, COLUMNS));
  const result = target ?? scratch.take(8 * rowBlock * columns);
  const input = lane.input(scratch, job.x, job.frame, longest(job.parts));
  if (scratch.failed) return false;
  const { doubles, ints } = heap;
  ints.set(job.tap, tap / 4);
  ints.set(job.col, col / 4);
  ints.fill(job.col[n - 1], col / 4 + n, col / 4 + round(n, COLUMNS));
  const count = initCol ? n : initRow ? m : 1;
  doubles.fill(0, start / 8, start / 8 + round(count, COLUMNS));
  if (init) lane.putDoubles(start, init, initBase, count);
  let loaded = -1;
  for (let m0 = 0; m0 < m; m0 += rowBlock) {
    const rows = Math.min(rowBlock, m - m0);
    if (dense) packDense(lane, raw, a, job, m0, rows);
    else packRows(doubles, a / 8, job, m0, rows);
    for (const [index, part] of job.parts.entries()) {
      if (loaded !== index) input.load(part.from, part.length);
      loaded = index;
      for (let n0 = 0; n0 < n; n0 += columns) {
        const width = Math.min(columns, n - n0);
        const starts = start + 8 * (m0 * initRow + n0 * initCol);
        const to = part.to + m0 * outRow + n0;
        const share = shares(team, rows, width, k);
        const sums = [CONTRACT, a, panels, panelBytes, input.at, tap, col + 4 * n0, starts, initRow, initCol];
        const put = target === undefined ? [result, width] : [target + 8 * to, outRow];
        lane.run([...sums, ...put, rows, width, k, share.rows, share.columns], share.tasks);
        if (target === undefined) copyOut(doubles, result / 8, out, to, outRow, rows, width);
      }
    }
  }
  return true;
}

function copyOut(
  source: Float64Array,
  at: number,
  out: Float64Array,
  to: number,
  outRow: number,
  rows: number,
  width: number,
): void {
  if (width === outRow) {
    out.set(source.subarray(at, at + rows * width), to);
    return;
  }
  for (let r = 0; r < rows; r++) {
    const from = at + r * width;
    if (width >= 32) out.set(source.subarray(from, from + width), to + r * outRow);
    else for (let j = 0; j < width; j++) out[to + r * outRow + j] = source[from + j];
  }
}

function depthwise(lane: Lane, job: Depthwise): void {
  const size = job.channels * job.row.length * job.length;
  const scratch = new Scratch(lane.heap);
  if (size * job.k < SMALL || !depthwiseIn(lane, job, size, scratch)) {
    lane.settle(job.x);
    lane.settle(job.out);
    plain.depthwise(job);
  }
  scratch.end();
}

/** False when there is not enough memory. */
function depthwiseIn(lane: Lane, job: Depthwise, size: number, scratch: Scratch): boolean {
  const { channels, k, w, init, out, multiplier } = job;
  const { heap } = lane;
  const target = lane.at(out);
  const weights = scratch.take(8 * channels * k);
  const start = scratch.take(8 * channels);
  const tap = scratch.take(4 * k);
  const row = scratch.take(4 * job.row.length);
  const result = target ?? scratch.take(8 * size);
  const input = lane.input(scratch, job.x, job.frame, longest(job.parts));
  if (scratch.failed) return false;
  const { doubles, ints } = heap;
  lane.putDoubles(weights, w, 0, channels * k);
  if (init) lane.putDoubles(start, init, 0, channels);
  else doubles.fill(0, start / 8, start / 8 + channels);
  ints.set(job.tap, tap / 4);
  ints.set(job.row, row / 4);
  const each = multiplier * lane.share(channels / multiplier, size * k);
  for (const part of job.parts) {
    input.load(part.from, part.length);
    const put = target === undefined ? result : target + 8 * part.to;
    const fields = [DEPTHWISE, input.at, job.plane, weights, start, tap, k, row, job.row.length, job.length, job.step, put];
    lane.run([...fields, channels, multiplier, each], Math.ceil(channels / each));
    if (target === undefined) out.set(doubles.subarray(result / 8, result / 8 + size), part.to);
  }
  return true;
}

/**
 * The backend on a team of threads, by default the caller's alone; undefined where WebAssembly or its SIMD instructions are
 * missing.
 */
export function createWasm(team: Team | undefined = instantiate()): Backend | undefined {
  if (team === undefined) return undefined;
  const lane = new Lane(team);
  return {
    name: team.size === 1 ? "wasm" : `wasm × ${team.size}`,
    contract: (job) => contract(lane, job),
    depthwise: (job) => depthwise(lane, job),
    tiles: (job) => tiles(lane, job),
    pointwise: (job) => pointwise(lane, job),
    largest: (job) => largest(lane, job),
    tame: (x) => tame(lane, x),
    hold: (out) => void lane.hold(out),
    settle: (data) => lane.settle(data),
    drop: (data) => lane.drop(data),
  };
}
