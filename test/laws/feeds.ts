/** Inputs for random graphs: normal numbers, any truth values, small indices. */
import type { Tensor } from "../../src/onnx/tensor.ts";
import { randomOf } from "../../src/verify/random.ts";
import type { ModelSpec, ValueSpec } from "../helpers/build.ts";
import type { Storage } from "./graphs.ts";

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

/** Random graphs with a symbolic batch keep their first axis; constants were made for any of its sizes. */
const BATCH = 2;

function feedOf({ name, dtype, dims = [] }: ValueSpec, seed: number): Tensor {
  const random = randomOf(seed, name);
  const shape = dims.map((d) => (typeof d === "number" ? d : BATCH));
  const n = size(shape);
  if (dtype === "bool") return { dtype, dims: shape, data: Uint8Array.from({ length: n }, () => random.below(2)) };
  if (dtype === "int64") return { dtype, dims: shape, data: BigInt64Array.from({ length: n }, () => BigInt(random.below(3))) };
  return { dtype: dtype as Storage, dims: shape, data: Float64Array.from({ length: n }, () => 2 * random.normal()) };
}

/** One set of inputs; initializers a caller may override keep their values. */
export function feedsOf(spec: ModelSpec, seed: number): Map<string, Tensor> {
  const given = new Set(Object.keys(spec.initializers ?? {}));
  return new Map((spec.inputs ?? []).filter((v) => !given.has(v.name)).map((v) => [v.name, feedOf(v, seed)]));
}
