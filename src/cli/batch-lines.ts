/** The report of many models: one line of JSON each, and the table people read. docs/report.md explains the fields. */
import { readFileSync } from "node:fs";
import { fileError } from "../node/files.ts";
import type { Report, Tool } from "../report/report.ts";
import { table } from "../report/text.ts";
import { byteSize, milliseconds, plural, printable } from "../report/words.ts";

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
}

const isLine = (value: unknown): value is Line =>
  typeof value === "object" &&
  value !== null &&
  "file" in value &&
  "status" in value &&
  "version" in value &&
  value.version === 1;

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

/** Rows of the table beyond which only the sums are shown. */
const MOST_ROWS = 40;

const row = (name: string, lines: readonly Line[], verdict: string): string[] => [
  name,
  String(sum(lines, (r) => r.batchNormalization.before)),
  String(sum(lines, (r) => r.batchNormalization.folded)),
  String(sum(lines, (r) => r.batchNormalization.kept)),
  byteSize(sum(lines, (r) => r.input.bytes)),
  verdict,
  milliseconds(1000 * lines.reduce((total, { seconds }) => total + seconds, 0)),
];

const outcome = ({ status, report, error }: Line): string =>
  status === "failed"
    ? error === undefined
      ? (report?.verdict.outcome ?? "failed")
      : "error"
    : (report?.verdict.outcome ?? "done");

/** The summary: a table, and every failure with its reason. */
export function summary(lines: readonly Line[]): string {
  const failed = lines.filter(({ status }) => status === "failed");
  const resumed = lines.filter((line) => line.resumed === true).length;
  const rows = lines.length > MOST_ROWS ? [] : lines.map((line) => row(line.file, [line], outcome(line)));
  const done = lines.length - failed.length;
  const failures = failed.map(({ file, error, report }) => {
    const reason = error?.message ?? report?.verdict.summary ?? "";
    return `- ${printable(file)}: ${printable(reason)}`;
  });
  return [
    table(
      ["model", "BatchNormalizations", "folded", "kept", "size", "verdict", "time"],
      [...rows, row(`all ${lines.length}`, lines, "")],
      ["l", "r", "r", "r", "r", "l", "r"],
    ),
    "",
    `${plural(lines.length, "model")}: ${done} done${resumed > 0 ? ` (${resumed} by an earlier run)` : ""}, ${failed.length} failed`,
    ...(failures.length === 0 ? [] : ["", `Failed (${plural(failed.length, "model")})`, ...failures]),
  ].join("\n");
}
