/** Marks of a channel: what is odd about its parameters. */
export const CHANNEL_FLAGS = [
  "dead",
  "constant",
  "negative-gain",
  "tiny-variance",
  "bad-variance",
  "float16-overflow",
  "widens-range",
] as const;
/** A mark of a channel: one of `CHANNEL_FLAGS`. */
export type ChannelFlag = (typeof CHANNEL_FLAGS)[number];
