/**
 * Reductions: Reduce*, ArgMax, ArgMin.
 *
 * The input is walked once in memory order; an element steps the output by 0 along reduced axes. Over an empty set: sums 0,
 * products 1, Max −∞ (the type's least), Min +∞, LogSum and LogSumExp −∞, Mean 0/0. LogSumExp = m + log Σ e^(x−m) with m = max x.
 * Integers stay exact and wrap; roots, logarithms and means of integers are truncated.
 * Axes: the attribute before opset 18 (ReduceSum: 13), the second input after; none means all, unless noop_with_empty_axes.
 */
import { type DType, dtypeInfo, isFloat } from "../onnx/dtype.ts";
import { allocate, asFloat64, asNumbers, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { forEachRun, isBig, merge, normalizeAxes, normalizeAxis, splitAt } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { maxBig, minBig } from "./math.ts";

export interface Frame {
  /** Shape with reduced axes as 1. */
  readonly kept: readonly number[];
  /** Shape of the result. */
  readonly dims: readonly number[];
  /** Elements reduced into one. */
  readonly count: number;
  /** Output step per input axis: 0 where reduced. */
  readonly steps: readonly number[];
}

export function frame(dims: readonly number[], axes: readonly number[], keepdims: boolean): Frame {
  const reduced = new Set(axes);
  const kept = dims.map((d, i) => (reduced.has(i) ? 1 : d));
  const own = stridesOf(kept);
  return {
    kept,
    dims: keepdims ? kept : dims.filter((_, i) => !reduced.has(i)),
    count: sizeOf(dims.filter((_, i) => reduced.has(i))),
    steps: dims.map((_, i) => (reduced.has(i) ? 0 : own[i])),
  };
}

/** acc[o] = step(acc[o], x[i], o) for every element. */
function accumulate<T>(
  dims: readonly number[],
  { steps }: Frame,
  x: ArrayLike<T>,
  acc: { [i: number]: T },
  step: (a: T, v: T, o: number) => T,
): void {
  const walk = merge(dims, [steps]);
  const last = walk.dims.length - 1;
  const n = walk.dims[last];
  const s = walk.strides[0][last];
  forEachRun(walk, (at, [from]) => {
    if (s === 0) {
      let a = acc[from];
      for (let i = at; i < at + n; i++) a = step(a, x[i], from);
      acc[from] = a;
    } else for (let i = 0, o = from; i < n; i++, o += s) acc[o] = step(acc[o], x[at + i], o);
  });
}

/** Σ x per output element, in double: the reduction networks use most, so without a call per element. */
export function sums(dims: readonly number[], { kept, steps }: Frame, x: Float64Array): Float64Array {
  const acc = new Float64Array(sizeOf(kept));
  const walk = merge(dims, [steps]);
  const last = walk.dims.length - 1;
  const n = walk.dims[last];
  const s = walk.strides[0][last];
  forEachRun(walk, (at, offsets) => {
    let o = offsets[0];
    const end = at + n;
    if (s === 0) {
      let a = acc[o];
      for (let i = at; i < end; i++) a += x[i];
      acc[o] = a;
    } else for (let i = at; i < end; i++, o += s) acc[o] += x[i];
  });
  return acc;
}

interface Reduction {
  readonly init: number;
  readonly step: (a: number, v: number) => number;
  /** The step on 32-bit and narrower integers where double arithmetic would lose bits. */
  readonly int?: (a: number, v: number) => number;
  /** The step on 64-bit integers; absent: they are reduced in double. */
  readonly big?: (a: bigint, v: bigint) => bigint;
  readonly finish?: (a: number, count: number) => number;
}

const plus = (a: number, v: number) => a + v;
const square = (a: number, v: number) => a + v * v;

const REDUCTIONS: Readonly<Record<string, Reduction>> = {
  ReduceSum: { init: 0, step: plus, big: (a, v) => a + v },
  ReduceMean: { init: 0, step: plus, big: (a, v) => a + v, finish: (a, count) => a / count },
  ReduceProd: { init: 1, step: (a, v) => a * v, int: Math.imul, big: (a, v) => a * v },
  ReduceMax: {
    init: Number.NEGATIVE_INFINITY,
    step: (a, v) => Math.max(a, v),
    big: maxBig,
  },
  ReduceMin: {
    init: Number.POSITIVE_INFINITY,
    step: (a, v) => Math.min(a, v),
    big: minBig,
  },
  ReduceL1: { init: 0, step: (a, v) => a + Math.abs(v), big: (a, v) => a + (v < 0n ? -v : v) },
  ReduceL2: { init: 0, step: square, finish: Math.sqrt },
  ReduceSumSquare: { init: 0, step: square, int: (a, v) => (a + Math.imul(v, v)) | 0, big: (a, v) => a + v * v },
  ReduceLogSum: { init: 0, step: plus, finish: Math.log },
};

/** The least or greatest value of an integer type, where a reduction starts from an infinity. */
function integerLimit(dtype: DType, init: number): bigint {
  const { bits, name } = dtypeInfo(dtype);
  if (name === "bool") return init < 0 ? 0n : 1n;
  const signed = !name.startsWith("u");
  const width = BigInt(signed ? bits - 1 : bits);
  if (init > 0) return (1n << width) - 1n;
  return signed ? -(1n << width) : 0n;
}

const truncated = (v: number): bigint => (Number.isFinite(v) ? BigInt(Math.trunc(v)) : 0n);

/** Doubles stored as `dtype`: as they are for floats, truncated for integers. */
function store(dtype: DType, values: Float64Array): Tensor["data"] {
  if (isFloat(dtype)) return values;
  const out = allocate(dtype, values.length);
  if (isBig(out)) for (let i = 0; i < values.length; i++) out[i] = truncated(values[i]);
  else (out as Int32Array).set(values);
  return out;
}

function logSumExp(x: Tensor, f: Frame): Float64Array {
  const n = sizeOf(f.kept);
  const data = asFloat64(x);
  const top = new Float64Array(n).fill(Number.NEGATIVE_INFINITY);
  accumulate(x.dims, f, data, top, (a, v) => Math.max(a, v));
  const acc = new Float64Array(n);
  accumulate(x.dims, f, data, acc, (a, v, o) => a + (v === top[o] ? 1 : Math.exp(v - top[o])));
  for (let i = 0; i < n; i++) acc[i] = top[i] + Math.log(acc[i]);
  return acc;
}

function reduceWith(x: Tensor, f: Frame, { init, step, int, big, finish }: Reduction): Tensor["data"] {
  const n = sizeOf(f.kept);
  const { data, dtype } = x;
  if (isBig(data) && big !== undefined) {
    const acc = allocate(dtype, n) as BigInt64Array;
    acc.fill(Number.isFinite(init) ? BigInt(init) : integerLimit(dtype, init));
    accumulate<bigint>(x.dims, f, data, acc, big);
    if (finish !== undefined && f.count > 0) for (let i = 0; i < n; i++) acc[i] /= BigInt(f.count);
    return acc;
  }
  if (int !== undefined && !isBig(data) && !isFloat(dtype)) {
    const acc = new Int32Array(n).fill(init);
    accumulate<number>(x.dims, f, data as Int32Array, acc, int);
    const out = allocate(dtype, n) as Int32Array;
    out.set(acc);
    return out;
  }
  const values = asFloat64(x);
  let acc: Float64Array;
  if (step === plus) acc = sums(x.dims, f, values);
  else {
    acc = new Float64Array(n).fill(Number.isFinite(init) || isFloat(dtype) ? init : Number(integerLimit(dtype, init)));
    accumulate<number>(x.dims, f, values, acc, step);
  }
  if (finish !== undefined) for (let i = 0; i < n; i++) acc[i] = finish(acc[i], f.count);
  return store(dtype, acc);
}

/** Axes of a reduction of `x`, normalised. */
function axesOf(context: OpContext, x: Tensor, input: Tensor | undefined): number[] {
  const given = input === undefined ? (context.ints("axes") ?? []) : asNumbers(input);
  if (given.length > 0) return normalizeAxes(given, x.dims.length);
  return context.int("noop_with_empty_axes", 0) !== 0 ? [] : x.dims.map((_, i) => i);
}

function reduce(context: OpContext, x: Tensor, axes: Tensor | undefined, data: (f: Frame) => Tensor["data"]): Tensor {
  const f = frame(x.dims, axesOf(context, x, axes), context.int("keepdims", 1) !== 0);
  return { dtype: x.dtype, dims: f.dims, data: data(f) };
}

/** Position of the extreme along an axis: the first of equals, or the last; a NaN is more extreme than any number. */
function argExtreme(context: OpContext, x: Tensor, beats: (v: number | bigint, best: number | bigint) => boolean): Tensor {
  const axis = normalizeAxis(context.int("axis", 0), x.dims.length);
  const latest = context.int("select_last_index", 0) !== 0;
  const { outer, n, inner } = splitAt(x.dims, axis);
  if (n === 0 && outer * inner > 0) throw context.fail("the axis is empty: there is no extreme to point at");
  const data = x.data as ArrayLike<number>;
  const out = new BigInt64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      const start = o * n * inner + k;
      let at = 0;
      let best = data[start];
      for (let i = 1; i < n; i++) {
        const v = data[start + i * inner];
        const vIsNaN = Number.isNaN(v);
        const bestIsNaN = Number.isNaN(best);
        const wins = bestIsNaN ? latest && vIsNaN : vIsNaN || beats(v, best) || (latest && v === best);
        if (wins) {
          best = v;
          at = i;
        }
      }
      out[o * inner + k] = BigInt(at);
    }
  }
  return { dtype: "int64", dims: frame(x.dims, [axis], context.int("keepdims", 1) !== 0).dims, data: out };
}

export const reduceOps: readonly OpDef[] = [
  ...Object.entries(REDUCTIONS).map(([type, row]) =>
    tensorOp(type, 1, 1, (context, x, axes) => [reduce(context, x, axes, (f) => reduceWith(x, f, row))]),
  ),
  tensorOp("ReduceLogSumExp", 1, 1, (context, x, axes) => [reduce(context, x, axes, (f) => store(x.dtype, logSumExp(x, f)))]),
  tensorOp("ArgMax", 1, 1, (context, x) => [argExtreme(context, x, (v, best) => v > best)]),
  tensorOp("ArgMin", 1, 1, (context, x) => [argExtreme(context, x, (v, best) => v < best)]),
];
