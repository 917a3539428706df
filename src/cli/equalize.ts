/** bnfold equalize: channels between layers scaled by powers of two, so that what a quantiser makes of the weights has less noise. */
import { requirePlace, writePieces } from "../node/atomic.ts";
import { toJson } from "../report/report.ts";
import { renderText } from "../report/text.ts";
import { type Command, flag, talkOptions, text, type Values } from "./command.ts";
import { foldOne } from "./fold-one.ts";
import { activationsOption, runOptions } from "./inputs.ts";
import { memoryOption } from "./memory.ts";
import { runtimeOption } from "./ort.ts";
import { planOptions } from "./plan-options.ts";
import { Progress } from "./progress.ts";
import { externalOption, targetOf } from "./target.ts";
import { note, print, stdoutStyle, stdoutWidth } from "./terminal.ts";

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  const target = targetOf(file, values);
  if (target.report !== undefined) requirePlace(target.report);
  const hash = flag(values, "json") || text(values, "report") !== undefined;
  const made = await foldOne(values, file, target, { progress: new Progress(), hash, equalizeOnly: true });
  for (const line of made.notes) note(line);
  if (target.report !== undefined) {
    const bytes = new TextEncoder().encode(`${toJson(made.report)}\n`);
    await writePieces(target.report, [{ bytes }], { replaceExisting: true });
  }
  if (flag(values, "json")) print(toJson(made.report));
  else if (!flag(values, "quiet"))
    print(renderText(made.report, { color: stdoutStyle, width: stdoutWidth(), verbose: flag(values, "verbose") }));
  return made.code;
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
    external: externalOption,
    "max-memory": memoryOption,
    ...runOptions,
    runtime: runtimeOption,
    report: { requiresArg: true, type: "string", describe: "Also write the JSON report to this file" },
    json: { type: "boolean", describe: "Print the JSON report instead of text" },
    ...talkOptions,
  },
  examples: [
    ["bnfold equalize folded.onnx -o equal.onnx", "even out ranges of channels, where a quantiser gains from it"],
    ["bnfold equalize folded.onnx -o equal.onnx --activations images.npy", "measured ranges of activations count, too"],
    ["bnfold equalize folded.onnx --dry-run --json", "signal to noise of every weight, before and after"],
  ],
  run,
};
