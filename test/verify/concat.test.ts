/** Concat with constant parts: what stands before a map of the whole, and what another tool may have made of it. */
import { describe, expect, it } from "vitest";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/proof.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec, type ValueSpec } from "../helpers/build.ts";

/** x [1, 2, 2, 2] beside a constant of two channels, and a batch normalization of all four behind: exact in float32. */
const GAIN = [2, 4, -1, 0.5];
const SHIFT = [1, -2, 3, 0];
const PART = [1, 2, 3, 4, 5, 6, 7, 8];
const mapped = (gain = GAIN, shift = SHIFT, part = PART) => part.map((v, i) => v * gain[2 + (i >> 2)] + shift[2 + (i >> 2)]);

interface Form {
  readonly axis?: number;
  readonly dims?: ValueSpec["dims"];
  readonly more?: readonly NodeSpec[];
  readonly part?: TensorSpec;
}
const spec = (
  nodes: readonly NodeSpec[],
  initializers: Record<string, TensorSpec>,
  dims: ValueSpec["dims"] = [1, 2, 2, 2],
): ModelSpec => ({
  nodes: [...nodes],
  initializers,
  inputs: [{ name: "x", dims }],
  outputs: [{ name: "y" }],
});
const vector = (values: readonly number[]) => float32([values.length], values);

function original(
  { axis = 1, dims, more = [], part = float32([1, 2, 2, 2], PART) }: Form = {},
  gain = GAIN,
  shift = SHIFT,
): ModelSpec {
  const bn = node("BatchNormalization", ["h", "g", "b", "m", "v"], ["n"], { epsilon: f(0) });
  const nodes = [
    node("Relu", ["x"], ["r"]),
    ...more,
    node("Concat", ["r", "c"], ["h"], { axis }),
    bn,
    node("Sigmoid", ["n"], ["y"]),
  ];
  return spec(nodes, { c: part, g: vector(gain), b: vector(shift), m: vector([0, 0, 0, 0]), v: vector([1, 1, 1, 1]) }, dims);
}
/** The same with the map in front: two channels by themselves, the constants as they become. */
function moved({ axis = 1, dims, part = float32([1, 2, 2, 2], mapped()) }: Form = {}, gain = GAIN, shift = SHIFT): ModelSpec {
  const bn = node("BatchNormalization", ["r", "g", "b", "m", "v"], ["p"], { epsilon: f(0) });
  const nodes = [node("Relu", ["x"], ["r"]), bn, node("Concat", ["p", "c"], ["n"], { axis }), node("Sigmoid", ["n"], ["y"])];
  const own = (list: readonly number[]) => vector(list.slice(0, 2));
  return spec(nodes, { c: part, g: own(gain), b: own(shift), m: vector([0, 0]), v: vector([1, 1]) }, dims);
}
const outcome = (a: ModelSpec, b: ModelSpec, foreign = false) => prove(model(a), model(b), { foreign }).outcome;
function run(made: ModelSpec): Float64Array {
  const data = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i) * 2);
  const feed: Tensor = { dtype: "float32", dims: [1, 2, 2, 2], data };
  return asFloat64(
    createSession(model(made), { mode: "float64" })
      .run(new Map([["x", feed]]))
      .get("y") as Tensor,
  );
}
const same = (a: ModelSpec, b: ModelSpec): boolean => {
  const [p, q] = [a, b].map(run);
  return p.length === q.length && p.every((v, i) => Math.abs(v - q[i]) < 1e-12);
};

describe("a map of a Concat with constants", () => {
  it.each<[string, ModelSpec, ModelSpec]>([
    ["in front of it", original(), moved()],
    ["along an axis counted from the back", original(), moved({ axis: -3 })],
    ["of symbolic sizes", original({ dims: ["N", 2, "H", "W"] }), moved({ dims: ["N", 2, "H", "W"] })],
    ["with a channel of gain zero", original({}, [0, 4, -1, 0.5]), moved({}, [0, 4, -1, 0.5])],
    [
      "with a constant channel behind",
      original({}, [2, 4, 0, 0.5]),
      moved({ part: float32([1, 2, 2, 2], mapped([2, 4, 0, 0.5])) }),
    ],
  ])("is proven %s", (_name, a, b) => {
    expect(outcome(a, b)).toBe("equal");
    expect(same(a, b)).toBe(true);
  });

  const off = (index: number, by: (v: number) => number) =>
    float32(
      [1, 2, 2, 2],
      mapped().map((v, i) => (i === index ? by(v) : v)),
    );
  it.each<[string, ModelSpec, ModelSpec]>([
    ["with another constant", original(), moved({ part: off(0, (v) => v + 1) })],
    ["with the last constant one rounding too far off", original(), moved({ part: off(7, (v) => v * (1 + 2 ** -21)) })],
    ["with constants that were forgotten", original(), moved({ part: float32([1, 2, 2, 2], PART) })],
    ["with another gain in front", original(), moved({}, [2, 3, -1, 0.5])],
    ["with another shift in front", original(), moved({}, GAIN, [1, 2, 3, 0])],
    ["with another constant of a channel of gain zero", original({}, [0, 4, -1, 0.5]), moved({}, [0, 4, -1, 0.5], [2, -2, 3, 0])],
    ["with constants of other shapes", original(), moved({ part: float32([1, 2, 2, 1], mapped().slice(0, 4)) })],
  ])("is not proven %s", (_name, a, b) => {
    expect([outcome(a, b), outcome(b, a)]).not.toContain("equal");
    expect(outcome(a, b, true)).not.toBe("equal");
  });

  it("is not proven along another axis", () => {
    const square = { dims: [2, 2, 2, 2], part: float32([2, 2, 2, 2], [...PART, ...PART]) };
    const [a, b] = [0, 2].map((axis) =>
      spec([node("Relu", ["x"], ["r"]), node("Concat", ["r", "c"], ["y"], { axis })], { c: square.part }, square.dims),
    );
    expect(outcome(a, b)).not.toBe("equal");
  });
});

describe("a constant part that another tool evaluated", () => {
  // exp in float32 may be off in its last place; nobody knows which number the other tool got.
  const exp = PART.map((v) => Math.fround(Math.exp(v / 8)));
  const computed = original({
    part: float32(
      [1, 2, 2, 2],
      PART.map((v) => v / 8),
    ),
    more: [node("Exp", ["c"], ["e"])],
  });
  const a = { ...computed, nodes: computed.nodes.map((n) => (n.op === "Concat" ? { ...n, inputs: ["r", "e"] } : n)) };
  const b = (by: (v: number) => number) =>
    moved({ part: float32([1, 2, 2, 2], mapped(GAIN, SHIFT, exp.map(by)).map(Math.fround)) });

  it("is what it computes, within the rounding of what it computes", () => {
    expect(
      outcome(
        a,
        b((v) => v),
        true,
      ),
    ).toBe("equal");
    expect(
      outcome(
        a,
        b((v) => v * (1 + 2 ** -23)),
        true,
      ),
    ).toBe("equal");
    expect(
      outcome(
        a,
        b((v) => v * (1 + 2 ** -16)),
        true,
      ),
    ).not.toBe("equal");
  });
});

describe("a part with a channel that is constant", () => {
  const bn = (x: string, y: string, i: string) =>
    node("BatchNormalization", [x, `g${i}`, `b${i}`, `m${i}`, `v${i}`], [y], { epsilon: f(0) });
  const norm = (i: string, gain: readonly number[], shift: readonly number[]) => ({
    [`g${i}`]: vector(gain),
    [`b${i}`]: vector(shift),
    [`m${i}`]: vector(gain.map(() => 0)),
    [`v${i}`]: vector(gain.map(() => 1)),
  });
  const twice = spec(
    [
      node("Relu", ["x"], ["r"]),
      bn("r", "p", "0"),
      node("Concat", ["p", "c"], ["h"], { axis: 1 }),
      bn("h", "n", "1"),
      node("Sigmoid", ["n"], ["y"]),
    ],
    { c: float32([1, 2, 2, 2], PART), ...norm("0", [0, 2], [3, 1]), ...norm("1", GAIN, SHIFT) },
  );
  const once = (gain: readonly number[], shift: readonly number[]) =>
    spec(
      [
        node("Relu", ["x"], ["r"]),
        bn("r", "p", "0"),
        node("Concat", ["p", "c"], ["n"], { axis: 1 }),
        node("Sigmoid", ["n"], ["y"]),
      ],
      { c: float32([1, 2, 2, 2], mapped()), ...norm("0", gain, shift) },
    );

  it("is what the map behind makes of that constant", () => {
    // 2·3 + 1, and 4·(2·r + 1) − 2.
    const right = once([0, 8], [7, 2]);
    expect(same(twice, right)).toBe(true);
    expect(outcome(twice, right)).toBe("equal");
    for (const [gain, shift] of [
      [
        [0, 8],
        [6, 2],
      ],
      [
        [0, 4],
        [7, 2],
      ],
      [
        [1, 8],
        [7, 2],
      ],
    ] as const) {
      expect(same(twice, once(gain, shift))).toBe(false);
      expect(outcome(twice, once(gain, shift))).not.toBe("equal");
    }
  });
});
