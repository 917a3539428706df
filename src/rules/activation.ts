/**
 * Element-wise operators.
 *   Identity, Dropout (inference), Cast between floats    everything passes; a Cast only towards the wider side
 *   Abs                                                    |s·x| = |s|·|x|; back only s ≥ 0
 *   ThresholdedRelu(α), Celu(α), Shrink(λ, bias)           uniform s > 0, α' = s·α (back), α/s (forward), all alike
 *   HardSigmoid(α, β), forward                             uniform: α' = s·α; β' = β + α·t
 *   Where                                                  every data branch takes the same map
 */
import { map, numberOf, type Spread, sameSpread } from "../affine/spread.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../onnx/dtype.ts";
import { negative } from "./leaky.ts";
import { floatAttribute } from "./params.ts";
import { alike, isRefused, type MoveFn, type Refused, type Rule, type RuleNode, refuse, withAttribute } from "./types.ts";

const through: MoveFn = (_at, by) => [{ pass: [by[0]] }];
const passesAll = { backScale: through, backShift: through, forwardScale: through, forwardShift: through };

const identity: Rule = { type: "Identity", ...passesAll };

/** Dropout is the identity unless told to train. */
export function inferring(at: RuleNode): Refused | undefined {
  if (at.version < 7 && at.int("is_test", 0) === 0) return refuse("training-mode", "drops values at random (is_test is 0)");
  if (at.version >= 12 && at.has(2)) {
    const mode = at.isConstant(2) ? at.facts.numbers(at.node.inputs[2]) : undefined;
    if (mode?.every((v) => v === 0) !== true)
      return refuse("training-mode", "may drop values at random (training_mode is not a constant false)");
  }
  const mask = at.node.outputs[1];
  return mask !== undefined && mask.uses.length > 0 ? refuse("extra-outputs-used", "has a mask that is read") : undefined;
}
const dropoutMove: MoveFn = (at, by) => inferring(at) ?? [{ pass: [by[0]] }];
const dropout: Rule = {
  type: "Dropout",
  backScale: dropoutMove,
  backShift: dropoutMove,
  forwardScale: dropoutMove,
  forwardShift: dropoutMove,
};

const isHalf = (dtype: StorageFloat): boolean => dtype === "float16" || dtype === "bfloat16";

/** A map may not come to run in a narrower type than it did, unless that is a half type and its rounding is allowed. */
function cast(toInput: boolean, rounds: boolean): MoveFn {
  return (at, by) => {
    const [from, to] = [at.node.inputs[0], at.node.outputs[0]].map((v) => dtypeOf(at.facts.of(v).dtype));
    if (from === undefined || to === undefined || !isStorageFloat(from) || !isStorageFloat(to)) {
      return refuse("operator-blocks", "converts to or from a type that is not a float, or not known to be one");
    }
    const [old, next] = toInput ? [to, from] : [from, to];
    const half = isHalf(next) && old === "float32";
    if (STORAGE_FLOATS[next].unitRoundoff > STORAGE_FLOATS[old].unitRoundoff && !(rounds && half)) {
      const because = `would make the map run in ${next} instead of ${old}`;
      return refuse("storage-precision", because, half ? { rounds: true } : {});
    }
    return [{ pass: [by[0]] }];
  };
}
const castMoves = (rounds: boolean) => {
  const [back, forward] = [cast(true, rounds), cast(false, rounds)];
  return { backScale: back, backShift: back, forwardScale: forward, forwardShift: forward };
};
const casts = { ...castMoves(false), rounded: castMoves(true) };

const abs: Rule = {
  type: "Abs",
  backScale: (_at, by) => negative(by[0] as Spread) ?? [{ pass: [by[0]] }],
  forwardScale: (_at, by) => [{ pass: [map(by[0] as Spread, Math.abs)] }],
};

/** Attributes in the unit of the input: f(s·x; s·a) = s·f(x; a) for s > 0. */
const UNITS: Record<string, readonly (readonly [name: string, fallback: number])[]> = {
  ThresholdedRelu: [["alpha", 1]],
  Celu: [["alpha", 1]],
  Shrink: [
    ["bias", 0],
    ["lambd", 0.5],
  ],
};

function thresholded(back: boolean): MoveFn {
  return (at, by) => {
    const s = numberOf(by[0] as Spread);
    if (s === undefined || s <= 0)
      return refuse("sign-blocks", "has one threshold, so only one positive gain for the whole tensor passes");
    let { state } = at;
    for (const [name, fallback] of UNITS[at.node.opType]) {
      const value = at.float(name, fallback);
      const next = back ? value * s : value / s;
      // A threshold that is rounded decides differently for what lies in between.
      if (Math.fround(next) !== next) return refuse("storage-precision", "cannot hold the moved threshold exactly");
      if (next !== value) state = withAttribute(state, name, { float: next });
    }
    return [{ pass: [by[0]], state }];
  };
}

/** max(0, min(1, α·x + β)): one map for the whole tensor goes into α and β. */
function hardSigmoid(scale: boolean): MoveFn {
  return (at, by) => {
    const v = numberOf(by[0] as Spread);
    if (v === undefined)
      return refuse("axis-blocks", "has one slope for the whole tensor, so only a map that is the same everywhere goes into it");
    const alpha = at.float("alpha", Math.fround(0.2));
    const state = scale
      ? floatAttribute(at, at.state, "alpha", alpha * v)
      : floatAttribute(at, at.state, "beta", at.float("beta", 0.5) + alpha * v);
    return isRefused(state) ? state : [{ pass: [], state }];
  };
}

const sameShapes = (at: RuleNode, i: number, by: Spread): boolean =>
  at.inShape(i)?.length === by.dims.length && by.dims.every((d, a) => d === 1 || at.inShape(i)?.[a] === d);
const choose: MoveFn = (at, by) => {
  const s = by[0] as Spread;
  if (!sameShapes(at, 1, s) || !sameShapes(at, 2, s))
    return refuse("broadcast-grows", "broadcasts one of its branches along the map");
  if (at.isConstant(1) || at.isConstant(2))
    return refuse("weight-not-constant", "chooses between a computed value and a constant");
  return [{ pass: [undefined, s, s] }];
};
const chooseForward: MoveFn = (at, by) => {
  if (by[1] === undefined || by[2] === undefined || by[0] !== undefined || !sameSpread(by[1], by[2])) {
    return refuse("other-reader", "chooses another value that does not carry the same map");
  }
  return at.outShape(0)?.length === by[1].dims.length ? [{ pass: [by[1]] }] : refuse("shape-unknown", "broadcasts its branches");
};

export const activation: readonly Rule[] = [
  identity,
  dropout,
  { type: "Cast", ...casts },
  // Of its second input CastLike takes only the type.
  { type: "CastLike", ...casts, ignores: (_at, index) => index === 1 },
  abs,
  ...alike("ThresholdedRelu Celu Shrink", { backScale: thresholded(true), forwardScale: thresholded(false) }),
  { type: "HardSigmoid", forwardScale: hardSigmoid(true), forwardShift: hardSigmoid(false) },
  { type: "Where", backScale: choose, backShift: choose, forwardScale: chooseForward, forwardShift: chooseForward },
];
