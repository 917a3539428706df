/** The graph of a model that was folded: which node has which mark, and what is said of it. */
import { REASONS } from "../../../src/diag/codes.ts";
import type { Fold, NodeRef } from "../../../src/fold/types.ts";
import type { Report } from "../../../src/report/report.ts";
import { mergeLine } from "../../../src/report/text.ts";
import { brief, printable } from "../../../src/report/words.ts";
import { reasonLink } from "../links.ts";
import { graphKey, type Known, type Tell } from "./graph.ts";

const arrows = (text: string): string => text.replaceAll(" -> ", " \u2192 ");

const DIRECTIONS: Readonly<Record<Fold["direction"], string>> = {
  backward: "Folded into what is in front",
  forward: "Folded into what follows",
  both: "Scale and shift folded into both sides",
  merged: "Folded and merged",
  evaluated: "Evaluated",
};

function saidOf({ direction, scaleRange: [low, high], notes }: Fold): string {
  const gains = low === high ? `gain ${brief(low)}` : `gains ${brief(low)} to ${brief(high)}`;
  return printable([`${DIRECTIONS[direction]}, ${gains}`, ...notes].join("; "));
}

/** What a report says of each node of the model as it came. What removes a node counts before what changes one. */
export function tellOf({ folds, kept, merges }: Report): Tell {
  const known = new Map<string, Known>();
  const put = (node: NodeRef, entry: Known) => known.set(graphKey(node), entry);
  const change = (node: NodeRef, said: string) => {
    const before = known.get(graphKey(node));
    put(node, { mark: "changed", said: before?.said === undefined ? said : `${before.said}; ${said}` });
  };
  for (const { node, into } of folds) for (const { node: to } of into) change(to, `took ${printable(node.name || node.output)}`);
  for (const { node, code, message, blocker, advice } of kept) {
    const next = advice ?? (Object.hasOwn(REASONS, code) ? REASONS[code].advice : "");
    put(node, {
      mark: "kept",
      said: [reasonLink(code), ` ${printable(message)} ${printable(next)}`],
      ...(blocker === undefined ? {} : { ways: [{ label: "Stopped at", nodes: [blocker] }] }),
    });
  }
  for (const merge of merges) {
    const ways = [
      { label: "Merged", nodes: merge.nodes },
      { label: "into", nodes: [merge.into] },
    ];
    const entry = { said: arrows(mergeLine(merge)), ways };
    for (const node of merge.nodes) put(node, { mark: "merged", ...entry });
    put(merge.into, { mark: "changed", ...entry });
  }
  for (const fold of folds) {
    const ends = fold.into.map(({ node }) => node);
    const ways = [
      { label: "Its map went through", nodes: fold.through },
      { label: fold.through.length === 0 ? "Its map went into" : "into", nodes: ends },
    ];
    put(fold.node, { mark: "folded", said: saidOf(fold), ways });
  }
  return (node) => (node.kind === "node" ? (known.get(graphKey(node)) ?? {}) : {});
}
