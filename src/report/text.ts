/** Report → text for people. */
import { REASONS } from "../diag/codes.ts";
import type { Fold, InlinedFunction, Kept, Merge } from "../fold/types.ts";
import type { NodeCounts, Report } from "./report.ts";
import { runtimeLines } from "./runtime.ts";
import { type Style, styleOf, type TextOptions } from "./style.ts";
import { table } from "./table.ts";
import { verdictLines } from "./verdict-text.ts";
import { brief, byteSize, listed, milliseconds, nodeLabel, plural, printable } from "./words.ts";

export { ansi, plain, type Style, type StyleName, type TextOptions } from "./style.ts";
export { table } from "./table.ts";

const signed = (n: number): string => (n > 0 ? `+${n}` : String(n));

/** Operators whose number changed, and the total. */
export function operatorTable(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): string {
  const row = (name: string, a: number, b: number) => [name, String(a), String(b), a === b ? "" : signed(b - a)];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const changed = names.filter((name) => (before[name] ?? 0) !== (after[name] ?? 0));
  const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((n, v) => n + v, 0);
  const rows = changed.map((name) => row(name, before[name] ?? 0, after[name] ?? 0));
  return table(
    ["operator", "before", "after", "change"],
    [...rows, row("all operators", sum(before), sum(after))],
    ["l", "r", "r", "r"],
  );
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

function section(title: string, lines: readonly string[], style: Style): string[] {
  return lines.length === 0 ? [] : ["", style("bold", title), ...lines.map((line) => `- ${line}`)];
}

export function sizeLine(before: number, after: number): string {
  const change = after - before;
  const words = change === 0 ? "the same size" : `${byteSize(Math.abs(change))} ${change < 0 ? "smaller" : "larger"}`;
  return `${byteSize(before)} before, ${byteSize(after)} after (${words})`;
}

function outputLines(report: Report): string[] {
  const { input, output, timings } = report;
  const spent = (Object.entries(timings) as [string, number][]).map(([name, ms]) => `${name.slice(0, -2)} ${milliseconds(ms)}`);
  const cost = `time: ${spent.join(", ")}; peak memory ${byteSize(report.peakMemoryBytes)}`;
  if (output === null) return ["nothing was written", cost];
  const side = output.sideFiles.length === 0 ? "" : `, with ${listed(output.sideFiles.map(({ file }) => printable(file)))}`;
  return [`wrote ${printable(output.file)}${side}: ${sizeLine(input.bytes, output.bytes)}`, cost];
}

/** The whole report for a person. BatchNormalization first: that is what the reader came for. */
export function renderText(report: Report, options: TextOptions = {}): string {
  const style = styleOf(options);
  const { input } = report;
  const opsets = Object.entries(input.opsets).map(([domain, version]) => `${domain} ${version}`);
  const by = [input.producer.name, input.producer.version].filter((part) => part !== "").join(" ");
  const isBatchNorm = (entry: Fold | Kept) => entry.kind === "batch-normalization";
  const byKind = <T extends Fold | Kept>(list: readonly T[]) => [
    ...list.filter(isBatchNorm),
    ...list.filter((entry) => !isBatchNorm(entry)),
  ];
  const changed = report.folds.length + report.merges.length > 0;
  const foldsOf = (...kinds: Fold["kind"][]) => byKind(report.folds.filter(({ kind }) => kinds.includes(kind)));
  const [removed, emptied, settled] = [foldsOf("batch-normalization", "affine"), foldsOf("norm"), foldsOf("weight")];
  return [
    `${style("bold", printable(input.file))}  ${byteSize(input.bytes)}, IR ${input.irVersion}, ${printable(listed(opsets))}` +
      `${by === "" ? "" : `, by ${printable(by)}`}`,
    "",
    operatorTable(report.operators.before, report.operators.after),
    "",
    countLine("BatchNormalization", report.batchNormalization),
    countLine("other constant affine operators", report.affine),
    ...(report.bitsLost === 0
      ? []
      : [`precision: the costliest fold may cost ${plural(report.bitsLost, "bit")} (estimated from constants)`]),
    ...section("Calls of the model's functions written out", (report.inlined ?? []).map(inlinedLine), style),
    ...normLines(report),
    ...section(`Folded (${plural(removed.length, "node")})`, removed.map(foldLine), style),
    ...section(`Emptied (${plural(emptied.length, "normalization")})`, emptied.map(foldLine), style),
    ...section(`Written out (${plural(settled.length, "weight")})`, settled.map(foldLine), style),
    ...section(`Merged (${plural(report.merges.length, "region")})`, report.merges.map(mergeLine), style),
    ...section(`Parallel branches left (${plural(report.unmerged.length, "region")})`, report.unmerged.map(unmergedLine), style),
    ...section(`Kept (${plural(report.kept.length, "node")})`, keptLines(report.kept), style),
    ...(changed ? [] : ["", "Nothing to fold: the output is the input, byte for byte."]),
    "",
    ...verdictLines(report.verdict, style),
    ...(report.runtime === undefined ? [] : ["", ...runtimeLines(report.runtime)]),
    "",
    ...outputLines(report),
  ].join("\n");
}
