/** Quantised operators of ONNX Runtime's own domain, against what it makes of them itself (fixtures/scripts/contributed.py). */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { type DType, dtypeInfo, dtypeOf } from "../../src/onnx/dtype.ts";
import { allocate, asNumbers, type Tensor } from "../../src/onnx/tensor.ts";
import { factsOf } from "../../src/run/facts.ts";
import { createSession } from "../../src/run/session.ts";
import { type AttributeSpec, f, type ModelSpec, model } from "../helpers/build.ts";

type Told = readonly [dtype: DType, dims: readonly number[], values: readonly number[]];
interface Case {
  readonly op: string;
  readonly attributes: Readonly<Record<string, AttributeSpec>>;
  readonly inputs: readonly (Told | null)[];
  readonly output: Told;
}
const cases = JSON.parse(readFileSync(new URL("../../fixtures/contributed.json", import.meta.url), "utf8")) as readonly Case[];

const specOf = ({ op, attributes, inputs, output }: Case): ModelSpec => ({
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

function tensor([dtype, dims, values]: Told): Tensor {
  const data = allocate(dtype, values.length);
  for (const [i, v] of values.entries()) data[i] = v;
  return { dtype, dims, data };
}

it.each(cases.map((each, i) => [`${each.op} ${JSON.stringify(each.attributes)} #${i}`, each] as const))("%s", (_name, each) => {
  const made = model(specOf(each));
  const feeds = new Map(each.inputs.flatMap((t, i) => (t === null ? [] : [[`i${i}`, tensor(t)] as const])));
  const y = createSession(made, { mode: "storage" }).run(feeds).get("y") as Tensor;
  const [dtype, dims, values] = each.output;
  expect([y.dtype, y.dims]).toEqual([dtype, dims]);
  const got = asNumbers(y);
  const largest = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  // Codes may lie one beside where a float32 sum came to a tie; real numbers round a few times.
  const bound = dtypeInfo(dtype).holder === "float" ? 2 ** -20 * largest : 1;
  const off = values.map((v, i) => Math.abs(v - got[i]));
  expect(Math.max(...off)).toBeLessThanOrEqual(bound);
  if (bound === 1) expect(off.filter((d) => d > 0).length).toBeLessThanOrEqual(Math.ceil(values.length / 20));
});

it.each(cases.map((each, i) => [`${each.op} #${i}`, each] as const))("shape and type without value_info: %s", (_name, each) => {
  const view = viewOf(model(specOf(each)));
  const { dtype, shape } = factsOf(view).of(view.main.values.get("y"));
  const [want, dims] = each.output;
  expect(dtypeOf(dtype)).toBe(want);
  if (each.attributes.channels_last !== 1) expect(shape).toEqual(dims);
  else expect(shape).toHaveLength(dims.length);
});
