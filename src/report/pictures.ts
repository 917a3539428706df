/** Numbers as pictures of one line; a ramp has the characters of its bars, block characters or ASCII, the lowest first (train/half-life.ts). */
import { barOf } from "../train/half-life.ts";
import type { LayerChannels } from "./details.ts";
import { type Align, columns } from "./layout.ts";
import { brief, nodeLabel } from "./words.ts";

/** How many values lie in each of `bins` parts of the logarithmic scale from `low` to `high`; an empty part is a blank. */
export function histogram(values: readonly number[], low: number, high: number, ramp: string, bins = 24): string {
  const counts = new Array<number>(bins).fill(0);
  const span = Math.log(high) - Math.log(low);
  for (const value of values) {
    const place = span > 0 ? (Math.log(Math.max(value, low)) - Math.log(low)) / span : 0.5;
    if (!Number.isNaN(place)) counts[Math.max(0, Math.min(bins - 1, Math.floor(place * bins)))]++;
  }
  const most = Math.max(1, ...counts);
  return counts.map((count) => (count === 0 ? " " : barOf(count / most, ramp))).join("");
}

/** A bar for each value, by its size of `top`; of more than `width` the largest of neighbours. */
export function sparkline(values: readonly number[], top: number, ramp: string, width = 16): string {
  const n = Math.min(width, values.length);
  return Array.from({ length: n }, (_, i) => {
    const part = values.slice(Math.floor((i * values.length) / n), Math.floor(((i + 1) * values.length) / n));
    const largest = part.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    return Number.isFinite(largest) && top > 0 ? barOf(largest / top, ramp) : "!";
  }).join("");
}

const finite = (values: readonly number[]): number[] => values.map(Math.abs).filter((v) => v > 0 && Number.isFinite(v));
const least = (values: readonly number[]): number => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0);

/** Each layer's gains, and its weight's channels before and after them, side by side on one scale. */
export function channelLines(layers: readonly LayerChannels[], ramp: string, width = Number.POSITIVE_INFINITY): string[] {
  const all = layers.flatMap(({ gains }) => finite(gains));
  if (all.length === 0) return [];
  const [low, high] = [least(all), most(all)];
  const bins = width < 100 ? 12 : 24;
  const rows = layers.map(({ node, gains, before, after }) => {
    const top = most([...finite(before ?? []), ...finite(after ?? [])]);
    const weights = before === undefined || after === undefined ? ["", ""] : [before, after];
    return [
      nodeLabel(node).replace(/^BatchNormalization /, ""),
      histogram(gains.map(Math.abs), low, high, ramp, bins),
      ...weights.map((list) => (typeof list === "string" ? list : sparkline(list, top, ramp, bins))),
    ];
  });
  // Pictures are as wide as they are: a column of numbers is never shortened.
  const align: Align[] = ["l", "r", "r", "r"];
  return columns(["layer", `gains, ${brief(low)} to ${brief(high)}`, "weight before", "after"], rows, align, width);
}
