/**
 * Weights times a factor: to[i] = float32(from[i] · by), the product in float64, one rounding. In WebAssembly SIMD where there
 * is some, else in TypeScript, with the same bits.
 */
import { SCALE_BASE64 } from "./scale-bytes.ts";
import { decodeBase64 } from "./team.ts";

export interface Scaler {
  /** Both of the length asked for. */
  readonly from: Float32Array;
  readonly to: Float32Array;
  /**
   * Elements `i` to `end`. True when a product is suspect: not zero, and not between `low` and `high` in magnitude. It may
   * also say so of a zero, never the other way round.
   */
  run(i: number, end: number, by: number, low: number, high: number): boolean;
}

/** Shorter runs cost more to hand over than to compute. */
const SHORT = 32;
const PAGE = 65536;

/** Room for `length` elements. */
export function createScaler(length: number): Scaler {
  return compiled(length) ?? plainScaler(new Float32Array(length), new Float32Array(length));
}

export function plainScaler(from: Float32Array, to: Float32Array): Scaler {
  return {
    from,
    to,
    run(i, end, by, low, high) {
      let odd = false;
      for (; i < end; i++) {
        const v = from[i] * by;
        to[i] = v;
        const size = Math.abs(v);
        if (!(size >= low && size <= high) && v !== 0) odd = true;
      }
      return odd;
    },
  };
}

type Scale = (from: number, to: number, n: number, factor: number, low: number, high: number) => number;

function compiled(length: number): Scaler | undefined {
  if (typeof WebAssembly === "undefined") return undefined;
  try {
    const bytes = 4 * length;
    const memory = new WebAssembly.Memory({ initial: Math.ceil((2 * bytes) / PAGE) + 1 });
    const module = new WebAssembly.Module(decodeBase64(SCALE_BASE64));
    const scale = new WebAssembly.Instance(module, { env: { memory } }).exports.scale as Scale;
    // The first page is left alone: an address of 0 would be a pointer to nothing.
    const start = PAGE;
    const plain = plainScaler(
      new Float32Array(memory.buffer, start, length),
      new Float32Array(memory.buffer, start + bytes, length),
    );
    return {
      ...plain,
      run(i, end, by, low, high) {
        if (end - i < SHORT) return plain.run(i, end, by, low, high);
        return scale(start + 4 * i, start + bytes + 4 * i, end - i, by, low, high) !== 0;
      },
    };
  } catch {
    // No SIMD here.
    return undefined;
  }
}
