/**
 * Arithmetic of two or more tensors with broadcasting: Add Sub Mul Div Mod Pow, Min Max Sum Mean.
 *
 * Integers wrap at their width (a typed array's store does that; 32-bit products go through `Math.imul`), division
 * truncates toward zero and a zero divisor gives 0. Before opset 7 the binary operators do not broadcast unless their
 * `broadcast` attribute is set; then B's shape is laid over A's from `axis` on, or over its last axes.
 */
import { backend } from "../kernels/index.ts";
import { dtypeInfo, isFloat } from "../onnx/dtype.ts";
import { allocate, asFloat64, type FloatArray, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { binary, broadcastDims, broadcastStrides, forEachRun, isBig, merge, show, withDims } from "./broadcast.ts";
import { holding, type OpContext, type OpDef, tensorOp } from "./define.ts";
import { floorMod, floorModBig, maxBig, minBig, pow, powBig } from "./math.ts";

/** One run: out[at + i] = x[p + i·sx] ∘ y[q + i·sy] for i < n. A loop each, so that the operation is compiled into it. */
type Loop = (
  out: Float64Array,
  at: number,
  n: number,
  x: Float64Array,
  p: number,
  sx: number,
  y: Float64Array,
  q: number,
  sy: number,
) => void;

const addRun: Loop = (out, at, n, x, p, sx, y, q, sy) => {
  for (const end = at + n; at < end; at++, p += sx, q += sy) out[at] = x[p] + y[q];
};
const subRun: Loop = (out, at, n, x, p, sx, y, q, sy) => {
  for (const end = at + n; at < end; at++, p += sx, q += sy) out[at] = x[p] - y[q];
};
const mulRun: Loop = (out, at, n, x, p, sx, y, q, sy) => {
  for (const end = at + n; at < end; at++, p += sx, q += sy) out[at] = x[p] * y[q];
};
const divRun: Loop = (out, at, n, x, p, sx, y, q, sy) => {
  for (const end = at + n; at < end; at++, p += sx, q += sy) out[at] = x[p] / y[q];
};

/** Where results go: over an operand of the same size, or elsewhere (define.ts). */
type Place = (n: number, ...over: readonly Tensor[]) => Float64Array;
const elsewhere: Place = (n) => new Float64Array(n);

/** Float tensors through `loop`. */
function floatBinary(a: Tensor, b: Tensor, loop: Loop, place = elsewhere): Tensor {
  const dims = broadcastDims(a.dims, b.dims);
  const out = place(sizeOf(dims), a, b);
  const x = asFloat64(a);
  const y = asFloat64(b);
  const walk = merge(dims, [broadcastStrides(a.dims, dims), broadcastStrides(b.dims, dims)]);
  const last = walk.dims.length - 1;
  const n = walk.dims[last];
  const sx = walk.strides[0][last];
  const sy = walk.strides[1][last];
  forEachRun(walk, (at, offsets) => loop(out, at, n, x, offsets[0], sx, y, offsets[1], sy));
  return { dtype: a.dtype, dims, data: out };
}

/**
 * B as NumPy broadcasting wants it: from opset 7 as it is; before, laid over A by `broadcast` and `axis`.
 */
export function alignLegacy(context: OpContext, a: Tensor, b: Tensor): Tensor {
  if (context.version >= 7) return b;
  const same = a.dims.length === b.dims.length && a.dims.every((d, i) => d === b.dims[i]);
  if (same) return b;
  if (context.int("broadcast", 0) === 0) {
    throw context.fail(`before opset 7, ${context.node.opType} of different shapes needs broadcast=1`);
  }
  if (sizeOf(b.dims) === 1) return withDims(b, []);
  const suffix = a.dims.length - b.dims.length;
  const given = context.int("axis", suffix);
  const axis = given < 0 ? given + a.dims.length : given;
  const after = suffix - axis;
  if (axis < 0 || after < 0 || b.dims.some((d, i) => d !== 1 && d !== a.dims[axis + i])) {
    throw context.fail(`shape ${show(b.dims)} does not fit ${show(a.dims)} from axis ${given} on`);
  }
  return withDims(b, [...b.dims, ...new Array<number>(after).fill(1)]);
}

interface Arithmetic {
  readonly float: Loop;
  readonly int: (x: number, y: number) => number;
  readonly big: (x: bigint, y: bigint) => bigint;
}

const ARITHMETIC = {
  Add: { float: addRun, int: (x, y) => x + y, big: (x, y) => x + y },
  Sub: { float: subRun, int: (x, y) => x - y, big: (x, y) => x - y },
  Mul: { float: mulRun, int: Math.imul, big: (x, y) => x * y },
  Div: { float: divRun, int: (x, y) => Math.trunc(x / y), big: (x, y) => (y === 0n ? 0n : x / y) },
} as const satisfies Record<string, Arithmetic>;

/** One of the four operations on tensors of one type. */
export function arithmetic(kind: keyof typeof ARITHMETIC, a: Tensor, b: Tensor, place?: Place): Tensor {
  const row: Arithmetic = ARITHMETIC[kind];
  return isFloat(a.dtype) ? floatBinary(a, b, row.float, place) : binary(a, b, a.dtype, row.int, row.big);
}

/** A sum of two float tensors, by the kernels where nothing is stretched. */
function sum(a: Tensor, b: Tensor, place: Place): Tensor {
  const dims = broadcastDims(a.dims, b.dims);
  const n = sizeOf(dims);
  const [x, y] = [a.data as FloatArray, b.data as FloatArray];
  if (x.length === n && y.length === n) {
    const out = place(n, a, b);
    if (backend().pointwise({ kind: "add", x, y, out })) return { dtype: a.dtype, dims, data: out };
    return floatBinary(a, b, addRun, () => out);
  }
  for (const array of [x, y]) backend().settle(array);
  return floatBinary(a, b, addRun, place);
}

function mod(context: OpContext, a: Tensor, b: Tensor): Tensor {
  return context.int("fmod", 0) === 1
    ? binary(
        a,
        b,
        a.dtype,
        (x, y) => x % y,
        (x, y) => (y === 0n ? 0n : x % y),
      )
    : binary(a, b, a.dtype, floorMod, floorModBig);
}

/** Element i as a bigint; the type's own, or an integer held as a number. */
const bigOf = (t: Tensor): Tensor => (isBig(t.data) ? t : { ...t, data: BigInt64Array.from(t.data as Int32Array, BigInt) });

/** The base's type is the result's. Two integer types multiply exactly; any float operand makes the power a double, truncated. */
function power(a: Tensor, b: Tensor): Tensor {
  if (isFloat(a.dtype)) {
    const y = asFloat64(b);
    const exponent: Tensor = { dtype: a.dtype, dims: b.dims, data: y };
    if (y.length === 1 && b.dims.length <= a.dims.length) {
      if (y[0] === 2) return floatBinary(a, a, mulRun);
      if (y[0] === 1) return a;
    }
    return binary(a, exponent, a.dtype, pow);
  }
  if (isFloat(b.dtype)) {
    const base: Tensor = { dtype: "float64", dims: a.dims, data: asFloat64(a) };
    const real = binary(base, b, "float64", pow);
    const out = allocate(a.dtype, sizeOf(real.dims));
    const from = real.data as Float64Array;
    if (isBig(out)) for (let i = 0; i < from.length; i++) out[i] = Number.isFinite(from[i]) ? BigInt(Math.trunc(from[i])) : 0n;
    else (out as Int32Array).set(from);
    return { dtype: a.dtype, dims: real.dims, data: out };
  }
  const exact = binary(bigOf(a), bigOf(b), "int64", pow, powBig);
  if (a.dtype === "int64") return exact;
  const out = allocate(a.dtype, sizeOf(exact.dims));
  const from = exact.data as BigInt64Array;
  if (isBig(out)) for (let i = 0; i < from.length; i++) out[i] = from[i];
  else for (let i = 0; i < from.length; i++) (out as Int32Array)[i] = Number(BigInt.asIntN(32, from[i]));
  return { dtype: a.dtype, dims: exact.dims, data: out };
}

/** Variadic operators fold their operands from the left. */
function variadic(
  type: string,
  pair: (a: Tensor, b: Tensor) => Tensor,
  finish = (t: Tensor, _count: number): Tensor => t,
): OpDef {
  return tensorOp(type, 1, 1, (_, ...inputs) => [finish(inputs.reduce(pair), inputs.length)]);
}

const smaller = (a: Tensor, b: Tensor) => binary(a, b, a.dtype, (x, y) => Math.min(x, y), minBig);
const larger = (a: Tensor, b: Tensor) => binary(a, b, a.dtype, (x, y) => Math.max(x, y), maxBig);
const add = (a: Tensor, b: Tensor) => arithmetic("Add", a, b);

/** A one-element tensor holding n, of `dtype`. */
export function scalar(dtype: Tensor["dtype"], n: number): Tensor {
  const data = allocate(dtype, 1);
  if (isBig(data)) data[0] = BigInt(n);
  else data[0] = n;
  return { dtype, dims: [], data };
}

const divideBy = (t: Tensor, count: number) => (count === 1 ? t : arithmetic("Div", t, scalar(t.dtype, count)));

export const arithmeticOps: readonly OpDef[] = [
  ...(Object.keys(ARITHMETIC) as (keyof typeof ARITHMETIC)[]).flatMap((type) =>
    holding(
      tensorOp(type, 1, 2, (context, a, b) => {
        if (a.dtype !== b.dtype) throw context.fail(`${type} of ${a.dtype} and ${b.dtype}: the types must be equal`);
        if (dtypeInfo(a.dtype).holder === "string") throw context.fail(`${type} is not defined for strings`);
        const place: Place = (n, ...over) => context.result(n, ...over);
        const right = alignLegacy(context, a, b);
        if (type === "Add" && isFloat(a.dtype)) return [sum(a, right, place)];
        for (const { data } of [a, b]) backend().settle(data);
        return [arithmetic(type, a, right, place)];
      }),
    ),
  ),
  tensorOp("Mod", 10, 2, (context, a, b) => [mod(context, a, b)]),
  tensorOp("Pow", 1, 2, (context, a, b) => [power(a, alignLegacy(context, a, b))]),
  variadic("Min", smaller),
  variadic("Max", larger),
  variadic("Sum", add),
  variadic("Mean", add, divideBy),
];
