/** One operator on given tensors, and the tensors to give it. */
import type { DType } from "../../src/onnx/dtype.ts";
import { sizeOf, type Tensor } from "../../src/onnx/tensor.ts";
import { isTensor } from "../../src/ops/define.ts";
import { runNode } from "../../src/run/session.ts";
import { model, type NodeSpec, node } from "../helpers/build.ts";

export const real = (dims: readonly number[], values: readonly number[], dtype: DType = "float32"): Tensor => {
  if (sizeOf(dims) !== values.length) throw new Error(`${values.length} values for [${dims}]`);
  return { dtype, dims, data: Float64Array.from(values) };
};

const HOLDERS = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  bool: Uint8Array,
} as const;

export const ints = (dtype: keyof typeof HOLDERS, dims: readonly number[], values: readonly number[]): Tensor => ({
  dtype,
  dims,
  data: HOLDERS[dtype].from(values),
});

export const longs = (dims: readonly number[], values: readonly bigint[], dtype: "int64" | "uint64" = "int64"): Tensor => ({
  dtype,
  dims,
  data: dtype === "int64" ? BigInt64Array.from(values) : BigUint64Array.from(values),
});

export interface Options {
  readonly outputs?: number | readonly string[];
  readonly domain?: string;
}

/** All outputs of one node at an opset version; absent ones are undefined. */
export function evaluateAll(
  op: string,
  version: number,
  inputs: readonly (Tensor | undefined)[],
  attributes: NodeSpec["attributes"] = {},
  { outputs = 1, domain = "" }: Options = {},
): (Tensor | undefined)[] {
  const names = typeof outputs === "number" ? Array.from({ length: outputs }, (_, i) => `y${i}`) : outputs;
  const spec = node(
    op,
    inputs.map((x, i) => (x === undefined ? "" : `x${i}`)),
    names,
    attributes,
    { domain },
  );
  const { graph } = model({ nodes: [spec], outputs: [{ name: "y0" }], opset: version });
  return runNode(graph.nodes[0], version, inputs).map((value) => {
    if (value !== undefined && !isTensor(value)) throw new Error("not a tensor");
    return value;
  });
}

/** The first output. */
export function evaluate(
  op: string,
  version: number,
  inputs: readonly (Tensor | undefined)[],
  attributes: NodeSpec["attributes"] = {},
): Tensor {
  return evaluateAll(op, version, inputs, attributes)[0] as Tensor;
}

export const list = (t: Tensor | undefined): (number | bigint | string)[] =>
  Array.from((t?.data ?? []) as ArrayLike<number | bigint | string>);

/** A small deterministic generator of doubles in [−1, 1). */
export function noise(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

export function noisy(dims: readonly number[], seed: number, dtype: DType = "float32"): Tensor {
  const next = noise(seed);
  return real(dims, Array.from({ length: sizeOf(dims) }, next), dtype);
}
