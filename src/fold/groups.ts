/**
 * Affine nodes that stand beside each other: behind one operator, or before one. Each alone may be refused because of the others
 * (two readers of a value that ask the same, a sum all of whose operands carry one gain), so they are tried together as well.
 */
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate } from "./candidates.ts";

/** Groups of at least `least` nodes, in the order in which their first members are given. */
export function groupsOf(found: readonly Candidate[], least: number): Candidate[][] {
  const behind = new Map<GraphNode, Candidate[]>();
  const before = new Map<GraphNode, Candidate[]>();
  for (const candidate of found) {
    const { node, input } = candidate;
    const [x, y] = [node.inputs[input], node.outputs[0]];
    if (x?.producer !== undefined && x.scope === node.scope) put(behind, x.producer, candidate);
    if (y?.readerCount !== 1) continue;
    const [use] = y.readers();
    if (use !== undefined) put(before, use.node, candidate);
  }
  return [...behind.values(), ...before.values()].filter((group) => group.length >= least);
}

function put(groups: Map<GraphNode, Candidate[]>, at: GraphNode, candidate: Candidate): void {
  const group = groups.get(at);
  if (group === undefined) groups.set(at, [candidate]);
  else group.push(candidate);
}

const isFixed = (value: GraphValue | undefined): boolean =>
  value !== undefined && (value.isOutput || value.isAnnotated || value.isBound);

/** True when no value would have to keep two names. */
export function canGoTogether(members: readonly Candidate[]): boolean {
  const fixed = members.filter(({ node }) => isFixed(node.outputs[0])).map(({ node, input }) => node.inputs[input]);
  return new Set(fixed).size === fixed.length;
}
