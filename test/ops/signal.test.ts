import { describe, expect, it } from "vitest";
import { int64s, type Tensor } from "../../src/onnx/tensor.ts";
import { evaluate, list, noisy, real } from "./evaluate.ts";

const numbers = (t: Tensor): number[] => list(t) as number[];

/** The definition, in (re, im) pairs. */
function definition(x: readonly number[], n: number): number[] {
  const out: number[] = [];
  for (let k = 0; k < n; k++) {
    let [re, im] = [0, 0];
    for (let t = 0; t < n; t++) {
      const turn = (-2 * Math.PI * ((k * t) % n)) / n;
      const [a, b] = [x[2 * t] ?? 0, x[2 * t + 1] ?? 0];
      re += a * Math.cos(turn) - b * Math.sin(turn);
      im += a * Math.sin(turn) + b * Math.cos(turn);
    }
    out.push(re, im);
  }
  return out;
}

describe("DFT", () => {
  it("is its definition for every length, cut or filled to dft_length", () => {
    for (const n of [1, 2, 3, 4, 5, 7, 8, 9, 12, 30, 31, 64]) {
      const x = noisy([1, n, 2], n);
      for (const length of [n, n + 3, Math.max(1, n - 2)]) {
        const y = numbers(evaluate("DFT", 20, [x, int64s([length], [])]));
        definition((numbers(x) as number[]).slice(0, 2 * length), length).forEach((v, i) => {
          expect(y[i]).toBeCloseTo(v, 10);
        });
      }
    }
  });

  it("comes back, whole and one-sided, along any axis", () => {
    for (const n of [4, 5, 9, 16]) {
      const x = noisy([2, n, 3, 2], n);
      const there = evaluate("DFT", 17, [x], { axis: 1 });
      numbers(evaluate("DFT", 17, [there], { axis: 1, inverse: 1 })).forEach((v, i) => {
        expect(v).toBeCloseTo(x.data[i] as number, 12);
      });
      const real1 = noisy([2, 3, n, 1], n + 1);
      const half = evaluate("DFT", 20, [real1], { onesided: 1 });
      expect(half.dims).toEqual([2, 3, Math.floor(n / 2) + 1, 2]);
      const back = evaluate("DFT", 20, [half, int64s([n], [])], { onesided: 1, inverse: 1 });
      expect(back.dims).toEqual(real1.dims);
      numbers(back).forEach((v, i) => {
        expect(v).toBeCloseTo(real1.data[i] as number, 12);
      });
    }
  });
});

describe("STFT", () => {
  it("transforms windowed frames", () => {
    const x = noisy([1, 20, 1], 2);
    const window = evaluate("HannWindow", 17, [int64s([6], [])]);
    const y = evaluate("STFT", 17, [x, int64s([3], []), window, int64s([6], [])], { onesided: 1 });
    expect(y.dims).toEqual([1, 5, 4, 2]);
    for (let frame = 0; frame < 5; frame++) {
      const line = Array.from({ length: 6 }, (_, t) => Number(x.data[3 * frame + t]) * Number(window.data[t]));
      const whole = definition(
        line.flatMap((v) => [v, 0]),
        6,
      );
      for (let i = 0; i < 8; i++) expect(numbers(y)[frame * 8 + i]).toBeCloseTo(whole[i], 12);
    }
  });
});

describe("windows", () => {
  it("are periodic or symmetric", () => {
    for (const [op, edge, middle] of [
      ["HannWindow", 0, 1],
      ["HammingWindow", 4 / 46, 1],
      ["BlackmanWindow", 0, 1],
    ] as const) {
      const periodic = numbers(evaluate(op, 17, [int64s([8], [])]));
      expect(periodic[0]).toBeCloseTo(edge, 12);
      expect(periodic[4]).toBeCloseTo(middle, 12);
      const symmetric = numbers(evaluate(op, 17, [int64s([9], [])], { periodic: 0 }));
      symmetric.forEach((v, i) => {
        expect(v).toBeCloseTo(symmetric[8 - i], 12);
      });
      expect(evaluate(op, 17, [int64s([9], [])], { output_datatype: 11 }).dtype).toBe("float64");
    }
  });
});

describe("MelWeightMatrix", () => {
  it("has one triangle a column, with a top of one", () => {
    const scalar = (v: number) => int64s([v], []);
    const y = evaluate("MelWeightMatrix", 17, [scalar(8), scalar(64), scalar(8192), real([], [0]), real([], [4096])]);
    expect(y.dims).toEqual([33, 8]);
    for (let c = 0; c < 8; c++) {
      const column = Array.from({ length: 33 }, (_, r) => Number(y.data[r * 8 + c]));
      expect(Math.max(...column)).toBe(1);
      const top = column.indexOf(1);
      for (let r = 1; r < 33; r++) {
        if (column[r] === 0 || column[r - 1] === 0) continue;
        expect(Math.sign(column[r] - column[r - 1])).toBe(r <= top ? 1 : -1);
      }
    }
  });
});
