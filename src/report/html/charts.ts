/** Pictures drawn by hand as SVG: numbers per channel, distributions of gains, the part of the graph around a node. */
import type { Neighbourhood } from "../details.ts";
import { shorten } from "../layout.ts";
import { type Shape, shape } from "../shape.ts";
import { brief } from "../words.ts";

const [WIDTH, HEIGHT, FOOT] = [640, 84, 16];

const finite = (values: readonly number[]): number[] => values.filter(Number.isFinite);
const greatest = (values: readonly number[]): number => finite(values).reduce((a, b) => Math.max(a, b), 0);
const least = (values: readonly number[]): number => finite(values).reduce((a, b) => Math.min(a, b), 0);
const at = (value: number): number => Math.round(10 * value) / 10;

const picture = (width: number, height: number, label: string, ...children: Shape["children"]): Shape =>
  shape("svg", { viewBox: `0 0 ${width} ${height}`, width, role: "img", "aria-label": label }, ...children);

const note = (y: number, text: string): Shape => shape("text", { class: "soft", x: 0, y }, text);

/** Numbers of one list; kind "a" is drawn wide and behind, "b" in front. */
interface Row {
  readonly values: readonly number[];
  readonly kind: "a" | "b";
}

/** One bar a channel from zero up or down, all lists on one scale; what is not finite goes all the way. */
function bars(rows: readonly Row[]): Shape[] {
  const all = rows.flatMap(({ values }) => values);
  const [low, high] = [least(all), greatest(all)];
  if (low === high) return [];
  const y = (value: number) => (HEIGHT * (high - value)) / (high - low);
  const step = WIDTH / rows.reduce((n, { values }) => Math.max(n, values.length), 1);
  return rows.flatMap(({ values, kind }) => {
    const inset = step * (kind === "a" && rows.length > 1 ? 0.05 : rows.length > 1 ? 0.25 : 0.1);
    return values.map((value, i) => {
      const end = y(Number.isFinite(value) ? value : value < 0 ? low : high);
      const [top, bottom] = [Math.min(end, y(0)), Math.max(end, y(0))];
      const place = { x: at(i * step + inset), y: at(top), width: at(Math.max(0.5, step - 2 * inset)), height: at(bottom - top) };
      return shape("rect", { class: kind, ...place });
    });
  });
}

const shared = (shown: number, channels: number): string => (shown < channels ? `, ${brief(channels / shown)} to a bar` : "");

/** The largest weight of each channel, before behind after. */
export function ranges(before: readonly number[], after: readonly number[], channels: number): Shape | undefined {
  const drawn = bars([
    { values: before, kind: "a" },
    { values: after, kind: "b" },
  ]);
  if (drawn.length === 0) return undefined;
  const text = `largest |weight| of each of ${channels} channels${shared(before.length, channels)}: before (grey) to ${brief(greatest(before))}, after (blue) to ${brief(greatest(after))}`;
  const label = "largest weight of each channel, before and after";
  return picture(WIDTH, HEIGHT + FOOT, label, ...drawn, note(HEIGHT + FOOT - 4, text));
}

/** A number of each channel, above or below zero. */
export function perChannel(name: string, values: readonly number[], channels: number): Shape | undefined {
  const drawn = bars([{ values, kind: "b" }]);
  if (drawn.length === 0) return undefined;
  const text = `${name} of each of ${channels} channels${shared(values.length, channels)}: ${brief(least(values))} to ${brief(greatest(values))}`;
  return picture(WIDTH, HEIGHT + FOOT, `${name} of each channel`, ...drawn, note(HEIGHT + FOOT - 4, text));
}

/** How many channels have which gain, by size on a logarithmic axis. */
export function histogram(values: readonly number[]): Shape | undefined {
  const sizes = finite(values.map(Math.abs)).filter((value) => value > 0);
  if (sizes.length < 2) return undefined;
  const [low, high] = [sizes.reduce((a, b) => Math.min(a, b)), greatest(sizes)];
  const bins = new Array<number>(32).fill(0);
  const span = Math.log(high) - Math.log(low);
  for (const value of sizes) {
    const place = span > 0 ? (Math.log(value) - Math.log(low)) / span : 0.5;
    bins[Math.min(bins.length - 1, Math.floor(place * bins.length))]++;
  }
  const [most, step] = [greatest(bins), WIDTH / bins.length];
  const drawn = bins.map((n, i) => {
    const height = ((HEIGHT / 2) * n) / most;
    const place = { x: at(i * step + 1), y: at(HEIGHT / 2 - height), width: at(step - 2), height: at(height) };
    return shape("rect", { class: "b", ...place });
  });
  const text = `|gain| of ${sizes.length} channels, ${brief(low)} to ${brief(high)}, logarithmic`;
  return picture(WIDTH, HEIGHT / 2 + FOOT, "distribution of gains", ...drawn, note(HEIGHT / 2 + FOOT - 4, text));
}

const [BOX, TALL, GAP, ROW] = [168, 36, 44, 12];

/** Nodes in columns by their distance from the one in the middle; what flows, flows from left to right. */
export function around({ nodes, edges }: Neighbourhood): Shape {
  const layers = [...new Set(nodes.map(({ layer }) => layer))].sort((a, b) => a - b);
  const columns = layers.map((layer) => nodes.map((node, i) => ({ ...node, i })).filter((node) => node.layer === layer));
  const rows = columns.reduce((n, column) => Math.max(n, column.length), 1);
  const [width, height] = [layers.length * BOX + (layers.length - 1) * GAP, rows * (TALL + ROW)];
  const places = new Map(
    columns.flatMap((column, c) =>
      column.map(
        ({ i }, r) =>
          [i, { x: c * (BOX + GAP), y: (height - column.length * (TALL + ROW)) / 2 + r * (TALL + ROW) + ROW / 2 }] as const,
      ),
    ),
  );
  const lines = edges.flatMap(([from, to]) => {
    const [p, q] = [places.get(from), places.get(to)];
    if (p === undefined || q === undefined) return [];
    return [shape("line", { x1: p.x + BOX, y1: p.y + TALL / 2, x2: q.x, y2: q.y + TALL / 2 })];
  });
  const boxes = nodes.map(({ opType, name, layer }, i) => {
    const { x, y } = places.get(i) as { x: number; y: number };
    const frame = { class: layer === 0 ? "box here" : "box", x: x + 1, y, width: BOX - 2, height: TALL, rx: 4 };
    return shape(
      "g",
      {},
      shape("title", {}, `${opType} ${name}`),
      shape("rect", frame),
      shape("text", { x: x + 8, y: y + 15 }, shorten(opType, 24)),
      shape("text", { class: "soft", x: x + 8, y: y + 29 }, shorten(name, 26)),
    );
  });
  return picture(width, height, "the graph around the node", ...lines, ...boxes);
}
