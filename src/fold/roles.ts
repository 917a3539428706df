/** Which axis of a layer's weight is that of its outputs, and where its bias is. */

import { hasTrait, traitsOf } from "../graph/operators.ts";
import type { GraphNode } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import { isRefused, type Param, type Refused, type RuleNode } from "../rules/types.ts";

/** The axis of input `index` along which each number belongs to one output feature; undefined where it is no layer's weight. */
export function weightAxis(at: RuleNode, index: number): number | undefined {
  const { opType, domain } = at.node;
  if (domain !== "") return undefined;
  switch (at.state.opType) {
    case "Conv":
    case "DeformConv":
      return index === 1 ? 0 : undefined;
    case "ConvTranspose":
      return index === 1 && at.int("group", 1) === 1 ? 1 : undefined;
    case "Gemm":
      // A MatMul that became one has no attributes.
      if (index > 1) return undefined;
      return (opType === "Gemm" && at.int(index === 1 ? "transB" : "transA", 0) !== 0) === (index === 1) ? 0 : 1;
    case "MatMul": {
      const param = at.param(index);
      return index > 1 || isRefused(param) || param.dims.length < 2 ? undefined : param.dims.length - (index === 1 ? 1 : 2);
    }
    default:
      return undefined;
  }
}

const NONE = new Float64Array(0);

/** The bias of a layer as the draft has it: none has no numbers. */
export function biasAt(draft: Draft, node: GraphNode): Float64Array | Refused {
  const state = draft.state(node);
  if (state.bias !== undefined) return state.bias.values();
  const layer = { domain: node.domain, opType: state.opType };
  const index = hasTrait(layer, "layer") ? traitsOf(layer)?.bias : undefined;
  const at = draft.at(node);
  if (index === undefined || !at.has(index)) return NONE;
  const param: Param | Refused = at.param(index);
  if (isRefused(param)) return param;
  const beta = state.opType === "Gemm" ? at.float("beta", 1) : 1;
  return beta === 1 ? param.values() : param.values().map((v) => v * beta);
}
