/**
 * BatchNormalization of every opset: Y = scale·(X − mean)/√(var + ε) + B, per channel (axis 1).
 *
 * What makes it inference, and so takes mean and var from the inputs:
 *   1, 6     `is_test` ≠ 0 (its default is 0: training)
 *   7, 9     only the first output is present
 *   14, 15   `training_mode` = 0, the default
 * In training mean and var are those of the batch, var with the divisor N (all elements of a channel), and the running
 * statistics are momentum·old + (1 − momentum)·batch. `spatial` = 0 (before 9) normalises each activation over the batch
 * alone, with parameters of shape C×D₁×…×Dₙ. X of rank 1 is one channel.
 * ε and momentum default to the float32 numbers an attribute would hold.
 */
import { backend } from "../kernels/index.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { show } from "./broadcast.ts";
import { holding, type OpContext, type OpDef, tensorOp } from "./define.ts";

/** X as [batch, channels, inner]: element (n, c, i) stands at (n·channels + c)·inner + i. */
export interface Layout {
  readonly batch: number;
  readonly channels: number;
  readonly inner: number;
}

function layoutOf(dims: readonly number[], spatial: boolean): Layout {
  if (dims.length < 2) return { batch: sizeOf(dims), channels: 1, inner: 1 };
  if (!spatial) return { batch: dims[0], channels: sizeOf(dims.slice(1)), inner: 1 };
  return { batch: dims[0], channels: dims[1], inner: sizeOf(dims.slice(2)) };
}

/** Mean and population variance of each channel; NaN when there is no element. */
export function statistics(x: Float64Array, { batch, channels, inner }: Layout): { mean: Float64Array; variance: Float64Array } {
  const count = batch * inner;
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  for (let n = 0, at = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      let sum = mean[c];
      for (const end = at + inner; at < end; at++) sum += x[at];
      mean[c] = sum;
    }
  }
  for (let c = 0; c < channels; c++) mean[c] /= count;
  for (let n = 0, at = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      const m = mean[c];
      let sum = variance[c];
      for (const end = at + inner; at < end; at++) sum += (x[at] - m) * (x[at] - m);
      variance[c] = sum;
    }
  }
  for (let c = 0; c < channels; c++) variance[c] /= count;
  return { mean, variance };
}

/** (x − mean[c])·factor[c] + shift[c]. `out` may be x. */
export function normalize(
  x: Float64Array,
  { batch, channels, inner }: Layout,
  mean: Float64Array,
  factor: Float64Array,
  shift: Float64Array,
  out: Float64Array = new Float64Array(x.length),
): Float64Array {
  for (let n = 0, at = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      const m = mean[c];
      const f = factor[c];
      const b = shift[c];
      for (const end = at + inner; at < end; at++) out[at] = (x[at] - m) * f + b;
    }
  }
  return out;
}

/** momentum·old + (1 − momentum)·batch. */
export const blend = (old: Float64Array, batch: Float64Array, momentum: number) =>
  Float64Array.from(old, (v, c) => momentum * v + (1 - momentum) * batch[c]);

function isTraining(context: OpContext): boolean {
  if (context.version >= 14) return context.int("training_mode", 0) !== 0;
  if (context.version >= 7) return [1, 2, 3, 4].some((i) => context.wants(i));
  return context.int("is_test", 0) === 0;
}

function batchNormalization(context: OpContext, ...inputs: Tensor[]): readonly (Tensor | undefined)[] {
  const [x, scale, bias, mean, variance] = inputs;
  const spatial = context.version >= 9 || context.int("spatial", 1) !== 0;
  const layout = layoutOf(x.dims, spatial);
  ["scale", "B", "mean", "var"].forEach((name, i) => {
    const { dims } = inputs[i + 1];
    if (sizeOf(dims) !== layout.channels) {
      throw context.fail(`${name} of shape ${show(dims)} does not hold one number for each of ${layout.channels} channels`);
    }
  });
  const epsilon = context.float("epsilon", Math.fround(1e-5));
  const training = isTraining(context);
  if (training) backend().settle(x.data);
  for (const { data } of inputs.slice(1)) backend().settle(data);
  const data = asFloat64(x);
  const running = { mean: asFloat64(mean), variance: asFloat64(variance) };
  const used = training ? statistics(data, layout) : running;
  const factor = Float64Array.from(asFloat64(scale), (s, c) => s / Math.sqrt(used.variance[c] + epsilon));
  const out = context.result(data.length, x);
  const shift = asFloat64(bias);
  const { inner } = layout;
  const done = backend().pointwise({ kind: "affine", x: data, out, inner, mean: used.mean, factor, shift });
  if (!done) normalize(data, layout, used.mean, factor, shift, out);
  const y: Tensor = { dtype: x.dtype, dims: x.dims, data: out };
  if (!training) return [y];
  const momentum = context.float("momentum", Math.fround(0.9));
  const newMean: Tensor = { ...mean, data: blend(running.mean, used.mean, momentum) };
  const newVariance: Tensor = { ...variance, data: blend(running.variance, used.variance, momentum) };
  if (context.version >= 14) return [y, newMean, newVariance];
  return [y, newMean, newVariance, { ...mean, data: used.mean }, { ...variance, data: used.variance }];
}

export const batchnormOps: readonly OpDef[] = holding(tensorOp("BatchNormalization", 1, 5, batchNormalization));
