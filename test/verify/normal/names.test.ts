/** Rewritings and the walk along axes after them give what they make names of their own. */
import { expect, it } from "vitest";
import { prove } from "../../../src/verify/index.ts";
import { float32, int64, model, type NodeSpec, node } from "../../helpers/build.ts";
import { floats } from "../../rules/check.ts";

it("a list of one place, which becomes an Expand, whose copies become axes", () => {
  const net = (nodes: NodeSpec[]) =>
    model({
      opset: 17,
      nodes: [...nodes, node("Transpose", ["p"], ["t"], { perm: [0, 2, 1] }), node("MatMul", ["t", "w"], ["y"])],
      initializers: {
        places: int64([3], [0, 0, 0]),
        wanted: int64([3], [1, 3, 1]),
        w: float32([3, 2], [1, 2, 3, 4, 5, 6]),
      },
      inputs: [floats("x", [2, 1, 4])],
      outputs: [floats("y")],
    });
  const gathered = net([node("Gather", ["x", "places"], ["p"], { axis: 1 })]);
  const expanded = net([node("Expand", ["x", "wanted"], ["p"])]);
  const turned = net([node("Tile", ["x", "wanted"], ["p"])]);
  for (const a of [gathered, expanded, turned])
    for (const b of [gathered, expanded, turned]) expect(prove(a, b).outcome).toBe("equal");
  const other = net([node("Gather", ["x", "places"], ["q"], { axis: 1 }), node("Neg", ["q"], ["p"])]);
  expect(prove(gathered, other).outcome).not.toBe("equal");
});
