import { describe, expect, it } from "vitest";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { transpose } from "../../src/ops/broadcast.ts";
import { f, fs, type NodeSpec } from "../helpers/build.ts";
import { evaluateAll, ints, list, noisy, real } from "./evaluate.ts";

const [LENGTH, BATCH, SIZE, HIDDEN] = [4, 3, 2, 5];
const GATES = { RNN: 1, GRU: 3, LSTM: 4 } as const;
type Kind = keyof typeof GATES;

const weights = (kind: Kind, directions: number): Tensor[] => {
  const rows = GATES[kind] * HIDDEN;
  return [noisy([directions, rows, SIZE], 2), noisy([directions, rows, HIDDEN], 3), noisy([directions, 2 * rows], 4)];
};
const X = noisy([LENGTH, BATCH, SIZE], 1);
const run = (kind: Kind, inputs: readonly (Tensor | undefined)[], attributes: NodeSpec["attributes"] = {}) =>
  evaluateAll(kind, 14, inputs, { hidden_size: HIDDEN, ...attributes }, { outputs: kind === "LSTM" ? 3 : 2 }) as Tensor[];

/** Rows of the first axis in another order. */
function pick(t: Tensor, order: readonly number[]): Tensor {
  const n = t.data.length / t.dims[0];
  return real(
    [order.length, ...t.dims.slice(1)],
    order.flatMap((i) => Array.from(asFloat64(t).subarray(i * n, (i + 1) * n))),
  );
}
const flipped = (t: Tensor) =>
  pick(
    t,
    Array.from({ length: t.dims[0] }, (_, i) => t.dims[0] - 1 - i),
  );
const near = (a: Tensor, b: readonly number[] | Tensor) => {
  const want = "dims" in b ? Array.from(asFloat64(b)) : b;
  expect(a.data).toHaveLength(want.length);
  want.forEach((w, i) => {
    expect(Number(a.data[i])).toBeCloseTo(w, 12);
  });
};

for (const kind of Object.keys(GATES) as Kind[]) {
  describe(kind, () => {
    const forward = run(kind, [X, ...weights(kind, 1)]);

    it("ends in the state Y_h", () => {
      expect(forward[0].dims).toEqual([LENGTH, 1, BATCH, HIDDEN]);
      expect(list(pick(forward[0], [LENGTH - 1]))).toEqual(list(forward[1]));
    });

    it("reversed is forward on the reversed sequence", () => {
      const back = run(kind, [flipped(X), ...weights(kind, 1)], { direction: "reverse" });
      expect(list(flipped(back[0]))).toEqual(list(forward[0]));
      expect(list(back[1])).toEqual(list(forward[1]));
    });

    it("bidirectional is both, side by side", () => {
      const w = weights(kind, 2);
      const [y, h] = run(kind, [X, ...w], { direction: "bidirectional" });
      const one = run(kind, [X, ...w.map((t) => pick(t, [0]))]);
      const two = run(kind, [X, ...w.map((t) => pick(t, [1]))], { direction: "reverse" });
      const split = transpose(y, [1, 0, 2, 3]);
      near(pick(split, [0]), one[0]);
      near(pick(split, [1]), two[0]);
      near(pick(h, [0]), one[1]);
      near(pick(h, [1]), two[1]);
    });

    it("layout 1 puts the batch first", () => {
      const [y, h] = run(kind, [transpose(X, [1, 0, 2]), ...weights(kind, 1)], { layout: 1 });
      expect([y.dims, h.dims]).toEqual([
        [BATCH, LENGTH, 1, HIDDEN],
        [BATCH, 1, HIDDEN],
      ]);
      near(transpose(y, [1, 2, 0, 3]), forward[0]);
      near(transpose(h, [1, 0, 2]), forward[1]);
    });

    for (const direction of ["forward", "reverse"]) {
      it(`${direction}: a shorter sequence runs as if it were alone`, () => {
        const lengths = [2, 4, 1];
        const w = weights(kind, 1);
        const [y, h] = run(kind, [X, ...w, ints("int32", [BATCH], lengths)], { direction });
        const byBatch = transpose(y, [2, 0, 1, 3]);
        const states = transpose(h, [1, 0, 2]);
        lengths.forEach((length, n) => {
          const alone = pick(
            transpose(pick(transpose(X, [1, 0, 2]), [n]), [1, 0, 2]),
            Array.from({ length }, (_, i) => i),
          );
          const [ya, ha] = run(kind, [alone, ...w], { direction });
          near(pick(byBatch, [n]), [...asFloat64(ya), ...new Array((LENGTH - length) * HIDDEN).fill(0)]);
          near(pick(states, [n]), ha);
        });
      });
    }

    it("continues from an initial state", () => {
      const w = weights(kind, 1);
      const first = run(kind, [pick(X, [0, 1]), ...w]);
      const second = run(kind, [pick(X, [2, 3]), ...w, undefined, ...first.slice(1)]);
      near(second[1], forward[1]);
      if (kind === "LSTM") near(second[2], forward[2]);
    });
  });
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const one = (values: readonly number[]) => real([1, values.length, 1], values);

describe("one hidden unit, by hand", () => {
  const x = real([2, 1, 1], [0.5, -0.8]);

  it("LSTM with peepholes", () => {
    const [w, r, b, p] = [
      [0.1, 0.2, 0.3, 0.4],
      [0.5, -0.6, 0.7, -0.8],
      [0.1, 0.2, 0.3, 0.4, 0.01, 0.02, 0.03, 0.04],
      [0.9, -0.5, 0.3],
    ];
    let [h, c] = [0, 0];
    for (const v of [0.5, -0.8]) {
      const g = w.map((wi, k) => wi * v + r[k] * h + b[k] + b[k + 4]);
      const i = sigmoid(g[0] + p[0] * c);
      const forget = sigmoid(g[2] + p[2] * c);
      c = forget * c + i * Math.tanh(g[3]);
      h = sigmoid(g[1] + p[1] * c) * Math.tanh(c);
    }
    const inputs = [x, one(w), one(r), real([1, 8], b), undefined, undefined, undefined, real([1, 3], p)];
    const y = evaluateAll("LSTM", 7, inputs, { hidden_size: 1 }, { outputs: 3 }) as Tensor[];
    near(y[1], [h]);
    near(y[2], [c]);
  });

  it("LSTM with coupled gates forgets 1 − i", () => {
    const [w, r] = [
      [0.1, 0.2, 9, 0.4],
      [0.5, -0.6, 9, -0.8],
    ];
    let [h, c] = [0, 0];
    for (const v of [0.5, -0.8]) {
      const g = w.map((wi, k) => wi * v + r[k] * h);
      const i = sigmoid(g[0]);
      c = (1 - i) * c + i * Math.tanh(g[3]);
      h = sigmoid(g[1]) * Math.tanh(c);
    }
    near(evaluateAll("LSTM", 14, [x, one(w), one(r)], { hidden_size: 1, input_forget: 1 }, { outputs: 2 })[1] as Tensor, [h]);
  });

  for (const linear of [0, 1]) {
    it(`GRU with linear_before_reset=${linear}`, () => {
      const [w, r, b] = [
        [0.4, -0.3, 0.9],
        [0.5, 0.6, -0.7],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
      ];
      let h = 0.25;
      for (const v of [0.5, -0.8]) {
        const z = sigmoid(w[0] * v + r[0] * h + b[0] + b[3]);
        const reset = sigmoid(w[1] * v + r[1] * h + b[1] + b[4]);
        const inner = linear === 1 ? reset * (r[2] * h + b[5]) + b[2] : r[2] * (reset * h) + b[5] + b[2];
        h = (1 - z) * Math.tanh(w[2] * v + inner) + z * h;
      }
      const inputs = [x, one(w), one(r), real([1, 6], b), undefined, real([1, 1, 1], [0.25])];
      near(evaluateAll("GRU", 14, inputs, { hidden_size: 1, linear_before_reset: linear }, { outputs: 2 })[1] as Tensor, [h]);
    });
  }

  it("RNN clips the argument of its activation and takes activation parameters", () => {
    const affine = {
      hidden_size: 1,
      activations: ["Affine"],
      activation_alpha: fs([2]),
      activation_beta: fs([1]),
      clip: f(0.25),
    };
    const y = evaluateAll("RNN", 14, [x, one([1]), one([0])], affine)[0] as Tensor;
    near(y, [1.5, 0.5]);
  });

  it("gives parameters to the activations that take them, or to all by position", () => {
    const attributes = { hidden_size: 1, activations: ["HardSigmoid", "LeakyRelu"] };
    const inputs = [x, one([0, 0, -1]), one([0, 0, 0])];
    const beta = { activation_beta: fs([0.25]) };
    const h = evaluateAll(
      "GRU",
      14,
      inputs,
      { ...attributes, ...beta, activation_alpha: fs([1, 0.5]) },
      { outputs: 2 },
    )[1] as Tensor;
    // z = r = 0.25; ĥ = −0.25, then 0.8
    near(h, [0.75 * 0.8 + 0.25 * (0.75 * -0.25)]);
    expect(() => evaluateAll("RNN", 14, [x, one([1]), one([0])], { activations: ["Cosine"] })).toThrow(/"Cosine"/);
  });
});
