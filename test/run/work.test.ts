import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { bytesOf, multiplyAdds } from "../../src/run/work.ts";
import { model, node } from "../helpers/build.ts";

const of = (...dims: number[]): Tensor => ({ dtype: "float32", dims, data: new Float64Array(0) });
const cost = (op: string, inputs: (Tensor | undefined)[], output: Tensor, domain = ""): number => {
  const { graph } = model({
    nodes: [node(op, ["a", "b"], ["y"], {}, { domain })],
    outputs: [{ name: "y" }],
    opsets: { "": 21, other: 1 },
  });
  return multiplyAdds(graph.nodes[0], inputs, [output]);
};

describe("multiply-adds", () => {
  it.each<[string, (Tensor | undefined)[], Tensor, number]>([
    ["Conv", [of(1, 3, 224, 224), of(64, 3, 7, 7)], of(1, 64, 112, 112), 118_013_952],
    ["Conv", [of(2, 8, 10, 10), of(8, 1, 3, 3)], of(2, 8, 10, 10), 2 * 8 * 100 * 9],
    ["ConvTranspose", [of(1, 100, 1, 1), of(100, 512, 4, 4)], of(1, 512, 4, 4), 100 * 512 * 16],
    ["DeformConv", [of(1, 8, 6, 6), of(8, 4, 3, 3), of(1, 18, 4, 4)], of(1, 8, 4, 4), 8 * 16 * 4 * 9],
    ["Gemm", [of(1, 2048), of(1000, 2048)], of(1, 1000), 2_048_000],
    ["Gemm", [of(1, 2048), of(2048, 1000)], of(1, 1000), 2_048_000],
    ["MatMul", [of(2, 5, 7), of(2, 7, 3)], of(2, 5, 3), 2 * 5 * 7 * 3],
    ["MatMul", [of(7), of(7)], of(), 7],
    ["QLinearConv", [of(1, 3, 8, 8), of(), of(), of(4, 3, 1, 1)], of(1, 4, 8, 8), 4 * 64 * 3],
    ["LSTM", [of(10, 2, 6), of(1, 16, 6), of(1, 16, 4)], of(10, 1, 2, 4), 10 * 2 * (16 * 6 + 16 * 4)],
    ["Add", [of(4), of(4)], of(4), 0],
  ])("%s", (op, inputs, output, expected) => expect(cost(op, inputs, output)).toBe(expected));

  it("of an operator from another domain are not counted", () => {
    expect(cost("MatMul", [of(2, 2), of(2, 2)], of(2, 2), "other")).toBe(0);
  });
});

it("bytes of values count a shared array once and look into sequences and optionals", () => {
  const a: Tensor = { dtype: "float32", dims: [4], data: new Float64Array(4) };
  const view: Tensor = { ...a, dims: [2, 2] };
  const words: Tensor = { dtype: "string", dims: [3], data: ["a", "b", "c"] };
  const b: Tensor = { dtype: "bool", dims: [5], data: new Uint8Array(5) };
  expect(bytesOf([a, view, undefined])).toBe(32);
  expect(bytesOf([{ kind: "sequence", items: [a, { kind: "optional", item: b }] }, a])).toBe(37);
  expect(bytesOf([words])).toBe(24);
});
