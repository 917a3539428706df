/**
 * Digits that numbers lose in Casts (casts.ts), where the two files lose them in different places.
 *
 *   cast_T(y)   y                 where what y stands for is stored in the first file with no more digits than T
 *   cast_T(y)   cast_T(x)         where y = x has no more digits than T, and the first file casts x, which has more, to T
 *   cast_T(x)   nothing           of the first file alone: no run in float64 shows it, so the files are not called equal
 */
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { isCast, isLossless, losesDigits, roundoffOf } from "./casts.ts";
import type { Classes, Member, Side } from "./classes.ts";
import type { Walked } from "./ends.ts";
import type { Findings } from "./findings.ts";
import { exact, memberOf, type Relation, relative } from "./relation.ts";

/** A Cast of the second file to fewer digits of what the first stores with no more of them rounds nothing that is not rounded there. */
export function narrowed(a: Side, b: Side, node: GraphNode, relation: Relation | undefined): Relation | undefined {
  const to = roundoffOf(b.facts, node.outputs[0]);
  if (relation === undefined || to === undefined || !isCast(node)) return undefined;
  const stored = roundoffOf(a.facts, (memberOf(relation) ?? relation.core).value);
  return stored !== undefined && stored >= to ? relation : undefined;
}

/**
 * A Cast that rounds nothing because the number is of fewer digits already, where the first file has a number of more digits that it
 * casts to that type: it is what comes out of that Cast.
 */
export function roundedThere(a: Side, b: Side, classes: Classes, node: GraphNode, relation: Relation): Relation | undefined {
  const { dtype } = b.facts.of(node.outputs[0]);
  if (!isCast(node) || dtype === 0) return undefined;
  const casts = ({ value }: Member) =>
    [...value.readers()].flatMap(({ node: reader }) =>
      isCast(reader) && a.facts.of(reader.outputs[0]).dtype === dtype && !isLossless(a.facts, reader) ? reader.outputs : [],
    );
  const there = relation.core.members.filter((m) => m.proposed !== true && relative(relation, m)?.identity === true);
  const [out] = there.flatMap(casts);
  const known = out && classes.of(out);
  return known && exact(known.core, known);
}

/** Casts to fewer digits that only the first file has, as far as the second was not found to do the same. */
export function lostByTheFirst({ a, b, classes, related, isDoubtful }: Walked, findings: Findings): void {
  const known = new Set([...related.values()].map(({ core }) => core));
  const types = new Set(a.view.nodes.map(({ opType }) => opType));
  const isOpen = (value: GraphValue | undefined) => value !== undefined && (isDoubtful(value) || !related.has(value));
  // An operator that the first file has not may stand for many of its own, and round among them.
  const open = b.view.nodes.filter(
    (node) => node.outputs.some(isOpen) && (losesDigits(b.facts, node) || !types.has(node.opType)),
  );
  for (const node of a.view.nodes) {
    const out = node.outputs[0] && classes.of(node.outputs[0]);
    if (out === undefined || known.has(out.core) || !losesDigits(a.facts, node)) continue;
    const digits = roundoffOf(a.facts, node.outputs[0]) as number;
    const twin = open.findIndex(({ outputs }) => (roundoffOf(b.facts, outputs[0]) ?? 0) >= digits);
    if (twin >= 0) {
      open.splice(twin, 1);
      continue;
    }
    const value = node.outputs[0]?.name ?? "";
    const reason = `${node.label} of the first file rounds to fewer digits, and nothing of the second does`;
    const nodes = [node.record.name || value];
    findings.lost({ outcome: "not-decided", nodes, value, worstHalfUlps: 0, coefficients: 0, reason });
  }
}
