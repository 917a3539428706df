/** bnfold fold: one model, or all models of a folder or a pattern. */
import { requirePlace } from "../node/atomic.ts";
import { batchOptions, isMany } from "./batch-files.ts";
import { type Command, talkOptions, usage, type Values } from "./command.ts";
import { foldTold } from "./fold-told.ts";
import { failOnOption, formatOptions } from "./formats.ts";
import { activationsOption, runOptions } from "./inputs.ts";
import { memoryOption } from "./memory.ts";
import { runtimeOption } from "./ort.ts";
import { planOptions } from "./plan-options.ts";
import { externalOption, mkdirOption, targetOf } from "./target.ts";

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  if (isMany(file)) {
    if (values.certificate !== undefined) throw usage("--certificate is for one model");
    return (await import("./batch.ts")).foldMany(values);
  }
  for (const name of Object.keys(batchOptions)) {
    if (values[name] !== undefined)
      throw usage(`--${name} is for many models`, 'Give a folder or a pattern such as "models/**/*.onnx".');
  }
  const target = targetOf(file, values);
  // Told before the model is replaced, not after.
  if (target.certificate !== undefined) requirePlace(target.certificate);
  return foldTold(values, file, target);
}

export const command: Command = {
  positionals: {
    model: { type: "string", describe: "ONNX file; or a folder or a pattern (* ** ?): all models there", demandOption: true },
    "output-file": { type: "string", describe: "The same as -o" },
  },
  options: {
    output: {
      alias: "o",
      requiresArg: true,
      type: "string",
      describe: "File to write, or the folder it goes to; for many models the folder",
    },
    "in-place": { type: "boolean", describe: "Replace the model itself, after the check" },
    "dry-run": { type: "boolean", describe: "Do everything, but keep nothing" },
    mkdir: mkdirOption,
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
    activations: activationsOption,
    certificate: {
      requiresArg: true,
      type: "string",
      describe: "Also write to this file why no fewer nodes can stay; bnfold certify checks it",
    },
    external: externalOption,
    "max-memory": memoryOption,
    ...runOptions,
    runtime: runtimeOption,
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
    verbose: {
      ...talkOptions.verbose,
      describe: "List every fold, merge and kept node, and show the channels of each layer; of many models a row each",
    },
    ...batchOptions,
  },
  examples: [
    ["bnfold fold model.onnx -o folded.onnx", "fold, prove, write"],
    ["bnfold fold model.onnx --in-place --report report.json", "replace the file after the check"],
    ["bnfold fold model.onnx --dry-run --strict", "would everything fold?"],
    ['bnfold fold model.onnx -o out.onnx --skip "/head/*"', "leave some nodes alone"],
    ["bnfold fold model.onnx -o out.onnx --input x=photo.npy", "run on data of your own"],
    ["bnfold fold models -o folded --jobs 4", "every model of a folder"],
  ],
  run,
};
