/** Nodes that could be taken in either order: what stands around them decides, and only then a name. */
import { expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { inOrder } from "../../src/laws/order.ts";
import { float32, type ModelSpec, model, node } from "../helpers/build.ts";

const spec = (first: string, second: string): ModelSpec => ({
  nodes: [
    node("Mul", ["x", "k"], [first]),
    node("Mul", ["x", "k"], [second]),
    node("Tanh", [first], ["y"]),
    node("Relu", [second], ["z"]),
  ],
  initializers: { k: float32([], [2]) },
  inputs: [{ name: "x", dims: [1, 3] }],
  outputs: [{ name: "y" }, { name: "z" }],
});

it("is the same whatever they are called and wherever they stand", () => {
  for (const [first, second] of ["ab", "ba"]) {
    const view = viewOf(model(spec(first, second)));
    const muls = new Set(view.nodes.filter(({ opType }) => opType === "Mul"));
    const readers = inOrder(view, muls).map((n) => n.outputs[0]?.uses[0].node.opType);
    expect(readers).toEqual(["Relu", "Tanh"]);
  }
});

it("stand behind those that make what they read, whatever they are called", () => {
  const chain: ModelSpec = {
    nodes: [node("Tanh", ["x"], ["t"]), node("Sigmoid", ["t"], ["s"]), node("Abs", ["s"], ["y"])],
    inputs: [{ name: "x", dims: [2] }],
    outputs: [{ name: "y" }],
  };
  const view = viewOf(model(chain));
  const found = inOrder(view, new Set([...view.nodes].reverse()));
  expect(found.map(({ opType }) => opType)).toEqual(["Tanh", "Sigmoid", "Abs"]);
});
