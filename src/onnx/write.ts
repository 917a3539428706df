/** Model + edits → pieces of the output files. Nothing is encoded here that can wait until it is written. */
import { BnfoldError } from "../diag/error.ts";
import { dtypeOfTensor, elementCount, payloadSpan, rawLength } from "./codec.ts";
import { insertAt, type NodeRewrite, type NodeSpec, newNode, rewriteNode } from "./edit.ts";
import { checkedExternal, type ExternalSpan, SideFiles, stepsLike } from "./external.ts";
import {
  inlineTensor,
  moveTensor,
  type NewTensor,
  newTensor,
  outsourceTensor,
  replaceTensor,
  type Side,
  SMALL_PAYLOAD,
  type Values,
} from "./payload.ts";
import type {
  ExternalData,
  FunctionRecord,
  GraphRecord,
  Model,
  NodeRecord,
  SparseTensorRecord,
  TensorRecord,
  ValueInfoRecord,
} from "./records.ts";
import { FIELD } from "./schema.ts";
import { type Edit, type Piece, piecesLength, splice } from "./splice.ts";
import type { Frame } from "./wire.ts";

export type { AttributeValue, NodeRewrite, NodeSpec } from "./edit.ts";
export type { NewTensor } from "./payload.ts";

/** What is to change, in terms of the model. */
export interface ModelEdits {
  /** What they are edits of, where that is not the model itself but the same with calls of its functions written out. */
  readonly base?: Model;
  readonly dropNodes: readonly NodeRecord[];
  readonly rewriteNodes: readonly NodeRewrite[];
  /** `before` undefined: at the end of the node list. Insertions at one place keep their order. */
  readonly insertNodes: readonly {
    readonly into: GraphRecord | FunctionRecord;
    readonly before: NodeRecord | undefined;
    readonly node: NodeSpec;
  }[];
  /** New numbers for an initializer or the tensor of an attribute: name, encoding and dtype stay. */
  readonly replaceTensors: readonly {
    readonly tensor: TensorRecord;
    readonly dims?: readonly number[];
    readonly values: Values;
  }[];
  /** New initializers, after the last one of their graph, or after its last node. */
  readonly addTensors: readonly { readonly graph: GraphRecord; readonly tensor: NewTensor }[];
  /** Initializers, dense or sparse. */
  readonly dropTensors: readonly (TensorRecord | SparseTensorRecord)[];
  readonly dropValueInfos: readonly ValueInfoRecord[];
}

/** Edits that change nothing. */
export const NO_EDITS: ModelEdits = {
  dropNodes: [],
  rewriteNodes: [],
  insertNodes: [],
  replaceTensors: [],
  addTensors: [],
  dropTensors: [],
  dropValueInfos: [],
};

/** True of edits that change nothing. */
export const isEmpty = ({ base, ...edits }: ModelEdits): boolean =>
  base === undefined && Object.values(edits).every((list: readonly unknown[]) => list.length === 0);

/** Options of `write`: where payloads of tensors go. */
export interface WriteOptions {
  /**
   * External tensors. "keep" (default): untouched ones stay as they are, new payloads go to one fresh side file.
   * "inline": all payloads move into the model, which then needs no other file.
   * "copy": all of them go to fresh side files; the output refers to none of the input's.
   * "split": the same, and initializers that were inside the model leave it, but for small ones.
   */
  readonly external?: "keep" | "inline" | "copy" | "split";
  /**
   * Name of the fresh side file, as the model is to spell it, or of the k-th of them (from 1). Needed when the payload of an
   * external tensor changes or moves.
   */
  readonly sideFileName?: string | ((k: number) => string);
  /** Largest side file in bytes, where a payload is not larger by itself. Default: one file for all. */
  readonly sideFileLimit?: number;
}

/** Output files as pieces. */
export interface Written {
  readonly main: Piece[];
  readonly sideFiles: readonly { readonly location: string; readonly pieces: Piece[] }[];
  /** Locations of the input's side files that the output still refers to. */
  readonly keptFiles: readonly string[];
}

/** A protobuf message cannot be longer: readers count its bytes in 31 bits. */
const MAX_MODEL = 2 ** 31 - 1;

const drop = ({ frame }: { readonly frame: Frame }): Edit => ({
  frame: frame.parent as Frame,
  at: { start: frame.tagAt, end: frame.end },
  pieces: [],
});

/** The model with its edits made. Without edits (and external "keep") `main` is the source, whole. */
export function write(given: Model, edits: ModelEdits, options: WriteOptions = {}): Written {
  const model = edits.base ?? given;
  const source = model.files.main;
  const { external: mode = "keep", sideFileName: name = "" } = options;
  const inline = mode === "inline";
  const nameOf = typeof name === "string" ? (k: number) => (k === 1 ? name : `${name}.${k}`) : name;
  const side = inline ? undefined : new SideFiles(nameOf, stepsLike(model.externalTensors), options.sideFileLimit);
  const leaving = new Set(mode === "split" ? model.graph.initializers : []);
  const rest = untouchedExternal(model, edits);
  const all: Edit[] = [
    ...[...edits.dropNodes, ...edits.dropTensors, ...edits.dropValueInfos].map(drop),
    ...edits.rewriteNodes.flatMap((rewrite) => rewriteNode(source, rewrite)),
    ...edits.insertNodes.map(insertNode),
    ...edits.replaceTensors.flatMap(({ tensor, dims, values }) => replaceTensor(tensor, dims, values, side, leaving.has(tensor))),
    ...edits.addTensors.map((entry) => addTensor(entry, side, mode === "split" && entry.graph === model.graph)),
    ...(inline ? rest.flatMap(moveInline) : []),
    ...(inline || mode === "keep" ? [] : rest.flatMap((tensor) => moveOut(tensor, side as SideFiles))),
    ...(mode === "split" ? outsourced(model, edits).flatMap((tensor) => outsource(tensor, side as SideFiles)) : []),
  ];
  const main = splice(source, model.frame, all);
  const size = piecesLength(main);
  if (size > MAX_MODEL && source.size <= MAX_MODEL) {
    throw new BnfoldError(
      "model",
      `the model would take ${size} bytes; no ONNX reader takes more than ${MAX_MODEL} in one file`,
      { file: source.name },
      "Leave the weights in side files (external data kept).",
    );
  }
  const keptFiles = mode !== "keep" ? [] : [...new Set(rest.map(({ external }) => (external as ExternalData).location))];
  const sideFiles = (side?.files ?? []).map(({ location, pieces }) => ({ location, pieces }));
  if (sideFiles.some(({ location }) => location === "")) {
    throw new BnfoldError(
      "usage",
      "the payload of an external tensor changes or moves, and the side file it goes to has no name",
      { file: source.name },
      'Give `sideFileName`, or `external: "inline"` for one file; `saveModel` chooses a name itself.',
    );
  }
  return { main, sideFiles, keptFiles };
}

function insertNode({ into, before, node }: ModelEdits["insertNodes"][number]): Edit {
  const field = "initializers" in into ? FIELD.graph.node : FIELD.function.node;
  const at = before?.frame.tagAt ?? into.nodes.at(-1)?.frame.end ?? into.frame.start;
  return insertAt(into.frame, at, newNode(field, node));
}

function addTensor({ graph, tensor }: ModelEdits["addTensors"][number], side: Side, leaves: boolean): Edit {
  const at = graph.initializers.at(-1)?.frame.end ?? graph.nodes.at(-1)?.frame.end ?? graph.frame.start;
  return { frame: graph.frame, at: { start: at, end: at }, pieces: newTensor(FIELD.graph.initializer, tensor, side, leaves) };
}

/** External tensors that stay in the model with the payload they have. */
function untouchedExternal(model: Model, edits: ModelEdits): TensorRecord[] {
  const gone = [...edits.dropNodes, ...edits.dropTensors].map(({ frame }) => frame);
  const touched = new Set(edits.replaceTensors.map(({ tensor }) => tensor.frame.tagAt));
  const inside = (frame: Frame) => gone.some((outer) => outer.tagAt <= frame.tagAt && frame.end <= outer.end);
  return model.externalTensors.filter(({ frame }) => !touched.has(frame.tagAt) && !inside(frame));
}

const spanOf = (tensor: TensorRecord): ExternalSpan =>
  checkedExternal(tensor, rawLength(dtypeOfTensor(tensor), elementCount(tensor)));

/** The payload streamed from its side file into the model. */
const moveInline = (tensor: TensorRecord): Edit[] => inlineTensor(tensor, spanOf(tensor));

/** The payload streamed from its side file into a fresh one. */
function moveOut(tensor: TensorRecord, side: SideFiles): Edit[] {
  const span = spanOf(tensor);
  return moveTensor(tensor, side.copy(span, (tensor.external as ExternalData).location), span.end - span.start);
}

/** Untouched initializers of the model's graph that are large and lie in the file in raw layout. */
function outsourced(model: Model, edits: ModelEdits): TensorRecord[] {
  const touched = new Set(
    [...edits.replaceTensors.map(({ tensor }) => tensor), ...edits.dropTensors].map(({ frame }) => frame.tagAt),
  );
  return model.graph.initializers.filter((tensor) => tensor.external === undefined && !touched.has(tensor.frame.tagAt));
}

function outsource(tensor: TensorRecord, side: SideFiles): Edit[] {
  if (dtypeOfTensor(tensor) === "string") return [];
  const span = payloadSpan(tensor);
  if (span === undefined || span.end - span.start < SMALL_PAYLOAD) return [];
  return outsourceTensor(tensor, side.copy(span, ""), span.end - span.start);
}
