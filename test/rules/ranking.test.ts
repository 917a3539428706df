/** Operators that go by the order of elements, and maxima that become minima. */
import { describe, expect, it } from "vitest";
import { float32, int64, type ModelSpec, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";
import { check, floats, operators, whole } from "./check.ts";
import { refuses } from "./helpers.ts";

const C = 4;
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const positive = per([1, 2, 0.5, 4]);
const negative = per([-1, -2, -0.5, -4]);
const mixed = per([1, -2, 0.5, 4]);
const zero = per([1, 2, 0, 4]);
const longs = (name: string): ValueSpec => ({ name, dtype: "int64" });

/** x → Mul or Add by k → node from "a" to "m" (and "i") → outputs. */
const forward = (
  step: NodeSpec,
  k: TensorSpec,
  more: { op?: string; constants?: Record<string, TensorSpec>; opset?: number; outputs?: ValueSpec[] } = {},
): ModelSpec => ({
  opset: more.opset ?? 21,
  irVersion: 10,
  nodes: [node(more.op ?? "Mul", ["x", "k"], ["a"]), step],
  initializers: { k, ...more.constants },
  inputs: [floats("x", [3, C, C, C])],
  outputs: more.outputs ?? [longs("m")],
});
/** Conv → node from "c" to "m" → Mul or Add by k. */
const backward = (
  step: NodeSpec,
  k: TensorSpec,
  more: { op?: string; constants?: Record<string, TensorSpec>; opset?: number; outputs?: ValueSpec[] } = {},
): ModelSpec => ({
  opset: more.opset ?? 21,
  irVersion: 10,
  nodes: [node("Conv", ["x", "w"], ["c"]), step, node(more.op ?? "Mul", ["m", "k"], ["y"])],
  initializers: { w: whole([C, C, 1, 1]), k, ...more.constants },
  inputs: [floats("x", [3, C, C, C])],
  outputs: [floats("y"), ...(more.outputs ?? [])],
});

describe("ArgMax, ArgMin and Hardmax", () => {
  for (const op of ["ArgMax", "ArgMin"]) {
    const step = (axis: number, more = {}) => node(op, ["a"], ["m"], { axis, ...more });
    const other = op === "ArgMax" ? "ArgMin" : "ArgMax";

    it(`${op}: a gain and a shift along other axes vanish`, () => {
      for (const axis of [2, -1, 0]) {
        expect(operators(check(forward(step(axis), positive), { folds: 1 }))).toEqual([op]);
        expect(
          operators(check(forward(step(axis, { keepdims: 0, select_last_index: 1 }), mixed, { op: "Add" }), { folds: 1 })),
        ).toEqual([op]);
      }
    });

    it(`${op}: not along its own axis, of equal length`, () => {
      check(forward(step(1), positive), { folds: 0, refused: "axis-blocks" });
      check(forward(step(-3), positive, { op: "Add" }), { folds: 0, refused: "axis-blocks" });
      check(forward(step(1), float32([], [3])), { folds: 1 });
    });

    it(`${op}: gains below zero turn it round`, () => {
      const done = check(forward(step(2, { keepdims: 0, select_last_index: 1 }), negative), { folds: 1 });
      expect(operators(done)).toEqual([other]);
      expect([...done.after.graph.nodes[0].attributes].map(([name, a]) => [name, Number(a.i)])).toEqual([
        ["axis", 2],
        ["keepdims", 0],
        ["select_last_index", 1],
      ]);
      for (const k of [mixed, zero, per([-1, -2, 0, -4])]) check(forward(step(2), k), { folds: 0, refused: "sign-blocks" });
    });
  }

  it("twice round is where it was", () => {
    const spec = forward(node("ArgMax", ["b"], ["m"], { axis: 2 }), negative);
    const two = { ...spec, nodes: [spec.nodes[0], node("Neg", ["a"], ["b"]), spec.nodes[1]] };
    expect(operators(check(two, { folds: 2 }))).toEqual(["ArgMax"]);
  });

  it("Hardmax goes along one axis, before opset 13 along all from it on", () => {
    const step = (axis: number) => node("Hardmax", ["a"], ["m"], { axis });
    const outputs = [floats("m")];
    check(forward(step(2), positive, { outputs }), { folds: 1 });
    check(forward(step(2), mixed, { op: "Add", outputs }), { folds: 1 });
    check(forward(step(2), negative, { outputs }), { folds: 0, refused: "sign-blocks" });
    check(forward(step(1), positive, { outputs }), { folds: 0, refused: "axis-blocks" });
    check(forward(step(2), positive, { outputs, opset: 11 }), { folds: 1 });
    check(forward(step(0), positive, { outputs, opset: 11 }), { folds: 0, refused: "axis-blocks" });
    check(forward(step(0), positive, { outputs }), { folds: 1 });
  });

  it("beside another reader they do not mind", () => {
    const spec = (axis: number): ModelSpec => {
      const base = backward(node("Relu", ["c"], ["m"]), positive, { outputs: [longs("i")] });
      return { ...base, nodes: [...base.nodes, node("ArgMax", ["m"], ["i"], { axis })] };
    };
    check(spec(2), { folds: 1 });
    check(spec(1), { folds: 0, refused: "other-reader" });
  });

  it("nothing goes back through them", () => {
    const spec: ModelSpec = {
      nodes: [node("Conv", ["x", "w"], ["c"]), node("Hardmax", ["c"], ["m"], { axis: 2 }), node("Mul", ["m", "k"], ["y"])],
      initializers: { w: whole([C, C, 1, 1]), k: positive },
      inputs: [floats("x", [3, C, C, C])],
      outputs: [floats("y")],
    };
    refuses(spec, "operator-blocks");
  });
});

describe("TopK", () => {
  const k2 = { two: int64([1], [2]) };
  const step = (from: string, axis: number, more = {}, indices = true) =>
    node("TopK", [from, "two"], indices ? ["m", "i"] : ["m"], { axis, ...more });

  it("hands a gain above zero and a shift to its values, whoever reads the indices", () => {
    for (const largest of [0, 1]) {
      for (const axis of [2, -1, 0]) {
        for (const op of ["Mul", "Add"]) {
          const more = { op, constants: k2, outputs: [longs("i")] };
          check(backward(step("c", axis, { largest }), positive, more), { folds: 1 });
          const before = forward(step("a", axis, { largest }), positive, more);
          const conv = {
            ...before,
            nodes: [...before.nodes, node("Conv", ["m", "w"], ["y"])],
            outputs: [floats("y"), longs("i")],
          };
          check({ ...conv, initializers: { ...conv.initializers, w: whole([2, C, 1, 1]) } }, { folds: 1 });
        }
      }
    }
    check(backward(step("c", 2, {}, false), positive, { constants: k2 }), { folds: 1 });
    check(backward(node("TopK", ["c"], ["m", "i"], { axis: 2, k: 2 }), positive, { opset: 9, outputs: [longs("i")] }), {
      folds: 1,
    });
  });

  it("not along its axis", () => {
    const more = { constants: { two: int64([1], [C]) } };
    refuses(backward(step("c", 1), positive, more), "axis-blocks");
    refuses(backward(step("c", 1), positive, { ...more, op: "Add" }), "axis-blocks");
    check(backward(step("c", 1), float32([], [2]), more), { folds: 1 });
  });

  it("a gain of zero only where nobody reads the indices, none below zero", () => {
    check(backward(step("c", 2), zero, { constants: k2 }), { folds: 1 });
    refuses(backward(step("c", 2), zero, { constants: k2, outputs: [longs("i")] }), "sign-blocks");
    for (const k of [negative, mixed]) refuses(backward(step("c", 2), k, { constants: k2 }), "sign-blocks");
  });

  it("where only the indices are read, what comes in vanishes", () => {
    for (const op of ["Mul", "Add"])
      check(forward(step("a", 2), positive, { op, constants: k2, outputs: [longs("i")] }), { folds: 1 });
    check(forward(step("a", 1), positive, { constants: k2, outputs: [longs("i")] }), { folds: 0, refused: "axis-blocks" });
  });
});

describe("ReduceMax and ReduceMin", () => {
  for (const op of ["ReduceMax", "ReduceMin"]) {
    const other = op === "ReduceMax" ? "ReduceMin" : "ReduceMax";
    const axes = { axes: int64([1], [2]) };
    const step = (from: string, more = {}) => node(op, [from, "axes"], ["m"], more);

    it(`${op} becomes ${other} under gains none of which is positive`, () => {
      for (const k of [negative, per([-1, -2, 0, -4])])
        expect(operators(check(backward(step("c"), k, { constants: axes }), { folds: 1 }))).toEqual(["Conv", other]);
      const dropped = backward(step("c", { keepdims: 0 }), float32([C, 1], [-1, -2, -3, -4]), { constants: axes });
      const done = check(dropped, { folds: 1 });
      expect(operators(done)).toEqual(["Conv", other]);
      expect(Number(done.after.graph.nodes[1].attributes.get("keepdims")?.i)).toBe(0);
      const old = backward(node(op, ["c"], ["m"], { axes: [2] }), negative, { opset: 13 });
      expect(operators(check(old, { folds: 1 }))).toEqual(["Conv", other]);
      const spec = forward(step("a"), negative, { constants: axes });
      const before = { ...spec, nodes: [...spec.nodes, node("Conv", ["m", "w"], ["y"])], outputs: [floats("y")] };
      const moved = check({ ...before, initializers: { ...before.initializers, w: whole([2, C, 1, 1]) } }, { folds: 1 });
      expect(operators(moved)).toEqual([other, "Conv"]);
    });

    it(`${op} with a shift as well, and twice round`, () => {
      const spec = backward(step("c"), negative, { constants: { ...axes, t: per([1, 2, 3, 4]), g: per([-1, 2, -4, 8]) } });
      const shifted = { ...spec, nodes: [...spec.nodes, node("Add", ["y", "t"], ["z"])], outputs: [floats("z")] };
      expect(operators(check(shifted, { folds: 2 }))).toEqual(["Conv", other]);
      const again = { ...spec, nodes: [...spec.nodes, node("Mul", ["y", "k"], ["z"])], outputs: [floats("z")] };
      expect(operators(check(again, { folds: 2 }))).toEqual(["Conv", op]);
    });

    it(`${op} not under gains of both signs, nor along the axis it reduces`, () => {
      refuses(backward(step("c"), mixed, { constants: axes }), "sign-blocks");
      const channels = { axes: int64([1], [1]) };
      const spec = forward(step("a"), negative, { constants: channels });
      const before = { ...spec, nodes: [...spec.nodes, node("Conv", ["m", "w"], ["y"])], outputs: [floats("y")] };
      refuses({ ...before, initializers: { ...before.initializers, w: whole([2, 1, 1, 1]) } }, "axis-blocks");
    });
  }

  it("pools have no mirror image", () => {
    refuses(backward(node("MaxPool", ["c"], ["m"], { kernel_shape: [2, 2] }), negative), "sign-blocks");
    refuses(backward(node("GlobalMaxPool", ["c"], ["m"]), negative), "sign-blocks");
  });
});
