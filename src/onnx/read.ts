/** Bytes → records: one walk over the structure, no payload read. */
import { BnfoldError } from "../diag/error.ts";
import type {
  AnnotationRecord,
  AttributeRecord,
  ExternalData,
  FunctionRecord,
  GraphRecord,
  Model,
  ModelFiles,
  NodeRecord,
  SparseTensorRecord,
  TensorRecord,
  TypeInfo,
  ValueInfoRecord,
} from "./records.ts";
import { FIELD } from "./schema.ts";
import * as small from "./small.ts";
import { explainForeign } from "./sniff.ts";
import type { ByteSource, ExternalResolver } from "./source.ts";
import { Cursor, type Frame, rootFrame, type Span } from "./wire.ts";

/** Subgraphs deeper than this are refused: they are an attack or a loop, not a network. */
const MAX_DEPTH = 64;

/** Options of `read`. */
export interface ReadOptions {
  /** Resolves external data locations; without it a model that has external data cannot be decoded where it matters. */
  readonly external?: ExternalResolver;
}

/**
 * Reads a model's structure. Payloads of tensors stay in `source` and are decoded on demand.
 * @throws BnfoldError of kind "format" when the bytes are not an ONNX model.
 */
export function read(source: ByteSource, options: ReadOptions = {}): Model {
  explainForeign(source);
  return new Reader({ main: source, external: options.external ?? noFolder(source) }).model();
}

/** Reads a file that is one TensorProto: the inputs and outputs of ONNX test data. */
export function readTensor(source: ByteSource): TensorRecord {
  return new Reader({ main: source, external: noFolder(source) }).tensorFile();
}

function noFolder(source: ByteSource): ExternalResolver {
  return (location) => {
    throw new BnfoldError("file", `external data "${location}" is needed, but no folder was given to look in`, {
      file: source.name,
    });
  };
}

const normalDomain = (domain: string) => (domain === "ai.onnx" ? "" : domain);

class Reader {
  private readonly at: Cursor;
  private depth = 0;
  private readonly externalTensors: TensorRecord[] = [];

  constructor(private readonly files: ModelFiles) {
    this.at = new Cursor(files.main);
  }

  /** Calls `visit` for each field of `frame`; the visitor may walk into the field, the walk goes on after it. */
  private each(frame: Frame, visit: (field: number) => void): void {
    const { at } = this;
    at.pos = frame.start;
    while (at.field(frame.end)) {
      const { end } = at;
      visit(at.number);
      at.pos = end;
    }
  }

  /** The current field as a message that is decoded whole. */
  private small<T>(what: string, decode: (bytes: Uint8Array) => T): T {
    const { at } = this;
    const bytes = at.blob();
    try {
      return decode(bytes);
    } catch (error) {
      throw new BnfoldError("format", `a ${what} cannot be decoded (${(error as Error).message})`, {
        file: at.source.name,
        byte: at.tagAt,
      });
    }
  }

  model(): Model {
    const { at } = this;
    const frame = rootFrame(at.source);
    const opsets = new Map<string, number>();
    const functions: FunctionRecord[] = [];
    const trainingNames = new Set<string>();
    let [irVersion, producerName, producerVersion, domain] = [0, "", "", ""];
    let graph: GraphRecord | undefined;
    const F = FIELD.model;
    this.each(frame, (field) => {
      if (field === F.irVersion) irVersion = at.int();
      else if (field === F.producerName) producerName = at.text();
      else if (field === F.producerVersion) producerVersion = at.text();
      else if (field === F.domain) domain = at.string();
      else if (field === F.opsetImport) this.opset(opsets);
      else if (field === F.graph) {
        graph = this.once(graph, "the graph of the model", () => this.graph(at.frame(frame)));
      } else if (field === F.functions) functions.push(this.function(at.frame(frame)));
      else if (field === F.trainingInfo) this.training(at.frame(frame), trainingNames);
    });
    if (graph === undefined) {
      throw new BnfoldError(
        "format",
        "this is not an ONNX model: it has no graph",
        { file: at.source.name },
        "If it was cut off while copying, copy it again.",
      );
    }
    if (opsets.size === 0) {
      if (irVersion >= 3) {
        throw new BnfoldError(
          "format",
          `the model says IR version ${irVersion} but imports no operator set: the file is cut off or was written wrongly`,
          { file: at.source.name, byte: at.source.size },
          "Copy or export it again.",
        );
      }
      opsets.set("", 1);
    }
    const { files, externalTensors } = this;
    return {
      ...{ files, frame, irVersion, producerName, producerVersion, domain, opsets },
      ...{ graph, functions, trainingNames, externalTensors },
    };
  }

  tensorFile(): TensorRecord {
    return this.tensor(rootFrame(this.at.source));
  }

  /** Protobuf merges a message that stands twice with its first half; bnfold keeps places of bytes, and there is one place each. */
  private once<T>(before: unknown, what: string, now: () => T): T {
    if (before !== undefined) throw this.bad(`${what} is written in two parts`);
    return now();
  }

  private bad(message: string): BnfoldError {
    return new BnfoldError("format", message, { file: this.at.source.name, byte: this.at.tagAt });
  }

  private opset(into: Map<string, number>): void {
    const { domain, version } = this.small("OperatorSetIdProto", small.opset);
    into.set(normalDomain(domain), version);
  }

  private training(frame: Frame, names: Set<string>): void {
    const { at } = this;
    const F = FIELD.trainingInfo;
    this.each(frame, (field) => {
      if (field === F.initializationBinding || field === F.updateBinding) {
        const { key, value } = this.small("StringStringEntryProto", small.entry);
        names.add(key).add(value);
      } else if (field === F.algorithm || field === F.initialization) {
        const graph = this.graph(at.frame(frame));
        for (const node of graph.nodes) for (const input of node.inputs) names.add(input);
      }
    });
  }

  private graph(frame: Frame): GraphRecord {
    const { at } = this;
    if (++this.depth > MAX_DEPTH) throw this.bad(`graphs are nested more than ${MAX_DEPTH} deep`);
    const nodes: NodeRecord[] = [];
    const initializers: TensorRecord[] = [];
    const sparseInitializers: SparseTensorRecord[] = [];
    const inputs: ValueInfoRecord[] = [];
    const outputs: ValueInfoRecord[] = [];
    const valueInfos: ValueInfoRecord[] = [];
    const annotations: AnnotationRecord[] = [];
    let name = "";
    const F = FIELD.graph;
    this.each(frame, (field) => {
      if (field === F.node) nodes.push(this.node(at.frame(frame), nodes.length));
      else if (field === F.initializer) initializers.push(this.tensor(at.frame(frame)));
      else if (field === F.sparseInitializer) sparseInitializers.push(this.sparse(at.frame(frame)));
      else if (field === F.input) inputs.push(this.valueInfo(frame));
      else if (field === F.output) outputs.push(this.valueInfo(frame));
      else if (field === F.valueInfo) valueInfos.push(this.valueInfo(frame));
      else if (field === F.quantizationAnnotation) annotations.push(this.annotation(frame));
      else if (field === F.name) name = at.string();
    });
    this.depth--;
    return { frame, name, nodes, initializers, sparseInitializers, inputs, outputs, valueInfos, annotations };
  }

  private function(frame: Frame): FunctionRecord {
    const { at } = this;
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributeNames: string[] = [];
    const attributeDefaults = new Map<string, AttributeRecord>();
    const opsets = new Map<string, number>();
    const nodes: NodeRecord[] = [];
    const valueInfos: ValueInfoRecord[] = [];
    let [name, domain, overload] = ["", "", ""];
    const F = FIELD.function;
    this.each(frame, (field) => {
      if (field === F.node) nodes.push(this.node(at.frame(frame), nodes.length));
      else if (field === F.input) inputs.push(at.string());
      else if (field === F.output) outputs.push(at.string());
      else if (field === F.attribute) attributeNames.push(at.string());
      else if (field === F.attributeProto) {
        const attribute = this.attribute(at.frame(frame));
        attributeDefaults.set(attribute.name, attribute);
      } else if (field === F.opsetImport) this.opset(opsets);
      else if (field === F.valueInfo) valueInfos.push(this.valueInfo(frame));
      else if (field === F.name) name = at.string();
      else if (field === F.domain) domain = normalDomain(at.string());
      else if (field === F.overload) overload = at.string();
    });
    return { frame, name, domain, overload, inputs, outputs, attributeNames, attributeDefaults, opsets, nodes, valueInfos };
  }

  private node(frame: Frame, index: number): NodeRecord {
    const { at } = this;
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes = new Map<string, AttributeRecord>();
    let [name, opType, domain, overload] = ["", "", "", ""];
    const F = FIELD.node;
    this.each(frame, (field) => {
      if (field === F.input) inputs.push(at.string());
      else if (field === F.output) outputs.push(at.string());
      else if (field === F.opType) opType = at.string();
      else if (field === F.attribute) {
        const attribute = this.attribute(at.frame(frame));
        attributes.set(attribute.name, attribute);
      } else if (field === F.name) name = at.string();
      else if (field === F.domain) domain = normalDomain(at.string());
      else if (field === F.overload) overload = at.string();
    });
    return { frame, index, name, opType, domain, overload, inputs, outputs, attributes };
  }

  private attribute(frame: Frame): AttributeRecord {
    const { at } = this;
    const floats: number[] = [];
    const ints: bigint[] = [];
    const strings: Uint8Array[] = [];
    const tensors: TensorRecord[] = [];
    const graphs: GraphRecord[] = [];
    let [name, refAttrName, type] = ["", "", 0];
    let f: number | undefined;
    let i: bigint | undefined;
    let s: Uint8Array | undefined;
    let t: TensorRecord | undefined;
    let g: GraphRecord | undefined;
    let sparseTensor: SparseTensorRecord | undefined;
    let typeProto: TypeInfo | undefined;
    const F = FIELD.attribute;
    this.each(frame, (field) => {
      if (field === F.name) name = at.string();
      else if (field === F.refAttrName) refAttrName = at.string();
      else if (field === F.type) type = at.int();
      else if (field === F.f) f = at.float();
      else if (field === F.i) i = at.int64();
      else if (field === F.s) s = at.blob();
      else if (field === F.t) t = this.once(t, "the tensor of an attribute", () => this.tensor(at.frame(frame)));
      else if (field === F.g) g = this.once(g, "the graph of an attribute", () => this.graph(at.frame(frame)));
      else if (field === F.floats) at.pushFloat(floats);
      else if (field === F.ints) at.pushInt64(ints);
      else if (field === F.strings) strings.push(at.blob());
      else if (field === F.tensors) tensors.push(this.tensor(at.frame(frame)));
      else if (field === F.graphs) graphs.push(this.graph(at.frame(frame)));
      else if (field === F.sparseTensor)
        sparseTensor = this.once(sparseTensor, "the sparse tensor of an attribute", () => this.sparse(at.frame(frame)));
      else if (field === F.sparseTensors) this.sparse(at.frame(frame));
      else if (field === F.tp) typeProto = this.small("TypeProto", small.typeInfo);
    });
    return { frame, name, type, refAttrName, f, i, s, t, g, sparseTensor, typeProto, floats, ints, strings, tensors, graphs };
  }

  private sparse(frame: Frame): SparseTensorRecord {
    const { at } = this;
    let values: TensorRecord | undefined;
    let indices: TensorRecord | undefined;
    const dims: bigint[] = [];
    const F = FIELD.sparseTensor;
    this.each(frame, (field) => {
      if (field === F.values) values = this.once(values, "the values of a sparse tensor", () => this.tensor(at.frame(frame)));
      else if (field === F.indices)
        indices = this.once(indices, "the indices of a sparse tensor", () => this.tensor(at.frame(frame)));
      else if (field === F.dims) at.pushInt64(dims);
    });
    if (values === undefined || indices === undefined) throw this.bad("a sparse tensor lacks its values or its indices");
    return { frame, values, indices, dims: dims.map(Number) };
  }

  private tensor(frame: Frame): TensorRecord {
    const { at } = this;
    const dims: bigint[] = [];
    const parts: (Span & { wire: number })[] = [];
    const external = new Map<string, string>();
    let [name, docString, dataType, typedField, location] = ["", "", 0, 0, 0];
    let raw: Span | undefined;
    const F = FIELD.tensor;
    this.each(frame, (field) => {
      switch (field) {
        case F.dims:
          at.pushInt64(dims);
          break;
        case F.dataType:
          dataType = at.int();
          break;
        case F.name:
          name = at.string();
          break;
        case F.docString:
          docString = at.text();
          break;
        case F.rawData:
          raw = { start: at.start, end: at.end };
          break;
        case F.dataLocation:
          location = at.int();
          break;
        case F.externalData: {
          const { key, value } = this.small("StringStringEntryProto", small.entry);
          external.set(key, value);
          break;
        }
        case F.floatData:
        case F.int32Data:
        case F.int64Data:
        case F.stringData:
        case F.doubleData:
        case F.uint64Data:
          // An empty packed field says nothing; two typed fields with numbers in them contradict each other.
          if (typedField !== 0 && typedField !== field && field !== F.stringData && at.start === at.end) break;
          if (typedField !== field && parts.some((part) => part.end > part.start)) {
            throw this.bad(`tensor "${name}" keeps its numbers in fields ${typedField} and ${field} at once`);
          }
          if (typedField !== field) parts.length = 0;
          typedField = field;
          parts.push({ start: at.start, end: at.end, wire: at.wire });
          break;
      }
    });
    const record: TensorRecord = {
      frame,
      files: this.files,
      name,
      dims: dims.map(Number),
      dataType,
      docString,
      raw,
      typed: typedField === 0 ? undefined : { field: typedField, parts },
      external: location === 1 ? this.externalData(external, name) : undefined,
    };
    if (record.external !== undefined) this.externalTensors.push(record);
    return record;
  }

  private externalData(entries: ReadonlyMap<string, string>, tensor: string): ExternalData {
    const number = (key: string): number | undefined => {
      const text = entries.get(key);
      if (text === undefined || text === "") return undefined;
      if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text))) {
        throw this.bad(`external data of tensor "${tensor}": ${key} is "${text}", expected a whole number`);
      }
      return Number(text);
    };
    const location = entries.get("location");
    if (location === undefined || location === "") throw this.bad(`external data of tensor "${tensor}" names no location`);
    return { location, offset: number("offset") ?? 0, length: number("length"), checksum: entries.get("checksum") };
  }

  private valueInfo(parent: Frame): ValueInfoRecord {
    const frame = this.at.frame(parent);
    return { frame, ...this.small("ValueInfoProto", small.valueInfo) };
  }

  private annotation(parent: Frame): AnnotationRecord {
    const frame = this.at.frame(parent);
    return { frame, ...this.small("TensorAnnotation", small.annotation) };
  }
}
