/**
 * Stored float32 numbers under a gain per row, compared as they are read, a block at a time:
 *   |y − k·x| ≤ c·½ulp(y) + 2⁻⁵⁰·|k·x|      in double; ½ulp by the exponent bits of y
 * Rows follow one another in a file, or stand side by side as the columns of a matrix. Where they do so differently in the two,
 * those that follow one another are read whole. A row of x that is all zeros has no gain to speak of, and is not for here.
 */
import { halfUlps } from "../../onnx/dtype.ts";
import { allows, type Layout } from "./rows.ts";

/** Numbers read at a time: what stays in a processor's cache. */
const BLOCK = 1 << 16;

/** Half-ulps of float32 by its own exponent bits. */
const HALVES = Float64Array.from({ length: 256 }, (_, e) => halfUlps("float32")[e === 0 ? 0 : e - 127 + 1023]);

/** Rows as they stand in a file. */
export interface Stored32 {
  readonly layout: Layout;
  /** Fills `out` with stored numbers from `start` on. */
  read(start: number, out: Float32Array): void;
}

/** How many rows, and of how many numbers each. */
interface Size {
  readonly count: number;
  readonly width: number;
}

/** Numbers `low` to `high` of rows `from` to `to`. */
interface Tile {
  readonly from: number;
  readonly to: number;
  readonly low: number;
  readonly high: number;
}

function* tilesOf({ count, width }: Size, layout: Layout): Generator<Tile> {
  const [lines, line] = layout === "rows" ? [count, width] : [width, count];
  const [tall, wide] = [Math.max(1, Math.floor(BLOCK / line)), Math.min(line, BLOCK)];
  for (let i = 0; i < lines; i += tall) {
    for (let j = 0; j < line; j += wide) {
      const [a, b, c, d] = [i, Math.min(lines, i + tall), j, Math.min(line, j + wide)];
      yield layout === "rows" ? { from: a, to: b, low: c, high: d } : { from: c, to: d, low: a, high: b };
    }
  }
}

/** Where the numbers of a tile are: number j of row i stands at `at` + i·row + j·step. */
interface Placed {
  readonly data: Float32Array;
  readonly at: number;
  readonly row: number;
  readonly step: number;
}

/** What x and y are read into, over and over. */
const scratch = [new Float32Array(0), new Float32Array(0)];

function scratchOf(i: number, length: number): Float32Array {
  if (scratch[i].length < length) scratch[i] = new Float32Array(length);
  return scratch[i].subarray(0, length);
}

/** Where the tiles of x (0) or y (1) are found: each is read when it is asked for, or all is read at once. */
function reader(i: number, { layout, read }: Stored32, { count, width }: Size, whole: boolean): (tile: Tile) => Placed {
  const [row, step] = layout === "rows" ? [width, 1] : [1, count];
  const firstOf = (tile: Tile) => tile.from * row + tile.low * step;
  if (whole) {
    const data = scratchOf(i, count * width);
    read(0, data);
    return (tile) => ({ data, at: firstOf(tile), row, step });
  }
  return (tile) => {
    const data = scratchOf(i, (tile.to - tile.from) * (tile.high - tile.low));
    read(firstOf(tile), data);
    return { data, at: 0, row, step };
  };
}

/** The largest error of y = gains ⊙ x in half-ulps, at most `weight`; undefined where one is larger, or a row of x all zeros. */
export function singlesFit(x: Stored32, y: Stored32, rows: Size, gains: Float64Array, weight: number): number | undefined {
  const apart = x.layout !== y.layout;
  const [tileOfX, tileOfY] = [x, y].map((one, i) => reader(i, one, rows, apart && one.layout === "rows"));
  const live = new Uint8Array(rows.count);
  let worst: number | undefined = 0;
  for (const tile of tilesOf(rows, apart ? "columns" : x.layout)) {
    const [theirs, mine] = [tileOfX(tile), tileOfY(tile)];
    for (let o = tile.from; o < tile.to && worst !== undefined; o++) {
      const n = tile.high - tile.low;
      worst = rowFit(theirs, mine, o - tile.from, n, gains[o], weight, worst);
      if (live[o] === 0 && hasNumber(theirs, o - tile.from, n)) live[o] = 1;
    }
    if (worst === undefined) return undefined;
  }
  return live.includes(0) ? undefined : worst;
}

function rowFit(x: Placed, y: Placed, o: number, n: number, gain: number, weight: number, worst: number): number | undefined {
  const [theirs, mine] = [x.data, y.data];
  const bits = new Uint32Array(mine.buffer, mine.byteOffset, mine.length);
  let [i, j, most] = [x.at + o * x.row, y.at + o * y.row, worst];
  for (let k = 0; k < n; k++, i += x.step, j += y.step) {
    const expected = gain * theirs[i];
    const error = Math.abs(mine[j] - expected);
    const half = HALVES[(bits[j] >>> 23) & 0xff];
    if (error <= most * half) continue;
    if (!allows(weight * half + Math.abs(expected) * 2 ** -50, error)) return undefined;
    most = error / half;
  }
  return most;
}

function hasNumber({ data, at, row, step }: Placed, o: number, n: number): boolean {
  for (let k = 0, i = at + o * row; k < n; k++, i += step) if (data[i] !== 0) return true;
  return false;
}
