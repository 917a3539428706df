/** Constants in the less usual places of a file: half precision in int32_data, sparse initializers. */
import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, type Checked, check, floats, integers, operators, whole } from "../rules/check.ts";

const numbers = ({ after }: Checked, name: string) =>
  Array.from(asFloat64(decode(after.graph.initializers.find((t) => t.name === name) as never)), (v) => v + 0);

describe("half precision in int32_data", () => {
  for (const dtype of ["float16", "bfloat16"]) {
    it(`stays there: ${dtype}`, () => {
      const typed = (t: TensorSpec): TensorSpec => ({ ...t, dtype, encoding: "typed" });
      const bn = batchNorm("c", "y", 20);
      const checked = check(
        {
          nodes: [node("Conv", ["x", "w"], ["c"]), bn.node],
          initializers: {
            w: typed(whole([20, 2, 3, 3])),
            ...Object.fromEntries(Object.entries(bn.initializers).map(([name, t]) => [name, typed(t)])),
          },
          inputs: [{ ...floats("x", [1, 2, 4, 4]), dtype }],
          outputs: [{ ...floats("y"), dtype }],
        },
        { folds: 1 },
      );
      const w = checked.after.graph.initializers.find((t) => t.name === "w");
      expect(w?.raw).toBeUndefined();
      expect(w?.typed?.field).toBe(5);
      const gains = [2, 1, 0.5, -1, 4];
      expect(numbers(checked, "w")).toEqual(integers(360, 7, -3, 3).map((v, i) => v * gains[Math.floor(i / 18) % 5] + 0));
    });
  }
});

describe("sparse initializers", () => {
  const sparse = (dims: number[], n: number, seed = 3) => ({
    dtype: "float32",
    dims,
    indices: Array.from({ length: n }, (_, i) => 2 * i),
    values: integers(n, seed, 1, 4),
  });
  const bn = batchNorm("c", "n", 4);
  const layer = {
    nodes: [node("Conv", ["x", "w"], ["c"]), bn.node],
    initializers: bn.initializers,
    inputs: [floats("x", [1, 3, 5, 5])],
  };

  it("go when the folded weight takes their place", () => {
    const checked = check({ ...layer, sparse: { w: sparse([4, 3, 3, 3], 50) }, outputs: [floats("n")] }, { folds: 1 });
    expect(checked.after.graph.sparseInitializers).toEqual([]);
    expect(checked.after.graph.initializers.map(({ dims }) => dims)).toEqual([[4, 3, 3, 3], [4]]);
  });

  it("stay when somebody else reads them", () => {
    const checked = check(
      {
        ...layer,
        nodes: [...layer.nodes, node("Conv", ["x", "w"], ["other"])],
        sparse: { w: sparse([4, 3, 3, 3], 50) },
        outputs: [floats("n"), floats("other")],
      },
      { folds: 1 },
    );
    expect(checked.after.graph.sparseInitializers.map(({ values }) => values.name)).toEqual(["w"]);
  });

  it("are read as biases and as parameters of the normalization, and go", () => {
    const { n_B, n_mean, ...others } = bn.initializers;
    const checked = check(
      {
        nodes: [node("Conv", ["x", "w", "b"], ["c"]), bn.node],
        initializers: { ...others, w: whole([4, 3, 3, 3]) },
        sparse: { b: sparse([4], 2), n_B: sparse([4], 1), n_mean: sparse([4], 2, 5) },
        inputs: layer.inputs,
        outputs: [floats("n")],
      },
      { folds: 1 },
    );
    expect(checked.after.graph.sparseInitializers).toEqual([]);
    expect(operators(checked)).toEqual(["Conv"]);
  });

  it("of a branch go there", () => {
    const branch = (name: string) => ({ nodes: [node("Identity", ["x"], [name])], outputs: [floats(name)] });
    const then = { ...layer, inputs: [], sparse: { w: sparse([4, 3, 3, 3], 50) }, outputs: [floats("n")] };
    const checked = check(
      {
        nodes: [node("If", ["p"], ["y"], { then_branch: then, else_branch: branch("z") })],
        inputs: [{ name: "p", dtype: "bool", dims: [] }, floats("x", [1, 3, 5, 5])],
        outputs: [floats("y")],
      },
      { folds: 1 },
    );
    const body = checked.after.graph.nodes[0].attributes.get("then_branch")?.g;
    expect(body?.nodes.map(({ opType }) => opType)).toEqual(["Conv"]);
    expect(body?.sparseInitializers).toEqual([]);
  });
});
