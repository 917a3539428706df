/** bnfold report merge: the reports of several shards as one. */
import { existsSync } from "node:fs";
import { toJson, tool } from "../report/report.ts";
import { counts, exitOf, writeLines } from "./batch.ts";
import { type Line, readLines, summary } from "./batch-lines.ts";
import { type Command, flag, text, texts, usage, type Values } from "./command.ts";
import { print, stdoutWidth } from "./terminal.ts";

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

async function run(values: Values): Promise<number> {
  const files = texts(values, "files");
  const output = text(values, "output");
  const lines = mergeLines(files.map(readLines));
  if (lines.length === 0)
    throw usage("the files hold no report of many models", "They are written by bnfold fold <folder> -o <folder>.");
  if (output !== undefined) {
    if (existsSync(output) && !flag(values, "overwrite") && !files.includes(output)) {
      throw usage(`${output} exists already`, "Name another file, or pass --overwrite.");
    }
    await writeLines(output, lines);
  }
  if (flag(values, "json")) print(toJson({ version: 1, tool: tool(), output: output ?? null, ...counts(lines) }));
  else print(summary(lines, { width: stdoutWidth(), verbose: flag(values, "verbose") }));
  return exitOf(lines);
}

export const command: Command = {
  positionals: {
    action: { type: "string", choices: ["merge"], describe: "What to do", demandOption: true },
    files: { type: "string", array: true, describe: "Reports (.jsonl)", demandOption: true },
  },
  options: {
    output: { alias: "o", requiresArg: true, type: "string", describe: "File to write the merged report to" },
    overwrite: { type: "boolean", describe: "Replace it when it exists" },
    json: { type: "boolean", describe: "Print JSON" },
    verbose: { alias: "v", type: "boolean", describe: "A row for every model" },
  },
  examples: [["bnfold report merge out/*.jsonl -o all.jsonl", "one report of all shards"]],
  run,
};
