/** Plans of one-line graphs: what became of a node, and why it stayed. */
import { expect } from "vitest";
import { type PlanOptions, plan } from "../../src/fold/index.ts";
import { type ModelSpec, model } from "../helpers/build.ts";

/** Code of the refusal of each kept node, and the number of folds. */
export function verdict(spec: ModelSpec, options?: PlanOptions): { folds: number; codes: string[]; messages: string } {
  const { data } = plan(model(spec), options);
  return { folds: data.folds.length, codes: data.kept.map((k) => k.code), messages: data.kept.map((k) => k.message).join("\n") };
}

/** Nothing is folded, and the first reason is the one given. */
export function refuses(spec: ModelSpec, code: string, options?: PlanOptions): void {
  const { folds, codes, messages } = verdict(spec, options);
  expect({ folds, code: codes[0] }, messages).toEqual({ folds: 0, code });
}
