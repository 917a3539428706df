/** bnfold freeze: a model exported in training mode gets inference semantics, and the change of its numbers is shown. */
import { BnfoldError } from "../diag/error.ts";
import type { Model } from "../onnx/records.ts";
import { isEmpty } from "../onnx/write.ts";
import { toJson, tool } from "../report/report.ts";
import { listed, nodeLabel, plural, printable } from "../report/words.ts";
import { createSession } from "../run/session.ts";
import { changeBetween, type Feeds, type FreezeData, freeze, type OutputChange } from "../train/index.ts";
import { generateInputs } from "../verify/index.ts";
import { type Command, flag, talkOptions, type Values } from "./command.ts";
import { hashed, hashedAll, openInput } from "./files.ts";
import { type GivenInputs, givenInputs, inputOptions } from "./inputs.ts";
import { changeTable, outputOptions, writtenLines } from "./outputs.ts";
import { produce } from "./produce.ts";
import { Progress } from "./progress.ts";
import { item, said } from "./screen.ts";
import { targetOf } from "./target.ts";
import { note, print, stdoutStyle } from "./terminal.ts";

interface Measured {
  readonly samples: number;
  readonly outputs: readonly OutputChange[];
  /** Why nothing could be measured. */
  readonly problem?: string;
}

/** Inputs the original runs on: what was given, then made-up ones with sizes tried in turn. */
function runnable(model: Model, given: GivenInputs): Feeds[] {
  const whole = (given.given ?? []).map(({ feeds }) => feeds);
  if (whole.length > 0) return whole;
  const session = createSession(model);
  let last: unknown;
  for (let attempt = 0; ; attempt++) {
    const samples = generateInputs(model, { ...given, attempt });
    if (samples === undefined) throw last;
    try {
      session.run(samples[0].feeds);
      return samples.map(({ feeds }) => feeds);
    } catch (error) {
      if (!(error instanceof BnfoldError) || error.kind === "usage") throw error;
      last = error;
    }
  }
}

/** The original with batch statistics against the result with running ones. */
function measure(before: Model, after: Model, given: GivenInputs): Measured {
  try {
    const inputs = runnable(before, given);
    const outputs = changeBetween(createSession(before), createSession(after), inputs);
    return { samples: inputs.length, outputs };
  } catch (error) {
    if (!(error instanceof BnfoldError) || error.kind === "usage") throw error;
    return { samples: 0, outputs: [], problem: error.message };
  }
}

/** What changed of the kinds of nodes that were frozen. */
function became(nodes: FreezeData["frozen"]): string {
  const norms = nodes.some(({ node }) => node.opType === "BatchNormalization");
  const dropouts = nodes.some(({ node }) => node.opType === "Dropout");
  const parts = [
    ...(norms ? ["batch statistics became running statistics"] : []),
    ...(dropouts ? ["Dropout passes its input on"] : []),
  ];
  return parts.join(", ");
}

/** `2 BatchNormalization`, `1 Dropout`. */
function kindsOf(nodes: FreezeData["frozen"]): string[] {
  const kinds = [...new Set(nodes.map(({ node }) => node.opType))];
  return kinds.map((kind) => `${nodes.filter(({ node }) => node.opType === kind).length} ${kind}`);
}

/** Nodes listed unasked. */
const LISTED = 20;

function measuredLines({ samples, outputs, problem }: Measured, frozen: FreezeData["frozen"]): string[] {
  if (problem !== undefined)
    return said(`The change could not be measured: ${printable(problem)}. Give inputs (--input) or shapes (--shape).`);
  const still = outputs.every(({ max }) => max === 0);
  const head = `The numbers change: ${became(frozen)}. On ${plural(samples, "input")}:`;
  if (still) return [`On ${plural(samples, "input")} no output changed.`];
  return [...said(head).map((line) => stdoutStyle("yellow", line)), "", ...changeTable(outputs)];
}

async function run(values: Values): Promise<number> {
  const file = String(values.model);
  const target = targetOf(file, values);
  const progress = new Progress();
  const input = openInput(file);
  try {
    const { data, edits } = freeze(input.model, { dropOutputs: flag(values, "drop-outputs") });
    const given = await givenInputs(values, input.model);
    for (const line of given.notes) note(line);
    const facts = flag(values, "json") ? await hashed(input.facts) : input.facts;
    let judged: Measured | undefined;
    const judge = async (result: Model): Promise<boolean> => {
      // Without edits the output is the input, byte for byte.
      if (isEmpty(edits)) return true;
      progress.begin("measuring");
      judged = measure(input.model, result, given);
      return true;
    };
    const output = await produce(input.model, file, edits, target, judge);
    progress.end();
    if (flag(values, "json")) {
      const change = judged ?? { samples: 0, outputs: [] };
      print(
        toJson({
          version: 1,
          tool: tool(),
          input: facts,
          output: output === undefined ? null : await hashedAll(output),
          ...data,
          change,
        }),
      );
      return 0;
    }
    const nodes = data.frozen.map(({ node, change, droppedOutputs }) => {
      const gone =
        droppedOutputs.length === 0 ? "" : `, without ${droppedOutputs.map((name) => `"${printable(name)}"`).join(", ")}`;
      return `${nodeLabel(node)}: ${change}${gone}`;
    });
    const head =
      data.frozen.length === 0
        ? "Nothing to freeze: the output is the input, byte for byte."
        : `Frozen: ${listed(kindsOf(data.frozen))}.`;
    const shown = flag(values, "verbose") ? nodes : nodes.slice(0, LISTED);
    const gone = data.droppedGraphOutputs.map((name) => `"${printable(name)}"`).join(", ");
    print(
      [
        ...said(head).map((line) => stdoutStyle("bold", line)),
        ...(gone === "" ? [] : ["", ...said(`no longer outputs of the model: ${gone}`)]),
        ...(judged === undefined ? [] : ["", ...measuredLines(judged, data.frozen)]),
        "",
        ...writtenLines(output, input.facts),
        ...(shown.length === 0 ? [] : [""]),
        ...shown.flatMap(item),
        ...(shown.length < nodes.length ? [`and ${nodes.length - shown.length} more; --verbose lists all`] : []),
      ].join("\n"),
    );
    return 0;
  } finally {
    progress.end();
    input.close();
  }
}

export const command: Command = {
  positionals: { model: { type: "string", describe: "ONNX file", demandOption: true } },
  options: {
    ...outputOptions,
    "drop-outputs": { type: "boolean", describe: "Drop running statistics from the model's outputs" },
    ...inputOptions,
    json: { type: "boolean", describe: "Print JSON" },
    verbose: { ...talkOptions.verbose, describe: "List every node that was frozen, however many" },
  },
  examples: [
    ["bnfold freeze training.onnx -o inference.onnx", "running statistics in place of batch statistics"],
    ["bnfold freeze training.onnx -o inference.onnx --input x=batch.npy", "measure the change on data of your own"],
  ],
  run,
};
