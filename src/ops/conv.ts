/**
 * Conv 1, 11, 22 (a fourth operand, which no file has, is the weight of one more channel, of ones: rules/conv.ts); ConvTranspose 1, 11, 22; ConvInteger 10; QLinearConv 10. Formulas: kernels/conv.ts,
 * kernels/convtranspose.ts.
 */
import { backend, convolve, convolveTransposed, type Window } from "../kernels/index.ts";
import { asFloat64, type FloatArray, sizeOf, type Tensor, withChannel } from "../onnx/tensor.ts";
import { holding, type OpContext, type OpDef, owning, tensorOp } from "./define.ts";
import { centred, requantize } from "./qlinear.ts";
import { perAxis, windowOf } from "./window.ts";

/** Checks the channel counts of a convolution and gives its window. */
function prepare(context: OpContext, x: Tensor, w: Tensor): { group: number; window: Window } {
  const group = context.int("group", 1);
  if (x.dims.length < 3 || w.dims.length !== x.dims.length) throw context.fail("input and weight need the same rank, at least 3");
  if (x.dims[1] !== w.dims[1] * group || w.dims[0] % group !== 0) {
    throw context.fail(`${x.dims[1]} channels do not fit a weight of ${w.dims[0]} × ${w.dims[1]} in ${group} groups`);
  }
  const given = context.ints("kernel_shape");
  const kernel = w.dims.slice(2);
  if (given !== undefined && String(given) !== String(kernel))
    throw context.fail(`kernel_shape ${given} is not the weight's ${kernel}`);
  return { group, window: windowOf(context, x.dims.slice(2), kernel) };
}

function conv(context: OpContext, x: Tensor, w: Tensor, b?: Tensor, ones?: Tensor): Tensor[] {
  if (ones !== undefined) return conv(context, withChannel(x), withChannel(w, ones), b);
  const { group, window } = prepare(context, x, w);
  const bias = b?.data as FloatArray | undefined;
  for (const array of [w.data, bias]) if (array !== undefined) backend().settle(array);
  const y = convolve({
    x: x.data as FloatArray,
    xDims: x.dims,
    w: w.data as FloatArray,
    wDims: w.dims,
    bias,
    group,
    window,
    place: (n) => context.result(n),
    hold: context.holds,
  });
  return [{ dtype: x.dtype, ...y }];
}

/**
 * Output extents and padding: with output_shape the padding follows from it,
 * total = stride·(d − 1) + output_padding + span − output_shape, the larger half at the beginning except for SAME_UPPER.
 */
function transposedWindow(context: OpContext, spatial: readonly number[], kernel: readonly number[]) {
  const rank = spatial.length;
  const strides = perAxis(context, "strides", rank, 1);
  const dilations = perAxis(context, "dilations", rank, 1);
  const extra = perAxis(context, "output_padding", rank, 0);
  const auto = context.string("auto_pad", "NOTSET");
  const full = spatial.map((d, i) => strides[i] * (d - 1) + extra[i] + dilations[i] * (kernel[i] - 1) + 1);
  const same = auto === "SAME_UPPER" || auto === "SAME_LOWER";
  // Some exporters write the batch and channel extents too.
  const wanted = context.ints("output_shape")?.slice(-rank) ?? (same ? spatial.map((d, i) => d * strides[i]) : undefined);
  if (wanted !== undefined) {
    if (wanted.length !== rank) throw context.fail(`output_shape has ${wanted.length} entries, expected ${rank}`);
    const begin = full.map((f, i) => {
      const total = Math.max(0, f - wanted[i]);
      return auto === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2);
    });
    return { window: { kernel, strides, dilations, begin, end: begin }, outSpatial: wanted };
  }
  const pads = auto === "VALID" ? new Array<number>(2 * rank).fill(0) : perAxis(context, "pads", 2 * rank, 0);
  const begin = pads.slice(0, rank);
  const end = pads.slice(rank);
  return { window: { kernel, strides, dilations, begin, end }, outSpatial: full.map((f, i) => f - begin[i] - end[i]) };
}

function convTranspose(context: OpContext, x: Tensor, w: Tensor, b?: Tensor): Tensor[] {
  const group = context.int("group", 1);
  if (x.dims.length < 3 || w.dims.length !== x.dims.length) throw context.fail("input and weight need the same rank, at least 3");
  if (x.dims[1] !== w.dims[0] || w.dims[0] % group !== 0) {
    throw context.fail(`${x.dims[1]} channels do not fit a weight of ${w.dims[0]} × ${w.dims[1]} in ${group} groups`);
  }
  const { window, outSpatial } = transposedWindow(context, x.dims.slice(2), w.dims.slice(2));
  if (outSpatial.some((d) => d < 0)) throw context.fail(`the output extents ${outSpatial.join(" × ")} are negative`);
  const y = convolveTransposed({
    x: x.data as FloatArray,
    xDims: x.dims,
    w: w.data as FloatArray,
    wDims: w.dims,
    bias: b?.data as FloatArray | undefined,
    group,
    window,
    outSpatial,
  });
  return [{ dtype: x.dtype, ...y }];
}

/** Σ (w − w₀)·(x − x₀) on integers, exact in float64. */
function integerConv(context: OpContext, x: Tensor, w: Tensor, xZero?: Tensor, wZero?: Tensor, b?: Tensor) {
  const { group, window } = prepare(context, x, w);
  return convolve({
    x: centred(x, xZero, "all"),
    xDims: x.dims,
    w: centred(w, wZero, "first"),
    wDims: w.dims,
    bias: b && asFloat64(b),
    group,
    window,
  });
}

function convInteger(context: OpContext, x: Tensor, w: Tensor, xZero?: Tensor, wZero?: Tensor): Tensor[] {
  const y = integerConv(context, x, w, xZero, wZero);
  return [{ dtype: "int32", dims: y.dims, data: Int32Array.from(y.data) }];
}

function qlinearConv(context: OpContext, ...inputs: Tensor[]): Tensor[] {
  const [x, xScale, xZero, w, wScale, wZero, yScale, yZero, b] = inputs;
  const y = integerConv(context, x, w, xZero, wZero, b);
  const [sx, sw, sy] = [xScale, wScale, yScale].map(asFloat64);
  const plane = sizeOf(y.dims.slice(2));
  const channels = y.dims[1];
  const factor = (i: number): number => (sx[0] * sw[sw.length === 1 ? 0 : Math.floor(i / plane) % channels]) / sy[0];
  return [requantize(y.data, y.dims, factor, yZero)];
}

export const convOps: readonly OpDef[] = [
  ...holding(tensorOp("Conv", 1, 2, conv)),
  ...owning(tensorOp("ConvTranspose", 1, 2, convTranspose)),
  tensorOp("ConvInteger", 10, 2, convInteger),
  tensorOp("QLinearConv", 10, 8, qlinearConv),
];
