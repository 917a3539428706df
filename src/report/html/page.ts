/**
 * A report as one page: no script, nothing loaded, printable. Pure functions of the document, so that a file and a page that
 * shows a result are the same. Whoever puts `bodyOf` into a page of their own brings `STYLE`.
 */
import { adviceFor, REASONS } from "../../diag/codes.ts";
import type { Fold, Kept, NodeRef } from "../../fold/types.ts";
import type { Verdict } from "../../verify/types.ts";
import { answerOf } from "../answer.ts";
import type { Details } from "../details.ts";
import { diffRows } from "../diff-text.ts";
import type { DiffReport, Document, InspectReport, VerifyReport } from "../document.ts";
import { findingsOf, keptOf, textOf } from "../findings.ts";
import { overviewOf } from "../many.ts";
import type { ModelFacts, Report } from "../report.ts";
import { plain } from "../style.ts";
import { sizeLine } from "../text.ts";
import { verdictFacts } from "../verdict-text.ts";
import { brief, byteSize, listed, milliseconds, nodeLabel, plural } from "../words.ts";
import { around, histogram, ranges } from "./charts.ts";
import { STYLE } from "./style.ts";
import { folded, Html, html, table } from "./template.ts";

/** Rows shown open; more are behind a line that opens. */
const OPEN = 30;

const keyOf = ({ scope, index }: NodeRef): string => `${scope}#${index}`;
const code = (text: string): Html => html`<code>${text}</code>`;
const nodeCell = (node: NodeRef): Html =>
  html`${node.opType} ${code(node.name || node.output)}${node.scope === "" ? "" : ` in ${node.scope}`}`;

function section(title: string, content: Html | readonly Html[]): Html {
  const inner = html`${content}`;
  return inner.text.trim() === "" ? inner : html`<section><h2>${title}</h2>${inner}</section>\n`;
}

/** A long table is behind a line that opens. */
function long(what: string, rows: number, content: Html): Html {
  return rows > OPEN ? folded(`${rows} ${what}`, content) : content;
}

function modelLine({ file, bytes, irVersion, opsets, producer }: ModelFacts): Html {
  const sets = Object.entries(opsets).map(([domain, version]) => `${domain} ${version}`);
  const by = [producer.name, producer.version].filter((part) => part !== "").join(" ");
  return html`<p class="soft">${code(file)}  ${byteSize(bytes)}, IR ${irVersion}, ${listed(sets)}${by === "" ? "" : `, by ${by}`}</p>`;
}

function operators(before: Readonly<Record<string, number>>, after?: Readonly<Record<string, number>>): Html {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after ?? {})])].sort();
  const rows = names.map((name) => {
    const [p, q] = [before[name] ?? 0, after?.[name] ?? 0];
    return [name, p, ...(after === undefined ? [] : [q, p === q ? "" : String(q - p)])];
  });
  const head = after === undefined ? ["operator", "nodes"] : ["operator", "before", "after", "change"];
  return table(head, rows, ["l", "r", "r", "r"]);
}

function folds(list: readonly Fold[]): Html {
  const rows = list.map(({ node, into, direction, scaleRange: [low, high], bitsLost, notes }) => [
    nodeCell(node),
    [...new Map(into.map((one) => [keyOf(one.node), one.node])).values()].map(
      (to, i) => html`${i === 0 ? "" : ", "}${nodeCell(to)}`,
    ),
    direction,
    low === high ? brief(low) : `${brief(low)} to ${brief(high)}`,
    bitsLost === 0 ? "" : String(bitsLost),
    notes.join("; "),
  ]);
  return long(
    "folds",
    rows.length,
    table(["node", "into", "direction", "gains", "bits", "notes"], rows, ["l", "l", "l", "r", "r", "l"]),
  );
}

/** Reason, advice, and the part of the graph around it. */
function keptParts(list: readonly Kept[], details: Details): Html[] {
  const pictures = new Map((details.around ?? []).map((one) => [keyOf(one.node), one]));
  const norms = list.filter(({ kind }) => kind !== "affine");
  const others = list.filter(({ kind }) => kind === "affine");
  const shown = norms.map((kept) => {
    const { title } = REASONS[kept.code] ?? { title: kept.code };
    const picture = pictures.get(keyOf(kept.node));
    return html`<div class="reason"><h3>${nodeCell(kept.node)}</h3><p><b>${kept.code}</b>: ${title}. ${kept.message}</p><p class="soft">${adviceFor(kept)}</p>
${picture === undefined ? "" : around(picture)}</div>\n`;
  });
  const rows = others.map(({ node, code: reason, message }) => [nodeCell(node), code(reason), message]);
  return [
    ...(shown.length > OPEN ? [folded(`${shown.length} nodes`, shown)] : shown),
    ...(rows.length === 0
      ? []
      : [
          folded(
            `${plural(rows.length, "other constant operator")} that stay`,
            table(["node", "reason", "why"], rows, ["l", "l", "l"]),
          ),
        ]),
  ];
}

function channelParts({ channels = [] }: Details): Html[] {
  const layers = channels.map(({ node, producer, channels: count, gains, before, after }) => {
    const chart = before === undefined || after === undefined ? html`` : ranges(before, after, count);
    return html`<h3>${nodeCell(node)}</h3>${producer === undefined ? "" : html`<p class="soft">weight of ${code(producer)}</p>`}${histogram(gains)}${chart}\n`;
  });
  return layers.length > 8 ? [folded(`${layers.length} layers`, layers)] : layers;
}

/** What a tolerance would have to be, for an output or a region of a run. */
const passes = (largest: number, rms?: number): string =>
  `${brief(largest)}${rms !== undefined && rms > 0 ? ` (${brief(largest / rms)} of its rms)` : ""}`;

function evidence({ proof, run }: Verdict): Html[] {
  const limit = run?.limit ?? 3;
  const regions = (proof?.regions ?? []).map((r) => [
    code(r.value),
    r.outcome,
    brief(r.worstHalfUlps),
    r.coefficients,
    r.reason ?? "",
  ]);
  const parts = (run?.regions ?? []).map((r) => [
    code(r.value),
    r.ok ? "equal" : "different",
    brief(r.maxDifference),
    brief(r.rmsDifference),
    brief(r.ratio),
    passes(r.maxDifference),
    r.problem ?? "",
  ]);
  const outputs = (run?.samples ?? []).flatMap(({ kind, outputs: list }) =>
    list.map((o) => [
      `${kind}: `,
      code(o.name),
      o.ok ? "equal" : "different",
      brief(o.maxDifference),
      brief(o.rmsDifference),
      brief(o.ratio),
      passes(o.maxDifference, o.rms),
    ]),
  );
  const ratios = [...(run?.regions ?? []), ...(run?.samples ?? []).flatMap((sample) => sample.outputs)].map(({ ratio }) => ratio);
  const worst = ratios.reduce((a, b) => Math.max(a, b), 0);
  const tolerance = html`<p>The largest difference is ${brief(worst)} times what rounding the constants alone makes; a limit of ${brief(worst)} would have passed, the limit is ${brief(limit)}.
The last column says which absolute tolerance would have passed.</p>`;
  return [
    ...(regions.length === 0
      ? []
      : [
          html`<h3>Proof</h3>`,
          long(
            "places",
            regions.length,
            table(["value", "outcome", "worst, half units in the last place", "coefficients", "why"], regions, [
              "l",
              "l",
              "r",
              "r",
              "l",
            ]),
          ),
        ]),
    ...(parts.length + outputs.length === 0 ? [] : [html`<h3>Run in float64</h3>`, tolerance]),
    long(
      "regions",
      parts.length,
      table(["region", "outcome", "largest", "rms", "ratio", "this tolerance would have passed", "why"], parts, [
        "l",
        "l",
        "r",
        "r",
        "r",
        "r",
        "l",
      ]),
    ),
    long(
      "outputs",
      outputs.length,
      table(["input", "output", "outcome", "largest", "rms", "ratio", "this tolerance would have passed"], outputs, [
        "l",
        "l",
        "l",
        "r",
        "r",
        "r",
        "r",
      ]),
    ),
  ];
}

function verdictPart(verdict: Verdict): Html {
  const { head, facts, details } = verdictFacts(verdict, plain);
  return html`<p class="${verdict.outcome}"><b>${head}</b></p>
${table(["", ""], facts, ["l", "l"])}${details.length === 0 ? "" : html`<ul>${details.map((line) => html`<li>${line}</li>`)}</ul>`}${evidence(verdict)}`;
}

function foldBody(report: Report): Html {
  const { input, output, merges, unmerged, inlined = [], timings, peakMemoryBytes, runtime } = report;
  const took = Object.entries(timings).map(([name, ms]) => [name.replace(/Ms$/, ""), milliseconds(ms)]);
  const merged = merges.map(({ nodes, into, multiplyAdds, parameters }) => [
    nodes.length,
    nodeCell(into),
    multiplyAdds.join(" to "),
    parameters.join(" to "),
  ]);
  const left = unmerged.map(({ nodes, reason }) => [listed(nodes.map(nodeLabel)), reason]);
  const calls = inlined.map((one) => [code(one.function), one.calls.length]);
  const ran = (runtime?.samples ?? []).flatMap(({ kind, outputs }) =>
    outputs.map((o) => [kind, code(o.name), brief(o.difference.max), brief(o.errorBefore.max), brief(o.errorAfter.max)]),
  );
  return html`${modelLine(input)}
${output === null ? html`<p>Nothing was written.</p>` : html`<p>Wrote ${code(output.file)}: ${sizeLine(input, output)}${output.sideFiles.length === 0 ? "" : html`, with ${output.sideFiles.map(({ file }, i) => html`${i === 0 ? "" : ", "}${code(file)}`)}`}.</p>`}
${section("Operators", operators(report.operators.before, report.operators.after))}
${section("Kept", keptParts(report.kept, report))}
${section("Folded", folds(report.folds))}
${section("Merged", table(["nodes", "into", "multiply-adds per position", "parameters"], merged, ["r", "l", "r", "r"]))}
${section("Linear regions left as they are", table(["nodes", "why"], left, ["l", "l"]))}
${section("Functions written out", table(["function", "calls"], calls, ["l", "r"]))}
${section("Evidence", verdictPart(report.verdict))}
${section(`For information: ONNX Runtime ${runtime?.version ?? ""}`, table(["input", "output", "first to second", "first to float64", "second to float64"], ran, ["l", "l", "r", "r", "r"]))}
${section("Channels", channelParts(report))}
${section("Time", html`${table(["", ""], took, ["l", "r"])}<p class="soft">peak memory ${byteSize(peakMemoryBytes)}</p>`)}`;
}

const verifyBody = ({ a, b, verdict }: VerifyReport): Html =>
  html`${modelLine(a)}${modelLine(b)}${section("Evidence", verdictPart(verdict))}`;

function inspectBody(report: InspectReport & Details): Html {
  const rows = report.batchNormalizations.map(({ node, fold }) => [
    nodeCell(node),
    fold.action === "fold" ? "folds" : "stays",
    fold.action === "fold" ? listed([...new Set(fold.into.map(nodeLabel))]) : fold.code,
  ]);
  return html`${modelLine(report.model)}
${section("BatchNormalization", long("layers", rows.length, table(["node", "fold", "into, or why not"], rows, ["l", "l", "l"])))}
${section("Kept", keptParts(keptOf(report), report))}
${section("Operators", operators(report.operators))}
${section("Channels", channelParts(report))}`;
}

function diffBody({ a, b, diff, verdict }: DiffReport): Html {
  const rows = diffRows(diff).map(([part, change, what, scope, before, after]) => [
    ...[part, change, html`${code(what)}${scope === "" ? "" : ` in ${scope}`}`],
    ...[before, after].map((text) => (text === "" ? "" : code(text))),
  ]);
  return html`${modelLine(a)}${modelLine(b)}
${section("Operators", operators(diff.operators.before, diff.operators.after))}
${section("Changes", long("changes", rows.length, table(["", "change", "what", "before", "after"], rows, ["l", "l", "l", "l", "l"])))}
${verdict === undefined ? "" : section("Do both compute the same?", verdictPart(verdict))}`;
}

/** Each model of many as a part that opens. */
function manyBody(document: Extract<Document, { readonly lines: readonly unknown[] }>): Html {
  const { head, rows, align } = overviewOf(document);
  const findings = findingsOf(document).filter(({ level }) => level !== "note");
  const parts = document.lines.flatMap((line): Html[] => {
    if (line.report === undefined) return [];
    const single = {
      kind: { folds: "fold", verifies: "verify", inspects: "inspect" }[document.kind],
      report: line.report,
    } as Document;
    return [folded(html`${code(line.file)} ${answerOf(single)}`, bodyOf(single))];
  });
  const listed = findings.map((one) => [
    html`<span class="${one.level}">${one.level}</span>`,
    code(one.file),
    code(one.rule),
    textOf(one),
  ]);
  return html`${section(
    "Models",
    table(
      head,
      rows.map(([file, ...rest]) => [code(file), ...rest]),
      align,
    ),
  )}
${section("To look at", long("findings", listed.length, table(["", "model", "reason", "what and why"], listed, ["l", "l", "l", "l"])))}
${section("One by one", parts)}`;
}

/** What stands under the answer: for a page that has a head of its own. Brings no style. */
export function bodyOf(document: Document): Html {
  switch (document.kind) {
    case "fold":
      return foldBody(document.report);
    case "verify":
      return verifyBody(document.report);
    case "diff":
      return diffBody(document.report);
    case "inspect":
      return inspectBody(document.report);
    default:
      return manyBody(document);
  }
}

function titleOf(document: Document): string {
  switch (document.kind) {
    case "fold":
      return document.report.input.file;
    case "inspect":
      return document.report.model.file;
    case "verify":
    case "diff":
      return `${document.report.a.file} and ${document.report.b.file}`;
    default:
      return { folds: "Folded models", verifies: "Compared models", inspects: "Models" }[document.kind];
  }
}

function outcomeOf(document: Document): string {
  if ("lines" in document) return "";
  return "verdict" in document.report ? (document.report.verdict?.outcome ?? "") : "";
}

/** The whole page. */
export function htmlPage(document: Document): string {
  const title = titleOf(document);
  const { version } = "lines" in document ? (document.lines[0]?.tool ?? { version: "" }) : document.report.tool;
  return html`${new Html("<!doctype html>")}
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>bnfold: ${title}</title><style>${new Html(STYLE)}</style></head>
<body><h1>${title}</h1><p class="answer ${outcomeOf(document)}">${answerOf(document)}</p>
${bodyOf(document)}
<footer class="soft">bnfold ${version}</footer></body></html>`.text;
}

/** The part under the answer as text, for a page with a head and a style of its own (`HTML_STYLE`). */
export const htmlBody = (document: Document): string => bodyOf(document).text;

export { STYLE as HTML_STYLE } from "./style.ts";
