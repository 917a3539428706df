/** Tools that fold one operator after the other round what they store each time: several steps leave as many roundings. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { randomOf } from "../../src/verify/random.ts";
import { float32, type ModelSpec, model, node } from "../helpers/build.ts";

const [OUT, WIDTH] = [24, 64];
const random = randomOf(3, "steps");
const numbers = (n: number, make = () => random.normal()) => Array.from({ length: n }, () => Math.fround(make()));
const weights = numbers(OUT * WIDTH);
const STEPS = Array.from({ length: 4 }, () => ({
  gamma: numbers(OUT),
  beta: numbers(OUT),
  mean: numbers(OUT),
  variance: numbers(OUT, () => 0.5 + random.uniform()),
}));
const EPSILON = Math.fround(1e-5);

/** A layer and the normalizations that are left of four; the others folded one by one in float32. */
function net(folded: number, kind: "BatchNormalization" | "Mul", change = (w: number[]) => w): ModelSpec {
  let [w, b] = [weights, new Array<number>(OUT).fill(0)];
  for (const { gamma, beta, mean, variance } of STEPS.slice(0, folded)) {
    const plain = kind === "Mul";
    const gain = gamma.map((g, o) => (plain ? g : Math.fround(g / Math.fround(Math.sqrt(Math.fround(variance[o] + EPSILON))))));
    w = w.map((v, i) => Math.fround(v * gain[Math.floor(i / WIDTH)]));
    b = b.map((v, o) =>
      plain ? Math.fround(v * gain[o]) : Math.fround(Math.fround(Math.fround(v - mean[o]) * gain[o]) + beta[o]),
    );
  }
  const left = STEPS.slice(folded);
  return {
    nodes: [
      node("Conv", ["x", "w", "b"], [left.length > 0 ? "c" : "y"]),
      ...left.map((_, i) => {
        const names = kind === "Mul" ? ["g"] : ["g", "b", "m", "v"];
        const from = i === 0 ? "c" : `n${i - 1}`;
        return node(kind, [from, ...names.map((n) => `${n}${i}`)], [i === left.length - 1 ? "y" : `n${i}`]);
      }),
    ],
    initializers: {
      w: float32([OUT, WIDTH, 1, 1], change([...w])),
      b: float32([OUT], b),
      ...Object.fromEntries(
        left.flatMap(({ gamma, beta, mean, variance }, i) =>
          kind === "Mul"
            ? [[`g${i}`, float32([OUT, 1, 1], gamma)]]
            : Object.entries({ g: gamma, b: beta, m: mean, v: variance }).map(([n, v]) => [`${n}${i}`, float32([OUT], v)]),
        ),
      ),
    },
    inputs: [{ name: "x", dims: ["N", WIDTH, 2, 2] }],
    outputs: [{ name: "y" }],
  };
}

describe("several steps into one layer", () => {
  it.each(["BatchNormalization", "Mul"] as const)("leave a rounding each: %s", (kind) => {
    const first = model(net(0, kind));
    for (const folded of [1, 2, 3, 4]) expect(prove(first, model(net(folded, kind))).outcome, `${folded}`).toBe("equal");
  });

  it("and no more than that", () => {
    const change = (w: number[]) => w.with(70, w[70] * (1 + 64 * 2 ** -24));
    for (const folded of [1, 2, 4])
      expect(prove(model(net(0, "BatchNormalization")), model(net(folded, "BatchNormalization", change))).outcome).toBe(
        "different",
      );
  });

  it("that of bnfold's own files stays what it is", () => {
    const proof = prove(model(net(0, "BatchNormalization")), model(net(4, "BatchNormalization")), { foreign: false });
    expect(proof.outcome).toBe("different");
  });
});
