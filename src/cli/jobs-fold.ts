/** bnfold jobs fold: models of a store, folded by whoever takes the jobs. */
import { dirname, join } from "node:path";
import { type FoldJob, nameOf } from "../jobs/job.ts";
import { baseOf, folderOf, joinKeys } from "../jobs/keys.ts";
import type { Run } from "../jobs/runs.ts";
import { type Many, summary } from "../report/many.ts";
import { toJson, tool } from "../report/report.ts";
import { counts, exitOf, TEMPORARY, writeLines } from "./batch.ts";
import { type Line, lineOf } from "./batch-lines.ts";
import { type Command, flag, talkOptions, text, usage, type Values } from "./command.ts";
import { madeOptions } from "./fold-options.ts";
import { formatOptions, say, wantedOf, writeReports } from "./formats.ts";
import { findStored } from "./jobs-find.ts";
import { ALLOWED, foldNames } from "./jobs-options.ts";
import { bring, followed, jobOptions, leave, openSession, type Session, sendOptions } from "./jobs-session.ts";
import { externalOf } from "./target.ts";
import { note, stdoutWidth } from "./terminal.ts";

/** The command that was given, for `jobs status`. */
export const titleOf = (kind: string, places: readonly string[], options: object): string =>
  [
    kind,
    ...places,
    ...Object.entries(options).map(([name, value]) => (value === true ? `--${name}` : `--${name} ${value}`)),
  ].join(" ");

async function jobsOf(session: Session, model: string, options: FoldJob["options"]): Promise<{ run: string; jobs: FoldJob[] }> {
  const { store, tag, attempts, retries } = session;
  const run = nameOf("run", "fold", tag, model, options);
  const found = await findStored(store, model);
  const jobs = found.map(
    ({ file, entry: { key, version } }): FoldJob => ({
      ...{ v: 1, kind: "fold", id: nameOf("fold", run, key, version), run, tag, attempts, retries },
      ...{ file, model: { key, version }, options },
    }),
  );
  return { run, jobs };
}

async function run(values: Values): Promise<number> {
  const model = String(values.model);
  // Told before anything is sent.
  externalOf(values);
  wantedOf(values);
  const output = text(values, "output");
  const session = await openSession(values);
  const options = jobOptions(values, foldNames);
  const { run, jobs } = await jobsOf(session, model, options);
  const title = titleOf("fold", [model], options);
  const made: Run = { version: 1, run, kind: "fold", title, tag: session.tag, created: Date.now(), options, jobs };
  const { ended, lines } = await followed<Line>(session, values, ALLOWED, "folding", made, {
    next: (done) => jobs.filter(({ id }) => !done.has(id)),
    parse: lineOf,
  });
  if (ended !== "done") return leave(ended, session, run, values);
  return finish(values, session, sortedLines(lines.values()), output);
}

export const sortedLines = <L extends { readonly file: string }>(lines: Iterable<L>): L[] =>
  [...lines].sort((a, b) => (a.file < b.file ? -1 : 1));

/** The results brought here, the reports, the summary. */
async function finish(values: Values, session: Session, lines: readonly Line[], output: string | undefined): Promise<number> {
  if (output !== undefined)
    for (const line of lines) await bringResult(line, output, (key, path) => bring(session.store, key, path));
  const beside = output === undefined ? undefined : join(output, "bnfold-report.jsonl");
  if (beside !== undefined) await writeLines(beside, lines);
  const json = () => toJson({ version: 1, tool: tool(), report: beside ?? null, ...counts(lines) });
  return told(values, { kind: "folds", lines }, jobsExit(lines, exitOf(lines)), beside === undefined ? [] : [beside], json);
}

/** A document on the screen and in the files that were asked for; `reports`: files that were written already. */
export async function told(
  values: Values,
  document: Many,
  code: number,
  reports: readonly string[] = [],
  json?: () => string,
): Promise<number> {
  const wanted = wantedOf(values);
  await writeReports(document, wanted, code);
  const written = [...reports, ...wanted.reports.map(({ path }) => path)];
  const screen = [
    summary(document, { width: stdoutWidth(), verbose: flag(values, "verbose") }),
    ...written.map((path, i) => `${i === 0 ? "\n" : ""}report: ${path}`),
  ];
  if (!flag(values, "quiet") || wanted.format !== "text") say(document, wanted, code, () => screen.join("\n"), json);
  return code;
}

/** When something failed only for a while, the code that says so. */
export function jobsExit(lines: readonly { readonly error?: { readonly kind: string } }[], otherwise: number): number {
  const passing = lines.some(({ error }) => error?.kind === "temporary");
  if (passing) note("some jobs failed for reasons that pass: bnfold jobs retry");
  return passing ? TEMPORARY : otherwise;
}

/** The model and its side files, beside each other as they were made. */
async function bringResult(
  { file, report }: Line,
  folder: string,
  fetch: (key: string, path: string) => Promise<void>,
): Promise<void> {
  if (report?.output == null) return;
  const home = folderOf(report.output.file);
  const path = join(folder, file);
  for (const { file: key } of report.output.sideFiles)
    await fetch(joinKeys(key), join(dirname(path), key.slice(home.length + 1)));
  if (baseOf(report.output.file) !== baseOf(file)) throw usage(`the result of ${file} has another name`);
  await fetch(joinKeys(report.output.file), path);
}

export const command: Command = {
  positionals: {
    model: { type: "string", describe: "Key of the store: a folder, a pattern (* ** ?), a model; . is all", demandOption: true },
  },
  options: {
    ...sendOptions,
    output: { alias: "o", requiresArg: true, type: "string", describe: "Also bring the results to this folder" },
    ...madeOptions,
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
  },
  examples: [
    ["bnfold jobs fold models --store /mnt/zoo -o folded", "all models of a folder, on this machine"],
    ['bnfold jobs fold "**/*.onnx" --store s3://zoo/in --queue rediss://queue:6380', "on all machines that run bnfold worker"],
  ],
  run,
};
