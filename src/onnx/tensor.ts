/** A tensor as numbers in memory. */
import { type DType, dtypeInfo } from "./dtype.ts";

export type FloatArray = Float64Array | Float32Array;
export type IntArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;
export type BigArray = BigInt64Array | BigUint64Array;

/**
 * Dense, row-major. `data` by the holder of `dtype` (see dtype.ts): float → Float64Array (Float32Array where a constant
 * is kept in its storage type; every value is exact either way), int → the matching typed array (int4, int2 in Int8Array,
 * uint4, uint2 in Uint8Array, unpacked), int64/uint64 → BigInt64Array/BigUint64Array, bool → Uint8Array of 0 and 1,
 * string → string[], complex → Float64Array of interleaved (re, im).
 */
export interface Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: FloatArray | IntArray | BigArray | readonly string[];
}

export const sizeOf = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

/** Row-major strides, in elements. */
export function stridesOf(dims: readonly number[]): number[] {
  const strides = new Array<number>(dims.length);
  let n = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    strides[i] = n;
    n *= dims[i];
  }
  return strides;
}

type NumericData = FloatArray | IntArray | BigArray;

export interface NumericArray {
  new (length: number): NumericData;
  new (buffer: ArrayBufferLike, offset: number, length: number): NumericData;
  readonly BYTES_PER_ELEMENT: number;
}

/** The typed array of each element type that is no float: those below 8 bits unpacked, one element each. */
export const holders: Partial<Record<DType, NumericArray>> = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  int4: Int8Array,
  uint4: Uint8Array,
  int2: Int8Array,
  uint2: Uint8Array,
};

/** Zeroed data of the right kind for `n` elements of `dtype` (not for strings). */
export function allocate(dtype: DType, n: number): NumericData {
  if (dtypeInfo(dtype).holder === "complex") return new Float64Array(2 * n);
  return new (holders[dtype] ?? Float64Array)(n);
}

/** [n, a] and [n, b] as [n, a + b]: each of `rows` rows of one followed by that of the other. */
export function sideBySide<T extends FloatArray>(x: T, y: FloatArray, rows: number): T {
  const out = new (x.constructor as new (length: number) => T)(x.length + y.length);
  const [a, b] = [x.length / rows, y.length / rows];
  for (let i = 0; i < rows; i++) {
    out.set(x.subarray(i * a, (i + 1) * a), i * (a + b));
    out.set(y.subarray(i * b, (i + 1) * b), i * (a + b) + a);
  }
  return out;
}

/** [n, c, …] with one more channel: the numbers of `more`, [n, 1, …], or ones. */
export function withChannel(t: Tensor, more?: Tensor): Tensor {
  const [n, c, ...rest] = t.dims;
  const added = more === undefined ? new Float64Array(n * sizeOf(rest)).fill(1) : asFloat64(more);
  return { dtype: t.dtype, dims: [n, c + 1, ...rest], data: sideBySide(asFloat64(t), added, n) };
}

/** The elements of a numeric tensor as doubles (int64 beyond 2^53 is rounded). Shares memory when they already are. */
export function asFloat64(tensor: Tensor): Float64Array {
  const { data } = tensor;
  if (data instanceof Float64Array) return data;
  const out = new Float64Array(data.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let i = 0; i < out.length; i++) out[i] = Number(data[i]);
  else out.set(data as FloatArray | IntArray);
  return out;
}

/** The elements of an integer tensor as plain numbers: shapes, axes, indices. */
export function asNumbers(tensor: Tensor): number[] {
  return Array.from(tensor.data as ArrayLike<number | bigint>, Number);
}

export function tensor(dtype: DType, dims: readonly number[], data: Tensor["data"]): Tensor {
  return { dtype, dims, data };
}

/** A 1-D or scalar int64 tensor. */
export function int64s(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  return { dtype: "int64", dims, data: BigInt64Array.from(values, BigInt) };
}
