/** bnfold diff: what changed between any two ONNX files, and with --verify whether they compute the same. */
import { paced } from "../diag/steps.ts";
import { diffSteps } from "../diff/index.ts";
import { diffText } from "../report/diff-text.ts";
import type { DiffReport } from "../report/document.ts";
import { tool } from "../report/report.ts";
import { type Command, flag, talkOptions, usage, type Values } from "./command.ts";
import { hashed, type OpenedModel, openInput } from "./files.ts";
import { formatOptions, say, wantedOf, wantsHashes, writeReports } from "./formats.ts";
import { Progress } from "./progress.ts";
import { note, stdoutStyle, stdoutWidth } from "./terminal.ts";
import { verifyOne } from "./verify-one.ts";

/** Forms that say what changed, and not only what is wrong. */
const FORMS = ["text", "json", "markdown"];

async function run(values: Values): Promise<number> {
  const [first, second] = [String(values.a), String(values.b)];
  const wanted = wantedOf(values, [first, second]);
  if (!FORMS.includes(wanted.format)) throw usage(`--format ${wanted.format} lists what fails; diff prints ${FORMS.join(", ")}`);
  const hash = wantsHashes(wanted);
  const progress = new Progress();
  const a = openInput(first);
  let b: OpenedModel | undefined;
  let report: DiffReport;
  let notes: readonly string[] = [];
  try {
    b = openInput(second);
    const start = performance.now();
    progress.begin("comparing");
    const onProgress = (done: number, total: number) => progress.step(done, total, "tensors");
    const diff = await paced(diffSteps(a.model, b.model, { onProgress }));
    progress.end();
    const diffMs = performance.now() - start;
    const verified = flag(values, "verify") ? await verifyOne(values, first, second, { progress, hash: false }) : undefined;
    notes = verified?.notes ?? [];
    report = {
      ...{ version: 1, tool: tool() },
      a: hash ? await hashed(a.facts) : a.facts,
      b: hash ? await hashed(b.facts) : b.facts,
      diff,
      ...(verified === undefined ? {} : { verdict: verified.report.verdict }),
      diffMs,
    };
  } finally {
    progress.end();
    a.close();
    b?.close();
  }
  for (const line of notes) note(line);
  const code = flag(values, "exit-code") && report.diff.changes > 0 ? 1 : 0;
  const document = { kind: "diff", report } as const;
  await writeReports(document, wanted, code);
  const verbose = flag(values, "verbose");
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () => diffText(report, { color: stdoutStyle, width: stdoutWidth(), verbose }));
  return code;
}

export const command: Command = {
  positionals: {
    a: { type: "string", describe: "The first file", demandOption: true },
    b: { type: "string", describe: "The file it became", demandOption: true },
  },
  options: {
    verify: { type: "boolean", describe: "Also decide whether both compute the same function" },
    "exit-code": { type: "boolean", describe: "Exit code 1 when there are changes" },
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
    verbose: { ...talkOptions.verbose, describe: "List every change, however many" },
  },
  examples: [
    ["bnfold diff model.onnx folded.onnx", "what changed"],
    ["bnfold diff a.onnx b.onnx --verify", "and whether it makes a difference"],
    ["bnfold diff a.onnx b.onnx --exit-code --quiet", "for scripts"],
    ["bnfold diff a.onnx b.onnx --report changes.md", "for a comment"],
  ],
  run,
};
