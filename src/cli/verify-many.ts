/** Two folders of models: pairs by their names below each, compared in worker processes. A model without partner is a finding. */
import { statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BnfoldError } from "../diag/error.ts";
import type { VerifyLine } from "../report/document.ts";
import { summary } from "../report/many.ts";
import { tool } from "../report/report.ts";
import { findModels } from "./batch-files.ts";
import { flag, integer, texts, usage, type Values } from "./command.ts";
import { performAll } from "./crew.ts";
import { say, wantedOf, writeReports } from "./formats.ts";
import { failureOf } from "./line-parts.ts";
import { ManyProgress } from "./many-progress.ts";
import { Progress } from "./progress.ts";
import { note, stdoutWidth } from "./terminal.ts";
import { verifyOne } from "./verify-one.ts";

/** Two files to compare, for a worker. */
export interface Pair {
  readonly task: "verify";
  readonly name: string;
  readonly first: string;
  readonly second: string;
  readonly values: Values;
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** True for two folders. @throws BnfoldError of kind "usage" when only one is a folder. */
export function arePairs(a: string, b: string): boolean {
  const [x, y] = [isFolder(a), isFolder(b)];
  if (x !== y) {
    const [folder, file] = x ? [a, b] : [b, a];
    throw usage(`${folder} is a folder, ${file} is not; verify compares two files, or two folders by the names in them`);
  }
  return x;
}

const line = (file: string, rest: Pick<VerifyLine, "status" | "code" | "seconds"> & Partial<VerifyLine>): VerifyLine => ({
  version: 1,
  tool: tool(),
  file,
  ...rest,
});

/** The code of a run over many pairs: some failed; or some are not equivalent, or have no partner. */
export const exitOfPairs = (lines: readonly VerifyLine[]): 0 | 1 | 5 | 6 => {
  if (lines.some(({ status }) => status === "failed")) return 6;
  if (lines.some(({ status }) => status !== "equivalent")) return 1;
  return lines.some(({ code }) => code === 5) ? 5 : 0;
};

export async function verifyMany(values: Values, a: string, b: string): Promise<number> {
  const wanted = wantedOf(values);
  if (texts(values, "input").length > 0) throw usage("--input is for two models", "Many models have inputs of their own.");
  const [first, second] = [a, b].map((folder) => findModels(folder, undefined).files);
  if (first.length + second.length === 0)
    throw new BnfoldError("file", "there is no model in either folder", { file: a }, "Models end in .onnx.");
  const [here, there] = [new Set(first), new Set(second)];
  const lone = (file: string, missing: "first" | "second") => line(file, { status: "missing", code: 1, seconds: 0, missing });
  const lines: VerifyLine[] = [
    ...first.filter((file) => !there.has(file)).map((file) => lone(file, "second")),
    ...second.filter((file) => !here.has(file)).map((file) => lone(file, "first")),
  ];
  const jobs = first
    .filter((file) => there.has(file))
    .map((name): Pair => ({ task: "verify", name, first: join(a, name), second: join(b, name), values }));
  const size = Math.min(integer(values, "jobs", 1, 1024) ?? availableParallelism(), jobs.length);
  const progress = new ManyProgress(
    "comparing",
    jobs.map((pair) => ({ name: pair.name, files: [pair.first, pair.second] })),
  );
  const onLine = (one: VerifyLine, { name }: Pair): void => {
    lines.push(one);
    progress.finish(name);
  };
  const onStop = (): void => {
    progress.end();
    note(`stopped: ${progress.done} of ${jobs.length} pairs are compared`);
  };
  await performAll(jobs, size, { onStart: ({ name }) => progress.start(name), onLine, crashed, onStop });
  progress.end();
  lines.sort((x, y) => (x.file < y.file ? -1 : 1));
  const code = exitOfPairs(lines);
  const document = { kind: "verifies", lines, base: b } as const;
  await writeReports(document, wanted, code);
  const verbose = flag(values, "verbose");
  if (!flag(values, "quiet") || wanted.format !== "text")
    say(document, wanted, code, () => summary(document, { width: stdoutWidth(), verbose }));
  return code;
}

function crashed({ name }: Pair, _worker: number, how: string): VerifyLine {
  const message = `the process that compared it ${how}: out of memory, or a defect of bnfold`;
  return line(name, { status: "failed", code: 70, seconds: 0, error: { kind: "internal", message } });
}

/** What a worker does with a pair. */
export const performPair = (pair: Pair): Promise<VerifyLine> => pairLine(pair, () => undefined);

/** The line of a pair; `failing` sees an error before it becomes one, and may throw it. */
export async function pairLine({ name, first, second, values }: Pair, failing: (error: unknown) => void): Promise<VerifyLine> {
  const start = performance.now();
  const seconds = () => Math.round(performance.now() - start) / 1000;
  try {
    const { report, code } = await verifyOne(values, first, second, { progress: new Progress(true), hash: true, threads: 1 });
    const { outcome } = report.verdict;
    return line(name, { status: outcome === "not-checked" ? "undecided" : outcome, code, seconds: seconds(), report });
  } catch (error) {
    failing(error);
    const { code, error: said } = failureOf(error);
    return line(name, { status: "failed", code, seconds: seconds(), error: said });
  }
}
