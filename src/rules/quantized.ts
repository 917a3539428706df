/**
 * DequantizeLinear of constant integers q, w = (q − zero point) · scale: a weight's gain goes into its scales, no integer changes.
 *   back  scale, s > 0   one scale: a uniform gain into it; a gain along one axis makes it a scale per index of that axis
 *                        (ONNX 13 on; the zero point, which has the scale's shape, must be zero and is left out)
 *                        a scale per index of `axis`: scale'[i] = scale[i]·s[i]
 *                        blocks along `axis` (ONNX 21 on): gains along other axes
 * A gain that is not positive is declined: many kernels require positive scales. Activations are left alone: their scale
 * belongs to a QuantizeLinear as well. ONNX DequantizeLinear 10, 13, 19, 21, 23, 24, 25.
 */
import { axesOf, firstFailing, numberOf, type Spread, uniform } from "../affine/spread.ts";
import { decode } from "../onnx/codec.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { scaled, vectorOn } from "./params.ts";
import {
  absorb,
  isRefused,
  type Move,
  type NodeState,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withAttribute,
  withoutParam,
  withParam,
} from "./types.ts";

const INT32 = 6;
const [X, SCALE, ZERO] = [0, 1, 2];

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const x = at.node.inputs[X];
  const integers = x?.initializer ?? (x?.producer?.opType === "Constant" ? x.producer : undefined);
  if (integers === undefined || !at.isConstant(X) || at.facts.of(x).dtype === INT32) {
    return refuse("quantized", "dequantizes something else than a stored weight", { value: x });
  }
  const scale = at.param(SCALE);
  if (isRefused(scale)) return scale;
  const channel = firstFailing(s, (v) => v > 0);
  if (channel >= 0)
    return refuse("sign-blocks", `needs positive scales, and gain ${channel} is ${s.data[channel]}`, {
      facts: { channel, gain: s.data[channel] },
    });
  const state = withScales(at, scale, s);
  return isRefused(state) ? state : absorb(state);
}

function withScales(at: RuleNode, scale: Param, s: Spread): NodeState | Refused {
  const axes = axesOf(s);
  const rank = s.dims.length;
  const only = numberOf(s);
  if (only !== undefined) return withParam(at.state, SCALE, scaled(scale, uniform(scale.dims.length, only)));
  const given = at.int("axis", 1);
  const axis = given < 0 ? given + rank : given;
  if (at.int("block_size", 0) > 0) {
    if (axes.includes(axis) || scale.dims.length !== rank)
      return refuse("quantized", "is quantized in blocks along the axis of the map");
    return withParam(at.state, SCALE, scaled(scale, s));
  }
  if (axes.length > 1) return refuse("quantized", "has one scale per index of one axis, but the map varies over several");
  if (scale.dims.length === 1 && scale.dims[0] !== 1) {
    const vector = vectorOn(s, axis, scale.dims[0]);
    return vector === undefined
      ? refuse("quantized", `has a scale per index of axis ${axis}, but the map lies on axis ${axes[0]}`, { facts: { axis } })
      : withParam(at.state, SCALE, scaled(scale, { dims: [vector.length], data: vector }));
  }
  if (at.version < 13) return refuse("quantized", "has one scale for the whole weight, and this opset knows no other");
  if (at.has(ZERO) && !isZero(at)) return refuse("quantized", "has one zero point for the whole weight, which is not zero");
  const vector = { dims: [s.data.length], data: s.data };
  const expanded = withParam(at.state, SCALE, scaled({ ...scale, dims: [1] }, vector));
  const moved = axes[0] === axis ? expanded : withAttribute(expanded, "axis", { int: axes[0] });
  return at.has(ZERO) ? withoutParam(moved, ZERO) : moved;
}

function isZero(at: RuleNode): boolean {
  const value = at.node.inputs[ZERO];
  const tensor = value?.initializer ?? value?.producer?.record.attributes.get("value")?.t;
  return value !== undefined && at.isConstant(ZERO) && tensor !== undefined && asFloat64(decode(tensor)).every((v) => v === 0);
}

export const dequantizeLinear: Rule = { type: "DequantizeLinear", backScale };
