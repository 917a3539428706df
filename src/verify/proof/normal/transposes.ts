/**
 * Transposes go towards the outputs, so that those that meet cancel.
 *
 *   Transpose(Transpose(x; p); q)                                        Transpose(x; p∘q), (p∘q)ᵢ = p[qᵢ]
 *   f(Transpose(x; p)) element by element                                Transpose(f(x); p)
 *   f(Transpose(x; p), Transpose(z; p)), f(Transpose(x; p), c)           Transpose(f(x, z); p), Transpose(f(x, c'); p)
 *   Reduce(Transpose(x; p); axes A)                                      Reduce(x; p[A]), transposed where axes that stay are
 *   Slice(Transpose(x; p); axes A)                                       Transpose(Slice(x; p[A]); p)
 *   Gather(Transpose(x; p), i; axis a), i one number                     Gather(x, i; axis p[a]), transposed likewise
 *   Transpose(x; p) that keeps all axes longer than 1 in their order     Reshape(x)
 *
 * Exact: numbers are moved, and what is done to each is the same; a reduction adds in another order, which is no difference over the
 * reals. Only where the files have another number of Transposes. c' is c with p undone: c has one number, or is constant and spelled out
 * to the rank of x. Ranks are known.
 */
import { intAttr, intsAttr } from "../../../graph/attributes.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import {
  attribute,
  inner,
  integers,
  listAt,
  make,
  makerOf,
  numbersOf,
  outputOf,
  type Rewrite,
  type Rewriting,
} from "./rewriting.ts";

/** The axes of x in the order in which a Transpose has them. */
function permOf(node: GraphNode, { facts }: Side): readonly number[] | undefined {
  const rank = facts.rank(node.inputs[0]);
  const perm = intsAttr(node.record, "perm");
  if (node.domain !== "" || node.opType !== "Transpose" || rank === undefined) return undefined;
  const axes = Array.from({ length: rank }, (_, i) => i);
  if (perm === undefined) return axes.toReversed();
  return perm.length === rank && axes.every((axis) => perm.includes(axis)) ? perm : undefined;
}

/** What a Transpose in front of `node` reads, and its order. */
function before(value: GraphValue | undefined, node: GraphNode, side: Side): { x: string; perm: readonly number[] } | undefined {
  const maker = makerOf(value, node);
  const perm = maker && permOf(maker, side);
  return perm && { x: (maker as GraphNode).record.inputs[0], perm };
}

const transposed = (node: GraphNode, x: string, perm: readonly number[]): NodeRecord =>
  make(node, "Transpose", [x], outputOf(node), { perm: { ints: perm } });

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
  node.domain === "" && node.outputs.length === 1 && hasTrait(node, "basic", "function", "pointwise");

/** Constants of more than one number lie along the axis an attribute counts, not along the last ones. */
const isByAxis = ({ opType }: GraphNode): boolean => opType === "DequantizeLinear" || opType === "QuantizeLinear";

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
    else if (!isByAxis(node) && constants.has(value) && shape?.every((d) => typeof d === "number")) {
      const [full, moved] = [inner(node, `constant${i}/full`), inner(node, `constant${i}`)];
      const dims = [...new Array<number>(perm.length - shape.length).fill(1), ...(shape as number[])];
      // Axis p[i] of x is axis i of its transpose.
      const back = dims.map((_, axis) => perm.indexOf(axis));
      parts.push(
        integers(node, `constant${i}/dims`, dims),
        make(node, "Reshape", [name, inner(node, `constant${i}/dims`)], full),
      );
      parts.push(make(node, "Transpose", [full], moved, { perm: { ints: back } }));
      inputs.push(moved);
    } else return undefined;
  }
  const core = inner(node, "still");
  return [...parts, { ...node.record, inputs, outputs: [core] }, transposed(node, core, perm)];
};

/** The order of the axes that are left when some go. */
const left = (perm: readonly number[], gone: ReadonlySet<number>): number[] => {
  const kept = perm.filter((axis) => !gone.has(axis));
  const order = kept.toSorted((p, q) => p - q);
  return kept.map((axis) => order.indexOf(axis));
};

const inOrder = (perm: readonly number[]): boolean => perm.every((axis, i) => axis === i);

const reduced: Rewrite = (node, side) => {
  if (node.domain !== "" || !node.opType.startsWith("Reduce") || node.outputs.length !== 1) return undefined;
  const inside = before(node.inputs[0], node, side);
  const axes = listAt(node, 1, "axes", side);
  if (inside === undefined || axes === undefined || axes.length === 0) return undefined;
  const { x, perm } = inside;
  const over = axes.map((axis) => perm[axis < 0 ? axis + perm.length : axis]).sort((p, q) => p - q);
  const order = intAttr(node.record, "keepdims", 1) === 0 ? left(perm, new Set(over)) : perm;
  const output = inOrder(order) ? outputOf(node) : inner(node, "still");
  const given = node.inputs[1] !== undefined;
  const attributes = new Map(node.record.attributes);
  if (!given) attributes.set("axes", attribute(node, "axes", { ints: over }));
  return [
    ...(given ? [integers(node, "axes", over)] : []),
    { ...node.record, attributes, inputs: given ? [x, inner(node, "axes")] : [x], outputs: [output] },
    ...(inOrder(order) ? [] : [transposed(node, output, order)]),
  ];
};

const gathered: Rewrite = (node, side) => {
  const { facts, constants } = side;
  const [, index] = node.inputs;
  if (node.domain !== "" || node.opType !== "Gather" || index === undefined || !constants.has(index) || facts.rank(index) !== 0)
    return undefined;
  const inside = before(node.inputs[0], node, side);
  if (inside === undefined) return undefined;
  const { x, perm } = inside;
  const axis = intAttr(node.record, "axis", 0);
  const from = perm[axis < 0 ? axis + perm.length : axis];
  const order = left(perm, new Set([from]));
  const output = inOrder(order) ? outputOf(node) : inner(node, "still");
  const attributes = new Map(node.record.attributes).set("axis", attribute(node, "axis", { i: from }));
  return [
    { ...node.record, attributes, inputs: [x, node.record.inputs[1]], outputs: [output] },
    ...(inOrder(order) ? [] : [transposed(node, output, order)]),
  ];
};

const sliced: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Slice" || node.version < 10) return undefined;
  const inside = before(node.inputs[0], node, side);
  const axes = node.inputs[3] === undefined ? undefined : numbersOf(node.inputs[3], side);
  if (inside === undefined || axes === undefined) return undefined;
  const { x, perm } = inside;
  const [moved, output] = [inner(node, "axes"), inner(node, "still")];
  const inputs = [x, ...node.record.inputs.slice(1, 3), moved, ...node.record.inputs.slice(4)];
  return [
    integers(
      node,
      "axes",
      axes.map((axis) => perm[axis < 0 ? axis + perm.length : axis]),
    ),
    { ...node.record, inputs, outputs: [output] },
    transposed(node, output, perm),
  ];
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

const where = ["Transpose"];

export const TRANSPOSES: readonly Rewriting[] = [
  { equation: ["Transpose(Transpose(x))", "Transpose(x)"], rewrite: merged, where },
  { equation: ["Transpose(x) of axes of 1", "Reshape(x)"], rewrite: unmoved, where },
  { equation: ["f(Transpose(x))", "Transpose(f(x))"], rewrite: elementwise, where },
  { equation: ["Reduce(Transpose(x); A)", "Reduce(x; p[A])"], rewrite: reduced, where },
  { equation: ["Slice(Transpose(x); A)", "Transpose(Slice(x; p[A]))"], rewrite: sliced, where },
  { equation: ["Gather(Transpose(x), i; a)", "Gather(x, i; p[a])"], rewrite: gathered, where },
];
