/** Many models: workers, one progress display, one line of report as each is done, a summary. One bad file stops nothing. */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { BnfoldError, ERROR_KINDS } from "../diag/error.ts";
import { writePieces } from "../node/atomic.ts";
import { fileError } from "../node/files.ts";
import { summary } from "../report/many.ts";
import { toJson, tool } from "../report/report.ts";
import { VERSION } from "../report/version.ts";
import { batchOptions, findModels, ofShard, reportPath, shardOf } from "./batch-files.ts";
import { type Line, readLines } from "./batch-lines.ts";
import type { Job } from "./child.ts";
import { flag, integer, usage, type Values } from "./command.ts";
import { performAll } from "./crew.ts";
import { EXIT } from "./fold-one.ts";
import { say, wantedOf, writeReports } from "./formats.ts";
import { ManyProgress } from "./many-progress.ts";
import { patternsMeanSomething } from "./plan-options.ts";
import { givenOutput } from "./target.ts";
import { note, stdoutWidth } from "./terminal.ts";

export const SOME_FAILED = 6;
/** Not done, for a reason that passes: the same command again. */
export const TEMPORARY = ERROR_KINDS.temporary;

/** Options that say where and how, not what. */
const NOT_SETTINGS = new Set([
  "_",
  "$0",
  "model",
  "output",
  "o",
  "output-file",
  "outputFile",
  "verbose",
  "v",
  "quiet",
  "q",
  "report",
  "json",
  "format",
  ...Object.keys(batchOptions),
]);

export function settingsOf(values: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(values).filter(([name, value]) => !NOT_SETTINGS.has(name) && value !== undefined);
  return createHash("sha256")
    .update(JSON.stringify([VERSION, entries.sort(([a], [b]) => (a < b ? -1 : 1))]))
    .digest("hex");
}

function outputFolder(values: Values): string | undefined {
  const folder = givenOutput(values);
  if (flag(values, "in-place")) throw usage("--in-place is for one model", "Give a folder with -o.");
  if (folder === undefined && !flag(values, "dry-run")) throw usage("where to write? -o <folder> or --dry-run");
  const there = folder === undefined ? undefined : statSync(folder, { throwIfNoEntry: false });
  if (there?.isDirectory() === false) throw usage(`the output ${folder} is a file; many models go to a folder`);
  if (folder !== undefined && there === undefined && /\.onnx$/i.test(folder)) {
    throw usage(
      `the output ${folder} is the name of a model, but ${String(values.model)} stands for many; they go to a folder`,
      "Name a folder, or one model.",
    );
  }
  return folder;
}

const asLine = (line: Line): string => `${JSON.stringify(line)}\n`;

export async function foldMany(values: Values): Promise<number> {
  const wanted = wantedOf(values, [], true);
  const folder = outputFolder(values);
  const shard = shardOf(values);
  const { base, files: all } = findModels(String(values.model), folder);
  if (folder !== undefined && existsSync(folder) && statSync(folder).ino === statSync(base).ino && statSync(folder).ino !== 0) {
    throw usage("the output folder is the one the models are in", "Name another folder.");
  }
  if (all.length === 0)
    throw new BnfoldError("file", "there is no model", { file: String(values.model) }, "Models end in .onnx.");
  const files = ofShard(all, shard);
  const named = wanted.reports.find(({ format }) => format === "jsonl")?.path;
  const report = named ?? (folder === undefined ? undefined : reportPath(folder, shard));
  const before =
    flag(values, "resume") && report !== undefined && existsSync(report) ? readLines(report) : new Map<string, Line>();
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  // What earlier runs have done stays in the report while this one goes on, and is replaced line by line.
  if (report !== undefined) await writeLines(report, [...before.values()]);
  for (const { path } of wanted.reports) makeFolderOf(path);
  const settings = settingsOf(values);
  const jobs = files.map(
    (name): Job => ({
      ...{ task: "fold", file: join(base, name), name, settings, values, previous: before.get(name) },
      output: folder === undefined ? undefined : join(folder, name),
    }),
  );
  const lines: Line[] = [];
  const size = Math.min(integer(values, "jobs", 1, 1024) ?? availableParallelism(), jobs.length);
  const progress = new ManyProgress(
    "folding",
    jobs.map(({ name, file }) => ({ name, files: [file] })),
  );
  const onLine = (line: Line, { name }: Job): void => {
    lines.push(line);
    if (report !== undefined) append(report, asLine(line));
    progress.finish(name);
  };
  const onStop = (): void => {
    progress.end();
    const goesOn = report === undefined ? "" : "; the same command with --resume does the others";
    note(`stopped: ${progress.done} of ${jobs.length} models are done${goesOn}`);
  };
  await performAll(jobs, size, { onStart: ({ name }) => progress.start(name), onLine, crashed, onStop });
  progress.end();
  lines.sort((a, b) => (a.file < b.file ? -1 : 1));
  const nodes = lines.flatMap(({ report: of }) => [...(of?.folds ?? []), ...(of?.kept ?? [])].map(({ node }) => node));
  const meant = patternsMeanSomething(values, nodes);
  const code = meant ? exitOf(lines) : ERROR_KINDS.usage;
  const document = { kind: "folds", lines, base } as const;
  if (report !== undefined) await writeLines(report, lines);
  const others = wanted.reports.filter(({ path }) => path !== report);
  await writeReports(document, { ...wanted, reports: others }, code);
  const screen = [
    summary(document, { width: stdoutWidth(), verbose: flag(values, "verbose") }),
    ...[...(report === undefined ? [] : [report]), ...others.map(({ path }) => path)].map(
      (path, i) => `${i === 0 ? "\n" : ""}report: ${path}`,
    ),
  ];
  const json = () => toJson({ version: 1, tool: tool(), report: report ?? null, ...counts(lines) });
  if (!flag(values, "quiet") || wanted.format !== "text") say(document, wanted, code, () => screen.join("\n"), json);
  return code;
}

/** The code of a run over many models: some failed, for a reason that passes or not; or, with --strict, one kept a normalization. */
export const exitOf = (lines: readonly Line[]): number => {
  if (lines.some(({ error }) => error?.kind === "temporary")) return TEMPORARY;
  if (lines.some(({ status }) => status === "failed")) return SOME_FAILED;
  return lines.some(({ code }) => code === EXIT.strict) ? EXIT.strict : EXIT.done;
};

export function counts(lines: readonly Line[]): {
  models: number;
  done: number;
  resumed: number;
  failed: { file: string; message: string }[];
} {
  const failed = lines.filter(({ status }) => status === "failed");
  return {
    ...{ models: lines.length, done: lines.length - failed.length, resumed: lines.filter((line) => line.resumed).length },
    failed: failed.map(({ file, error, report }) => ({ file, message: error?.message ?? report?.verdict.summary ?? "" })),
  };
}

function makeFolderOf(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw fileError(path, error);
  }
}

export async function writeLines(path: string, lines: readonly Line[]): Promise<void> {
  makeFolderOf(path);
  await writePieces(path, [{ bytes: new TextEncoder().encode(lines.map(asLine).join("")) }], { replaceExisting: true });
}

function append(path: string, line: string): void {
  try {
    appendFileSync(path, line);
  } catch (error) {
    throw fileError(path, error);
  }
}

/** The line of a model whose worker did not survive it. */
function crashed({ name, settings }: Job, worker: number, how: string): Line {
  const message = `the process that folded it ${how}: out of memory, or a defect of bnfold`;
  const error = { kind: "internal", message };
  return { version: 1, tool: tool(), file: name, status: "failed", code: 70, content: null, settings, seconds: 0, worker, error };
}
