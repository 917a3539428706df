/** bnfold equalize: channels between layers scaled by powers of two, so that what a quantiser makes of the weights has less noise. */
import { type Command, talkOptions, type Values } from "./command.ts";
import { foldTold } from "./fold-told.ts";
import { formatOptions } from "./formats.ts";
import { activationsOption, runOptions } from "./inputs.ts";
import { memoryOption } from "./memory.ts";
import { runtimeOption } from "./ort.ts";
import { planOptions } from "./plan-options.ts";
import { externalOption, mkdirOption, targetOf } from "./target.ts";

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  const target = targetOf(file, values);
  return foldTold(values, file, target, { equalizeOnly: true });
}

const { only, skip, "assume-constant": assumeConstant } = planOptions;

export const command: Command = {
  positionals: { model: { type: "string", describe: "ONNX file", demandOption: true } },
  options: {
    output: { alias: "o", requiresArg: true, type: "string", describe: "File to write, or the folder it goes to" },
    "in-place": { type: "boolean", describe: "Replace the model itself, after the check" },
    "dry-run": { type: "boolean", describe: "Do everything, but keep nothing" },
    "no-check": { type: "boolean", describe: "Skip the proof and the run" },
    "no-run": { type: "boolean", describe: "Prove, but do not run the models" },
    only: { ...only, describe: "Change only layers whose name matches (* and ? as wildcards)" },
    skip: { ...skip, describe: "Leave layers whose name matches" },
    "assume-constant": assumeConstant,
    activations: activationsOption,
    mkdir: mkdirOption,
    external: externalOption,
    "max-memory": memoryOption,
    ...runOptions,
    runtime: runtimeOption,
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
  },
  examples: [
    ["bnfold equalize folded.onnx -o equal.onnx", "even out ranges of channels, where a quantiser gains from it"],
    ["bnfold equalize folded.onnx -o equal.onnx --activations images.npy", "measured ranges of activations count, too"],
    ["bnfold equalize folded.onnx --dry-run --json", "signal to noise of every weight, before and after"],
  ],
  run,
};
