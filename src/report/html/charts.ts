/** Pictures drawn by hand as SVG: ranges per channel, distributions of gains, the part of the graph around a node. */
import type { Neighbourhood } from "../details.ts";
import { shorten } from "../layout.ts";
import { brief } from "../words.ts";
import { type Html, html } from "./template.ts";

const [WIDTH, HEIGHT, FOOT] = [640, 84, 16];

const finite = (values: readonly number[]): number[] => values.filter(Number.isFinite);
const greatest = (values: readonly number[]): number => finite(values).reduce((a, b) => Math.max(a, b), 0);
const at = (value: number): number => Math.round(10 * value) / 10;

/** One bar a channel, before behind after; both on one scale that ends at the largest. */
export function ranges(before: readonly number[], after: readonly number[], channels: number): Html {
  const most = greatest([...before, ...after]);
  if (most === 0) return html``;
  const step = WIDTH / Math.max(before.length, after.length);
  const bars = (values: readonly number[], kind: "a" | "b", inset: number) =>
    values.map((value, i) => {
      const height = Number.isFinite(value) ? (HEIGHT * value) / most : HEIGHT;
      return html`<rect class="${kind}" x="${at(i * step + inset)}" y="${at(HEIGHT - height)}" width="${at(Math.max(0.5, step - 2 * inset))}" height="${at(height)}"/>`;
    });
  const shared = before.length < channels ? `, ${brief(channels / before.length)} to a bar` : "";
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT + FOOT}" width="${WIDTH}" role="img" aria-label="largest weight of each channel, before and after">
${bars(before, "a", step * 0.05)}${bars(after, "b", step * 0.25)}
<text class="soft" x="0" y="${HEIGHT + FOOT - 4}">largest |weight| of each of ${channels} channels${shared}: before (grey) to ${brief(greatest(before))}, after (blue) to ${brief(greatest(after))}</text></svg>`;
}

/** How many channels have which gain, by size on a logarithmic axis. */
export function histogram(values: readonly number[]): Html {
  const sizes = finite(values.map(Math.abs)).filter((value) => value > 0);
  if (sizes.length < 2) return html``;
  const [low, high] = [sizes.reduce((a, b) => Math.min(a, b)), greatest(sizes)];
  const bins = new Array<number>(32).fill(0);
  const span = Math.log(high) - Math.log(low);
  for (const value of sizes) {
    const place = span > 0 ? (Math.log(value) - Math.log(low)) / span : 0.5;
    bins[Math.min(bins.length - 1, Math.floor(place * bins.length))]++;
  }
  const [most, step] = [greatest(bins), WIDTH / bins.length];
  const bars = bins.map((n, i) => {
    const height = ((HEIGHT / 2) * n) / most;
    return html`<rect class="b" x="${at(i * step + 1)}" y="${at(HEIGHT / 2 - height)}" width="${at(step - 2)}" height="${at(height)}"/>`;
  });
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT / 2 + FOOT}" width="${WIDTH}" role="img" aria-label="distribution of gains">${bars}
<text class="soft" x="0" y="${HEIGHT / 2 + FOOT - 4}">|gain| of ${sizes.length} channels, ${brief(low)} to ${brief(high)}, logarithmic</text></svg>`;
}

const [BOX, TALL, GAP, ROW] = [168, 36, 44, 12];

/** Nodes in columns by their distance from the one in the middle; what flows, flows from left to right. */
export function around({ nodes, edges }: Neighbourhood): Html {
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
  const lines = edges.map(([from, to]) => {
    const [p, q] = [places.get(from), places.get(to)];
    if (p === undefined || q === undefined) return html``;
    return html`<line x1="${p.x + BOX}" y1="${p.y + TALL / 2}" x2="${q.x}" y2="${q.y + TALL / 2}"/>`;
  });
  const boxes = nodes.map(({ opType, name, layer }, i) => {
    const { x, y } = places.get(i) as { x: number; y: number };
    return html`<g><title>${opType} ${name}</title><rect class="${layer === 0 ? "box here" : "box"}" x="${x + 1}" y="${y}" width="${BOX - 2}" height="${TALL}" rx="4"/>
<text x="${x + 8}" y="${y + 15}">${shorten(opType, 24)}</text><text class="soft" x="${x + 8}" y="${y + 29}">${shorten(name, 26)}</text></g>`;
  });
  return html`<svg viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="the graph around the node">${lines}${boxes}</svg>`;
}
