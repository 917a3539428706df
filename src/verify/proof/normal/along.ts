/**
 * Operators that work along axes, on a tensor whose axes a Transpose has put in another order: the Transpose goes behind them.
 *
 *   Reduce, ArgMax, ArgMin(Transpose(x; p); axes A)                      Reduce(x; p[A]), transposed where axes that stay are
 *   Slice(Transpose(x; p); axes A)                                       Transpose(Slice(x; p[A]); p)
 *   Gather(Transpose(x; p), i; axis a), i one number                     Gather(x, i; axis p[a]), transposed likewise
 *   Split, Softmax, LogSoftmax, Hardmax(Transpose(x; p); axis a)         Transpose(f(x; p[a]); p)
 *   Concat(Transpose(x; p), Transpose(z; p), c; axis a)                  Transpose(Concat(x, z, c'; p[a]); p)
 *   Squeeze(Transpose(x; p); axes A)                                     Squeeze(x; p[A]), transposed likewise
 *   Unsqueeze(Transpose(x; p); axes A)                                   Transpose(Unsqueeze(x; A); p among the other axes)
 *   LayerNormalization(Transpose(x; p); axis a), p keeps a and later      Transpose(LayerNormalization(x; a); p)
 *   MatMul(Transpose(x; p), W), p keeps the last axis, W a matrix        Transpose(MatMul(x, W); p)
 *   MatMul(Transpose(x; p), Transpose(z; p)), p keeps the last two       Transpose(MatMul(x, z); p)
 *   Pad(Transpose(x; p); n)                                              Transpose(Pad(x; n with p undone); p)
 *
 * Exact: numbers are moved, and the same ones meet; a reduction adds in another order, which is no difference over the reals. Only where
 * the files have another number of Transposes. Ranks, axes and what is padded are known.
 */
import { intAttr } from "../../../graph/attributes.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { before, inOrder, left, transposed, turnedBack, withAxis } from "./orders.ts";
import { attribute, inner, integers, listAt, make, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Rewritings of Transposes apply where the files have another number of them. */
export const TRANSPOSED = ["Transpose"];

/** The operator with other axes, as an operand or an attribute, whichever it has. */
function withAxes(node: GraphNode, x: string, axes: readonly number[], output: string): NodeRecord[] {
  const given = node.inputs[1] !== undefined;
  const attributes = new Map(node.record.attributes);
  if (!given) attributes.set("axes", attribute(node, "axes", { ints: axes }));
  return [
    ...(given ? [integers(node, "axes", axes)] : []),
    { ...node.record, attributes, inputs: given ? [x, inner(node, "axes")] : [x], outputs: [output] },
  ];
}

/** What `core` makes, whose axes lie as `order` says, with its axes in order. */
function ordered(node: GraphNode, order: readonly number[], core: (output: string) => readonly NodeRecord[]): NodeRecord[] {
  if (inOrder(order)) return [...core(outputOf(node))];
  const output = inner(node, "still");
  return [...core(output), transposed(node, output, order)];
}

const reduced: Rewrite = (node, side) => {
  if (node.domain !== "" || !node.opType.startsWith("Reduce") || node.outputs.length !== 1) return undefined;
  const inside = before(node.inputs[0], node, side);
  const axes = listAt(node, 1, "axes", side);
  if (inside === undefined || axes === undefined || axes.length === 0) return undefined;
  const { x, perm } = inside;
  const over = axes.map((axis) => perm.at(axis) as number).sort((p, q) => p - q);
  const order = intAttr(node.record, "keepdims", 1) === 0 ? left(perm, new Set(over)) : perm;
  return ordered(node, order, (output) => withAxes(node, x, over, output));
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
  const from = perm.at(axis) as number;
  const order = left(perm, new Set([from]));
  const inputs = [x, node.record.inputs[1]];
  return ordered(node, order, (output) => [{ ...node.record, attributes: withAxis(node, from), inputs, outputs: [output] }]);
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
      axes.map((axis) => perm.at(axis) as number),
    ),
    { ...node.record, inputs, outputs: [output] },
    transposed(node, output, perm),
  ];
};

/** What a Transpose in front of the first input reads, and where the node's axis is there; `plain` where it is not given. */
function alongAxis(node: GraphNode, side: Side, plain: number): { x: string; perm: readonly number[]; axis: number } | undefined {
  const inside = before(node.inputs[0], node, side);
  const given = node.record.attributes.get("axis");
  const axis = given?.refAttrName ? undefined : inside?.perm.at(intAttr(node.record, "axis", plain));
  return inside && axis !== undefined ? { ...inside, axis } : undefined;
}

/** ArgMax and ArgMin: reductions along one axis. */
const argument: Rewrite = (node, side) => {
  if (node.domain !== "" || (node.opType !== "ArgMax" && node.opType !== "ArgMin")) return undefined;
  const inside = alongAxis(node, side, 0);
  if (inside === undefined) return undefined;
  const { x, perm, axis } = inside;
  const order = intAttr(node.record, "keepdims", 1) === 0 ? left(perm, new Set([axis])) : perm;
  return ordered(node, order, (output) => [{ ...node.record, attributes: withAxis(node, axis), inputs: [x], outputs: [output] }]);
};

/** Softmax and its like since 13, when they have worked along one axis. */
const soft: Rewrite = (node, side) => {
  if (node.domain !== "" || !/Softmax$|^Hardmax$/.test(node.opType) || node.version < 13) return undefined;
  const inside = alongAxis(node, side, -1);
  if (inside === undefined) return undefined;
  const core = inner(node, "still");
  const still = { ...node.record, attributes: withAxis(node, inside.axis), inputs: [inside.x], outputs: [core] };
  return [still, transposed(node, core, inside.perm)];
};

const split: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Split") return undefined;
  const inside = alongAxis(node, side, 0);
  if (inside === undefined) return undefined;
  const { x, perm, axis } = inside;
  const outputs = node.record.outputs.map((name) => name && `${name}/still`);
  return [
    { ...node.record, attributes: withAxis(node, axis), inputs: [x, ...node.record.inputs.slice(1)], outputs },
    ...node.record.outputs.flatMap((name) =>
      name === "" ? [] : [make(node, "Transpose", [`${name}/still`], name, { perm: { ints: perm } })],
    ),
  ];
};

const joined: Rewrite = (node, side) => {
  const { facts, constants } = side;
  if (node.domain !== "" || node.opType !== "Concat" || node.version < 5) return undefined;
  const found = node.inputs.map((value) => before(value, node, side));
  const perm = found.find((one) => one !== undefined)?.perm;
  const axis = perm?.at(intAttr(node.record, "axis", 0));
  if (perm === undefined || axis === undefined) return undefined;
  const parts: NodeRecord[] = [];
  const inputs: string[] = [];
  for (const [i, value] of node.inputs.entries()) {
    const [own, shape] = [found[i], facts.shape(value)];
    if (own !== undefined && String(own.perm) === String(perm)) inputs.push(own.x);
    else if (value !== undefined && constants.has(value) && shape?.length === perm.length) {
      if (!shape.every((d) => typeof d === "number")) return undefined;
      const [nodes, name] = turnedBack(node, i, shape, perm);
      parts.push(...nodes);
      inputs.push(name);
    } else return undefined;
  }
  const core = inner(node, "still");
  return [...parts, { ...node.record, attributes: withAxis(node, axis), inputs, outputs: [core] }, transposed(node, core, perm)];
};

const squeezed: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Squeeze") return undefined;
  const inside = before(node.inputs[0], node, side);
  const axes = listAt(node, 1, "axes", side);
  if (inside === undefined || axes === undefined || axes.length === 0) return undefined;
  const { x, perm } = inside;
  const gone = axes.map((axis) => perm.at(axis) as number);
  const order = left(perm, new Set(gone));
  return ordered(node, order, (output) => withAxes(node, x, gone, output));
};

const unsqueezed: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Unsqueeze") return undefined;
  const inside = before(node.inputs[0], node, side);
  const axes = listAt(node, 1, "axes", side);
  if (inside === undefined || axes === undefined) return undefined;
  const { x, perm } = inside;
  const rank = perm.length + axes.length;
  const made = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  if (made.size !== axes.length) return undefined;
  // Where the axes of x come to lie, and what a Transpose of those alone is among them.
  const own = Array.from({ length: rank }, (_, i) => i).filter((i) => !made.has(i));
  const order = Array.from({ length: rank }, (_, i) => (made.has(i) ? i : own[perm[own.indexOf(i)]]));
  const core = inner(node, "still");
  return [...withAxes(node, x, [...made], core), transposed(node, core, order)];
};

/** True of an order that leaves the last axes where they are. */
const keepsLast = (perm: readonly number[], count: number): boolean =>
  perm.length >= count && perm.slice(-count).every((axis, i) => axis === perm.length - count + i);

const normalized: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "LayerNormalization" || node.outputs.length !== 1) return undefined;
  const inside = before(node.inputs[0], node, side);
  if (inside === undefined) return undefined;
  const { x, perm } = inside;
  const axis = intAttr(node.record, "axis", -1);
  const count = axis < 0 ? -axis : perm.length - axis;
  const fits = node.inputs.slice(1).every((value) => value === undefined || (side.facts.rank(value) ?? perm.length) <= count);
  if (!keepsLast(perm, count) || !fits) return undefined;
  const core = inner(node, "still");
  return [{ ...node.record, inputs: [x, ...node.record.inputs.slice(1)], outputs: [core] }, transposed(node, core, perm)];
};

const multiplied: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "MatMul") return undefined;
  const [left, right] = node.inputs.map((value) => before(value, node, side));
  if (left === undefined) return undefined;
  const { x, perm } = left;
  const core = inner(node, "still");
  const matrix = side.facts.rank(node.inputs[1]) === 2 && keepsLast(perm, 1);
  const stack = right !== undefined && String(right.perm) === String(perm) && keepsLast(perm, 2);
  if (!matrix && !stack) return undefined;
  return [make(node, "MatMul", [x, stack ? right.x : node.record.inputs[1]], core), transposed(node, core, perm)];
};

const padded: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Pad" || node.version < 11) return undefined;
  const inside = before(node.inputs[0], node, side);
  const [pads, axes] = [1, 3].map((i) => (node.inputs[i] === undefined ? undefined : numbersOf(node.inputs[i], side)));
  if (inside === undefined || pads === undefined || (node.inputs[3] !== undefined && axes === undefined)) return undefined;
  const { x, perm } = inside;
  const rank = perm.length;
  const along = axes?.map((axis) => (axis < 0 ? axis + rank : axis)) ?? perm.map((_, i) => i);
  if (pads.length !== 2 * along.length) return undefined;
  const moved = new Array<number>(2 * rank).fill(0);
  for (const [i, axis] of along.entries())
    for (const end of [0, 1]) moved[perm[axis] + end * rank] = pads[i + end * along.length];
  const core = inner(node, "still");
  const inputs = [x, inner(node, "pads"), ...node.record.inputs.slice(2, 3)];
  return [integers(node, "pads", moved), { ...node.record, inputs, outputs: [core] }, transposed(node, core, perm)];
};

const where = TRANSPOSED;

export const ALONG: readonly Rewriting[] = [
  { equation: ["Reduce(Transpose(x); A)", "Reduce(x; p[A])"], rewrite: reduced, where },
  { equation: ["ArgMax(Transpose(x); a)", "ArgMax(x; p[a])"], rewrite: argument, where },
  { equation: ["Slice(Transpose(x); A)", "Transpose(Slice(x; p[A]))"], rewrite: sliced, where },
  { equation: ["Gather(Transpose(x), i; a)", "Gather(x, i; p[a])"], rewrite: gathered, where },
  { equation: ["Softmax(Transpose(x); a)", "Transpose(Softmax(x; p[a]))"], rewrite: soft, where },
  { equation: ["Split(Transpose(x); a)", "Transpose(Split(x; p[a]))"], rewrite: split, where },
  { equation: ["Concat(Transpose(x), Transpose(z); a)", "Transpose(Concat(x, z; p[a]))"], rewrite: joined, where },
  { equation: ["Squeeze(Transpose(x); A)", "Squeeze(x; p[A])"], rewrite: squeezed, where },
  { equation: ["Unsqueeze(Transpose(x); A)", "Transpose(Unsqueeze(x; A))"], rewrite: unsqueezed, where },
  { equation: ["LayerNormalization(Transpose(x))", "Transpose(LayerNormalization(x))"], rewrite: normalized, where },
  { equation: ["MatMul(Transpose(x), W)", "Transpose(MatMul(x, W))"], rewrite: multiplied, where },
  { equation: ["Pad(Transpose(x); n)", "Transpose(Pad(x; n))"], rewrite: padded, where },
];
