/** bnfold verify: do two files compute the same function? */
import { type Command, flag, talkOptions, usage, type Values } from "./command.ts";
import { formatOptions, say, wantedOf, wantsHashes, writeReports } from "./formats.ts";
import { runOptions } from "./inputs.ts";
import { Progress } from "./progress.ts";
import { note, stdoutWidth } from "./terminal.ts";
import { arePairs, verifyMany } from "./verify-many.ts";
import { verifyOne, verifyText } from "./verify-one.ts";
import { comparedOptions } from "./verify-options.ts";

async function run(values: Values): Promise<number> {
  const [a, b] = [String(values.a), String(values.b)];
  if (arePairs(a, b)) return verifyMany(values, a, b);
  if (values.jobs !== undefined) throw usage("--jobs is for two folders");
  const wanted = wantedOf(values, [a, b]);
  const { report, code, notes } = await verifyOne(values, a, b, { progress: new Progress(), hash: wantsHashes(wanted) });
  for (const line of notes) note(line);
  const document = { kind: "verify", report } as const;
  await writeReports(document, wanted, code);
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () => verifyText(report, stdoutWidth(), flag(values, "verbose")));
  return code;
}

export const command: Command = {
  positionals: {
    a: { type: "string", describe: "The original; or a folder of models", demandOption: true },
    b: {
      type: "string",
      describe: "The file to compare with it; or a folder whose models have the same names",
      demandOption: true,
    },
  },
  options: {
    input: runOptions.input,
    ...comparedOptions,
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
    verbose: {
      ...talkOptions.verbose,
      describe: "List every place and input that does not pass; of folders a row for each pair",
    },
    jobs: { requiresArg: true, describe: "Of folders: pairs compared at the same time (default: the number of processors)" },
  },
  examples: [
    ["bnfold verify model.onnx folded.onnx", "prove, and run both in float64"],
    ["bnfold verify a.onnx b.onnx --shape x=1,3,224,224 --samples 2", "choose the size of an open input"],
    ["bnfold verify a.onnx b.onnx --input x=photo.npy", "on data of your own"],
    ["bnfold verify a.onnx b.onnx --bisect", "name the operators that make them different"],
    ["bnfold verify models folded --report verify.sarif", "two folders, pairs by name"],
    ["bnfold verify a.onnx b.onnx --runtime onnxruntime", "and see what ONNX Runtime makes of both"],
  ],
  run,
};
