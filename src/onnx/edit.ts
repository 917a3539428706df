/**
 * Nodes and attributes → edits of their fields. A field that does not change keeps its bytes and its place; one that does is
 * written anew where it stood; a new one follows the last of its kind.
 */
import { encodeRaw } from "./codec.ts";
import { type DType, dtypeInfo } from "./dtype.ts";
import { encodeField } from "./encode.ts";
import { concat, fieldTag, floatField, intField, lengthDelimited, textField, varint } from "./put.ts";
import type { AttributeRecord, NodeRecord } from "./records.ts";
import { ATTRIBUTE_TYPE, FIELD } from "./schema.ts";
import type { ByteSource } from "./source.ts";
import type { Edit } from "./splice.ts";
import type { Tensor } from "./tensor.ts";
import { type Field, type Frame, fieldsOf, WIRE } from "./wire.ts";

export type AttributeValue =
  | { readonly int: number | bigint }
  | { readonly ints: readonly (number | bigint)[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string }
  | { readonly tensor: { readonly dtype: DType; readonly dims: readonly number[]; readonly values: Tensor["data"] } };

export interface NodeSpec {
  readonly opType: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

export interface NodeRewrite {
  readonly node: NodeRecord;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly opType?: string;
  readonly set?: Readonly<Record<string, AttributeValue>>;
  readonly remove?: readonly string[];
}

const A = FIELD.attribute;
const N = FIELD.node;
const T = FIELD.tensor;

/** Replaces a whole field, tag included; no bytes: removes it. */
export function replaceField(frame: Frame, field: Field, bytes?: Uint8Array): Edit {
  return { frame, at: { start: field.tagAt, end: field.end }, pieces: bytes === undefined ? [] : [{ bytes }] };
}

export function insertAt(frame: Frame, at: number, bytes: Uint8Array): Edit {
  return { frame, at: { start: at, end: at }, pieces: [{ bytes }] };
}

/** The fields of a message with the numbers asked for, in file order. */
export function pick(fields: readonly Field[], ...numbers: readonly number[]): Field[] {
  return fields.filter((field) => numbers.includes(field.number));
}

/** A list of integers: packed into one field, or one field each. */
export function intsField(field: number, values: readonly (number | bigint)[], packed: boolean): Uint8Array {
  if (!packed) return concat(values.map((value) => intField(field, value)));
  return lengthDelimited(field, concat(values.map((value) => varint(BigInt(value)))));
}

function floatsField(field: number, values: readonly number[], packed: boolean): Uint8Array {
  if (!packed) return concat(values.map((value) => floatField(field, value)));
  return lengthDelimited(field, encodeRaw("float32", Float64Array.from(values)));
}

/** Content of a TensorProto written from nothing, but for its payload field: dims, data_type, name. */
export function tensorHead(dtype: DType, dims: readonly number[], name: string): Uint8Array {
  const head = [intsField(T.dims, dims, false), intField(T.dataType, dtypeInfo(dtype).code)];
  return concat(name === "" ? head : [...head, textField(T.name, name)]);
}

function tensorContent(dtype: DType, dims: readonly number[], values: Tensor["data"]): Uint8Array {
  const payload = dtype === "string" ? encodeField(dtype, values, false) : lengthDelimited(T.rawData, encodeRaw(dtype, values));
  return concat([tensorHead(dtype, dims, ""), payload]);
}

/** The field that holds a value, its AttributeProto.AttributeType and its bytes. `packed`: how a list is to be written. */
function valueField(value: AttributeValue, packed: boolean): { field: number; type: number; bytes: Uint8Array } {
  if ("int" in value) return { field: A.i, type: ATTRIBUTE_TYPE.int, bytes: intField(A.i, value.int) };
  if ("ints" in value) return { field: A.ints, type: ATTRIBUTE_TYPE.ints, bytes: intsField(A.ints, value.ints, packed) };
  if ("float" in value) return { field: A.f, type: ATTRIBUTE_TYPE.float, bytes: floatField(A.f, value.float) };
  if ("floats" in value)
    return { field: A.floats, type: ATTRIBUTE_TYPE.floats, bytes: floatsField(A.floats, value.floats, packed) };
  if ("string" in value) return { field: A.s, type: ATTRIBUTE_TYPE.string, bytes: textField(A.s, value.string) };
  const { dtype, dims, values } = value.tensor;
  return { field: A.t, type: ATTRIBUTE_TYPE.tensor, bytes: lengthDelimited(A.t, tensorContent(dtype, dims, values)) };
}

/** A whole attribute field of a node. Lists are unpacked, as ONNX's own schema has them. */
function newAttribute(name: string, value: AttributeValue): Uint8Array {
  const { bytes, type } = valueField(value, false);
  return lengthDelimited(N.attribute, concat([textField(A.name, name), bytes, intField(A.type, type)]));
}

/** A whole node field, `field` being its number in the graph or function. */
export function newNode(field: number, spec: NodeSpec): Uint8Array {
  const optional = (number: number, text: string | undefined) =>
    text === undefined || text === "" ? [] : [textField(number, text)];
  const content = concat([
    ...spec.inputs.map((input) => textField(N.input, input)),
    ...spec.outputs.map((output) => textField(N.output, output)),
    ...optional(N.name, spec.name),
    textField(N.opType, spec.opType),
    ...Object.entries(spec.attributes ?? {}).map(([name, value]) => newAttribute(name, value)),
    ...optional(N.domain, spec.domain),
  ]);
  return lengthDelimited(field, content);
}

const VALUE_FIELDS = [A.f, A.i, A.s, A.t, A.g, A.floats, A.ints, A.strings, A.tensors, A.graphs, A.tp, A.typeProtos];
const ALL_VALUES: readonly number[] = [...VALUE_FIELDS, A.sparseTensor, A.sparseTensors, A.refAttrName];

/** A new value for an attribute that is there: name, doc string, unknown fields and order stay. */
function rewriteAttribute(source: ByteSource, { frame, name }: AttributeRecord, value: AttributeValue): Edit[] {
  const fields = fieldsOf(source, frame);
  const old = pick(fields, ...ALL_VALUES);
  const same = old[0]?.number === valueField(value, false).field && old[0].wire === WIRE.bytes;
  const { bytes, type } = valueField(value, same);
  const edits: Edit[] = old.map((field, i) => replaceField(frame, field, i === 0 ? bytes : undefined));
  const names = pick(fields, A.name);
  if (old.length === 0) edits.push(insertAt(frame, names.at(-1)?.end ?? frame.start, bytes));
  if (names.length === 0) edits.push(insertAt(frame, frame.start, textField(A.name, name)));
  const types = pick(fields, A.type);
  if (types.length === 0) edits.push(insertAt(frame, frame.end, intField(A.type, type)));
  for (const field of types) edits.push(replaceField(frame, field, concat([fieldTag(A.type, WIRE.varint), varint(type)])));
  return edits;
}

/** One list of names (inputs or outputs), position by position. `home`: where the first goes when there is none yet. */
function rewriteNames(
  frame: Frame,
  number: number,
  fields: readonly Field[],
  old: readonly string[],
  now: readonly string[],
  home: number,
): Edit[] {
  const edits: Edit[] = [];
  fields.forEach((field, i) => {
    if (i >= now.length) edits.push(replaceField(frame, field));
    else if (now[i] !== old[i]) edits.push(replaceField(frame, field, textField(number, now[i])));
  });
  const end = fields.at(-1)?.end ?? home;
  for (const name of now.slice(fields.length)) edits.push(insertAt(frame, end, textField(number, name)));
  return edits;
}

/** The edits of one node. Only its own fields are touched. */
export function rewriteNode(source: ByteSource, { node, inputs, outputs, opType, set = {}, remove = [] }: NodeRewrite): Edit[] {
  const { frame } = node;
  const fields = fieldsOf(source, frame);
  const [oldInputs, oldOutputs] = [pick(fields, N.input), pick(fields, N.output)];
  const inputsEnd = oldOutputs[0]?.tagAt ?? frame.start;
  const outputsEnd = oldInputs.at(-1)?.end ?? frame.start;
  const edits: Edit[] = [
    ...(inputs === undefined ? [] : rewriteNames(frame, N.input, oldInputs, node.inputs, inputs, inputsEnd)),
    ...(outputs === undefined ? [] : rewriteNames(frame, N.output, oldOutputs, node.outputs, outputs, outputsEnd)),
  ];
  if (opType !== undefined && opType !== node.opType) {
    const types = pick(fields, N.opType);
    const bytes = textField(N.opType, opType);
    edits.push(types.length === 0 ? insertAt(frame, frame.end, bytes) : replaceField(frame, types.at(-1) as Field, bytes));
  }
  const attributes = pick(fields, N.attribute);
  for (const name of remove) {
    const record = node.attributes.get(name);
    const field = attributes.find(({ tagAt }) => tagAt === record?.frame.tagAt);
    if (field !== undefined) edits.push(replaceField(frame, field));
  }
  for (const [name, value] of Object.entries(set)) {
    const record = node.attributes.get(name);
    if (record !== undefined) edits.push(...rewriteAttribute(source, record, value));
    else edits.push(insertAt(frame, attributes.at(-1)?.end ?? frame.end, newAttribute(name, value)));
  }
  return edits;
}
