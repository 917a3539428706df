/**
 * DequantizeLinear of constant codes q, w = (q − z) · scale: a weight's gain goes into its scales, codes change exactly or not.
 *   back  scale, s > 0   one scale: a uniform gain into it; a gain along one axis makes it a scale per index of that axis
 *                        (ONNX 13 on; a zero point has the scale's shape, so it is repeated, or left out where it is zero)
 *                        a scale per index of `axis`: scale'[i] = scale[i]·s[i]
 *                        blocks along `axis` (ONNX 21 on): gains along other axes
 *   back  scale, s < 0   scale' = scale·|s| and q' = 2z − q, so that (q' − z)·scale' = s·w bit for bit: scales stay positive,
 *                        as many kernels require. The code 2z − q has to exist: no −128 about a zero point of 0.
 *   back  scale, s = 0   scale' = 0·scale would be refused by kernels: q' = z and the scale as it is
 *   back  shift          q' = q + t/scale, a bias in whole numbers of steps, where that is a code up to the rounding a constant of
 *                        the scale's type has anyway; the scale stays: integer kernels take it to be that of x times that of w
 * q may be computed, by a QuantizeLinear of constant weights as training with fake quantisation leaves it: the
 * DequantizeLinear gets scales of its own, or the codes it would see are written out where they change.
 * Codes that are computed as the graph runs stay as they are; a positive gain goes into the scales alone:
 *   back  shift          z' = z − t/scale where t/scale is a whole number and z' a code
 * ONNX DequantizeLinear 10, 13, 19, 21, 23, 24, 25, and com.microsoft's 1.
 */
import { map, type Spread, stretch, uniform } from "../affine/spread.ts";
import { STORAGE_FLOATS } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { expand } from "./params.ts";
import { axisOf, rangeOf, SCALE, stepped, withScales, X, ZERO } from "./scales.ts";
import {
  absorb,
  type Codes,
  isRefused,
  type Move,
  type MoveFn,
  type NodeState,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withCodes,
} from "./types.ts";

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const scale = at.param(SCALE);
  if (isRefused(scale)) return scale;
  const turned = s.data.every((v) => v > 0) ? at.state : turn(at, s);
  if (isRefused(turned)) return turned;
  const state = withScales(
    at,
    turned,
    scale,
    map(s, (v) => (v === 0 ? 1 : Math.abs(v))),
  );
  return isRefused(state) ? state : absorb(state);
}

/** Codes about their zero points: 2z − q where the gain is negative, z where it is zero. */
function turn(at: RuleNode, s: Spread): NodeState | Refused {
  const codes = at.codes(X);
  if (codes === undefined) return positiveOnly(s);
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

/** Why scales alone do not take a gain. */
export function positiveOnly(s: Spread): Refused {
  const channel = s.data.findIndex((v) => !(v > 0));
  const because = `has codes that are computed as it runs, and gain ${channel} is ${s.data[channel]}: scales have to be positive`;
  return refuse("sign-blocks", because, { facts: { channel, gain: s.data[channel] } });
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
  if (!at.has(ZERO)) return uniform(dims.length, 0);
  const zero = at.codes(ZERO);
  if (zero === undefined) return refuse("quantized", "has a zero point that is not constant");
  return alongCodes(at, { dims: zero.dims, data: zero.values() }, dims);
}

/** Scales or zero points over the axes of codes of shape `dims`. */
function alongCodes(at: RuleNode, { dims: own, data }: Spread, dims: readonly number[]): Spread | Refused {
  const rank = dims.length;
  if (data.every((v) => v === data[0])) return uniform(rank, data[0]);
  const [axis, block] = [axisOf(at, rank), at.int("block_size", 0)];
  if (block === 0) {
    const along = new Array<number>(rank).fill(1).with(axis, data.length);
    return data.length === dims[axis] ? { dims: along, data } : refuse("parameter-shape", "has parameters that do not fit it");
  }
  return blockwise({ dims: own, data }, axis, block, dims[axis]);
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

const backShift: MoveFn = (at, [by]) => {
  const t = by as Spread;
  const codes = at.codes(X);
  if (codes !== undefined) return steppedCodes(at, codes, t);
  return stepped(
    at,
    map(t, (v) => -v),
    1,
  );
};

/** Codes moved by t in steps of their scales. */
function steppedCodes(at: RuleNode, codes: Codes, t: Spread): Move {
  const scale = at.param(SCALE);
  if (isRefused(scale)) return scale;
  const { dims, dtype } = codes;
  const steps = alongCodes(at, { dims: scale.dims, data: scale.values() }, dims);
  if (isRefused(steps)) return steps;
  const [low, high] = rangeOf(dtype);
  const u = STORAGE_FLOATS[scale.dtype].unitRoundoff;
  const [q, step, by] = [codes.values(), expand(steps.data, steps.dims, dims), expand(t.data, t.dims, dims)];
  const moved = q.map((code, i) => code + by[i] / step[i]);
  for (const [i, v] of moved.entries()) {
    const code = Math.round(v);
    const facts = { channel: channelOf(t, dims, i), shift: by[i], steps: v - q[i], loss: Math.abs(code - v) * step[i] };
    if (!(Math.abs(code - v) <= (u / 2) * Math.abs(v))) {
      const because = `would have its code ${q[i]} on channel ${facts.channel} moved by ${Number(facts.steps.toPrecision(6))} steps, which is no whole number: rounded, it would be off by ${facts.loss.toPrecision(3)}`;
      return refuse("quantized", because, { facts });
    }
    if (code < low || code > high)
      return refuse("quantized", `would have the code ${code} on channel ${facts.channel}, which is no ${dtype}`, { facts });
  }
  return absorb(withCodes(at.state, X, { ...codes, values: () => moved.map(Math.round) }));
}

const dequantize = { type: "DequantizeLinear", backScale, backShift };

export const dequantizeLinear: readonly Rule[] = [dequantize, { ...dequantize, domain: "com.microsoft" }];
