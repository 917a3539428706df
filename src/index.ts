/**
 * bnfold as a library: no file access, no side effects, runs in a browser. Files: see ./node.
 * @module
 */
export {
  type Certificate,
  type CertificateCheck,
  type CertificateCheckOptions,
  checkCertificate,
  parseCertificate,
} from "./certify/index.ts";
export { REASONS, type Reason, type RefusalCode } from "./diag/codes.ts";
export { BnfoldError, type ErrorKind, type ErrorPlace } from "./diag/error.ts";
export { finish, type Pace, paced, type Steps } from "./diag/steps.ts";
export { type DiffOptions, diffModels, diffSteps } from "./diff/index.ts";
export type * from "./diff/types.ts";
export { type BisectOptions, bisect } from "./engine/bisect.ts";
export { type FoldChecked, type FoldCheckedOptions, foldChecked, type Judge, type OnStage, type Sink } from "./engine/fold.ts";
export { type MemoryNeeds, memoryNeeds } from "./engine/needs.ts";
export { previewOf } from "./engine/preview.ts";
export { activationRanges } from "./engine/ranges.ts";
export { type ChannelRanges, type Equalization, type EqualizeOptions, equalization } from "./fold/equalize/index.ts";
export type {
  AffineKind,
  Counts,
  EqualizedData,
  EqualizedValue,
  EqualizedWeight,
  Fold,
  FoldResult,
  InlinedFunction,
  Kept,
  Merge,
  NodeRef,
  PlanData,
  TensorChange,
} from "./fold/index.ts";
export { LateRefusal, type MinimalityOptions, minimality, type PlanOptions, plan, planSteps } from "./fold/index.ts";
export {
  assemble,
  type Backend,
  createWasm,
  plain as plainKernels,
  type Recruit,
  type Team,
  THREAD_SOURCE,
  useBackend,
} from "./kernels/index.ts";
export { type ReadOptions, read } from "./onnx/read.ts";
export type { Model } from "./onnx/records.ts";
export { Sha256 } from "./onnx/sha256.ts";
export { type ByteSource, type ExternalResolver, memorySource } from "./onnx/source.ts";
export { collect, type Piece, pieceBytes, pieceLength, pieceParts, piecesLength } from "./onnx/splice.ts";
export { madeOf, splicedSource } from "./onnx/spliced.ts";
export type { Tensor } from "./onnx/tensor.ts";
export { isEmpty, type ModelEdits, NO_EDITS, type WriteOptions, type Written, write } from "./onnx/write.ts";
export { isTensor, type NumericMode, type Value } from "./ops/define.ts";
export { type Details, detailsOf, type LayerChannels, type Neighbourhood } from "./report/details.ts";
export type { Document as ReportDocument } from "./report/document.ts";
export { HTML_STYLE, htmlBody, htmlPage } from "./report/html/page.ts";
export {
  type FileFacts,
  type ModelFacts,
  modelFacts,
  type NodeCounts,
  type OutputFacts,
  type Report,
  type ReportParts,
  report,
  type Timings,
  toJson,
} from "./report/report.ts";
export { renderText, type Style, type StyleName, type TextOptions } from "./report/text.ts";
export { VERSION } from "./report/version.ts";
export { formatNpy, formatNpz, parseNpy, parseNpz } from "./run/npy.ts";
export { parseTensorProto, parseValueProto } from "./run/proto-values.ts";
export { createSession, type NodeEvent, type RunOptions, type Session, type SessionOptions } from "./run/session.ts";
export * from "./train/index.ts";
export {
  generateInputs,
  type InputOptions,
  type Sample,
  type VerifyOptions,
  verifyModels,
  verifyModelsAsync,
  verifySteps,
} from "./verify/index.ts";
export { type ProveOptions, prove, proveSteps } from "./verify/proof.ts";
export type * from "./verify/types.ts";
