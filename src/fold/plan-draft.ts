import type { Gauge, Gauges } from "../affine/gauge.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import type { Param } from "../rules/types.ts";
import type { Start } from "./options.ts";
import type { Counts, PlanData } from "./types.ts";

/** What the planner hands to the patcher: the graph as it shall be. */
export interface PlanDraft {
  /** The end the first round began at. */
  readonly from: Start;
  readonly view: GraphView;
  readonly draft: Draft;
  readonly removed: readonly GraphNode[];
  /** Constants that operators which stay no longer read. */
  readonly orphans: readonly GraphValue[];
  /** Computed weights that become initializers. */
  readonly settled: ReadonlyMap<GraphValue, Param>;
  readonly data: Omit<PlanData, "after">;
  /** Node counts of the graph as it is now, with nodes the patch inserts: call it when it has dropped what nobody reads any more. */
  readonly count: (inserted: readonly string[]) => Counts;
  /** For each fold, the operators that absorbed it. */
  readonly absorbers: readonly (readonly GraphNode[])[];
  /** What values of the file were, in terms of what they are in the file that is written: for its check. */
  readonly gauges: Gauges;
  /** Nodes (by `nodeKey`) that stay and for which another plan may be worth its time: not those that compute with shapes alone. */
  readonly open: ReadonlySet<string>;
  /** The plan with what an option could do for the nodes it keeps: asked only of the best plan, because it reads weights. */
  readonly advised: () => PlanDraft;
  /** True where nothing was folded by solving for all candidates at once, but it is known why not. */
  readonly explains: boolean;
}

/**
 * By graph and name; what a merge has made anew has no counterpart. The value that a node which went has read is told of, too: it has
 * channels that a gain of zero took from the node's result.
 */
export function gaugesOf(draft: Draft): Gauges {
  const made = new Map<string, Map<string, Gauge>>();
  for (const [value, gauge] of draft.gauges()) {
    if (gauge === undefined || value.producer?.removed === true) continue;
    const list = made.get(value.scope.path) ?? new Map<string, Gauge>();
    made.set(value.scope.path, list.set(value.name, gauge));
  }
  return made;
}
