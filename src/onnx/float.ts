/**
 * Narrow float formats: bits → exact double, double → bits with one rounding to nearest, ties to even.
 *
 *   value = (-1)^s · n · 2^(e − m),   n an integer below 2^(m+1),   e ≥ emin
 *
 * Magnitude bits are ((e − emin) << m) + n: the implicit leading one carries into the exponent, so subnormals, normals and
 * the carry out of a rounding need no case of their own. Overflow is judged after rounding (ONNX Cast: `[x] > FLT_MAX`).
 * float8, float4, float6 and e8m0 follow the tables of Cast (opset 24 and later) and ONNX's float4 document.
 */
import type { DType } from "./dtype.ts";

interface Format {
  /** Width with sign. */
  readonly bits: number;
  /** Mantissa bits. */
  readonly m: number;
  /** Exponent of the smallest normal. */
  readonly emin: number;
  /** Bits of the largest finite magnitude. */
  readonly max: number;
  /** Bits of infinity, where the format has one. */
  readonly inf?: number;
  /** Bits of a NaN, where the format has one. */
  readonly nan?: number;
  /** No negative zero. */
  readonly unsignedZero?: boolean;
  /** What is too large: "inf" always becomes infinity, "clamp" always the largest value, "cast" asks the `saturate` flag. */
  readonly over: "inf" | "clamp" | "cast";
}

const FORMATS = {
  float16: { bits: 16, m: 10, emin: -14, max: 0x7bff, inf: 0x7c00, nan: 0x7e00, over: "inf" },
  bfloat16: { bits: 16, m: 7, emin: -126, max: 0x7f7f, inf: 0x7f80, nan: 0x7fc0, over: "inf" },
  float8e4m3fn: { bits: 8, m: 3, emin: -6, max: 0x7e, nan: 0x7f, over: "cast" },
  float8e4m3fnuz: { bits: 8, m: 3, emin: -7, max: 0x7f, nan: 0x80, unsignedZero: true, over: "cast" },
  float8e5m2: { bits: 8, m: 2, emin: -14, max: 0x7b, inf: 0x7c, nan: 0x7e, over: "cast" },
  float8e5m2fnuz: { bits: 8, m: 2, emin: -15, max: 0x7f, nan: 0x80, unsignedZero: true, over: "cast" },
  float4e2m1: { bits: 4, m: 1, emin: 0, max: 0x07, over: "clamp" },
  float6e2m3: { bits: 6, m: 3, emin: 0, max: 0x1f, over: "clamp" },
  float6e3m2: { bits: 6, m: 2, emin: -2, max: 0x1f, over: "clamp" },
} as const satisfies Partial<Record<DType, Format>>;

export type NarrowFloat = keyof typeof FORMATS | "float8e8m0";

/** A float format of 16 bits or fewer. */
export const isNarrowFloat = (dtype: DType): dtype is NarrowFloat => dtype in FORMATS || dtype === "float8e8m0";

export interface RoundOptions {
  /** Cast's `saturate` (default true): float8 and e8m0 clamp instead of overflowing. Other types ignore it. */
  readonly saturate?: boolean;
  /** Cast's `round_mode`, for e8m0 alone (default "up"). */
  readonly roundMode?: "up" | "down" | "nearest";
}

const scratch = new DataView(new ArrayBuffer(8));

/** floor(log2 a) of a normal double a > 0; −1023 for subnormal ones. */
function exponentOf(a: number): number {
  scratch.setFloat64(0, a);
  return ((scratch.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

/** 2^k for −1022 ≤ k ≤ 1023, exactly. */
function pow2(k: number): number {
  scratch.setUint32(0, (k + 1023) << 20);
  scratch.setUint32(4, 0);
  return scratch.getFloat64(0);
}

/** Nearest integer, ties to even, for 0 ≤ x < 2^51: the addition itself rounds. */
const nearestEven = (x: number) => x + 2 ** 52 - 2 ** 52;

function encodeIn(f: Format, x: number, saturate: boolean): number {
  if (Number.isNaN(x)) return f.nan ?? f.max;
  const a = Math.abs(x);
  let bits = f.max + 1;
  if (a !== Infinity) {
    const e = Math.max(exponentOf(a), f.emin);
    // a·2^(m−e) is exact: e ≥ emin keeps every scaled value clear of the double's own subnormals.
    bits = (e - f.emin) * 2 ** f.m + nearestEven(a * pow2(f.m - e));
  }
  if (bits > f.max) {
    if (f.over === "clamp" || (f.over === "cast" && saturate)) bits = f.max;
    else if (f.inf === undefined) return f.nan as number;
    else bits = f.inf;
  }
  const negative = x < 0 || Object.is(x, -0);
  return negative && !(bits === 0 && f.unsignedZero) ? bits + 2 ** (f.bits - 1) : bits;
}

/** e8m0: 2^(bits − 127), 255 is NaN; no sign and no zero. The sign of x is dropped: Cast leaves negatives undefined. */
function encodeE8M0(x: number, saturate: boolean, mode: "up" | "down" | "nearest"): number {
  const a = Math.abs(x);
  if (Number.isNaN(a)) return 255;
  if (a < 2 ** -127) return saturate ? 0 : 255;
  if (a > 2 ** 127) return saturate ? 254 : 255;
  const e = exponentOf(a);
  const fraction = a / pow2(e);
  return e + 127 + (mode === "up" ? Number(fraction > 1) : mode === "nearest" ? Number(fraction >= 1.5) : 0);
}

/** The bits of x rounded to `dtype`. */
export function encodeFloat(dtype: NarrowFloat, x: number, options: RoundOptions = {}): number {
  const saturate = options.saturate ?? true;
  if (dtype === "float8e8m0") return encodeE8M0(x, saturate, options.roundMode ?? "up");
  return encodeIn(FORMATS[dtype], x, saturate);
}

function decodeIn(f: Format, bits: number): number {
  const sign = 2 ** (f.bits - 1);
  const magnitude = bits % sign;
  if (f.unsignedZero && bits === sign) return Number.NaN;
  if (magnitude > f.max) return magnitude === f.inf ? (bits >= sign ? -Infinity : Infinity) : Number.NaN;
  const field = Math.floor(magnitude / 2 ** f.m);
  const fraction = magnitude % 2 ** f.m;
  const value = field === 0 ? fraction * 2 ** (f.emin - f.m) : (2 ** f.m + fraction) * 2 ** (field - 1 + f.emin - f.m);
  return bits >= sign ? -value : value;
}

const tables = new Map<NarrowFloat, Float64Array>();

/** The value of every bit pattern of `dtype`, exactly. Made once, shared: do not write to it. */
export function decodeTable(dtype: NarrowFloat): Float64Array {
  let table = tables.get(dtype);
  if (table === undefined) {
    if (dtype === "float8e8m0") table = Float64Array.from({ length: 256 }, (_, b) => (b === 255 ? Number.NaN : 2 ** (b - 127)));
    else {
      const f: Format = FORMATS[dtype];
      table = Float64Array.from({ length: 2 ** f.bits }, (_, b) => decodeIn(f, b));
    }
    tables.set(dtype, table);
  }
  return table;
}

/** x rounded once to float type `dtype`; to nearest, ties to even (e8m0: by `roundMode`). Other dtypes return x. */
export function roundTo(dtype: DType, x: number, options?: RoundOptions): number {
  if (dtype === "float32") return Math.fround(x);
  if (!isNarrowFloat(dtype)) return x;
  return decodeTable(dtype)[encodeFloat(dtype, x, options)];
}

/** Each element rounded as by `roundTo`. A new array, except where there is nothing to round. */
export function roundArray(dtype: DType, data: Float64Array, options?: RoundOptions): Float64Array {
  if (dtype === "float32") return new Float64Array(new Float32Array(data));
  if (!isNarrowFloat(dtype)) return data;
  const table = decodeTable(dtype);
  const out = new Float64Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = table[encodeFloat(dtype, data[i], options)];
  return out;
}
