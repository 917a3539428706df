import { float32, int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, type Pair, series } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 3, 4, 5] }];
const fixed = [{ name: "x", dims: [2, 3, 4, 5] }];
const T = (from: string, to: string, perm: number[]) => node("Transpose", [from], [to], { perm });
const last = [0, 2, 3, 1];
const first = [0, 3, 1, 2];
const ints = (...values: number[]) => int64([values.length], values);
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}, inputs = x) => net(inputs, nodes, more);
/** Through channels last, with what is done there, and back. */
const around = (middle: NodeSpec[], more: Record<string, TensorSpec> = {}, back = first, inputs = x) =>
  n([T("x", "t", last), ...middle, T("m", "y", back)], more, inputs);

const soft = (op: string, there: number, here: number): Pair => [
  around([node(op, ["t"], ["m"], { axis: there })]),
  n([node(op, ["x"], ["y"], { axis: here })]),
];
const split = (there: number, here: number, parts = [1, 2]): Pair => {
  const k = { k: ints(...parts) };
  const joins = (axis: number, to: string) => [node("Relu", ["p"], ["r"]), node("Concat", ["q", "r"], [to], { axis })];
  return [
    around([node("Split", ["t", "k"], ["p", "q"], { axis: there }), ...joins(there, "m")], k),
    n([node("Split", ["x", "k"], ["p", "q"], { axis: here }), ...joins(here, "y")], k),
  ];
};
const constant = (there: number[]): Pair => {
  const inputs = [{ name: "x", dims: [1, 3, 2, 1] }];
  return [
    around([node("Concat", ["t", "c"], ["m"], { axis: 3 })], { c: float32([1, 2, 1, 2], there) }, first, inputs),
    n([node("Concat", ["x", "c"], ["y"], { axis: 1 })], { c: float32([1, 2, 2, 1], [1, 2, 3, 4]) }, inputs),
  ];
};
const argument = (there: number, here: number): Pair => [
  n([T("x", "t", last), node("ArgMax", ["t"], ["y"], { axis: there, keepdims: 0 })]),
  n([node("ArgMax", ["x"], ["y"], { axis: here, keepdims: 0 })]),
];
const squeezed = (there: number, here: number): Pair => {
  const inputs = [{ name: "x", dims: ["N", 1, 4, 1] }];
  const perm = [3, 2, 1, 0];
  return [
    n([T("x", "t", perm), node("Squeeze", ["t", "a"], ["s"]), node("Relu", ["s"], ["y"])], { a: ints(there) }, inputs),
    n([node("Squeeze", ["x", "a"], ["s"]), node("Relu", ["s"], ["r"]), T("r", "y", [2, 1, 0])], { a: ints(here) }, inputs),
  ];
};
const unsqueezed = (axis: number, perm: number[]): Pair => [
  n([T("x", "t", last), node("Unsqueeze", ["t", "a"], ["s"]), node("Relu", ["s"], ["y"])], { a: ints(axis) }),
  n([node("Relu", ["x"], ["r"]), node("Unsqueeze", ["r", "a"], ["s"]), T("s", "y", perm)], { a: ints(axis) }),
];
const padded = (there: number[], here: number[]): Pair => [
  around([node("Pad", ["t", "p"], ["m"])], { p: ints(...there) }),
  n([node("Pad", ["x", "p"], ["y"])], { p: ints(...here) }),
];
const matrix = { w: float32([5, 5], series(25)) };
const rows = (perm: number[]): Pair => [
  n([T("x", "t", perm), node("MatMul", ["t", "w"], ["m"]), T("m", "y", perm)], matrix, [{ name: "x", dims: ["N", 5, 5, 5] }]),
  n([node("MatMul", ["x", "w"], ["y"])], matrix, [{ name: "x", dims: ["N", 5, 5, 5] }]),
];
const norm = { g: float32([5], series(5)), b: float32([5], series(5, 3)) };
const normalized = (perm: number[], axis = -1): Pair => [
  n([T("x", "t", perm), node("LayerNormalization", ["t", "g", "b"], ["m"], { axis }), T("m", "y", perm)], norm, [
    { name: "x", dims: ["N", 5, 5, 5] },
  ]),
  n([node("LayerNormalization", ["x", "g", "b"], ["y"], { axis })], norm, [{ name: "x", dims: ["N", 5, 5, 5] }]),
];
/** [2, 3, 4, 5] with the axes moved, reshaped, and a Relu; beside the Reshape first and its Transpose. */
const regrouped = (perm: number[], to: number[], own: number[], order: number[]): Pair => [
  n([T("x", "t", perm), node("Reshape", ["t", "s"], ["r"]), node("Relu", ["r"], ["y"])], { s: ints(...to) }, fixed),
  n([node("Relu", ["x"], ["r"]), node("Reshape", ["r", "s"], ["m"]), T("m", "y", order)], { s: ints(...own) }, fixed),
];
const quantized = (there: number, here: number, scales = [0.5, 0.25, 1]): Pair => {
  const s = { s: float32([3], scales) };
  const both = (from: string, to: string, axis: number) => [
    node("QuantizeLinear", [from, "s"], ["q"], { axis }),
    node("DequantizeLinear", ["q", "s"], [to], { axis }),
  ];
  const inputs = [{ name: "x", dims: ["N", 3, 3, 3] }];
  return [around(both("t", "m", there), s, first, inputs), n(both("x", "y", here), s, inputs)];
};
const compared = (op: string): Pair => [
  around([node("Tanh", ["t"], ["s"]), node(op, ["t", "s"], ["c"]), node("Where", ["c", "t", "s"], ["m"])]),
  n([node("Tanh", ["x"], ["s"]), node(op, ["x", "s"], ["c"]), node("Where", ["c", "x", "s"], ["y"])]),
];

/** A mean for each channel, or each row, as a factor: through channels last it is a Reshape away. */
const gated = (axis: number): Pair => {
  const inputs = [{ name: "x", dims: [2, 3, 3, 3] }];
  const means = (of: string, over: string) => [node("ReduceMean", [of, over], ["g"]), node("Sigmoid", ["g"], ["h"])];
  const more = { a: ints(2, 3), b: ints(...[1, 2, 3].filter((i) => i !== axis)), s: ints(2, 1, 1, 3), r: ints(2, 3, 1, 1) };
  return [
    n(
      [
        ...means("x", "a"),
        node("Reshape", ["h", "s"], ["k"]),
        T("x", "t", last),
        node("Mul", ["t", "k"], ["m"]),
        T("m", "y", first),
      ],
      more,
      inputs,
    ),
    n([...means("x", "b"), node("Mul", ["x", "h"], ["y"])], more, inputs),
  ];
};

/** A reduction, or an element of one axis, behind channels last: the rest as it was, or turned by `back`. */
const reduced = (there: number[], here: number[], keepdims: number, back?: number[]): Pair => {
  const mean = (from: string, to: string) => node("ReduceMean", [from, "a"], [to], { keepdims });
  const after = back === undefined ? [mean("r", "y")] : [mean("r", "m"), T("m", "y", back)];
  return [
    n([node("Relu", ["x"], ["r"]), T("r", "t", last), mean("t", "y")], { a: ints(...there) }),
    n([node("Relu", ["x"], ["r"]), ...after], { a: ints(...here) }),
  ];
};
const element = (there: number, here: number, back?: number[]): Pair => {
  const pick = (from: string, to: string, axis: number) => node("Gather", [from, "i"], [to], { axis });
  const more = { i: int64([], [1]) };
  const after = back === undefined ? [pick("r", "y", here)] : [pick("r", "m", here), T("m", "y", back)];
  return [
    n([node("Relu", ["x"], ["r"]), T("r", "t", last), pick("t", "y", there)], more),
    n([node("Relu", ["x"], ["r"]), ...after], more),
  ];
};
const stretch = (there: number, here: number): Pair => {
  const cut = (from: string, to: string) => node("Slice", [from, "from", "end", "a"], [to]);
  const more = (axis: number) => ({ from: ints(1), end: ints(3), a: ints(axis) });
  return [around([cut("t", "m")], more(there)), n([cut("x", "y")], more(here))];
};

judge(
  "what works along axes that moved",
  {
    "a Softmax": soft("Softmax", 3, 1),
    "a LogSoftmax, counted from the end": soft("LogSoftmax", -2, 3),
    "a mean along channels, counted from the end": reduced([-1], [1], 0),
    "a mean along rows, which leaves the order turned": reduced([1], [2], 0, [0, 2, 1]),
    "a mean that keeps its axis": reduced([-1], [1], 1, last),
    "an element along channels, counted from the end": element(-1, 1),
    "an element along rows, which leaves the order turned": element(-3, 2, [0, 2, 1]),
    "a stretch along rows, counted from the end": stretch(-3, 2),
    "an axis left out, counted from the end": squeezed(-2, 1),
    "a Split and a Concat": split(3, 1),
    "a Concat with a constant": constant([1, 3, 2, 4]),
    "the place of the largest": argument(3, 1),
    "an axis left out": squeezed(2, 1),
    "an axis put in": unsqueezed(1, [0, 1, 3, 4, 2]),
    "an axis put in at the end": unsqueezed(-1, [0, 2, 3, 1, 4]),
    "a Pad": padded([0, 1, 2, 0, 0, 3, 4, 0], [0, 0, 1, 2, 0, 0, 3, 4]),
    "rows of a matrix": rows([0, 2, 1, 3]),
    "a norm of the last axis": normalized([0, 2, 1, 3]),
    "heads split apart behind it": regrouped([0, 2, 3, 1], [2, 2, 2, 5, 3], [2, 3, 2, 2, 5], [0, 2, 3, 4, 1]),
    "axes joined that stay together": regrouped([1, 0, 2, 3], [3, 2, 20], [2, 3, 20], [1, 0, 2]),
    "an axis of one beside them": regrouped([0, 2, 3, 1], [1, 2, 20, 3], [1, 2, 3, 20], [0, 1, 3, 2]),
    "a quantisation along an axis": quantized(3, 1),
    "a comparison and what it chooses": compared("Less"),
    "a gate of each channel": gated(1),
  },
  {
    "a Softmax of the axis it counts": soft("Softmax", 3, 3),
    "a mean along another axis from the end": reduced([-1], [3], 0, [0, 1, 2]),
    "an element along another axis from the end": element(-1, 3),
    "a stretch along another axis from the end": stretch(-2, 2),
    "a Split of another axis": split(2, 1),
    "a Concat with a constant that was not turned": constant([1, 2, 3, 4]),
    "the place along another axis": argument(1, 1),
    "another axis left out": squeezed(0, 1),
    "an axis put in elsewhere": unsqueezed(1, [0, 2, 3, 1, 4]),
    "a Pad of other axes": padded([0, 1, 2, 0, 0, 3, 4, 0], [0, 1, 2, 0, 0, 3, 4, 0]),
    "columns that move": rows([0, 1, 3, 2]),
    "a norm of an axis that moves": normalized([0, 1, 3, 2]),
    "axes joined in another order": regrouped([0, 1, 3, 2], [2, 3, 20], [2, 3, 20], [0, 1, 2]),
    "heads split the other way": regrouped([0, 2, 3, 1], [2, 4, 5, 3, 1], [2, 3, 5, 4, 1], [0, 3, 2, 1, 4]),
    "a quantisation along another axis": quantized(3, 2),
    "a gate of the other axis": gated(2),
    "a comparison the other way round": [compared("Less")[0], compared("Greater")[1]],
  },
);
