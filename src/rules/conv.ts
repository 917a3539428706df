/**
 * Conv, DeformConv: y[n,o] = b[o] + Σ w[o,i,k] · x[n, q·I/g + i, …], w [O, I/g, k…], q = ⌊o / (O/g)⌋.
 *   back     scale  w'[o] = s[o]·w[o], b' = s·b          any padding, stride, group
 *            shift  b' = b + t
 *   forward  scale  w'[o,i,k] = w[o,i,k]·s[q·I/g + i]    any padding
 *            shift  b'[o] = b[o] + Σ w[o,i,k]·t[q·I/g+i] only without effective padding: padded zeros are not shifted
 *            shift  v'[o,k] = v[o,k] + Σ w[o,i,k]·t[i]   g = 1, any padding, where x has one more channel of ones, weighted v
 * The weight v [O, 1, k…] of such a channel is operand 3 (ONES): a plan keeps it there until it is written as part of w, and the
 * proof takes it out of w again.
 * ONNX Conv 1, 11, 22; DeformConv 19, 22 (offsets sample zeros outside, so no shift goes forward; bias is input 3).
 */
import { along, type Spread } from "../affine/spread.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { fresh, scaled, vectorOn } from "./params.ts";
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
  withParam,
} from "./types.ts";
import { addBias, filterOf, filterUnder, ownFilterOf, scaleBias, scaleWeight } from "./weights.ts";

/** Operand of the weight of a channel of ones; in a file, it is part of the weight. */
export const ONES = 3;

/** True of a Conv that reads a channel of ones beside its input. */
export const readsOnes = (at: RuleNode): boolean => at.state.opType === "Conv" && at.node.domain === "" && at.has(ONES);

const biasIndex = (at: RuleNode): number => (at.node.opType === "DeformConv" ? 3 : 2);

/** Reads a map on the channel axis as a vector of `size`, or says why it is not one. */
export function channels(by: Spread, size: number, what: string): Float64Array | Refused {
  const vector = vectorOn(by, 1, size);
  if (vector !== undefined) return vector;
  return refuse("axis-blocks", `has ${size} ${what}, but the map varies over shape [${by.dims.join(", ")}]`, {
    facts: { channels: size, map: by.dims },
  });
}

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const w = filterOf(at);
  if (isRefused(w)) return w;
  const s = channels(by as Spread, w.dims[0], "output channels");
  if (isRefused(s)) return s;
  let { state } = at;
  if (readsOnes(at)) {
    const ones = at.param(ONES);
    if (isRefused(ones)) return ones;
    state = withParam(state, ONES, scaled(ones, along(ones.dims.length, 0, s)));
  }
  const step = scaleBias(scaleWeight(state, w, along(w.dims.length, 0, s)), at, biasIndex(at), s);
  return isRefused(step) ? step : [step];
}

function backShift(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const w = filterOf(at);
  if (isRefused(w)) return w;
  const t = channels(by as Spread, w.dims[0], "output channels");
  return isRefused(t) ? t : addBias(at, biasIndex(at), w.dtype, t);
}

/** A vector over input channels as factors of a weight [O, I/g, k…]. */
function overInputs(s: Float64Array, [out, inner]: readonly number[], rank: number, groups: number): Spread {
  if (groups === 1) return along(rank, 1, s);
  const data = new Float64Array(out * inner);
  for (let o = 0; o < out; o++) {
    const first = Math.floor(o / (out / groups)) * inner;
    for (let i = 0; i < inner; i++) data[o * inner + i] = s[first + i];
  }
  return { dims: [out, inner, ...new Array<number>(rank - 2).fill(1)], data };
}

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const w = filterUnder(at, by);
  if (isRefused(w)) return w;
  const groups = at.int("group", 1);
  const s = channels(by[0] as Spread, w.dims[1] * groups, "input channels");
  if (isRefused(s)) return s;
  return absorb(withParam(at.state, 1, scaled(w, overInputs(s, w.dims, w.dims.length, groups))));
}

/** True when no output position sees a padded zero. */
export function unpadded(at: RuleNode, kernel: readonly number[]): boolean {
  const auto = at.string("auto_pad", "NOTSET");
  if (auto === "VALID") return true;
  if (auto === "NOTSET" || auto === "") return (at.ints("pads") ?? []).every((p) => p === 0);
  const [strides, dilations] = [at.ints("strides"), at.ints("dilations")];
  return kernel.every((k, i) => {
    const [stride, extent] = [strides?.[i] ?? 1, (k - 1) * (dilations?.[i] ?? 1) + 1];
    if (stride === 1) return extent === 1;
    const size = at.inShape(0)?.[i + 2];
    return typeof size === "number" && (Math.ceil(size / stride) - 1) * stride + extent - size <= 0;
  });
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const w = filterUnder(at, by);
  if (isRefused(w)) return w;
  if (!unpadded(at, w.dims.slice(2))) {
    return refuse("padding-blocks", "pads its input with zeros, which the shift must not touch", {
      facts: { pads: at.ints("pads") ?? [] },
    });
  }
  const groups = at.int("group", 1);
  const t = channels(by[0] as Spread, w.dims[1] * groups, "input channels");
  if (isRefused(t)) return t;
  const [out, inner] = w.dims;
  const sums = (): Float64Array => {
    const values = w.values();
    const taps = values.length / (out * inner);
    const result = new Float64Array(out);
    for (let o = 0, k = 0; o < out; o++) {
      const first = Math.floor(o / (out / groups)) * inner;
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let tap = 0; tap < taps; tap++) sum += values[k++];
        result[o] += sum * t[first + i];
      }
    }
    return result;
  };
  return addBias(at, 2, w.dtype, sums());
}

/** The operator with a weight for a channel of ones: that it has, or zeros. Undefined where its own cannot be read. */
export function withOnes(at: RuleNode): NodeState | undefined {
  if (readsOnes(at)) return at.state;
  const w = ownFilterOf(at);
  if (isRefused(w) || at.int("group", 1) !== 1) return undefined;
  const [out, , ...kernel] = w.dims;
  const size = sizeOf([out, ...kernel]);
  return withParam(
    at.state,
    ONES,
    fresh(w.dtype, [out, 1, ...kernel], () => new Float64Array(size)),
  );
}

function shiftByOnes(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const w = filterUnder(at, by);
  if (isRefused(w)) return w;
  const state = withOnes(at);
  const ones = state?.params.get(ONES) ?? at.param(ONES);
  if (state === undefined || isRefused(ones)) {
    const plain = forwardShift(at, by);
    return isRefused(plain) && plain.refused === "padding-blocks"
      ? { ...plain, because: `${plain.because}, and has groups, each of which would need a channel that carries it` }
      : plain;
  }
  const [out, inner] = w.dims;
  const t = channels(by[0] as Spread, inner, "input channels");
  if (isRefused(t)) return t;
  const taps = sizeOf(ones.dims) / out;
  // Read when they are asked for: whether the shift passes is known without them.
  const values = () => addUp(ones.values(), w.values(), t, taps);
  const terms = () => addUp(termsOf(ones), w.values().map(Math.abs), t.map(Math.abs), taps);
  return absorb(withParam(state, ONES, { ...fresh(w.dtype, ones.dims, values), terms }));
}

/** Σ|terms| of each number of a constant. */
export const termsOf = ({ terms, values }: Param): Float64Array => terms?.() ?? values().map(Math.abs);

/** sums[o, k] + Σ_i w[o, i, k]·t[i], in place. */
function addUp(sums: Float64Array, w: Float64Array, t: Float64Array, taps: number): Float64Array {
  for (let at = 0, k = 0; at < sums.length; at += taps)
    for (const by of t) for (let tap = at; tap < at + taps; tap++) sums[tap] += w[k++] * by;
  return sums;
}

export const conv: Rule = { type: "Conv", backScale, backShift, forwardScale, forwardShift, ones: { forwardShift: shiftByOnes } };
export const deformConv: Rule = { type: "DeformConv", backScale, backShift, forwardScale };
