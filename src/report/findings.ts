/** What a report asks a person to look at: one list for every format that marks things. */
import { adviceFor, REASONS, type RefusalCode } from "../diag/codes.ts";
import type { Kept, NodeRef } from "../fold/types.ts";
import type { Verdict } from "../verify/types.ts";
import type { Document, Failure, FoldLine, InspectLine, InspectReport, VerifyLine } from "./document.ts";
import type { Report } from "./report.ts";
import { nodeLabel } from "./words.ts";

export type Level = "error" | "warning" | "note";

export interface Finding {
  /** A reason code, or one of `RULES`. */
  readonly rule: string;
  readonly level: Level;
  readonly file: string;
  readonly node?: NodeRef;
  /** A value of the file where it is no node that is meant. */
  readonly value?: string;
  readonly message: string;
  readonly advice?: string;
}

/** What can be found besides nodes that stay. */
export const RULES: Readonly<Record<string, { readonly title: string; readonly advice: string }>> = {
  "not-equivalent": {
    title: "Two models were shown to compute different functions",
    advice: "Look at the place that is named; bnfold verify --bisect names the operators.",
  },
  undecided: {
    title: "Two models were not shown to compute the same function",
    advice: "The report says what is missing; an input of your own (--input) or --full-run may decide.",
  },
  "missing-file": { title: "A model is in one folder only", advice: "Write it, or remove it from the other folder." },
  unreadable: { title: "A model could not be read or worked on", advice: "The message says why." },
};

/** What fails a run: the options that turn a kept node into an error. */
export interface Strictness {
  /** A BatchNormalization that stays. */
  readonly strict?: boolean;
  /** Any node that stays for one of these reasons. */
  readonly failOn?: ReadonlySet<string>;
}

/** True when a node that stays is one the run is to fail for. */
export const fails = ({ kind, code }: Pick<Kept, "kind" | "code">, { strict = false, failOn }: Strictness): boolean =>
  (strict && kind === "batch-normalization") || (failOn?.has(code) ?? false);

function keptFinding(file: string, kept: Kept, strictness: Strictness): Finding {
  const { node, kind, code, message } = kept;
  const level = fails(kept, strictness) ? "error" : kind === "batch-normalization" ? "warning" : "note";
  const label = nodeLabel(node);
  return {
    ...{ rule: code, level, file, node },
    message: message.startsWith(label) ? message : `${label}: ${message}`,
    advice: adviceFor(kept),
  };
}

/** What of a verdict is not as it should be: each place, or the verdict as a whole. */
function verdictFindings(file: string, { outcome, summary, proof, run }: Verdict): Finding[] {
  if (outcome !== "different" && outcome !== "undecided") return [];
  const rule = outcome === "different" ? "not-equivalent" : "undecided";
  const { advice } = RULES[rule];
  const places = (proof?.regions ?? []).filter((region) => region.outcome === "different");
  const said = places.map((region): Finding => {
    const { value, reason, at } = region;
    const where = at === undefined ? "" : ` at ${at.tensor}[${at.index.join(", ")}]: expected ${at.expected}, got ${at.got}`;
    const message = `"${value}" is computed otherwise${reason === undefined ? "" : `: ${reason}`}${where}`;
    return { rule, level: "error", file, value, message, advice };
  });
  const first = run?.firstDifference;
  const ran: Finding[] =
    places.length > 0 || first === undefined
      ? []
      : [
          {
            ...{ rule, level: "error", file, value: first.value, advice },
            message: `"${first.value}" of ${first.node} is the first value that differs`,
          },
        ];
  const all = [...said, ...ran];
  return all.length > 0 ? all : [{ rule, level: "error", file, message: summary, advice }];
}

const failed = (file: string, { message, hint }: Failure): Finding => ({
  ...{ rule: "unreadable", level: "error", file, message },
  advice: hint ?? RULES.unreadable.advice,
});

const foldFindings = (file: string, report: Report, strictness: Strictness): Finding[] => [
  ...verdictFindings(file, report.verdict),
  ...report.kept.map((kept) => keptFinding(file, kept, strictness)),
];

/** Nodes that stay, of a report that may be from before they were listed. */
export function keptOf({ kept, batchNormalizations }: InspectReport): readonly Kept[] {
  return (
    kept ??
    batchNormalizations.flatMap(({ node, fold }): Kept[] =>
      fold.action === "keep" ? [{ node, kind: "batch-normalization", code: fold.code, facts: {}, message: fold.message }] : [],
    )
  );
}

const inspectFindings = (file: string, report: InspectReport, strictness: Strictness): Finding[] =>
  keptOf(report).map((kept) => keptFinding(file, kept, strictness));

function pairFindings({ file, missing, error, report }: VerifyLine): Finding[] {
  if (error !== undefined) return [failed(file, error)];
  if (missing !== undefined) {
    const message = `the ${missing} folder has no model of this name`;
    return [{ rule: "missing-file", level: "error", file, message, advice: RULES["missing-file"].advice }];
  }
  return report === undefined ? [] : verdictFindings(file, report.verdict);
}

const lineFindings = ({ file, error, report }: FoldLine | InspectLine, strictness: Strictness): Finding[] => {
  if (error !== undefined) return [failed(file, error)];
  if (report === undefined) return [];
  return "verdict" in report ? foldFindings(file, report, strictness) : inspectFindings(file, report, strictness);
};

/** Where a file of a line lies, as seen from where the command was called. */
const below = (base: string | undefined, file: string): string =>
  base === undefined || base === "." ? file : `${base.replace(/[\\/]+$/, "")}/${file}`;

/** Everything a document asks to look at. */
export function findingsOf(document: Document, strictness: Strictness = {}): Finding[] {
  switch (document.kind) {
    case "fold":
      return foldFindings(document.report.input.file, document.report, strictness);
    case "verify":
      return verdictFindings(document.report.b.file, document.report.verdict);
    case "diff": {
      const { b, verdict } = document.report;
      return verdict === undefined ? [] : verdictFindings(b.file, verdict);
    }
    case "inspect":
      return inspectFindings(document.report.model.file, document.report, strictness);
    case "inspects":
      return document.lines.flatMap((line) => lineFindings(line, strictness));
    case "folds":
      return document.lines.flatMap((line) => lineFindings({ ...line, file: below(document.base, line.file) }, strictness));
    case "verifies":
      return document.lines.flatMap((line) => pairFindings({ ...line, file: below(document.base, line.file) }));
  }
}

/** What is the matter and what can be done, as running text. */
export function textOf({ message, advice }: Finding, between = " "): string {
  if (advice === undefined || advice === "") return message;
  return `${message}${between === " " && !/[.!?:]$/.test(message) ? "." : ""}${between}${advice}`;
}

/** Title and advice of a rule, whichever table it is in. */
export const ruleOf = (rule: string): { readonly title: string; readonly advice: string } =>
  RULES[rule] ?? REASONS[rule as RefusalCode] ?? { title: rule, advice: "" };
