import { float32, int64, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net, series } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 4, 6] }];
const opset = (version: number): Partial<ModelSpec> => ({ opsets: { "": version } });
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}, version = 18) => net(x, nodes, more, opset(version));
const last = { a: int64([1], [-1]) };
const squared = (exponent: number, dims: number[] = []) =>
  n([node("Pow", ["x", "p"], ["s"]), node("Tanh", ["s"], ["y"])], { p: float32(dims, [exponent]) });
const product = n([node("Mul", ["x", "x"], ["s"]), node("Tanh", ["s"], ["y"])]);
const over = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}) =>
  n([node("Exp", ["x"], ["e"]), node("Tanh", ["x"], ["t"]), ...nodes], more);
const quotient = over([node("Div", ["t", "e"], ["y"])]);
const one = { one: float32([], [1]) };

const variance = (by: "squares" | "differences", axes = [2], other = axes) =>
  n(
    by === "squares"
      ? [
          node("ReduceMean", ["x", "b"], ["m"]),
          node("Mul", ["x", "x"], ["s"]),
          node("ReduceMean", ["s", "a"], ["k"]),
          node("Mul", ["m", "m"], ["q"]),
          node("Sub", ["k", "q"], ["v"]),
          node("Exp", ["v"], ["y"]),
        ]
      : [
          node("ReduceMean", ["x", "b"], ["m"]),
          node("Sub", ["x", "m"], ["d"]),
          node("Mul", ["d", "d"], ["s"]),
          node("ReduceMean", ["s", "a"], ["v"]),
          node("Exp", ["v"], ["y"]),
        ],
    { a: int64([axes.length], axes), b: int64([other.length], other) },
  );
const length = (spelled: boolean, version: number) => {
  const axes: Record<string, number[]> = version < 18 ? { axes: [2] } : {};
  const operand = version < 18 ? [] : ["a"];
  const nodes = spelled
    ? [
        node("Mul", ["x", "x"], ["s"]),
        node("ReduceSum", ["s", ...(version < 13 ? [] : ["a"])], ["r"], version < 13 ? axes : {}),
        node("Sqrt", ["r"], ["l"]),
      ]
    : [node("ReduceL2", ["x", ...operand], ["l"], axes)];
  return n([...nodes, node("Div", ["x", "l"], ["y"])], last, version);
};

const whole = [{ name: "x", dtype: "int64" as const, dims: ["N", 4] }];
const halved = (inside: boolean): ModelSpec => ({
  ...net(
    whole,
    inside
      ? [node("Div", ["x", "c"], ["h"]), node("Add", ["x", "c"], ["z"]), node("Mul", ["z", "h"], ["y"])]
      : [node("Add", ["x", "c"], ["z"]), node("Mul", ["z", "x"], ["h"]), node("Div", ["h", "c"], ["y"])],
    { c: int64([], [2]) },
    opset(18),
  ),
  outputs: [{ name: "y", dtype: "int64" }],
});

judge(
  "powers and quotients",
  {
    "a square": [squared(2), product],
    "a square by a number of one axis": [squared(2, [1]), product],
    "a root": [over([node("Pow", ["e", "p"], ["y"])], { p: float32([], [0.5]) }), over([node("Sqrt", ["e"], ["y"])])],
    "one over": [over([node("Reciprocal", ["e"], ["r"]), node("Mul", ["t", "r"], ["y"])]), quotient],
    "one over, on the other side": [over([node("Div", ["one", "e"], ["r"]), node("Mul", ["r", "t"], ["y"])], one), quotient],
    "a power of minus one": [
      over([node("Pow", ["e", "p"], ["r"]), node("Mul", ["t", "r"], ["y"])], { p: float32([], [-1]) }),
      quotient,
    ],
    "a variance in two ways": [variance("squares"), variance("differences")],
    "a variance over two axes": [variance("squares", [-1, 1]), variance("differences", [1, 2])],
    "a length in opset 11": [length(false, 11), length(true, 11)],
    "a length in opset 13": [length(false, 13), length(true, 13)],
    "a length in opset 18": [length(false, 18), length(true, 18)],
  },
  {
    "a cube": [squared(3), product],
    "a square with an axis more": [squared(2, [1, 1, 1, 1]), product],
    "another root": [over([node("Pow", ["e", "p"], ["y"])], { p: float32([], [0.25]) }), over([node("Sqrt", ["e"], ["y"])])],
    "two over": [over([node("Div", ["one", "e"], ["r"]), node("Mul", ["r", "t"], ["y"])], { one: float32([], [2]) }), quotient],
    "the other way round": [over([node("Reciprocal", ["t"], ["r"]), node("Mul", ["e", "r"], ["y"])]), quotient],
    "a variance over other axes": [variance("squares", [1]), variance("differences", [2])],
    "means over two axes": [variance("squares", [1], [2]), variance("differences", [2])],
    "squares of another": [variance("squares", [2]), variance("differences", [2], [1])],
    "whole numbers, divided before they are multiplied": [halved(true), halved(false)],
  },
);

const q = [
  { name: "x", dims: ["N", 4, 6] },
  { name: "z", dims: ["N", 6, 5] },
];
const scores = (nodes: NodeSpec[], c: number, more: Record<string, TensorSpec> = {}) =>
  net(q, [...nodes, node("Softmax", ["s"], ["y"], { axis: -1 })], { c: float32([], [c]), ...more }, opset(18));
const inside = (c: number, more?: Record<string, TensorSpec>) =>
  scores([node("Mul", ["x", "c"], ["p"]), node("Mul", ["z", "c"], ["w"]), node("MatMul", ["p", "w"], ["s"])], c, more);
const behind = (c: number) => scores([node("MatMul", ["x", "z"], ["p"]), node("Mul", ["p", "c"], ["s"])], c);

judge(
  "a factor of a product of matrices",
  {
    "on both sides": [inside(0.5), behind(0.25)],
    "divided by": [scores([node("Div", ["z", "c"], ["w"]), node("MatMul", ["x", "w"], ["s"])], 4), behind(0.25)],
  },
  {
    "another factor": [inside(0.5), behind(0.5)],
    "one for each row of what is summed": [
      scores([node("Mul", ["x", "r"], ["p"]), node("MatMul", ["p", "z"], ["s"])], 1, { r: float32([6], series(6)) }),
      behind(1),
    ],
    "divided the other way round": [scores([node("Div", ["c", "z"], ["w"]), node("MatMul", ["x", "w"], ["s"])], 4), behind(4)],
  },
);
