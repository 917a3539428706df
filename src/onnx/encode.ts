/**
 * Numbers → tensor payloads, the inverse of codec.ts. Floats are rounded once, to nearest, ties to even; a number that an
 * integer type cannot hold is an error, never a wrap.
 */
import { BnfoldError } from "../diag/error.ts";
import { type DType, dtypeInfo } from "./dtype.ts";
import { encodeFloat, isNarrowFloat, type NarrowFloat } from "./float.ts";
import { dtypeOfTensor, packBits, typedField } from "./layout.ts";
import { concat, fieldTag, lengthDelimited, varint } from "./put.ts";
import type { TensorRecord } from "./records.ts";
import { FIELD } from "./schema.ts";
import type { FloatArray, Tensor } from "./tensor.ts";
import { WIRE } from "./wire.ts";

const F = FIELD.tensor;

type Numbers = Exclude<Tensor["data"], readonly string[]>;

function bad(dtype: DType, message: string): BnfoldError {
  return new BnfoldError("model", `cannot write ${dtype} elements: ${message}`);
}

const ranges: Partial<Record<DType, readonly [number, number]>> = {
  bool: [0, 1],
  int2: [-2, 1],
  uint2: [0, 3],
  int4: [-8, 7],
  uint4: [0, 15],
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
};

/** Element i of `data` as a number that `dtype` holds exactly. */
function integer(dtype: DType, value: number | bigint): number {
  const [low, high] = ranges[dtype] as readonly [number, number];
  const x = Number(value);
  if (!Number.isInteger(x) || x < low || x > high) throw bad(dtype, `${value} is not a whole number from ${low} to ${high}`);
  return x;
}

function big(dtype: DType, value: number | bigint): bigint {
  if (typeof value === "number" && !Number.isInteger(value)) throw bad(dtype, `${value} is not a whole number`);
  const x = BigInt(value);
  const y = dtype === "int64" ? BigInt.asIntN(64, x) : BigInt.asUintN(64, x);
  if (x !== y) throw bad(dtype, `${x} does not fit into 64 bits`);
  return x;
}

function narrow(dtype: NarrowFloat, data: Numbers): Uint8Array {
  const { bits } = dtypeInfo(dtype);
  const n = data.length;
  if (bits === 16) {
    const out = new DataView(new ArrayBuffer(2 * n));
    for (let i = 0; i < n; i++) out.setUint16(2 * i, encodeFloat(dtype, Number(data[i])), true);
    return new Uint8Array(out.buffer);
  }
  return packBits(
    Uint8Array.from({ length: n }, (_, i) => encodeFloat(dtype, Number(data[i]))),
    bits,
  );
}

const hostIsLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

function floats(bits: number, data: Numbers): Uint8Array {
  const asFloat = data as FloatArray;
  if (hostIsLittle) {
    const array = bits === 32 ? new Float32Array(asFloat) : new Float64Array(asFloat);
    return new Uint8Array(array.buffer);
  }
  const out = new DataView(new ArrayBuffer((bits / 8) * data.length));
  for (let i = 0; i < data.length; i++) {
    if (bits === 32) out.setFloat32(4 * i, asFloat[i], true);
    else out.setFloat64(8 * i, asFloat[i], true);
  }
  return new Uint8Array(out.buffer);
}

/** Numbers in the layout of raw_data. */
export function encodeRaw(dtype: DType, data: Tensor["data"]): Uint8Array {
  if (dtype === "string" || !ArrayBuffer.isView(data)) throw bad(dtype, "strings have no raw layout");
  if (dtype === "float32" || dtype === "complex64") return floats(32, data);
  if (dtype === "float64" || dtype === "complex128") return floats(64, data);
  if (isNarrowFloat(dtype)) return narrow(dtype, data);
  const { bits } = dtypeInfo(dtype);
  if (bits <= 8)
    return packBits(
      Uint8Array.from({ length: data.length }, (_, i) => integer(dtype, data[i])),
      bits,
    );
  const out = new DataView(new ArrayBuffer((data.length * bits) / 8));
  for (let i = 0; i < data.length; i++) {
    if (bits === 64) out.setBigUint64(8 * i, BigInt.asUintN(64, big(dtype, data[i])), true);
    else if (bits === 32) out.setUint32(4 * i, integer(dtype, data[i]), true);
    else out.setUint16(2 * i, integer(dtype, data[i]), true);
  }
  return new Uint8Array(out.buffer);
}

/** The entries of a varint field that holds `data`: whole numbers from 0, or 64-bit patterns (negative ones are sign-extended). */
function varintEntries(dtype: DType, data: Numbers): (number | bigint)[] {
  const { bits } = dtypeInfo(dtype);
  if (bits >= 8 && !isNarrowFloat(dtype)) {
    const signed = (v: number) => (v < 0 ? BigInt(v) : v);
    return Array.from(data as ArrayLike<number | bigint>, (v) => (bits === 64 ? big(dtype, v) : signed(integer(dtype, v))));
  }
  if (bits === 6) return Array.from(data as FloatArray, (v) => encodeFloat(dtype as NarrowFloat, v));
  const raw = encodeRaw(dtype, data);
  if (bits !== 16) return Array.from(raw);
  return Array.from({ length: data.length }, (_, i) => raw[2 * i] | (raw[2 * i + 1] << 8));
}

/** Numbers as the content of the packed typed field of `dtype`. */
export function encodePacked(dtype: DType, data: Tensor["data"]): Uint8Array {
  const field = typedField(dtype);
  if (field === F.stringData) throw bad(dtype, "strings cannot be packed");
  if (field === F.floatData || field === F.doubleData) return encodeRaw(dtype, data);
  return concat(varintEntries(dtype, data as Numbers).map((entry) => varint(entry)));
}

/** The payload in the record's own encoding: the content of its raw_data or external data, or of its typed field, packed. */
export function encodeLike(record: TensorRecord, data: Tensor["data"]): Uint8Array {
  const dtype = dtypeOfTensor(record);
  if (record.external !== undefined || record.typed === undefined) return encodeRaw(dtype, data);
  return encodePacked(dtype, data);
}

/** The typed field, tag included: `packed` in one length-delimited field, else one field per entry. */
export function encodeField(dtype: DType, data: Tensor["data"], packed: boolean): Uint8Array {
  const field = typedField(dtype);
  if (field === F.stringData) {
    const utf8 = new TextEncoder();
    return concat((data as readonly string[]).map((text) => lengthDelimited(field, utf8.encode(text))));
  }
  if (packed) return lengthDelimited(field, encodePacked(dtype, data));
  if (field === F.floatData || field === F.doubleData) {
    const [width, wire] = field === F.floatData ? [4, WIRE.fixed32] : [8, WIRE.fixed64];
    const raw = encodeRaw(dtype, data);
    const tag = fieldTag(field, wire);
    return concat(Array.from({ length: raw.length / width }, (_, i) => [tag, raw.subarray(i * width, (i + 1) * width)]).flat());
  }
  const tag = fieldTag(field, WIRE.varint);
  return concat(varintEntries(dtype, data as Numbers).flatMap((entry) => [tag, varint(entry)]));
}
