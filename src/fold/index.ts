/** Plan and patch in one: a model in, decisions and edits out. */
import type { Gauges } from "../affine/gauge.ts";
import { finish, type Steps } from "../diag/steps.ts";
import type { GraphNode } from "../graph/view.ts";
import type { Model, NodeRecord } from "../onnx/records.ts";
import type { ModelEdits } from "../onnx/write.ts";
import type { Refused } from "../rules/types.ts";
import { planCalls } from "./calls.ts";
import { nodeKey, refOf } from "./describe.ts";
import type { Equalization } from "./equalize/told.ts";
import { growing, payloadBytes } from "./growth.ts";
import type { PlanOptions, Start } from "./options.ts";
import { patch } from "./patch.ts";
import { gaugesOf, type PlanDraft } from "./plan-draft.ts";
import type { Fold, NodeRef, PlanData, TensorChange } from "./types.ts";

export { nodeKey } from "./describe.ts";
export { type MinimalityOptions, minimality } from "./gauge/minimality.ts";
export type { PlanOptions } from "./options.ts";

export { LateRefusal } from "./range.ts";
export type * from "./types.ts";

/** A plan: what would happen and why (`data`), and what to change (`edits`). */
export interface FoldResult {
  readonly data: PlanData;
  readonly edits: ModelEdits;
  /** A node of `edits.base` (or of the model, where there is none) as the decisions name it. */
  readonly place: (ref: NodeRef) => NodeRef;
  /** What values of the model were, in terms of what they are in the file that is written: hand it to `prove`. */
  readonly gauges: Gauges;
  /** The end of the graph the plan began at: planning again with less needs only this one. */
  readonly from: Start;
}

/**
 * Plans every fold of a model. Nothing is written and no large payload is read that is not needed to decide.
 * @throws BnfoldError of kind "model" when the graph is broken, "file" when external data is missing.
 */
export const plan = (model: Model, options: PlanOptions = {}): FoldResult => finish(planSteps(model, options));

/** The same in steps. */
export function* planSteps(model: Model, options: PlanOptions = {}): Steps<FoldResult> {
  let { held = new Map<string, Refused>(), from } = options;
  // Each round holds back one fold at least, so that the last one finds nothing that grows.
  for (;;) {
    const { result, removed } = yield* planOnce(model, { ...options, held, from });
    const { data, edits } = result;
    const more = growing(model, data.folds, edits, removed, options.maxGrowth);
    const news = [...more].filter(([key]) => !held.has(key));
    if (news.length === 0) return result;
    held = new Map([...held, ...news]);
    from = result.from;
  }
}

interface Planned {
  readonly result: FoldResult;
  /** The record of a fold's node, where that goes. */
  readonly removed: (fold: Fold) => NodeRecord | undefined;
}

function* planOnce(model: Model, options: PlanOptions): Steps<Planned> {
  const { base, draft: planned, placeInFile, inFile } = yield* planCalls(model, options);
  yield;
  const draft = options.equalize === undefined ? planned : yield* equalizedPlan(planned, options, options.equalize);
  const { edits, changes } = patch(draft);
  const dropped = new Set(edits.dropTensors.map((tensor) => ("values" in tensor ? tensor.values.name : tensor.name)));
  for (const node of edits.dropNodes) for (const name of node.outputs) dropped.add(name);
  const copied = (change: TensorChange): TensorChange =>
    change.from === "" || change.from === change.to || dropped.has(change.from)
      ? change
      : { ...change, copied: payloadBytes(change) };
  const tensors = new Map([...changes].map(([node, list]) => [node, list.map(copied)]));
  const folds = draft.data.folds.map((fold, i) => ({
    ...fold,
    into: fold.into.map((entry, k) => ({ ...entry, tensors: tensors.get(draft.absorbers[i][k]) ?? [] })),
  }));
  const records = new Map(draft.removed.map((node) => [nodeKey(refOf(node)), node.record]));
  const keys = new Map(draft.data.folds.map((fold, i) => [i, records.get(nodeKey(fold.node))]));
  const after = draft.count(edits.insertNodes.map(({ node }) => node.opType));
  const data = inFile({ ...draft.data, folds, after });
  const places = new Map<Fold, number>(data.folds.map((fold, i) => [fold, i]));
  return {
    result: {
      data,
      edits: base === undefined ? edits : { ...edits, base },
      place: placeInFile,
      gauges: draft.gauges,
      from: draft.from,
    },
    removed: (fold) => keys.get(places.get(fold) as number),
  };
}

/** The plan with its weights equalised. */
function* equalizedPlan(plan: PlanDraft, options: PlanOptions, by: Equalization): Steps<PlanDraft> {
  const { view, draft } = plan;
  const fixed = (node: GraphNode): boolean => {
    const name = node.record.name || node.record.outputs[0];
    const isLeftOut = options.only?.(name) === false || options.skip?.(name) === true;
    return isLeftOut || options.unproven?.has(nodeKey(refOf(node))) === true;
  };
  const data = yield* by.run(view, draft, fixed);
  return { ...plan, gauges: gaugesOf(draft), data: { ...plan.data, equalized: data } };
}

/**
 * The folds and merges that a check's finding may concern: `names` are node names or values of the places it named. As keys
 * for `PlanOptions.unproven`.
 */
export function suspects(data: PlanData, names: ReadonlySet<string>): string[] {
  const concerns = (ref: NodeRef) => (ref.name !== "" && names.has(ref.name)) || names.has(ref.output);
  const folds = data.folds.filter((fold) => [fold.node, ...fold.through, ...fold.into.map(({ node }) => node)].some(concerns));
  const merges = data.merges.filter((merge) => merge.nodes.some(concerns));
  // What was scaled for a quantiser goes first.
  const scaled = (data.equalized?.weights ?? []).filter(({ node, changed }) => changed && concerns(node));
  if (scaled.length > 0) return scaled.map(({ node }) => nodeKey(node));
  return [...folds.map((fold) => nodeKey(fold.node)), ...merges.map((merge) => nodeKey(merge.into))];
}
