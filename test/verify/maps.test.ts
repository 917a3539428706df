/** Maps that are hard to read off: along two axes at once, of one channel, of channels that are constant, where terms cancel. */
import { describe, expect, it } from "vitest";
import { prove } from "../../src/verify/proof.ts";
import { f, float64, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { decisions, folded } from "../helpers/fold.ts";

const norm = (name: string, gains: readonly number[]): Record<string, TensorSpec> => ({
  [`${name}g`]: float64([gains.length], gains),
  [`${name}b`]: float64(
    [gains.length],
    gains.map((_, i) => 0.25 * i - 0.75),
  ),
  [`${name}m`]: float64(
    [gains.length],
    gains.map((_, i) => 1.5 - 0.75 * i),
  ),
  [`${name}v`]: float64(
    [gains.length],
    gains.map((_, i) => 1 + 0.5 * i),
  ),
});
const bn = (name: string, input: string, output: string) =>
  node("BatchNormalization", [input, ...[..."gbmv"].map((part) => name + part)], [output], { epsilon: f(1e-5) });

function net(nodes: NodeSpec[], initializers: Record<string, TensorSpec>, dims: (number | string)[], rank: number): ModelSpec {
  return {
    opsets: { "": 17 },
    nodes,
    initializers,
    inputs: [{ name: "x", dtype: "float64", dims }],
    outputs: [{ name: "y", dtype: "float64", dims: Array.from({ length: rank }, (_, i) => `d${i}`) }],
  };
}

/** The model, how many folds and merges it has, and the constants whose numbers the proof must notice. */
const cases: Record<string, readonly [spec: ModelSpec, gone: number, told: readonly string[]]> = {
  "two products merged behind a normalization that varies along another axis": [
    net(
      [bn("n", "x", "a"), node("MatMul", ["a", "u"], ["p"]), node("MatMul", ["p", "w"], ["y"])],
      {
        ...norm("n", [1.75, 0.75, -1.25]),
        u: float64([3, 3], [-0.25, 1, -0.5, 0, 0.25, 0.5, -1.25, 1.75, -1]),
        w: float64([3, 3], [0.5, 1.25, -2, 0.5, -1.25, 0.5, -0.25, 0.5, 0.75]),
      },
      ["N", 3, 5, 3],
      4,
    ),
    1,
    ["u", "w", "ng", "nb"],
  ],
  "a product of one channel merged with what it is added to": [
    net(
      [
        node("Abs", ["x"], ["v"]),
        bn("n", "v", "a"),
        node("MatMul", ["a", "w"], ["p"]),
        node("Add", ["p", "a"], ["s"]),
        node("Relu", ["s"], ["y"]),
      ],
      { ...norm("n", [1.75]), w: float64([1, 1], [-1.5]) },
      [2, 1, 1],
      3,
    ),
    2,
    ["w", "ng", "nb"],
  ],
  "gains along two axes, one into a product and one through it": [
    net(
      [
        node("Mul", ["x", "s"], ["a"]),
        node("Relu", ["a"], ["b"]),
        node("Mul", ["b", "t"], ["c"]),
        node("MatMul", ["c", "w"], ["p"]),
        node("Conv", ["p", "k"], ["y"]),
      ],
      {
        s: float64([1, 1, 1, 4], [0.5, 1.5, 1.25, 2]),
        t: float64([3, 1, 1], [0.5, -1.25, 1.75]),
        w: float64([4, 2], [0, 1, 0.75, -1.25, -1.5, -0.75, 1.25, -1.5]),
        k: float64([2, 3, 1, 1], [0.5, 2, 0.75, 0.25, 2, 1.5]),
      },
      ["N", 3, 5, 4],
      4,
    ),
    2,
    ["s", "t", "w", "k"],
  ],
  "a gain behind channels that are constant": [
    net(
      [
        node("Abs", ["x"], ["v"]),
        bn("n", "v", "a"),
        node("MatMul", ["w", "a"], ["p"]),
        node("Abs", ["p"], ["q"]),
        node("Mul", ["q", "t"], ["m"]),
        node("ReduceProd", ["m"], ["y"], { axes: [3] }),
      ],
      {
        ...norm("n", [0]),
        w: float64([3, 4], [-0.75, -0.5, 0, 2, 0.75, 0.25, 1.5, -2, -1.25, -1.75, -1.25, 0.5]),
        t: float64([1, 1, 1], [0.25]),
      },
      ["N", 1, 4, 1],
      4,
    ),
    2,
    ["nb", "t"],
  ],
  "a gain into a constant that grows its operand, the shift behind it": [
    net(
      [
        node("Mul", ["x", "t"], ["a"]),
        bn("n", "a", "b"),
        node("Add", ["b", "u"], ["c"]),
        node("TopK", ["c", "k"], ["y", "i"], { axis: 3 }),
      ],
      {
        ...norm("n", [0.5, -0.75, 1.5]),
        t: float64([3, 1], [1.75, -0.25, -1.75]),
        u: float64([4], [1, -0.25, 0.25, 0.5]),
        k: int64([1], [3]),
      },
      ["N", 3, 1, 4],
      4,
    ),
    1,
    ["t", "u", "ng", "nb"],
  ],
  "a shift whose products cancel": [
    net(
      [
        node("Abs", ["x"], ["v"]),
        bn("n", "v", "a"),
        node("MatMul", ["a", "w"], ["p"]),
        node("Abs", ["p"], ["q"]),
        node("Mul", ["q", "t"], ["m"]),
        node("Sqrt", ["m"], ["y"]),
      ],
      {
        ...norm("n", [1.75]),
        w: float64([4, 3], [-1.75, -1, 0, 0.25, 0, -1, 0.25, -0.5, 1.25, -2, 2, -0.25]),
        t: float64([1, 1, 1], [1.7]),
      },
      ["N", 1, 1, 4],
      4,
    ),
    2,
    ["w", "t", "ng", "nb"],
  ],
};

describe("maps that are hard to read off", () => {
  it.each(Object.entries(cases))("%s", (_name, [spec, gone, told]) => {
    const before = model(spec);
    const { model: after, data } = folded(before);
    expect(data.folds.length + data.merges.length, decisions(data).join("\n")).toBe(gone);
    expect(prove(before, after, { foreign: false })).toMatchObject({ outcome: "equal" });
    for (const name of told) {
      const constant = spec.initializers?.[name] as TensorSpec;
      const values = Array.from(constant.values as number[], (v, i) =>
        i === constant.values.length - 1 ? v * (1 + 2 ** -20) : v,
      );
      const wrong = model({ ...spec, initializers: { ...spec.initializers, [name]: { ...constant, values } } });
      expect(prove(wrong, after, { foreign: false }).outcome, name).not.toBe("equal");
    }
  });
});
