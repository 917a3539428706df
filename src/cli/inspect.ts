/** bnfold inspect: what is in a file, and what fold would do with it. Writes nothing. */
import { countNodes, refOf } from "../fold/describe.ts";
import { plan } from "../fold/index.ts";
import type { Fold, Kept, NodeRef, PlanData } from "../fold/types.ts";
import { floatAttr, intAttr } from "../graph/attributes.ts";
import { type GraphNode, type GraphView, viewOf } from "../graph/view.ts";
import { columns } from "../report/layout.ts";
import { countsOf, type ModelFacts, type NodeCounts, type Tool, toJson, tool } from "../report/report.ts";
import { keptLines, mergeLine, normLines, sized, trainingLines, unmergedLine } from "../report/text.ts";
import { brief, listed, nodeLabel, plural, printable } from "../report/words.ts";
import { shortestFloat32, suspectMomentum } from "../train/momentum.ts";
import { showChannels } from "./channels.ts";
import { type Command, flag, usage, type Values } from "./command.ts";
import { hashed, openInput } from "./files.ts";
import { EXIT } from "./fold-one.ts";
import { planOptions, planOptionsOf } from "./plan-options.ts";
import { print, stdoutStyle, stdoutWidth } from "./terminal.ts";

type Action =
  | { readonly action: "fold"; readonly direction: Fold["direction"]; readonly into: readonly NodeRef[] }
  | { readonly action: "keep"; readonly code: Kept["code"]; readonly message: string };

interface BatchNormalization {
  readonly node: NodeRef;
  readonly mode: "inference" | "training";
  readonly epsilon: number;
  readonly momentum: number;
  /** null when the parameters are not constant. */
  readonly channels: number | null;
  readonly fold: Action;
}

/** Another normalization with a gain or shift, or a weight that constants compute. */
interface Norm {
  readonly node: NodeRef;
  readonly kind: "norm" | "weight";
  readonly fold: Action;
}

interface Inspection {
  readonly version: 1;
  readonly tool: Tool;
  readonly model: ModelFacts;
  readonly nodes: number;
  readonly functions: number;
  readonly operators: Readonly<Record<string, number>>;
  readonly batchNormalizations: readonly BatchNormalization[];
  readonly affine: NodeCounts;
  /** Parallel linear branches that would become one layer, and those that would cost more as one. */
  readonly merges: PlanData["merges"];
  readonly unmerged: PlanData["unmerged"];
  /** With --norms. */
  readonly norm?: NodeCounts;
  readonly weight?: NodeCounts;
  readonly norms?: readonly Norm[];
}

/**
 * Training mode by operator set: 14 and later say so; 7 to 13 compute batch statistics when any further output is there;
 * 1 and 6 do unless `is_test` is set.
 */
function isTraining(node: GraphNode): boolean {
  if (node.version >= 14) return intAttr(node.record, "training_mode", 0) !== 0;
  if (node.version >= 7) return node.record.outputs.slice(1).some((name) => name !== "");
  return intAttr(node.record, "is_test", 0) === 0;
}

/** Length of the first constant among scale, B, mean and var. */
function channels(node: GraphNode): number | null {
  for (const value of node.inputs.slice(1, 5)) {
    const tensor = value?.initializer ?? value?.producer?.record.attributes.get("value")?.t;
    if (tensor !== undefined) return tensor.dims.reduce((n, d) => n * d, 1);
  }
  return null;
}

const foldAction = ({ direction, into }: Fold): Action => ({ action: "fold", direction, into: into.map(({ node }) => node) });
const keepAction = ({ code, message }: Kept): Action => ({ action: "keep", code, message });

/** What --norms adds, in the order of the file. */
function normsOf({ folds, kept }: PlanData): Norm[] {
  const pick = <T extends Fold | Kept>(list: readonly T[], action: (entry: T) => Action): Norm[] =>
    list.flatMap((entry) =>
      entry.kind === "norm" || entry.kind === "weight" ? [{ node: entry.node, kind: entry.kind, fold: action(entry) }] : [],
    );
  const place = ({ node }: Norm) => node.index;
  return [...pick(folds, foldAction), ...pick(kept, keepAction)].sort((a, b) =>
    a.node.scope === b.node.scope ? place(a) - place(b) : a.node.scope < b.node.scope ? -1 : 1,
  );
}

/** `view` is of the model that was planned, with calls written out where a fold needs it; `place`: what the decisions call its nodes. */
function batchNormalizations(
  view: GraphView,
  folds: readonly Fold[],
  kept: readonly Kept[],
  place: (ref: NodeRef) => NodeRef,
): BatchNormalization[] {
  const key = (scope: string, index: number) => `${index}:${scope}`;
  const folded = new Map(folds.map((fold) => [key(fold.node.scope, fold.node.index), fold]));
  const stays = new Map(kept.map((entry) => [key(entry.node.scope, entry.node.index), entry]));
  const out: BatchNormalization[] = [];
  for (const scope of view.scopes) {
    for (const node of scope.nodes) {
      if (node.opType !== "BatchNormalization" || node.record.domain !== "") continue;
      const at = place(refOf(node));
      const id = key(at.scope, at.index);
      const [fold, keep] = [folded.get(id), stays.get(id)];
      const found = fold ?? keep;
      if (found === undefined) throw new Error(`the plan says nothing about ${node.label}`);
      out.push({
        node: found.node,
        mode: isTraining(node) ? "training" : "inference",
        epsilon: Number(shortestFloat32(floatAttr(node.record, "epsilon", 1e-5))),
        momentum: Number(shortestFloat32(floatAttr(node.record, "momentum", 0.9))),
        channels: channels(node),
        fold: fold !== undefined ? foldAction(fold) : keepAction(keep as Kept),
      });
    }
  }
  return out;
}

function actionText(action: Action): string {
  if (action.action === "keep") return `kept: ${action.code}`;
  return action.into.length === 0 ? "folds" : `folds into ${listed([...new Set(action.into.map(nodeLabel))])}`;
}

function section(title: string, count: string, entries: readonly string[]): string[] {
  return entries.length === 0 ? [] : ["", stdoutStyle("bold", `${title} (${count})`), ...entries.map((line) => `- ${line}`)];
}

const normRow = ({ node, fold }: Norm): string[] => [nodeLabel(node), actionText(fold)];

/** What fold would do, in a sentence. */
function answer({ batchNormalizations: list, affine, merges }: Inspection, folds: number): string {
  if (list.length + affine.before + merges.length === 0) return "Nothing to fold: no BatchNormalization in this file.";
  const more = [
    ...(affine.before > 0 ? [`${affine.folded} of ${plural(affine.before, "other affine node")}`] : []),
    ...(merges.length > 0 ? [`${plural(merges.length, "branch region")} to merge`] : []),
  ];
  return `${[`${folds} of ${plural(list.length, "BatchNormalization", "BatchNormalization")} can be folded`, ...more].join(", ")}.`;
}

function lines(found: Inspection, kept: readonly Kept[], width?: number): string[] {
  const { model, batchNormalizations: list } = found;
  const opsets = Object.entries(model.opsets).map(([domain, version]) => `${domain} ${version}`);
  const by = [model.producer.name, model.producer.version].filter((part) => part !== "").join(" ");
  const operators = Object.entries(found.operators).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  const rows = list.map((bn) => [
    printable(nodeLabel(bn.node).replace(/^BatchNormalization /, "")),
    bn.mode,
    brief(bn.epsilon),
    String(bn.momentum),
    bn.channels === null ? "?" : String(bn.channels),
    actionText(bn.fold),
  ]);
  const odd = [...new Set(list.map((bn) => bn.momentum))].flatMap((m) => suspectMomentum(m, "onnx") ?? []);
  const folds = list.filter((bn) => bn.fold.action === "fold").length;
  const fitted = (head: string[], body: string[][], align: ("l" | "r")[]) =>
    columns(head, body, align, width && width - 2).map((line) => `  ${line}`);
  return [
    ...trainingLines(model).map((line) => (line === "" ? line : stdoutStyle("yellow", line))),
    stdoutStyle("bold", answer(found, folds)),
    "",
    `${stdoutStyle("bold", printable(model.file))}  ${sized(model)}, IR ${model.irVersion}, ${printable(listed(opsets))}` +
      `${by === "" ? "" : `, by ${printable(by)}`}`,
    ...(model.missing ?? []).map((location) => stdoutStyle("yellow", `! side file ${printable(location)} is not there`)),
    "",
    ...fitted(
      ["operator", "nodes"],
      [...operators.map(([name, n]) => [name, String(n)]), ["all operators", String(found.nodes)]],
      ["l", "r"],
    ),
    "",
    ...(rows.length === 0
      ? []
      : [
          ...fitted(["BatchNormalization", "mode", "epsilon", "momentum", "channels", "fold"], rows, [
            "l",
            "l",
            "r",
            "r",
            "r",
            "l",
          ]),
          "",
        ]),
    `other constant affine operators: ${found.affine.before}, ${found.affine.folded} can be folded`,
    ...normLines(found),
    ...(found.norms === undefined || found.norms.length === 0
      ? []
      : ["", ...fitted(["normalization or weight", "fold"], found.norms.map(normRow), ["l", "l"])]),
    ...section("Parallel branches that can be merged", plural(found.merges.length, "region"), found.merges.map(mergeLine)),
    ...section("Linear regions left as they are", plural(found.unmerged.length, "region"), found.unmerged.map(unmergedLine)),
    ...section("Kept", plural(kept.length, "node"), keptLines(kept)),
    ...(odd.length === 0 ? [] : [""]),
    ...odd.map((warning) => stdoutStyle("yellow", `Check: ${warning}`)),
  ];
}

const stays = ({ fold }: BatchNormalization): boolean => fold.action === "keep";

async function run(values: Values): Promise<number> {
  const { model, facts } = openInput(String(values.model));
  const json = flag(values, "json");
  if (flag(values, "csv") && !flag(values, "channels")) throw usage("--csv is for --channels");
  if (flag(values, "csv") && json) throw usage("--csv and --json are two forms of the same; give one");
  if (flag(values, "channels")) {
    const { only, skip } = planOptionsOf(values);
    const select = (name: string) => (only?.(name) ?? true) && !(skip?.(name) ?? false);
    const format = json ? "json" : flag(values, "csv") ? "csv" : "text";
    showChannels(model, json ? await hashed(facts) : facts, format, select);
    return 0;
  }
  const { data, edits, place } = plan(model, planOptionsOf(values));
  const { nodes, operators } = countNodes(viewOf(model), 0);
  const { affine, norm, weight } = countsOf(data);
  const found: Inspection = {
    version: 1,
    tool: tool(),
    model: json ? await hashed(facts) : facts,
    nodes,
    functions: model.functions.length,
    operators,
    batchNormalizations: batchNormalizations(viewOf(edits.base ?? model), data.folds, data.kept, place),
    affine,
    merges: data.merges,
    unmerged: data.unmerged,
    ...(norm === undefined ? {} : { norm, weight, norms: normsOf(data) }),
  };
  print(json ? toJson(found) : lines(found, data.kept, stdoutWidth()).join("\n"));
  const strict = flag(values, "strict") && (facts.training !== undefined || found.batchNormalizations.some(stays));
  return strict ? EXIT.strict : EXIT.done;
}

export const command: Command = {
  positionals: { model: { type: "string", describe: "ONNX file", demandOption: true } },
  options: {
    ...planOptions,
    channels: { type: "boolean", describe: "Show what the parameters of each BatchNormalization say of its channels" },
    csv: { type: "boolean", describe: "With --channels: print one line per channel, comma-separated" },
    strict: { type: "boolean", describe: "Exit code 5 when a BatchNormalization would stay, or the model is in training mode" },
    json: { type: "boolean", describe: "Print JSON" },
  },
  examples: [
    ["bnfold inspect model.onnx", "operators, batch normalizations, and their future"],
    ["bnfold inspect model.onnx --channels", "dead, constant and extreme channels"],
    ["bnfold inspect model.onnx --json | jq .batchNormalizations", "the same for programs"],
  ],
  run,
};
