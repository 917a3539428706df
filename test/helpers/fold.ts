/** Plan, write in memory, read back: the whole way of a fold without a file system. */
import type { Gauges } from "../../src/affine/gauge.ts";
import { type PlanData, type PlanOptions, plan } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { type ModelEdits, write } from "../../src/onnx/write.ts";

export interface Folded {
  readonly model: Model;
  readonly bytes: Uint8Array;
  readonly data: PlanData;
  readonly edits: ModelEdits;
  /** How its values changed, for the proof. */
  readonly gauges: Gauges;
}

/** Folds a model whose tensors all lie inside it. */
export function folded(before: Model, options: PlanOptions = {}): Folded {
  const { data, edits, gauges } = plan(before, options);
  const bytes = collect(write(before, edits).main);
  return { model: read(memorySource(bytes, "after.onnx")), bytes, data, edits, gauges };
}

/** One line per decision, for messages. */
export const decisions = (data: PlanData): string[] => [
  ...data.folds.map(
    (f) =>
      `fold ${f.node.opType} ${f.node.output} ${f.direction} → ${f.into.map((e) => e.node.output).join(", ")} through ${f.through.map((n) => n.opType).join(", ")}`,
  ),
  ...data.kept.map((k) => `keep ${k.code}: ${k.message}`),
];
