/** Runs the verdict for a command: progress, and the time each part takes. */

import type { Threads } from "../node/threads.ts";
import type { Model } from "../onnx/records.ts";
import { verifyModels, type WitnessOptions } from "../verify/index.ts";
import { prove } from "../verify/proof.ts";
import type { Verdict } from "../verify/types.ts";
import type { Progress } from "./progress.ts";
import { Stopwatch } from "./stopwatch.ts";
import { startThreads } from "./threads.ts";

export interface Judged {
  readonly verdict: Verdict;
  readonly proofMs: number;
  readonly runMs: number;
}

/** What to do of it, and with how many threads. */
export interface Extent {
  readonly prove?: boolean;
  readonly run?: boolean;
  readonly threads?: number;
}

/** `own`: the second file was made by this program, so its coefficients carry one rounding and no more. */
export function judge(a: Model, b: Model, given: WitnessOptions, own: boolean, progress: Progress, how: Extent = {}): Judged {
  const watch = new Stopwatch();
  let threads: Threads | undefined;
  let [stage, proofMs] = ["", 0];
  const verdict = verifyModels(a, b, {
    ...given,
    prove: how.prove === false ? false : (first, second) => prove(first, second, { foreign: !own }),
    run: how.run ?? true,
    storage: true,
    prepare() {
      threads ??= startThreads(a, how.threads);
    },
    onProgress(name, done, total) {
      if (name !== stage) {
        stage = name;
        progress.begin(name);
      }
      progress.step(done, total);
      if (name === "proof" && done === total) proofMs = watch.lap();
    },
  });
  progress.end();
  // They hold nothing the process waits for.
  void threads?.stop();
  return { verdict, proofMs, runMs: watch.lap() };
}
