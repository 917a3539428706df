/** The answer in a sentence: what a person wants to know first, whatever the format. */

import { diffAnswer } from "./diff-text.ts";
import type { Document, InspectReport } from "./document.ts";
import { overviewOf } from "./many.ts";
import { plain } from "./style.ts";
import { answer } from "./text.ts";
import { verdictFacts } from "./verdict-text.ts";
import { plural } from "./words.ts";

/** What fold would do, in a sentence. */
export function inspectAnswer({ batchNormalizations: list, affine, merges }: InspectReport): string {
  if (list.length + affine.before + merges.length === 0) return "Nothing to fold: no BatchNormalization in this file.";
  const folds = list.filter(({ fold }) => fold.action === "fold").length;
  const [first, ...more] = [
    ...(list.length > 0 ? [`${folds} of ${plural(list.length, "BatchNormalization", "BatchNormalization")}`] : []),
    ...(affine.before > 0 ? [`${affine.folded} of ${plural(affine.before, "other affine node")}`] : []),
  ].map((part, i) => (i === 0 ? `${part} can be folded` : part));
  const merged = merges.length > 0 ? [`${plural(merges.length, "branch region")} to merge`] : [];
  return `${[...(first === undefined ? [] : [first]), ...more, ...merged].join(", ")}.`;
}

export function answerOf(document: Document): string {
  switch (document.kind) {
    case "fold":
      return answer(document.report);
    case "verify":
      return verdictFacts(document.report.verdict, plain).head;
    case "diff":
      return diffAnswer(document.report);
    case "inspect":
      return inspectAnswer(document.report);
    default:
      return overviewOf(document).answer;
  }
}
