/**
 * Softmax and what is made of it.
 *
 *   LogSoftmax(x)                        Log(Softmax(x))            and exp of it is Softmax(x)
 *   exp(x) / Σ exp(x) along an axis      Softmax(x)
 *   x − ReduceLogSumExp(x), x − log Σ exp(x)      Log(Softmax(x))
 *   Softmax(x − ReduceMax(x))            Softmax(x)                 along the axis
 *   Softmax(x) along an axis of 1        ones
 *
 * Exact over the reals. Only where the files have another number of these operators; what is made a Softmax along one axis since opset 13.
 */
import { intAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { Body } from "./body.ts";
import { sizesOf } from "./orders.ts";
import { isReal, made } from "./powers.ts";
import { inner, listAt, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const ALONG_ONE = 13;

function along(value: GraphValue | undefined, opType: string, node: GraphNode, side: Side): GraphNode | undefined {
  const maker = made(value, opType, node, side);
  return maker !== undefined && maker.version >= ALONG_ONE ? maker : undefined;
}

/** The one axis a reduction keeps with a size of 1. */
function axisOf(node: GraphNode, side: Side): number | undefined {
  const [axes, rank] = [listAt(node, 1, "axes", side), side.facts.rank(node.inputs[0])];
  if (axes?.length !== 1 || rank === undefined || intAttr(node.record, "keepdims", 1) !== 1) return undefined;
  return axes[0] < 0 ? axes[0] + rank : axes[0];
}

const logarithm: Rewrite = (node, side) => {
  if (!isReal(node, "LogSoftmax", side)) return undefined;
  const soft = inner(node, "soft");
  const attributes = new Map(node.record.attributes);
  return [{ ...make(node, "Softmax", node.record.inputs, soft), attributes }, make(node, "Log", [soft], outputOf(node))];
};

/** exp undoes a logarithm, of what is above 0. */
const undone: Rewrite = (node, side) => {
  const log = isReal(node, "Exp", side) ? along(node.inputs[0], "Log", node, side) : undefined;
  return log && along(log.inputs[0], "Softmax", node, side) && [make(node, "Identity", log.record.inputs, outputOf(node))];
};

const quotient: Rewrite = (node, side) => {
  if (!isReal(node, "Div", side)) return undefined;
  const [power, sum] = [along(node.inputs[0], "Exp", node, side), along(node.inputs[1], "ReduceSum", node, side)];
  const axis = sum && axisOf(sum, side);
  if (power === undefined || axis === undefined || makerOf(sum?.inputs[0], node) !== power) return undefined;
  return [make(node, "Softmax", power.record.inputs, outputOf(node), { axis: { i: axis } })];
};

const difference: Rewrite = (node, side) => {
  if (!isReal(node, "Sub", side)) return undefined;
  const log = along(node.inputs[1], "Log", node, side);
  const sum =
    log === undefined ? along(node.inputs[1], "ReduceLogSumExp", node, side) : along(log.inputs[0], "ReduceSum", node, side);
  const of = log === undefined ? sum?.inputs[0] : along(sum?.inputs[0], "Exp", node, side)?.inputs[0];
  const axis = sum && axisOf(sum, side);
  if (axis === undefined || of === undefined || of !== node.inputs[0]) return undefined;
  const soft = inner(node, "soft");
  return [make(node, "Softmax", [node.record.inputs[0]], soft, { axis: { i: axis } }), make(node, "Log", [soft], outputOf(node))];
};

/** The largest number taken away before: it is one along the axis. */
const shifted: Rewrite = (node, side) => {
  if (!isReal(node, "Softmax", side) || node.version < ALONG_ONE) return undefined;
  const sub = along(node.inputs[0], "Sub", node, side);
  const most = sub && along(sub.inputs[1], "ReduceMax", node, side);
  const [axis, rank] = [most && axisOf(most, side), side.facts.rank(node.inputs[0])];
  const given = intAttr(node.record, "axis", -1);
  if (sub === undefined || axis === undefined || rank === undefined || most?.inputs[0] !== sub.inputs[0]) return undefined;
  return (given < 0 ? given + rank : given) === axis ? [{ ...node.record, inputs: [sub.record.inputs[0]] }] : undefined;
};

/** Along one place it is one whatever stands there. */
const alone: Rewrite = (node, side) => {
  const shape = isReal(node, "Softmax", side) && node.version >= ALONG_ONE ? side.facts.shape(node.inputs[0]) : undefined;
  const dims = sizesOf(shape);
  if (dims?.at(intAttr(node.record, "axis", -1)) !== 1 || side.facts.of(node.inputs[0]).dtype !== 1) return undefined;
  const body = new Body(node);
  return body.last("Expand", [body.number("one", 1), body.list("dims", dims)]);
};

const where = ["Softmax", "LogSoftmax", "ReduceLogSumExp", "ReduceMax", "Exp"];

export const SOFTMAXES: readonly Rewriting[] = [
  { equation: ["Softmax(x) along one place", "ones"], rewrite: alone, where },
  { equation: ["LogSoftmax(x)", "Log(Softmax(x))"], rewrite: logarithm, where },
  { equation: ["exp(Log(Softmax(x)))", "Softmax(x)"], rewrite: undone, where },
  { equation: ["exp(x) / Σ exp(x)", "Softmax(x)"], rewrite: quotient, where },
  { equation: ["x − log Σ exp(x)", "Log(Softmax(x))"], rewrite: difference, where },
  { equation: ["Softmax(x − ReduceMax(x))", "Softmax(x)"], rewrite: shifted, where },
];
