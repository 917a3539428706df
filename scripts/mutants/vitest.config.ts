/**
 * The tests as the runner of mutants wants them. BNFOLD_MUTANT names a file with an `Order`: which source has which text, which tests
 * run, in which order of files. What does not change is transformed once and kept in .mutants/modules.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import base from "../../vitest.config.ts";

export interface Order {
  readonly root: string;
  /** Sources with another text than on the disk: path, and the file that holds the text. */
  readonly replaced: Readonly<Record<string, string>>;
  /** Tests to run by file, by their full names; all of a file when absent. Files run in this order. */
  readonly tests: readonly { readonly file: string; readonly names?: readonly string[] }[];
  /** Parts of the sources, when each test is to note which it runs, and the file it notes them in. */
  readonly trace?: {
    /** Of each source the number of its first part, and how many there are. */
    readonly sources: readonly { readonly file: string; readonly first: number; readonly parts: number }[];
    readonly into: string;
  };
}

const order = JSON.parse(readFileSync(process.env.BNFOLD_MUTANT ?? "", "utf8")) as Order;
const places = new Map(order.tests.map(({ file }, i) => [join(order.root, file), i]));

class InOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.sort((a, b) => (places.get(a.moduleId) ?? 0) - (places.get(b.moduleId) ?? 0));
  }
}

export default defineConfig({
  ...base,
  plugins: [
    {
      name: "mutant",
      enforce: "pre",
      load: (id: string) => (id in order.replaced ? readFileSync(order.replaced[id], "utf8") : undefined),
      // The store of modules goes by the text on the disk: a source with another text must neither come from it nor go there.
      configureVitest({ experimental_defineCacheKeyGenerator: define }) {
        define(({ id }) => (id in order.replaced ? false : undefined));
      },
    },
  ],
  // One worker: the runner runs several mutants at a time.
  test: {
    ...base.test,
    include: order.tests.map(({ file }) => file),
    maxWorkers: 1,
    fileParallelism: false,
    // Files share their modules but where it is asked which test runs what: what loading runs belongs to every file.
    isolate: order.trace !== undefined,
    setupFiles: [join(order.root, "scripts/mutants/setup.ts")],
    sequence: { sequencer: InOrder },
    root: order.root,
    experimental: { fsModuleCache: order.trace === undefined, fsModuleCachePath: join(order.root, ".mutants/modules") },
  },
});
