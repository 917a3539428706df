import { describe, expect, it } from "vitest";
import { erf, erfc, floorMod, gelu, pow, powBig, roundHalfEven, softplus } from "../../src/ops/math.ts";

const BITS = 700n;
const ONE = 1n << BITS;

/** A double as a fixed-point number, exactly. */
function fixed(x: number): bigint {
  let scale = 0;
  let v = x;
  while (!Number.isInteger(v)) {
    v *= 2;
    scale++;
  }
  return (BigInt(v) << BITS) >> BigInt(scale);
}

function root(x: bigint): bigint {
  let r = 1n << (BigInt(x.toString(2).length) / 2n + 1n);
  for (;;) {
    const next = (r + x / r) >> 1n;
    if (next >= r) return r;
    r = next;
  }
}

/** atan(1/n) by its series. */
function arctan(n: bigint): bigint {
  let power = ONE / n;
  let sum = power;
  for (let k = 3n, sign = -1n; power > 0n; k += 2n, sign = -sign) {
    power /= n * n;
    sum += (sign * power) / k;
  }
  return sum;
}

const PI = 4n * (4n * arctan(5n) - arctan(239n));

/** erf by its Taylor series in 700-bit fixed point. */
function erfFixed(x: number): bigint {
  const v = fixed(x);
  let term = v;
  let sum = v;
  for (let n = 1n; term !== 0n; n++) {
    term = -((((term * v) >> BITS) * v) >> BITS) / n;
    sum += term / (2n * n + 1n);
  }
  return (2n * sum * ONE) / root(PI << BITS);
}

function toNumber(x: bigint): number {
  const digits = x < 0n ? -x : x;
  const shift = Math.max(0, digits.toString(2).length - 60);
  const value = Number(digits >> BigInt(shift)) * 2 ** (shift - Number(BITS));
  return x < 0n ? -value : value;
}

describe("erf and erfc", () => {
  const points = Array.from({ length: 220 }, (_, i) => -5.5 + i / 20 + 1 / 128);

  it("agree with the series to a few units in the last place", () => {
    for (const x of points) {
      const want = toNumber(erfFixed(x));
      expect(Math.abs(erf(x) - want), `erf(${x})`).toBeLessThanOrEqual(4 * 2 ** -53 * Math.abs(want));
    }
  });

  it("keep their relative accuracy in the tail", () => {
    for (const x of [0.47, 0.9, 1.5, 2, 3.99, 4.01, 6, 8.25, 10]) {
      const want = toNumber(ONE - erfFixed(x));
      expect(Math.abs(erfc(x) - want) / want, `erfc(${x})`).toBeLessThanOrEqual(16 * 2 ** -53);
    }
  });

  it("are odd, bounded and carry the special values", () => {
    for (const x of points) expect(erf(-x)).toBe(-erf(x));
    expect(erf(-0)).toBe(-0);
    expect([erf(Number.POSITIVE_INFINITY), erf(Number.NEGATIVE_INFINITY), erf(Number.NaN)]).toEqual([1, -1, Number.NaN]);
    expect([erfc(Number.POSITIVE_INFINITY), erfc(Number.NEGATIVE_INFINITY), erfc(Number.NaN)]).toEqual([0, 2, Number.NaN]);
  });
});

describe("scalar functions", () => {
  it("rounds halves to the even neighbour and keeps the sign of zero", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999999999999994, 4503599627370497].map(roundHalfEven)).toEqual([
      0, 2, 2, -0, -2, -2, 0, 4503599627370497,
    ]);
    expect(roundHalfEven(-0)).toBe(-0);
    expect(roundHalfEven(-0.2)).toBe(-0);
    expect([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(roundHalfEven)).toEqual([
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ]);
  });

  it("softplus and gelu do not overflow or cancel", () => {
    expect(softplus(1000)).toBe(1000);
    expect(softplus(-40)).toBeCloseTo(Math.exp(-40), 30);
    expect(gelu(-10) / (-10 * 7.619853024160525e-24)).toBeCloseTo(1, 12);
  });

  it("takes powers as C does", () => {
    expect(pow(1, Number.NaN)).toBe(1);
    expect(pow(-1, Number.NEGATIVE_INFINITY)).toBe(1);
    expect(pow(Number.NaN, 0)).toBe(1);
    expect(powBig(3n, 41n)).toBe(BigInt.asIntN(64, 3n ** 41n));
    expect([powBig(2n, -1n), powBig(1n, -5n), powBig(-1n, -3n), powBig(0n, -1n), powBig(7n, 0n)]).toEqual([0n, 1n, -1n, 0n, 1n]);
  });

  it("floorMod takes the divisor's sign", () => {
    expect([floorMod(-7, 3), floorMod(7, -3), floorMod(-7, -3), floorMod(6, 3)]).toEqual([2, -2, -1, 0]);
    expect([floorMod(0, -2), floorMod(-0, 2), floorMod(-3, Number.POSITIVE_INFINITY)]).toEqual([-0, 0, Number.POSITIVE_INFINITY]);
  });
});
