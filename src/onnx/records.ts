/**
 * A model as readonly records. Every record keeps its `frame`: where its bytes are in the file. Payloads stay in the
 * file until somebody asks for their numbers.
 */
import type { ByteSource, ExternalResolver } from "./source.ts";
import type { Frame, Span } from "./wire.ts";

export interface TypeInfo {
  readonly kind: "tensor" | "sparse" | "sequence" | "optional" | "map" | "opaque" | "unknown";
  /** ONNX `TensorProto.DataType` of a tensor, of a map's keys for maps. */
  readonly elemType?: number;
  /** Dimensions: a number, a symbol name, or undefined where unknown. Absent when even the rank is unknown. */
  readonly shape?: readonly (number | string | undefined)[];
  /** Element type of sequences and optionals, value type of maps. */
  readonly of?: TypeInfo;
}

export interface ValueInfoRecord {
  readonly frame: Frame;
  readonly name: string;
  readonly type: TypeInfo;
}

export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
  readonly checksum: string | undefined;
}

export interface TensorRecord {
  readonly frame: Frame;
  readonly files: ModelFiles;
  readonly name: string;
  readonly dims: readonly number[];
  /** ONNX `TensorProto.DataType`. */
  readonly dataType: number;
  readonly docString: string;
  /** Content of `raw_data`, when present. */
  readonly raw: Span | undefined;
  /** Typed payload: the field's number and each of its occurrences (wire type 2: packed, or one string). */
  readonly typed: { readonly field: number; readonly parts: readonly (Span & { readonly wire: number })[] } | undefined;
  readonly external: ExternalData | undefined;
}

export interface SparseTensorRecord {
  readonly frame: Frame;
  /** Its `name` is the name of the sparse initializer. */
  readonly values: TensorRecord;
  readonly indices: TensorRecord;
  readonly dims: readonly number[];
}

export interface AttributeRecord {
  readonly frame: Frame;
  readonly name: string;
  /** AttributeProto.AttributeType as written; 0 when absent (IR versions below 2 do not write it). */
  readonly type: number;
  readonly refAttrName: string;
  readonly f: number | undefined;
  readonly i: bigint | undefined;
  readonly s: Uint8Array | undefined;
  readonly t: TensorRecord | undefined;
  readonly g: GraphRecord | undefined;
  readonly sparseTensor: SparseTensorRecord | undefined;
  readonly typeProto: TypeInfo | undefined;
  readonly floats: readonly number[];
  readonly ints: readonly bigint[];
  readonly strings: readonly Uint8Array[];
  readonly tensors: readonly TensorRecord[];
  readonly graphs: readonly GraphRecord[];
}

export interface NodeRecord {
  readonly frame: Frame;
  /** Position in its graph's or function's node list. */
  readonly index: number;
  readonly name: string;
  readonly opType: string;
  /** Domain, with "ai.onnx" normalised to "". */
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeRecord>;
}

export interface GraphRecord {
  readonly frame: Frame;
  readonly name: string;
  readonly nodes: readonly NodeRecord[];
  readonly initializers: readonly TensorRecord[];
  readonly sparseInitializers: readonly SparseTensorRecord[];
  readonly inputs: readonly ValueInfoRecord[];
  readonly outputs: readonly ValueInfoRecord[];
  readonly valueInfos: readonly ValueInfoRecord[];
  readonly annotations: readonly AnnotationRecord[];
}

export interface AnnotationRecord {
  readonly frame: Frame;
  readonly tensorName: string;
  /** Names of tensors the annotation refers to (scales, zero points). */
  readonly parameters: readonly string[];
}

export interface FunctionRecord {
  readonly frame: Frame;
  readonly name: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attribute names without default. */
  readonly attributeNames: readonly string[];
  /** Attributes with their defaults. */
  readonly attributeDefaults: ReadonlyMap<string, AttributeRecord>;
  readonly opsets: ReadonlyMap<string, number>;
  readonly nodes: readonly NodeRecord[];
  readonly valueInfos: readonly ValueInfoRecord[];
}

/** The file of a model and its side files. */
export interface ModelFiles {
  readonly main: ByteSource;
  readonly external: ExternalResolver;
}

/** A model as it is in its file: the structure in memory, payloads left where they are. */
export interface Model {
  readonly files: ModelFiles;
  readonly frame: Frame;
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly domain: string;
  /** Opset version per domain; "ai.onnx" normalised to "". */
  readonly opsets: ReadonlyMap<string, number>;
  readonly graph: GraphRecord;
  readonly functions: readonly FunctionRecord[];
  /** Every initializer name a TrainingInfoProto binds: they may not be renamed or dropped. */
  readonly trainingNames: ReadonlySet<string>;
  /** Every tensor of the file that keeps its payload in a side file, training graphs included. */
  readonly externalTensors: readonly TensorRecord[];
}
