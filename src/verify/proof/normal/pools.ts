/**
 *   ReduceMean of x over all axes but the first two, kept      GlobalAveragePool(x)
 *
 * Exact: two names of one mean. Needs the rank, of at least 3.
 */
import { intAttr, intsAttr } from "../../../graph/attributes.ts";
import { make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const pooled: Rewrite = (node, { facts }) => {
  if (node.domain !== "" || node.opType !== "ReduceMean" || intAttr(node.record, "keepdims", 1) !== 1) return undefined;
  const rank = facts.rank(node.inputs[0]);
  const axes = node.inputs[1] === undefined ? intsAttr(node.record, "axes") : facts.numbers(node.inputs[1]);
  if (rank === undefined || rank < 3 || axes === undefined) return undefined;
  const over = new Set(axes.map((axis) => (axis < 0 ? axis + rank : axis)));
  if (over.size !== rank - 2 || over.has(0) || over.has(1)) return undefined;
  return [make(node, "GlobalAveragePool", node.record.inputs.slice(0, 1), outputOf(node))];
};

export const POOLED: Rewriting = { equation: ["ReduceMean over the plane", "GlobalAveragePool"], rewrite: pooled };
