import { f, float32, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, type Pair } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 4, 3] }];
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) => net(x, nodes, more, { opsets: { "": 20 } });
const leaky = n([node("LeakyRelu", ["x"], ["y"], { alpha: f(0.125) })]);
const zero = (c: number, z = 0) => ({ c: float32([], [c]), z: float32([], [z]) });
const scaled = node("Mul", ["x", "c"], ["s"]);
const chosen = (op: string, order: string[], test = ["x", "z"], c = 0.125, z = 0) =>
  n([node(op, test, ["l"]), scaled, node("Where", ["l", ...order], ["y"])], zero(c, z));
const larger = (c: number, op = "Max") => n([scaled, node(op, ["s", "x"], ["y"])], { c: float32([], [c]) });

judge(
  "two slopes",
  {
    "below zero": [leaky, chosen("Less", ["s", "x"])],
    "not above zero": [leaky, chosen("LessOrEqual", ["s", "x"])],
    "above zero": [leaky, chosen("Greater", ["x", "s"])],
    "zero on the left": [leaky, chosen("Greater", ["s", "x"], ["z", "x"])],
    "the larger of two": [leaky, larger(0.125)],
    "the larger of one that falls": [n([node("LeakyRelu", ["x"], ["y"], { alpha: f(-0.5) })]), larger(-0.5)],
  },
  {
    "the other way round": [leaky, chosen("Greater", ["s", "x"])],
    "another threshold": [leaky, chosen("Greater", ["x", "s"], ["x", "z"], 0.125, 0.5)],
    "another slope": [leaky, larger(0.25)],
    "the larger of a steeper one": [n([node("LeakyRelu", ["x"], ["y"], { alpha: f(2) })]), larger(2)],
    "the smaller of two": [leaky, larger(0.125, "Min")],
  },
);

const gate = (by: number): NodeSpec[] => [
  node("Add", ["x", "three"], ["a"]),
  node("Clip", ["a", "zero", "six"], ["r"]),
  node("Mul", ["x", "r"], ["p"]),
  node("Div", ["p", `d${by}`], ["y"]),
];
const numbers = Object.fromEntries(
  Object.entries({ three: 3, zero: 0, six: 6, d6: 6, d5: 5, half: 0.5, one: 1, root: Math.fround(Math.SQRT2) }).map(
    ([name, v]) => [name, float32([], [v])],
  ),
);
const gelu = (half = "half"): NodeSpec[] => [
  node("Div", ["x", "root"], ["d"]),
  node("Erf", ["d"], ["e"]),
  node("Add", ["e", "one"], ["g"]),
  node("Mul", ["x", "g"], ["p"]),
  node("Mul", ["p", half], ["y"]),
];
const same: Record<string, Pair> = {
  "HardSwish by a Clip": [n([node("HardSwish", ["x"], ["y"])]), n(gate(6), numbers)],
  "HardSigmoid by a Clip": [
    n([node("HardSigmoid", ["x"], ["y"], { alpha: f(0.25), beta: f(0.75) })]),
    n([node("Add", ["x", "three"], ["a"]), node("Clip", ["a", "zero", "four"], ["r"]), node("Div", ["r", "four"], ["y"])], {
      ...numbers,
      four: float32([], [4]),
    }),
  ],
  "Gelu by its error function": [n([node("Gelu", ["x"], ["y"])]), n(gelu(), numbers)],
};
judge("gates written out", same, {
  "HardSwish by another number": [n([node("HardSwish", ["x"], ["y"])]), n(gate(5), numbers)],
  "Gelu by its approximation": [n([node("Gelu", ["x"], ["y"], { approximate: "tanh" })]), n(gelu(), numbers)],
  "Gelu, twice": [n([node("Gelu", ["x"], ["y"])]), n(gelu("one"), numbers)],
});
