/**
 * DequantizeLinear of constant codes q, w = (q − z) · scale: a weight's gain goes into its scales, codes change exactly or not.
 *   back  scale, s > 0   one scale: a uniform gain into it; a gain along one axis makes it a scale per index of that axis
 *                        (ONNX 13 on; a zero point has the scale's shape, so it is repeated, or left out where it is zero)
 *                        a scale per index of `axis`: scale'[i] = scale[i]·s[i]
 *                        blocks along `axis` (ONNX 21 on): gains along other axes
 *   back  scale, s < 0   scale' = scale·|s| and q' = 2z − q, so that (q' − z)·scale' = s·w bit for bit: scales stay positive,
 *                        as many kernels require. The code 2z − q has to exist: no −128 about a zero point of 0.
 *   back  scale, s = 0   scale' = 0·scale would be refused by kernels: q' = z and the scale as it is
 * q may be computed, by a QuantizeLinear of constant weights as training with fake quantisation leaves it: the
 * DequantizeLinear gets scales of its own, or the codes it would see are written out where they change.
 * Activations are left alone: their scale belongs to a QuantizeLinear as well. ONNX DequantizeLinear 10, 13, 19, 21, 23, 24, 25.
 */
import { axesOf, map, numberOf, type Spread, stretch, uniform } from "../affine/spread.ts";
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { expand, scaled, vectorOn } from "./params.ts";
import {
  absorb,
  type Codes,
  isRefused,
  type Move,
  type NodeState,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withAttribute,
  withCodes,
  withoutParam,
  withParam,
} from "./types.ts";

const [X, SCALE, ZERO] = [0, 1, 2];

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const codes = at.codes(X);
  if (codes === undefined)
    return refuse("quantized", "dequantizes something else than a stored weight", { value: at.node.inputs[X] });
  const scale = at.param(SCALE);
  if (isRefused(scale)) return scale;
  const turned = s.data.every((v) => v > 0) ? at.state : turn(at, codes, s);
  if (isRefused(turned)) return turned;
  const state = withScales(
    at,
    turned,
    scale,
    map(s, (v) => (v === 0 ? 1 : Math.abs(v))),
  );
  return isRefused(state) ? state : absorb(state);
}

/** The scales times s > 0; one scale for the whole weight becomes one per index of the axis that s varies on. */
function withScales(at: RuleNode, before: NodeState, scale: Param, s: Spread): NodeState | Refused {
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
  if (at.version < 13) return refuse("quantized", "has one scale for the whole weight, and this opset knows no other");
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
  if (value === 0) return withoutParam(state, ZERO);
  return withCodes(state, ZERO, { ...zero, dims: [size], values: () => new Float64Array(size).fill(value) });
}

const axisOf = (at: RuleNode, rank: number): number => {
  const given = at.int("axis", 1);
  return given < 0 ? given + rank : given;
};

/** Codes about their zero points: 2z − q where the gain is negative, z where it is zero. */
function turn(at: RuleNode, codes: Codes, s: Spread): NodeState | Refused {
  const { dims, dtype } = codes;
  const zeros = zeroPoints(at, dims);
  if (isRefused(zeros)) return zeros;
  const signs = expand(s.data, s.dims, dims);
  const [q, z] = [codes.values(), expand(zeros.data, zeros.dims, dims)];
  const [low, high] = rangeOf(dtype);
  const turned = (i: number): number => (signs[i] < 0 ? 2 * z[i] - q[i] : signs[i] === 0 ? z[i] : q[i]);
  for (let i = 0; i < q.length; i++) {
    const code = turned(i);
    if (code >= low && code <= high) continue;
    const channel = channelOf(s, dims, i);
    const because = `holds the code ${q[i]} where gain ${channel} is negative, and ${code}, its mirror image, is no ${dtype}`;
    return refuse("sign-blocks", because, { facts: { channel, code: q[i], gain: signs[i] } });
  }
  const values = () => Float64Array.from(q, (_, i) => turned(i));
  return withCodes(at.state, X, { ...codes, values });
}

/** Index in the map of the gain that element `i` of a tensor of shape `dims` gets. */
function channelOf(s: Spread, dims: readonly number[], i: number): number {
  let [at, rest, step] = [0, i, 1];
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const place = rest % dims[axis];
    rest = Math.floor(rest / dims[axis]);
    if (s.dims[axis] === 1) continue;
    at += place * step;
    step *= s.dims[axis];
  }
  return at;
}

/** The zero points over the axes of the codes. */
function zeroPoints(at: RuleNode, dims: readonly number[]): Spread | Refused {
  const rank = dims.length;
  if (!at.has(ZERO)) return uniform(rank, 0);
  const zero = at.codes(ZERO);
  if (zero === undefined) return refuse("quantized", "has a zero point that is not constant");
  const data = zero.values();
  if (sizeOf(zero.dims) === 1) return uniform(rank, data[0]);
  const [axis, block] = [axisOf(at, rank), at.int("block_size", 0)];
  if (block === 0) {
    const along = new Array<number>(rank).fill(1).with(axis, data.length);
    return data.length === dims[axis] ? { dims: along, data } : refuse("parameter-shape", "has zero points that do not fit it");
  }
  if (data.every((v) => v === 0)) return uniform(rank, 0);
  return blockwise({ dims: zero.dims, data }, axis, block, dims[axis]);
}

/** Every number of a block is repeated over the block; the last one may be cut off. */
function blockwise(zeros: Spread, axis: number, block: number, size: number): Spread {
  const { dims } = zeros;
  const inner = sizeOf(dims.slice(axis + 1));
  const outer = sizeOf(dims.slice(0, axis));
  const data = new Float64Array(outer * size * inner);
  for (let o = 0, to = 0; o < outer; o++)
    for (let k = 0; k < size; k++)
      for (let i = 0; i < inner; i++) data[to++] = zeros.data[(o * dims[axis] + Math.floor(k / block)) * inner + i];
  return stretch({ dims: dims.with(axis, size), data }, axis, size);
}

/** Smallest and largest code of a type; the narrow floats have every number with both signs. */
function rangeOf(dtype: DType): readonly [low: number, high: number] {
  const { bits, holder } = dtypeInfo(dtype);
  if (holder === "float") return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  return dtype.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

export const dequantizeLinear: Rule = { type: "DequantizeLinear", backScale };
