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
/** Both layers as one. */
const merged: ModelSpec = {
  ...net([node("Gemm", ["x", "v"], ["y"])], 0),
  initializers: { v: float32([3, 2], [1.4375, -0.0625, -0.125, -2.625, 0, 2]) },
};
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

  it("is none where only the first file loses them, behind a rewrite that is not decided or inside layers that became one", () => {
    const low = [node("Cast", ["h"], ["l"], { to: 10 }), node("Cast", ["l"], ["k"], { to: 1 })];
    const spelt = [
      node("Abs", ["h"], ["a"]),
      node("Add", ["h", "a"], ["t"]),
      node("Constant", [], ["c"], { value: float32([], [0.5]) }),
      node("Mul", ["t", "c"], ["r"]),
    ];
    const rectified = (from: string) => node("Relu", [from], ["r"]);
    expect(verdict(layers([rectified("h")], 0, "r"), layers(spelt, 0, "r"))).toBe("equivalent");
    expect(verdict(layers([...low, rectified("k")], 0, "r"), layers(spelt, 0, "r"))).toBe("undecided");
    expect(verdict(layers(low, 0, "k"), merged)).toBe("undecided");
    expect(verdict(layers([], 0, "h"), merged)).toBe("equivalent");
  });

  it("is none where both outputs are decided by what rounding moves as far", () => {
    // Every number of the value compared lies on the edge of the step.
    const step = (bias: number): ModelSpec => ({
      ...layers([], 0, "h"),
      nodes: [
        node("Sub", ["x", "x"], ["z"]),
        node("Gemm", ["z", "w", "b"], ["h"]),
        node("ThresholdedRelu", ["h"], ["r"], { alpha: { kind: "float", value: 0.75 } }),
        node("Gemm", ["r", "u", "e"], ["y"]),
      ],
      initializers: { ...layers([], 0.75, "h").initializers, e: float32([2], [bias, bias]) },
    });
    expect(verdict(step(0), step(0))).toBe("equivalent");
    expect(verdict(step(0), step(0.5))).not.toBe("equivalent");
  });
});
