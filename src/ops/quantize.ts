/**
 * QuantizeLinear y = saturate(round(x / scale) + zero_point), ties to even; DequantizeLinear y = (x − zero_point) · scale;
 * DynamicQuantizeLinear with scale = (max − min) / 255 over [min(0, min x), max(0, max x)]. Scale and zero point are one value,
 * one per index of `axis`, or (block_size) one per block along `axis`.
 */
import { roundArray, roundTo } from "../onnx/codec.ts";
import { type DType, isFloat } from "../onnx/dtype.ts";
import { allocate, asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { broadcastTo, normalizeAxis, show, withDims } from "./broadcast.ts";
import { dtypeAttribute } from "./constant.ts";
import { integerRange } from "./convert.ts";
import { microsoft, type OpContext, type OpDef, tensorOp } from "./define.ts";
import { roundHalfEven } from "./math.ts";
import { takeAxis } from "./slice.ts";

/** A scale or zero point stretched to the shape of x. */
function spread(context: OpContext, parameter: Tensor, dims: readonly number[]): Float64Array {
  if (sizeOf(parameter.dims) === 1) return asFloat64(broadcastTo(withDims(parameter, []), dims));
  const axis = normalizeAxis(context.int("axis", 1), dims.length);
  const block = context.int("block_size", 0);
  if (parameter.dims.length === 1 && block === 0) {
    if (parameter.dims[0] !== dims[axis]) throw context.fail(`${parameter.dims[0]} scales for axis ${axis} of ${show(dims)}`);
    const shape = dims.map((d, i) => (i === axis ? d : 1));
    return asFloat64(broadcastTo(withDims(parameter, shape), dims));
  }
  const n = dims[axis];
  const size = block > 0 ? block : Math.ceil(n / parameter.dims[axis]);
  const fits =
    parameter.dims.length === dims.length && parameter.dims.every((d, i) => d === (i === axis ? Math.ceil(n / size) : dims[i]));
  if (!fits)
    throw context.fail(`scales of shape ${show(parameter.dims)} do not block ${show(dims)} by ${size} along axis ${axis}`);
  const rows = Int32Array.from({ length: n }, (_, i) => Math.floor(i / size));
  return asFloat64(takeAxis(parameter, axis, rows));
}

function quantize(context: OpContext, x: Tensor, scale: Tensor, zero?: Tensor): Tensor {
  const dtype: DType = zero?.dtype ?? dtypeAttribute(context, "output_dtype") ?? "uint8";
  const precision = dtypeAttribute(context, "precision") ?? scale.dtype;
  const values = asFloat64(x);
  const scales = spread(context, scale, x.dims);
  const quotient = (i: number) =>
    context.mode === "storage" ? roundTo(precision, values[i] / scales[i]) : values[i] / scales[i];
  if (isFloat(dtype)) {
    const saturate = context.int("saturate", 1) !== 0;
    return {
      dtype,
      dims: x.dims,
      data: roundArray(
        dtype,
        values.map((_, i) => quotient(i)),
        { saturate },
      ),
    };
  }
  const range = integerRange(dtype);
  if (range === undefined) throw context.fail(`values cannot be quantized to ${dtype}`);
  const [low, high] = range;
  const zeros = zero === undefined ? undefined : spread(context, zero, x.dims);
  const data = allocate(dtype, values.length) as Int32Array;
  for (let i = 0; i < data.length; i++) data[i] = Math.min(high, Math.max(low, roundHalfEven(quotient(i)) + (zeros?.[i] ?? 0)));
  return { dtype, dims: x.dims, data };
}

function dequantize(context: OpContext, x: Tensor, scale: Tensor, zero?: Tensor): Tensor {
  const dtype = dtypeAttribute(context, "output_dtype") ?? scale.dtype;
  const values = asFloat64(x);
  const scales = spread(context, scale, x.dims);
  const zeros = zero === undefined ? undefined : spread(context, zero, x.dims);
  return { dtype, dims: x.dims, data: values.map((v, i) => (v - (zeros?.[i] ?? 0)) * scales[i]) };
}

export function dynamicQuantize(context: OpContext, x: Tensor): Tensor[] {
  const r = context.mode === "storage" ? Math.fround : (v: number) => v;
  const values = asFloat64(x);
  let [low, high] = [0, 0];
  for (const v of values) {
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  const scale = r(r(high - low) / 255);
  const clamp = (v: number) => Math.min(255, Math.max(0, v));
  // All zeros: any scale and zero point will do; 0 keeps them finite.
  const zero = scale === 0 ? 0 : clamp(roundHalfEven(r(-low / scale)));
  const data = Uint8Array.from(values, (v) => (scale === 0 ? 0 : clamp(roundHalfEven(r(v / scale)) + zero)));
  return [
    { dtype: "uint8", dims: x.dims, data },
    { dtype: "float32", dims: [], data: Float64Array.of(scale) },
    { dtype: "uint8", dims: [], data: Uint8Array.of(zero) },
  ];
}

export const quantizeOps: readonly OpDef[] = [
  tensorOp("QuantizeLinear", 10, 2, (context, x, scale, zero) => [quantize(context, x, scale, zero)]),
  tensorOp("DequantizeLinear", 10, 2, (context, x, scale, zero) => [dequantize(context, x, scale, zero)]),
  tensorOp("DynamicQuantizeLinear", 11, 1, (context, x) => dynamicQuantize(context, x)),
  microsoft(tensorOp("QuantizeLinear", 1, 2, (context, x, scale, zero) => [quantize(context, x, scale, zero)])),
  microsoft(tensorOp("DequantizeLinear", 1, 2, (context, x, scale, zero) => [dequantize(context, x, scale, zero)])),
];
