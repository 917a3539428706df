/** Quantised operators of ONNX Runtime's own domain, against what it makes of them itself (fixtures/scripts/contributed.py). */
import { expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { dtypeInfo, dtypeOf } from "../../src/onnx/dtype.ts";
import { asNumbers, type Tensor } from "../../src/onnx/tensor.ts";
import { factsOf } from "../../src/run/facts.ts";
import { createSession } from "../../src/run/session.ts";
import { model } from "../helpers/build.ts";
import { cases, feedsOf, specOf } from "../helpers/contributed.ts";

it.each(cases.map((each, i) => [`${each.op} ${JSON.stringify(each.attributes)} #${i}`, each] as const))("%s", (_name, each) => {
  const made = model(specOf(each));
  const y = createSession(made, { mode: "storage" }).run(feedsOf(each)).get("y") as Tensor;
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
