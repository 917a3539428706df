/**
 * Convolution of any rank: y[b, m, o] = bias[m] + Σ_{c, t} w[m, c, t] · x̂[b, c, o·stride + t·dilation], x̂ the zero-padded
 * input, c then t ascending. Padding multiplies like any other element. One input channel a group takes the depthwise kernel, and large
 * kernels of 3 the sums over tiles of winograd.ts.
 */
import { type FloatArray, sizeOf, stridesOf } from "../onnx/tensor.ts";
import { backend } from "./backend.ts";
import { frameOf, lattice, padded, positions, ramp, repeated, type Window } from "./grid.ts";
import type { Part } from "./types.ts";
import { convolveTiles, tiledAxes } from "./winograd.ts";

export interface Convolution {
  readonly x: FloatArray;
  /** [batch, channels, …spatial] */
  readonly xDims: readonly number[];
  readonly w: FloatArray;
  /** [outputs, channels / group, …kernel] */
  readonly wDims: readonly number[];
  readonly bias?: FloatArray;
  readonly group: number;
  readonly window: Window;
  /** Memory for the result, holding anything. */
  readonly place?: (n: number) => Float64Array;
  /** Whether the backend may hold the result back (types.ts, `Backend`). */
  readonly hold?: boolean;
}

export interface Planes {
  readonly dims: number[];
  readonly data: Float64Array;
}

/**
 * Without the taps at the ends of the kernel that see nothing but padding at every output: they add w·0. Weights that are not finite
 * would add NaN, and stay.
 */
function withoutIdleTaps(job: Convolution, out: readonly number[]): Convolution {
  const { window, xDims, wDims } = job;
  const { kernel, strides, dilations, begin, end } = window;
  const kept = kernel.map((count, axis) => {
    const sees = (t: number): boolean => {
      const first = t * dilations[axis] - begin[axis];
      const at = first < 0 ? first + Math.ceil(-first / strides[axis]) * strides[axis] : first;
      return at < xDims[axis + 2] && at <= first + (out[axis] - 1) * strides[axis];
    };
    let [from, to] = [0, count];
    // Padding may become less, never negative.
    while (from < count - 1 && (from + 1) * dilations[axis] <= begin[axis] && !sees(from)) from++;
    while (to > from + 1 && (count - to + 1) * dilations[axis] <= end[axis] && !sees(to - 1)) to--;
    return [from, to];
  });
  if (kept.every(([from, to], axis) => to - from === kernel[axis]) || !backend().tame(job.w)) return job;
  const sizes = kept.map(([from, to]) => to - from);
  const taps = lattice(
    sizes,
    stridesOf(kernel),
    kept.reduce((sum, [from], axis) => sum + from * stridesOf(kernel)[axis], 0),
  );
  const [from, to] = [sizeOf(kernel), taps.length];
  const n = wDims[0] * wDims[1] * to;
  const w = job.w instanceof Float32Array ? new Float32Array(n) : new Float64Array(n);
  for (let i = 0, at = 0; at < w.length; i += from) for (let t = 0; t < to; t++) w[at++] = job.w[i + taps[t]];
  const trimmed = {
    ...window,
    kernel: sizes,
    begin: begin.map((p, axis) => p - kept[axis][0] * dilations[axis]),
    end: end.map((p, axis) => p - (kernel[axis] - kept[axis][1]) * dilations[axis]),
  };
  return { ...job, w, wDims: [...wDims.slice(0, 2), ...sizes], window: trimmed };
}

export function convolve(whole: Convolution): Planes {
  const job = withoutIdleTaps(whole, positions(whole.xDims.slice(2), whole.window));
  const [batch, channels, ...spatial] = job.xDims;
  const out = positions(spatial, job.window);
  const dims = [batch, job.wDims[0], ...out];
  const n = sizeOf(dims);
  const data = job.place === undefined ? new Float64Array(n) : job.place(n);
  if (data.length === 0) return { dims, data };
  const outer = padded(spatial, job.window.begin, job.window.end);
  const strides = stridesOf(outer);
  const shape: Shape = {
    batch,
    channels,
    spatial,
    out,
    plane: sizeOf(outer),
    taps: lattice(
      job.window.kernel,
      strides.map((s, i) => s * job.window.dilations[i]),
    ),
    steps: strides.map((s, i) => s * job.window.strides[i]),
  };
  if (job.hold) backend().hold(data);
  if (channels === job.group && job.group > 1) convolveChannels(job, shape, data);
  else if (!convolveTiled(job, shape, data)) convolveGroups(job, shape, data);
  return { dims, data };
}

interface Shape {
  readonly batch: number;
  readonly channels: number;
  readonly spatial: readonly number[];
  readonly out: readonly number[];
  /** Elements of a padded plane; offsets of the taps in it, and of one step of the output along each axis. */
  readonly plane: number;
  readonly taps: Int32Array;
  readonly steps: readonly number[];
}

/** One input channel a group. */
function convolveChannels(job: Convolution, shape: Shape, data: Float64Array): void {
  const { x, w, wDims, bias, group, window } = job;
  const { batch, channels, spatial, out, plane, taps, steps } = shape;
  const last = out.length - 1;
  const [size, outSize] = [channels * sizeOf(spatial), wDims[0] * sizeOf(out)];
  backend().depthwise({
    channels: wDims[0],
    multiplier: wDims[0] / group,
    k: taps.length,
    w,
    x,
    plane,
    frame: frameOf(channels, spatial, window.begin, window.end),
    tap: taps,
    row: lattice(out.slice(0, last), steps.slice(0, last)),
    length: out[last],
    step: steps[last],
    init: bias,
    out: data,
    parts: parts(batch, size, 0, size, outSize, 0),
  });
}

/** False when sums over tiles do not pay or must not be. */
function convolveTiled(job: Convolution, shape: Shape, data: Float64Array): boolean {
  const { group, wDims } = job;
  const tiled = { ...shape, ...job, inputs: wDims[1], outputs: wDims[0] / group, data };
  const axes = tiledAxes(tiled);
  return axes !== 0 && convolveTiles(tiled, axes);
}

function convolveGroups(job: Convolution, shape: Shape, data: Float64Array): void {
  const { x, w, wDims, bias, group, window } = job;
  const { batch, channels, spatial, out, plane, taps, steps } = shape;
  const [inPlane, outPlane] = [sizeOf(spatial), sizeOf(out)];
  const groupChannels = channels / group;
  const groupOutputs = wDims[0] / group;
  const k = groupChannels * taps.length;
  const shared = {
    m: groupOutputs,
    n: outPlane,
    k,
    a: w,
    aRow: k,
    aTap: ramp(k),
    x,
    frame: frameOf(groupChannels, spatial, window.begin, window.end),
    tap: repeated(taps, groupChannels, plane),
    col: lattice(out, steps),
    init: bias,
    initRow: 1 as const,
    out: data,
    outRow: outPlane,
  };
  for (let g = 0; g < group; g++) {
    const length = groupChannels * inPlane;
    const to = g * groupOutputs * outPlane;
    backend().contract({
      ...shared,
      aBase: g * groupOutputs * k,
      initBase: g * groupOutputs,
      parts: parts(batch, channels * inPlane, g * length, length, wDims[0] * outPlane, to),
    });
  }
}

function parts(batch: number, step: number, from: number, length: number, outStep: number, to: number): Part[] {
  return Array.from({ length: batch }, (_, b) => ({ from: b * step + from, length, to: b * outStep + to }));
}
