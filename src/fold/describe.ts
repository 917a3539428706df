/** Nodes, counts and reasons as plain data and plain words. */
import { says } from "../diag/codes.ts";
import type { GraphNode, GraphView } from "../graph/view.ts";
import type { Candidate, Rejected } from "../laws/candidates.ts";
import type { Refused } from "../rules/types.ts";
import type { Draft } from "./draft.ts";
import type { Counts, Kept, NodeRef } from "./types.ts";

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

/** The two ways out of a node, each with what stopped it. */
export interface Attempt {
  readonly backward: Refused;
  readonly forward: Refused;
}

const clause = (refused: Refused, own: GraphNode): string => {
  const subject = refused.node === undefined || refused.node === own ? "it" : nameOf(refused.node);
  return `${subject} ${refused.because}`;
};

export function keptBecause(found: Candidate | Rejected, attempt: Attempt | Refused): Kept {
  const { node, kind } = found;
  const single = "refused" in attempt;
  const { backward, forward } = single ? { backward: attempt, forward: attempt } : attempt;
  // A way that is open but for what it costs is the one to tell of.
  const costs = [backward, forward].find(({ refused }) => refused === "precision-loss");
  const main = costs ?? (says(backward.refused, "vague") && says(forward.refused, "concrete") ? forward : backward);
  const sentence = single
    ? `${nameOf(node)}: ${clause(attempt, node)}.`
    : `${nameOf(node)}: backward, ${clause(backward, node)}; forward, ${clause(forward, node)}.`;
  return {
    node: refOf(node),
    kind,
    code: main.refused,
    ...(main.node !== undefined && main.node !== node ? { blocker: refOf(main.node) } : {}),
    ...(main.value !== undefined ? { value: main.value.name } : {}),
    facts: main.facts ?? {},
    message: sentence,
  };
}
