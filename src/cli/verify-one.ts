/** Two files: opened, compared, judged. */

import { bisect } from "../engine/bisect.ts";
import type { VerifyReport } from "../report/document.ts";
import { wrap } from "../report/layout.ts";
import { tool } from "../report/report.ts";
import { runtimeLines } from "../report/runtime.ts";
import { trainingLines } from "../report/text.ts";
import { bisectionLines, verdictLines } from "../report/verdict-text.ts";
import { milliseconds, printable } from "../report/words.ts";
import type { Verdict } from "../verify/types.ts";
import { flag, texts, type Values } from "./command.ts";
import { hashed, type OpenedModel, openInput } from "./files.ts";
import { givenInputs } from "./inputs.ts";
import type { Progress } from "./progress.ts";
import { sameBytes } from "./same-bytes.ts";
import { secondOpinion } from "./second.ts";
import { stdoutStyle } from "./terminal.ts";
import { judge } from "./witness.ts";

export interface VerifyOptions {
  readonly progress: Progress;
  /** SHA-256 of both files in the report. */
  readonly hash: boolean;
  /** Threads of the run; by default as many as pay. */
  readonly threads?: number;
}

export interface Verified {
  readonly report: VerifyReport;
  readonly code: 0 | 1 | 5;
  readonly notes: readonly string[];
}

/** What can only be told by a run is asked for. */
const wantsRun = (values: Values): boolean =>
  flag(values, "full-run") || values.samples !== undefined || values.runtime !== undefined || texts(values, "input").length > 0;

const SAME: Verdict = { outcome: "equivalent", summary: "Equivalent: both models are the same bytes, side files included." };

export async function verifyOne(values: Values, first: string, second: string, options: VerifyOptions): Promise<Verified> {
  const a = openInput(first);
  let b: OpenedModel | undefined;
  try {
    b = openInput(second);
    return await compare(values, a, b, options);
  } finally {
    options.progress.end();
    a.close();
    b?.close();
  }
}

async function compare(values: Values, a: OpenedModel, b: OpenedModel, options: VerifyOptions): Promise<Verified> {
  const { progress, hash } = options;
  const facts = async () => ({
    a: hash ? await hashed(a.facts) : a.facts,
    b: hash ? await hashed(b.facts) : b.facts,
  });
  const start = performance.now();
  if (!wantsRun(values) && sameBytes(a.model, b.model)) {
    const report = { version: 1, tool: tool(), ...(await facts()), verdict: SAME, verifyMs: performance.now() - start } as const;
    return { report, code: codeOf(values, report), notes: [] };
  }
  const opinion = await secondOpinion(values);
  for (const opened of [a, b]) opened.verifyChecksums(progress);
  const { notes, ...given } = await givenInputs(values, a.model);
  const asked = { ...given, assumeConstant: flag(values, "assume-constant"), observe: opinion?.observe };
  const { verdict, proofMs, runMs } = await judge(a.model, b.model, asked, progress, options.threads);
  const runtime = await opinion?.of({ model: a.model }, { model: b.model });
  const bisection = flag(values, "bisect")
    ? bisect(a.model, b.model, verdict, { ...given, onProgress: onProgressOf(progress) })
    : undefined;
  progress.end();
  const report: VerifyReport = {
    ...{ version: 1, tool: tool(), ...(await facts()), verdict },
    ...(bisection === undefined ? {} : { bisection }),
    ...(runtime === undefined ? {} : { runtime }),
    verifyMs: proofMs + runMs,
  };
  return { report, code: codeOf(values, report), notes };
}

/** Equivalent files that train are, with --strict, not what anybody wants to deploy. */
function codeOf(values: Values, { verdict, a, b }: VerifyReport): Verified["code"] {
  if (verdict.outcome !== "equivalent") return 1;
  return flag(values, "strict") && (a.training ?? b.training) !== undefined ? 5 : 0;
}

/** The stage named, without counting. */
const onProgressOf = (progress: Progress) => {
  progress.begin("bisection");
  return (_stage: string, done: number, total: number) => progress.step(done, total);
};

/** The screen of one pair. */
export function verifyText(
  { a, b, verdict, bisection, runtime, verifyMs }: VerifyReport,
  width = Number.POSITIVE_INFINITY,
  verbose = false,
): string {
  return [
    ...(a.file === b.file ? [a] : [a, b])
      .flatMap((facts) => trainingLines(facts))
      .flatMap((line) => wrap(line, width, "  "))
      .map((line) => (line === "" ? line : stdoutStyle("yellow", line))),
    ...wrap([a, b].map(({ file }) => printable(file)).join("  ~  "), width, "  "),
    "",
    ...verdictLines(verdict, stdoutStyle, width, verbose),
    ...(bisection === undefined ? [] : ["", ...bisectionLines(bisection).flatMap((line) => wrap(line, width, "    "))]),
    ...(runtime === undefined ? [] : ["", ...runtimeLines(runtime, width)]),
    "",
    `time: ${milliseconds(verifyMs)}`,
  ].join("\n");
}
