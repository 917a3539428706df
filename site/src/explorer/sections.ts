/** The parts of the explorer: a sentence, the formula with its numbers, a drawing, and the same in a table. */
import { type Children, h, twin, wide } from "../dom.ts";
import { reasonLink } from "../links.ts";
import { BLOCK, conventions, epsilons, folding, gap, normalized, norms, runningOf, SHAPE, type Step, startOf } from "./model.ts";
import { block, curves, short, strips } from "./pictures.ts";
import { type Order, type State, statisticsOf } from "./state.ts";

/** Numbers of a row as text: all digits that matter to a reader. */
const shown = (v: number): string => short(v);

const formula = (text: string) => h("p", { class: "formula" }, text);

const rowsOf = (...columns: readonly (readonly number[])[]): string[][] =>
  columns[0].map((_, i) => [String(i), ...columns.map((column) => shown(column[i]))]);

const figure = (title: string, ...children: Children[]): HTMLElement =>
  h("section", { class: "figure" }, h("h2", {}, title), ...children);

export function batchSection(state: State): HTMLElement {
  const { x, standard, y, mean, biased, unbiased, gain } = normalized(state);
  const centred = mean < 0 ? `x + ${shown(-mean)}` : `x − ${shown(mean)}`;
  const rows = [
    { name: "x", values: x },
    { name: "x̂", values: standard },
    { name: "y", values: y },
  ];
  return figure(
    "A batch goes in",
    formula(`x̂ = (${centred}) / √(${shown(biased)} + ${state.epsilon.toExponential()}) = (${centred}) · ${shown(gain)}`),
    formula(`y = γ·x̂ + β = ${shown(state.gamma)}·x̂ ${state.beta < 0 ? "−" : "+"} ${shown(Math.abs(state.beta))}`),
    strips(rows, "Each element of the batch as x, as x̂ and as y"),
    twin(["element", "x", "x̂", "y"], rowsOf(x, standard, y), "x, x̂ and y of each element"),
    h("h3", {}, "N or N − 1"),
    h(
      "p",
      {},
      `Every framework normalizes a batch by the variance with N = ${state.n}: ${shown(biased)}. PyTorch's running variance takes the one with N − 1: ` +
        `${shown(unbiased)}, ${shown(state.n / (state.n - 1))} times as much.`,
    ),
  );
}

export function epsilonSection(state: State): HTMLElement {
  const { variance, rows, curve } = epsilons(state);
  const at = ((Math.log10(variance) + 8) / 10) * (curve.length - 1);
  const mark = at >= 0 && at <= curve.length - 1 ? at : undefined;
  return figure(
    "ε at small variance",
    h(
      "p",
      {},
      "x̂ is meant to have a spread of 1. Where the variance is not far above ε it has less: a quiet channel stays quiet.",
    ),
    curves(
      [
        { values: curve.map(({ small }) => small), look: "one" },
        { values: curve.map(({ large }) => large), look: "two" },
      ],
      ["variance 1e-8", "1e2"],
      "Spread of x̂ over the variance: solid for ε = 1e-5, dashed for 1e-3; the upright line is this batch",
      mark,
    ),
    h("p", { class: "why" }, "Solid: ε = 1e-5 (PyTorch, ONNX). Dashed: 1e-3 (Keras). Upright: this batch."),
    wide(
      ["ε", "1/√(variance + ε)", "spread of x̂ in this batch"],
      rows.map(({ epsilon, gain, spread }) => [epsilon.toExponential(), shown(gain), shown(spread)]),
      `This batch, of variance ${shown(variance)}`,
    ),
    twin(
      ["variance", "spread, ε = 1e-5", "spread, ε = 1e-3"],
      curve.map(({ variance: v, small, large }) => [v.toExponential(1), shown(small), shown(large)]),
      "spread of x̂ for each variance",
    ),
  );
}

export function runningSection(state: State, steps: readonly Step[]): HTMLElement {
  const of = (key: keyof Step) => steps.map((step) => step[key]);
  const start = startOf(state);
  const ends = ["batch 1", `${steps.length}`] as const;
  return figure(
    "Running statistics lag behind",
    h(
      "p",
      {},
      `They begin at mean ${shown(start.mean)} and variance ${shown(start.biased)}. The same update, as each framework writes it:`,
    ),
    wide(
      ["framework", "momentum", "update", "batch variance by", "default ε"],
      conventions(state).map(({ label, momentum, formula: text, variance, epsilon }) => [
        label,
        shown(momentum),
        text,
        variance === "biased" ? "N" : "N − 1",
        epsilon.toExponential(),
      ]),
      "PyTorch's momentum weighs the new batch, Keras' and ONNX's the old value",
    ),
    h("h3", {}, "Mean"),
    curves(
      [
        { values: of("batchMean"), look: "dots" },
        { values: of("mean"), look: "one" },
      ],
      ends,
      "Mean of each batch as dots, running mean as a line",
    ),
    h("h3", {}, "Variance"),
    curves(
      [
        { values: of("batchVariance"), look: "dots" },
        { values: of("biased"), look: "one" },
        { values: of("unbiased"), look: "two" },
      ],
      ends,
      "Variance of each batch as dots, running variance by N as a solid line, by N − 1 as a dashed one",
    ),
    h("p", { class: "why" }, "Dots: the batches. Solid: running, by N (Keras, ONNX). Dashed: running, by N − 1 (PyTorch)."),
    twin(
      ["batch", "its mean", "running mean", "its variance", "running, N", "running, N − 1"],
      steps.map((s, i) => [String(i + 1), ...[s.batchMean, s.mean, s.batchVariance, s.biased, s.unbiased].map(shown)]),
      "statistics after each batch",
    ),
  );
}

export function gapSection(state: State, steps: readonly Step[]): HTMLElement {
  const running = runningOf(state, steps);
  const { training, inference, largest } = gap(state, running);
  return figure(
    "Training against inference, the same batch",
    h(
      "p",
      {},
      "In training the batch's own mean and variance are used, in inference the running ones. The gap here: ",
      h("strong", { class: "gap" }, shown(largest)),
      ". Small batches, drift, a short training or a momentum of the other sense make it large.",
    ),
    curves(
      [
        { values: training, look: "dots" },
        { values: inference, look: "rings" },
      ],
      ["element 0", `${training.length - 1}`],
      "Output of each element in training as dots, in inference as rings",
    ),
    h("p", { class: "why" }, "Dots: training. Rings: inference."),
    twin(["element", "training", "inference"], rowsOf(training, inference), "outputs of each element"),
  );
}

export function normSection(state: State): HTMLElement {
  const list = norms(state);
  return figure(
    "Who shares statistics",
    h(
      "p",
      {},
      `One block of ${BLOCK[0]} samples, ${BLOCK[1]} channels (down) and ${BLOCK[2]} positions (across). Filled: the elements on which the first element's ` +
        "result depends, found by changing each and running the operator again. Only BatchNorm has statistics that can be fixed, and so folded.",
    ),
    h(
      "div",
      { class: "columns" },
      list.map(({ name, over, shares }) => {
        const n = shares.filter(Boolean).length;
        return h(
          "div",
          {},
          h("h3", {}, name),
          block(BLOCK, shares, `${name}: ${n} of ${shares.length} elements`),
          h("p", { class: "why" }, `Over ${over}.`),
        );
      }),
    ),
    wide(
      ["normalization", "over", "elements that share"],
      list.map(({ name, over, shares }) => [name, over, shares.filter(Boolean).length]),
      "The same as a table",
    ),
    twin(
      ["sample, channel, position", ...list.map(({ name }) => name)],
      list[0].y.map((_, i) => [
        [Math.floor(i / (BLOCK[1] * BLOCK[2])), Math.floor(i / BLOCK[2]) % BLOCK[1], i % BLOCK[2]].join(", "),
        ...list.map(({ y }) => shown(y[i])),
      ]),
      "each normalization's numbers",
    ),
  );
}

const FORMULAS: Readonly<Record<Order, string>> = {
  "conv-bn": "W′ = W·s,  b′ = (b − μ)·s + β,  s = γ/√(v + ε)",
  "bn-conv": "W′ = W·s over its inputs,  b′ = b + Σ W·t,  s = γ/√(v + ε),  t = β − μ·s",
  "relu-bn": "W′ = W·s,  b′ = b·s,  and t = β − μ·s stays as an Add behind Relu,  s = γ/√(v + ε)",
};

const WHY: Readonly<Record<Order, string>> = {
  "conv-bn": "",
  "bn-conv":
    "A padded convolution reads zeros from outside. Before the fold they are zeros of the normalized map, after it zeros of x: the outputs differ at the border.",
  "relu-bn": "Relu(s·x) is s·Relu(x) for s ≥ 0 only: a negative gain does not pass.",
};

export function foldSection(state: State, steps: readonly Step[]): HTMLElement {
  const found = folding(state, runningOf(state, steps));
  const { network: net, scale, shift, weight, bias, before, after, difference, stored, reason } = found;
  const length = before.length / SHAPE.outputs;
  const perRow = SHAPE.inputs * SHAPE.taps;
  const channel = (values: readonly number[], c: number) => values.slice(c * length, (c + 1) * length);
  return figure(
    "The fold",
    formula(FORMULAS[state.order]),
    h(
      "p",
      { class: reason === undefined ? "answer equivalent" : "answer different" },
      reason === undefined
        ? `The same function: the outputs differ by at most ${shown(difference)}.`
        : `Not the same function: the outputs differ by up to ${shown(difference)}.`,
    ),
    reason === undefined &&
      state.order === "relu-bn" &&
      h(
        "p",
        {},
        "bnfold does this with --partial; without it the node stays whole, for its shift does not pass Relu: ",
        reasonLink("shift-blocks"),
        ".",
      ),
    reason !== undefined && h("p", {}, WHY[state.order], " bnfold keeps such a node: ", reasonLink(reason), "."),
    h(
      "p",
      {},
      `With W′ and b′ rounded to float32, as a file holds them: ${shown(stored)}. Where float32 would lose too much bnfold keeps the node as well: `,
      reasonLink("precision-loss"),
      ".",
    ),
    ...Array.from({ length: SHAPE.outputs }, (_, c) => [
      h("h3", {}, c === 0 ? "Channel 0, with γ and β from above" : `Channel ${c}`),
      curves(
        [
          { values: channel(before, c), look: "rings" },
          { values: channel(after, c), look: "dots" },
        ],
        ["position 0", `${length - 1}`],
        `Output of channel ${c} before the fold as rings, after it as dots`,
      ),
    ]).flat(),
    h("p", { class: "why" }, "Rings: the network as it is. Dots: the folded one."),
    wide(
      ["channel", "γ", "β", "μ", "v", "s", "t", "b", "b′"],
      scale.map((_, c) => [
        String(c),
        ...[net.gamma, net.beta, net.mean, net.variance, scale, shift, net.bias, bias].map((v) => shown(v[c])),
      ]),
      statisticsOf(state) === undefined
        ? "μ and v of channel 0 are the running statistics from above"
        : "γ, β, μ and v of channel 0 are the model's",
    ),
    twin(
      ["output, input, tap", "W", "W′"],
      weight.map((v, i) => [
        [Math.floor(i / perRow), Math.floor(i / SHAPE.taps) % SHAPE.inputs, i % SHAPE.taps].join(", "),
        shown(net.weight[i]),
        shown(v),
      ]),
      "weights before and after",
    ),
    twin(
      ["channel, position", "before", "after", "difference"],
      before.map((v, i) => [`${Math.floor(i / length)}, ${i % length}`, shown(v), shown(after[i]), shown(after[i] - v)]),
      "both outputs and their difference",
    ),
  );
}
