/**
 * The two primitives every heavy operator is made of, and the contract of a backend that computes them. All backends give
 * the same bits: one accumulator an output, started at `init`, then one product rounded and added for k = 0, 1, 2, …
 */
import type { FloatArray } from "../onnx/tensor.ts";

/** Planes of `x` to be put into larger, zeroed planes before use. */
export interface Frame {
  readonly planes: number;
  /** Rows of one plane of x, and their length in elements. */
  readonly rows: number;
  readonly rowLength: number;
  /** Elements of a framed plane, and where each row starts in it. */
  readonly plane: number;
  readonly rowAt: Int32Array;
  /** Filled with −∞, not with zeros. */
  readonly lowest?: boolean;
}

/** Where one image (or matrix of a batch) is read from and written to, in elements. */
export interface Part {
  /** First element of x and how many are used. */
  readonly from: number;
  readonly length: number;
  /** First element of out. */
  readonly to: number;
}

/** out[to + m·outRow + n] = init[m·initRow + n·initCol] + Σ_k a[aBase + m·aRow + aTap[k]] · x[from + tap[k] + col[n]]. */
export interface Contraction {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: FloatArray;
  readonly aBase: number;
  readonly aRow: number;
  readonly aTap: Int32Array;
  readonly x: FloatArray;
  readonly frame?: Frame;
  /** Offsets into x, or into the framed planes. */
  readonly tap: Int32Array;
  /** Strictly ascending. */
  readonly col: Int32Array;
  /** Zero when absent. Not both steps are 1. */
  readonly init?: FloatArray;
  readonly initBase?: number;
  readonly initRow?: 0 | 1;
  readonly initCol?: 0 | 1;
  readonly out: Float64Array;
  readonly outRow: number;
  readonly parts: readonly Part[];
}

/** out[to + (m·rows + r)·length + j] = init[m] + Σ_k w[m·k + k'] · x[from + ⌊m/multiplier⌋·plane + tap[k'] + row[r] + j·step]. */
export interface Depthwise {
  /** Output channels. */
  readonly channels: number;
  /** Output channels made from one input channel. */
  readonly multiplier: number;
  readonly k: number;
  readonly w: FloatArray;
  readonly x: FloatArray;
  /** Elements of one plane of x, framed if there is a frame. */
  readonly plane: number;
  readonly frame?: Frame;
  readonly tap: Int32Array;
  readonly row: Int32Array;
  readonly length: number;
  readonly step: number;
  readonly init?: FloatArray;
  readonly out: Float64Array;
  readonly parts: readonly Part[];
}

/**
 * A convolution with kernel 3, stride 1 and dilation 1 on its last `axes` axes (2 or 3), computed over tiles of two outputs along each:
 *   out[to + m·outRow + outAt[t] + place[q]] = Aᵀ_q ( Σ_k (G a[m, k]) ⊙ (Bᵀ x[from + tap[k] + tile[t] + point[·]]) ) + init[m]
 * for the q whose bit of mask[t] is set. Formulas and order of every sum: winograd.ts.
 */
export interface Tiling {
  readonly m: number;
  readonly k: number;
  readonly axes: 2 | 3;
  /** Dense rows of k kernels of 3^axes numbers. */
  readonly a: FloatArray;
  readonly aBase: number;
  readonly x: FloatArray;
  readonly frame?: Frame;
  readonly tap: Int32Array;
  readonly tile: Int32Array;
  /** 4^axes offsets. */
  readonly point: Int32Array;
  readonly init?: FloatArray;
  readonly initBase: number;
  readonly out: Float64Array;
  readonly outRow: number;
  readonly outAt: Int32Array;
  /** 2^axes offsets. */
  readonly place: Int32Array;
  readonly mask: Int32Array;
  readonly parts: readonly Part[];
}

/** out[(p·rows + r)·length + j] = max_k x[p·plane + tap[k] + row[r] + j·step] as Math has it, for every plane of x. */
export interface Pooling {
  readonly planes: number;
  readonly x: FloatArray;
  /** Elements of one plane of x, framed if there is a frame. */
  readonly plane: number;
  readonly frame?: Frame;
  readonly tap: Int32Array;
  readonly row: Int32Array;
  readonly length: number;
  readonly step: number;
  readonly out: Float64Array;
}

/** Element by element; `out` may be x or y. */
export type Pointwise =
  /** (x − mean[c])·factor[c] + shift[c] over planes of `inner` elements, c running through the channels. */
  | {
      readonly kind: "affine";
      readonly x: FloatArray;
      readonly out: Float64Array;
      readonly inner: number;
      readonly mean: Float64Array;
      readonly factor: Float64Array;
      readonly shift: Float64Array;
    }
  /** min(max(x, low), high) as Math has them. */
  | { readonly kind: "clip"; readonly x: FloatArray; readonly out: Float64Array; readonly low: number; readonly high: number }
  /** x + y, both as long as `out`. */
  | { readonly kind: "add"; readonly x: FloatArray; readonly y: FloatArray; readonly out: Float64Array };

export const TAME_EXPONENT = 300;

/**
 * A backend may hold results back in a memory of its own until somebody else wants them: a chain of kernels then copies nothing. While an
 * array is held its own elements mean nothing; every function here that reads or writes arrays knows of those held.
 */
export interface Backend {
  readonly name: string;
  /** Sums of products, as `Contraction` states them. */
  contract(job: Contraction): void;
  /** The same for one row of weights on each plane, as `Depthwise` states it. */
  depthwise(job: Depthwise): void;
  /** False when some weight is not tame: then part of the results may have been written. */
  tiles(job: Tiling): boolean;
  /** False when the caller is to do it (its arrays are settled then). */
  pointwise(job: Pointwise): boolean;
  /** Likewise. */
  largest(job: Pooling): boolean;
  /** Whether all of x is below 2^TAME_EXPONENT in magnitude (NaN is not). */
  tame(x: FloatArray): boolean;
  /** Allows what is written to `out` next, all of it, to be held back. */
  hold(out: Float64Array): void;
  /** Brings the array up to date; it is held no more. */
  settle(data: object): void;
  /** Nobody reads the array any more. */
  drop(data: object): void;
}
