import { describe, expect, it } from "vitest";
import { f, float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, operators, whole } from "./check.ts";

const ROUNDING = { tolerance: 1e-12 };

const net = (nodes: NodeSpec[], initializers: Record<string, TensorSpec>, dims: number[], opset = 23): ModelSpec => ({
  opset,
  irVersion: 10,
  nodes,
  initializers,
  inputs: [floats("x", dims)],
  outputs: [floats("y")],
});
const instance = (x: string, y: string, attributes = {}) =>
  node("InstanceNormalization", [x, "g", "b"], [y], { epsilon: f(0.25), ...attributes });
const layer = (x: string, y: string, attributes = {}) =>
  node("LayerNormalization", [x, "g", "b"], [y], { epsilon: f(0.25), ...attributes });
const group = (x: string, y: string, attributes = {}) =>
  node("GroupNormalization", [x, "g", "b"], [y], { epsilon: f(0.25), num_groups: 2, ...attributes });
const gb = (n: number) => ({ g: whole([n], 11), b: whole([n], 12) });

describe("what stands before a normalisation", () => {
  it("InstanceNormalization loses any shift per channel", () => {
    check(net([node("Add", ["x", "t"], ["a"]), instance("a", "y")], { t: whole([1, 3, 1, 1]), ...gb(3) }, [2, 3, 4, 4]), {
      folds: 1,
      ...ROUNDING,
    });
  });

  it("takes one gain as epsilon, and its sign as its own", () => {
    for (const k of [2, -4]) {
      const done = check(
        net([node("Mul", ["x", "k"], ["a"]), instance("a", "y")], { k: float32([], [k]), ...gb(3) }, [2, 3, 4, 4]),
        { folds: 1, ...ROUNDING },
      );
      expect(done.after.graph.nodes[0].attributes.get("epsilon")?.f).toBe(0.25 / k / k);
    }
  });

  it("signs that differ between channels go into the scale; other gains do not pass", () => {
    check(
      net([node("Mul", ["x", "k"], ["a"]), instance("a", "y")], { k: float32([3, 1, 1], [2, -2, -2]), ...gb(3) }, [2, 3, 4, 4]),
      { folds: 1, ...ROUNDING },
    );
    check(
      net([node("Mul", ["x", "k"], ["a"]), instance("a", "y")], { k: float32([3, 1, 1], [2, 4, 2]), ...gb(3) }, [2, 3, 4, 4]),
      { folds: 0, refused: "axis-blocks" },
    );
    check(
      net(
        [node("Mul", ["x", "k"], ["a"]), instance("a", "y", { epsilon: f(0) })],
        { k: float32([3, 1, 1], [2, -4, 2]), ...gb(3) },
        [2, 3, 4, 4],
      ),
      { folds: 1, ...ROUNDING },
    );
  });

  it("not a map that varies along what is normalized, nor a gain of zero, nor an epsilon beyond float32", () => {
    check(net([node("Add", ["x", "t"], ["a"]), instance("a", "y")], { t: whole([4]), ...gb(3) }, [2, 3, 4, 4]), {
      folds: 0,
      refused: "axis-blocks",
    });
    check(net([node("Mul", ["x", "k"], ["a"]), instance("a", "y")], { k: float32([], [0]), ...gb(3) }, [2, 3, 4, 4]), {
      folds: 0,
      refused: "sign-blocks",
    });
    check(net([node("Mul", ["x", "k"], ["a"]), instance("a", "y")], { k: float32([], [2 ** 80]), ...gb(3) }, [2, 3, 4, 4]), {
      folds: 0,
      refused: "storage-precision",
    });
  });

  it("GroupNormalization: maps that are constant on each group", () => {
    for (const [opset, n] of [
      [20, 2],
      [21, 4],
    ] as const) {
      check(
        net(
          [node("Add", ["x", "t"], ["a"]), group("a", "y")],
          { t: float32([4, 1], [1, 1, -2, -2]), ...gb(n) },
          [2, 4, 5],
          opset,
        ),
        { folds: 1, ...ROUNDING },
      );
      check(
        net(
          [node("Add", ["x", "t"], ["a"]), group("a", "y")],
          { t: float32([4, 1], [1, 2, -2, -2]), ...gb(n) },
          [2, 4, 5],
          opset,
        ),
        { folds: 0, refused: "axis-blocks" },
      );
      check(
        net(
          [node("Mul", ["x", "t"], ["a"]), group("a", "y")],
          { t: float32([4, 1], [2, 2, -2, -2]), ...gb(n) },
          [2, 4, 5],
          opset,
        ),
        { folds: 1, ...ROUNDING },
      );
    }
  });

  it("LayerNormalization: only maps along the axes before it", () => {
    check(net([node("Add", ["x", "t"], ["a"]), layer("a", "y")], { t: whole([3, 1]), ...gb(4) }, [2, 3, 4]), {
      folds: 1,
      ...ROUNDING,
    });
    check(net([node("Add", ["x", "t"], ["a"]), layer("a", "y")], { t: whole([4]), ...gb(4) }, [2, 3, 4]), {
      folds: 0,
      refused: "axis-blocks",
    });
    check(
      net(
        [node("Add", ["x", "t"], ["a"]), layer("a", "y", { axis: 1 })],
        { t: whole([3, 1]), g: whole([3, 4]), b: whole([3, 4]) },
        [2, 3, 4],
      ),
      { folds: 0, refused: "axis-blocks" },
    );
    check(net([node("Mul", ["x", "k"], ["a"]), layer("a", "y")], { k: float32([], [-2]), ...gb(4) }, [2, 3, 4]), {
      folds: 1,
      ...ROUNDING,
    });
  });

  it("LayerNormalization whose statistics are read stays", () => {
    const stats = node("LayerNormalization", ["a", "g", "b"], ["y", "mean"], { epsilon: f(0.25) });
    const spec = net([node("Add", ["x", "t"], ["a"]), stats], { t: whole([3, 1]), ...gb(4) }, [2, 3, 4]);
    check({ ...spec, outputs: [floats("y"), floats("mean")] }, { folds: 0, because: /statistics "mean" read/, ...ROUNDING });
  });

  it("RMSNormalization takes a gain, not a shift", () => {
    const rms = node("RMSNormalization", ["a", "g"], ["y"], { epsilon: f(0.25) });
    check(net([node("Mul", ["x", "k"], ["a"]), rms], { k: float32([], [4]), g: whole([4]) }, [2, 3, 4]), {
      folds: 1,
      ...ROUNDING,
    });
    check(net([node("Add", ["x", "k"], ["a"]), rms], { k: float32([], [4]), g: whole([4]) }, [2, 3, 4]), {
      folds: 0,
      because: /passes a gain but no shift/,
      ...ROUNDING,
    });
  });

  it("LpNormalization keeps only the sign of a gain along other axes", () => {
    const lp = node("LpNormalization", ["a"], ["u"], { axis: 1, p: 2 });
    const conv = node("Conv", ["u", "w"], ["y"]);
    check(net([node("Mul", ["x", "k"], ["a"]), lp, conv], { k: float32([], [-4]), w: whole([2, 3, 1, 1]) }, [2, 3, 2, 2]), {
      folds: 1,
      ...ROUNDING,
    });
    check(
      net(
        [node("Mul", ["x", "k"], ["a"]), node("LpNormalization", ["a"], ["y"], { axis: -1 })],
        { k: float32([3, 1], [4, 2, 1]) },
        [2, 3, 5],
      ),
      { folds: 1, ...ROUNDING },
    );
    check(
      net([node("Mul", ["x", "k"], ["a"]), lp, conv], { k: float32([3, 1, 1], [4, 2, 1]), w: whole([2, 3, 1, 1]) }, [2, 3, 2, 2]),
      { folds: 0, refused: "axis-blocks" },
    );
  });

  it("MeanVarianceNormalization, Softmax and LogSoftmax lose a shift, not a gain", () => {
    const mvn = node("MeanVarianceNormalization", ["a"], ["y"], { axes: [0, 2, 3] });
    check(net([node("Add", ["x", "t"], ["a"]), mvn], { t: whole([3, 1, 1]) }, [2, 3, 4, 4]), { folds: 1, ...ROUNDING });
    check(net([node("Mul", ["x", "t"], ["a"]), mvn], { t: float32([], [2]) }, [2, 3, 4, 4]), { folds: 0 });
    for (const op of ["Softmax", "LogSoftmax"]) {
      const follow = (axis: number) => node(op, ["a"], ["y"], { axis });
      check(net([node("Add", ["x", "t"], ["a"]), follow(-1)], { t: whole([3, 1]) }, [2, 3, 4]), { folds: 1, tolerance: 1e-9 });
      check(net([node("Add", ["x", "t"], ["a"]), follow(1)], { t: whole([3, 1]) }, [2, 3, 4]), {
        folds: 0,
        refused: "axis-blocks",
        tolerance: 1e-9,
      });
      // Before opset 13 everything from the axis on is one row.
      check(net([node("Add", ["x", "t"], ["a"]), follow(1)], { t: whole([1, 1, 4]) }, [2, 3, 4], 11), {
        folds: 0,
        refused: "axis-blocks",
        tolerance: 1e-9,
      });
      check(net([node("Add", ["x", "t"], ["a"]), follow(2)], { t: whole([3, 1]) }, [2, 3, 4], 11), { folds: 1, tolerance: 1e-9 });
    }
  });

  it("a dead shift before InstanceNormalization frees a batch normalization whose gain goes back", () => {
    const bn = batchNorm("c", "n", 3);
    const done = check(
      net(
        [node("Conv", ["x", "w"], ["c"]), bn.node, node("Relu", ["n"], ["r"]), instance("r", "y")],
        { w: whole([3, 2, 1, 1]), ...bn.initializers, ...gb(3) },
        [1, 2, 4, 4],
      ),
      {
        folds: 1,
        ...ROUNDING,
      },
    );
    expect(operators(done)).toEqual(["Conv", "Relu", "InstanceNormalization"]);
  });
});

describe("what stands after a normalisation", () => {
  const bn = (channels: number) => batchNorm("n", "y", channels);

  it("InstanceNormalization and GroupNormalization 21 per channel", () => {
    const after = bn(4);
    check(net([instance("x", "n"), after.node], { ...gb(4), ...after.initializers }, [2, 4, 5]), { folds: 1, ...ROUNDING });
    check(net([group("x", "n"), after.node], { ...gb(4), ...after.initializers }, [2, 4, 5]), { folds: 1, ...ROUNDING });
  });

  it("GroupNormalization 18 only per group", () => {
    const even = batchNorm("n", "y", 4, { gain: [2, 2, -4, -4], shift: [1, 1, 3, 3] });
    check(net([group("x", "n"), even.node], { ...gb(2), ...even.initializers }, [2, 4, 5], 20), { folds: 1, ...ROUNDING });
    const after = bn(4);
    check(net([group("x", "n"), after.node], { ...gb(2), ...after.initializers }, [2, 4, 5], 20), {
      folds: 0,
      refused: "axis-blocks",
      ...ROUNDING,
    });
  });

  it("LayerNormalization along its axes, with a B made when there is none", () => {
    const bare = node("LayerNormalization", ["x", "g"], ["n"], { epsilon: f(0.25) });
    for (const normal of [layer("x", "n"), bare]) {
      const after = [node("Mul", ["n", "s"], ["m"]), node("Add", ["m", "t"], ["y"])];
      const done = check(net([normal, ...after], { ...gb(4), s: float32([4], [2, -1, 4, 0]), t: whole([4]) }, [2, 3, 4]), {
        folds: 2,
        ...ROUNDING,
      });
      expect(operators(done)).toEqual(["LayerNormalization"]);
    }
    check(net([layer("x", "n"), node("Mul", ["n", "s"], ["y"])], { ...gb(4), s: float32([3, 1], [2, 4, 8]) }, [2, 3, 4]), {
      folds: 0,
      refused: "axis-blocks",
      ...ROUNDING,
    });
    const wide = { g: whole([3, 4]), b: whole([3, 4]), s: float32([3, 1], [2, 4, 8]) };
    check(net([layer("x", "n", { axis: 1 }), node("Mul", ["n", "s"], ["y"])], wide, [2, 3, 4]), { folds: 1, ...ROUNDING });
  });

  it("RMSNormalization: the gain only", () => {
    const rms = node("RMSNormalization", ["x", "g"], ["n"], { epsilon: f(0.25), axis: -1 });
    check(net([rms, node("Mul", ["n", "s"], ["y"])], { g: whole([4]), s: float32([4], [2, 4, 8, 1]) }, [2, 3, 4]), {
      folds: 1,
      ...ROUNDING,
    });
    check(net([rms, node("Add", ["n", "s"], ["y"])], { g: whole([4]), s: float32([4], [2, 4, 8, 1]) }, [2, 3, 4]), {
      folds: 0,
      refused: "shift-blocks",
      ...ROUNDING,
    });
  });

  it("statistics as outputs do not change with what comes after", () => {
    const stats = node("LayerNormalization", ["x", "g", "b"], ["n", "mean", "inverse"], { epsilon: f(0.25) });
    const spec = net([stats, node("Mul", ["n", "s"], ["y"])], { ...gb(4), s: float32([4], [2, 4, 8, 1]) }, [2, 3, 4]);
    check({ ...spec, outputs: [floats("y"), floats("mean"), floats("inverse")] }, { folds: 1, ...ROUNDING });
  });
});
