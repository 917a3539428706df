/** One model on disk: the fold of src/engine, with its output in a temporary file that gets its name when it was accepted. */

import { foldChecked } from "../engine/fold.ts";
import { peakMemory } from "../node/peak.ts";
import type { Threads } from "../node/threads.ts";
import { detailsOf } from "../report/details.ts";
import { type Report, report } from "../report/report.ts";
import { flag, text, type Values } from "./command.ts";
import { hashedAll, openInput } from "./files.ts";
import { keptCode, strictnessOf, wantsDetails } from "./formats.ts";
import { givenInputs } from "./inputs.ts";
import { affordable } from "./memory.ts";
import { planOptionsOf } from "./plan-options.ts";
import { produce } from "./produce.ts";
import { type Progress, stagesOn } from "./progress.ts";
import type { SecondOpinion } from "./second.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { Target } from "./target.ts";

export const EXIT = { done: 0, notEquivalent: 1, strict: 5 } as const;

export interface FoldOptions {
  readonly progress: Progress;
  /** SHA-256 of every file in the report; they cost as much as a copy. */
  readonly hash: boolean;
  /** Threads of the run; by default as many as pay. */
  readonly threads?: number;
}

export interface Folded {
  readonly report: Report;
  readonly code: number;
  readonly notes: readonly string[];
}

export async function foldOne(values: Values, file: string, target: Target, options: FoldOptions): Promise<Folded> {
  const { progress, hash } = options;
  const watch = new Stopwatch();
  progress.begin("reading");
  const input = openInput(file);
  try {
    if (!flag(values, "no-check")) input.verifyChecksums(progress);
    const second = await secondOpinion(values);
    const { notes, ...own } = await givenInputs(values, input.model);
    const given = { ...own, observe: second?.observe };
    const readMs = watch.lap();
    // Before anything can replace the file.
    const facts = hash ? await hashedAll(input.facts) : input.facts;
    const reading = watch.lap();
    const can = affordable(input.model, values);
    const check = !flag(values, "no-check");
    const { startThreads } = await import("./threads.ts");
    let threads: Threads | undefined;
    const prepare = () => {
      threads ??= startThreads(input.model, options.threads);
    };
    const made = await foldChecked(input.model, {
      ...planOptionsOf(values),
      ...{ check, prove: can.prove, run: can.run, inputs: { ...given, prepare }, file: facts, onProgress: stagesOn(progress) },
      sink: (edits, judge) => {
        second?.reset();
        return produce(input.model, input.facts.file, edits, target, judge);
      },
    });
    // They hold nothing the process waits for.
    void threads?.stop();
    progress.end();
    watch.lap();
    const { accepted, edits, plan, report: found } = made;
    const runtime = await second?.of({ model: input.model }, { model: input.model, edits });
    const output = found.output === null ? undefined : found.output;
    const written = output && hash ? await hashedAll(output, [facts, ...facts.sideFiles]) : output;
    const rest = watch.lap();
    const { readMs: _, writeMs, runMs, ...spent } = found.timings;
    // The other runtime is part of the run, hashing of reading and of writing.
    const timings = {
      ...{ readMs: readMs + reading, ...spent },
      runMs: runMs + (runtime === undefined ? 0 : rest),
      writeMs: writeMs + (runtime === undefined ? rest : 0),
    };
    const verdict = check ? found.verdict : { ...found.verdict, summary: "Not checked: --no-check was given." };
    const whole = report({ input: found.input, output: written, plan, verdict, runtime, timings, peakMemoryBytes: peakMemory() });
    const details = wantsDetails(values) ? detailsOf(input.model, plan.kept) : {};
    const code = accepted ? keptCode(plan.kept, strictnessOf(values)) : EXIT.notEquivalent;
    return { report: { ...whole, ...details }, code, notes: [...notes, ...can.notes] };
  } finally {
    progress.end();
    input.close();
  }
}

/** Loaded only where it is asked for. */
async function secondOpinion(values: Values): Promise<SecondOpinion | undefined> {
  return text(values, "runtime") === undefined ? undefined : (await import("./second.ts")).secondOpinion(values);
}
