/** Runs the verdict for a command: progress, and the time each part takes. */

import type { Threads } from "../node/threads.ts";
import type { Model } from "../onnx/records.ts";
import { type VerifyOptions, verifyModelsAsync } from "../verify/index.ts";
import type { Verdict } from "../verify/types.ts";
import { type Progress, stagesOn } from "./progress.ts";
import { Stopwatch } from "./stopwatch.ts";
import { startThreads } from "./threads.ts";

export interface Judged {
  readonly verdict: Verdict;
  readonly proofMs: number;
  readonly runMs: number;
}

/** Of two files: which part of the check takes its time is told by its stages. `count`: threads of the run. */
export async function judge(a: Model, b: Model, given: VerifyOptions, progress: Progress, count?: number): Promise<Judged> {
  const watch = new Stopwatch();
  let threads: Threads | undefined;
  const show = stagesOn(progress);
  let proofMs: number | undefined;
  const verdict = await verifyModelsAsync(a, b, {
    ...given,
    storage: true,
    prepare() {
      threads ??= startThreads(a, count);
    },
    onProgress(stage, done, total) {
      if (stage !== "proof") proofMs ??= watch.lap();
      show(stage, done, total);
    },
  });
  progress.end();
  // They hold nothing the process waits for.
  void threads?.stop();
  const rest = watch.lap();
  return { verdict, proofMs: proofMs ?? rest, runMs: proofMs === undefined ? 0 : rest };
}
