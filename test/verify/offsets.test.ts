import { describe, expect, it } from "vitest";
import { witness } from "../../src/verify/witness.ts";
import { float32, model, node, type TensorSpec } from "../helpers/build.ts";

/** A product and a gain, folded or not, whose constants stand where no session option reaches them. */
const W = Array.from({ length: 24 }, (_, i) => Math.fround(Math.sin(i + 1)));
const gain = [0.7, -1.9, 0.013, 3.3, 11.7, -0.4].map(Math.fround);
const folded = W.map((w, i) => Math.fround(w * gain[i % 6]));

const body = (isFolded: boolean) => [
  node("MatMul", ["v", "W"], [isFolded ? "out" : "h"]),
  ...(isFolded ? [] : [node("Mul", ["h", "g"], ["out"])]),
];

function constants(isFolded: boolean, weights: readonly number[]): Record<string, TensorSpec> {
  return { W: float32([4, 6], weights), ...(isFolded ? {} : { g: float32([6], gain) }) };
}

const places = {
  "a subgraph": (isFolded: boolean, weights: readonly number[]) => {
    const branch = {
      nodes: [node("Identity", ["x"], ["v"]), ...body(isFolded)],
      initializers: constants(isFolded, weights),
      outputs: [{ name: "out" }],
    };
    return model({
      nodes: [node("If", ["yes"], ["y"], { then_branch: branch, else_branch: branch })],
      initializers: { yes: { dtype: "bool", dims: [], values: [1] } },
      inputs: [{ name: "x", dims: [3, 4] }],
      outputs: [{ name: "y" }],
    });
  },
  "a function": (isFolded: boolean, weights: readonly number[]) =>
    model({
      nodes: [node("Block", ["x"], ["y"], {}, { domain: "local" })],
      inputs: [{ name: "x", dims: [3, 4] }],
      outputs: [{ name: "y" }],
      opsets: { "": 21, local: 1 },
      functions: [
        {
          name: "Block",
          domain: "local",
          inputs: ["v"],
          outputs: ["out"],
          nodes: [
            ...Object.entries(constants(isFolded, weights)).map(([name, value]) => node("Constant", [], [name], { value })),
            ...body(isFolded),
          ],
        },
      ],
    }),
};

describe.each(Object.entries(places))("constants in %s", (_, make) => {
  it("are rounded in the draws: a good fold passes with the noise of its own constants", () => {
    const run = witness(make(false, W), make(true, folded));
    expect(run.outcome).toBe("equal");
    const [output] = run.samples[0].outputs;
    expect(output.rmsDifference).toBeGreaterThan(0);
    expect(output.rounding).toBeGreaterThan(output.rmsDifference / 3);
    // Rounding moves products of order one by about 1e-8 of themselves, not more.
    expect(output.rounding / output.rms).toBeLessThan(1e-6);
  });

  it("a fault is found", () => {
    const wrong = folded.map((w, i) => (i === 9 ? Math.fround(w * 1.001) : w));
    expect(witness(make(false, W), make(true, wrong)).outcome).toBe("different");
  });
});
