/**
 * A normalization that nothing around it takes, as a convolution of its own, for targets that know no BatchNormalization:
 *   y[n, c] = s[c]·x[n, c] + t[c]       Conv, group = C, w[C, 1, 1 …] = s, b[C] = t
 * on tensors of rank 3 to 5 whose channels are known to be C; each of the two numbers is rounded once, as any folded constant.
 */
import { type Spread, stretch } from "../affine/spread.ts";
import type { Candidate } from "../laws/candidates.ts";
import type { Draft } from "../laws/draft.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import { fresh } from "../rules/params.ts";
import { isRefused, type NodeState } from "../rules/types.ts";
import { checkRange } from "./range.ts";

/** Ranks that runtimes have a Conv for: one to three spatial axes. */
const RANKS = [3, 4, 5];

/** What a normalization becomes; undefined where it has to stay one. */
export function depthwise(draft: Draft, found: Candidate): NodeState | undefined {
  const { node, kind, scale, shift } = found;
  const rank = scale.dims.length;
  const [x, old] = [node.inputs[0], draft.at(node).param(1)];
  const channels = draft.facts.size(x, 1);
  const channelwise = [scale, shift].every(({ dims }) => dims.every((d, axis) => d === 1 || axis === 1));
  // Before, the check does not know the two as one.
  if (node.version < 7) return undefined;
  if (kind !== "batch-normalization" || !RANKS.includes(rank) || !channelwise || x === undefined || isRefused(old))
    return undefined;
  // Parameters of another type than the data would run in that.
  if (typeof channels !== "number" || dtypeOf(draft.facts.of(x).dtype) !== old.dtype) return undefined;
  const numbers = (by: Spread) => () => stretch(by, 1, channels).data.slice();
  const name = node.record.name || node.record.outputs[0];
  const ones = new Array<number>(rank - 2).fill(1);
  const weight = { ...fresh(old.dtype, [channels, 1, ...ones], numbers(scale)), name: `${name}_weight` };
  const bias = { ...fresh(old.dtype, [channels], numbers(shift)), name: `${name}_bias` };
  if ([weight, bias].some((param) => checkRange(param, true) !== undefined)) return undefined;
  const attributes = { group: { int: channels }, kernel_shape: { ints: ones } };
  return {
    opType: "Conv",
    params: new Map([
      [1, weight],
      [2, bias],
    ]),
    attributes,
    bias: undefined,
  };
}
