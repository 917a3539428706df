/**
 * GFLOP/s (two operations a multiply-add) of the convolution layers of ResNet-50 and a few others, for each backend.
 * --plain adds the plain TypeScript twin, --threads all processors.
 */
import { type Backend, backend, convolve, convolveTransposed, createWasm, plain, useBackend } from "../src/kernels/index.ts";
import { useThreads } from "../src/node/threads.ts";

/** count × [channels, outputs, extent, kernel, stride, group] */
const resnet50: [number, string, number, number, number, number, number, number][] = [
  [1, "stem 7x7/2", 3, 64, 224, 7, 2, 1],
  [1, "56 1x1 64>64", 64, 64, 56, 1, 1, 1],
  [3, "56 3x3 64>64", 64, 64, 56, 3, 1, 1],
  [4, "56 1x1 64>256", 64, 256, 56, 1, 1, 1],
  [2, "56 1x1 256>64", 256, 64, 56, 1, 1, 1],
  [1, "56 1x1 256>128", 256, 128, 56, 1, 1, 1],
  [1, "56 3x3/2 128>128", 128, 128, 56, 3, 2, 1],
  [1, "56 1x1/2 256>512", 256, 512, 56, 1, 2, 1],
  [3, "28 3x3 128>128", 128, 128, 28, 3, 1, 1],
  [4, "28 1x1 128>512", 128, 512, 28, 1, 1, 1],
  [3, "28 1x1 512>128", 512, 128, 28, 1, 1, 1],
  [1, "28 1x1 512>256", 512, 256, 28, 1, 1, 1],
  [1, "28 3x3/2 256>256", 256, 256, 28, 3, 2, 1],
  [1, "28 1x1/2 512>1024", 512, 1024, 28, 1, 2, 1],
  [5, "14 3x3 256>256", 256, 256, 14, 3, 1, 1],
  [6, "14 1x1 256>1024", 256, 1024, 14, 1, 1, 1],
  [5, "14 1x1 1024>256", 1024, 256, 14, 1, 1, 1],
  [1, "14 1x1 1024>512", 1024, 512, 14, 1, 1, 1],
  [1, "14 3x3/2 512>512", 512, 512, 14, 3, 2, 1],
  [1, "14 1x1/2 1024>2048", 1024, 2048, 14, 1, 2, 1],
  [2, "7 3x3 512>512", 512, 512, 7, 3, 1, 1],
  [3, "7 1x1 512>2048", 512, 2048, 7, 1, 1, 1],
  [2, "7 1x1 2048>512", 2048, 512, 7, 1, 1, 1],
];

const others: typeof resnet50 = [
  [1, "112 3x3 depthwise 96 /2", 96, 96, 112, 3, 2, 96],
  [1, "56 3x3 depthwise 144", 144, 144, 56, 3, 1, 144],
  [1, "14 3x3 depthwise 384", 384, 384, 14, 3, 1, 384],
  [1, "56 3x3 group 32 (ResNeXt)", 128, 128, 56, 3, 1, 32],
];

function noise(n: number): Float64Array {
  let state = n | 1;
  return Float64Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

function median(run: () => void, seconds: number): number {
  const times: number[] = [];
  const end = performance.now() + 1000 * seconds;
  do {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  } while (performance.now() < end || times.length < 3);
  return times.sort((a, b) => a - b)[times.length >> 1];
}

const write = (line: string): void => void process.stdout.write(`${line}\n`);

function table(title: string, layers: typeof resnet50, backends: readonly Backend[], seconds: number): void {
  write(`${title}\n${"layer".padEnd(30)}${backends.map((b) => `${b.name} ms`.padStart(12) + "GFLOP/s".padStart(10)).join("")}`);
  const totals = backends.map(() => 0);
  let work = 0;
  for (const [count, name, channels, outputs, extent, kernel, stride, group] of layers) {
    const pad = (kernel - 1) / 2;
    const x = noise(channels * extent * extent);
    const w = Float32Array.from(noise((outputs * channels * kernel * kernel) / group));
    const window = { kernel: [kernel, kernel], strides: [stride, stride], dilations: [1, 1], begin: [pad, pad], end: [pad, pad] };
    const job = { x, xDims: [1, channels, extent, extent], w, wDims: [outputs, channels / group, kernel, kernel], group, window };
    const operations = (2 * outputs * (extent / stride) ** 2 * channels * kernel * kernel) / group;
    work += count * operations;
    const cells = backends.map((b, i) => {
      useBackend(b);
      const ms = median(() => void convolve(job), seconds);
      totals[i] += count * ms;
      return ms.toFixed(2).padStart(12) + (operations / ms / 1e6).toFixed(1).padStart(10);
    });
    write(`${`${count} x ${name}`.padEnd(30)}${cells.join("")}`);
  }
  const sums = totals.map((ms) => ms.toFixed(0).padStart(12) + (work / ms / 1e6).toFixed(1).padStart(10));
  write(`${"all".padEnd(30)}${sums.join("")}\n`);
}

const wasm = createWasm();
const chosen = [...(wasm ? [wasm] : []), ...(process.argv.includes("--plain") ? [plain] : [])];
if (process.argv.includes("--threads") && useThreads().size > 1) {
  chosen.push(backend());
  // Threads start while the caller's thread is free.
  await new Promise((resolve) => setTimeout(resolve, 200));
}
table("ResNet-50, batch 1, 224 x 224", resnet50, chosen, 0.1);
table("Depthwise and grouped", others, chosen, 0.1);

write("ConvTranspose 4x4/2");
for (const b of chosen) {
  useBackend(b);
  const x = noise(256 * 32 * 32);
  const w = noise(256 * 128 * 16);
  const window = { kernel: [4, 4], strides: [2, 2], dilations: [1, 1], begin: [1, 1], end: [1, 1] };
  const job = { x, xDims: [1, 256, 32, 32], w, wDims: [256, 128, 4, 4], group: 1, window, outSpatial: [64, 64] };
  const ms = median(() => void convolveTransposed(job), 0.2);
  write(`${b.name} 256>128, 32 > 64: ${ms.toFixed(1)} ms, ${((2 * 256 * 128 * 16 * 1024) / ms / 1e6).toFixed(1)} GFLOP/s`);
}
