/** Numbers that say how large a tensor is are no coefficients: no rounding draw may move them. */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { measuresOf } from "../../src/verify/measures.ts";
import { witness } from "../../src/verify/witness.ts";
import { float32, int64, type ModelSpec, model, node } from "../helpers/build.ts";

const image = { name: "x", dims: [1, 2, 4, 4] };
const twice = float32([4], [1, 1, 2, 2]);
const other = float32([1, 2, 8, 8], new Array(128).fill(0.5));
const after = [node("Add", ["r", "other"], ["y"])];
/** The same scales: in a Constant node, as an initializer, computed from the shape. */
const made: Record<string, ModelSpec> = {
  "an initializer": {
    nodes: [node("Resize", ["x", "", "s"], ["r"], { mode: "nearest" }), ...after],
    initializers: { s: twice, other },
    inputs: [image],
    outputs: [{ name: "y" }],
  },
  "computed sizes": {
    nodes: [
      node("Shape", ["x"], ["shape"]),
      node("Cast", ["shape"], ["real"], { to: 1 }),
      node("Mul", ["real", "s"], ["grown"]),
      node("Floor", ["grown"], ["whole"]),
      node("Cast", ["whole"], ["sizes"], { to: 7 }),
      node("Resize", ["x", "", "", "sizes"], ["r"], { mode: "nearest" }),
      ...after,
    ],
    initializers: { s: twice, other },
    inputs: [image],
    outputs: [{ name: "y" }],
  },
};
const first: ModelSpec = {
  nodes: [node("Constant", [], ["s"], { value: twice }), node("Resize", ["x", "", "s"], ["r"], { mode: "nearest" }), ...after],
  initializers: { other },
  inputs: [image],
  outputs: [{ name: "y" }],
};

describe("measures", () => {
  it.each(Object.entries(made))("%s: the run agrees with a file that has them elsewhere", (_name, spec) => {
    expect(witness(model(first), model(spec)).outcome).toBe("equal");
  });

  it("are what only measures, by all its readers", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Reshape", ["x", "rows"], ["t"]),
        node("Tile", ["t", "times"], ["u"]),
        node("Cast", ["times"], ["number"], { to: 1 }),
        node("Mul", ["u", "number"], ["v"]),
        node("Slice", ["v", "from", "from"], ["y"]),
      ],
      initializers: { rows: int64([2], [0, -1]), times: int64([2], [1, 2]), from: int64([1], [0]) },
      inputs: [image],
      outputs: [{ name: "y" }, { name: "rows" }],
    };
    expect([...measuresOf(viewOf(model(spec)))].map(({ name }) => name)).toEqual(["from"]);
  });

  it.each([1, 3])("an exponent of %d stays whole: no move makes powers of negative numbers undefined", (exponent) => {
    const power = (first: readonly string[], second: readonly string[]) =>
      model({
        nodes: [
          node("Add", first, ["s"]),
          node("Add", second, ["t"]),
          node("Pow", ["t", "p"], ["q"]),
          node("ReduceMin", ["q", "axes"], ["y"], { keepdims: 1 }),
        ],
        initializers: {
          b: { dtype: "float64", dims: [1, 2, 1, 1], values: [0.1, 1 / 3] },
          c: { dtype: "float64", dims: [1, 2, 1, 1], values: [-0.7, 0.9] },
          p: { dtype: "float64", dims: [], values: [exponent] },
          axes: int64([2], [2, 3]),
        },
        inputs: [{ ...image, dtype: "float64" }],
        outputs: [{ name: "y", dtype: "float64" }],
        opset: 18,
      });
    // The same sum in another order, of which nothing is rounded in the files.
    expect(witness(power(["x", "b"], ["s", "c"]), power(["x", "c"], ["s", "b"])).outcome).toBe("equal");
  });
});
