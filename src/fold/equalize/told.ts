/** Tells what equalisation did (data.ts). */
import type { Steps } from "../../diag/steps.ts";
import type { GraphNode, GraphView } from "../../graph/view.ts";
import type { Draft } from "../../laws/draft.ts";
import { refOf } from "../describe.ts";
import type { Change, EqualizedData } from "./data.ts";
import type { Group, LayerWeight } from "./layers.ts";
import type { Noise } from "./noise.ts";

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
