/** What changed between two models, for people: the answer, then a line for each change. */
import type { ModelDiff, NodeChange, TensorDifference, TensorRef } from "../diff/types.ts";
import type { NodeRef } from "../fold/types.ts";
import type { DiffReport } from "./document.ts";
import { wrap } from "./layout.ts";
import { styleOf, type TextOptions } from "./style.ts";
import { operatorLines } from "./text.ts";
import { verdictLines } from "./verdict-text.ts";
import { brief, listed, milliseconds, plural, printable } from "./words.ts";

/** Lines of a list that are shown unasked. */
const LISTED = 20;

const count = (n: number, what: string): string[] => (n === 0 ? [] : [`${n} ${what}`]);

function group(name: string, { added, removed, changed }: { added: number; removed: number; changed: number }): string[] {
  const parts = [...count(removed, "removed"), ...count(added, "added"), ...count(changed, "changed")];
  return parts.length === 0 ? [] : [`${name}: ${parts.join(", ")}`];
}

/** What does not count as a change, in words. */
function silent({ renamed, reordered }: ModelDiff): string {
  const names = [
    ...(renamed.nodes > 0 ? [plural(renamed.nodes, "node")] : []),
    ...(renamed.values > 0 ? [plural(renamed.values, "value")] : []),
    ...(renamed.tensors > 0 ? [plural(renamed.tensors, "tensor")] : []),
  ];
  const parts = [
    ...(names.length > 0 ? [`other names of ${listed(names)}`] : []),
    ...(reordered ? ["another order of nodes"] : []),
  ];
  return parts.join(", and ");
}

export function diffAnswer({ diff }: DiffReport): string {
  const { changes, facts, nodes, tensors, functions, sideFiles } = diff;
  const quiet = silent(diff);
  if (changes === 0) return `No change${quiet === "" ? "." : `, apart from ${quiet}.`}`;
  const sizes = (of: { added: readonly unknown[]; removed: readonly unknown[]; changed?: readonly unknown[] }) => ({
    ...{ added: of.added.length, removed: of.removed.length, changed: of.changed?.length ?? 0 },
  });
  const parts = [
    ...group("nodes", sizes(nodes)),
    ...group("tensors", sizes(tensors)),
    ...(diff.interface.length > 0 ? [`interface: ${plural(diff.interface.length, "change")}`] : []),
    ...group("functions", sizes(functions)),
    ...group("side files", sizes(sideFiles)),
    ...(facts.length > 0 ? [`model: ${plural(facts.length, "change")}`] : []),
  ];
  return `${plural(changes, "change")}. ${parts.join("; ")}${quiet === "" ? "" : `. Besides, ${quiet}`}.`;
}

const shape = ({ dtype, dims }: TensorRef): string => `${dtype}[${dims.join(", ")}]`;

/** `12 of 54 elements, by up to 0.01, rms 0.002 (0.4 % of its own)`. */
function distance({ numbers, form }: TensorDifference): string {
  const written = form === undefined ? "" : `, ${form.join(" -> ")}`;
  if (numbers === undefined) return written.slice(2);
  const { differing, elements, largest, rms, scale } = numbers;
  const share = scale > 0 ? ` (${brief((100 * rms) / scale)} % of its own)` : "";
  return `${differing} of ${elements} elements, by up to ${brief(largest)}, rms ${brief(rms)}${share}${written}`;
}

interface Detail {
  readonly change: string;
  readonly a: string;
  readonly b: string;
}

function nodeDetails({ attributes, inputs, outputs }: NodeChange): Detail[] {
  return [
    ...attributes.map(({ name, a = "", b = "" }) => ({ change: `attribute ${name}`, a, b })),
    ...inputs.map(({ index, a, b, made }) => {
      const said = (name: string | null, i: 0 | 1) => (made === undefined ? (name ?? "") : `${name} of ${made[i]}`);
      return { change: `input ${index}`, a: said(a, 0), b: said(b, 1) };
    }),
    ...(outputs === undefined ? [] : [{ change: "outputs", a: String(outputs[0]), b: String(outputs[1]) }]),
  ];
}

export type DiffRow = readonly [part: string, change: string, what: string, scope: string, before: string, after: string];

/** Every change as one row of words. */
export function diffRows({ facts, interface: sides, functions, nodes, tensors, sideFiles }: ModelDiff): DiffRow[] {
  const node =
    (change: string) =>
    (one: NodeRef): DiffRow => ["node", change, one.name || one.output, one.scope, ...pick(change, one.opType)];
  const tensor =
    (change: string) =>
    (one: TensorRef): DiffRow => ["tensor", change, one.name, one.scope, ...pick(change, shape(one))];
  const file =
    (part: string, change: string) =>
    (name: string): DiffRow => [part, change, name, "", "", ""];
  const pick = (change: string, text: string): readonly [string, string] => (change === "added" ? ["", text] : [text, ""]);
  return [
    ...facts.map(
      ({ what, a = "", b = "" }): DiffRow => ["model", a === "" ? "added" : b === "" ? "removed" : "changed", what, "", a, b],
    ),
    ...sides.map(({ side, change, name, now, a = "", b = "" }): DiffRow => {
      return [side, change, name, "", change === "renamed" ? name : a, change === "renamed" ? (now ?? "") : b];
    }),
    ...functions.removed.map(file("function", "removed")),
    ...functions.added.map(file("function", "added")),
    ...nodes.removed.map(node("removed")),
    ...nodes.added.map(node("added")),
    ...nodes.changed.flatMap((one) =>
      nodeDetails(one).map(
        ({ change, a, b }): DiffRow => ["node", change, one.node.name || one.node.output, one.node.scope, a, b],
      ),
    ),
    ...tensors.removed.map(tensor("removed")),
    ...tensors.added.map(tensor("added")),
    ...tensors.changed.map((one): DiffRow => {
      const said = distance(one);
      const after = shape(one.now) === shape(one.tensor) ? said : [shape(one.now), said].filter((part) => part !== "").join(", ");
      return ["tensor", "changed", one.tensor.name, one.tensor.scope, shape(one.tensor), after];
    }),
    ...sideFiles.removed.map(file("side file", "removed")),
    ...sideFiles.added.map(file("side file", "added")),
  ];
}

const SIGNS: Readonly<Record<string, string>> = { added: "+", removed: "-" };

function lineOf([part, change, what, scope, before, after]: DiffRow): string {
  const place = scope === "" ? "" : ` in ${scope}`;
  const named = `${part} "${what}"${place}`;
  if (change === "added" || change === "removed") {
    const kind = before || after;
    return `${SIGNS[change]} ${kind === "" ? named : `${named} ${kind}`}`;
  }
  if (part === "tensor") return `~ ${named} ${before}: ${after}`;
  return `~ ${named}${change === "changed" ? "" : ` ${change}`}: ${before || "none"} -> ${after || "none"}`;
}

/** The answer, the operators whose number changed, a line for each change, the verdict where it was asked for. */
export function diffText(report: DiffReport, options: TextOptions = {}): string {
  const style = styleOf(options);
  const { width = Number.POSITIVE_INFINITY, verbose = false } = options;
  const { a, b, diff, verdict, diffMs } = report;
  const rows = diffRows(diff);
  const shown = verbose ? rows : rows.slice(0, LISTED);
  const table = operatorLines(diff.operators.before, diff.operators.after, width - 2);
  const colours = { "+": "green", "-": "red", "~": "yellow" } as const;
  return [
    ...wrap([a, b].map(({ file }) => printable(file)).join("  ->  "), width, "  "),
    "",
    ...wrap(diffAnswer(report), width).map((line) => style("bold", line)),
    ...(table.length === 0 ? [] : ["", ...table.map((line) => `  ${line}`)]),
    ...(shown.length === 0 ? [] : [""]),
    ...shown.flatMap((row) => {
      const line = printable(lineOf(row));
      return wrap(line, width, "    ").map((part) => style(colours[line[0] as "+" | "-" | "~"], part));
    }),
    ...(shown.length < rows.length ? [`and ${rows.length - shown.length} more; --verbose lists all`] : []),
    ...(verdict === undefined ? [] : ["", ...verdictLines(verdict, style, width, verbose)]),
    "",
    `time: ${milliseconds(diffMs)}`,
  ].join("\n");
}
