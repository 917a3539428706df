/**
 * The small messages of the ONNX schema, decoded whole: opset imports, entries, value infos with their types, quantization
 * annotations. The reader of protobufjs takes the wire apart; what the fields are is written here and not generated, so that no code is made from
 * strings. A field of another wire type than the schema's is an unknown field; of a scalar that stands twice the last counts.
 */
import Reader from "protobufjs/src/reader.js";
import type { TypeInfo } from "./records.ts";
import { readVarints, WIRE } from "./wire.ts";

/** Reads the content of one field. */
type Visit = (reader: Reader) => void;

/** What a field with one number and one wire type does; anything else is stepped over. */
type Fields = Readonly<Record<number, readonly [wire: number, visit: Visit]>>;

/** Types deeper than this (sequences of sequences ...) are refused: no value is made so. */
const MAX_DEPTH = 64;

function walk(reader: Reader, end: number, fields: Fields): void {
  while (reader.pos < end) {
    const tag = reader.tag();
    const [number, wire] = [tag >>> 3, tag & 7];
    const known = fields[number];
    if (known !== undefined && known[0] === wire) known[1](reader);
    else reader.skipType(wire, 0, number);
  }
  if (reader.pos !== end) throw new Error("a field runs past the end of its message");
}

/** Reads a nested message: its length, then its fields. */
function nested(reader: Reader, fields: Fields): void {
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new Error("a field runs past the end of its message");
  walk(reader, end, fields);
}

type Field = Fields[number];

/** The field fills one place of an object. */
const text = <K extends string>(into: { [key in K]: string | number | undefined }, key: K): Field => [
  WIRE.bytes,
  (reader) => {
    into[key] = reader.string();
  },
];
const int32 = <K extends string>(into: { [key in K]: string | number | undefined }, key: K): Field => [
  WIRE.varint,
  (reader) => {
    into[key] = reader.int32();
  },
];
const int64 = <K extends string>(into: { [key in K]: string | number | undefined }, key: K): Field => [
  WIRE.varint,
  (reader) => {
    // In 64 bits: the reader's own way needs a package for them.
    const start = reader.pos;
    into[key] = Number(readVarints(reader.buf.subarray(start, reader.skip().pos))[0]);
  },
];
const type = (into: { type: TypeInfo }, depth: number): Field => [
  WIRE.bytes,
  (reader) => nested(reader, typeFields(into, depth)),
];

/** Fields of a StringStringEntryProto. */
const entryFields = (into: { key: string; value: string }): Fields => ({ 1: text(into, "key"), 2: text(into, "value") });

type Dim = number | string | undefined;

/**
 * Dimension: dim_value = 1, dim_param = 2. A size of 0 may be a real empty axis or, from old exporters, "unknown"; the run settles
 * which, so it stays as written. No axis has a negative size: exporters that count sizes as PaddlePaddle does write -1 for
 * "unknown".
 */
function dimension(reader: Reader): Dim {
  const into: { value?: number; param: string } = { param: "" };
  nested(reader, { 1: int64(into as { value: number }, "value"), 2: text(into, "param") });
  if (into.value !== undefined) return into.value < 0 ? undefined : into.value;
  return into.param === "" ? undefined : into.param;
}

/** TypeProto.Tensor: elem_type = 1, shape = 2; TensorShapeProto: dim = 1. */
function tensorType(reader: Reader, kind: "tensor" | "sparse"): TypeInfo {
  const into: { elemType: number; shape?: Dim[] } = { elemType: 0 };
  const shape = (): void => {
    const dims: Dim[] = [];
    nested(reader, { 1: [WIRE.bytes, () => dims.push(dimension(reader))] });
    into.shape = dims;
  };
  nested(reader, { 1: int32(into, "elemType"), 2: [WIRE.bytes, shape] });
  return { kind, elemType: into.elemType, shape: into.shape };
}

/** A sequence or an optional: its element type is field 1. */
function container(reader: Reader, kind: "sequence" | "optional", depth: number): TypeInfo {
  const into: { type: TypeInfo } = { type: { kind: "unknown" } };
  nested(reader, { 1: type(into, depth + 1) });
  return { kind, of: into.type };
}

/** TypeProto.Map: key_type = 1, value_type = 2. */
function map(reader: Reader, depth: number): TypeInfo {
  const into: { elemType?: number; type: TypeInfo } = { type: { kind: "unknown" } };
  nested(reader, { 1: int32(into as { elemType: number }, "elemType"), 2: type(into, depth + 1) });
  return { kind: "map", elemType: into.elemType, of: into.type };
}

/** Fields of a TypeProto: tensor = 1, sequence = 4, map = 5, opaque = 7, sparse = 8, optional = 9. */
function typeFields(into: { type: TypeInfo }, depth: number): Fields {
  if (depth > MAX_DEPTH) throw new Error(`types are nested more than ${MAX_DEPTH} deep`);
  const kind = (read: (reader: Reader) => TypeInfo): Field => [
    WIRE.bytes,
    (reader) => {
      into.type = read(reader);
    },
  ];
  return {
    1: kind((reader) => tensorType(reader, "tensor")),
    4: kind((reader) => container(reader, "sequence", depth)),
    5: kind((reader) => map(reader, depth)),
    7: kind((reader) => {
      nested(reader, {});
      return { kind: "opaque" };
    }),
    8: kind((reader) => tensorType(reader, "sparse")),
    9: kind((reader) => container(reader, "optional", depth)),
  };
}

/** Fills `into` from the content of a message. @throws Error that says what is wrong with the bytes. */
function decoded<T>(bytes: Uint8Array, into: T, fields: Fields): T {
  const reader = new Reader(bytes);
  walk(reader, reader.len, fields);
  return into;
}

/** StringStringEntryProto: key = 1, value = 2. */
export function entry(bytes: Uint8Array): { key: string; value: string } {
  const into = { key: "", value: "" };
  return decoded(bytes, into, entryFields(into));
}

/** OperatorSetIdProto: domain = 1, version = 2. */
export function opset(bytes: Uint8Array): { domain: string; version: number } {
  const into = { domain: "", version: 0 };
  return decoded(bytes, into, { 1: text(into, "domain"), 2: int64(into, "version") });
}

/** ValueInfoProto: name = 1, type = 2. */
export function valueInfo(bytes: Uint8Array): { name: string; type: TypeInfo } {
  const into: { name: string; type: TypeInfo } = { name: "", type: { kind: "unknown" } };
  return decoded(bytes, into, { 1: text(into, "name"), 2: type(into, 0) });
}

/** TypeProto, as an attribute holds it. */
export function typeInfo(bytes: Uint8Array): TypeInfo {
  const into: { type: TypeInfo } = { type: { kind: "unknown" } };
  return decoded(bytes, into, typeFields(into, 0)).type;
}

/** TensorAnnotation: tensor_name = 1, quant_parameter_tensor_names = 2, of which the values count. */
export function annotation(bytes: Uint8Array): { tensorName: string; parameters: string[] } {
  const into = { tensorName: "", parameters: [] as string[] };
  const parameter = (reader: Reader): void => {
    const one = { key: "", value: "" };
    nested(reader, entryFields(one));
    into.parameters.push(one.value);
  };
  return decoded(bytes, into, { 1: text(into, "tensorName"), 2: [WIRE.bytes, parameter] });
}
