/**
 * Functions of one number that let the sign of a gain pass, and no more; no shift passes.
 *   Sign      forward  sign(s·x) = sgn(s)·sign(x)     any s
 *   odd       either   f(s·x) = s·f(x)                s = ±1: Sign, Sin, Tan, Asin, Atan, Sinh, Asinh, Atanh, Tanh, Erf, Softsign, ScaledTanh
 *   even      forward  f(s·x) = f(x)                  s = ±1: Cos, Cosh
 * ONNX Sign 9, 13; Sin, Tan, Asin, Atan, Cos 7, 22; Sinh, Asinh, Atanh, Cosh 9, 22; Tanh 1, 6, 13; Erf 9, 13; Softsign 1, 22; ScaledTanh 1.
 */
import { every, map, type Spread } from "../affine/spread.ts";
import { alike, type MoveFn, type Rule, refuse, type Step } from "./types.ts";

const isSign = (by: Spread): boolean => every(by, (v) => Math.abs(v) === 1);
const stopped = refuse("operator-blocks", "neither absorbs nor passes a gain");

const odd: MoveFn = (_at, [by]) => (isSign(by as Spread) ? [{ pass: [by] }] : stopped);
const even: MoveFn = (_at, [by]) => (isSign(by as Spread) ? [{ pass: [] }] : stopped);

/** Gains above zero vanish. */
const sign: MoveFn = (_at, [by]): Step[] => {
  const signs = map(by as Spread, Math.sign);
  return every(signs, (v) => v === 1) ? [{ pass: [] }] : [{ pass: [signs] }];
};

export const signs: readonly Rule[] = [
  { type: "Sign", backScale: odd, forwardScale: sign },
  ...alike("Sin Tan Asin Atan Sinh Asinh Atanh Tanh Erf Softsign ScaledTanh", { backScale: odd, forwardScale: odd }),
  ...alike("Cos Cosh", { forwardScale: even }),
];
