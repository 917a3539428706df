/** What equalisation did, as plain data. */
import type { Steps } from "../../diag/steps.ts";
import type { GraphNode, GraphView } from "../../graph/view.ts";
import { refOf } from "../describe.ts";
import type { Draft } from "../draft.ts";
import type { NodeRef } from "../types.ts";
import type { Group, LayerWeight } from "./layers.ts";
import type { Noise } from "./noise.ts";

/** A pair of numbers: before, after. */
type Change<T = number> = readonly [before: T, after: T];

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

/** Equalises a plan's weights, made by `equalization`. `fixed`: operators whose constants, and the values around them, stay. */
export interface Equalization {
  readonly run: (view: GraphView, draft: Draft, fixed: (node: GraphNode) => boolean) => Steps<EqualizedData>;
}

/** Signal over noise in decibels, to a hundredth. */
export const decibels = (ratio: number): number => Math.round(-1000 * Math.log10(ratio)) / 100;

const brief = (x: number): number => Number(x.toPrecision(5));

export interface Done {
  readonly groups: readonly Group[];
  readonly left: number;
  readonly exponents: Int32Array;
  readonly weights: readonly { readonly layer: LayerWeight; readonly before: Noise; readonly after: Noise }[];
  readonly snr: Change;
  readonly activations: number;
}

export function toldOf({ groups, left, exponents, weights, snr, activations }: Done): EqualizedData {
  return {
    snr,
    activations,
    moved: groups.map(({ classes, values, clips }) => {
      const own = classes.map((c) => exponents[c]);
      return {
        values: values.map(({ name }) => name),
        channels: own.length,
        moved: own.filter((e) => e !== 0).length,
        exponents: [Math.min(...own), Math.max(...own)],
        clips: new Set(own).size > 1 ? clips : 0,
      };
    }),
    left,
    weights: weights.map(({ layer: { node, param, inputs, outputs }, before, after }) => ({
      node: refOf(node),
      tensor: param.source?.name ?? "",
      dims: param.dims,
      changed: [...inputs, ...outputs].some((c) => c >= 0 && exponents[c] !== 0),
      snr: [decibels(before.tensor), decibels(after.tensor)],
      snrPerChannel: [decibels(before.channel), decibels(after.channel)],
      ranges: [[...before.ranges].map(brief), [...after.ranges].map(brief)],
    })),
  };
}
