/**
 * ConvTranspose: w [I, O/g, k…]; input channel i of group q = ⌊i / (I/g)⌋ reaches output channels q·O/g + j.
 *   back     scale  w'[i,j] = s[q·O/g + j]·w[i,j], b' = s·b    whatever the pads, strides, output_padding
 *            shift  b' = b + t
 *   forward  scale  w'[i] = s[i]·w[i]
 *            shift  b'[q·O/g + j] += Σ_i w[i,j]·t[i]  only when each output sees each tap once: kernel 1, stride 1, no padding
 * ONNX ConvTranspose 1, 11, 22.
 */
import { along, type Spread } from "../affine/spread.ts";
import { channels } from "./conv.ts";
import { scaled } from "./params.ts";
import { absorb, isRefused, type Move, type Rule, type RuleNode, refuse, withParam } from "./types.ts";
import { addBias, filterOf, filterUnder, scaleBias, scaleWeight } from "./weights.ts";

function backScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const w = filterOf(at);
  if (isRefused(w)) return w;
  const groups = at.int("group", 1);
  const [inputs, perGroup] = w.dims;
  const s = channels(by as Spread, perGroup * groups, "output channels");
  if (isRefused(s)) return s;
  const rank = w.dims.length;
  let factors = along(rank, 1, s);
  if (groups > 1) {
    const data = new Float64Array(inputs * perGroup);
    for (let i = 0; i < inputs; i++) {
      const first = Math.floor(i / (inputs / groups)) * perGroup;
      data.set(s.subarray(first, first + perGroup), i * perGroup);
    }
    factors = { dims: [inputs, perGroup, ...new Array<number>(rank - 2).fill(1)], data };
  }
  const step = scaleBias(scaleWeight(at.state, w, factors), at, 2, s);
  return isRefused(step) ? step : [step];
}

function backShift(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const w = filterOf(at);
  if (isRefused(w)) return w;
  const t = channels(by as Spread, w.dims[1] * at.int("group", 1), "output channels");
  return isRefused(t) ? t : addBias(at, 2, w.dtype, t);
}

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const w = filterUnder(at, by);
  if (isRefused(w)) return w;
  const s = channels(by[0] as Spread, w.dims[0], "input channels");
  return isRefused(s) ? s : absorb(withParam(at.state, 1, scaled(w, along(w.dims.length, 0, s))));
}

/** True where each output sees each tap once. */
export function isPointwise(at: RuleNode, kernel: readonly number[]): boolean {
  const zero = (name: string) => (at.ints(name) ?? []).every((v) => v === 0);
  const once = kernel.every((k) => k === 1) && (at.ints("strides") ?? []).every((v) => v === 1);
  const plain = at.ints("output_shape") === undefined && !at.string("auto_pad", "NOTSET").startsWith("SAME");
  return once && plain && zero("pads") && zero("output_padding");
}

function forwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const w = filterUnder(at, by);
  if (isRefused(w)) return w;
  if (!isPointwise(at, w.dims.slice(2))) {
    return refuse("padding-blocks", "reaches some outputs with fewer taps than others, so a shift is not the same everywhere");
  }
  const groups = at.int("group", 1);
  const [inputs, perGroup] = w.dims;
  const t = channels(by[0] as Spread, inputs, "input channels");
  if (isRefused(t)) return t;
  const values = w.values();
  const sums = new Float64Array(perGroup * groups);
  for (let i = 0; i < inputs; i++) {
    const first = Math.floor(i / (inputs / groups)) * perGroup;
    for (let j = 0; j < perGroup; j++) sums[first + j] += values[i * perGroup + j] * t[i];
  }
  return addBias(at, 2, w.dtype, sums);
}

export const convTranspose: Rule = { type: "ConvTranspose", backScale, backShift, forwardScale, forwardShift };
