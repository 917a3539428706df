/** Plan and verdict → one plain, versioned object. Its schema is report.schema.json; docs/report.md explains the fields. */
import type { AffineKind, Fold, Kept, NodeRef, PlanData } from "../fold/types.ts";
import type { Model } from "../onnx/records.ts";
import { sideFileUse } from "../onnx/side-files.ts";
import type { Verdict } from "../verify/types.ts";
import type { Details } from "./details.ts";
import type { RuntimeOpinion } from "./runtime.ts";
import { VERSION } from "./version.ts";

/** What a report says of a file. */
export interface FileFacts {
  /** As the caller named it. */
  readonly file: string;
  readonly bytes: number;
  /** Lower-case hexadecimal; null where nobody asked, since hashing costs as much as copying. */
  readonly sha256: string | null;
}

export interface SideFileFacts extends FileFacts {
  /** Bytes of it that tensors of the model refer to. */
  readonly usedBytes: number;
}

/** What has to be there for a model to be loaded. */
export interface NeededFiles {
  /** Files with external tensor data that belong to the model. */
  readonly sideFiles: readonly SideFileFacts[];
  /** Bytes of the model and its side files together. */
  readonly totalBytes: number;
  /** Locations of side files that are not there; absent when all are. */
  readonly missing?: readonly string[];
}

/** Nodes that say they train: what they compute depends on the batch, or on chance. */
export interface TrainingFacts {
  readonly batchNormalization: number;
  readonly dropout: number;
}

/** What a report says of a model file and those beside it. */
export interface ModelFacts extends FileFacts, NeededFiles {
  /** Absent when no node is in training mode, or nobody looked. */
  readonly training?: TrainingFacts;
  readonly irVersion: number;
  /** Version per domain; the ONNX domain is "ai.onnx". */
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer: { readonly name: string; readonly version: string };
}

/** What a report says of the files that were written. */
export interface OutputFacts extends FileFacts, NeededFiles {}

/** Nodes of one kind: how many there were, and what became of them. */
export interface NodeCounts {
  readonly before: number;
  readonly folded: number;
  readonly kept: number;
}

/** Milliseconds each stage took. */
export interface Timings {
  readonly readMs: number;
  readonly planMs: number;
  readonly proofMs: number;
  readonly runMs: number;
  readonly writeMs: number;
}

/** What a certificate shows of a fold (src/certify). */
export interface CertificateFacts {
  readonly file: string;
  /** Nodes that the laws of gauges let go, each for itself or with others. */
  readonly candidates: number;
  /** Of these, how many the fold keeps, and how many every rewrite of that kind keeps at the least. */
  readonly kept: number;
  readonly least: number;
}

export interface Tool {
  readonly name: "bnfold";
  readonly version: string;
}

/** A node that trained, what said so and what says now that it does not. */
export interface FrozenFacts {
  readonly node: NodeRef;
  readonly change: string;
  readonly droppedOutputs: readonly string[];
}

/** The report of a fold: docs/report.md says what each entry means, `bnfold/report.schema.json` is its schema. */
export interface Report extends Details {
  readonly version: 1;
  readonly tool: Tool;
  readonly input: ModelFacts;
  /** null when nothing was written: a dry run, or a verdict that failed. */
  readonly output: OutputFacts | null;
  /** Nodes that were given inference semantics first; everything else is said of that model. Absent where nobody asked. */
  readonly frozen?: readonly FrozenFacts[];
  readonly batchNormalization: NodeCounts;
  /** Other constant affine operators: Mul, Add, Sub, Div, Neg. */
  readonly affine: NodeCounts;
  /** Where they were asked for: other normalizations with a gain or shift ("folded": emptied), and weights that constants compute. */
  readonly norm?: NodeCounts;
  readonly weight?: NodeCounts;
  readonly operators: {
    readonly before: Readonly<Record<string, number>>;
    readonly after: Readonly<Record<string, number>>;
  };
  /** Bits of the files' own precision that the fold that costs most can cost, estimated from constants; 0 where none costs any. */
  readonly bitsLost: number;
  /** What the costliest folds cost by a run in the files' own precision near the statistics; absent where nothing was measured. */
  readonly bitsMeasured?: { readonly bits: number; readonly value: string };
  readonly folds: readonly Fold[];
  readonly kept: readonly Kept[];
  /** Parallel linear branches that became one convolution. */
  readonly merges: PlanData["merges"];
  /** Those that were left, because one convolution would cost more. */
  readonly unmerged: PlanData["unmerged"];
  /** Functions whose calls were written out before anything was folded; absent when there are none. */
  readonly inlined?: PlanData["inlined"];
  /** Channels scaled by powers of two, where that was asked for. */
  readonly equalized?: PlanData["equalized"];
  readonly verdict: Verdict;
  /** Why no fewer nodes can stay, where that was asked for. */
  readonly certificate?: CertificateFacts;
  /** What another runtime made of both files, where it was asked. */
  readonly runtime?: RuntimeOpinion;
  readonly timings: Timings;
  readonly peakMemoryBytes: number;
}

/** What `report` puts together. */
export interface ReportParts {
  readonly input: ModelFacts;
  readonly output?: OutputFacts;
  readonly frozen?: Report["frozen"];
  readonly plan: PlanData;
  readonly verdict: Verdict;
  readonly certificate?: CertificateFacts;
  readonly runtime?: RuntimeOpinion;
  readonly measured?: Report["bitsMeasured"];
  readonly timings: Timings;
  readonly peakMemoryBytes: number;
}

export const tool = (): Tool => ({ name: "bnfold", version: VERSION });

/** Name and size of the side file at a location; undefined when it is not there. */
export type SideFileAt = (location: string) => { readonly file: string; readonly bytes: number } | undefined;

/** Side files as the model's own resolver finds them. */
const resolved =
  ({ files }: Model): SideFileAt =>
  (location) => {
    try {
      return { file: location, bytes: files.external(location).size };
    } catch {
      return undefined;
    }
  };

/** A model's file with the side files it refers to. */
export function neededFiles(model: Model, { bytes }: FileFacts, at: SideFileAt = resolved(model)): NeededFiles {
  const found = sideFileUse(model).map(({ location, usedBytes }) => ({ location, usedBytes, there: at(location) }));
  const sideFiles = found.flatMap(({ there, usedBytes }) => (there === undefined ? [] : [{ ...there, sha256: null, usedBytes }]));
  const missing = found.flatMap(({ location, there }) => (there === undefined ? [location] : []));
  const totalBytes = sideFiles.reduce((sum, side) => sum + side.bytes, bytes);
  return { sideFiles, totalBytes, ...(missing.length === 0 ? {} : { missing }) };
}

/** What a report says of a model file; `files` where the caller knows its side files. */
export function modelFacts(model: Model, file: FileFacts, files: NeededFiles = neededFiles(model, file)): ModelFacts {
  return {
    ...file,
    ...files,
    irVersion: model.irVersion,
    opsets: Object.fromEntries([...model.opsets].map(([domain, version]) => [domain === "" ? "ai.onnx" : domain, version])),
    producer: { name: model.producerName, version: model.producerVersion },
  };
}

/** Nodes before, folded and kept, for each kind; `norm` and `weight` where they were asked for. */
export function countsOf(plan: PlanData): Pick<Report, "batchNormalization" | "affine" | "norm" | "weight"> {
  const count = (kind: AffineKind, before: number): NodeCounts => {
    const of = (list: readonly { readonly kind: AffineKind }[]) => list.filter((entry) => entry.kind === kind).length;
    return { before, folded: of(plan.folds), kept: of(plan.kept) };
  };
  const { batchNormalizations, affines, norms, weights } = plan.before;
  return {
    batchNormalization: count("batch-normalization", batchNormalizations),
    affine: count("affine", affines),
    ...(norms === undefined ? {} : { norm: count("norm", norms) }),
    ...(weights === undefined ? {} : { weight: count("weight", weights) }),
  };
}

/** The report of one fold. Pure: the same parts give the same object. */
export function report(parts: ReportParts): Report {
  const { plan } = parts;
  return {
    version: 1,
    tool: tool(),
    input: parts.input,
    output: parts.output ?? null,
    ...(parts.frozen === undefined ? {} : { frozen: parts.frozen }),
    ...countsOf(plan),
    operators: { before: plan.before.operators, after: plan.after.operators },
    bitsLost: plan.folds.reduce((most, fold) => Math.max(most, fold.bitsLost), 0),
    ...(parts.measured === undefined
      ? {}
      : { bitsMeasured: { ...parts.measured, bits: Number(parts.measured.bits.toFixed(1)) } }),
    folds: plan.folds,
    kept: plan.kept,
    merges: plan.merges,
    unmerged: plan.unmerged,
    ...(plan.inlined === undefined ? {} : { inlined: plan.inlined }),
    ...(plan.equalized === undefined ? {} : { equalized: plan.equalized }),
    verdict: parts.verdict,
    ...(parts.certificate === undefined ? {} : { certificate: parts.certificate }),
    ...(parts.runtime === undefined ? {} : { runtime: parts.runtime }),
    timings: parts.timings,
    peakMemoryBytes: parts.peakMemoryBytes,
  };
}

/** JSON text. What JSON has no number for is written as the strings "NaN", "Infinity" and "-Infinity". */
export function toJson(value: object): string {
  return JSON.stringify(value, (_key, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v), 2);
}
