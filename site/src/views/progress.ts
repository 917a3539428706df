/** What is being done, how far it is, a way to stop it; and what is said when it cannot be done. */
import { milliseconds, plural, printable } from "../../../src/report/words.ts";
import { announce, copyButton, h } from "../dom.ts";
import type { Failure, Opened } from "../protocol.ts";

const STAGES: Readonly<Record<string, string>> = {
  reading: "Reading the structure",
  planning: "Planning",
  writing: "Writing",
  proof: "Proving, for all inputs",
};

const words = (stage: string): string => STAGES[stage] ?? `Working: ${stage}`;

export interface ProgressView {
  readonly element: HTMLElement;
  step(stage: string, done: number, total: number): void;
  about(opened: Opened, ms: number): void;
  end(): void;
}

export function progressView(name: string, count: number, index: number, cancel: () => void): ProgressView {
  const stage = h("p", { class: "stage" }, words("reading"));
  const bar = h("progress", { "aria-label": "Progress" });
  const facts = h("p", { class: "why" });
  const which = count > 1 ? ` (${index + 1} of ${count})` : "";
  const stop = h("button", { type: "button", onclick: cancel }, "Cancel");
  let said = "";
  const step = (at: string, done: number, total: number) => {
    stage.textContent = total > 1 ? `${words(at)}: ${done} of ${total}` : words(at);
    if (total > 1) {
      bar.max = total;
      bar.value = done;
    } else bar.removeAttribute("value");
    // A count that runs is not read out: the stage is.
    if (at !== said) announce(`${words(at)}, ${name}`);
    said = at;
  };
  const about = ({ facts: { producer }, nodes, batchNormalizations, missing }: Opened, ms: number) => {
    const by = [producer.name, producer.version].filter((part) => part !== "").join(" ");
    const parts = [
      plural(nodes, "node"),
      plural(batchNormalizations, "BatchNormalization", "BatchNormalization"),
      by === "" ? "" : `by ${printable(by)}`,
    ];
    const lacks = missing.length === 0 ? "" : `; side files missing: ${printable(missing.join(", "))}`;
    facts.textContent = `${parts.filter((part) => part !== "").join(", ")}; read in ${milliseconds(ms)}${lacks}`;
  };
  const element = h("div", { class: "progress" }, h("h2", {}, printable(name), which), facts, stage, bar, h("p", {}, stop));
  step("reading", 0, 0);
  return { element, step, about, end: () => element.remove() };
}

const HEADS: Readonly<Record<Failure["kind"], string>> = {
  usage: "An option cannot be meant so",
  format: "This file cannot be read",
  model: "The model is inconsistent",
  operator: "An operator cannot be computed",
  file: "A file is missing or unreadable",
  temporary: "Something outside failed for now",
  memory: "Not enough memory in this tab",
  crash: "The worker ended",
  internal: "An error of bnfold",
};

const HINTS: Partial<Record<Failure["kind"], string>> = {
  memory: "A tab has about 4 GB. The command line does it:",
  crash: "It may have run out of memory. The command line does it:",
  internal: "Please report it, with the model if you can. The command line may tell more:",
};

export function failureView(failure: Failure, command: string): HTMLElement {
  const { kind, message, place, hint, stage } = failure;
  const where = [
    place.file,
    place.node,
    place.tensor && `tensor "${place.tensor}"`,
    place.byte === undefined ? undefined : `byte ${place.byte}`,
  ];
  const more = HINTS[kind];
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("h2", { tabindex: "-1" }, HEADS[kind]),
    h("p", {}, printable(message[0]?.toUpperCase() + message.slice(1)), "."),
    hint !== undefined && h("p", {}, printable(hint)),
    h(
      "p",
      { class: "why" },
      `While: ${words(stage).toLowerCase()}. ${printable(where.filter((part) => part !== undefined).join(", "))}`,
    ),
    more !== undefined &&
      h(
        "p",
        {},
        more,
        " ",
        h("code", {}, command),
        " ",
        copyButton("Copy", () => command),
      ),
  );
}
