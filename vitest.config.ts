import { defineConfig } from "vitest/config";

/** Branches, in percent, that the tests of a room reach at least: what `npm run coverage` measured, rounded down. */
const REACHED = { onnx: 0, rules: 0, fold: 0, verify: 0 } as const;

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Whole models are folded and run in some tests; two cores are the smallest machine that must pass.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: "forks",
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      exclude: ["src/kernels/assembly/**"],
      reporter: ["text", "json-summary"],
      thresholds: Object.fromEntries(Object.entries(REACHED).map(([room, branches]) => [`src/${room}/**`, { branches }])),
    },
  },
});
