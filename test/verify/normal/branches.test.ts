/** Curves by their branches and exponentials, common factors and what is centred late, with their nearest wrong neighbours. */
import { f, float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const x = [{ name: "x", dims: [2, 3, 4] }];
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) => net(x, nodes, more, { opsets: { "": 20 } });
const number = (v: number) => float32([], [Math.fround(v)]);
const numbers = Object.fromEntries(
  Object.entries({ zero: 0, one: 1, minus: -1, two: 2, half: 0.5, six: 6, alpha: 0.75 }).map(([k, v]) => [k, number(v)]),
);
const op = (type: string, attributes: NodeSpec["attributes"] = {}, inputs = ["x"], more = {}) =>
  n([node(type, inputs, ["y"], attributes)], more);
const body = (...nodes: [type: string, inputs: string, output: string][]) =>
  n(
    nodes.map(([type, inputs, output]) => node(type, inputs.split(" "), [output])),
    numbers,
  );

const below = (by: string, less: [string, string, string] = ["Sub", "e one", "l"]) =>
  body(["Greater", "x zero", "t"], ["Exp", "x", "e"], less, ["Mul", `l ${by}`, "s"], ["Where", "t x s", "y"]);
const apart = (bound: string, above = "Relu", sum = "a s") =>
  body(
    ...([
      [above, above === "Relu" ? "x" : "x zero", "a"],
      ["Min", `x ${bound}`, "m"],
      ["Exp", "m", "e"],
      ["Sub", "e one", "l"],
      ["Mul", "l alpha", "s"],
      ["Add", sum, "y"],
    ] as [string, string, string][]),
  );
const elu = op("Elu", { alpha: f(0.75) });
const slopes = float32([3, 1], [0.25, -0.5, 2]);
const bent = (sign: number) =>
  n(
    [
      ...[node("Relu", ["x"], ["a"]), node("Neg", ["x"], ["m"]), node("Relu", ["m"], ["b"])],
      ...[node("Mul", ["k", "b"], ["s"]), node("Add", ["a", "s"], ["y"])],
    ],
    { k: float32([3, 1], [-0.25, 0.5, -2 * sign]) },
  );
const stable = (size: string) =>
  body(
    ...([
      ["Relu", "x", "a"],
      ["Abs", size, "s"],
      ["Neg", "s", "m"],
      ["Exp", "m", "e"],
    ] as [string, string, string][]),
    ...([
      ["Add", "e one", "d"],
      ["Log", "d", "l"],
      ["Add", "a l", "y"],
    ] as [string, string, string][]),
  );
const bounded = (order: string[], low = "zero", high = "six") =>
  body(
    ["Mul", "x two", "s"],
    [order[0], `s ${order[0] === "Max" ? low : high}`, "m"],
    [order[1], `m ${order[1] === "Max" ? low : high}`, "y"],
  );

judge(
  "Branches",
  {
    "Relu by a choice": [op("Relu"), body(["Greater", "x zero", "t"], ["Where", "t x zero", "y"])],
    "Elu by a choice": [elu, below("alpha")],
    "Elu by a choice, less one": [elu, below("alpha", ["Add", "e minus", "l"])],
    "Elu by its parts": [elu, apart("zero")],
    "Elu by its parts, with a Max": [elu, apart("zero", "Max")],
    "Selu by Elu": [
      op("Selu", { alpha: f(0.75), gamma: f(2) }),
      n([node("Elu", ["x"], ["e"], { alpha: f(0.75) }), node("Mul", ["e", "g"], ["y"])], { g: number(2) }),
    ],
    "Celu by Elu": [
      op("Celu", { alpha: f(2) }),
      n([node("Div", ["x", "g"], ["d"]), node("Elu", ["d"], ["e"]), node("Mul", ["e", "g"], ["y"])], { g: number(2) }),
    ],
    "PRelu by two Relus": [op("PRelu", {}, ["x", "s"], { s: slopes }), bent(1)],
    "Softsign by its body": [op("Softsign"), body(["Abs", "x", "a"], ["Add", "one a", "d"], ["Div", "x d", "y"])],
    "Sigmoid of two exponentials": [op("Sigmoid"), body(["Exp", "x", "e"], ["Add", "e one", "d"], ["Div", "e d", "y"])],
    "Sigmoid by Tanh": [
      op("Sigmoid"),
      body(["Mul", "x half", "h"], ["Tanh", "h", "t"], ["Mul", "t half", "s"], ["Add", "s half", "y"]),
    ],
    "Softplus by a Sigmoid": [
      op("Softplus"),
      body(["Neg", "x", "m"], ["Sigmoid", "m", "s"], ["Log", "s", "l"], ["Neg", "l", "y"]),
    ],
    "Softplus that does not overflow": [op("Softplus"), stable("x")],
    "bounds in another order": [bounded(["Max", "Min"]), bounded(["Min", "Max"])],
  },
  {
    "Relu, turned": [op("Relu"), body(["Less", "x zero", "t"], ["Where", "t x zero", "y"])],
    "Elu of another slope": [elu, below("half")],
    "Elu, one more": [elu, below("alpha", ["Add", "e one", "l"])],
    "Elu bounded elsewhere": [elu, apart("one")],
    "PRelu of another sign": [op("PRelu", {}, ["x", "s"], { s: slopes }), bent(-1)],
    "Softsign of two": [op("Softsign"), body(["Abs", "x", "a"], ["Add", "two a", "d"], ["Div", "x d", "y"])],
    "Sigmoid by Tanh, not halved": [op("Sigmoid"), body(["Tanh", "x", "t"], ["Mul", "t half", "s"], ["Add", "s half", "y"])],
    "Softplus of the other side": [op("Softplus"), body(["Sigmoid", "x", "s"], ["Log", "s", "l"], ["Neg", "l", "y"])],
    "bounds that leave nothing, in another order": [
      bounded(["Max", "Min"], "six", "zero"),
      bounded(["Min", "Max"], "six", "zero"),
    ],
  },
);

const cube = (bend: number) =>
  n(
    [
      ...[node("Pow", ["x", "three"], ["c"]), node("Mul", ["c", "b"], ["p"]), node("Add", ["x", "p"], ["l"])],
      ...[node("Mul", ["l", "r"], ["q"]), node("Tanh", ["q"], ["y"])],
    ],
    { three: number(3), b: number(bend), r: number(0.75) },
  );
const square = n(
  [
    ...[node("Mul", ["x", "x"], ["s"]), node("Mul", ["s", "b"], ["p"]), node("Add", ["p", "one"], ["g"])],
    ...[node("Mul", ["x", "r"], ["w"]), node("Mul", ["w", "g"], ["q"]), node("Tanh", ["q"], ["y"])],
  ],
  { b: number(0.0625), r: number(0.75), one: number(1) },
);
const last = int64([1], [-1]);
const parameters = { g: float32([4], series(4)), b: float32([4], series(4, 5)), e: number(1e-3), a: last };
const moments = [
  ...[node("ReduceMean", ["x", "a"], ["m"]), node("Sub", ["x", "m"], ["d"]), node("Mul", ["d", "d"], ["s"])],
  ...[node("ReduceMean", ["s", "a"], ["v"]), node("Add", ["v", "e"], ["o"]), node("Sqrt", ["o"], ["q"])],
];
const norm = n(
  [...moments, node("Div", ["d", "q"], ["n"]), node("Mul", ["n", "g"], ["w"]), node("Add", ["w", "b"], ["y"])],
  parameters,
);
const late = (sign: "Sub" | "Add", factor = "r") =>
  n(
    [
      ...[...moments, node("Reciprocal", ["q"], ["i"]), node("Mul", ["i", "g"], ["r"]), node("Mul", ["x", "r"], ["p"])],
      ...[node("Mul", ["m", factor], ["t"]), node(sign, ["b", "t"], ["u"]), node("Add", ["p", "u"], ["y"])],
    ],
    parameters,
  );
judge(
  "Common factors",
  { "a cubic": [cube(0.0625), square], "what is centred late": [norm, late("Sub")] },
  {
    "another cubic": [cube(0.125), square],
    "what is moved the other way": [norm, late("Add")],
    "by another gain": [norm, late("Sub", "i")],
  },
);
