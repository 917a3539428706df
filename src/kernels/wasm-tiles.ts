/**
 * Convolutions over tiles in the WebAssembly backend (formulas: winograd.ts). Weights are transformed once, a block of rows at a time;
 * each task then takes some tiles all the way: gather and transform, one product for each point of a tile, transform back.
 */
import { Scratch } from "./heap.ts";
import { COLUMNS, type Lane, ROWS, round } from "./lane.ts";
import { plain } from "./plain.ts";
import { plainTiles } from "./plain-tiles.ts";
import type { Tiling } from "./types.ts";
import { tameAt } from "./wasm-pointwise.ts";

/** Kinds of jobs (assembly/kernels.ts). */
const TURN = 8;
const TILES = 9;
/** Elements of transformed weights at once (32 MB), and of transformed tiles and their sums in one task (2 MB). */
const TURNED = 1 << 22;
const TASK = 1 << 18;
/** Tiles in one task, at most and, where there are so many, at least. */
const MOST = 60;
const LEAST = 18;
/** Rows are transformed in pairs and packed in threes. */
const PAIR = 2 * ROWS;
/** Bytes for one kernel or tile on its way. */
const LINES = 2048 + 64;
/** What numbers of different points are further apart (assembly/kernels.ts). */
const APART = 64;

export function tiles(lane: Lane, job: Tiling): boolean {
  const scratch = new Scratch(lane.heap);
  let done = tilesIn(lane, job, scratch);
  scratch.end();
  if (done === undefined) {
    lane.settle(job.x);
    lane.settle(job.out);
    done = plainTiles(job, plain.tame);
  }
  return done;
}

/** Undefined when there is not enough memory, false when a weight is not tame. */
function tilesIn(lane: Lane, job: Tiling, scratch: Scratch): boolean | undefined {
  const { m, k, axes, a, out, outRow, parts, init } = job;
  const { heap, team } = lane;
  const count = job.tile.length;
  const points = 4 ** axes;
  const taps = 3 ** axes;
  const rowBlock = Math.min(round(m, ROWS), Math.max(PAIR, Math.floor(TURNED / (points * k) / PAIR) * PAIR));
  const fit = Math.floor(TASK / (points * (k + rowBlock)) / COLUMNS) * COLUMNS;
  const fair = round(Math.ceil(count / team.size), COLUMNS);
  const each = Math.min(Math.max(LEAST, Math.min(MOST, fit)), fair);
  const bytes = round(LINES + points * (8 * (k + rowBlock) * each + 2 * APART), 64);
  const single = a instanceof Float32Array;
  const raw = scratch.take((single ? 4 : 8) * rowBlock * k * taps);
  const u = scratch.take(points * (8 * rowBlock * k + APART));
  const work = scratch.take(bytes * team.size);
  const table = (list: Int32Array) => scratch.take(4 * round(list.length, COLUMNS));
  const [tap, tile, point, outAt, place, mask] = [job.tap, job.tile, job.point, job.outAt, job.place, job.mask].map(table);
  const start = scratch.take(8 * round(m, 4));
  const longest = parts.reduce((most, part) => Math.max(most, part.length), 0);
  const input = lane.input(scratch, job.x, job.frame, longest);
  const target = lane.at(out) ?? scratch.take(8 * m * outRow);
  if (scratch.failed) return undefined;
  const held = lane.at(out) !== undefined;
  const { ints, doubles } = heap;
  ints.set(job.tap, tap / 4);
  ints.set(job.tile, tile / 4);
  ints.fill(job.tile[count - 1], tile / 4 + count, tile / 4 + round(count, COLUMNS));
  ints.set(job.point, point / 4);
  ints.set(job.outAt, outAt / 4);
  ints.set(job.place, place / 4);
  ints.set(job.mask, mask / 4);
  for (const at of [outAt, mask]) ints.fill(0, at / 4 + count, at / 4 + round(count, COLUMNS));
  doubles.fill(0, start / 8, start / 8 + m);
  if (init) lane.putDoubles(start, init, job.initBase, m);
  let loaded = -1;
  for (let m0 = 0; m0 < m; m0 += rowBlock) {
    const rows = Math.min(rowBlock, m - m0);
    const from = job.aBase + m0 * k * taps;
    (single ? heap.singles : heap.doubles).set(a.subarray(from, from + rows * k * taps), raw / (single ? 4 : 8));
    if (!tameAt(lane, raw, rows * k * taps, single)) return false;
    const some = lane.share(rows, 2 * rows * k * points, PAIR);
    lane.run([TURN, raw, u, rows, k, single ? 1 : 0, axes, some, work, bytes], Math.ceil(rows / some));
    for (const [index, part] of parts.entries()) {
      if (loaded !== index) input.load(part.from, part.length);
      loaded = index;
      const put = held ? target + 8 * (part.to + m0 * outRow) : target;
      const sums = [TILES, u, work, bytes, input.at, tap, tile, point, k, rows, count, each, axes, start + 8 * m0];
      lane.run([...sums, put, outRow, outAt, place, mask], Math.ceil(count / each));
      if (!held) out.set(doubles.subarray(target / 8, target / 8 + rows * outRow), part.to + m0 * outRow);
    }
  }
  return true;
}
