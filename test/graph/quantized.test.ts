/** Shapes and types of quantised layers; expected: what ONNX's own shape inference gives for the same nodes. */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { factsOf } from "../../src/run/facts.ts";
import { model, type NodeSpec, node, type ValueSpec } from "../helpers/build.ts";

function inferred(made: NodeSpec, inputs: readonly ValueSpec[]) {
  const m = model({ nodes: [made], inputs, outputs: [] });
  const view = viewOf(m);
  const facts = factsOf(view);
  return made.outputs.map((name) => facts.of(view.main.values.get(name)));
}
const u8 = (name: string, dims: ValueSpec["dims"]): ValueSpec => ({ name, dtype: "uint8", dims });
const i8 = (name: string, dims: ValueSpec["dims"]): ValueSpec => ({ name, dtype: "int8", dims });
const f32 = (name: string): ValueSpec => ({ name, dims: [] });

describe("quantised layers", () => {
  it("have the shape of the layer and the type of their result", () => {
    const x = u8("x", [1, 3, 8, 8]);
    const w = i8("w", [4, 3, 3, 3]);
    expect(inferred(node("ConvInteger", ["x", "w"], ["y"], { strides: [2, 2] }), [x, w])).toEqual([
      { dtype: 6, shape: [1, 4, 3, 3] },
    ]);
    expect(inferred(node("MatMulInteger", ["a", "b"], ["y"]), [u8("a", [2, 5, 3]), i8("b", [3, 7])])).toEqual([
      { dtype: 6, shape: [2, 5, 7] },
    ]);
    const scales = [f32("xs"), u8("xz", []), f32("ws"), i8("wz", []), f32("ys"), i8("yz", [])];
    expect(
      inferred(node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], { pads: [1, 1, 1, 1] }), [
        x,
        w,
        ...scales,
      ]),
    ).toEqual([{ dtype: 3, shape: [1, 4, 8, 8] }]);
    expect(
      inferred(node("QLinearMatMul", ["a", "xs", "xz", "b", "ws", "wz", "ys", "yz"], ["y"]), [
        u8("a", [5, 3]),
        i8("b", [3, 7]),
        ...scales,
      ]),
    ).toEqual([{ dtype: 3, shape: [5, 7] }]);
    expect(inferred(node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]), [{ name: "x", dims: [2, 3] }])).toEqual([
      { dtype: 2, shape: [2, 3] },
      { dtype: 1, shape: [] },
      { dtype: 2, shape: [] },
    ]);
  });
});
