/** Drawings of the explorer. Each has its numbers beside it in a table. */
import { svg } from "../dom.ts";

const WIDTH = 640;
const LEFT = 56;
const RIGHT = 12;

interface Scale {
  readonly low: number;
  readonly high: number;
}

/** Around all numbers, with some room. */
export function around(values: readonly number[]): Scale {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low) * 0.06 || Math.max(Math.abs(high), 1) * 0.1;
  return { low: low - room, high: high + room };
}

const place =
  ({ low, high }: Scale, from: number, to: number) =>
  (v: number) =>
    from + ((v - low) / (high - low)) * (to - from);

export const short = (v: number): string => {
  const size = Math.abs(v);
  if (v === 0) return "0";
  return size < 1e-3 || size >= 1e5 ? v.toExponential(2) : String(Number(v.toPrecision(4)));
};

const picture = (height: number, label: string, ...children: SVGElement[]): SVGElement =>
  svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label }, ...children);

const line = (x1: number, y1: number, x2: number, y2: number, cls = "grid") => svg("line", { x1, y1, x2, y2, class: cls });

const text = (x: number, y: number, content: string, anchor = "start") => svg("text", { x, y, "text-anchor": anchor }, content);

/** A row of dots for each list, on one scale: the same element in the same order. */
export function strips(
  rows: readonly { readonly name: string; readonly values: readonly number[] }[],
  label: string,
): SVGElement {
  const scale = around([0, ...rows.flatMap(({ values }) => values)]);
  const x = place(scale, LEFT, WIDTH - RIGHT);
  const y = (row: number) => 22 + row * 44;
  const height = y(rows.length - 1) + 44;
  const joins = rows
    .slice(1)
    .flatMap(({ values }, row) => values.map((v, i) => line(x(rows[row].values[i]), y(row), x(v), y(row + 1))));
  return picture(
    height,
    label,
    ...joins,
    line(x(0), 8, x(0), height - 22),
    text(x(0), height - 6, "0", "middle"),
    ...rows.flatMap(({ name, values }, row) => [
      text(0, y(row) + 4, name),
      line(LEFT, y(row), WIDTH - RIGHT, y(row)),
      ...values.map((v) => svg("circle", { cx: x(v), cy: y(row), r: 5, class: "dot" })),
    ]),
  );
}

export interface Curve {
  readonly values: readonly number[];
  readonly look: "one" | "two" | "dots" | "rings";
}

/** Curves over one row of places, which are labelled at both ends. */
export function curves(list: readonly Curve[], ends: readonly [string, string], label: string, mark?: number): SVGElement {
  const height = 220;
  const n = Math.max(...list.map(({ values }) => values.length));
  const scale = around(list.flatMap(({ values }) => values));
  const x = (i: number) => (n === 1 ? (LEFT + WIDTH) / 2 : LEFT + (i / (n - 1)) * (WIDTH - RIGHT - LEFT));
  const y = place(scale, height - 24, 8);
  const ticks = [scale.low, (scale.low + scale.high) / 2, scale.high];
  return picture(
    height,
    label,
    ...ticks.flatMap((v) => [
      line(LEFT, y(v), WIDTH - RIGHT, y(v)),
      text(LEFT - 6, Math.min(height - 24, y(v) + 4), short(v), "end"),
    ]),
    ...(mark === undefined ? [] : [line(x(mark), 8, x(mark), height - 24, "two")]),
    ...list.flatMap(({ values, look }) =>
      look === "dots" || look === "rings"
        ? values.map((v, i) =>
            svg("circle", { cx: x(i), cy: y(v), r: look === "dots" ? 3.5 : 7, class: look === "dots" ? "dot" : "dot2" }),
          )
        : [svg("polyline", { points: values.map((v, i) => `${x(i)},${y(v)}`).join(" "), class: look })],
    ),
    text(LEFT, height - 6, ends[0]),
    text(WIDTH - RIGHT, height - 6, ends[1], "end"),
  );
}

const CELL = 22;

/** A block as samples beside each other, channels down, positions across; those that share statistics are filled. */
export function block(
  [batch, channels, inner]: readonly [number, number, number],
  shares: readonly boolean[],
  label: string,
): SVGElement {
  const wide = inner * CELL + 18;
  const cells = shares.map((filled, i) => {
    const [n, c, p] = [Math.floor(i / (channels * inner)), Math.floor(i / inner) % channels, i % inner];
    const at = { x: 4 + n * wide + p * CELL, y: 20 + c * CELL, width: CELL - 3, height: CELL - 3, rx: 3 };
    return svg("rect", { ...at, class: filled ? "bar" : "empty" });
  });
  const heads = Array.from({ length: batch }, (_, n) => text(4 + n * wide, 13, `sample ${n}`));
  const size = `0 0 ${batch * wide} ${24 + channels * CELL}`;
  return svg("svg", { viewBox: size, role: "img", "aria-label": label }, ...heads, ...cells);
}
