/** Report → text for people. */
import { REASONS } from "../diag/codes.ts";
import type { Fold, InlinedFunction, Kept, Merge } from "../fold/types.ts";
import { columns, labelled, wrap } from "./layout.ts";
import type { NodeCounts, Report } from "./report.ts";
import { runtimeLines } from "./runtime.ts";
import { styleOf, type TextOptions } from "./style.ts";
import { verdictFacts } from "./verdict-text.ts";
import { brief, byteSize, listed, milliseconds, nodeLabel, plural, printable } from "./words.ts";

export { ansi, plain, type Style, type StyleName, type TextOptions } from "./style.ts";
export { table } from "./table.ts";

/** Operators whose number changed, most common first. */
export function operatorLines(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  width?: number,
): string[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const changed = names.filter((name) => (before[name] ?? 0) !== (after[name] ?? 0));
  const rows = changed.map((name) => [name, String(before[name] ?? 0), String(after[name] ?? 0)]);
  return rows.length === 0 ? [] : columns(["operator", "before", "after"], rows, ["l", "r", "r"], width);
}

/** `BatchNormalization "bn1" → Conv "conv1" through Relu "relu1" (gains 0.2 to 1.7)`. */
export function foldLine(fold: Fold): string {
  const targets = [...new Set(fold.into.map(({ node }) => nodeLabel(node)))];
  const into = targets.length === 0 ? "nothing left to do" : listed(targets);
  const through = fold.through.length === 0 ? "" : ` through ${listed(fold.through.map(nodeLabel))}`;
  const [low, high] = fold.scaleRange;
  if (fold.kind === "weight") return `${nodeLabel(fold.node)} -> ${into} (${printable(fold.notes.join("; "))})`;
  const gains = low === high ? `gain ${brief(low)}` : `gains ${brief(low)} to ${brief(high)}`;
  const bits = fold.bitsLost === 0 ? "" : `; may cost ${plural(fold.bitsLost, "bit")} of precision`;
  const copies = new Map(
    fold.into.flatMap(({ tensors }) =>
      tensors.flatMap(({ from, to, copied }) => (copied ? [[to, `"${printable(from)}" (${byteSize(copied)})`] as const] : [])),
    ),
  );
  const copied = copies.size === 0 ? "" : `; copies ${listed([...new Set(copies.values())])}, which others read`;
  const notes = fold.notes.length === 0 ? "" : `; ${printable(fold.notes.join("; "))}`;
  return `${nodeLabel(fold.node)} -> ${into}${through} (${gains}${bits}${copied}${notes})`;
}

const change = ([before, after]: readonly [number, number], what: string): string =>
  before === after ? `${before} ${what}` : `${before} to ${after} ${what}`;

/** `8 nodes -> Conv "conv1" (1440 to 1152 multiply-adds per position, …)`. */
export function mergeLine(merge: Merge): string {
  const costs = [change(merge.multiplyAdds, "multiply-adds per position"), change(merge.parameters, "parameters")];
  return `${plural(merge.nodes.length, "node")} -> ${nodeLabel(merge.into)} (${costs.join(", ")})`;
}

export function unmergedLine(region: Report["unmerged"][number]): string {
  return `${listed(region.nodes.map(nodeLabel))}: ${printable(region.reason)}`;
}

/** `16 calls of local:ConvBN, which nothing calls any more`. */
export function inlinedLine({ function: label, calls, dropped }: InlinedFunction): string {
  return `${plural(calls.length, "call")} of ${printable(label)}${dropped ? ", which nothing calls any more" : ""}`;
}

/** Constant Mul, Add and the like that stay are listed up to this many; of more, how many have which reason. */
const MOST_AFFINE = 8;

/** One line for each normalization or weight that stays; constant operators too, or a count by reason where they are many. */
export function keptLines(kept: readonly Kept[]): string[] {
  const norms = kept.filter((entry) => entry.kind !== "affine").map(keptLine);
  const others = kept.filter((entry) => entry.kind === "affine");
  if (others.length <= MOST_AFFINE) return [...norms, ...others.map(keptLine)];
  const counts = new Map<Kept["code"], number>();
  for (const { code } of others) counts.set(code, (counts.get(code) ?? 0) + 1);
  const list = [...counts].sort(([, a], [, b]) => b - a).map(([code, n]) => `${n} [${code}] ${REASONS[code].title}`);
  return [...norms, `${others.length} other constant operators (each in the JSON report): ${list.join("; ")}`];
}

/** Reason and advice of one kept node. */
export function keptLine(kept: Kept): string {
  const label = nodeLabel(kept.node);
  const message = printable(kept.message);
  const said = message.startsWith(label) ? message.slice(label.length).replace(/^: /, "") : message;
  return `${label} [${kept.code}] ${said} ${REASONS[kept.code].advice}`;
}

function countLine(what: string, counts: NodeCounts, done = "folded"): string {
  return `${what}: ${counts.before} before, ${counts.folded} ${done}, ${counts.kept} kept`;
}

/** What is counted only where it was asked for. */
export function normLines({ norm, weight }: Pick<Report, "norm" | "weight">): string[] {
  return [
    ...(norm === undefined ? [] : [countLine("other normalizations with a gain or shift", norm, "emptied")]),
    ...(weight === undefined ? [] : [countLine("computed weights", weight, "written out")]),
  ];
}

export function sizeLine(before: number, after: number): string {
  const change = after - before;
  const words = change === 0 ? "the same size" : `${byteSize(Math.abs(change))} ${change < 0 ? "smaller" : "larger"}`;
  return `${byteSize(before)} before, ${byteSize(after)} after (${words})`;
}

/** Lists longer than this are shown on request. */
const LISTED = 20;

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((n, v) => n + v, 0);

const isBatchNorm = (entry: Fold | Kept): boolean => entry.kind === "batch-normalization";

/** What was done, in one sentence: the first thing the reader wants to know after the verdict. */
function deed(report: Report): string {
  const { batchNormalization: norms, affine, merges, folds, operators, input } = report;
  const { producer } = input;
  if (folds.length + merges.length === 0) {
    if (norms.before + affine.before > 0) return `Nothing can be folded: ${counted(norms, affine)}.`;
    const by = [producer.name, producer.version].filter((part) => part !== "").join(" ");
    const exporter = /pytorch/i.test(producer.name) ? ", whose exporter folds Conv + BatchNormalization itself" : "";
    return `Nothing to do: no BatchNormalization in this file.${by === "" ? "" : ` Written by ${printable(by)}${exporter}.`}`;
  }
  const parts = [
    ...(norms.before > 0
      ? [`${norms.folded} of ${plural(norms.before, "BatchNormalization", "BatchNormalization")} folded`]
      : []),
    ...(affine.folded > 0 ? [`${affine.folded} other affine ${affine.folded === 1 ? "node" : "nodes"} folded`] : []),
    ...(report.norm === undefined
      ? []
      : [`${report.norm.folded} of ${plural(report.norm.before, "other normalization")} emptied`]),
    ...(report.weight === undefined ? [] : [`${plural(report.weight.folded, "computed weight")} written out`]),
    ...(merges.length > 0 ? [`${plural(merges.length, "branch region")} merged`] : []),
  ];
  return `${parts.join(", ")}: ${sum(operators.before)} -> ${sum(operators.after)} nodes.`;
}

/** The verdict and what was done, in one line. */
export function answer(report: Report): string {
  const { verdict, folds, merges } = report;
  const untouched = folds.length + merges.length === 0;
  return untouched && verdict.outcome === "equivalent" ? deed(report) : `${HEADS[verdict.outcome]} ${deed(report)}`;
}

const counted = (norms: NodeCounts, affine: NodeCounts): string =>
  [
    ...(norms.before > 0 ? [`${norms.kept} of ${norms.before} BatchNormalization kept`] : []),
    ...(affine.before > 0 ? [`${affine.kept} of ${plural(affine.before, "other affine node")} kept`] : []),
  ].join(", ");

const HEADS = { equivalent: "Equivalent.", different: "Different.", undecided: "Undecided.", "not-checked": "Not checked." };
const COLOURS = { equivalent: "green", different: "red", undecided: "yellow", "not-checked": "yellow" } as const;

/** Normalizations that stay, by reason. */
function keptCounts(kept: readonly Kept[]): string[] {
  const counts = new Map<Kept["code"], number>();
  for (const { code } of kept.filter(isBatchNorm)) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].map(([code, n]) => `${n} BatchNormalization [${code}] ${REASONS[code].title}. ${REASONS[code].advice}`);
}

/** Side files count: a model is what it needs to be loaded. */
function outputLines(report: Report): [label: string, text: string][] {
  const { input, output } = report;
  if (output === null) return [["wrote", "nothing"]];
  const side = output.sideFiles;
  const total = output.bytes + side.reduce((n, { bytes }) => n + bytes, 0);
  const beside = side.length === 0 ? "" : ` + ${listed(side.map(({ file }) => printable(file)))} (keep them together)`;
  const size = side.length === 0 ? sizeLine(input.bytes, output.bytes) : `${byteSize(total)} with side files`;
  return [
    ["size", size],
    ["wrote", `${printable(output.file)}${beside}`],
  ];
}

function tookLine({ timings, peakMemoryBytes }: Report, hidden: boolean): string {
  const spent = (Object.entries(timings) as [string, number][]).map(([name, ms]) => [name.replace(/Ms$/, ""), ms] as const);
  const total = spent.reduce((n, [, ms]) => n + ms, 0);
  const parts = spent.map(([name, ms]) => `${name} ${milliseconds(ms)}`);
  const more = hidden ? "; --verbose lists every fold" : "";
  return `${milliseconds(total)} (${parts.join(", ")}), peak memory ${byteSize(peakMemoryBytes)}${more}`;
}

interface Section {
  readonly title: string;
  readonly lines: readonly string[];
}

/** What was done and what was left, node by node. */
function sectionsOf(report: Report): Section[] {
  const byKind = <T extends Fold | Kept>(list: readonly T[]) => [
    ...list.filter(isBatchNorm),
    ...list.filter((entry) => !isBatchNorm(entry)),
  ];
  const foldsOf = (...kinds: Fold["kind"][]) => byKind(report.folds.filter(({ kind }) => kinds.includes(kind)));
  const [removed, emptied, settled] = [foldsOf("batch-normalization", "affine"), foldsOf("norm"), foldsOf("weight")];
  return [
    { title: "Calls of the model's functions written out", lines: (report.inlined ?? []).map(inlinedLine) },
    { title: `Folded (${plural(removed.length, "node")})`, lines: removed.map(foldLine) },
    { title: `Emptied (${plural(emptied.length, "normalization")})`, lines: emptied.map(foldLine) },
    { title: `Written out (${plural(settled.length, "weight")})`, lines: settled.map(foldLine) },
    { title: `Merged (${plural(report.merges.length, "region")})`, lines: report.merges.map(mergeLine) },
    { title: `Linear regions left as they are (${report.unmerged.length})`, lines: report.unmerged.map(unmergedLine) },
    { title: `Kept (${plural(report.kept.length, "node")})`, lines: keptLines(report.kept) },
  ].filter(({ lines }) => lines.length > 0);
}

/** Training mode changes what a network computes: it is said before anything else. */
function warnings({ kept, input }: Report): string[] {
  const training = kept.filter(({ code }) => code === "training-mode");
  if (training.length === 0) return [];
  return [
    `! Training mode: ${plural(training.length, "node uses", "nodes use")} the statistics of the batch they are given.`,
    "  The outputs depend on the batch. These nodes were not folded.",
    `  Next: bnfold freeze ${printable(input.file)} -o eval.onnx`,
    "",
  ];
}

/** The whole report for a person: the answer, what it rests on, what was written; each fold where they are few. */
export function renderText(report: Report, options: TextOptions = {}): string {
  const style = styleOf(options);
  const { width = Number.POSITIVE_INFINITY, verbose = false } = options;
  const { verdict, folds, merges, output } = report;
  const untouched = folds.length + merges.length === 0;
  const sections = sectionsOf(report);
  const lengthOf = (list: readonly Section[]) => list.reduce((n, { lines }) => n + lines.length + 2, 0);
  const hidden = !verbose && lengthOf(sections) > LISTED;
  const colour = COLOURS[verdict.outcome];
  const head = answer(report);
  const same = untouched && output !== null ? [`${printable(output.file)} is the input's bytes.`] : [];
  const { head: said, facts, details } = verdictFacts(verdict, style);
  const checked = said.replace(/^[A-Z][a-z ]+: /, "");
  const table = operatorLines(report.operators.before, report.operators.after, width - 2);
  const rows = [
    ...(hidden ? keptCounts(report.kept).map((line): [string, string] => ["kept", line]) : []),
    ...(untouched && verdict.outcome === "equivalent" ? [] : [["checked", checked] as [string, string], ...facts]),
    ...(report.bitsLost === 0
      ? []
      : [
          ["bits", `the costliest fold may cost ${plural(report.bitsLost, "bit")} of precision (estimated from constants)`] as [
            string,
            string,
          ],
        ]),
    ...outputLines(report),
    ["took", tookLine(report, hidden)] as [string, string],
  ];
  const fitted = (line: string) => wrap(line, width, "  ");
  return [
    ...warnings(report).map((line) => (line === "" ? line : style("yellow", line))),
    ...[head, ...same].flatMap((line) => wrap(line, width)).map((line) => style(colour, style("bold", line))),
    ...(table.length === 0 ? [] : ["", ...table.map((line) => `  ${line}`)]),
    "",
    ...rows.flatMap(([label, text]) => labelled(label, text, width)),
    ...(details.length === 0 ? [] : ["", ...details.flatMap((line) => fitted(`- ${line}`))]),
    ...(hidden
      ? []
      : sections.flatMap(({ title, lines }) => [
          "",
          ...wrap(title, width).map((line) => style("bold", line)),
          ...lines.flatMap((line) => fitted(`- ${line}`)),
        ])),
    ...(report.runtime === undefined ? [] : ["", ...runtimeLines(report.runtime)]),
  ].join("\n");
}
