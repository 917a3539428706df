/** The weight of a linear operator: constant numbers, or what a DequantizeLinear makes of constant integers. */
import type { Spread } from "../affine/spread.ts";
import { dtypeOf, isStorageFloat, type StorageFloat } from "../onnx/dtype.ts";
import { scaled } from "./params.ts";
import { isRefused, type NodeState, type Param, type Refused, type RuleNode, type Step, withParam } from "./types.ts";

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

/** One step in which the weight takes the factors: in its numbers, or by asking for them where it is dequantized. */
export function scaleWeight(state: NodeState, weight: Weight, by: Spread): Step {
  if (!isRefused(weight.own)) return { pass: [], state: withParam(state, weight.index, scaled(weight.own, by)) };
  const pass = new Array<Spread | undefined>(weight.index + 1).fill(undefined);
  pass[weight.index] = by;
  return { pass, state };
}
