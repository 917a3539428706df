/**
 * Tensors → edits and pieces. A tensor with new numbers keeps its name, order of fields, doc string, unknown fields and the
 * way its payload is stored; large payloads become lazy pieces, encoded when they are written.
 */
import { BnfoldError } from "../diag/error.ts";
import { dtypeOfTensor, rawLength } from "./codec.ts";
import { type DType, dtypeInfo } from "./dtype.ts";
import { insertAt, intsField, pick, replaceField, tensorHead } from "./edit.ts";
import { encodeField, encodeRaw } from "./encode.ts";
import type { SideFiles, Stored } from "./external.ts";
import { fieldNames, typedField } from "./layout.ts";
import { rawPieces } from "./pieces.ts";
import { concat, header, intField, lengthDelimited, textField } from "./put.ts";
import type { TensorRecord } from "./records.ts";
import { FIELD } from "./schema.ts";
import { type Edit, type Piece, piecesLength, splice } from "./splice.ts";
import { sizeOf, type Tensor } from "./tensor.ts";
import { type Field, type Frame, fieldsOf, WIRE } from "./wire.ts";

const T = FIELD.tensor;

export interface Values {
  (): Float64Array | Tensor["data"];
  /** The same float numbers in order, a part at a time; each part is good until the next one is asked for. */
  readonly pieces?: () => Iterable<Float64Array | Float32Array>;
}

export interface NewTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dtype: DType;
  /** Template: order of fields, encoding, doc string, unknown fields and whether the payload is in a side file. */
  readonly like?: TensorRecord;
  readonly values: Values;
}

/** What a tensor is to become. */
interface Target {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dtype: DType;
  readonly values: Values;
}

/** The numbers, checked to be as many as dims say. */
function take({ name, dims, dtype, values }: Target): Tensor["data"] {
  const data = values();
  const expected = sizeOf(dims) * (dtypeInfo(dtype).holder === "complex" ? 2 : 1);
  if (data.length !== expected) {
    throw new BnfoldError("model", `tensor "${name}": got ${data.length} numbers, expected ${expected} for dims [${dims}]`, {
      tensor: name,
    });
  }
  return data;
}

/** A payload in raw_data layout, made when it is written. */
function lazyRaw(target: Target): Piece {
  const n = sizeOf(target.dims);
  const whole = { length: rawLength(target.dtype, n), make: () => encodeRaw(target.dtype, take(target)) };
  const { pieces } = target.values;
  // Elements narrower than a byte could meet inside one.
  if (pieces === undefined || dtypeInfo(target.dtype).bits % 8 !== 0) return whole;
  return { ...whole, parts: () => rawPieces(target.name, target.dtype, n, pieces()) };
}

function rawField(payload: Piece & { readonly length: number }): Piece[] {
  return [{ bytes: header(T.rawData, payload.length) }, payload];
}

const replace = (frame: Frame, field: Field, pieces: readonly Piece[]): Edit => ({
  frame,
  at: { start: field.tagAt, end: field.end },
  pieces,
});

/** Where payloads of external tensors go: side files, or into the model (undefined). */
export type Side = SideFiles | undefined;

/** Payloads below this stay in the model: a shape or a scalar that a reader needs before it opens anything else. */
export const SMALL_PAYLOAD = 1024;

/** The edits that put new numbers, dims, name or dtype into a tensor message. */
function tensorEdits(record: TensorRecord, frame: Frame, target: Target, side: Side, leaves: boolean): Edit[] {
  const fields = fieldsOf(record.files.main, frame);
  const edits: Edit[] = [];
  if (target.name !== record.name) {
    const names = pick(fields, T.name);
    const bytes = textField(T.name, target.name);
    edits.push(names.length === 0 ? insertAt(frame, frame.end, bytes) : replaceField(frame, names.at(-1) as Field, bytes));
  }
  if (target.dims.length !== record.dims.length || target.dims.some((d, i) => d !== record.dims[i])) {
    const old = pick(fields, T.dims);
    const bytes = intsField(T.dims, target.dims, old[0]?.wire === WIRE.bytes);
    if (old.length === 0) edits.push(insertAt(frame, frame.start, bytes));
    else edits.push(...old.map((field, i) => replaceField(frame, field, i === 0 ? bytes : undefined)));
  }
  const { code } = dtypeInfo(target.dtype);
  if (code !== record.dataType) {
    const old = pick(fields, T.dataType);
    const bytes = intField(T.dataType, code);
    edits.push(...old.map((field) => replaceField(frame, field, bytes)));
    if (old.length === 0) edits.push(insertAt(frame, frame.start, bytes));
  }
  const length = target.dtype === "string" ? 0 : rawLength(target.dtype, sizeOf(target.dims));
  if (leaves && side !== undefined && record.external === undefined && length >= SMALL_PAYLOAD) {
    return [...edits, ...outsourceEdits(frame, fields, side.add(lazyRaw(target)), length)];
  }
  return [...edits, ...payloadEdits(record, frame, fields, target, side)];
}

function payloadEdits(record: TensorRecord, frame: Frame, fields: readonly Field[], target: Target, side: Side): Edit[] {
  if (record.external !== undefined) {
    if (side === undefined) return inlineEdits(frame, fields, lazyRaw(target));
    return externalEdits(frame, fields, side.add(lazyRaw(target)), rawLength(target.dtype, sizeOf(target.dims)));
  }
  const raws = pick(fields, T.rawData);
  const typed = pick(fields, ...fieldNames.keys());
  const useTyped =
    target.dtype === "string" ||
    (typed.length > 0 && record.typed?.field === typedField(target.dtype) && record.raw === undefined);
  const old = [...raws, ...typed];
  if (!useTyped) {
    const last = raws.at(-1);
    if (last === undefined) {
      const pieces = rawField(lazyRaw(target) as Piece & { length: number });
      if (old.length > 0) return old.map((field, i) => replace(frame, field, i === 0 ? pieces : []));
      return [{ frame, at: { start: frame.end, end: frame.end }, pieces }];
    }
    // The content alone, so that the prefix stays as it is written when the length does.
    const inner: Frame = { start: last.start, end: last.end, tagAt: last.tagAt, parent: frame };
    const dead = old.filter((field) => field !== last).map((field) => replaceField(frame, field));
    return [{ frame: inner, at: { start: last.start, end: last.end }, pieces: [lazyRaw(target)] }, ...dead];
  }
  const packed = target.dtype !== "string" && typed[0]?.wire === WIRE.bytes;
  const pieces = typedPieces(target, packed);
  if (old.length === 0) return [{ frame, at: { start: frame.end, end: frame.end }, pieces }];
  return old.map((field, i) => replace(frame, field, i === 0 ? pieces : []));
}

/** float_data and double_data, packed, have a length known beforehand; the rest is encoded now. */
function typedPieces(target: Target, packed: boolean): Piece[] {
  const field = typedField(target.dtype);
  if (packed && (field === T.floatData || field === T.doubleData)) {
    const payload = lazyRaw(target);
    return [{ bytes: header(field, piecesLength([payload])) }, payload];
  }
  return [{ bytes: encodeField(target.dtype, take(target), packed) }];
}

/** External entries → raw_data in the place of the first. */
function inlineEdits(frame: Frame, fields: readonly Field[], payload: Piece): Edit[] {
  const pieces: Piece[] = [{ bytes: header(T.rawData, piecesLength([payload])) }, payload];
  const old = pick(fields, T.externalData, T.dataLocation, T.rawData, ...fieldNames.keys());
  const first = pick(fields, T.externalData)[0];
  return old.map((field) => replace(frame, field, field === first ? pieces : []));
}

const entry = (key: string, value: string): Uint8Array =>
  lengthDelimited(T.externalData, concat([textField(1, key), textField(2, value)]));

const entries = ({ location, offset }: Stored, length: number): Uint8Array =>
  concat([entry("location", location), entry("offset", String(offset)), entry("length", String(length))]);

/** External entries for a new place: location, offset and length written anew, a checksum of the old bytes dropped. */
function externalEdits(frame: Frame, fields: readonly Field[], stored: Stored, length: number): Edit[] {
  const bytes = entries(stored, length);
  return pick(fields, T.externalData).map((field, i) => replace(frame, field, i === 0 ? [{ bytes }] : []));
}

/** An untouched external tensor with its payload in another side file. */
export function moveTensor(tensor: TensorRecord, stored: Stored, length: number): Edit[] {
  return externalEdits(tensor.frame, fieldsOf(tensor.files.main, tensor.frame), stored, length);
}

/** A tensor whose payload leaves the model for a side file. */
export function outsourceTensor(tensor: TensorRecord, stored: Stored, length: number): Edit[] {
  return outsourceEdits(tensor.frame, fieldsOf(tensor.files.main, tensor.frame), stored, length);
}

function outsourceEdits(frame: Frame, fields: readonly Field[], stored: Stored, length: number): Edit[] {
  const bytes = concat([entries(stored, length), intField(T.dataLocation, 1)]);
  const old = pick(fields, T.rawData, T.dataLocation, T.externalData, ...fieldNames.keys());
  if (old.length === 0) return [insertAt(frame, frame.end, bytes)];
  return old.map((field, i) => replace(frame, field, i === 0 ? [{ bytes }] : []));
}

/** New numbers, and perhaps dims, for a tensor that stays where it is. `leaves`: a large payload goes to a side file. */
export function replaceTensor(
  tensor: TensorRecord,
  dims: readonly number[] | undefined,
  values: Values,
  side: Side,
  leaves = false,
): Edit[] {
  const target = { name: tensor.name, dims: dims ?? tensor.dims, dtype: dtypeOfTensor(tensor), values };
  return tensorEdits(tensor, tensor.frame, target, side, leaves);
}

/** An untouched external tensor with its payload moved into the model. */
export function inlineTensor(tensor: TensorRecord, payload: Piece): Edit[] {
  return inlineEdits(tensor.frame, fieldsOf(tensor.files.main, tensor.frame), payload);
}

/** A whole new tensor field, `field` being its number in the message it goes into. */
export function newTensor(field: number, tensor: NewTensor, side: Side, leaves = false): Piece[] {
  const content = tensor.like === undefined ? plainTensor(tensor) : likeTensor(tensor, tensor.like, side, leaves);
  return [{ bytes: header(field, piecesLength(content)) }, ...content];
}

function plainTensor(tensor: NewTensor): Piece[] {
  const head: Piece = { bytes: tensorHead(tensor.dtype, tensor.dims, tensor.name) };
  if (tensor.dtype === "string") return [head, { bytes: encodeField("string", take(tensor), false) }];
  const payload = lazyRaw(tensor);
  return [head, { bytes: header(T.rawData, piecesLength([payload])) }, payload];
}

function likeTensor(tensor: NewTensor, like: TensorRecord, side: Side, leaves: boolean): Piece[] {
  const root: Frame = { start: like.frame.start, end: like.frame.end, tagAt: like.frame.start, parent: undefined };
  return splice(like.files.main, root, tensorEdits(like, root, tensor, side, leaves));
}
