/** Where two files meet: what their graphs, subgraphs and functions take in and give out. */
import type { GraphValue, Scope } from "../../graph/view.ts";
import type { Classes, Side } from "./classes.ts";
import { exact, type Relation } from "./relation.ts";

const namesOf = (list: readonly (string | { readonly name: string })[]): string[] =>
  list.map((item) => (typeof item === "string" ? item : item.name));
const inputNames = (scope: Scope): string[] => namesOf(scope.record.inputs);
export const outputNames = (scope: Scope): string[] => namesOf(scope.record.outputs);

/** What has no producer is related by scope and name; formal inputs of inner graphs and functions by position. */
export function relatedInputs(a: Side, b: Side, classes: Classes): Map<GraphValue, Relation> {
  const scopes = new Map(a.view.scopes.map((scope) => [scope.path, scope]));
  const related = new Map<GraphValue, Relation>();
  for (const scope of b.view.scopes) {
    const other = scopes.get(scope.path);
    const twins =
      scope.kind === "main" ? new Map() : new Map(inputNames(scope).map((name, i) => [name, other && inputNames(other)[i]]));
    for (const value of scope.values.values()) {
      if (value.producer !== undefined || b.constants.has(value)) continue;
      const twin = other?.values.get(twins.get(value.name) ?? value.name);
      const known = twin && classes.of(twin);
      if (known !== undefined) related.set(value, exact(known.core, known));
    }
  }
  return related;
}
