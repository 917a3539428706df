/** A report as Markdown, to paste into a thread. Names are code, so that none of them is markup. */
import { REASONS } from "../../src/diag/codes.ts";
import type { Report } from "../../src/report/report.ts";
import { plain } from "../../src/report/style.ts";
import { answer, foldLine, mergeLine } from "../../src/report/text.ts";
import { verdictFacts } from "../../src/report/verdict-text.ts";
import { byteSize, nodeLabel, printable } from "../../src/report/words.ts";

/** More entries than this of one kind are counted. */
const LISTED = 30;

/** Text as code, whatever backticks it has. */
export function code(text: string): string {
  const runs = [...text.matchAll(/`+/g)].map(([run]) => run.length);
  const fence = "`".repeat(Math.max(0, ...runs) + 1);
  const pad = /^`|`$|^ .* $/.test(text) ? " " : "";
  return `${fence}${pad}${printable(text)}${pad}${fence}`;
}

const sentence = (text: string): string => printable(text).replace(/[\\`*_{}[\]<>|#]/g, "\\$&");

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length > LISTED ? [`- and ${lines.length - LISTED} more`] : [];
  return [
    "",
    `<details><summary>${title} (${lines.length})</summary>`,
    "",
    ...lines.slice(0, LISTED).map((line) => `- ${line}`),
    ...more,
    "",
    "</details>",
  ];
}

export function reportMarkdown(report: Report, command: string): string {
  const { before, after } = report.operators;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const changed = names.filter((name) => before[name] !== after[name]);
  const total = report.output === null ? 0 : report.output.sideFiles.reduce((n, { bytes }) => n + bytes, report.output.bytes);
  const facts = verdictFacts(report.verdict, plain).facts.map(([label, text]) =>
    `- ${label} ${sentence(text)}`.replace("  ", " "),
  );
  return [
    `### ${code(report.input.file)}`,
    "",
    `**${sentence(answer(report))}**`,
    "",
    ...(changed.length === 0 ? [] : ["| operator | before | after |", "| :-- | --: | --: |"]),
    ...changed.map((name) => `| ${sentence(name)} | ${before[name] ?? 0} | ${after[name] ?? 0} |`),
    ...(changed.length === 0 ? [] : [""]),
    ...facts,
    report.output === null ? "- nothing was written" : `- size ${byteSize(report.input.bytes)} before, ${byteSize(total)} after`,
    ...section(
      "Folded",
      report.folds.map((fold) => code(foldLine(fold))),
    ),
    ...section(
      "Merged",
      report.merges.map((merge) => code(mergeLine(merge))),
    ),
    ...section(
      "Kept",
      report.kept.map(
        (kept) =>
          `${code(nodeLabel(kept.node))} ${code(kept.code)} ${sentence(kept.message)} ${sentence(REASONS[kept.code]?.advice ?? "")}`,
      ),
    ),
    "",
    `bnfold ${report.tool.version}: ${code(command)}`,
  ].join("\n");
}
