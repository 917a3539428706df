/** Operators that make tensors from attributes and shapes: Constant, ConstantOfShape, EyeLike, Range. */
import { decodeSparse } from "../onnx/codec.ts";
import { type DType, dtypeOf } from "../onnx/dtype.ts";
import { allocate, asNumbers, int64s, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { blankLike, isBig } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The element type an integer attribute names, or undefined when the attribute is absent. */
export function dtypeAttribute(context: OpContext, name: string): DType | undefined {
  const code = context.int(name, 0);
  if (code === 0) return undefined;
  const dtype = dtypeOf(code);
  if (dtype === undefined) throw context.fail(`attribute ${name} is ${code}, which is no element type`);
  return dtype;
}

function constant(context: OpContext): Tensor {
  const { node } = context;
  const [name] = [...node.attributes.keys()].filter((key) => key.startsWith("value") || key === "sparse_value");
  const attribute = name === undefined ? undefined : context.attribute(name);
  if (attribute === undefined) throw context.fail("none of its value attributes is there");
  switch (name) {
    case "value_float":
      return { dtype: "float32", dims: [], data: Float64Array.of(context.float(name, 0)) };
    case "value_floats":
      return { dtype: "float32", dims: [attribute.floats.length], data: Float64Array.from(attribute.floats) };
    case "value_int":
      return { dtype: "int64", dims: [], data: BigInt64Array.of(attribute.i ?? 0n) };
    case "value_ints":
      return { dtype: "int64", dims: [attribute.ints.length], data: BigInt64Array.from(attribute.ints) };
    case "value_string":
      return { dtype: "string", dims: [], data: [context.string(name, "")] };
    case "value_strings":
      return { dtype: "string", dims: [attribute.strings.length], data: attribute.strings.map((s) => utf8.decode(s)) };
    case "sparse_value":
      if (attribute.sparseTensor === undefined) throw context.fail("its sparse_value holds no sparse tensor");
      return decodeSparse(attribute.sparseTensor);
    default: {
      const tensor = context.tensor(name);
      if (tensor === undefined) throw context.fail(`its ${name} holds no tensor`);
      return tensor;
    }
  }
}

/** Every element `value`'s first one. */
function filled(dims: readonly number[], value: Tensor): Tensor {
  if (dims.some((d) => d < 0)) throw new RangeError(`a shape cannot be [${dims.join(", ")}]`);
  const data = blankLike(value.data, sizeOf(dims));
  (data as unknown[]).fill(value.data[0]);
  return { dtype: value.dtype, dims, data };
}

const zero: Tensor = { dtype: "float32", dims: [1], data: Float64Array.of(0) };

function eyeLike(context: OpContext, input: Tensor): Tensor {
  if (input.dims.length !== 2) throw context.fail("the input must be a matrix");
  const [rows, columns] = input.dims;
  const dtype = dtypeAttribute(context, "dtype") ?? input.dtype;
  const data = allocate(dtype, rows * columns);
  const k = context.int("k", 0);
  for (let r = Math.max(0, -k); r < rows && r + k < columns; r++)
    (data as unknown as unknown[])[r * columns + r + k] = isBig(data) ? 1n : 1;
  return { dtype, dims: input.dims, data };
}

/** start + i·delta for i < ⌈(limit − start) / delta⌉. */
function range(context: OpContext, start: Tensor, limit: Tensor, delta: Tensor): Tensor {
  const { dtype } = start;
  if (isBig(start.data)) {
    const [a, b, d] = [start, limit, delta].map((t) => t.data[0] as bigint);
    if (d === 0n) throw context.fail("delta is 0");
    const size = (b - a + d - (d > 0n ? 1n : -1n)) / d;
    const n = size > 0n ? Number(size) : 0;
    return { dtype, dims: [n], data: BigInt64Array.from({ length: n }, (_, i) => a + BigInt(i) * d) };
  }
  const [a, b, d] = [start, limit, delta].map((t) => t.data[0] as number);
  if (d === 0) throw context.fail("delta is 0");
  const n = Math.max(0, Math.ceil((b - a) / d));
  const data = allocate(dtype, n) as Float64Array;
  for (let i = 0; i < n; i++) data[i] = a + i * d;
  return { dtype, dims: [n], data };
}

export const constantOps: readonly OpDef[] = [
  { type: "Constant", since: 1, run: (context) => [constant(context)] },
  tensorOp("ConstantOfShape", 9, 1, (context, shape) => [filled(asNumbers(shape), context.tensor("value") ?? zero)]),
  tensorOp("EyeLike", 9, 1, (context, input) => [eyeLike(context, input)]),
  tensorOp("Range", 11, 3, (context, start, limit, delta) => [range(context, start, limit, delta)]),
  tensorOp("Shape", 1, 1, (context, input) => {
    const rank = input.dims.length;
    const clip = (i: number) => Math.min(Math.max(i < 0 ? i + rank : i, 0), rank);
    return [int64s(input.dims.slice(clip(context.int("start", 0)), clip(context.int("end", rank))))];
  }),
  tensorOp("Size", 1, 1, (_, input) => [int64s([sizeOf(input.dims)], [])]),
];
