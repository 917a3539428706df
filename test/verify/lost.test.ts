/** What no run shows: an operator left out where it does nothing to the inputs tried, and digits that are lost on the way. */
import { describe, expect, it } from "vitest";
import { verifyModels } from "../../src/verify/index.ts";
import { float32, type ModelSpec, model, type NodeSpec, node } from "../helpers/build.ts";

const net = (nodes: NodeSpec[], shift: number): ModelSpec => ({
  opsets: { "": 17 },
  nodes,
  initializers: {
    w: float32([3, 3], [1, 0.5, -0.25, 0.75, -1, 0.5, 0.25, 1, 1]),
    b: float32([3], [shift, shift, shift]),
    u: float32([3, 2], [1, -1, 0.5, 2, -0.75, 0.25]),
  },
  inputs: [{ name: "x", dims: ["N", 3] }],
  outputs: [{ name: "y", dims: ["N", 2] }],
});
const layers = (between: readonly NodeSpec[], shift: number, read: string): ModelSpec =>
  net([node("Gemm", ["x", "w", "b"], ["h"]), ...between, node("Gemm", [read, "u"], ["y"])], shift);
const relu = [node("Relu", ["h"], ["r"])];
const verdict = (a: ModelSpec, b: ModelSpec) => verifyModels(model(a), model(b)).outcome;

describe("what no run shows", () => {
  it("is no equivalence where a Relu is left out on values that are always positive on the inputs tried", () => {
    expect(verdict(layers(relu, 1e6, "r"), layers([], 1e6, "h"))).toBe("undecided");
    expect(verdict(layers(relu, 0, "r"), layers([], 0, "h"))).toBe("different");
    expect(verdict(layers(relu, 1e6, "r"), layers(relu, 1e6, "r"))).toBe("equivalent");
  });

  it("is one where what is left out does nothing at all", () => {
    const twice = [...relu, node("Relu", ["r"], ["s"])];
    expect(verdict(layers(twice, 0, "s"), layers(relu, 0, "r"))).toBe("equivalent");
  });

  it("is none where a value loses digits on the way", () => {
    const low = [node("Cast", ["h"], ["l"], { to: 10 }), node("Cast", ["l"], ["r"], { to: 1 })];
    expect(verdict(layers([], 0, "h"), layers(low, 0, "r"))).toBe("undecided");
    expect(verdict(layers(low, 0, "r"), layers(low, 0, "r"))).toBe("equivalent");
  });
});
