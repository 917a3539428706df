/**
 * Transposed convolution of any rank as a gather: y[b, m, o] = bias[m] + Σ_{c, t} w[c, m, t] · x[b, c, i],
 * i·stride + t·dilation = o + begin, c then t ascending over the taps that meet an input position.
 *
 * Outputs with the same (o + begin) mod stride share their taps (a phase), and within a phase i grows by one with o: each
 * phase is an ordinary convolution with stride 1. Input positions beyond the border are zeros.
 */
import { type FloatArray, sizeOf, stridesOf } from "../onnx/tensor.ts";
import { backend } from "./backend.ts";
import type { Planes } from "./conv.ts";
import { frameOf, lattice, padded, repeated, type Window } from "./grid.ts";
import type { Frame } from "./types.ts";

export interface TransposedConvolution {
  readonly x: FloatArray;
  readonly xDims: readonly number[];
  readonly w: FloatArray;
  /** [channels, outputs / group, …kernel] */
  readonly wDims: readonly number[];
  readonly bias?: FloatArray;
  readonly group: number;
  /** `end` is not used: the output extents decide. */
  readonly window: Window;
  readonly outSpatial: readonly number[];
}

/** One residue on one axis: outputs first, first + stride, …; taps t and the input position of the first output under each. */
interface Phase {
  readonly first: number;
  readonly count: number;
  readonly taps: readonly number[];
  readonly input: readonly number[];
}

function phasesOf(extent: number, kernel: number, stride: number, dilation: number, begin: number): Phase[] {
  const phases: Phase[] = [];
  for (let first = 0; first < Math.min(stride, extent); first++) {
    const taps: number[] = [];
    const input: number[] = [];
    for (let t = 0; t < kernel; t++) {
      const at = first + begin - t * dilation;
      if (((at % stride) + stride) % stride !== 0) continue;
      taps.push(t);
      input.push(at / stride);
    }
    phases.push({ first, count: Math.floor((extent - 1 - first) / stride) + 1, taps, input });
  }
  return phases;
}

/** Every choice of one item from each list, the last list fastest. */
function product<T>(lists: readonly (readonly T[])[]): T[][] {
  return lists.reduce<T[][]>((rows, list) => rows.flatMap((row) => list.map((item) => [...row, item])), [[]]);
}

/** Zeros needed before and after an axis so that every phase reads inside. */
function margins(phases: readonly Phase[], extent: number): [number, number] {
  let begin = 0;
  let end = 0;
  for (const phase of phases) {
    for (const i of phase.input) {
      begin = Math.max(begin, -i);
      end = Math.max(end, i + phase.count - extent);
    }
  }
  return [begin, end];
}

/** All index tuples of per-axis lists as Σ value_i·step_i, the last axis fastest. */
function offsets(lists: readonly (readonly number[])[], steps: readonly number[]): Int32Array {
  let table = [0];
  lists.forEach((list, axis) => {
    table = table.flatMap((base) => list.map((value) => base + value * steps[axis]));
  });
  return Int32Array.from(table);
}

export function convolveTransposed(job: TransposedConvolution): Planes {
  const { xDims, wDims, group, window, outSpatial } = job;
  const [batch, channels, ...spatial] = xDims;
  const groupOutputs = wDims[1];
  const dims = [batch, groupOutputs * group, ...outSpatial];
  const data = new Float64Array(sizeOf(dims));
  if (data.length === 0) return { dims, data };
  const axes = outSpatial.map((extent, i) =>
    phasesOf(extent, window.kernel[i], window.strides[i], window.dilations[i], window.begin[i]),
  );
  const border = axes.map((phases, i) => margins(phases, spatial[i]));
  const begin = border.map((b) => b[0]);
  const end = border.map((b) => b[1]);
  const frame = frameOf(channels / group, spatial, begin, end);
  const outer = padded(spatial, begin, end);
  for (const phases of product(axes)) runPhase(job, phases, { dims, data, begin, outer, frame, batch, channels, spatial });
  return { dims, data };
}

interface Setting {
  readonly dims: readonly number[];
  readonly data: Float64Array;
  readonly begin: readonly number[];
  readonly outer: readonly number[];
  readonly frame: Frame | undefined;
  readonly batch: number;
  readonly channels: number;
  readonly spatial: readonly number[];
}

function runPhase(job: TransposedConvolution, phases: readonly Phase[], setting: Setting): void {
  const { x, w, wDims, bias, group, window } = job;
  const { dims, data, begin, outer, frame, batch, channels, spatial } = setting;
  const strides = stridesOf(outer);
  const groupChannels = channels / group;
  const groupOutputs = wDims[1];
  const kernelSize = sizeOf(window.kernel);
  const kernelTaps = offsets(
    phases.map((p) => p.taps),
    stridesOf(window.kernel),
  );
  const inputTaps = offsets(
    phases.map((p, i) => p.input.map((at) => at + begin[i])),
    strides,
  );
  const counts = phases.map((p) => p.count);
  const size = sizeOf(counts);
  const inPlane = sizeOf(spatial);
  const outStrides = stridesOf(job.outSpatial);
  const outPlane = sizeOf(job.outSpatial);
  const first = phases.reduce((sum, p, i) => sum + p.first * outStrides[i], 0);
  const places = lattice(
    counts,
    outStrides.map((s, i) => s * window.strides[i]),
    first,
  );
  const direct = size === outPlane;
  const result = direct ? data : new Float64Array(batch * groupOutputs * size);
  for (let g = 0; g < group; g++) {
    const to = (b: number): number => (direct ? (b * dims[1] + g * groupOutputs) * outPlane : b * groupOutputs * size);
    backend().contract({
      m: groupOutputs,
      n: size,
      k: groupChannels * kernelTaps.length,
      a: w,
      aBase: g * groupChannels * groupOutputs * kernelSize,
      aRow: kernelSize,
      aTap: repeated(kernelTaps, groupChannels, groupOutputs * kernelSize),
      x,
      frame,
      tap: repeated(inputTaps, groupChannels, sizeOf(outer)),
      col: lattice(counts, strides),
      init: bias,
      initBase: g * groupOutputs,
      initRow: 1,
      out: result,
      outRow: size,
      parts: Array.from({ length: batch }, (_, b) => ({
        from: (b * channels + g * groupChannels) * inPlane,
        length: groupChannels * inPlane,
        to: to(b),
      })),
    });
    if (!direct) scatter(result, data, places, batch, groupOutputs, dims[1], g * groupOutputs, outPlane);
  }
}

/** Puts the outputs of a phase in their places. */
function scatter(
  from: Float64Array,
  to: Float64Array,
  places: Int32Array,
  batch: number,
  planes: number,
  channels: number,
  first: number,
  plane: number,
): void {
  let source = 0;
  for (let b = 0; b < batch; b++) {
    for (let p = 0; p < planes; p++) {
      const base = (b * channels + first + p) * plane;
      for (let i = 0; i < places.length; i++) to[base + places[i]] = from[source++];
    }
  }
}
