/**
 * Activations. A plain one is a row: its attributes are read once and give a function of x. The ones a network spends its
 * time in (Relu, LeakyRelu, PRelu, Clip, Sigmoid) have a loop of their own. Attribute defaults are float32 numbers, as an
 * attribute written out would be.
 */
import { backend } from "../kernels/index.ts";
import { isFloat } from "../onnx/dtype.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { binary, isBig, show, unary, withDims } from "./broadcast.ts";
import { holding, type OpContext, type OpDef, owning, tensorOp } from "./define.ts";
import { gelu, geluTanh, maxBig, minBig, sigmoid, softplus } from "./math.ts";

type Scalar = (x: number) => number;

/** Attribute `name` with a default as float32. */
const real = (context: OpContext, name: string, fallback: number): number => context.float(name, Math.fround(fallback));

/** max(0, min(1, αx + β)), NaN kept. */
const hardSigmoid =
  (alpha: number, beta: number): Scalar =>
  (x) =>
    Math.max(0, Math.min(1, alpha * x + beta));

const ROWS: readonly (readonly [type: string, since: number, make: (context: OpContext) => Scalar])[] = [
  ["Tanh", 1, () => (x) => Math.tanh(x)],
  ["Softplus", 1, () => softplus],
  ["Softsign", 1, () => (x) => x / (1 + Math.abs(x))],
  ["Gelu", 20, (context) => (context.string("approximate", "none") === "tanh" ? geluTanh : gelu)],
  ["Mish", 18, () => (x) => x * Math.tanh(softplus(x))],
  [
    "Elu",
    1,
    (context) => {
      const alpha = context.float("alpha", 1);
      return (x) => (x < 0 ? alpha * Math.expm1(x) : x);
    },
  ],
  [
    "Celu",
    12,
    (context) => {
      const alpha = context.float("alpha", 1);
      return (x) => Math.max(0, x) + Math.min(0, alpha * Math.expm1(x / alpha));
    },
  ],
  [
    "Selu",
    1,
    (context) => {
      const alpha = real(context, "alpha", context.version < 6 ? 1.6732 : 1.6732631921768188);
      const gamma = real(context, "gamma", context.version < 6 ? 1.0507 : 1.0507010221481323);
      return (x) => (x <= 0 ? gamma * alpha * Math.expm1(x) : gamma * x);
    },
  ],
  ["HardSigmoid", 1, (context) => hardSigmoid(real(context, "alpha", 0.2), context.float("beta", 0.5))],
  [
    "HardSwish",
    14,
    () => {
      const gate = hardSigmoid(1 / 6, 0.5);
      return (x) => x * gate(x);
    },
  ],
  [
    "Swish",
    24,
    (context) => {
      const alpha = context.float("alpha", 1);
      return (x) => x * sigmoid(alpha * x);
    },
  ],
  [
    "ThresholdedRelu",
    1,
    (context) => {
      const alpha = context.float("alpha", 1);
      return (x) => (x > alpha ? x : 0);
    },
  ],
  [
    "Affine",
    1,
    (context) =>
      (
        (a, b) => (x: number) =>
          a * x + b
      )(context.float("alpha", 1), context.float("beta", 0)),
  ],
  [
    "ScaledTanh",
    1,
    (context) =>
      (
        (a, b) => (x: number) =>
          a * Math.tanh(b * x)
      )(context.float("alpha", 1), context.float("beta", 1)),
  ],
  [
    "ParametricSoftplus",
    1,
    (context) =>
      (
        (a, b) => (x: number) =>
          a * softplus(b * x)
      )(context.float("alpha", 1), context.float("beta", 1)),
  ],
];

/** max(0, v): v + |v| is 2v or 0, exactly, and no branch for the processor to guess wrong; where it is not finite, by Math.max. */
function positive(v: number): number {
  const twice = v + Math.abs(v);
  return twice - twice === 0 ? 0.5 * twice : Math.max(0, v);
}

function relu(context: OpContext, x: Tensor): Tensor {
  if (!isFloat(x.dtype))
    return unary(
      x,
      x.dtype,
      (v) => Math.max(0, v),
      (v) => maxBig(v, 0n),
    );
  const from = asFloat64(x);
  const out = context.result(from.length, x);
  const done = backend().pointwise({ kind: "clip", x: from, out, low: 0, high: Number.POSITIVE_INFINITY });
  if (!done) for (let i = 0; i < out.length; i++) out[i] = positive(from[i]);
  return { dtype: x.dtype, dims: x.dims, data: out };
}

function leakyRelu(context: OpContext, x: Tensor, alpha: number): Tensor {
  const from = asFloat64(x);
  const out = context.result(from.length, x);
  for (let i = 0; i < out.length; i++) {
    const v = from[i];
    out[i] = v < 0 ? alpha * v : v;
  }
  return { dtype: x.dtype, dims: x.dims, data: out };
}

function logistic(context: OpContext, x: Tensor): Tensor {
  const from = asFloat64(x);
  const out = context.result(from.length, x);
  for (let i = 0; i < out.length; i++) out[i] = 1 / (1 + Math.exp(-from[i]));
  return { dtype: x.dtype, dims: x.dims, data: out };
}

/** Slope per element, broadcast to x; before opset 7 one slope, or one per channel (axis 1). */
function prelu(context: OpContext, x: Tensor, slope: Tensor): Tensor {
  let s = slope;
  if (context.version < 7 && x.dims.length > 1) {
    const n = sizeOf(slope.dims);
    if (n !== 1 && n !== x.dims[1])
      throw context.fail(`slope of shape ${show(slope.dims)} is neither one number nor one per channel`);
    s = withDims(slope, [n, ...new Array<number>(x.dims.length - 2).fill(1)]);
  }
  const fn = (v: number, k: number) => (v < 0 ? k * v : v);
  if (isBig(x.data)) return binary(x, s, x.dtype, fn, (v, k) => (v < 0n ? k * v : v));
  if (!isFloat(x.dtype)) return binary(x, s, x.dtype, (v, k) => (v < 0 ? Math.imul(k, v) : v));
  if (sizeOf(s.dims) === 1) return leakyRelu(context, x, asFloat64(s)[0]);
  return binary(x, s, x.dtype, fn);
}

/** min(max(x, low), high): the upper bound wins when they cross; an absent bound does not bind. */
function clip(context: OpContext, x: Tensor, low: Tensor | undefined, high: Tensor | undefined): Tensor {
  for (const { data } of [low, high].filter((limit) => limit !== undefined)) backend().settle(data);
  if (isBig(x.data)) {
    const lo = low && (low.data as BigInt64Array)[0];
    const hi = high && (high.data as BigInt64Array)[0];
    return unary(
      x,
      x.dtype,
      (v) => v,
      (v) => {
        const raised = lo === undefined ? v : maxBig(v, lo);
        return hi === undefined ? raised : minBig(raised, hi);
      },
    );
  }
  const lo = low === undefined ? Number.NEGATIVE_INFINITY : Number(low.data[0]);
  const hi = high === undefined ? Number.POSITIVE_INFINITY : Number(high.data[0]);
  if (!isFloat(x.dtype)) return unary(x, x.dtype, (v) => Math.min(Math.max(v, lo), hi));
  const from = asFloat64(x);
  const out = context.result(from.length, x);
  const result = { dtype: x.dtype, dims: x.dims, data: out };
  if (backend().pointwise({ kind: "clip", x: from, out, low: lo, high: hi })) return result;
  if (lo === 0 && !Object.is(lo, -0) && hi > 0) {
    // Relu6 and its like. Few elements are above the upper bound, so that branch is guessed right; a choice of values is slower.
    for (let i = 0; i < out.length; i++) {
      const v = from[i];
      out[i] = positive(v);
      if (v > hi) out[i] = hi;
    }
  } else for (let i = 0; i < out.length; i++) out[i] = Math.min(Math.max(from[i], lo), hi);
  return result;
}

const float64 = (value: number): Tensor => ({ dtype: "float64", dims: [], data: Float64Array.of(value) });
const bound = (context: OpContext, name: string, fallback: number | undefined) => {
  const value = context.attribute(name)?.f ?? fallback;
  return value === undefined ? undefined : float64(value);
};
const FLOAT_MAX = (2 - 2 ** -23) * 2 ** 127;

function shrink(context: OpContext, x: Tensor): Tensor {
  const bias = context.float("bias", 0);
  const lambd = context.float("lambd", 0.5);
  const fn = (v: number) => (v < -lambd ? v + bias : v > lambd ? v - bias : 0);
  return unary(x, x.dtype, fn, (v) => BigInt(Math.trunc(fn(Number(v)))));
}

export const activationOps: readonly OpDef[] = [
  ...ROWS.map(([type, since, make]) => tensorOp(type, since, 1, (context, x) => [unary(x, x.dtype, make(context))])),
  ...owning(
    tensorOp("LeakyRelu", 1, 1, (context, x) => [leakyRelu(context, x, real(context, "alpha", 0.01))]),
    tensorOp("Sigmoid", 1, 1, (context, x) => [logistic(context, x)]),
  ),
  ...holding(
    tensorOp("Relu", 1, 1, (context, x) => [relu(context, x)]),
    tensorOp("Clip", 1, 1, (context, x) => {
      return [clip(context, x, bound(context, "min", undefined), bound(context, "max", undefined))];
    }),
    tensorOp("Clip", 6, 1, (context, x) => {
      return [clip(context, x, bound(context, "min", -FLOAT_MAX), bound(context, "max", FLOAT_MAX))];
    }),
    tensorOp("Clip", 11, 1, (context, x, low, high) => [clip(context, x, low, high)]),
  ),
  tensorOp("PRelu", 1, 2, (context, x, slope) => [prelu(context, x, slope)]),
  tensorOp("Shrink", 9, 1, (context, x) => [shrink(context, x)]),
  tensorOp("SwiGLU", 28, 2, (context, a, b) => {
    if (show(a.dims) !== show(b.dims)) throw context.fail("SwiGLU does not broadcast");
    const alpha = context.float("alpha", 1);
    return [binary(a, b, a.dtype, (x, y) => x * sigmoid(alpha * x) * y)];
  }),
];

/** An activation of the recurrent operators: the defaults of the parameters it takes, and the function they give. */
export interface Gate {
  readonly alpha?: number;
  readonly beta?: number;
  readonly make: (alpha: number, beta: number) => Scalar;
}

/** By lower-case name. Defaults are those of the ONNX operators of the same name. */
export const GATES: Readonly<Record<string, Gate>> = {
  relu: { make: () => (x) => Math.max(0, x) },
  tanh: { make: () => Math.tanh },
  sigmoid: { make: () => sigmoid },
  softsign: { make: () => (x) => x / (1 + Math.abs(x)) },
  softplus: { make: () => softplus },
  affine: { alpha: 1, beta: 0, make: (a, b) => (x) => a * x + b },
  leakyrelu: { alpha: Math.fround(0.01), make: (a) => (x) => (x < 0 ? a * x : x) },
  thresholdedrelu: { alpha: 1, make: (a) => (x) => (x >= a ? x : 0) },
  scaledtanh: { alpha: 1, beta: 1, make: (a, b) => (x) => a * Math.tanh(b * x) },
  hardsigmoid: { alpha: Math.fround(0.2), beta: 0.5, make: hardSigmoid },
  elu: { alpha: 1, make: (a) => (x) => (x < 0 ? a * Math.expm1(x) : x) },
};
