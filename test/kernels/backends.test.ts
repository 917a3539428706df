import { describe, expect, it, vi } from "vitest";
import {
  type Backend,
  backend,
  convolve,
  convolveTransposed,
  createWasm,
  type Matrix,
  multiply,
  plain,
  positions,
  useBackend,
  type Window,
} from "../../src/kernels/index.ts";
import { sizeOf } from "../../src/onnx/tensor.ts";

const wasm = createWasm() as Backend;

/** A small deterministic generator: the shapes below are the same in every run. */
function generator(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state ^ (state >>> 15), state | 1) + 0x6d2b79f5) | 0;
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1));
  const values = (n: number): Float64Array => Float64Array.from({ length: n }, () => (next() - 0.5) * 2 ** int(-3, 3));
  return { int, values, next };
}

function withBackend<T>(choice: Backend, run: () => T): T {
  useBackend(choice);
  try {
    return run();
  } finally {
    useBackend(undefined);
  }
}

/** Index of the first element that is not the same double (NaN equals NaN, -0 is not 0), or -1. */
function firstDifference(a: Float64Array, b: Float64Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length);
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return i;
  return -1;
}

function randomWindow(g: ReturnType<typeof generator>, rank: number): Window {
  const list = (low: number, high: number): number[] => Array.from({ length: rank }, () => g.int(low, high));
  return { kernel: list(1, 4), strides: list(1, 3), dilations: list(1, 2), begin: list(0, 2), end: list(0, 2) };
}

function randomConvolution(seed: number) {
  const g = generator(seed);
  const rank = g.int(1, 3);
  const window = randomWindow(g, rank);
  const group = [1, 1, 2, 5][g.int(0, 3)];
  const channels = group * g.int(1, 5);
  const outputs = group * g.int(1, 9);
  const spatial = window.kernel.map((k, i) => (k - 1) * window.dilations[i] + g.int(1, rank === 3 ? 6 : 19));
  const xDims = [g.int(1, 2), channels, ...spatial];
  const wDims = [outputs, channels / group, ...window.kernel];
  const single = g.next() < 0.5;
  const w = g.values(sizeOf(wDims));
  return {
    x: g.values(sizeOf(xDims)),
    xDims,
    w: single ? Float32Array.from(w) : w,
    wDims,
    bias: g.next() < 0.5 ? g.values(outputs) : undefined,
    group,
    window,
  };
}

/** The definition, one output at a time, skipping nothing. */
function definition(job: ReturnType<typeof randomConvolution>): Float64Array {
  const { x, xDims, w, wDims, bias, group, window } = job;
  const [batch, channels, ...spatial] = xDims;
  const out = positions(spatial, window);
  const y = new Float64Array(batch * wDims[0] * sizeOf(out));
  const digits = (n: number, dims: readonly number[]): number[] => {
    const index = new Array<number>(dims.length);
    for (let i = dims.length - 1; i >= 0; i--) {
      index[i] = n % dims[i];
      n = Math.floor(n / dims[i]);
    }
    return index;
  };
  const taps = sizeOf(window.kernel);
  for (let n = 0; n < y.length; n++) {
    const [b, m, ...o] = digits(n, [batch, wDims[0], ...out]);
    let sum = bias ? bias[m] : 0;
    for (let c = 0; c < channels / group; c++) {
      for (let t = 0; t < taps; t++) {
        const tap = digits(t, window.kernel);
        let at = b * channels + Math.floor(m / (wDims[0] / group)) * (channels / group) + c;
        let inside = true;
        for (let i = 0; i < spatial.length; i++) {
          const p = o[i] * window.strides[i] + tap[i] * window.dilations[i] - window.begin[i];
          inside &&= p >= 0 && p < spatial[i];
          at = at * spatial[i] + p;
        }
        sum += w[(m * (channels / group) + c) * taps + t] * (inside ? x[at] : 0);
      }
    }
    y[n] = sum;
  }
  return y;
}

describe("backends", () => {
  it("has WebAssembly SIMD here", () => {
    expect(wasm?.name).toBe("wasm");
  });

  it("falls back to plain TypeScript where WebAssembly is missing or refuses the instructions", () => {
    const refusing = {
      Memory: WebAssembly.Memory,
      Module: class {
        constructor() {
          throw new Error("invalid opcode");
        }
      },
    };
    for (const missing of [undefined, refusing]) {
      vi.stubGlobal("WebAssembly", missing);
      try {
        expect(createWasm()).toBeUndefined();
        useBackend(undefined);
        expect(backend().name).toBe("plain");
      } finally {
        vi.unstubAllGlobals();
        useBackend(undefined);
      }
    }
    expect(backend().name).toBe("wasm");
  });

  it("plain convolution is the definition, wasm is plain, bit for bit", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const job = randomConvolution(seed);
      const one = withBackend(plain, () => convolve(job));
      const two = withBackend(wasm, () => convolve(job));
      expect(firstDifference(one.data, definition(job)), `definition, seed ${seed}`).toBe(-1);
      expect(firstDifference(one.data, two.data), `wasm, seed ${seed}`).toBe(-1);
    }
  });

  it("large layers are blocked without changing a bit", () => {
    const g = generator(7);
    const wide = (rank: number): Window => {
      const ones = new Array<number>(rank).fill(1);
      return { kernel: ones.map(() => 3), strides: ones, dilations: ones, begin: ones, end: ones };
    };
    const cases = [
      { xDims: [1, 3, 100, 101], wDims: [5, 3, 3, 3], group: 1 },
      { xDims: [2, 700, 5, 5], wDims: [350, 700, 3, 3], group: 1 },
      { xDims: [1, 66, 70, 70], wDims: [132, 1, 3, 3], group: 66 },
      { xDims: [1, 20, 60, 60], wDims: [1, 20, 3, 3], group: 1 },
      { xDims: [1, 2, 5, 100, 60], wDims: [3, 2, 3, 3, 3], group: 1 },
    ];
    for (const { xDims, wDims, group } of cases) {
      const job = { x: g.values(sizeOf(xDims)), xDims, w: g.values(sizeOf(wDims)), wDims, group, window: wide(xDims.length - 2) };
      const one = withBackend(plain, () => convolve(job));
      const two = withBackend(wasm, () => convolve(job));
      expect(firstDifference(one.data, two.data), String(wDims)).toBe(-1);
    }
  });

  it("infinities, NaN and signed zeros come out the same", () => {
    const g = generator(11);
    const odd = [Number.POSITIVE_INFINITY, Number.NaN, -0, 0, Number.MIN_VALUE, -Number.MAX_VALUE];
    const x = g.values(3 * 20 * 20).map((v, i) => (i % 17 === 0 ? odd[(i / 17) % odd.length] : v));
    const window: Window = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], begin: [1, 1], end: [1, 1] };
    const job = { x, xDims: [1, 3, 20, 20], w: g.values(6 * 27), wDims: [6, 3, 3, 3], group: 1, window };
    const one = withBackend(plain, () => convolve(job));
    const two = withBackend(wasm, () => convolve(job));
    expect(firstDifference(one.data, two.data)).toBe(-1);
  });

  it("matrix products over every layout agree", () => {
    for (let seed = 1; seed <= 150; seed++) {
      const g = generator(seed * 31);
      const [m, n, k] = [g.int(1, 40), g.int(1, 90), g.int(0, 70)];
      const view = (rows: number, columns: number): Matrix => {
        const data = g.values(rows * columns);
        const flipped = g.next() < 0.5;
        const held = g.next() < 0.5 ? Float32Array.from(data) : data;
        return { data: held, base: 0, row: flipped ? 1 : columns, column: flipped ? rows : 1 };
      };
      const a = view(m, k);
      const b = view(k, n);
      const per = (["row", "column", undefined] as const)[g.int(0, 2)];
      const init = per && { per, data: g.values(per === "row" ? m : n) };
      const [one, two] = [plain, wasm].map((choice) =>
        withBackend(choice, () => {
          const out = new Float64Array(m * n);
          multiply(m, n, k, a, b, out, 0, init);
          return out;
        }),
      );
      expect(firstDifference(one, two), `seed ${seed}`).toBe(-1);
      const [r, c] = [g.int(0, m - 1), g.int(0, n - 1)];
      let sum = init ? init.data[per === "row" ? r : c] : 0;
      for (let t = 0; t < k; t++) sum += a.data[r * a.row + t * a.column] * b.data[t * b.row + c * b.column];
      expect(Object.is(one[r * n + c], sum), `seed ${seed}`).toBe(true);
    }
  });

  it("products of a row or two, and of any number of rows in either precision, are the definition", () => {
    for (let seed = 1; seed <= 120; seed++) {
      const g = generator(seed * 57);
      const [m, n, k] = [g.int(1, 2) + (seed % 3 === 0 ? g.int(1, 8) : 0), g.int(1, 90), g.int(1, 90)];
      const values = g.values(m * k);
      const single = Float32Array.from(values);
      const x = g.values(k * n);
      const across = seed % 2 === 0;
      const b: Matrix = { data: x, base: 0, row: across ? 1 : n, column: across ? k : 1 };
      const init = { per: "column" as const, data: g.values(n) };
      for (const data of [single, Float64Array.from(single)]) {
        const want = new Float64Array(m * n);
        for (let r = 0; r < m; r++) {
          for (let c = 0; c < n; c++) {
            let sum = init.data[c];
            for (let t = 0; t < k; t++) sum += data[r * k + t] * x[t * b.row + c * b.column];
            want[r * n + c] = sum;
          }
        }
        for (const choice of [plain, wasm]) {
          const out = new Float64Array(m * n);
          withBackend(choice, () => multiply(m, n, k, { data, base: 0, row: k, column: 1 }, b, out, 0, init));
          expect(firstDifference(out, want), `seed ${seed}, ${choice.name}`).toBe(-1);
        }
      }
    }
  });

  it("a row or two times a large matrix of columns is computed the other way round with the same bits", () => {
    const g = generator(77);
    const [n, k] = [257, 301];
    const columns = g.values(n * k);
    for (const m of [1, 2]) {
      const rows = g.values(m * (k + 3));
      const a: Matrix = { data: rows, base: 2, row: k + 1, column: 1 };
      for (const data of [columns, Float32Array.from(columns)]) {
        for (const init of [undefined, { per: "column", data: g.values(n) }, { per: "row", data: g.values(m) }] as const) {
          const [one, two] = [plain, wasm].map((choice) =>
            withBackend(choice, () => {
              const out = new Float64Array(m * n + 5);
              multiply(m, n, k, a, { data, base: 0, row: 1, column: k }, out, 5, init);
              return out;
            }),
          );
          expect(firstDifference(one, two), `${m} rows, init per ${init?.per}`).toBe(-1);
        }
      }
    }
  });

  it("a product with a wide right side is sliced without changing a bit", () => {
    const g = generator(5);
    const [m, n, k] = [5, 3000, 900];
    const a: Matrix = { data: g.values(m * k), base: 0, row: k, column: 1 };
    const data = g.values(k * n);
    for (const b of [
      { data, base: 0, row: n, column: 1 },
      { data, base: 0, row: 1, column: k },
    ]) {
      const out = new Float64Array(m * n);
      multiply(m, n, k, a, b, out);
      for (const [r, c] of [
        [0, 0],
        [4, 2999],
        [2, 2330],
        [3, 1],
      ]) {
        let sum = 0;
        for (let t = 0; t < k; t++) sum += a.data[r * k + t] * b.data[t * b.row + c * b.column];
        expect(out[r * n + c]).toBe(sum);
      }
    }
  });
});

describe("transposed convolution", () => {
  it("is the adjoint of convolution, and the same bits in both backends", () => {
    for (let seed = 1; seed <= 120; seed++) {
      const g = generator(seed * 13);
      const rank = g.int(1, 3);
      const window = randomWindow(g, rank);
      const group = g.int(1, 3);
      const [channels, outputs] = [group * g.int(1, 4), group * g.int(1, 5)];
      const spatial = Array.from({ length: rank }, () => g.int(1, 7));
      const outSpatial = spatial.map((d, i) => {
        const full = (d - 1) * window.strides[i] + (window.kernel[i] - 1) * window.dilations[i] + 1;
        return full - window.begin[i] - window.end[i];
      });
      if (outSpatial.some((d) => d < 1)) continue;
      const batch = g.int(1, 2);
      const xDims = [batch, channels, ...spatial];
      const wDims = [channels, outputs / group, ...window.kernel];
      const [x, w] = [g.values(sizeOf(xDims)), g.values(sizeOf(wDims))];
      const job = { x, xDims, w, wDims, group, window, outSpatial };
      const one = withBackend(plain, () => convolveTransposed(job));
      const two = withBackend(wasm, () => convolveTransposed(job));
      expect(firstDifference(one.data, two.data), `seed ${seed}`).toBe(-1);
      // <convT(x), z> = <x, conv(z)> with the same weights.
      const z = g.values(one.data.length);
      const back = convolve({ x: z, xDims: one.dims, w, wDims: [channels, outputs / group, ...window.kernel], group, window });
      if (String(back.dims) !== String(xDims)) continue;
      const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, v, i) => sum + v * b[i], 0);
      const left = dot(one.data, z);
      const scale = one.data.reduce((sum, v, i) => sum + Math.abs(v * z[i]), 1e-300);
      expect(Math.abs(left - dot(x, back.data)) / scale, `seed ${seed}`).toBeLessThan(1e-12);
    }
  });
});
