/** bnfold inspect: what is in a file, and what fold would do with it. Writes nothing. */
import { paced } from "../diag/steps.ts";
import { countNodes, refOf } from "../fold/describe.ts";
import { planSteps } from "../fold/index.ts";
import type { Fold, Kept, NodeRef, PlanData } from "../fold/types.ts";
import { floatAttr, intAttr } from "../graph/attributes.ts";
import { type GraphNode, type GraphView, viewOf } from "../graph/view.ts";
import { detailsOf } from "../report/details.ts";
import type { Action } from "../report/document.ts";
import { countsOf, tool } from "../report/report.ts";
import { shortestFloat32 } from "../train/momentum.ts";
import { writtenNorms } from "../train/written-norms.ts";
import { isMany } from "./batch-files.ts";
import { showChannels } from "./channels.ts";
import { type Command, flag, talkOptions, texts, usage, type Values } from "./command.ts";
import { hashed, openInput } from "./files.ts";
import {
  failOnOption,
  formatOptions,
  keptCode,
  say,
  strictnessOf,
  wantedOf,
  wantsDetails,
  wantsHashes,
  writeReports,
} from "./formats.ts";
import { type BatchNormalization, type Inspection, inspectText, type Norm } from "./inspect-text.ts";
import { planOptions, planOptionsOf, requireMatches } from "./plan-options.ts";
import { stdoutStyle, stdoutWidth } from "./terminal.ts";

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

export interface Inspected {
  readonly report: Inspection;
  readonly code: 0 | 5;
  /** The screen. */
  text(): string;
}

/** What is in one file, and what fold would do with it. */
export async function inspectOne(values: Values, file: string, hash: boolean): Promise<Inspected> {
  const { model, facts, close } = openInput(file);
  try {
    if (!isMany(String(values.model)) && texts(values, "more").length === 0) requireMatches(model, values);
    const { data, edits, place } = await paced(planSteps(model, planOptionsOf(values)));
    const { nodes, operators } = countNodes(viewOf(model), 0);
    const { affine, norm, weight } = countsOf(data);
    const report: Inspection = {
      version: 1,
      tool: tool(),
      model: hash ? await hashed(facts) : facts,
      nodes,
      functions: model.functions.length,
      operators,
      batchNormalizations: batchNormalizations(viewOf(edits.base ?? model), data.folds, data.kept, place),
      affine,
      merges: data.merges,
      unmerged: data.unmerged,
      kept: data.kept,
      ...(wantsDetails(values) ? detailsOf(model, data.kept) : {}),
      ...(norm === undefined ? {} : { norm, weight, norms: normsOf(data) }),
    };
    const written = report.batchNormalizations.length > 0 || affine.before === 0 ? [] : writtenNorms(model);
    const trains = flag(values, "strict") && facts.training !== undefined;
    const code = trains ? 5 : keptCode(data.kept, strictnessOf(values));
    return {
      report,
      code,
      text: () =>
        inspectText(report, { file, written, color: stdoutStyle, width: stdoutWidth(), verbose: flag(values, "verbose") }),
    };
  } finally {
    close();
  }
}

async function channelsOf(values: Values, file: string): Promise<number> {
  const { model, facts } = openInput(file);
  requireMatches(model, values);
  const json = flag(values, "json");
  const { only, skip } = planOptionsOf(values);
  const select = (name: string) => (only?.(name) ?? true) && !(skip?.(name) ?? false);
  const format = json ? "json" : flag(values, "csv") ? "csv" : "text";
  showChannels(model, json ? await hashed(facts) : facts, format, select);
  return 0;
}

async function run(values: Values): Promise<number> {
  const [file, more] = [String(values.model), texts(values, "more")];
  if (flag(values, "csv") && !flag(values, "channels")) throw usage("--csv is for --channels");
  if (flag(values, "csv") && flag(values, "json")) throw usage("--csv and --json are two forms of the same; give one");
  const many = more.length > 0 || isMany(file);
  if (flag(values, "channels")) {
    if (many) throw usage("--channels is for one model");
    for (const name of ["format", "report", "fail-on"])
      if (values[name] !== undefined) throw usage(`--channels has forms of its own, --csv and --json; leave --${name} away`);
    return channelsOf(values, file);
  }
  if (many) return (await import("./inspect-many.ts")).inspectMany(values, [file, ...more], inspectOne);
  const wanted = wantedOf(values, [file]);
  const { report, code, text } = await inspectOne(values, file, wantsHashes(wanted));
  const document = { kind: "inspect", report } as const;
  await writeReports(document, wanted, code);
  if (!flag(values, "quiet") || wanted.format !== "text") say(document, wanted, code, text);
  return code;
}

export const command: Command = {
  positionals: {
    model: { type: "string", describe: "ONNX file; or a folder or a pattern (* ** ?): all models there", demandOption: true },
    more: { type: "string", array: true, describe: "More of them" },
  },
  options: {
    ...planOptions,
    channels: { type: "boolean", describe: "Show what the parameters of each BatchNormalization say of its channels" },
    csv: { type: "boolean", describe: "With --channels: print one line per channel, comma-separated" },
    strict: { type: "boolean", describe: "Exit code 5 when a BatchNormalization would stay, or the model is in training mode" },
    ...failOnOption,
    ...formatOptions,
    json: { type: "boolean", describe: "The same as --format json" },
    ...talkOptions,
    verbose: { ...talkOptions.verbose, describe: "List every node and branch, however many; of many models a row for each" },
  },
  examples: [
    ["bnfold inspect model.onnx", "operators, batch normalizations, and their future"],
    ["bnfold inspect model.onnx --channels", "dead, constant and extreme channels"],
    ["bnfold inspect models --fail-on training-mode --format github", "a check for every commit"],
    ["bnfold inspect model.onnx --json | jq .batchNormalizations", "the same for programs"],
  ],
  run,
};
