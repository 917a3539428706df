/**
 * Scales and zero points of QuantizeLinear and DequantizeLinear: one for all, one per index of `axis` (ONNX 13 on), or one per block along
 * it (ONNX 21 on). Both operands have one shape, so that what grows to one number per index grows in both.
 */
import { axesOf, numberOf, type Spread, uniform } from "../affine/spread.ts";
import { type DType, dtypeInfo, dtypeOf } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { combined, scaled, vectorOn } from "./params.ts";
import {
  absorb,
  type Codes,
  isRefused,
  type Move,
  type NodeState,
  type Param,
  type Refused,
  type RuleNode,
  refuse,
  withAttribute,
  withCodes,
  withoutParam,
  withParam,
} from "./types.ts";

export const [X, SCALE, ZERO] = [0, 1, 2];

/** The scales times s > 0; one scale for the whole weight becomes one per index of the axis that s varies on. */
export function withScales(at: RuleNode, before: NodeState, scale: Param, s: Spread): NodeState | Refused {
  const axes = axesOf(s);
  const rank = s.dims.length;
  const only = numberOf(s);
  if (only !== undefined) return withParam(before, SCALE, scaled(scale, uniform(scale.dims.length, only)));
  const axis = axisOf(at, rank);
  if (at.int("block_size", 0) > 0) {
    if (axes.includes(axis) || scale.dims.length !== rank)
      return refuse("quantized", "is quantized in blocks along the axis of the map");
    return withParam(before, SCALE, scaled(scale, s));
  }
  if (axes.length > 1) return refuse("quantized", "has one scale per index of one axis, but the map varies over several");
  if (scale.dims.length === 1 && scale.dims[0] !== 1) {
    const vector = vectorOn(s, axis, scale.dims[0]);
    return vector === undefined
      ? refuse("quantized", `has a scale per index of axis ${axis}, but the map lies on axis ${axes[0]}`, { facts: { axis } })
      : withParam(before, SCALE, scaled(scale, { dims: [vector.length], data: vector }));
  }
  if (!perAxis(at)) return refuse("quantized", "has one scale for all, and this opset knows no other");
  const vector = { dims: [s.data.length], data: s.data };
  const expanded = withParam(before, SCALE, scaled({ ...scale, dims: [1] }, vector));
  const moved = axes[0] === axis ? expanded : withAttribute(expanded, "axis", { int: axes[0] });
  return at.has(ZERO) ? repeated(at, moved, s.data.length) : moved;
}

/** One zero point for each of `size` scales. */
function repeated(at: RuleNode, state: NodeState, size: number): NodeState | Refused {
  const zero = at.codes(ZERO);
  if (zero === undefined) return refuse("quantized", "has a zero point that is not constant");
  const [value] = zero.values();
  // What a QuantizeLinear makes is of the type of its zero point.
  if (value === 0 && at.node.opType === "DequantizeLinear") return withoutParam(state, ZERO);
  return withCodes(state, ZERO, { ...zero, dims: [size], values: () => new Float64Array(size).fill(value) });
}

export const axisOf = (at: RuleNode, rank: number): number => {
  const given = at.int("axis", 1);
  return given < 0 ? given + rank : given;
};

/** ONNX Runtime's own two operators know an axis in their only version. */
const perAxis = ({ node, version }: RuleNode): boolean => node.domain !== "" || version >= 13;

/**
 * Zero points moved by t, in steps of the scales: z + t/scale, which is exact where t/scale is a multiple of `least` and what comes out a code.
 */
export function stepped(at: RuleNode, t: Spread, least: 1 | 2): Move {
  const scale = at.param(SCALE);
  if (isRefused(scale)) return scale;
  if (at.int("block_size", 0) > 0) return refuse("quantized", "is quantized in blocks, which no shift of channels follows");
  const zero = zeroOf(at);
  if (isRefused(zero)) return zero;
  const rank = t.dims.length;
  const own = scale.dims.length === 1 && scale.dims[0] !== 1;
  const varies = axesOf(t);
  const axis = own ? axisOf(at, rank) : (varies[0] ?? 0);
  const size = own ? scale.dims[0] : t.data.length;
  const vector = vectorOn(t, axis, size);
  if (vector === undefined)
    return refuse("quantized", `has one zero point per index of axis ${axis}, but the map lies elsewhere`);
  const [scales, zeros] = [scale.values(), zero.values()];
  const moved = vector.map((v, c) => zeros[zeros.length === size ? c : 0] + v / scales[scales.length === size ? c : 0]);
  const refused = misfit(vector, moved, zeros, zero.dtype, least);
  if (refused !== undefined) return refused;
  if (moved.every((z) => z === moved[0]) && sizeOf(zero.dims) === 1 && !own)
    return absorb(withCodes(at.state, ZERO, { ...zero, values: () => moved.slice(0, 1) }));
  if (!own && !perAxis(at)) return refuse("quantized", "has one zero point for all, and this opset knows no other");
  const state = withCodes(at.state, ZERO, { ...zero, dims: [size], values: () => moved });
  if (own) return absorb(state);
  const grown = withParam(state, SCALE, combined({ ...scale, dims: [1] }, { dims: [size], data: new Float64Array(size) }, sum));
  return absorb(axis === axisOf(at, rank) ? grown : withAttribute(grown, "axis", { int: axis }));
}

const sum = (v: number, t: number): number => v + t;

/** The zero point as it is, or as it would have to be written out. */
function zeroOf(at: RuleNode): Codes | Refused {
  const named = `${at.node.outputs[0]?.name ?? at.node.opType}_zero_point`;
  const zero = at.has(ZERO) ? at.codes(ZERO) : undefined;
  if (at.has(ZERO) && zero === undefined) return refuse("quantized", "has a zero point that is not constant");
  const code = at.node.opType === "QuantizeLinear" ? at.node.outputs[0] : at.node.inputs[X];
  const dtype = zero?.dtype ?? dtypeOf(at.facts.of(code).dtype);
  // int32 has no zero points, and the narrow floats know only 0.
  if (dtype === undefined || dtypeInfo(dtype).holder === "float" || dtypeInfo(dtype).bits > 16)
    return refuse("quantized", `has codes of type ${dtype ?? "unknown"}, which have no zero point to move`);
  const scale = at.param(SCALE);
  const dims = isRefused(scale) ? [] : scale.dims;
  return zero ?? { dtype, dims, source: undefined, name: named, values: () => new Float64Array(sizeOf(dims)) };
}

/** The first channel whose zero point would not be a code. */
function misfit(t: Float64Array, moved: Float64Array, zeros: Float64Array, dtype: DType, least: number): Refused | undefined {
  const [low, high] = rangeOf(dtype);
  for (const [channel, z] of moved.entries()) {
    const steps = z - zeros[zeros.length === 1 ? 0 : channel];
    const loss = Math.abs((steps - least * Math.round(steps / least)) * (t[channel] / steps));
    const facts = { channel, shift: t[channel], steps, loss };
    if (steps % least !== 0) {
      const because = `would have its zero point moved by ${Number(steps.toPrecision(6))} steps on channel ${channel}, which is no ${least === 2 ? "even" : "whole"} number: rounded, it would be off by ${loss.toPrecision(3)}`;
      return refuse("quantized", because, { facts });
    }
    if (z < low || z > high)
      return refuse("quantized", `would have the zero point ${z} on channel ${channel}, which is no ${dtype}`, { facts });
  }
  return undefined;
}

/** Smallest and largest code of a type; the narrow floats have every number with both signs. */
export function rangeOf(dtype: DType): readonly [low: number, high: number] {
  const { bits, holder } = dtypeInfo(dtype);
  if (holder === "float") return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  return dtype.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}
