/**
 * Constants piece by piece, so that a large weight need not be in memory whole to be rewritten:
 *
 *   element e = stored[e] · Π_k data_k[⌊e / inner_k⌋ mod |data_k|]      multiplied in this order, in float64
 *
 * A stream is part of the numbers it gives (`Param.values`): whoever puts others in their place leaves the stream behind.
 */
import { axesOf, numberOf, type Spread, stretch } from "../affine/spread.ts";

/** Factors that follow the elements: `inner` elements in a row share one. */
export interface Factor {
  readonly data: Float64Array;
  readonly inner: number;
}

export interface Stream {
  /** Number of elements. */
  readonly length: number;
  /** Fills `out` with stored elements from `start` on. */
  read(start: number, out: Float64Array): void;
  /** The same in the storage type, where that is float32. */
  readonly read32?: (start: number, out: Float32Array) => void;
  readonly factors: readonly Factor[];
}

/** The numbers of a constant, computed when asked for, in float64: fresh ones, which the caller may overwrite. */
export interface Numbers {
  (): Float64Array;
  /** What gives the same numbers piece by piece. */
  readonly stream?: Stream;
  /** What gives those of a matrix turned, row by row. */
  readonly turned?: Stream;
  /** How many changes they are away from numbers that are kept. */
  readonly changes?: number;
}

/** Factors kept apart. */
const MOST = 32;

/** Elements computed at a time: what they take stays in a processor's own cache. */
export const PIECE = 1 << 16;

/** The finished numbers of a stream, piece by piece; each is good until the next. */
export function* piecesOf(stream: Stream): Generator<Float64Array> {
  const piece = new Float64Array(Math.min(PIECE, stream.length));
  for (let at = 0; at < stream.length; at += PIECE) {
    const part = piece.subarray(0, Math.min(PIECE, stream.length - at));
    fillFrom(stream, at, part);
    yield part;
  }
}

/** The stream of numbers ⊙ by. `dims`: those of the numbers; `by` does not enlarge them. */
export function scaledStream(stream: Stream, dims: readonly number[], by: Spread): Stream {
  const factors = [...stream.factors];
  const next = factorOf(dims, by);
  // Beyond a few, factors that lie alike become one.
  const at = factors.length < MOST ? -1 : factors.findIndex((f) => f.inner === next.inner && f.data.length === next.data.length);
  if (at < 0) factors.push(next);
  else factors[at] = { ...next, data: next.data.map((v, i) => v * factors[at].data[i]) };
  return { ...stream, factors };
}

function factorOf(dims: readonly number[], by: Spread): Factor {
  const only = numberOf(by);
  if (only !== undefined) return { data: Float64Array.of(only), inner: Number.MAX_SAFE_INTEGER };
  const axes = axesOf(by);
  const [first, last] = [axes[0], axes[axes.length - 1]];
  let block = by;
  for (let axis = first; axis <= last; axis++) block = stretch(block, axis, dims[axis]);
  return { data: block.data, inner: dims.slice(last + 1).reduce((n, d) => n * d, 1) };
}

/** Calls `run` for each stretch of elements that shares one factor: elements `from` to `to` of the piece that begins at `start`. */
export function eachRun(
  { data, inner }: Factor,
  start: number,
  length: number,
  run: (from: number, to: number, factor: number) => void,
): void {
  let k = Math.floor(start / inner);
  for (let at = 0; at < length; k++) {
    const to = Math.min(length, (k + 1) * inner - start);
    run(at, to, data[k % data.length]);
    at = to;
  }
}

/** Fills `out` with the finished numbers from `start` on. */
export function fillFrom(stream: Stream, start: number, out: Float64Array): void {
  stream.read(start, out);
  for (const factor of stream.factors) multiply(out, start, factor);
}

/** As by {@link eachRun}, without a call for each run: many are of one number. */
function multiply(out: Float64Array, start: number, { data, inner }: Factor): void {
  let k = Math.floor(start / inner) % data.length;
  let to = inner - (start % inner);
  for (let at = 0; at < out.length; ) {
    const [end, by] = [Math.min(out.length, to), data[k]];
    for (; at < end; at++) out[at] *= by;
    to += inner;
    k = k + 1 === data.length ? 0 : k + 1;
  }
}
