/** Reports that `bnfold --report` and `--json` wrote, opened as they would look here. */
import type { Report } from "../../../src/report/report.ts";
import { printable } from "../../../src/report/words.ts";
import { h } from "../dom.ts";
import type { Given } from "../files.ts";
import { failureView } from "./progress.ts";
import { banner, details, summary } from "./report.ts";

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** Numbers that JSON has no word for come as text. */
const SPECIAL: Readonly<Record<string, number>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
};
const NUMBERS = /^(scaleRange|shiftRange|ratio|rms|rounding|expected|got|.*(Difference|Ulps|Error(Before|After)))$/;

function revive(key: string, value: unknown): unknown {
  const one = (v: unknown) => (typeof v === "string" && Object.hasOwn(SPECIAL, v) ? SPECIAL[v] : v);
  return NUMBERS.test(key) ? (Array.isArray(value) ? value.map(one) : one(value)) : value;
}

/** True of what has every part this page shows of a report. */
function isReport(value: unknown): value is Report {
  if (!isObject(value) || value.version !== 1) return false;
  const lists = ["folds", "kept", "merges", "unmerged"].every((name) => Array.isArray(value[name]));
  const parts = ["input", "operators", "verdict", "timings", "batchNormalization", "affine"].every((name) =>
    isObject(value[name]),
  );
  return lists && parts && (value.output === null || isObject(value.output));
}

/** The reports of a text: one object, or a line for each of many models. */
function reportsIn(text: string): Report[] {
  const parse = (json: string): unknown => JSON.parse(json, revive);
  let values: unknown[];
  try {
    values = [parse(text)];
  } catch {
    values = text
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map(parse);
  }
  return values.map((value) => (isObject(value) && isObject(value.report) ? value.report : value)).filter(isReport);
}

function said(path: string, message: string): HTMLElement {
  const hint = "Reports are what bnfold fold --json prints and --report writes. To fold, drop an .onnx file.";
  return failureView({ kind: "format", message, place: { file: path }, hint, stage: "reading" }, "");
}

export async function oldReports(given: readonly Given[]): Promise<HTMLElement[]> {
  const out: HTMLElement[] = [];
  for (const { path, file } of given) {
    try {
      const reports = reportsIn(await file.text());
      if (reports.length === 0) out.push(said(path, "this is JSON, but not a report of a fold"));
      for (const report of reports) {
        const by = `A report of bnfold ${printable(report.tool?.version ?? "")}, of ${printable(report.input.file)}`;
        out.push(
          h("article", { class: "result" }, h("p", { class: "file" }, by), banner(report), summary(report), details(report)),
        );
      }
    } catch (error) {
      out.push(said(path, `this is no JSON: ${error instanceof Error ? error.message : error}`));
    }
  }
  return out;
}
