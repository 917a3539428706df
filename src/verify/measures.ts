/**
 * Numbers that only say how large a tensor is, or which part of it is taken, or which function it is: the scales of a Resize, what a
 * shape is computed from, an exponent. They are no coefficients: moved by a rounding, 2 becomes 1.9999999, and a row less comes
 * out, or no number at all where the base is negative.
 */
import { traitsOf } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView, Use } from "../graph/view.ts";

/** The values that only measure, by all that is made of them. */
export function measuresOf(view: GraphView): ReadonlySet<GraphValue> {
  const found = new Set<GraphValue>();
  const nodes = new Set<GraphNode>();
  const measures = ({ node, index }: Use) => nodes.has(node) || index >= (traitsOf(node)?.measures ?? Number.POSITIVE_INFINITY);
  const settle = (value: GraphValue) => {
    if (!value.isOutput && value.readerCount > 0 && value.uses.every(measures)) found.add(value);
  };
  for (const node of view.nodes.toReversed()) {
    for (const value of node.outputs) if (value !== undefined) settle(value);
    if (node.bodies.length === 0 && node.outputs.every((value) => value === undefined || found.has(value))) nodes.add(node);
  }
  for (const scope of view.scopes) for (const value of scope.values.values()) if (value.producer === undefined) settle(value);
  return found;
}
