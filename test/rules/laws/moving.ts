/** Cases of the operators that move, pick, join, reduce or sample elements. */
import { f, float32, fs, int64, node } from "../../helpers/build.ts";
import { alike, bools, type Case, c, ints, nonzero, type Subject, subject, wholes, x } from "./subject.ts";

const X = x(2, 4, 4);
const SHAPES = [1, 13, 21, 23, 24, 25];
const int = (dims: readonly number[], values: readonly number[]) => int64(dims, values);
const scalar = (value: number) => int64([], [value]);

const layout: Subject[] = [
  subject(
    "Transpose",
    SHAPES,
    { inputs: [X] },
    { inputs: [x(2, 4, 4, 4)], attributes: { perm: [2, 0, 3, 1] } },
    { inputs: [X], attributes: { perm: [1, 2, 0] } },
  ),
  subject(
    "Reshape",
    [1, 5, 13, 14, 19, 21, 23, 24, 25],
    { inputs: [X], attributes: { shape: [2, 16] }, until: 1 },
    { inputs: [X], attributes: { shape: [0, -1, 2] }, until: 1 },
    ...[[2, 16], [8, 4], [0, 2, 2, 4], [2, 4, 2, 2], [-1], [0, 0, -1], [4, 8], [1, 2, 4, 4]].map(
      (to): Case => ({ inputs: [X, ints(...to)], from: 5 }),
    ),
    { inputs: [X, ints(2, -1, 4)], attributes: { allowzero: 1 }, from: 14 },
  ),
  subject(
    "Flatten",
    [1, 9, 11, 13, 21, 23, 24, 25],
    ...[undefined, 0, 1, 2, 3].map((axis): Case => ({ inputs: [X], attributes: axis === undefined ? {} : { axis } })),
    { inputs: [X], attributes: { axis: -1 }, from: 11 },
  ),
  subject(
    "Squeeze",
    [1, 11, ...SHAPES.slice(1)],
    { inputs: [x(1, 4, 1, 4)], attributes: { axes: [0, 2] }, until: 11 },
    { inputs: [x(1, 4, 1, 4)] },
    { inputs: [x(1, 4, 1, 4)], attributes: { axes: [-2] }, from: 11, until: 11 },
    { inputs: [x(1, 4, 1, 4), ints(-2)], from: 13 },
    { inputs: [x(1, 4, 1, 4), ints(0, 2)], from: 13 },
  ),
  subject(
    "Unsqueeze",
    [1, 11, ...SHAPES.slice(1)],
    { inputs: [X], attributes: { axes: [0, 2] }, until: 11 },
    { inputs: [X], attributes: { axes: [-1] }, from: 11, until: 11 },
    { inputs: [X, ints(-1, 1)], from: 13 },
    { inputs: [X, ints(2)], from: 13 },
  ),
  subject(
    "DepthToSpace",
    [1, 11, 13, 28],
    { inputs: [x(1, 8, 2, 3)], attributes: { blocksize: 2 } },
    { inputs: [x(1, 8, 2, 3)], attributes: { blocksize: 2, mode: "CRD" }, from: 11 },
    { inputs: [x(1, 4, 2, 2)], attributes: { blocksize: 2, mode: "DCR" }, from: 11 },
  ),
  subject(
    "SpaceToDepth",
    [1, 13, 28],
    { inputs: [x(1, 4, 4, 2)], attributes: { blocksize: 2 } },
    { inputs: [x(1, 1, 2, 2)], attributes: { blocksize: 2 } },
  ),
  subject(
    "Expand",
    [8, 13],
    { inputs: [x(2, 1, 4), ints(2, 4, 4)] },
    { inputs: [x(4, 1), ints(2, 4, 4)] },
    { inputs: [X, ints(1)] },
  ),
  subject(
    "Tile",
    [1, 6, 13],
    { inputs: [X, int([], [2]), int([], [1])], until: 1 },
    { inputs: [X, ints(1, 2, 1)], from: 6 },
    { inputs: [X, ints(2, 1, 3)], from: 6 },
    { inputs: [x(2, 1, 2), ints(1, 4, 2)], from: 6 },
  ),
];

const select: Subject[] = [
  subject(
    "Concat",
    [1, 4, 11, 13],
    { inputs: [X, X], until: 1 },
    { inputs: [X, X], attributes: { axis: 1 } },
    { inputs: [X, x(2, 4, 2), X], attributes: { axis: 2 } },
    { inputs: [X, c([2, 2, 4])], attributes: { axis: 1 } },
    { inputs: [c([1, 4, 4]), X], attributes: { axis: 0 } },
    { inputs: [X, X], attributes: { axis: -1 }, from: 11 },
  ),
  subject(
    "Split",
    [1, 2, 11, 13, 18],
    { inputs: [X], attributes: { axis: 1, split: [1, 3] }, outputs: 2, until: 11 },
    { inputs: [X], attributes: { axis: 2 }, outputs: 2, until: 11 },
    { inputs: [X], outputs: 2, until: 13 },
    { inputs: [X], attributes: { axis: -1, split: [2, 2] }, outputs: 2, from: 11, until: 11 },
    { inputs: [X, ints(3, 1)], attributes: { axis: 1 }, outputs: 2, from: 13 },
    { inputs: [x(2, 5, 4)], attributes: { axis: 1, num_outputs: 2 }, outputs: 2, from: 18 },
    { inputs: [X], attributes: { num_outputs: 2 }, outputs: 2, from: 18 },
  ),
  subject(
    "Slice",
    [1, 10, 11, 13],
    { inputs: [X], attributes: { starts: [1], ends: [3], axes: [1] }, until: 1 },
    { inputs: [X], attributes: { starts: [0, 1], ends: [2, -1] }, until: 1 },
    { inputs: [X, ints(1), ints(3), ints(1)], from: 10 },
    { inputs: [X, ints(0, 1), ints(2, 100)], from: 10 },
    { inputs: [X, ints(-1, 3), ints(-100, 0), ints(2, 1), ints(-1, -2)], from: 10 },
    { inputs: [X, ints(0), ints(4), ints(-1), ints(3)], from: 10 },
  ),
  subject(
    "Gather",
    [1, 11, 13],
    { inputs: [X, ints(1, 0, 1)] },
    { inputs: [X, ints(3, 1, 0)], attributes: { axis: 1 } },
    { inputs: [X, ints(2, 0, 1, 3)], attributes: { axis: 2 } },
    { inputs: [X, int([2, 2], [2, 0, 1, 3])], attributes: { axis: 1 } },
    { inputs: [X, int([], [2])], attributes: { axis: 1 } },
    { inputs: [X, int([], [-1])], attributes: { axis: -1 }, from: 11 },
    { inputs: [c([6, 4]), int([2, 3], [5, 0, 3, 1, 2, 4])] },
    { inputs: [c([4, 6]), int([2, 3], [5, 0, 3, 1, 2, 4])], attributes: { axis: 1 } },
  ),
];

const reduced = (roundings: number, more: Partial<Case> = {}, X2 = X): Case[] => [
  { inputs: [X2], ...more, roundings },
  { inputs: [X2], attributes: { keepdims: 0 }, ...more, roundings },
];
const old = (roundings: number, until: number, operand = X): Case[] => [
  { inputs: [operand], attributes: { axes: [1] }, until, roundings },
  { inputs: [operand], attributes: { axes: [0, 2], keepdims: 0 }, until, roundings },
  ...(until >= 11 ? [{ inputs: [operand], attributes: { axes: [-1], keepdims: 0 }, from: 11, until, roundings }] : []),
];
const modern = (roundings: number, from: number, operand = X): Case[] => [
  { inputs: [operand, ints(1)], from, roundings },
  { inputs: [operand, ints(0, -1)], attributes: { keepdims: 0 }, from, roundings },
  { inputs: [operand, ints(-2)], attributes: { keepdims: 0 }, from, roundings },
  { inputs: [operand], attributes: { noop_with_empty_axes: 1 }, from, roundings },
  { inputs: [operand, int([0], [])], attributes: { noop_with_empty_axes: 1 }, from, roundings },
  { inputs: [operand, ""], attributes: { noop_with_empty_axes: 0, keepdims: 0 }, from, roundings },
];
const reductions: Subject[] = [
  ...alike("ReduceMean ReduceL1 ReduceL2 ReduceSumSquare", [1, 11, 13, 18], ...reduced(64), ...old(64, 13), ...modern(64, 18)),
  subject(
    "ReduceProd",
    [1, 11, 13, 18],
    ...reduced(64, {}, nonzero(2, 4, 4)),
    ...old(64, 13, nonzero(2, 4, 4)),
    ...modern(64, 18, nonzero(2, 4, 4)),
  ),
  subject("ReduceLogSumExp", [1, 11, 13, 18, 28], ...reduced(64), ...old(64, 13), ...modern(64, 18)),
  ...alike("ReduceMax ReduceMin", [1, 11, 12, 13, 18, 20], ...reduced(0), ...old(0, 13), ...modern(0, 18)),
  subject("ReduceSum", [1, 11, 13], ...reduced(64), ...old(64, 11), ...modern(64, 13)),
  subject(
    "CumSum",
    [11, 14],
    { inputs: [X, scalar(1)] },
    { inputs: [X, scalar(-1)], attributes: { exclusive: 1 } },
    { inputs: [X, scalar(0)], attributes: { reverse: 1 } },
  ),
  ...alike(
    "ArgMax ArgMin",
    [1, 11, 12, 13],
    { inputs: [X] },
    { inputs: [X], attributes: { axis: 1, keepdims: 0 } },
    { inputs: [X], attributes: { axis: -1 }, from: 11 },
    { inputs: [X], attributes: { axis: 2, select_last_index: 1 }, from: 12 },
  ),
  subject(
    "Hardmax",
    [1, 11, 13],
    { inputs: [X] },
    { inputs: [X], attributes: { axis: 2 } },
    { inputs: [X], attributes: { axis: 1 } },
    { inputs: [X], attributes: { axis: -2 }, from: 11 },
  ),
  subject(
    "TopK",
    [1, 10, 11, 24],
    { inputs: [X], attributes: { k: 2 }, outputs: 2, until: 1 },
    { inputs: [X], attributes: { k: 2, axis: 1 }, outputs: 2, read: 1, until: 1 },
    { inputs: [X, ints(2)], outputs: 2, from: 10 },
    { inputs: [X, ints(2)], attributes: { axis: 1 }, outputs: 2, read: 1, from: 10 },
    { inputs: [X, ints(3)], attributes: { axis: 0 + 1, largest: 0 }, outputs: 2, from: 11 },
    { inputs: [X, ints(1)], attributes: { axis: -3, largest: 1 }, outputs: 2, from: 11 },
  ),
];

const boxes = float32([4, 4], [0, 0, 3, 3, 1, 0, 2, 2, 0, 1, 2, 3, 1, 1, 3, 3]);
const grid = c(
  [1, 4, 4, 2],
  wholes(32, 4, -5, 5).map((v) => v / 4),
);
const sampling: Subject[] = [
  subject(
    "Pad",
    [1, 2, 11, 13, 18, 19, 21, 23, 24, 25],
    { inputs: [X], attributes: { paddings: [0, 0, 1, 0, 0, 1] }, until: 1 },
    { inputs: [X], attributes: { pads: [0, 0, 1, 0, 0, 1], value: f(2) }, from: 2, until: 2 },
    { inputs: [X], attributes: { pads: [0, 0, 1, 0, 0, 1] }, from: 2, until: 2 },
    { inputs: [X], attributes: { pads: [0, 0, 1, 0, 0, 1], mode: "reflect" }, from: 2, until: 2 },
    { inputs: [X], attributes: { pads: [0, 0, 0, 0, 0, 0], value: f(2) }, from: 2, until: 2 },
    { inputs: [X, ints(0, 0, 1, 0, 0, 1), c([], [2])], from: 11 },
    { inputs: [X, ints(0, 1, 0, 0, 0, 0), c([], [0])], from: 11 },
    { inputs: [X, ints(0, 0, -1, 0, 0, -1), c([], [2])], from: 11 },
    { inputs: [X, ints(0, 0, 1, 0, 0, 1)], from: 11 },
    { inputs: [X, ints(0, 0, 1, 0, 0, 1)], attributes: { mode: "edge" }, from: 11 },
    { inputs: [X, ints(0, 0, 1, 0, 0, 1)], attributes: { mode: "wrap" }, from: 19 },
    { inputs: [X, ints(1, 1), c([], [2]), ints(-1)], from: 18 },
    { inputs: [X, ints(1, 0), "", ints(1)], attributes: { mode: "reflect" }, from: 18 },
  ),
  subject(
    "Resize",
    [10, 11, 13, 18, 19],
    { inputs: [X, float32([3], [1, 1, 2])], until: 10 },
    { inputs: [X, float32([3], [1, 1, 1.5])], attributes: { mode: "linear" }, until: 10, roundings: 16 },
    { inputs: [X, "", float32([3], [1, 1, 2])], from: 11 },
    { inputs: [x(1, 2, 4, 4), "", float32([4], [1, 1, 1.5, 2])], attributes: { mode: "linear" }, from: 11, roundings: 32 },
    {
      inputs: [x(1, 2, 4, 4), "", float32([4], [1, 1, 1.5, 1])],
      attributes: { mode: "cubic", cubic_coeff_a: f(-0.5) },
      from: 11,
      roundings: 64,
    },
    {
      inputs: [x(1, 2, 4, 4), "", "", ints(1, 2, 4, 3)],
      attributes: { coordinate_transformation_mode: "align_corners" },
      from: 11,
    },
    {
      inputs: [x(1, 2, 4, 4), "", "", ints(1, 2, 4, 3)],
      attributes: { mode: "linear", coordinate_transformation_mode: "asymmetric" },
      from: 11,
      roundings: 32,
    },
    {
      inputs: [x(1, 2, 4, 4), float32([8], [0, 0, 0, 0.25, 1, 1, 1, 1.5]), "", ints(1, 2, 4, 3)],
      attributes: { mode: "linear", coordinate_transformation_mode: "tf_crop_and_resize" },
      from: 11,
      roundings: 32,
    },
    {
      inputs: [x(1, 2, 4, 4), float32([8], [0, 0, 0, 0.25, 1, 1, 1, 1.5]), "", ints(1, 2, 4, 3)],
      attributes: { mode: "linear", coordinate_transformation_mode: "tf_crop_and_resize", extrapolation_value: f(3) },
      from: 11,
      roundings: 32,
    },
    {
      inputs: [x(1, 2, 4, 4), "", float32([1], [0.6])],
      attributes: { mode: "linear", antialias: 1, axes: [2] },
      from: 18,
      roundings: 32,
    },
    {
      inputs: [x(1, 2, 4, 4), "", "", ints(6, 4)],
      attributes: { axes: [3, 2], keep_aspect_ratio_policy: "not_larger" },
      from: 18,
      roundings: 32,
    },
    { inputs: [x(1, 2, 4, 4), "", "", ints(3, 2)], attributes: { axes: [2, 1] }, from: 18 },
  ),
  subject(
    "Upsample",
    [1, 7, 9, 10],
    { inputs: [x(1, 2, 4, 4)], attributes: { height_scale: f(2), width_scale: f(2) }, until: 1 },
    { inputs: [x(1, 2, 4, 4)], attributes: { scales: fs([1, 1, 2, 2]) }, from: 7, until: 7 },
    { inputs: [x(1, 2, 4, 4)], attributes: { scales: fs([1, 1, 2, 1]), mode: "linear" }, from: 7, until: 7, roundings: 16 },
    { inputs: [x(1, 2, 4, 4), float32([4], [1, 1, 2, 2])], from: 9, until: 9 },
    { inputs: [x(1, 2, 4, 4), float32([4], [1, 2, 1, 2])], attributes: { mode: "linear" }, from: 9, until: 9, roundings: 16 },
  ),
  subject(
    "GridSample",
    [16, 20, 22],
    ...["zeros", "border", "reflection"].flatMap((padding_mode): Case[] => [
      { inputs: [x(1, 4, 4, 4), grid], attributes: { padding_mode }, roundings: 32 },
      { inputs: [x(1, 4, 4, 4), grid], attributes: { padding_mode, mode: "nearest", align_corners: 1 } },
    ]),
    { inputs: [x(1, 4, 4, 4), grid], roundings: 32 },
    { inputs: [x(1, 2, 3, 3), x(1, 2, 2, 2)], roundings: 32 },
    { inputs: [x(1, 4, 4, 4), grid], attributes: { mode: "bicubic", padding_mode: "border" }, until: 16, roundings: 256 },
    { inputs: [x(1, 4, 4, 4), grid], attributes: { mode: "cubic", padding_mode: "border" }, from: 20, roundings: 256 },
  ),
  subject(
    "RoiAlign",
    [10, 16, 22],
    {
      inputs: [x(1, 4, 4, 4), boxes, ints(0, 0, 0, 0)],
      attributes: { output_height: 2, output_width: 2, sampling_ratio: 2 },
      roundings: 64,
    },
    {
      inputs: [x(1, 4, 4, 4), boxes, ints(0, 0, 0, 0)],
      attributes: { mode: "max", output_height: 2, output_width: 2, sampling_ratio: 2 },
      roundings: 64,
    },
    {
      inputs: [x(1, 4, 4, 4), boxes, ints(0, 0, 0, 0)],
      attributes: { coordinate_transformation_mode: "output_half_pixel" },
      from: 16,
      roundings: 64,
    },
  ),
  subject("MaxRoiPool", [1, 22], {
    inputs: [x(1, 4, 4, 4), float32([2, 5], [0, 0, 0, 3, 3, 0, 1, 0, 2, 2])],
    attributes: { pooled_shape: [2, 2] },
  }),
  subject(
    "ReverseSequence",
    [10, 28],
    { inputs: [x(4, 4, 2), ints(1, 4, 2, 3)] },
    { inputs: [x(4, 4, 2), ints(1, 4, 2, 3)], attributes: { time_axis: 1, batch_axis: 0 } },
  ),
  subject(
    "GatherElements",
    [11, 13],
    { inputs: [X, int([1, 4, 4], wholes(16, 5, 0, 1))] },
    { inputs: [X, int([2, 4, 4], wholes(32, 5, 0, 3))], attributes: { axis: 1 } },
    { inputs: [X, int([2, 3, 2], wholes(12, 5, -4, 3))], attributes: { axis: -1 } },
  ),
  subject(
    "Compress",
    [9, 11, 28],
    { inputs: [X, bools(1, 0, 1)], attributes: { axis: 1 } },
    { inputs: [X, bools(0, 1, 1, 0)], attributes: { axis: 2 } },
    { inputs: [X, bools(1, 0, 1)], attributes: { axis: -2 }, from: 11 },
    { inputs: [X, bools(1, 0, 1)] },
  ),
  subject(
    "CenterCropPad",
    [18],
    { inputs: [X, ints(2, 3, 4)] },
    { inputs: [X, ints(5, 2)], attributes: { axes: [1, -1] } },
    { inputs: [X, ints(3)], attributes: { axes: [2] } },
  ),
  subject("Trilu", [14], { inputs: [X] }, { inputs: [X, scalar(-1)], attributes: { upper: 0 } }, { inputs: [X, scalar(1)] }),
];

const scattering: Subject[] = [
  subject(
    "GatherND",
    [11, 12, 13],
    { inputs: [X, int([2, 1], [1, 0])] },
    { inputs: [X, int([3, 2], [0, 1, 1, 3, 1, 0])] },
    { inputs: [X, int([2, 2, 1], [0, 3, 1, 1])], attributes: { batch_dims: 1 }, from: 12 },
  ),
  ...alike(
    "ScatterElements Scatter",
    [9, 11, 13, 16, 18],
    { inputs: [X, int([1, 4, 4], wholes(16, 5, 0, 1)), x(1, 4, 4)] },
    { inputs: [X, int([2, 2, 4], wholes(16, 5, 0, 3)), x(2, 2, 4)], attributes: { axis: 1 } },
    { inputs: [X, int([2, 4, 4], wholes(32, 5, 0, 3)), c([2, 4, 4])], attributes: { axis: 2 } },
    { inputs: [c([2, 4, 4]), int([2, 4, 4], wholes(32, 5, 0, 3)), x(2, 4, 4)], attributes: { axis: 1 } },
    { inputs: [X, int([2, 1, 4], [0, 1, 2, 3, 3, 2, 1, 0]), x(2, 1, 4)], attributes: { axis: -2 }, from: 11 },
    { inputs: [X, int([2, 4, 4], wholes(32, 5, 0, 3)), x(2, 4, 4)], attributes: { axis: 1, reduction: "add" }, from: 16 },
  ).map((s) =>
    s.op === "Scatter"
      ? { ...s, versions: [9], cases: s.cases.filter(({ from = 1 }) => from < 11) }
      : { ...s, versions: s.versions.slice(1) },
  ),
  subject(
    "ScatterND",
    [11, 13, 16, 18],
    { inputs: [X, int([1, 1], [1]), x(1, 4, 4)] },
    { inputs: [X, int([3, 2], [0, 1, 1, 3, 1, 0]), x(3, 4)] },
    { inputs: [X, int([3, 2], [0, 1, 1, 3, 1, 0]), c([3, 4])] },
    { inputs: [c([2, 4, 4]), int([2, 1], [1, 0]), x(2, 4, 4)] },
    { inputs: [X, int([1, 1], [1]), x(1, 4, 4)], attributes: { reduction: "mul" }, from: 16 },
  ),
  subject(
    "MaxUnpool",
    [9, 11, 22],
    {
      inputs: ["p", "i"],
      attributes: { kernel_shape: [2], strides: [2] },
      before: [node("MaxPool", ["z"], ["p", "i"], { kernel_shape: [2], strides: [2] })],
      computed: { z: [2, 4, 4] },
    },
    { inputs: [x(1, 2, 2), int([1, 2, 2], [1, 2, 5, 7])], attributes: { kernel_shape: [2], strides: [2] } },
  ),
  subject(
    "Col2Im",
    [18],
    { inputs: [x(1, 8, 4), ints(4, 4), ints(2, 2)], attributes: { strides: [2, 2] } },
    { inputs: [x(1, 8, 9), ints(4, 4), ints(2, 2)] },
    { inputs: [x(1, 4, 4), ints(4, 4), ints(2, 2)], attributes: { dilations: [2, 2] } },
  ),
  subject(
    "Shape",
    [1, 13, 15, 19, 21, 23, 24, 25],
    { inputs: [X] },
    { inputs: [X], attributes: { start: 1, end: -1 }, from: 15 },
  ),
  subject("Size", [1, 13, 19, 21, 23, 24, 25], { inputs: [X] }),
  subject("EyeLike", [9, 22], { inputs: [x(3, 4)] }, { inputs: [x(3, 4)], attributes: { k: 1 } }),
];

export const moving: readonly Subject[] = [...layout, ...select, ...reductions, ...sampling, ...scattering];
