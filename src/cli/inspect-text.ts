/** What bnfold inspect shows: the answer, what is in the file, what comes next; each node where they are few. */
import type { Kept, NodeRef, PlanData } from "../fold/types.ts";
import { inspectAnswer } from "../report/answer.ts";
import type { Action, InspectReport } from "../report/document.ts";
import { columns, labelled, wrap } from "../report/layout.ts";
import type { NodeCounts } from "../report/report.ts";
import { styleOf, type TextOptions } from "../report/style.ts";
import { keptCounts, keptLines, mergeLine, normLines, producerText, sized, trainingLines, unmergedLine } from "../report/text.ts";
import { brief, listed, nodeLabel, plural, printable } from "../report/words.ts";
import { suspectMomentum } from "../train/momentum.ts";
import type { WrittenNorm } from "../train/written-norms.ts";

export interface BatchNormalization {
  readonly node: NodeRef;
  readonly mode: "inference" | "training";
  readonly epsilon: number;
  readonly momentum: number;
  /** null when the parameters are not constant. */
  readonly channels: number | null;
  readonly fold: Action;
}

/** Another normalization with a gain or shift, or a weight that constants compute. */
export interface Norm {
  readonly node: NodeRef;
  readonly kind: "norm" | "weight";
  readonly fold: Action;
}

export interface Inspection extends InspectReport {
  readonly functions: number;
  readonly batchNormalizations: readonly BatchNormalization[];
  readonly kept: readonly Kept[];
  /** Parallel linear branches that would cost more as one layer. */
  readonly unmerged: PlanData["unmerged"];
  /** With --norms. */
  readonly norm?: NodeCounts;
  readonly weight?: NodeCounts;
  readonly norms?: readonly Norm[];
}

/** Lists longer than this are shown on request. */
const LISTED = 20;

function actionText(action: Action): string {
  if (action.action === "keep") return `kept: ${action.code}`;
  return action.into.length === 0 ? "goes" : `-> ${listed([...new Set(action.into.map(nodeLabel))])}`;
}

/** What all of a list have in common; undefined where they differ. */
const common = <T>(list: readonly T[]): T | undefined => (new Set(list).size === 1 ? list[0] : undefined);

/** Operators, the most frequent first; of many kinds the rest in one row. */
function operatorTable({ operators, nodes }: Inspection, verbose: boolean, width: number): string[] {
  const all = Object.entries(operators).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const shown = verbose ? all : all.slice(0, LISTED);
  const rest = all.slice(shown.length).reduce((sum, [, n]) => sum + n, 0);
  const more = rest === 0 ? [] : [[`${all.length - shown.length} more kinds`, String(rest)]];
  const rows = [...shown.map(([name, n]) => [name, String(n)]), ...more, ["all operators", String(nodes)]];
  return columns(["operator", "nodes"], rows, ["l", "r"], width);
}

/** Mode, epsilon and momentum of the batch normalizations, where they are the same for all. */
function normsText(list: readonly BatchNormalization[]): string {
  const [mode, epsilon, momentum] = [
    common(list.map((bn) => bn.mode)),
    common(list.map((bn) => bn.epsilon)),
    common(list.map((bn) => bn.momentum)),
  ];
  const training = list.filter((bn) => bn.mode === "training").length;
  return [
    mode === undefined ? `${training} of them in training mode` : `in ${mode} mode`,
    epsilon === undefined ? "epsilon differs" : `epsilon ${brief(epsilon)}`,
    momentum === undefined ? "momentum differs" : `momentum ${momentum}`,
  ].join(", ");
}

/** A row for each batch normalization; what is the same in all rows is said once, above. */
function normTable(list: readonly BatchNormalization[], width: number): string[] {
  const same = (of: (bn: BatchNormalization) => unknown) => common(list.map(of)) !== undefined && list.length > 1;
  const fields = [
    ["mode", "l", (bn: BatchNormalization) => bn.mode as string, same((bn) => bn.mode)],
    ["epsilon", "r", (bn: BatchNormalization) => brief(bn.epsilon), same((bn) => bn.epsilon)],
    ["momentum", "r", (bn: BatchNormalization) => String(bn.momentum), same((bn) => bn.momentum)],
    ["channels", "r", (bn: BatchNormalization) => (bn.channels === null ? "?" : String(bn.channels)), false],
  ] as const;
  const shown = fields.filter(([, , , hidden]) => !hidden);
  const rows = list.map((bn) => [
    printable(nodeLabel(bn.node).replace(/^BatchNormalization /, "")),
    ...shown.map(([, , text]) => text(bn)),
    actionText(bn.fold),
  ]);
  return columns(
    ["BatchNormalization", ...shown.map(([name]) => name), "fold"],
    rows,
    ["l", ...shown.map(([, align]) => align), "l"],
    width,
  );
}

interface Section {
  readonly title: string;
  readonly lines: readonly string[];
  /** Lines that are a table already. */
  readonly isTable?: boolean;
}

function sectionsOf(found: Inspection, width: number): Section[] {
  const { batchNormalizations: list, norms = [], merges, unmerged, kept } = found;
  const regions = (title: string, n: number) => `${title} (${plural(n, "region")})`;
  const normRows = norms.map(({ node, fold }) => [nodeLabel(node), actionText(fold)]);
  return [
    { title: "", lines: list.length === 0 ? [] : normTable(list, width - 2), isTable: true },
    {
      title: "",
      lines: normRows.length === 0 ? [] : columns(["normalization or weight", "fold"], normRows, ["l", "l"], width - 2),
      isTable: true,
    },
    { title: regions("Parallel branches that can be merged", merges.length), lines: merges.map(mergeLine) },
    { title: regions("Linear regions left as they are", unmerged.length), lines: unmerged.map(unmergedLine) },
    { title: `Kept (${plural(kept.length, "node")})`, lines: keptLines(kept) },
  ].filter(({ lines }) => lines.length > 0);
}

/** The command that does it. */
function nextText(found: Inspection, file: string): string | undefined {
  const folds = found.batchNormalizations.filter(({ fold }) => fold.action === "fold").length;
  return folds + found.affine.folded + found.merges.length === 0 || file === "-"
    ? undefined
    : `bnfold fold ${printable(file)} -o folded.onnx`;
}

interface ScreenOptions extends TextOptions {
  /** As it was written on the command line. */
  readonly file: string;
  /** Normalizations that are written as arithmetic, in a file without a BatchNormalization. */
  readonly written: readonly WrittenNorm[];
}

function writtenText(written: readonly WrittenNorm[]): string {
  const operators = [...new Set(written.flatMap(({ nodes }) => nodes.map(({ opType }) => opType)))];
  return `${plural(written.length, "normalization is", "normalizations are")} written as ${listed(operators)}, as Keras and tf2onnx do; --channels shows their gains`;
}

/** The screen. */
export function inspectText(found: Inspection, options: ScreenOptions): string {
  const style = styleOf(options);
  const { width = Number.POSITIVE_INFINITY, verbose = false, file, written } = options;
  const { model, kept, batchNormalizations: list, affine } = found;
  const opsets = Object.entries(model.opsets).map(([domain, version]) => `${domain} ${version}`);
  const by = producerText(model.producer);
  const odd = [...new Set(list.map((bn) => bn.momentum))].flatMap((m) => suspectMomentum(m, "onnx") ?? []);
  const sections = sectionsOf(found, width);
  const hidden = !verbose && sections.reduce((n, { lines }) => n + lines.length + 2, 0) > LISTED;
  const counts = hidden ? keptCounts(kept) : [];
  const next = nextText(found, file);
  const rows: (readonly [label: string, text: string])[] = [
    ["file", `${printable(model.file)}, ${sized(model)}`],
    ["made", `${by === "" ? "" : `by ${by}, `}IR ${model.irVersion}, ${printable(listed(opsets))}`],
    ...(list.length === 0
      ? []
      : [["norms", `${plural(list.length, "BatchNormalization", "BatchNormalization")} ${normsText(list)}`] as const]),
    ...(written.length === 0 ? [] : [["norms", writtenText(written)] as const]),
    ...(affine.before === 0
      ? []
      : [["others", `${affine.folded} of ${plural(affine.before, "other constant affine operator")} can be folded`] as const]),
    ...normLines(found).map((line) => ["", line] as const),
    ...counts.map((line) => ["kept", line] as const),
    ...(next === undefined ? [] : [["next", next] as const]),
    ...(hidden ? [["more", "--verbose lists every node, --channels what their parameters say"] as const] : []),
  ];
  return [
    ...trainingLines(model)
      .flatMap((line) => wrap(line, width, "  "))
      .map((line) => (line === "" ? line : style("yellow", line))),
    ...wrap(inspectAnswer(found), width).map((line) => style("bold", line)),
    "",
    ...operatorTable(found, verbose, width - 2).map((line) => `  ${line}`),
    "",
    ...rows.flatMap(([label, text]) => labelled(label, text, width)),
    ...odd.flatMap((warning) => labelled("check", warning, width)).map((line) => style("yellow", line)),
    ...(model.missing ?? []).map((location) => style("yellow", `! side file ${printable(location)} is not there`)),
    ...(hidden
      ? []
      : sections.flatMap(({ title, lines, isTable = false }) => [
          "",
          ...(title === "" ? [] : wrap(title, width).map((line) => style("bold", line))),
          ...lines.flatMap((line) => (isTable ? [`  ${line}`] : wrap(`- ${line}`, width, "  "))),
        ])),
  ].join("\n");
}
