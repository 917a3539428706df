import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createScaler, plainScaler } from "../../src/kernels/index.ts";

it("the committed WebAssembly is what its source compiles to", async () => {
  const { compileScale } = (await import("../../scripts/kernels.mjs" as string)) as { compileScale(): Promise<string> };
  expect(await compileScale()).toBe(readFileSync(new URL("../../src/kernels/scale-bytes.ts", import.meta.url), "utf8"));
}, 60_000);

it("gives the bits of plain TypeScript, at any place and length", () => {
  const n = 300;
  const scaler = createScaler(n);
  const from = Float32Array.from({ length: n }, (_, i) => Math.sin(i * i) * 10 ** ((i % 70) - 35));
  scaler.from.set(from);
  const plain = plainScaler(from, new Float32Array(n));
  for (const by of [1.1, -3e-7, 2 ** 40, 0, -0, 1e-30, 1e30, Number.NaN]) {
    for (const [i, end] of [
      [0, n],
      [1, 38],
      [7, 250],
      [5, 5],
    ]) {
      scaler.run(i, end, by, 0, Infinity);
      plain.run(i, end, by, 0, Infinity);
      expect(new Uint32Array(scaler.to.slice(i, end).buffer)).toEqual(new Uint32Array(plain.to.slice(i, end).buffer));
    }
  }
});

it("says when a product leaves the range", () => {
  const scaler = createScaler(64);
  const odd = (value: number, by: number, at: number): boolean => {
    scaler.from.fill(1).fill(0, 3, 5);
    scaler.from[at] = value;
    return scaler.run(0, 63, by, 2 ** -126, (2 - 2 ** -23) * 2 ** 127);
  };
  for (const at of [0, 17, 62]) {
    expect(odd(1, 2, at)).toBe(false);
    expect(odd(0, 1e30, at)).toBe(false);
    expect(odd(1e30, 1e10, at)).toBe(true);
    expect(odd(1e-30, 1e-9, at)).toBe(true);
    expect(odd(1e-30, 1e-30, at)).toBe(true);
    expect(odd(Number.NaN, 1, at)).toBe(true);
    expect(odd(Number.NEGATIVE_INFINITY, 1, at)).toBe(true);
  }
});
