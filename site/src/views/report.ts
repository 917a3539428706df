/** One report on the screen: the answer first, what it rests on, then each node. Also for reports that come from a file. */
import { REASONS, type RefusalCode } from "../../../src/diag/codes.ts";
import type { Fold, Kept, Merge, NodeRef } from "../../../src/fold/types.ts";
import type { Report } from "../../../src/report/report.ts";
import { plain } from "../../../src/report/style.ts";
import { answer, foldLine, inlinedLine, measuredText, mergeLine, unmergedLine } from "../../../src/report/text.ts";
import { verdictFacts } from "../../../src/report/verdict-text.ts";
import { byteSize, milliseconds, nodeLabel, plural, printable } from "../../../src/report/words.ts";
import { type Children, h, table } from "../dom.ts";
import { reasonLink } from "../links.ts";

/** Rows shown before "show all". */
const SHOWN = 12;

/** Sizes before and after, with side files; reports of older versions do not say them of the input. */
export function sizes({ input, output }: Report): { before: number; after: number } | undefined {
  const of = (file: { readonly bytes: number; readonly totalBytes?: number }) => file.totalBytes ?? file.bytes;
  return output === null ? undefined : { before: of(input), after: of(output) };
}

export function banner(report: Report): HTMLElement {
  const { outcome } = report.verdict;
  return h("h2", { class: `answer ${outcome}`, tabindex: "-1" }, printable(answer(report)).replaceAll(" -> ", " \u2192 "));
}

function training({ kept }: Report): Children {
  const nodes = kept.filter(({ code }) => code === "training-mode");
  if (nodes.length === 0) return undefined;
  return h(
    "p",
    { class: "problem" },
    h("strong", {}, "Training mode. "),
    `${plural(nodes.length, "node uses", "nodes use")} the statistics of the batch they are given, so the outputs depend on the batch. `,
    "Export in evaluation mode, or run ",
    h("code", {}, "bnfold freeze"),
    " first.",
  );
}

function facts(report: Report): HTMLElement {
  const { facts: said, details } = verdictFacts(report.verdict, plain);
  const size = sizes(report);
  const row = (label: string, ...text: Children[]) => [h("dt", {}, label), h("dd", {}, ...text)];
  const change = size === undefined ? 0 : size.after - size.before;
  const how = change === 0 ? "the same size" : `${byteSize(Math.abs(change))} ${change < 0 ? "smaller" : "larger"}`;
  const spent = Object.entries(report.timings).filter(([, ms]) => ms > 0);
  return h(
    "dl",
    { class: "facts" },
    ...said.map(([label, text]) => row(label === "" ? "also" : label, text)),
    ...details.map((text) => row("look at", text)),
    ...(report.bitsLost === 0
      ? []
      : row(
          "bits",
          `the costliest fold may cost ${plural(report.bitsLost, "bit")} of precision (estimated from constants${measuredText(report)})`,
        )),
    ...(size === undefined
      ? row("wrote", "nothing")
      : row("size", `${byteSize(size.before)} before, ${byteSize(size.after)} after (${how})`)),
    ...row(
      "took",
      `${milliseconds(spent.reduce((n, [, ms]) => n + ms, 0))} (${spent.map(([name, ms]) => `${name.replace(/Ms$/, "")} ${milliseconds(ms)}`).join(", ")})`,
    ),
  );
}

/** Operators whose number changed, each with a bar for before and after. */
function operators({ operators: { before, after } }: Report): Children {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  const changed = names.filter((name) => (before[name] ?? 0) !== (after[name] ?? 0));
  if (changed.length === 0) return undefined;
  const rows = changed.map((name) => [printable(name), before[name] ?? 0, after[name] ?? 0]);
  const sum = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((n, v) => n + v, 0);
  return table(
    ["operator", "before", "after"],
    [...rows, ["all nodes", sum(before), sum(after)]],
    "Operators whose number changed",
  );
}

/** A list that shows its first lines, and the rest when asked. */
function list<T>(title: string, items: readonly T[], line: (item: T) => Children, open: boolean): Children {
  if (items.length === 0) return undefined;
  const body = h(
    "ul",
    { class: "lines" },
    items.slice(0, SHOWN).map((item) => h("li", {}, line(item))),
  );
  const rest = items.length - SHOWN;
  const more = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        for (const item of items.slice(SHOWN)) body.append(h("li", {}, line(item)));
        more.remove();
      },
    },
    `Show ${rest} more`,
  );
  return h(
    "details",
    { open, class: "part" },
    h("summary", {}, h("h3", {}, `${title} `, h("span", { class: "count" }, items.length))),
    body,
    rest > 0 && more,
  );
}

export type OnNode = (node: NodeRef) => void;

/** A button that shows a node in the graph, where there is one. */
function show(node: NodeRef, onNode: OnNode | undefined): Children {
  if (onNode === undefined) return undefined;
  return h(
    "button",
    { type: "button", class: "quiet small", onclick: () => onNode(node), "aria-label": `Show ${nodeLabel(node)} in the graph` },
    "show",
  );
}

const foldItem =
  (onNode?: OnNode) =>
  (fold: Fold): Children =>
    [foldLine(fold).replaceAll(" -> ", " \u2192 "), " ", show(fold.node, onNode)].flat() as Children;

const mergeItem =
  (onNode?: OnNode) =>
  (merge: Merge): Children =>
    [mergeLine(merge).replaceAll(" -> ", " \u2192 "), " ", show(merge.into, onNode)].flat() as Children;

const reasonOf = (code: RefusalCode) => (Object.hasOwn(REASONS, code) ? REASONS[code] : undefined);

const keptItem =
  (onNode?: OnNode) =>
  (kept: Kept): Children => {
    const label = nodeLabel(kept.node);
    const message = printable(kept.message);
    const said = message.startsWith(label) ? message.slice(label.length).replace(/^: /, "") : message;
    return [
      h("strong", {}, label),
      " ",
      reasonLink(kept.code),
      h("span", { class: "why" }, ` ${said}`),
      h("span", { class: "advice" }, kept.advice ?? reasonOf(kept.code)?.advice ?? ""),
      show(kept.node, onNode),
    ].flat() as Children;
  };

/** Affine nodes that stay are many and of less interest: they come by reason. */
function keptAffine(kept: readonly Kept[], onNode?: OnNode): Children[] {
  const codes = [...new Set(kept.map(({ code }) => code))];
  return codes.map((code) => {
    const of = kept.filter((entry) => entry.code === code);
    return list(`Other operators kept: ${(reasonOf(code)?.title ?? code).toLowerCase()}`, of, keptItem(onNode), false);
  });
}

export function details(report: Report, onNode?: OnNode): HTMLElement {
  const norms = report.kept.filter(({ kind }) => kind !== "affine");
  const affine = report.kept.filter(({ kind }) => kind === "affine");
  return h(
    "div",
    { class: "details" },
    list("Kept", norms, keptItem(onNode), true),
    list("Folded", report.folds, foldItem(onNode), report.folds.length <= SHOWN),
    list("Merged into one layer", report.merges, mergeItem(onNode), report.merges.length <= SHOWN),
    list("Calls of the model's functions written out", report.inlined ?? [], inlinedLine, false),
    list("Linear regions left as they are", report.unmerged, unmergedLine, false),
    ...keptAffine(affine, onNode),
  );
}

/** How much of it folded, as a bar: the picture of the first line. */
function tally(report: Report): Children {
  const { folded, kept, before } = report.batchNormalization;
  if (before === 0) return undefined;
  const words = `${folded} of ${before} BatchNormalization folded, ${kept} kept`;
  const bar = h("meter", { min: 0, max: before, value: folded, "aria-label": words }, words);
  return h("p", { class: "tally" }, bar, h("span", {}, ` ${folded} folded, ${kept} kept, ${report.merges.length} merged`));
}

export function summary(report: Report): HTMLElement {
  return h(
    "div",
    { class: "summary" },
    training(report),
    tally(report),
    h("div", { class: "columns two" }, h("div", {}, facts(report)), h("div", {}, operators(report))),
  );
}
