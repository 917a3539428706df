/** Drawings of a graph as SVG: the part around a node as boxes and lines, and the whole as a map of cells. */
import { shorten } from "../../../src/report/layout.ts";
import { plural, printable } from "../../../src/report/words.ts";
import { svg } from "../dom.ts";
import type { DrawnNode, Layout, LayoutAsk } from "../protocol.ts";
import type { Cells } from "./map.ts";
import { MARKS, type Mark, type Nearby, type Net, type Side } from "./net.ts";

export const MARK_WORDS: Readonly<Record<Mark, string>> = {
  folded: "folded",
  merged: "merged",
  kept: "kept",
  changed: "changed",
  removed: "removed",
  added: "added",
};

/** A box, and letters of its two lines. */
const [LEAST, MOST, TALL, LETTER, BOLD] = [96, 230, 42, 6.6, 7.6];
/** Letters of a name that fit into the widest box. */
const LETTERS = Math.floor((MOST - 16) / BOLD);

const titleOf = ({ kind, opType, name, output }: DrawnNode): readonly [string, string] =>
  kind === "node" ? [opType, name || output] : [kind, name];

/** The two lines of its box. */
const linesIn = (node: DrawnNode): string[] => {
  const [head, name] = titleOf(node);
  return [head, nameIn(name, node.opType)].map(fitted);
};

/** `Conv "conv1"`, or `input "x"`. */
export function drawnLabel(node: DrawnNode): string {
  const [head, name] = titleOf(node);
  return printable(`${head} "${name}"${node.scope === "" ? "" : ` in ${node.scope}`}`);
}

/** Exporters end a name with the operator, which stands above it. */
const nameIn = (name: string, opType: string): string => {
  const end = `/${opType}`;
  return name.length > end.length && name.endsWith(end) ? name.slice(0, -end.length) : name;
};

const fitted = (text: string): string => shorten(printable(text), LETTERS);

/** The width of its box: both lines fit, and behind the first one how many neighbours are left out. */
function widthOf(net: Net, { hidden }: Nearby, node: number): number {
  const [head, name] = linesIn(net.nodes[node].node).map(({ length }) => length);
  const more = hidden.get(node);
  const beside = more === undefined ? 0 : LETTER * (1 + `+${more}`.length);
  return Math.max(LEAST, Math.min(MOST, 16 + BOLD * head) + beside, Math.min(MOST, 16 + LETTER * name));
}

/** What a layout needs to know of these nodes. */
export function layoutAsk(net: Net, near: Nearby): LayoutAsk {
  const place = new Map(near.nodes.map((node, i) => [node, i]));
  const boxes = near.nodes.map((node) => ({ width: widthOf(net, near, node), height: TALL }));
  const lines = linesOf(net, place).map(({ from, to }) => [from, to] as const);
  return { boxes, lines };
}

const linesOf = ({ edges, out }: Net, place: ReadonlyMap<number, number>) =>
  [...place].flatMap(([node, from]) =>
    out[node].flatMap((edge) => {
      const to = place.get(edges[edge].to);
      return to === undefined ? [] : [{ from, to, side: edges[edge].side }];
    }),
  );

export interface Shown {
  readonly net: Net;
  readonly near: Nearby;
  readonly layout: Layout;
  /** Whose nodes and edges are drawn; "both" lays the graphs over each other. */
  readonly side: Side;
  /** The node in the middle, and those of the way a map went. */
  readonly middle: number;
  readonly way: ReadonlySet<number>;
  readonly label: string;
  readonly onNode: (node: number) => void;
}

const isIn = (side: Side, of: Side): boolean => side === "both" || of === "both" || of === side;

/** Through the points, rounded at each. */
function path(points: Layout["lines"][number]): string {
  const at = (x: number, y: number) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const [first, ...rest] = points;
  const bends = rest.slice(0, -1).map((p, i) => `Q${at(p.x, p.y)} ${at((p.x + rest[i + 1].x) / 2, (p.y + rest[i + 1].y) / 2)}`);
  const last = points[points.length - 1];
  return `M${at(first.x, first.y)}${bends.join("")}L${at(last.x, last.y)}m-4 -7l4 7l4 -7`;
}

/** Boxes and lines. Arrows lead from node to node along the edges, Enter goes to the node. */
export function drawGraph(shown: Shown): SVGElement {
  const { net, near, layout, side, label } = shown;
  const place = new Map(near.nodes.map((node, i) => [node, i]));
  const lines = linesOf(net, place).flatMap((line, i) =>
    isIn(side, line.side) ? [svg("path", { class: `edge ${line.side}`, d: path(layout.lines[i]) })] : [],
  );
  const boxes = new Map<number, SVGElement>();
  near.nodes.forEach((node, i) => {
    if (isIn(side, net.nodes[node].side)) boxes.set(node, box(shown, node, i));
  });
  const size = { width: Math.ceil(layout.width), height: Math.ceil(layout.height) };
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${size.width} ${size.height}`, ...size, class: "graph", role: "group", "aria-label": label },
    ...lines,
    ...boxes.values(),
  );
  const first = boxes.get(shown.middle) ?? boxes.values().next().value;
  first?.setAttribute("tabindex", "0");
  drawing.addEventListener("keydown", (event) => {
    const from = [...boxes].find(([, element]) => element === event.target)?.[0];
    if (from === undefined) return;
    if (event.key === "Enter" || event.key === " ") shown.onNode(from);
    else {
      const to = neighbour(shown, boxes, place, from, event.key);
      if (to === undefined) return;
      boxes.get(from)?.setAttribute("tabindex", "-1");
      to.setAttribute("tabindex", "0");
      to.focus();
    }
    event.preventDefault();
  });
  return drawing;
}

function neighbour(
  { net, layout }: Shown,
  boxes: ReadonlyMap<number, SVGElement>,
  place: ReadonlyMap<number, number>,
  from: number,
  key: string,
): SVGElement | undefined {
  const at = (node: number) => layout.boxes[place.get(node) as number];
  const here = at(from);
  const level = [...boxes.keys()].filter((node) => Math.abs(at(node).y - here.y) < TALL / 2);
  const ways: Readonly<Record<string, () => number[]>> = {
    ArrowUp: () => net.into[from].map((edge) => net.edges[edge].from),
    ArrowDown: () => net.out[from].map((edge) => net.edges[edge].to),
    ArrowLeft: () => level.filter((node) => at(node).x < here.x),
    ArrowRight: () => level.filter((node) => at(node).x > here.x),
  };
  const there = (ways[key]?.() ?? []).filter((node) => boxes.has(node));
  there.sort((p, q) => Math.abs(at(p).x - here.x) - Math.abs(at(q).x - here.x));
  return there.length === 0 ? undefined : boxes.get(there[0]);
}

function box({ net, near, layout, side, middle, way, onNode }: Shown, node: number, place: number): SVGElement {
  const { node: first, now, mark, side: of } = net.nodes[node];
  const shown = side === "after" && now !== undefined ? now : first;
  const { x, y } = layout.boxes[place];
  const width = widthOf(net, near, node);
  const [head, name] = linesIn(shown);
  const more = near.hidden.get(node);
  // What is gone or new is so in one of the graphs only: in that one it is marked.
  const said = mark === undefined ? "" : `, ${MARK_WORDS[mark]}`;
  const rest = more === undefined ? "" : `, ${plural(more, "more neighbour")}`;
  const classes = ["box", shown.kind, of, mark ?? "", node === middle ? "here" : "", way.has(node) ? "way" : ""];
  const left = x - width / 2;
  return svg(
    "g",
    {
      class: classes.filter((one) => one !== "").join(" "),
      role: "button",
      tabindex: "-1",
      onclick: () => onNode(node),
    },
    // Its name, too: a box has no other.
    svg("title", {}, `${drawnLabel(shown)}${said}${rest}`),
    svg("rect", { x: left, y: y - TALL / 2, width, height: TALL, rx: shown.kind === "node" ? 5 : TALL / 2 }),
    svg("text", { x: left + 8, y: y - 4, class: "op" }, head),
    svg("text", { x: left + 8, y: y + 13 }, name),
    more !== undefined && svg("text", { x: left + width - 6, y: y - 6, "text-anchor": "end", class: "more" }, `+${more}`),
  );
}

/** A cell's shape for each mark, so that colour is not all that tells them apart: rings of corners x, y in a cell of size 1. */
const SHAPES: Readonly<Record<Mark | "plain", readonly (readonly number[])[]>> = {
  folded: [[0.08, 0.08, 0.92, 0.08, 0.92, 0.92, 0.08, 0.92]],
  merged: [[0.5, 0, 1, 0.5, 0.5, 1, 0, 0.5]],
  kept: [
    [0, 0, 1, 0, 1, 1, 0, 1],
    [0.3, 0.3, 0.7, 0.3, 0.7, 0.7, 0.3, 0.7],
  ],
  changed: [[0.08, 0.45, 0.92, 0.45, 0.92, 0.92, 0.08, 0.92]],
  removed: [[0.15, 0, 0.5, 0.35, 0.85, 0, 1, 0.15, 0.65, 0.5, 1, 0.85, 0.85, 1, 0.5, 0.65, 0.15, 1, 0, 0.85, 0.35, 0.5, 0, 0.15]],
  added: [
    [0.35, 0, 0.65, 0, 0.65, 0.35, 1, 0.35, 1, 0.65, 0.65, 0.65, 0.65, 1, 0.35, 1, 0.35, 0.65, 0, 0.65, 0, 0.35, 0.35, 0.35],
  ],
  plain: [[0.3, 0.3, 0.7, 0.3, 0.7, 0.7, 0.3, 0.7]],
};

const round = (value: number): number => Math.round(100 * value) / 100;

/** The shape as a path with its upper left corner at a place. */
function placed(mark: Mark | "plain", x: number, y: number, size: number): string {
  return SHAPES[mark]
    .map((ring) => {
      const corners = Array.from(
        { length: ring.length / 2 },
        (_, i) => `${round(x + size * ring[2 * i])} ${round(y + size * ring[2 * i + 1])}`,
      );
      return `M${corners.join("L")}z`;
    })
    .join("");
}

/** A mark's sign for a legend. */
export const sign = (mark: Mark): SVGElement =>
  svg(
    "svg",
    { viewBox: "0 0 14 14", width: 14, height: 14, class: "map", "aria-hidden": "true" },
    svg("path", { class: mark, "fill-rule": "evenodd", d: placed(mark, 0, 0, 14) }),
  );

export interface MapDrawing {
  readonly element: SVGElement;
  /** Rings one node, and joins it with its neighbours. */
  point(node: number): void;
}

/** One path for each mark: ten thousand cells are seven elements. */
export function drawMap(net: Net, cells: Cells, size: number, label: string, onNode: (node: number) => void): MapDrawing {
  const [width, height] = [cells.columns * size, cells.rows * size];
  const paths = new Map<Mark | "plain", string[]>([...MARKS, "plain" as const].map((mark) => [mark, []]));
  cells.at.forEach(({ column, row }, i) => {
    const mark = net.nodes[i].mark ?? "plain";
    paths.get(mark)?.push(placed(mark, column * size, row * size, size * 0.86));
  });
  const middle = (node: number) => ({ x: (cells.at[node].column + 0.43) * size, y: (cells.at[node].row + 0.43) * size });
  const pointer = svg("g", { class: "pointer" });
  const shapes = [...paths].map(([mark, list]) => svg("path", { class: mark, "fill-rule": "evenodd", d: list.join("") }));
  const element = svg(
    "svg",
    {
      viewBox: `-4 -4 ${width + 8} ${height + 8}`,
      width: width + 8,
      height: height + 8,
      class: "map",
      role: "img",
      "aria-label": label,
    },
    ...shapes,
    pointer,
  );
  const byCell = new Map(cells.at.map(({ column, row }, i) => [`${column} ${row}`, i]));
  const under = ({ clientX, clientY }: MouseEvent): number | undefined => {
    const { left, top } = element.getBoundingClientRect();
    return byCell.get(`${Math.floor((clientX - left - 4) / size)} ${Math.floor((clientY - top - 4) / size)}`);
  };
  element.addEventListener("click", (event) => {
    const node = under(event as MouseEvent);
    if (node !== undefined) onNode(node);
  });
  const title = svg("title", {});
  element.prepend(title);
  element.addEventListener("mousemove", (event) => {
    const node = under(event as MouseEvent);
    title.textContent = node === undefined ? "" : drawnLabel(net.nodes[node].node);
  });
  const point = (node: number) => {
    const { x, y } = middle(node);
    const ends = [...net.into[node].map((e) => net.edges[e].from), ...net.out[node].map((e) => net.edges[e].to)];
    pointer.replaceChildren(
      ...ends.slice(0, 64).map((end) => svg("line", { x1: x, y1: y, x2: middle(end).x, y2: middle(end).y })),
      svg("rect", { x: x - size * 0.6, y: y - size * 0.6, width: size * 1.2, height: size * 1.2, rx: 2 }),
    );
  };
  return { element, point };
}
