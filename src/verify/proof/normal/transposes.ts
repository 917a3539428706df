/**
 * Transposes go towards the outputs, so that those that meet cancel.
 *
 *   Transpose(Transpose(x; p); q)                                        Transpose(x; p∘q), (p∘q)ᵢ = p[qᵢ]
 *   f(Transpose(x; p)) element by element                                Transpose(f(x); p)
 *   f(Transpose(x; p), Transpose(z; p)), f(Transpose(x; p), c)           Transpose(f(x, z); p), Transpose(f(x, c'); p)
 *   Reshape(Transpose(x; p)) that joins no axes that p parts             Transpose(Reshape(x)), of sizes that are known
 *   Transpose(x; p) that keeps all axes longer than 1 in their order     Reshape(x)
 *
 * Exact: numbers are moved, and what is done to each is the same. Only where the files have another number of Transposes. c' is c with p
 * undone: c has one number, is constant and spelled out to the rank of x, or keeps the order of its axes longer than 1. Ranks are known. What works along axes: along.ts.
 */
import { intAttr } from "../../../graph/attributes.ts";
import type { Shape } from "../../../graph/dims.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { ALONG, TRANSPOSED } from "./along.ts";
import {
  before,
  type Group,
  groupsOf,
  inOrder,
  isByAxis,
  left,
  permOf,
  sizesOf,
  transposed,
  turnedBack,
  withAxis,
} from "./orders.ts";
import { inner, integers, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const merged: Rewrite = (node, side) => {
  const [outer, inside] = [permOf(node, side), before(node.inputs[0], node, side)];
  return (
    outer &&
    inside && [
      transposed(
        node,
        inside.x,
        outer.map((axis) => inside.perm[axis]),
      ),
    ]
  );
};

/** Of one output, and every element is treated alike. */
const isElementwise = (node: GraphNode): boolean =>
  node.domain === "" && node.outputs.length === 1 && hasTrait(node, "basic", "function", "pointwise", "broadcasts");

/** An operand of which all axes longer than 1 stay in their order when a Transpose is undone: a Reshape does that. */
function laidBack(
  node: GraphNode,
  i: number,
  shape: Shape | undefined,
  perm: readonly number[],
): readonly [nodes: NodeRecord[], name: string] | undefined {
  if (shape?.length !== perm.length || node.version < 5) return undefined;
  const back = perm.map((_, axis) => perm.indexOf(axis));
  const moved = back.map((axis) => shape[axis]);
  if (!inOrder(left(back, new Set(shape.flatMap((d, axis) => (d === 1 ? [axis] : [])))))) return undefined;
  const dims = moved.map((d) => (typeof d === "number" ? d : -1));
  if (dims.filter((d) => d === -1).length > 1 || dims.includes(0)) return undefined;
  const list = integers(node, `operand${i}/dims`, dims);
  const name = inner(node, `operand${i}`);
  return [[list, make(node, "Reshape", [node.record.inputs[i], list.outputs[0]], name)], name];
}

const elementwise: Rewrite = (node, side) => {
  const { facts, constants } = side;
  if (!isElementwise(node) || (node.version < 7 && node.inputs.length > 1)) return undefined;
  const found = node.inputs.map((value) => before(value, node, side));
  const perm = found.find((one) => one !== undefined)?.perm;
  const rank = perm?.length;
  if (perm === undefined || facts.rank(node.outputs[0]) !== rank) return undefined;
  const parts: NodeRecord[] = [];
  const inputs: string[] = [];
  for (const [i, value] of node.inputs.entries()) {
    const name = node.record.inputs[i];
    const [own, shape] = [found[i], facts.shape(value)];
    if (value === undefined || shape?.every((d) => d === 1)) inputs.push(name);
    else if (own !== undefined && String(own.perm) === String(perm)) inputs.push(own.x);
    else if (isByAxis(node) && shape?.length === 1) inputs.push(name);
    else if (!isByAxis(node) && constants.has(value) && shape?.every((d) => typeof d === "number")) {
      const [nodes, moved] = turnedBack(node, i, shape as number[], perm);
      parts.push(...nodes);
      inputs.push(moved);
    } else {
      const [nodes, moved] = laidBack(node, i, shape, perm) ?? [];
      if (nodes === undefined || moved === undefined || isByAxis(node)) return undefined;
      parts.push(...nodes);
      inputs.push(moved);
    }
  }
  const core = inner(node, "still");
  const still = { ...node.record, inputs, outputs: [core] };
  const along = isByAxis(node) && node.inputs.slice(1).some((value) => value && !facts.shape(value)?.every((d) => d === 1));
  const axis = along ? perm.at(intAttr(node.record, "axis", 1)) : undefined;
  if (along && (axis === undefined || intAttr(node.record, "block_size", 0) > 0)) return undefined;
  return [...parts, axis === undefined ? still : { ...still, attributes: withAxis(node, axis) }, transposed(node, core, perm)];
};

const unmoved: Rewrite = (node, side) => {
  const perm = permOf(node, side);
  const [shape, made] = [side.facts.shape(node.inputs[0]), side.facts.shape(node.outputs[0])];
  if (perm === undefined || shape === undefined || made === undefined || node.version < 5) return undefined;
  if (!inOrder(left(perm, new Set(shape.flatMap((d, axis) => (d === 1 ? [axis] : [])))))) return undefined;
  const dims = made.map((d) => (typeof d === "number" ? d : -1));
  if (dims.filter((d) => d === -1).length > 1 || dims.includes(0)) return undefined;
  return [integers(node, "shape", dims), make(node, "Reshape", [node.record.inputs[0], inner(node, "shape")], outputOf(node))];
};

const regrouped: Rewrite = (node, side) => {
  if (!hasTrait(node, "reshapes") || node.version < 5) return undefined;
  const inside = before(node.inputs[0], node, side);
  const [from, to] = [node.inputs[0], node.outputs[0]].map((value) => sizesOf(side.facts.shape(value)));
  if (inside === undefined || from === undefined || to === undefined) return undefined;
  const groups = groupsOf(from, to);
  if (groups === undefined) return undefined;
  const { x, perm } = inside;
  const places = left(perm, new Set(perm.filter((_, axis) => from[axis] === 1)));
  // Axes that become one have to lie side by side in x as well.
  if (!groups.every(({ axes }) => axes.every((axis, k) => places[axis] === places[axes[0]] + k))) return undefined;
  const own = groups.toSorted((p, q) => places[p.axes[0]] - places[q.axes[0]]);
  const starts = new Map<Group, number>();
  let rank = 0;
  for (const group of own) {
    starts.set(group, rank);
    rank += group.sizes.length;
  }
  const order = groups.flatMap((group) => group.sizes.map((_, k) => (starts.get(group) as number) + k));
  const sizes = own.flatMap((group) => group.sizes);
  const core = inner(node, "still");
  const reshaped = make(node, "Reshape", [x, inner(node, "sizes")], core);
  return [integers(node, "sizes", sizes), reshaped, transposed(node, core, order)];
};

export const TRANSPOSES: readonly Rewriting[] = [
  { equation: ["Transpose(Transpose(x))", "Transpose(x)"], rewrite: merged, where: TRANSPOSED },
  { equation: ["Transpose(x) of axes of 1", "Reshape(x)"], rewrite: unmoved, where: TRANSPOSED },
  { equation: ["f(Transpose(x))", "Transpose(f(x))"], rewrite: elementwise, where: TRANSPOSED },
  { equation: ["Reshape(Transpose(x))", "Transpose(Reshape(x))"], rewrite: regrouped, where: TRANSPOSED },
  ...ALONG,
];
