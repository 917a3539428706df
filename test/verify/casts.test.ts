/** Casts between floats are the identity of reals; a rounding that only one file has is seen. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { type ModelSpec, model, type NodeSpec, node } from "../helpers/build.ts";

const [FLOAT, HALF] = [1, 10];
const values = Array.from({ length: 9 }, (_, i) => (i - 4) / 8);
const cast = (from: string, to: string, type: number) => node("Cast", [from], [to], { to: type });
const net = (dtype: string, nodes: readonly NodeSpec[]): ModelSpec => ({
  nodes,
  initializers: { w: { dtype, dims: [3, 3], values } },
  inputs: [{ name: "x", dtype, dims: [2, 3] }],
  outputs: [{ name: "y", dtype }],
});
const outcome = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b)).outcome;

describe("casts", () => {
  const half = net("float16", [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["y"])]);
  const wide = net("float16", [
    cast("x", "xf", FLOAT),
    cast("w", "wf", FLOAT),
    node("MatMul", ["xf", "wf"], ["mf"]),
    node("Relu", ["mf"], ["yf"]),
    cast("yf", "y", HALF),
  ]);

  it("around operators that compute with more digits than the first file's are nothing", () => {
    expect(outcome(half, wide)).toBe("equal");
  });

  it("do not hide that the second file computes with fewer", () => {
    expect(outcome(wide, half)).not.toBe("equal");
  });

  it("to fewer digits, in one of the files only, are seen", () => {
    const plain = net("float32", [node("MatMul", ["x", "w"], ["m"]), node("Relu", ["m"], ["y"])]);
    const narrowed = net("float32", [
      node("MatMul", ["x", "w"], ["m"]),
      cast("m", "h", HALF),
      cast("h", "n", FLOAT),
      node("Relu", ["n"], ["y"]),
    ]);
    expect(outcome(plain, narrowed)).not.toBe("equal");
    expect(outcome(narrowed, plain)).not.toBe("equal");
    expect(outcome(narrowed, narrowed)).toBe("equal");
  });

  it("there and back again are nothing", () => {
    const there = net("float16", [
      node("MatMul", ["x", "w"], ["m"]),
      cast("m", "f", FLOAT),
      cast("f", "h", HALF),
      node("Relu", ["h"], ["y"]),
    ]);
    expect(outcome(half, there)).toBe("equal");
    expect(outcome(there, half)).toBe("equal");
  });
});
