import { describe, expect, it } from "vitest";
import { float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { check, floats, operators, whole } from "./check.ts";

const powers = (n: number) =>
  float32(
    [n],
    Array.from({ length: n }, (_, i) => [2, -1, 0.5, 4][i % 4]),
  );
const net = (
  nodes: NodeSpec[],
  initializers: Record<string, TensorSpec>,
  dims: (number | string)[],
  more: Partial<ModelSpec> = {},
): ModelSpec => ({
  nodes,
  initializers,
  inputs: [floats("x", dims)],
  outputs: [floats("y")],
  ...more,
});
const product = (equation: string, x: string, y: string) => node("Einsum", [x, "w"], [y], { equation });

describe("Einsum with one constant operand", () => {
  it("takes a gain on its own output labels, whatever their order", () => {
    const done = check(
      net(
        [product("bhd,hde->beh", "x", "n"), node("Mul", ["n", "s"], ["y"])],
        { w: whole([2, 3, 4]), s: float32([4, 1], [2, -1, 0.5, 4]) },
        ["B", 2, 3],
      ),
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["Einsum"]);
    check(
      net([product("bhd,hde->bhe", "x", "n"), node("Mul", ["n", "s"], ["y"])], { w: whole([2, 3, 4]), s: whole([2, 4], 9) }, [
        "B",
        2,
        3,
      ]),
      { folds: 1 },
    );
  });

  it("constant on the left, implicit output, ellipsis", () => {
    const left = node("Einsum", ["w", "x"], ["n"], { equation: "oc,nch->noh" });
    check(net([left, node("Mul", ["n", "s"], ["y"])], { w: whole([4, 3]), s: float32([4, 1], [2, -1, 0.5, 4]) }, [2, 3, 5]), {
      folds: 1,
    });
    check(net([product("ij,jk", "x", "n"), node("Mul", ["n", "s"], ["y"])], { w: whole([3, 4]), s: powers(4) }, [2, 3]), {
      folds: 1,
    });
    check(
      net([product("...j,jk->...k", "x", "n"), node("Mul", ["n", "s"], ["y"])], { w: whole([3, 4]), s: powers(4) }, [2, 5, 3]),
      { folds: 1 },
    );
  });

  it("takes a gain on a summed label", () => {
    const done = check(
      net([node("Mul", ["x", "s"], ["m"]), product("bhd,hde->bhe", "m", "y")], { w: whole([2, 3, 4]), s: powers(3) }, [
        "B",
        2,
        3,
      ]),
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["Einsum"]);
  });

  it("turns a shift into one that a following constant takes", () => {
    const nodes = [node("Add", ["x", "t"], ["a"]), product("bhd,hde->bhe", "a", "n"), node("Add", ["n", "c"], ["y"])];
    check(net(nodes, { w: whole([2, 3, 4]), t: whole([3], 2), c: whole([2, 4], 3) }, ["B", 2, 3]), { folds: 2 - 1 });
    check(
      net(
        nodes.slice(0, 2).map((n) => (n.op === "Einsum" ? { ...n, outputs: ["y"] } : n)),
        { w: whole([2, 3, 4]), t: whole([3], 2) },
        ["B", 2, 3],
      ),
      { folds: 0 },
    );
  });

  it("counts every term of a sum over an axis that only the input has", () => {
    const nodes = [node("Add", ["x", "t"], ["a"]), product("bcl,c->b", "a", "n"), node("Add", ["n", "c"], ["y"])];
    check(net(nodes, { w: whole([3]), t: float32([], [2]), c: float32([1], [5]) }, [2, 3, 5]), { folds: 1 });
  });

  it("passes a gain to the computed operand that carries it", () => {
    const conv = node("Conv", ["x", "k"], ["u"]);
    check(
      net(
        [conv, product("ncl,lm->ncm", "u", "n"), node("Mul", ["n", "s"], ["y"])],
        { k: whole([3, 2, 1], 1), w: whole([4, 6]), s: float32([3, 1], [2, -1, 4]) },
        [2, 2, 4],
      ),
      { folds: 1 },
    );
  });

  it("not along an axis of the same length that another operand makes", () => {
    check(
      net(
        [product("ab,bc->ac", "x", "n"), node("Mul", ["n", "s"], ["y"])],
        { w: whole([3, 4]), s: float32([4, 1], [2, -1, 0.5, 4]) },
        [4, 3],
      ),
      { folds: 0, because: /reads the graph input/ },
    );
  });

  it("not where the weight is broadcast along the map, nor on a diagonal", () => {
    check(
      net(
        [product("bij,ij->bij", "x", "n"), node("Mul", ["n", "s"], ["y"])],
        { w: whole([1, 4]), s: float32([3, 1], [2, -1, 4]) },
        [2, 3, 4],
      ),
      { folds: 0 },
    );
    check(
      net(
        [node("Mul", ["x", "s"], ["m"]), node("Einsum", ["m", "w"], ["y"], { equation: "ii,ij->ij" })],
        { w: whole([3, 4]), s: powers(3) },
        [3, 3],
      ),
      { folds: 0 },
    );
  });

  it("two computed operands and one constant", () => {
    const spec: ModelSpec = {
      nodes: [node("Mul", ["x", "s"], ["m"]), node("Einsum", ["m", "w", "z"], ["y"], { equation: "bi,ij,bj->bj" })],
      initializers: { w: whole([3, 4]), s: powers(3) },
      inputs: [floats("x", [2, 3]), floats("z", [2, 4])],
      outputs: [floats("y")],
    };
    check(spec, { folds: 1 });
  });
});
