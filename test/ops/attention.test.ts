import { describe, expect, it } from "vitest";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { mergeHeads } from "../../src/ops/attention.ts";
import { f, type NodeSpec } from "../helpers/build.ts";
import { evaluate, evaluateAll, ints, list, longs, noisy, real } from "./evaluate.ts";

const near = (a: Tensor | undefined, b: ArrayLike<number>) => {
  expect(a?.data).toHaveLength(b.length);
  for (let i = 0; i < b.length; i++) expect(Number(a?.data[i])).toBeCloseTo(b[i], 12);
};

/** Attention from its definition: bias(b, h, i, j) is added to the scores. */
function naive(q: Tensor, k: Tensor, v: Tensor, bias: (b: number, h: number, i: number, j: number) => number, cap = 0): number[] {
  const [batch, heads, rows, size] = q.dims;
  const [, kvHeads, keys] = k.dims;
  const width = v.dims[3];
  const [qd, kd, vd] = [q, k, v].map(asFloat64);
  const out: number[] = [];
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      const g = b * kvHeads + Math.floor(h / (heads / kvHeads));
      for (let i = 0; i < rows; i++) {
        const scores = Array.from({ length: keys }, (_, j) => {
          let s = 0;
          for (let d = 0; d < size; d++) s += qd[((b * heads + h) * rows + i) * size + d] * kd[(g * keys + j) * size + d];
          s /= Math.sqrt(size);
          return (cap > 0 ? cap * Math.tanh(s / cap) : s) + bias(b, h, i, j);
        });
        const e = scores.map(Math.exp);
        const total = e.reduce((a, c) => a + c, 0);
        for (let d = 0; d < width; d++)
          out.push(total === 0 ? 0 : e.reduce((a, c, j) => a + (c / total) * vd[(g * keys + j) * width + d], 0));
      }
    }
  }
  return out;
}

const hide = (seen: boolean) => (seen ? 0 : Number.NEGATIVE_INFINITY);
const Q = noisy([2, 4, 3, 8], 1);
const K = noisy([2, 2, 5, 8], 2);
const V = noisy([2, 2, 5, 6], 3);
const attend = (inputs: readonly (Tensor | undefined)[], attributes: NodeSpec["attributes"] = {}) =>
  evaluate("Attention", 25, inputs, attributes);

describe("Attention", () => {
  it("shares key heads among groups of query heads", () =>
    near(
      attend([Q, K, V]),
      naive(Q, K, V, () => 0),
    ));

  it("caps the scores before the mask", () => {
    const mask = real(
      [3, 5],
      Array.from({ length: 15 }, (_, i) => (i % 5 === 2 ? Number.NEGATIVE_INFINITY : i / 7)),
    );
    near(
      attend([Q, K, V, mask], { softcap: f(0.5) }),
      naive(Q, K, V, (_b, _h, i, j) => asFloat64(mask)[i * 5 + j], 0.5),
    );
  });

  it("is causal, and bottom-right aligned behind a past", () => {
    near(
      attend([Q, K, V], { is_causal: 1 }),
      naive(Q, K, V, (_b, _h, i, j) => hide(j <= i)),
    );
    const [pastK, pastV] = [noisy([2, 2, 4, 8], 4), noisy([2, 2, 4, 6], 5)];
    const [y, presentK, presentV] = evaluateAll(
      "Attention",
      23,
      [Q, K, V, undefined, pastK, pastV],
      { is_causal: 1 },
      { outputs: 3 },
    );
    expect(presentK?.dims).toEqual([2, 2, 9, 8]);
    expect(list(presentK).slice(0, 32)).toEqual(list(pastK).slice(0, 32));
    near(
      y,
      naive(Q, presentK as Tensor, presentV as Tensor, (_b, _h, i, j) => hide(j <= i + 4)),
    );
  });

  it("looks through a window", () => {
    near(
      attend([Q, K, V], { left_window_size: 1, right_window_size: 2 }),
      naive(Q, K, V, (_b, _h, i, j) => hide(i - 1 <= j && j <= i + 2)),
    );
  });

  it("ends at the valid keys of each batch", () => {
    const valid = [5, 3];
    const inputs = [Q, K, V, undefined, undefined, undefined, longs([2], valid.map(BigInt))];
    near(
      attend(inputs),
      naive(Q, K, V, (b, _h, _i, j) => hide(j < valid[b])),
    );
    near(
      attend(inputs, { is_causal: 1 }),
      naive(Q, K, V, (b, _h, i, j) => hide(j < valid[b] && j <= i + valid[b] - 3)),
    );
  });

  it("continues a short mask with −∞ and aligns masks at the last axis", () => {
    const mask = ints("bool", [4, 1, 3], [1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0]);
    near(
      attend([Q, K, V, mask]),
      naive(Q, K, V, (_b, h, _i, j) => hide(j < 3 && mask.data[h * 3 + j] === 1)),
    );
  });

  it("gives zeros where a query sees no key, in Y and in the probabilities", () => {
    const mask = ints("bool", [3, 5], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
    const outputs = evaluateAll(
      "Attention",
      23,
      [Q, K, V, mask],
      { qk_matmul_output_mode: 3 },
      { outputs: ["y0", "", "", "y3"] },
    );
    expect(list(outputs[0]).slice(6, 12)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(list(outputs[3]).slice(5, 10)).toEqual([0, 0, 0, 0, 0]);
    expect(
      list(outputs[3])
        .slice(0, 5)
        .reduce((a, b) => (a as number) + (b as number)),
    ).toBeCloseTo(1, 14);
  });

  it("reads packed heads alike", () => {
    const packed = attend([mergeHeads(Q), mergeHeads(K), mergeHeads(V)], { q_num_heads: 4, kv_num_heads: 2 });
    expect(list(packed)).toEqual(list(mergeHeads(attend([Q, K, V]))));
  });

  it("refuses heads that do not divide", () => {
    expect(() => attend([noisy([2, 3, 3, 8], 1), K, V])).toThrow(/do not fit together/);
  });
});

describe("RotaryEmbedding", () => {
  const angles = list(noisy([10, 2], 6)) as number[];
  const cos = real([10, 2], angles.map(Math.cos));
  const sin = real([10, 2], angles.map(Math.sin));
  const back = real(
    [10, 2],
    angles.map((a) => -Math.sin(a)),
  );
  const x = noisy([1, 3, 2, 6], 7);
  const places = longs([1, 2], [7n, 2n]);

  for (const interleaved of [0, 1]) {
    it(`turned back is the input (interleaved=${interleaved}), and the rest of a head is left alone`, () => {
      const attributes = { interleaved, rotary_embedding_dim: 4 };
      const y = evaluate("RotaryEmbedding", 23, [x, cos, sin, places], attributes);
      near(evaluate("RotaryEmbedding", 23, [y, cos, back, places], attributes), asFloat64(x));
      expect(list(y).filter((_, i) => i % 6 >= 4)).toEqual(list(x).filter((_, i) => i % 6 >= 4));
      const packed = evaluate("RotaryEmbedding", 23, [mergeHeads(x), cos, sin, places], { ...attributes, num_heads: 3 });
      expect(list(packed)).toEqual(list(mergeHeads(y)));
    });
  }

  it("refuses a position outside the caches", () => {
    expect(() => evaluate("RotaryEmbedding", 23, [x, cos, sin, longs([1, 2], [10n, 0n])], { rotary_embedding_dim: 4 })).toThrow(
      /position 10/,
    );
  });
});

/** Places [from, to) of a B × T × n tensor with B = 1. */
const cut = (t: Tensor, from: number, to: number) =>
  real([1, to - from, t.dims[2]], list(t).slice(from * t.dims[2], to * t.dims[2]) as number[]);

describe("operators with a state", () => {
  for (const rule of ["linear", "gated", "delta", "gated_delta"]) {
    it(`LinearAttention (${rule}) in two calls is one call`, () => {
      const attributes = { q_num_heads: 4, kv_num_heads: 2, update_rule: rule };
      const [q, k, v] = [noisy([1, 5, 12], 1), noisy([1, 5, 6], 2), noisy([1, 5, 8], 3)];
      const decay = rule.startsWith("gated") ? noisy([1, 5, 6], 4) : undefined;
      const beta = rule.endsWith("delta") ? noisy([1, 5, 2], 5) : undefined;
      const call = (from: number, to: number, state?: Tensor) =>
        evaluateAll(
          "LinearAttention",
          27,
          [
            cut(q, from, to),
            cut(k, from, to),
            cut(v, from, to),
            state,
            decay && cut(decay, from, to),
            beta && cut(beta, from, to),
          ],
          attributes,
          { outputs: 2 },
        );
      const [whole, end] = call(0, 5);
      const [first, middle] = call(0, 2);
      const [second, last] = call(2, 5, middle);
      near(whole, [...list(first), ...list(second)] as number[]);
      near(end, list(last) as number[]);
    });
  }

  it("linear attention without decay is Σ (q·k)v", () => {
    const [q, k, v] = [real([1, 2, 1], [2, 3]), real([1, 2, 1], [5, 7]), real([1, 2, 1], [11, 13])];
    const y = evaluate("LinearAttention", 27, [q, k, v], { q_num_heads: 1, kv_num_heads: 1, update_rule: "linear" });
    expect(list(y)).toEqual([2 * 5 * 11, 3 * (5 * 11 + 7 * 13)]);
  });

  it("CausalConvWithState in two calls is one call", () => {
    const [x, w, b] = [noisy([1, 2, 6], 1), noisy([2, 1, 4], 2), noisy([2], 3)];
    const part = (from: number, to: number) =>
      real(
        [1, 2, to - from],
        [0, 1].flatMap((c) => list(x).slice(c * 6 + from, c * 6 + to) as number[]),
      );
    const call = (input: Tensor, state?: Tensor) =>
      evaluateAll("CausalConvWithState", 27, [input, w, b, state], { activation: "silu" }, { outputs: 2 });
    const [whole, end] = call(x);
    const [first, state] = call(part(0, 2));
    const [second, last] = call(part(2, 6), state);
    near(
      whole,
      [0, 1].flatMap((c) => [...list(first).slice(c * 2, c * 2 + 2), ...list(second).slice(c * 4, c * 4 + 4)]) as number[],
    );
    near(end, list(last) as number[]);
  });
});
