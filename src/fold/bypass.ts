import type { GraphNode } from "../graph/view.ts";
import type { Fold } from "./types.ts";

/** Takes a node out of the graph: its input and its output become one value, under the name that more readers know. */
export function bypass(node: GraphNode, input: number, direction: Fold["direction"]): void {
  const x = node.inputs[input];
  const y = node.outputs[0];
  if (x === undefined || y === undefined) return;
  node.removed = true;
  for (const value of node.inputs) value?.release();
  const producer = x.producer;
  if (direction !== "forward" && producer !== undefined && x.scope === y.scope) {
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
  for (const use of y.uses) use.node.inputs[use.index] = x;
  x.adopt(y.uses);
  y.uses = [];
  y.producer = undefined;
}
