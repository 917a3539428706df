/**
 * Layers that each took the same gain were each rounded: the gains the proof reads off their coefficients are not bit for bit one. What
 * joins them has to carry one gain all the same.
 */
import { describe, it } from "vitest";
import { float32, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats } from "../rules/check.ts";

const C = 4;
/** Numbers that no product with a gain leaves exact. */
const weight = (seed: number): TensorSpec =>
  float32(
    [C, C, 1, 1],
    Array.from({ length: C * C }, (_, i) => Math.sin(seed + 1.7 * i)),
  );
const cond: TensorSpec = { dtype: "bool", dims: [1, C, 1, 1], values: [1, 0, 0, 1] };

describe("one gain on the layers behind", () => {
  it.each(["Add", "Sub", "Sum", "Mean", "Where"])("%s", (op) => {
    const norm = batchNorm("m", "y", C, { gain: [1.3, 0.7, 2.1, 0.9] });
    const spec = {
      nodes: [
        node("Conv", ["x", "v"], ["a"]),
        node("Conv", ["x", "w"], ["b"]),
        node(op, op === "Where" ? ["cond", "a", "b"] : ["a", "b"], ["m"]),
        norm.node,
      ],
      initializers: { v: weight(1), w: weight(2), ...(op === "Where" ? { cond } : {}), ...norm.initializers },
      inputs: [floats("x", [2, C, 3, 3])],
      outputs: [{ name: "y" }],
    };
    check(spec, { folds: 1, options: { merge: false }, tolerance: 1e-5 });
  });
});
