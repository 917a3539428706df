/**
 * Powers turn a gain into its power; no shift passes.
 *   Sqrt          forward  √(s·x) = √s·√x        s > 0 (with s = 0 the root of a negative number would be none)
 *   Reciprocal    forward  1/(s·x) = (1/s)·(1/x) s ≠ 0
 *                 back     s·(1/x) = 1/(x/s)     s > 0: of a sum that is 0 the sign is not known, and 1/0 = ∞ takes it on
 *   Pow(x, p)     forward  (s·x)ᵖ = sᵖ·xᵖ        s > 0, and s < 0 where p is whole; p one constant number
 * Back through Sqrt the coefficients would grow by the square of the gain, and may leave the range that the root came back
 * into; back through Pow their rounding would come out p times as large.
 * A gain may be there to keep a power in range, as in (x/100)². So but for Sqrt this is for types with room (not float16), and
 * for gains whose power, and its inverse, are ordinary numbers of the type. ReduceSumSquare and ReduceProd (window.ts) as well.
 * ONNX Sqrt 1, 6, 13; Reciprocal 1, 6, 13; Pow 1, 7, 12, 13, 15.
 */
import { firstFailing, invert, map, type Spread } from "../affine/spread.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS } from "../onnx/dtype.ts";
import { isRefused, type MoveFn, type Refused, type Rule, type RuleNode, refuse } from "./types.ts";

/** Why a power of the gain is not safe to leave until after the power; undefined when it is. */
export function cramped(at: RuleNode, powers: Spread): Refused | undefined {
  const dtype = dtypeOf(at.facts.of(at.node.inputs[0]).dtype);
  if (dtype === undefined || !isStorageFloat(dtype)) return refuse("shape-unknown", "has an input of unknown type");
  if (dtype === "float16") return refuse("storage-overflow", "may need the gain before it to stay within float16");
  const { minNormal, max } = STORAGE_FLOATS[dtype];
  const ordinary = (v: number) => v === 0 || (Math.min(v, 1 / v) >= minNormal && Math.max(v, 1 / v) <= max);
  const odd = firstFailing(powers, (v) => ordinary(Math.abs(v)));
  return odd < 0
    ? undefined
    : refuse("storage-overflow", `turns the gain into ${powers.data[odd]}, which leaves ${dtype} no room`, {
        facts: { channel: odd, gain: powers.data[odd] },
      });
}

const signed = (by: Spread, test: (v: number) => boolean): Refused | undefined => {
  const channel = firstFailing(by, test);
  return channel < 0
    ? undefined
    : refuse("sign-blocks", `does not let the gain ${by.data[channel]} of channel ${channel} pass`, {
        facts: { channel, gain: by.data[channel] },
      });
};

const root: MoveFn = (_at, [by]) => signed(by as Spread, (v) => v > 0) ?? [{ pass: [map(by as Spread, Math.sqrt)] }];

const reciprocal = (test: (v: number) => boolean): MoveFn => {
  return (at, [by]) => {
    const inverse = invert(by as Spread);
    return signed(by as Spread, test) ?? cramped(at, inverse) ?? [{ pass: [inverse] }];
  };
};

/** The one number of a constant exponent, which may be of any type. */
function exponent(at: RuleNode): number | Refused {
  if (!at.isConstant(1)) return refuse("weight-not-constant", "has an exponent that is computed at run time");
  const param = at.param(1);
  const list = isRefused(param) ? at.facts.numbers(at.node.inputs[1]) : param.values();
  const rank = at.inShape(0)?.length;
  const extra = at.inShape(1)?.length ?? 0;
  if (rank === undefined || extra > rank || list?.length !== 1)
    return refuse("axis-blocks", "has an exponent that is not one number");
  return Number.isFinite(list[0]) ? list[0] : refuse("parameter-not-finite", `has the exponent ${list[0]}`);
}

const pow: MoveFn = (at, by) => {
  const s = by[0];
  if (s === undefined || by[1] !== undefined) return refuse("operator-blocks", "takes the map on its exponent");
  const p = exponent(at);
  if (typeof p !== "number") return p;
  const stop = signed(s, Number.isInteger(p) ? (v) => v !== 0 : (v) => v > 0);
  if (stop !== undefined) return stop;
  const powers = map(s, (v) => v ** p);
  return cramped(at, powers) ?? [{ pass: [powers] }];
};

export const powers: readonly Rule[] = [
  { type: "Sqrt", forwardScale: root },
  { type: "Reciprocal", forwardScale: reciprocal((v) => v !== 0), backScale: reciprocal((v) => v > 0) },
  { type: "Pow", forwardScale: pow },
];
