/** Weights that a batch normalization in training mode standardizes: constants all of it, and laid out again by the shape of what they were. */
import { describe, expect, it } from "vitest";
import { trainingNodes } from "../../src/train/freeze.ts";
import { prove } from "../../src/verify/index.ts";
import { f, float32, int64, type ModelSpec, model, modelBytes, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const [OUT, IN, K] = [16, 8, 3];
const numbers = (n: number, step = 1) => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(step * (i + 1))));

/** The weight of a layer as PyTorch's exporter writes `F.batch_norm(weight.reshape(1, OUT, -1), training=True).reshape_as(weight)`. */
function net(gained: boolean): ModelSpec {
  return {
    opset: 17,
    nodes: [
      node("Reshape", ["w", "rows"], ["flat"]),
      node("BatchNormalization", ["flat", "g", "b", "m", "v"], ["std", "rm", "rv"], { epsilon: f(1e-5), training_mode: 1 }),
      node("Shape", ["w"], ["shape"]),
      node("Reshape", ["std", "shape"], ["weight"]),
      node("Conv", ["x", "weight"], [gained ? "c" : "y"], { pads: [1, 1, 1, 1] }),
      ...(gained ? [node("Mul", ["c", "k"], ["y"])] : []),
    ],
    initializers: {
      w: float32([OUT, IN, K, K], numbers(OUT * IN * K * K)),
      rows: int64([3], [1, OUT, -1]),
      g: float32([OUT], numbers(OUT, 2)),
      b: float32([OUT], new Array(OUT).fill(0)),
      m: float32([OUT], new Array(OUT).fill(0)),
      v: float32([OUT], new Array(OUT).fill(1)),
      ...(gained ? { k: float32([OUT, 1, 1], numbers(OUT, 3)) } : {}),
    },
    inputs: [{ name: "x", dims: [1, IN, 6, 6] }],
    outputs: [{ name: "y" }],
  };
}

describe("a standardized weight", () => {
  it.each([
    ["as it is", false],
    ["with a gain behind the layer", true],
  ] as const)("is stored once, and what it was made of goes: %s", (_name, gained) => {
    const before = model(net(gained));
    const after = folded(before);
    expect(after.model.graph.nodes.map(({ opType }) => opType)).toEqual(["Conv"]);
    expect(after.bytes.length).toBeLessThan(modelBytes(net(gained)).length);
    expect(prove(before, after.model, { foreign: false, gauges: after.gauges }).outcome).toBe("equal");
  });

  it("depends on no batch: nobody is told that the network is in training mode", () => {
    expect(trainingNodes(model(net(false)))).toBeUndefined();
    const spec = net(false);
    const [, norm] = spec.nodes;
    const fed = { ...spec, nodes: [{ ...norm, inputs: ["x", "n", "n", "n", "n"], outputs: ["y"] }] };
    const ones = float32([IN], new Array(IN).fill(1));
    expect(trainingNodes(model({ ...fed, initializers: { n: ones } }))).toEqual({ batchNormalization: 1, dropout: 0 });
  });
});
