/**
 * Tensor payloads ⇄ numbers, for every element type and every field a TensorProto may keep them in.
 *
 * Each encoding is first brought to the layout of `raw_data`: little-endian, row-major, 4-bit and 2-bit elements packed
 * from the low bits up, 6-bit elements as one stream of bits. float_data and double_data already have it; the varints of
 * int32_data (one element each; two 4-bit or four 2-bit ones), int64_data and uint64_data are unpacked into it. The size of
 * a payload is compared with dims before anything is allocated.
 */
import type { BnfoldError } from "../diag/error.ts";
import { type DType, dtypeInfo } from "./dtype.ts";
import { checkedExternal, type ExternalSpan } from "./external.ts";
import { decodeTable, isNarrowFloat, type NarrowFloat } from "./float.ts";
import { dtypeOfTensor, elementCount, fieldNames, packBits, rawLength, tensorError, typedField, unpackBits } from "./layout.ts";
import type { SparseTensorRecord, TensorRecord } from "./records.ts";
import { FIELD } from "./schema.ts";
import { allocate, asNumbers, holders, type Tensor } from "./tensor.ts";
import { type Span, WIRE } from "./wire.ts";

export { encodeField, encodeLike, encodeRaw } from "./encode.ts";
export { type RoundOptions, roundArray, roundTo } from "./float.ts";
export { dtypeOfTensor, elementCount, rawLength } from "./layout.ts";

const F = FIELD.tensor;

export interface DecodeOptions {
  /** float32 stays a Float32Array instead of being widened. */
  readonly keepStorage?: boolean;
}

/**
 * The numbers of a tensor.
 * @throws BnfoldError of kind "model" when payload and dims disagree, "file" when external data cannot be read.
 */
export function decode(record: TensorRecord, options: DecodeOptions = {}): Tensor {
  const dtype = dtypeOfTensor(record);
  const dims = record.dims;
  const n = elementCount(record);
  if (dtype === "string") return { dtype, dims, data: decodeStrings(record, n) };
  const bytes = rawPayload(record, dtype, n);
  try {
    return { dtype, dims, data: decodeRaw(dtype, n, bytes, options.keepStorage ?? false) };
  } catch (error) {
    if (error instanceof RangeError) throw tensorError(record, `its ${n} elements do not fit into memory (${error.message})`);
    throw error;
  }
}

/**
 * Where the raw layout of a payload lies as it is: in raw_data, in a packed float_data or double_data, or in a side file, its
 * size checked. Undefined when it has to be unpacked.
 */
export function payloadSpan(record: TensorRecord): ExternalSpan | undefined {
  const dtype = dtypeOfTensor(record);
  const n = elementCount(record);
  const expected = rawLength(dtype, n);
  const place = placeOf(record);
  if (place === "external") return checkedExternal(record, expected);
  const source = record.files.main;
  if (place === "raw") {
    const { start, end } = record.raw as Span;
    return end - start === expected ? { source, start, end } : undefined;
  }
  if (place === "none") return undefined;
  const [part, ...more] = checkField(record, dtype);
  const direct = typedField(dtype) === F.floatData || typedField(dtype) === F.doubleData;
  return direct && more.length === 0 && part.end - part.start === expected ? { source, ...part } : undefined;
}

const hasBytes = (span: Span) => span.end > span.start;

/** Where the payload is: which of the three places, with disagreement between them refused. */
function placeOf(record: TensorRecord): "external" | "raw" | "typed" | "none" {
  if (record.external !== undefined) return "external";
  const typed = record.typed?.parts.some(
    (part) => part.wire !== WIRE.bytes || hasBytes(part) || record.typed?.field === F.stringData,
  );
  const raw = record.raw !== undefined && hasBytes(record.raw);
  if (raw && typed)
    throw tensorError(record, `it has both raw_data and ${fieldNames.get(record.typed?.field as number)}; only one may be there`);
  return raw ? "raw" : typed ? "typed" : "none";
}

/** The payload in raw_data layout. Its length is the one dims ask for. May be a view of the file: never write to it. */
export function rawPayload(record: TensorRecord, dtype: DType, n: number): Uint8Array {
  const expected = rawLength(dtype, n);
  const place = placeOf(record);
  if (place === "external") {
    const { source, start, end } = checkedExternal(record, expected);
    return source.read(start, end);
  }
  if (place === "raw") {
    const { start, end } = record.raw as Span;
    // Six-bit elements may be padded to whole groups of four (three bytes).
    const padded = dtypeInfo(dtype).bits === 6 ? 3 * Math.ceil(n / 4) : expected;
    if (end - start !== expected && end - start !== padded) throw wrongSize(record, dtype, "raw_data", expected, end - start);
    return record.files.main.read(start, start + expected);
  }
  if (place === "none") {
    if (expected > 0) throw wrongSize(record, dtype, "its payload", expected, 0);
    return new Uint8Array(0);
  }
  return typedToRaw(record, dtype, n);
}

function wrongSize(record: TensorRecord, dtype: DType, what: string, expected: number, got: number): BnfoldError {
  return tensorError(
    record,
    `${what} has ${got} bytes, expected ${expected} for dims [${record.dims}] of ${dtype}`,
    "The file was cut off or written wrongly; export it again.",
  );
}

function checkField(record: TensorRecord, dtype: DType): readonly (Span & { readonly wire: number })[] {
  const { field, parts } = record.typed as NonNullable<TensorRecord["typed"]>;
  const want = typedField(dtype);
  if (field !== want)
    throw tensorError(record, `its ${dtype} elements are in ${fieldNames.get(field)}, expected ${fieldNames.get(want)}`);
  return parts;
}

function typedToRaw(record: TensorRecord, dtype: DType, n: number): Uint8Array {
  const parts = checkField(record, dtype);
  const field = typedField(dtype);
  const main = record.files.main;
  const expected = rawLength(dtype, n);
  const varint = field !== F.floatData && field !== F.doubleData;
  const single = varint ? WIRE.varint : field === F.floatData ? WIRE.fixed32 : WIRE.fixed64;
  for (const { wire } of parts) {
    if (wire !== WIRE.bytes && wire !== single)
      throw tensorError(record, `${fieldNames.get(field)} is written with wire type ${wire}`);
  }
  if (!varint) {
    const size = parts.reduce((sum, part) => sum + part.end - part.start, 0);
    if (size !== expected) throw wrongSize(record, dtype, fieldNames.get(field) as string, expected, size);
    if (parts.length === 1) return main.read(parts[0].start, parts[0].end);
    const out = new Uint8Array(expected);
    let at = 0;
    for (const { start, end } of parts) {
      out.set(main.read(start, end), at);
      at += end - start;
    }
    return out;
  }
  const { bits } = dtypeInfo(dtype);
  const entries = bits === 6 ? n : bits < 8 ? expected : n;
  const pieces = parts.map(({ start, end }) => main.read(start, end));
  let count = 0;
  for (const piece of pieces) for (const b of piece) if (b < 0x80) count++;
  if (count !== entries) {
    throw tensorError(
      record,
      `${fieldNames.get(field)} has ${count} entries, expected ${entries} for dims [${record.dims}] of ${dtype}`,
    );
  }
  const width = Math.max(1, bits / 8);
  const out = varintsToRaw(record, pieces, entries, bits === 6 ? 1 : Math.ceil(width));
  return bits === 6 ? packBits(out, 6) : out;
}

/** The low `width` bytes of each varint, little-endian, one after the other. */
function varintsToRaw(record: TensorRecord, pieces: readonly Uint8Array[], count: number, width: number): Uint8Array {
  const out = new Uint8Array(count * width);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const bytes of pieces) {
    for (let i = 0; i < bytes.length; at += width) {
      let [low, high, shift] = [0, 0, 0];
      for (;;) {
        if (i >= bytes.length) throw tensorError(record, "a number of its payload is cut off");
        const b = bytes[i++];
        if (shift > 63) throw tensorError(record, "a number of its payload is longer than ten bytes");
        if (shift < 28) low |= (b & 0x7f) << shift;
        else if (shift === 28) {
          low |= b << 28;
          high = (b & 0x7f) >> 4;
        } else high |= (b & 0x7f) << (shift - 32);
        shift += 7;
        if (b < 0x80) break;
      }
      if (width === 1) out[at] = low;
      else if (width === 2) view.setUint16(at, low, true);
      else {
        view.setUint32(at, low, true);
        if (width === 8) view.setUint32(at + 4, high, true);
      }
    }
  }
  return out;
}

type ArrayType<T> = { new (buffer: ArrayBufferLike, offset: number, length: number): T; readonly BYTES_PER_ELEMENT: number };

const hostIsLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * Little-endian bytes as a typed array of the host, at any alignment. The result shares memory with `bytes` where that is
 * possible and, if `own`, only where `bytes` is the whole of its buffer (nobody else then has it).
 */
function typedArray<T>(type: ArrayType<T>, bytes: Uint8Array, own: boolean): T {
  const width = type.BYTES_PER_ELEMENT;
  const alone = bytes.byteOffset === 0 && bytes.buffer.byteLength === bytes.byteLength;
  const little = hostIsLittle || width === 1;
  if (little && bytes.byteOffset % width === 0 && (alone || !own)) {
    return new type(bytes.buffer, bytes.byteOffset, bytes.byteLength / width);
  }
  const copy = new Uint8Array(bytes);
  if (!little) for (let i = 0; i < copy.length; i += width) copy.subarray(i, i + width).reverse();
  return new type(copy.buffer, 0, copy.byteLength / width);
}

/** `n` numbers from their raw layout. May share memory with `bytes` where that is the whole of its buffer. */
export function decodeRaw(dtype: DType, n: number, bytes: Uint8Array, keepStorage = false): Tensor["data"] {
  if (dtype === "float32")
    return keepStorage ? typedArray(Float32Array, bytes, true) : new Float64Array(typedArray(Float32Array, bytes, false));
  if (dtype === "complex64") return new Float64Array(typedArray(Float32Array, bytes, false));
  if (dtype === "float64" || dtype === "complex128") return typedArray(Float64Array, bytes, true);
  if (isNarrowFloat(dtype)) return narrowFloats(dtype, n, bytes);
  if (dtype === "bool") return bytes.map((b) => (b === 0 ? 0 : 1));
  const { bits } = dtypeInfo(dtype);
  const type = holders[dtype];
  if (bits >= 8 && type !== undefined) return typedArray(type, bytes, true);
  const unsigned = unpackBits(bytes, bits, n);
  if (dtype === "uint4" || dtype === "uint2") return unsigned;
  const shift = 32 - bits;
  return Int8Array.from(unsigned, (v) => (v << shift) >> shift);
}

function narrowFloats(dtype: NarrowFloat, n: number, bytes: Uint8Array): Float64Array {
  const { bits } = dtypeInfo(dtype);
  const codes = bits === 16 ? typedArray(Uint16Array, bytes, false) : bits === 8 ? bytes : unpackBits(bytes, bits, n);
  const table = decodeTable(dtype);
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) out[i] = table[codes[i]];
  return out;
}

function decodeStrings(record: TensorRecord, n: number): string[] {
  const place = placeOf(record);
  if (place === "external" || place === "raw")
    throw tensorError(record, `strings cannot be in ${place === "raw" ? "raw_data" : "external data"}`);
  const parts = place === "none" ? [] : checkField(record, "string");
  if (parts.length !== n)
    throw tensorError(record, `string_data has ${parts.length} entries, expected ${n} for dims [${record.dims}]`);
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  return parts.map(({ start, end, wire }) => {
    if (wire !== WIRE.bytes) throw tensorError(record, `string_data is written with wire type ${wire}`);
    return utf8.decode(record.files.main.read(start, end));
  });
}

/** Largest dense form of a sparse tensor: its size comes from dims alone, so a few bytes could ask for all memory. */
const MAX_DENSE = 2 ** 28;

/** A sparse tensor as a dense one; what is not listed is zero. Indices are linear [nnz] or per axis [nnz, rank]. */
export function decodeSparse(record: SparseTensorRecord): Tensor {
  const { values: own, dims } = record;
  const n = elementCount(record);
  if (n > MAX_DENSE)
    throw tensorError(own, `the sparse tensor has ${n} elements when written out; ${MAX_DENSE} is the most bnfold takes`);
  const values = decode(own);
  const count = values.dtype === "complex64" || values.dtype === "complex128" ? values.data.length / 2 : values.data.length;
  const indices = decode(record.indices);
  const rank = record.indices.dims.length === 2 ? dims.length : 1;
  if (indices.dtype !== "int64") throw tensorError(own, `sparse indices are ${indices.dtype}, expected int64`);
  if (indices.data.length !== count * rank) {
    throw tensorError(
      own,
      `sparse indices have dims [${record.indices.dims}], expected [${count}] or [${count}, ${dims.length}]`,
    );
  }
  const positions = linear(record, asNumbers(indices), count, rank, n);
  const dense = { dtype: values.dtype, dims };
  if (values.dtype === "string") {
    const data = new Array<string>(n).fill("");
    for (let i = 0; i < count; i++) data[positions[i]] = values.data[i] as string;
    return { ...dense, data };
  }
  const data = allocate(values.dtype, n) as Float64Array;
  const from = values.data as Float64Array;
  const width = values.data.length / Math.max(count, 1);
  for (let i = 0; i < count; i++) for (let k = 0; k < width; k++) data[positions[i] * width + k] = from[i * width + k];
  return { ...dense, data };
}

function linear(record: SparseTensorRecord, indices: readonly number[], count: number, rank: number, n: number): number[] {
  const out: number[] = [];
  for (let i = 0; i < count; i++) {
    let at = 0;
    for (let k = 0; k < rank; k++) {
      const limit = record.indices.dims.length === 2 ? record.dims[k] : n;
      const index = indices[i * rank + k];
      if (!(index >= 0 && index < limit)) throw tensorError(record.values, `sparse index ${index} is outside 0 to ${limit - 1}`);
      at = at * (record.indices.dims.length === 2 ? limit : 1) + index;
    }
    out.push(at);
  }
  return out;
}
