/**
 * Means, in one way of writing.
 *
 *   Reduce(x; A) that drops its axes                           Squeeze(Reduce(x; A), A)
 *   ReduceMean(ReduceMean(x; A); B)                            ReduceMean(x; A ∪ B)
 *   ReduceMean(Reshape(x)) over all of what x's axes A become  Reshape(ReduceMean(x; A))
 *   ReduceSum(x; A) / n, n = how many A has      ReduceMean(x; A)
 *   MaxPool(MaxPool(x; k); m), the inner in steps of 1         MaxPool(x; k + m − 1), pads added
 *   AveragePool, MaxPool of one window that is the plane      the global one
 *   AveragePool(x; zeros counted) without pads                AveragePool(x)
 *   Reduce(x; A; noop_with_empty_axes), A not empty            Reduce(x; A)
 *   ReduceMean of x over all axes but the first two, kept      GlobalAveragePool(x)
 *
 * Exact over the reals: each place of a larger window lies in a window around a place that is there, since none is of pads alone. Parts of one size have as mean the mean of their means. Axes are known; of a Reshape all sizes are.
 */
import { intAttr, intsAttr, stringAttr } from "../../../graph/attributes.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { groupsOf, sizesOf } from "./orders.ts";
import { isReal, numberBeside } from "./powers.ts";
import { isReshape } from "./reshapes.ts";
import { attribute, inner, integers, listAt, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** The axes of a reduction, from the front; undefined where they are computed, or not listed. */
function axesOf(node: GraphNode, side: Side): number[] | undefined {
  const [axes, rank] = [listAt(node, 1, "axes", side), side.facts.rank(node.inputs[0])];
  if (axes === undefined || axes.length === 0 || rank === undefined) return undefined;
  return [...new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)))].sort((p, q) => p - q);
}

const keepsAxes = ({ record }: GraphNode): boolean => intAttr(record, "keepdims", 1) === 1;

/** Squeeze has its axes as an operand since then. */
const OPERAND = 13;

const dropped: Rewrite = (node, side) => {
  if (node.domain !== "" || !node.opType.startsWith("Reduce") || node.version < 7 || keepsAxes(node)) return undefined;
  const axes = axesOf(node, side);
  if (axes === undefined) return undefined;
  const kept = inner(node, "kept");
  const attributes = new Map(node.record.attributes);
  attributes.delete("keepdims");
  const reduced = { ...node.record, attributes, outputs: [kept] };
  if (node.version < OPERAND) return [reduced, make(node, "Squeeze", [kept], outputOf(node), { axes: { ints: axes } })];
  const list = integers(node, "dropped", axes);
  return [reduced, list, make(node, "Squeeze", [kept, list.outputs[0]], outputOf(node))];
};

/** A mean over some axes, which stay with a size of 1, as this node would take it. */
function meanOver(node: GraphNode, x: string, axes: readonly number[], output: string): NodeRecord[] {
  const given = node.inputs[1] !== undefined;
  const attributes = new Map(node.record.attributes);
  attributes.delete("keepdims");
  if (!given) attributes.set("axes", attribute(node, "axes", { ints: axes }));
  const list = given ? [integers(node, "over", axes)] : [];
  return [...list, { ...node.record, attributes, inputs: given ? [x, inner(node, "over")] : [x], outputs: [output] }];
}

const twice: Rewrite = (node, side) => {
  const inside = makerOf(node.inputs[0], node);
  if (!isReal(node, "ReduceMean", side) || inside === undefined || !isReal(inside, "ReduceMean", side)) return undefined;
  const [outer, own] = [axesOf(node, side), axesOf(inside, side)];
  if (outer === undefined || own === undefined || !keepsAxes(node) || !keepsAxes(inside)) return undefined;
  const axes = [...new Set([...own, ...outer])].sort((p, q) => p - q);
  return meanOver(node, inside.record.inputs[0], axes, outputOf(node));
};

const joined: Rewrite = (node, side) => {
  const before = makerOf(node.inputs[0], node);
  if (!isReal(node, "ReduceMean", side) || !isReshape(before) || !keepsAxes(node)) return undefined;
  const [from, to] = [before.inputs[0], node.inputs[0]].map((value) => sizesOf(side.facts.shape(value)));
  const [axes, groups] = [axesOf(node, side), from && to && groupsOf(from, to)];
  if (axes === undefined || from === undefined || to === undefined || groups === undefined) return undefined;
  const long = from.flatMap((d, axis) => (d === 1 ? [] : [axis]));
  const over: number[] = [];
  let at = 0;
  for (const { axes: own, sizes } of groups) {
    const parts = sizes.flatMap((d, i) => (d === 1 ? [] : [axes.includes(at + i)]));
    at += sizes.length;
    if (parts.includes(true) && parts.includes(false)) return undefined;
    if (parts.includes(true)) over.push(...own.map((axis) => long[axis]));
  }
  if (over.length === 0) return undefined;
  const [mean, shape] = [
    inner(node, "mean"),
    integers(
      node,
      "shape",
      to.map((d, axis) => (axes.includes(axis) ? 1 : d)),
    ),
  ];
  return [
    ...meanOver(node, before.record.inputs[0], over, mean),
    shape,
    make(node, "Reshape", [mean, shape.outputs[0]], outputOf(node)),
  ];
};

const pooled: Rewrite = (node, { facts }) => {
  if (node.domain !== "" || node.opType !== "ReduceMean" || intAttr(node.record, "keepdims", 1) !== 1) return undefined;
  const rank = facts.rank(node.inputs[0]);
  const axes = node.inputs[1] === undefined ? intsAttr(node.record, "axes") : facts.numbers(node.inputs[1]);
  if (rank === undefined || rank < 3 || axes === undefined) return undefined;
  const over = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  if (over.size !== rank - 2 || over.has(0) || over.has(1)) return undefined;
  return [make(node, "GlobalAveragePool", node.record.inputs.slice(0, 1), outputOf(node))];
};

/** Told what to do without axes, where there are some. */
const told: Rewrite = (node, side) => {
  if (node.domain !== "" || !node.opType.startsWith("Reduce") || !node.record.attributes.has("noop_with_empty_axes"))
    return undefined;
  if (axesOf(node, side) === undefined) return undefined;
  return [
    { ...node.record, attributes: new Map([...node.record.attributes].filter(([name]) => name !== "noop_with_empty_axes")) },
  ];
};

/** Asked to count zeros of which there are none. */
const counting: Rewrite = (node) => {
  const { record } = node;
  if (node.domain !== "" || node.opType !== "AveragePool" || !record.attributes.has("count_include_pad")) return undefined;
  const pads = (intsAttr(record, "pads") ?? []).some((p) => p !== 0);
  const auto = !["NOTSET", "VALID", ""].includes(stringAttr(record, "auto_pad", "NOTSET"));
  if (pads || auto || intAttr(record, "ceil_mode", 0) !== 0) return undefined;
  return [{ ...record, attributes: new Map([...record.attributes].filter(([name]) => name !== "count_include_pad")) }];
};

const averaged: Rewrite = (node, side) => {
  const sum = isReal(node, "Div", side) ? makerOf(node.inputs[0], node) : undefined;
  if (sum === undefined || !isReal(sum, "ReduceSum", side)) return undefined;
  const [axes, count] = [axesOf(sum, side), numberBeside(node.inputs[1], node.inputs[0], side)];
  const sizes = axes?.map((axis) => side.facts.size(sum.inputs[0], axis));
  if (axes === undefined || count === undefined || sizes?.reduce<number>((n, d) => n * (d ?? Number.NaN), 1) !== count)
    return undefined;
  const operand = node.version >= 18;
  const settings = { keepdims: { i: intAttr(sum.record, "keepdims", 1) }, ...(operand ? {} : { axes: { ints: axes } }) };
  const list = operand ? [integers(node, "over", axes)] : [];
  const inputs = [sum.record.inputs[0], ...list.map(({ outputs }) => outputs[0])];
  return [...list, make(node, "ReduceMean", inputs, outputOf(node), settings)];
};

const whole: Rewrite = (node, { facts }) => {
  const type = { AveragePool: "GlobalAveragePool", MaxPool: "GlobalMaxPool" }[node.opType];
  const [kernel, plane] = [intsAttr(node.record, "kernel_shape"), facts.shape(node.inputs[0])?.slice(2)];
  const { record } = node;
  if (node.domain !== "" || type === undefined || plane === undefined || record.outputs.slice(1).some((name) => name !== ""))
    return undefined;
  const none = (name: string, v: number) => (intsAttr(record, name) ?? []).every((d) => d === v);
  if (!none("pads", 0) || !none("dilations", 1) || !["NOTSET", "VALID", ""].includes(stringAttr(record, "auto_pad", "NOTSET")))
    return undefined;
  return plane.length > 0 && kernel?.length === plane.length && kernel.every((d, i) => d === plane[i])
    ? [make(node, type, record.inputs.slice(0, 1), outputOf(node))]
    : undefined;
};

/** Kernel, steps and pads of a MaxPool of plain windows. */
function windowsOf(node: GraphNode | undefined, { facts }: Side) {
  const kernel = node && intsAttr(node.record, "kernel_shape");
  if (node?.domain !== "" || node.opType !== "MaxPool" || kernel === undefined || node.record.outputs.slice(1).some(Boolean))
    return undefined;
  const all = (name: string, n: number, v: number) => intsAttr(node.record, name) ?? new Array<number>(n).fill(v);
  const [n, auto] = [kernel.length, stringAttr(node.record, "auto_pad", "NOTSET") || "NOTSET"];
  const [strides, pads] = [all("strides", n, 1), all("pads", 2 * n, 0)];
  const plain = all("dilations", n, 1).every((d) => d === 1) && intAttr(node.record, "ceil_mode", 0) === 0 && auto === "NOTSET";
  // A window of pads alone has no largest number.
  const filled = pads.every((p, i) => p >= 0 && p < kernel[i % n]) && facts.rank(node.inputs[0]) === n + 2;
  return plain && filled ? { kernel, strides, pads } : undefined;
}

const larger: Rewrite = (node, side) => {
  const maker = makerOf(node.inputs[0], node);
  const [outer, own] = [windowsOf(node, side), windowsOf(maker, side)];
  if (maker === undefined || outer === undefined || own === undefined || own.strides.some((s) => s !== 1)) return undefined;
  return [
    make(node, "MaxPool", maker.record.inputs, outputOf(node), {
      kernel_shape: { ints: own.kernel.map((k, i) => k + outer.kernel[i] - 1) },
      pads: { ints: own.pads.map((p, i) => p + outer.pads[i]) },
      strides: { ints: outer.strides },
    }),
  ];
};

const where = ["ReduceMean", "GlobalAveragePool", "Squeeze", "Reshape", "Flatten"];

export const MEANS: readonly Rewriting[] = [
  { equation: ["ReduceSum(x) / n", "ReduceMean(x)"], rewrite: averaged, where: ["ReduceMean", "ReduceSum"] },
  { equation: ["MaxPool(MaxPool(x; k); m)", "MaxPool(x; k + m − 1)"], rewrite: larger, where: ["MaxPool"] },
  { equation: ["a pool of the whole plane", "a global pool"], rewrite: whole, where: ["AveragePool", "MaxPool"] },
  { equation: ["AveragePool(x; zeros counted), no pads", "AveragePool(x)"], rewrite: counting },
  { equation: ["Reduce(x; A), told what to do without A", "Reduce(x; A)"], rewrite: told },
  { equation: ["Reduce(x; A) that drops its axes", "Squeeze(Reduce(x; A), A)"], rewrite: dropped, where },
  { equation: ["ReduceMean(ReduceMean(x; A); B)", "ReduceMean(x; A ∪ B)"], rewrite: twice, where },
  { equation: ["ReduceMean(Reshape(x))", "Reshape(ReduceMean(x))"], rewrite: joined, where },
];

export const POOLED: Rewriting = { equation: ["ReduceMean over the plane", "GlobalAveragePool"], rewrite: pooled };
