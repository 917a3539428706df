import { expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { write } from "../../src/onnx/write.ts";
import { prove } from "../../src/verify/index.ts";
import { float32, model, type NodeSpec, node } from "../helpers/build.ts";
import { floats } from "../rules/check.ts";

/** If without a name, whose output is multiplied afterwards. */
const spec = (branch: NodeSpec[], out: string, after: NodeSpec[] = []) =>
  model({
    opset: 13,
    nodes: [
      {
        op: "If",
        inputs: ["c"],
        outputs: [out],
        attributes: {
          then_branch: { nodes: branch, outputs: [floats("t")] },
          else_branch: { nodes: [node("Neg", ["x"], ["e"])], outputs: [floats("e")] },
        },
      },
      ...after,
      node("Relu", [after.length > 0 ? "m" : out], ["y"]),
    ],
    initializers: { k: float32([], [2]) },
    inputs: [floats("x", [2, 3]), { name: "c", dtype: "bool", dims: [] }],
    outputs: [floats("y")],
  });

it("inner graphs correspond although the node that holds them gives another name", () => {
  const a = spec([node("Abs", ["x"], ["t"])], "v");
  const b = spec([node("Abs", ["x"], ["t"])], "w");
  expect(prove(a, b).outcome).toBe("equal");
  expect(prove(a, spec([node("Neg", ["x"], ["t"])], "w")).outcome).not.toBe("equal");
});

it("a map that goes into the branches leaves the If another output", () => {
  const a = spec([node("Abs", ["x"], ["t"])], "v", [node("Mul", ["v", "k"], ["m"])]);
  const { edits } = plan(a);
  const b = read(memorySource(collect(write(a, edits).main), "b.onnx"));
  expect(prove(a, b, { foreign: false }).outcome).toBe("equal");
});
