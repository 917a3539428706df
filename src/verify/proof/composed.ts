/**
 * A constant affine operator of the second file on top of a relation: β = s ⊙ (k ⊙ core + d) + t. Its stored constants carry
 * their own rounding: s is proportional to a stored number, so half an ulp of that is at most u·|s|; t is a stored number, or
 * for a batch normalization β − μ·s, whose terms may be far larger than what is left of them.
 */
import { map, plus, type Spread, simplify, times, uniform } from "../../affine/spread.ts";
import type { GraphNode } from "../../graph/view.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";
import { isOne, isZero } from "../../rules/params.ts";
import { suspicionsOf } from "./blame.ts";
import type { AffineMap, Side } from "./classes.ts";
import type { Tolerance } from "./fit.ts";
import { noiseOf, type Relation, snap } from "./relation.ts";

const abs = (x: Spread): Spread => map(x, Math.abs);

export function composed(side: Side, node: GraphNode, from: Relation, own: AffineMap, tolerance: Tolerance): Relation {
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
  const { relation, member } = snap(made);
  if (member) return relation;
  return { ...relation, blame: from.blame ?? { node, suspicions: suspicionsOf(made, node.label) } };
}

/** What rounding leaves open of an operator's own scale and shift. */
function storedSlack(
  side: Side,
  node: GraphNode,
  { scale, shift, magnitude }: AffineMap,
  tolerance: Tolerance,
): [Spread, Spread] {
  const dtype = dtypeOf(side.facts.of(node.inputs[node.opType === "BatchNormalization" ? 1 : 0]).dtype);
  const type: StorageFloat = dtype !== undefined && isStorageFloat(dtype) ? dtype : "float32";
  const rank = scale.dims.length;
  const none = uniform(rank, 0);
  if (node.opType === "Identity" || node.opType === "Dropout" || node.opType === "Neg") return [none, none];
  const half = (v: number) => tolerance.weight * STORAGE_FLOATS[type].unitRoundoff * Math.abs(v);
  if (node.opType === "BatchNormalization") return [map(scale, half), plus(map(magnitude, half), map(scale, half))];
  return [isOne(scale) ? none : map(scale, half), isZero(shift) ? none : map(shift, half)];
}
