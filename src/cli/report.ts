/** bnfold report: reports of several shards as one (merge), and reports of any age in any form (show). */
import { existsSync, readFileSync } from "node:fs";
import { BnfoldError } from "../diag/error.ts";
import { fileError } from "../node/files.ts";
import { inspectAnswer } from "../report/answer.ts";
import { diffText } from "../report/diff-text.ts";
import type { Document } from "../report/document.ts";
import { markdown } from "../report/formats/markdown.ts";
import { summary } from "../report/many.ts";
import { toJson, tool } from "../report/report.ts";
import { reviveReport } from "../report/revive.ts";
import { renderText } from "../report/text.ts";
import { counts, exitOf, writeLines } from "./batch.ts";
import { type Line, readLines } from "./batch-lines.ts";
import { type Command, flag, talkOptions, text, texts, usage, type Values } from "./command.ts";
import { formatOptions, say, wantedOf, writeReports } from "./formats.ts";
import { stdoutStyle, stdoutWidth } from "./terminal.ts";
import { verifyText } from "./verify-one.ts";

/** A model that is in several reports counts as what the last one says, but what is done stays done. */
export function mergeLines(reports: readonly ReadonlyMap<string, Line>[]): Line[] {
  const all = new Map<string, Line>();
  for (const lines of reports) {
    for (const line of lines.values()) {
      if (line.status === "done" || all.get(line.file)?.status !== "done") all.set(line.file, line);
    }
  }
  return [...all.values()].sort((a, b) => (a.file < b.file ? -1 : 1));
}

/** The document as a person's screen shows it. */
function screen(document: Document, verbose: boolean): string {
  const width = stdoutWidth();
  switch (document.kind) {
    case "fold":
      return renderText(document.report, { color: stdoutStyle, width, verbose });
    case "verify":
      return verifyText(document.report, width);
    case "diff":
      return diffText(document.report, { color: stdoutStyle, width, verbose });
    case "inspect":
      return verbose ? markdown(document) : inspectAnswer(document.report);
    default:
      return summary(document, { width, verbose });
  }
}

async function show(values: Values, files: readonly string[]): Promise<number> {
  const [file, ...more] = files;
  if (more.length > 0) throw usage("report show takes one report", "bnfold report merge makes one of several.");
  for (const name of ["output", "overwrite"]) if (values[name] !== undefined) throw usage(`--${name} is for report merge`);
  const wanted = wantedOf(values, [file]);
  let said: string;
  try {
    said = readFileSync(file, "utf8");
  } catch (error) {
    throw fileError(file, error);
  }
  const document = reviveReport(said, file);
  try {
    await writeReports(document, wanted, 0);
    if (!flag(values, "quiet") || wanted.format !== "text")
      say(document, wanted, 0, () => screen(document, flag(values, "verbose")));
  } catch (error) {
    // A field that is missing or of another type than any version wrote it.
    if (!(error instanceof TypeError)) throw error;
    throw new BnfoldError("format", `the report is damaged: ${error.message}`, { file }, "Make it anew from the models.");
  }
  return 0;
}

async function merge(values: Values, files: readonly string[]): Promise<number> {
  const output = text(values, "output");
  const lines = mergeLines(files.map(readLines));
  if (lines.length === 0)
    throw usage("the files hold no report of many models", "They are written by bnfold fold <folder> -o <folder>.");
  const wanted = wantedOf(values, files);
  if (output !== undefined) {
    if (existsSync(output) && !flag(values, "overwrite") && !files.includes(output)) {
      throw usage(`${output} exists already`, "Name another file, or pass --overwrite.");
    }
    await writeLines(output, lines);
  }
  const [document, code] = [{ kind: "folds", lines } as const, exitOf(lines)];
  await writeReports(document, wanted, code);
  const json = () => toJson({ version: 1, tool: tool(), output: output ?? null, ...counts(lines) });
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () => screen(document, flag(values, "verbose")), json);
  return code;
}

function run(values: Values): Promise<number> {
  const files = texts(values, "files");
  return values.action === "show" ? show(values, files) : merge(values, files);
}

export const command: Command = {
  positionals: {
    action: { type: "string", choices: ["merge", "show"], describe: "What to do", demandOption: true },
    files: { type: "string", array: true, describe: "Reports: to merge .jsonl, to show any", demandOption: true },
  },
  options: {
    output: { alias: "o", requiresArg: true, type: "string", describe: "File to write the merged report to" },
    overwrite: { type: "boolean", describe: "Replace it when it exists" },
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
  },
  examples: [
    ["bnfold report merge out/*.jsonl -o all.jsonl", "one report of all shards"],
    ["bnfold report show report.json --report report.md", "a report of any age in another form"],
  ],
  run,
};
