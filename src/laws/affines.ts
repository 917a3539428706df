/** The affine nodes of a model that laws know: every node y = s ⊙ x + t with constants that are read and finite. */
import { inputError } from "../diag/error.ts";
import { hasTrait, traitsOf } from "../graph/operators.ts";
import type { GraphNode, GraphView } from "../graph/view.ts";
import { factsOf } from "../run/facts.ts";
import { type Candidate, candidateOf } from "./candidates.ts";
import { Constants } from "./constants.ts";
import type { Reading } from "./laws.ts";
import { ReadNode, unchanged } from "./node.ts";
import { isTable } from "./wires.ts";

/** A model as it is, with nothing changed. */
export function readingOf(view: GraphView, assumeConstant = false): Reading {
  const facts = factsOf(view);
  const constants = new Constants(view, facts, assumeConstant);
  return { facts, constants, at: (node) => new ReadNode({ facts, constants }, node, unchanged(node)) };
}

/** A batch normalization of a constant (a standardised weight) is a constant itself, in training mode too. */
export function isConstantNorm({ opType, outputs }: GraphNode, constants: Constants): boolean {
  const [output, ...rest] = outputs;
  if (opType !== "BatchNormalization" || output === undefined || output.isOutput || !constants.has(output)) return false;
  return rest.every((value) => value === undefined || (value.uses.length === 0 && !value.isOutput));
}

/** Nodes that compute with shapes alone: their numbers are no data that a map could leave. */
export function measuredIn(view: GraphView, constants: Constants): ReadonlySet<GraphNode> {
  const made = new Set<GraphNode>();
  for (const node of view.nodes) {
    const open = node.inputs.filter((value) => value !== undefined && !constants.has(value));
    const all = open.every((value) => value?.producer !== undefined && made.has(value.producer));
    const measures = node.domain === "" && traitsOf(node)?.sees?.[0] === "shape" && !hasTrait(node, "random");
    if (measures || (open.length > 0 && all && node.bodies.length === 0)) made.add(node);
  }
  return made;
}

/** All of them. */
export function affinesOf(view: GraphView, { facts, constants }: Reading): Candidate[] {
  const measured = measuredIn(view, constants);
  return view.nodes.flatMap((node): Candidate[] => {
    if (isConstantNorm(node, constants) || measured.has(node)) return [];
    try {
      const found = candidateOf(node, facts, constants);
      if (found === undefined || "refusal" in found) return [];
      // What varies from element to element is folded where it stands, or not at all.
      return isTable(found.scale) || isTable(found.shift) ? [] : [found];
    } catch (error) {
      // An operand that cannot be read: the node stays as it is.
      if (inputError(error).kind === "file") throw error;
      return [];
    }
  });
}
