/** Plan and patch in one: a model in, decisions and edits out. */
import { finish, type Steps } from "../diag/steps.ts";
import type { Model } from "../onnx/records.ts";
import type { ModelEdits } from "../onnx/write.ts";
import { planCalls } from "./calls.ts";
import { nodeKey } from "./describe.ts";
import { patch } from "./patch.ts";
import type { PlanOptions } from "./plan.ts";
import type { NodeRef, PlanData } from "./types.ts";

export { nodeKey } from "./describe.ts";
export type { PlanOptions } from "./plan.ts";

export { LateRefusal } from "./range.ts";
export type * from "./types.ts";

export interface FoldResult {
  readonly data: PlanData;
  readonly edits: ModelEdits;
  /** A node of `edits.base` (or of the model, where there is none) as the decisions name it. */
  readonly place: (ref: NodeRef) => NodeRef;
  /** The end of the graph the plan began at: planning again with less needs only this one. */
  readonly from: 0 | 1;
}

/**
 * Plans every fold of a model. Nothing is written and no large payload is read that is not needed to decide.
 * @throws BnfoldError of kind "model" when the graph is broken, "file" when external data is missing.
 */
export const plan = (model: Model, options: PlanOptions = {}): FoldResult => finish(planSteps(model, options));

/** The same in steps. */
export function* planSteps(model: Model, options: PlanOptions = {}): Steps<FoldResult> {
  const { base, draft, place, told } = yield* planCalls(model, options);
  yield;
  const { edits, changes } = patch(draft);
  const folds = draft.data.folds.map((fold, i) => ({
    ...fold,
    into: fold.into.map((entry, k) => ({ ...entry, tensors: changes.get(draft.absorbers[i][k]) ?? [] })),
  }));
  const after = draft.count(edits.insertNodes.map(({ node }) => node.opType));
  return {
    data: told({ ...draft.data, folds, after }),
    edits: base === undefined ? edits : { ...edits, base },
    place,
    from: draft.from,
  };
}

/**
 * The folds and merges that a check's finding may concern: `names` are node names or values of the places it named. As keys
 * for `PlanOptions.unproven`.
 */
export function suspects(data: PlanData, names: ReadonlySet<string>): string[] {
  const concerns = (ref: NodeRef) => (ref.name !== "" && names.has(ref.name)) || names.has(ref.output);
  const folds = data.folds.filter((fold) => [fold.node, ...fold.through, ...fold.into.map(({ node }) => node)].some(concerns));
  const merges = data.merges.filter((merge) => merge.nodes.some(concerns));
  return [...folds.map((fold) => nodeKey(fold.node)), ...merges.map((merge) => nodeKey(merge.into))];
}
