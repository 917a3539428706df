/** Two ways of writing, which the proof has to know as one, and what only looks like one of them. */
import { describe, expect, it } from "vitest";
import { prove } from "../../../src/verify/proof.ts";
import { type ModelSpec, model, type NodeSpec, type TensorSpec, type ValueSpec } from "../../helpers/build.ts";

export type Pair = readonly [ModelSpec, ModelSpec];

export const MICROSOFT = { opsets: { "": 21, "com.microsoft": 1 } };
export const microsoft = { domain: "com.microsoft" };

export const net = (
  inputs: readonly ValueSpec[],
  nodes: readonly NodeSpec[],
  initializers: Record<string, TensorSpec> = {},
  more: Partial<ModelSpec> = MICROSOFT,
): ModelSpec => ({ nodes: [...nodes], initializers, inputs: [...inputs], outputs: [{ name: "y" }], ...more });

export const series = (n: number, step = 7): number[] => Array.from({ length: n }, (_, i) => (((i + 1) * step) % 13) / 4 - 1.5);

const outcome = ([a, b]: Pair) => prove(model(a), model(b)).outcome;

export function judge(family: string, same: Readonly<Record<string, Pair>>, unequal: Readonly<Record<string, Pair>>): void {
  describe(family, () => {
    it.each(Object.entries(same))("%s", (_name, [a, b]) => {
      expect(outcome([a, b])).toBe("equal");
      expect(outcome([b, a])).toBe("equal");
    });
    it.each(Object.entries(unequal))("%s is not the same", (_name, [a, b]) => {
      expect(outcome([a, b])).not.toBe("equal");
      expect(outcome([b, a])).not.toBe("equal");
    });
  });
}
