/**
 * A Cast to a half type that has nothing to round any more. Where a normalization in float32 reads numbers of that type, and its Cast back
 * is right behind it, the Cast rounds y = s·x + t; with the map behind the Cast it would read x, which is of the type already:
 *
 *   x (half) → Cast → y = s·x + t → Cast → layer      becomes      x → layer', and nothing is rounded where y was
 *
 * One rounding less is no error, but no number of the second file stands for the first one's y any more, so that it is not shown equivalent.
 */
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS } from "../onnx/dtype.ts";
import { type Refused, refuse } from "../rules/types.ts";

/** Refuses a map that goes forward over such a Cast; `visited` are the operators it passed or was absorbed by. */
export function unrounded(draft: Draft, { node, input }: Candidate, visited: Iterable<GraphNode>): Refused | undefined {
  const roundoff = (value: GraphValue | undefined): number => {
    const dtype = value && dtypeOf(draft.facts.of(value).dtype);
    return dtype !== undefined && isStorageFloat(dtype) ? STORAGE_FLOATS[dtype].unitRoundoff : 0;
  };
  const [own] = node.outputs;
  const coarsest = Math.max(...widened(node.inputs[input]).map(roundoff));
  const cast = [...visited].find((at) => {
    const [x, y] = [at.inputs[0], at.outputs[0]];
    const narrows = hasTrait(at, "casts") && roundoff(y) > roundoff(x);
    return narrows && roundoff(y) <= coarsest && widened(x).some((value) => value === own);
  });
  const type = cast && dtypeOf(draft.facts.of(cast.outputs[0]).dtype);
  return cast === undefined
    ? undefined
    : refuse("storage-precision", `would have nothing to round any more: what is cast to ${type} would be of that type already`, {
        node: cast,
      });
}

/** A value, and those it is made of by Casts and Identity alone. */
function widened(from: GraphValue | undefined): GraphValue[] {
  const values: GraphValue[] = [];
  for (let value = from; value !== undefined; ) {
    values.push(value);
    const made: GraphNode | undefined = value.producer;
    value = made !== undefined && (hasTrait(made, "casts") || made.opType === "Identity") ? made.inputs[0] : undefined;
  }
  return values;
}
