/** bnfold equalize: channels between layers scaled by powers of two, so that what a quantiser makes of the weights has less noise. */
import { renderText } from "../report/text.ts";
import { type Command, flag, talkOptions, type Values } from "./command.ts";
import { foldOne } from "./fold-one.ts";
import { formatOptions, say, wantedOf, wantsHashes, writeReports } from "./formats.ts";
import { activationsOption, runOptions } from "./inputs.ts";
import { memoryOption } from "./memory.ts";
import { runtimeOption } from "./ort.ts";
import { planOptions } from "./plan-options.ts";
import { Progress } from "./progress.ts";
import { externalOption, targetOf } from "./target.ts";
import { note, stdoutStyle, stdoutWidth } from "./terminal.ts";

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  const target = targetOf(file, values);
  const wanted = wantedOf(values, [file, target.path]);
  const options = { progress: new Progress(), hash: wantsHashes(wanted), equalizeOnly: true };
  const { report, code, notes } = await foldOne(values, file, target, options);
  for (const line of notes) note(line);
  const document = { kind: "fold", report } as const;
  await writeReports(document, wanted, code);
  const verbose = flag(values, "verbose");
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () => renderText(report, { color: stdoutStyle, width: stdoutWidth(), verbose }));
  return code;
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
