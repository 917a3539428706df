/** Cast, CastLike, BitCast. */
import { decode, encodeRaw } from "../onnx/codec.ts";
import { type DType, dtypeInfo, dtypeOf } from "../onnx/dtype.ts";
import { memorySource } from "../onnx/source.ts";
import type { Tensor } from "../onnx/tensor.ts";
import { convert } from "./convert.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

const byText: Readonly<Record<string, DType>> = { float: "float32", double: "float64" };

/** Cast's target: a code; before opset 6 the name of a TensorProto.DataType. */
function target(context: OpContext): DType {
  const text = context.version < 6 ? context.string("to", "").toLowerCase() : "";
  const known =
    text === "" ? undefined : (byText[text] ?? Array.from({ length: 28 }, (_, i) => dtypeOf(i + 1)).find((d) => d === text));
  const dtype = known ?? dtypeOf(context.int("to", 0));
  if (dtype === undefined)
    throw context.fail(`the attribute "to" is ${text === "" ? context.int("to", 0) : `"${text}"`}, which is no element type`);
  return dtype;
}

function cast(context: OpContext, input: Tensor, to: DType): Tensor {
  const mode = context.string("round_mode", "up");
  if (mode !== "up" && mode !== "down" && mode !== "nearest") throw context.fail(`round_mode is "${mode}"`);
  return convert(input, to, { saturate: context.int("saturate", 1) !== 0, roundMode: mode });
}

/** The same bits read as another type of the same width. */
function bitCast(context: OpContext, input: Tensor): Tensor {
  const to = dtypeOf(context.int("to", 0));
  if (to === undefined || to === "string" || dtypeInfo(to).bits !== dtypeInfo(input.dtype).bits) {
    throw context.fail(`bits of ${input.dtype} cannot be read as ${to ?? `type ${context.int("to", 0)}`}`);
  }
  const main = memorySource(encodeRaw(input.dtype, input.data));
  const span = { start: 0, end: main.size };
  return decode({
    frame: { ...span, tagAt: 0, parent: undefined },
    files: {
      main,
      external: () => main,
    },
    name: context.node.outputs[0],
    dims: input.dims,
    dataType: dtypeInfo(to).code,
    docString: "",
    raw: span,
    typed: undefined,
    external: undefined,
  });
}

export const castOps: readonly OpDef[] = [
  tensorOp("Cast", 1, 1, (context, input) => [cast(context, input, target(context))]),
  tensorOp("CastLike", 15, 2, (context, input, like) => [cast(context, input, like.dtype)]),
  tensorOp("BitCast", 26, 1, (context, input) => [bitCast(context, input)]),
];
