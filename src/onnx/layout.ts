/** How a TensorProto lays out its elements: fields, sizes and the packing of elements narrower than a byte. */
import { BnfoldError } from "../diag/error.ts";
import { type DType, dtypeInfo, dtypeOf } from "./dtype.ts";
import type { SparseTensorRecord, TensorRecord } from "./records.ts";
import { FIELD } from "./schema.ts";

const F = FIELD.tensor;
export const fieldNames = new Map<number, string>([
  [F.floatData, "float_data"],
  [F.int32Data, "int32_data"],
  [F.int64Data, "int64_data"],
  [F.stringData, "string_data"],
  [F.doubleData, "double_data"],
  [F.uint64Data, "uint64_data"],
]);

const ownFields: Partial<Record<DType, number>> = {
  float32: F.floatData,
  complex64: F.floatData,
  float64: F.doubleData,
  complex128: F.doubleData,
  int64: F.int64Data,
  uint32: F.uint64Data,
  uint64: F.uint64Data,
  string: F.stringData,
};

/** The typed field in which ONNX keeps elements of `dtype`. */
export const typedField = (dtype: DType): number => ownFields[dtype] ?? F.int32Data;

/** Bytes that `n` elements take in `raw_data`. */
export const rawLength = (dtype: DType, n: number): number => Math.ceil((n * dtypeInfo(dtype).bits) / 8);

/** An error about a tensor that says which and where. */
export function tensorError(record: TensorRecord, message: string, hint?: string): BnfoldError {
  return new BnfoldError(
    "model",
    `tensor "${record.name}": ${message}`,
    { file: record.files.main.name, byte: record.frame.start, tensor: record.name },
    hint,
  );
}

/** Element type of a tensor. @throws BnfoldError when ONNX does not know its code. */
export function dtypeOfTensor(record: TensorRecord): DType {
  const dtype = dtypeOf(record.dataType);
  if (dtype !== undefined) return dtype;
  throw tensorError(record, `element type ${record.dataType} is not one of ONNX's (1 to 28)`);
}

/** Number of elements by dims, checked to be one that can exist. */
export function elementCount(record: TensorRecord | SparseTensorRecord): number {
  let n = 1;
  const own = "values" in record ? record.values : record;
  for (const d of record.dims) {
    if (!Number.isSafeInteger(d) || d < 0)
      throw tensorError(own, `dims [${record.dims}] hold ${d}, expected whole numbers from 0`);
    n *= d;
  }
  if (record.dims.includes(0)) return 0;
  if (n > 2 ** 48) throw tensorError(own, `dims [${record.dims}] make ${n} elements`);
  return n;
}

/** Elements of fewer than 8 bits, one per byte, unsigned. */
export function unpackBits(bytes: Uint8Array, bits: number, n: number): Uint8Array {
  const out = new Uint8Array(n);
  const mask = (1 << bits) - 1;
  for (let i = 0, at = 0; i < n; i++, at += bits) {
    const low = Math.floor(at / 8);
    out[i] = ((bytes[low] | ((bytes[low + 1] ?? 0) << 8)) >> (at % 8)) & mask;
  }
  return out;
}

/** Elements of `bits` bits, one per byte, packed as in raw_data: from the low bits up. */
export function packBits(elements: Uint8Array, bits: number): Uint8Array {
  if (bits === 8) return elements;
  const mask = (1 << bits) - 1;
  const out = new Uint8Array(Math.ceil((elements.length * bits) / 8));
  for (let i = 0, at = 0; i < elements.length; i++, at += bits) {
    const low = Math.floor(at / 8);
    const value = (elements[i] & mask) << (at % 8);
    out[low] |= value;
    if (value > 0xff) out[low + 1] |= value >> 8;
  }
  return out;
}
