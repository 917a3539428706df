/**
 * GridSample 16, 20, 22 (any number of spatial axes), DeformConv 19, 22 and AffineGrid 20.
 *
 * A normalised coordinate g stands for x = (g + 1)/2·(d − 1) with align_corners, else ((g + 1)·d − 1)/2. Coordinates beyond the
 * border are clamped (border, but not for cubic: its taps are clamped one by one) or mirrored at it (reflection); taps still
 * outside read zero (zeros) or are treated the same way.
 * DeformConv samples linearly, zeros outside, at o·stride − pad + t·dilation + offset, times the mask, and multiplies matrices.
 */
import { multiply } from "../kernels/index.ts";
import { asFloat64, asNumbers, type FloatArray, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { roundHalfEven } from "./math.ts";
import { perAxis } from "./window.ts";

/** x mirrored at the borders until it lies between them. */
function reflect(x: number, low: number, high: number): number {
  const range = high - low;
  if (range <= 0) return low;
  const away = x < low ? low - x : x > high ? x - high : 0;
  if (away === 0) return x;
  const turns = Math.floor(away / range);
  const rest = away - turns * range;
  return x < low === (turns % 2 === 0) ? low + rest : high - rest;
}

/** Keys' cubic with A = −0.75 at −1 … 2 around a point `r` after tap 0. */
function cubicWeights(r: number): number[] {
  const a = -0.75;
  const near = (d: number): number => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number): number => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return [far(r + 1), near(r), near(1 - r), far(2 - r)];
}

interface Sampler {
  readonly mode: "nearest" | "linear" | "cubic";
  readonly padding: string;
  readonly corners: boolean;
}

/** Taps of one axis: input positions (−1: reads zero) and weights. */
function axisTaps(g: number, d: number, sampler: Sampler): { at: number[]; weight: number[] } {
  const { mode, padding, corners } = sampler;
  const low = corners ? 0 : -0.5;
  const high = corners ? d - 1 : d - 0.5;
  let x = corners ? ((g + 1) / 2) * (d - 1) : ((g + 1) * d - 1) / 2;
  if (mode === "nearest") x = roundHalfEven(x);
  if (x < low || x > high) {
    if (padding === "border" && mode !== "cubic") x = Math.min(d - 1, Math.max(0, x));
    else if (padding === "reflection") x = reflect(x, low, high);
  }
  const inside = (i: number): number => {
    if (i >= 0 && i < d) return i;
    if (padding === "border") return Math.min(d - 1, Math.max(0, i));
    if (padding === "reflection") return Math.trunc(reflect(i, low, high));
    return -1;
  };
  if (Number.isNaN(x)) return { at: [inside(-1)], weight: [1] };
  if (mode === "nearest") return { at: [inside(Math.trunc(x))], weight: [1] };
  const left = Math.floor(x);
  const r = x - left;
  if (mode === "linear") return { at: [inside(left), inside(left + 1)], weight: [1 - r, r] };
  return { at: [-1, 0, 1, 2].map((i) => inside(left + i)), weight: cubicWeights(r) };
}

/** Products of the axes' taps that read the input: offsets into a plane and weights, row-major. */
function combine(axes: readonly { at: number[]; weight: number[] }[], steps: readonly number[]): [number[], number[]] {
  let offsets = [0];
  let weights = [1];
  axes.forEach(({ at, weight }, axis) => {
    const nextOffsets: number[] = [];
    const nextWeights: number[] = [];
    offsets.forEach((offset, p) => {
      at.forEach((i, t) => {
        if (i < 0) return;
        nextOffsets.push(offset + i * steps[axis]);
        nextWeights.push(weights[p] * weight[t]);
      });
    });
    offsets = nextOffsets;
    weights = nextWeights;
  });
  return [offsets, weights];
}

const gridModes: Readonly<Record<string, Sampler["mode"]>> = {
  bilinear: "linear",
  linear: "linear",
  nearest: "nearest",
  bicubic: "cubic",
  cubic: "cubic",
};

function gridSample(context: OpContext, x: Tensor, grid: Tensor): Tensor[] {
  const name = context.string("mode", context.version < 20 ? "bilinear" : "linear");
  const mode = gridModes[name];
  const padding = context.string("padding_mode", "zeros");
  if (mode === undefined || !["zeros", "border", "reflection"].includes(padding)) {
    throw context.fail(`mode ${name} with padding_mode ${padding} is not known`);
  }
  const sampler: Sampler = { mode, padding, corners: context.int("align_corners", 0) !== 0 };
  const [batch, channels, ...spatial] = x.dims;
  const rank = spatial.length;
  if (grid.dims.length !== rank + 2 || grid.dims[rank + 1] !== rank) throw context.fail("the grid does not fit the input's rank");
  const out = grid.dims.slice(1, -1);
  const [points, plane] = [sizeOf(out), sizeOf(spatial)];
  const steps = stridesOf(spatial);
  const data = asFloat64(x);
  const g = asFloat64(grid);
  const y = new Float64Array(batch * channels * points);
  for (let b = 0; b < batch; b++) {
    for (let p = 0; p < points; p++) {
      const base = (b * points + p) * rank;
      // The grid lists the last axis first.
      const axes = spatial.map((d, i) => axisTaps(g[base + rank - 1 - i], d, sampler));
      const [offsets, weights] = combine(axes, steps);
      for (let c = 0; c < channels; c++) {
        const from = (b * channels + c) * plane;
        let sum = 0;
        for (let t = 0; t < offsets.length; t++) sum += weights[t] * data[from + offsets[t]];
        y[(b * channels + c) * points + p] = sum;
      }
    }
  }
  return [{ dtype: x.dtype, dims: [batch, channels, ...out], data: y }];
}

/** What all outputs of a DeformConv share. */
interface Deformed {
  readonly spatial: readonly number[];
  readonly out: readonly number[];
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly begin: readonly number[];
}

const digits = (n: number, dims: readonly number[]): number[] => {
  const index = new Array<number>(dims.length);
  for (let i = dims.length - 1; i >= 0; i--) {
    index[i] = n % dims[i];
    n = Math.floor(n / dims[i]);
  }
  return index;
};

/** Linear taps at a coordinate in elements; outside reads zero. */
function linearTaps(x: number, d: number): { at: number[]; weight: number[] } {
  const left = Math.floor(x);
  const r = x - left;
  const inside = (i: number): number => (i >= 0 && i < d ? i : -1);
  return { at: [inside(left), inside(left + 1)], weight: [1 - r, r] };
}

/** columns[c·taps + t][o]: the sampled, masked input of `planes` channels that share their offsets. */
function deformedColumns(
  x: FloatArray,
  from: number,
  planes: number,
  offset: FloatArray,
  offsetFrom: number,
  mask: FloatArray | undefined,
  maskFrom: number,
  shape: Deformed,
  columns: Float64Array,
  to: number,
): void {
  const { spatial, out, kernel, strides, dilations, begin } = shape;
  const rank = spatial.length;
  const [points, taps, plane] = [sizeOf(out), sizeOf(kernel), sizeOf(spatial)];
  const steps = stridesOf(spatial);
  for (let t = 0; t < taps; t++) {
    const tap = digits(t, kernel);
    for (let o = 0; o < points; o++) {
      const place = digits(o, out);
      const axes = spatial.map((d, i) => {
        const shift = offset[offsetFrom + (t * rank + i) * points + o];
        return linearTaps(place[i] * strides[i] - begin[i] + tap[i] * dilations[i] + shift, d);
      });
      const [offsets, weights] = combine(axes, steps);
      const factor = mask ? mask[maskFrom + t * points + o] : 1;
      for (let c = 0; c < planes; c++) {
        let sum = 0;
        for (let k = 0; k < offsets.length; k++) sum += weights[k] * x[from + c * plane + offsets[k]];
        columns[to + (c * taps + t) * points + o] = sum * factor;
      }
    }
  }
}

function deformConv(context: OpContext, x: Tensor, w: Tensor, offset: Tensor, b?: Tensor, mask?: Tensor): Tensor[] {
  const [batch, channels, ...spatial] = x.dims;
  const rank = spatial.length;
  const kernel = w.dims.slice(2);
  const group = context.int("group", 1);
  const offsetGroups = context.int("offset_group", 1);
  const out = offset.dims.slice(2);
  const [points, taps, plane] = [sizeOf(out), sizeOf(kernel), sizeOf(spatial)];
  if (channels !== w.dims[1] * group || channels % offsetGroups !== 0 || offset.dims[1] !== offsetGroups * taps * rank) {
    throw context.fail("channels, groups and offsets do not fit each other");
  }
  const shape: Deformed = {
    spatial,
    out,
    kernel,
    strides: perAxis(context, "strides", rank, 1),
    dilations: perAxis(context, "dilations", rank, 1),
    begin: perAxis(context, "pads", 2 * rank, 0).slice(0, rank),
  };
  const planes = channels / offsetGroups;
  const [data, weights, shifts] = [asFloat64(x), w.data as FloatArray, asFloat64(offset)];
  const masks = mask && asFloat64(mask);
  const k = w.dims[1] * taps;
  const rows = w.dims[0] / group;
  const y = new Float64Array(batch * w.dims[0] * points);
  const columns = new Float64Array(channels * taps * points);
  for (let n = 0; n < batch; n++) {
    for (let g = 0; g < offsetGroups; g++) {
      const at = n * offsetGroups + g;
      deformedColumns(
        data,
        (n * channels + g * planes) * plane,
        planes,
        shifts,
        at * taps * rank * points,
        masks,
        at * taps * points,
        shape,
        columns,
        g * planes * taps * points,
      );
    }
    for (let g = 0; g < group; g++) {
      const init = b && { data: (b.data as FloatArray).subarray(g * rows, (g + 1) * rows), per: "row" as const };
      multiply(
        rows,
        points,
        k,
        { data: weights, base: g * rows * k, row: k, column: 1 },
        { data: columns, base: g * k * points, row: points, column: 1 },
        y,
        (n * w.dims[0] + g * rows) * points,
        init,
      );
    }
  }
  return [{ dtype: x.dtype, dims: [batch, w.dims[0], ...out], data: y }];
}

/** Row r of theta times (x, y[, z], 1) at every grid point; coordinates run from −1 to 1 (corners) or over pixel centres. */
function affineGrid(context: OpContext, theta: Tensor, size: Tensor): Tensor[] {
  const [batch, , ...spatial] = asNumbers(size);
  const rank = spatial.length;
  const corners = context.int("align_corners", 0) !== 0;
  const t = asFloat64(theta);
  const points = sizeOf(spatial);
  const at = (i: number, d: number): number => (corners ? (d === 1 ? -1 : -1 + (2 * i) / (d - 1)) : (2 * i + 1) / d - 1);
  const y = new Float64Array(batch * points * rank);
  for (let b = 0, to = 0; b < batch; b++) {
    for (let p = 0; p < points; p++) {
      const place = digits(p, spatial)
        .map((i, axis) => at(i, spatial[axis]))
        .reverse();
      for (let r = 0; r < rank; r++) {
        const row = (b * rank + r) * (rank + 1);
        let sum = 0;
        for (let i = 0; i < rank; i++) sum += t[row + i] * place[i];
        y[to++] = sum + t[row + rank];
      }
    }
  }
  return [{ dtype: theta.dtype, dims: [batch, ...spatial, rank], data: y }];
}

export const gridOps: readonly OpDef[] = [
  tensorOp("GridSample", 16, 2, gridSample),
  tensorOp("DeformConv", 19, 3, deformConv),
  tensorOp("AffineGrid", 20, 2, affineGrid),
];
