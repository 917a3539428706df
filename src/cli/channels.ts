/** bnfold inspect --channels: what gamma, beta, mean and variance say of each channel, as a chart, JSON or CSV. */
import type { Model } from "../onnx/records.ts";
import { channelsCsv, flagsText } from "../report/channels.ts";
import { type ModelFacts, toJson, tool } from "../report/report.ts";
import { table } from "../report/text.ts";
import { brief, listed, nodeLabel, plural, printable } from "../report/words.ts";
import { blockCharacter } from "../train/half-life.ts";
import { type Channel, type ChannelInspection, type ChannelReport, inspectChannels } from "../train/index.ts";
import { print, stdoutStyle } from "./terminal.ts";

const BINS = 24;

/** Channels per bin of |gain|, on a logarithmic scale between the two ends, as block characters. */
export function histogram(gains: readonly number[], low: number, high: number): string {
  const counts = new Array<number>(BINS).fill(0);
  const span = Math.log(high) - Math.log(low);
  for (const gain of gains) {
    const place = span > 0 ? (Math.log(Math.max(gain, low)) - Math.log(low)) / span : 0.5;
    if (!Number.isNaN(place)) counts[Math.max(0, Math.min(BINS - 1, Math.floor(place * BINS)))]++;
  }
  const most = Math.max(1, ...counts);
  return counts.map((count) => (count === 0 ? " " : blockCharacter(count / most))).join("");
}

type AnyLayer = Pick<ChannelReport, "node" | "counts">;

const shortLabel = ({ node }: AnyLayer): string => nodeLabel(node).replace(/^BatchNormalization /, "");

/** What cannot be read of normalizations that are written as arithmetic. */
const unknownLine = ({ written }: ChannelInspection): string[] =>
  written.length === 0
    ? []
    : [
        `${plural(written.length, "normalization is", "normalizations are")} written as ${listed([...new Set(written.flatMap(({ operators }) => operators))])}: gain and shift can be read, gamma, beta, mean and variance are not in the file`,
      ];

function lines(found: ChannelInspection, facts: ModelFacts): string[] {
  const all = [...found.layers, ...found.written];
  const gains = all.flatMap(({ channels }) =>
    (channels as readonly Pick<Channel, "gain">[]).map(({ gain }) => Math.abs(gain)).filter((g) => g > 0 && Number.isFinite(g)),
  );
  const low = gains.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = gains.reduce((a, b) => Math.max(a, b), 0);
  const charts = all.map((layer) => {
    const { gain } = layer.distributions;
    const row = (layer.channels as readonly Pick<Channel, "gain">[]).map((channel) => Math.abs(channel.gain));
    const range = layer.range === undefined ? "" : `${brief(layer.range.before)} -> ${brief(layer.range.after)}`;
    return [
      shortLabel(layer),
      String(row.length),
      histogram(row, low, high),
      brief(gain.min),
      brief(gain.median),
      brief(gain.max),
      range,
      flagsText(layer.counts),
    ];
  });
  const spreads = found.layers.flatMap((layer) =>
    (["scale", "bias", "mean", "variance"] as const).map((name) => {
      const { min, lowerQuartile, median, upperQuartile, max } = layer.distributions[name];
      return [
        name === "scale" ? shortLabel(layer) : "",
        { scale: "gamma", bias: "beta", mean: "mean", variance: "variance" }[name],
        ...[min, lowerQuartile, median, upperQuartile, max].map(brief),
      ];
    }),
  );
  const shifts = found.written.map((layer) => {
    const { min, lowerQuartile, median, upperQuartile, max } = layer.distributions.shift;
    return [shortLabel(layer), "shift", ...[min, lowerQuartile, median, upperQuartile, max].map(brief)];
  });
  const { pruning } = found;
  const share = pruning.weights === 0 ? "" : `, ${brief((100 * pruning.removableWeights) / pruning.weights)} %`;
  const head = ["layer", "channels", "gains", "gain, least", "median", "most", "range", "channels to look at"];
  return [
    `${stdoutStyle("bold", printable(facts.file))}  ${plural(found.layers.length, "BatchNormalization", "BatchNormalization")}`,
    ...unknownLine(found),
    "",
    table(head, charts, ["l", "r", "l", "r", "r", "r", "r", "l"]),
    ...(gains.length === 0
      ? []
      : [
          `gains: how many channels, by size from ${brief(low)} (left) to ${brief(high)} (right), logarithmic; range: largest over median row of the weight in front, before -> after folding`,
        ]),
    "",
    table(["layer", "", "min", "25 %", "median", "75 %", "max"], [...spreads, ...shifts], ["l", "l", "r", "r", "r", "r", "r"]),
    "",
    stdoutStyle("bold", "Pruning"),
    `${plural(pruning.channels, "channel")}: ${pruning.dead} dead, ${pruning.constant} constant (their value moves into the next bias)`,
    `weights that make them: ${pruning.removableWeights} of ${pruning.weights} in the layers in front${share}`,
    ...found.unread.map((node) => `${nodeLabel(node)}: its parameters are computed at run time`),
  ];
}

export function showChannels(
  model: Model,
  facts: ModelFacts,
  format: "text" | "json" | "csv",
  select?: (name: string) => boolean,
): void {
  const found = inspectChannels(model, select);
  if (format === "json") print(toJson({ version: 1, tool: tool(), model: facts, ...found }));
  else if (format === "csv") print(channelsCsv(found));
  else print(lines(found, facts).join("\n"));
}
