/** The mistakes people meet: every message names the node and shows the types and shapes it was given. */
import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import type { DType } from "../../src/onnx/dtype.ts";
import { allocate, sizeOf, type Tensor } from "../../src/onnx/tensor.ts";
import { createSession } from "../../src/run/session.ts";
import { type AttributeSpec, int64, model, node, type TensorSpec } from "../helpers/build.ts";

type Given = readonly [dtype: DType, dims: readonly number[]] | TensorSpec;

function failure(op: string, given: readonly Given[], attributes: Record<string, AttributeSpec> = {}, opset = 17): BnfoldError {
  const names = given.map((_, i) => `x${i}`);
  const constants = given.flatMap((entry, i): [string, TensorSpec][] => ("dtype" in entry ? [[names[i], entry]] : []));
  const fed = given.flatMap((entry, i) => ("dtype" in entry ? [] : [{ name: names[i], dtype: entry[0], dims: entry[1] }]));
  const m = model({
    nodes: [node(op, names, ["y"], attributes, { name: "culprit" })],
    initializers: Object.fromEntries(constants),
    inputs: fed.map(({ name, dtype, dims }) => ({ name, dtype, dims })),
    outputs: [{ name: "y" }],
    opset,
  });
  const feeds = new Map(
    fed.map(({ name, dtype, dims }): [string, Tensor] => [name, { dtype, dims, data: allocate(dtype, sizeOf(dims)) }]),
  );
  try {
    createSession(m).run(feeds);
  } catch (error) {
    if (error instanceof BnfoldError) return error;
    throw error;
  }
  throw new Error(`${op} accepted it`);
}

const CASES: readonly [
  what: string,
  op: string,
  given: readonly Given[],
  says: RegExp,
  attributes?: Record<string, AttributeSpec>,
][] = [
  [
    "channels of a convolution",
    "Conv",
    [
      ["float32", [1, 3, 8, 8]],
      ["float32", [4, 2, 3, 3]],
    ],
    /3 channels/,
  ],
  [
    "groups of a convolution",
    "Conv",
    [
      ["float32", [1, 4, 8, 8]],
      ["float32", [3, 2, 3, 3]],
    ],
    /groups/,
    { group: 2 },
  ],
  [
    "rank of a convolution",
    "Conv",
    [
      ["float32", [3, 8, 8]],
      ["float32", [4, 3, 3, 3]],
    ],
    /rank/,
  ],
  [
    "kernel_shape that is not the weight's",
    "Conv",
    [
      ["float32", [1, 3, 8, 8]],
      ["float32", [4, 3, 3, 3]],
    ],
    /kernel_shape/,
    { kernel_shape: [5, 5] },
  ],
  [
    "pads of another rank",
    "Conv",
    [
      ["float32", [1, 3, 8, 8]],
      ["float32", [4, 3, 3, 3]],
    ],
    /pads/,
    { pads: [1, 1] },
  ],
  [
    "channels of a transposed convolution",
    "ConvTranspose",
    [
      ["float32", [1, 3, 8, 8]],
      ["float32", [4, 2, 3, 3]],
    ],
    /channels/,
  ],
  [
    "inner sizes of a product",
    "MatMul",
    [
      ["float32", [2, 3]],
      ["float32", [4, 5]],
    ],
    /inner sizes 3 and 4/,
  ],
  [
    "inner sizes of Gemm",
    "Gemm",
    [
      ["float32", [2, 3]],
      ["float32", [4, 5]],
    ],
    /inner sizes 3 and 4/,
  ],
  [
    "a bias that does not fit Gemm",
    "Gemm",
    [
      ["float32", [2, 3]],
      ["float32", [3, 5]],
      ["float32", [4]],
    ],
    /broadcast/,
  ],
  [
    "shapes that do not broadcast",
    "Add",
    [
      ["float32", [2, 3]],
      ["float32", [2, 4]],
    ],
    /broadcast/,
  ],
  [
    "types that differ",
    "Add",
    [
      ["float32", [2]],
      ["int64", [2]],
    ],
    /float32 and int64/,
  ],
  [
    "parameters of a normalization",
    "BatchNormalization",
    [
      ["float32", [1, 3, 4]],
      ["float32", [3]],
      ["float32", [3]],
      ["float32", [2]],
      ["float32", [3]],
    ],
    /mean.*3 channels/,
  ],
  ["a shape that does not hold the elements", "Reshape", [["float32", [2, 3]], int64([2], [4, 2])], /shape|elements/],
  [
    "inputs of a concatenation",
    "Concat",
    [
      ["float32", [2, 3]],
      ["float32", [3, 3]],
    ],
    /agree|axis/,
    { axis: 1 },
  ],
  ["an axis out of range", "Softmax", [["float32", [2, 3]]], /axis 5/, { axis: 5 }],
  ["an index out of range", "Gather", [["float32", [2, 3]], int64([1], [7])], /7/],
  ["sizes of a split", "Split", [["float32", [6]], int64([2], [2, 2])], /split|sizes|6/],
  ["a permutation of another rank", "Transpose", [["float32", [2, 3]]], /perm/, { perm: [0, 1, 2] }],
  ["an axis to squeeze that is not 1", "Squeeze", [["float32", [2, 3]], int64([1], [0])], /squeeze|axis|size/i],
  ["a target of Expand that does not fit", "Expand", [["float32", [2, 3]], int64([2], [2, 4])], /broadcast|expand/i],
  ["a missing input", "Conv", [["float32", [1, 3, 8, 8]]], /input 1 is missing/],
  ["a pool without kernel", "MaxPool", [["float32", [1, 3, 8, 8]]], /kernel_shape/],
];

describe("messages", () => {
  it.each(CASES)("%s", (_, op, given, says, attributes) => {
    const error = failure(op, given, attributes);
    expect(error.kind).toBe("model");
    expect(error.place.node).toBe(`culprit (${op})`);
    expect(error.message).toMatch(says);
    for (const entry of given) {
      const dims = `[${("dtype" in entry ? entry.dims : entry[1]).join(", ")}]`;
      expect(error.message).toContain(dims);
    }
    expect(error.message).not.toMatch(/undefined|NaN|\[object/);
  });

  it("sizes that no memory holds are refused, not tried for ever", () => {
    const start = performance.now();
    const error = failure("ConstantOfShape", [int64([3], [1_000_000, 1_000_000, 1_000_000])]);
    expect(error.place.node).toContain("culprit");
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it.each<[string, string, readonly Given[], Record<string, AttributeSpec>]>([
    ["a Range without a step", "Range", [int64([], [0]), int64([], [10]), int64([], [0])], {}],
    ["a window that never moves", "STFT", [["float32", [1, 16, 1]], int64([], [0]), ["float32", [4]]], {}],
    [
      "a Resize to nothing",
      "Resize",
      [
        ["float32", [1, 1, 4, 4]],
        { dtype: "float32", dims: [0], values: [] },
        { dtype: "float32", dims: [4], values: [1, 1, 0, 0] },
      ],
      {},
    ],
    ["a Tile beyond memory", "Tile", [["float32", [2]], int64([1], [2 ** 50])], {}],
    [
      "a transposed convolution that stands still",
      "ConvTranspose",
      [
        ["float32", [1, 1, 3, 3]],
        ["float32", [1, 1, 2, 2]],
      ],
      { strides: [0, 0] },
    ],
    ["a random tensor beyond memory", "RandomNormal", [], { shape: [1 << 30, 1 << 30] }],
  ])("%s ends at once", (_, op, given, attributes) => {
    const start = performance.now();
    try {
      failure(op, given, attributes);
    } catch (error) {
      // Accepting it is fine, as long as it ends.
      expect((error as Error).message).toContain("accepted it");
    }
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
