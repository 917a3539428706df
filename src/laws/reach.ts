/** What candidates can reach: from their two sides across operators that tie one value to another, up to layers and ground. */
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { RuleNode } from "../rules/types.ts";
import type { Candidate } from "./candidates.ts";
import type { Constants } from "./constants.ts";

/** A model as laws read it. */
export interface Reading {
  readonly facts: RuleNode["facts"];
  readonly constants: Constants;
  at(node: GraphNode): RuleNode;
}

/** Sums of values, and their mean. */
export const addsUp = (node: GraphNode): boolean => hasTrait(node, "adds") || node.opType === "Mean";

/** x · z and x / z, element by element. */
export const isProduct = (node: GraphNode): boolean => hasTrait(node, "affine") && hasTrait(node, "products");

/** What nobody may change: outputs of graphs, what comes from outside, what inner graphs read, what is no tensor of known rank. */
export function isFixed({ facts, constants }: Reading, value: GraphValue): boolean {
  if (value.producer === undefined || value.isOutput || value.isAnnotated || value.isBound) return true;
  if (facts.rank(value) === undefined || constants.has(value)) return true;
  for (const { node } of value.readers()) if (node.scope !== value.scope) return true;
  return false;
}

/** Operators that candidates can reach. `from`: those whose surroundings matter. */
export function reached(
  read: Reading,
  candidates: ReadonlyMap<GraphNode, Candidate>,
  from: (found: Candidate) => boolean,
): Set<GraphNode> {
  const near = new Set<GraphNode>();
  const seen = new Set<GraphValue>();
  const open: GraphValue[] = [];
  const reach = (value: GraphValue | undefined): void => {
    if (value === undefined || seen.has(value) || read.constants.has(value)) return;
    seen.add(value);
    open.push(value);
  };
  const around = (found: Candidate): void => {
    if (near.has(found.node)) return;
    near.add(found.node);
    for (const value of [found.node.inputs[found.input], found.node.outputs[0]]) reach(value);
  };
  for (const found of candidates.values()) if (from(found)) around(found);
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    const fixed = isFixed(read, value);
    const beside = value.producer === undefined ? [] : [value.producer];
    if (!fixed) for (const { node } of value.readers()) beside.push(node);
    for (const node of beside) {
      // Whether one goes ties its two sides.
      const found = candidates.get(node);
      if (found !== undefined) around(found);
      near.add(node);
      if (fixed || found !== undefined || !ties(node, read.constants)) continue;
      for (const other of [...node.inputs, ...node.outputs]) reach(other);
    }
  }
  return near;
}

/** True for operators that tie their values to one another. */
function ties(node: GraphNode, constants: Constants): boolean {
  const { domain, opType, bodies, inputs } = node;
  if (domain !== "" || bodies.length > 0) return false;
  if (opType !== "MatMul") return addsUp(node) || hasTrait(node, "carries") || isProduct(node);
  // A layer of features begins anew; one over positions, with its matrix on the left or between two turns, hands channels on.
  const [a, b] = inputs;
  return a === undefined || b === undefined || !constants.has(b) || a.producer?.opType === "Transpose";
}
