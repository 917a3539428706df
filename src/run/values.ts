/** Values rounded to what their declared type can hold. */
import { roundArray } from "../onnx/codec.ts";
import { isStorageFloat } from "../onnx/dtype.ts";
import { isTensor, type Value } from "../ops/define.ts";

/**
 * The value with every float in it rounded once to its declared type. Float8 and narrower are left alone: only operators
 * that round to them by their meaning make them. Never writes to the data it is given.
 */
export function roundValue(value: Value): Value {
  if (!isTensor(value)) {
    if (value.kind === "sequence") return { ...value, items: value.items.map(roundValue) };
    return value.item === undefined ? value : { ...value, item: roundValue(value.item) };
  }
  const { dtype, data } = value;
  if (dtype === "complex64") return { ...value, data: Float64Array.from(data as Float64Array, Math.fround) };
  if (!isStorageFloat(dtype) || dtype === "float64" || (dtype === "float32" && data instanceof Float32Array)) return value;
  return { ...value, data: roundArray(dtype, data as Float64Array) };
}
