/** The report of many models: one line of JSON each, and the table people read. docs/report.md explains the fields. */
import { readFileSync } from "node:fs";
import { fileError } from "../node/files.ts";
import { columns } from "../report/layout.ts";
import type { Report, Tool } from "../report/report.ts";
import { byteSize, milliseconds, plural } from "../report/words.ts";
import type { Verdict } from "../verify/types.ts";

export interface Line {
  readonly version: 1;
  readonly tool: Tool;
  /** Relative to the folder that was folded. */
  readonly file: string;
  /** "failed": an error, or not shown equivalent; nothing was written then. */
  readonly status: "done" | "failed";
  /** Exit code the model alone would have given. */
  readonly code: number;
  /** SHA-256 over the model and its side files; null when they could not be read. */
  readonly content: string | null;
  /** SHA-256 over the options that decide about the result. */
  readonly settings: string;
  readonly seconds: number;
  /** Process that did it. */
  readonly worker: number;
  /** Taken over from an earlier run. */
  readonly resumed?: true;
  readonly error?: { readonly kind: string; readonly message: string; readonly hint?: string };
  readonly report?: Report;
  /** Of `jobs verify`, in place of a report. */
  readonly verdict?: Verdict;
}

const isLine = (value: unknown): value is Line =>
  typeof value === "object" &&
  value !== null &&
  "file" in value &&
  "status" in value &&
  "version" in value &&
  value.version === 1;

/** A line, or undefined when the value is none. */
export const lineOf = (value: unknown): Line | undefined => (isLine(value) ? value : undefined);

/** The lines of a report, the last of each file. A line cut off by a kill is left out. */
export function readLines(path: string): Map<string, Line> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw fileError(path, error);
  }
  const lines = new Map<string, Line>();
  for (const written of text.split("\n")) {
    let value: unknown;
    try {
      value = JSON.parse(written);
    } catch {
      continue;
    }
    if (isLine(value)) lines.set(value.file, value);
  }
  return lines;
}

const sum = (lines: readonly Line[], of: (report: Report) => number): number =>
  lines.reduce((total, { report }) => total + (report === undefined ? 0 : of(report)), 0);

const verdictOf = ({ report, verdict }: Line): Verdict | undefined => report?.verdict ?? verdict;

const outcome = (line: Line): string => {
  if (line.status === "done") return verdictOf(line)?.outcome ?? "done";
  return line.error === undefined ? (verdictOf(line)?.outcome ?? "failed") : "error";
};

/** Rows of each kind that are shown unasked. */
const LISTED = 20;

interface SummaryOptions {
  /** Columns there are. */
  readonly width?: number;
  /** A row for every model, not only for those that need attention. */
  readonly verbose?: boolean;
}

const keptIn = ({ report }: Line): number => report?.batchNormalization.kept ?? 0;

/** `other-reader, training-mode (bnfold freeze)`. */
function reasonsOf({ report }: Line): string {
  const norms = report?.kept.filter(({ kind }) => kind === "batch-normalization") ?? [];
  const codes = [...new Set(norms.map(({ code }) => code))];
  return codes.map((code) => (code === "training-mode" ? `${code} (bnfold freeze)` : code)).join(", ");
}

/** What needs attention: models that kept a normalization, and models that failed. */
function attention(lines: readonly Line[]): string[][] {
  const kept = lines.filter((line) => line.status === "done" && keptIn(line) > 0);
  const failed = lines.filter(({ status }) => status === "failed");
  return [
    ...kept.map((line) => [
      "kept",
      line.file,
      `${keptIn(line)} of ${line.report?.batchNormalization.before}  ${reasonsOf(line)}`,
    ]),
    ...failed.map((line) => ["failed", line.file, line.error?.message ?? verdictOf(line)?.summary ?? ""]),
  ];
}

const row = (line: Line): string[] => {
  const { before = 0, folded = 0, kept = 0 } = line.report?.batchNormalization ?? {};
  const counts = [before, folded, kept].map(String);
  return [line.file, ...counts, byteSize(line.report?.input.bytes ?? 0), outcome(line), milliseconds(1000 * line.seconds)];
};

/** The answer for many models: how many are done, what needs attention; a row for each on request. */
export function summary(lines: readonly Line[], { width, verbose = false }: SummaryOptions = {}): string {
  const failed = lines.filter(({ status }) => status === "failed").length;
  const resumed = lines.filter((line) => line.resumed === true).length;
  const kept = lines.filter((line) => line.status === "done" && keptIn(line) > 0).length;
  const done = `${lines.length - failed} of ${plural(lines.length, "model")} done${resumed > 0 ? ` (${resumed} by an earlier run)` : ""}`;
  const norms = ` ${sum(lines, (r) => r.batchNormalization.before)} BatchNormalization: ${sum(lines, (r) => r.batchNormalization.folded)} folded, ${sum(lines, keptOf)} kept.`;
  const folded = !lines.some(({ verdict }) => verdict !== undefined);
  const rows = attention(lines);
  const shown = verbose ? rows : rows.slice(0, LISTED);
  const head = ["model", "BatchNormalization", "folded", "kept", "size", "verdict", "time"];
  const table = verbose ? columns(head, lines.map(row), ["l", "r", "r", "r", "r", "l", "r"], width) : [];
  return [
    `${done}, ${failed} failed${folded ? `, ${kept} kept something.${norms}` : "."}`,
    ...(table.length === 0 ? [] : ["", ...table]),
    ...(shown.length === 0 ? [] : ["", ...fitted(shown, width)]),
    ...(shown.length < rows.length ? [`  and ${rows.length - shown.length} more; --verbose lists all`] : []),
  ].join("\n");
}

const keptOf = (report: Report): number => report.batchNormalization.kept;

/** Rows without a head; on a terminal reasons are cut where it ends. */
function fitted(rows: readonly string[][], width = Number.POSITIVE_INFINITY): string[] {
  const lines = columns(["", "", ""], rows, ["l", "l", "l"], Number.POSITIVE_INFINITY).slice(1);
  return lines.map((line) => `  ${line}`).map((line) => (line.length > width ? `${line.slice(0, width - 3)}...` : line));
}
