import { type Spread, simplify } from "../affine/spread.ts";
import type { GraphNode } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import { ruleOf } from "../rules/index.ts";
import { isRefused, type Refused, refuse } from "../rules/types.ts";

/** Has an operator take a map into its constants, as the draft has them; why it does not, or hands part of it on. */
export function absorb(
  draft: Draft,
  node: GraphNode,
  move: "forwardShift" | "forwardScale" | "backShift" | "backScale",
  by: readonly (Spread | undefined)[],
): Refused | undefined {
  // A product that got a bias is a Gemm by now.
  const rule = ruleOf(draft.state(node).opType, node.domain)?.[move];
  const steps =
    rule?.(
      draft.at(node),
      by.map((map) => map && simplify(map)),
    ) ?? refuse("operator-blocks", "neither absorbs nor passes it");
  if (isRefused(steps)) return { node, ...steps };
  const step = steps.find(({ pass }) => pass.every((s) => s === undefined));
  if (step === undefined) return refuse("operator-blocks", "does not absorb it", { node });
  if (step.state !== undefined) draft.set(node, step.state);
  return undefined;
}
