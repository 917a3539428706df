/** Are two files the same function? Interfaces first, then the algebraic proof, then the float64 run. */
import type { Model } from "../onnx/records.ts";
import { compareFaces } from "./faces.ts";
import { prove, sharedOf } from "./proof.ts";
import { type RunOptions, runOf } from "./run.ts";
import type { Proof, Verdict, Witness } from "./types.ts";
import { combine } from "./verdict.ts";

export interface VerifyOptions extends RunOptions {
  /** Default: the proof of proof.ts. With false only the run speaks. */
  readonly prove?: ((a: Model, b: Model) => Proof) | false;
  /** True (default) when the second file was made by another tool, whose rounding may be coarser. */
  readonly foreign?: boolean;
  /** Default true. */
  readonly run?: boolean;
}

/**
 * The verdict on two models: `b` in place of `a`.
 * @throws BnfoldError of kind "usage" when shapes or inputs the user gave do not fit the model.
 */
export function verifyModels(a: Model, b: Model, options: VerifyOptions = {}): Verdict {
  const findings = compareFaces(a, b);
  // Files that promise different things are different, whatever they compute.
  if (findings.some((finding) => finding.weight === "different")) return combine(findings, undefined, undefined);
  const { prove: proof = (x: Model, y: Model) => prove(x, y, { foreign: options.foreign }), onProgress } = options;
  onProgress?.("proof", 0, 1);
  const proven: Proof | undefined = proof === false ? undefined : proof(a, b);
  onProgress?.("proof", 1, 1);
  const run: Witness | undefined = options.run === false ? undefined : runOf(a, b, proven, proven && sharedOf(proven), options);
  return combine(findings, proven, run);
}

export { type BisectOptions, bisect } from "./bisect.ts";
export { generateInputs, type InputOptions, KINDS, type Kind, type Sample } from "./inputs.ts";
export { type ProveOptions, prove } from "./proof.ts";
export type { RunOptions } from "./run.ts";
export { type Observe, type OnProgress, type WitnessOptions, witness } from "./witness.ts";
