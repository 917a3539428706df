/**
 * Softmax, LogSoftmax, Hardmax.
 *
 *   Softmax(x)ᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m),   LogSoftmax(x)ᵢ = xᵢ − m − log Σⱼ e^(xⱼ − m),   m = maxⱼ xⱼ
 *
 * over the lines along `axis` (default −1) from opset 13 on. Before, the input is seen as a matrix split at `axis`
 * (default 1) and a line is a row of it: all later axes together.
 */
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { type AxisSplit, normalizeAxis, splitAt } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

/** Writes to `out` the function of each line of `x`: n elements `inner` apart from `start` on. */
type Line = (x: Float64Array, out: Float64Array, start: number, n: number, inner: number) => void;

function largest(x: Float64Array, start: number, end: number, inner: number): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = start; i < end; i += inner) {
    const v = x[i];
    if (v > top || Number.isNaN(v)) top = v;
    if (Number.isNaN(top)) break;
  }
  return top;
}

export const softmaxLine: Line = (x, out, start, n, inner) => {
  const end = start + n * inner;
  const top = largest(x, start, end, inner);
  let sum = 0;
  for (let i = start; i < end; i += inner) {
    const e = Math.exp(x[i] - top);
    out[i] = e;
    sum += e;
  }
  for (let i = start; i < end; i += inner) out[i] /= sum;
};

export const logSoftmaxLine: Line = (x, out, start, n, inner) => {
  const end = start + n * inner;
  const top = largest(x, start, end, inner);
  let sum = 0;
  for (let i = start; i < end; i += inner) sum += Math.exp(x[i] - top);
  const log = Math.log(sum);
  for (let i = start; i < end; i += inner) out[i] = x[i] - top - log;
};

/** 1 at the first largest element. */
const hardmaxLine: Line = (x, out, start, n, inner) => {
  const end = start + n * inner;
  let best = start;
  for (let i = start; i < end; i += inner) if (x[i] > x[best]) best = i;
  if (n > 0) out[best] = 1;
};

/** `line` applied along one axis. */
export function alongAxis(x: Tensor, { outer, n, inner }: AxisSplit, line: Line): Tensor {
  const from = asFloat64(x);
  const out = new Float64Array(from.length);
  for (let o = 0; o < outer; o++) for (let k = 0; k < inner; k++) line(from, out, o * n * inner + k, n, inner);
  return { dtype: x.dtype, dims: x.dims, data: out };
}

function lines(context: OpContext, { dims }: Tensor): AxisSplit {
  if (context.version >= 13) return splitAt(dims, normalizeAxis(context.int("axis", -1), dims.length));
  const given = context.int("axis", 1);
  const axis = given === dims.length ? given : normalizeAxis(given, dims.length);
  return { outer: sizeOf(dims.slice(0, axis)), n: sizeOf(dims.slice(axis)), inner: 1 };
}

const ROWS: readonly (readonly [type: string, line: Line])[] = [
  ["Softmax", softmaxLine],
  ["LogSoftmax", logSoftmaxLine],
  ["Hardmax", hardmaxLine],
];

export const softmaxOps: readonly OpDef[] = ROWS.map(([type, line]) =>
  tensorOp(type, 1, 1, (context, x) => [alongAxis(x, lines(context, x), line)]),
);
