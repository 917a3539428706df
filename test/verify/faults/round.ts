/** Rounding of single numbers to storage types, made here apart from the code under test. */
import { getFloat16, setFloat16 } from "@petamoriken/float16";

const view = new DataView(new ArrayBuffer(8));

export function fold16(x: number): number {
  setFloat16(view, 0, x);
  return getFloat16(view, 0);
}

const BITS: Record<string, readonly [mantissa: number, least: number]> = {
  float32: [23, -126],
  float16: [10, -14],
  float64: [52, -1022],
  bfloat16: [7, -126],
};

/** Distance between neighbours of x in a storage type. */
export function ulp(dtype: string, x: number): number {
  const [mantissa, least] = BITS[dtype];
  const exponent = x === 0 ? least : Math.max(least, Math.floor(Math.log2(Math.abs(x))));
  return 2 ** (exponent - mantissa);
}

export function rounded(dtype: string, x: number): number {
  return dtype === "float16" ? fold16(x) : dtype === "float32" ? Math.fround(x) : x;
}

/** Unit roundoff: half an ulp of 1. */
export const roundoff = (dtype: string): number => 2 ** -(BITS[dtype][0] + 1);
