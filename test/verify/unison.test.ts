/**
 * Layers that each took the same gain and shift were each rounded: the maps the proof reads off their coefficients are not bit for bit
 * one. What joins them has to carry one map all the same.
 */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { f, float32, type ModelSpec, model, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats } from "../rules/check.ts";

const C = 4;
/** Numbers that no product with a gain leaves exact. */
const weight = (seed: number): TensorSpec =>
  float32(
    [C, C, 1, 1],
    Array.from({ length: C * C }, (_, i) => Math.sin(seed + 1.7 * i)),
  );
const bias = (seed: number): TensorSpec =>
  float32(
    [C],
    Array.from({ length: C }, (_, i) => Math.cos(seed + 2.3 * i)),
  );
const cond: TensorSpec = { dtype: "bool", dims: [1, C, 1, 1], values: [1, 0, 0, 1] };
const gain = [1.3, 0.7, 2.1, 0.9];

describe("one gain on the layers behind", () => {
  it.each(["Add", "Sub", "Sum", "Mean", "Where"])("%s", (op) => {
    const norm = batchNorm("m", "y", C, { gain });
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

  // As another tool folds: gains and shifts in float32, a rounding at every step.
  it.each(["Add", "Sub", "Sum", "Mean", "Where"])("and one shift, %s, in a file that another tool has folded", (op) => {
    const gains = gain.map((g, c) => Math.fround(g / Math.fround(Math.sqrt(c + 1.5))));
    const shift = [0.3, -1.1, 0.7, 1.9];
    const joined = (folded: boolean): ModelSpec => {
      const at = (t: TensorSpec, per: number) =>
        folded
          ? float32(
              t.dims,
              (t.values as number[]).map((v, i) => Math.fround(v * gains[Math.floor(i / per)])),
            )
          : t;
      const both = op === "Where";
      // What of the shift each operand takes.
      const part = { Add: [0.5, 0.5], Sum: [0.5, 0.5], Sub: [2, 1], Mean: [1, 1], Where: [1, 1] }[op] as number[];
      const moved = (t: TensorSpec, k: number) =>
        folded
          ? float32(
              t.dims,
              (at(t, 1).values as number[]).map((v, c) => Math.fround(v + part[k] * shift[c])),
            )
          : t;
      const norm = [node("BatchNormalization", ["m", "g", "s", "z", "var"], ["n"], { epsilon: f(0) })];
      return {
        nodes: [
          node("Conv", ["x", "v", "p"], ["a"]),
          node("Conv", ["x", "w", "q"], ["b"]),
          node(op, both ? ["cond", "a", "b"] : ["a", "b"], [folded ? "n" : "m"]),
          ...(folded ? [] : norm),
          node("Relu", ["n"], ["y"]),
        ],
        initializers: {
          v: at(weight(1), C),
          w: at(weight(2), C),
          p: moved(bias(3), 0),
          q: moved(bias(4), 1),
          ...(folded
            ? {}
            : {
                g: float32([C], gain),
                s: float32([C], shift),
                z: float32([C], [0, 0, 0, 0]),
                var: float32([C], [1.5, 2.5, 3.5, 4.5]),
              }),
        },
        inputs: [floats("x", [2, C, 3, 3]), ...(both ? [{ name: "cond", dtype: "bool", dims: [2, C, 3, 3] }] : [])],
        outputs: [{ name: "y" }],
      };
    };
    const proof = prove(model(joined(false)), model(joined(true)));
    expect(proof.outcome, JSON.stringify(proof.regions.filter((r) => r.outcome !== "equal"))).toBe("equal");
  });

  // As a tool equalizes: no operator of the first file says what the gain is, and each layer rounded it.
  it.each(["Add", "Sub", "Sum", "Mean", "Where"])("and one gain that the layer behind takes back, %s", (op) => {
    const both = op === "Where";
    const joined = (gains: readonly number[]): ModelSpec => {
      const by = (t: TensorSpec, factor: (i: number) => number) =>
        float32(
          t.dims,
          (t.values as number[]).map((v, i) => v * factor(i)),
        );
      const rows = (i: number) => gains[Math.floor(i / C)];
      return {
        nodes: [
          node("Conv", ["x", "v", "p"], ["a"]),
          node("Conv", ["x", "w", "q"], ["b"]),
          node(op, both ? ["cond", "a", "b"] : ["a", "b"], ["m"]),
          node("Conv", ["m", "u"], ["y"]),
        ],
        initializers: {
          v: by(weight(1), rows),
          w: by(weight(2), rows),
          p: by(bias(3), (c) => gains[c]),
          q: by(bias(4), (c) => gains[c]),
          u: by(weight(5), (i) => 1 / gains[i % C]),
        },
        inputs: [floats("x", [2, C, 3, 3]), ...(both ? [{ name: "cond", dtype: "bool", dims: [2, C, 3, 3] }] : [])],
        outputs: [{ name: "y" }],
      };
    };
    const proof = prove(model(joined([1, 1, 1, 1])), model(joined(gain)));
    expect(proof.outcome, JSON.stringify(proof.regions.filter((r) => r.outcome !== "equal"))).toBe("equal");
  });
});
