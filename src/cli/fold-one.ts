/** One model: read, plan, write to a temporary file, read that back, prove it, and only then give it its name. */
import type { Gauges } from "../affine/gauge.ts";
import { LateRefusal, type PlanData, plan, suspects } from "../fold/index.ts";
import { peakMemory } from "../node/peak.ts";
import type { Model } from "../onnx/records.ts";
import type { ModelEdits } from "../onnx/write.ts";
import { type OutputFacts, type Report, report, type Timings } from "../report/report.ts";
import type { WitnessOptions } from "../verify/index.ts";
import type { Verdict } from "../verify/types.ts";
import { flag, text, type Values } from "./command.ts";
import { hashed, type OpenedModel, openInput } from "./files.ts";
import { givenInputs } from "./inputs.ts";
import { type Affordable, affordable } from "./memory.ts";
import { planOptionsOf } from "./plan-options.ts";
import { produce } from "./produce.ts";
import type { Progress } from "./progress.ts";
import type { SecondOpinion } from "./second.ts";
import { Stopwatch } from "./stopwatch.ts";
import type { Target } from "./target.ts";
import type { Judged } from "./witness.ts";

export const EXIT = { done: 0, notEquivalent: 1, strict: 5 } as const;

const NOT_CHECKED: Verdict = { outcome: "not-checked", summary: "Not checked: --no-check was given." };
const SAME: Verdict = { outcome: "equivalent", summary: "Equivalent: the output is the input, byte for byte." };

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

interface Result {
  readonly edits: ModelEdits;
  readonly data: PlanData;
  readonly judged: Judged;
  readonly output: OutputFacts | undefined;
  readonly planMs: number;
  readonly writeMs: number;
}

/** Plans made for one model at the most: each leaves out more of what a check did not accept. */
const MAX_PLANS = 6;

/** Names of the places a verdict did not show right. */
function doubted({ verdict }: Judged): Set<string> {
  const regions = verdict.proof?.regions.filter((region) => region.outcome !== "equal") ?? [];
  const first = verdict.run?.firstDifference;
  return new Set([
    ...regions.flatMap((region) => [...region.nodes, region.value]),
    ...(first === undefined ? [] : [first.value, first.node]),
  ]);
}

/**
 * Plans, writes and judges. A large weight is looked at only while it is written; should it not fit its type then, the plan is
 * made again with every constant looked at. What the judge does not accept is left out, and the rest is tried again: a fold
 * that cannot be shown right is not made, and does not keep the others from being made.
 */
async function planAndWrite(
  values: Values,
  input: OpenedModel,
  given: WitnessOptions,
  target: Target,
  { progress, threads, second }: FoldOptions & { readonly second: SecondOpinion | undefined },
): Promise<Result & { readonly can: Affordable }> {
  const watch = new Stopwatch();
  const unchecked = flag(values, "no-check");
  const can = affordable(input.model, values);
  // Half of the program, which a fold without a check does not need.
  const checker = unchecked ? undefined : await import("./witness.ts");
  let gauges: Gauges | undefined;
  const judgement = {
    judge(result: Model, same: () => boolean): Judged {
      progress.end();
      if (checker === undefined) return { verdict: NOT_CHECKED, proofMs: 0, runMs: 0 };
      second?.reset();
      if (same()) return { verdict: SAME, proofMs: 0, runMs: 0 };
      return checker.judge(input.model, result, given, true, progress, { ...can, threads, gauges });
    },
    accepts,
  };
  const unproven = new Set<string>();
  let exactRanges = false;
  for (let round = 0; ; round++) {
    progress.begin("planning");
    const onProgress = (done: number, total: number) => progress.step(done, total);
    const { data, edits, gauges: moved } = plan(input.model, { ...planOptionsOf(values), exactRanges, unproven, onProgress });
    gauges = moved;
    const planMs = watch.lap();
    progress.begin("writing");
    try {
      const { judged, output } = await produce(input.model, input.facts.file, edits, target, judgement);
      const writeMs = Math.max(0, watch.lap() - judged.proofMs - judged.runMs);
      const more =
        accepts(judged) || round + 1 >= MAX_PLANS ? [] : suspects(data, doubted(judged)).filter((key) => !unproven.has(key));
      for (const key of more) unproven.add(key);
      if (more.length > 0) continue;
      return { data, edits, judged, output, planMs, writeMs, can };
    } catch (error) {
      if (exactRanges || !(error instanceof LateRefusal)) throw error;
      exactRanges = true;
    }
  }
}

const accepts = ({ verdict }: Judged): boolean => verdict.outcome === "equivalent" || verdict.outcome === "not-checked";

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
    const facts = hash ? await hashed(input.facts) : input.facts;
    const made = await planAndWrite(values, input, given, target, { ...options, second });
    const { data, edits, judged, output, planMs, writeMs, can } = made;
    const runtime = await second?.of({ model: input.model }, { model: input.model, edits });
    progress.end();
    const { verdict, proofMs, runMs } = judged;
    const timings: Timings = { readMs, planMs, proofMs, runMs, writeMs };
    const peakMemoryBytes = peakMemory();
    const written = output && hash ? await hashedOutput(output) : output;
    const whole = report({ input: facts, output: written, plan: data, verdict, runtime, timings, peakMemoryBytes });
    const keptNorms = data.kept.some((entry) => entry.kind === "batch-normalization");
    const code = !accepts(judged) ? EXIT.notEquivalent : flag(values, "strict") && keptNorms ? EXIT.strict : EXIT.done;
    return { report: whole, code, notes: [...notes, ...can.notes] };
  } finally {
    progress.end();
    input.close();
  }
}

/** Loaded only where it is asked for. */
async function secondOpinion(values: Values): Promise<SecondOpinion | undefined> {
  return text(values, "runtime") === undefined ? undefined : (await import("./second.ts")).secondOpinion(values);
}

async function hashedOutput(output: OutputFacts): Promise<OutputFacts> {
  const sideFiles = await Promise.all(output.sideFiles.map((side) => hashed(side)));
  return { ...(await hashed(output)), sideFiles };
}
