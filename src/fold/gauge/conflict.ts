/** Why a node stays when candidates were solved for all at once: what it conflicts with. */
import type { GraphNode } from "../../graph/view.ts";
import { nameOf } from "../describe.ts";
import type { Kept } from "../types.ts";
import type { Conflict } from "./index.ts";

/** The reason with what the node conflicts with, where it is others that go. */
export function conflicting(node: GraphNode, kept: Kept, conflicts: ReadonlyMap<GraphNode, Conflict>): Kept {
  const others = conflicts.get(node)?.with ?? [];
  if (others.length === 0) return kept;
  return { ...kept, code: "other-reader", message: `${nameOf(node)}: cannot go together with ${others.map(nameOf).join(", ")}.` };
}
