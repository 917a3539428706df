/**
 * A graph to look around in: a map of all of it, where what happened is marked, and the part around one node, before and after side
 * by side in the same places, or one over the other.
 */
import type { NodeRef } from "../../../src/fold/types.ts";
import { plural, printable } from "../../../src/report/words.ts";
import { announce, type Children, h, replace } from "../dom.ts";
import { engine } from "../engine.ts";
import { drawGraph, drawMap, drawnLabel, layoutAsk, MARK_WORDS, type MapDrawing, sign } from "../graph/draw.ts";
import { cellsOf } from "../graph/map.ts";
import { MARKS, type Mark, type Net, type NetNode, nearby, netOf } from "../graph/net.ts";
import type { DrawnNode, GraphPair, Layout } from "../protocol.ts";

/** What the page knows of a node. */
export interface Known {
  readonly mark?: Mark;
  /** Said of it when it is in the middle. */
  readonly said?: Children;
  /** Nodes that belong to its story: on which way its map went, and where. */
  readonly ways?: readonly { readonly label: string; readonly nodes: readonly NodeRef[] }[];
}

/** Nodes of a story that are named. */
const WAY = 24;

const spaced = (list: readonly HTMLElement[]): (HTMLElement | string)[] => list.flatMap((one) => [one, " "]);
const rest = (n: number): string => (n > 0 ? `and ${n} more` : "");

export type Tell = (node: DrawnNode) => Known;

/** Nodes drawn around one. */
const DRAWN = 60;
/** Edges away, to choose from. */
const DEPTHS = [1, 2, 3, 5, 8];
const FOUND = 12;
/** Steps of the zoom. */
const ZOOM = [0.5, 0.7, 1, 1.4, 2];
/** A drawing is made smaller than its frame down to this, and scrolls then. */
const LEAST = 0.7;

export const graphKey = ({ scope, index }: Pick<NodeRef, "scope" | "index">): string => `${scope}#${index}`;

export class GraphView {
  readonly element = h("div", { class: "graphs" });
  private readonly net: Net;
  private readonly known: readonly Known[];
  private readonly places: ReadonlyMap<string, number>;
  private readonly pictures = h("div", {});
  private readonly found = h("div", { role: "status", "aria-live": "polite" });
  private readonly whole = h("div", { class: "scroll overview", tabindex: 0, role: "region", "aria-label": "Map of the graph" });
  private map: MapDrawing | undefined;
  private middle = 0;
  private depth = 2;
  private zoom = 2;
  private way: readonly number[] = [];
  private drawing = 0;

  constructor(
    private readonly pair: GraphPair,
    tell: Tell,
    /** One graph over the other at first, not beside it. */
    private over = false,
  ) {
    this.known = pair.before.nodes.map(tell);
    const marks = new Map(this.known.flatMap(({ mark }, i) => (mark === undefined ? [] : [[i, mark] as const])));
    this.net = netOf(pair, marks);
    this.places = new Map(pair.before.nodes.flatMap((node, i) => (node.kind === "node" ? [[graphKey(node), i] as const] : [])));
  }

  private get nodes(): readonly NetNode[] {
    return this.net.nodes;
  }

  /** Draws what needs the width it has; call it when it is on the screen. */
  start(): void {
    if (this.map !== undefined) return;
    const n = this.nodes.length;
    const size = n <= 150 ? 18 : n <= 1500 ? 12 : 8;
    const columns = Math.max(10, Math.floor((this.element.clientWidth || 320) / size) - 1);
    const counts = this.marked().map(([mark, list]) => `${list.length} ${MARK_WORDS[mark]}`);
    const label = `The whole graph: ${[plural(n, "node"), ...counts].join(", ")}`;
    this.map = drawMap(this.net, cellsOf(this.net, columns), size, label, (node) => void this.go(node));
    replace(this.whole, this.map.element);
    replace(this.element, this.legend(), this.whole, this.search(), this.tools(), this.pictures);
    const first = this.marked()[0]?.[1][0] ?? 0;
    void this.go(first, false);
  }

  /** Shows a node of the first model, and its story. @returns false when it is not in the file. */
  show(ref: NodeRef): boolean {
    const node = this.places.get(graphKey(ref));
    if (node === undefined) return false;
    this.start();
    void this.go(node);
    return true;
  }

  private placesOf(nodes: readonly NodeRef[]): number[] {
    return nodes.flatMap((ref) => this.places.get(graphKey(ref)) ?? []);
  }

  private marked(): [Mark, number[]][] {
    return MARKS.map((mark): [Mark, number[]] => [mark, this.nodes.flatMap((node, i) => (node.mark === mark ? [i] : []))]).filter(
      ([, list]) => list.length > 0,
    );
  }

  /** Marks with their numbers; each leads from one such node to the next. */
  private legend(): HTMLElement {
    const buttons = this.marked().map(([mark, list]) => {
      const next = () => void this.go(list.find((i) => i > this.middle) ?? list[0]);
      const words = `${MARK_WORDS[mark]}: ${list.length}`;
      return h("button", { type: "button", class: `quiet legend ${mark}`, onclick: next }, sign(mark), ` ${words}`);
    });
    const none = h("span", { class: "why" }, "Nothing is marked.");
    return h(
      "div",
      { class: "actions", role: "group", "aria-label": "Go to the next node that is" },
      buttons.length > 0 ? buttons : none,
    );
  }

  private search(): HTMLElement {
    const field = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "name or operator" });
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      const hits =
        wanted === ""
          ? []
          : this.nodes.flatMap(({ node }, i) => (drawnLabel(node).toLowerCase().includes(wanted) ? [i] : [])).slice(0, FOUND);
      replace(this.found, this.buttons(hits), wanted !== "" && hits.length === 0 && h("p", { class: "why" }, "No such node."));
    });
    return h("div", {}, h("label", { class: "text" }, h("span", {}, "Find a node"), field), this.found);
  }

  private buttons(nodes: readonly number[]): HTMLElement[] {
    return nodes.map((i) =>
      h("button", { type: "button", class: "quiet small", onclick: () => void this.go(i) }, drawnLabel(this.nodes[i].node)),
    );
  }

  private tools(): HTMLElement {
    const far = h("select", { onchange: () => void this.redraw(() => (this.depth = DEPTHS[far.selectedIndex])) });
    far.append(...DEPTHS.map((depth) => h("option", { selected: depth === this.depth }, plural(depth, "edge"))));
    const over = h("input", {
      type: "checkbox",
      checked: this.over,
      onchange: () => void this.redraw(() => (this.over = over.checked)),
    });
    const zoom = (by: number) => void this.redraw(() => (this.zoom = Math.min(ZOOM.length - 1, Math.max(0, this.zoom + by))));
    const button = (label: string, text: string, by: number) =>
      h("button", { type: "button", class: "quiet", "aria-label": label, onclick: () => zoom(by) }, text);
    return h(
      "div",
      { class: "actions tools" },
      h("label", {}, "Around it, up to ", far),
      this.pair.after !== undefined && h("label", { class: "check" }, over, h("span", {}, "One over the other")),
      h("span", { role: "group", "aria-label": "Zoom" }, button("Smaller", "\u2212", -1), " ", button("Larger", "+", 1)),
    );
  }

  private redraw(change: () => unknown): Promise<void> {
    change();
    return this.draw();
  }

  private async go(node: number, said = true): Promise<void> {
    this.middle = node;
    this.way = (this.known[node]?.ways ?? []).flatMap(({ nodes }) => this.placesOf(nodes));
    this.map?.point(node);
    // The focus is in a drawing that is about to be replaced.
    const inside = this.pictures.contains(document.activeElement);
    await this.draw();
    if (inside) this.pictures.querySelector<SVGElement>(".box.here")?.focus({ preventScroll: true });
    if (said) announce(drawnLabel(this.nodes[node].node));
  }

  private async draw(): Promise<void> {
    const turn = ++this.drawing;
    const near = nearby(this.net, [this.middle, ...this.way].slice(0, DRAWN), this.depth, DRAWN);
    const layout = await engine.ask("layout", layoutAsk(this.net, near));
    // Another node was chosen while this one was laid out.
    if (turn !== this.drawing) return;
    const sides = this.pair.after === undefined || this.over ? (["both"] as const) : (["before", "after"] as const);
    const figures = sides.map((side) => {
      const words =
        side === "both"
          ? this.over
            ? "Before and after, one over the other"
            : "The graph"
          : side === "before"
            ? "Before"
            : "After";
      const label = `${words}: around ${drawnLabel(this.nodes[this.middle].node)}`;
      const shown = { ...{ net: this.net, near, layout, side, middle: this.middle, way: new Set(this.way), label } };
      const drawing = drawGraph({ ...shown, onNode: (node) => void this.go(node) });
      return h("figure", {}, h("figcaption", {}, words), h("div", { class: "scroll picture" }, drawing));
    });
    const old = this.pictures.querySelector(".picture");
    const above = { left: old?.scrollLeft ?? 0, top: old?.scrollTop ?? 0 };
    replace(this.pictures, this.told(), h("div", { class: "columns two" }, figures));
    this.placed([...this.pictures.querySelectorAll<HTMLElement>(".picture")], layout, above);
  }

  /** As large as fits; the node in the middle stands in the middle. What one picture shows, the other shows. */
  private placed(parts: readonly HTMLElement[], { width, height }: Layout, above: { left: number; top: number }): void {
    for (const one of parts) {
      const scale = ZOOM[this.zoom] * Math.min(1, Math.max(LEAST, one.clientWidth / width));
      const drawing = one.firstElementChild;
      drawing?.setAttribute("width", String(Math.floor(width * scale)));
      drawing?.setAttribute("height", String(Math.floor(height * scale)));
      one.addEventListener("scroll", () => {
        for (const other of parts) if (other !== one) other.scrollTo(one.scrollLeft, one.scrollTop);
      });
    }
    const first = parts.find((one) => one.querySelector(".box.here") !== null);
    const here = first?.querySelector(".box.here")?.getBoundingClientRect();
    const frame = first?.getBoundingClientRect();
    if (first === undefined || here === undefined || frame === undefined) parts[0]?.scrollTo(above);
    else
      first.scrollBy(
        here.left + here.width / 2 - frame.left - frame.width / 2,
        here.top + here.height / 2 - frame.top - frame.height / 2,
      );
  }

  /** What is known of the node in the middle. */
  private told(): HTMLElement {
    const { node, mark, now } = this.nodes[this.middle];
    const { said, ways = [] } = this.known[this.middle] ?? {};
    const shapes = node.constants.map(({ name, dims }) => `${printable(name)} ${dims.join("\u00d7") || "scalar"}`);
    return h(
      "div",
      { class: "told" },
      h("h4", {}, mark !== undefined && sign(mark), " ", drawnLabel(node)),
      now !== undefined && drawnLabel(now) !== drawnLabel(node) && h("p", { class: "why" }, `now ${drawnLabel(now)}`),
      shapes.length > 0 && h("p", { class: "why" }, `Constants: ${shapes.join(", ")}`),
      said !== undefined && h("p", {}, ...[said].flat()),
      ways.map(({ label, nodes }) => {
        const places = this.placesOf(nodes);
        return (
          places.length > 0 &&
          h("p", { class: "way" }, `${label}: `, spaced(this.buttons(places.slice(0, WAY))), rest(places.length - WAY))
        );
      }),
    );
  }
}
