/** The labels of an Einsum equation, one list per operand and one for the output; "…" becomes "0", "1", … counted from the last axis. */
import { stringAttr } from "./attributes.ts";
import type { GraphNode } from "./view.ts";

export interface Labels {
  readonly operands: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/** Undefined when a rank is unknown or the equation does not fit the ranks. */
export function einsumLabels(node: GraphNode, ranks: readonly (number | undefined)[]): Labels | undefined {
  const [left, right] = stringAttr(node.record, "equation", "").replace(/\s/g, "").split("->");
  const terms = left.split(",");
  if (terms.length !== ranks.length) return undefined;
  const operands: string[][] = [];
  let hidden = 0;
  for (const [i, term] of terms.entries()) {
    const [before, after] = term.split("...");
    const [rank, named] = [ranks[i], before.length + (after?.length ?? 0)];
    if (rank === undefined || named > rank || (after === undefined && named !== rank)) return undefined;
    const dots = Array.from({ length: rank - named }, (_, k) => String(rank - named - 1 - k));
    hidden = Math.max(hidden, dots.length);
    operands.push(after === undefined ? [...before] : [...before, ...dots, ...after]);
  }
  const all = Array.from({ length: hidden }, (_, k) => String(hidden - 1 - k));
  if (right === undefined) {
    const letters = operands.flat().filter((label) => !/\d/.test(label));
    return { operands, output: [...all, ...letters.filter((l) => letters.indexOf(l) === letters.lastIndexOf(l)).sort()] };
  }
  const [before, after] = right.split("...");
  return { operands, output: after === undefined ? [...before] : [...before, ...all, ...after] };
}
