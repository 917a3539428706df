/**
 * RNN, GRU and LSTM step by step, with the equations of their specification: x of a step and the hidden state each through a Gemm for each
 * gate, then the cell.
 *
 * Exact over the reals. Forward, of default activations and no more than a few steps of known sizes, W, R and B constant; without clipping,
 * peepholes, lengths, batches first or input_forget. Only where one file has more of the operator than the other.
 */
import { intAttr, stringAttr } from "../../../graph/attributes.ts";
import type { Facts } from "../../../graph/facts.ts";
import type { GraphNode } from "../../../graph/view.ts";
import { Body } from "./body.ts";
import { sizesOf } from "./orders.ts";
import { make, type Rewrite, type Rewriting } from "./rewriting.ts";

const GATES: Readonly<Record<string, number>> = { RNN: 1, GRU: 3, LSTM: 4 };
const STEPS = 8;
const FLOAT = 1;
/** Squeeze and its kin have their axes as operands since then. */
const SINCE = 14;

const OTHER = ["activation_alpha", "activation_beta", "clip"];

/** The activations of an operator that is told none. */
const BENT: Readonly<Record<string, string>> = { RNN: "Tanh", GRU: "Sigmoid,Tanh", LSTM: "Sigmoid,Tanh,Tanh" };

const activationsOf = ({ record, opType }: GraphNode): string =>
  record.attributes
    .get("activations")
    ?.strings.map((name) => new TextDecoder().decode(name))
    .join() ?? BENT[opType];

/** True where what is said of its sizes agrees: no runtime takes it otherwise. */
function fits({ record, opType, inputs }: GraphNode, facts: Facts, features: number, hidden: number): boolean {
  const rows = GATES[opType] * hidden;
  const sizes = [
    [1, rows, features],
    [1, rows, hidden],
    [1, 2 * rows],
  ];
  return (
    intAttr(record, "hidden_size", hidden) === hidden &&
    sizes.every((dims, i) => inputs[i + 1] === undefined || String(facts.shape(inputs[i + 1])) === String(dims))
  );
}

const isPlain = (node: GraphNode): boolean => {
  const { record, inputs, version, opType } = node;
  return (
    version >= SINCE &&
    activationsOf(node) === BENT[opType] &&
    !OTHER.some((name) => record.attributes.has(name)) &&
    stringAttr(record, "direction", "forward") === "forward" &&
    intAttr(record, "layout", 0) === 0 &&
    intAttr(record, "input_forget", 0) === 0 &&
    inputs[4] === undefined &&
    inputs[7] === undefined
  );
};

/** One operator while it is written down. */
class Cell {
  private readonly axis: string;

  constructor(
    private readonly body: Body,
    private readonly node: GraphNode,
    private readonly hidden: number,
    private readonly batch: number,
  ) {
    this.axis = body.list("axis", [0]);
  }

  step(part: string, opType: string, ...inputs: string[]): string {
    return this.body.step(part, opType, inputs);
  }

  /** Rows of one gate of W, R or B. */
  rows(input: number, row: number): string {
    const part = `of${input}/${row}`;
    const from = this.body.list(`${part}/from`, [row * this.hidden]);
    const to = this.body.list(`${part}/to`, [(row + 1) * this.hidden]);
    const whole = this.step(`${part}/whole`, "Squeeze", this.node.record.inputs[input], this.axis);
    return this.step(part, "Slice", whole, from, to, this.axis);
  }

  /** W·x + Wb or R·h + Rb of a gate. */
  layer(part: string, x: string, gate: number, recurrent: boolean): string {
    const count = GATES[this.node.opType];
    const bias = this.node.record.inputs[3] ? [this.rows(3, recurrent ? gate + count : gate)] : [];
    return this.body.step(part, "Gemm", [x, this.rows(recurrent ? 2 : 1, gate), ...bias], { transB: { i: 1 } });
  }

  /** A state at first. */
  state(input: number): string {
    const given = this.node.record.inputs[input];
    if (given) return this.step(`state${input}`, "Squeeze", given, this.axis);
    const size = this.body.list(`state${input}/size`, [this.batch, this.hidden]);
    return this.step(`state${input}`, "Expand", this.body.number(`state${input}/zero`, 0), size);
  }
}

type Step = (cell: Cell, name: (part: string) => string, x: string, h: string, c: string) => { h: string; c: string };

/** A gate of both, before what bends it. */
const sum = (cell: Cell, name: (part: string) => string, x: string, h: string, gate: number): string =>
  cell.step(name(`sum${gate}`), "Add", cell.layer(name(`x${gate}`), x, gate, false), cell.layer(name(`h${gate}`), h, gate, true));

const rnn: Step = (cell, name, x, h, c) => ({ h: cell.step(name("h"), "Tanh", sum(cell, name, x, h, 0)), c });

const lstm: Step = (cell, name, x, h, c) => {
  const [i, o, f] = [0, 1, 2].map((gate) => cell.step(name(`gate${gate}`), "Sigmoid", sum(cell, name, x, h, gate)));
  const fresh = cell.step(name("new"), "Mul", i, cell.step(name("bent"), "Tanh", sum(cell, name, x, h, 3)));
  const next = cell.step(name("c"), "Add", cell.step(name("kept"), "Mul", f, c), fresh);
  return { h: cell.step(name("h"), "Mul", o, cell.step(name("shown"), "Tanh", next)), c: next };
};

const gru =
  (before: boolean): Step =>
  (cell, name, x, h, c) => {
    const [z, r] = [0, 1].map((gate) => cell.step(name(`gate${gate}`), "Sigmoid", sum(cell, name, x, h, gate)));
    const own = cell.layer(name("x2"), x, 2, false);
    const past = before
      ? cell.step(name("reset"), "Mul", r, cell.layer(name("h2"), h, 2, true))
      : cell.layer(name("h2"), cell.step(name("reset"), "Mul", r, h), 2, true);
    const fresh = cell.step(name("new"), "Tanh", cell.step(name("sum2"), "Add", own, past));
    const rest = cell.step(name("rest"), "Sub", name("one"), z);
    return {
      h: cell.step(name("h"), "Add", cell.step(name("some"), "Mul", rest, fresh), cell.step(name("kept"), "Mul", z, h)),
      c,
    };
  };

const unrolled: Rewrite = (node, { facts, constants }) => {
  const { record, opType } = node;
  const [x, r] = [node.inputs[0], node.inputs[2]].map((value) => sizesOf(facts.shape(value)));
  const fixed = [1, 2, 3].every((i) => node.inputs[i] === undefined || constants.has(node.inputs[i]));
  if (node.domain !== "" || !Object.hasOwn(GATES, opType) || !isPlain(node) || !fixed) return undefined;
  if (x === undefined || r === undefined || x[0] > STEPS || facts.of(node.inputs[0]).dtype !== FLOAT) return undefined;
  if (!fits(node, facts, x[2], r[2])) return undefined;
  const body = new Body(node);
  const cell = new Cell(body, node, r[2], x[1]);
  const one = body.number("one", 1);
  const step = opType === "RNN" ? rnn : opType === "LSTM" ? lstm : gru(intAttr(record, "linear_before_reset", 0) !== 0);
  const steps: string[] = [];
  let state = { h: cell.state(5), c: opType === "LSTM" ? cell.state(6) : "" };
  const first = body.list("first", [0]);
  for (let t = 0; t < x[0]; t++) {
    const at = body.step(`at${t}`, "Constant", [], { value_int: { i: t } });
    const name = (part: string) => (part === "one" ? one : `${t}/${part}`);
    state = step(cell, name, body.step(`x${t}`, "Gather", [record.inputs[0], at]), state.h, state.c);
    steps.push(cell.step(`y${t}`, "Unsqueeze", state.h, first));
  }
  const all = body.step("all", "Concat", steps, { axis: { i: 0 } });
  const shown: [value: string, axis: string][] = [
    [all, body.list("second", [1])],
    [state.h, first],
    [state.c, first],
  ];
  const last = shown.flatMap((inputs, i) => (record.outputs[i] ? [make(node, "Unsqueeze", inputs, record.outputs[i])] : []));
  return [...body.nodes, ...last];
};

export const RECURRENT: readonly Rewriting[] = Object.keys(GATES).map((type) => ({
  equation: [type, "its steps"],
  rewrite: (node, side) => (node.opType === type ? unrolled(node, side) : undefined),
  where: [type],
}));
