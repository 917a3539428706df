import { int64, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 5, 6] }];
const open = [{ name: "x", dims: ["N", 5, "L"] }];
const numbers: Record<string, TensorSpec> = Object.fromEntries(
  Array.from({ length: 8 }, (_, i) => [`n${i}`, int64([], [i - 1])]),
);
const bounds: Record<string, TensorSpec> = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`v${i}`, int64([1], [i])]));
const n = (nodes: NodeSpec[], inputs = x, more: Record<string, TensorSpec> = {}) =>
  net(inputs, nodes, { ...numbers, ...bounds, ...more });
const cut = (from: string, to: string, start: number, end: number, axis = 2) =>
  node("Slice", [from, `v${start}`, `v${end}`, `v${axis}`], [to]);
const at = (list: string, i: number, to: string) => node("SequenceAt", [list, `n${i + 1}`], [to]);
const minus = node("Sub", ["p", "q"], ["y"]);

/** Chunks of four of an axis of six: one of four, one of two. */
const chunks = (i: number, j: number, axis = 2) =>
  n([
    node("SplitToSequence", ["x", "n5"], ["l"], { axis }),
    at("l", i, "a"),
    at("l", j, "b"),
    node("ReduceSum", ["a", "v2"], ["p"]),
    node("ReduceSum", ["b", "v2"], ["q"]),
    minus,
  ]);
const sums = (from: readonly [number, number], to: readonly [number, number]) =>
  n([
    cut("x", "a", ...from),
    cut("x", "b", ...to),
    node("ReduceSum", ["a", "v2"], ["p"]),
    node("ReduceSum", ["b", "v2"], ["q"]),
    minus,
  ]);

const ones = (keepdims: number, i: number) =>
  n([node("SplitToSequence", ["x"], ["l"], { axis: 1, keepdims }), at("l", i, "p"), at("l", 0, "q"), minus]);
const gathered = (i: number) =>
  n([node("Gather", ["x", `n${i + 1}`], ["p"], { axis: 1 }), node("Gather", ["x", "n1"], ["q"], { axis: 1 }), minus]);

const built = (nodes: NodeSpec[], i: number, j: number) =>
  n([node("Relu", ["x"], ["r"]), node("Tanh", ["x"], ["t"]), ...nodes, at("l", i, "p"), at("l", j, "q"), minus]);
const construct = node("SequenceConstruct", ["r", "t", "x"], ["l"]);
const inserted = [
  node("SequenceEmpty", [], ["e"]),
  node("SequenceInsert", ["e", "x"], ["f"]),
  node("SequenceInsert", ["f", "r", "n1"], ["g"]),
  node("SequenceInsert", ["g", "t", "n0"], ["l"]),
];
const erased = [node("SequenceConstruct", ["r", "x", "t", "x"], ["k"]), node("SequenceErase", ["k", "n2"], ["l"])];
const plainly = (p: string, q: string) => n([node("Relu", ["x"], ["r"]), node("Tanh", ["x"], ["t"]), node("Sub", [p, q], ["y"])]);

const joined = (attributes: Record<string, number>) =>
  n([
    node("Relu", ["x"], ["r"]),
    node("SequenceConstruct", ["r", "x"], ["l"]),
    node("ConcatFromSequence", ["l"], ["y"], attributes),
  ]);
const stacked = (axis: number) =>
  n([
    node("Relu", ["x"], ["r"]),
    node("Unsqueeze", ["r", `v${axis}`], ["p"]),
    node("Unsqueeze", ["x", `v${axis}`], ["q"]),
    node("Concat", ["p", "q"], ["y"], { axis }),
  ]);
const counted = n([
  node("Relu", ["x"], ["r"]),
  node("SequenceConstruct", ["r", "x"], ["l"]),
  node("SequenceLength", ["l"], ["k"]),
  node("Cast", ["k"], ["c"], { to: 1 }),
  node("Div", ["r", "c"], ["y"]),
]);
const divided = (by: number) =>
  n([node("Relu", ["x"], ["r"]), node("Cast", [`n${by + 1}`], ["c"], { to: 1 }), node("Div", ["r", "c"], ["y"])]);

judge(
  "sequences",
  {
    "chunks and the rest of an axis": [chunks(0, 1), sums([0, 4], [4, 6])],
    "the last counted from the end": [chunks(0, -1), sums([0, 4], [4, 6])],
    "one by one": [ones(0, 3), gathered(3)],
    "one by one, with their axis": [ones(1, 2), n([cut("x", "p", 2, 3, 1), cut("x", "q", 0, 1, 1), minus])],
    "tensors put into one": [built([construct], 0, 2), plainly("r", "x")],
    "tensors put in one after the other": [built(inserted, 1, 2), plainly("t", "x")],
    "one taken out": [built(erased, 1, 2), plainly("t", "x")],
    "put together again": [joined({ axis: 1 }), n([node("Relu", ["x"], ["r"]), node("Concat", ["r", "x"], ["y"], { axis: 1 })])],
    "put together along a new axis": [joined({ axis: 1, new_axis: 1 }), stacked(1)],
    "how many there are": [counted, divided(2)],
  },
  {
    "another chunk": [chunks(0, 0), sums([0, 4], [4, 6])],
    "chunks of another size": [chunks(0, 1), sums([0, 3], [3, 6])],
    "another of an axis": [ones(0, 2), gathered(3)],
    "another tensor": [built([construct], 1, 2), plainly("r", "x")],
    "put in elsewhere": [built(inserted, 0, 2), plainly("t", "x")],
    "another taken out": [built(erased, 1, 2), plainly("x", "t")],
    "along another axis": [joined({ axis: 2, new_axis: 1 }), stacked(1)],
    "along no axis that is said": [joined({}), n([node("Relu", ["x"], ["r"]), node("Concat", ["r", "x"], ["y"], { axis: 1 })])],
    "another number": [counted, divided(3)],
    "parts nobody knows, put together": [
      n([node("SplitToSequence", ["x", "n3"], ["l"], { axis: 2 }), node("ConcatFromSequence", ["l"], ["y"], { axis: 2 })], open),
      n([node("Relu", ["x"], ["y"])], open),
    ],
    "a size nobody knows": [
      n([node("SplitToSequence", ["x", "n3"], ["l"], { axis: 2 }), at("l", -1, "y")], open),
      n([cut("x", "y", 2, 4)], open),
    ],
  },
);
