/** What an operator on top of a value that is known up to rounding is off by: its own numbers count, what was open before does not. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { randomOf } from "../../src/verify/random.ts";
import { float32, type ModelSpec, model, node } from "../helpers/build.ts";

const CHANNELS = 8;
const random = randomOf(7, "composed");
const numbers = (n: number) => Array.from({ length: n }, () => Math.fround(random.normal()));
const [w, b] = [numbers(CHANNELS * CHANNELS), numbers(CHANNELS)];
const ROOT = Math.fround(Math.SQRT2);

/** A layer with a gain in its own numbers that an operator behind takes back. */
function net(gain: number, back: "Div" | "Mul"): ModelSpec {
  const by = (values: readonly number[]) => values.map((v) => Math.fround(v * gain));
  return {
    nodes: [
      node("Conv", ["x", "w", "b"], ["c"]),
      ...(gain === 1 ? [] : [node(back, ["c", "k"], ["d"])]),
      node("Relu", [gain === 1 ? "c" : "d"], ["y"]),
    ],
    initializers: {
      w: float32([CHANNELS, CHANNELS, 1, 1], by(w)),
      b: float32([CHANNELS], by(b)),
      ...(gain === 1 ? {} : { k: float32([1], [Math.fround(back === "Div" ? gain : 1 / gain)]) }),
    },
    inputs: [{ name: "x", dims: ["N", CHANNELS, 4, 4] }],
    outputs: [{ name: "y" }],
  };
}

describe("an operator on top of what is known up to rounding", () => {
  it.each(["Div", "Mul"] as const)("is off by a few half-ulps of its own, whatever was open before: %s", (back) => {
    for (const foreign of [true, false]) {
      const proof = prove(model(net(1, back)), model(net(ROOT, back)), { foreign });
      expect(proof.outcome).toBe("equal");
      expect(Math.max(...proof.regions.map(({ worstHalfUlps }) => worstHalfUlps))).toBeLessThan(8);
    }
  });
});

describe("a table below the normal numbers of its type", () => {
  const table = [1, 0.5, 2 ** -140 * 1.25, 2 ** -149, 0, 2 ** -60, 3, 2 ** -148];
  const gain = Math.fround(0.3);
  /** s·x + c over its sum, or x + c/s over its own. */
  const quotient = (folded: boolean, at?: number): ModelSpec => {
    const c = folded ? table.map((v, i) => Math.fround(v / gain) * (i === at ? 1 + 2 ** -20 : 1)) : table;
    return {
      nodes: [
        node("Relu", ["x"], ["r"]),
        ...(folded ? [] : [node("Mul", ["r", "s"], ["m"])]),
        node("Add", [folded ? "r" : "m", "c"], ["a"]),
        node("ReduceSum", ["a", "axes"], ["n"], { keepdims: 1 }),
        node("Div", ["a", "n"], ["y"]),
      ],
      initializers: {
        ...(folded ? {} : { s: float32([1], [gain]) }),
        c: float32([CHANNELS], c),
        axes: { dtype: "int64", dims: [1], values: [-1] },
      },
      inputs: [{ name: "x", dims: ["N", CHANNELS] }],
      outputs: [{ name: "y" }],
    };
  };
  it("is rounded by half the smallest of them, and no more", () => {
    for (const foreign of [true, false]) {
      expect(prove(model(quotient(false)), model(quotient(true)), { foreign }).outcome).toBe("equal");
      expect(prove(model(quotient(false)), model(quotient(true, 5)), { foreign }).outcome).not.toBe("equal");
    }
  });
});

describe("a sum of values with shifts of several sizes", () => {
  const beta = numbers(CHANNELS).map((v) => Math.fround(v * 2 ** -9));
  const parts = [0, 1, 2].map(() => numbers(CHANNELS * CHANNELS));
  const large = numbers(CHANNELS);
  /** Layers, added up, with a shift behind them; or with biases that come to it: a small one, and two that cancel. */
  const sum = (folded: boolean, off = 0): ModelSpec => {
    const small = beta.map((v) => v / 3);
    const biases = [small, large, beta.map((v, o) => v - small[o] - large[o] + off)];
    return {
      nodes: [
        ...parts.map((_, i) => node("Conv", ["x", `w${i}`, ...(folded ? [`b${i}`] : [])], [`c${i}`])),
        node("Add", ["c0", "c1"], ["s"]),
        node("Add", ["s", "c2"], [folded ? "r" : "t"]),
        ...(folded ? [] : [node("Add", ["t", "beta"], ["r"])]),
        node("Relu", ["r"], ["y"]),
      ],
      initializers: {
        ...Object.fromEntries(parts.map((values, i) => [`w${i}`, float32([CHANNELS, CHANNELS, 1, 1], values)])),
        ...(folded
          ? Object.fromEntries(biases.map((values, i) => [`b${i}`, float32([CHANNELS], values.map(Math.fround))]))
          : { beta: float32([CHANNELS, 1, 1], beta) }),
      },
      inputs: [{ name: "x", dims: ["N", CHANNELS, 4, 4] }],
      outputs: [{ name: "y" }],
    };
  };

  it("is open by what each of them is, not by what the first is", () => {
    for (const foreign of [true, false]) {
      expect(prove(model(sum(false)), model(sum(true)), { foreign }).outcome).toBe("equal");
      expect(prove(model(sum(false)), model(sum(true, 2 ** -16)), { foreign }).outcome).toBe("different");
    }
  });
});
