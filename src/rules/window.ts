/**
 * Operators that combine neighbours of one channel: pools, reductions, Pad, Resize, CumSum.
 *   averages (AveragePool, GlobalAveragePool, ReduceMean)   s always; t when the weights sum to 1
 *   maxima (MaxPool, GlobalMaxPool, ReduceMax, ReduceMin)   s ≥ 0 and any t (padding is −∞); gains ≤ 0 turn ReduceMax into
 *     ReduceMin and back (over no elements at all ∓∞, which the gain turns round as well)
 *   sums (ReduceSum, CumSum)   s; t times the number of terms for ReduceSum
 *   norms (LpPool, GlobalLpPool, ReduceL1, ReduceL2)   |s|, no t; s ≥ 0 where nothing is reduced: there x and |x| are both in use
 *   ReduceSumSquare   s² forward, √s back, s ≥ 0;  ReduceProd   sⁿ forward, n terms (back, √ⁿ would have its rounding come out
 *     n times); both only where the power cannot be what keeps them in range (powers.ts), and no t
 *   ReduceLogSumExp   t, no s
 *   Pad   reflect, edge, wrap: everything; constant: the value moves with the map; zeros around: t, where a channel of ones that is
 *     padded alike carries it to layers
 *   Resize, Upsample   everything: interpolation weights sum to 1 (except tf_crop_and_resize, which extrapolates)
 * The map may not vary along an axis these operators work on.
 */
import { axesOf, every, firstFailing, map, numberOf, type Spread, simplify } from "../affine/spread.ts";
import { sameDim } from "../graph/dims.ts";
import { resizeScales } from "../graph/infer-sampling.ts";
import { hasTrait } from "../graph/operators.ts";
import { mirrored, turnsRound } from "./mirror.ts";
import { floatAttribute, fresh, mapped } from "./params.ts";
import { cramped } from "./powers.ts";
import {
  alike,
  isRefused,
  type Kind,
  type Move,
  type MoveFn,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withParam,
} from "./types.ts";

/** Axes a pool or reduction combines; undefined when not known. */
function combined(at: RuleNode, rank: number): number[] | undefined {
  const { opType } = at.node;
  const all = Array.from({ length: rank }, (_, i) => i);
  if (!opType.startsWith("Reduce") && opType !== "CumSum") return all.slice(2);
  if (opType === "CumSum") {
    const axis = at.facts.numbers(at.node.inputs[1]);
    return axis?.map((a) => (a < 0 ? a + rank : a));
  }
  const axes = at.has(1) ? at.facts.numbers(at.node.inputs[1]) : (at.ints("axes") ?? []);
  if (axes === undefined) return undefined;
  if (axes.length === 0) return at.int("noop_with_empty_axes", 0) === 1 ? [] : all;
  return axes.map((a) => (a < 0 ? a + rank : a));
}

/** Renumbers a map between the input (with the combined axes) and an output that may have dropped them. */
function throughReduction(at: RuleNode, by: Spread, back: boolean): Spread | Refused {
  const rank = at.inShape(0)?.length;
  if (rank === undefined) return refuse("shape-unknown", "has an input of unknown rank");
  const axes = combined(at, rank);
  if (axes === undefined) return refuse("shape-unknown", "reduces axes that are computed at run time");
  const keeps = !at.node.opType.startsWith("Reduce") || at.int("keepdims", 1) === 1;
  const blocked = refuse("axis-blocks", "combines values along the axis of the map");
  if (back) {
    const dims = keeps ? by.dims : Array.from({ length: rank }, () => 1);
    if (!keeps) {
      let next = 0;
      for (let i = 0; i < rank; i++) if (!axes.includes(i)) (dims as number[])[i] = by.dims[next++];
    }
    return axes.some((a) => dims[a] > 1) || dims.length !== rank ? blocked : { dims, data: by.data };
  }
  if (axes.some((a) => by.dims[a] > 1)) return blocked;
  return keeps ? by : { dims: by.dims.filter((_, i) => !axes.includes(i)), data: by.data };
}

const isSpread = (x: Spread | Refused): x is Spread => "data" in x;
const renumber = (
  back: boolean,
  check: (at: RuleNode, by: Spread) => Refused | undefined,
  change = (_at: RuleNode, s: Spread): Spread | Refused => s,
): MoveFn => {
  return (at, by): Move => {
    const s = by[0];
    if (s === undefined || by.slice(1).some((m) => m !== undefined))
      return refuse("operator-blocks", "takes the map on another input than its data");
    const stop = check(at, s);
    if (stop !== undefined) return stop;
    const moved = throughReduction(at, s, back);
    if (!isSpread(moved)) return moved;
    const out = change(at, moved);
    return isSpread(out) ? [{ pass: [out] }] : out;
  };
};
const free = () => undefined;
const nonNegative = (at: RuleNode, s: Spread): Refused | undefined => {
  const channel = firstFailing(s, (v) => v >= 0);
  if (channel >= 0) {
    const gain = `a gain of ${s.data[channel]} on channel ${channel} would make`;
    const says = hasTrait(at.node, "chooses")
      ? `takes maxima, which ${gain} minima`
      : `gives no negative numbers, which ${gain} of them`;
    return refuse("sign-blocks", says, { facts: { channel, gain: s.data[channel] } });
  }
  const indices = at.node.outputs[1];
  return indices !== undefined && (indices.uses.length > 0 || indices.isOutput) && firstFailing(s, (v) => v > 0) >= 0
    ? refuse("sign-blocks", "has indices that a zero gain would change")
    : undefined;
};

/** A norm over no axes (noop_with_empty_axes) is |x| as ONNX says now, x by its older text: gains ≥ 0 pass either. */
function emptied(at: RuleNode, s: Spread): Refused | undefined {
  if (!at.node.opType.startsWith("Reduce") || combined(at, s.dims.length)?.length !== 0) return undefined;
  return every(s, (v) => v >= 0)
    ? undefined
    : refuse("sign-blocks", "reduces no axis, where only gains that are not negative pass");
}

/** A shift passes an average when no padded zeros are counted. */
function wholeWeights(at: RuleNode): Refused | undefined {
  if (at.node.opType !== "AveragePool") return undefined;
  const auto = at.string("auto_pad", "NOTSET");
  const padded = auto.startsWith("SAME") || (auto === "NOTSET" && (at.ints("pads") ?? []).some((p) => p !== 0));
  const counted = at.int("count_include_pad", 0) === 1;
  return counted && (padded || at.int("ceil_mode", 0) === 1)
    ? refuse("padding-blocks", "averages padded zeros in, which a shift must not touch")
    : undefined;
}

/** t/n back, n·t forward, n the number of terms. */
const shared =
  (back: boolean) =>
  (at: RuleNode, t: Spread): Spread | Refused => {
    const n = terms(at);
    return n === undefined
      ? refuse("shape-unknown", "sums a number of terms that is not known")
      : map(t, (v) => (back ? v / n : v * n));
  };

const average = {
  backScale: renumber(true, free),
  forwardScale: renumber(false, free),
  backShift: renumber(true, wholeWeights),
  forwardShift: renumber(false, wholeWeights),
};
const extreme =
  (back: boolean): MoveFn =>
  (at, by) => {
    const turned = by[0] !== undefined && turnsRound(by[0]) ? mirrored(at.state) : undefined;
    if (turned === undefined) return renumber(back, nonNegative)(at, by);
    const moved = renumber(back, free)(at, by);
    return isRefused(moved) ? moved : moved.map((step) => ({ ...step, state: turned }));
  };
const maximum = {
  backScale: extreme(true),
  forwardScale: extreme(false),
  backShift: renumber(true, free),
  forwardShift: renumber(false, free),
};
const sum = {
  backScale: renumber(true, free),
  forwardScale: renumber(false, free),
  backShift: renumber(true, free, shared(true)),
  forwardShift: renumber(false, free, shared(false)),
};
const norm = {
  backScale: renumber(true, nonNegative),
  forwardScale: renumber(false, emptied, (_at, s) => map(s, Math.abs)),
};

/** The number of terms of a sum or product; undefined when it is not known. */
function terms(at: RuleNode): number | undefined {
  const shape = at.inShape(0);
  const axes = shape && combined(at, shape.length);
  const sizes = axes?.map((a) => shape?.[a]);
  return sizes?.every((d) => typeof d === "number") ? sizes.reduce((a, b) => a * b, 1) : undefined;
}

/** Gains as powers, where they leave room for what is raised to them. */
const raised =
  (powerAt: (at: RuleNode) => (v: number) => number) =>
  (at: RuleNode, s: Spread): Spread | Refused => {
    const made = map(s, powerAt(at));
    return cramped(at, made) ?? made;
  };
/** A sum of squares over no axes is x² as ONNX says now, x by its older text. */
const someAxes = (at: RuleNode): Refused | undefined =>
  combined(at, at.inShape(0)?.length ?? 0)?.length === 0 ? refuse("operator-blocks", "reduces no axis") : undefined;
const squares = {
  backScale: renumber(
    true,
    (at, s) => someAxes(at) ?? nonNegative(at, s),
    raised(() => Math.sqrt),
  ),
  forwardScale: renumber(
    false,
    someAxes,
    raised(() => (v) => v * v),
  ),
};
const product = {
  forwardScale: renumber(
    false,
    (at) => (terms(at) === undefined ? refuse("shape-unknown", "multiplies a number of terms that is not known") : undefined),
    raised((at) => {
      const n = terms(at) as number;
      return (v) => v ** n;
    }),
  ),
};

/** How much a Pad adds, or crops, before and after each of its axes. */
const amounts = (at: RuleNode): readonly number[] | undefined =>
  at.has(1) ? at.facts.numbers(at.node.inputs[1]) : (at.ints("pads") ?? at.ints("paddings"));

/** Axes that a Pad widens; undefined when not known. */
function paddedAxes(at: RuleNode, rank: number): number[] | undefined {
  const pads = amounts(at);
  const axes = at.has(3) ? at.facts.numbers(at.node.inputs[3]) : Array.from({ length: rank }, (_, i) => i);
  if (pads === undefined || axes === undefined) return undefined;
  return axes.filter((_, i) => pads[i] !== 0 || pads[i + axes.length] !== 0).map((a) => (a < 0 ? a + rank : a));
}

/** True of a Pad that puts zeros around [N, C, …] in front of nothing but Convs, and crops nothing. */
export function padsForConvs(at: RuleNode): boolean {
  const { domain, opType, outputs } = at.node;
  if (domain !== "" || opType !== "Pad" || at.string("mode", "constant") !== "constant") return false;
  const [pads, axes] = [amounts(at), paddedAxes(at, at.inShape(0)?.length ?? 0)];
  const given = at.has(2) ? at.param(2) : undefined;
  const value = given === undefined ? at.float("value", 0) : isRefused(given) ? 1 : given.values()[0];
  const convs = outputs[0]?.uses.every(({ node, index }) => node.domain === "" && node.opType === "Conv" && index === 0);
  return value === 0 && convs === true && axes?.every((axis) => axis >= 2) === true && pads?.every((n) => n >= 0) === true;
}

/** A shift of channels passes zeros in front of Convs that read a channel of ones, which has them, too. */
const shiftByOnes: MoveFn = (at, by) =>
  by[0] !== undefined && axesOf(by[0]).every((axis) => axis === 1) && padsForConvs(at)
    ? [{ pass: [by[0]] }]
    : pad("shift", false)(at, by);

function pad(kind: Kind, back: boolean): MoveFn {
  return (at, by) => {
    const s = by[0];
    if (s === undefined || by.slice(1).some((m) => m !== undefined))
      return refuse("operator-blocks", "takes the map on another input than its data");
    const axes = paddedAxes(at, s.dims.length);
    if (axes === undefined) return refuse("shape-unknown", "pads by amounts that are computed at run time");
    if (axesOf(s).some((a) => axes.includes(a))) return refuse("axis-blocks", "pads the axis of the map");
    // Exporters pad by nothing where a size happens to fit: its value is then nobody's.
    const fills = amounts(at)?.some((n) => n > 0) === true;
    if (!fills || at.string("mode", "constant") !== "constant") return [{ pass: [s] }];
    const value = at.version < 11 ? at.float("value", 0) : 0;
    const given = at.version >= 11 && at.has(2) ? at.param(2) : undefined;
    if (given !== undefined && isRefused(given)) return given;
    const p = given === undefined ? value : (given.values()[0] ?? 0);
    const moved = simplify(map(s, (v) => (kind === "scale" ? (back ? p * v : p === 0 ? 0 : p / v) : back ? p + v : p - v) + 0));
    const next = numberOf(moved);
    if (next === undefined || !Number.isFinite(next))
      return refuse("padding-blocks", "pads every channel with one number, which the map would make different");
    if (next === p) return [{ pass: [s] }];
    if (at.version < 11) {
      const changed = floatAttribute(at, at.state, "value", next);
      return isRefused(changed) ? changed : [{ pass: [s], state: changed }];
    }
    const w = given ?? fresh("float32", [], () => Float64Array.of(0));
    if (given === undefined && at.facts.of(at.node.inputs[0]).dtype !== 1)
      return refuse("padding-blocks", "pads with an implicit zero of its own type");
    return [
      {
        pass: [s],
        state: withParam(
          at.state,
          2,
          mapped(w, () => next),
        ),
      },
    ];
  };
}

/**
 * Axes that Resize or Upsample changes, or may. A factor that leaves the size as it is still moves the samples, so with
 * factors only 1 counts as unchanged; with sizes an equal size does.
 */
function resizedAxes(at: RuleNode, rank: number): number[] {
  const axes = at.ints("axes")?.map((a) => (a < 0 ? a + rank : a)) ?? Array.from({ length: rank }, (_, i) => i);
  const scales = resizeScales(at.node, at.facts);
  if (scales !== undefined) return axes.filter((_, i) => scales[i] !== 1);
  const bySize =
    at.node.opType === "Resize" &&
    at.version >= 11 &&
    at.has(3) &&
    at.string("keep_aspect_ratio_policy", "stretch") === "stretch";
  const [x, y] = [at.inShape(0), at.outShape(0)];
  return axes.filter((a) => !(bySize && sameDim(x?.[a], y?.[a])));
}

function resize(kind: Kind): MoveFn {
  return (at, by) => {
    const s = by[0];
    if (s === undefined || by.slice(1).some((m) => m !== undefined))
      return refuse("operator-blocks", "takes the map on another input than its data");
    if (axesOf(s).some((a) => resizedAxes(at, s.dims.length).includes(a)))
      return refuse("axis-blocks", "resizes the axis of the map, or may do so");
    if (at.string("coordinate_transformation_mode", "half_pixel") === "tf_crop_and_resize") {
      const outside = at.float("extrapolation_value", 0);
      if (kind === "shift" || outside !== 0) return refuse("padding-blocks", "fills what lies outside with a fixed number");
    }
    return [{ pass: [s] }];
  };
}
const resizes = {
  backScale: resize("scale"),
  forwardScale: resize("scale"),
  backShift: resize("shift"),
  forwardShift: resize("shift"),
};

export const window: readonly Rule[] = [
  ...alike("AveragePool GlobalAveragePool ReduceMean", average),
  ...alike("MaxPool GlobalMaxPool ReduceMax ReduceMin", maximum),
  { type: "ReduceSum", ...sum },
  { type: "CumSum", backScale: renumber(true, free), forwardScale: renumber(false, free) },
  ...alike("LpPool GlobalLpPool ReduceL1 ReduceL2", norm),
  { type: "ReduceSumSquare", ...squares },
  { type: "ReduceProd", ...product },
  { type: "ReduceLogSumExp", backShift: renumber(true, free), forwardShift: renumber(false, free) },
  {
    type: "Pad",
    backScale: pad("scale", true),
    backShift: pad("shift", true),
    forwardScale: pad("scale", false),
    forwardShift: pad("shift", false),
    ones: { forwardShift: shiftByOnes },
  },
  ...alike("Resize Upsample", resizes),
];
