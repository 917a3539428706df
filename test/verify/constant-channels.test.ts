/**
 * A file that does without a channel which a gain of zero makes a constant: the layer behind has the constant in its bias and reads nothing of
 * the channel, in which then stands what it may.
 */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { f, float32, type GraphSpec, model, node } from "../helpers/build.ts";

const W = [1, 2, 3, -1, 4, 0.5];
const GAIN = [2, 0, 0.5];
const BETA = [0, 0.75, 0];
const made = (nodes: GraphSpec["nodes"], initializers: GraphSpec["initializers"]) =>
  model({
    nodes: [...nodes, node("Conv", ["x", "v"], ["z"])],
    initializers: { ...initializers, v: float32([1, 3, 1, 1], [1, 1, 1]) },
    inputs: [{ name: "x", dims: ["N", 3, "H", "W"] }],
    outputs: [{ name: "y" }, { name: "z" }],
  });

const before = (op: string) =>
  made(
    [
      node("BatchNormalization", ["x", "gain", "beta", "mean", "variance"], ["n"], { epsilon: f(0) }),
      node(op, ["n"], ["r"]),
      node("Conv", ["r", "w", "b"], ["y"]),
    ],
    {
      gain: float32([3], GAIN),
      beta: float32([3], BETA),
      mean: float32([3], [0, 0, 0]),
      variance: float32([3], [1, 1, 1]),
      w: float32([2, 3, 1, 1], W),
      b: float32([2], [1, -1]),
    },
  );

const after = (op: string, weights: readonly number[], bias: readonly number[], pads = 0) =>
  made([node(op, ["x"], ["r"]), node("Conv", ["r", "w", "b"], ["y"], { pads: [pads, pads, pads, pads] })], {
    w: float32([2, 3, 1, 1], weights),
    b: float32([2], bias),
  });

const scaled = W.map((w, i) => w * GAIN[i % 3]);
const moved = [1 + 2 * 0.75, -1 + 4 * 0.75];
const outcome = (op: string, ...rest: [readonly number[], readonly number[], number?]) =>
  prove(before(op), after(op, ...rest), { foreign: true }).outcome;

describe("a channel that a gain of zero makes a constant", () => {
  it.each(["Relu", "LeakyRelu"])("may be left out: %s", (op) => {
    expect(outcome(op, scaled, moved)).toBe("equal");
  });

  it("may not where the layer still reads it, or has another constant in its bias", () => {
    for (const i of [1, 4]) expect(outcome("Relu", scaled.with(i, 2 ** -10), moved)).not.toBe("equal");
    for (const i of [0, 1]) expect(outcome("Relu", scaled, moved.with(i, moved[i] + 2 ** -10))).not.toBe("equal");
    expect(outcome("Relu", scaled, [1, -1])).not.toBe("equal");
    expect(outcome("Relu", W, moved)).not.toBe("equal");
  });

  it("nor where the borders see that it is gone", () => {
    expect(outcome("Relu", scaled, moved, 1)).not.toBe("equal");
  });

  it("nor is it another value of the second file that stands for it", () => {
    // The first file: two constants, whose difference is nothing. The second: what stands in the lost channel of one and of the other.
    const constants = {
      gain: float32([3], GAIN),
      beta: float32([3], BETA),
      mean: float32([3], [0, 0, 0]),
      variance: float32([3], [1, 1, 1]),
    };
    const norm = node("BatchNormalization", ["x", "gain", "beta", "mean", "variance"], ["n"], { epsilon: f(0) });
    const ends = [node("Sub", ["r", "s"], ["d"]), node("ReduceMax", ["d"], ["y"])];
    const first = made([norm, node("Relu", ["n"], ["r"]), node("Relu", ["n"], ["s"]), ...ends], constants);
    const live = { g: float32([1, 3, 1, 1], [2, 1, 0.5]), h: float32([1, 3, 1, 1], [2, 3, 0.5]) };
    const gains = [node("Mul", ["x", "g"], ["p"]), node("Mul", ["x", "h"], ["q"])];
    const second = made([...gains, node("Relu", ["p"], ["r"]), node("Relu", ["q"], ["s"]), ...ends], live);
    expect(prove(first, second, { foreign: true }).outcome).not.toBe("equal");
  });
});
