/** Quantised operators of ONNX Runtime's own domain, and what it makes of them (fixtures/scripts/contributed.py). */
import { readFileSync } from "node:fs";
import type { DType } from "../../src/onnx/dtype.ts";
import { allocate, type Tensor } from "../../src/onnx/tensor.ts";
import { type AttributeSpec, f, type ModelSpec } from "./build.ts";

export type Told = readonly [dtype: DType, dims: readonly number[], values: readonly number[]];
export interface Case {
  readonly op: string;
  readonly attributes: Readonly<Record<string, AttributeSpec>>;
  readonly inputs: readonly (Told | null)[];
  readonly output: Told;
}
export const cases = JSON.parse(
  readFileSync(new URL("../../fixtures/contributed.json", import.meta.url), "utf8"),
) as readonly Case[];

export const specOf = ({ op, attributes, inputs, output }: Case): ModelSpec => ({
  opsets: { "": 21, "com.microsoft": 1 },
  nodes: [
    {
      op,
      domain: "com.microsoft",
      inputs: inputs.map((t, i) => (t === null ? "" : `i${i}`)),
      outputs: ["y"],
      attributes: "alpha" in attributes ? { ...attributes, alpha: f(attributes.alpha as number) } : attributes,
    },
  ],
  inputs: inputs.flatMap((t, i) => (t === null ? [] : [{ name: `i${i}`, dtype: t[0], dims: t[1] }])),
  outputs: [{ name: "y", dtype: output[0] }],
});

export const feedsOf = ({ inputs }: Case): Map<string, Tensor> =>
  new Map(inputs.flatMap((t, i) => (t === null ? [] : [[`i${i}`, tensor(t)] as const])));

function tensor([dtype, dims, values]: Told): Tensor {
  const data = allocate(dtype, values.length);
  for (const [i, v] of values.entries()) data[i] = v;
  return { dtype, dims, data };
}
