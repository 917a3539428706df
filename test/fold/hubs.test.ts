/** A node of many inputs or outputs is asked first what it needs no map for: what becomes of maps, and why, is what it is with three. */
import { describe, expect, it } from "vitest";
import { float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { check, floats, operators, whole } from "../rules/check.ts";

const C = 2;
const [FEW, MANY] = [3, 40];
const shape = [1, C, 2, 2];
const k: TensorSpec = float32([1, C, 1, 1], [2, 0.5]);
const w: TensorSpec = whole([3, C, 1, 1]);
const list = (n: number, name: string) => Array.from({ length: n }, (_, i) => `${name}${i}`);
const net = (
  nodes: readonly NodeSpec[],
  inputs: readonly string[],
  outputs: readonly string[],
  more: Partial<ModelSpec> = {},
): ModelSpec => ({
  nodes: [...nodes],
  initializers: { k, w },
  inputs: inputs.map((name) => floats(name, shape)),
  outputs: outputs.map((name) => floats(name)),
  ...more,
});
const scale = (x: string, y: string) => node("Mul", [x, "k"], [y]);

/** x0 times k, beside others, into an operator of n inputs, and on into what reads it. */
const into = (op: string, behind: readonly NodeSpec[], outputs: readonly string[], axis?: number) => (n: number) =>
  net(
    [scale("x0", "m"), node(op, ["m", ...list(n, "x").slice(1)], ["h"], axis === undefined ? {} : { axis }), ...behind],
    list(n, "x"),
    outputs,
    { initializers: { k, w: op === "Concat" && axis === 1 ? whole([3, C * n, 1, 1]) : w } },
  );
const conv = node("Conv", ["h", "w"], ["y"]);
const sigmoid = node("Sigmoid", ["h"], ["y"]);

/** What n outputs of a Split make, the first of them times k. */
const outOf =
  (front: readonly NodeSpec[], more: Partial<ModelSpec> = {}) =>
  (n: number) =>
    net(
      [
        ...front,
        node("Split", ["s"], list(n, "p"), { axis: 0, num_outputs: n }),
        scale("p0", "y"),
        ...list(n, "p")
          .slice(1)
          .map((p, i) => node("Sigmoid", [p], [`z${i}`])),
      ],
      [],
      ["y", ...list(n - 1, "z"), ...(more.outputs ?? []).map(({ name }) => name)],
      {
        inputs: [floats("s", [n, C, 2, 2])],
        ...more,
        outputs: ["y", ...list(n - 1, "z")]
          .map((name) => floats(name))
          .concat((more.outputs ?? []).map(({ name }) => floats(name))),
      },
    );
const from = (n: number, name: string) => ({ inputs: [floats(name, [n, C, 2, 2])] });

const cases: Record<string, [make: (n: number) => ModelSpec, folds: number]> = {
  "Concat whose result is an output": [into("Concat", [], ["h"], 0), 0],
  "Concat before what takes no gain": [into("Concat", [sigmoid], ["y"], 0), 0],
  "Concat before a Conv that takes each gain": [into("Concat", [conv], ["y"], 1), 1],
  "Concat before a Conv, along images": [into("Concat", [conv], ["y"], 0), 0],
  "Concat nobody reads": [into("Concat", [node("Relu", ["x0"], ["y"])], ["y"], 0), 1],
  "Sum of a value with the gain and others without": [into("Sum", [conv], ["y"]), 0],
  "Sum before what takes no gain": [into("Sum", [sigmoid], ["y"]), 0],
  "Sum of values that all have the gain": [
    (n) => net([...list(n, "x").map((x, i) => scale(x, `m${i}`)), node("Sum", list(n, "m"), ["h"]), conv], list(n, "x"), ["y"]),
    -1,
  ],
  "Mean of a value with the gain and constants": [
    (n) => net([scale("x0", "m"), node("Mean", ["m", ...new Array<string>(n - 1).fill("k")], ["h"]), conv], ["x0"], ["y"]),
    1,
  ],
  "Split of an input": [outOf([]), 0],
  "Split of what takes no gain": [(n) => outOf([node("Sigmoid", ["a"], ["s"])], from(n, "a"))(n), 0],
  "Split of an output": [
    (n) =>
      outOf([node("Conv", ["a", "v"], ["s"])], {
        ...from(n, "a"),
        outputs: [floats("s")],
        initializers: { k, v: whole([C, C, 1, 1]) },
      })(n),
    0,
  ],
  "Split of what a Conv makes": [
    (n) => outOf([node("Conv", ["a", "v"], ["s"])], { ...from(n, "a"), initializers: { k, v: whole([C, C, 1, 1]) } })(n),
    0,
  ],
};

describe.each(Object.entries(cases))("%s", (_name, [make, folds]) => {
  it("is the same with few and with many", () => {
    const done = [FEW, MANY].map((n) => check(make(n), { folds: folds < 0 ? n : folds }));
    const said = done.map(({ data }) => data.kept.map(({ code, message }) => `${code}: ${message}`.replace(/\[\d+, /, "[n, ")));
    const [few, many] = said.map((lines) => [...new Set(lines)]);
    expect(many).toEqual(few);
    expect(new Set(operators(done[1]))).toEqual(new Set(operators(done[0])));
  });
});
