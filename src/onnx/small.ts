/**
 * The small messages of the ONNX schema, decoded whole: opset imports, entries, value infos with their types, quantization
 * annotations. What their fields are is written here, not generated: no code is made from strings. A field of another wire type
 * than the schema's is an unknown field; of a scalar that stands twice the last counts.
 */
import type { TypeInfo } from "./records.ts";
import { memorySource } from "./source.ts";
import { Cursor, WIRE } from "./wire.ts";

/** Reads the field the cursor is at. */
type Visit = (at: Cursor) => void;

/** What a field with one number and one wire type does; anything else is stepped over. */
type Fields = Readonly<Record<number, readonly [wire: number, visit: Visit]>>;

/** Types deeper than this (sequences of sequences ...) are refused: no value is made so. */
const MAX_DEPTH = 64;

/** Visits the fields up to `end`; a visitor may walk into the field, the walk goes on after it. */
function walk(at: Cursor, end: number, fields: Fields): void {
  while (at.field(end)) {
    const next = at.pos;
    const known = fields[at.number];
    if (known !== undefined && known[0] === at.wire) known[1](at);
    at.pos = next;
  }
}

/** Reads the current field as a message. */
function nested(at: Cursor, fields: Fields): void {
  const { start, end } = at;
  at.pos = start;
  walk(at, end, fields);
}

type Field = Fields[number];

type Place<K extends string> = { [key in K]: string | number | undefined };

/** The field fills one place of an object. */
const text = <K extends string>(into: Place<K>, key: K): Field => [
  WIRE.bytes,
  (at) => {
    into[key] = at.string();
  },
];
const int = <K extends string>(into: Place<K>, key: K): Field => [
  WIRE.varint,
  (at) => {
    into[key] = at.int();
  },
];
const type = (into: { type: TypeInfo }, depth: number): Field => [WIRE.bytes, (at) => nested(at, typeFields(into, depth))];

/** Fields of a StringStringEntryProto. */
const entryFields = (into: { key: string; value: string }): Fields => ({ 1: text(into, "key"), 2: text(into, "value") });

type Dim = number | string | undefined;

/**
 * Dimension: dim_value = 1, dim_param = 2. A size of 0 may be a real empty axis or, from old exporters, "unknown"; the run settles
 * which, so it stays as written. No axis has a negative size: exporters that count sizes as PaddlePaddle does write -1 for
 * "unknown".
 */
function dimension(at: Cursor): Dim {
  const into: { value?: number; param: string } = { param: "" };
  nested(at, { 1: int(into as { value: number }, "value"), 2: text(into, "param") });
  if (into.value !== undefined) return into.value < 0 ? undefined : into.value;
  return into.param === "" ? undefined : into.param;
}

/** TypeProto.Tensor: elem_type = 1, shape = 2; TensorShapeProto: dim = 1. */
function tensorType(at: Cursor, kind: "tensor" | "sparse"): TypeInfo {
  const into: { elemType: number; shape?: Dim[] } = { elemType: 0 };
  const shape = (): void => {
    const dims: Dim[] = [];
    nested(at, { 1: [WIRE.bytes, () => dims.push(dimension(at))] });
    into.shape = dims;
  };
  nested(at, { 1: int(into, "elemType"), 2: [WIRE.bytes, shape] });
  return { kind, elemType: into.elemType, shape: into.shape };
}

/** A sequence or an optional: its element type is field 1. */
function container(at: Cursor, kind: "sequence" | "optional", depth: number): TypeInfo {
  const into: { type: TypeInfo } = { type: { kind: "unknown" } };
  nested(at, { 1: type(into, depth + 1) });
  return { kind, of: into.type };
}

/** TypeProto.Map: key_type = 1, value_type = 2. */
function map(at: Cursor, depth: number): TypeInfo {
  const into: { elemType?: number; type: TypeInfo } = { type: { kind: "unknown" } };
  nested(at, { 1: int(into as { elemType: number }, "elemType"), 2: type(into, depth + 1) });
  return { kind: "map", elemType: into.elemType, of: into.type };
}

/** Fields of a TypeProto: tensor = 1, sequence = 4, map = 5, opaque = 7, sparse = 8, optional = 9. */
function typeFields(into: { type: TypeInfo }, depth: number): Fields {
  if (depth > MAX_DEPTH) throw new Error(`types are nested more than ${MAX_DEPTH} deep`);
  const kind = (read: (at: Cursor) => TypeInfo): Field => [
    WIRE.bytes,
    (at) => {
      into.type = read(at);
    },
  ];
  return {
    1: kind((at) => tensorType(at, "tensor")),
    4: kind((at) => container(at, "sequence", depth)),
    5: kind((at) => map(at, depth)),
    7: kind((at) => {
      nested(at, {});
      return { kind: "opaque" };
    }),
    8: kind((at) => tensorType(at, "sparse")),
    9: kind((at) => container(at, "optional", depth)),
  };
}

/** Fills `into` from the content of a message. @throws Error that says what is wrong with the bytes. */
function decoded<T>(bytes: Uint8Array, into: T, fields: Fields): T {
  walk(new Cursor(memorySource(bytes)), bytes.length, fields);
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
  return decoded(bytes, into, { 1: text(into, "domain"), 2: int(into, "version") });
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
  const parameter = (at: Cursor): void => {
    const one = { key: "", value: "" };
    nested(at, entryFields(one));
    into.parameters.push(one.value);
  };
  return decoded(bytes, into, { 1: text(into, "tensorName"), 2: [WIRE.bytes, parameter] });
}
