/** Why a node stays: what stopped it on its two ways out, and what can be done about it. */
import { adviceFor, says } from "../diag/codes.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode } from "../graph/view.ts";
import type { Candidate, Rejected } from "../laws/candidates.ts";
import type { Refused } from "../rules/types.ts";
import { adviceOf } from "./advice.ts";
import { nameOf, refOf } from "./describe.ts";
import type { Kept } from "./types.ts";

/** The two ways out of a node, each with what stopped it. */
export interface Attempt {
  readonly backward: Refused;
  readonly forward: Refused;
}

const clause = (refused: Refused, own: GraphNode): string => {
  const subject = refused.node === undefined || refused.node === own ? "it" : nameOf(refused.node);
  return `${subject} ${refused.because}`;
};

export function keptBecause(found: Candidate | Rejected, attempt: Attempt | Refused, facts: Facts): Kept {
  const { node, kind } = found;
  const single = "refused" in attempt;
  const { backward, forward } = single ? { backward: attempt, forward: attempt } : attempt;
  // A way that is open but for what it costs is the one to tell of.
  const costs = [backward, forward].find(({ refused }) => refused === "precision-loss");
  const main = costs ?? (says(backward.refused, "vague") && says(forward.refused, "concrete") ? forward : backward);
  const sentence = single
    ? `${nameOf(node)}: ${clause(attempt, node)}.`
    : `${nameOf(node)}: backward, ${clause(backward, node)}; forward, ${clause(forward, node)}.`;
  const advice = adviceOf(main, node, facts);
  return {
    node: refOf(node),
    kind,
    code: main.refused,
    ...(main.node !== undefined && main.node !== node ? { blocker: refOf(main.node) } : {}),
    ...(main.value !== undefined ? { value: main.value.name } : {}),
    facts: main.facts ?? {},
    message: sentence,
    ...(advice === undefined ? {} : { advice }),
  };
}

const PARTLY = "--partial moves its gain and leaves its shift as an Add.";
const CARRIED = "--constant-channel folds it: one more channel, of constant 1, carries its shift through the padding.";

/** A node whose gain could go without its shift: there is something to do about it. */
export function orPartly(kept: Kept): Kept {
  const advice = adviceFor(kept);
  return { ...kept, advice: advice.startsWith("Nothing to do") ? PARTLY : `${advice} Or: ${PARTLY}` };
}

/** A node whose shift could pass the padding as a channel of constant 1. */
export const orCarried = (kept: Kept): Kept => ({
  ...kept,
  advice: kept.advice?.endsWith(PARTLY) ? `${CARRIED} Or: ${PARTLY}` : CARRIED,
});
