/**
 * Options of a fold. `madeOptions` say what is made of a model: they name no file of any machine, so that a job may carry them
 * to another one, and `jobs fold` has all of them. `hereOptions` are about files of this machine. An option stands in one of
 * the two tables, and nowhere else.
 */
import type { Options } from "yargs";
import { failOnOption } from "./formats.ts";
import { activationsOption, runOptions } from "./inputs.ts";
import { memoryOption } from "./memory.ts";
import { runtimeOption } from "./ort.ts";
import { planOptions } from "./plan-options.ts";
import { externalOption, mkdirOption } from "./target.ts";

type Table = Readonly<Record<string, Options>>;

const { input, ...runs } = runOptions;

export const madeOptions: Table = {
  "dry-run": { type: "boolean", describe: "Do everything, but keep nothing" },
  "no-check": { type: "boolean", describe: "Skip the proof and the run" },
  "no-run": { type: "boolean", describe: "Prove, but do not run the models" },
  strict: { type: "boolean", describe: "Exit code 5 when a BatchNormalization is kept, or the model is in training mode" },
  freeze: { type: "boolean", describe: "Give a training-mode model inference semantics first, as bnfold freeze does" },
  "drop-outputs": { type: "boolean", describe: "With --freeze: drop running statistics from the model's outputs" },
  ...failOnOption,
  ...planOptions,
  equalize: {
    type: "boolean",
    describe: "Afterwards scale channels by powers of two, where that lowers the noise of int8 weights (see bnfold equalize)",
  },
  external: externalOption,
  "max-memory": memoryOption,
  ...runs,
  runtime: runtimeOption,
};

export const hereOptions: Table = {
  output: {
    alias: "o",
    requiresArg: true,
    type: "string",
    describe: "File to write, or the folder it goes to; for many models the folder",
  },
  "in-place": { type: "boolean", describe: "Replace the model itself, after the check" },
  mkdir: mkdirOption,
  activations: activationsOption,
  certificate: {
    requiresArg: true,
    type: "string",
    describe: "Also write to this file why no fewer nodes can stay; bnfold certify checks it",
  },
  input,
};
