/** A bias of which the second file knows nothing: a layer that could take it is not one that did. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { model, type NodeSpec, node } from "../helpers/build.ts";
import { floats, whole } from "../rules/check.ts";

const LAYERS = {
  MatMul: { w: [4, 5], x: [2, 3, 4], b: [5] },
  Gemm: { w: [4, 5], x: [2, 4], b: [5] },
  Conv: { w: [5, 4, 1, 1], x: [2, 4, 3, 3], b: [5, 1, 1] },
  Einsum: { w: [4, 5], x: [2, 3, 4], b: [5] },
} as const;

describe("an operator in front of another", () => {
  const spec = (between: readonly NodeSpec[], read: string) =>
    model({
      nodes: [...between, node("Softmax", [read], ["y"])],
      inputs: [floats("x", [2, 4]), floats("z", [2, 4])],
      outputs: [floats("y")],
    });
  const said = (a: ReturnType<typeof spec>, b: ReturnType<typeof spec>): string => {
    const { outcome, regions } = prove(a, b);
    expect(outcome).not.toBe("equal");
    return regions.map(({ reason }) => reason).join();
  };
  const relu = node("Relu", ["x"], ["r"], {}, { name: "rectify" });

  it("is named where the second file reads what it reads", () => {
    expect(said(spec([relu], "r"), spec([], "x"))).toContain("rectify (Relu) stands before");
  });

  it("is not said to be missing where the second file reads something else, or it reads two values", () => {
    expect(said(spec([relu], "r"), spec([], "z"))).not.toContain("stands before");
    const product = node("Mul", ["x", "z"], ["r"], {}, { name: "product" });
    for (const read of ["x", "z"]) expect(said(spec([product], "r"), spec([], read))).not.toContain("stands before");
    expect(said(spec([relu, node("Mul", ["r", "z"], ["p"])], "p"), spec([], "x"))).not.toContain("stands before");
  });

  it("is not said to be missing where a map lies between", () => {
    const doubled = [node("Add", ["x", "x"], ["d"]), node("Relu", ["d"], ["r"], {}, { name: "rectify" })];
    expect(said(spec(doubled, "r"), spec([], "x"))).not.toContain("rectify (Relu) stands before");
  });
});

describe("an Add behind a layer", () => {
  it.each(Object.keys(LAYERS) as (keyof typeof LAYERS)[])(
    "%s is missed where it is left out, and seen where there is one more",
    (op) => {
      const { w, x, b } = LAYERS[op];
      const biased = (adds: number) => {
        const attributes: NodeSpec["attributes"] = op === "Einsum" ? { equation: "nij,jk->nik" } : {};
        const names = Array.from({ length: adds + 1 }, (_, i) => (i === adds ? "z" : `y${i}`));
        return model({
          nodes: [
            node(op, ["x", "w"], [names[0]], attributes),
            ...names.slice(1).map((name, i) => node("Add", [names[i], "b"], [name])),
          ],
          initializers: { w: whole(w), b: whole(b, 3) },
          inputs: [floats("x", x)],
          outputs: [floats("z")],
        });
      };
      for (const [m, n] of [
        [1, 0],
        [0, 1],
        [1, 2],
        [2, 1],
      ])
        expect(prove(biased(m), biased(n)).outcome, `${m} and ${n}`).not.toBe("equal");
      expect(prove(biased(1), biased(1)).outcome).toBe("equal");
    },
  );
});
