/** Two draws are two numbers, however alike the operators are that make them. */
import { describe, expect, it } from "vitest";
import { prove, verifyModels } from "../../src/verify/index.ts";
import { float32, model, type NodeSpec, node } from "../helpers/build.ts";
import { floats } from "../rules/check.ts";

const net = (nodes: NodeSpec[]) =>
  model({
    nodes,
    initializers: { ratio: float32([], [0.5]), train: { dtype: "bool", dims: [], values: [1] } },
    inputs: [floats("x", [2, 3])],
    outputs: [floats("y")],
  });

describe.each<[string, (out: string) => NodeSpec]>([
  ["RandomNormalLike", (out) => node("RandomNormalLike", ["x"], [out])],
  ["Dropout that trains", (out) => node("Dropout", ["x", "ratio", "train"], [out])],
])("%s", (_name, draw) => {
  const one = net([draw("p"), node("Sub", ["p", "p"], ["y"])]);
  const two = net([draw("p"), draw("q"), node("Sub", ["p", "q"], ["y"])]);

  it("twice is not once", () => {
    expect(prove(one, two).outcome).not.toBe("equal");
    expect(prove(two, one).outcome).not.toBe("equal");
    expect(verifyModels(one, two).outcome).not.toBe("equivalent");
    expect(verifyModels(two, one).outcome).not.toBe("equivalent");
  });

  it("is what it is", () => {
    expect(prove(one, one).outcome).toBe("equal");
    expect(prove(two, two).outcome).toBe("equal");
    const turned = net([draw("q"), draw("p"), node("Sub", ["p", "q"], ["y"])]);
    expect(prove(two, turned).outcome).toBe("equal");
  });
});
