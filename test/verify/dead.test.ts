/** Channels that a gain of zero makes constant, where they are joined with others. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { randomOf } from "../../src/verify/random.ts";
import { f, float32, type ModelSpec, model, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const random = randomOf(5, "dead");
const numbers = (n: number) => Array.from({ length: n }, () => Math.fround(random.normal()));

/** A normalized layer of `a` channels joined with another of `b` channels that reads it; one channel of each has gain 0. */
function joined(a: number, b: number, axis = 1): ModelSpec {
  const norm = (name: string, channels: number, dead: number) => ({
    [`${name}_scale`]: float32([channels], numbers(channels).with(dead, 0)),
    [`${name}_bias`]: float32([channels], numbers(channels)),
    [`${name}_mean`]: float32([channels], numbers(channels)),
    [`${name}_var`]: float32(
      [channels],
      numbers(channels).map((v) => Math.fround(0.5 + v * v)),
    ),
  });
  const normalize = (x: string, name: string) =>
    node("BatchNormalization", [x, ...["scale", "bias", "mean", "var"].map((part) => `${name}_${part}`)], [name], {
      epsilon: f(1e-5),
    });
  return {
    nodes: [
      node("Conv", ["x", "w"], ["c"]),
      normalize("c", "first"),
      node("Conv", ["first", "v"], ["d"]),
      normalize("d", "second"),
      node("Concat", ["first", "second"], ["both"], { axis }),
      node("Relu", ["both"], ["y"]),
    ],
    initializers: {
      w: float32([a, 3, 1, 1], numbers(3 * a)),
      v: float32([b, a, 1, 1], numbers(a * b)),
      ...norm("first", a, a - 2),
      ...norm("second", b, b - 1),
    },
    inputs: [{ name: "x", dims: ["N", 3, 4, 4] }],
    outputs: [{ name: "y" }],
  };
}

describe("constant channels in parts of a Concat", () => {
  it.each([
    [8, 4, 1],
    [4, 8, 1],
    [6, 6, 1],
    [6, 6, 2],
  ])("are proven where one part has %i channels and the other %i, joined along axis %i", (a, b, axis) => {
    const before = model(joined(a, b, axis));
    const { model: after, data } = folded(before);
    expect(data.folds.length).toBe(2);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
  });

  it("are not what they are when they are another constant", () => {
    const spec = joined(8, 4);
    const values = Array.from(spec.initializers?.first_bias?.values ?? [], Number);
    const other = { ...spec.initializers, first_bias: float32([8], values.with(6, values[6] + 0.01)) };
    const { model: after } = folded(model({ ...spec, initializers: other }));
    expect(prove(model(spec), after, { foreign: false }).outcome).not.toBe("equal");
  });
});
