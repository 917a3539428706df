/**
 * Two graphs laid over each other: nodes that both have are one node, and each edge knows whose it is. With one graph, that graph.
 * And what is near a node.
 */
import type { DrawnGraph, DrawnNode, GraphPair } from "../protocol.ts";

/** What happened to a node. */
export const MARKS = ["folded", "merged", "kept", "changed", "removed", "added"] as const;
export type Mark = (typeof MARKS)[number];

export type Side = "both" | "before" | "after";

export interface NetNode {
  /** As it is in the first graph, where it is in that. */
  readonly node: DrawnNode;
  /** As it is in the second one. */
  readonly now?: DrawnNode;
  readonly side: Side;
  readonly mark?: Mark;
}

export interface NetEdge {
  readonly from: number;
  readonly to: number;
  readonly side: Side;
}

export interface Net {
  readonly nodes: readonly NetNode[];
  readonly edges: readonly NetEdge[];
  /** Edges into and out of each node: places in `edges`. */
  readonly into: readonly (readonly number[])[];
  readonly out: readonly (readonly number[])[];
}

/** @param marks of nodes of the first graph, by place; a node that only one graph has needs none. */
export function netOf({ before, after, pairs }: GraphPair, marks: ReadonlyMap<number, Mark>): Net {
  const partner = new Map(pairs);
  const alone = (mark: Mark): Mark | undefined => (after === undefined ? undefined : mark);
  const nodes: NetNode[] = before.nodes.map((node, i) => {
    const other = partner.get(i);
    const mark = marks.get(i) ?? (other === undefined ? alone("removed") : undefined);
    const now = other === undefined ? undefined : after?.nodes[other];
    return { node, ...(now === undefined ? {} : { now }), side: now === undefined ? "before" : "both", mark };
  });
  const places = new Map(pairs.map(([p, q]) => [q, p]));
  after?.nodes.forEach((node, i) => {
    if (!places.has(i)) places.set(i, nodes.push({ node, now: node, side: "after", mark: "added" }) - 1);
  });
  const edges = joined(before, after, places);
  const into: number[][] = nodes.map(() => []);
  const out: number[][] = nodes.map(() => []);
  edges.forEach(({ from, to }, i) => {
    out[from].push(i);
    into[to].push(i);
  });
  return { nodes, edges, into, out };
}

/** One edge for each pair of nodes, with the graphs that have it. */
function joined(before: DrawnGraph, after: DrawnGraph | undefined, places: ReadonlyMap<number, number>): NetEdge[] {
  const found = new Map<string, { from: number; to: number; side: Side }>();
  for (const { from, to } of before.edges) found.set(`${from} ${to}`, { from, to, side: "before" });
  for (const edge of after?.edges ?? []) {
    const [from, to] = [places.get(edge.from) as number, places.get(edge.to) as number];
    const known = found.get(`${from} ${to}`);
    if (known === undefined) found.set(`${from} ${to}`, { from, to, side: "after" });
    else if (known.side === "before") known.side = "both";
  }
  return [...found.values()];
}

export interface Nearby {
  readonly nodes: readonly number[];
  /** Neighbours of each that are left out. */
  readonly hidden: ReadonlyMap<number, number>;
}

/** Nodes within `depth` edges of any of `starts`, the nearest ones where there are more than `most`. */
export function nearby(net: Net, starts: readonly number[], depth: number, most: number): Nearby {
  const found = new Set(starts);
  const neighbours = (i: number) => [
    ...net.into[i].map((edge) => net.edges[edge].from),
    ...net.out[i].map((edge) => net.edges[edge].to),
  ];
  let ring = [...found];
  for (let d = 0; d < depth && ring.length > 0; d++) {
    const next: number[] = [];
    for (const i of ring) {
      for (const one of neighbours(i)) {
        if (found.size >= most || found.has(one)) continue;
        found.add(one);
        next.push(one);
      }
    }
    ring = next;
  }
  const left = [...found].map((i) => [i, new Set(neighbours(i).filter((one) => !found.has(one))).size] as const);
  return { nodes: [...found], hidden: new Map(left.filter(([, n]) => n > 0)) };
}
