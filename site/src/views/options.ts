/** All options of `fold`, each in words. A change is told when it is made; "Reset" can be undone. */
import { h } from "../dom.ts";
import { DEFAULTS, type FoldOptions } from "../protocol.ts";

type Key = keyof FoldOptions;
type Flag = { [K in Key]: FoldOptions[K] extends boolean ? K : never }[Key];
type Text = Exclude<Key, Flag | "external">;

const FLAGS: readonly (readonly [Flag, string])[] = [
  ["reluToMax", "Let a BatchNormalization that nothing else takes pass a Relu, which becomes a Max"],
  ["norms", "Also move gain and shift of LayerNormalization and its kin into what follows"],
  ["bnToConv", "Write a BatchNormalization that nothing takes as a depthwise 1\u00d71 Conv"],
  ["constantChannel", "Let a shift pass zero padding as one more channel, of constant 1, which the layer before makes"],
  ["equalize", "Afterwards even out channels by powers of two, for int8 weights"],
  ["freeze", "Give a model in training mode inference semantics first"],
  ["dropOutputs", "With that: drop running statistics from the model's outputs"],
  ["partial", "Also fold where a node has to stay for the shift"],
  ["noMerge", "Leave parallel linear branches as they are"],
  ["assumeConstant", "Take initializers that are also graph inputs as constants"],
  ["fullRun", "Run the whole networks, although the proof shows them equal"],
  ["noRun", "Prove, but do not run the models"],
  ["noCheck", "Skip the proof and the run"],
  ["certificate", "Also make a certificate of why no fewer nodes can stay"],
];

const TEXTS: readonly (readonly [Text, string, string])[] = [
  ["only", "Fold only nodes whose name matches", "/body/* /head/?"],
  ["skip", "Leave nodes whose name matches", "/head/*"],
  ["maxBitsLost", "Bits of precision that one fold may cost", "4"],
  ["maxGrowth", "Bytes, or a part of the file, by which folding other nodes may make it larger", "10%"],
  ["maxMemory", "Most memory for the check: what does not fit is left out", "2G"],
  ["shape", "Sizes of open inputs for the run", "x=1,3,224,224"],
  ["samples", "Number of generated inputs for the run", "4"],
  ["seed", "Seed of the generated inputs", "1"],
];

const EXTERNAL: readonly (readonly [FoldOptions["external"], string])[] = [
  ["keep", "keep: what is untouched stays in its side file"],
  ["copy", "copy: all of it goes to a fresh side file"],
  ["inline", "inline: one file without side files"],
  ["split", "split: large constants leave the model"],
];

export function optionsForm(options: FoldOptions, onChange: (options: FoldOptions) => void): HTMLElement {
  const changed = JSON.stringify(options) !== JSON.stringify(DEFAULTS);
  const set = (change: Partial<FoldOptions>) => onChange({ ...options, ...change });
  const flags = FLAGS.map(([key, label]) => {
    const box = h("input", { type: "checkbox", checked: options[key], onchange: () => set({ [key]: box.checked }) });
    return h("label", { class: "check" }, box, h("span", {}, label));
  });
  const texts = TEXTS.map(([key, label, placeholder]) => {
    const field = h("input", {
      type: "text",
      value: options[key],
      placeholder,
      spellcheck: "false",
      autocomplete: "off",
      onchange: () => set({ [key]: field.value }),
    });
    return h("label", { class: "text" }, h("span", {}, label), field);
  });
  const select = h(
    "select",
    { onchange: () => set({ external: select.value as FoldOptions["external"] }) },
    EXTERNAL.map(([value, label]) => h("option", { value, selected: options.external === value }, label)),
  );
  const reset = h("button", { type: "button", class: "quiet", onclick: () => onChange(DEFAULTS) }, "Reset");
  return h(
    "details",
    { class: "part", open: changed },
    h("summary", {}, h("h3", {}, "Options")),
    h(
      "form",
      { class: "options", onsubmit: (event) => event.preventDefault() },
      h("div", {}, flags),
      h("div", {}, texts, h("label", { class: "text" }, h("span", {}, "External tensor data"), select)),
      changed && reset,
    ),
  );
}
