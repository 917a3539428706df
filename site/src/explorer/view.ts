/** The explorer: controls, presets, and the parts drawn anew when one of them changes. The address says what is set. */
import { announce, h, replace } from "../dom.ts";
import type { ModelFiles } from "../protocol.ts";
import { ChannelPicker } from "./channel.ts";
import { training } from "./model.ts";
import { short } from "./pictures.ts";
import { batchSection, epsilonSection, foldSection, gapSection, normSection, runningSection } from "./sections.ts";
import {
  CHOICES,
  fromHash,
  INITIAL,
  type ORDERS,
  ofChannel,
  PRESETS,
  RANGES,
  type State,
  statisticsOf,
  toHash,
} from "./state.ts";

type Slider = keyof typeof RANGES;

const SLIDERS: readonly (readonly [Slider, string, (v: number) => string])[] = [
  ["n", "Batch size N", String],
  ["center", "Mean of the data", short],
  ["spread", "Spread of the data", (v) => short(10 ** v)],
  ["gamma", "γ (scale)", short],
  ["beta", "β (bias)", short],
  ["momentum", "Momentum, PyTorch's m", short],
  ["batches", "Batches of training", String],
  ["drift", "Drift of the mean for each batch, in spreads", short],
];

const ORDER_NAMES: Readonly<Record<(typeof ORDERS)[number], string>> = {
  "conv-bn": "Conv, BatchNorm",
  "bn-conv": "BatchNorm, Conv",
  "relu-bn": "Conv, Relu, BatchNorm",
};

export class ExplorerView {
  private state: State = INITIAL;
  private readonly parts = h("div", {});
  private readonly controls = h("div", { class: "controls" });
  private readonly channel = new ChannelPicker((channel, said) => this.take(ofChannel(channel), said));
  private pending = false;

  constructor(root: HTMLElement) {
    replace(
      root,
      h("h1", {}, "Batch normalization, with live numbers"),
      h(
        "p",
        { class: "promise" },
        "Every number is computed by the functions that fold and verify models. The address keeps what you set.",
      ),
      h(
        "p",
        { class: "actions", role: "group", "aria-label": "Presets" },
        PRESETS.map(({ label, state }) =>
          h("button", { type: "button", class: "quiet", onclick: () => this.take({ ...INITIAL, ...state }, label) }, label),
        ),
      ),
      this.channel.element,
      this.controls,
      this.parts,
    );
  }

  /** A model that was dropped here: its channels are to choose from. */
  load(model: ModelFiles): Promise<void> {
    return this.channel.load(model);
  }

  /** Shows what an address says. */
  restore(hash: string): void {
    this.state = fromHash(hash);
    this.drawControls();
    this.draw();
  }

  private take(state: State, said: string): void {
    this.state = state;
    history.replaceState(null, "", toHash(state));
    this.drawControls();
    this.draw();
    announce(said);
  }

  private set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    history.replaceState(null, "", toHash(this.state));
    if (this.pending) return;
    // A slider tells of more changes than a screen can show.
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  private drawControls(): void {
    replace(
      this.controls,
      ...SLIDERS.map(([name, label, text]) => this.slider(name, this.labelOf(name, label), text)),
      this.choice("epsilon", "ε", (v) => v.toExponential()),
      this.choice("groups", "Groups of GroupNorm", String),
      this.choice("order", "Order of the network to fold", (v) => ORDER_NAMES[v]),
      this.choice("pads", "Padding of its convolution", String),
      this.seed(),
    );
  }

  /** With a model's statistics the data are said in terms of them. */
  private labelOf(name: Slider, label: string): string {
    if (statisticsOf(this.state) === undefined) return label;
    return { center: "Mean of the data, in √v from μ", spread: "Spread of the data, in √v" }[name as string] ?? label;
  }

  private slider(name: Slider, label: string, text: (v: number) => string): HTMLElement {
    const { from, to, step } = RANGES[name];
    const value = this.state[name];
    const id = `explorer-${name}`;
    const output = h("output", { for: id }, text(this.state[name]));
    // A model's numbers may lie outside, and between steps.
    const ends = { min: Math.min(from, value), max: Math.max(to, value) };
    const isOwn = statisticsOf(this.state) !== undefined && (name === "gamma" || name === "beta");
    const input = h("input", { id, type: "range", ...ends, step: isOwn ? "any" : step, "aria-valuetext": text(value) });
    input.value = String(this.state[name]);
    input.addEventListener("input", () => {
      const value = Number(input.value);
      output.textContent = text(value);
      input.setAttribute("aria-valuetext", text(value));
      this.set({ [name]: value });
    });
    return h("div", {}, output, h("label", { for: id }, label), input);
  }

  private choice<K extends keyof typeof CHOICES>(name: K, label: string, text: (v: State[K]) => string): HTMLElement {
    const id = `explorer-${name}`;
    const fixed = CHOICES[name] as readonly unknown[] as readonly State[K][];
    const list = fixed.includes(this.state[name]) ? fixed : [this.state[name], ...fixed];
    const options = list.map((v) => h("option", { value: String(v), selected: v === this.state[name] }, text(v)));
    const select = h("select", { id }, options);
    select.addEventListener("change", () => this.set({ [name]: list[select.selectedIndex] }));
    return h("div", {}, h("label", { for: id }, label), select);
  }

  private seed(): HTMLElement {
    const { from, to } = RANGES.seed;
    const input = h("input", { id: "explorer-seed", type: "number", min: from, max: to, step: 1 });
    input.value = String(this.state.seed);
    input.addEventListener("change", () => {
      const { seed } = fromHash(`#explorer?seed=${input.value}`);
      input.value = String(seed);
      this.set({ seed });
    });
    return h("div", {}, h("label", { for: "explorer-seed" }, "Seed of the data"), input);
  }

  private draw(): void {
    const { state } = this;
    this.channel.shown(statisticsOf(state) !== undefined);
    const steps = training(state);
    // Tables that were open stay open.
    const open = [...this.parts.querySelectorAll("details")].map((part) => part.open);
    replace(
      this.parts,
      batchSection(state),
      epsilonSection(state),
      runningSection(state, steps),
      gapSection(state, steps),
      normSection(state),
      foldSection(state, steps),
    );
    [...this.parts.querySelectorAll("details")].forEach((part, i) => {
      part.open = open[i] ?? false;
    });
  }
}
