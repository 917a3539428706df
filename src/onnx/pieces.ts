/**
 * Float payloads piece by piece, in both directions: numbers read from any place in a tensor, and numbers written in the
 * layout of raw_data as they come. For the element types that take whole bytes and whose payload lies in the file as it is.
 */
import { BnfoldError } from "../diag/error.ts";
import { decodeRaw, payloadSpan } from "./codec.ts";
import { type DType, dtypeInfo, isStorageFloat } from "./dtype.ts";
import { encodeRaw } from "./encode.ts";
import { decodeTable, isNarrowFloat } from "./float.ts";
import { dtypeOfTensor } from "./layout.ts";
import type { TensorRecord } from "./records.ts";
import { fillBytes, isSameRange } from "./source.ts";

export interface NumberReader {
  /** Number of elements. */
  readonly length: number;
  /** Fills `out` with the elements from `start` on. */
  read(start: number, out: Float64Array): void;
  /** The same in the storage type, where that is float32. */
  readonly read32?: (start: number, out: Float32Array) => void;
}

const hostIsLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

const bytesOf = (array: Float64Array | Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Undefined when the payload has to be unpacked or the machine is big-endian: then `decode` reads it whole. */
export function numberReader(record: TensorRecord): NumberReader | undefined {
  const dtype = dtypeOfTensor(record);
  if (!hostIsLittle || !isStorageFloat(dtype)) return undefined;
  // Asked for when the first number is read: a side file need not be there before.
  let span: ReturnType<typeof payloadSpan>;
  const width = dtypeInfo(dtype).bits / 8;
  const length = record.dims.reduce((n, d) => n * d, 1);
  const outside = record.external !== undefined;
  if (!outside) span = payloadSpan(record);
  if (!outside && span === undefined) return undefined;
  const fill = (bytes: Uint8Array, start: number): void => {
    span ??= payloadSpan(record) as NonNullable<typeof span>;
    const at = span.start + start * width;
    if (at + bytes.length > span.end)
      throw new Error(`internal: elements ${start} and on of "${record.name}" are read past its end`);
    fillBytes(span.source, bytes, at);
  };
  if (dtype === "float64") return { length, read: (start, out) => fill(bytesOf(out), start) };
  if (dtype === "float32") {
    const read32 = (start: number, out: Float32Array) => fill(bytesOf(out), start);
    let own = new Float32Array(0);
    return {
      length,
      read32,
      read(start, out) {
        if (own.length < out.length) own = new Float32Array(out.length);
        const part = own.subarray(0, out.length);
        read32(start, part);
        out.set(part);
      },
    };
  }
  if (!isNarrowFloat(dtype) || width !== 2) return undefined;
  let codes = new Uint16Array(0);
  return {
    length,
    read(start, out) {
      const table = decodeTable(dtype);
      if (codes.length < out.length) codes = new Uint16Array(out.length);
      const part = codes.subarray(0, out.length);
      fill(bytesOf(part), start);
      for (let i = 0; i < out.length; i++) out[i] = table[part[i]];
    },
  };
}

/** Numbers as they come, in the layout of raw_data. Each piece is good until the next one is asked for. */
export function* rawPieces(
  name: string,
  dtype: DType,
  expected: number,
  chunks: Iterable<Float64Array | Float32Array>,
): Generator<Uint8Array> {
  let count = 0;
  for (const chunk of chunks) {
    count += chunk.length;
    yield hostIsLittle && dtype === "float32" && chunk instanceof Float32Array ? bytesOf(chunk) : encodeRaw(dtype, chunk);
  }
  if (count !== expected) {
    throw new BnfoldError("model", `tensor "${name}": got ${count} numbers, expected ${expected}`, { tensor: name });
  }
}

/** Bytes compared at a time, after a first look: what differs mostly does so at once. */
const BLOCK = 1 << 20;
const LOOK = 1 << 12;

/**
 * True when two tensors hold the same bytes under the same type and dims, compared block by block. False says nothing about
 * their numbers: they may be written in different ways.
 */
export const samePayload = (a: TensorRecord, b: TensorRecord): boolean => comparePayloads(a, b) === "same";

/**
 * Two tensors of one type and dims, compared block by block as their bytes stand: the same; or another number in the same place;
 * undefined where bytes do not tell.
 */
export function comparePayloads(a: TensorRecord, b: TensorRecord): "same" | "other" | undefined {
  if (a.dataType !== b.dataType || a.dims.length !== b.dims.length || a.dims.some((d, i) => d !== b.dims[i])) return undefined;
  const dtype = dtypeOfTensor(a);
  if (dtype === "string") return undefined;
  const [x, y] = [payloadSpan(a), payloadSpan(b)];
  if (x === undefined || y === undefined || x.end - x.start !== y.end - y.start) return undefined;
  const length = x.end - x.start;
  if (isSameRange(x.source, x.start, y.source, y.start, length)) return "same";
  for (let at = 0; at < length; ) {
    const n = Math.min(at === 0 ? LOOK : BLOCK, length - at);
    const [p, q] = [x, y].map(({ source, start }, i) => {
      const block = blocks[i].subarray(0, n);
      fillBytes(source, block, start + at);
      return block;
    });
    const differs = firstDifference(p, q);
    if (differs >= 0) return sameNumber(dtype, p, q, differs) ? undefined : "other";
    at += n;
  }
  return "same";
}

const blocks = [new Uint8Array(BLOCK), new Uint8Array(BLOCK)];

/** Bytes may differ where numbers do not (NaN), and a byte may hold several. */
function sameNumber(dtype: DType, p: Uint8Array, q: Uint8Array, at: number): boolean {
  const { bits, holder } = dtypeInfo(dtype);
  if (bits < 8 || holder === "complex" || holder === "bool") return true;
  const width = bits / 8;
  const from = at - (at % width);
  const [x, y] = [p, q].map((bytes) => decodeRaw(dtype, 1, bytes.slice(from, from + width))[0]);
  return Object.is(x, y);
}

/** Where two arrays of one length, which begin at a word, first differ, −1 where they do not: at a word's start, or at a byte of the last few. */
export function firstDifference(p: Uint8Array, q: Uint8Array): number {
  const words = p.length >> 2;
  const [a, b] = [new Int32Array(p.buffer, p.byteOffset, words), new Int32Array(q.buffer, q.byteOffset, words)];
  for (let i = 0; i < words; i++) if (a[i] !== b[i]) return 4 * i;
  for (let i = 4 * words; i < p.length; i++) if (p[i] !== q[i]) return i;
  return -1;
}
