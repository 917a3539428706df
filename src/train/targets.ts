/** Which BatchNormalization nodes can be given new statistics, in which order, and how to give them. */

import { BnfoldError } from "../diag/error.ts";
import { nameOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import { intAttr } from "../graph/attributes.ts";
import { FreshNames } from "../graph/fresh-names.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { decode, dtypeOfTensor, roundArray } from "../onnx/codec.ts";
import { isStorageFloat } from "../onnx/dtype.ts";
import type { Model, NodeRecord, TensorRecord } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import type { ModelEdits } from "../onnx/write.ts";
import { layerName, layersOf, type NormLayer, type Stored } from "./layers.ts";

/** Mean and variance of one layer. */
export interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

export interface Target {
  readonly layer: NormLayer;
  readonly name: string;
  /** Its first output: the name nothing else in the graph has. */
  readonly key: string;
  /** The value it normalizes. */
  readonly input: string;
  readonly channels: number;
  /** Statistics per activation instead of per channel (`spatial` = 0, before operator set 9). */
  readonly perActivation: boolean;
  /** Layers whose statistics reach its input, at most, one after the other. */
  readonly level: number;
  readonly mean: Stored;
  readonly variance: Stored;
  /** FreshNames under which the executor reads its statistics; nobody else reads those. */
  readonly ownMean: string;
  readonly ownVariance: string;
}

export interface SkippedLayer {
  readonly node: NodeRef;
  readonly reason: string;
}

export interface Targets {
  readonly view: GraphView;
  /** Lower levels first. */
  readonly targets: readonly Target[];
  readonly skipped: readonly SkippedLayer[];
}

/**
 * The layers to recalibrate: those of the main graph with stored statistics whose name `select` accepts.
 * @throws BnfoldError of kind "model" when a layer normalizes with batch statistics: results would depend on the batches.
 */
export function targetsOf(model: Model, select: (name: string) => boolean = () => true): Targets {
  const view = viewOf(model);
  const layers = layersOf(view);
  const trains = layers.find(({ mode }) => mode === "training");
  if (trains !== undefined) {
    throw new BnfoldError(
      "model",
      `${nameOf(trains.node)} is in training mode: it has no use for running statistics`,
      { node: trains.node.label },
      "Run `bnfold freeze` on the model first.",
    );
  }
  const found = new Map<GraphNode, Omit<Target, "level">>();
  const skipped: SkippedLayer[] = [];
  for (const layer of layers) {
    const at = targetOf(layer, view, found.size, select);
    if (typeof at === "string") skipped.push({ node: layer.ref, reason: at });
    else found.set(layer.node, at);
  }
  const levels = levelsOf(view, found);
  const targets = [...found.values()].map((target): Target => ({ ...target, level: levels.get(target.layer.node) ?? 0 }));
  return { view, targets: targets.sort((a, b) => a.level - b.level), skipped };
}

function targetOf(
  layer: NormLayer,
  view: GraphView,
  index: number,
  select: (name: string) => boolean,
): Omit<Target, "level"> | string {
  const { node, parameters } = layer;
  const name = layerName(layer);
  if (!select(name)) return "not asked for";
  if (node.scope !== view.main) return "lies in an inner graph or function";
  const [mean, variance] = [parameters.get("mean"), parameters.get("var")];
  const [input, output] = [node.inputs[0], node.outputs[0]];
  if (mean === undefined || variance === undefined) return "its mean or variance is computed, not stored";
  if (input === undefined || output === undefined) return "it has no input or no output";
  for (const { tensor } of [mean, variance]) {
    const dtype = dtypeOfTensor(tensor);
    if (!isStorageFloat(dtype)) return `its statistics have the type ${dtype}`;
  }
  const channels = sizeOf(mean.tensor.dims);
  if (sizeOf(variance.tensor.dims) !== channels) return "its mean and variance differ in size";
  const perActivation = node.version < 9 && intAttr(node.record, "spatial", 1) === 0;
  const own = (what: string): string => {
    let free = `bnfold/${index}/${what}`;
    while (view.main.values.has(free)) free += "_";
    return free;
  };
  return {
    ...{ layer, name, key: output.name, input: input.name, channels, perActivation, mean, variance },
    ...{ ownMean: own("mean"), ownVariance: own("var") },
  };
}

/** Every value a node reads, those its inner graphs capture included. */
function readsOf(node: GraphNode): GraphValue[] {
  const inner = node.bodies.flatMap((body) => body.nodes.flatMap(readsOf));
  return [...node.inputs.filter((value) => value !== undefined), ...inner];
}

/** For each layer, the length of the longest chain of layers before it. */
function levelsOf(view: GraphView, found: ReadonlyMap<GraphNode, unknown>): Map<GraphNode, number> {
  const levels = new Map<GraphNode, number>();
  const depth = new Map<GraphValue, number>();
  for (const node of view.nodes) {
    if (node.scope !== view.main) continue;
    const before = readsOf(node).reduce((most, value) => Math.max(most, depth.get(value) ?? 0), 0);
    if (found.has(node)) levels.set(node, before);
    const after = found.has(node) ? before + 1 : before;
    for (const output of node.outputs) if (output !== undefined) depth.set(output, after);
  }
  return levels;
}

/** The statistics the file has now. */
export function storedStatistics(target: Target): Statistics {
  const numbers = ({ tensor }: Stored) => asFloat64(decode(tensor));
  return { mean: numbers(target.mean), variance: numbers(target.variance) };
}

/** What a file can hold of the numbers. @throws BnfoldError of kind "model" when one is not finite, or overflows. */
export function roundToStored(target: Target, statistics: Statistics): Statistics {
  const rounded = (what: string, { tensor }: Stored, values: Float64Array): Float64Array => {
    const dtype = dtypeOfTensor(tensor);
    const numbers = roundArray(dtype, values.slice());
    const bad = numbers.findIndex((v) => !Number.isFinite(v));
    if (bad < 0) return numbers;
    throw new BnfoldError(
      "model",
      `the ${what} of ${nameOf(target.layer.node)} came out as ${values[bad]} on channel ${bad}, which ${dtype} cannot hold`,
      {
        node: target.layer.node.label,
        tensor: tensor.name,
      },
      "Look for values that are not finite in the data.",
    );
  };
  return {
    mean: rounded("mean", target.mean, statistics.mean),
    variance: rounded("variance", target.variance, statistics.variance),
  };
}

/** The model with each target's statistics under names of their own, so that a run can replace them one by one. */
export function withOwnStatistics(model: Model, targets: readonly Target[]): Model {
  const { graph } = model;
  const own = new Map<NodeRecord, Target>(targets.map((target) => [target.layer.node.record, target]));
  const nodes = graph.nodes.map((node) => {
    const target = own.get(node);
    if (target === undefined) return node;
    return { ...node, inputs: [...node.inputs.slice(0, 3), target.ownMean, target.ownVariance, ...node.inputs.slice(5)] };
  });
  const initializers = targets.flatMap(({ mean, variance, ownMean, ownVariance }) => [
    { ...mean.tensor, name: ownMean },
    { ...variance.tensor, name: ownVariance },
  ]);
  return { ...model, graph: { ...graph, nodes, initializers: [...graph.initializers, ...initializers] } };
}

/** Statistics as replacements of initializers in the model of `withOwnStatistics`. */
export function constantsFor(statistics: ReadonlyMap<Target, Statistics>): Map<string, Tensor> {
  const out = new Map<string, Tensor>();
  for (const [target, { mean, variance }] of statistics) {
    const put = (name: string, { tensor }: Stored, data: Float64Array) =>
      out.set(name, { dtype: dtypeOfTensor(tensor), dims: tensor.dims, data });
    put(target.ownMean, target.mean, mean);
    put(target.ownVariance, target.variance, variance);
  }
  return out;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
type Edited = Pick<Mutable<ModelEdits>, "replaceTensors" | "addTensors" | "rewriteNodes" | "insertNodes">;

/** Whether the numbers belong to this node alone, so that they may be replaced where they are. */
function isAlone({ value, home }: Stored): boolean {
  return value === home && home.uses.length === 1 && !home.isOutput && !home.isBound && !home.captured;
}

/**
 * The edits that store statistics. Tensors that something else reads too keep their numbers; the layer gets tensors of its own.
 */
export function statisticsEdits(model: Model, view: GraphView, statistics: ReadonlyMap<Target, Statistics>): Edited {
  const edits: Edited = { replaceTensors: [], addTensors: [], rewriteNodes: [], insertNodes: [] };
  const names = FreshNames.of(view);
  for (const [target, { mean, variance }] of statistics) {
    const { record } = target.layer.node;
    const inputs = [...record.inputs];
    const put = (at: number, suffix: string, stored: Stored, data: Float64Array) => {
      const { tensor } = stored;
      if (isAlone(stored)) edits.replaceTensors.push({ tensor, values: () => data });
      else {
        inputs[at] = names.fresh(`${target.key}.${suffix}`);
        addConstant(edits, model, record, inputs[at], tensor, data);
      }
    };
    put(3, "running_mean", target.mean, mean);
    put(4, "running_var", target.variance, variance);
    if (inputs.some((name, i) => name !== record.inputs[i])) edits.rewriteNodes.push({ node: record, inputs });
  }
  return edits;
}

/** An initializer; before IR version 4 those must also be inputs of the graph, so it is a Constant node there. */
function addConstant(
  edits: Edited,
  model: Model,
  before: NodeRecord,
  name: string,
  like: TensorRecord,
  data: Float64Array,
): void {
  const dtype = dtypeOfTensor(like);
  const { dims } = like;
  if (model.irVersion >= 4)
    edits.addTensors.push({ graph: model.graph, tensor: { name, dims, dtype, like, values: () => data } });
  else {
    const node = {
      opType: "Constant",
      inputs: [],
      outputs: [name],
      attributes: { value: { tensor: { dtype, dims, values: data } } },
    };
    edits.insertNodes.push({ into: model.graph, before, node });
  }
}
