import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Fold } from "./types.ts";

/**
 * Takes a node out of the graph: its input and its output become one value. Its name is that of the output, unless the map went
 * forward or more readers know the input.
 */
export function bypass(node: GraphNode, input: number, direction: Fold["direction"]): void {
  const [x, y] = [node.inputs[input], node.outputs[0]] as [GraphValue, GraphValue];
  node.removed = true;
  for (const value of node.inputs) value?.release();
  const producer = x.producer;
  const fixed = (value: GraphValue) => value.isOutput || value.isAnnotated || value.isBound;
  const known = !fixed(y) && (fixed(x) || x.readerCount > y.readerCount);
  if (direction !== "forward" && producer !== undefined && x.scope === y.scope && !known) {
    const others = x.uses;
    producer.outputs[x.outputIndex] = y;
    y.producer = producer;
    y.outputIndex = x.outputIndex;
    for (const use of others) use.node.inputs[use.index] = y;
    y.adopt(others);
    x.producer = undefined;
    x.uses = [];
    return;
  }
  const readers = y.uses;
  for (const use of readers) use.node.inputs[use.index] = x;
  x.adopt(readers);
  y.uses = [];
  y.producer = undefined;
}
