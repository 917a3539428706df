/**
 * The WebAssembly SIMD backend: lays a job out in one growing memory, runs the compiled kernels (assembly/kernels.ts) and
 * copies results back. Rows of `a` go in blocks of at most PACKED elements and columns in chunks of at most COLUMNS, so memory
 * stays near the size of one layer's input. Jobs too small or too narrow to pay for the copies go to the plain twin, which gives
 * the same bits.
 */
import type { FloatArray } from "../onnx/tensor.ts";
import { isColumnWise, isRowWise, plain } from "./plain.ts";
import { instantiate, type Team } from "./team.ts";
import type { Backend, Contraction, Depthwise, Frame } from "./types.ts";

/** Elements of packed rows held at once (8 MB), columns of one output chunk, elements staged for framing (2 MB). */
const PACKED = 1 << 20;
const COLUMNS = 8192;
const STAGED = 1 << 18;
/** Below this many multiply-adds the plain twin is as fast. */
const SMALL = 4096;
/** Largest memory asked for: above it the plain twin works in place. */
const LIMIT = 3 * 2 ** 30;
const PAGE = 65536;
/** Where the fields of a job stand: any address will do. */
const JOB = 64;
/** Multiply-adds that are worth sharing between threads. */
const SHARED = 1 << 19;
/** Kinds of jobs (assembly/kernels.ts). */
const CONTRACT = 0;
const DEPTHWISE = 1;
const FRAME = 2;
const PACK = 3;

const round = (n: number, step: number): number => Math.ceil(n / step) * step;

/** Regions of the memory, laid out one after the other; the views are renewed when it grows. The first holds the job's fields. */
class Arena {
  private readonly memory: WebAssembly.Memory;
  private top = JOB + 128;
  doubles: Float64Array;
  singles: Float32Array;
  ints: Int32Array;

  constructor(readonly team: Team) {
    this.memory = team.memory;
    this.doubles = new Float64Array(this.memory.buffer);
    this.singles = new Float32Array(this.memory.buffer);
    this.ints = new Int32Array(this.memory.buffer);
  }

  /** Runs a job in `tasks` parts. */
  run(fields: readonly number[], tasks: number): void {
    this.ints.set(fields, JOB / 4);
    this.team.run(JOB, tasks);
  }

  /** Byte address of a new region of `bytes`. */
  take(bytes: number): number {
    const at = this.top;
    this.top = round(at + bytes, 16);
    return at;
  }

  /** Makes every region taken so far usable; false when the memory cannot grow that far. */
  commit(): boolean {
    const have = this.memory.buffer.byteLength;
    if (this.top > LIMIT) return false;
    if (this.top > have) {
      try {
        this.memory.grow(Math.ceil((this.top - have) / PAGE));
      } catch {
        return false;
      }
    }
    if (this.doubles.buffer !== this.memory.buffer) {
      this.doubles = new Float64Array(this.memory.buffer);
      this.singles = new Float32Array(this.memory.buffer);
      this.ints = new Int32Array(this.memory.buffer);
    }
    return true;
  }

  putDoubles(at: number, data: FloatArray, from: number, length: number): void {
    this.doubles.set(from === 0 && length === data.length ? data : data.subarray(from, from + length), at / 8);
  }
}

/** Whether the rows of `a` lie one after the other without gaps. */
function isDense({ m, k, aRow, aTap }: Contraction): boolean {
  if (aRow !== k && m > 1) return false;
  for (let t = 0; t < k; t++) if (aTap[t] !== aTap[0] + t) return false;
  return true;
}

/** Rows m0 … m0+m of a dense `a` to `raw` as they are, and from there packed to `target` by all threads. */
function packDense(arena: Arena, raw: number, target: number, job: Contraction, m0: number, m: number): void {
  const { k, a, aBase, aRow, aTap } = job;
  const from = aBase + aTap[0] + m0 * aRow;
  const rows = a.subarray(from, from + m * k);
  const single = rows instanceof Float32Array;
  if (single) arena.singles.set(rows, raw / 4);
  else arena.doubles.set(rows, raw / 8);
  const { size } = arena.team;
  const each = size === 1 || m * k < SHARED / 8 ? round(m, 4) : Math.max(4, round(Math.ceil(m / (2 * size)), 4));
  arena.run([PACK, raw, target, m, k, single ? 1 : 0, each], Math.ceil(m / each));
}

/** packed[⌈m/4⌉][k][4] from rows m0 … m0+m of a, missing rows zero. */
function packRows(target: Float64Array, at: number, job: Contraction, m0: number, m: number): void {
  const { k, a, aBase, aRow, aTap } = job;
  for (let i = 0; i < m; i += 4) {
    const r0 = aBase + (m0 + i) * aRow;
    if (i + 4 <= m) {
      const r1 = r0 + aRow;
      const r2 = r1 + aRow;
      const r3 = r2 + aRow;
      for (let t = 0; t < k; t++, at += 4) {
        const offset = aTap[t];
        target[at] = a[r0 + offset];
        target[at + 1] = a[r1 + offset];
        target[at + 2] = a[r2 + offset];
        target[at + 3] = a[r3 + offset];
      }
    } else {
      for (let t = 0; t < k; t++, at += 4) {
        for (let r = 0; r < 4; r++) target[at + r] = i + r < m ? a[r0 + r * aRow + aTap[t]] : 0;
      }
    }
  }
}

/** The regions `loadPart` fills: the part of x the kernel reads, and what framing needs. */
interface Input {
  readonly x: number;
  readonly stage: number;
  readonly stagePlanes: number;
  readonly rowAt: number;
}

function reserveInput(arena: Arena, frame: Frame | undefined, length: number): Input {
  if (!frame) return { x: arena.take(8 * length), stage: 0, stagePlanes: 0, rowAt: 0 };
  const size = frame.rows * frame.rowLength;
  const stagePlanes = Math.max(1, Math.min(frame.planes, Math.floor(STAGED / Math.max(1, size))));
  return {
    x: arena.take(8 * frame.planes * frame.plane),
    stage: arena.take(8 * stagePlanes * size),
    stagePlanes,
    rowAt: arena.take(4 * frame.rows),
  };
}

function loadPart(arena: Arena, input: Input, x: FloatArray, frame: Frame | undefined, from: number, length: number): void {
  if (!frame) {
    arena.putDoubles(input.x, x, from, length);
    return;
  }
  const { planes, rows, rowLength, plane } = frame;
  const size = rows * rowLength;
  for (let p = 0; p < planes; p += input.stagePlanes) {
    const count = Math.min(input.stagePlanes, planes - p);
    arena.putDoubles(input.stage, x, from + p * size, count * size);
    arena.run([FRAME, input.stage, input.x + 8 * p * plane, count, rows, 8 * rowLength, 8 * plane, input.rowAt, count], 1);
  }
}

/** Rows and columns of one task: columns are split first (each column is packed once), rows when there are too few. */
function shares(team: Team, m: number, n: number, k: number): { rows: number; columns: number; tasks: number } {
  const { size } = team;
  if (size === 1 || m * n * k < SHARED) return { rows: m, columns: n, tasks: 1 };
  if (n >= 96 * size) {
    const columns = round(Math.ceil(n / (n >= 512 * size ? 4 * size : 2 * size)), 4);
    return { rows: m, columns, tasks: Math.ceil(n / columns) };
  }
  const blocks = Math.ceil(n / 64);
  const rows = Math.max(32, round(Math.ceil((m * blocks) / (2 * size)), 4));
  return { rows, columns: 64, tasks: Math.ceil(m / rows) * blocks };
}

const longest = (parts: readonly { length: number }[]): number => parts.reduce((most, part) => Math.max(most, part.length), 0);

function contract(team: Team, job: Contraction): void {
  const { m, n, k, out, outRow, init, initBase = 0, initRow = 0, initCol = 0 } = job;
  if (n < 3 || m * n * k < SMALL || isRowWise(job) || isColumnWise(job)) {
    plain.contract(job);
    return;
  }
  const arena = new Arena(team);
  const rowBlock = Math.min(round(m, 4), Math.max(4, Math.floor(PACKED / k / 4) * 4));
  const columns = Math.min(round(n, 4), COLUMNS);
  const a = arena.take(8 * rowBlock * k);
  const dense = isDense(job);
  const raw = dense ? arena.take((job.a instanceof Float32Array ? 4 : 8) * rowBlock * k) : 0;
  const scratchBytes = round(128 + 8 * 64 * k, 64);
  const scratch = arena.take(scratchBytes * team.size);
  const tap = arena.take(4 * k);
  const col = arena.take(4 * round(n, 4));
  const start = arena.take(8 * (initCol ? round(n, 4) : round(m, 4)));
  const result = arena.take(8 * rowBlock * columns);
  const input = reserveInput(arena, job.frame, longest(job.parts));
  if (!arena.commit()) {
    plain.contract(job);
    return;
  }
  const { doubles, ints } = arena;
  ints.set(job.tap, tap / 4);
  ints.set(job.col, col / 4);
  ints.fill(job.col[n - 1], col / 4 + n, col / 4 + round(n, 4));
  const count = initCol ? n : initRow ? m : 1;
  doubles.fill(0, start / 8, start / 8 + round(count, 4));
  if (init) arena.putDoubles(start, init, initBase, count);
  if (job.frame) ints.set(job.frame.rowAt, input.rowAt / 4);
  let loaded = -1;
  for (let m0 = 0; m0 < m; m0 += rowBlock) {
    const rows = Math.min(rowBlock, m - m0);
    if (dense) packDense(arena, raw, a, job, m0, rows);
    else packRows(doubles, a / 8, job, m0, rows);
    for (const [index, part] of job.parts.entries()) {
      if (loaded !== index) loadPart(arena, input, job.x, job.frame, part.from, part.length);
      loaded = index;
      for (let n0 = 0; n0 < n; n0 += columns) {
        const width = Math.min(columns, n - n0);
        const starts = start + 8 * (m0 * initRow + n0 * initCol);
        const share = shares(team, rows, width, k);
        const sums = [CONTRACT, a, scratch, scratchBytes, input.x, tap, col + 4 * n0, starts, initRow, initCol];
        arena.run([...sums, result, width, rows, width, k, share.rows, share.columns], share.tasks);
        copyOut(doubles, result / 8, out, part.to + m0 * outRow + n0, outRow, rows, width);
      }
    }
  }
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

function depthwise(team: Team, job: Depthwise): void {
  const { channels, k, w, init, out, frame } = job;
  const size = channels * job.row.length * job.length;
  if (size * k < SMALL) {
    plain.depthwise(job);
    return;
  }
  const arena = new Arena(team);
  const weights = arena.take(8 * channels * k);
  const start = arena.take(8 * channels);
  const tap = arena.take(4 * k);
  const row = arena.take(4 * job.row.length);
  const result = arena.take(8 * size);
  const input = reserveInput(arena, frame, longest(job.parts));
  if (!arena.commit()) {
    plain.depthwise(job);
    return;
  }
  const { doubles, ints } = arena;
  arena.putDoubles(weights, w, 0, channels * k);
  if (init) arena.putDoubles(start, init, 0, channels);
  else doubles.fill(0, start / 8, start / 8 + channels);
  ints.set(job.tap, tap / 4);
  ints.set(job.row, row / 4);
  if (frame) ints.set(frame.rowAt, input.rowAt / 4);
  const bands = team.size === 1 || size * k < SHARED ? 1 : 2 * team.size;
  const each = job.multiplier * Math.ceil(channels / job.multiplier / bands);
  for (const part of job.parts) {
    loadPart(arena, input, job.x, frame, part.from, part.length);
    const fields = [DEPTHWISE, input.x, job.plane, weights, start, tap, k, row, job.row.length, job.length, job.step, result];
    arena.run([...fields, channels, job.multiplier, each], Math.ceil(channels / each));
    out.set(doubles.subarray(result / 8, result / 8 + size), part.to);
  }
}

/**
 * The backend on a team of threads, by default the caller's alone; undefined where WebAssembly or its SIMD instructions are
 * missing.
 */
export function createWasm(team: Team | undefined = instantiate()): Backend | undefined {
  if (team === undefined) return undefined;
  return {
    name: team.size === 1 ? "wasm" : `wasm × ${team.size}`,
    contract: (job) => contract(team, job),
    depthwise: (job) => depthwise(team, job),
  };
}
