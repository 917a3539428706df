/**
 * Convolutions over tiles: the two backends give the same bits, integers come out exactly, reals as close to the direct sums as float64
 * rounding allows, and numbers that are not finite or very large are summed directly.
 */
import { afterEach, describe, expect, it } from "vitest";
import { type Backend, type Convolution, convolve, createWasm, plain, useBackend } from "../../src/kernels/index.ts";
import { tiledAxes } from "../../src/kernels/winograd.ts";
import { sizeOf } from "../../src/onnx/tensor.ts";
import { randomOf } from "../../src/verify/random.ts";

const wasm = createWasm() as Backend;
/** Never by tiles. */
const direct: Backend = { ...plain, tame: () => false };

afterEach(() => useBackend(undefined));

interface Layer {
  readonly xDims: readonly number[];
  readonly wDims: readonly number[];
  readonly group?: number;
  readonly begin?: readonly number[];
  readonly end?: readonly number[];
}

const layers: readonly Layer[] = [
  { xDims: [1, 64, 20, 24], wDims: [72, 64, 3, 3] },
  { xDims: [1, 61, 21, 23], wDims: [70, 61, 3, 3] },
  { xDims: [2, 67, 17, 18], wDims: [61, 67, 3, 3], begin: [0, 0], end: [0, 0] },
  { xDims: [2, 128, 15, 14], wDims: [130, 64, 3, 3], group: 2, begin: [2, 0], end: [1, 3] },
  { xDims: [1, 32, 7, 11, 10], wDims: [38, 32, 3, 3, 3] },
  { xDims: [1, 37, 5, 12, 11], wDims: [58, 37, 2, 3, 3], begin: [0, 1, 1], end: [1, 1, 1] },
  { xDims: [1, 70, 12, 14], wDims: [330, 70, 3, 3] },
];

function jobOf({ xDims, wDims, group = 1, begin, end }: Layer, seed: number, make: (n: number) => number) {
  const random = randomOf(seed, "tiles");
  const kernel = wDims.slice(2);
  const ones = kernel.map(() => 1);
  const numbers = (n: number) => Float64Array.from({ length: n }, () => make(random.normal()));
  const job: Convolution = {
    x: numbers(sizeOf(xDims)),
    xDims,
    w: seed % 2 === 0 ? numbers(sizeOf(wDims)) : Float32Array.from(numbers(sizeOf(wDims))),
    wDims,
    bias: seed % 3 === 0 ? undefined : numbers(wDims[0]),
    group,
    window: { kernel, strides: ones, dilations: ones, begin: begin ?? ones, end: end ?? ones },
  };
  return job;
}

function by(backend: Backend, job: Convolution): Float64Array {
  useBackend(backend);
  return convolve(job).data;
}

const firstDifference = (a: Float64Array, b: Float64Array): number => a.findIndex((v, i) => !Object.is(v, b[i]));

describe("convolution over tiles", () => {
  it("is taken for the layers of this test", () => {
    for (const { xDims, wDims, group = 1, begin, end } of layers) {
      const kernel = wDims.slice(2);
      const ones = kernel.map(() => 1);
      const out = kernel.map((k, i) => xDims[i + 2] + (begin ?? ones)[i] + (end ?? ones)[i] - k + 1);
      const window = { kernel, strides: ones, dilations: ones, begin: ones, end: ones };
      const shape = { batch: xDims[0], group, inputs: wDims[1], outputs: wDims[0] / group, window, out };
      expect(tiledAxes(shape), String(wDims)).toBe(kernel[0] === 3 ? kernel.length : 2);
    }
  });

  it("gives the same bits in both backends", () => {
    layers.forEach((layer, seed) => {
      const job = jobOf(layer, seed, (v) => v);
      expect(firstDifference(by(wasm, job), by(plain, job)), String(layer.wDims)).toBe(-1);
    });
  });

  it("is exact on integers", () => {
    layers.forEach((layer, seed) => {
      const job = jobOf(layer, seed, (v) => Math.round(8 * v));
      const [got, want] = [by(wasm, job), by(direct, job)];
      expect(
        got.findIndex((v, i) => v !== want[i]),
        String(layer.wDims),
      ).toBe(-1);
    });
  });

  it("is as close to the direct sums as rounding allows", () => {
    layers.forEach((layer, seed) => {
      const job = jobOf(layer, seed, (v) => v);
      const [got, want] = [by(wasm, job), by(direct, job)];
      const [x, w, bias] = [job.x, job.w, job.bias ?? job.x].map((list) =>
        Float64Array.from(list).reduce((most, v) => Math.max(most, Math.abs(v)), 0),
      );
      // Terms of a sum, each of at most 2^axes inputs and 2^axes weights, halved; a rounding for each on either way.
      const terms = sizeOf(layer.wDims.slice(1));
      const bound = 2 ** -53 * (terms + 16) * (terms * 4 ** 3 * x * w + bias);
      const worst = got.reduce((most, v, i) => Math.max(most, Math.abs(v - want[i])), 0);
      expect(worst, String(layer.wDims)).toBeLessThan(bound);
      const scale = Math.sqrt(want.reduce((sum, v) => sum + v * v, 0) / want.length);
      expect(worst / scale, String(layer.wDims)).toBeLessThan(1e-14);
    });
  });

  it("keeps infinities, NaN and huge numbers where the direct sums have them", () => {
    for (const [at, odd] of [Number.NaN, Number.POSITIVE_INFINITY, -Number.MAX_VALUE, 1e300].entries()) {
      for (const place of ["x", "w"] as const) {
        const job = jobOf(layers[at], 2, (v) => v);
        job[place][job[place].length >> 1] = odd;
        const want = by(direct, job);
        for (const backend of [wasm, plain]) expect(firstDifference(by(backend, job), want), `${place} ${odd}`).toBe(-1);
      }
    }
  });

  it("goes through held arrays too", () => {
    const job = jobOf({ xDims: [1, 64, 24, 24], wDims: [64, 64, 3, 3] }, 2, (v) => v);
    const want = by(plain, { ...job, x: by(plain, job) });
    useBackend(wasm);
    const middle = convolve({ ...job, hold: true }).data;
    expect(middle.every((v) => v === 0)).toBe(true);
    const last = convolve({ ...job, x: middle, hold: true }).data;
    wasm.drop(middle);
    wasm.settle(last);
    expect(firstDifference(last, want)).toBe(-1);
    middle[0] = Number.NaN;
    const out = new Float64Array(middle.length);
    expect(wasm.pointwise({ kind: "clip", x: middle, out, low: 0, high: 1 }), "no longer held").toBe(false);
  });
});

describe("kernel taps that see nothing but padding", () => {
  it("are left out, unless their weights are not finite", () => {
    const layer = { xDims: [2, 6, 1, 5, 5], wDims: [8, 6, 3, 3, 3] };
    const job = jobOf(layer, 2, (v) => v);
    for (const backend of [wasm, plain]) expect(firstDifference(by(backend, job), by(direct, job))).toBe(-1);
    job.w[0] = Number.POSITIVE_INFINITY;
    const got = by(wasm, job);
    expect(firstDifference(got, by(direct, job))).toBe(-1);
    expect(Number.isNaN(got[0])).toBe(true);
  });
});
