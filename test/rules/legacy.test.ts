/**
 * Add, Sub, Mul and Div before opset 7, whose second operand lies where the attributes say, as constants to fold and as
 * operators that maps cross. Expected shapes and values: the definition in ONNX 6, written out.
 */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { factsOf } from "../../src/run/facts.ts";
import { createSession } from "../../src/run/session.ts";
import { compareFaces } from "../../src/verify/faces.ts";
import { float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { batchNorm, check, floats, integers, operators, whole } from "./check.ts";

/** A model of IR 3: initializers are listed as inputs. */
function old(
  nodes: readonly NodeSpec[],
  constants: Record<string, TensorSpec>,
  dims: readonly number[],
  more: Partial<ModelSpec> = {},
): ModelSpec {
  return {
    nodes,
    initializers: constants,
    inputs: [floats("x", dims), ...Object.entries(constants).map(([name, t]) => ({ name, dims: t.dims }))],
    outputs: [floats("y")],
    opset: 6,
    irVersion: 3,
    ...more,
  };
}
const over = (axis?: number) => ({ broadcast: 1, ...(axis === undefined ? {} : { axis }) });
const w = float32([4, 2, 1, 1], [1, -2, 3, 1, -1, 2, 2, 5]);
const powers = (dims: readonly number[]) =>
  float32(
    dims,
    integers(
      dims.reduce((n, d) => n * d, 1),
      5,
      0,
      3,
    ).map((k) => 2 ** k * (k % 2 === 0 ? 1 : -1)),
  );
const operands: readonly [string, TensorSpec, number | undefined][] = [
  ["channels in the middle", powers([4]), 1],
  ["channels, counted from the end", powers([4]), -3],
  ["one number", powers([1]), undefined],
  ["one number of rank 0", powers([]), undefined],
  ["channels with axes of one behind", powers([4, 1, 1]), 1],
  ["a whole image for each channel", powers([1, 4, 4, 4]), 0],
  ["all axes, no axis given", powers([1, 4, 1, 1]), undefined],
];

describe("a constant laid over its input by attributes", () => {
  for (const op of ["Mul", "Add", "Sub", "Div"]) {
    for (const [what, constant, axis] of operands) {
      if (constant.dims.length === 4 && constant.dims[2] > 1) continue;
      it(`folds backward and forward: ${op}, ${what}`, () => {
        const back = old(
          [node("Conv", ["x", "w"], ["c"]), node(op, ["c", "k"], ["y"], over(axis))],
          { w, k: constant },
          [1, 2, 4, 4],
        );
        const checked = check(back, { folds: 1 });
        expect(operators(checked).filter((type) => type !== "Constant")).toEqual(["Conv"]);
        // What is not read any more is no input either: before IR 4 that is only where initializers are listed.
        expect(checked.after.graph.inputs.map(({ name }) => name)).toEqual(["x", "w"]);
        expect(checked.after.graph.initializers.map(({ name }) => name)).toEqual(["w"]);
        expect(compareFaces(checked.before, checked.after)).toEqual([]);
        const forth = old(
          [node(op, ["x", "k"], ["c"], over(axis)), node("Conv", ["c", "v"], ["y"])],
          { v: whole([3, 4, 1, 1]), k: constant },
          [1, 4, 4, 4],
        );
        expect(operators(check(forth, { folds: 1 })).filter((type) => type !== "Constant")).toEqual(["Conv"]);
      });
    }
  }

  it("along the last axes where no axis is given", () => {
    const spec = old(
      [node("MatMul", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"], over())],
      { w: whole([3, 4]), k: powers([4]) },
      [5, 3],
    );
    expect(operators(check(spec, { folds: 1 }))).toEqual(["MatMul"]);
  });

  it("takes the shift of a MatMul on as an Add of its time", () => {
    const spec = old(
      [node("MatMul", ["x", "w"], ["c"]), node("Add", ["c", "b"], ["d"], over()), node("Mul", ["d", "k"], ["y"], over())],
      { w: whole([3, 4]), b: whole([4]), k: powers([4]) },
      [5, 3],
    );
    expect(operators(check(spec, { folds: 1 })).filter((type) => type !== "Constant")).toEqual(["MatMul", "Add"]);
  });

  it("takes in maps of other axes, and moves with them", () => {
    // The gain of the rows meets a constant of the channels: the constant would need both axes.
    const bn = batchNorm("c", "d", 4);
    for (const [op, axis] of [
      ["Add", 1],
      ["Mul", 1],
      ["Sub", -3],
    ] as const) {
      const spec = old(
        [node("Relu", ["x"], ["c"]), node(op, ["c", "k"], ["m"], over(axis)), node("Mul", ["m", "s"], ["y"], over(2))],
        { k: powers([4]), s: powers([4]) },
        [1, 4, 4, 4],
      );
      check(spec, { folds: op === "Mul" ? 1 : 0 });
      const normed = old(
        [node("Conv", ["x", "w"], ["a"]), node(op, ["a", "k"], ["c"], over(axis)), bn.node],
        { w, k: powers([4]), ...bn.initializers },
        [1, 2, 4, 4],
        {
          outputs: [floats("d")],
          nodes: [
            node("Conv", ["x", "w"], ["a"]),
            node(op, ["a", "k"], ["c"], over(axis)),
            { ...bn.node, attributes: { ...bn.node.attributes, is_test: 1 } },
          ],
        },
      );
      check(normed, { folds: 2 });
    }
  });

  it("is left alone where the input is the second operand, smaller than the constant", () => {
    const spec = old([node("Relu", ["x"], ["r"]), node("Add", ["k", "r"], ["y"], over(1))], { k: whole([2, 4, 3]) }, [4]);
    check(spec, { folds: 0 });
  });

  it("is crossed by gains where it is one of two computed values", () => {
    const spec = old(
      [
        node("Conv", ["x", "w"], ["a"]),
        node("Sigmoid", ["x2"], ["g"]),
        node("Mul", ["a", "g"], ["m"], over(1)),
        node("Mul", ["m", "k"], ["y"], over(1)),
      ],
      { w, k: powers([4]) },
      [1, 2, 4, 4],
    );
    check({ ...spec, inputs: [...(spec.inputs ?? []), floats("x2", [4])] }, { folds: 1 });
  });
});

describe("shapes before opset 7", () => {
  it.each(["Add", "Mul", "Pow", "Greater", "And"])("are the first operand's: %s", (op) => {
    const dtype = op === "And" ? "bool" : "float32";
    const m = model({
      nodes: [node(op, ["x", "k"], ["y"], over(1))],
      initializers: { k: { dtype, dims: [4], values: [1, 1, 1, 1] } },
      inputs: [{ name: "x", dtype, dims: ["N", 4, "H", "W"] }],
      outputs: [{ name: "y", dtype: op === "Greater" ? "bool" : dtype }],
      opset: 6,
    });
    const view = viewOf(m);
    const facts = factsOf(view);
    expect(facts.shape(view.main.values.get("y"))).toEqual(facts.shape(view.main.values.get("x")));
  });
});

describe("the executor", () => {
  it("lays the second operand as the attributes say", () => {
    for (const [dims, axis, at] of [
      [[3], 1, 1],
      [[3], -2, 1],
      [[2], 0, 0],
      [[4], undefined, 2],
      [[2, 3], 0, 0],
      [[3, 4], 1, 1],
      [[3, 4], undefined, 1],
    ] as const) {
      const size = (dims as readonly number[]).reduce((n, d) => n * d, 1);
      const k = Array.from({ length: size }, (_, i) => 100 * (i + 1));
      const m = model(old([node("Add", ["x", "k"], ["y"], over(axis))], { k: float32(dims, k) }, [2, 3, 4]));
      const x: Tensor = { dtype: "float32", dims: [2, 3, 4], data: Float32Array.from({ length: 24 }, (_, i) => i) };
      const y = asFloat64(
        createSession(m, { mode: "float64" })
          .run(new Map([["x", x]]))
          .get("y") as Tensor,
      );
      const expected = Array.from({ length: 24 }, (_, i) => {
        const index = [Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4];
        const place = (dims as readonly number[]).reduce((n, d, j) => n * d + index[at + j], 0);
        return i + k[place];
      });
      expect(Array.from(y)).toEqual(expected);
    }
  });
});

it("keeps the inputs of a model that callers may override", () => {
  const spec = old([node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])], { w, k: powers([4, 1, 1]) }, [1, 2, 4, 4], {
    irVersion: 8,
    opset: 13,
  });
  const { model: after } = folded(model(spec), { assumeConstant: true });
  expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Conv"]);
  expect(after.graph.inputs.map(({ name }) => name)).toEqual(["x", "w", "k"]);
});
