/** What the page and its worker say to each other. Everything here can be cloned from one to the other; Blobs and Files go by reference. */
import type { ErrorKind, ErrorPlace } from "../../src/diag/error.ts";
import type { ModelDiff } from "../../src/diff/types.ts";
import type { NodeRef, PlanData } from "../../src/fold/types.ts";
import type { ModelFacts, Report } from "../../src/report/report.ts";
import type { ChannelInspection } from "../../src/train/channels.ts";
import type { Bisection, Verdict } from "../../src/verify/types.ts";

/** A model and the files beside it, as they were dropped. */
export interface ModelFiles {
  /** Names the model in the worker for as long as it lives. */
  readonly key: string;
  /** Name with its folders, as far as the browser tells. */
  readonly path: string;
  readonly main: Blob;
  readonly sides: readonly { readonly path: string; readonly file: Blob }[];
}

/** The options of `bnfold fold`, as a person writes them; "" and false are the defaults. */
export interface FoldOptions {
  readonly only: string;
  readonly skip: string;
  readonly partial: boolean;
  readonly reluToMax: boolean;
  readonly norms: boolean;
  readonly bnToConv: boolean;
  readonly constantChannel: boolean;
  readonly equalize: boolean;
  readonly freeze: boolean;
  readonly dropOutputs: boolean;
  readonly certificate: boolean;
  readonly noMerge: boolean;
  readonly assumeConstant: boolean;
  readonly maxBitsLost: string;
  readonly maxGrowth: string;
  readonly maxMemory: string;
  readonly external: "keep" | "copy" | "inline" | "split";
  readonly noCheck: boolean;
  readonly noRun: boolean;
  readonly fullRun: boolean;
  readonly samples: string;
  readonly seed: string;
  /** Sizes of inputs, one `name=1,3,224,224` after the other, with spaces between. */
  readonly shape: string;
}

export const DEFAULTS: FoldOptions = {
  only: "",
  skip: "",
  partial: false,
  reluToMax: false,
  norms: false,
  bnToConv: false,
  constantChannel: false,
  equalize: false,
  freeze: false,
  dropOutputs: false,
  certificate: false,
  noMerge: false,
  assumeConstant: false,
  maxBitsLost: "",
  maxGrowth: "",
  maxMemory: "",
  external: "keep",
  noCheck: false,
  noRun: false,
  fullRun: false,
  samples: "",
  seed: "",
  shape: "",
};

/** What is known of a file a moment after it came. */
export interface Opened {
  readonly facts: ModelFacts;
  readonly nodes: number;
  readonly batchNormalizations: number;
  /** Side files it names that did not come with it. */
  readonly missing: readonly string[];
  readonly inputs: readonly string[];
  /** Estimated bytes of memory for the whole work (src/engine/needs.ts). */
  readonly needs: number;
}

export interface OutputFile {
  readonly name: string;
  readonly blob: Blob;
}

export interface Folded {
  readonly report: Report;
  readonly plan: PlanData;
  readonly accepted: boolean;
  /** The model first, then its side files; none where nothing was accepted. */
  readonly outputs: readonly OutputFile[];
  readonly certificate?: OutputFile;
  /** Things to know that are no part of the report. */
  readonly notes: readonly string[];
}

/** A node as a picture needs it; an input or output of the model is one as well. */
export interface DrawnNode extends NodeRef {
  readonly kind: "node" | "input" | "output";
  /** Constants among its inputs. */
  readonly constants: readonly { readonly name: string; readonly dims: readonly number[] }[];
}

/** One node reads a value of another: places in the list of nodes. */
export interface DrawnEdge {
  readonly from: number;
  readonly to: number;
  readonly value: string;
}

export interface DrawnGraph {
  readonly nodes: readonly DrawnNode[];
  readonly edges: readonly DrawnEdge[];
}

/** One model, or two and which node of the first is which of the second: places in their lists. */
export interface GraphPair {
  readonly before: DrawnGraph;
  readonly after?: DrawnGraph;
  readonly pairs: readonly (readonly [before: number, after: number])[];
}

export interface LayoutAsk {
  readonly boxes: readonly { readonly width: number; readonly height: number }[];
  /** Places in `boxes`. */
  readonly lines: readonly (readonly [from: number, to: number])[];
}

interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Centres. */
  readonly boxes: readonly Point[];
  readonly lines: readonly (readonly Point[])[];
}

export interface Verified {
  readonly verdict: Verdict;
  readonly a: ModelFacts;
  readonly b: ModelFacts;
  readonly difference: ModelDiff;
  readonly bisection?: Bisection;
}

/** Requests, and what answers each. */
export interface Calls {
  open: { ask: { model: ModelFiles }; answer: Opened };
  fold: { ask: { model: ModelFiles; options: FoldOptions }; answer: Folded };
  verify: { ask: { a: ModelFiles; b: ModelFiles; options: FoldOptions; bisect: boolean }; answer: Verified };
  channels: { ask: { model: ModelFiles }; answer: ChannelInspection };
  graph: { ask: { before: ModelFiles; after?: ModelFiles }; answer: GraphPair };
  layout: { ask: LayoutAsk; answer: Layout };
}

export type Call = keyof Calls;

export type Request = { [K in Call]: { readonly id: number; readonly call: K } & Calls[K]["ask"] }[Call];

/** An error that crossed over. */
export interface Failure {
  readonly message: string;
  readonly kind: ErrorKind | "memory" | "crash" | "internal";
  readonly place: ErrorPlace;
  readonly hint?: string;
  readonly stage: string;
}

export type Message =
  | { readonly id: number; readonly type: "progress"; readonly stage: string; readonly done: number; readonly total: number }
  | { readonly id: number; readonly type: "done"; readonly answer: unknown }
  | { readonly id: number; readonly type: "failed"; readonly failure: Failure };
