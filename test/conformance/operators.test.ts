/**
 * The operators that fold, or that the proof has a law for, against ONNX Runtime and ONNX's reference evaluator: on every case of the laws and in
 * each version, the executor gives in storage mode what fixtures/operators.json holds. Works in any clone.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { isTensor } from "../../src/ops/define.ts";
import { operators as known } from "../../src/ops/index.ts";
import { ruleOf } from "../../src/rules/index.ts";
import { createSession } from "../../src/run/session.ts";
import { model } from "../helpers/build.ts";
import { subjects } from "../rules/laws/all.ts";
import { feedsOf, specOf } from "../rules/laws/law.ts";
import { type Subject, versionsOf } from "../rules/laws/subject.ts";
import { compareValues } from "./harness.ts";
import { inFloat32, keyOf } from "./operators.ts";

type Output = readonly [dims: readonly number[], base64: string];
type Entry = readonly [versions: readonly number[], runtime: string, outputs: readonly Output[]];
const fixture = JSON.parse(readFileSync(new URL("../../fixtures/operators.json", import.meta.url), "utf8")) as Record<
  string,
  readonly Entry[]
>;

/** Where the runtime that made the expected output departs from ONNX, or ONNX leaves it open. */
const DEPARTS: readonly (readonly [runtime: string, cases: RegExp, why: string])[] = [
  [
    "onnxruntime",
    /^(Average|Max)Pool.* auto_pad=SAME.* dilations=2/,
    "sizes by SAME leave the dilation out; ONNX: ceil(size / stride)",
  ],
  [
    "onnxruntime",
    /^AveragePool\(\[1,2,6\]\) kernel_shape=1 .*auto_pad=SAME_UPPER strides=3/,
    "a window smaller than its stride is moved by a negative padding",
  ],
  [
    "onnxruntime",
    /^MeanVarianceNormalization.*\(version 1\)$/,
    "statistics over the batch, too; ONNX no longer describes the version",
  ],
  ["reference", /^MaxPool.* auto_pad=SAME.* strides=/, "a window smaller than its stride is moved by a negative padding"],
  ["reference", /^MaxPool.* 2 of 2 outputs/, "indices count from each channel's first element"],
  ["reference", /^AveragePool.* pads=.*\(version 1\)$/, "padded zeros are counted"],
  ["reference", /^(LSTM|GRU).* clip=/, "clip is not applied"],
  ["reference", /broadcast=1 axis=1/, "the attribute axis is not applied"],
  ["reference", /^PRelu\(.*\(version [16]\)$/, "slopes lie along the last axis, not along the channels"],
];

/** Sixteen roundings in float32 of the largest number: sums that cancel keep those of their terms. */
const CANCELLED = 2 ** -20;

/** How an output differs from what the fixture has; undefined when it does not. */
function difference(got: Tensor, dims: readonly number[], base64: string): string | undefined {
  const { buffer, byteOffset, byteLength } = Buffer.from(base64, "base64");
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  if (!got.dtype.startsWith("float")) {
    const mine = BigInt64Array.from(Array.from(got.data as ArrayLike<number | bigint>, BigInt));
    return compareValues(
      "",
      { dtype: "int64", dims: got.dims, data: mine },
      { dtype: "int64", dims, data: new BigInt64Array(bytes) },
    );
  }
  const data = Float64Array.from(new Float32Array(bytes));
  const said = compareValues("", got, { dtype: got.dtype, dims, data });
  if (said === undefined || String(dims) !== String(got.dims)) return said;
  const largest = data.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const mine = asFloat64(got);
  const close = (v: number, w: number) => Math.abs(v - w) <= Math.max(1e-7 + 1e-3 * Math.abs(w), CANCELLED * largest);
  return data.every((w, i) => close(mine[i], w)) ? undefined : said;
}

function problems(subject: Subject): { readonly compared: number; readonly found: string[] } {
  let compared = 0;
  const found: string[] = [];
  for (const raw of subject.cases) {
    const each = inFloat32(raw);
    const label = keyOf(subject.op, raw);
    for (const version of versionsOf(subject, raw)) {
      const entry = fixture[label]?.find(([versions]) => versions.includes(version));
      const where = `${label} (version ${version})`;
      if (entry === undefined || DEPARTS.some(([runtime, cases]) => runtime === entry[1] && cases.test(where))) continue;
      const feeds = new Map([...feedsOf(each, 1)].map(([name, t]) => [name, { ...t, dtype: "float32" as const }]));
      const outputs = [
        ...createSession(model(specOf(subject.op, version, each, "float32")), { mode: "storage" })
          .run(feeds)
          .values(),
      ];
      for (const [i, [dims, base64]] of entry[2].entries()) {
        const got = outputs[i];
        const said = got !== undefined && isTensor(got) ? difference(got, dims, base64) : "is missing";
        if (said !== undefined) found.push(`${where}, ${entry[1]}: output ${i}: ${said}`);
        compared++;
      }
    }
  }
  return { compared, found };
}

describe("the executor, and what ONNX Runtime and ONNX's reference make of", () => {
  it.each(subjects.map((s) => [s.op, s] as const))("%s", (_op, s) => {
    const { compared, found } = problems(s);
    expect(found).toEqual([]);
    expect(compared).toBeGreaterThan(0);
  });

  it("has no departure that no case shows", () => {
    const all = subjects.flatMap((s) =>
      s.cases.flatMap((raw) => versionsOf(s, raw).map((v) => `${keyOf(s.op, raw)} (version ${v})`)),
    );
    expect(DEPARTS.filter(([, cases]) => !all.some((where) => cases.test(where)))).toEqual([]);
  });

  it("every operator with a rule", () => {
    const tried = new Set(subjects.map(({ op }) => op));
    expect(known().filter(({ domain, type }) => domain === "" && ruleOf(type) !== undefined && !tried.has(type))).toEqual([]);
  });
});
