/** TensorProto, SequenceProto and OptionalProto files (ONNX test data: input_0.pb) as values. */
import { BnfoldError, inputError } from "../diag/error.ts";
import { decode } from "../onnx/codec.ts";
import { concat, intField, lengthDelimited } from "../onnx/put.ts";
import { read } from "../onnx/read.ts";
import type { TypeInfo } from "../onnx/records.ts";
import { FIELD } from "../onnx/schema.ts";
import { memorySource } from "../onnx/source.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { Cursor, rootFrame } from "../onnx/wire.ts";
import type { Value } from "../ops/define.ts";

/** Field numbers of SequenceProto; OptionalProto has the same for its single value. */
const ITEM = { name: 1, elemType: 2, tensor: 3, sparse: 4, sequence: 5, map: 6, optional: 7 } as const;

/** Serialized bytes of a TensorProto. */
export function parseTensorProto(bytes: Uint8Array, file: string): Tensor {
  // The reader knows models: the tensor becomes the only initializer of one.
  const graph = lengthDelimited(FIELD.graph.initializer, bytes);
  const wrapped = concat([
    intField(FIELD.model.irVersion, 3),
    lengthDelimited(FIELD.model.opsetImport, intField(2, 1)),
    lengthDelimited(FIELD.model.graph, graph),
  ]);
  try {
    return decode(read(memorySource(wrapped, file)).graph.initializers[0]);
  } catch (error) {
    throw new BnfoldError(
      "format",
      `the file is not a TensorProto: ${inputError(error).message}`,
      { file },
      "Files of ONNX test data hold one tensor each.",
    );
  }
}

/** Bytes of a value whose kind the model's input declares. */
export function parseValueProto(bytes: Uint8Array, type: TypeInfo, file: string): Value {
  if (type.kind === "sequence") return { kind: "sequence", items: items(bytes, type.of, file), of: type.of };
  if (type.kind === "optional") return { kind: "optional", item: items(bytes, type.of, file)[0], of: type.of };
  return parseTensorProto(bytes, file);
}

function items(bytes: Uint8Array, of: TypeInfo | undefined, file: string): Value[] {
  const at = new Cursor(memorySource(bytes, file));
  const { end } = rootFrame(at.source);
  const out: Value[] = [];
  while (at.field(end)) {
    if (at.number === ITEM.tensor) out.push(parseTensorProto(at.blob(), file));
    else if (at.number === ITEM.sequence || at.number === ITEM.optional) {
      const kind = at.number === ITEM.sequence ? "sequence" : "optional";
      out.push(parseValueProto(at.blob(), of?.kind === kind ? of : { kind, of: of?.of }, file));
    } else if (at.number === ITEM.sparse || at.number === ITEM.map) {
      throw new BnfoldError("format", "sparse tensors and maps inside a sequence are not supported", { file, byte: at.tagAt });
    } else if (at.number !== ITEM.name && at.number !== ITEM.elemType) {
      throw new BnfoldError("format", `the file is not a SequenceProto or OptionalProto: it has a field ${at.number}`, {
        file,
        byte: at.tagAt,
      });
    }
  }
  return out;
}
