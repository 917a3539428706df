/**
 * The best of several plans: against the flow of the graph, with all candidates at once, along the flow. Each further one is made only
 * where the best so far leaves something it could change; that one is taken which saves more nodes.
 */
import type { Steps } from "../diag/steps.ts";
import { checkGraph } from "../graph/check.ts";
import { viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { nodeKey } from "./describe.ts";
import type { PlanOptions, Start } from "./options.ts";
import type { PlanDraft } from "./plan-draft.ts";
import { Planner } from "./planner.ts";

/** Where something stays, graphs up to this size are planned from the other end too, and the plan that saves more is taken. */
const MAX_NODES_TWICE = 4096;

/**
 * Plans the folds of a model.
 * @throws BnfoldError of kind "model" when the graph is broken: a cycle, or a value nobody makes.
 */
export function* planDraft(model: Model, options: PlanOptions = {}): Steps<PlanDraft> {
  return (yield* bestDraft(model, options)).advised();
}

function* bestDraft(model: Model, options: PlanOptions): Steps<PlanDraft> {
  if (options.fold === false) return yield* planFrom(model, options, "along");
  if (options.from !== undefined) return yield* planFrom(model, options, options.from);
  if (options.bnToConv === true || options.constantChannel === true) {
    // Only what the best plan keeps becomes a convolution, or is carried through padding.
    const best = yield* bestDraft(model, { ...options, bnToConv: false, constantChannel: false });
    return yield* planFrom(model, options, best.from);
  }
  // Operators become others last: readers that make up for each other come before that.
  const [first, ...others]: Start[] =
    options.reluToMax === true ? ["gauges", "against", "along"] : ["against", "gauges", "along"];
  let best = yield* planFrom(model, options, first);
  for (const start of others) {
    if (best.open.size === 0) return best;
    if (start === "along" && best.view.nodes.length > MAX_NODES_TWICE) return best;
    const dear = best.data.kept.filter(({ code }) => code === "precision-loss").map(({ node }) => nodeKey(node));
    const other = yield* planFrom(model, { ...options, costly: new Set(dear), open: best.open }, start);
    const more = gain(other) - gain(best);
    const same = more === 0 && (normsGone(other) > normsGone(best) || (other.explains && normsGone(other) === normsGone(best)));
    if (more > 0 || same) best = other;
    // What was solved for all at once leaves nothing to the other direction.
    if (more > 0 && start === "gauges") return best;
  }
  return best;
}

function* planFrom(model: Model, options: PlanOptions, start: Start): Steps<PlanDraft> {
  const view = viewOf(model);
  checkGraph(view);
  yield;
  return yield* new Planner(view, options, start).run();
}

/** Nodes a plan saves. */
const gain = ({ removed, draft }: PlanDraft): number =>
  removed.length - [...draft.changed()].filter(([node, { bias }]) => bias !== undefined && !node.removed).length;

/** Of plans that save as many nodes the one is taken that leaves fewer normalizations. */
const normsGone = ({ data }: PlanDraft): number => data.folds.filter(({ kind }) => kind === "batch-normalization").length;
