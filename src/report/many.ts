/** Many models in a few lines: how many are done, what needs attention, a row for each on request. */
import type { Document, FoldLine, InspectLine, InspectReport, VerifyLine } from "./document.ts";
import { keptOf } from "./findings.ts";
import { type Align, columns, shorten, wrap } from "./layout.ts";
import type { Report } from "./report.ts";
import { byteSize, milliseconds, plural, printable } from "./words.ts";

export type Many = Extract<Document, { readonly lines: readonly unknown[] }>;

/** The same for every kind of work. */
export interface Overview {
  readonly answer: string;
  /** What needs attention: what is the matter, with which model, why. */
  readonly attention: readonly (readonly [what: string, file: string, why: string])[];
  readonly head: readonly string[];
  readonly align: readonly Align[];
  readonly rows: readonly (readonly string[])[];
}

const sum = <T>(list: readonly T[], of: (one: T) => number): number => list.reduce((total, one) => total + of(one), 0);

/** `other-reader, training-mode (bnfold freeze)`. */
function reasons(kept: readonly { readonly kind: string; readonly code: string }[]): string {
  const codes = [...new Set(kept.filter(({ kind }) => kind === "batch-normalization").map(({ code }) => code))];
  return codes.map((code) => (code === "training-mode" ? `${code} (bnfold freeze)` : code)).join(", ");
}

const normsOf = ({ report }: FoldLine): Report["batchNormalization"] =>
  report?.batchNormalization ?? { before: 0, folded: 0, kept: 0 };

function folds(lines: readonly FoldLine[]): Overview {
  const failed = lines.filter(({ status }) => status === "failed");
  const resumed = lines.filter((line) => line.resumed === true).length;
  const kept = lines.filter((line) => line.status === "done" && normsOf(line).kept > 0);
  const count = `${lines.length - failed.length} of ${plural(lines.length, "model")} done`;
  const norms = (of: "before" | "folded" | "kept") => sum(lines, (line) => normsOf(line)[of]);
  const outcome = ({ status, report, error }: FoldLine) => (error !== undefined ? "error" : (report?.verdict.outcome ?? status));
  return {
    answer:
      `${count}${resumed > 0 ? ` (${resumed} by an earlier run)` : ""}, ${failed.length} failed, ${kept.length} kept something. ` +
      `${norms("before")} BatchNormalization: ${norms("folded")} folded, ${norms("kept")} kept.`,
    attention: [
      ...kept.map((line) => {
        const why = `${normsOf(line).kept} of ${normsOf(line).before}  ${reasons(line.report?.kept ?? [])}`;
        return ["kept", line.file, why] as const;
      }),
      ...failed.map((line) => ["failed", line.file, line.error?.message ?? line.report?.verdict.summary ?? ""] as const),
    ],
    head: ["model", "BatchNormalization", "folded", "kept", "size", "verdict", "time"],
    align: ["l", "r", "r", "r", "r", "l", "r"],
    rows: lines.map((line) => {
      const { before, folded, kept: stay } = normsOf(line);
      const size = byteSize(line.report?.input.bytes ?? 0);
      return [line.file, ...[before, folded, stay].map(String), size, outcome(line), milliseconds(1000 * line.seconds)];
    }),
  };
}

/** Why a pair is not equivalent, without the word that says so. */
function reasonOf({ missing, error, report }: VerifyLine): string {
  if (error !== undefined) return error.message;
  if (missing !== undefined) return `the ${missing} folder does not have it`;
  return (report?.verdict.summary ?? "").replace(/^(?:Different|Undecided|Not decided): /, "").split(/ (?=(?:Proof|Run): )/)[0];
}

function pairs(lines: readonly VerifyLine[]): Overview {
  const of = (status: VerifyLine["status"]) => lines.filter((line) => line.status === status);
  const list = (["different", "undecided", "missing", "failed"] as const).map((status) => [status, of(status).length] as const);
  return {
    answer: `${of("equivalent").length} of ${plural(lines.length, "pair")} equivalent, ${list.map(([status, n]) => `${n} ${status}`).join(", ")}.`,
    attention: lines
      .filter(({ status }) => status !== "equivalent")
      .map((line) => [line.status, line.file, reasonOf(line)] as const),
    head: ["model", "verdict", "size of first", "of second", "time"],
    align: ["l", "l", "r", "r", "r"],
    rows: lines.map(({ file, status, report, seconds }) => {
      const sizes = [report?.a, report?.b].map((model) => (model === undefined ? "" : byteSize(model.bytes)));
      return [file, status, ...sizes, milliseconds(1000 * seconds)];
    }),
  };
}

const foldable = ({ batchNormalizations }: InspectReport): number =>
  batchNormalizations.filter(({ fold }) => fold.action === "fold").length;

function looks(lines: readonly InspectLine[]): Overview {
  const read = lines.flatMap(({ report }) => report ?? []);
  const failed = lines.filter(({ error }) => error !== undefined);
  const all = sum(read, ({ batchNormalizations }) => batchNormalizations.length);
  const stay = lines.filter(({ report }) => report !== undefined && foldable(report) < report.batchNormalizations.length);
  return {
    answer:
      `${read.length} of ${plural(lines.length, "model")} read, ${failed.length} failed. ` +
      `${all} BatchNormalization: ${sum(read, foldable)} can be folded, ${all - sum(read, foldable)} stay.`,
    attention: [
      ...stay.map(({ file, report }) => {
        const { batchNormalizations: norms } = report as InspectReport;
        const why = `${norms.length - foldable(report as InspectReport)} of ${norms.length}  ${reasons(keptOf(report as InspectReport))}`;
        return ["stays", file, why] as const;
      }),
      ...failed.map(({ file, error }) => ["failed", file, error?.message ?? ""] as const),
    ],
    head: ["model", "nodes", "BatchNormalization", "can be folded", "size"],
    align: ["l", "r", "r", "r", "r"],
    rows: lines.map(({ file, report }) => {
      if (report === undefined) return [file, "", "", "", ""];
      const counts = [report.nodes, report.batchNormalizations.length, foldable(report)].map(String);
      return [file, ...counts, byteSize(report.model.bytes)];
    }),
  };
}

export function overviewOf(document: Many): Overview {
  if (document.kind === "folds") return folds(document.lines);
  return document.kind === "verifies" ? pairs(document.lines) : looks(document.lines);
}

/** Rows of each kind that are shown unasked. */
const LISTED = 20;

interface SummaryOptions {
  /** Columns there are. */
  readonly width?: number;
  /** A row for every model, not only for those that need attention. */
  readonly verbose?: boolean;
}

/** The answer for many models: how many are done, what needs attention; a row for each on request. */
export function summary(document: Many, { width, verbose = false }: SummaryOptions = {}): string {
  const { answer, attention, head, align, rows } = overviewOf(document);
  const shown = verbose ? attention : attention.slice(0, LISTED);
  const table = verbose ? columns(head, rows, align, width) : [];
  return [
    ...wrap(answer, width ?? Number.POSITIVE_INFINITY),
    ...(table.length === 0 ? [] : ["", ...table]),
    ...(shown.length === 0 ? [] : ["", ...fitted(shown, width)]),
    ...(shown.length < attention.length ? [`  and ${attention.length - shown.length} more; --verbose lists all`] : []),
  ].join("\n");
}

/** What is said of a model needs this many columns, before its name is shortened. */
const REASON = 28;

/** Rows without a head: names are shortened in the middle, reasons wrapped beside them; below them where a screen is narrow. */
function fitted(rows: readonly (readonly [string, string, string])[], width = Number.POSITIVE_INFINITY): string[] {
  const what = Math.max(...rows.map(([word]) => word.length));
  const longest = Math.max(...rows.map(([, file]) => printable(file).length));
  const room = width - what - 6;
  const beside = room - longest >= REASON || room >= 2 * REASON;
  const name = beside ? Math.min(longest, room - REASON) : room + 2;
  return rows.flatMap(([word, file, why]) => {
    const head = `  ${word.padEnd(what)}  ${shorten(printable(file), name)}`;
    const indent = beside ? what + name + 6 : what + 4;
    const lines = wrap(printable(why).trim(), width - indent);
    if (!beside) return [head, ...lines.map((line) => " ".repeat(indent) + line)];
    return lines.map((line, i) => (i === 0 ? head.padEnd(indent) : " ".repeat(indent)) + line).map((line) => line.trimEnd());
  });
}
