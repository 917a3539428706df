/**
 * Normalisations whose statistics come from the tensor itself.
 *
 *   InstanceNormalization  per (n, c):            scale[c]·(x − μ)/√(σ² + ε) + B[c]
 *   GroupNormalization     per (n, group of c):   the same; scale and B per group before opset 21, per channel since
 *   LayerNormalization     over axes axis…rank−1: scale·(x − μ)/√(σ² + ε) + B, scale and B broadcast to x
 *   RMSNormalization       over axes axis…rank−1: scale·x/√(mean x² + ε)
 *   LpNormalization        along one axis:        x/‖x‖ₚ, 0 where the norm is 0
 *   MeanVarianceNormalization over `axes`:        (x − μ)/(σ + 1e-9)
 *   LRN                    across channels:       x/(bias + α/size · Σ x²)^β over size channels around c
 * σ² is the population variance.
 */
import { type DType, dtypeOf } from "../onnx/dtype.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { arithmetic } from "./arithmetic.ts";
import { type Layout, normalize, statistics } from "./batchnorm.ts";
import { broadcastStrides, forEachRun, merge, normalizeAxes, normalizeAxis, show, splitAt } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { frame, sums } from "./reduce.ts";

const like = (x: Tensor, data: Float64Array): Tensor => ({ dtype: x.dtype, dims: x.dims, data });

/** Standardised over each of `rows` contiguous blocks, then scaled and shifted per channel of N×C×inner. */
function perBlock(context: OpContext, x: Tensor, groups: number, scale: Float64Array, bias: Float64Array): Tensor {
  const [batch, channels] = x.dims;
  const inner = sizeOf(x.dims.slice(2));
  const data = asFloat64(x);
  const epsilon = context.float("epsilon", Math.fround(1e-5));
  const width = channels / groups;
  const { mean, variance } = statistics(data, { batch: 1, channels: batch * groups, inner: width * inner });
  const rows = batch * channels;
  const layout: Layout = { batch: 1, channels: rows, inner };
  const group = (row: number) => Math.floor(row / width);
  const parameter = (p: Float64Array, row: number) => p[p.length === channels ? row % channels : group(row) % groups];
  const centre = new Float64Array(rows).map((_, row) => mean[group(row)]);
  const factor = new Float64Array(rows).map((_, row) => parameter(scale, row) / Math.sqrt(variance[group(row)] + epsilon));
  const shift = new Float64Array(rows).map((_, row) => parameter(bias, row));
  return like(x, normalize(data, layout, centre, factor, shift));
}

function groupNormalization(context: OpContext, x: Tensor, scale: Tensor, bias: Tensor): Tensor {
  const groups = context.int("num_groups", 0);
  const channels = x.dims[1];
  if (x.dims.length < 2 || groups < 1 || channels % groups !== 0)
    throw context.fail(`num_groups ${groups} does not divide the channels`);
  const expected = context.version < 21 ? groups : channels;
  for (const p of [scale, bias]) {
    if (sizeOf(p.dims) !== expected) throw context.fail(`scale and bias hold ${sizeOf(p.dims)} numbers, expected ${expected}`);
  }
  return perBlock(context, x, groups, asFloat64(scale), asFloat64(bias));
}

/** Type of LayerNormalization's statistics. */
function stashType(context: OpContext): DType {
  const code = context.int("stash_type", 1);
  const dtype = dtypeOf(code);
  if (dtype === undefined) throw context.fail(`stash_type ${code} is no element type`);
  return dtype;
}

/** Rows of the axes from `axis` on: their number and length. */
function rowsOf(context: OpContext, x: Tensor) {
  const axis = normalizeAxis(context.int("axis", -1), x.dims.length);
  return { axis, rows: sizeOf(x.dims.slice(0, axis)), n: sizeOf(x.dims.slice(axis)) };
}

function layerNormalization(context: OpContext, x: Tensor, scale: Tensor, bias: Tensor | undefined): Tensor[] {
  const { axis, rows, n } = rowsOf(context, x);
  const layout: Layout = { batch: 1, channels: rows, inner: n };
  const data = asFloat64(x);
  const { mean, variance } = statistics(data, layout);
  const epsilon = context.float("epsilon", Math.fround(1e-5));
  const inverse = variance.map((v) => 1 / Math.sqrt(v + epsilon));
  const standard = like(x, normalize(data, layout, mean, inverse, new Float64Array(rows)));
  const scaled = arithmetic("Mul", standard, { ...scale, dtype: x.dtype });
  const y = bias === undefined ? scaled : arithmetic("Add", scaled, { ...bias, dtype: x.dtype });
  if (show(y.dims) !== show(x.dims)) throw context.fail("scale and bias do not broadcast to x");
  const dims = x.dims.map((d, i) => (i < axis ? d : 1));
  const dtype = stashType(context);
  return [y, { dtype, dims, data: mean }, { dtype, dims, data: inverse }];
}

function rmsNormalization(context: OpContext, x: Tensor, scale: Tensor): Tensor {
  const { rows, n } = rowsOf(context, x);
  const data = asFloat64(x);
  const epsilon = context.float("epsilon", Math.fround(1e-5));
  const out = new Float64Array(data.length);
  for (let r = 0, at = 0; r < rows; r++, at += n) {
    let squares = 0;
    for (let i = at; i < at + n; i++) squares += data[i] * data[i];
    const factor = 1 / Math.sqrt(squares / n + epsilon);
    for (let i = at; i < at + n; i++) out[i] = data[i] * factor;
  }
  const y = arithmetic("Mul", like(x, out), { ...scale, dtype: x.dtype });
  if (show(y.dims) !== show(x.dims)) throw context.fail("scale does not broadcast to x");
  // The declared type is scale's (V), where it differs from x's.
  return { ...y, dtype: scale.dtype };
}

function lpNormalization(context: OpContext, x: Tensor): Tensor {
  const p = context.int("p", 2);
  if (p !== 1 && p !== 2) throw context.fail(`p is ${p}, not 1 or 2`);
  const { outer, n, inner } = splitAt(x.dims, normalizeAxis(context.int("axis", -1), x.dims.length));
  const data = asFloat64(x);
  const out = new Float64Array(data.length);
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      const start = o * n * inner + k;
      const end = start + n * inner;
      let norm = 0;
      for (let i = start; i < end; i += inner) norm += p === 1 ? Math.abs(data[i]) : data[i] * data[i];
      if (p === 2) norm = Math.sqrt(norm);
      for (let i = start; i < end; i += inner) out[i] = norm === 0 ? 0 : data[i] / norm;
    }
  }
  return like(x, out);
}

/** (x − μ), divided by (σ + `guard`) unless told not to, over `axes`. */
function standardize(x: Tensor, axes: readonly number[], guard: number | undefined): Tensor {
  const f = frame(x.dims, axes, true);
  const data = asFloat64(x);
  const mean = sums(x.dims, f, data).map((s) => s / f.count);
  const walk = merge(x.dims, [broadcastStrides(f.kept, x.dims)]);
  const last = walk.dims.length - 1;
  const s = walk.strides[0][last];
  const out = new Float64Array(data.length);
  const map = (fn: (v: number, o: number) => number, from: Float64Array) =>
    forEachRun(walk, (at, [start]) => {
      for (let i = at, o = start; i < at + walk.dims[last]; i++, o += s) out[i] = fn(from[i], o);
    });
  map((v, o) => v - mean[o], data);
  if (guard === undefined) return like(x, out);
  const deviation = sums(
    x.dims,
    f,
    out.map((v) => v * v),
  ).map((v) => Math.sqrt(v / f.count) + guard);
  map((v, o) => v / deviation[o], out);
  return like(x, out);
}

function lrn(context: OpContext, x: Tensor): Tensor {
  if (x.dims.length < 2) throw context.fail("LRN needs the axes N and C");
  const size = context.int("size", 0);
  if (size < 1) throw context.fail(`size is ${size}`);
  const alpha = context.float("alpha", Math.fround(1e-4));
  const beta = context.float("beta", 0.75);
  const bias = context.float("bias", 1);
  const [batch, channels] = x.dims;
  const inner = sizeOf(x.dims.slice(2));
  const data = asFloat64(x);
  const out = new Float64Array(data.length);
  const below = Math.floor((size - 1) / 2);
  const above = Math.ceil((size - 1) / 2);
  for (let n = 0; n < batch; n++) {
    for (let c = 0; c < channels; c++) {
      const first = Math.max(0, c - below);
      const last = Math.min(channels - 1, c + above);
      for (let i = 0; i < inner; i++) {
        let squares = 0;
        for (let k = first; k <= last; k++) squares += data[(n * channels + k) * inner + i] ** 2;
        const at = (n * channels + c) * inner + i;
        out[at] = data[at] / (bias + (alpha / size) * squares) ** beta;
      }
    }
  }
  return like(x, out);
}

export const normalizationOps: readonly OpDef[] = [
  tensorOp("InstanceNormalization", 1, 3, (context, x, scale, bias) => {
    if (x.dims.length < 2 || [scale, bias].some((p) => sizeOf(p.dims) !== x.dims[1])) {
      throw context.fail("scale and B need one number per channel");
    }
    return [perBlock(context, x, x.dims[1], asFloat64(scale), asFloat64(bias))];
  }),
  tensorOp("GroupNormalization", 18, 3, (context, x, scale, bias) => [groupNormalization(context, x, scale, bias)]),
  tensorOp("LayerNormalization", 17, 2, (context, x, scale, bias) => layerNormalization(context, x, scale, bias)),
  tensorOp("RMSNormalization", 23, 2, (context, x, scale) => [rmsNormalization(context, x, scale)]),
  tensorOp("LpNormalization", 1, 1, (context, x) => [lpNormalization(context, x)]),
  tensorOp("LRN", 1, 1, (context, x) => [lrn(context, x)]),
  tensorOp("MeanVarianceNormalization", 1, 1, (context, x) => {
    const from = context.int("across_channels", 0) === 0 ? 2 : 1;
    const axes = x.dims.map((_, i) => i).slice(from);
    return [standardize(x, axes, context.int("normalize_variance", 1) === 0 ? undefined : 1e-9)];
  }),
  tensorOp("MeanVarianceNormalization", 9, 1, (context, x) => [
    standardize(x, normalizeAxes(context.ints("axes") ?? [0, 2, 3], x.dims.length), 1e-9),
  ]),
];
