/**
 * The ONNX schema (IR 14, ONNX 1.23) by field names and numbers. protobufjs reads small messages (types, opset imports,
 * properties) and writes new ones with it; large messages are walked as spans (`read.ts`) and never rebuilt.
 */
import protobuf from "protobufjs/light.js";

type FieldRow = readonly [name: string, id: number, type: string, rule?: "repeated" | "packed"];

const rows: Record<string, readonly FieldRow[]> = {
  StringStringEntryProto: [
    ["key", 1, "string"],
    ["value", 2, "string"],
  ],
  OperatorSetIdProto: [
    ["domain", 1, "string"],
    ["version", 2, "int64"],
  ],
  Dimension: [
    ["dimValue", 1, "int64"],
    ["dimParam", 2, "string"],
    ["denotation", 3, "string"],
  ],
  TensorShapeProto: [["dim", 1, "Dimension", "repeated"]],
  TensorTypeProto: [
    ["elemType", 1, "int32"],
    ["shape", 2, "TensorShapeProto"],
  ],
  SequenceTypeProto: [["elemType", 1, "TypeProto"]],
  MapTypeProto: [
    ["keyType", 1, "int32"],
    ["valueType", 2, "TypeProto"],
  ],
  OptionalTypeProto: [["elemType", 1, "TypeProto"]],
  OpaqueTypeProto: [
    ["domain", 1, "string"],
    ["name", 2, "string"],
  ],
  TypeProto: [
    ["tensorType", 1, "TensorTypeProto"],
    ["sequenceType", 4, "SequenceTypeProto"],
    ["mapType", 5, "MapTypeProto"],
    ["optionalType", 9, "OptionalTypeProto"],
    ["sparseTensorType", 8, "TensorTypeProto"],
    ["opaqueType", 7, "OpaqueTypeProto"],
    ["denotation", 6, "string"],
  ],
  ValueInfoProto: [
    ["name", 1, "string"],
    ["type", 2, "TypeProto"],
    ["docString", 3, "string"],
    ["metadataProps", 4, "StringStringEntryProto", "repeated"],
  ],
  TensorAnnotation: [
    ["tensorName", 1, "string"],
    ["quantParameterTensorNames", 2, "StringStringEntryProto", "repeated"],
  ],
};

/** Field numbers of the messages that are walked as spans. */
export const FIELD = {
  model: {
    irVersion: 1,
    producerName: 2,
    producerVersion: 3,
    domain: 4,
    modelVersion: 5,
    docString: 6,
    graph: 7,
    opsetImport: 8,
    metadataProps: 14,
    trainingInfo: 20,
    functions: 25,
    configuration: 26,
  },
  trainingInfo: { initialization: 1, algorithm: 2, initializationBinding: 3, updateBinding: 4 },
  graph: {
    node: 1,
    name: 2,
    initializer: 5,
    docString: 10,
    input: 11,
    output: 12,
    valueInfo: 13,
    quantizationAnnotation: 14,
    sparseInitializer: 15,
    metadataProps: 16,
  },
  function: {
    name: 1,
    input: 4,
    output: 5,
    attribute: 6,
    node: 7,
    docString: 8,
    opsetImport: 9,
    domain: 10,
    attributeProto: 11,
    valueInfo: 12,
    overload: 13,
    metadataProps: 14,
  },
  node: {
    input: 1,
    output: 2,
    name: 3,
    opType: 4,
    attribute: 5,
    docString: 6,
    domain: 7,
    overload: 8,
    metadataProps: 9,
    deviceConfigurations: 10,
  },
  attribute: {
    name: 1,
    f: 2,
    i: 3,
    s: 4,
    t: 5,
    g: 6,
    floats: 7,
    ints: 8,
    strings: 9,
    tensors: 10,
    graphs: 11,
    docString: 13,
    tp: 14,
    typeProtos: 15,
    type: 20,
    refAttrName: 21,
    sparseTensor: 22,
    sparseTensors: 23,
  },
  tensor: {
    dims: 1,
    dataType: 2,
    segment: 3,
    floatData: 4,
    int32Data: 5,
    stringData: 6,
    int64Data: 7,
    name: 8,
    rawData: 9,
    doubleData: 10,
    uint64Data: 11,
    docString: 12,
    externalData: 13,
    dataLocation: 14,
    metadataProps: 16,
  },
  sparseTensor: { values: 1, indices: 2, dims: 3 },
} as const;

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  typeProto: 13,
  typeProtos: 14,
} as const;

function build(): protobuf.Namespace {
  const root = new protobuf.Root().define("onnx");
  for (const [name, fields] of Object.entries(rows)) {
    const type = new protobuf.Type(name);
    for (const [field, id, of, rule] of fields)
      type.add(new protobuf.Field(field, id, of, rule === undefined ? undefined : "repeated"));
    root.add(type);
  }
  return root;
}

let namespace: protobuf.Namespace | undefined;

/** A small ONNX message type, by name. */
export function messageType(name: string): protobuf.Type {
  namespace ??= build();
  return namespace.lookupType(name);
}
