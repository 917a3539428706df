/** Nodes, counts and reasons as plain data and plain words. */
import type { GraphNode, GraphView } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import type { Counts, NodeRef } from "./types.ts";

export const refOf = (node: GraphNode): NodeRef => ({
  scope: node.scope.path,
  index: node.record.index,
  opType: node.record.opType,
  name: node.record.name,
  output: node.record.outputs.find((name) => name !== "") ?? "",
});

/** A node of the file as a key: its graph and its place there. */
export const nodeKey = ({ scope, index }: Pick<NodeRef, "scope" | "index">): string => `${scope}#${index}`;

/** "Conv conv1", or by its first output when it has no name. */
export const nameOf = (node: GraphNode): string => {
  const name = node.record.name || node.record.outputs.find((o) => o !== "") || `#${node.record.index}`;
  return `${node.record.opType} "${name}"`;
};

/** Node counts of a model; `affines` is how many constant affine nodes were recognised. */
export function countNodes(view: GraphView, affines: number): Counts {
  const operators: Record<string, number> = {};
  let nodes = 0;
  for (const scope of view.scopes) {
    for (const node of scope.nodes) {
      if (node.removed) continue;
      const { domain } = node.record;
      const key = domain === "" ? node.opType : `${domain}::${node.opType}`;
      operators[key] = (operators[key] ?? 0) + 1;
      nodes++;
    }
  }
  return { nodes, batchNormalizations: operators.BatchNormalization ?? 0, affines, operators };
}

/** Node counts of the graph as a plan leaves it: with operators that changed their type (MatMul that became Gemm), and new ones. */
export function countPlanned(view: GraphView, draft: Draft, affines: number, inserted: readonly string[]): Counts {
  const counted = countNodes(view, affines);
  const operators = { ...counted.operators };
  const add = (type: string, by: number) => {
    operators[type] = (operators[type] ?? 0) + by;
    if (operators[type] === 0) delete operators[type];
  };
  for (const type of inserted) add(type, 1);
  for (const [node, { opType }] of draft.changed()) {
    if (opType === node.opType || node.removed) continue;
    add(node.opType, -1);
    add(opType, 1);
  }
  const nodes = counted.nodes + inserted.length;
  return { ...counted, nodes, batchNormalizations: operators.BatchNormalization ?? 0, operators };
}
