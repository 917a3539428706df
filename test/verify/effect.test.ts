/** A difference is one when an input shows it; constants that differ are not enough. And channels that are constant. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import {
  f,
  float16,
  float32,
  float64,
  int64,
  type ModelSpec,
  model,
  type NodeSpec,
  node,
  type TensorSpec,
} from "../helpers/build.ts";

const proof = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b), { foreign: false });
const net = (
  nodes: NodeSpec[],
  initializers: Record<string, TensorSpec>,
  inputs: ModelSpec["inputs"],
  outputs = [{ name: "y", dtype: "float64" }],
): ModelSpec => ({ nodes, initializers, inputs, outputs });

describe("coefficients that differ", () => {
  const x = [{ name: "x", dtype: "float64", dims: ["N", 2] }];
  const k = float64([2, 3], [1, 2, 3, -4, 5, 6]);
  const logits = (bias: number[]) =>
    net(
      [
        node("Gemm", ["x", "k", "c"], ["l"]),
        node("Relu", ["l"], ["r"]),
        node("Split", ["r", "n"], ["p", "q"], { axis: 1 }),
        node("Min", ["q", "zero"], ["m"]),
        node("Add", ["p", "m"], ["y"]),
      ],
      { k, c: float64([3], bias), n: int64([2], [2, 1]), zero: float64([], [0]) },
      x,
    );

  it("are no difference where nothing comes of them", () => {
    // The last column is cut off from above and below.
    const { outcome, regions } = proof(logits([1, 2, 3]), logits([1, 2, 4]));
    expect(outcome).toBe("not-decided");
    expect(regions[0].reason).toContain("no output changed by it");
    expect(proof(logits([1, 2, 3]), logits([1, 3, 3])).outcome).toBe("different");
  });

  it("are no difference where a later place makes up for them", () => {
    const table = [0, -1.25, -0.75, 1, -1, 0.5];
    const inputs = [{ name: "n", dtype: "int64", dims: [2] }];
    const names = { t: int64([3], [2, 3, 1]) };
    const before = net(
      [node("Gather", ["w", "n"], ["g"]), node("Reshape", ["g", "t"], ["r"]), node("Mul", ["r", "s"], ["y"])],
      { ...names, w: float64([2, 3], table), s: float64([], [1.5]) },
      inputs,
    );
    const folded = (gain: number) =>
      net(
        [node("Gather", ["w", "n"], ["g"]), node("Reshape", ["g", "t"], ["y"])],
        {
          ...names,
          w: float64(
            [2, 3],
            table.map((v) => gain * v),
          ),
        },
        inputs,
      );
    expect(proof(before, folded(1.5)).outcome).not.toBe("different");
    expect(proof(before, folded(1.25)).outcome).not.toBe("equal");
  });

  it("are one inside a branch that is taken", () => {
    const branch = (bias: number): ModelSpec => ({
      nodes: [
        node("If", ["c"], ["y"], {
          then_branch: {
            nodes: [node("Gemm", ["x", "k", "b"], ["l"]), node("Relu", ["l"], ["t"])],
            initializers: { k, b: float64([3], [bias, 0, 0]) },
            outputs: [{ name: "t", dtype: "float64" }],
          },
          else_branch: { nodes: [node("Gemm", ["x", "k2"], ["e"])], outputs: [{ name: "e", dtype: "float64" }] },
        }),
      ],
      initializers: { k2: k },
      inputs: [...x, { name: "c", dtype: "bool", dims: [] }],
      outputs: [{ name: "y", dtype: "float64" }],
    });
    expect(proof(branch(1), branch(1)).outcome).toBe("equal");
    expect(proof(branch(1), branch(2)).outcome).toBe("different");
  });

  it("name one place when a pool stands between them and the normalization they took in", () => {
    const inputs = [{ name: "x", dims: ["N", 2, 8, 8] }];
    const w = Array.from({ length: 36 }, (_, i) => ((5 * i) % 11) - 4.5);
    const ones = float32([2], [1, 1]);
    const before = net(
      [
        node("Conv", ["x", "w"], ["c"]),
        node("GlobalAveragePool", ["c"], ["p"]),
        node("BatchNormalization", ["p", "g", "o", "o", "o"], ["n"], { epsilon: f(0) }),
        node("Relu", ["n"], ["y"]),
      ],
      { w: float32([2, 2, 3, 3], w), g: float32([2], [2, 0.5]), o: ones },
      inputs,
      [{ name: "y", dtype: "float32" }],
    );
    const folded = w.map((v, i) => v * (i < 18 ? 2 : 0.5));
    folded[20] *= 1.001;
    const after = net(
      [node("Conv", ["x", "w", "b"], ["c"]), node("GlobalAveragePool", ["c"], ["n"]), node("Relu", ["n"], ["y"])],
      { w: float32([2, 2, 3, 3], folded), b: float32([2], [-1, 0.5]) },
      inputs,
      [{ name: "y", dtype: "float32" }],
    );
    const wrong = proof(before, after).regions.filter(({ outcome }) => outcome === "different");
    expect(wrong).toHaveLength(1);
    expect(wrong[0]).toMatchObject({ nodes: ["c"], at: { tensor: "w" } });
    expect(wrong[0].at?.index[0]).toBe(1);
  });
});

describe("constant channels", () => {
  it("have any gain: one of zero before a Reshape, in the second file moved behind it", () => {
    const inputs = [{ name: "x", dtype: "float64", dims: [1, 2, 2, 4] }];
    const shape = int64([3], [1, 2, 8]);
    const shift = float64([4, 1], [1, 2, 3, 4]);
    const tail = [node("CumSum", ["n", "one"], ["y"])];
    const before = net(
      [
        node("Mul", ["x", "z"], ["m"]),
        node("Reshape", ["m", "t"], ["r"]),
        node("Concat", ["r", "r"], ["q"], { axis: 1 }),
        node("Add", ["q", "s"], ["n"]),
        ...tail,
      ],
      { z: float64([2, 1, 1], [0, 0]), t: shape, s: shift, one: int64([], [1]) },
      inputs,
    );
    const folded = (gain: number) =>
      net(
        [
          node("Reshape", ["x", "t"], ["r"]),
          node("Concat", ["r", "r"], ["q"], { axis: 1 }),
          node("Mul", ["q", "z"], ["p"]),
          node("Add", ["p", "s"], ["n"]),
          ...tail,
        ],
        { z: float64([4, 1], [0, 0, 0, gain]), t: shape, s: shift, one: int64([], [1]) },
        inputs,
      );
    expect(proof(before, folded(0)).outcome).toBe("equal");
    expect(proof(before, folded(1)).outcome).not.toBe("equal");
  });

  it("have any gain: a row of zeros before a Squeeze, and an activation", () => {
    const inputs = [{ name: "x", dtype: "float64", dims: ["N", 1, 3] }];
    const norm = (name: string, out: string) => node("BatchNormalization", [name, "g", "b", "m", "v"], [out], { epsilon: f(0) });
    const before = net(
      [
        node("Conv", ["x", "w"], ["u"]),
        node("Neg", ["u"], ["c"]),
        node("Sigmoid", ["c"], ["a"]),
        norm("a", "n"),
        node("Relu", ["n"], ["y"]),
      ],
      {
        w: float64([2, 1, 1], [0, -1]),
        g: float64([2], [2, 1]),
        b: float64([2], [1, 0]),
        m: float64([2], [0, 0]),
        v: float64([2], [1, 1]),
      },
      inputs,
    );
    const folded = (constant: number) =>
      net(
        [
          node("Conv", ["x", "w"], ["c"]),
          node("Sigmoid", ["c"], ["a"]),
          node("Add", ["a", "t"], ["n"]),
          node("Relu", ["n"], ["y"]),
        ],
        { w: float64([2, 1, 1], [0, 1]), t: float64([2, 1], [constant, 0]) },
        inputs,
      );
    // sigmoid(0) = ½ becomes 2·½ + 1.
    expect(proof(before, folded(1.5)).outcome).toBe("equal");
    expect(proof(before, folded(1.25)).outcome).toBe("different");
  });
});

it("a mean that cancels leaves the rounding of what it was computed from", () => {
  const inputs = [{ name: "x", dtype: "float16", dims: ["N", 1] }];
  const outputs = [{ name: "y", dtype: "float16" }];
  const of = (gamma: number, beta: number, extra: NodeSpec[], more: Record<string, TensorSpec>) =>
    net(
      [node("BatchNormalization", ["x", "g", "b", "m", "v"], [extra.length > 0 ? "n" : "y"], { epsilon: f(0) }), ...extra],
      { g: float16([1], [gamma]), b: float16([1], [beta]), m: float16([1], [1.75]), v: float16([1], [1]), ...more },
      inputs,
      outputs,
    );
  // (−0.75 x + 1.3125 − 1.25) / 1.25: −0.6 and −1 are rounded to float16, and 0.05 is left.
  const before = of(-0.75, -1.25, [node("Div", ["n", "k"], ["y"])], { k: float16([1], [1.25]) });
  expect(proof(before, of(-0.60009765625, -1, [], {})).outcome).toBe("equal");
  expect(proof(before, of(-0.60009765625, -0.99, [], {})).outcome).toBe("different");
});

describe("a place whose effect is as small as the rounding of other constants", () => {
  const OUT = 6;
  const w = Array.from({ length: OUT * OUT }, (_, i) => Math.fround(Math.sin(1 + 3.1 * i) * 9));
  const gain = Math.fround(1.1);
  const c = (v: number) => float32([], [v]);
  /** A layer beside its own values between two small bounds, which are taken in one order or the other. */
  const bounded = (folded: boolean, low = -1e-6): ModelSpec => {
    const inner = (order: readonly (readonly [string, string])[], from: string): NodeSpec[] =>
      order.map(([op, by], i) => node(op, [i === 0 ? from : "k0", by], [`k${i}`]));
    const both = [
      ["Max", "low"],
      ["Min", "high"],
    ] as const;
    return {
      nodes: [
        node("MatMul", ["x", "w"], [folded ? "m" : "l"]),
        ...(folded ? [] : [node("Mul", ["l", "g"], ["m"])]),
        ...inner(folded ? both : both.toReversed(), "m"),
        node("Add", ["m", "k1"], ["y"]),
      ],
      initializers: {
        w: float32([OUT, OUT], folded ? w.map((v) => Math.fround(v * gain)) : w),
        ...(folded ? {} : { g: c(gain) }),
        low: c(low),
        high: c(2e-6),
      },
      inputs: [{ name: "x", dims: ["N", OUT] }],
      outputs: [{ name: "y" }],
    };
  };
  const outcome = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b)).outcome;

  it("is not taken for what that rounding makes", () => {
    expect(outcome(bounded(false), bounded(true))).not.toBe("different");
  });

  it("is shown where it is larger", () => {
    expect(outcome(bounded(true), bounded(true, -1))).toBe("different");
  });
});
