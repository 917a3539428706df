/** --max-memory: what does not fit is left out, and said (src/engine/needs.ts knows what is needed). */
import type { Options } from "yargs";
import { memoryNeeds } from "../engine/needs.ts";
import { sizeIn } from "../engine/written.ts";
import type { Model } from "../onnx/records.ts";
import { byteSize } from "../report/words.ts";
import { text, usage, type Values } from "./command.ts";

export const memoryOption: Options = {
  requiresArg: true,
  type: "string",
  describe: "Most memory to use, e.g. 2G or 500M: what does not fit is left out of the check, and said",
};

/** Bytes an option says, such as 500M. @throws BnfoldError of kind "usage". */
export function sizeOption(values: Values, name: string): number | undefined {
  const written = text(values, name);
  return written === undefined ? undefined : sizeIn(written, `--${name}`);
}

export interface Affordable {
  readonly prove: boolean;
  readonly run: boolean;
  /** What is left out, and why. */
  readonly notes: readonly string[];
}

/** What the limit of the command line allows. @throws BnfoldError of kind "usage" when not even the fold itself fits. */
export function affordable(model: Model, values: Values): Affordable {
  const limit = sizeOption(values, "max-memory");
  const run = values["no-run"] !== true;
  if (limit === undefined) return { prove: true, run, notes: [] };
  const needs = memoryNeeds(model, values["dry-run"] === true);
  if (limit < needs.fold) throw usage(`--max-memory: bnfold itself needs ${byteSize(needs.fold)}`);
  const tight = (what: string, need: number) =>
    `${what} is left out: it needs about ${byteSize(need)}, more than --max-memory ${byteSize(limit)}`;
  const notes = [
    ...(limit < needs.proof ? [tight("the proof", needs.proof)] : []),
    ...(run && limit < needs.run ? [tight("the run", needs.run)] : []),
  ];
  return { prove: limit >= needs.proof, run: run && limit >= needs.run, notes };
}
