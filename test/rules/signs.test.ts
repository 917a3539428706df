/** Functions that only the sign of a gain passes, and determinants. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { float32, type ModelSpec, model, node, type TensorSpec } from "../helpers/build.ts";
import { check, floats, operators, whole } from "./check.ts";
import { refuses } from "./helpers.ts";

const C = 4;
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const flips = per([1, -1, -1, 1]);
const gains = per([2, -4, 0.5, 8]);
const shapes = { inputs: [floats("x", ["N", C, 4, 4])], outputs: [floats("y")] };

/** Mul of eˣ by k, or an Add, → op → Conv. */
const ahead = (op: string, k: TensorSpec, by = "Mul"): ModelSpec => ({
  ...shapes,
  nodes: [node("Exp", ["x"], ["e"]), node(by, ["e", "k"], ["a"]), node(op, ["a"], ["m"]), node("Conv", ["m", "w"], ["y"])],
  initializers: { k, w: whole([2, C, 1, 1]) },
});
/** Conv → op → Mul by k. */
const behind = (op: string, k: TensorSpec, by = "Mul"): ModelSpec => ({
  ...shapes,
  nodes: [node("Conv", ["x", "w"], ["c"]), node(op, ["c"], ["m"]), node(by, ["m", "k"], ["y"])],
  initializers: { k, w: whole([C, C, 1, 1]) },
});

describe("odd functions", () => {
  it.each(["Tanh", "Sin", "Atan", "Asinh", "Erf", "Softsign", "Sign"])("%s takes signs from either side", (op) => {
    for (const spec of [ahead(op, flips), behind(op, flips)]) {
      expect(operators(check(spec, { folds: 1, tolerance: 1e-6 }))).not.toContain("Mul");
    }
  });

  it("take no other gain, and no shift", () => {
    for (const spec of [ahead("Tanh", gains), behind("Tanh", gains), behind("Sign", gains)]) refuses(spec, "operator-blocks");
    for (const spec of [ahead("Tanh", flips, "Add"), ahead("Sign", flips, "Add")]) refuses(spec, "operator-blocks");
  });

  it("are not what even and other functions are", () => {
    refuses(ahead("Sigmoid", flips), "operator-blocks");
    refuses(behind("Cos", flips), "operator-blocks");
    refuses(ahead("Exp", flips), "operator-blocks");
  });
});

describe("Sign", () => {
  it("hands on the sign of any gain, and nothing of one above zero", () => {
    check(ahead("Sign", gains), { folds: 1 });
    check(ahead("Sign", per([2, 4, 0.5, 8])), { folds: 1 });
    check(ahead("Sign", per([2, 0, -1, 8])), { folds: 1 });
    const positive = plan(model(ahead("Sign", per([2, 4, 0.5, 8])))).data;
    expect(positive.folds[0].into).toEqual([]);
  });
});

describe("even functions", () => {
  it.each(["Cos", "Cosh"])("%s sees no sign", (op) => {
    check(ahead(op, flips), { folds: 1, tolerance: 1e-6 });
    refuses(ahead(op, gains), "operator-blocks");
  });
});

describe("Det", () => {
  /** Matrices of eˣ times k → Det → Mul by a constant. */
  const matrices = (k: TensorSpec): ModelSpec => ({
    nodes: [node("Exp", ["x"], ["e"]), node("Mul", ["e", "k"], ["a"]), node("Det", ["a"], ["d"]), node("Mul", ["d", "c"], ["y"])],
    initializers: { k, c: float32([], [4]) },
    inputs: [floats("x", ["N", 3, 3])],
    outputs: [floats("y")],
  });
  const muls = (spec: ModelSpec) => plan(model(spec)).data.folds.length;

  it("multiplies the gains of rows or of columns", () => {
    for (const k of [float32([3, 1], [2, -4, 1]), float32([3], [2, 4, 0.5]), float32([], [2])]) {
      check(matrices(k), { folds: 1, tolerance: 1e-6 });
    }
  });

  it("takes no gain of single elements, no shift, and none that its type has no room for", () => {
    const corner = float32([3, 3], [2, 1, 1, 1, 1, 1, 1, 1, 1]);
    expect(
      muls({
        ...matrices(corner),
        nodes: matrices(corner)
          .nodes.slice(0, 3)
          .map((n) => (n.op === "Det" ? { ...n, outputs: ["y"] } : n)),
      }),
    ).toBe(0);
    const huge = matrices(float32([], [2 ** 100]));
    expect(plan(model(huge)).data.kept.map(({ code }) => code)).toContain("storage-overflow");
  });
});

describe("EyeLike", () => {
  it("sees nothing of its input but the shape", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w"], ["c"]),
        node("Mul", ["c", "k"], ["m"]),
        node("Conv", ["m", "v"], ["y"]),
        node("Flatten", ["m"], ["f"]),
        node("EyeLike", ["f"], ["eye"]),
      ],
      initializers: { k: per([2, -4, 0.5, 8]), w: whole([C, C, 1, 1]), v: whole([2, C, 1, 1]) },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y"), floats("eye")],
    };
    check(spec, { folds: 1, tolerance: 1e-6 });
  });
});
