/**
 * Parts of a tensor, each on its own.
 *
 *   Split(x; axis, n₁…nₖ)                       Slice(x; axis, Σ_{j<i} nⱼ, Σ_{j≤i} nⱼ) for each i
 *   Gather(x; axis, i), i one number            Squeeze(Slice(x; axis, i, i + 1))
 *   Slice(x; axes a₁ < a₂ …)                    …Slice(Slice(x; a₁); a₂), and so a chain of them in another order
 *   Slice(MatMul(x, W); last axis, a, b)        MatMul(x, Slice(W; last axis, a, b))
 *   Slice(MatMul(x, W) + c; last axis, a, b)    Slice(MatMul(x, W); last axis, a, b) + Slice(c; last axis, a, b)
 *
 * Exact: numbers are moved, and each column of W makes its own column. Only where the files have another number of these operators. The
 * sizes of all parts are known: where a Split says how many, each has n = ⌈size / count⌉ and the last what is left, and without that the
 * axis is a multiple of their count. W is a constant matrix and c a constant that spans the axis.
 */
import { intAttr, intsAttr } from "../../../graph/attributes.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { axisOf, type Bounds, SINCE, taken } from "./parts.ts";
import { inner, integers, make, makerOf, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Sizes of the parts of a Split. */
function partsOf(node: GraphNode, axis: number, side: Side): readonly number[] | undefined {
  const size = side.facts.size(node.inputs[0], axis);
  const given = node.inputs[1] === undefined ? intsAttr(node.record, "split") : numbersOf(node.inputs[1], side);
  if (given !== undefined) return given.length === node.outputs.length && given.every((n) => n >= 0) ? given : undefined;
  const count = node.outputs.length;
  if (node.inputs[1] !== undefined || size === undefined || intAttr(node.record, "num_outputs", count) !== count)
    return undefined;
  const each = Math.ceil(size / count);
  const rest = size - each * (count - 1);
  // A size that is no multiple may be asked for since opset 18, by the count.
  if (rest !== each && (rest < 0 || !node.record.attributes.has("num_outputs"))) return undefined;
  return [...new Array<number>(count - 1).fill(each), rest];
}

const split: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Split" || node.version < SINCE) return undefined;
  const axis = axisOf(node, side);
  const parts = axis === undefined ? undefined : partsOf(node, axis, side);
  if (axis === undefined || parts === undefined) return undefined;
  let start = 0;
  return parts.flatMap((n, i) => {
    const [from, output] = [start, node.record.outputs[i]];
    start += n;
    return output === "" ? [] : taken(node, node.record.inputs[0], { axis, start: from, end: start }, output);
  });
};

const gathered: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Gather" || node.version < 13) return undefined;
  const [axis, index] = [axisOf(node, side), numbersOf(node.inputs[1], side)];
  if (axis === undefined || index?.length !== 1 || side.facts.rank(node.inputs[1]) !== 0) return undefined;
  const size = side.facts.size(node.inputs[0], axis);
  if (size === undefined) return undefined;
  const at = index[0] < 0 ? index[0] + size : index[0];
  const part = inner(node, "part");
  return [
    ...taken(node, node.record.inputs[0], { axis, start: at, end: at + 1 }, part),
    integers(node, "axes", [axis]),
    make(node, "Squeeze", [part, inner(node, "axes")], outputOf(node)),
  ];
};

/** One axis of a Slice, with the numbers as they are given. */
export interface Cut {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** What a Slice does along each of its axes; undefined where that is computed, or an axis is not known. */
export function cutsOf(node: GraphNode | undefined, side: Side): readonly Cut[] | undefined {
  if (node?.domain !== "" || node.opType !== "Slice" || node.version < SINCE) return undefined;
  const [starts, ends] = [1, 2].map((i) => numbersOf(node.inputs[i], side));
  const rank = side.facts.rank(node.inputs[0]);
  if (starts === undefined || starts.length !== ends?.length || rank === undefined) return undefined;
  const given = (i: number, plain: readonly number[]) => (node.inputs[i] === undefined ? plain : numbersOf(node.inputs[i], side));
  const axes = given(
    3,
    starts.map((_, i) => i),
  );
  const steps = given(4, new Array<number>(starts.length).fill(1));
  if (axes?.length !== starts.length || steps?.length !== starts.length) return undefined;
  const cuts = starts.map((start, i) => ({
    axis: axes[i] < 0 ? axes[i] + rank : axes[i],
    start,
    end: ends[i],
    step: steps[i],
  }));
  return new Set(cuts.map(({ axis }) => axis)).size === cuts.length ? cuts : undefined;
}

/** The bounds of a Slice of one axis, forward, within it. */
export function boundsOf(node: GraphNode, side: Side): Bounds | undefined {
  const cuts = cutsOf(node, side);
  if (cuts?.length !== 1 || cuts[0].step !== 1) return undefined;
  const [{ axis, start, end }] = cuts;
  const size = side.facts.size(node.inputs[0], axis);
  if (size === undefined) return undefined;
  const at = (position: number) => Math.min(Math.max(position < 0 ? position + size : position, 0), size);
  return { axis, start: at(start), end: at(end) };
}

/** Slices along one axis each, from the first axis to the last. */
function cutOneByOne(node: GraphNode, x: string, cuts: readonly Cut[]): NodeRecord[] {
  let from = x;
  return cuts
    .toSorted((p, q) => p.axis - q.axis)
    .flatMap(({ axis, start, end, step }, i) => {
      const part = (label: string) => inner(node, `${label}${i}`);
      const numbers = Object.entries({ start, end, axis, step }).map(([label, v]) => integers(node, `${label}${i}`, [v]));
      const to = i === cuts.length - 1 ? outputOf(node) : part("cut");
      const made = make(node, "Slice", [from, part("start"), part("end"), part("axis"), part("step")], to);
      from = to;
      return [...numbers, made];
    });
}

const axisByAxis: Rewrite = (node, side) => {
  const cuts = cutsOf(node, side);
  if (cuts === undefined || cuts.length === 0) return undefined;
  const [x] = node.record.inputs;
  if (cuts.length > 1) return cutOneByOne(node, x, cuts);
  // What cuts another axis may as well come first.
  const maker = makerOf(node.inputs[0], node);
  const before = cutsOf(maker, side);
  if (maker === undefined || before?.length !== 1 || before[0].axis <= cuts[0].axis) return undefined;
  return cutOneByOne(node, maker.record.inputs[0], [...before, ...cuts]);
};

const columns: Rewrite = (node, side) => {
  const maker = makerOf(node.inputs[0], node);
  const bounds = maker && boundsOf(node, side);
  const { facts, constants } = side;
  const rank = facts.rank(node.inputs[0]);
  if (maker?.domain !== "" || bounds === undefined || rank === undefined || bounds.axis !== rank - 1) return undefined;
  const last = (value: GraphNode["inputs"][number]) => facts.size(value, (facts.rank(value) ?? 0) - 1);
  const width = last(node.inputs[0]);
  if (maker.opType === "MatMul") {
    const [, weight] = maker.inputs;
    if (weight === undefined || !constants.has(weight) || facts.rank(weight) !== 2 || last(weight) !== width) return undefined;
    const part = inner(node, "columns");
    return [
      ...taken(node, maker.record.inputs[1], { ...bounds, axis: 1 }, part),
      make(node, "MatMul", [maker.record.inputs[0], part], outputOf(node)),
    ];
  }
  if (maker.opType !== "Add" || !hasTrait(maker, "broadcasts") || maker.version < 7) return undefined;
  const at = maker.inputs.findIndex((value) => value !== undefined && constants.has(value));
  const [c, x] = [maker.inputs[at], maker.inputs[1 - at]];
  if (at < 0 || c === undefined || x === undefined || constants.has(x) || last(c) !== width || last(x) !== width)
    return undefined;
  const [part, rest] = [inner(node, "constant"), inner(node, "rest")];
  return [
    ...taken(node, maker.record.inputs[at], { ...bounds, axis: (facts.rank(c) as number) - 1 }, part),
    ...taken(node, maker.record.inputs[1 - at], { ...bounds, axis: (facts.rank(x) as number) - 1 }, rest),
    make(node, "Add", [rest, part], outputOf(node)),
  ];
};

export const PIECES: readonly Rewriting[] = [
  { equation: ["Split(x)", "Slice(x) for each part"], rewrite: split, where: ["Split", "Slice"] },
  { equation: ["Slice(x; a, b)", "Slice(Slice(x; a); b), a < b"], rewrite: axisByAxis, where: ["Slice"] },
  { equation: ["Gather(x, i)", "Squeeze(Slice(x))"], rewrite: gathered, where: ["Gather"] },
  { equation: ["Slice(MatMul(x, W) + c)", "MatMul(x, Slice(W)) + Slice(c)"], rewrite: columns, where: ["MatMul", "Split"] },
];
