/**
 * The independent witness: both models run in float64 on the same inputs, judged per input and per output (judge.ts), never
 * pooled, because a chaotic input would hide what the others show. Passes: two per sample, and one per rounding draw; a
 * sample stops drawing once its difference is at most half of what passes, so that n samples of a good fold cost 3n, and draws
 * on to 32 when it would fail after four.
 */
import { type BnfoldError, inputError } from "../diag/error.ts";
import { finish, type Steps } from "../diag/steps.ts";
import { type GraphView, viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import type { Value } from "../ops/define.ts";
import { rmsDistance } from "./compare.ts";
import { judgeDecided } from "./decisions.ts";
import { generateInputs, LEAST, type Sample, shapesOf, shapesText } from "./inputs.ts";
import { DRAWS, Judgement, MAX_RATIO } from "./judge.ts";
import { firstDifference } from "./locate.ts";
import { type Changes, changesBetween, roundingDraw } from "./noise.ts";
import { movedSteps, plain, variantSteps, withStreamsOf } from "./runs.ts";
import type { UserShapes } from "./shapes.ts";
import type { SampleRun, Witness } from "./types.ts";

export type OnProgress = (stage: string, done: number, total: number) => void;

export interface WitnessOptions {
  /** Generated samples. Default 4. */
  readonly samples?: number;
  /** Where the number of samples is not given: more than 4 of a small model. */
  readonly thorough?: boolean;
  /** The files are known to differ: the first sample that shows it is enough, where neither samples nor inputs are given. */
  readonly different?: boolean;
  /** Default 1. */
  readonly seed?: number;
  /** Sizes of inputs with open axes; -1 leaves one open. */
  readonly shapes?: UserShapes;
  /** Inputs given by the user, the same in every sample. */
  readonly fixed?: ReadonlyMap<string, Value>;
  /** Complete inputs given by the user, run before the generated ones. */
  readonly given?: readonly { readonly name: string; readonly feeds: ReadonlyMap<string, Value> }[];
  /** Rounding draws, at most, behind p, before doubt calls for 32. Default 4. More make p surer, at a pass each. */
  readonly draws?: number;
  /** Also run both in storage precision on the first sample, for information. */
  readonly storage?: boolean;
  /** The largest ratio that passes (judge.ts). Default 3. */
  readonly limit?: number;
  /** Told of every sample that both models ran on, with the float64 outputs of each. */
  readonly observe?: Observe;
  /** Called once before the whole networks are run: what makes long runs quicker is worth its start then. */
  readonly prepare?: () => void;
  readonly onProgress?: OnProgress;
}

export type Observe = (sample: Sample, before: ReadonlyMap<string, Value>, after: ReadonlyMap<string, Value>) => void;

/** One sample: its judgements, or the error the second model met. */
interface Trial {
  readonly sample: Sample;
  judgements: readonly Judgement[];
  readonly error?: string;
}

class NotRun extends Error {}

const said = (error: BnfoldError): string => {
  const { node, file } = error.place;
  const place = node ?? file;
  return error.message + (place !== undefined && !error.message.includes(place) ? ` at ${place}` : "");
};

/** Errors that say what this executor cannot do, not what is wrong with the inputs. */
const isLimit = (error: BnfoldError): boolean => error.kind === "operator" || error.kind === "file";

/**
 * Runs both models and judges their outputs.
 * @throws BnfoldError of kind "usage" when shapes or inputs the user gave do not fit the model.
 */
export const witness = (a: Model, b: Model, options: WitnessOptions = {}): Witness => finish(witnessSteps(a, b, options));

/** The same in steps. */
export function* witnessSteps(a: Model, b: Model, options: WitnessOptions = {}): Steps<Witness> {
  options.prepare?.();
  try {
    return yield* new Trials(a, withStreamsOf(a, b), options).witness();
  } catch (error) {
    if (error instanceof NotRun) return { outcome: "not-run", samples: [], reason: error.message };
    throw error;
  }
}

class Trials {
  private readonly seed: number;
  private readonly notes: string[] = [];
  private readonly names: readonly string[];
  private readonly viewA: GraphView;
  private known: Changes | undefined;
  /** The user chose the inputs: when they do not fit, that is his error. */
  private readonly byUser: boolean;

  constructor(
    private readonly a: Model,
    private readonly b: Model,
    private readonly options: WitnessOptions,
  ) {
    this.seed = options.seed ?? 1;
    this.names = a.graph.outputs.map((output) => output.name);
    this.viewA = viewOf(a);
    this.byUser = [options.shapes?.size, options.fixed?.size, options.given?.length].some((n) => (n ?? 0) > 0);
  }

  private get changes(): Changes {
    this.known ??= changesBetween(this.viewA, viewOf(this.b));
    return this.known;
  }

  private progress(stage: string, done: number, total: number): void {
    this.options.onProgress?.(stage, done, total);
  }

  *witness(): Steps<Witness> {
    const missing = this.names.filter((name) => !this.b.graph.outputs.some((output) => output.name === name));
    if (missing.length > 0) throw new NotRun(`the second model has no output ${missing.map((name) => `"${name}"`).join(", ")}`);
    const trials = yield* this.float64();
    yield* this.draw(trials);
    const failing = trials.filter((trial) => !isOk(trial));
    for (const [i, trial] of failing.entries()) {
      this.progress("evaluation noise", i, failing.length);
      yield* this.addEvaluation(trial);
      if (!isOk(trial) && trial.error === undefined) this.decide(trial);
    }
    if (this.options.storage && !trials[0].judgements.some((j) => j.certain)) yield* this.storage(trials[0]);
    const wrong = trials.find((trial) => !isOk(trial));
    const samples = trials.map((trial): SampleRun => {
      return {
        kind: trial.sample.kind,
        seed: trial.sample.seed,
        shapes: shapesOf(trial.sample.feeds),
        outputs: trial.judgements.map((j) => j.summary()),
        ok: isOk(trial),
      };
    });
    const first = wrong === undefined || wrong.error !== undefined ? undefined : this.locate(wrong);
    const { limit = MAX_RATIO } = this.options;
    const reasons = [...this.notes, ...trials.flatMap((trial) => reasonOf(trial))];
    return {
      outcome: wrong === undefined ? "equal" : "different",
      samples,
      ...(limit === MAX_RATIO ? {} : { limit }),
      ...(reasons.length === 0 ? {} : { reason: [...new Set(reasons)].join("; ") }),
      ...(first === undefined ? {} : { firstDifference: first }),
    };
  }

  /** Both models on every sample. */
  private *float64(): Steps<Trial[]> {
    const { samples, before } = yield* this.reference();
    const trials: Trial[] = [];
    const { seed } = this;
    for (const [i, sample] of samples.entries()) {
      this.progress("float64", 2 * i + 1, 2 * samples.length);
      let reference = before.get(sample);
      try {
        reference ??= yield* variantSteps(plain(this.a), sample.feeds, { seed });
      } catch (error) {
        const known = inputError(error);
        if (this.byUser && known.kind === "usage") throw known;
        this.notes.push(`sample ${i + 1} (${sample.kind}) was left out: the first model cannot be run on it: ${said(known)}`);
        continue;
      }
      trials.push(yield* this.compare(sample, reference));
      this.progress("float64", 2 * i + 2, 2 * samples.length);
      // More than a few are for what few do not show.
      const { thorough, different, samples: asked } = this.options;
      if (asked !== undefined) continue;
      if (thorough === true && i + 1 >= LEAST && trials.some((trial) => isOff(trial, PLAIN))) break;
      if (different === true && !this.byUser && trials.some((trial) => isOff(trial, SHOWN))) break;
    }
    if (trials.length === 0) throw new NotRun(this.notes.join("; "));
    return trials;
  }

  private *compare(sample: Sample, before: ReadonlyMap<string, Value>): Steps<Trial> {
    try {
      const after = yield* variantSteps(plain(this.b), sample.feeds, { seed: this.seed });
      this.options.observe?.(sample, before, after);
      const { limit } = this.options;
      const judgements = this.names.map(
        (name) => new Judgement(name, before.get(name) as Value, after.get(name) as Value, limit),
      );
      return { sample, judgements };
    } catch (error) {
      const known = inputError(error);
      if (isLimit(known)) throw new NotRun(`the second model cannot be run: ${said(known)}`);
      return {
        sample,
        judgements: [],
        error: `the first model runs on sample "${sample.kind}", the second does not: ${said(known)}`,
      };
    }
  }

  /** Samples the first model can be run on: default sizes of open axes are tried in turn. */
  private *reference(): Steps<{ samples: Sample[]; before: Map<Sample, Map<string, Value>> }> {
    const { samples, thorough, seed, shapes, fixed, given = [] } = this.options;
    const whole = given.map(({ name, feeds }): Sample => ({ kind: name, seed: this.seed, feeds }));
    const tried: string[] = [];
    for (let attempt = 0; ; attempt++) {
      const made = this.generate({ samples, thorough, seed, shapes, fixed, attempt }, tried);
      if (made === undefined) break;
      const all = [...whole, ...made];
      const [first] = made.length > 0 ? made : whole;
      if (first === undefined) throw new NotRun("no samples were asked for");
      try {
        const outputs = yield* variantSteps(plain(this.a), first.feeds, { seed: this.seed });
        return { samples: all, before: new Map([[first, outputs]]) };
      } catch (error) {
        const known = inputError(error);
        if (this.byUser && known.kind === "usage") throw known;
        if (isLimit(known)) throw new NotRun(`the model cannot be run: ${said(known)}`);
        const text = `${shapesText(first.feeds)}: ${said(known)}`;
        if (!tried.includes(text)) tried.push(text);
      }
    }
    // What the user gave is run even where nothing can be made up.
    if (whole.length > 0) return { samples: whole, before: new Map() };
    const more = tried.length > 3 ? `; and ${tried.length - 3} more` : "";
    throw new NotRun(
      `the model cannot be run on the inputs made up for it; tried ${tried.slice(0, 3).join("; ")}${more}. ` +
        "Give shapes (--shape) or inputs (--input)",
    );
  }

  private generate(options: Parameters<typeof generateInputs>[1] & { attempt: number }, tried: string[]): Sample[] | undefined {
    try {
      return generateInputs(this.a, options);
    } catch (error) {
      const { kind, message } = inputError(error);
      if (kind === "usage") throw error;
      tried.push(message);
      return undefined;
    }
  }

  /** Rounding draws, each for the samples whose verdict it can still change. */
  private *draw(trials: readonly Trial[]): Steps<void> {
    const least = this.options.draws ?? DRAWS;
    // Without a difference there is nothing to measure, and nothing to be found out about the constants.
    if (trials.every(({ judgements }) => judgements.every((j) => j.clear)) || this.changes.folded.length === 0) return;
    for (let draw = 1; ; draw++) {
      const open = trials.filter(
        ({ judgements }) => judgements.map((j) => j.open(draw - 1, least)).includes(true) && !judgements.some((j) => j.certain),
      );
      if (open.length === 0) return;
      const variant = roundingDraw(this.b, this.changes.folded, this.seed, draw);
      for (const [i, { sample, judgements }] of open.entries()) {
        this.progress(`rounding draw ${draw}`, i, open.length);
        const drawn = yield* variantSteps(variant, sample.feeds, { seed: this.seed });
        for (const judgement of judgements) judgement.addDraw(drawn.get(judgement.name) as Value);
      }
    }
  }

  private *addEvaluation({ sample, judgements, error }: Trial): Steps<void> {
    if (error !== undefined || judgements.every((j) => j.ok) || judgements.some((j) => j.certain)) return;
    const after = yield* movedSteps(this.b, sample, { seed: this.seed });
    for (const judgement of judgements) judgement.addEvaluation(after.get(judgement.name) as Value, judgement.after);
    if (judgements.every((j) => j.ok)) return;
    const before = yield* movedSteps(this.a, sample, { seed: this.seed });
    for (const judgement of judgements) judgement.addEvaluation(before.get(judgement.name) as Value, judgement.before);
  }

  private decide(trial: Trial): void {
    try {
      const decided = judgeDecided(this.a, this.b, this.viewA, this.changes, trial.sample, this.seed, this.options.limit);
      if (decided === undefined || !decided.ok) return;
      trial.judgements = decided.outputs;
      this.notes.push(`sample "${trial.sample.kind}": ${decided.note}`);
    } catch (error) {
      // What the first file decides may not fit the second's sizes: then nothing takes the difference back.
      inputError(error);
    }
  }

  private *storage({ sample, judgements }: Trial): Steps<void> {
    this.progress("storage precision", 0, 1);
    try {
      const plan = { seed: this.seed, mode: "storage" } as const;
      const before = yield* variantSteps(plain(this.a), sample.feeds, plan);
      const after = yield* variantSteps(plain(this.b), sample.feeds, plan);
      for (const judgement of judgements) {
        const distance = (run: ReadonlyMap<string, Value>) => rmsDistance(judgement.before, run.get(judgement.name) as Value);
        judgement.storage = [distance(before), distance(after)];
      }
    } catch (error) {
      this.notes.push(`the storage-precision run of sample "${sample.kind}" failed: ${said(inputError(error))}`);
    }
  }

  private locate({ sample }: Trial): Witness["firstDifference"] {
    this.progress("first difference", 0, 1);
    try {
      return firstDifference(this.a, this.b, this.viewA, this.changes, sample, this.seed, this.options.limit);
    } catch (error) {
      this.notes.push(`the first difference could not be located: ${said(inputError(error))}`);
      return undefined;
    }
  }
}

/** Part of an output that few roundings explain. */
const PLAIN = 2 ** -10;
/** And one that shows a difference which is known of. */
const SHOWN = 2 ** -14;

const isOff = ({ error, judgements }: Trial, part: number): boolean =>
  error !== undefined || judgements.some(({ difference: { mismatches, rms, scale } }) => mismatches > 0 || rms > part * scale);

const isOk = (trial: Trial): boolean => trial.error === undefined && trial.judgements.every((j) => j.ok);

function reasonOf({ sample, judgements, error }: Trial): string[] {
  if (error !== undefined) return [error];
  return judgements.flatMap(({ name, difference }) => {
    if (difference.problem !== undefined) return [`output "${name}", sample "${sample.kind}": ${difference.problem}`];
    if (difference.nonFinite > 0)
      return [`output "${name}", sample "${sample.kind}": ${difference.nonFinite} elements are NaN or infinite, alike in both`];
    return [];
  });
}
