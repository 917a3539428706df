/**
 * Conversion between element types, as Cast defines it: floats to integers toward zero and wrapped to the width (out of range
 * is undefined there), floats to narrow floats rounded once, numbers to bool by ≠ 0, strings by their decimal notation.
 */
import { type RoundOptions, roundArray } from "../onnx/codec.ts";
import { type DType, dtypeInfo, isStorageFloat } from "../onnx/dtype.ts";
import { allocate, asFloat64, type Tensor } from "../onnx/tensor.ts";
import { isBig } from "./broadcast.ts";

/** [bits, signed] of the integers narrower than the arrays that hold them. */
const SUB_BYTE: Partial<Record<DType, readonly [bits: number, signed: boolean]>> = {
  int4: [4, true],
  uint4: [4, false],
  int2: [2, true],
  uint2: [2, false],
};

function parseFloatText(text: string): number {
  const t = text.trim().toLowerCase();
  if (/^[+-]?inf(inity)?$/.test(t)) return t.startsWith("-") ? -Infinity : Infinity;
  if (/^[+-]?nan$/.test(t)) return Number.NaN;
  const value = Number(t);
  if (t === "" || Number.isNaN(value)) throw new RangeError(`the text "${text}" is no number`);
  return value;
}

/** Python's notation: always a point or an exponent of two digits, exponents below 1e-4 and from 1e16 on. */
function pythonNotation(shortest: string): string {
  const negative = shortest.startsWith("-");
  const [mantissa, exponent = "0"] = (negative ? shortest.slice(1) : shortest).toLowerCase().split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  const digits = (whole + fraction).replace(/^0+/, "") || "0";
  const leading = (whole + fraction).length - (whole + fraction).replace(/^0+/, "").length;
  const power = digits === "0" ? 0 : Number(exponent) + whole.length - leading - 1; // of the first digit
  const bare = digits.replace(/0+$/, "") || "0";
  let text: string;
  if (power < -4 || power >= 16) {
    text = `${bare[0]}${bare.length > 1 ? `.${bare.slice(1)}` : ""}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  } else if (power < 0) text = `0.${"0".repeat(-power - 1)}${bare}`;
  else text = `${bare.slice(0, power + 1).padEnd(power + 1, "0")}.${bare.slice(power + 1) || "0"}`;
  return negative ? `-${text}` : text;
}

/** The shortest decimal that rounds back to x in `dtype`. */
export function floatText(x: number, dtype: DType): string {
  if (Number.isNaN(x)) return "nan";
  if (!Number.isFinite(x)) return x < 0 ? "-inf" : "inf";
  if (dtype === "float64") return pythonNotation(Object.is(x, -0) ? "-0" : String(x));
  const back = (text: string) => roundArray(dtype, Float64Array.of(Number(text)))[0];
  for (let digits = 1; digits <= 17; digits++) {
    const text = x.toExponential(digits - 1);
    if (back(text) === x || digits === 17) return pythonNotation(Object.is(x, -0) ? "-0" : text);
  }
  return String(x);
}

function toStrings(tensor: Tensor): string[] {
  const { data, dtype } = tensor;
  const { holder } = dtypeInfo(dtype);
  if (holder === "bool") return Array.from(data as Uint8Array, (v) => (v ? "True" : "False"));
  if (holder === "float") return Array.from(data as Float64Array, (v) => floatText(v, dtype));
  return Array.from(data as ArrayLike<unknown>, String);
}

function fromStrings(texts: readonly string[], to: DType): Tensor["data"] {
  if (dtypeInfo(to).holder === "big") {
    const out = allocate(to, texts.length) as BigInt64Array;
    texts.forEach((text, i) => {
      out[i] = /^\s*[+-]?\d+\s*$/.test(text) ? BigInt(text.trim().replace(/^\+/, "")) : BigInt(Math.trunc(parseFloatText(text)));
    });
    return out;
  }
  if (to === "bool") {
    return Uint8Array.from(texts, (text) =>
      /^(true|false)$/i.test(text) ? Number(/^t/i.test(text)) : Number(parseFloatText(text) !== 0),
    );
  }
  return Float64Array.from(texts, parseFloatText);
}

function toIntegers(data: Exclude<Tensor["data"], readonly string[]>, to: DType): Tensor["data"] {
  const out = allocate(to, data.length) as Int32Array;
  const wide = isBig(out);
  const narrow = SUB_BYTE[to];
  for (let i = 0; i < out.length; i++) {
    const v = data[i];
    if (wide) {
      // No integer is right for NaN and infinities; 0 keeps the conversion total.
      (out as unknown as BigInt64Array)[i] = typeof v === "bigint" ? v : Number.isFinite(v) ? BigInt(Math.trunc(v)) : 0n;
    } else {
      const n = typeof v === "bigint" ? Number(BigInt.asIntN(64, v) & 0xffffffffn) : v;
      if (narrow === undefined) out[i] = n;
      else {
        const shift = 32 - narrow[0];
        out[i] = narrow[1] ? (n << shift) >> shift : (n << shift) >>> shift;
      }
    }
  }
  return out;
}

/**
 * The tensor as `to`. Floats go to float64, float32, float16 and bfloat16 unrounded (the session rounds where its mode asks
 * for it) and to narrower floats rounded, by `options`.
 */
export function convert(tensor: Tensor, to: DType, options: RoundOptions = {}): Tensor {
  if (tensor.dtype === to) return tensor;
  const { dims } = tensor;
  const { holder } = dtypeInfo(to);
  if (dtypeInfo(tensor.dtype).holder === "complex" || holder === "complex")
    throw new RangeError(`no conversion from ${tensor.dtype} to ${to}`);
  if (to === "string") return { dtype: to, dims, data: toStrings(tensor) };
  const source =
    tensor.dtype === "string" ? { dtype: "float64" as const, dims, data: fromStrings(tensor.data as string[], to) } : tensor;
  if (holder === "bool") return { dtype: to, dims, data: Uint8Array.from(asFloat64(source), (v) => Number(v !== 0)) };
  if (holder !== "float") return { dtype: to, dims, data: toIntegers(source.data as Float64Array, to) };
  const data = asFloat64(source);
  return { dtype: to, dims, data: isStorageFloat(to) ? data : roundArray(to, data, options) };
}

const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  uint2: [0, 3],
  int2: [-2, 1],
  uint4: [0, 15],
  int4: [-8, 7],
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
  int32: [-2147483648, 2147483647],
  uint32: [0, 4294967295],
};

/** Smallest and largest value of an integer type of up to 32 bits. */
export const integerRange = (dtype: DType): readonly [number, number] | undefined => RANGES[dtype];
