/** What the parameters of each normalization say of its channels: pictures, the same as tables, and files to go on with. */
import { channelsCsv, FLAG_WORDS, flagsText } from "../../../src/report/channels.ts";
import { condensed } from "../../../src/report/condensed.ts";
import { csvLines } from "../../../src/report/escape.ts";
import { histogram, perChannel, ranges } from "../../../src/report/html/charts.ts";
import type { Shape } from "../../../src/report/shape.ts";
import { brief, listed, nodeLabel, plural, printable } from "../../../src/report/words.ts";
import type { Channel, ChannelInspection, ChannelReport, WrittenReport } from "../../../src/train/channels.ts";
import { CHANNEL_FLAGS } from "../../../src/train/flags.ts";
import { announce, type Children, download, drawing, h, replace, twin, wide } from "../dom.ts";
import { channelHash } from "../explorer/state.ts";

type Layer = ChannelReport | WrittenReport;
/** A channel of a normalization written as arithmetic has gain and shift only. */
type Numbers = Partial<Channel> & Pick<Channel, "gain" | "shift" | "flags">;
type Field = "scale" | "bias" | "mean" | "variance" | "gain" | "shift";

const PARTS: readonly (readonly [Field, string, string])[] = [
  ["scale", "γ (scale)", "gamma"],
  ["bias", "β (bias)", "beta"],
  ["mean", "μ (mean)", "mean"],
  ["variance", "v (variance)", "variance"],
  ["gain", "Gain, γ/√(v + ε)", "gain"],
];

/** Bars of a picture on a screen. */
const BARS = 320;
/** Channels that are named, and layers that are listed. */
const [NAMED, LISTED] = [48, 400];

const channelsOf = (layer: Layer): readonly Numbers[] => layer.channels;
const nameOf = ({ node }: Layer): string => node.name || node.output;

const saved = (name: string, rows: () => string): HTMLElement =>
  h(
    "button",
    { type: "button", class: "quiet small", onclick: () => download(new Blob([rows()], { type: "text/csv" }), name) },
    "CSV",
  );

const isText = (child: Shape | string): child is Shape => typeof child !== "string" && child.tag === "text";

/** A picture, and what it says in words apart from it: inside they would shrink with the picture. */
function apart(picture: Shape): Children[] {
  const words = picture.children.filter(isText).flatMap(({ children }) => children);
  const bare = { ...picture, children: picture.children.filter((child) => !isText(child)) };
  return [drawing(bare), h("p", { class: "why" }, words.join(" "))];
}

/** A picture with its numbers, as a table and as a file. */
function chart(
  title: string,
  picture: Shape | undefined,
  head: readonly string[],
  rows: readonly (readonly number[])[],
  file: string,
) {
  if (picture === undefined) return h("div", { class: "chart" }, h("h4", {}, title), h("p", { class: "why" }, "All are 0."));
  const csv = () => csvLines([head, ...rows]);
  return h(
    "div",
    { class: "chart" },
    h("h4", {}, title, " ", saved(file, csv)),
    ...apart(picture),
    twin(
      head,
      rows.map((row) => row.map((value, i) => (i === 0 ? String(value) : brief(value)))),
      title,
    ),
  );
}

export class StatisticsView {
  readonly element = h("div", { class: "statistics" });
  private readonly layers: readonly Layer[];
  private readonly detail = h("div", {});

  constructor(
    private readonly found: ChannelInspection,
    /** Name of the model, for files. */
    private readonly model: string,
  ) {
    this.layers = [...found.layers, ...found.written];
    const { unread, written, layers } = found;
    const computed =
      unread.length > 0 && h("p", {}, `Computed at run time, so that nothing can be read: ${listed(unread.map(nodeLabel))}.`);
    const arithmetic =
      written.length > 0 &&
      h(
        "p",
        {},
        `${plural(written.length, "normalization is", "normalizations are")} written as arithmetic: gain and shift can be read, γ, β, mean and variance are not in the file.`,
      );
    const none = this.layers.length === 0 && h("p", {}, "There is no normalization with constant parameters in this model.");
    replace(
      this.element,
      none,
      arithmetic,
      computed,
      this.layers.length > 0 && this.overview(),
      layers.length > 0 && this.pruning(),
      this.detail,
    );
    if (this.layers.length > 0) this.show(0);
  }

  private overview(): HTMLElement {
    const rows = this.layers.slice(0, LISTED).map((layer, i): Children[] => {
      const { gain } = layer.distributions;
      const pick = h(
        "button",
        { type: "button", class: "quiet small", onclick: () => this.show(i, true) },
        printable(nameOf(layer)),
      );
      const range = layer.range === undefined ? "" : `${brief(layer.range.before)} → ${brief(layer.range.after)}`;
      return [pick, layer.channels.length, ...[gain.min, gain.median, gain.max].map(brief), range, flagsText(layer.counts)];
    });
    const csv = () => channelsCsv(this.found);
    return h(
      "div",
      {},
      h(
        "p",
        { class: "actions" },
        h(
          "button",
          {
            type: "button",
            class: "quiet",
            onclick: () => download(new Blob([csv()], { type: "text/csv" }), `${this.model}.channels.csv`),
          },
          "All channels as CSV",
        ),
      ),
      wide(
        ["layer", "channels", "gain, least", "median", "most", "range of the weight", "channels to look at"],
        rows,
        "Normalizations; range: largest over median row of the weight in front, before → after folding",
      ),
      this.layers.length > LISTED && h("p", { class: "why" }, `and ${this.layers.length - LISTED} more: the CSV has all`),
    );
  }

  private pruning(): HTMLElement {
    const { channels, dead, constant, removableWeights, weights } = this.found.pruning;
    const share = weights === 0 ? "" : ` (${brief((100 * removableWeights) / weights)} %)`;
    const words = `${plural(channels, "channel")}: ${dead} dead, ${constant} constant; ${removableWeights} of ${weights} weights in the layers in front make them${share}.`;
    return h("p", {}, words);
  }

  private show(index: number, told = false): void {
    const layer = this.layers[index];
    const { node } = layer;
    const producer = layer.producer === undefined ? "" : `; the weight in front is of ${printable(layer.producer)}`;
    const epsilon = "epsilon" in layer ? `, ε = ${brief(layer.epsilon)}` : `, written as ${listed(layer.operators)}`;
    const head = h("h3", { tabindex: "-1" }, nodeLabel(node));
    replace(
      this.detail,
      head,
      h("p", { class: "why" }, `${plural(layer.channels.length, "channel")}${epsilon}${producer}`),
      this.flags(layer),
      this.explorer(layer),
      h("div", { class: "columns two" }, ...this.charts(layer)),
    );
    if (!told) return;
    announce(nodeLabel(node));
    head.focus({ preventScroll: true });
    head.scrollIntoView({ block: "nearest" });
  }

  private charts(layer: Layer): HTMLElement[] {
    const channels = channelsOf(layer);
    const file = (what: string) => `${this.model}.${nameOf(layer).replace(/[^\w.-]+/g, "_")}.${what}.csv`;
    const parts = PARTS.flatMap(([field, title, word]) => {
      const values = channels.flatMap((channel) => channel[field] ?? []);
      if (values.length !== channels.length) return [];
      const picture = perChannel(word, condensed(values, BARS), values.length);
      return [
        chart(
          title,
          picture,
          ["channel", word],
          values.map((value, c) => [c, value]),
          file(word),
        ),
      ];
    });
    const gains = channels.map(({ gain }) => gain);
    const sizes = histogram(gains);
    const sorted = [...gains].map(Math.abs).sort((a, b) => a - b);
    const spread =
      sizes &&
      chart(
        "Sizes of gains",
        sizes,
        ["from the least", "|gain|"],
        sorted.map((value, i) => [i, value]),
        file("sizes"),
      );
    const [before, after] = [channels.flatMap(({ weight }) => weight ?? []), channels.flatMap(({ folded }) => folded ?? [])];
    const rows = before.map((value, c) => [c, value, after[c]]);
    const weights =
      before.length === channels.length &&
      after.length === channels.length &&
      chart(
        "Largest weight of each channel, before and after folding",
        ranges(condensed(before, BARS), condensed(after, BARS), before.length),
        ["channel", "before", "after"],
        rows,
        file("weights"),
      );
    return [...parts, ...[spread, weights].filter((one) => one instanceof HTMLElement)];
  }

  /** Where the explorer shows a channel; undefined where its numbers are not in the file, or make no normalization. */
  private hashOf(layer: Layer, c: number): string | undefined {
    const { scale, bias, mean, variance } = channelsOf(layer)[c];
    if (!("epsilon" in layer) || scale === undefined || bias === undefined || mean === undefined || variance === undefined)
      return undefined;
    return channelHash({ gamma: scale, beta: bias, mean, variance, epsilon: layer.epsilon });
  }

  private explorer(layer: Layer): Children {
    if (!("epsilon" in layer)) return undefined;
    const field = h("input", { type: "number", min: 0, max: layer.channels.length - 1, step: 1, value: 0 });
    const open = () => {
      const hash = this.hashOf(layer, Math.min(layer.channels.length - 1, Math.max(0, Math.round(Number(field.value) || 0))));
      if (hash === undefined) announce("The numbers of this channel make no normalization.");
      else location.hash = hash;
    };
    const button = h("button", { type: "button", class: "quiet small", onclick: open }, "Open in the explorer");
    return h("p", { class: "actions tools" }, h("label", {}, "Channel ", field), button);
  }

  /** Channels to look at, by what is odd about them; each leads to the explorer with its numbers. */
  private flags(layer: Layer): HTMLElement {
    const channels = channelsOf(layer);
    const link = (c: number): Children => {
      const hash = this.hashOf(layer, c);
      return hash === undefined ? String(c) : h("a", { href: hash, "aria-label": `Channel ${c} in the explorer` }, String(c));
    };
    const lines = CHANNEL_FLAGS.flatMap((flag) => {
      const of = channels.flatMap(({ flags }, c) => (flags.includes(flag) ? [c] : []));
      if (of.length === 0) return [];
      const more = of.length > NAMED ? ` and ${of.length - NAMED} more` : "";
      const names = of.slice(0, NAMED).flatMap((c, i): Children[] => (i === 0 ? [link(c)] : [", ", link(c)]));
      return [h("li", {}, h("strong", {}, `${of.length} ${FLAG_WORDS[flag]}`), ": ", ...names, more)];
    });
    if (lines.length === 0) return h("p", {}, "No channel is dead, constant, negative, of tiny variance, or wide.");
    return h("ul", { class: "lines" }, lines);
  }
}
