/** Tools write one function in several ways: the proof knows them as one, and what only looks like it as another. */
import { describe, expect, it } from "vitest";
import { normalForm, normalForms } from "../../../src/verify/proof/normal.ts";
import { prove } from "../../../src/verify/proof.ts";
import { f, float32, fs, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";

const outcome = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b)).outcome;
const x = { name: "x", dims: ["N", 4, 8, 8] };
const net = (nodes: NodeSpec[], initializers: Record<string, TensorSpec> = {}, more: Partial<ModelSpec> = {}): ModelSpec => ({
  nodes,
  initializers,
  inputs: [x],
  outputs: [{ name: "y" }],
  ...more,
});
const microsoft = { opsets: { "": 21, "com.microsoft": 1 } };
const w = float32(
  [4, 4, 3, 3],
  Array.from({ length: 144 }, (_, i) => ((7 * i) % 13) - 6),
);
const pads = (top: number, end: number) => int64([8], [0, 0, top, top, 0, 0, end, end]);
const tokens = { name: "x", dims: ["N", 5, 2] };
const k = float32([2, 3], [1, 2, 3, 4, 5, 6]);
const turned = float32([3, 2], [1, 4, 2, 5, 3, 6]);
const c = float32([3], [1, 2, 3]);

const same: Record<string, readonly [ModelSpec, ModelSpec]> = {
  "HardSwish and its function body": [
    net([node("HardSwish", ["x"], ["y"])]),
    net([node("HardSigmoid", ["x"], ["h"], { alpha: f(1 / 6), beta: f(0.5) }), node("Mul", ["x", "h"], ["y"])]),
  ],
  "a Clip and its bounds as operators": [
    net([node("Clip", ["x", "lo", "hi"], ["y"])], { lo: float32([], [0]), hi: float32([], [6]) }),
    net([node("Relu", ["x"], ["r"]), node("Min", ["r", "hi"], ["y"])], { hi: float32([4, 1, 1], [6, 6, 6, 6]) }),
  ],
  "a Clip with attributes, and Max and Min": [
    net([node("Clip", ["x"], ["y"], { min: f(-1), max: f(2) })], {}, { opset: 10 }),
    net(
      [node("Max", ["x", "lo"], ["r"]), node("Min", ["hi", "r"], ["y"])],
      { lo: float32([], [-1]), hi: float32([], [2]) },
      { opset: 10 },
    ),
  ],
  "a Clip whose bounds moved, channel by channel": [
    net([node("Clip", ["x", "lo", "hi"], ["q"]), node("Conv", ["q", "w"], ["y"])], {
      lo: float32([], [0]),
      hi: float32([], [6]),
      w,
    }),
    net(
      [
        node("Mul", ["x", "s"], ["t"]),
        node("Relu", ["t"], ["r"]),
        node("Min", ["r", "hi"], ["q"]),
        node("Conv", ["q", "v"], ["y"]),
      ],
      {
        s: float32([4, 1, 1], [0.5, 1, 2, 0.25]),
        hi: float32([4, 1, 1], [3, 6, 12, 1.5]),
        v: { ...w, values: Array.from(w.values as number[], (v, i) => v * [2, 1, 0.5, 4][Math.floor(i / 9) % 4]) },
      },
    ),
  ],
  "a Clip without an upper bound, and Relu": [
    net([node("Clip", ["x", "lo"], ["y"])], { lo: float32([], [0]) }),
    net([node("Relu", ["x"], ["y"])]),
  ],
  "a fused gate": [
    net([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])]),
    net([node("QuickGelu", ["x"], ["y"], { alpha: f(1) }, { domain: "com.microsoft" })], {}, microsoft),
  ],
  "a fused gate with its factor": [
    net([node("Mul", ["x", "a"], ["z"]), node("Sigmoid", ["z"], ["s"]), node("Mul", ["x", "s"], ["y"])], {
      a: float32([], [Math.fround(1.702)]),
    }),
    net([node("QuickGelu", ["x"], ["y"], {}, { domain: "com.microsoft" })], {}, microsoft),
  ],
  "a Pad of zeros and the pads of a Conv": [
    net([node("Pad", ["x", "p"], ["q"]), node("Conv", ["q", "w"], ["y"], { strides: [2, 2], pads: [1, 1, 1, 1] })], {
      p: pads(0, 1),
      w,
    }),
    net([node("Conv", ["x", "w"], ["y"], { strides: [2, 2], pads: [1, 1, 2, 2] })], { w }),
  ],
  "a Concat of one value": [
    net([node("Concat", ["x"], ["q"], { axis: 1 }), node("Relu", ["q"], ["y"])]),
    net([node("Relu", ["x"], ["y"])]),
  ],
  "a Cast to the type that is there": [
    net([node("Cast", ["x"], ["q"], { to: 1 }), node("Relu", ["q"], ["y"])]),
    net([node("Relu", ["x"], ["y"])]),
  ],
  "a fused Conv": [
    net([node("Conv", ["x", "w"], ["q"]), node("LeakyRelu", ["q"], ["y"], { alpha: f(0.25) })], { w }),
    net(
      [
        node(
          "FusedConv",
          ["x", "w"],
          ["y"],
          { activation: "LeakyRelu", activation_params: fs([0.25]) },
          { domain: "com.microsoft" },
        ),
      ],
      { w },
      microsoft,
    ),
  ],
  "a fused Conv with a summand": [
    net([node("Conv", ["x", "w"], ["q"], { pads: [1, 1, 1, 1] }), node("Add", ["q", "x"], ["s"]), node("Relu", ["s"], ["y"])], {
      w,
    }),
    net(
      [node("FusedConv", ["x", "w", "", "x"], ["y"], { activation: "Relu", pads: [1, 1, 1, 1] }, { domain: "com.microsoft" })],
      { w },
      microsoft,
    ),
  ],
  "a mean over the plane and a global pool": [
    net([node("ReduceMean", ["x", "a"], ["y"])], { a: int64([2], [-1, 2]) }),
    net([node("GlobalAveragePool", ["x"], ["y"])]),
  ],
  "a matrix product of three axes and a Gemm between Reshapes": [
    net([node("MatMul", ["x", "k"], ["p"]), node("Add", ["p", "c"], ["y"])], { k, c }, { inputs: [tokens] }),
    net(
      [
        node("Reshape", ["x", "rows"], ["r"]),
        node("Gemm", ["r", "k", "c"], ["g"], { transB: 1 }),
        node("Reshape", ["g", "back"], ["y"]),
      ],
      { k: turned, c, rows: int64([2], [-1, 2]), back: int64([3], [-1, 5, 3]) },
      { inputs: [tokens] },
    ),
  ],
  "an axis counted from the end": [net([node("Softmax", ["x"], ["y"])]), net([node("Softmax", ["x"], ["y"], { axis: 3 })])],
};

const unequal: Record<string, readonly [ModelSpec, ModelSpec]> = {
  "a Clip and a Min with another bound on one channel": [
    net([node("Clip", ["x", "lo", "hi"], ["y"])], { lo: float32([], [0]), hi: float32([], [6]) }),
    net([node("Relu", ["x"], ["r"]), node("Min", ["r", "hi"], ["y"])], { hi: float32([4, 1, 1], [6, 6, 5, 6]) }),
  ],
  "a Clip, and Min before Max with bounds that cross": [
    net([node("Clip", ["x", "lo", "hi"], ["y"])], { lo: float32([], [3]), hi: float32([], [2]) }),
    net([node("Min", ["x", "hi"], ["r"]), node("Max", ["r", "lo"], ["y"])], { lo: float32([], [3]), hi: float32([], [2]) }),
  ],
  "a Clip that is not cut from above": [
    net([node("Clip", ["x", "lo", "hi"], ["y"])], { lo: float32([], [0]), hi: float32([], [6]) }),
    net([node("Relu", ["x"], ["y"])]),
  ],
  "another gate": [
    net([node("HardSwish", ["x"], ["y"])]),
    net([node("HardSigmoid", ["x"], ["h"]), node("Mul", ["x", "h"], ["y"])]),
  ],
  "a Pad of ones": [
    net([node("Pad", ["x", "p", "v"], ["q"]), node("Conv", ["q", "w"], ["y"])], { p: pads(1, 1), v: float32([], [1]), w }),
    net([node("Conv", ["x", "w"], ["y"], { pads: [1, 1, 1, 1] })], { w }),
  ],
  "a Pad on the other side": [
    net([node("Pad", ["x", "p"], ["q"]), node("Conv", ["q", "w"], ["y"])], { p: pads(0, 1), w }),
    net([node("Conv", ["x", "w"], ["y"], { pads: [1, 1, 0, 0] })], { w }),
  ],
  "another activation": [
    net([node("Conv", ["x", "w"], ["q"]), node("LeakyRelu", ["q"], ["y"])], { w }),
    net([node("FusedConv", ["x", "w"], ["y"], { activation: "Relu" }, { domain: "com.microsoft" })], { w }, microsoft),
  ],
  "a mean of other axes": [
    net([node("ReduceMean", ["x", "a"], ["y"])], { a: int64([2], [1, 2]) }),
    net([node("GlobalAveragePool", ["x"], ["y"])]),
  ],
  "rows of another length": [
    net([node("MatMul", ["x", "k"], ["y"])], { k }, { inputs: [{ name: "x", dims: [3, 5, 2] }] }),
    net(
      [
        node("Transpose", ["x"], ["t"], { perm: [1, 0, 2] }),
        node("Reshape", ["t", "rows"], ["r"]),
        node("Gemm", ["r", "k"], ["g"]),
        node("Reshape", ["g", "back"], ["y"]),
      ],
      { k, rows: int64([2], [15, 2]), back: int64([3], [3, 5, 3]) },
      { inputs: [{ name: "x", dims: [3, 5, 2] }] },
    ),
  ],
  "another axis": [net([node("Softmax", ["x"], ["y"])]), net([node("Softmax", ["x"], ["y"], { axis: 2 })])],
};

describe("one function in several ways", () => {
  it.each(Object.entries(same))("%s", (_name, [a, b]) => {
    expect(outcome(a, b)).toBe("equal");
    expect(outcome(b, a)).toBe("equal");
  });

  it.each(Object.entries(unequal))("%s is not the same", (_name, [a, b]) => {
    expect(outcome(a, b)).not.toBe("equal");
    expect(outcome(b, a)).not.toBe("equal");
  });

  it("leaves a model alone that has nothing to rewrite", () => {
    const plain = model(net([node("Conv", ["x", "w"], ["q"]), node("Relu", ["q"], ["y"])], { w }));
    expect(normalForm(plain)).toBe(plain);
  });
});

describe("operators that are taken apart only where one file has more of them", () => {
  const split = (outputs: number, from = "x", prefix = "s") =>
    node(
      "Split",
      [from],
      Array.from({ length: outputs }, (_, i) => `${prefix}${i}`),
      { axis: 1, num_outputs: outputs },
    );
  const spec = (...nodes: NodeSpec[]) => model(net([...nodes, node("Add", ["s0", "s1"], ["y"])]));
  const sliced = [node("Slice", ["x", "zero", "two", "one"], ["s0"]), node("Slice", ["x", "two", "four", "one"], ["s1"])];
  const numbers = Object.fromEntries(["zero", "one", "two", "three", "four"].map((name, i) => [name, int64([1], [i])]));
  const cut = model(net([...sliced, node("Add", ["s0", "s1"], ["y"])], numbers));
  const types = (one: ReturnType<typeof model>) => new Set(one.graph.nodes.map(({ opType }) => opType));

  it("stay where both have as many", () => {
    for (const form of normalForms(spec(split(2)), spec(split(2)))) expect(types(form)).toContain("Split");
  });

  it("go where the other has fewer, or none, and where all are asked for", () => {
    const twice = spec(split(2), split(2, "s0", "t"));
    for (const pair of [
      [spec(split(2)), cut],
      [cut, spec(split(2))],
      [spec(split(2)), twice],
    ] as const)
      for (const form of normalForms(...pair)) expect(types(form)).not.toContain("Split");
    for (const form of normalForms(spec(split(2)), spec(split(2)), true)) expect(types(form)).not.toContain("Split");
  });
});
