/**
 * Operators that pick, sample or mask elements along some axes and leave the others alone. A map that does not vary along
 * those axes passes; where zeros are written in, a shift does not.
 *   GridSample         axes 2…; shift only with border or reflection padding (weights sum to 1)
 *   RoiAlign           axes 0 (rois), 2, 3; samples outside the image are 0, so no shift; mode max needs s ≥ 0
 *   MaxRoiPool         the same, as maxima: cells of no elements are 0
 *   ReverseSequence    the time axis        GatherElements  its axis, and axes of which the indices take a part
 *   Compress           its axis             CenterCropPad   axes that change; shift only where it is known to crop
 *   Trilu              none; no shift
 * ONNX GridSample 16, 20, 22; RoiAlign 10, 16, 22; MaxRoiPool 1, 22; ReverseSequence 10; GatherElements 11, 13; Compress 9, 11; CenterCropPad 18; Trilu 14.
 */
import { axesOf, firstFailing, type Spread } from "../affine/spread.ts";
import { sameDim } from "../graph/dims.ts";
import { alike, type Kind, type MoveFn, type Refused, type Rule, type RuleNode, refuse } from "./types.ts";

/** Axes on which the map may not vary; undefined when they cannot be told. */
type AxesOf = (at: RuleNode, rank: number) => number[] | undefined;
type Check = (at: RuleNode, kind: Kind, by: Spread) => Refused | undefined;

function passes(axes: AxesOf, check: Check): Omit<Rule, "type"> {
  const move =
    (kind: Kind): MoveFn =>
    (at, by) => {
      const s = by[0];
      if (s === undefined || by.some((m, i) => m !== undefined && i !== 0))
        return refuse("operator-blocks", "takes the map on another input than its data");
      const [x, y] = [at.inShape(0), at.outShape(0)];
      if (x?.length !== s.dims.length || y?.length !== s.dims.length)
        return refuse("shape-unknown", "has an input or output of unknown rank, or changes it");
      const own = axes(at, s.dims.length);
      if (own === undefined) return refuse("shape-unknown", "works on axes that are not known");
      const axis = axesOf(s).find((a) => own.includes(a));
      if (axis !== undefined)
        return refuse("axis-blocks", `works along axis ${axis}, on which the map varies`, { facts: { axis, map: s.dims } });
      return check(at, kind, s) ?? [{ pass: [s] }];
    };
  return { backScale: move("scale"), backShift: move("shift"), forwardScale: move("scale"), forwardShift: move("shift") };
}

const positive = (axis: number, rank: number) => (axis < 0 ? axis + rank : axis);
const range = (first: number, rank: number) => Array.from({ length: rank - first }, (_, i) => first + i);
const never: Check = () => undefined;
const zeros = refuse("padding-blocks", "writes zeros, which a shift must not touch");

const gridSample = passes(
  (_at, rank) => range(2, rank),
  (at, kind) => (kind === "shift" && at.string("padding_mode", "zeros") === "zeros" ? zeros : undefined),
);

const roiAlign = passes(
  () => [0, 2, 3],
  (at, kind, s) => {
    if (kind === "shift") return zeros;
    const averages = at.node.opType === "RoiAlign" && at.string("mode", "avg") === "avg";
    const channel = averages ? -1 : firstFailing(s, (v) => v >= 0);
    return channel < 0
      ? undefined
      : refuse("sign-blocks", `takes maxima, which a gain of ${s.data[channel]} on channel ${channel} would make minima`, {
          facts: { channel, gain: s.data[channel] },
        });
  },
);

const gatherElements = passes((at, rank) => {
  const [x, y] = [at.inShape(0), at.outShape(0)];
  const axis = positive(at.int("axis", 0), rank);
  return range(0, rank).filter((a) => a === axis || x === undefined || y === undefined || !sameDim(x[a], y[a]));
}, never);

/** Axes whose size changes, or may. */
const resized: AxesOf = (at, rank) => {
  const [x, y] = [at.inShape(0), at.outShape(0)];
  return range(0, rank).filter((a) => x === undefined || y === undefined || !sameDim(x[a], y[a]));
};

const centerCropPad = passes(resized, (at, kind) => {
  if (kind === "scale") return undefined;
  const [x, y] = [at.inShape(0), at.outShape(0)];
  const crops = x?.every(
    (d, a) => sameDim(d, y?.[a] ?? -1) || (typeof d === "number" && typeof y?.[a] === "number" && y[a] <= d),
  );
  return crops ? undefined : zeros;
});

export const sampling: readonly Rule[] = [
  { type: "GridSample", ...gridSample },
  ...alike("RoiAlign MaxRoiPool", roiAlign),
  { type: "GatherElements", ...gatherElements },
  { type: "ReverseSequence", ...passes((at) => [at.int("time_axis", 0)], never) },
  { type: "Compress", ...passes((at, rank) => [positive(at.int("axis", 0), rank)], never) },
  { type: "CenterCropPad", ...centerCropPad },
  {
    type: "Trilu",
    ...passes(
      () => [],
      (_at, kind) => (kind === "shift" ? zeros : undefined),
    ),
  },
];
