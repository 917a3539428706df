/** Operators as rows of coefficients, what two of them are compared within, and where they differ. */
import type { Param } from "../../rules/types.ts";

/** How rows stand in a file: one after the other, or side by side as columns. */
export type Layout = "rows" | "columns";

export interface Rows {
  /** Axis of the output tensor the rows lie on. */
  readonly axis: number;
  /** Where they lie on several axes: the output's axes, 1 where the coefficients do not vary. */
  readonly dims?: readonly number[];
  readonly count: number;
  readonly width: number;
  /** [count, width], row-major. */
  readonly weights: Float64Array;
  /** One number per row; zeros when there is no bias. */
  readonly bias: Float64Array;
  /**
   * Σ|terms| of each coefficient and bias, where they were added up: what float64 rounding is measured against. That of the
   * coefficients is as much work as they are themselves, and asked for only where their own size does not suffice.
   */
  readonly magnitude?: () => Float64Array;
  readonly biasMagnitude?: Float64Array;
  /** What each coefficient and bias may be off because the file computes it (budgets.ts). */
  readonly open?: Float64Array;
  readonly biasOpen?: Float64Array;
  /** What the operator multiplies its stored numbers with, where that is not 1: their rounding is multiplied as well. */
  readonly factors?: { readonly weights: number; readonly bias: number };
  /** Name of the weight, for messages. */
  readonly weight: string;
  readonly biasName: string;
}

/** What both files must agree on besides numbers. */
export interface Linear {
  readonly key: string;
  readonly weightIndex: number;
  readonly rowsOf: (weight: Float64Array, bias: Float64Array | undefined) => Rows;
  readonly weight: Param;
  readonly bias: Param | undefined;
  /** How the rows stand in the file, where they do so one by one: one after the other, or each number beside that of the next. */
  readonly layout?: Layout;
  /** True when its scales are what is stored: a weight is then off by a part of itself. */
  readonly dequantized?: boolean;
  /** Where each row ends in the weights of a channel of ones: Σ|terms| of these. */
  readonly ones?: () => Float64Array;
  /** Attributes that must agree within one rounding. */
  readonly numbers?: Readonly<Record<string, number>>;
}

export interface Tolerance {
  /** Half-ulps a weight may be off. */
  readonly weight: number;
  /** True for files of other tools: biases are judged by the sum of their terms. */
  readonly foreign: boolean;
}

/** True where an error lies within what is allowed: room that infinite numbers make allows nothing. */
export const allows = (room: number, error: number): boolean => error <= room && room < Number.POSITIVE_INFINITY;

/** How far apart two numbers are; infinite ones, and NaN, are so unless they are the same. */
export const distance = (x: number, y: number): number => (Object.is(x, y) ? 0 : Math.abs(x - y));

export const OWN: Tolerance = { weight: 1.01, foreign: false };
export const FOREIGN: Tolerance = { weight: 6, foreign: true };

export interface Misfit {
  readonly tensor: string;
  readonly index: readonly number[];
  readonly expected: number;
  readonly got: number;
}
