/** Lists that mean the same in several ways, and such that only look alike. */
import {
  float32,
  int8,
  int64,
  type ModelSpec,
  type NodeSpec,
  node,
  type TensorSpec,
  uint8,
  type ValueSpec,
} from "../../helpers/build.ts";
import { judge, net, type Pair } from "./pairs.ts";

const x: ValueSpec = { name: "x", dims: [3, 4, 5] };
const one = (
  op: string,
  operands: Record<string, TensorSpec | "">,
  attributes: NodeSpec["attributes"] = {},
  more: Partial<ModelSpec> = {},
  input: ValueSpec = x,
): ModelSpec =>
  net(
    [input],
    [node(op, ["x", ...Object.entries(operands).map(([name, value]) => (value === "" ? "" : name))], ["y"], attributes)],
    Object.fromEntries(Object.entries(operands).filter(([, value]) => value !== "")) as Record<string, TensorSpec>,
    { opset: 21, outputs: [{ name: "y", dtype: input.dtype }], ...more },
  );
const list = (...values: number[]) => int64([values.length], values);
const none = list();
const BIG = 2 ** 31 - 1;

const sum = (axes: TensorSpec | "", attributes = {}) => one("ReduceSum", axes === "" ? {} : { axes }, attributes);
const old = (axes: number[] | undefined) => one("ReduceMax", {}, axes === undefined ? {} : { axes }, { opset: 13 });
const max = (axes: TensorSpec | "") => one("ReduceMax", axes === "" ? {} : { axes }, {}, { opset: 20 });
const slice = (starts: number[], ends: number[], axes?: number[], steps?: number[], input = x) =>
  one(
    "Slice",
    {
      starts: list(...starts),
      ends: list(...ends),
      ...(axes === undefined && steps === undefined ? {} : { axes: axes === undefined ? "" : list(...axes) }),
      ...(steps === undefined ? {} : { steps: list(...steps) }),
    },
    {},
    {},
    input,
  );
const open: ValueSpec = { name: "x", dims: ["N", "M", 5] };
const pad = (pads: number[], axes?: number[]) =>
  one("Pad", { pads: list(...pads), ...(axes === undefined ? {} : { value: "" as const, axes: list(...axes) }) });
const split = (parts: TensorSpec | "", opset: number, attributes: NodeSpec["attributes"]): ModelSpec => ({
  ...net(
    [x],
    [node("Split", parts === "" ? ["x"] : ["x", "s"], ["p", "q"], attributes), node("Mul", ["p", "q"], ["y"])],
    parts === "" ? {} : { s: parts },
    { opset },
  ),
});
const clip = (dtype: string, low: TensorSpec | "", high: TensorSpec | "") =>
  one("Clip", { low, high }, {}, {}, { name: "x", dtype, dims: [3, 4, 5] });
const clip6 = (min: number, maximum: number) =>
  one("Clip", {}, { min: { kind: "float", value: min }, max: { kind: "float", value: maximum } }, { opset: 10 });
const small = (dtype: "int8" | "uint8", v: number) => (dtype === "int8" ? int8 : uint8)([], [v]);
const real = (v: number) => float32([], [v]);
const [LOWEST, LARGEST] = [-3.4028234663852886e38, 3.4028234663852886e38];

const same: Record<string, Pair> = {
  "all axes, and none named": [sum(""), sum(list(0, 1, 2))],
  "all axes, and an empty list": [sum(none), sum(list(2, 0, 1))],
  "axes from the back, in another order": [sum(list(-1, 0)), sum(list(0, 2))],
  "nothing to reduce": [sum(none, { noop_with_empty_axes: 1 }), sum("", { noop_with_empty_axes: 1 })],
  "axes as an attribute": [old([1, -1]), max(list(2, 1))],
  "all axes as an attribute": [old(undefined), max("")],
  "a Slice from the front and from the back": [slice([1], [3], [1]), slice([-3], [-1], [-2])],
  "a Slice to the end": [slice([1], [4], [1]), slice([1], [BIG], [1])],
  "a Slice of axes in another order": [slice([1, 0], [3, 2]), slice([0, 1], [2, 3], [1, 0])],
  "a Slice with an axis that is whole": [slice([1, 0], [3, BIG]), slice([1], [3])],
  "a Slice backward": [slice([-1], [-BIG], [1], [-1]), slice([3], [-5], [1], [-1])],
  "a Slice of an unknown axis to its end": [
    slice([1], [BIG], [1], undefined, open),
    slice([1], [2 ** 40], [-2], undefined, open),
  ],
  "a Slice of an unknown axis backward": [slice([-1], [-(2 ** 31)], [1], [-1], open), slice([-1], [-(2 ** 40)], [1], [-1], open)],
  "pads of all axes, and of some": [pad([0, 1, 0, 0, 2, 0]), pad([1, 2], [1])],
  "pads of axes from the back, in another order": [pad([1, 3, 2, 4], [1, 2]), pad([3, 1, 4, 2], [-1, -2])],
  "pads of nothing beside others": [pad([0, 1, 0, 2], [0, 1]), pad([1, 2], [-2])],
  "equal parts": [split("", 18, { axis: 1, num_outputs: 2 }), split(list(2, 2), 18, { axis: 1 })],
  "equal parts as an attribute": [split("", 11, { axis: 1, split: [2, 2] }), split(list(2, 2), 13, { axis: 1 })],
  "parts of several sizes": [split(list(2, 2), 18, { axis: 1 }), split("", 18, { axis: -2, num_outputs: 2 })],
  "the lowest float, infinity and no bound": [clip("float32", "", real(1)), clip("float32", real(LOWEST), real(1))],
  "an infinite bound": [clip("float32", real(0), ""), clip("float32", real(0), real(Number.POSITIVE_INFINITY))],
  "bounds as attributes": [clip6(-1, 1), clip("float32", real(-1), real(1))],
  "a bound as an attribute beside none": [clip6(-1, LARGEST), clip("float32", real(-1), "")],
  "bounds of small whole numbers": [clip("int8", small("int8", -128), ""), clip("int8", "", small("int8", 127))],
  "bounds of bytes": [clip("uint8", small("uint8", 0), ""), clip("uint8", "", small("uint8", 255))],
};
const unequal: Record<string, Pair> = {
  "nothing and everything to reduce": [sum(none, { noop_with_empty_axes: 1 }), sum(none)],
  "another axis": [sum(list(1)), sum(list(-1))],
  "another axis as an attribute": [old([1]), max(list(2))],
  "a Slice that begins later": [slice([1], [3], [1]), slice([0], [3], [1])],
  "a Slice of another axis": [slice([1], [3], [1]), slice([1], [3], [0])],
  "a Slice by steps of two": [slice([0], [4], [1], [1]), slice([0], [4], [1], [2])],
  "a Slice of an unknown axis that ends before its end": [
    slice([1], [BIG], [1], undefined, open),
    slice([1], [4], [1], undefined, open),
  ],
  "a Slice backward of another length": [slice([-1], [-BIG], [1], [-1]), slice([-1], [0], [1], [-1])],
  "pads at the other end": [pad([1, 2], [1]), pad([2, 1], [1])],
  "pads of another axis": [pad([1, 2], [1]), pad([1, 2], [2])],
  "parts of another axis": [split(list(2, 2), 18, { axis: 1 }), split("", 18, { axis: 0, num_outputs: 2 })],
  "a bound that is not the lowest": [clip("int8", small("int8", 2), ""), clip("int8", "", "")],
  "a bound that is not the largest": [clip("uint8", "", small("uint8", 2)), clip("uint8", "", "")],
  "a float that is not the lowest": [clip("float32", real(-1), ""), clip("float32", "", "")],
  "another bound as an attribute": [clip6(-1, 1), clip("float32", real(-1), real(2))],
};
judge("settings", same, unequal);
