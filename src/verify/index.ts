/** Are two files the same function? Interfaces first, then the algebraic proof, then the float64 run. */
import type { Gauges } from "../affine/gauge.ts";
import { finish, type Pace, paced, type Steps } from "../diag/steps.ts";
import type { Model } from "../onnx/records.ts";
import { compareFaces, declaredNotes } from "./faces.ts";
import { type MeasuredLoss, measuredLoss } from "./precision.ts";
import { contradictionsOf, proveSteps, sharedOf } from "./proof.ts";
import { type RunOptions, runSteps } from "./run.ts";
import type { Proof, Verdict, Witness } from "./types.ts";
import { combine } from "./verdict.ts";

/** Options of `verifyModels`. */
export interface VerifyOptions extends RunOptions {
  /** Default: the proof of proof.ts. With false only the run speaks. */
  readonly prove?: ((a: Model, b: Model) => Proof) | false;
  /** True (default) when the second file was made by another tool, whose rounding may be coarser. */
  readonly foreign?: boolean;
  /** How the values of the second file changed, where its maker says so: `ProveOptions.gauges`. */
  readonly gauges?: Gauges;
  /** Default true. */
  readonly run?: boolean;
  /** The summary says how far both files are off when they compute in their own precision; the whole networks are run for that. Default false. */
  readonly rounding?: boolean;
  /** Initializers that are also inputs are constants: nobody feeds them. Default false. */
  readonly assumeConstant?: boolean;
}

/** A model whose initializers cannot be fed. */
function closed(model: Model): Model {
  const { graph } = model;
  const names = new Set([...graph.initializers, ...graph.sparseInitializers.map(({ values }) => values)].map(({ name }) => name));
  return { ...model, graph: { ...graph, inputs: graph.inputs.filter(({ name }) => !names.has(name)) } };
}

/**
 * The verdict on two models: `b` in place of `a`.
 * @throws BnfoldError of kind "usage" when shapes or inputs the user gave do not fit the model.
 */
export const verifyModels = (a: Model, b: Model, options: VerifyOptions = {}): Verdict => finish(verifySteps(a, b, options));

/** The same, giving way to the event loop at bounded intervals: `signal` calls it off. */
export const verifyModelsAsync = (a: Model, b: Model, options: VerifyOptions & Pace = {}): Promise<Verdict> =>
  paced(verifySteps(a, b, options), options);

/** The same in steps (diag/steps.ts). */
export function* verifySteps(a: Model, b: Model, options: VerifyOptions = {}): Steps<Verdict> {
  const [x, y] = options.assumeConstant === true ? [closed(a), closed(b)] : [a, b];
  const findings = compareFaces(x, y);
  // Files that promise different things are different, whatever they compute.
  if (findings.some((finding) => finding.weight === "different")) return combine(findings, undefined, undefined);
  const { prove: proof, onProgress } = options;
  onProgress?.("proof", 0, 1);
  let total = 1;
  const told = (done: number, of: number): void => {
    total = of;
    onProgress?.("proof", done, of);
  };
  let proven: Proof | undefined;
  if (proof === undefined)
    proven = yield* proveSteps(x, y, { foreign: options.foreign, gauges: options.gauges, onProgress: told });
  else if (proof !== false) proven = proof(x, y);
  onProgress?.("proof", total, total);
  const { rounding = false } = options;
  const how = rounding ? { ...options, fullRun: true, storage: true } : options;
  const run: Witness | undefined =
    options.run === false ? undefined : yield* runSteps(a, b, proven, proven && sharedOf(proven), how);
  return combine([...findings, ...declaredNotes(contradictionsOf(proven))], proven, run, rounding);
}

export { generateInputs, type InputOptions, KINDS, type Kind, type Sample } from "./inputs.ts";
export { type ProveOptions, prove } from "./proof.ts";
export type { RunOptions } from "./run.ts";
export { type Observe, type OnProgress, type WitnessOptions, witness } from "./witness.ts";

/** Bits that the second file loses where `names` are computed, by a run near the statistics; undefined where the proof shares too little. */
export function* precisionSteps(a: Model, b: Model, proof: Proof, names: ReadonlySet<string>): Steps<MeasuredLoss | undefined> {
  const shared = sharedOf(proof);
  return shared && (yield* measuredLoss(a, b, shared, names));
}
