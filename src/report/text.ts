/** Report → text for people. */
import { adviceFor, REASONS } from "../diag/codes.ts";
import type { EqualizedData, EqualizedValue, EqualizedWeight, Fold, InlinedFunction, Kept, Merge } from "../fold/types.ts";
import { ASCII } from "../train/half-life.ts";
import { columns, labelled, wrap } from "./layout.ts";
import { channelLines } from "./pictures.ts";
import type { CertificateFacts, FileFacts, ModelFacts, NeededFiles, NodeCounts, OutputFacts, Report } from "./report.ts";
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

/** What a run says of the bits that are estimated, as a clause. */
export const measuredText = ({ bitsMeasured }: Report): string =>
  bitsMeasured === undefined
    ? ""
    : `; a run near the statistics loses ${plural(bitsMeasured.bits, "bit")} at "${printable(bitsMeasured.value)}"`;

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
  return `${label} [${kept.code}] ${said} ${adviceFor(kept)}`;
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

/** Bytes of a model with its side files; reports of earlier builds have only the model's own. */
const totalOf = ({ bytes, totalBytes = bytes }: FileFacts & Partial<NeededFiles>): number => totalBytes;

/** What it takes to load a model, and from how many files. */
export const sized = (model: ModelFacts): string =>
  `${byteSize(totalOf(model))}${model.sideFiles.length === 0 ? "" : ` with ${plural(model.sideFiles.length, "side file")}`}`;

/** Both sizes, side files counted: a model is what it takes to load it. */
export function sizeLine(input: ModelFacts, output: OutputFacts): string {
  const [before, after] = [totalOf(input), totalOf(output)];
  const change = after - before;
  const words = change === 0 ? "the same size" : `${byteSize(Math.abs(change))} ${change < 0 ? "smaller" : "larger"}`;
  const counted = (input.sideFiles ?? []).length + output.sideFiles.length > 0 ? ", side files included" : "";
  return `${byteSize(before)} before, ${byteSize(after)} after (${words}${counted})`;
}

/** A side file less used than this has parts worth naming; what aligns its payloads is less. */
const MOSTLY = 0.99;

/** Side files that the output shares with the input and uses a part of: they are kept whole, since others may need them. */
export const unusedLines = ({ sideFiles: own = [] }: ModelFacts, { sideFiles }: OutputFacts): string[] =>
  sideFiles
    .filter(({ file, bytes, usedBytes = bytes }) => usedBytes < MOSTLY * bytes && own.some((side) => side.file === file))
    .map(
      ({ file, bytes, usedBytes }) =>
        `${printable(file)}: ${byteSize(usedBytes)} of its ${byteSize(bytes)} are still used; --external copy writes just those`,
    );

/** `"a", "b": 25 of 64 channels by 2^-2 to 2^1; 1 Clip became Relu and Min`. */
export function equalizedLine({ values, channels, moved, exponents: [low, high], clips }: EqualizedValue): string {
  const clipped = clips === 0 ? "" : `; ${plural(clips, "Clip")} with a bound for each channel`;
  return `${listed(values.map((name) => `"${printable(name)}"`))}: ${moved} of ${plural(channels, "channel")}, by 2^${low} to 2^${high}${clipped}`;
}

/** `Conv "conv1" [32, 3, 3, 3]: 39.7 to 42.9 dB, with a scale per channel 45.3 to 45.8 dB, ranges of channels 12x to 3.1x apart`. */
export function noiseLine({ node, dims, changed, snr, snrPerChannel, ranges }: EqualizedWeight): string {
  const pair = ([before, after]: readonly [number, number]) =>
    changed && before !== after ? `${brief(before)} to ${brief(after)}` : brief(before);
  const apart = ranges.map((list) => {
    const seen = list.filter((range) => range > 0);
    return seen.length === 0 ? 1 : seen.reduce((m, v) => Math.max(m, v)) / seen.reduce((m, v) => Math.min(m, v));
  }) as [number, number];
  return `${nodeLabel(node)} [${dims.join(", ")}]: ${pair(snr)} dB, with a scale per channel ${pair(snrPerChannel)} dB, ranges of channels ${pair(apart)} times apart`;
}

/** What equalisation did, in a few words. */
function equalizedDeed({ snr: [before, after], moved, weights }: EqualizedData): string {
  if (weights.length === 0) return "nothing to equalize: no layer with constant weights";
  if (moved.length === 0)
    return `nothing to equalize: no power of two lowers the noise of int8 weights (${brief(before)} dB of signal to noise)`;
  const channels = moved.reduce((n, value) => n + value.moved, 0);
  return `${plural(channels, "channel")} equalized: signal to noise of int8 weights ${brief(before)} -> ${brief(after)} dB`;
}

const isUntouched = ({ folds, merges, equalized }: Report): boolean =>
  folds.length + merges.length + (equalized?.moved.length ?? 0) === 0;

const sentence = (words: string): string => `${words[0].toUpperCase()}${words.slice(1)}`;

/** Lists longer than this are shown on request. */
const LISTED = 20;

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((n, v) => n + v, 0);

const isBatchNorm = (entry: Fold | Kept): boolean => entry.kind === "batch-normalization";

/** Who wrote a file, by the name people know it by. */
export const producerText = ({ name, version }: ModelFacts["producer"]): string => {
  const known = /^pytorch$/i.test(name) ? "PyTorch" : name;
  // tf2onnx writes the commit it does not know.
  return printable([known, version.replace(/ None$/, "")].filter((part) => part !== "").join(" "));
};

/** What was done, in one sentence: the first thing the reader wants to know after the verdict. */
function deed(report: Report): string {
  const { batchNormalization: norms, affine, merges, folds, operators, input, equalized } = report;
  const { producer } = input;
  if (equalized !== undefined && folds.length + merges.length === 0) return `${sentence(equalizedDeed(equalized))}.`;
  if (folds.length + merges.length === 0) {
    if (norms.before + affine.before > 0) return `Nothing can be folded: ${counted(norms, affine)}.`;
    const by = producerText(producer);
    const exporter =
      /pytorch/i.test(producer.name) && input.training === undefined
        ? ", whose exporter folds Conv + BatchNormalization itself"
        : "";
    return `Nothing to do: no BatchNormalization in this file.${by === "" ? "" : ` Written by ${by}${exporter}.`}`;
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
    ...(equalized === undefined ? [] : [equalizedDeed(equalized)]),
  ];
  return `${parts.join(", ")}: ${sum(operators.before)} -> ${sum(operators.after)} nodes.`;
}

/** The verdict and what was done, in one line. */
export function answer(report: Report): string {
  const { verdict } = report;
  return isUntouched(report) && verdict.outcome === "equivalent" ? deed(report) : `${HEADS[verdict.outcome]} ${deed(report)}`;
}

const counted = (norms: NodeCounts, affine: NodeCounts): string =>
  [
    ...(norms.before > 0 ? [`${norms.kept} of ${norms.before} BatchNormalization kept`] : []),
    ...(affine.before > 0 ? [`${affine.kept} of ${plural(affine.before, "other affine node")} kept`] : []),
  ].join(", ");

const HEADS = { equivalent: "Equivalent.", different: "Different.", undecided: "Undecided.", "not-checked": "Not checked." };
const COLOURS = { equivalent: "green", different: "red", undecided: "yellow", "not-checked": "yellow" } as const;

/** Normalizations that stay, by reason. */
export function keptCounts(kept: readonly Kept[]): string[] {
  const counts = new Map<Kept["code"], number>();
  for (const { code } of kept.filter(isBatchNorm)) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].map(([code, n]) => `${n} BatchNormalization [${code}] ${REASONS[code].title}. ${REASONS[code].advice}`);
}

function outputLines(report: Report): [label: string, text: string][] {
  const { input, output } = report;
  if (output === null) return [["wrote", "nothing"]];
  const side = output.sideFiles;
  const beside = side.length === 0 ? "" : ` + ${listed(side.map(({ file }) => printable(file)))} (keep them together)`;
  return [
    ["size", sizeLine(input, output)],
    ...unusedLines(input, output).map((line): [string, string] => ["unused", line]),
    ["wrote", `${printable(output.file)}${beside}`],
  ];
}

function tookLine({ timings, peakMemoryBytes }: Report, hidden: boolean): string {
  const all = (Object.entries(timings) as [string, number][]).map(([name, ms]) => [name.replace(/Ms$/, ""), ms] as const);
  const spent = all.filter(([, ms]) => ms > 0);
  const total = spent.reduce((n, [, ms]) => n + ms, 0);
  const parts = spent.map(([name, ms]) => `${name} ${milliseconds(ms)}`);
  const more = hidden ? "; --verbose lists every fold" : "";
  return `${milliseconds(total)} (${parts.join(", ")}), peak memory ${byteSize(peakMemoryBytes)}${more}`;
}

/** How what is kept compares with what every rewrite of that kind keeps. */
function minimalText({ file, candidates, kept, least }: CertificateFacts): string {
  const stays = `${kept} of ${plural(candidates, "node")} kept`;
  const where = `(certificate: ${printable(file)})`;
  if (kept === least) return `${stays}, and no rewrite of this kind keeps fewer ${where}`;
  if (kept > least) return `${stays}; at least ${least} must stay in any rewrite of this kind ${where}`;
  return `${stays}, fewer than the ${least} of any rewrite by gauges alone: merging and other rules took the rest ${where}`;
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
    {
      title: `Frozen (${plural(report.frozen?.length ?? 0, "node")})`,
      lines: (report.frozen ?? []).map(({ node, change }) => `${nodeLabel(node)}: ${change}`),
    },
    { title: "Calls of the model's functions written out", lines: (report.inlined ?? []).map(inlinedLine) },
    { title: `Folded (${plural(removed.length, "node")})`, lines: removed.map(foldLine) },
    { title: `Emptied (${plural(emptied.length, "normalization")})`, lines: emptied.map(foldLine) },
    { title: `Written out (${plural(settled.length, "weight")})`, lines: settled.map(foldLine) },
    { title: `Merged (${plural(report.merges.length, "region")})`, lines: report.merges.map(mergeLine) },
    { title: "Equalized", lines: (report.equalized?.moved ?? []).map(equalizedLine) },
    { title: "Int8 weights, signal to noise", lines: (report.equalized?.weights ?? []).map(noiseLine) },
    { title: `Linear regions left as they are (${report.unmerged.length})`, lines: report.unmerged.map(unmergedLine) },
    { title: `Kept (${plural(report.kept.length, "node")})`, lines: keptLines(report.kept) },
  ].filter(({ lines }) => lines.length > 0);
}

/** Training mode changes what a network computes: it is said before anything else. */
export function trainingLines({ file, training }: ModelFacts, next = "", done = ""): string[] {
  if (training === undefined) return [];
  const { batchNormalization: norms, dropout } = training;
  const parts = [
    ...(norms > 0 ? [`${norms} BatchNormalization ${norms === 1 ? "uses" : "use"} batch statistics`] : []),
    ...(dropout > 0 ? [`${dropout} Dropout ${dropout === 1 ? "is" : "are"} active`] : []),
  ];
  const on = [...(norms > 0 ? ["on the batch"] : []), ...(dropout > 0 ? ["on chance"] : [])];
  return [
    `! Training mode: ${parts.join(", ")}.`,
    `  The outputs depend ${on.join(" and ")}.${done === "" || norms === 0 ? "" : ` ${done}`}`,
    `  Next: bnfold freeze ${printable(file)} -o eval.onnx${next}`,
    "",
  ];
}

/** What is said on top of a fold's answer. */
function warnings({ input, frozen = [] }: Report): string[] {
  if (frozen.length === 0) return trainingLines(input, "     or: bnfold fold --freeze ...", "These nodes were not folded.");
  return [
    `! Training mode: ${plural(frozen.length, "node was", "nodes were")} given inference semantics first, which changes what the model computes.`,
    "  Everything below is said of the frozen model.",
    "",
  ];
}

/** With the whole report, the channels of each layer as pictures. */
function pictured({ channels = [] }: Report, options: TextOptions): string[] {
  const { width = Number.POSITIVE_INFINITY, verbose = false, bars = ASCII } = options;
  const lines = verbose ? channelLines(channels, bars, width - 2) : [];
  if (lines.length === 0) return [];
  const what =
    "gains: how many channels, by size, logarithmic; weight before and after: largest number of each channel of the layer in front";
  return ["", styleOf(options)("bold", "Channels"), ...lines.map((line) => `  ${line}`), ...wrap(what, width, "  ")];
}

/** The whole report for a person: the answer, what it rests on, what was written; each fold where they are few. */
export function renderText(report: Report, options: TextOptions = {}): string {
  const style = styleOf(options);
  const { width = Number.POSITIVE_INFINITY, verbose = false } = options;
  const { verdict, output } = report;
  const untouched = isUntouched(report);
  const sections = sectionsOf(report);
  const lengthOf = (list: readonly Section[]) => list.reduce((n, { lines }) => n + lines.length + 2, 0);
  const hidden = !verbose && lengthOf(sections) > LISTED;
  const colour = COLOURS[verdict.outcome];
  const head = answer(report);
  const same =
    untouched && output !== null && (report.frozen ?? []).length === 0 ? [`${printable(output.file)} is the input's bytes.`] : [];
  const { head: said, facts, details } = verdictFacts(verdict, style, verbose);
  const checked = said.replace(/^[A-Z][a-z ]+: /, "");
  const table = operatorLines(report.operators.before, report.operators.after, width - 2);
  const rows = [
    ...(hidden ? keptCounts(report.kept).map((line): [string, string] => ["kept", line]) : []),
    ...(untouched && verdict.outcome === "equivalent" ? [] : [["checked", checked] as [string, string], ...facts]),
    ...(report.bitsLost === 0
      ? []
      : [
          [
            "bits",
            `the costliest fold may cost ${plural(report.bitsLost, "bit")} of precision (estimated from constants${measuredText(report)})`,
          ] as [string, string],
        ]),
    ...outputLines(report),
    ...(report.certificate === undefined ? [] : [["minimal", minimalText(report.certificate)] as [string, string]]),
    ["took", tookLine(report, hidden)] as [string, string],
  ];
  const fitted = (line: string) => wrap(line, width, "  ");
  return [
    ...warnings(report)
      .flatMap((line) => wrap(line, width, "  "))
      .map((line) => (line === "" ? line : style("yellow", line))),
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
    ...pictured(report, options),
    ...(report.runtime === undefined ? [] : ["", ...runtimeLines(report.runtime, width)]),
  ].join("\n");
}
