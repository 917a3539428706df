/** The tests with one source file replaced: BNFOLD_MUTANT holds its path and that of the text to take in its place. */
import { readFileSync } from "node:fs";
import { defineConfig } from "vitest/config";
import base from "../../vitest.config.ts";

const [file, text] = (process.env.BNFOLD_MUTANT ?? "").split("\n");

export default defineConfig({
  ...base,
  plugins: [
    {
      name: "mutant",
      enforce: "pre",
      load: (id: string) => (id === file ? readFileSync(text, "utf8") : undefined),
    },
  ],
  // One worker: the runner runs several mutants at a time.
  test: { ...base.test, maxWorkers: 1, fileParallelism: false, root: new URL("../..", import.meta.url).pathname },
});
