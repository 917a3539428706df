import { int64, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net } from "./pairs.ts";

const x = [{ name: "x", dims: [2, 3, 4, 5] }];
const opset = (version: number): Partial<ModelSpec> => ({ opsets: { "": version } });
const ints = (...values: number[]) => int64([values.length], values);
const n = (nodes: NodeSpec[], more: Record<string, TensorSpec> = {}, version = 18) =>
  net(x, [...nodes, node("Tanh", ["m"], ["y"])], more, opset(version));
const mean = (axes: number[], keepdims: number, attributes = {}) =>
  n([node("ReduceMean", ["x", "a"], ["m"], { keepdims, ...attributes })], { a: ints(...axes) });
const one = (from: string, to: string, axis: string, keepdims = 1) => node("ReduceMean", [from, axis], [to], { keepdims });
const twice = (first: number, second: number) => n([one("x", "k", "a"), one("k", "m", "b")], { a: ints(first), b: ints(second) });
const joined = (shape: number[], axis: number, back: number[]) =>
  n([node("Reshape", ["x", "s"], ["r"]), one("r", "k", "a", 0), node("Reshape", ["k", "b"], ["m"])], {
    s: ints(...shape),
    a: ints(axis),
    b: ints(...back),
  });

judge(
  "means",
  {
    "one after the other": [twice(3, 2), mean([2, 3], 1)],
    "of what a Reshape joined": [joined([2, 3, -1], 2, [2, 3, 1, 1]), mean([2, 3], 1)],
    "of what a Reshape joined, the first axes": [joined([6, 20], 0, [1, 1, 4, 5]), mean([0, 1], 1)],
    "with and without their axes": [
      n([node("ReduceMean", ["x", "a"], ["k"]), node("Squeeze", ["k", "a"], ["m"])], { a: ints(1, 3) }),
      mean([1, -1], 0),
    ],
    "dropped in opset 11": [
      n([node("ReduceMax", ["x"], ["k"], { axes: [1] }), node("Squeeze", ["k"], ["m"], { axes: [1] })], {}, 11),
      n([node("ReduceMax", ["x"], ["m"], { axes: [1], keepdims: 0 })], {}, 11),
    ],
    "told what to do without axes": [mean([1], 1, { noop_with_empty_axes: 1 }), mean([1], 1)],
  },
  {
    "over another axis": [twice(3, 1), mean([2, 3], 1)],
    "of a part of what a Reshape joined": [joined([2, 3, 2, 10], 3, [2, 3, 2, 1]), mean([2, 3], 0)],
    "of another part": [joined([2, 12, 5], 1, [2, 1, 1, 5]), n([one("x", "m", "a")], { a: ints(2, 3) })],
    "a largest of a mean": [
      n([one("x", "k", "a"), node("ReduceMax", ["k", "b"], ["m"])], { a: ints(3), b: ints(2) }),
      mean([2, 3], 1),
    ],
    "without axes, which is all of them or none": [
      n([node("ReduceMean", ["x"], ["m"], { noop_with_empty_axes: 1 })]),
      n([node("ReduceMean", ["x"], ["m"])]),
    ],
  },
);
