/** --partial: a normalization of which only the gain can leave becomes the Add of its shift, an operator like any other. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { float16, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, operators, whole } from "../rules/check.ts";

const options = { partial: true };

describe("the Add that a normalization became", () => {
  it("has its shift scaled by a gain that goes back through it", () => {
    const bn = batchNorm("t", "v", 2);
    const checked = check(
      {
        nodes: [
          node("Mul", ["x", "c"], ["t"]),
          bn.node,
          node("Split", ["v", "sizes"], ["a", "b"], { axis: 2 }),
          node("Relu", ["b"], ["r"]),
          node("Mul", ["r", "k"], ["z"]),
        ],
        initializers: { ...bn.initializers, c: float32([], [2]), sizes: int64([2], [1, 2]), k: float32([2, 1, 1], [2, 0.5]) },
        inputs: [floats("x", [1, 2, 3, 3])],
        outputs: [floats("a"), floats("z")],
      },
      { folds: 2, options },
    );
    expect(operators(checked)).toEqual(["Mul", "Add", "Split", "Relu"]);
  });

  it("has its shift divided by a gain that goes forward through it", () => {
    const bn = batchNorm("t", "v", 2, { positive: true });
    const checked = check(
      {
        nodes: [node("Mul", ["x", "k"], ["t"]), bn.node, node("Relu", ["v"], ["r"]), node("Conv", ["r", "w"], ["y"])],
        initializers: { ...bn.initializers, k: float32([2, 1, 1], [4, 0.5]), w: whole([3, 2, 1, 1]) },
        inputs: [floats("x", [1, 2, 3, 3])],
        outputs: [floats("y")],
      },
      { folds: 2, options },
    );
    expect(operators(checked)).toEqual(["Add", "Relu", "Conv"]);
  });

  for (const [dtype, stored] of [
    ["float16", "float32"],
    ["bfloat16", "float32"],
    ["float32", "float64"],
  ]) {
    it(`adds numbers of the data's type: ${dtype}, parameters in ${stored}`, () => {
      const bn = batchNorm("x", "v", 3);
      const as = (t: TensorSpec, type: string): TensorSpec => ({ ...t, dtype: type });
      const checked = check(
        {
          nodes: [bn.node, node("Einsum", ["v", "w"], ["y"], { equation: "abcd,zb->azcd" })],
          initializers: {
            ...Object.fromEntries(Object.entries(bn.initializers).map(([name, t]) => [name, as(t, stored)])),
            w: as(whole([2, 3]), dtype),
          },
          inputs: [{ name: "x", dtype, dims: [1, 3, 2, 2] }],
          outputs: [{ name: "y", dtype, dims: [1, 2, 2, 2] }],
          opset: 16,
        },
        { folds: 1, options },
      );
      expect(operators(checked)).toEqual(["Add", "Einsum"]);
      const codes: Record<string, number> = { float16: 10, bfloat16: 16, float32: 1 };
      expect(checked.after.graph.initializers.map(({ dataType }) => dataType)).toEqual([codes[dtype], codes[dtype]]);
    });
  }
});

describe("operands of two types", () => {
  const net = (constant: TensorSpec, middle: (c: string) => NodeSpec[], opset = 16): ModelSpec => ({
    nodes: middle("c"),
    initializers: { c: constant },
    inputs: [{ name: "x", dtype: "float16", dims: [2, 3] }],
    outputs: [{ name: "y", dtype: "float16", dims: [2, 3] }],
    opset,
  });
  const values = [1, 2, 4];
  const ways: Record<string, (c: string) => NodeSpec[]> = {
    Add: (c) => [node("Add", ["x", c], ["y"])],
    Mul: (c) => [node("Mul", [c, "x"], ["y"])],
    Max: (c) => [node("Max", ["x", c], ["y"])],
    PRelu: (c) => [node("PRelu", ["x", c], ["y"])],
    Where: (c) => [node("IsNaN", ["x"], ["p"]), node("Where", ["p", c, "x"], ["y"])],
  };
  for (const [name, way] of Object.entries(ways)) {
    it(`compute nothing: ${name}`, () => {
      const [right, wrong] = [model(net(float16([3], values), way)), model(net(float32([3], values), way))];
      const proof = prove(right, wrong);
      expect(proof.outcome).toBe("different");
      expect(proof.regions.map(({ reason }) => reason).join()).toMatch(/float16/);
      expect(prove(right, right).outcome).toBe("equal");
      // What is wrong with both says nothing of the second.
      expect(prove(wrong, wrong).outcome).toBe("equal");
    });
  }

  it("may be the two types of a Pow, and of a normalization since opset 15", () => {
    const power = model(net(float32([3], values), (c) => [node("Pow", ["x", c], ["y"])]));
    expect(prove(power, power).outcome).toBe("equal");
    const four = (bn: string): TensorSpec => ({ dtype: bn, dims: [3], values: [1, 1, 1] });
    const spec = (opset: number): ModelSpec => ({
      nodes: [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
      initializers: { s: four("float32"), b: four("float32"), m: four("float32"), v: four("float32") },
      inputs: [{ name: "x", dtype: "float16", dims: [2, 3] }],
      outputs: [{ name: "y", dtype: "float16", dims: [2, 3] }],
      opset,
    });
    const halves = { s: four("float16"), b: four("float16"), m: four("float16"), v: four("float16") };
    expect(prove(model({ ...spec(15), initializers: halves }), model(spec(15))).outcome).toBe("equal");
    expect(prove(model({ ...spec(13), initializers: halves }), model(spec(13))).outcome).toBe("different");
  });
});

describe("an operator set before 7", () => {
  it("has no Add that broadcasts as the normalization did: it stays whole", () => {
    const bn = batchNorm("c", "n", 2);
    const padded = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };
    const spec = (opset: number): ModelSpec => ({
      opset,
      nodes: [
        node("Sigmoid", ["x"], ["c"]),
        { ...bn.node, attributes: opset < 7 ? { is_test: 1 } : {} },
        node("Conv", ["n", "w"], ["y"], padded),
      ],
      initializers: { ...bn.initializers, w: whole([2, 2, 3, 3]) },
      inputs: [floats("x", [1, 2, 4, 4])],
      outputs: [floats("y")],
    });
    expect(operators(check(spec(7), { folds: 1, options, tolerance: 1e-5 }))).toEqual(["Sigmoid", "Add", "Conv"]);
    expect(operators(check(spec(6), { folds: 0, options }))).toEqual(["Sigmoid", "BatchNormalization", "Conv"]);
  });
});
