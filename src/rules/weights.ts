/** The weight of a linear operator: constant numbers, or what a DequantizeLinear makes of constant integers. */
import { along, type Spread } from "../affine/spread.ts";
import { dtypeOf, isStorageFloat, type StorageFloat } from "../onnx/dtype.ts";
import { fresh, scaled, shifted } from "./params.ts";
import {
  absorb,
  isRefused,
  type Move,
  type NodeState,
  type Param,
  type Refused,
  type RuleNode,
  refuse,
  type Step,
  withParam,
} from "./types.ts";

export interface Weight {
  readonly index: number;
  readonly dims: readonly number[];
  readonly dtype: StorageFloat;
  /** The numbers, when they are the operator's own to change; else why they are not. */
  readonly own: Param | Refused;
}

/** The weight at input `index`. A dequantized one may be scaled where its scales are, never rewritten. */
export function weightOf(at: RuleNode, index: number): Weight | Refused {
  const own = at.param(index);
  if (!isRefused(own)) return { index, dims: own.dims, dtype: own.dtype, own };
  const value = at.node.inputs[index];
  const dtype = dtypeOf(at.facts.of(value).dtype);
  const shape = at.inShape(index);
  const known = own.refused === "quantized" && value?.producer !== undefined && shape?.every((d) => typeof d === "number");
  return known && dtype !== undefined && isStorageFloat(dtype) ? { index, dims: shape as number[], dtype, own } : own;
}

/** What keeps a convolution's weight from being one: its axes, its channels, a list of its windows; undefined when nothing does. */
export function misshapen(at: RuleNode, dims: readonly number[]): Refused | undefined {
  const rank = at.inShape(0)?.length ?? dims.length;
  const [groups, axes] = [at.int("group", 1), dims.length - 2];
  const size = at.inShape(0)?.[1];
  const inputs = at.node.opType === "ConvTranspose" ? dims[0] : dims[1] * groups;
  const lists = { kernel_shape: axes, strides: axes, dilations: axes, pads: 2 * axes };
  const fits =
    dims.length >= 3 &&
    dims.length === rank &&
    groups >= 1 &&
    dims[0] % groups === 0 &&
    (typeof size !== "number" || size === inputs) &&
    Object.entries(lists).every(([name, length]) => (at.ints(name)?.length ?? length) === length) &&
    (at.ints("kernel_shape") ?? []).every((d, i) => d === dims[i + 2]);
  return fits ? undefined : refuse("parameter-shape", `has a weight of shape [${dims.join(", ")}] that does not fit it`);
}

/** The filter of a convolution. */
export function filterOf(at: RuleNode): Weight | Refused {
  const weight = weightOf(at, 1);
  return isRefused(weight) ? weight : (misshapen(at, weight.dims) ?? weight);
}

/** The same where its numbers are needed. */
export function ownFilterOf(at: RuleNode): Param | Refused {
  const param = at.param(1);
  return isRefused(param) ? param : (misshapen(at, param.dims) ?? param);
}

/** The same for maps of its inputs: it takes one of its data alone. */
export function filterUnder(at: RuleNode, by: readonly (Spread | undefined)[]): Param | Refused {
  if (by[0] !== undefined && by.slice(1).every((s) => s === undefined)) return ownFilterOf(at);
  return refuse("weight-not-constant", "takes the map on another input than its data");
}

/** True where a DequantizeLinear makes the constant at input `index`, one number for each of `size` channels. */
function isDequantized(at: RuleNode, index: number, own: Refused, size: number): boolean {
  const shape = at.inShape(index);
  return own.refused === "quantized" && at.node.inputs[index]?.producer !== undefined && shape?.length === 1 && shape[0] === size;
}

/** What is handed on through input `index` alone. */
const through = (index: number, by: Spread): (Spread | undefined)[] => [...new Array<undefined>(index).fill(undefined), by];

/** The step with the bias at input `index`, where there is one, times s: in its numbers, or by asking for it where it is dequantized. */
export function scaleBias(step: Step, at: RuleNode, index: number, s: Float64Array): Step | Refused {
  if (!at.has(index)) return step;
  const b = biasOf(at, index, s.length);
  const by = along(1, 0, s);
  if (!isRefused(b)) return { ...step, state: withParam(step.state ?? at.state, index, scaled(b, by)) };
  if (!isDequantized(at, index, b, s.length)) return b;
  return { ...step, pass: through(index, by).map((map, i) => map ?? step.pass[i]) };
}

/** The bias at input `index`, a new one where there is none, plus t. */
export function addBias(at: RuleNode, index: number, dtype: Param["dtype"], t: Float64Array): Move {
  if (!at.has(index))
    return absorb(
      withParam(
        at.state,
        index,
        fresh(dtype, [t.length], () => t.slice()),
      ),
    );
  const b = biasOf(at, index, t.length);
  const by = along(1, 0, t);
  if (!isRefused(b)) return absorb(withParam(at.state, index, shifted(b, by)));
  return isDequantized(at, index, b, t.length) ? [{ pass: through(index, by), state: at.state }] : b;
}

/** The bias at input `index`, one number for each of `size` channels. */
export function biasOf(at: RuleNode, index: number, size: number): Param | Refused {
  const bias = at.param(index);
  if (isRefused(bias) || (bias.dims.length === 1 && bias.dims[0] === size)) return bias;
  return refuse("parameter-shape", `has a bias of shape [${bias.dims.join(", ")}] where ${size} numbers belong`, {
    facts: { channels: size, bias: bias.dims },
  });
}

/** One step in which the weight takes the factors: in its numbers, or by asking for them where it is dequantized. */
export function scaleWeight(state: NodeState, weight: Weight, by: Spread): Step {
  if (!isRefused(weight.own)) return { pass: [], state: withParam(state, weight.index, scaled(weight.own, by)) };
  return { pass: through(weight.index, by), state };
}
