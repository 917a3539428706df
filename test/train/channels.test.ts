import { describe, expect, it } from "vitest";
import { distributionOf, inspectChannels } from "../../src/train/channels.ts";
import type { ChannelFlag } from "../../src/train/flags.ts";
import { f, float32, type ModelSpec, model, node } from "../helpers/build.ts";

const EPSILON = Math.fround(1e-5);

interface Parameters {
  readonly scale: readonly number[];
  readonly bias?: readonly number[];
  readonly mean?: readonly number[];
  readonly variance?: readonly number[];
  /** Largest weight of each row in front. */
  readonly rows?: readonly number[];
  readonly relu?: boolean;
}

function net({ scale, bias, mean, variance, rows, relu = false }: Parameters): ModelSpec {
  const c = scale.length;
  const zeros = scale.map(() => 0);
  const weight = (rows ?? scale.map(() => 1)).flatMap((w) => [w, -w / 2]);
  return {
    nodes: [
      node("Conv", ["x", "w"], ["c"], {}, { name: "conv" }),
      node("BatchNormalization", ["c", "g", "b", "m", "v"], [relu ? "n" : "y"], { epsilon: f(1e-5) }, { name: "bn" }),
      ...(relu ? [node("Relu", ["n"], ["y"])] : []),
    ],
    initializers: {
      w: float32([c, 2, 1, 1], weight),
      g: float32([c], scale),
      b: float32([c], bias ?? zeros),
      m: float32([c], mean ?? zeros),
      v: float32([c], variance ?? scale.map(() => 1)),
    },
    inputs: [{ name: "x", dims: [1, 2, 4, 4] }],
    outputs: [{ name: "y", dims: [1, c, 4, 4] }],
    opset: 17,
  };
}

const flagsOf = (parameters: Parameters): (readonly ChannelFlag[])[] =>
  inspectChannels(model(net(parameters))).layers[0].channels.map(({ flags }) => flags);

describe("inspectChannels", () => {
  it("tells dead channels from constant ones", () => {
    expect(flagsOf({ scale: [1, 0, 0, 1e-9, 1e-9], bias: [0.5, 0, 0.3, 0, -0.3] })).toEqual([
      [],
      ["dead"],
      ["constant"],
      ["dead"],
      ["constant"],
    ]);
  });
  it("knows that a Relu ends what is not positive", () => {
    expect(flagsOf({ scale: [1, 0, 0], bias: [0.5, -0.3, 0.3], relu: true })).toEqual([[], ["dead"], ["constant"]]);
  });
  it("finds negative gains, tiny and broken variances", () => {
    expect(flagsOf({ scale: [-1, 1, 1, 1], variance: [1, 1e-6, 0, -1] })).toEqual([
      ["negative-gain"],
      ["tiny-variance"],
      expect.arrayContaining(["bad-variance"]),
      ["bad-variance"],
    ]);
  });
  it("finds rows that would overflow float16 or widen the range", () => {
    expect(flagsOf({ scale: [1, 1, 1, 20] })).toEqual([[], [], [], ["widens-range"]]);
    expect(flagsOf({ scale: [1, 1, 1, 20], rows: [1, 1, 1, 0.1] }).flat()).toEqual([]);
    expect(flagsOf({ scale: [1, 1, 1], rows: [6e4, 7e4, 1e5] }).map((flags) => flags.length)).toEqual([0, 1, 1]);
    expect(flagsOf({ scale: [1e5, 9e4] })).toEqual([["float16-overflow"], ["float16-overflow"]]);
  });
  it("measures the range before and after folding", () => {
    const [layer] = inspectChannels(model(net({ scale: [1, 1, 10], rows: [1, 2, 4] }))).layers;
    expect(layer.producer).toBe("conv");
    expect(layer.range?.before).toBe(2);
    expect(layer.range?.after).toBeCloseTo(20, 6);
    expect(layer.channels[2].folded).toBeCloseTo(40 / Math.sqrt(1 + EPSILON), 10);
  });
  it("sums up what pruning would save", () => {
    const { pruning } = inspectChannels(model(net({ scale: [1, 0, 0, 1], bias: [0, 0, 1, 1] })));
    expect(pruning).toEqual({ channels: 4, dead: 1, constant: 1, removableWeights: 4, weights: 8 });
  });
  it("reads weights of every layer that can be in front by their output channels", () => {
    const bn = node("BatchNormalization", ["c", "g", "b", "m", "v"], ["y"]);
    const four = {
      g: float32([4], [1, 1, 1, 1]),
      b: float32([4], [0, 0, 0, 0]),
      m: float32([4], [0, 0, 0, 0]),
      v: float32([4], [1, 1, 1, 1]),
    };
    const spec = (op: string, dims: number[], values: number[], attributes = {}): ModelSpec => ({
      nodes: [node(op, ["x", "w"], ["c"], attributes), bn],
      initializers: { w: float32(dims, values), ...four },
      inputs: [{ name: "x", dims: undefined }],
      outputs: [{ name: "y" }],
      opset: 17,
    });
    const rows = (s: ModelSpec) => inspectChannels(model(s)).layers[0].channels.map(({ weight }) => weight);
    expect(rows(spec("Gemm", [2, 4], [1, 2, 3, 4, -5, 0, 0, 0]))).toEqual([5, 2, 3, 4]);
    expect(rows(spec("Gemm", [4, 2], [1, 2, 3, 4, -5, 0, 0, 0], { transB: 1 }))).toEqual([2, 4, 5, 0]);
    expect(rows(spec("MatMul", [2, 4], [1, 2, 3, 4, -5, 0, 0, 0]))).toEqual([5, 2, 3, 4]);
    expect(rows(spec("ConvTranspose", [4, 2, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8], { group: 2 }))).toEqual([3, 4, 7, 8]);
    expect(rows(spec("Add", [4], [1, 2, 3, 4]))).toEqual([undefined, undefined, undefined, undefined]);
  });
});

describe("distributionOf", () => {
  it("interpolates quantiles", () => {
    expect(distributionOf([4, 1, 3, 2, 5])).toEqual({ min: 1, lowerQuartile: 2, median: 3, upperQuartile: 4, max: 5, mean: 3 });
    expect(distributionOf([1, 2]).median).toBe(1.5);
  });
});
