/**
 * Resize 10, 11, 13, 18, 19 and Upsample 1, 7, 9, of any rank: one axis after the other,
 *   y[o] = Σ_i f((i − x)·s) · in[clamp(i)],  x the coordinate of o in the input, i the taps around it in ascending order,
 * f the triangle 1 − |t| (linear) or Keys' cubic with coefficient A; s = min(scale, 1) with antialias, else 1. Antialiased
 * weights, and those left by exclude_outside, are divided by their sum. "nearest" copies one element and so holds for every type.
 * With tf_crop_and_resize outputs whose coordinate is outside the input take extrapolation_value.
 */
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import { allocate, asFloat64, asNumbers, type IntArray, type Tensor } from "../onnx/tensor.ts";
import { blankLike, normalizeAxes, splitAt } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { roundHalfEven } from "./math.ts";
import { rangeOf } from "./qlinear.ts";

interface Axis {
  readonly axis: number;
  readonly size: number;
  readonly out: number;
  readonly scale: number;
  /** Region of interest, 0 … 1 along the axis. */
  readonly roi: readonly [number, number];
}

interface Options {
  readonly mode: string;
  readonly nearest: string;
  readonly coordinate: string;
  readonly antialias: boolean;
  readonly excludeOutside: boolean;
  readonly cubicA: number;
}

/** The coordinate in the input of output position o. `scale·size` is the output's extent before truncation. */
function coordinate(o: number, at: Axis, mode: string, fail: (why: string) => Error): number {
  const { size, out, scale, roi } = at;
  const extent = scale * size;
  switch (mode) {
    case "half_pixel":
      return (o + 0.5) / scale - 0.5;
    case "half_pixel_symmetric":
      return (size / 2) * (1 - out / extent) + (o + 0.5) / scale - 0.5;
    case "pytorch_half_pixel":
      return out > 1 ? (o + 0.5) / scale - 0.5 : 0;
    case "align_corners":
      return extent === 1 ? 0 : (o * (size - 1)) / (extent - 1);
    case "asymmetric":
      return o / scale;
    case "tf_half_pixel_for_nn":
      return (o + 0.5) / scale;
    case "tf_crop_and_resize": {
      const [from, to] = roi;
      if (out === 1) return ((from + to) * (size - 1)) / 2;
      return from * (size - 1) + (o * (to - from) * (size - 1)) / (out - 1);
    }
    default:
      throw fail(`coordinate_transformation_mode ${mode} is not known`);
  }
}

function nearestIndex(x: number, mode: string, fail: (why: string) => Error): number {
  switch (mode) {
    case "round_prefer_floor":
      return Math.ceil(x - 0.5);
    case "round_prefer_ceil":
      return Math.floor(x + 0.5);
    case "floor":
      return Math.floor(x);
    case "ceil":
      return Math.ceil(x);
    default:
      throw fail(`nearest_mode ${mode} is not known`);
  }
}

function kernel(t: number, options: Options): number {
  const d = Math.abs(t);
  if (options.mode === "linear") return Math.max(0, 1 - d);
  const a = options.cubicA;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

const clamp = (i: number, size: number): number => Math.min(size - 1, Math.max(0, i));

/** Per output `taps` input positions and weights. */
interface Weights {
  readonly taps: number;
  readonly index: Int32Array;
  readonly weight: Float64Array;
}

function weightsOf(coordinates: readonly number[], at: Axis, options: Options): Weights {
  const s = options.antialias ? Math.min(at.scale, 1) : 1;
  const support = options.mode === "linear" ? 1 : 2;
  const first = Math.floor(-support / s) + 1;
  const taps = 2 - 2 * first;
  const index = new Int32Array(coordinates.length * taps);
  const weight = new Float64Array(coordinates.length * taps);
  coordinates.forEach((x, o) => {
    const left = Math.ceil(x) - 1;
    let sum = 0;
    for (let t = 0; t < taps; t++) {
      const i = left + first + t;
      const outside = options.excludeOutside && (i < 0 || i >= at.size);
      const w = outside ? 0 : kernel((i - x) * s, options);
      weight[o * taps + t] = w;
      index[o * taps + t] = clamp(i, at.size);
      sum += w;
    }
    if ((options.antialias || options.excludeOutside) && sum !== 0) for (let t = 0; t < taps; t++) weight[o * taps + t] /= sum;
  });
  return { taps, index, weight };
}

function interpolate(x: Float64Array, dims: readonly number[], axis: number, out: number, weights: Weights): Float64Array {
  const { outer, n, inner } = splitAt(dims, axis);
  const { taps, index, weight } = weights;
  const y = new Float64Array(outer * out * inner);
  for (let p = 0; p < outer; p++) {
    for (let o = 0; o < out; o++) {
      const to = (p * out + o) * inner;
      for (let t = 0; t < taps; t++) {
        const w = weight[o * taps + t];
        const from = (p * n + index[o * taps + t]) * inner;
        for (let i = 0; i < inner; i++) y[to + i] += w * x[from + i];
      }
    }
  }
  return y;
}

function pick(x: Tensor["data"], dims: readonly number[], axis: number, positions: readonly number[]): Tensor["data"] {
  const { outer, n, inner } = splitAt(dims, axis);
  const y = blankLike(x, outer * positions.length * inner) as unknown[];
  let to = 0;
  for (let p = 0; p < outer; p++) {
    for (const at of positions) {
      const from = (p * n + at) * inner;
      for (let i = 0; i < inner; i++) y[to++] = x[from + i];
    }
  }
  return y as unknown as Tensor["data"];
}

/** Puts `value` wherever a coordinate along some axis was outside the input. */
function extrapolate(y: unknown[], dims: readonly number[], axis: number, outside: readonly boolean[], value: unknown): void {
  const { outer, n, inner } = splitAt(dims, axis);
  for (let p = 0; p < outer; p++) {
    for (let o = 0; o < n; o++) if (outside[o]) y.fill(value, (p * n + o) * inner, (p * n + o + 1) * inner);
  }
}

/** Back to the element type: integers are rounded and saturated. */
function narrowed(y: Float64Array, dtype: DType): Tensor["data"] {
  const { holder } = dtypeInfo(dtype);
  if (holder === "float") return y;
  const data = allocate(dtype, y.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    for (let i = 0; i < y.length; i++) data[i] = BigInt(roundHalfEven(y[i]));
    return data;
  }
  const [low, high] = rangeOf(dtype);
  for (let i = 0; i < y.length; i++) (data as IntArray)[i] = Math.min(high, Math.max(low, roundHalfEven(y[i])));
  return data;
}

function resample(context: OpContext, x: Tensor, axes: readonly Axis[], options: Options): Tensor[] {
  const fail = (why: string): Error => context.fail(why);
  if (!["nearest", "linear", "cubic"].includes(options.mode)) throw context.fail(`mode ${options.mode} is not known`);
  if (options.antialias && options.mode === "nearest") throw context.fail("antialias does not go with mode nearest");
  const crop = options.coordinate === "tf_crop_and_resize";
  const nearest = options.mode === "nearest";
  const dims = [...x.dims];
  const marks: { axis: number; outside: boolean[] }[] = [];
  let data: Tensor["data"] = nearest ? x.data : asFloat64(x);
  for (const at of axes) {
    const same = at.scale === 1 && at.out === at.size && !(crop && (at.roi[0] !== 0 || at.roi[1] !== 1));
    if (same) continue;
    const coordinates = Array.from({ length: at.out }, (_, o) => coordinate(o, at, options.coordinate, fail));
    if (crop) marks.push({ axis: at.axis, outside: coordinates.map((c) => c < 0 || c > at.size - 1) });
    if (nearest) {
      data = pick(
        data,
        dims,
        at.axis,
        coordinates.map((c) => clamp(nearestIndex(c, options.nearest, fail), at.size)),
      );
    } else {
      data = interpolate(data as Float64Array, dims, at.axis, at.out, weightsOf(coordinates, at, options));
    }
    dims[at.axis] = at.out;
  }
  const result = nearest ? data : narrowed(data as Float64Array, x.dtype);
  const value = context.float("extrapolation_value", 0);
  const filler = result instanceof BigInt64Array || result instanceof BigUint64Array ? BigInt(Math.trunc(value)) : value;
  for (const { axis, outside } of marks) {
    if (outside.some(Boolean)) extrapolate(result as unknown as unknown[], dims, axis, outside, filler);
  }
  return [{ dtype: x.dtype, dims, data: result }];
}

/** ⌊d·scale⌋ in float32, as runtimes and shape inference compute it. */
const scaledSize = (d: number, scale: number): number => Math.floor(Math.fround(d * scale));

const given = (t: Tensor | undefined): Tensor | undefined => (t !== undefined && t.data.length > 0 ? t : undefined);

/** Extents and scales of the axes that `scales` or `sizes` speak of. */
function axesOf(context: OpContext, x: Tensor, roi?: Tensor, scales?: Tensor, sizes?: Tensor): Axis[] {
  const rank = x.dims.length;
  const axes = normalizeAxes(context.ints("axes") ?? x.dims.map((_, i) => i), rank);
  const n = axes.length;
  const crop = context.string("coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize";
  const region = crop && roi ? Array.from(asFloat64(roi)) : undefined;
  if (region && region.length !== 2 * n) throw context.fail(`roi has ${region.length} entries, expected ${2 * n}`);
  const roiOf = (i: number): [number, number] => (region ? [region[i], region[n + i]] : [0, 1]);
  if (sizes) {
    const wanted = asNumbers(sizes);
    if (wanted.length !== n) throw context.fail(`sizes has ${wanted.length} entries, expected ${n}`);
    const ratios = wanted.map((size, i) => size / x.dims[axes[i]]);
    const policy = context.string("keep_aspect_ratio_policy", "stretch");
    if (policy === "stretch")
      return axes.map((axis, i) => ({ axis, size: x.dims[axis], out: wanted[i], scale: ratios[i], roi: roiOf(i) }));
    if (policy !== "not_larger" && policy !== "not_smaller")
      throw context.fail(`keep_aspect_ratio_policy ${policy} is not known`);
    const scale = policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
    return axes.map((axis, i) => ({
      axis,
      size: x.dims[axis],
      out: Math.floor(scale * x.dims[axis] + 0.5),
      scale,
      roi: roiOf(i),
    }));
  }
  if (!scales) throw context.fail("neither scales nor sizes is given");
  const factors = asFloat64(scales);
  if (factors.length !== n) throw context.fail(`scales has ${factors.length} entries, expected ${n}`);
  return axes.map((axis, i) => {
    return { axis, size: x.dims[axis], out: scaledSize(x.dims[axis], factors[i]), scale: factors[i], roi: roiOf(i) };
  });
}

function resize(context: OpContext, x: Tensor, roi?: Tensor, scales?: Tensor, sizes?: Tensor): Tensor[] {
  const axes = axesOf(context, x, given(roi), given(scales), given(sizes));
  return resample(context, x, axes, {
    mode: context.string("mode", "nearest"),
    nearest: context.string("nearest_mode", "round_prefer_floor"),
    coordinate: context.string("coordinate_transformation_mode", "half_pixel"),
    antialias: context.int("antialias", 0) !== 0,
    excludeOutside: context.int("exclude_outside", 0) !== 0,
    cubicA: context.float("cubic_coeff_a", -0.75),
  });
}

/** Before version 11 coordinates are o / scale, and nearest takes the floor. */
function early(context: OpContext, x: Tensor, factors: readonly number[]): Tensor[] {
  if (factors.length !== x.dims.length) throw context.fail(`${factors.length} scales for ${x.dims.length} axes`);
  const mode = context.string("mode", "nearest");
  const axes = factors.map((scale, axis): Axis => {
    return { axis, size: x.dims[axis], out: scaledSize(x.dims[axis], scale), scale, roi: [0, 1] };
  });
  return resample(context, x, axes, {
    mode: mode === "bilinear" ? "linear" : mode,
    nearest: "floor",
    coordinate: "asymmetric",
    antialias: false,
    excludeOutside: false,
    cubicA: -0.75,
  });
}

export const resizeOps: readonly OpDef[] = [
  tensorOp("Resize", 11, 1, resize),
  tensorOp("Resize", 10, 2, (context, x, scales) => early(context, x, Array.from(asFloat64(scales)))),
  tensorOp("Upsample", 9, 2, (context, x, scales) => early(context, x, Array.from(asFloat64(scales)))),
  tensorOp("Upsample", 7, 1, (context, x) => early(context, x, context.floats("scales") ?? [])),
  tensorOp("Upsample", 1, 1, (context, x) =>
    early(context, x, [1, 1, context.float("height_scale", 1), context.float("width_scale", 1)]),
  ),
];
