/**
 * Elementary functions of one tensor: a row each. Integer types where the operator has them; 64-bit ones by `big`.
 * The arrows around Math's functions are for speed: V8 inlines the function into them, but calls a built-in it is handed.
 */
import { unary } from "./broadcast.ts";
import { type OpDef, tensorOp } from "./define.ts";
import { erf, roundHalfEven } from "./math.ts";

const absBig = (x: bigint) => (x < 0n ? -x : x);
const signBig = (x: bigint) => (x > 0n ? 1n : x < 0n ? -1n : 0n);

const ROWS: readonly (readonly [type: string, since: number, fn: (x: number) => number, big?: (x: bigint) => bigint])[] = [
  ["Abs", 1, (x) => Math.abs(x), absBig],
  ["Neg", 1, (x) => -x, (x) => -x],
  ["Sign", 9, (x) => Math.sign(x), signBig],
  ["Ceil", 1, (x) => Math.ceil(x)],
  ["Floor", 1, (x) => Math.floor(x)],
  ["Round", 11, roundHalfEven],
  ["Reciprocal", 1, (x) => 1 / x],
  ["Sqrt", 1, (x) => Math.sqrt(x)],
  ["Exp", 1, (x) => Math.exp(x)],
  ["Log", 1, (x) => Math.log(x)],
  ["Sin", 7, (x) => Math.sin(x)],
  ["Cos", 7, (x) => Math.cos(x)],
  ["Tan", 7, (x) => Math.tan(x)],
  ["Asin", 7, (x) => Math.asin(x)],
  ["Acos", 7, (x) => Math.acos(x)],
  ["Atan", 7, (x) => Math.atan(x)],
  ["Sinh", 9, (x) => Math.sinh(x)],
  ["Cosh", 9, (x) => Math.cosh(x)],
  ["Asinh", 9, (x) => Math.asinh(x)],
  ["Acosh", 9, (x) => Math.acosh(x)],
  ["Atanh", 9, (x) => Math.atanh(x)],
  ["Erf", 9, erf],
];

export const elementwiseOps: readonly OpDef[] = ROWS.map(([type, since, fn, big]) =>
  tensorOp(type, since, 1, (_, x) => [unary(x, x.dtype, fn, big)]),
);
