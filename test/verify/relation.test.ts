/** Relations between values of two files, where what is known exactly must not be lost to the cancellation of large shifts. */
import { describe, expect, it } from "vitest";
import { along, uniform } from "../../src/affine/spread.ts";
import { certify } from "../../src/verify/proof/certificate.ts";
import { Classes, sideOf } from "../../src/verify/proof/classes.ts";
import { exact, inverse, relative, snap } from "../../src/verify/proof/relation.ts";
import { float32, model, node } from "../helpers/build.ts";

describe("a map that whoever made the second file gives", () => {
  const side = sideOf(
    model({
      nodes: [node("Relu", ["x"], ["c"]), node("Add", ["c", "t"], ["y"])],
      initializers: { t: float32([2, 1, 1], [-0.07203176468315403, 1000]) },
      inputs: [{ name: "x", dims: [1, 2, 4, 4] }],
      outputs: [{ name: "y" }],
    }),
  );
  const classes = new Classes(side);
  const b = [-1.0640339555113395e-6, 3e-9];
  certify(classes, new Map([["", new Map([["y", { scale: uniform(4, 1), shift: along(4, 1, Float64Array.from(b)) }]])]]));
  const y = classes.side.view.main.values.get("y");
  const alpha = y && classes.of(y);
  if (alpha === undefined) throw new Error("y is no map");
  const proposed = alpha.core.members.find((member) => member.proposed);
  if (proposed === undefined) throw new Error("nothing was proposed");

  it("is that map of the value itself, both ways, whatever the shift of its class", () => {
    const beta = exact(alpha.core, proposed);
    expect([...(relative(beta, alpha)?.shift.data ?? [])]).toEqual(b.map((v) => -v));
    expect([...(inverse(beta, alpha)?.shift.data ?? [])]).toEqual(b);
  });
});

describe("a map that is known but for its rounding", () => {
  it("is the nearest of those in its class that are near enough", () => {
    const side = sideOf(
      model({
        nodes: [node("Mul", ["x", "k"], ["a"]), node("Mul", ["x", "l"], ["b"]), node("Concat", ["a", "b"], ["y"], { axis: 0 })],
        initializers: { k: float32([], [2]), l: float32([], [2.125]) },
        inputs: [{ name: "x", dims: [1, 3] }],
        outputs: [{ name: "y" }],
      }),
    );
    const classes = new Classes(side);
    const x = side.view.main.values.get("x");
    const own = x && classes.of(x);
    if (own === undefined) throw new Error("x is in no class");
    const known = (scale: number) => ({ ...exact(own.core, own), scale: uniform(2, scale), slackScale: uniform(2, 0.25) });
    const nearest = [1.9, 2.0625 - 2 ** -8, 2.0625 + 2 ** -8, 2.3].map((scale) => snap(known(scale)).relation.scale.data[0]);
    expect(nearest).toEqual([2, 2, 2.125, 2.125]);
    expect(snap(known(3)).member).toBe(false);
  });
});
