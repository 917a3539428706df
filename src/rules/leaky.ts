/**
 * Functions of two slopes, f_p(x) = x for x ≥ 0 and p·x for x < 0: Relu (p = 0), LeakyRelu (an attribute), PRelu (an operand,
 * for the whole tensor or along its axes).
 *   s ≥ 0            f_p(s·x) = s·f_p(x); where s is 0 both are 0 for every finite x
 *   s < 0, forward   f_p(s·x) = p·s·f_{1/p}(x), p ≠ 0
 *   s < 0, back      s·f_p(x) = f_{1/p}(p·s·x), p > 0: with p < 0 what comes out has one sign, and no f_q(k·x) has the other
 * PRelu takes gains of both signs: its slope is turned over on the channels that need it, and spread out as far as that
 * differs. LeakyRelu has one slope, so none of its gains may be positive then. No shift passes.
 * 1/p is rounded once, like any constant, and has to be an ordinary number of the type that holds it.
 * ONNX Relu 1, 6, 13, 14; LeakyRelu 1, 6, 16; PRelu 1, 6 (one number, or one per channel), 7, 9, 16 (broadcasts to x).
 */
import { combine, every, firstFailing, map, operand, type Spread, simplify } from "../affine/spread.ts";
import { broadcastShapes } from "../graph/inference.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../onnx/dtype.ts";
import { reluAsMax } from "./bounds.ts";
import { combined, floatAttribute, leading, mapped, trimmed } from "./params.ts";
import {
  isRefused,
  type Move,
  type MoveFn,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withParam,
} from "./types.ts";

/** Why a gain that is not positive somewhere does not pass; undefined when none is negative. */
export const negative = (by: Spread): Refused | undefined => {
  const channel = firstFailing(by, (v) => v >= 0);
  return channel < 0
    ? undefined
    : refuse("sign-blocks", `lets only positive gains pass, and gain ${channel} is ${by.data[channel]}`, {
        facts: { channel, gain: by.data[channel] },
      });
};

/** Why the slopes that belong to negative gains cannot be turned over; undefined when all can. */
function stuck(gains: Spread, slopes: Spread, back: boolean, dtype: StorageFloat): Refused | undefined {
  const { minNormal, max } = STORAGE_FLOATS[dtype];
  const turned = combine(gains, slopes, (s, p) => (s < 0 ? p : 1));
  const odd = turned.data.find((p) => !Number.isFinite(p) || p === 0 || (back && p < 0));
  if (odd !== undefined) return refuse("sign-blocks", `has the slope ${odd}, with which a negative gain does not pass`);
  const far = turned.data.find((p) => !(Math.abs(1 / p) <= max && Math.abs(1 / p) >= minNormal));
  if (far === undefined) return undefined;
  const code = Math.abs(1 / far) > max ? "storage-overflow" : "storage-precision";
  return refuse(code, `has the slope ${far}, whose inverse ${dtype} cannot hold`, { facts: { slope: far } });
}

/** The gain on the other side, and what the rounding of the slopes that were turned over leaves open of it. */
function crossed(
  gains: Spread,
  slopes: Spread,
  dtype: StorageFloat,
): { readonly pass: readonly [Spread]; readonly open: Spread } {
  const { unitRoundoff } = STORAGE_FLOATS[dtype];
  return {
    pass: [simplify(combine(gains, slopes, (s, p) => (s < 0 ? p * s : s)))],
    open: simplify(map(gains, (s) => (s < 0 ? unitRoundoff : 0))),
  };
}

const onlyData = (by: readonly (Spread | undefined)[]): Spread | Refused =>
  by[0] === undefined || by[1] !== undefined ? refuse("operator-blocks", "takes the map on its slope") : by[0];

function leaky(back: boolean): MoveFn {
  return (at, [by]) => {
    const s = by as Spread;
    if (every(s, (v) => v >= 0)) return [{ pass: [s] }];
    if (!every(s, (v) => v <= 0))
      return refuse("sign-blocks", "has one slope for the whole tensor, so gains of both signs do not pass");
    const alpha = at.float("alpha", Math.fround(0.01));
    const slope = map(s, () => alpha);
    const dtype = dtypeOf(at.facts.of(at.node.inputs[0]).dtype);
    // The attribute is float32, and computed with in the tensor's own type.
    const narrow = dtype !== undefined && isStorageFloat(dtype) && dtype !== "float64" ? dtype : "float32";
    const stop = stuck(s, slope, back, narrow);
    if (stop !== undefined) return stop;
    const state = floatAttribute(at, at.state, "alpha", 1 / alpha);
    return isRefused(state) ? state : [{ ...crossed(s, slope, "float32"), state }];
  };
}

/** True when the slope may have more elements than the input. */
function slopeGrows(at: RuleNode): boolean {
  const [x, slope] = [at.inShape(0), at.inShape(1)];
  if (x === undefined || slope === undefined) return true;
  const out = broadcastShapes([x, slope], () => -1);
  return at.version >= 7 && (out === undefined || out.length !== x.length || out.some((d) => d === -1));
}

/** The slope over the axes of the input. Before opset 7 a vector lies along the channels. */
function laidOut(at: RuleNode, slope: Param, rank: number): Param {
  if (at.version >= 7) return leading(slope, rank);
  const n = slope.dims.reduce((a, b) => a * b, 1);
  return { ...slope, dims: Array.from({ length: rank }, (_, i) => (i === 1 && n > 1 ? n : 1)) };
}

/** The other way round: a slope in the shape its operator takes. */
function written(at: RuleNode, slope: Param, was: readonly number[]): Param | Refused {
  if (at.version >= 7) return trimmed(slope, was.length);
  const n = slope.dims.reduce((a, b) => a * b, 1);
  if (n !== (slope.dims[1] ?? 1)) return refuse("axis-blocks", "has one slope for each channel, and the map varies elsewhere");
  return { ...slope, dims: n === 1 ? was : [n] };
}

function prelu(back: boolean): MoveFn {
  return (at, by): Move => {
    const s = onlyData(by);
    if (isRefused(s)) return s;
    if (!at.isConstant(1)) return refuse("weight-not-constant", "has a slope that is computed at run time");
    if (slopeGrows(at)) return refuse("broadcast-grows", "has a slope that broadcasts its input");
    if (every(s, (v) => v >= 0)) return [{ pass: [s] }];
    const given = at.param(1);
    if (isRefused(given)) return given;
    const own = laidOut(at, given, s.dims.length);
    const slopes = operand(own.values(), own.dims, s.dims.length) as Spread;
    const stop = stuck(s, slopes, back, own.dtype);
    if (stop !== undefined) return stop;
    const none = map(s, () => -1);
    const all = every(s, (v) => v <= 0) && stuck(none, slopes, back, own.dtype) === undefined;
    const turned = all ? mapped(own, (p) => 1 / p) : combined(own, s, (p, gain) => (gain < 0 ? 1 / p : p));
    const x = at.inShape(0);
    if (turned.dims.some((d, axis) => d !== own.dims[axis] && x?.[axis] !== d))
      return refuse("shape-unknown", "would have its slope spread over an axis of unknown size");
    const slope = written(at, turned, given.dims);
    return isRefused(slope) ? slope : [{ ...crossed(s, slopes, own.dtype), state: withParam(at.state, 1, slope) }];
  };
}

const relu: MoveFn = (_at, [by]) => negative(by as Spread) ?? [{ pass: [by] }];

export const leakyRelus: readonly Rule[] = [
  { type: "Relu", backScale: relu, forwardScale: relu, retyped: { forwardShift: reluAsMax } },
  { type: "LeakyRelu", backScale: leaky(true), forwardScale: leaky(false) },
  { type: "PRelu", backScale: prelu(true), forwardScale: prelu(false) },
];
