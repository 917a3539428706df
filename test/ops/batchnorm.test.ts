import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { asFloat64, sizeOf, type Tensor } from "../../src/onnx/tensor.ts";
import type { NodeSpec } from "../helpers/build.ts";
import { f } from "../helpers/build.ts";
import { evaluate, evaluateAll, list, noisy, real } from "./evaluate.ts";

const EPSILON = Math.fround(1e-5);
const MOMENTUM = Math.fround(0.9);

/** Position of element i of `dims` in parameters per channel, or per activation when not spatial. */
function slot(dims: readonly number[], i: number, spatial: boolean): number {
  if (dims.length === 1) return 0;
  const inner = sizeOf(dims.slice(2));
  return spatial ? Math.floor(i / inner) % dims[1] : i % sizeOf(dims.slice(1));
}

/** Mean and population variance of the elements of each slot, by collecting them. */
function batchStatistics(x: Tensor, slots: number, spatial: boolean) {
  const groups: number[][] = Array.from({ length: slots }, () => []);
  asFloat64(x).forEach((v, i) => {
    groups[slot(x.dims, i, spatial)].push(v);
  });
  const mean = groups.map((g) => g.reduce((a, b) => a + b, 0) / g.length);
  const variance = groups.map((g, c) => g.reduce((a, b) => a + (b - mean[c]) ** 2, 0) / g.length);
  return { mean, variance };
}

function expected(
  x: Tensor,
  p: readonly Tensor[],
  mean: ArrayLike<number>,
  variance: ArrayLike<number>,
  spatial = true,
): number[] {
  const [scale, bias] = p.map(asFloat64);
  return Array.from(asFloat64(x), (v, i) => {
    const c = slot(x.dims, i, spatial);
    return (scale[c] * (v - mean[c])) / Math.sqrt(variance[c] + EPSILON) + bias[c];
  });
}

function close(got: Tensor | undefined, want: ArrayLike<number>): void {
  const values = asFloat64(got as Tensor);
  expect(values.length).toBe(want.length);
  for (let i = 0; i < want.length; i++)
    expect(Math.abs(values[i] - want[i])).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(want[i])));
}

const positive = (t: Tensor): Tensor => ({ ...t, data: asFloat64(t).map((v) => v + 1.5) });
const parameters = (dims: readonly number[]): Tensor[] => [
  noisy(dims, 2),
  noisy(dims, 3),
  noisy(dims, 4),
  positive(noisy(dims, 5)),
];

const X = noisy([3, 4, 2, 3], 1);
const P = parameters([4]);

describe("inference takes the statistics of the inputs", () => {
  const modes: readonly (readonly [number, NodeSpec["attributes"]])[] = [
    [1, { is_test: 1, consumed_inputs: [0, 0, 0, 1, 1] }],
    [6, { is_test: 1 }],
    [7, {}],
    [9, {}],
    [13, {}],
    [14, {}],
    [15, { training_mode: 0 }],
  ];
  for (const [version, attributes] of modes) {
    it(`at opset ${version}`, () => {
      const outputs = evaluateAll("BatchNormalization", version, [X, ...P], attributes);
      expect(outputs).toHaveLength(1);
      close(outputs[0], expected(X, P, asFloat64(P[2]), asFloat64(P[3])));
    });
  }

  it("for ranks 2 to 5", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 5 }), (dims) => {
        const x = noisy(dims, 9);
        const p = parameters([dims[1]]);
        close(evaluate("BatchNormalization", 15, [x, ...p]), expected(x, p, asFloat64(p[2]), asFloat64(p[3])));
      }),
      { numRuns: 50 },
    );
  });

  it("when trailing outputs are named by nothing", () => {
    const [y] = evaluateAll("BatchNormalization", 9, [X, ...P], {}, { outputs: ["y0", "", ""] });
    close(y, expected(X, P, asFloat64(P[2]), asFloat64(P[3])));
  });

  it("for X of rank 1, which is one channel", () => {
    const x = noisy([5], 1);
    const p = parameters([1]);
    close(evaluate("BatchNormalization", 9, [x, ...p]), expected(x, p, asFloat64(p[2]), asFloat64(p[3])));
  });

  it("per activation with spatial=0", () => {
    const p = parameters([4, 2, 3]);
    for (const version of [6, 7]) {
      const y = evaluate("BatchNormalization", version, [X, ...p], { spatial: 0, is_test: 1 });
      close(y, expected(X, p, asFloat64(p[2]), asFloat64(p[3]), false));
    }
  });

  it("with the epsilon written in the file, by default the float32 nearest 1e-5", () => {
    const x = real([1, 1], [1]);
    const zero = [real([1], [1]), real([1], [0]), real([1], [0]), real([1], [0])];
    expect(list(evaluate("BatchNormalization", 15, [x, ...zero]))[0]).toBeCloseTo(1 / Math.sqrt(EPSILON), 9);
    expect(list(evaluate("BatchNormalization", 15, [x, ...zero], { epsilon: f(4) }))).toEqual([0.5]);
  });
});

describe("training takes the statistics of the batch", () => {
  const { mean, variance } = batchStatistics(X, 4, true);
  const blended = (old: Tensor, batch: readonly number[]) =>
    Array.from(asFloat64(old), (v, c) => MOMENTUM * v + (1 - MOMENTUM) * batch[c]);
  const y = expected(X, P, mean, variance);

  for (const version of [1, 6]) {
    it(`at opset ${version} unless is_test is written`, () => {
      close(evaluate("BatchNormalization", version, [X, ...P]), y);
      close(evaluate("BatchNormalization", version, [X, ...P], { is_test: 0 }), y);
    });
  }
  for (const version of [1, 6, 7, 9, 13]) {
    it(`at opset ${version} when statistics are asked for: running ones, then those of the batch`, () => {
      const outputs = evaluateAll("BatchNormalization", version, [X, ...P], {}, { outputs: 5 });
      close(outputs[0], y);
      close(outputs[1], blended(P[2], mean));
      close(outputs[2], blended(P[3], variance));
      close(outputs[3], mean);
      close(outputs[4], variance);
    });
  }
  for (const version of [14, 15]) {
    it(`at opset ${version} with training_mode=1, even if only Y is read`, () => {
      const outputs = evaluateAll("BatchNormalization", version, [X, ...P], { training_mode: 1 }, { outputs: 3 });
      close(outputs[0], y);
      close(outputs[1], blended(P[2], mean));
      close(outputs[2], blended(P[3], variance));
      close(evaluate("BatchNormalization", version, [X, ...P], { training_mode: 1 }), y);
    });
  }

  it("with the momentum given: the weight of the old statistics", () => {
    const outputs = evaluateAll("BatchNormalization", 15, [X, ...P], { training_mode: 1, momentum: f(1) }, { outputs: 3 });
    expect(list(outputs[1])).toEqual(list(P[2]));
    expect(list(outputs[2])).toEqual(list(P[3]));
  });

  it("per activation with spatial=0", () => {
    const p = parameters([4, 2, 3]);
    const s = batchStatistics(X, 24, false);
    close(evaluate("BatchNormalization", 6, [X, ...p], { spatial: 0 }), expected(X, p, s.mean, s.variance, false));
  });
});

it("keeps the types of its inputs where they differ", () => {
  const x = { ...X, dtype: "float16" } as const;
  const p = P.map((t) => ({ ...t, dtype: "float32" }) as const);
  expect(evaluateAll("BatchNormalization", 15, [x, ...p], { training_mode: 1 }, { outputs: 3 }).map((t) => t?.dtype)).toEqual([
    "float16",
    "float32",
    "float32",
  ]);
});

it("refuses parameters that do not match the channels", () => {
  expect(() => evaluate("BatchNormalization", 15, [X, P[0], P[1], noisy([3], 1), P[3]])).toThrow(
    /mean of shape \[3\].*4 channels/,
  );
});
