/** bnfold inspect --channels: what gamma, beta, mean and variance say of each channel, as a chart, JSON or CSV. */
import type { Model } from "../onnx/records.ts";
import { histogram } from "../report/pictures.ts";
import { type ModelFacts, toJson, tool } from "../report/report.ts";
import { brief, listed, nodeLabel, plural, printable } from "../report/words.ts";
import {
  CHANNEL_FLAGS,
  type Channel,
  type ChannelFlag,
  type ChannelInspection,
  type ChannelReport,
  type Distribution,
  inspectChannels,
} from "../train/index.ts";
import { grid, item, said } from "./screen.ts";
import { barsHere, print, stdoutStyle, stdoutWidth } from "./terminal.ts";

const WORDS: Readonly<Record<ChannelFlag, string>> = {
  dead: "dead",
  constant: "constant",
  "negative-gain": "negative gain",
  "tiny-variance": "variance below epsilon",
  "bad-variance": "variance not positive",
  "float16-overflow": "overflows float16",
  "widens-range": "widens the range",
};

type AnyLayer = Pick<ChannelReport, "node" | "counts">;

const shortLabel = ({ node }: AnyLayer): string => nodeLabel(node).replace(/^BatchNormalization /, "");

function flagsText({ counts }: AnyLayer): string {
  return CHANNEL_FLAGS.filter((flag) => counts[flag] > 0)
    .map((flag) => `${counts[flag]} ${WORDS[flag]}`)
    .join(", ");
}

/** What cannot be read of normalizations that are written as arithmetic. */
const unknownLine = ({ written }: ChannelInspection): string[] =>
  written.length === 0
    ? []
    : [
        `${plural(written.length, "normalization is", "normalizations are")} written as ${listed([...new Set(written.flatMap(({ operators }) => operators))])}: gain and shift can be read, gamma, beta, mean and variance are not in the file`,
      ];

/** What there is to see first: how many layers and channels, and what is odd with some. */
function answerOf({ layers, written, pruning }: ChannelInspection): string {
  const counts = CHANNEL_FLAGS.flatMap((flag) => {
    const n = [...layers, ...written].reduce((sum, layer) => sum + layer.counts[flag], 0);
    return n === 0 ? [] : [`${n} ${WORDS[flag]}`];
  });
  const norms = plural(layers.length, "BatchNormalization", "BatchNormalization");
  const channels = layers.length === 0 ? "" : `, ${plural(pruning.channels, "channel")}`;
  return `${norms}${channels}${counts.length === 0 ? "" : `; channels to look at: ${counts.join(", ")}`}.`;
}

const rowOf = (layer: AnyLayer & { readonly channels: readonly unknown[] }): number[] =>
  (layer.channels as readonly Pick<Channel, "gain">[]).map(({ gain }) => Math.abs(gain));

function gainLines(all: readonly (ChannelInspection["layers"][number] | ChannelInspection["written"][number])[]): string[] {
  const gains = all.flatMap(rowOf).filter((g) => g > 0 && Number.isFinite(g));
  const low = gains.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = gains.reduce((a, b) => Math.max(a, b), 0);
  const bins = (stdoutWidth() ?? 100) < 100 ? 12 : 24;
  const rows = all.map((layer) => {
    const { gain } = layer.distributions;
    const range = layer.range === undefined ? "" : `${brief(layer.range.before)} -> ${brief(layer.range.after)}`;
    const row = rowOf(layer);
    return [
      shortLabel(layer),
      String(row.length),
      histogram(row, low, high, barsHere(), bins),
      ...[gain.min, gain.median, gain.max].map(brief),
      range,
    ];
  });
  return [
    ...grid(["layer", "channels", "gains", "gain, least", "median", "most", "range"], rows, ["l", "r", "r", "r", "r", "r", "r"]),
    ...(gains.length === 0
      ? []
      : said(
          `gains: how many channels, by size from ${brief(low)} (left) to ${brief(high)} (right), logarithmic; range: largest over median row of the weight in front, before -> after folding`,
        )),
  ];
}

function spreadLines(found: ChannelInspection): string[] {
  const numbers = (of: Distribution) => [of.min, of.lowerQuartile, of.median, of.upperQuartile, of.max].map(brief);
  const names = { scale: "gamma", bias: "beta", mean: "mean", variance: "variance" } as const;
  const spreads = found.layers.flatMap((layer) =>
    (["scale", "bias", "mean", "variance"] as const).map((name) => [
      name === "scale" ? shortLabel(layer) : "",
      names[name],
      ...numbers(layer.distributions[name]),
    ]),
  );
  const shifts = found.written.map((layer) => [shortLabel(layer), "shift", ...numbers(layer.distributions.shift)]);
  const rows = [...spreads, ...shifts];
  return grid(["layer", "", "min", "25 %", "median", "75 %", "max"], rows, ["l", "l", "r", "r", "r", "r", "r"]);
}

function lines(found: ChannelInspection, facts: ModelFacts): string[] {
  const all = [...found.layers, ...found.written];
  const flagged = all.filter((layer) => flagsText(layer) !== "");
  const { pruning } = found;
  const share = pruning.weights === 0 ? "" : `, ${brief((100 * pruning.removableWeights) / pruning.weights)} %`;
  const bold = (text: string) => said(text).map((line) => stdoutStyle("bold", line));
  return [
    ...bold(answerOf(found)),
    ...said(printable(facts.file)),
    ...unknownLine(found).flatMap((line) => said(line)),
    ...(all.length === 0 ? [] : ["", ...gainLines(all), "", ...spreadLines(found)]),
    ...(flagged.length === 0 ? [] : ["", ...bold("Channels to look at")]),
    ...flagged.flatMap((layer) => item(`${shortLabel(layer)}: ${flagsText(layer)}`)),
    ...(pruning.channels === 0
      ? []
      : [
          "",
          ...bold("Pruning"),
          ...said(
            `${plural(pruning.channels, "channel")}: ${pruning.dead} dead, ${pruning.constant} constant (their value moves into the next bias)`,
          ),
          ...said(`weights that make them: ${pruning.removableWeights} of ${pruning.weights} in the layers in front${share}`),
        ]),
    ...found.unread.flatMap((node) => said(`${nodeLabel(node)}: its parameters are computed at run time`)),
  ];
}

const FIELDS = [
  "scale",
  "bias",
  "mean",
  "variance",
  "gain",
  "shift",
  "weight",
  "folded",
] as const satisfies readonly (keyof Channel)[];

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** RFC 4180: one row per channel. */
export function toCsv(found: ChannelInspection): string {
  const rows = [...found.layers, ...found.written].flatMap((layer) =>
    (layer.channels as readonly Partial<Channel>[]).map((channel, c) => [
      quoted(layer.node.name || layer.node.output),
      quoted(layer.node.scope),
      String(c),
      ...FIELDS.map((field) => (channel[field] === undefined ? "" : String(channel[field]))),
      (channel.flags ?? []).join(" "),
    ]),
  );
  const names = [
    "layer",
    "scope",
    "channel",
    "gamma",
    "beta",
    "mean",
    "variance",
    "gain",
    "shift",
    "weight",
    "folded_weight",
    "flags",
  ];
  return [names, ...rows].map((row) => row.join(",")).join("\r\n");
}

export function showChannels(
  model: Model,
  facts: ModelFacts,
  format: "text" | "json" | "csv",
  select?: (name: string) => boolean,
): void {
  const found = inspectChannels(model, select);
  if (format === "json") print(toJson({ version: 1, tool: tool(), model: facts, ...found }));
  else if (format === "csv") print(toCsv(found));
  else print(lines(found, facts).join("\n"));
}
