/** Files that look as if a map had been moved through an operator rightly: what is wrong with them must be found. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/index.ts";
import { f, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { floats, integers } from "./check.ts";

const C = 4;
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const k = [1, -2, 0.5, -4];
/** x → Mul by k, when given → step from "a" to "m" → outputs m. */
function net(
  step: (from: string) => NodeSpec,
  {
    gain,
    constants = {},
    after,
  }: { gain?: readonly number[]; constants?: Record<string, TensorSpec>; after?: readonly number[] } = {},
): ModelSpec {
  const made = step(gain === undefined ? "x" : "a");
  return {
    opset: 21,
    irVersion: 10,
    nodes: [
      ...(gain === undefined ? [] : [node("Mul", ["x", "k"], ["a"])]),
      after === undefined ? { ...made, outputs: ["y"] } : made,
      ...(after === undefined ? [] : [node("Mul", ["m", "l"], ["y"])]),
    ],
    initializers: {
      ...constants,
      ...(gain === undefined ? {} : { k: per(gain) }),
      ...(after === undefined ? {} : { l: per(after) }),
    },
    inputs: [floats("x", [2, C, C, C])],
    outputs: [{ name: "y", dtype: made.op.startsWith("Arg") ? "int64" : "float32" }],
  };
}
const outcome = (a: ModelSpec, b: ModelSpec) => prove(model(a), model(b), { foreign: false }).outcome;

describe("the proof tells apart", () => {
  it("an operator from its mirror image", () => {
    for (const [op, other] of [
      ["ReduceMax", "ReduceMin"],
      ["ReduceMin", "ReduceMax"],
      ["ArgMax", "ArgMin"],
      ["ArgMin", "ArgMax"],
    ]) {
      const reduce = (type: string) => (from: string) =>
        type.startsWith("Arg") ? node(type, [from], ["m"], { axis: 2 }) : node(type, [from, "ax"], ["m"]);
      const constants: Record<string, TensorSpec> = op.startsWith("Arg") ? {} : { ax: int64([1], [2]) };
      const minus = k.map((v) => -Math.abs(v));
      expect(outcome(net(reduce(op), { constants }), net(reduce(op), { constants }))).toBe("equal");
      expect(outcome(net(reduce(op), { constants }), net(reduce(other), { constants }))).not.toBe("equal");
      if (op.startsWith("Arg")) {
        expect(outcome(net(reduce(op), { gain: minus }), net(reduce(other)))).toBe("equal");
        expect(outcome(net(reduce(op), { gain: minus }), net(reduce(op)))).not.toBe("equal");
      } else {
        const before = net(reduce(op), { constants, gain: minus });
        expect(outcome(before, net(reduce(other), { constants, after: minus }))).toBe("equal");
        expect(outcome(before, net(reduce(op), { constants, after: minus }))).not.toBe("equal");
        expect(outcome(before, net(reduce(other), { constants, after: k.map(Math.abs) }))).not.toBe("equal");
      }
    }
    for (const [op, other] of [
      ["Max", "Min"],
      ["Min", "Max"],
    ]) {
      const compare = (type: string) => (from: string) => node(type, [from, "q"], ["m"]);
      const q = (v: number) => ({ q: float32([], [v]) });
      const before = net(compare(op), { gain: [-2, -2, -2, -2], constants: q(6) });
      expect(outcome(before, net(compare(other), { constants: q(-3), after: [-2, -2, -2, -2] }))).toBe("equal");
      expect(outcome(before, net(compare(op), { constants: q(-3), after: [-2, -2, -2, -2] }))).not.toBe("equal");
      expect(outcome(before, net(compare(other), { constants: q(3), after: [-2, -2, -2, -2] }))).not.toBe("equal");
    }
  });

  it("slopes", () => {
    const prelu = (from: string) => node("PRelu", [from, "p"], ["m"]);
    const slope = (values: readonly number[], dims = [values.length, 1, 1]) => ({ constants: { p: float32(dims, values) } });
    const p = [0.5, 0.25, 2, 8];
    const before = net(prelu, { gain: k, ...slope(p) });
    const [turned, after] = [
      [0.5, 4, 2, 0.125],
      [1, -0.5, 0.5, -32],
    ];
    expect(outcome(before, net(prelu, { after, ...slope(turned) }))).toBe("equal");
    expect(outcome(before, net(prelu, { after, ...slope(p) }))).not.toBe("equal");
    expect(outcome(before, net(prelu, { after, ...slope(turned, [C, 1]) }))).not.toBe("equal");
    expect(outcome(before, net(prelu, { after: k, ...slope(turned) }))).not.toBe("equal");
    // A slope that is off by more than rounding.
    expect(outcome(before, net(prelu, { after, ...slope([0.5, 4 * (1 + 2 ** -20), 2, 0.125]) }))).not.toBe("equal");
    // The same numbers along another axis of the same length.
    expect(outcome(net(prelu, slope(p)), net(prelu, slope(p, [C, 1])))).not.toBe("equal");
    expect(outcome(net(prelu, slope(p)), net(prelu, slope(p, [1, C, 1, 1])))).toBe("equal");
    // Nor where the sizes are open.
    const open = (spec: ModelSpec): ModelSpec => ({ ...spec, inputs: [floats("x")] });
    expect(outcome(open(net(prelu, slope(p))), open(net(prelu, slope(p, [C, 1]))))).not.toBe("equal");
    expect(outcome(open(net(prelu, slope(p))), open(net(prelu, slope(p, [1, C, 1, 1]))))).toBe("equal");
    const leaky = (alpha: number) => (from: string) => node("LeakyRelu", [from], ["m"], { alpha: f(alpha) });
    const minus = k.map((v) => -Math.abs(v));
    const quarter = minus.map((v) => v / 4);
    expect(outcome(net(leaky(0.25), { gain: minus }), net(leaky(4), { after: quarter }))).toBe("equal");
    expect(outcome(net(leaky(0.25), { gain: minus }), net(leaky(0.25), { after: quarter }))).not.toBe("equal");
    expect(outcome(net(leaky(0.25), { gain: minus }), net(leaky(4), { after: minus }))).not.toBe("equal");
  });

  it("bounds", () => {
    const clip = (from: string) => node("Clip", [from, "lo", "hi"], ["m"]);
    const bounds = (low: number, high: number) => ({ constants: { lo: float32([], [low]), hi: float32([], [high]) } });
    const two = [-2, -2, -2, -2];
    const before = net(clip, { gain: two, ...bounds(-4, 6) });
    expect(outcome(before, net(clip, { after: two, ...bounds(-3, 2) }))).toBe("equal");
    expect(outcome(before, net(clip, { after: two, ...bounds(2, -3) }))).not.toBe("equal");
    expect(outcome(before, net(clip, { after: two, ...bounds(-2, 3) }))).not.toBe("equal");
  });

  it("what is scattered, and where", () => {
    const indices = { i: int64([2, C, C, C], integers(128, 5, 0, 3)) };
    const scatter = (axis: number) => (from: string) => node("ScatterElements", [from, "i", "q"], ["m"], { axis });
    const q = integers(128, 9, -3, 3);
    const constants = (values: readonly number[]) => ({ constants: { ...indices, q: float32([2, C, C, C], values) } });
    const channel = (i: number) => Math.floor(i / 16) % C;
    const right = q.map((v, i) => v / k[channel(i)]);
    const before = net(scatter(2), { gain: k, ...constants(q) });
    expect(outcome(before, net(scatter(2), { after: k, ...constants(right) }))).toBe("equal");
    expect(outcome(before, net(scatter(2), { after: k, ...constants(q) }))).not.toBe("equal");
    expect(outcome(before, net(scatter(2), { after: k, ...constants(right.with(7, right[7] + 1)) }))).not.toBe("equal");
    expect(outcome(before, net(scatter(3), { after: k, ...constants(right) }))).not.toBe("equal");
    const top = (more: NodeSpec["attributes"]) => (from: string) => node("TopK", [from, "n"], ["m"], { axis: 2, ...more });
    const n = { constants: { n: int64([1], [2]) } };
    const positive = k.map(Math.abs);
    expect(outcome(net(top({}), { gain: positive, ...n }), net(top({}), { after: positive, ...n }))).toBe("equal");
    expect(outcome(net(top({}), { gain: positive, ...n }), net(top({ largest: 0 }), { after: positive, ...n }))).not.toBe(
      "equal",
    );
    expect(outcome(net(top({}), { gain: k, ...n }), net(top({}), { after: k, ...n }))).not.toBe("equal");
  });

  it("powers", () => {
    const pow = (p: number) => ({ step: (from: string) => node("Pow", [from, "p"], ["m"]), constants: { p: float32([], [p]) } });
    const raised = (p: number) => k.map((v) => v ** p);
    for (const p of [2, 3, -1]) {
      const { step, constants } = pow(p);
      expect(outcome(net(step, { gain: k, constants }), net(step, { after: raised(p), constants }))).toBe("equal");
      expect(outcome(net(step, { gain: k, constants }), net(step, { after: k, constants }))).not.toBe("equal");
      expect(outcome(net(step, { gain: k, constants }), net(step, { after: raised(p).map((v) => -v), constants }))).not.toBe(
        "equal",
      );
      expect(
        outcome(net(step, { gain: k, constants }), net(pow(p + 2).step, { after: raised(p), constants: pow(p + 2).constants })),
      ).not.toBe("equal");
    }
    const over = (from: string) => node("Div", ["q", from], ["m"]);
    const q = (values: readonly number[], dims = [values.length, 1, 1]) => ({ constants: { q: float32(dims, values) } });
    const before = net(over, { gain: k, ...q([3], []) });
    expect(outcome(before, net(over, q(k.map((v) => 3 / v))))).toBe("equal");
    expect(
      outcome(
        before,
        net(
          over,
          q(
            k.map((v) => 3 / v),
            [C, 1],
          ),
        ),
      ),
    ).not.toBe("equal");
    expect(outcome(before, net(over, q(k.map((v) => 3 * v))))).not.toBe("equal");
    // A constant that widens what it divides.
    const narrow = (dims: readonly number[]): ModelSpec => ({
      nodes: [node("Div", ["q", "x"], ["m"])],
      initializers: {
        q: float32(dims, new Array<number>(dims.reduce((n, d) => n * d, 1)).fill(2)),
      },
      inputs: [floats("x", [2, 1, 3])],
      outputs: [floats("m")],
    });
    expect(outcome(narrow([]), narrow([1]))).toBe("equal");
    expect(outcome(narrow([]), narrow([3]))).toBe("equal");
    expect(outcome(narrow([]), narrow([3, 1]))).not.toBe("equal");
    expect(outcome(narrow([3, 1]), narrow([]))).not.toBe("equal");
  });
});
