/** bnfold fold: one model, or all models of a folder or a pattern. */
import { requirePlace, writePieces } from "../node/atomic.ts";
import { toJson } from "../report/report.ts";
import { renderText } from "../report/text.ts";
import { batchOptions, isMany } from "./batch-files.ts";
import { type Command, flag, talkOptions, text, usage, type Values } from "./command.ts";
import { foldOne } from "./fold-one.ts";
import { runOptions } from "./inputs.ts";
import { memoryOption } from "./memory.ts";
import { runtimeOption } from "./ort.ts";
import { planOptions } from "./plan-options.ts";
import { Progress } from "./progress.ts";
import { externalOption, targetOf } from "./target.ts";
import { note, print, stdoutStyle, stdoutWidth } from "./terminal.ts";

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  if (isMany(file)) return (await import("./batch.ts")).foldMany(values);
  for (const name of Object.keys(batchOptions)) {
    if (values[name] !== undefined)
      throw usage(`--${name} is for many models`, 'Give a folder or a pattern such as "models/**/*.onnx".');
  }
  const target = targetOf(file, values);
  // Told before the model is replaced, not after.
  if (target.report !== undefined) requirePlace(target.report);
  const wantsJson = flag(values, "json") || text(values, "report") !== undefined;
  const { report, code, notes } = await foldOne(values, file, target, { progress: new Progress(), hash: wantsJson });
  for (const line of notes) note(line);
  if (target.report !== undefined) {
    const bytes = new TextEncoder().encode(`${toJson(report)}\n`);
    await writePieces(target.report, [{ bytes }], { replaceExisting: true });
  }
  if (flag(values, "json")) print(toJson(report));
  else if (!flag(values, "quiet"))
    print(renderText(report, { color: stdoutStyle, width: stdoutWidth(), verbose: flag(values, "verbose") }));
  return code;
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
    "no-check": { type: "boolean", describe: "Skip the proof and the run" },
    "no-run": { type: "boolean", describe: "Prove, but do not run the models" },
    strict: { type: "boolean", describe: "Exit code 5 when a BatchNormalization is kept, or the model is in training mode" },
    freeze: { type: "boolean", describe: "Give a training-mode model inference semantics first, as bnfold freeze does" },
    "drop-outputs": { type: "boolean", describe: "With --freeze: drop running statistics from the model's outputs" },
    ...planOptions,
    external: externalOption,
    "max-memory": memoryOption,
    ...runOptions,
    runtime: runtimeOption,
    report: {
      requiresArg: true,
      type: "string",
      describe: "Also write the JSON report to this file; for many models one line each",
    },
    json: { type: "boolean", describe: "Print the JSON report instead of text" },
    ...talkOptions,
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
