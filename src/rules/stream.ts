/**
 * Constants piece by piece, so that a large weight need not be in memory whole to be rewritten:
 *
 *   element e = stored[e] · Π_k data_k[⌊e / inner_k⌋ mod |data_k|]      multiplied in this order, in float64
 *
 * A stream belongs to the function that computes the same numbers at once (`Param.values`): whoever replaces that function
 * leaves the stream behind.
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

/** Factors kept apart. */
const MOST = 32;

const streams = new WeakMap<() => Float64Array, Stream>();

/** The stream that gives the numbers of `values`, when there is one. */
export const streamOf = (values: () => Float64Array): Stream | undefined => streams.get(values);

export function setStream(values: () => Float64Array, stream: Stream): void {
  streams.set(values, stream);
}

const turned = new WeakMap<() => Float64Array, Stream>();

/** The stream of the matrix that `values` gives turned, row by row, when there is one. */
export const turnedStreamOf = (values: () => Float64Array): Stream | undefined => turned.get(values);

export function setTurnedStream(values: () => Float64Array, stream: Stream): void {
  turned.set(values, stream);
}

/** Elements computed at a time: what they take stays in a processor's own cache. */
export const PIECE = 1 << 16;

/** The finished numbers of `values`, which have a stream, piece by piece; each is good until the next. */
export const pieces = (values: () => Float64Array): Generator<Float64Array> => piecesOf(streamOf(values) as Stream);

export function* piecesOf(stream: Stream): Generator<Float64Array> {
  const piece = new Float64Array(Math.min(PIECE, stream.length));
  for (let at = 0; at < stream.length; at += PIECE) {
    const part = piece.subarray(0, Math.min(PIECE, stream.length - at));
    fillFrom(stream, at, part);
    yield part;
  }
}

/** Carries the stream of `from` over to `to`, which computes from ⊙ by. `dims`: those of the numbers; `by` does not enlarge them. */
export function scaleStream(from: () => Float64Array, to: () => Float64Array, dims: readonly number[], by: Spread): void {
  const stream = streamOf(from);
  if (stream === undefined) return;
  const factors = [...stream.factors];
  const next = factorOf(dims, by);
  // Beyond a few, factors that lie alike become one.
  const at = factors.length < MOST ? -1 : factors.findIndex((f) => f.inner === next.inner && f.data.length === next.data.length);
  if (at < 0) factors.push(next);
  else factors[at] = { ...next, data: next.data.map((v, i) => v * factors[at].data[i]) };
  streams.set(to, { ...stream, factors });
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
  for (const factor of stream.factors) {
    eachRun(factor, start, out.length, (from, to, by) => {
      for (let i = from; i < to; i++) out[i] *= by;
    });
  }
}
