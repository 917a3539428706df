/** Comma-separated values by RFC 4180: a row for each model of many, for each node of one, for each place of two. */

import { diffRows } from "../diff-text.ts";
import type { Document, InspectReport } from "../document.ts";
import { csvLines } from "../escape.ts";
import { keptOf } from "../findings.ts";
import { overviewOf } from "../many.ts";
import type { Report } from "../report.ts";

type Row = readonly (string | number | undefined)[];

const NODE_HEAD: Row = [
  "decision",
  "kind",
  "operator",
  "node",
  "scope",
  "into",
  "gain_least",
  "gain_most",
  "bits_lost",
  "reason",
  "message",
];

function foldRows({ folds, kept }: Report): Row[] {
  return [
    NODE_HEAD,
    ...folds.map(({ kind, node, into, scaleRange, bitsLost, notes }): Row => {
      const targets = [...new Set(into.map(({ node: to }) => to.name || to.output))].join(" ");
      const where = [node.opType, node.name || node.output, node.scope, targets];
      return ["folded", kind, ...where, ...scaleRange, bitsLost, "", notes.join("; ")];
    }),
    ...kept.map(keptRow),
  ];
}

const keptRow = ({ kind, node, code, message }: Report["kept"][number]): Row => [
  ...["kept", kind, node.opType, node.name || node.output, node.scope, "", "", "", "", code, message],
];

function inspectRows(report: InspectReport): Row[] {
  const folds = report.batchNormalizations.flatMap(({ node, fold }): Row[] => {
    if (fold.action !== "fold") return [];
    const targets = [...new Set(fold.into.map((to) => to.name || to.output))].join(" ");
    return [["folds", "batch-normalization", node.opType, node.name || node.output, node.scope, targets, "", "", "", "", ""]];
  });
  return [NODE_HEAD, ...folds, ...keptOf(report).map(keptRow)];
}

function verdictRows({ proof, run }: Report["verdict"]): Row[] {
  return [
    [
      "evidence",
      "value",
      "outcome",
      "worst_half_ulps",
      "coefficients",
      "rms_difference",
      "largest_difference",
      "ratio",
      "reason",
    ],
    ...(proof?.regions ?? []).map(
      (r): Row => ["proof", r.value, r.outcome, r.worstHalfUlps, r.coefficients, "", "", "", r.reason],
    ),
    ...(run?.regions ?? []).map((r): Row => {
      return [
        "run of a region",
        r.value,
        r.ok ? "equal" : "different",
        "",
        "",
        r.rmsDifference,
        r.maxDifference,
        r.ratio,
        r.problem,
      ];
    }),
    ...(run?.samples ?? []).flatMap(({ kind, outputs }) =>
      outputs.map((o): Row => {
        const outcome = o.ok ? "equal" : "different";
        return [`run on ${kind}`, o.name, outcome, "", "", o.rmsDifference, o.maxDifference, o.ratio, ""];
      }),
    ),
  ];
}

const MANY_HEADS: Readonly<Record<string, Row>> = {
  folds: [
    "model",
    "status",
    "code",
    "batch_normalization",
    "folded",
    "kept",
    "bytes",
    "bytes_after",
    "verdict",
    "seconds",
    "reasons",
    "error",
  ],
  verifies: ["model", "status", "code", "missing_from", "bytes_first", "bytes_second", "seconds", "error"],
  inspects: ["model", "status", "code", "nodes", "batch_normalization", "can_be_folded", "bytes", "reasons", "error"],
};

const codes = (kept: readonly { readonly code: string }[]): string => [...new Set(kept.map(({ code }) => code))].join(" ");

function manyRows(document: Exclude<Document, { readonly report: unknown }>): Row[] {
  const head = MANY_HEADS[document.kind];
  switch (document.kind) {
    case "folds":
      return [
        head,
        ...document.lines.map(({ file, status, code, seconds, error, report }): Row => {
          const { before, folded, kept } = report?.batchNormalization ?? {};
          const sizes = [report?.input.bytes, report?.output?.bytes];
          const why = codes(report?.kept ?? []);
          return [file, status, code, before, folded, kept, ...sizes, report?.verdict.outcome, seconds, why, error?.message];
        }),
      ];
    case "verifies":
      return [
        head,
        ...document.lines.map(({ file, status, code, seconds, missing, error, report }): Row => {
          return [file, status, code, missing, report?.a.bytes, report?.b.bytes, seconds, error?.message];
        }),
      ];
    case "inspects": {
      const { rows } = overviewOf(document);
      return [
        head,
        ...document.lines.map(({ file, status, code, error, report }, i): Row => {
          const why = report === undefined ? "" : codes(keptOf(report));
          return [file, status, code, ...rows[i].slice(1, 4), report?.model.bytes, why, error?.message];
        }),
      ];
    }
  }
}

export function csv(document: Document): string {
  switch (document.kind) {
    case "fold":
      return csvLines(foldRows(document.report));
    case "verify":
      return csvLines(verdictRows(document.report.verdict));
    case "diff":
      return csvLines([["part", "change", "what", "scope", "before", "after"], ...diffRows(document.report.diff)]);
    case "inspect":
      return csvLines(inspectRows(document.report));
    default:
      return csvLines(manyRows(document));
  }
}
