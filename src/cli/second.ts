/**
 * A second opinion: another runtime computes both models, as they are, on the inputs of the float64 run. Its results are
 * compared with each other and with the first model's float64 outputs. Its optimizations are off: they fold by themselves.
 */
import { BnfoldError } from "../diag/error.ts";
import type { Model } from "../onnx/records.ts";
import { collect } from "../onnx/splice.ts";
import { type ModelEdits, NO_EDITS, write } from "../onnx/write.ts";
import { isTensor, type Value } from "../ops/define.ts";
import type { RuntimeOpinion, RuntimeOutput, RuntimeSample } from "../report/runtime.ts";
import { compareValues } from "../verify/compare.ts";
import type { Observe } from "../verify/index.ts";
import { flag, text, usage, type Values } from "./command.ts";
import { fromOrt, loadOrt, type Ort, type OrtSession, type OrtTensor, ortVersion, toOrt } from "./ort.ts";

interface Observed {
  readonly kind: string;
  readonly seed: number;
  readonly feeds: ReadonlyMap<string, Value>;
  /** The first model's float64 outputs. */
  readonly truth: ReadonlyMap<string, Value>;
}

/** A model as bytes, once it is wanted. */
export interface Written {
  readonly model: Model;
  readonly edits?: ModelEdits;
}

export interface SecondOpinion {
  /** Listens to the float64 run. */
  readonly observe: Observe;
  /** Forgets what was heard: the run is made again. */
  reset(): void;
  of(first: Written, second: Written): Promise<RuntimeOpinion>;
}

/** What --runtime asks for; undefined when it is not given. @throws BnfoldError of kind "usage" when it is not installed. */
export async function secondOpinion(values: Values): Promise<SecondOpinion | undefined> {
  if (text(values, "runtime") === undefined) return undefined;
  for (const other of ["no-check", "no-run"]) {
    if (flag(values, other)) throw usage(`--runtime compares with the float64 run, which --${other} leaves out`);
  }
  const ort = await loadOrt("leave --runtime away: the check does not need it.");
  let observed: Observed[] = [];
  return {
    observe: ({ kind, seed, feeds }, truth) => {
      observed.push({ kind, seed, feeds, truth });
    },
    reset() {
      observed = [];
    },
    of: (first, second) => opinion(ort, first, second, observed),
  };
}

/** The first line: the rest are places in the runtime's sources. */
const said = (error: unknown): string => (error as Error).message.split("\n")[0].trim();

async function opinion(ort: Ort, first: Written, second: Written, observed: readonly Observed[]): Promise<RuntimeOpinion> {
  const notes: string[] = [];
  const samples: RuntimeSample[] = [];
  const [a, b] = [await open(ort, first, "first", notes), await open(ort, second, "second", notes)];
  if (observed.length === 0) notes.push("there was no float64 run of both models, so there are no inputs to compare on");
  if (a !== undefined && b !== undefined) {
    for (const { kind, seed, feeds, truth } of observed) {
      try {
        const [before, after] = [await run(ort, a, feeds, truth), await run(ort, b, feeds, truth)];
        samples.push({ kind, seed, outputs: compared(truth, before, after, notes) });
      } catch (error) {
        notes.push(`input "${kind}": ${said(error)}`);
      }
    }
  }
  await a?.release();
  await b?.release();
  const outcome = samples.some(({ outputs }) => outputs.length > 0) ? "run" : "not-run";
  return { name: "onnxruntime", version: ortVersion(ort), outcome, samples, notes: [...new Set(notes)] };
}

/** Errors of a runtime say what it cannot do; they are told, and fail nothing. */
async function open(
  ort: Ort,
  { model, edits = NO_EDITS }: Written,
  which: string,
  notes: string[],
): Promise<OrtSession | undefined> {
  try {
    const bytes = collect(write(model, edits, { external: "inline" }).main);
    return await ort.InferenceSession.create(bytes, SETTINGS);
  } catch (error) {
    notes.push(`it cannot load the ${which} model: ${said(error)}`);
    return undefined;
  }
}

/** One thread: sums are then added in one order. */
export const SETTINGS = { graphOptimizationLevel: "disabled", logSeverityLevel: 4, intraOpNumThreads: 1, interOpNumThreads: 1 };

async function run(
  ort: Ort,
  session: OrtSession,
  feeds: ReadonlyMap<string, Value>,
  wanted: ReadonlyMap<string, Value>,
): Promise<Record<string, OrtTensor>> {
  const taken: Record<string, OrtTensor> = {};
  for (const name of session.inputNames) {
    const value = feeds.get(name);
    if (value === undefined) continue;
    const given = isTensor(value) ? toOrt(ort, value) : undefined;
    if (given === undefined) {
      throw new BnfoldError(
        "operator",
        `input "${name}" is a ${isTensor(value) ? value.dtype : value.kind}, which is not passed to it`,
      );
    }
    taken[name] = given;
  }
  return session.run(taken, [...wanted.keys()]);
}

function compared(
  truth: ReadonlyMap<string, Value>,
  before: Record<string, OrtTensor>,
  after: Record<string, OrtTensor>,
  notes: string[],
): RuntimeOutput[] {
  return [...truth].flatMap(([name, exact]): RuntimeOutput[] => {
    const [x, y] = [fromOrt(before[name]), fromOrt(after[name])];
    if (x === undefined || y === undefined) {
      notes.push(`output "${name}" is a ${before[name].type}, which is not read from it`);
      return [];
    }
    const between = compareValues(x, y);
    const error = (value: Value) => {
      const { max, rms } = compareValues(exact, value);
      return { max, rms };
    };
    return [
      {
        ...{ name, dtype: x.dtype, difference: { max: between.max, rms: between.rms }, mismatches: between.mismatches },
        ...{ errorBefore: error(x), errorAfter: error(y) },
      },
    ];
  });
}
