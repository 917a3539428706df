/** Options of a comparison that name no file of any machine: a job may carry them to another one, and `jobs verify` has all of them. */
import type { Options } from "yargs";
import { runOptions } from "./inputs.ts";
import { runtimeOption } from "./ort.ts";

const { input: _, ...runs } = runOptions;

export const comparedOptions: Readonly<Record<string, Options>> = {
  ...runs,
  "assume-constant": { type: "boolean", describe: "Take initializers that are also graph inputs as constants" },
  bisect: { type: "boolean", describe: "When they differ: whose numbers make them different" },
  runtime: runtimeOption,
  strict: { type: "boolean", describe: "Exit code 5 when they are equivalent, but in training mode" },
};
