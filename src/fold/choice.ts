/** Which nodes may be folded, and as what: constant affine nodes as they are now, without those that the user or an earlier check left out. */
import { inputError } from "../diag/error.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode } from "../graph/view.ts";
import { isConstantNorm } from "../laws/affines.ts";
import { isLayerBias } from "../laws/biases.ts";
import { type Candidate, candidateOf, type Rejected } from "../laws/candidates.ts";
import type { Constants } from "../laws/constants.ts";
import type { Draft } from "../laws/draft.ts";
import { isRefused, type Refused, refuse } from "../rules/types.ts";
import { currentMap } from "./current.ts";
import { nodeKey, refOf } from "./describe.ts";
import type { PlanOptions } from "./options.ts";

export class Choice {
  constructor(
    private readonly facts: Facts,
    private readonly constants: Constants,
    private readonly draft: Draft,
    private readonly options: PlanOptions,
  ) {}

  /** Left out by --only or --skip, by a check that did not accept it, or because another plan holds it. */
  isExcluded(node: GraphNode): boolean {
    const name = node.record.name || node.record.outputs[0];
    const unproven = this.options.unproven?.has(nodeKey(refOf(node))) === true;
    const held = this.options.held?.has(nodeKey(refOf(node))) === true;
    return unproven || held || this.options.only?.(name) === false || this.options.skip?.(name) === true;
  }

  /** The map of a node as the file has it, or why it has none that can be moved; undefined for biases of layers, which come last. */
  find(node: GraphNode): Candidate | Rejected | undefined {
    const found = this.candidate(node);
    return found !== undefined && this.isBias(found) ? undefined : found;
  }

  /** The same, biases of layers included. */
  candidate(node: GraphNode): Candidate | Rejected | undefined {
    try {
      return candidateOf(node, this.facts, this.constants);
    } catch (error) {
      const { kind: of, message } = inputError(error);
      if (of === "file") throw error;
      const kind = node.opType === "BatchNormalization" ? "batch-normalization" : "affine";
      return { node, kind, refusal: refuse("malformed-graph", `has an operand that cannot be read (${message})`) };
    }
  }

  /** True of an Add that is the bias of the layer in front of it. */
  isBias(found: Candidate | Rejected): boolean {
    return !("refusal" in found) && isLayerBias(this.draft, found);
  }

  /** Why a node is left alone that could be folded. */
  excluded(node: GraphNode): Refused | undefined {
    if (this.options.unproven?.has(nodeKey(refOf(node))) === true)
      return refuse("not-proven", "could be folded, but the result was not shown to be equivalent");
    const held = this.options.held?.get(nodeKey(refOf(node)));
    if (held !== undefined) return held;
    return this.isExcluded(node) ? refuse("excluded-by-user", "is excluded by --only or --skip") : undefined;
  }

  /** The map of a node that may be moved away, as it is now. */
  movable(node: GraphNode): Candidate | undefined {
    const found = this.find(node);
    if (found === undefined || "refusal" in found || isConstantNorm(node, this.constants) || this.isExcluded(node))
      return undefined;
    const current = currentMap(found, this.draft);
    return isRefused(current) ? undefined : current;
  }
}
