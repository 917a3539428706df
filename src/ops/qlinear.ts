/**
 * Integer arithmetic shared by the quantised heavy operators: x − x₀ in float64 (exact), and back by
 * q = saturate(round-half-even(value · factor) + y₀).
 */
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import { allocate, asFloat64, type IntArray, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { roundHalfEven } from "./math.ts";

/**
 * The elements less their zero point: one for all, or one for each index of the first axis ("first"), of the last ("last"),
 * of the second last ("rows"). A zero point of one element always holds for all.
 */
export function centred(x: Tensor, zero: Tensor | undefined, along: "all" | "first" | "last" | "rows"): Float64Array {
  const out = Float64Array.from(asFloat64(x));
  if (zero === undefined) return out;
  const z = asFloat64(zero);
  const last = x.dims[x.dims.length - 1] ?? 1;
  const inner = along === "first" ? sizeOf(x.dims.slice(1)) : along === "rows" ? last : 1;
  if (z.length === 1 || along === "all") for (let i = 0; i < out.length; i++) out[i] -= z[0];
  else for (let i = 0; i < out.length; i++) out[i] -= z[Math.floor(i / inner) % z.length];
  return out;
}

/** Smallest and largest value of an integer type of at most 32 bits. */
export function rangeOf(dtype: DType): [number, number] {
  const { bits } = dtypeInfo(dtype);
  return dtype.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

/** Values to the type of the zero point; `factor(i)` scales element i. */
export function requantize(values: Float64Array, dims: readonly number[], factor: (i: number) => number, zero: Tensor): Tensor {
  const [low, high] = rangeOf(zero.dtype);
  const shift = asFloat64(zero)[0];
  const data = allocate(zero.dtype, values.length) as IntArray;
  for (let i = 0; i < data.length; i++) {
    data[i] = Math.min(high, Math.max(low, roundHalfEven(values[i] * factor(i)) + shift));
  }
  return { dtype: zero.dtype, dims, data };
}
