import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Whole models are folded and run in some tests; two cores are the smallest machine that must pass.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: "forks",
    // By default one core is left out, which of two is half.
    maxWorkers: "100%",
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/kernels/assembly/**"],
      reporter: ["text", "json-summary"],
      // Of the whole suite: 95 each, with a margin of one. Part of it, run with --coverage, falls short of them.
      thresholds: {
        "src/verify/**": { branches: 94 },
        "src/rules/**": { branches: 94 },
        "src/fold/**": { branches: 94 },
        "src/onnx/**": { branches: 94 },
      },
    },
  },
});
