/**
 * Convolution of any rank: y[b, m, o] = bias[m] + Σ_{c, t} w[m, c, t] · x̂[b, c, o·stride + t·dilation], x̂ the zero-padded
 * input, c then t ascending. Padding multiplies like any other element. One input channel a group takes the depthwise kernel.
 */
import { type FloatArray, sizeOf, stridesOf } from "../onnx/tensor.ts";
import { backend } from "./backend.ts";
import { frameOf, lattice, padded, positions, ramp, repeated, type Window } from "./grid.ts";
import type { Part } from "./types.ts";

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
}

export interface Planes {
  readonly dims: number[];
  readonly data: Float64Array;
}

export function convolve(job: Convolution): Planes {
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
  if (channels === job.group && job.group > 1) convolveChannels(job, shape, data);
  else convolveGroups(job, shape, data);
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
