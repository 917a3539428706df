/** One model on disk: the fold of src/engine, with its output in a temporary file that gets its name when it was accepted. */

import { UNCERTIFIED } from "../engine/certificate.ts";
import { foldChecked } from "../engine/fold.ts";
import { FROZEN_CERTIFICATE, frozenFirst } from "../engine/frozen.ts";
import type { PlanOptions } from "../fold/options.ts";
import type { PlanData } from "../fold/types.ts";
import { peakMemory } from "../node/peak.ts";
import type { Threads } from "../node/threads.ts";
import type { Model } from "../onnx/records.ts";
import { aroundOf, channelsOf } from "../report/details.ts";
import { type Report, report } from "../report/report.ts";
import type { FreezeData } from "../train/freeze.ts";
import { flag, text, texts, usage, type Values } from "./command.ts";
import { hashed, hashedAll, type OpenedModel, openInput } from "./files.ts";
import { keptCode, strictnessOf, wantsDetails, wantsPictures } from "./formats.ts";
import { givenInputs } from "./inputs.ts";
import { affordable } from "./memory.ts";
import { planOptionsOf, requireMatches } from "./plan-options.ts";
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
  /** One of many models: a pattern need not mean a node of each. */
  readonly many?: boolean;
  /** Threads of the run; by default as many as pay. */
  readonly threads?: number;
  /** True where nothing is folded, and channels are equalised. */
  readonly equalizeOnly?: boolean;
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
    const { model, frozen } = frozenBy(values, input.model);
    if (options.many !== true) requireMatches(model, values);
    // Numbers are read before the file may be replaced.
    const pictured = wantsDetails(values) || (options.many !== true && wantsPictures(values));
    const channels = pictured ? channelsOf(model) : undefined;
    const can = affordable(model, values);
    const check = !flag(values, "no-check");
    const { startThreads } = await import("./threads.ts");
    let threads: Threads | undefined;
    const prepare = () => {
      threads ??= startThreads(model, options.threads);
    };
    const plans = await plansOf(values, model, options);
    const made = await foldChecked(model, {
      ...plans,
      ...{ check, prove: can.prove, run: can.run, inputs: { ...given, prepare }, file: facts, onProgress: stagesOn(progress) },
      sink: (edits, judge) => {
        second?.reset();
        return produce(model, input.facts.file, edits, target, judge);
      },
    });
    // They hold nothing the process waits for.
    void threads?.stop();
    progress.end();
    watch.lap();
    const { accepted, edits, plan, report: found } = made;
    const runtime = await second?.of({ model }, { model, edits });
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
    const certificate = accepted ? await certified(values, input, plan, target) : undefined;
    const uncertified = target.certificate !== undefined && accepted && certificate === undefined ? [UNCERTIFIED] : [];
    const whole = report({
      ...{ input: found.input, output: written, frozen, plan, verdict, certificate, runtime, timings },
      peakMemoryBytes: peakMemory(),
    });
    const trains = flag(values, "strict") && frozen === undefined && facts.training !== undefined;
    const code = !accepted ? EXIT.notEquivalent : trains ? EXIT.strict : keptCode(plan.kept, strictnessOf(values));
    const details = channels === undefined ? {} : { channels, around: aroundOf(model, plan.kept) };
    return { report: { ...whole, ...details }, code, notes: [...notes, ...can.notes, ...uncertified] };
  } finally {
    progress.end();
    input.close();
  }
}

/** What is to be done; activations are measured first, on the model as it is. */
async function plansOf(values: Values, model: Model, { equalizeOnly, progress }: FoldOptions): Promise<PlanOptions> {
  const plans = planOptionsOf(values);
  const specs = texts(values, "activations");
  if (equalizeOnly !== true && !flag(values, "equalize")) {
    if (specs.length > 0) throw usage("--activations is for --equalize", "Add --equalize, or leave it away.");
    return plans;
  }
  const [{ equalization }, { activationRanges }] = await Promise.all([
    import("../fold/equalize/index.ts"),
    import("../engine/ranges.ts"),
  ]);
  let ranges: ReturnType<typeof activationRanges> | undefined;
  if (specs.length > 0) {
    const { openData } = await import("./data.ts");
    progress.begin("activations");
    const data = openData(model, specs, { fixed: new Map(), whole: false });
    ranges = activationRanges(model, data, (done, total) => progress.step(done, total));
  }
  return { ...plans, ...(equalizeOnly === true ? { fold: false } : {}), equalize: equalization({ ranges }) };
}

/** With --freeze, the model in inference semantics. */
function frozenBy(values: Values, model: Model): { model: Model; frozen?: FreezeData["frozen"] } {
  if (!flag(values, "freeze")) {
    if (flag(values, "drop-outputs")) throw usage("--drop-outputs is for --freeze");
    return { model };
  }
  const found = frozenFirst(model, flag(values, "drop-outputs"));
  if (found.model !== model && text(values, "certificate") !== undefined) throw usage(...FROZEN_CERTIFICATE);
  return found;
}

/** Loaded only where it is asked for. */
async function certified(values: Values, { model, facts }: OpenedModel, plan: PlanData, { certificate }: Target) {
  if (certificate === undefined) return undefined;
  const { writeCertificate } = await import("./certificate.ts");
  const sha256 = facts.sha256 ?? (await hashed(facts)).sha256 ?? undefined;
  return writeCertificate(certificate, model, plan, { sha256, assumeConstant: flag(values, "assume-constant") });
}

/** Loaded only where it is asked for. */
async function secondOpinion(values: Values): Promise<SecondOpinion | undefined> {
  return text(values, "runtime") === undefined ? undefined : (await import("./second.ts")).secondOpinion(values);
}
