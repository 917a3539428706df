/** Parameters that sizes alone say are constant where the sizes that count are known, whatever the others are. */
import { expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { prove } from "../../src/verify/proof.ts";
import { float32, int64, type ModelSpec, model, type NodeSpec, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const values = (n: number, k: number) => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(k + 2.3 * i)));

/** A layer, and a normalization whose gain and shift are as many ones and zeros as a size of what it reads. */
const net = (size: NodeSpec[]): ModelSpec => ({
  opset: 17,
  nodes: [
    node("Conv", ["x", "w"], ["c"]),
    ...size,
    node("Expand", ["one", "size"], ["gain"]),
    node("Expand", ["zero", "size"], ["shift"]),
    node("BatchNormalization", ["c", "gain", "shift", "mean", "variance"], ["y"]),
  ],
  initializers: {
    w: float32([4, 2, 1, 1], values(8, 1)),
    one: float32([1], [1]),
    zero: float32([1], [0]),
    at: int64([1], [1]),
    mean: float32([4], values(4, 2)),
    variance: float32([4], [1, 2, 0.5, 0.25]),
  },
  inputs: [{ name: "x", dims: ["N", 2, "H", "W"] }],
  outputs: [{ name: "y" }],
});

it.each([
  ["a part of the shape", [node("Shape", ["c"], ["size"], { start: 1, end: 2 })]],
  ["picked out of the shape", [node("Shape", ["c"], ["s"]), node("Gather", ["s", "at"], ["size"])]],
])("the channels as %s", (_name, size) => {
  const a = model(net(size));
  expect(plan(a).data.folds.length).toBe(1);
  expect(prove(a, folded(a).model, { foreign: false }).outcome).toBe("equal");
});

it("not the batch", () => {
  expect(plan(model(net([node("Shape", ["c"], ["size"], { start: 0, end: 1 })]))).data.folds).toEqual([]);
});
