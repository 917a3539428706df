/** Random operators: RandomUniform, RandomNormal (and Like), Bernoulli, Multinomial, Dropout. */
import type { DType } from "../onnx/dtype.ts";
import { allocate, asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { isBig, unary } from "./broadcast.ts";
import { dtypeAttribute } from "./constant.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

function drawn(context: OpContext, dtype: DType, dims: readonly number[], normal: boolean): Tensor {
  const random = context.random();
  const n = sizeOf(dims);
  const data = new Float64Array(n);
  if (normal) {
    const [mean, scale] = [context.float("mean", 0), context.float("scale", 1)];
    // Box-Muller; 1 − u keeps the logarithm finite.
    for (let i = 0; i < n; i++)
      data[i] = mean + scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  } else {
    const [low, high] = [context.float("low", 0), context.float("high", 1)];
    for (let i = 0; i < n; i++) data[i] = low + (high - low) * random();
  }
  return { dtype, dims, data };
}

function fresh(normal: boolean): OpDef["run"] {
  return (context) => [drawn(context, dtypeAttribute(context, "dtype") ?? "float32", context.ints("shape") ?? [], normal)];
}

function like(type: string, normal: boolean): OpDef {
  return tensorOp(type, 1, 1, (context, input) => {
    return [drawn(context, dtypeAttribute(context, "dtype") ?? input.dtype, input.dims, normal)];
  });
}

function bernoulli(context: OpContext, input: Tensor): Tensor {
  const dtype = dtypeAttribute(context, "dtype") ?? input.dtype;
  const random = context.random();
  const out = allocate(dtype, input.data.length) as unknown as unknown[];
  const [yes, no] = isBig(out as unknown as Tensor["data"]) ? [1n, 0n] : [1, 0];
  asFloat64(input).forEach((p, i) => {
    out[i] = random() < p ? yes : no;
  });
  return { dtype, dims: input.dims, data: out as unknown as Tensor["data"] };
}

/** Class numbers drawn by unnormalised log-probabilities, `sample_size` a row. */
function multinomial(context: OpContext, input: Tensor): Tensor {
  const dtype = dtypeAttribute(context, "dtype") ?? "int32";
  const size = context.int("sample_size", 1);
  const [rows, classes] = input.dims;
  const random = context.random();
  const x = asFloat64(input);
  const out = allocate(dtype, rows * size);
  for (let r = 0; r < rows; r++) {
    const row = x.subarray(r * classes, (r + 1) * classes);
    const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const weights = row.map((v) => Math.exp(v - top));
    const total = weights.reduce((a, b) => a + b, 0);
    for (let s = 0; s < size; s++) {
      let rest = random() * total;
      let c = 0;
      while (c < classes - 1 && rest >= weights[c]) rest -= weights[c++];
      (out as unknown as unknown[])[r * size + s] = isBig(out) ? BigInt(c) : c;
    }
  }
  return { dtype, dims: [rows, size], data: out };
}

/** Each element kept with probability 1 − ratio and scaled by 1 / (1 − ratio). `maskType`: bool since opset 10. */
function dropout(context: OpContext, input: Tensor, ratio: number, training: boolean, maskType: DType): Tensor[] {
  const mask = allocate(maskType, input.data.length) as Uint8Array;
  if (!training || ratio === 0) return [input, { dtype: maskType, dims: input.dims, data: mask.fill(1) }];
  const random = context.random();
  for (let i = 0; i < mask.length; i++) mask[i] = Number(random() >= ratio);
  let i = 0;
  const scale = 1 / (1 - ratio);
  const data = unary(input, input.dtype, (x) => (mask[i++] ? x * scale : 0)).data;
  return [
    { ...input, data },
    { dtype: maskType, dims: input.dims, data: mask },
  ];
}

export const randomOps: readonly OpDef[] = [
  { type: "RandomUniform", since: 1, run: fresh(false) },
  { type: "RandomNormal", since: 1, run: fresh(true) },
  like("RandomUniformLike", false),
  like("RandomNormalLike", true),
  tensorOp("Bernoulli", 15, 1, (context, input) => [bernoulli(context, input)]),
  tensorOp("Multinomial", 7, 1, (context, input) => [multinomial(context, input)]),
  tensorOp("Dropout", 1, 1, (context, input) => {
    return dropout(context, input, context.float("ratio", 0.5), context.int("is_test", 0) === 0, input.dtype);
  }),
  tensorOp("Dropout", 7, 1, (context, input) => dropout(context, input, 0, false, input.dtype)),
  tensorOp("Dropout", 10, 1, (context, input) => dropout(context, input, 0, false, "bool")),
  tensorOp("Dropout", 12, 1, (context, input, ratio, training) => {
    return dropout(context, input, ratio === undefined ? 0.5 : Number(ratio.data[0]), Boolean(training?.data[0] ?? 0), "bool");
  }),
];
