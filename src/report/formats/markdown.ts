/** Markdown as GitHub and GitLab take it: for a summary of a job or a comment. Names are code spans, sentences are escaped. */
import { markdownTable } from "markdown-table";
import type { ModelDiff } from "../../diff/types.ts";
import { answerOf } from "../answer.ts";
import { diffRows } from "../diff-text.ts";
import type { Document } from "../document.ts";
import { code, sentence } from "../escape.ts";
import { type Finding, findingsOf, ruleOf, type Strictness, textOf } from "../findings.ts";
import type { Align } from "../layout.ts";
import { overviewOf } from "../many.ts";
import { plain } from "../style.ts";
import { sizeLine } from "../text.ts";
import { verdictFacts } from "../verdict-text.ts";

/** Findings listed of one report; the JSON has all. */
const LISTED = 50;

const MARKS = { error: "**error**", warning: "warning", note: "note" } as const;

/** Cells are Markdown already. */
const table = (head: readonly string[], rows: readonly (readonly string[])[], align: readonly Align[]): string =>
  markdownTable([[...head], ...rows.map((row) => [...row])], { align: [...align] });

function findingTable(findings: readonly Finding[], many: boolean): string[] {
  if (findings.length === 0) return [];
  const rows = findings.slice(0, LISTED).map((finding) => {
    const { rule, level, file, node } = finding;
    const what = node === undefined ? "" : `${code(node.name || node.output)} (${sentence(node.opType)})`;
    return [MARKS[level], ...(many ? [code(file)] : []), code(rule), what, sentence(textOf(finding))];
  });
  const head = ["", ...(many ? ["model"] : []), "reason", "node", "what and why"];
  const more = findings.length > LISTED ? ["", `and ${findings.length - LISTED} more`] : [];
  return [
    "",
    table(
      head,
      rows,
      head.map(() => "l" as const),
    ),
    ...more,
  ];
}

function operatorTable(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const rows = names
    .filter((name) => (before[name] ?? 0) !== (after[name] ?? 0))
    .map((name) => [code(name), String(before[name] ?? 0), String(after[name] ?? 0)]);
  return rows.length === 0 ? [] : ["", table(["operator", "before", "after"], rows, ["l", "r", "r"])];
}

/** Everything that changed, a row each. */
function diffTables(diff: ModelDiff): string[] {
  const rows = diffRows(diff);
  const listed = rows
    .slice(0, LISTED)
    .map(([part, change, what, scope, before, after]) => [
      ...[sentence(part), sentence(change), code(scope === "" ? what : `${scope}: ${what}`)],
      ...[before, after].map((text) => (text === "" ? "" : code(text))),
    ]);
  const more = rows.length > LISTED ? ["", `and ${rows.length - LISTED} more`] : [];
  const table5 =
    listed.length === 0 ? [] : ["", table(["", "change", "what", "before", "after"], listed, ["l", "l", "l", "l", "l"])];
  return [...operatorTable(diff.operators.before, diff.operators.after), ...table5, ...more];
}

/** What the verdict rests on, and what was written. */
function facts(document: Document): string[] {
  if (document.kind !== "fold" && document.kind !== "verify") {
    const verdict = document.kind === "diff" ? document.report.verdict : undefined;
    return verdict === undefined ? [] : ["", sentence(verdict.summary)];
  }
  const { report } = document;
  const said = verdictFacts(report.verdict, plain).facts.map(
    ([label, text]) => `- ${label === "" ? "" : `${label}: `}${sentence(text)}`,
  );
  if (!("input" in report)) return ["", ...said];
  const { input, output } = report;
  const wrote = output === null ? "- wrote: nothing" : `- wrote: ${code(output.file)}, ${sentence(sizeLine(input, output))}`;
  return ["", ...said, wrote];
}

function titleOf(document: Document): string {
  switch (document.kind) {
    case "fold":
      return code(document.report.input.file);
    case "verify":
    case "diff":
      return `${code(document.report.a.file)} and ${code(document.report.b.file)}`;
    case "inspect":
      return code(document.report.model.file);
    default:
      return { folds: "Folded models", verifies: "Compared models", inspects: "Models" }[document.kind];
  }
}

export function markdown(document: Document, strictness: Strictness = {}): string {
  const findings = findingsOf(document, strictness);
  const many = "lines" in document;
  const rules = [...new Set(findings.map(({ rule }) => rule))].sort();
  const overview = many ? overviewOf(document) : undefined;
  return [
    `### bnfold: ${titleOf(document)}`,
    "",
    `**${sentence(answerOf(document))}**`,
    ...(document.kind === "fold" ? operatorTable(document.report.operators.before, document.report.operators.after) : []),
    ...(document.kind === "diff" ? diffTables(document.report.diff) : []),
    ...facts(document),
    ...(overview === undefined
      ? []
      : [
          "",
          table(
            overview.head,
            overview.rows.map(([file, ...rest]) => [code(file), ...rest.map(sentence)]),
            overview.align,
          ),
        ]),
    ...findingTable(findings, many),
    ...(rules.length === 0 ? [] : ["", rules.map((rule) => `${code(rule)}: ${sentence(ruleOf(rule).title)}`).join("; ")]),
  ].join("\n");
}
