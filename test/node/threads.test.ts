import { expect, it } from "vitest";
import { convolve, multiply, useBackend, type Window } from "../../src/kernels/index.ts";
import { useThreads } from "../../src/node/threads.ts";

function noise(n: number): Float64Array {
  let state = n | 1;
  return Float64Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

const window: Window = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], begin: [1, 1], end: [1, 1] };

/** Channels, outputs, extent, groups: wide planes, few columns, depthwise, grouped, too small to share, and over tiles. */
const layers = [
  [16, 24, 60, 1],
  [128, 300, 7, 1],
  [96, 192, 30, 96],
  [64, 64, 20, 2],
  [4, 4, 6, 1],
  [64, 72, 20, 1],
] as const;

function everything(): Float64Array[] {
  const results = layers.map(([channels, outputs, extent, group]) => {
    const wDims = [outputs, channels / group, 3, 3];
    const w = noise((outputs * channels * 9) / group);
    return convolve({ x: noise(2 * channels * extent * extent), xDims: [2, channels, extent, extent], w, wDims, group, window })
      .data;
  });
  const out = new Float64Array(90 * 1100);
  const a = { data: noise(90 * 70), base: 0, row: 70, column: 1 };
  multiply(90, 1100, 70, a, { data: noise(70 * 1100), base: 0, row: 1, column: 70 }, out);
  const packed = new Float64Array(301 * 64);
  const rows = Float32Array.from(noise(301 * 300));
  multiply(
    301,
    64,
    300,
    { data: rows, base: 0, row: 300, column: 1 },
    { data: noise(300 * 64), base: 0, row: 64, column: 1 },
    packed,
  );
  return [...results, out, packed];
}

it("any number of threads gives the same bits, from the first job to the hundredth", async () => {
  useBackend(undefined);
  const alone = everything();
  for (const size of [2, 3, 5]) {
    const threads = useThreads(size);
    expect(threads.size).toBe(size);
    try {
      for (let round = 0; round < 20; round++) {
        everything().forEach((data, i) => {
          const same = Buffer.compare(Buffer.from(data.buffer), Buffer.from(alone[i].buffer)) === 0;
          expect(same, `${size} threads, round ${round}, job ${i}`).toBe(true);
        });
        // Lets the threads start: the first rounds may run without them.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    } finally {
      await threads.stop();
    }
  }
}, 60_000);

it("one thread is the default backend", async () => {
  const threads = useThreads(1);
  expect(threads.size).toBe(1);
  await threads.stop();
});
