/**
 * An order of nodes that the file's own order has no part in: by how far they are from where the graph begins, then by what is around
 * them, then by name. Where candidates can go only instead of each other, the one that comes first decides; the same graph with
 * its nodes written down in another order gets the same plan.
 */
import type { GraphNode, GraphView } from "../graph/view.ts";

/** Nodes of a view that `chosen` holds, each behind those that make what it reads. */
export function inOrder(view: GraphView, chosen: ReadonlySet<GraphNode>): GraphNode[] {
  const depths = new Map<GraphNode, number>();
  for (const node of view.nodes) {
    let depth = 0;
    for (const value of node.inputs)
      if (value?.producer !== undefined) depth = Math.max(depth, (depths.get(value.producer) ?? 0) + 1);
    depths.set(node, depth);
  }
  const around = new Map<GraphNode, string>();
  const textOf = (node: GraphNode): string => {
    const known = around.get(node) ?? surroundings(node);
    around.set(node, known);
    return known;
  };
  const depthOf = (node: GraphNode) => depths.get(node) as number;
  return [...chosen].sort((p, q) => depthOf(p) - depthOf(q) || compare(textOf(p), textOf(q)));
}

const compare = (x: string, y: string): number => (x < y ? -1 : x > y ? 1 : 0);

function surroundings(node: GraphNode): string {
  const before = node.inputs.map((value) => value?.producer?.opType ?? "");
  const after = node.outputs.flatMap((value) => (value === undefined ? [] : [...value.readers()].map((use) => use.node.opType)));
  const [name] = node.outputs.flatMap((value) => value?.name ?? []);
  return [node.opType, before.join(), after.sort().join(), node.scope.path, name].join("\n");
}
