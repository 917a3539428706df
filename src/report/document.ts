/** What bnfold reports, by the command that reports it: the one thing every format is written from. Plain data, as in the JSON. */
import type { ModelDiff } from "../diff/types.ts";
import type { Kept, NodeRef, PlanData } from "../fold/types.ts";
import type { Bisection, Verdict } from "../verify/types.ts";
import type { Details } from "./details.ts";
import type { ModelFacts, NodeCounts, Report, Tool } from "./report.ts";
import type { RuntimeOpinion } from "./runtime.ts";

/** Whether two files compute the same function. */
export interface VerifyReport {
  readonly version: 1;
  readonly tool: Tool;
  readonly a: ModelFacts;
  readonly b: ModelFacts;
  readonly verdict: Verdict;
  readonly bisection?: Bisection;
  readonly runtime?: RuntimeOpinion;
  readonly verifyMs: number;
}

/** What fold would do with a node. */
export type Action =
  | { readonly action: "fold"; readonly direction: string; readonly into: readonly NodeRef[] }
  | { readonly action: "keep"; readonly code: Kept["code"]; readonly message: string };

/** What is in a file, and what fold would do with it: the part that formats read. */
export interface InspectReport extends Details {
  readonly version: 1;
  readonly tool: Tool;
  readonly model: ModelFacts;
  readonly nodes: number;
  readonly operators: Readonly<Record<string, number>>;
  readonly batchNormalizations: readonly { readonly node: NodeRef; readonly fold: Action }[];
  readonly affine: NodeCounts;
  readonly merges: PlanData["merges"];
  /** Every node that stays. Absent in reports of 0.1.0's first days. */
  readonly kept?: readonly Kept[];
}

/** Why nothing could be said of a model. */
export interface Failure {
  readonly kind: string;
  readonly message: string;
  readonly hint?: string;
}

/** What changed between two files. */
export interface DiffReport {
  readonly version: 1;
  readonly tool: Tool;
  readonly a: ModelFacts;
  readonly b: ModelFacts;
  readonly diff: ModelDiff;
  /** With --verify: whether both compute the same function. */
  readonly verdict?: Verdict;
  readonly diffMs: number;
}

/** One of many models that were folded. */
export interface FoldLine {
  readonly version: 1;
  readonly tool: Tool;
  /** Relative to the folder that was folded. */
  readonly file: string;
  /** "failed": an error, or not shown equivalent; nothing was written then. */
  readonly status: "done" | "failed";
  /** Exit code the model alone would have given. */
  readonly code: number;
  /** SHA-256 over the model and its side files; null when they could not be read. */
  readonly content: string | null;
  /** SHA-256 over the options that decide about the result. */
  readonly settings: string;
  readonly seconds: number;
  /** Process that did it. */
  readonly worker: number;
  /** Taken over from an earlier run. */
  readonly resumed?: true;
  readonly error?: Failure;
  readonly report?: Report;
}

/** One of many pairs that were compared. */
export interface VerifyLine {
  readonly version: 1;
  readonly tool: Tool;
  /** Relative to both folders. */
  readonly file: string;
  /** "missing": only one folder has it; "failed": an error. */
  readonly status: "equivalent" | "different" | "undecided" | "missing" | "failed";
  readonly code: number;
  readonly seconds: number;
  /** The folder that does not have it. */
  readonly missing?: "first" | "second";
  readonly error?: Failure;
  readonly report?: VerifyReport;
}

/** One of many models that were looked at. */
export interface InspectLine {
  readonly version: 1;
  readonly tool: Tool;
  readonly file: string;
  readonly status: "inspected" | "failed";
  readonly code: number;
  readonly error?: Failure;
  readonly report?: InspectReport;
}

/** `base`: the folder the files of lines lie in, where it is known: of two the second. */
export type Document =
  | { readonly kind: "diff"; readonly report: DiffReport }
  | { readonly kind: "fold"; readonly report: Report }
  | { readonly kind: "verify"; readonly report: VerifyReport }
  | { readonly kind: "inspect"; readonly report: InspectReport }
  | { readonly kind: "folds"; readonly lines: readonly FoldLine[]; readonly base?: string }
  | { readonly kind: "verifies"; readonly lines: readonly VerifyLine[]; readonly base?: string }
  | { readonly kind: "inspects"; readonly lines: readonly InspectLine[] };
