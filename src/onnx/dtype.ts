/** ONNX element types: TensorProto.DataType numbers, names, widths and how bnfold holds their values. */

/**
 * How values are held: "float" as doubles (or as float32 where that is exact), "int" in the smallest typed array that
 * fits, "big" as 64-bit integers, "bool" as 0/1 bytes, "string" as a list, "complex" as interleaved doubles.
 */
export type Holder = "float" | "int" | "big" | "bool" | "string" | "complex";

export interface DTypeInfo {
  readonly code: number;
  readonly name: string;
  /** Width of one element in `raw_data`, in bits; 0 for strings. */
  readonly bits: number;
  readonly holder: Holder;
}

const table = [
  [1, "float32", 32, "float"],
  [2, "uint8", 8, "int"],
  [3, "int8", 8, "int"],
  [4, "uint16", 16, "int"],
  [5, "int16", 16, "int"],
  [6, "int32", 32, "int"],
  [7, "int64", 64, "big"],
  [8, "string", 0, "string"],
  [9, "bool", 8, "bool"],
  [10, "float16", 16, "float"],
  [11, "float64", 64, "float"],
  [12, "uint32", 32, "int"],
  [13, "uint64", 64, "big"],
  [14, "complex64", 64, "complex"],
  [15, "complex128", 128, "complex"],
  [16, "bfloat16", 16, "float"],
  [17, "float8e4m3fn", 8, "float"],
  [18, "float8e4m3fnuz", 8, "float"],
  [19, "float8e5m2", 8, "float"],
  [20, "float8e5m2fnuz", 8, "float"],
  [21, "uint4", 4, "int"],
  [22, "int4", 4, "int"],
  [23, "float4e2m1", 4, "float"],
  [24, "float8e8m0", 8, "float"],
  [25, "uint2", 2, "int"],
  [26, "int2", 2, "int"],
  [27, "float6e2m3", 6, "float"],
  [28, "float6e3m2", 6, "float"],
] as const satisfies readonly (readonly [number, string, number, Holder])[];

export type DType = (typeof table)[number][1];

const byCode = new Map<number, DTypeInfo>(table.map(([code, name, bits, holder]) => [code, { code, name, bits, holder }]));
const byName = new Map<string, DTypeInfo>([...byCode.values()].map((info) => [info.name, info]));

/** The element type of an ONNX code, or undefined when ONNX 1.23 does not know it. */
export function dtypeOf(code: number): DType | undefined {
  return byCode.get(code)?.name as DType | undefined;
}

export function dtypeInfo(dtype: DType): DTypeInfo {
  return byName.get(dtype) as DTypeInfo;
}

export const isFloat = (dtype: DType): boolean => dtypeInfo(dtype).holder === "float";

/**
 * Float formats that are storage types of activations and weights. Their unit roundoff is `unitRoundoff`, their largest
 * finite value `max`, their smallest normal `minNormal` (IEEE 754; bfloat16 as the upper half of float32).
 */
export const STORAGE_FLOATS = {
  float64: { unitRoundoff: 2 ** -53, max: Number.MAX_VALUE, minNormal: 2 ** -1022, minSubnormal: 2 ** -1074 },
  float32: { unitRoundoff: 2 ** -24, max: (2 - 2 ** -23) * 2 ** 127, minNormal: 2 ** -126, minSubnormal: 2 ** -149 },
  float16: { unitRoundoff: 2 ** -11, max: 65504, minNormal: 2 ** -14, minSubnormal: 2 ** -24 },
  bfloat16: { unitRoundoff: 2 ** -8, max: (2 - 2 ** -7) * 2 ** 127, minNormal: 2 ** -126, minSubnormal: 2 ** -133 },
} as const;

export type StorageFloat = keyof typeof STORAGE_FLOATS;

export function isStorageFloat(dtype: DType): dtype is StorageFloat {
  return dtype in STORAGE_FLOATS;
}

const scratch = new Float64Array(1);
const words = new Uint32Array(scratch.buffer);

/** Half the distance between neighbours of `value` in a storage type: u · 2^max(⌊log₂|value|⌋, e_min); 0 where it is not finite. */
export function halfUlp(value: number, type: StorageFloat): number {
  const { unitRoundoff, minSubnormal } = STORAGE_FLOATS[type];
  scratch[0] = value;
  const exponent = ((words[1] >>> 20) & 0x7ff) - 1023;
  return exponent === 1024 ? 0 : Math.max(2 ** exponent * unitRoundoff, minSubnormal / 2);
}

const tables = new Map<StorageFloat, Float64Array>();

/** Half-ulps of a storage type by the exponent bits of a double: for loops. */
export function halfUlps(dtype: StorageFloat): Float64Array {
  let table = tables.get(dtype);
  if (table === undefined) {
    table = Float64Array.from({ length: 2048 }, (_, e) => halfUlp(e === 0 ? 0 : 2 ** Math.min(e - 1023, 1023), dtype));
    tables.set(dtype, table);
  }
  return table;
}
