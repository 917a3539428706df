/** Clip, Max and Min, whose bounds move with a map; and the Relu that becomes a Max where the user asks for it. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AttributeSpec, f, float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, whole } from "./check.ts";
import { refuses } from "./helpers.ts";

const SEED = 20261121;
const C = 4;
const number = (value: number) => float32([], [value]);
const per = (values: readonly number[]) => float32([values.length, 1, 1], values);
const positive = per([1, 2, 0.5, 4]);
const mixed = per([1, -2, 0.5, 4]);

/** Conv → `step` from "c" to "m" → Mul or Add with k. */
function behind(
  op: "Mul" | "Add",
  step: NodeSpec,
  k: TensorSpec,
  more: Record<string, TensorSpec>,
  rest: Partial<ModelSpec> = {},
) {
  return {
    nodes: [node("Conv", ["x", "w"], ["c"]), step, node(op, ["m", "k"], ["y"])],
    initializers: { w: whole([C, C, 1, 1]), k, ...more },
    inputs: [floats("x", ["N", C, 4, 4])],
    outputs: [floats("y")],
    ...rest,
  };
}

/** Mul or Add of x and k → `step` from "c" to "m" → Conv. */
function ahead(
  op: "Mul" | "Add",
  step: NodeSpec,
  k: TensorSpec,
  more: Record<string, TensorSpec>,
  rest: Partial<ModelSpec> = {},
) {
  return {
    nodes: [node(op, ["x", "k"], ["c"]), step, node("Conv", ["m", "w"], ["y"])],
    initializers: { w: whole([2, C, 1, 1]), k, ...more },
    inputs: [floats("x", ["N", C, 4, 4])],
    outputs: [floats("y")],
    ...rest,
  };
}

describe("Clip", () => {
  const limits = { lo: number(-2), hi: number(6) };
  const both = node("Clip", ["c", "lo", "hi"], ["m"]);
  const old = (attributes: Record<string, AttributeSpec>) => node("Clip", ["c"], ["m"], attributes);

  it.each([
    ["both bounds", both, {}],
    ["an upper bound", node("Clip", ["c", "", "hi"], ["m"]), {}],
    ["a lower bound", node("Clip", ["c", "lo"], ["m"]), {}],
    ["no bound", node("Clip", ["c"], ["m"]), {}],
    ["bounds as attributes", old({ min: f(-2), max: f(6) }), { opset: 10 }],
    ["one attribute", old({ max: f(6) }), { opset: 10 }],
    ["the other attribute", old({ min: f(-2) }), { opset: 6 }],
  ] as const)("with %s takes one gain of either sign, and one shift, both ways", (_what, step, rest) => {
    // Mul of opset 6 does not broadcast by itself.
    const opset = "opset" in rest && rest.opset === 6 ? { opset: 7 } : rest;
    for (const make of [behind, ahead]) {
      check(make("Mul", step, number(2), limits, opset), { folds: 1 });
      check(make("Mul", step, number(-2), limits, opset), { folds: 1 });
      check(make("Add", step, number(3), limits, opset), { folds: 1 });
    }
  });

  it("keeps constants in their places in the file, for others too", () => {
    const spec = behind("Mul", both, number(-2), { ...limits, hi: float32([1], [6]) });
    const { after } = check(spec, { folds: 1 });
    expect(after.graph.nodes[1].inputs).toEqual(["c", "lo", "hi"]);
    const nodes = [...spec.nodes, node("Clip", ["x", "lo", "hi"], ["z"])];
    check({ ...spec, nodes, outputs: [floats("y"), floats("z")] }, { folds: 1 });
    const again = [...spec.nodes, node("Mul", ["y", "three"], ["z"])];
    check(
      { ...spec, nodes: again, initializers: { ...spec.initializers, three: number(-3) }, outputs: [floats("z")] },
      { folds: 2 },
    );
  });

  it("writes attributes that say no bound where there is none", () => {
    const { after } = check(behind("Mul", old({ min: f(-2) }), number(-2), {}, { opset: 10 }), { folds: 1 });
    const bound = (name: string) => after.graph.nodes[1].attributes.get(name)?.f;
    expect([bound("min"), bound("max")]).toEqual([Math.fround(-3.4028234663852886e38), 4]);
  });

  it("stops a negative gain where its bounds cross", () => {
    refuses(behind("Mul", both, number(-2), { lo: number(6), hi: number(-2) }), "sign-blocks");
    check(behind("Mul", both, number(2), { lo: number(6), hi: number(-2) }), { folds: 1 });
    refuses(behind("Mul", old({ min: f(6), max: f(-2) }), number(-2), {}, { opset: 10 }), "sign-blocks");
  });

  it("takes neither a gain of zero nor a map per channel", () => {
    refuses(behind("Mul", both, number(0), limits), "sign-blocks");
    refuses(behind("Mul", both, positive, limits), "axis-blocks");
    refuses(ahead("Add", both, positive, limits), "axis-blocks");
  });

  it("keeps bounds that are computed", () => {
    const spec = behind("Mul", both, number(2), { hi: number(6) });
    refuses({ ...spec, inputs: [...spec.inputs, floats("lo", [])] }, "weight-not-constant");
  });
});

describe.each(["Max", "Min"])("%s", (op) => {
  const left = node(op, ["b", "c"], ["m"]);
  const right = node(op, ["c", "b"], ["m"]);
  const constants: [string, TensorSpec][] = [
    ["a number", number(-1)],
    ["a number per channel", per([1, -2, 3, 0])],
    ["a number per column", float32([4], [1, -2, 3, 0])],
  ];

  it.each(constants)("with %s takes positive gains and any shift, both ways", (_what, b) => {
    for (const step of [left, right]) {
      for (const make of [behind, ahead]) {
        check(make("Mul", step, positive, { b }), { folds: 1 });
        check(make("Mul", step, number(2), { b }), { folds: 1 });
        check(make("Add", step, mixed, { b }), { folds: 1 });
      }
    }
  });

  it("takes a gain of zero backward; forward where nothing is left of it", () => {
    const [zero, low, high] = [per([1, 0, 2, 4]), per([3, -1, 3, 3]), per([-3, 1, -3, -3])];
    check(behind("Mul", right, zero, { b: low }), { folds: 1 });
    check(behind("Mul", right, zero, { b: high }), { folds: 1 });
    const [fits, fails] = op === "Max" ? [low, high] : [high, low];
    check(ahead("Mul", right, zero, { b: fits }), { folds: 1 });
    refuses(ahead("Mul", right, zero, { b: fails }), "sign-blocks");
  });

  it("takes several constants", () => {
    const step = node(op, ["b", "c", "d"], ["m"]);
    for (const make of [behind, ahead]) check(make("Mul", step, number(2), { b: number(-1), d: number(2) }), { folds: 1 });
  });

  it("becomes the other one under gains that are all negative", () => {
    const b = per([1, -2, 3, 0]);
    for (const step of [left, right, node(op, ["b", "c", "d"], ["m"])]) {
      for (const make of [behind, ahead]) {
        const done = check(make("Mul", step, per([-1, -2, -0.5, -4]), { b, d: number(2) }), { folds: 1 });
        expect(done.after.graph.nodes.map(({ opType }) => opType)).toContain(op === "Max" ? "Min" : "Max");
      }
    }
  });

  it("stops gains of both signs, and several computed operands", () => {
    refuses(behind("Mul", right, mixed, { b: number(-1) }), "sign-blocks");
    refuses(ahead("Mul", right, mixed, { b: number(-1) }), "sign-blocks");
    const fed = behind("Mul", right, positive, {});
    refuses({ ...fed, inputs: [...fed.inputs, floats("b", [C, 1, 1])] }, "operator-blocks");
  });

  it("stops at a second reader, and where the bound would leave its type", () => {
    const b = number(-1);
    const spec = behind("Mul", right, positive, { b });
    refuses({ ...spec, outputs: [floats("y"), floats("m")] }, "is-graph-output");
    const half = (values: readonly number[], dims: readonly number[]): TensorSpec => ({ dtype: "float16", dims, values });
    const narrow: ModelSpec = {
      ...behind("Mul", right, half([1, 2, 1, 1], [C, 1, 1]), { b: half([60000], []) }),
      inputs: [{ name: "x", dtype: "float16", dims: ["N", C, 4, 4] }],
      outputs: [{ name: "y", dtype: "float16" }],
    };
    refuses(
      { ...narrow, initializers: { ...narrow.initializers, w: half(new Array(16).fill(0.5), [C, C, 1, 1]) } },
      "storage-overflow",
    );
  });
});

describe("a Relu that becomes a Max", () => {
  const options = { reluToMax: true };
  const sign = { gain: [1, 2, 0.5, 4], shift: [1, -3, 2, 0] };

  /** A normalization of a value that others read, Relu, Conv. */
  function network(numbers: { gain: number[]; shift: number[] }, rest: Partial<ModelSpec> = {}): ModelSpec {
    const norm = batchNorm("x", "n", C, numbers);
    return {
      nodes: [norm.node, node("Relu", ["n"], ["m"]), node("Conv", ["m", "w"], ["y"])],
      initializers: { w: whole([3, C, 1, 1]), ...norm.initializers },
      inputs: [floats("x", ["N", C, 4, 4])],
      outputs: [floats("y")],
      ...rest,
    };
  }

  it("lets a normalization go on, where that is asked for", () => {
    const { after } = check(network(sign), { folds: 1, options });
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Max", "Conv"]);
    refuses(network(sign), "is-graph-input");
  });

  it("is the last resort", () => {
    const spec = network(sign);
    const conv = { ...spec, nodes: [node("Conv", ["i", "v"], ["x"]), ...spec.nodes], inputs: [floats("i", ["N", C, 4, 4])] };
    const { after } = check({ ...conv, initializers: { ...spec.initializers, v: whole([C, C, 1, 1]) } }, { folds: 1, options });
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Conv", "Relu", "Conv"]);
  });

  it("becomes a Min where all gains are negative", () => {
    const { after } = check(network({ gain: [-1, -2, -0.5, -4], shift: [1, -3, 2, 0] }), { folds: 1, options });
    expect(after.graph.nodes.map(({ opType }) => opType)).toEqual(["Min", "Conv"]);
  });

  it("needs gains of one sign", () => {
    refuses(network({ gain: [1, 0, 0.5, 4], shift: [1, 3, 2, 0] }), "sign-blocks", options);
    refuses(network({ gain: [1, -2, 0.5, 4], shift: [1, -3, 2, 0] }), "sign-blocks", options);
  });

  it("leaves the bias of a layer, zero padding and outputs alone", () => {
    const spec = network(sign);
    const padded = [...spec.nodes.slice(0, -1), node("Conv", ["m", "w"], ["y"], { pads: [1, 1, 1, 1], kernel_shape: [1, 1] })];
    refuses({ ...spec, nodes: padded }, "padding-blocks", options);
    refuses({ ...spec, outputs: [floats("y"), floats("m")] }, "is-graph-input", options);
    const layer: ModelSpec = {
      nodes: [
        node("MatMul", ["x", "w"], ["p"]),
        node("Add", ["p", "b"], ["s"]),
        node("Relu", ["s"], ["r"]),
        node("MatMul", ["r", "v"], ["q"]),
        node("Add", ["q", "c"], ["y"]),
      ],
      initializers: { w: whole([C, 3]), b: float32([3], [1, 2, -1]), v: whole([3, 2]), c: float32([2], [1, 1]) },
      inputs: [floats("x", ["N", 5, C])],
      outputs: [floats("y")],
    };
    check(layer, { folds: 0, options });
  });

  it(`holds for every gain above zero and every shift (seed ${SEED})`, () => {
    const positiveGain = fc.constantFrom(0.25, 0.5, 1, 2, 8);
    const list = <T>(of: fc.Arbitrary<T>) => fc.array(of, { minLength: C, maxLength: C });
    fc.assert(
      fc.property(list(positiveGain), list(fc.integer({ min: -6, max: 6 })), (gain, shift) => {
        check(network({ gain, shift }), { folds: 1, options });
      }),
      { seed: SEED, numRuns: 60 },
    );
  });
});
