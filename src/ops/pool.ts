/**
 * MaxPool 1–22, AveragePool 1–22, LpPool 1–22, the three Global pools, MaxUnpool 9–22 and MaxRoiPool 1–22, of any rank.
 *
 * Which input elements each window covers is the same for every plane, so it is computed once as two lists (starts, elements)
 * and reused. The average divides by the elements covered, or with count_include_pad by those in the padded extent too, but
 * never by the overhang ceil_mode adds. LpPool is (Σ|x|^p)^(1/p).
 */
import { backend, frameOf, lattice, padded, type Window } from "../kernels/index.ts";
import {
  allocate,
  asFloat64,
  asNumbers,
  type FloatArray,
  type IntArray,
  sizeOf,
  stridesOf,
  type Tensor,
} from "../onnx/tensor.ts";
import { holding, type OpContext, type OpDef, owning, tensorOp } from "./define.ts";
import { perAxis, poolWindow } from "./window.ts";

/** Elements under output o: elements[starts[o] … starts[o+1]). `sizes` counts positions inside the padded extent. */
interface Cover {
  readonly starts: Int32Array;
  readonly elements: Int32Array;
  readonly sizes: Int32Array;
}

/** Per axis and output position: the input positions under the window, and how many lie in the padded extent. */
function axisCover(d: number, out: number, window: Window, axis: number): { inside: number[][]; padded: number[] } {
  const inside: number[][] = [];
  const padded: number[] = [];
  const { kernel, strides, dilations, begin, end } = window;
  for (let o = 0; o < out; o++) {
    const under: number[] = [];
    let count = 0;
    for (let t = 0; t < kernel[axis]; t++) {
      const at = o * strides[axis] + t * dilations[axis] - begin[axis];
      if (at >= 0 && at < d) under.push(at);
      if (at < d + end[axis]) count++;
    }
    inside.push(under);
    padded.push(count);
  }
  return { inside, padded };
}

function cover(spatial: readonly number[], out: readonly number[], window: Window): Cover {
  const axes = spatial.map((d, i) => axisCover(d, out[i], window, i));
  const strides = stridesOf(spatial);
  const n = sizeOf(out);
  const starts = new Int32Array(n + 1);
  const sizes = new Int32Array(n);
  const total = axes.reduce((product, axis) => product * axis.inside.reduce((sum, list) => sum + list.length, 0), 1);
  const elements = new Int32Array(total);
  const index = new Array<number>(out.length).fill(0);
  let filled = 0;
  for (let o = 0; o < n; o++) {
    let size = 1;
    const from = filled;
    elements[filled++] = 0;
    if (axes.some((axis, i) => axis.inside[index[i]].length === 0)) filled = from;
    for (let i = 0; i < out.length; i++) {
      size *= axes[i].padded[index[i]];
      if (filled > from) filled = extend(elements, from, filled, axes[i].inside[index[i]], strides[i]);
    }
    starts[o + 1] = filled;
    sizes[o] = size;
    for (let i = out.length - 1; i >= 0 && ++index[i] === out[i]; i--) index[i] = 0;
  }
  return { starts, elements, sizes };
}

/** Replaces each offset in elements[from … to) by itself plus each of list·step, in order; gives the new end. */
function extend(elements: Int32Array, from: number, to: number, list: readonly number[], step: number): number {
  const count = to - from;
  for (let i = count - 1; i >= 0; i--) {
    const base = elements[from + i];
    for (let j = list.length - 1; j >= 0; j--) elements[from + i * list.length + j] = base + list[j] * step;
  }
  return from + count * list.length;
}

type Numbers = FloatArray | IntArray;

/** Row-major offset in a plane to the column-major one of storage_order 1. */
function columnMajor(offset: number, spatial: readonly number[]): number {
  let rest = offset;
  let at = 0;
  const steps: number[] = [];
  for (let i = 0, step = 1; i < spatial.length; step *= spatial[i++]) steps.push(step);
  for (let i = spatial.length - 1; i >= 0; i--) {
    at += (rest % spatial[i]) * steps[i];
    rest = Math.floor(rest / spatial[i]);
  }
  return at;
}

/** The largest element of each window, NaN before all; padding never wins over an element. */
function largest(data: Numbers, y: Numbers, planes: number, inPlane: number, { starts, elements }: Cover, lowest: number): void {
  const outPlane = starts.length - 1;
  for (let p = 0, to = 0; p < planes; p++) {
    const base = p * inPlane;
    for (let o = 0; o < outPlane; o++) {
      const end = starts[o + 1];
      let best = lowest;
      for (let e = starts[o]; e < end; e++) best = Math.max(best, data[base + elements[e]]);
      y[to++] = best;
    }
  }
}

/** Where the first largest element (or NaN) of each window stands in the whole tensor; −1 for a window of padding only. */
function largestAt(data: Numbers, planes: number, spatial: readonly number[], { starts, elements }: Cover, byColumn: boolean) {
  const outPlane = starts.length - 1;
  const inPlane = sizeOf(spatial);
  const indices = new BigInt64Array(planes * outPlane).fill(-1n);
  for (let p = 0; p < planes; p++) {
    const base = p * inPlane;
    for (let o = 0; o < outPlane; o++) {
      if (starts[o] === starts[o + 1]) continue;
      let at = elements[starts[o]];
      for (let e = starts[o] + 1; e < starts[o + 1]; e++) {
        const v = data[base + elements[e]];
        const best = data[base + at];
        if (v > best || (Number.isNaN(v) && !Number.isNaN(best))) at = elements[e];
      }
      indices[p * outPlane + o] = BigInt(base + (byColumn ? columnMajor(at, spatial) : at));
    }
  }
  return indices;
}

/** The same by the kernels; false when they do not have x, or are not to. */
function largestByKernels(x: Tensor, window: Window, out: readonly number[], y: Float64Array): boolean {
  const spatial = x.dims.slice(2);
  const { kernel, strides, dilations, begin } = window;
  // With ceil_mode windows may reach beyond the padding.
  const end = spatial.map((d, i) => Math.max(0, (out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - d - begin[i]));
  const outer = padded(spatial, begin, end);
  const steps = stridesOf(outer);
  const last = out.length - 1;
  const planes = x.dims[0] * x.dims[1];
  const frame = frameOf(planes, spatial, begin, end);
  const walk = steps.map((s, i) => s * strides[i]);
  return backend().largest({
    planes,
    x: x.data as FloatArray,
    plane: sizeOf(outer),
    frame: frame && { ...frame, lowest: true },
    tap: lattice(
      kernel,
      steps.map((s, i) => s * dilations[i]),
    ),
    row: lattice(out.slice(0, last), walk.slice(0, last)),
    length: out[last],
    step: walk[last],
    out: y,
  });
}

function maxPool(context: OpContext, x: Tensor): Tensor[] {
  const spatial = x.dims.slice(2);
  const { window, out } = poolWindow(context, spatial);
  if (context.holds && x.data instanceof Float64Array && !context.wants(1)) {
    const dims = [x.dims[0], x.dims[1], ...out];
    const y = context.result(sizeOf(dims));
    if (y.length > 0 && largestByKernels(x, window, out, y)) return [{ dtype: x.dtype, dims, data: y }];
  }
  backend().settle(x.data);
  const windows = cover(spatial, out, window);
  const dims = [x.dims[0], x.dims[1], ...out];
  const planes = x.dims[0] * x.dims[1];
  const data = x.data as Numbers;
  const y = allocate(x.dtype, sizeOf(dims)) as Numbers;
  const lowest = x.data instanceof Int8Array ? -128 : x.data instanceof Uint8Array ? 0 : Number.NEGATIVE_INFINITY;
  largest(data, y, planes, sizeOf(spatial), windows, lowest);
  const values: Tensor = { dtype: x.dtype, dims, data: y };
  if (!context.wants(1)) return [values];
  const indices = largestAt(data, planes, spatial, windows, context.int("storage_order", 0) === 1);
  return [values, { dtype: "int64", dims, data: indices }];
}

function averagePool(context: OpContext, x: Tensor): Tensor[] {
  const spatial = x.dims.slice(2);
  const { window, out } = poolWindow(context, spatial);
  const { starts, elements, sizes } = cover(spatial, out, window);
  const wide = context.int("count_include_pad", 0) === 1;
  const dims = [x.dims[0], x.dims[1], ...out];
  const data = x.data as FloatArray;
  const y = new Float64Array(sizeOf(dims));
  const [inPlane, outPlane] = [sizeOf(spatial), sizeOf(out)];
  for (let p = 0, at = 0; p < x.dims[0] * x.dims[1]; p++) {
    const base = p * inPlane;
    for (let o = 0; o < outPlane; o++) {
      const end = starts[o + 1];
      let sum = 0;
      for (let e = starts[o]; e < end; e++) sum += data[base + elements[e]];
      y[at++] = sum / (wide ? sizes[o] : end - starts[o]);
    }
  }
  return [{ dtype: x.dtype, dims, data: y }];
}

const power = (x: number, p: number): number => (p === 2 ? x * x : p === 1 ? Math.abs(x) : Math.abs(x) ** p);
const root = (x: number, p: number): number => (p === 2 ? Math.sqrt(x) : p === 1 ? x : x ** (1 / p));
/** Version 1 wrote p as a float. */
const exponent = (context: OpContext): number => (context.version < 2 ? context.float("p", 2) : context.int("p", 2));

function lpPool(context: OpContext, x: Tensor): Tensor[] {
  const spatial = x.dims.slice(2);
  const { window, out } = poolWindow(context, spatial);
  const { starts, elements } = cover(spatial, out, window);
  const p = exponent(context);
  const dims = [x.dims[0], x.dims[1], ...out];
  const data = x.data as FloatArray;
  const y = new Float64Array(sizeOf(dims));
  const [inPlane, outPlane] = [sizeOf(spatial), sizeOf(out)];
  for (let plane = 0, at = 0; plane < x.dims[0] * x.dims[1]; plane++) {
    const base = plane * inPlane;
    for (let o = 0; o < outPlane; o++) {
      let sum = 0;
      for (let e = starts[o]; e < starts[o + 1]; e++) sum += power(data[base + elements[e]], p);
      y[at++] = root(sum, p);
    }
  }
  return [{ dtype: x.dtype, dims, data: y }];
}

/** One number a plane: `start`, then `step` for each element, then `finish`. */
function globalPool(
  type: string,
  since: number,
  make: (context: OpContext) => {
    start: number;
    step: (sum: number, v: number) => number;
    finish: (sum: number, n: number) => number;
  },
): OpDef {
  return tensorOp(type, since, 1, (context, x) => {
    if (x.dims.length < 2) throw context.fail("the input needs a batch and a channel axis");
    const { start, step, finish } = make(context);
    const plane = sizeOf(x.dims.slice(2));
    const y = new Float64Array(x.dims[0] * x.dims[1]);
    const data = x.data as FloatArray;
    for (let p = 0; p < y.length; p++) {
      let sum = start;
      for (let i = p * plane; i < (p + 1) * plane; i++) sum = step(sum, data[i]);
      y[p] = finish(sum, plane);
    }
    return [{ dtype: x.dtype, dims: [x.dims[0], x.dims[1], ...x.dims.slice(2).map(() => 1)], data: y }];
  });
}

/** Writes each element to its index in the unpooled tensor; indices refer to the extents the window implies. */
function maxUnpool(context: OpContext, x: Tensor, indices: Tensor, outputShape?: Tensor): Tensor[] {
  const kernel = context.ints("kernel_shape");
  const rank = x.dims.length - 2;
  if (kernel?.length !== rank) throw context.fail(`kernel_shape must have ${rank} entries`);
  const strides = perAxis(context, "strides", rank, 1);
  const pads = perAxis(context, "pads", 2 * rank, 0);
  const implied = [
    ...x.dims.slice(0, 2),
    ...kernel.map((k, i) => (x.dims[i + 2] - 1) * strides[i] - pads[i] - pads[i + rank] + k),
  ];
  const dims = outputShape ? asNumbers(outputShape) : implied;
  const y = new Float64Array(sizeOf(dims));
  const source = asFloat64(x);
  const places = asNumbers(indices);
  const to = stridesOf(dims);
  const size = sizeOf(implied);
  for (let i = 0; i < source.length; i++) {
    if (places[i] < 0 || places[i] >= size)
      throw context.fail(`index ${places[i]} is outside the ${size} elements of the output`);
    let rest = places[i];
    let at = 0;
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += (rest % implied[axis]) * to[axis];
      rest = Math.floor(rest / implied[axis]);
    }
    if (at < y.length) y[at] = source[i];
  }
  return [{ dtype: x.dtype, dims, data: y }];
}

/**
 * Largest element of each cell of a region [batch, x1, y1, x2, y2]; corners are rounded after scaling, cells of no elements are
 * 0.
 */
function maxRoiPool(context: OpContext, x: Tensor, rois: Tensor): Tensor[] {
  const shape = context.ints("pooled_shape");
  if (shape?.length !== 2) throw context.fail("pooled_shape must have two entries");
  const scale = context.float("spatial_scale", 1);
  const [, channels, height, width] = x.dims;
  const data = asFloat64(x);
  const regions = asFloat64(rois);
  const dims = [rois.dims[0], channels, ...shape];
  const y = new Float64Array(sizeOf(dims));
  const round = (v: number): number => Math.sign(v) * Math.floor(Math.abs(v) + 0.5);
  const cell = (start: number, i: number, bin: number, limit: number): [number, number] => {
    const clamp = (v: number): number => Math.min(limit, Math.max(0, v + start));
    return [clamp(Math.floor(i * bin)), clamp(Math.ceil((i + 1) * bin))];
  };
  for (let r = 0, at = 0; r < rois.dims[0]; r++) {
    const [left, top, right, bottom] = [1, 2, 3, 4].map((c) => round(regions[5 * r + c] * scale));
    const binH = Math.max(1, bottom - top + 1) / shape[0];
    const binW = Math.max(1, right - left + 1) / shape[1];
    for (let c = 0; c < channels; c++) {
      const plane = (regions[5 * r] * channels + c) * height * width;
      for (let i = 0; i < shape[0]; i++) {
        const [h0, h1] = cell(top, i, binH, height);
        for (let j = 0; j < shape[1]; j++) {
          const [w0, w1] = cell(left, j, binW, width);
          let best = h1 <= h0 || w1 <= w0 ? 0 : Number.NEGATIVE_INFINITY;
          for (let h = h0; h < h1; h++) for (let w = w0; w < w1; w++) best = Math.max(best, data[plane + h * width + w]);
          y[at++] = best;
        }
      }
    }
  }
  return [{ dtype: x.dtype, dims, data: y }];
}

export const poolOps: readonly OpDef[] = [
  ...holding(tensorOp("MaxPool", 1, 1, maxPool)),
  ...owning(tensorOp("AveragePool", 1, 1, averagePool)),
  tensorOp("LpPool", 1, 1, lpPool),
  globalPool("GlobalAveragePool", 1, () => ({ start: 0, step: (sum, v) => sum + v, finish: (sum, n) => sum / n })),
  globalPool("GlobalMaxPool", 1, () => ({ start: Number.NEGATIVE_INFINITY, step: Math.max, finish: (sum) => sum })),
  globalPool("GlobalLpPool", 1, (context) => {
    const p = exponent(context);
    return { start: 0, step: (sum, v) => sum + power(v, p), finish: (sum) => root(sum, p) };
  }),
  tensorOp("MaxUnpool", 9, 2, maxUnpool),
  tensorOp("MaxRoiPool", 1, 2, maxRoiPool),
];
