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

export interface Backend {
  readonly name: string;
  contract(job: Contraction): void;
  depthwise(job: Depthwise): void;
}
