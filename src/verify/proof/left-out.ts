/**
 * An operator g of the second file that reads v where its counterpart in the first reads f(v): f was left out. That it gives g(v) in the
 * place of g(f(v)) is certain, whatever comes of it; where no input shows it, a run that agrees says nothing.
 */
import { isPlain } from "../../affine/gauge.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import type { Classes, Side } from "./classes.ts";
import { familyOf } from "./match.ts";
import { type Failure, failed } from "./outcome.ts";
import { exact, type Relation, relative } from "./relation.ts";
import { sameSetting } from "./settings.ts";

export function leftOut(
  a: Side,
  b: Side,
  classes: Classes,
  related: ReadonlyMap<GraphValue, Relation>,
  node: GraphNode,
): Failure | undefined {
  const twin = a.view.scopes.find((s) => s.path === node.scope.path)?.values.get(node.outputs[0]?.name ?? "");
  const other = twin?.producer;
  const known = twin && classes.of(twin);
  if (other === undefined || known === undefined || familyOf(other) !== familyOf(node)) return undefined;
  if (other.inputs.length !== node.inputs.length) return undefined;
  let missing: GraphNode | undefined;
  for (const [i, value] of node.inputs.entries()) {
    const theirs = other.inputs[i];
    if (value === undefined || b.constants.has(value)) {
      if (!sameSetting(a, other, i, b, node, i)) return undefined;
      continue;
    }
    const [beta, alpha] = [related.get(value), theirs && classes.of(theirs)];
    if (beta === undefined || alpha === undefined) return undefined;
    if (beta.core === alpha.core) {
      if (relative(beta, alpha)?.identity !== true) return undefined;
      continue;
    }
    // What made the class: Casts and other maps that change nothing may follow it.
    if (!isPlain(alpha)) return undefined;
    const maker = alpha.core.value.producer;
    const read = maker?.inputs.filter((v) => v !== undefined && !a.constants.has(v)) ?? [];
    const from = read.length === 1 && read[0] !== undefined ? classes.of(read[0]) : undefined;
    if (from === undefined || from.core !== beta.core || relative(beta, from)?.identity !== true) return undefined;
    missing = maker;
  }
  return (
    missing && {
      ...failed(`${missing.label} stands before ${node.label} in the first file only`),
      instead: exact(known.core, known),
    }
  );
}
