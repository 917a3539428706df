/** bnfold momentum on a file: every layer's momentum, epsilon and half-life; on request new attributes and variances. */

import { anyOf } from "../engine/written.ts";
import type { Model } from "../onnx/records.ts";
import type { ModelEdits } from "../onnx/write.ts";
import { toJson, tool } from "../report/report.ts";
import { brief, listed, nodeLabel, plural, printable } from "../report/words.ts";
import {
  CONVENTIONS,
  type CountRule,
  convertMomentum,
  type Framework,
  fadingCurve,
  frameworkNamed,
  frameworkOf,
  halfLife,
  layerName,
  type NormLayer,
  normLayers,
  rewriteAttributes,
  rewriteVariance,
  shortestFloat32,
  suspectEpsilons,
  suspectMomentum,
  type VarianceKind,
  type WrittenNorm,
  writtenNorms,
} from "../train/index.ts";
import { flag, integer, text, texts, usage, type Values } from "./command.ts";
import { hashed, hashedAll, openInput } from "./files.ts";
import { acceptAll, writtenLines } from "./outputs.ts";
import { requireMatches } from "./plan-options.ts";
import { produce } from "./produce.ts";
import { grid, item, said } from "./screen.ts";
import { targetOf } from "./target.ts";
import { barsHere, print, stdoutStyle } from "./terminal.ts";

/** The framework an option names, by itself or by an alias. */
export const frameworkIn = (values: Values, option: "from" | "to"): Framework | undefined => {
  const name = text(values, option);
  return name === undefined ? undefined : frameworkNamed(name);
};

interface Ends {
  readonly from: Framework;
  readonly to: Framework;
}

interface Changed {
  /** What changed, in words. */
  readonly lines: readonly string[];
  readonly edits: ModelEdits;
}

const inFloat32 = (m: number): number => Number(shortestFloat32(m));

/** A momentum or epsilon of a file lies in [0, 1] unless something is badly wrong: such a value is shown, not converted. */
const inRange = (m: number): boolean => m >= 0 && m <= 1;

function converted(layer: NormLayer, { from, to }: Ends): number | undefined {
  return inRange(layer.momentum) ? convertMomentum(layer.momentum, from, to) : undefined;
}

function warningsOf(model: Model, layers: readonly NormLayer[], { from }: Ends): string[] {
  const momenta = [...new Set(layers.map(({ momentum }) => momentum))];
  const odd = momenta.flatMap((m) =>
    inRange(m) ? (suspectMomentum(m, from) ?? []) : `Momentum ${shortestFloat32(m)} is not between 0 and 1.`,
  );
  const mixed = momenta.length > 1 ? [`The momenta are mixed: ${momenta.map(shortestFloat32).join(", ")}.`] : [];
  const list = layers.map((layer) => ({ name: layerName(layer), epsilon: layer.epsilon }));
  return [...odd, ...mixed, ...suspectEpsilons(list, frameworkOf(model.producerName))];
}

function setting(values: Values, name: string, most: number): number | undefined {
  const written = text(values, name);
  if (written === undefined) return undefined;
  const value = Number(written);
  if (written.trim() === "" || !(value >= 0 && value <= most))
    throw usage(`--${name} is a number from 0 to ${most}, got "${written}"`);
  return value;
}

function countRule(values: Values): CountRule {
  const [count, batch] = [integer(values, "count", 2), integer(values, "batch", 1)];
  if (count === undefined && batch === undefined) {
    throw usage("--variance needs --count, the elements of a channel in a training batch, or --batch, the batch size");
  }
  if (count !== undefined && batch !== undefined) throw usage("--count and --batch say the same thing; give one");
  return count !== undefined ? { count } : { batch: batch as number };
}

/** What --write asks for. Attributes hold ONNX's momentum, so a conversion may only end there. */
function changesOf(values: Values, model: Model, { from, to }: Ends, given: { from: boolean; to: boolean }): Changed {
  const [momentum, epsilon] = [setting(values, "set-momentum", 1), setting(values, "set-epsilon", 1)];
  const variance = text(values, "variance");
  const converts = given.from && momentum === undefined;
  if (converts && CONVENTIONS[to].sense !== "old") {
    throw usage(
      `an ONNX file holds the weight of the old value, and ${CONVENTIONS[to].label}'s momentum is the weight of the new one`,
      "Write with --to onnx.",
    );
  }
  if (!converts && momentum === undefined && epsilon === undefined && variance === undefined) {
    throw usage("--write what? Give --from with --to onnx, --set-momentum, --set-epsilon or --variance");
  }
  if (given.to && !given.from && momentum === undefined)
    throw usage("--write with --to needs --from: the convention the file's numbers are in");
  const select = anyOf(texts(values, "only")) ?? (() => true);
  const target = momentum === undefined ? undefined : (convertMomentum(momentum, from, "onnx") as number);
  const rules = {
    ...(target !== undefined
      ? { momentum: () => target }
      : converts
        ? { momentum: (m: number) => convertMomentum(m, from, "onnx") as number }
        : {}),
    ...(epsilon !== undefined ? { epsilon: () => epsilon } : {}),
  };
  const attributes = rewriteAttributes(model, rules, select);
  const lines = attributes.changes.map(
    (change) => `${nodeLabel(change.node)}: ${change.attribute} ${shortestFloat32(change.from)} -> ${shortestFloat32(change.to)}`,
  );
  if (epsilon !== undefined) lines.push("A new epsilon changes what the model computes.");
  if (variance === undefined) return { lines, edits: attributes.edits };
  const [a, b] = variance.split("-to-") as [VarianceKind, VarianceKind];
  const statistics = rewriteVariance(model, a, b, countRule(values), select);
  for (const { node, tensor, count } of statistics.changes) {
    lines.push(`${nodeLabel(node)}: ${a} -> ${b} variance for ${count} elements, in "${printable(tensor)}"`);
  }
  lines.push("A new variance changes what the model computes.");
  return { lines, edits: { ...attributes.edits, replaceTensors: statistics.edits.replaceTensors } };
}

function layerJson(layer: NormLayer, ends: Ends) {
  const m = converted(layer, ends);
  const life = inRange(layer.momentum) ? halfLife(layer.momentum, ends.from) : undefined;
  return {
    node: layer.ref,
    mode: layer.mode,
    momentum: inFloat32(layer.momentum),
    converted: m === undefined ? null : inFloat32(m),
    halfLife: life === undefined ? null : { half: life.half, hundredth: life.hundredth },
    epsilon: inFloat32(layer.epsilon),
  };
}

function listing(layers: readonly NormLayer[], ends: Ends): string[] {
  const { from, to } = ends;
  const rows = layers.map((layer) => {
    const m = converted(layer, ends);
    const life = inRange(layer.momentum) ? halfLife(layer.momentum, from) : undefined;
    return [
      nodeLabel(layer.ref).replace(/^BatchNormalization /, ""),
      shortestFloat32(layer.momentum),
      m === undefined ? "?" : shortestFloat32(m),
      life === undefined ? "?" : brief(life.half),
      life === undefined ? "?" : brief(life.hundredth),
      life === undefined ? "" : fadingCurve(life, 12, barsHere()),
      brief(layer.epsilon),
    ];
  });
  const head = [
    "layer",
    `momentum (${CONVENTIONS[from].label})`,
    `as ${CONVENTIONS[to].label}'s`,
    "half after",
    "1/100 after",
    "fading",
    "epsilon",
  ];
  return [
    ...grid(head, rows, ["l", "r", "r", "r", "r", "r", "r"]),
    ...said("half after, 1/100 after: batches until old statistics weigh that much"),
  ];
}

/** Written-out normalizations listed by name; of more, how many. */
const LISTED = 8;

/** Normalizations that have no momentum in the file, and what is there. */
function normsAsArithmetic(written: readonly WrittenNorm[]): string[] {
  if (written.length === 0) return [];
  const operators = [...new Set(written.flatMap(({ nodes }) => nodes.map(({ opType }) => opType)))];
  const head = `${plural(written.length, "normalization is", "normalizations are")} written as ${listed(operators)}: gain and shift per channel are in the file, momentum and epsilon are not.`;
  const lines = written.slice(0, LISTED).map((norm) => {
    const [low, high] = [norm.gain.reduce((a, b) => Math.min(a, b)), norm.gain.reduce((a, b) => Math.max(a, b))];
    return `${nodeLabel(norm.ref)}: ${norm.gain.length} channels, gains ${brief(low)} to ${brief(high)}`;
  });
  return [
    "",
    ...said(head),
    ...lines.flatMap(item),
    ...(written.length > LISTED ? [`- and ${written.length - LISTED} more (--json lists all)`] : []),
  ];
}

export async function runModel(values: Values, file: string): Promise<number> {
  const given = { from: text(values, "from") !== undefined, to: text(values, "to") !== undefined };
  const from = frameworkIn(values, "from") ?? "onnx";
  const to = frameworkIn(values, "to") ?? (flag(values, "write") ? "onnx" : "pytorch");
  const write = flag(values, "write");
  const writing = ["output", "in-place", "dry-run", "set-momentum", "set-epsilon", "variance"].find(
    (name) => values[name] !== undefined,
  );
  if (!write && writing !== undefined) throw usage(`--${writing} is for writing: add --write`);
  const target = write ? targetOf(file, values) : undefined;
  const input = openInput(file);
  try {
    const { model } = input;
    requireMatches(model, values);
    const select = anyOf(texts(values, "only")) ?? (() => true);
    const layers = normLayers(model).filter((layer) => select(layerName(layer)));
    const written = writtenNorms(model).filter(({ ref }) => select(ref.name || ref.output));
    const changed = write ? changesOf(values, model, { from, to }, given) : undefined;
    // With --set-momentum, --from speaks of that number: the file's own are ONNX's.
    const own = !given.from || text(values, "set-momentum") !== undefined;
    const ends: Ends = own ? { from: "onnx", to: given.to ? to : "pytorch" } : { from, to };
    const notes = warningsOf(model, layers, ends);
    const json = flag(values, "json");
    const facts = json ? await hashed(input.facts) : input.facts;
    const output =
      changed === undefined || target === undefined ? undefined : await produce(model, file, changed.edits, target, acceptAll);
    if (json) {
      const made = output === undefined ? null : await hashedAll(output);
      const changes = changed?.lines ?? [];
      print(
        toJson({
          version: 1,
          tool: tool(),
          model: facts,
          output: made,
          from,
          to,
          layers: layers.map((layer) => layerJson(layer, ends)),
          written: written.map(({ ref, nodes, gain }) => ({
            node: ref,
            operators: nodes.map(({ opType }) => opType),
            channels: gain.length,
          })),
          notes,
          changes,
        }),
      );
      return 0;
    }
    print(
      [
        `${stdoutStyle("bold", printable(file))}  ${plural(layers.length, "BatchNormalization", "BatchNormalization")}`,
        ...(layers.length === 0 ? [] : ["", ...listing(layers, ends)]),
        ...normsAsArithmetic(written),
        ...(notes.length === 0
          ? []
          : ["", ...notes.flatMap((line) => said(`Check: ${printable(line)}`, "  ")).map((line) => stdoutStyle("yellow", line))]),
        ...(changed === undefined
          ? []
          : [
              "",
              ...(changed.lines.length === 0 ? ["nothing to change"] : changed.lines.flatMap(item)),
              "",
              ...writtenLines(output, input.facts),
            ]),
      ].join("\n"),
    );
    return 0;
  } finally {
    input.close();
  }
}
