/** What constants say of how large values are, by hand. */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { candidateOf } from "../../src/laws/candidates.ts";
import { Constants } from "../../src/laws/constants.ts";
import { Magnitudes } from "../../src/laws/magnitudes.ts";
import { factsOf } from "../../src/run/facts.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node } from "../helpers/build.ts";

/** Magnitudes of the values of a model, by name. */
function of(nodes: readonly NodeSpec[], initializers: ModelSpec["initializers"], dims: readonly number[]) {
  const view = viewOf(model({ nodes, initializers, inputs: [{ name: "x", dims }], outputs: [{ name: "y" }] }));
  const facts = factsOf(view);
  const constants = new Constants(view, facts);
  const magnitudes = new Magnitudes(view, facts, (n) => {
    const found = candidateOf(n, facts, constants);
    return found === undefined || "refusal" in found ? undefined : found;
  });
  const named = (name: string) => view.nodes.flatMap((n) => [...n.inputs, ...n.outputs]).find((value) => value?.name === name);
  return { magnitude: (name: string) => magnitudes.of(named(name)), isExact: (name: string) => magnitudes.isExact(named(name)) };
}

const norm = (mean: readonly number[]) => ({
  nodes: [
    node("Transpose", ["x"], ["t"], { perm: [0, 2, 1] }),
    node("BatchNormalization", ["t", "g", "b", "m", "v"], ["y"], { epsilon: f(0) }),
  ],
  initializers: { g: float32([2], [1, 1]), b: float32([2], [0, 0]), m: float32([2], mean), v: float32([2], [9, 16]) },
});

describe("the magnitude of a value", () => {
  it.each([
    [[3, 4], 1],
    [[-3, -4], -1],
    [[-4, 3], -1],
  ])("in front of a Transpose is that of all channels together: their root of the mean square, %j", (mean, sign) => {
    const { nodes, initializers } = norm(mean);
    const found = of(nodes, initializers, [2, 5, 2]).magnitude("x");
    expect(found?.mean).toEqual({ dims: [1, 1, 1], data: Float64Array.of(sign * Math.sqrt(12.5)) });
    expect(found?.deviation).toEqual({ dims: [1, 1, 1], data: Float64Array.of(Math.sqrt(12.5)) });
  });

  it("is exact behind a gain of two, and not behind one of three or a layer", () => {
    const by = (k: number, x: string) =>
      of([node("Tanh", ["x"], ["h"]), node("Mul", [x, "k"], ["y"])], { k: float32([], [k]) }, [2, 3]).isExact("y");
    expect([by(2, "x"), by(-0.5, "x"), by(3, "x"), by(0, "x"), by(2, "h")]).toEqual([true, true, false, false, false]);
  });
});
