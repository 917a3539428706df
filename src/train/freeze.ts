/**
 * Training semantics → inference semantics, in each operator set's own way of saying so.
 *
 *   BatchNormalization 1, 6    is_test = 1, only the first output stays
 *                      7, 9    only the first output stays
 *                      14, 15  training_mode = 0, only the first output stays
 *   Dropout            1, 6    is_test = 1 (its mask may stay: it is all true then)
 *                      12, 13  the input training_mode, when it is the constant true, is dropped
 *
 * y = scale·(x − batch mean)/√(batch var + ε) + B becomes y = scale·(x − mean)/√(var + ε) + B, so the numbers change.
 */
import { BnfoldError } from "../diag/error.ts";
import { nameOf, refOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import { intAttr } from "../graph/attributes.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { Constants } from "../laws/constants.ts";
import { decode } from "../onnx/codec.ts";
import type { AttributeRecord, GraphRecord, Model, ValueInfoRecord } from "../onnx/records.ts";
import { type ModelEdits, NO_EDITS, type NodeRewrite } from "../onnx/write.ts";
import { factsOf } from "../run/facts.ts";
import { layersOf, storedTensor } from "./layers.ts";

/** Options of `freeze`. */
export interface FreezeOptions {
  /** Graph outputs that are running statistics are dropped from the graph. */
  readonly dropOutputs?: boolean;
}

/** A node that was put into inference semantics. */
export interface FrozenNode {
  readonly node: NodeRef;
  /** What said that it trains, and what says now that it does not. */
  readonly change: string;
  readonly droppedOutputs: readonly string[];
}

/** What `freeze` changes. */
export interface FreezeData {
  readonly frozen: readonly FrozenNode[];
  /** Outputs of the main graph that are gone. */
  readonly droppedGraphOutputs: readonly string[];
}

/** What `freeze` changes, and the edits that do it. */
export interface FreezeResult {
  readonly data: FreezeData;
  readonly edits: ModelEdits;
}

/** Edits that put every BatchNormalization and Dropout into inference semantics. @throws BnfoldError when one cannot be. */
export function freeze(model: Model, options: FreezeOptions = {}): FreezeResult {
  const view = viewOf(model);
  const outputs = new GraphOutputs(model, view, options.dropOutputs === true);
  const frozen: FrozenNode[] = [];
  const rewriteNodes: NodeRewrite[] = [];
  for (const { node, mode } of layersOf(view)) {
    for (const name of ["training_mode", "is_test"]) literal(node, node.record.attributes.get(name));
    if (mode === "inference") continue;
    const dropped = extraOutputs(node);
    for (const value of dropped) outputs.release(node, value);
    const { change, rewrite } = normRewrite(node);
    rewriteNodes.push({ node: node.record, outputs: node.record.outputs.slice(0, 1), ...rewrite });
    frozen.push({ node: refOf(node), change, droppedOutputs: dropped.map(({ name }) => name) });
  }
  const flags = new Map<GraphValue, number>();
  for (const scope of view.scopes) {
    for (const node of scope.nodes) {
      const found = node.record.domain === "" && node.opType === "Dropout" ? dropoutRewrite(node) : undefined;
      if (found === undefined) continue;
      rewriteNodes.push({ node: node.record, ...found.rewrite });
      frozen.push({ node: refOf(node), change: found.change, droppedOutputs: [] });
      if (found.flag !== undefined) flags.set(found.flag, (flags.get(found.flag) ?? 0) + 1);
    }
  }
  // Constants that only said "training" have no reader any more.
  const unread = [...flags].filter(([value, uses]) => value.uses.length === uses && !value.isOutput && !value.isBound);
  outputs.requireOne();
  return {
    data: { frozen, droppedGraphOutputs: outputs.dropped.map(({ name }) => name) },
    edits: {
      ...NO_EDITS,
      rewriteNodes,
      dropNodes: unread.flatMap(([{ producer }]) => producer?.record ?? []),
      dropTensors: unread.flatMap(([{ initializer }]) => initializer ?? []),
      dropValueInfos: [...outputs.dropped, ...outputs.declarations, ...unread.flatMap(([{ declared }]) => declared)],
    },
  };
}

/** Nodes that compute something else at inference than they were trained for, because the file says that it trains. */
export interface TrainingNodes {
  readonly batchNormalization: number;
  /** Dropout that drops. */
  readonly dropout: number;
}

/**
 * How many nodes are in training mode, inner graphs and functions included; undefined when none is. Weights are standardized by such
 * nodes, too: what has a constant to normalize depends on no batch.
 */
export function trainingNodes(model: Model): TrainingNodes | undefined {
  const view = viewOf(model);
  const training = layersOf(view).filter(({ mode }) => mode === "training");
  const constants = training.length === 0 ? undefined : new Constants(view, factsOf(view));
  const isFed = (value: GraphValue | undefined) => value === undefined || constants?.has(value) !== true;
  const batchNormalization = training.filter(({ node }) => isFed(node.inputs[0])).length;
  const nodes = view.scopes.flatMap((scope) => scope.nodes);
  const dropout = nodes.filter((node) => node.record.domain === "" && node.opType === "Dropout" && drops(node)).length;
  return batchNormalization + dropout === 0 ? undefined : { batchNormalization, dropout };
}

function drops(node: GraphNode): boolean {
  if (node.version < 7) return intAttr(node.record, "is_test", 0) === 0;
  const ratio = storedTensor(node.inputs[1]);
  const nothing = ratio !== undefined && Number((decode(ratio.tensor).data as ArrayLike<number>)[0]) === 0;
  return !nothing && dropoutRewrite(node) !== undefined;
}

const extraOutputs = (node: GraphNode): GraphValue[] => node.outputs.slice(1).filter((value) => value !== undefined);

type Change = Omit<NodeRewrite, "node">;

function literal(node: GraphNode, attribute: AttributeRecord | undefined): void {
  if (attribute === undefined || attribute.refAttrName === "") return;
  throw new BnfoldError(
    "model",
    `${nameOf(node)} takes ${attribute.name} from the attribute "${attribute.refAttrName}" of its function: calls may differ`,
    { node: node.label },
    "Inline the model's local functions first.",
  );
}

function normRewrite(node: GraphNode): { change: string; rewrite: Change } {
  const { record, version } = node;
  if (version >= 14) {
    return { change: "training_mode 1 -> 0", rewrite: { set: { training_mode: { int: 0 } } } };
  }
  if (version >= 7) return { change: `${record.outputs.length} outputs -> 1`, rewrite: {} };
  return { change: "is_test 0 -> 1", rewrite: { set: { is_test: { int: 1 } } } };
}

/** `flag`: the constant that is no longer read by the node. */
function dropoutRewrite(node: GraphNode): { change: string; rewrite: Change; flag?: GraphValue } | undefined {
  const { record, version } = node;
  if (version < 7) {
    if (intAttr(record, "is_test", 0) !== 0) return undefined;
    literal(node, record.attributes.get("is_test"));
    return { change: "is_test 0 -> 1", rewrite: { set: { is_test: { int: 1 } } } };
  }
  const flag = node.inputs[2];
  if (version < 12 || flag === undefined) return undefined;
  const stored = storedTensor(flag);
  if (stored === undefined || stored.home.isInput) return undefined;
  const on = Number((decode(stored.tensor).data as ArrayLike<number>)[0]) !== 0;
  const inputs = record.inputs.slice(0, record.inputs[1] === "" ? 1 : 2);
  return on ? { change: "training_mode true -> absent", rewrite: { inputs }, flag } : undefined;
}

/** Which declared outputs and value infos go with the outputs that are dropped. */
class GraphOutputs {
  readonly dropped: ValueInfoRecord[] = [];
  readonly declarations: ValueInfoRecord[] = [];

  constructor(
    private readonly model: Model,
    private readonly view: GraphView,
    private readonly mayDrop: boolean,
  ) {}

  release(node: GraphNode, value: GraphValue): void {
    const [use] = value.uses;
    const place = { node: node.label, tensor: value.name };
    if (use !== undefined) {
      throw new BnfoldError(
        "model",
        `the running statistics of ${nameOf(node)} are read: its output "${value.name}" goes to ${nameOf(use.node)}`,
        place,
        "In inference semantics there are none. Remove their readers first.",
      );
    }
    const { graph } = this.model;
    const declared = graph.outputs.filter((output) => value.scope === this.view.main && output.name === value.name);
    if (value.isOutput && (declared.length === 0 || !this.mayDrop)) {
      const drop = declared.length > 0;
      throw new BnfoldError(
        "model",
        `the running statistics of ${nameOf(node)} are an output of ${drop ? "the model" : "their inner graph or function"}: "${value.name}"`,
        place,
        drop ? "Pass --drop-outputs to drop it from the model's outputs." : "Remove that output first.",
      );
    }
    this.dropped.push(...declared);
    const owner = value.scope.record as Partial<GraphRecord>;
    this.declarations.push(...(owner.valueInfos ?? []).filter((info) => info.name === value.name));
  }

  requireOne(): void {
    if (this.dropped.length > 0 && this.dropped.length === this.model.graph.outputs.length) {
      throw new BnfoldError("model", "every output of the model is a running statistic: frozen, it would have none");
    }
  }
}
