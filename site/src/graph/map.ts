/**
 * The whole graph as cells, like text: nodes in columns by their rank (longest way from an input), columns wrapped into lines.
 * Linear in nodes and edges, where a layered drawing of ten thousand nodes would take minutes and show nothing.
 */
import type { Net } from "./net.ts";

/** Nodes of one rank above each other; more begin another column. */
const TALL = 8;

export interface Cells {
  readonly columns: number;
  /** Lines of the wrapped map, as rows of cells. */
  readonly rows: number;
  /** Cell of each node. */
  readonly at: readonly { readonly column: number; readonly row: number }[];
}

/** Longest way from a node that reads nothing; such nodes stand right before their first reader. */
export function ranks({ nodes, edges, into, out }: Net): number[] {
  const rank = new Array<number>(nodes.length).fill(0);
  const left = into.map((list) => list.length);
  const ready = nodes.flatMap((_, i) => (left[i] === 0 ? [i] : []));
  const done = new Set<number>();
  let first = 0;
  for (let k = 0; k < ready.length; k++) {
    const i = ready[k];
    done.add(i);
    for (const edge of out[i]) {
      const { to } = edges[edge];
      rank[to] = Math.max(rank[to], rank[i] + 1);
      if (--left[to] === 0) ready.push(to);
    }
    // Two graphs laid over each other can close a circle: then the rest is taken in the order of the file.
    if (k === ready.length - 1 && done.size < nodes.length) {
      while (done.has(first)) first++;
      left[first] = 0;
      ready.push(first);
    }
  }
  for (const [i, list] of out.entries()) {
    if (into[i].length > 0 || list.length === 0) continue;
    rank[i] = Math.max(0, list.reduce((n, edge) => Math.min(n, rank[edges[edge].to]), Number.POSITIVE_INFINITY) - 1);
  }
  return rank;
}

export function cellsOf(net: Net, columns: number): Cells {
  const rank = ranks(net);
  const stacks: number[][] = [];
  const byRank: number[][] = [];
  for (const [i, r] of rank.entries()) {
    byRank[r] ??= [];
    byRank[r].push(i);
  }
  for (const list of byRank) {
    for (let k = 0; k < (list?.length ?? 0); k += TALL) stacks.push(list.slice(k, k + TALL));
  }
  const at = new Array<{ column: number; row: number }>(rank.length);
  let rows = 0;
  for (let first = 0; first < stacks.length; first += columns) {
    const line = stacks.slice(first, first + columns);
    line.forEach((stack, column) => {
      stack.forEach((i, k) => {
        at[i] = { column, row: rows + k };
      });
    });
    // One empty row between lines.
    rows += line.reduce((n, stack) => Math.max(n, stack.length), 1) + 1;
  }
  return { columns: Math.min(columns, stacks.length), rows, at };
}
