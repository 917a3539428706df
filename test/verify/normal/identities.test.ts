import { int64, node, type TensorSpec } from "../../helpers/build.ts";
import { judge, net } from "./pairs.ts";

const x = [{ name: "x", dims: ["N", 4, 6, 6] }];
const fixed = [{ name: "x", dims: [2, 4, 6, 6] }];
const relu = node("Relu", ["h"], ["y"]);
const plain = net(x, [node("Relu", ["x"], ["y"])]);
const idle = (op: string, inputs: string[], more: Record<string, TensorSpec>, from = x, attributes = {}) =>
  net(from, [node(op, ["x", ...inputs], ["h"], attributes), relu], more);
const bounds = { s: int64([1], [0]), a: int64([1], [2]) };

/** A number that takes its type from x, or from what nobody else reads. */
const likened = (from: string) =>
  net(x, [node("Pad", ["x", "n"], ["p"]), node("CastLike", ["two", from], ["c"]), node("Mul", ["x", "c"], ["y"])], {
    n: int64([8], [0, 0, 1, 1, 0, 0, 1, 1]),
    two: int64([], [2]),
  });

judge(
  "operators that do nothing",
  {
    "a Pad by nothing, whatever its mode": [
      idle("Pad", ["p"], { p: int64([8], [0, 0, 0, 0, 0, 0, 0, 0]) }, x, { mode: "reflect" }),
      plain,
    ],
    "a Tile once": [idle("Tile", ["r"], { r: int64([4], [1, 1, 1, 1]) }), plain],
    "an Expand to the shape that is there": [
      idle("Expand", ["e"], { e: int64([4], [2, 4, 6, 6]) }, fixed),
      net(fixed, [node("Relu", ["x"], ["y"])]),
    ],
    "a Slice of all there is": [idle("Slice", ["s", "e", "a"], { ...bounds, e: int64([1], [100]) }), plain],
    "a number of the type of what a Pad makes": [likened("p"), likened("x")],
    "a Transpose of nothing": [idle("Transpose", [], {}, x, { perm: [0, 1, 2, 3] }), plain],
  },
  {
    "a Pad that takes away what it adds": [idle("Pad", ["p"], { p: int64([8], [0, 0, 1, 0, 0, 0, -1, 0]) }), plain],
    "a Tile twice": [idle("Tile", ["r"], { r: int64([4], [1, 1, 2, 1]) }), plain],
    "an Expand of an axis of one": [
      net([{ name: "x", dims: [2, 4, 1, 6] }], [node("Expand", ["x", "e"], ["h"]), relu], { e: int64([4], [2, 4, 6, 6]) }),
      net([{ name: "x", dims: [2, 4, 1, 6] }], [node("Relu", ["x"], ["y"])]),
    ],
    "a Slice backwards": [
      idle("Slice", ["s", "e", "a", "t"], {
        s: int64([1], [-1]),
        e: int64([1], [-100]),
        a: int64([1], [2]),
        t: int64([1], [-1]),
      }),
      plain,
    ],
    "a Slice of all but one": [idle("Slice", ["s", "e", "a"], { ...bounds, e: int64([1], [5]) }), plain],
    "a Transpose of axes of one size": [idle("Transpose", [], {}, x, { perm: [0, 1, 3, 2] }), plain],
  },
);
