/** Against protobufjs's own decoder, made from the schema by reflection. */
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import * as small from "../../src/onnx/small.ts";
import { bytesField } from "../helpers/build.ts";

const { root } = protobuf.parse(`syntax = "proto2"; package onnx;
message StringStringEntryProto { optional string key = 1; optional string value = 2; }
message OperatorSetIdProto { optional string domain = 1; optional int64 version = 2; }
message TensorShapeProto {
  message Dimension { oneof value { int64 dim_value = 1; string dim_param = 2; } optional string denotation = 3; }
  repeated Dimension dim = 1;
}
message TypeProto {
  message Tensor { optional int32 elem_type = 1; optional TensorShapeProto shape = 2; }
  message Sequence { optional TypeProto elem_type = 1; }
  message Map { optional int32 key_type = 1; optional TypeProto value_type = 2; }
  message Optional { optional TypeProto elem_type = 1; }
  message Opaque { optional string domain = 1; optional string name = 2; }
  oneof value {
    Tensor tensor_type = 1; Sequence sequence_type = 4; Map map_type = 5; Optional optional_type = 9;
    Tensor sparse_tensor_type = 8; Opaque opaque_type = 7;
  }
  optional string denotation = 6;
}
message ValueInfoProto { optional string name = 1; optional TypeProto type = 2; optional string doc_string = 3; }
message TensorAnnotation { optional string tensor_name = 1; repeated StringStringEntryProto quant_parameter_tensor_names = 2; }`);

const encoded = (name: string, message: object): Uint8Array => {
  const type = root.lookupType(`onnx.${name}`);
  return type.encode(type.fromObject(message)).finish();
};

describe("small messages", () => {
  it("entries and operator sets, versions beyond 32 bits and below zero too", () => {
    expect(small.entry(encoded("StringStringEntryProto", { key: "location", value: "gewichte-ä.bin" }))).toEqual({
      key: "location",
      value: "gewichte-ä.bin",
    });
    expect(small.entry(new Uint8Array(0))).toEqual({ key: "", value: "" });
    for (const version of [0, 22, 2 ** 31, 2 ** 40, -1])
      expect(small.opset(encoded("OperatorSetIdProto", { domain: "ai.onnx.ml", version }))).toEqual({
        domain: "ai.onnx.ml",
        version,
      });
  });

  it("types of every kind", () => {
    const tensorType = {
      elemType: 1,
      shape: { dim: [{ dimValue: 3 }, { dimParam: "N" }, {}, { dimValue: 0 }, { dimValue: 2 ** 33 }] },
    };
    const tensor = { kind: "tensor", elemType: 1, shape: [3, "N", undefined, 0, 2 ** 33] };
    const type = (message: object) => small.typeInfo(encoded("TypeProto", message));
    expect(type({ tensorType })).toEqual(tensor);
    expect(type({ tensorType: { elemType: 7 } })).toEqual({ kind: "tensor", elemType: 7, shape: undefined });
    expect(type({ tensorType: { elemType: 7, shape: {} } })).toEqual({ kind: "tensor", elemType: 7, shape: [] });
    expect(type({ sparseTensorType: tensorType, denotation: "IMAGE" })).toEqual({ ...tensor, kind: "sparse" });
    expect(type({ sequenceType: { elemType: { optionalType: { elemType: { tensorType } } } } })).toEqual({
      kind: "sequence",
      of: { kind: "optional", of: tensor },
    });
    expect(type({ mapType: { keyType: 8, valueType: { tensorType } } })).toEqual({ kind: "map", elemType: 8, of: tensor });
    expect(type({ opaqueType: { domain: "d", name: "n" } })).toEqual({ kind: "opaque" });
    expect(type({})).toEqual({ kind: "unknown" });
    expect(small.valueInfo(encoded("ValueInfoProto", { name: "x", type: { tensorType }, docString: "doc" }))).toEqual({
      name: "x",
      type: tensor,
    });
  });

  it("annotations", () => {
    const quantParameterTensorNames = [
      { key: "SCALE_TENSOR", value: "s" },
      { key: "ZERO_POINT_TENSOR", value: "z" },
    ];
    expect(small.annotation(encoded("TensorAnnotation", { tensorName: "w", quantParameterTensorNames }))).toEqual({
      tensorName: "w",
      parameters: ["s", "z"],
    });
  });

  it("refuses what is cut off or nested without end, steps over what it does not know", () => {
    const whole = encoded("ValueInfoProto", {
      name: "x",
      type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 3 }] } } },
    });
    const cuts = Array.from({ length: whole.length }, (_, n) => whole.subarray(0, n));
    const read = cuts.filter((bytes) => {
      try {
        small.valueInfo(bytes);
        return true;
      } catch {
        return false;
      }
    });
    // Empty, and the name alone.
    expect(read.map((bytes) => bytes.length)).toEqual([0, 3]);
    // Field 1 as a varint, field 15 as bytes, then the name.
    expect(small.valueInfo(Uint8Array.of(0x08, 5, 0x7a, 1, 9, 0x0a, 1, 0x79))).toMatchObject({ name: "y" });
    let deep: Uint8Array = new Uint8Array(0);
    for (let i = 0; i < 80; i++) deep = bytesField(4, bytesField(1, deep));
    expect(() => small.typeInfo(deep)).toThrow(/nested more than 64/);
  });
});
