/**
 * Scalar functions the operators share and `Math` lacks, to double precision.
 *
 * erf and erfc: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), three ranges:
 *   |x| ≤ 0.46875            erf(x)  = x · A(x²)/B(x²)
 *   0.46875 < x ≤ 4          erfc(x) = e^(−x²) · C(x)/D(x)
 *   x > 4                    erfc(x) = e^(−x²)/x · (1/√π − x⁻² · P(x⁻²)/Q(x⁻²))
 * e^(−x²) is taken as e^(−y²)·e^(−(x−y)(x+y)) with y = x cut to 1/16, which keeps the square exact.
 */

const A = [0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694];
const B = [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171];
const C = [
  2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001, 881.952221241769,
  1712.0476126340707, 2051.0783778260716, 1230.3393547979972,
];
const D = [
  1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597, 4362.619090143247,
  3439.3676741437216, 1230.3393548037495,
];
const P = [
  0.016315387137302097, 0.30532663496123236, 0.36034489994980445, 0.12578172611122926, 0.016083785148742275,
  0.0006587491615298378,
];
const Q = [1, 2.568520192289822, 1.8729528499234673, 0.5279051029514285, 0.06051834131244132, 0.0023352049762686918];

/** c[0]·xⁿ + … + c[n]. */
function polynomial(c: readonly number[], x: number): number {
  let y = c[0];
  for (let i = 1; i < c.length; i++) y = y * x + c[i];
  return y;
}

/** erfc for x > 0.46875. */
function erfcTail(x: number): number {
  const z = 1 / (x * x);
  const ratio =
    x <= 4 ? polynomial(C, x) / polynomial(D, x) : (1 / Math.sqrt(Math.PI) - (z * polynomial(P, z)) / polynomial(Q, z)) / x;
  const y = Math.trunc(x * 16) / 16;
  return Math.exp(-y * y) * Math.exp(-(x - y) * (x + y)) * ratio;
}

export function erf(x: number): number {
  const a = Math.abs(x);
  if (a <= 0.46875) return (x * polynomial(A, x * x)) / polynomial(B, x * x);
  if (a >= 6) return Math.sign(x);
  return x < 0 ? erfcTail(a) - 1 : 1 - erfcTail(a);
}

/** 1 − erf(x) without the cancellation of the difference. */
export function erfc(x: number): number {
  if (Math.abs(x) <= 0.46875) return 1 - erf(x);
  if (Number.isNaN(x)) return x;
  if (x < 0) return x < -6 ? 2 : 2 - erfcTail(-x);
  return x > 28 ? 0 : erfcTail(x);
}

/** To the nearest integer, halves to the even one; −0 stays. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest < 0.5 || (rest === 0.5 && below % 2 === 0)) return below === 0 ? 0 * x : below;
  return Number.isFinite(x) ? Math.ceil(x) : x;
}

/** Math.max and Math.min for bigints. */
export function maxBig(x: bigint, y: bigint): bigint {
  if (y > x) return y;
  return x;
}

export function minBig(x: bigint, y: bigint): bigint {
  if (y < x) return y;
  return x;
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** log(1 + e^x). */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** x·Φ(x), through erfc so that the left tail keeps its digits. */
export const gelu = (x: number): number => 0.5 * x * erfc(-x * Math.SQRT1_2);

/** The tanh approximation of GELU. */
export const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

/** C's pow: 1^y = 1 and (−1)^±∞ = 1, where `Math.pow` says NaN. */
export const pow = (x: number, y: number): number =>
  x === 1 || (x === -1 && (y === Number.POSITIVE_INFINITY || y === Number.NEGATIVE_INFINITY)) ? 1 : x ** y;

/** x^y in the integers modulo 2^64 for y ≥ 0; truncated toward zero for y < 0, where 0^y is 0. */
export function powBig(x: bigint, y: bigint): bigint {
  if (y < 0n) return x === 1n ? 1n : x === -1n ? (y % 2n === 0n ? 1n : -1n) : 0n;
  let power = 1n;
  for (let base = BigInt.asIntN(64, x), left = y; left > 0n; left >>= 1n) {
    if (left & 1n) power = BigInt.asIntN(64, power * base);
    base = BigInt.asIntN(64, base * base);
  }
  return power;
}

/** Remainder with the sign of the divisor; x mod ±∞ follows the same law; 0 for an integer divided by 0. */
export function floorMod(x: number, y: number): number {
  const r = x % y;
  if (r === 0) return y < 0 || Object.is(y, -0) ? -0 : 0;
  return r < 0 !== y < 0 ? r + y : r;
}

export function floorModBig(x: bigint, y: bigint): bigint {
  if (y === 0n) return 0n;
  const r = x % y;
  return r !== 0n && r < 0n !== y < 0n ? r + y : r;
}
