import { describe, expect, it } from "vitest";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { f } from "../helpers/build.ts";
import { evaluate, evaluateAll, ints, list, longs, noisy, real } from "./evaluate.ts";

const near = (got: Tensor | undefined, want: readonly number[], tolerance = 1e-12) => {
  expect(got?.data).toHaveLength(want.length);
  want.forEach((w, i) => {
    expect(Math.abs(Number(got?.data[i]) - w)).toBeLessThanOrEqual(tolerance * (1 + Math.abs(w)));
  });
};

describe("Softmax and its kin", () => {
  const x = noisy([2, 3, 4], 8);

  it("sum to 1 along their axis", () => {
    const y = asFloat64(evaluate("Softmax", 13, [x], { axis: 1 }));
    for (let o = 0; o < 2; o++)
      for (let k = 0; k < 4; k++) expect([0, 1, 2].reduce((s, i) => s + y[(o * 3 + i) * 4 + k], 0)).toBeCloseTo(1, 14);
  });

  it("before opset 13 see a matrix split at the axis", () => {
    const old = evaluate("Softmax", 11, [x], { axis: 1 });
    const flat = evaluate("Softmax", 13, [{ ...x, dims: [2, 12] }]);
    expect(list(old)).toEqual(list(flat));
    expect(list(evaluate("LogSoftmax", 11, [x]))).toEqual(list(evaluate("LogSoftmax", 13, [{ ...x, dims: [2, 12] }])));
    expect(list(evaluate("Hardmax", 1, [x], { axis: 0 })).filter((v) => v === 1)).toHaveLength(1);
    expect(list(evaluate("Hardmax", 13, [real([4], [1, 5, 5, 2])]))).toEqual([0, 1, 0, 0]);
  });

  it("do not overflow, and agree with each other", () => {
    expect(list(evaluate("Softmax", 13, [real([2], [1e5, 1e5])]))).toEqual([0.5, 0.5]);
    expect(list(evaluate("LogSoftmax", 13, [real([2], [0, 1e5])]))).toEqual([-1e5, 0]);
    near(
      evaluate("LogSoftmax", 13, [x]),
      list(evaluate("Softmax", 13, [x])).map((p) => Math.log(p as number)),
    );
    expect(list(evaluate("Softmax", 13, [real([2], [1, Number.NaN])]))).toEqual([Number.NaN, Number.NaN]);
  });
});

describe("losses", () => {
  const logp = evaluate("LogSoftmax", 13, [noisy([2, 3, 2], 4)], { axis: 1 });
  const target = ints("int32", [2, 2], [0, 2, 1, 1]);
  const w = real([3], [1, 2, 4]);
  const picked = [0, 5, 8, 9].map((i) => -asFloat64(logp)[i]);

  it("divide the mean by the weight of the places that count", () => {
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, target], { reduction: "none" }), picked);
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, target], { reduction: "sum" }), [picked.reduce((a, b) => a + b)]);
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, target]), [picked.reduce((a, b) => a + b) / 4]);
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, target, w]), [
      (picked[0] + 4 * picked[1] + 2 * picked[2] + 2 * picked[3]) / 9,
    ]);
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, target, w], { ignore_index: 1 }), [(picked[0] + 4 * picked[1]) / 5]);
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, target], { ignore_index: 1 }), [(picked[0] + picked[1]) / 2]);
  });

  it("may ignore a class that does not exist, and refuse one unasked", () => {
    const outside = ints("int32", [2, 2], [0, -100, 1, 1]);
    near(evaluate("NegativeLogLikelihoodLoss", 13, [logp, outside], { ignore_index: -100, reduction: "none" }), [
      picked[0],
      0,
      picked[2],
      picked[3],
    ]);
    expect(() => evaluate("NegativeLogLikelihoodLoss", 13, [logp, outside])).toThrow(/outside the 3 classes/);
  });

  it("give the logarithms as second output of SoftmaxCrossEntropyLoss", () => {
    const [loss, log] = evaluateAll("SoftmaxCrossEntropyLoss", 13, [noisy([2, 3, 2], 4), target], {}, { outputs: 2 });
    near(loss, [picked.reduce((a, b) => a + b) / 4]);
    expect(list(log)).toEqual(list(logp));
  });
});

/** (x − μ)/√(σ² + ε) of a list. */
const standard = (g: readonly number[], epsilon: number) => {
  const mean = g.reduce((a, b) => a + b, 0) / g.length;
  const variance = g.reduce((a, b) => a + (b - mean) ** 2, 0) / g.length;
  return g.map((v) => (v - mean) / Math.sqrt(variance + epsilon));
};

describe("normalisations", () => {
  const x = noisy([2, 4, 3], 6);
  const values = list(x) as number[];
  const [scale, bias] = [noisy([4], 7), noisy([4], 8)];
  const eps = Math.fround(1e-5);
  const blocks = (n: number) =>
    Array.from({ length: values.length / n }, (_, i) => standard(values.slice(i * n, (i + 1) * n), eps)).flat();

  it("InstanceNormalization works per sample and channel", () => {
    const want = blocks(3).map((v, i) => v * asFloat64(scale)[Math.floor(i / 3) % 4] + asFloat64(bias)[Math.floor(i / 3) % 4]);
    near(evaluate("InstanceNormalization", 6, [x, scale, bias]), want);
  });

  it("GroupNormalization scales per group before opset 21, per channel since", () => {
    const perChannel = blocks(6).map(
      (v, i) => v * asFloat64(scale)[Math.floor(i / 3) % 4] + asFloat64(bias)[Math.floor(i / 3) % 4],
    );
    near(evaluate("GroupNormalization", 21, [x, scale, bias], { num_groups: 2 }), perChannel);
    const [s2, b2] = [real([2], [2, -3]), real([2], [0.5, 1])];
    const perGroup = blocks(6).map((v, i) => v * asFloat64(s2)[Math.floor(i / 6) % 2] + asFloat64(b2)[Math.floor(i / 6) % 2]);
    near(evaluate("GroupNormalization", 18, [x, s2, b2], { num_groups: 2 }), perGroup);
    expect(() => evaluate("GroupNormalization", 21, [x, s2, b2], { num_groups: 2 })).toThrow(/expected 4/);
  });

  it("LayerNormalization gives mean and inverse deviation in the stash type", () => {
    const half = { ...x, dtype: "float16" } as const;
    const [y, mean, inverse] = evaluateAll("LayerNormalization", 17, [half, real([3], [1, 2, 3], "float16")], {}, { outputs: 3 });
    near(
      y,
      blocks(3).map((v, i) => v * ((i % 3) + 1)),
    );
    expect([y?.dtype, mean?.dtype, inverse?.dtype, mean?.dims]).toEqual(["float16", "float32", "float32", [2, 4, 1]]);
    near(
      mean,
      Array.from({ length: 8 }, (_, r) => (values[3 * r] + values[3 * r + 1] + values[3 * r + 2]) / 3),
    );
  });

  it("LpNormalization leaves zero vectors zero and takes absolute values for p=1", () => {
    near(evaluate("LpNormalization", 22, [real([2, 2], [3, -4, 0, 0])]), [0.6, -0.8, 0, 0]);
    near(evaluate("LpNormalization", 22, [real([2], [3, -1])], { p: 1 }), [0.75, -0.25]);
  });

  it("MeanVarianceNormalization normalises over its axes", () => {
    near(
      evaluate("MeanVarianceNormalization", 13, [x], { axes: [0, 2] }),
      (() => {
        const out: number[] = new Array(24);
        for (let c = 0; c < 4; c++) {
          const at = [0, 1, 2, 12, 13, 14].map((i) => i + 3 * c);
          standard(
            at.map((i) => values[i]),
            0,
          ).forEach((v, k) => {
            out[at[k]] = v;
          });
        }
        return out;
      })(),
      1e-6,
    );
  });

  it("LRN sums squares over a window of channels, uneven to the right", () => {
    const y = evaluate("LRN", 13, [real([1, 3, 1], [1, 2, 3])], { size: 2, alpha: f(2), beta: f(1), bias: f(1) });
    near(y, [1 / (1 + 1 + 4), 2 / (1 + 4 + 9), 3 / (1 + 9)]);
  });

  it("RMSNormalization divides by the root of the mean square", () => {
    near(evaluate("RMSNormalization", 23, [real([1, 2], [3, 4]), real([2], [1, 10])], { epsilon: f(0) }), [
      3 / Math.sqrt(12.5),
      40 / Math.sqrt(12.5),
    ]);
  });
});

describe("activations", () => {
  const one = (op: string, version: number, x: readonly number[], attributes = {}) =>
    list(evaluate(op, version, [real([x.length], x)], attributes));
  const { NaN: nan, NEGATIVE_INFINITY: low, POSITIVE_INFINITY: high } = Number;

  it("Relu clears negatives, −0 included, and keeps NaN", () => {
    expect(one("Relu", 14, [-1, -0, 2, nan, low])).toEqual([0, 0, 2, nan, 0]);
    const edges = [Number.MAX_VALUE, -Number.MAX_VALUE, 5e-324, -5e-324, high];
    expect(one("Relu", 14, edges)).toEqual([Number.MAX_VALUE, 0, 5e-324, 0, high]);
    expect(list(evaluate("Relu", 14, [longs([2], [-5n, 2n ** 60n + 1n])]))).toEqual([0n, 2n ** 60n + 1n]);
  });

  it("use float32 defaults", () => {
    expect(one("LeakyRelu", 16, [-1])).toEqual([-Math.fround(0.01)]);
    expect(one("HardSigmoid", 22, [0, 100, -100])).toEqual([0.5, 1, 0]);
    expect(one("Selu", 22, [1])).toEqual([1.0507010221481323]);
    expect(one("Selu", 1, [1])).toEqual([Math.fround(1.0507)]);
  });

  it("have their limits at the infinities and keep NaN", () => {
    expect(one("Sigmoid", 13, [low, high, -745])).toEqual([0, 1, 1 / (1 + Math.exp(745))]);
    expect(one("Elu", 22, [low, -1e-20, 3])).toEqual([-1, -1e-20, 3]);
    expect(one("Celu", 12, [nan, 2])).toEqual([nan, 2]);
  });

  it("PRelu takes one slope a channel before opset 7, and broadcasts after", () => {
    const x = real([1, 2, 2], [-1, 1, -2, 2]);
    expect(list(evaluate("PRelu", 6, [x, real([2], [0.5, 0.25])]))).toEqual([-0.5, 1, -0.5, 2]);
    expect(list(evaluate("PRelu", 9, [x, real([2, 1], [0.5, 0.25])]))).toEqual([-0.5, 1, -0.5, 2]);
    expect(list(evaluate("PRelu", 9, [x, real([2], [0.5, 0.25])]))).toEqual([-0.5, 1, -1, 2]);
    expect(list(evaluate("PRelu", 6, [x, real([1], [3])]))).toEqual([-3, 1, -6, 2]);
  });

  it("keep halves in Shrink and thresholds strict", () => {
    expect(one("Shrink", 9, [-2, -0.5, 0.5, 2], { bias: f(1.5), lambd: f(0.5) })).toEqual([-0.5, 0, 0, 0.5]);
    expect(one("ThresholdedRelu", 10, [1, 1.5], {})).toEqual([0, 1.5]);
  });
});

describe("optimizers", () => {
  const domain = "ai.onnx.preview.training";
  const [r, t] = [real([], [0.1]), longs([], [2n])];
  const [x1, x2, g1, g2] = [real([1], [1]), real([2], [2, 3]), real([1], [0.5]), real([2], [-1, 4])];

  it("update several tensors of different shapes in one call", () => {
    const [v1, v2] = [real([1], [0.25]), real([2], [0, 1])];
    const attributes = { alpha: f(0.5), beta: f(0.25), mode: "nesterov", norm_coefficient: f(0) };
    const outputs = evaluateAll("Momentum", 1, [r, t, x1, x2, g1, g2, v1, v2], attributes, { outputs: 4, domain });
    const v = [0.5 * 0.25 + 0.25 * 0.5, 0.25 * -1, 0.5 + 0.25 * 4];
    near(outputs[2], [v[0]]);
    near(outputs[3], [v[1], v[2]]);
    near(outputs[0], [1 - 0.1 * (0.5 + 0.5 * v[0])]);
    near(outputs[1], [2 - 0.1 * (-1 + 0.5 * v[1]), 3 - 0.1 * (4 + 0.5 * v[2])]);
  });

  it("Adagrad and Adam accumulate squared gradients", () => {
    const epsilon = f(0);
    const h = real([1], [0.75]);
    const [x, sum] = evaluateAll("Adagrad", 1, [r, t, x1, g1, h], { epsilon, decay_factor: f(0.5) }, { outputs: 2, domain });
    near(sum, [1]);
    near(x, [1 - (0.1 / 2) * 0.5]);
    const adam = evaluateAll(
      "Adam",
      1,
      [r, t, x1, g1, real([1], [0]), h],
      { epsilon, alpha: f(0.5), beta: f(0.5) },
      { outputs: 3, domain },
    );
    near(adam[1], [0.25]);
    near(adam[2], [0.5]);
    near(adam[0], [1 - ((0.1 * Math.sqrt(0.75)) / 0.75) * (0.25 / Math.sqrt(0.5))]);
  });
});
