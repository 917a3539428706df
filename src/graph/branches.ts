/** What the graphs give that a node chooses from: each result of an If is that of one of its branches. */
import type { GraphNode, GraphValue, Scope } from "./view.ts";

/** Names of what a graph or function gives. */
export const outputNames = ({ record }: Scope): string[] =>
  record.outputs.map((output) => (typeof output === "string" ? output : output.name));

/** Result `index` of a graph, where the graph itself computes it and gives it nowhere else. */
export function resultOf(body: Scope, index: number): GraphValue | undefined {
  const names = outputNames(body);
  const name = names[index];
  const value = name === undefined ? undefined : body.values.get(name);
  return value?.producer === undefined || names.indexOf(name) !== names.lastIndexOf(name) ? undefined : value;
}

/** What each branch of a node gives as its output `index`. */
export const resultsOf = ({ bodies }: GraphNode, index: number): (GraphValue | undefined)[] =>
  bodies.map((body) => resultOf(body, index));
