/** What parameters say of channels, in words and as comma-separated values. */
import type { Channel, ChannelInspection } from "../train/channels.ts";
import { CHANNEL_FLAGS, type ChannelFlag } from "../train/flags.ts";
import { csvLines } from "./escape.ts";

export const FLAG_WORDS: Readonly<Record<ChannelFlag, string>> = {
  dead: "dead",
  constant: "constant",
  "negative-gain": "negative gain",
  "tiny-variance": "variance below epsilon",
  "bad-variance": "variance not positive",
  "float16-overflow": "overflows float16",
  "widens-range": "widens the range",
};

/** `3 dead, 1 negative gain`; "" where nothing is to be looked at. */
export const flagsText = (counts: Readonly<Record<ChannelFlag, number>>): string =>
  CHANNEL_FLAGS.filter((flag) => counts[flag] > 0)
    .map((flag) => `${counts[flag]} ${FLAG_WORDS[flag]}`)
    .join(", ");

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

const HEAD = [
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

/** One row for each channel of each layer. */
export function channelsCsv({ layers, written }: Pick<ChannelInspection, "layers" | "written">): string {
  const rows = [...layers, ...written].flatMap(({ node, channels }) =>
    (channels as readonly (Partial<Channel> & Pick<Channel, "flags">)[]).map((channel, c) => [
      ...[node.name || node.output, node.scope, c],
      ...FIELDS.map((field) => channel[field]),
      channel.flags.join(" "),
    ]),
  );
  return csvLines([HEAD, ...rows]);
}
