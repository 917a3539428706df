/**
 * Normalisations by statistics of the tensor itself, y = γ·n + β, n = (x − μ)/√(σ² + ε) over sets of elements: per (n, c)
 * (InstanceNormalization), per (n, group) (GroupNormalization), over the axes from `axis` on (LayerNormalization;
 * RMSNormalization without μ and β). Nothing of γ and β depends on the data: `ownMap` gives them as a map of n.
 *   back     scale  γ' = s·γ, β' = s·β        shift  β' = β + t        where γ and β have a number for each place
 *   forward  shift that is constant on each set: μ takes it away (not RMS)
 *            scale ±k, k > 0 the same everywhere, the sign constant on each set: n(k·x; ε) = n(x; ε/k²), the sign goes into γ.
 *                 ε is a float32 attribute, rounded once; with ε = 0 the gain may differ between sets
 *   LpNormalization         x/‖x‖ₚ: a scale constant along the axis leaves only its sign
 *   MeanVarianceNormalization  (x − μ)/(σ + 10⁻⁹): only a shift constant over `axes` vanishes
 *   Softmax, LogSoftmax     forward: a shift constant along the axes they sum over vanishes
 * ONNX InstanceNormalization 6, 22; GroupNormalization 18 (γ, β per group), 21 (per channel); LayerNormalization 17;
 * RMSNormalization 23; LpNormalization 1, 22; MeanVarianceNormalization 9, 13; Softmax 1, 11 (from `axis` on), 13.
 */
import { along, axesOf, every, map, numberOf, type Spread, simplify, take, uniform } from "../affine/spread.ts";
import { hasTrait } from "../graph/operators.ts";
import { floatAttribute, fresh, scaled, shifted, vectorOn } from "./params.ts";
import {
  absorb,
  alike,
  isRefused,
  type Move,
  type MoveFn,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  type Step,
  withParam,
} from "./types.ts";

const VANISHED: Step[] = [{ pass: [] }];
const MAPPED_STATISTICS = refuse("extra-outputs-used", "would have its statistics mapped");
const isGrouped = (at: RuleNode): boolean => hasTrait(at.node, "grouped");

const from = (first: number, rank: number): number[] => Array.from({ length: Math.max(0, rank - first) }, (_, i) => first + i);
const axisOf = (at: RuleNode, fallback: number, rank: number): number => {
  const axis = at.int("axis", fallback);
  return axis < 0 ? axis + rank : axis;
};

/** Axes whose elements share statistics; undefined for the per-channel ones, which `groups` describes. */
function normalized(at: RuleNode, rank: number): number[] {
  const { opType } = at.node;
  if (opType === "LpNormalization") return [axisOf(at, -1, rank)];
  if (opType === "MeanVarianceNormalization") {
    // ONNX no longer says whether the version before 9 takes its statistics over the batch, too; runtimes differ.
    if (at.version < 9) return [0, ...from(at.int("across_channels", 0) === 0 ? 2 : 1, rank)];
    return (at.ints("axes") ?? [0, 2, 3]).map((a) => (a < 0 ? a + rank : a));
  }
  if (opType === "Softmax" || opType === "LogSoftmax")
    return at.version < 13 ? from(axisOf(at, 1, rank), rank) : [axisOf(at, -1, rank)];
  return from(isGrouped(at) ? 2 : axisOf(at, -1, rank), rank);
}

/** Channels that share statistics, as the length of a run along axis 1; 1 when each has its own. */
function groupWidth(at: RuleNode): number | undefined {
  if (at.node.opType !== "GroupNormalization") return 1;
  const channels = at.inShape(0)?.[1];
  return typeof channels === "number" ? channels / at.int("num_groups", 1) : undefined;
}

/** Why a map is not constant on each set; undefined when it is. */
function varies(at: RuleNode, by: Spread): Refused | undefined {
  const rank = by.dims.length;
  const inside = axesOf(by).filter((a) => normalized(at, rank).includes(a));
  if (inside.length > 0)
    return refuse("axis-blocks", `normalizes over axis ${inside[0]}, along which the map varies`, {
      facts: { axis: inside[0], map: by.dims },
    });
  if (!isGrouped(at) || by.dims[1] === 1) return undefined;
  const width = groupWidth(at);
  if (width === undefined) return refuse("shape-unknown", "has an unknown number of channels", { value: at.node.inputs[0] });
  const first = take(
    by,
    1,
    Array.from({ length: by.dims[1] }, (_, c) => c - (c % width)),
  );
  return first.data.every((v, i) => v === by.data[i])
    ? undefined
    : refuse("axis-blocks", `normalizes ${width} channels together, which the map treats differently`);
}

const onlyData = (by: readonly (Spread | undefined)[]): Spread | Refused =>
  by[0] === undefined || by.slice(1).some((s) => s !== undefined)
    ? refuse("operator-blocks", "takes the map on another input than its data")
    : by[0];

/** LayerNormalization may hand out its statistics. */
function statisticsRead(at: RuleNode): Refused | undefined {
  const read = at.node.outputs.slice(1).find((value) => value !== undefined && (value.uses.length > 0 || value.isOutput));
  return read && refuse("extra-outputs-used", `has its statistics "${read.name}" read`, { value: read });
}

const forwardShift: MoveFn = (at, by) => {
  const t = onlyData(by);
  if (isRefused(t)) return t;
  return varies(at, t) ?? statisticsRead(at) ?? VANISHED;
};

function forwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const s = onlyData(by);
  if (isRefused(s)) return s;
  const stop = varies(at, s) ?? statisticsRead(at);
  if (stop) return stop;
  if (!every(s, (v) => v !== 0)) return refuse("sign-blocks", "normalizes, and a gain of zero would leave nothing to normalize");
  const epsilon = at.float("epsilon", Math.fround(1e-5));
  const k = epsilon === 0 ? 1 : numberOf(simplify(map(s, Math.abs)));
  if (k === undefined) return refuse("axis-blocks", "has one epsilon, so only one gain for the whole tensor passes");
  const next = epsilon / k / k;
  const state = next === epsilon ? at.state : floatAttribute(at, at.state, "epsilon", next);
  if (isRefused(state)) return state;
  if (every(s, (v) => v > 0)) return next === epsilon ? VANISHED : absorb(state);
  const signs = simplify(map(s, Math.sign));
  const scale = scaledBy(at, 1, signs);
  return isRefused(scale) ? scale : absorb(withParam(state, 1, scale));
}

/** The map in the shape of a parameter of this operator: per channel, per group, or the last axes of the input. */
function fitted(at: RuleNode, param: Param, by: Spread): Spread | Refused {
  const rank = by.dims.length;
  const misfit = refuse(
    "axis-blocks",
    `has a parameter of shape [${param.dims.join(", ")}], but the map varies over shape [${by.dims.join(", ")}]`,
    { facts: { map: by.dims } },
  );
  if (!isGrouped(at)) {
    const lead = rank - param.dims.length;
    if (lead < 0 || by.dims.slice(0, lead).some((d) => d !== 1)) return misfit;
    const own = by.dims.slice(lead);
    return own.some((d, i) => d !== 1 && d !== param.dims[i]) ? misfit : { dims: own, data: by.data };
  }
  const size = param.dims[0];
  if (at.node.opType !== "GroupNormalization" || at.version >= 21 || axesOf(by).length === 0) {
    const vector = param.dims.length === 1 ? vectorOn(by, 1, size) : undefined;
    return vector === undefined ? misfit : { dims: [size], data: vector };
  }
  const width = groupWidth(at);
  const perChannel = width === undefined ? undefined : vectorOn(by, 1, size * width);
  if (width === undefined || perChannel === undefined || varies(at, by) !== undefined) return misfit;
  return { dims: [size], data: Float64Array.from({ length: size }, (_, g) => perChannel[g * width]) };
}

function scaledBy(at: RuleNode, index: number, by: Spread): Param | Refused {
  const param = at.param(index);
  if (isRefused(param)) return param;
  const own = fitted(at, param, by);
  return isRefused(own) ? own : scaled(param, own);
}

function backScale(at: RuleNode, [by, ...statistics]: readonly (Spread | undefined)[]): Move {
  if (by === undefined || statistics.some((s) => s !== undefined)) return MAPPED_STATISTICS;
  const scale = scaledBy(at, 1, by);
  if (isRefused(scale)) return scale;
  const state = withParam(at.state, 1, scale);
  if (!at.has(2)) return absorb(state);
  const bias = scaledBy(at, 2, by);
  return isRefused(bias) ? bias : absorb(withParam(state, 2, bias));
}

function backShift(at: RuleNode, [by, ...statistics]: readonly (Spread | undefined)[]): Move {
  if (by === undefined || statistics.some((s) => s !== undefined)) return MAPPED_STATISTICS;
  const param = at.param(at.has(2) ? 2 : 1);
  if (isRefused(param)) return param;
  const own = fitted(at, param, by);
  if (isRefused(own)) return own;
  const bias = at.has(2) ? param : fresh(param.dtype, param.dims, () => new Float64Array(param.dims.reduce((n, d) => n * d, 1)));
  return absorb(withParam(at.state, 2, shifted(bias, own)));
}

/** x/‖x‖: what is left of a gain is its sign. */
const forwardDirection: MoveFn = (at, by) => {
  const s = onlyData(by);
  if (isRefused(s)) return s;
  const stop = varies(at, s);
  if (stop) return stop;
  if (!every(s, (v) => v !== 0)) return refuse("sign-blocks", "normalizes, and a gain of zero would leave nothing to normalize");
  return every(s, (v) => v > 0) ? VANISHED : [{ pass: [map(s, Math.sign)] }];
};

/** What γ and β make of n(x): y = scale ⊙ n + shift, in the rank of the output. */
export interface OwnMap {
  readonly scale: Spread;
  readonly shift: Spread;
}

/** γ and β as maps of the output; undefined for an operator that has none, a refusal where they are not constants that fit. */
export function ownMap(at: RuleNode): OwnMap | Refused | undefined {
  if (!hasTrait(at.node, "normalizes") || at.state.opType === "BatchNormalization") return undefined;
  const rank = at.inShape(0)?.length;
  if (rank === undefined) return refuse("shape-unknown", "has an input of unknown rank", { value: at.node.inputs[0] });
  const scale = laidOut(at, 1, rank, "scale");
  if (isRefused(scale)) return scale;
  const shift = at.has(2) ? laidOut(at, 2, rank, "bias") : uniform(rank, 0);
  return isRefused(shift) ? shift : { scale, shift };
}

/** A parameter over the axes of the output, each number as often as it is used. */
function laidOut(at: RuleNode, index: number, rank: number, name: string): Spread | Refused {
  const param = at.param(index);
  if (isRefused(param)) return param.refused === "weight-not-constant" ? { ...param, refused: "parameter-not-constant" } : param;
  const { dims } = param;
  const misfit = refuse("parameter-shape", `has a ${name} of shape [${dims.join(", ")}] for an input of rank ${rank}`);
  const data = param.values();
  const odd = data.findIndex((v) => !Number.isFinite(v));
  if (odd >= 0) return refuse("parameter-not-finite", `has the ${name} ${data[odd]}`, { value: at.node.inputs[index] });
  if (!isGrouped(at)) {
    const lead = rank - dims.length;
    return lead < 0 ? misfit : simplify({ dims: [...new Array<number>(lead).fill(1), ...dims], data });
  }
  if (dims.length !== 1 || rank < 2) return misfit;
  const perGroup = at.node.opType === "GroupNormalization" && at.version < 21;
  const width = perGroup ? groupWidth(at) : 1;
  if (width === undefined) return refuse("shape-unknown", "has an unknown number of channels", { value: at.node.inputs[0] });
  const channels = at.inShape(0)?.[1];
  if (!Number.isInteger(width) || (typeof channels === "number" && channels !== data.length * width)) return misfit;
  const vector = Float64Array.from({ length: data.length * width }, (_, c) => data[Math.floor(c / width)]);
  return simplify(along(rank, 1, vector));
}

export const norms: readonly Rule[] = [
  ...alike("InstanceNormalization GroupNormalization LayerNormalization", { backScale, backShift, forwardScale, forwardShift }),
  { type: "RMSNormalization", backScale, forwardScale },
  { type: "LpNormalization", forwardScale: forwardDirection },
  ...alike("MeanVarianceNormalization Softmax LogSoftmax", { forwardShift }),
];
