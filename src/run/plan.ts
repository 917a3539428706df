/**
 * In which order a list of nodes runs, and when each value is read for the last time. Files may list nodes in any order:
 * the order is a depth-first walk from the wanted values that takes nodes in file order, so a sorted file keeps its order.
 */
import { BnfoldError } from "../diag/error.ts";
import type { GraphRecord, NodeRecord } from "../onnx/records.ts";

export interface Step {
  readonly node: NodeRecord;
  /** Values of this scope that nobody reads after this step. */
  readonly frees: readonly string[];
}

export interface Plan {
  readonly steps: readonly Step[];
  /** Values read but not computed here, with the first node that reads each (undefined: it is wanted itself). */
  readonly needs: ReadonlyMap<string, NodeRecord | undefined>;
}

export const nodeName = (node: NodeRecord): string =>
  `${node.name || node.outputs.find((o) => o !== "") || `#${node.index}`} (${node.domain === "" ? "" : `${node.domain}.`}${node.opType})`;

const captureCache = new WeakMap<NodeRecord, readonly string[]>();

/** Names the subgraphs of a node take from the scope around it. */
export function captures(node: NodeRecord): readonly string[] {
  let known = captureCache.get(node);
  if (known === undefined) {
    const names = new Set<string>();
    for (const { g, graphs } of node.attributes.values()) {
      for (const graph of g === undefined ? graphs : [g, ...graphs]) for (const name of freeNames(graph)) names.add(name);
    }
    known = [...names];
    captureCache.set(node, known);
  }
  return known;
}

function freeNames(graph: GraphRecord): Set<string> {
  const own = new Set<string>();
  for (const input of graph.inputs) own.add(input.name);
  for (const tensor of graph.initializers) own.add(tensor.name);
  for (const sparse of graph.sparseInitializers) own.add(sparse.values.name);
  for (const node of graph.nodes) for (const output of node.outputs) own.add(output);
  const free = new Set<string>();
  const read = (name: string) => {
    if (name !== "" && !own.has(name)) free.add(name);
  };
  for (const node of graph.nodes) {
    node.inputs.forEach(read);
    captures(node).forEach(read);
  }
  for (const output of graph.outputs) read(output.name);
  return free;
}

/** Every name a node reads: its inputs and what its subgraphs capture. */
function reads(node: NodeRecord): string[] {
  return [...node.inputs, ...captures(node)].filter((name) => name !== "");
}

function producers(nodes: readonly NodeRecord[]): Map<string, number> {
  const by = new Map<string, number>();
  nodes.forEach((node, i) => {
    for (const output of node.outputs) {
      if (output === "") continue;
      const other = by.get(output);
      if (other !== undefined) {
        throw new BnfoldError(
          "model",
          `two nodes compute the value "${output}": ${nodeName(nodes[other])} and ${nodeName(node)}`,
          {
            tensor: output,
          },
        );
      }
      by.set(output, i);
    }
  });
  return by;
}

/** Indices of the nodes that `wanted` needs, each after everything it reads. */
function order(nodes: readonly NodeRecord[], by: ReadonlyMap<string, number>, wanted: readonly string[]): number[] {
  const needed = new Uint8Array(nodes.length);
  const todo = wanted.flatMap((name) => by.get(name) ?? []);
  for (let i = todo.pop(); i !== undefined; i = todo.pop()) {
    if (needed[i]) continue;
    needed[i] = 1;
    for (const name of reads(nodes[i])) {
      const from = by.get(name);
      if (from !== undefined && !needed[from]) todo.push(from);
    }
  }
  const state = new Uint8Array(nodes.length); // 0 unseen, 1 on the current path, 2 placed
  const out: number[] = [];
  for (let root = 0; root < nodes.length; root++) {
    if (!needed[root] || state[root] !== 0) continue;
    const path: { at: number; rest: number[] }[] = [];
    const enter = (at: number) => {
      state[at] = 1;
      path.push({ at, rest: reads(nodes[at]).flatMap((name) => by.get(name) ?? []) });
    };
    enter(root);
    while (path.length > 0) {
      const { at, rest } = path[path.length - 1];
      const next = rest.pop();
      if (next === undefined) {
        state[at] = 2;
        out.push(at);
        path.pop();
      } else if (state[next] === 1) {
        throw new BnfoldError("model", `the graph has a cycle through ${nodeName(nodes[next])} and ${nodeName(nodes[at])}`, {
          node: nodeName(nodes[next]),
          tensor: nodes[next].outputs[0],
        });
      } else if (state[next] === 0) enter(next);
    }
  }
  return out;
}

/** Plans the nodes that `wanted` needs. Values in `wanted` are never freed. */
export function plan(nodes: readonly NodeRecord[], wanted: readonly string[]): Plan {
  const by = producers(nodes);
  const sorted = order(nodes, by, wanted).map((i) => nodes[i]);
  const needs = new Map<string, NodeRecord | undefined>();
  const lastRead = new Map<string, number>();
  sorted.forEach((node, at) => {
    for (const name of node.outputs) if (name !== "") lastRead.set(name, at);
    for (const name of reads(node)) {
      lastRead.set(name, at);
      if (!by.has(name) && !needs.has(name)) needs.set(name, node);
    }
  });
  const keep = new Set(wanted);
  for (const name of keep) if (name !== "" && !by.has(name) && !needs.has(name)) needs.set(name, undefined);
  const frees: string[][] = sorted.map(() => []);
  for (const [name, at] of lastRead) if (!keep.has(name)) frees[at].push(name);
  return { steps: sorted.map((node, at) => ({ node, frees: frees[at] })), needs };
}
