import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { WASM_BASE64 } from "../../src/kernels/wasm-bytes.ts";

it("the committed WebAssembly is what its source compiles to, and small", async () => {
  const { compileKernels } = (await import("../../scripts/kernels.mjs" as string)) as { compileKernels(): Promise<string> };
  const committed = readFileSync(new URL("../../src/kernels/wasm-bytes.ts", import.meta.url), "utf8");
  expect(await compileKernels()).toBe(committed);
  expect(WASM_BASE64.length * 0.75).toBeLessThan(10_240);
}, 60_000);
