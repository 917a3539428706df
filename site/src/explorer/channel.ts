/** "Load a channel of my model": a file is read by the worker, and one of its channels chosen. */
import { nodeLabel, plural, printable } from "../../../src/report/words.ts";
import type { ChannelReport } from "../../../src/train/channels.ts";
import { announce, type Children, h, replace } from "../dom.ts";
import { CalledOff, engine, WorkFailed } from "../engine.ts";
import { fromList, sortFiles } from "../files.ts";
import type { ModelFiles } from "../protocol.ts";
import { type ChannelParameters, channelHash } from "./state.ts";

export class ChannelPicker {
  readonly element: HTMLElement;
  private readonly choices = h("div", { class: "controls" });
  private readonly note = h("p", { class: "why" });

  constructor(private readonly onChannel: (channel: ChannelParameters, said: string) => void) {
    const input = h("input", { id: "explorer-file", type: "file", class: "offscreen", multiple: true });
    input.addEventListener("change", async () => {
      const { models } = await sortFiles(fromList(input.files ?? []));
      input.value = "";
      if (models[0] !== undefined) await this.load(models[0]);
    });
    this.element = h(
      "div",
      {},
      h("p", { class: "actions" }, h("label", { class: "button", for: "explorer-file" }, "Load a channel of my model"), input),
      this.note,
      this.choices,
    );
  }

  /** Says whose numbers are shown. */
  shown(ofModel: boolean): void {
    if (!ofModel) replace(this.note);
    else if (this.note.textContent === "")
      replace(this.note, "\u03b3, \u03b2, \u03b5 and the running statistics are those of a channel of a model.");
  }

  async load(model: ModelFiles): Promise<void> {
    const name = printable(model.path);
    replace(this.choices);
    this.say(`Reading ${name}\u2026`);
    try {
      const { layers } = await engine.ask("channels", { model });
      if (layers.length === 0) this.say(`${name} has no BatchNormalization with constant parameters.`);
      else this.choose(layers, name);
    } catch (error) {
      if (error instanceof CalledOff) this.say("Called off.");
      else if (error instanceof WorkFailed) this.say(printable([error.failure.message, error.failure.hint ?? ""].join(". ")));
      else throw error;
    }
  }

  private say(...children: Children[]): void {
    replace(this.note, ...children);
    announce(this.note.textContent ?? "");
  }

  private choose(layers: readonly ChannelReport[], model: string): void {
    const layer = h(
      "select",
      { id: "explorer-layer" },
      layers.map((one) => h("option", {}, nodeLabel(one.node))),
    );
    const channel = h("input", { id: "explorer-channel", type: "number", min: 0, step: 1, value: 0 });
    const take = () => {
      const { node, epsilon, channels } = layers[layer.selectedIndex];
      const c = Math.min(channels.length - 1, Math.max(0, Math.round(Number(channel.value) || 0)));
      channel.value = String(c);
      channel.max = String(channels.length - 1);
      const { scale, bias, mean, variance } = channels[c];
      const numbers = { gamma: scale, beta: bias, mean, variance, epsilon };
      const said = `Channel ${c} of ${plural(channels.length, "channel")} of ${nodeLabel(node)}, ${model}`;
      if (channelHash(numbers) === undefined) this.say(`${said}: its numbers make no normalization (variance ${variance}).`);
      else {
        replace(this.note, `${said}.`);
        this.onChannel(numbers, said);
      }
    };
    layer.addEventListener("change", () => {
      channel.value = "0";
      take();
    });
    channel.addEventListener("change", take);
    replace(
      this.choices,
      h("div", {}, h("label", { for: "explorer-layer" }, "Layer"), layer),
      h("div", {}, h("label", { for: "explorer-channel" }, "Channel"), channel),
    );
    take();
  }
}
