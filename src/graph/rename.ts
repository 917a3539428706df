/** Other names in a copied node and the graphs inside it, as edits of its bytes. */
import { insertAt, pick, replaceField, rewriteNode } from "../onnx/edit.ts";
import { textField } from "../onnx/put.ts";
import type { AnnotationRecord, AttributeRecord, GraphRecord, NodeRecord, TensorRecord, TypeInfo } from "../onnx/records.ts";
import { FIELD } from "../onnx/schema.ts";
import type { ByteSource } from "../onnx/source.ts";
import { type Edit, type Piece, splice } from "../onnx/splice.ts";
import { type Field, type Frame, fieldsOf } from "../onnx/wire.ts";

/** Names of one body, and of the graphs inside it: what a body makes itself gets a fresh name the first time it is met. */
export class Names {
  private readonly known = new Map<string, string>();

  constructor(
    readonly prefix: string,
    private readonly fresh: (base: string) => string,
    private readonly outer?: Names,
  ) {}

  set(name: string, now: string): void {
    this.known.set(name, now);
  }

  of(name: string): string {
    if (name === "") return "";
    const found = this.find(name);
    if (found !== undefined) return found;
    const now = this.fresh(`${this.prefix}${name}`);
    let home: Names = this;
    while (home.outer !== undefined) home = home.outer;
    home.known.set(name, now);
    return now;
  }

  private find(name: string): string | undefined {
    return this.known.get(name) ?? this.outer?.find(name);
  }

  /** Names inside a graph of the body: what it declares or makes is its own, whatever it is called outside. */
  inner(graph: GraphRecord): Names {
    const names = new Names(this.prefix, this.fresh, this);
    const own = [
      ...graph.inputs.map(({ name }) => name),
      ...graph.initializers.map(({ name }) => name),
      ...graph.sparseInitializers.map(({ values }) => values.name),
      ...graph.nodes.flatMap(({ outputs }) => outputs),
    ];
    for (const name of own) if (name !== "" && !names.known.has(name)) names.set(name, this.fresh(`${this.prefix}${name}`));
    return names;
  }

  /** A name for a node. */
  node(name: string): string {
    return this.fresh(`${this.prefix}${name}`);
  }
}

const A = FIELD.attribute;

/** The edits of a copied node: names of values, its own name, references to attributes of the function. */
export function nodeEdits(
  source: ByteSource,
  node: NodeRecord,
  names: Names,
  attributes: ReadonlyMap<string, AttributeRecord> | undefined,
): Edit[] {
  const inputs = node.inputs.map((name) => names.of(name));
  // An input that is not given may have been the last one.
  while (inputs.at(-1) === "" && inputs.length > 0) inputs.pop();
  const edits = rewriteNode(source, { node, inputs, outputs: node.outputs.map((name) => names.of(name)) });
  const fields = fieldsOf(source, node.frame);
  for (const field of pick(fields, FIELD.node.name))
    if (node.name !== "") edits.push(replaceField(node.frame, field, textField(FIELD.node.name, names.node(node.name))));
  if (attributes === undefined) return edits;
  for (const record of node.attributes.values()) {
    if (record.refAttrName === "") continue;
    const given = attributes.get(record.refAttrName);
    const field = pick(fields, FIELD.node.attribute).find(({ tagAt }) => tagAt === record.frame.tagAt) as Field;
    if (given === undefined) edits.push(replaceField(node.frame, field));
    else edits.push(...attributeEdits(source, record, given));
  }
  return edits;
}

/** A reference → the value it stands for, copied from where it was given. */
function attributeEdits(source: ByteSource, { frame }: AttributeRecord, given: AttributeRecord): Edit[] {
  const fields = fieldsOf(source, frame);
  const values = fieldsOf(source, given.frame).filter(({ number }) => number !== A.name && number !== A.docString);
  const [first, ...more] = pick(fields, A.refAttrName);
  const pieces = values.map((field): Piece => ({ source, start: field.tagAt, end: field.end }));
  const hasType = values.some(({ number }) => number === A.type);
  return [
    { frame, at: { start: first.tagAt, end: first.end }, pieces },
    ...more.map((field) => replaceField(frame, field)),
    ...(hasType ? pick(fields, A.type).map((field) => replaceField(frame, field)) : []),
  ];
}

/** The edits of a copied inner graph's own names: inputs, outputs, initializers, declared types, annotations. */
export function renamedGraph(source: ByteSource, graph: GraphRecord, names: Names): Edit[] {
  const tensor = ({ frame, name }: TensorRecord) => renamed(source, frame, FIELD.tensor.name, names.of(name));
  return [
    ...[...graph.inputs, ...graph.outputs, ...graph.valueInfos].flatMap(({ frame, name }) =>
      renamed(source, frame, VALUE_NAME, names.of(name)),
    ),
    ...graph.initializers.flatMap(tensor),
    ...graph.sparseInitializers.flatMap(({ values }) => tensor(values)),
    ...graph.annotations.flatMap((annotation) => annotated(source, annotation, names)),
  ];
}

/** ValueInfoProto.name, TensorAnnotation.tensor_name and quant_parameter_tensor_names, StringStringEntryProto.value. */
const VALUE_NAME = 1;
const ANNOTATION = { tensor: 1, parameter: 2, value: 2 };

function renamed(source: ByteSource, frame: Frame, number: number, name: string): Edit[] {
  const fields = pick(fieldsOf(source, frame), number);
  if (fields.length === 0) return name === "" ? [] : [insertAt(frame, frame.start, textField(number, name))];
  return fields.map((field) => replaceField(frame, field, textField(number, name)));
}

function annotated(source: ByteSource, { frame, tensorName, parameters }: AnnotationRecord, names: Names): Edit[] {
  const entries = pick(fieldsOf(source, frame), ANNOTATION.parameter);
  return [
    ...renamed(source, frame, ANNOTATION.tensor, names.of(tensorName)),
    ...entries.flatMap(({ start, end, tagAt }, i) =>
      renamed(source, { start, end, tagAt, parent: frame }, ANNOTATION.value, names.of(parameters[i])),
    ),
  ];
}

/** A declared type under another name, without tag and length. */
export function renamedInfo(source: ByteSource, frame: Frame, name: string): Piece[] {
  return splice(source, frame, renamed(source, frame, VALUE_NAME, name));
}

/** True when a type names no size: a symbol means one size in a function and may mean another around it. */
export function isSizeless(type: TypeInfo): boolean {
  return !type.shape?.some((d) => typeof d === "string") && (type.of === undefined || isSizeless(type.of));
}
