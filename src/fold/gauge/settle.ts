/**
 * Writes gauges into the constants of an operator that stays: v_old = a ⊙ v_new + b on its input and its output, so that
 *   y_new = (op(a_x ⊙ x_new + b_x) − b_y) / a_y
 * For layers and normalizations that is a shift and a gain forward, then a shift and a gain back, as the laws of rules/ have them.
 *   x · c   c' = c·a_x/a_y     x / c   c' = c·a_y/a_x     x + c   c' = (c + b_x − b_y)/a     x − c   c' = (c − b_x + b_y)/a
 *   c − x   c' = (c − b_x − b_y)/a
 */
import type { Gauge } from "../../affine/gauge.ts";
import { combine, invert, isOne, isZero, negate, type Spread, simplify, uniform } from "../../affine/spread.ts";
import type { GraphNode } from "../../graph/view.ts";
import type { Candidate } from "../../laws/candidates.ts";
import type { Draft } from "../../laws/draft.ts";
import { ruleOf } from "../../rules/index.ts";
import { laidOut, putBack } from "../../rules/legacy.ts";
import { isNeutral, scaled, shifted } from "../../rules/params.ts";
import { isRefused, type Param, type Refused, refuse } from "../../rules/types.ts";
import { absorb } from "../absorb.ts";

/** Changes a layer or a normalization, of which input `index` is not constant; why it cannot be changed, where it cannot. */
export function settleLayer(draft: Draft, node: GraphNode, index: number, input: Gauge, output: Gauge): Refused | undefined {
  const into = (by: Spread): (Spread | undefined)[] => [...new Array<undefined>(index).fill(undefined), by];
  return (
    take(draft, node, "forwardShift", into(input.shift)) ??
    take(draft, node, "forwardScale", into(input.scale)) ??
    take(draft, node, "backShift", [negate(output.shift)]) ??
    take(draft, node, "backScale", [invert(output.scale)])
  );
}

/** What becomes of a shift of a layer's input when the layer itself keeps it not: W·b, for the constant Adds behind. */
export function derivedShift(draft: Draft, node: GraphNode, index: number, { shift }: Gauge): Spread | Refused {
  if (isZero(shift)) return shift;
  const by = [...new Array<undefined>(index).fill(undefined), shift];
  const steps = ruleOf(node.opType)?.forwardShift?.(draft.at(node), by) ?? refuse("operator-blocks", "does not pass it");
  if (isRefused(steps)) return { node, ...steps };
  const out = steps.find(({ pass, state }) => state === undefined && pass[0] !== undefined)?.pass[0];
  // Nothing comes out of columns that add up to nothing.
  return out ?? uniform(shift.dims.length, 0);
}

function take(
  draft: Draft,
  node: GraphNode,
  move: "forwardShift" | "forwardScale" | "backShift" | "backScale",
  by: readonly (Spread | undefined)[],
): Refused | undefined {
  const kind = move.endsWith("Scale") ? "scale" : "shift";
  return by.every((map) => map === undefined || isNeutral(kind, map)) ? undefined : absorb(draft, node, move, by);
}

/** Changes the constant of an arithmetic node that stays. */
export function settleAffine(draft: Draft, { node, input }: Candidate, from: Gauge, to: Gauge): Refused | undefined {
  const at = draft.at(node);
  const index = 1 - input;
  const c = laidOut(at, index, from.scale.dims.length);
  if (isRefused(c)) return { node, ...c };
  const turned = node.opType === "Sub" && input === 1 ? -1 : 1;
  const moved = simplify(combine(from.shift, to.shift, (x, y) => turned * x - y));
  const gain = simplify(combine(from.scale, to.scale, (x, y) => x / y));
  const write = (next: Param): Refused | undefined => {
    const state = putBack(at, at.state, index, next);
    if (isRefused(state)) return { node, ...state };
    draft.set(node, state);
    return undefined;
  };
  switch (node.opType) {
    case "Mul":
      return isOne(gain) ? undefined : write(scaled(c, gain));
    case "Div":
      return isOne(gain) ? undefined : write(scaled(c, invert(gain)));
    default: {
      const added = isZero(moved) ? c : shifted(c, node.opType === "Sub" && input === 0 ? negate(moved) : moved);
      const made = isOne(to.scale) ? added : scaled(added, invert(to.scale));
      return made === c ? undefined : write(made);
    }
  }
}
