/**
 * Channels of an operator's input that are a constant, x = 0 ⊙ core + c, come out of a function f of one number as another:
 *   f(0 ⊙ core + c) = 0 ⊙ f(core) + f(c),   whatever f is
 * which no law of gains and shifts says where c is not zero.
 */
import { combine, map, type Spread } from "../affine/spread.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode } from "../graph/view.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { isTensor } from "../ops/define.ts";
import { computed } from "../run/constant.ts";
import type { Constants } from "./constants.ts";

export interface ConstantChannels {
  /** 0 where the input is a constant, else 1. */
  readonly live: Spread;
  /** What comes out where it is, else 0. */
  readonly made: Spread;
}

/** 0 where a gain is zero, else 1. */
export const liveOf = (scale: Spread): Spread => map(scale, (s) => (s === 0 ? 0 : 1));

/** Of some numbers those where nothing is live, else 0. */
export const constantsOf = (live: Spread, numbers: Spread): Spread => combine(live, numbers, (m, c) => (m === 0 ? c : 0));

/** Undefined where no channel is constant, or the operator is no function of one number of its first input. */
export function constantChannels(
  node: GraphNode,
  { scale, shift }: { readonly scale: Spread; readonly shift: Spread },
  constants: Constants,
): ConstantChannels | undefined {
  if (node.domain !== "" || !hasTrait(node, "nonlinear") || !scale.data.includes(0)) return undefined;
  const others = node.inputs.slice(1);
  // Of a row all elements count.
  if (hasTrait(node, "axis") || others.some((value) => value !== undefined && !constants.has(value))) return undefined;
  const live = liveOf(scale);
  const given = combine(live, shift, (_, c) => c);
  const x = { dtype: "float64" as const, dims: given.dims, data: given.data };
  const [out] = computed(node.record, node.version, [x, ...others.map((value) => value && constants.tensor(value))]);
  if (!isTensor(out) || out.dims.length !== scale.dims.length) return undefined;
  const values = { dims: out.dims, data: asFloat64(out) };
  return { live, made: constantsOf(live, values) };
}
