/**
 * A constant affine operator of the second file on top of a relation: β = s ⊙ (k ⊙ core + d) + t. Its stored constants carry
 * their own rounding: s is proportional to a stored number, so half an ulp of that is at most u·|s|, or half the smallest number
 * of the type where a factor lies below its normal ones; t is a stored number, of which the same is true, or for a batch normalization β − μ·s, whose terms may be far larger than what is left of them.
 */
import { combine, isOne, isZero, map, plus, type Spread, simplify, times, uniform } from "../../affine/spread.ts";
import type { GraphNode } from "../../graph/view.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import { suspicionsOf } from "./blame.ts";
import { storedType } from "./casts.ts";
import type { AffineMap, Side } from "./classes.ts";
import { NOISE, noiseOf, type Relation, snap } from "./relation.ts";
import type { Tolerance } from "./rows.ts";

const abs = (x: Spread): Spread => map(x, Math.abs);

export interface Composed {
  readonly relation: Relation;
  /** By how many half-ulps of the operator's own numbers the first file's map, which it stands for, differs. */
  readonly worst: number;
  readonly coefficients: number;
}

export function composed(side: Side, node: GraphNode, from: Relation, own: AffineMap, tolerance: Tolerance): Composed {
  const { scale, shift } = own;
  const [slackS, slackT] = storedSlack(side, node, own, tolerance);
  const scaled = times(scale, from.shift);
  const made: Relation = {
    core: from.core,
    scale: simplify(times(scale, from.scale)),
    shift: simplify(plus(scaled, shift)),
    slackScale: plus(times(abs(scale), from.slackScale), times(slackS, abs(from.scale))),
    slackShift: plus(
      plus(times(abs(scale), from.slackShift), times(slackS, abs(from.shift))),
      plus(slackT, noiseOf(scaled, shift)),
    ),
  };
  const { relation, member } = snap(made, node.outputs[0]?.name);
  const coefficients = scale.data.length + shift.data.length;
  if (member) {
    const open = { scale: times(abs(scale), from.slackScale), shift: times(abs(scale), from.slackShift) };
    return { relation, worst: distance(made, relation, own, open, storageOf(side, node)), coefficients };
  }
  const blame = from.blame ?? { node, suspicions: suspicionsOf(made, node.label) };
  return { relation: { ...relation, blame }, worst: 0, coefficients };
}

/** What is no more than float64 leaves open is nothing, nor what was open before this operator: where that was made it has been counted. */
function distance(
  made: Relation,
  taken: Relation,
  { magnitude }: AffineMap,
  open: { readonly scale: Spread; readonly shift: Spread },
  type: StorageFloat,
): number {
  const off = (x: Spread, y: Spread, known: Spread, size: Spread) => {
    const error = combine(x, y, (p, q) => (Math.abs(p - q) <= NOISE * Math.abs(q) ? 0 : Math.abs(p - q)));
    const own = combine(error, known, (e, before) => Math.max(0, e - before));
    return combine(own, size, (e, s) => (e === 0 || s === 0 ? 0 : e / s)).data.reduce((m, v) => Math.max(m, v), 0);
  };
  const terms = combine(abs(made.shift), magnitude, Math.max);
  return (
    Math.max(off(made.scale, taken.scale, open.scale, abs(made.scale)), off(made.shift, taken.shift, open.shift, terms)) /
    STORAGE_FLOATS[type].unitRoundoff
  );
}

/** The type of an operator's own numbers. */
function storageOf(side: Side, node: GraphNode): StorageFloat {
  const dtype = dtypeOf(side.facts.of(node.inputs[node.opType === "BatchNormalization" ? 1 : 0]).dtype);
  const read = dtype !== undefined && isStorageFloat(dtype) ? dtype : "float32";
  const own = node.inputs.find((value) => value !== undefined && side.constants.has(value));
  return storedType(side.facts, own, read);
}

/** What rounding leaves open of an operator's own scale and shift. */
function storedSlack(
  side: Side,
  node: GraphNode,
  { scale, shift, magnitude, open }: AffineMap,
  tolerance: Tolerance,
): [Spread, Spread] {
  const type = storageOf(side, node);
  const rank = scale.dims.length;
  const none = uniform(rank, 0);
  if (["Identity", "Dropout", "Neg", "Cast", "CastLike"].includes(node.opType)) return [none, none];
  const { unitRoundoff, minSubnormal } = STORAGE_FLOATS[type];
  const half = (v: number) => tolerance.weight * unitRoundoff * Math.abs(v);
  const stored = (v: number) => Math.max(half(v), (tolerance.weight * minSubnormal) / 2);
  const [s, t] =
    node.opType === "BatchNormalization"
      ? [map(scale, half), plus(map(magnitude, half), map(scale, half))]
      : [isOne(scale) ? none : map(scale, node.opType === "Mul" ? stored : half), isZero(shift) ? none : map(shift, stored)];
  return open === undefined ? [s, t] : [plus(s, open.scale), plus(t, open.shift)];
}
