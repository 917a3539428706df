/**
 * The order in which nodes are tried: many around one operator together, each alone, against the flow and along it by turns, and again
 * until nothing moves.
 */
import type { Steps } from "../diag/steps.ts";
import type { GraphNode } from "../graph/view.ts";
import { type Candidate, dataInput } from "../laws/candidates.ts";
import type { Constants } from "../laws/constants.ts";
import type { Success } from "./attempt.ts";
import { canGoTogether, groupsOf } from "./groups.ts";
import type { PlanOptions, Start } from "./options.ts";
import type { Kept } from "./types.ts";

/** This many nodes around one operator are tried together first. */
const MANY = 32;

/** Rounds over the open candidates; each further round only follows progress. */
const MAX_ROUNDS = 32;

/** What is done with a node, or with a group, when its turn comes. */
export interface Turn {
  /** Folds a node, or says why not. With `defer` it may be left for the next round, which is said by calling it. */
  readonly alone: (node: GraphNode, defer?: () => void) => Kept | undefined;
  /** The map of a node that may be moved away, as it is now. */
  readonly movable: (node: GraphNode) => Candidate | undefined;
  /** A way for all of these at once, taken; undefined where there is none. */
  readonly together: (members: readonly Candidate[]) => Success | undefined;
}

export class Rounds {
  constructor(
    private readonly constants: Constants,
    private readonly start: Start,
    private readonly turn: Turn,
    private readonly onProgress: PlanOptions["onProgress"],
  ) {}

  /** Tries nodes, alone and together, until nothing moves; what is left, each with its reason, in topological order. */
  *settle(nodes: readonly GraphNode[]): Steps<Map<GraphNode, Kept>> {
    // Many nodes around one operator go fastest together.
    let kept = yield* this.settleAlone(yield* this.settleTogether(nodes, MANY));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const left = yield* this.settleTogether([...kept.keys()], 2);
      if (left.length === kept.size) break;
      kept = yield* this.settleAlone(left);
    }
    return kept;
  }

  /** Tries groups of at least `least` nodes; the nodes that are left. */
  private *settleTogether(nodes: readonly GraphNode[], least: number): Steps<readonly GraphNode[]> {
    const inputOf = (node: GraphNode) => dataInput(node, this.constants);
    let any = false;
    for (const group of groupsOf(nodes, inputOf, least)) {
      yield;
      const members = group.filter((node) => !node.removed).flatMap((node) => this.turn.movable(node) ?? []);
      const success = members.length >= least && canGoTogether(members) ? this.turn.together(members) : undefined;
      any ||= success !== undefined;
    }
    return any ? nodes.filter((node) => !node.removed) : nodes;
  }

  /** Tries nodes one by one. */
  private *settleAlone(nodes: readonly GraphNode[]): Steps<Map<GraphNode, Kept>> {
    let open = nodes;
    let kept = new Map<GraphNode, Kept>();
    for (let round = 0; round < MAX_ROUNDS && open.length > 0; round++) {
      const left: GraphNode[] = [];
      const reasons = new Map<GraphNode, Kept>();
      let deferred = false;
      const defer = () => {
        deferred = true;
      };
      // Rounds go against the flow and along it by turns, so that chains resolve from either end: against it first, for then each
      // node of a long chain has the next one to go into.
      for (const [i, node] of ((round + (this.start === "along" ? 0 : 1)) % 2 === 0 ? open : open.toReversed()).entries()) {
        yield;
        const reason = this.turn.alone(node, round === 0 ? defer : undefined);
        this.onProgress?.(i + 1, open.length);
        if (reason === undefined) continue;
        left.push(node);
        reasons.set(node, reason);
      }
      const progress = left.length < open.length || deferred;
      open = left.toSorted((a, b) => a.order - b.order);
      kept = reasons;
      if (!progress) break;
    }
    return new Map(open.map((node) => [node, kept.get(node) as Kept]));
  }
}
