/** What equalisation did, as plain data. */
import type { NodeRef } from "../../graph/node-ref.ts";

/** A pair of numbers: before, after. */
export type Change<T = number> = readonly [before: T, after: T];

/** The weight of a layer that can be equalised, whether it changed or not. Ratios are decibels. */
export interface EqualizedWeight {
  readonly node: NodeRef;
  /** Name of the tensor; "" where it has none. */
  readonly tensor: string;
  readonly dims: readonly number[];
  readonly changed: boolean;
  /** Signal to quantisation noise, int8 with one scale. */
  readonly snr: Change;
  /** The same with a scale for each output channel. */
  readonly snrPerChannel: Change;
  /** Largest |w| of each output channel. */
  readonly ranges: Change<readonly number[]>;
}

/** Values that were scaled together. */
export interface EqualizedValue {
  readonly values: readonly string[];
  readonly channels: number;
  /** Channels whose exponent is not 0. */
  readonly moved: number;
  /** Smallest and largest exponent e of v_old = 2^e ⊙ v_new. */
  readonly exponents: readonly [number, number];
  /** Clip operators that got a bound for each channel. */
  readonly clips: number;
}

/** What equalisation did to a model. */
export interface EqualizedData {
  /** Decibels of signal over noise, what is felt of the noise of all weights (and measured values) added up. */
  readonly snr: Change;
  /** Values whose measured ranges counted. */
  readonly activations: number;
  readonly moved: readonly EqualizedValue[];
  /** Sets of values that were looked at and left as they are. */
  readonly left: number;
  readonly weights: readonly EqualizedWeight[];
}
