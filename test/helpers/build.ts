/**
 * Models for tests, written from plain descriptions. The bytes are made here by hand (tag, length, payload), with no part
 * of the code under test, so that a reader and a writer cannot agree on the same mistake.
 */
import { setFloat16 } from "@petamoriken/float16";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { type ExternalResolver, memorySource } from "../../src/onnx/source.ts";

type Dim = number | string | undefined;

export interface TensorSpec {
  readonly dtype: string;
  readonly dims: readonly number[];
  readonly values: readonly (number | bigint | string)[] | ArrayLike<number>;
  /** Default "raw"; "typed" writes float_data, int32_data …, as older writers do. Strings are always typed. */
  readonly encoding?: "raw" | "typed";
  /** Payload kept in another file; `values` is then ignored. */
  readonly external?: {
    readonly location: string;
    readonly offset?: number;
    readonly length?: number;
    readonly checksum?: string;
  };
}

/** A sparse initializer: linear positions and the numbers there. */
export interface SparseSpec {
  readonly dtype: string;
  readonly dims: readonly number[];
  readonly indices: readonly number[];
  readonly values: readonly number[];
}

export interface ValueSpec {
  readonly name: string;
  /** Default "float32". */
  readonly dtype?: string;
  /** Absent: rank unknown. An undefined dimension is unknown, a string a symbol. */
  readonly dims?: readonly Dim[];
  /** Wraps the tensor type. */
  readonly kind?: "tensor" | "sequence" | "optional" | "optional-sequence";
}

/** An attribute whose kind the value alone does not tell; see `f`, `fs`, `is`. */
export interface TypedAttribute {
  readonly kind: "float" | "floats" | "ints" | "strings" | "ref";
  readonly value: number | string | readonly number[] | readonly string[];
}

/** Whole number: INT. Other number: FLOAT. List of numbers: INTS. List of text: STRINGS. Use `f` and `fs` for whole floats. */
export type AttributeSpec =
  | number
  | bigint
  | string
  | readonly number[]
  | readonly string[]
  | TensorSpec
  | GraphSpec
  | TypedAttribute;

export interface NodeSpec {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly overload?: string;
  readonly attributes?: Readonly<Record<string, AttributeSpec>>;
  /** Bytes put at the end of the NodeProto: fields nobody here knows. */
  readonly extra?: Uint8Array;
}

export interface GraphSpec {
  readonly name?: string;
  readonly nodes: readonly NodeSpec[];
  readonly initializers?: Readonly<Record<string, TensorSpec>>;
  readonly sparse?: Readonly<Record<string, SparseSpec>>;
  readonly inputs?: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly valueInfos?: readonly ValueSpec[];
  /** Tensors with a quantization annotation. */
  readonly annotations?: readonly string[];
}

export interface FunctionSpec {
  readonly name: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly overload?: string;
  readonly attributes?: readonly string[];
  /** Attributes with the value they have where a call gives none. */
  readonly defaults?: Readonly<Record<string, AttributeSpec>>;
  readonly valueInfos?: readonly ValueSpec[];
  readonly nodes: readonly NodeSpec[];
  readonly opsets?: Readonly<Record<string, number>>;
}

export interface ModelSpec extends GraphSpec {
  /** Default 9. */
  readonly irVersion?: number;
  /** Default 21 for the ONNX domain. */
  readonly opset?: number;
  readonly opsets?: Readonly<Record<string, number>>;
  readonly functions?: readonly FunctionSpec[];
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A FLOAT attribute whatever the value. */
export const f = (value: number): TypedAttribute => ({ kind: "float", value });
/** A FLOATS attribute. */
export const fs = (value: readonly number[]): TypedAttribute => ({ kind: "floats", value });
/** An INTS attribute, for empty lists. */
export const is = (value: readonly number[]): TypedAttribute => ({ kind: "ints", value });
/** A reference to the attribute `name` of the enclosing function; INT by type. */
export const ref = (name: string): TypedAttribute => ({ kind: "ref", value: name });

export const float32 = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({
  dtype: "float32",
  dims,
  values,
});
export const float16 = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({
  dtype: "float16",
  dims,
  values,
});
export const float64 = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({
  dtype: "float64",
  dims,
  values,
});
export const int64 = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({ dtype: "int64", dims, values });

export const int8 = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({ dtype: "int8", dims, values });

export const uint8 = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({ dtype: "uint8", dims, values });

/** A node in one line. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: NodeSpec["attributes"] = {},
  more: Pick<NodeSpec, "name" | "domain" | "overload" | "extra"> = {},
): NodeSpec {
  return { op, inputs, outputs, attributes, ...more };
}

const CODES: Record<string, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  uint4: 21,
  int4: 22,
};

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function varint(value: number | bigint): number[] {
  let left = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  do {
    const low = Number(left & 127n);
    left >>= 7n;
    out.push(left > 0n ? low | 128 : low);
  } while (left > 0n);
  return out;
}

/** Concatenation without spreading large arrays. */
function join(parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const intField = (id: number, value: number | bigint): Uint8Array => join([varint(id * 8), varint(value)]);
export const bytesField = (id: number, content: Uint8Array): Uint8Array =>
  join([varint(id * 8 + 2), varint(content.length), content]);
export const textField = (id: number, value: string): Uint8Array => bytesField(id, text(value));

function floatField(id: number, value: number): Uint8Array {
  const out = new DataView(new ArrayBuffer(4));
  out.setFloat32(0, value, true);
  return join([varint(id * 8 + 5), new Uint8Array(out.buffer)]);
}

/** Upper half of float32, nearest even. */
function bfloat16Bits(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0);
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) / 65536) >>> 0;
}

type Put = (view: DataView, at: number, value: number | bigint) => void;
const PUT: Record<string, readonly [bytes: number, put: Put]> = {
  float32: [4, (v, at, x) => v.setFloat32(at, Number(x), true)],
  float64: [8, (v, at, x) => v.setFloat64(at, Number(x), true)],
  float16: [2, (v, at, x) => setFloat16(v, at, Number(x), true)],
  bfloat16: [2, (v, at, x) => v.setUint16(at, bfloat16Bits(Number(x)), true)],
  uint8: [1, (v, at, x) => v.setUint8(at, Number(x))],
  int8: [1, (v, at, x) => v.setInt8(at, Number(x))],
  bool: [1, (v, at, x) => v.setUint8(at, Number(x))],
  uint16: [2, (v, at, x) => v.setUint16(at, Number(x), true)],
  int16: [2, (v, at, x) => v.setInt16(at, Number(x), true)],
  uint32: [4, (v, at, x) => v.setUint32(at, Number(x), true)],
  int32: [4, (v, at, x) => v.setInt32(at, Number(x), true)],
  uint64: [8, (v, at, x) => v.setBigUint64(at, BigInt(x), true)],
  int64: [8, (v, at, x) => v.setBigInt64(at, BigInt(x), true)],
};

/** Little-endian bytes of the values, as raw_data and external files hold them. */
export function payload(spec: TensorSpec): Uint8Array {
  const values = Array.from(spec.values as ArrayLike<number | bigint>);
  if (spec.dtype === "int4" || spec.dtype === "uint4") {
    const out = new Uint8Array(Math.ceil(values.length / 2));
    values.forEach((value, i) => {
      out[i >> 1] |= (Number(value) & 15) << (i % 2 === 0 ? 0 : 4);
    });
    return out;
  }
  const [bytes, put] = PUT[spec.dtype];
  const view = new DataView(new ArrayBuffer(bytes * values.length));
  values.forEach((value, i) => put(view, i * bytes, value));
  return new Uint8Array(view.buffer);
}

function typedPayload(spec: TensorSpec): Uint8Array {
  const values = Array.from(spec.values as ArrayLike<number | bigint>);
  switch (spec.dtype) {
    case "float32":
      return bytesField(4, payload(spec));
    case "float64":
      return bytesField(10, payload(spec));
    case "int64":
      return bytesField(7, join(values.map(varint)));
    case "uint32":
    case "uint64":
      return bytesField(11, join(values.map(varint)));
    case "float16":
    case "bfloat16": {
      const bits = new Uint16Array(payload(spec).slice().buffer);
      return bytesField(5, join(Array.from(bits, (b) => varint(b))));
    }
    default:
      return bytesField(5, join(values.map(varint)));
  }
}

/** TensorProto bytes. */
export function tensorProto(name: string, spec: TensorSpec): Uint8Array {
  const parts = [bytesField(1, join(spec.dims.map((d) => varint(d)))), intField(2, CODES[spec.dtype]), textField(8, name)];
  if (spec.external !== undefined) {
    const { location, offset, length, checksum } = spec.external;
    const entry = (key: string, value: string) => bytesField(13, join([textField(1, key), textField(2, value)]));
    parts.push(entry("location", location));
    if (offset !== undefined) parts.push(entry("offset", String(offset)));
    if (length !== undefined) parts.push(entry("length", String(length)));
    if (checksum !== undefined) parts.push(entry("checksum", checksum));
    parts.push(intField(14, 1));
  } else if (spec.dtype === "string") {
    for (const value of Array.from(spec.values as readonly string[])) parts.push(textField(6, value));
  } else if (spec.encoding === "typed") parts.push(typedPayload(spec));
  else parts.push(bytesField(9, payload(spec)));
  return join(parts);
}

/** ValueInfoProto bytes. */
function valueProto(spec: ValueSpec): Uint8Array {
  const dims = spec.dims?.map((d) =>
    bytesField(1, d === undefined ? new Uint8Array(0) : typeof d === "string" ? textField(2, d) : intField(1, d)),
  );
  const tensor = join([intField(1, CODES[spec.dtype ?? "float32"]), dims === undefined ? [] : bytesField(2, join(dims))]);
  let type = bytesField(1, tensor);
  if (spec.kind === "sequence" || spec.kind === "optional-sequence") type = bytesField(4, bytesField(1, type));
  if (spec.kind === "optional" || spec.kind === "optional-sequence") type = bytesField(9, bytesField(1, type));
  return join([textField(1, spec.name), bytesField(2, type)]);
}

function attributeProto(name: string, spec: AttributeSpec): Uint8Array {
  const head = textField(1, name);
  const kind = (type: number) => intField(20, type);
  if (typeof spec === "bigint") return join([head, intField(3, spec), kind(2)]);
  if (typeof spec === "number") {
    return Number.isInteger(spec) ? join([head, intField(3, spec), kind(2)]) : join([head, floatField(2, spec), kind(1)]);
  }
  if (typeof spec === "string") return join([head, textField(4, spec), kind(3)]);
  if (Array.isArray(spec)) {
    const list = spec as readonly (number | string)[];
    return typeof list[0] === "string"
      ? join([head, ...list.map((s) => textField(9, s as string)), kind(8)])
      : join([head, ...list.map((i) => intField(8, i as number)), kind(7)]);
  }
  if ("nodes" in spec) return join([head, bytesField(6, graphProto(spec)), kind(5)]);
  if ("dims" in spec) return join([head, bytesField(5, tensorProto("", spec)), kind(4)]);
  const typed = spec as TypedAttribute;
  switch (typed.kind) {
    case "float":
      return join([head, floatField(2, typed.value as number), kind(1)]);
    case "floats":
      return join([head, ...(typed.value as number[]).map((x) => floatField(7, x)), kind(6)]);
    case "ints":
      return join([head, ...(typed.value as number[]).map((x) => intField(8, x)), kind(7)]);
    case "strings":
      return join([head, ...(typed.value as string[]).map((x) => textField(9, x)), kind(8)]);
    case "ref":
      return join([head, textField(21, typed.value as string), kind(2)]);
  }
}

function nodeProto(spec: NodeSpec): Uint8Array {
  return join([
    ...spec.inputs.map((name) => textField(1, name)),
    ...spec.outputs.map((name) => textField(2, name)),
    spec.name === undefined ? [] : textField(3, spec.name),
    textField(4, spec.op),
    ...Object.entries(spec.attributes ?? {}).map(([name, value]) => bytesField(5, attributeProto(name, value))),
    spec.domain === undefined ? [] : textField(7, spec.domain),
    spec.overload === undefined ? [] : textField(8, spec.overload),
    spec.extra ?? [],
  ]);
}

function sparseProto(name: string, { dtype, dims, indices, values }: SparseSpec): Uint8Array {
  const [n, positions] = [[values.length], indices.map(BigInt)];
  return join([
    bytesField(1, tensorProto(name, { dtype, dims: n, values })),
    bytesField(2, tensorProto("", { dtype: "int64", dims: n, values: positions })),
    bytesField(3, join(dims.map((d) => varint(d)))),
  ]);
}

function graphProto(spec: GraphSpec): Uint8Array {
  return join([
    ...spec.nodes.map((n) => bytesField(1, nodeProto(n))),
    textField(2, spec.name ?? "graph"),
    ...Object.entries(spec.initializers ?? {}).map(([name, t]) => bytesField(5, tensorProto(name, t))),
    ...(spec.inputs ?? []).map((v) => bytesField(11, valueProto(v))),
    ...spec.outputs.map((v) => bytesField(12, valueProto(v))),
    ...(spec.valueInfos ?? []).map((v) => bytesField(13, valueProto(v))),
    ...Object.entries(spec.sparse ?? {}).map(([name, t]) => bytesField(15, sparseProto(name, t))),
    ...(spec.annotations ?? []).map((name) => bytesField(14, textField(1, name))),
  ]);
}

const opsetProto = (domain: string, version: number) => join([textField(1, domain), intField(2, version)]);

function functionProto(spec: FunctionSpec): Uint8Array {
  return join([
    textField(1, spec.name),
    ...spec.inputs.map((name) => textField(4, name)),
    ...spec.outputs.map((name) => textField(5, name)),
    ...(spec.attributes ?? []).map((name) => textField(6, name)),
    ...spec.nodes.map((n) => bytesField(7, nodeProto(n))),
    ...Object.entries(spec.opsets ?? { "": 21 }).map(([domain, version]) => bytesField(9, opsetProto(domain, version))),
    textField(10, spec.domain),
    ...Object.entries(spec.defaults ?? {}).map(([name, value]) => bytesField(11, attributeProto(name, value))),
    ...(spec.valueInfos ?? []).map((v) => bytesField(12, valueProto(v))),
    spec.overload === undefined ? [] : textField(13, spec.overload),
  ]);
}

/** ModelProto bytes. */
export function modelBytes(spec: ModelSpec): Uint8Array {
  return join([
    intField(1, spec.irVersion ?? 9),
    textField(2, "test"),
    bytesField(7, graphProto(spec)),
    ...Object.entries(spec.opsets ?? { "": spec.opset ?? 21 }).map(([domain, version]) =>
      bytesField(8, opsetProto(domain, version)),
    ),
    ...Object.entries(spec.metadata ?? {}).map(([key, value]) => bytesField(14, join([textField(1, key), textField(2, value)]))),
    ...(spec.functions ?? []).map((fn) => bytesField(25, functionProto(fn))),
  ]);
}

/** A model read from the description's bytes; `files` holds external data by location. */
export function model(spec: ModelSpec, files: Readonly<Record<string, Uint8Array>> = {}): Model {
  const external: ExternalResolver = (location) => {
    const bytes = files[location];
    if (bytes === undefined) throw new Error(`no external file ${location}`);
    return memorySource(bytes, location);
  };
  return read(memorySource(modelBytes(spec), "test.onnx"), { external });
}
