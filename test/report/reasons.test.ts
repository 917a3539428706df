/** The example of each page in docs/reasons: the smallest model that is kept for that reason, and the fix where there is one. */
import { describe, expect, it } from "vitest";
import { REASONS, type RefusalCode } from "../../src/diag/codes.ts";
import { nodeKey, type PlanOptions, plan } from "../../src/fold/index.ts";
import { f, float16, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { decisions } from "../helpers/fold.ts";

type Parameters = readonly [scale: number[], bias: number[], mean: number[], variance: number[]];

const numbers = (n: number) => Array.from({ length: n }, (_, i) => Math.sin(i + 1));
const ones = (n: number) => new Array<number>(n).fill(1);
/** Two channels; gains about 0.9 and 1.3, shifts that are not zero. */
const TWO: Parameters = [
  [1, 1.5],
  [0.5, -0.25],
  [0.25, 0.125],
  [1.25, 1.5],
];
/** The same without shifts. */
const UNSHIFTED: Parameters = [
  [1, 1.5],
  [0, 0],
  [0, 0],
  [1.25, 1.5],
];

const parameters = ([s, b, m, v]: Parameters, of = float32): Record<string, TensorSpec> => ({
  s: of([s.length], s),
  b: of([b.length], b),
  m: of([m.length], m),
  v: of([v.length], v),
});
const bn = (x: string, y = "y", attributes: NodeSpec["attributes"] = {}, more: readonly string[] = []): NodeSpec =>
  node("BatchNormalization", [x, "s", "b", "m", "v"], [y, ...more], { epsilon: f(1e-5), ...attributes }, { name: "bn" });
const conv = (x: string, y: string, w = "w", attributes: NodeSpec["attributes"] = {}): NodeSpec =>
  node("Conv", [x, w], [y], { kernel_shape: [3, 3], ...attributes });

const IMAGE = [{ name: "x", dims: ["N", 2, 6, 6] }];
const W = float32([2, 2, 3, 3], numbers(36));
const net = (nodes: readonly NodeSpec[], more: Partial<ModelSpec> = {}): ModelSpec => ({
  nodes,
  inputs: IMAGE,
  outputs: [{ name: "y" }],
  opset: 17,
  ...more,
  initializers: { w: W, ...parameters(TWO), ...more.initializers },
});

interface Case {
  readonly spec: ModelSpec;
  readonly options?: PlanOptions;
  /** The same model after what the page advises, or the option it names: then the node goes. */
  readonly mended?: { readonly spec?: ModelSpec; readonly options?: PlanOptions };
}

const straight = net([conv("x", "c"), bn("c")]);
const relu = (values: Parameters) =>
  net([conv("x", "c"), node("Relu", ["c"], ["r"]), bn("r")], { initializers: parameters(values) });

/** A block as a function whose ReduceMean is of another operator set than the model's. */
const calling = (version: number): ModelSpec => {
  const inputs = ["x", "w", "s", "b", "m", "v"];
  const mean = version < 18 ? node("ReduceMean", ["n"], ["y"], { axes: [2, 3] }) : node("ReduceMean", ["n"], ["y"]);
  const nodes = [conv("x", "c"), bn("c", "n"), mean];
  return net([node("F", inputs, ["y"], {}, { domain: "local" })], {
    opsets: { "": 18, local: 1 },
    functions: [{ name: "F", domain: "local", inputs, outputs: ["y"], nodes, opsets: { "": version } }],
  });
};

const CASES: Readonly<Record<RefusalCode, Case>> = {
  "call-stays": { spec: calling(17), mended: { spec: calling(18) } },
  "training-mode": {
    spec: net([conv("x", "c"), bn("c", "n", { training_mode: 1 }), node("Relu", ["n"], ["y"])]),
    mended: { spec: net([conv("x", "c"), bn("c", "n", { training_mode: 0 }), node("Relu", ["n"], ["y"])]) },
  },
  "extra-outputs-used": {
    spec: net([conv("x", "c"), bn("c", "y", { is_test: 1 }, ["mean"])], {
      opset: 6,
      outputs: [{ name: "y" }, { name: "mean" }],
    }),
    mended: { spec: net([conv("x", "c"), bn("c", "y", { is_test: 1 }, ["mean"])], { opset: 6 }) },
  },
  "not-channelwise": {
    spec: net([bn("x", "n", { spatial: 0 }), node("Mul", ["n", "k"], ["y"])], {
      opset: 8,
      initializers: {
        k: float32([1, 2, 1, 1], [2, 3]),
        ...Object.fromEntries(["s", "b", "m", "v"].map((name) => [name, float32([2, 6, 6], ones(72))])),
      },
    }),
    mended: {
      spec: net([conv("x", "c"), bn("c", "n"), node("Mul", ["n", "k"], ["y"])], {
        opset: 8,
        initializers: { k: float32([1, 2, 1, 1], [2, 3]) },
      }),
    },
  },
  "parameter-not-constant": {
    spec: net(
      [
        node("ReduceMean", ["x"], ["mean"], { axes: [0, 2, 3], keepdims: 0 }),
        node("BatchNormalization", ["c", "s", "b", "mean", "v"], ["y"], {}, { name: "bn" }),
        conv("x", "c"),
      ].sort((a, b) => (a.op === "BatchNormalization" ? 1 : b.op === "BatchNormalization" ? -1 : 0)),
    ),
    mended: { spec: straight },
  },
  "parameter-is-input": {
    spec: { ...straight, inputs: [...IMAGE, { name: "s", dims: [2] }] },
    mended: { options: { assumeConstant: true } },
  },
  "parameter-not-finite": {
    spec: net([conv("x", "c"), bn("c")], { initializers: parameters([TWO[0], TWO[1], TWO[2], [1, -0.2]]) }),
    mended: { spec: straight },
  },
  "parameter-shape": {
    spec: net([conv("x", "c"), bn("c")], { initializers: { s: float32([1], [1]) } }),
    mended: { spec: straight },
  },
  "shape-unknown": {
    spec: net([node("MatMul", ["x", "k"], ["p"]), node("Reshape", ["p", "shape"], ["r"]), bn("r")], {
      inputs: [
        { name: "x", dims: ["N", 3] },
        { name: "shape", dtype: "int64", dims: ["rank"] },
      ],
      initializers: { k: float32([3, 2], numbers(6)) },
    }),
  },
  "broadcast-grows": {
    spec: net([conv("x", "c"), node("Mul", ["c", "k"], ["y"])], {
      initializers: { w: float32([1, 2, 3, 3], numbers(18)), k: float32([1, 4, 1, 1], [1, 2, 3, 4]) },
    }),
  },
  "is-graph-output": {
    spec: { ...straight, outputs: [{ name: "c" }, { name: "y" }] },
    mended: { spec: straight },
  },
  "other-reader": {
    spec: net([conv("x", "c"), bn("c", "n"), node("Relu", ["n"], ["r"]), node("Add", ["r", "c"], ["y"])]),
  },
  "captured-by-subgraph": {
    spec: net(
      [
        conv("x", "c"),
        bn("c"),
        node("If", ["cond"], ["z"], {
          then_branch: { nodes: [node("Neg", ["c"], ["t"])], outputs: [{ name: "t" }] },
          else_branch: { nodes: [node("Identity", ["c"], ["e"])], outputs: [{ name: "e" }] },
        }),
      ],
      { inputs: [...IMAGE, { name: "cond", dtype: "bool", dims: [] }], outputs: [{ name: "y" }, { name: "z" }] },
    ),
  },
  "is-graph-input": { spec: net([bn("x", "n"), node("Relu", ["n"], ["y"])]) },
  "operator-blocks": { spec: net([conv("x", "c"), node("Sigmoid", ["c"], ["g"]), bn("g")]) },
  "sign-blocks": {
    spec: relu([
      [1, -0.3],
      [0, 0],
      [0, 0],
      [1, 1],
    ]),
    mended: { spec: relu(UNSHIFTED) },
  },
  "shift-blocks": { spec: relu(TWO), mended: { spec: relu(UNSHIFTED) } },
  "axis-blocks": {
    spec: net([node("MatMul", ["x", "k"], ["p"]), bn("p")], {
      inputs: [{ name: "x", dims: ["N", 2, 3] }],
      initializers: { k: float32([3, 2], numbers(6)) },
    }),
    mended: {
      spec: net([node("MatMul", ["x", "k"], ["p"]), node("Transpose", ["p"], ["t"], { perm: [0, 2, 1] }), bn("t")], {
        inputs: [{ name: "x", dims: ["N", 2, 3] }],
        initializers: { k: float32([3, 2], numbers(6)), ...parameters(UNSHIFTED) },
      }),
    },
  },
  "padding-blocks": {
    spec: net([bn("x", "n"), conv("n", "y", "w", { pads: [1, 1, 1, 1] })]),
    mended: { spec: net([bn("x", "n"), conv("n", "y")]) },
  },
  "weight-not-constant": {
    spec: net([node("Mul", ["w", "gate"], ["k"]), conv("x", "c", "k"), bn("c")], {
      inputs: [...IMAGE, { name: "gate", dims: [2, 1, 1, 1] }],
    }),
    mended: { spec: straight },
  },
  "needs-new-node": {
    spec: net(
      [
        node("MatMul", ["x", "k"], ["p"]),
        node("MatMul", ["x", "l"], ["q"]),
        node("Concat", ["p", "q"], ["c"], { axis: 2 }),
        node("Transpose", ["c"], ["t"], { perm: [0, 2, 1] }),
        bn("t"),
      ],
      {
        inputs: [{ name: "x", dims: ["N", 5, 3] }],
        initializers: { k: float32([3, 1], [1, 2, 3]), l: float32([3, 1], [4, 5, 6]) },
      },
    ),
    mended: { options: { partial: true } },
  },
  "storage-overflow": {
    spec: net([conv("x", "c"), bn("c")], {
      inputs: [{ ...IMAGE[0], dtype: "float16" }],
      outputs: [{ name: "y", dtype: "float16" }],
      initializers: {
        w: float16([2, 2, 3, 3], new Array(36).fill(300)),
        ...parameters(
          [
            [1, 1],
            [0, 0],
            [0, 0],
            [0, 0],
          ],
          float16,
        ),
      },
    }),
  },
  "storage-precision": {
    spec: net([conv("x", "c"), bn("c")], {
      inputs: [{ ...IMAGE[0], dtype: "float16" }],
      outputs: [{ name: "y", dtype: "float16" }],
      initializers: {
        w: float16([2, 2, 3, 3], new Array(36).fill(0.002)),
        ...parameters(
          [
            [0.0004, 0.0004],
            [0, 0],
            [0, 0],
            [1, 1],
          ],
          float16,
        ),
      },
    }),
  },
  "precision-loss": {
    spec: net([node("Sub", ["x", "centre"], ["d"]), node("Conv", ["d", "p"], ["y"])], {
      initializers: { centre: float32([], [1000]), p: float32([2, 2, 1, 1], [1, 2, 3, 4]) },
    }),
    mended: { options: { maxBitsLost: 11 } },
  },
  "would-grow": {
    spec: net(
      [conv("x", "c"), node("Neg", ["c"], ["d"]), conv("x", "e"), node("Add", ["d", "e"], ["f"]), node("Relu", ["f"], ["y"])],
      {
        initializers: { w: W },
      },
    ),
    options: { merge: false },
    mended: { options: { merge: false, maxGrowth: 200 } },
  },
  quantized: {
    spec: net(
      [
        conv("x", "c"),
        node("QuantizeLinear", ["c", "step", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "step", "zero"], ["d"]),
        bn("d"),
      ],
      { initializers: { step: float32([], [0.1]), zero: { dtype: "int8", dims: [], values: [0] } } },
    ),
    mended: { spec: straight },
  },
  "not-proven": { spec: straight, options: { unproven: new Set([nodeKey({ scope: "", index: 1 })]) }, mended: { options: {} } },
  "excluded-by-user": { spec: straight, options: { skip: (name) => name === "bn" }, mended: { options: {} } },
  "malformed-graph": {
    spec: net([conv("x", "c"), node("BatchNormalization", ["c", "s", "b"], ["y"], {}, { name: "bn" })]),
    mended: { spec: straight },
  },
};

describe("docs/reasons", () => {
  it("has an example of each", () => expect(Object.keys(CASES).sort()).toEqual(Object.keys(REASONS).sort()));

  it.each(Object.entries(CASES))("%s is why its example stays", (code, { spec, options }) => {
    const { data } = plan(model(spec), options);
    expect({ codes: data.kept.map((kept) => kept.code), decisions: decisions(data) }).toMatchObject({
      codes: expect.arrayContaining([code]),
    });
  });

  const mended = Object.entries(CASES).flatMap(([code, one]) => (one.mended === undefined ? [] : [[code, one] as const]));
  it.each(mended)("%s is gone when what the page advises is done", (_code, { spec, mended: fix }) => {
    const { data } = plan(model(fix?.spec ?? spec), fix?.options);
    expect(data.kept).toEqual([]);
    expect(data.folds.length).toBeGreaterThan(0);
  });
});
