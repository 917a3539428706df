/** bnfold fold: one model, or all models of a folder or a pattern. */
import { requirePlace } from "../node/atomic.ts";
import { batchOptions, isMany } from "./batch-files.ts";
import { type Command, talkOptions, usage, type Values } from "./command.ts";
import { hereOptions, madeOptions } from "./fold-options.ts";
import { foldTold } from "./fold-told.ts";
import { formatOptions } from "./formats.ts";
import { targetOf } from "./target.ts";

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
    ...hereOptions,
    ...madeOptions,
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
