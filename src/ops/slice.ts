/** Operators that take or add pieces along axes: Slice, Pad, CenterCropPad, ReverseSequence, Compress. */
import { asNumbers, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { blankLike, copyRun, lanes, normalizeAxes, normalizeAxis, show, splitAt, strided, withDims } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

/** Element i along the axis of the result is element `indices[i]` of the operand, or `fill` where that is −1. */
export function takeAxis(input: Tensor, axis: number, indices: ArrayLike<number>, fill?: unknown): Tensor {
  const { outer, n, inner } = splitAt(input.dims, axis);
  const width = lanes(input.dtype) * inner;
  const dims = input.dims.map((d, i) => (i === axis ? indices.length : d));
  const data = blankLike(input.data, outer * indices.length * width);
  if (fill !== undefined) (data as unknown[]).fill(fill);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < indices.length; i++, at += width) {
      const from = indices[i];
      if (from < 0) continue;
      if (width === 1) (data as unknown[])[at] = input.data[o * n + from];
      else copyRun(data, at, input.data, (o * n + from) * width, width);
    }
  }
  return { dtype: input.dtype, dims, data };
}

/** Bounds are counted from the end when negative, then clamped: to [0, n], or for a step back starts to [0, n − 1], ends to [−1, n − 1]. */
function slice(
  context: OpContext,
  input: Tensor,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[] = starts.map((_, i) => i),
  steps: readonly number[] = starts.map(() => 1),
): Tensor {
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    throw context.fail("starts, ends, axes and steps must have one length");
  }
  const dims = [...input.dims];
  const strides = stridesOf(dims);
  let offset = 0;
  normalizeAxes(axes, dims.length).forEach((axis, k) => {
    const [n, step] = [input.dims[axis], steps[k]];
    if (step === 0) throw context.fail("a step is 0");
    const clamp = (i: number, least: number) => Math.min(Math.max(i < 0 ? i + n : i, least), step < 0 ? n - 1 : n);
    const from = clamp(starts[k], 0);
    dims[axis] = Math.max(0, Math.ceil((clamp(ends[k], step < 0 ? -1 : 0) - from) / step));
    offset += from * strides[axis];
    strides[axis] *= step;
  });
  return strided(input, dims, strides, sizeOf(dims) === 0 ? 0 : offset);
}

type PadMode = "constant" | "edge" | "reflect" | "wrap";

/** Where position i of the padded axis comes from in [0, n); −1: from nowhere. */
function source(i: number, n: number, mode: PadMode): number {
  if (i >= 0 && i < n) return i;
  if (mode === "constant" || n === 0) return -1;
  if (mode === "edge") return i < 0 ? 0 : n - 1;
  const period = mode === "wrap" ? n : Math.max(1, 2 * (n - 1));
  const k = ((i % period) + period) % period;
  return k < n ? k : period - k;
}

function pad(context: OpContext, input: Tensor, pads: readonly number[], axes: readonly number[], value: unknown): Tensor {
  const mode = context.string("mode", "constant") as PadMode;
  if (!["constant", "edge", "reflect", "wrap"].includes(mode)) throw context.fail(`the mode "${mode}" does not exist`);
  if (pads.length !== 2 * axes.length) throw context.fail(`pads ${show(pads)} do not fit ${axes.length} axes`);
  let out = input;
  normalizeAxes(axes, input.dims.length).forEach((axis, k) => {
    const [before, after] = [pads[k], pads[axes.length + k]];
    if (before === 0 && after === 0) return;
    const n = input.dims[axis];
    const size = n + before + after;
    if (size < 0) throw context.fail(`pads ${show(pads)} take more from axis ${axis} than its size ${n}`);
    out = takeAxis(
      out,
      axis,
      Int32Array.from({ length: size }, (_, i) => source(i - before, n, mode)),
      value,
    );
  });
  return out;
}

const everyAxis = (tensor: Tensor) => tensor.dims.map((_, i) => i);

function padInputs(context: OpContext, input: Tensor, pads: Tensor, value?: Tensor, axes?: Tensor): Tensor {
  return pad(context, input, asNumbers(pads), axes === undefined ? everyAxis(input) : asNumbers(axes), value?.data[0]);
}

/** Crops or pads around the middle; an odd difference leaves the extra element at the end. */
function centerCropPad(context: OpContext, input: Tensor, shape: readonly number[]): Tensor {
  const axes = normalizeAxes(context.ints("axes") ?? everyAxis(input), input.dims.length);
  if (axes.length !== shape.length) throw context.fail(`the shape ${show(shape)} does not fit ${axes.length} axes`);
  let out = input;
  axes.forEach((axis, k) => {
    const n = input.dims[axis];
    const before = n < shape[k] ? Math.floor((shape[k] - n) / 2) : -Math.floor((n - shape[k]) / 2);
    if (n !== shape[k])
      out = takeAxis(
        out,
        axis,
        Int32Array.from({ length: shape[k] }, (_, i) => source(i - before, n, "constant")),
      );
  });
  return out;
}

/** The first `lengths[b]` steps of each sequence in reverse. */
function reverseSequence(context: OpContext, input: Tensor, lengths: Tensor): Tensor {
  const time = normalizeAxis(context.int("time_axis", 0), input.dims.length);
  const batch = normalizeAxis(context.int("batch_axis", 1), input.dims.length);
  const n = input.dims[time];
  const steps = asNumbers(lengths);
  if (steps.length !== input.dims[batch]) throw context.fail(`${steps.length} lengths for ${input.dims[batch]} sequences`);
  const strides = stridesOf(input.dims);
  const dims = input.dims.map((d, i) => (i === batch ? 1 : d));
  const data = blankLike(input.data, input.data.length) as unknown[];
  steps.forEach((length, b) => {
    if (length < 0 || length > n) throw context.fail(`length ${length} is outside [0, ${n}]`);
    const one = strided(input, dims, strides, b * strides[batch]);
    const turned = takeAxis(
      one,
      time,
      Int32Array.from({ length: n }, (_, i) => (i < length ? length - 1 - i : i)),
    );
    const { outer, inner } = splitAt(dims, batch);
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < inner; k++) data[o * strides[batch] * input.dims[batch] + b * inner + k] = turned.data[o * inner + k];
    }
  });
  return { ...input, data: data as unknown as Tensor["data"] };
}

function compress(context: OpContext, input: Tensor, condition: Tensor): Tensor {
  const whole = context.attribute("axis") === undefined;
  const flat = whole ? withDims(input, [sizeOf(input.dims)]) : input;
  const axis = whole ? 0 : normalizeAxis(context.int("axis", 0), input.dims.length);
  const kept: number[] = [];
  for (let i = 0; i < Math.min(condition.data.length, flat.dims[axis]); i++) if (condition.data[i]) kept.push(i);
  return takeAxis(flat, axis, kept);
}

const numbers = (tensor: Tensor | undefined) => (tensor === undefined ? undefined : asNumbers(tensor));

export const sliceOps: readonly OpDef[] = [
  tensorOp("Slice", 1, 1, (context, input) => {
    return [slice(context, input, context.ints("starts") ?? [], context.ints("ends") ?? [], context.ints("axes"))];
  }),
  tensorOp("Slice", 10, 3, (context, input, starts, ends, axes, steps) => {
    return [slice(context, input, asNumbers(starts), asNumbers(ends), numbers(axes), numbers(steps))];
  }),
  tensorOp("Pad", 1, 1, (context, input) => {
    return [
      pad(context, input, context.ints("pads") ?? context.ints("paddings") ?? [], everyAxis(input), context.float("value", 0)),
    ];
  }),
  tensorOp("Pad", 11, 2, (context, input, pads, value, axes) => [padInputs(context, input, pads, value, axes)]),
  tensorOp("CenterCropPad", 18, 2, (context, input, shape) => [centerCropPad(context, input, asNumbers(shape))]),
  tensorOp("ReverseSequence", 10, 2, (context, input, lengths) => [reverseSequence(context, input, lengths)]),
  tensorOp("Compress", 9, 2, (context, input, condition) => [compress(context, input, condition)]),
];
