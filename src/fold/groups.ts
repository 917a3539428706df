/**
 * Affine nodes that stand beside each other: behind one operator, or before one. Each alone may be refused because of the others
 * (two readers of a value that ask the same, a sum all of whose operands carry one gain), so they are tried together as well.
 */
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate } from "../laws/candidates.ts";

/**
 * Groups of at least `least` nodes, in the order in which their first members are given. `inputOf`: which input of a node its
 * map is applied to.
 */
export function groupsOf(
  nodes: readonly GraphNode[],
  inputOf: (node: GraphNode) => number | undefined,
  least: number,
): GraphNode[][] {
  const behind = new Map<GraphNode, GraphNode[]>();
  const before = new Map<GraphNode, GraphNode[]>();
  for (const node of nodes) {
    const input = inputOf(node);
    if (input === undefined) continue;
    const [x, y] = [node.inputs[input], node.outputs[0]];
    if (x?.producer !== undefined && x.scope === node.scope) put(behind, x.producer, node);
    if (y?.readerCount !== 1) continue;
    const [use] = y.readers();
    if (use !== undefined) put(before, use.node, node);
  }
  return [...behind.values(), ...before.values()].filter((group) => group.length >= least);
}

function put(groups: Map<GraphNode, GraphNode[]>, at: GraphNode, node: GraphNode): void {
  const group = groups.get(at);
  if (group === undefined) groups.set(at, [node]);
  else group.push(node);
}

const isFixed = (value: GraphValue | undefined): boolean =>
  value !== undefined && (value.isOutput || value.isAnnotated || value.isBound);

/** True when no value would have to keep two names. */
export function canGoTogether(members: readonly Candidate[]): boolean {
  const fixed = members.filter(({ node }) => isFixed(node.outputs[0])).map(({ node, input }) => node.inputs[input]);
  return new Set(fixed).size === fixed.length;
}
