/**
 * The whole of a fold, without files: plan → write → read back → prove → run; what the check does not accept is left out, and the
 * rest is planned again. A fold that cannot be shown right is not made, and does not keep the others from being made.
 *
 * Where the output goes is the sink's business: it makes it, has it judged, and keeps it only when it was accepted. Work gives way
 * to the event loop at bounded intervals, so that a signal can call it off.
 */
import { nextTurn, type Pace, paced, type Steps } from "../diag/steps.ts";
import { type FoldResult, LateRefusal, type PlanData, type PlanOptions, planSteps, suspects } from "../fold/index.ts";
import type { Model } from "../onnx/records.ts";
import { type ByteSource, isSameRange } from "../onnx/source.ts";
import { isEmpty, type ModelEdits, type WriteOptions, type Written, write } from "../onnx/write.ts";
import {
  type FileFacts,
  type ModelFacts,
  modelFacts,
  neededFiles,
  type OutputFacts,
  type Report,
  report,
  type Timings,
} from "../report/report.ts";
import type { RunOptions } from "../verify/index.ts";
import type { MeasuredLoss } from "../verify/precision.ts";
import type { Verdict } from "../verify/types.ts";
import { previewOf, rehearse } from "./preview.ts";

/** Decides about the model as it would be written. */
export type Judge = (result: Model) => Promise<boolean>;

/**
 * Makes the output of edits and keeps it when the judge accepts; what it throws ends the fold.
 * @returns what was kept; undefined when nothing was.
 */
export type Sink = (edits: ModelEdits, judge: Judge) => Promise<OutputFacts | undefined>;

/** Stages: "planning", "writing", "proof", and those of the run. `total` is 0 where it is not known. */
export type OnStage = (stage: string, done: number, total: number) => void;

/** Options of `foldChecked`: those of `plan`, and what is checked, told and done with the output. */
export interface FoldCheckedOptions extends Omit<PlanOptions, "onProgress" | "unproven">, Pace {
  /** Default true: nothing is kept that was not shown equivalent. */
  readonly check?: boolean;
  /** Parts of the check. Default true. */
  readonly prove?: boolean;
  readonly run?: boolean;
  /** The run's inputs. */
  readonly inputs?: Omit<RunOptions, "onProgress">;
  /** Where the output goes. Default: to the pieces of the result, `written`. */
  readonly sink?: Sink;
  /** For the default sink: where payloads of external data go. The fresh side file is called "folded.data" by default. */
  readonly write?: WriteOptions;
  /** What the report says of the input, side files included where they are known. Default: the name and size of its source. */
  readonly file?: FileFacts | ModelFacts;
  readonly onProgress?: OnStage;
}

/** What `foldChecked` did and found. */
export interface FoldChecked {
  /** The output is equivalent, or nobody asked. */
  readonly accepted: boolean;
  readonly report: Report;
  readonly plan: PlanData;
  /** What was changed, whether kept or not. */
  readonly edits: ModelEdits;
  /** Pieces of the output, where it was accepted and no sink was given. */
  readonly written?: Written;
}

const NOT_CHECKED: Verdict = { outcome: "not-checked", summary: "Not checked: no check was asked for." };
const SAME: Verdict = { outcome: "equivalent", summary: "Equivalent: the output is the input, byte for byte." };

/** Plans made for one model at the most: each leaves out more of what a check did not accept. */
const MAX_PLANS = 6;

/** Names of the places a verdict did not show right. */
function doubted(verdict: Verdict): Set<string> {
  const regions = verdict.proof?.regions.filter((region) => region.outcome !== "equal") ?? [];
  const first = verdict.run?.firstDifference;
  return new Set([
    ...regions.flatMap((region) => [...region.nodes, region.value]),
    ...(first === undefined ? [] : [first.value, first.node]),
  ]);
}

const accepts = ({ outcome }: Verdict): boolean => outcome === "equivalent" || outcome === "not-checked";

/** Where payloads of external tensors go that change, unless the options say otherwise. */
const SIDE_FILE = "folded.data";

const BLOCK = 1 << 20;

/** True when two sources hold the same bytes. */
function* sameBytes(a: ByteSource, b: ByteSource): Steps<boolean> {
  if (a.size !== b.size) return false;
  if (isSameRange(a, 0, b, 0, a.size)) return true;
  for (let at = 0; at < a.size; at += BLOCK) {
    yield;
    const end = Math.min(a.size, at + BLOCK);
    const [p, q] = [a.read(at, end), b.read(at, end)];
    for (let i = 0; i < p.length; i++) if (p[i] !== q[i]) return false;
  }
  return true;
}

/** Time of every stage over all rounds: what is not in one stage is in another. */
class Clock {
  readonly spent = { planMs: 0, proofMs: 0, runMs: 0, writeMs: 0 };
  private since = performance.now();

  /** What passed since the last call belongs to a stage. */
  to(stage: keyof Clock["spent"]): void {
    const now = performance.now();
    this.spent[stage] += now - this.since;
    this.since = now;
  }
}

class Folding {
  private readonly clock = new Clock();
  private readonly unproven = new Set<string>();
  private exactRanges: boolean;
  private from: FoldResult["from"] | undefined;
  private gauges: FoldResult["gauges"] | undefined;
  private verdict: Verdict = NOT_CHECKED;
  private measured: MeasuredLoss | undefined;

  constructor(
    private readonly model: Model,
    private readonly options: FoldCheckedOptions,
  ) {
    this.exactRanges = options.exactRanges ?? false;
  }

  private stage(name: string, done = 0, total = 0): void {
    this.options.onProgress?.(name, done, total);
  }

  private async plan(): Promise<FoldResult> {
    this.stage("planning");
    const { exactRanges, unproven, from } = this;
    const onProgress = (done: number, total: number) => this.stage("planning", done, total);
    const found = await paced(planSteps(this.model, { ...this.options, exactRanges, unproven, from, onProgress }), this.options);
    this.from = found.from;
    this.gauges = found.gauges;
    this.clock.to("planMs");
    return found;
  }

  /** Where folds can cost bits by the estimate, what the costliest of them do is measured. */
  private async measure(result: Model, { folds }: PlanData): Promise<void> {
    const { proof } = this.verdict;
    const most = folds.reduce((bits, fold) => Math.max(bits, fold.bitsLost), 0);
    this.measured = undefined;
    if (most === 0 || proof?.outcome !== "equal" || this.options.run === false) return;
    const costly = folds.filter(({ bitsLost }) => bitsLost >= most / 2);
    const names = new Set(costly.flatMap(({ into }) => into.map(({ node }) => node.output)));
    const { precisionSteps } = await import("../verify/index.ts");
    this.stage("precision");
    this.measured = await paced(precisionSteps(this.model, result, proof, names), this.options);
  }

  private async judge(result: Model, edits: ModelEdits, data: PlanData): Promise<boolean> {
    this.clock.to("writeMs");
    if (this.options.check === false) return true;
    const { model, options } = this;
    if (isEmpty(edits) && (await paced(sameBytes(model.files.main, result.files.main), options))) {
      this.verdict = SAME;
      this.clock.to("proofMs");
      return true;
    }
    // Half of the program, which a fold without a check does not need.
    const { verifySteps } = await import("../verify/index.ts");
    let proving = options.prove !== false;
    const work = verifySteps(model, result, {
      ...options.inputs,
      ...(options.prove === false ? { prove: false } : {}),
      run: options.run ?? true,
      foreign: false,
      gauges: this.gauges,
      assumeConstant: options.assumeConstant,
      storage: true,
      rounding: options.allowRounding !== undefined,
      onProgress: (stage, done, total) => {
        if (stage !== "proof" && proving) this.clock.to("proofMs");
        proving = stage === "proof";
        this.stage(stage, done, total);
      },
    });
    this.verdict = await paced(work, options);
    this.clock.to(proving ? "proofMs" : "runMs");
    if (!accepts(this.verdict)) return false;
    await this.measure(result, data);
    this.clock.to("runMs");
    return true;
  }

  /** One plan to its end; undefined when the plan has to be made anew. */
  private async round(last: boolean): Promise<(Omit<FoldChecked, "report" | "accepted"> & { output?: OutputFacts }) | undefined> {
    const { data, edits } = await this.plan();
    this.stage("writing");
    await nextTurn();
    let written: Written | undefined;
    const memory: Sink = async (made, judge) => {
      const pieces = write(this.model, made, { sideFileName: SIDE_FILE, ...this.options.write });
      await paced(rehearse(pieces), this.options);
      const result = previewOf(this.model, pieces, `${this.model.files.main.name} (folded)`);
      if (!(await judge(result))) return undefined;
      written = pieces;
      return outputFacts(result);
    };
    try {
      const output = await (this.options.sink ?? memory)(edits, (result) => this.judge(result, edits, data));
      this.clock.to("writeMs");
      const more =
        accepts(this.verdict) || last ? [] : suspects(data, doubted(this.verdict)).filter((key) => !this.unproven.has(key));
      for (const key of more) this.unproven.add(key);
      if (more.length > 0) return undefined;
      if (!accepts(this.verdict) && !last && this.from === "gauges") {
        // What was solved for all at once is not shown right, nor what of it is in doubt.
        this.from = "against";
        return undefined;
      }
      return { plan: data, edits, output, written };
    } catch (error) {
      // A large weight is looked at only while it is written: it did not fit its type.
      this.clock.to("writeMs");
      if (this.exactRanges || !(error instanceof LateRefusal)) throw error;
      this.exactRanges = true;
      return undefined;
    }
  }

  async run(): Promise<FoldChecked> {
    const { model } = this;
    const { name, size } = model.files.main;
    for (let round = 1; ; round++) {
      const made = await this.round(round >= MAX_PLANS);
      if (made === undefined) continue;
      const { output, ...rest } = made;
      const timings: Timings = { readMs: 0, ...this.clock.spent };
      const { verdict } = this;
      const { file = { file: name, bytes: size, sha256: null } } = this.options;
      const input = isWhole(file) ? file : modelFacts(model, file);
      const whole = report({ input, output, plan: rest.plan, verdict, timings, peakMemoryBytes: 0, measured: this.measured });
      return { accepted: accepts(verdict), report: whole, ...rest };
    }
  }
}

const isWhole = (file: FileFacts | ModelFacts): file is ModelFacts => "opsets" in file;

function outputFacts(result: Model): OutputFacts {
  const { name, size } = result.files.main;
  const file = { file: name, bytes: size, sha256: null };
  return { ...file, ...neededFiles(result, file) };
}

/**
 * Folds a model and checks the result: what the command line does, on memory or any other sink.
 * @throws BnfoldError of kind "model" when the graph is broken, "file" when external data is missing, "usage" when inputs do not fit;
 * the signal's reason when it calls the work off.
 */
export const foldChecked = (model: Model, options: FoldCheckedOptions = {}): Promise<FoldChecked> =>
  new Folding(model, options).run();
