/** Constants that are no numbers: what is infinite in one file is near nothing in the other. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { f, float32, type ModelSpec, model, node, type TensorSpec } from "../helpers/build.ts";

const [INF, NAN] = [Number.POSITIVE_INFINITY, Number.NaN];

const spec = (nodes: ModelSpec["nodes"], initializers: Record<string, TensorSpec>): ModelSpec => ({
  nodes,
  initializers,
  inputs: [{ name: "x", dims: [1, 2, 2, 2] }],
  outputs: [{ name: "y", dims: [1, undefined, 2, 2] }],
});

/** Each gives a model with one of its constants, and the same with a gain of two channels that can go into it. */
const models: Record<string, (number: number, gain: boolean) => ModelSpec> = {
  "a weight": (w, gain) => conv([1, w, 3, 4], [1, 2], gain),
  "a bias": (b, gain) => conv([1, 2, 3, 4], [1, b], gain),
  "a weight alone in its row": (w, gain) => conv([w, 0, 3, 4], [0, 2], gain),
  "all of a row": (w, gain) => conv([w, w, 3, 4], [0, 2], gain),
  "an attribute": (alpha) => spec([node("LeakyRelu", ["x"], ["y"], { alpha: f(alpha) })], {}),
  "an operand": (slope) => spec([node("PRelu", ["x", "c"], ["y"])], { c: float32([2, 1, 1], [slope, 2]) }),
  "a shift": (c) => spec([node("Add", ["x", "c"], ["y"])], { c: float32([2, 1, 1], [c, 2]) }),
  "a gain": (c) => spec([node("Mul", ["x", "c"], ["y"])], { c: float32([2, 1, 1], [c, 2]) }),
  "a part of a Concat": (c, gain) =>
    spec([node("Concat", ["x", "c"], [gain ? "c0" : "y"], { axis: 1 }), ...(gain ? [node("Mul", ["c0", "g"], ["y"])] : [])], {
      c: float32([1, 1, 2, 2], [1, 2, c, 4]),
      ...(gain ? { g: float32([1, 3, 1, 1], [1, 1, 2]) } : {}),
    }),
};

function conv(w: number[], b: number[], gain: boolean): ModelSpec {
  const layer = node("Conv", ["x", "w", "b"], [gain ? "c" : "y"]);
  const g = { g: float32([2, 1, 1], [2, 4]) };
  return spec([layer, ...(gain ? [node("Mul", ["c", "g"], ["y"])] : [])], {
    w: float32([2, 2, 1, 1], gain ? w : w.map((v, i) => v * [2, 2, 4, 4][i])),
    b: float32([2], gain ? b : b.map((v, i) => v * [2, 4][i])),
    ...(gain ? g : {}),
  });
}

const outcome = (a: ModelSpec, b: ModelSpec, foreign: boolean) => prove(model(a), model(b), { foreign }).outcome;

describe.each(Object.keys(models))("%s", (name) => {
  const make = models[name];
  it.each([
    [INF, 5],
    [5, INF],
    [INF, -INF],
    [-INF, 3e38],
    [INF, NAN],
    [5, NAN],
    [NAN, 5],
  ])("%s is not %s", (x, y) => {
    for (const foreign of [false, true]) {
      expect(outcome(make(x, false), make(y, false), foreign), "as it stands").not.toBe("equal");
      expect(outcome(make(x, true), make(y, false), foreign), "behind a gain").not.toBe("equal");
    }
  });

  it("is itself", () => {
    for (const x of [INF, -INF, NAN, 5]) {
      expect(outcome(make(x, false), make(x, false), false), String(x)).toBe("equal");
      expect(outcome(make(x, true), make(x, true), true), String(x)).toBe("equal");
    }
  });
});
