import { describe, expect, it } from "vitest";
import { shapeClash } from "../../src/graph/shape-clash.ts";
import { viewOf } from "../../src/graph/view.ts";
import { factsOf } from "../../src/run/facts.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { float32, type ModelSpec, model, type NodeSpec, node } from "../helpers/build.ts";

const zeros = (...dims: number[]) => float32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(0.5));
const net = (
  one: NodeSpec,
  initializers: ModelSpec["initializers"],
  dims: (number | string)[] = ["N", 3, "H", "W"],
): ModelSpec => ({
  opsets: { "": 17 },
  nodes: [one],
  initializers,
  inputs: [{ name: "x", dims }],
  outputs: [{ name: "y" }],
});
const conv = (attributes: NodeSpec["attributes"], weight: readonly number[], op = "Conv", bias?: readonly number[]): ModelSpec =>
  net(node(op, ["x", "w", ...(bias === undefined ? [] : ["b"])], ["y"], attributes), {
    w: zeros(...weight),
    ...(bias === undefined ? {} : { b: zeros(...bias) }),
  });
function clash(spec: ModelSpec): string | undefined {
  const view = viewOf(model(spec));
  return shapeClash(view.nodes[0], factsOf(view));
}

describe("sizes that do not go together", () => {
  it.each([
    ["channels", conv({}, [4, 5, 3, 3]), "a weight for 5 channels and an input of 3"],
    ["groups", conv({ group: 2 }, [4, 3, 3, 3]), "a weight for 6 channels and an input of 3"],
    ["outputs in groups", conv({ group: 3 }, [4, 1, 3, 3]), "4 channels in 3 groups"],
    ["axes", conv({}, [4, 3, 3]), "a weight of 3 axes and an input of 4"],
    ["strides", conv({ strides: [0, 1] }, [4, 3, 3, 3]), "strides of 0, 1"],
    ["lists", conv({ pads: [1, 1] }, [4, 3, 3, 3]), "2 pads for 2 axes"],
    ["kernels", conv({ kernel_shape: [5, 5] }, [4, 3, 3, 3]), "a kernel_shape of 5×5 and a weight of 3×3"],
    ["biases", conv({}, [4, 3, 3, 3], "Conv", [3]), "a bias of [3] for 4 channels"],
    ["transposed", conv({}, [4, 3, 3, 3], "ConvTranspose"), "a weight for 4 channels and an input of 3"],
    ["matrices", net(node("MatMul", ["x", "w"], ["y"]), { w: zeros(4, 2) }, ["N", 3]), "matrices that meet in 3 and 4"],
    ["elements", net(node("Add", ["x", "w"], ["y"]), { w: zeros(4) }, ["N", 3]), "sizes 3 and 4 along one axis"],
  ])("are told: %s", (_name, spec, text) => {
    expect(clash(spec)).toBe(text);
  });

  it.each([
    ["a convolution", conv({ strides: [2, 2], pads: [1, 1, 1, 1], dilations: [1, 1] }, [4, 3, 3, 3], "Conv", [4])],
    ["groups", conv({ group: 3 }, [6, 1, 3, 3])],
    ["transposed groups", conv({ group: 3 }, [3, 2, 3, 3], "ConvTranspose", [6])],
    ["channels nobody knows", net(node("Conv", ["x", "w"], ["y"]), { w: zeros(4, 5, 3, 3) }, ["N", "C", "H", "W"])],
    ["a size of one", net(node("Add", ["x", "w"], ["y"]), { w: zeros(4) }, ["N", 1])],
    ["a vector", net(node("MatMul", ["x", "w"], ["y"]), { w: zeros(3) }, ["N", 3])],
    ["slopes of old", { ...net(node("PRelu", ["x", "w"], ["y"]), { w: zeros(3) }, ["N", 3, 4, 5]), opsets: { "": 6 } }],
  ])("and others are not: %s", (_name, spec) => {
    expect(clash(spec)).toBeUndefined();
  });

  it("make a second file different without a run, and say nothing where the first file has them too", () => {
    const [right, wrong] = [model(conv({}, [4, 3, 3, 3])), model(conv({ group: 2 }, [4, 3, 3, 3]))];
    const verdict = verifyModels(right, wrong, { run: false });
    expect(verdict.outcome).toBe("different");
    expect(verdict.summary).toContain("has a weight for 6 channels and an input of 3, which ONNX does not allow");
    expect(verifyModels(wrong, wrong, { run: false }).outcome).toBe("equivalent");
  });
});
