/** Which BatchNormalization nodes can be given new statistics, in which order, and how to give them. */

import { BnfoldError } from "../diag/error.ts";
import { nameOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import { intAttr } from "../graph/attributes.ts";
import { FreshNames } from "../graph/fresh-names.ts";
import { type GraphNode, type GraphView, viewOf } from "../graph/view.ts";
import { decode, dtypeOfTensor, roundArray } from "../onnx/codec.ts";
import { isStorageFloat } from "../onnx/dtype.ts";
import type { Model, NodeRecord, TensorRecord } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import type { ModelEdits } from "../onnx/write.ts";
import { layerName, layersOf, type NormLayer, type Stored } from "./layers.ts";
import { isReadOnlyBy, levelsOf, pooled } from "./pools.ts";
import { type WrittenNorm, writtenAs, writtenNorms } from "./written-norms.ts";

/** Mean and variance of one layer. */
export interface Statistics {
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

/** Where a node reads a parameter. */
export interface Place {
  readonly node: GraphNode;
  readonly index: number;
}

/** A layer to recalibrate. */
export interface Target {
  readonly layer: Pick<NormLayer, "node" | "ref" | "epsilon">;
  readonly name: string;
  /** Its first output: the name nothing else in the graph has. */
  readonly key: string;
  /** The value it normalizes. */
  readonly input: string;
  readonly channels: number;
  /** Axis of the channels. */
  readonly axis: number;
  /** Statistics per activation instead of per channel (`spatial` = 0, before operator set 9). */
  readonly perActivation: boolean;
  /** Layers of one pool are one layer that the network goes through several times: they have statistics in common. */
  readonly pool: number;
  /** Layers whose statistics reach its input, at most, one after the other. */
  readonly level: number;
  readonly mean: Stored;
  readonly variance: Stored;
  readonly meanAt: Place;
  readonly varianceAt: Place;
  /** FreshNames under which the executor reads its statistics; nobody else reads those. */
  readonly ownMean: string;
  readonly ownVariance: string;
}

/** A layer that keeps its statistics, and why. */
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
export function targetsOf(model: Model, select: (name: string) => boolean = () => true, untie = false): Targets {
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
  const found: Omit<Target, "level" | "pool">[] = [];
  const skipped: SkippedLayer[] = [];
  for (const layer of layers) {
    const at = targetOf(layer, view, found.length, select);
    if (typeof at === "string") skipped.push({ node: layer.ref, reason: at });
    else found.push(at);
  }
  const written = writtenNorms(model, view);
  for (const norm of written) {
    const at = writtenTarget(norm, view, layers.length + found.length, select);
    if (typeof at === "string") skipped.push({ node: norm.ref, reason: at });
    else found.push(at);
  }
  const tied = pooled(layers);
  const numbers = new Map([...layers, ...found.map(({ layer }) => layer)].map((layer, i) => [layer.node, i]));
  const poolOf = ({ node }: Target["layer"]): number => {
    const first = untie ? undefined : [...tied].find(([layer]) => layer.node === node)?.[1];
    return numbers.get(first?.node ?? node) ?? 0;
  };
  const whole = untie ? found : found.filter((target) => !isTorn(target, tied, found, skipped));
  const pools = new Map(whole.map((target) => [target.layer.node, poolOf(target.layer)]));
  const levels = levelsOf(view, pools);
  const targets = whole.map((target): Target => {
    const pool = pools.get(target.layer.node) ?? 0;
    return { ...target, pool, level: levels.get(pool) ?? 0 };
  });
  return { view, targets: targets.sort((a, b) => a.level - b.level), skipped };
}

/** Whether a layer is one with another that cannot be, or is not to be, recalibrated: to give it statistics would part them. */
function isTorn(
  { layer }: Omit<Target, "level" | "pool">,
  tied: ReadonlyMap<NormLayer, NormLayer>,
  found: readonly Omit<Target, "level" | "pool">[],
  skipped: SkippedLayer[],
): boolean {
  const first = tied.get(layer as NormLayer);
  if (first === undefined) return false;
  const chosen = new Set(found.map((target) => target.layer as NormLayer));
  const other = [...tied].find(([member, head]) => head === first && !chosen.has(member))?.[0];
  if (other === undefined) return false;
  skipped.push({
    node: layer.ref,
    reason: `it is one layer with ${nameOf(other.node)}, which is left alone; --untie parts them`,
  });
  return true;
}

function targetOf(
  layer: NormLayer,
  view: GraphView,
  index: number,
  select: (name: string) => boolean,
): Omit<Target, "level" | "pool"> | string {
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
  return {
    ...{ layer, name, key: output.name, input: input.name, channels, axis: 1, perActivation, mean, variance },
    ...{ meanAt: { node, index: 3 }, varianceAt: { node, index: 4 } },
    ...{ ownMean: ownName(view, index, "mean"), ownVariance: ownName(view, index, "var") },
  };
}

/** A normalization written as arithmetic, where mean and variance can still be told apart from gain and shift. */
function writtenTarget(
  norm: WrittenNorm,
  view: GraphView,
  index: number,
  select: (name: string) => boolean,
): Omit<Target, "level" | "pool"> | string {
  const { nodes, ref, input, statistics, axis, gain } = norm;
  const [first, last] = [nodes[0], nodes[nodes.length - 1]];
  const name = ref.name || ref.output;
  if (!select(name)) return "not asked for";
  if (first.scope !== view.main) return "lies in an inner graph or function";
  const output = last.outputs[0];
  if (statistics === undefined || output === undefined)
    return `it is written as ${writtenAs(norm)}: its gain and shift are in the file, its mean and variance are not`;
  const { mean, variance, epsilon } = statistics;
  return {
    ...{ layer: { node: first, ref, epsilon }, name, key: output.name, input: input.name },
    ...{ channels: gain.length, axis, perActivation: false, mean: mean.stored, variance: variance.stored },
    ...{ meanAt: mean.at, varianceAt: variance.at },
    ...{ ownMean: ownName(view, index, "mean"), ownVariance: ownName(view, index, "var") },
  };
}

/** A name no value of the graph has. */
function ownName(view: GraphView, index: number, what: string): string {
  let free = `bnfold/${index}/${what}`;
  while (view.main.values.has(free)) free += "_";
  return free;
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

/** Targets by pool, those of a pool in the order of the file. */
export function poolsOf(targets: Iterable<Target>): Target[][] {
  const pools = new Map<number, Target[]>();
  for (const target of targets) pools.set(target.pool, [...(pools.get(target.pool) ?? []), target]);
  const at = ({ layer }: Target) => layer.node.record.frame.start;
  return [...pools.values()].map((members) => members.sort((a, b) => at(a) - at(b)));
}

/** Inputs of nodes with some of them renamed. */
class Renamed {
  readonly inputs = new Map<NodeRecord, string[]>();

  put({ node, index }: Place, name: string): void {
    const { record } = node;
    this.inputs.set(record, (this.inputs.get(record) ?? [...record.inputs]).with(index, name));
  }
}

/** The model with each target's statistics under names of their own, so that a run can replace them one by one. */
export function withOwnStatistics(model: Model, targets: readonly Target[]): Model {
  const { graph } = model;
  const renamed = new Renamed();
  for (const { meanAt, varianceAt, ownMean, ownVariance } of targets) {
    renamed.put(meanAt, ownMean);
    renamed.put(varianceAt, ownVariance);
  }
  const nodes = graph.nodes.map((node) => ({ ...node, inputs: renamed.inputs.get(node) ?? node.inputs }));
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

/**
 * The edits that store statistics. Tensors that something else reads too keep their numbers; the layers of a pool get tensors of
 * their own, in common.
 */
export function statisticsEdits(model: Model, view: GraphView, statistics: ReadonlyMap<Target, Statistics>): Edited {
  const edits: Edited = { replaceTensors: [], addTensors: [], rewriteNodes: [], insertNodes: [] };
  const names = FreshNames.of(view);
  const renamed = new Renamed();
  for (const members of poolsOf(statistics.keys())) {
    const [first] = members;
    const put = (suffix: string, stored: Stored, places: readonly Place[], data: Float64Array) => {
      const { tensor } = stored;
      if (isReadOnlyBy(stored, places)) {
        edits.replaceTensors.push({ tensor, values: () => data });
        return;
      }
      const name = names.fresh(`${first.key}.${suffix}`);
      const records = places.map(({ node }) => node.record);
      const before = records.reduce((a, b) => (a.frame.start < b.frame.start ? a : b));
      addConstant(edits, model, before, name, tensor, data);
      for (const place of places) renamed.put(place, name);
    };
    const { mean, variance } = statistics.get(first) as Statistics;
    const places = (at: (target: Target) => Place) => members.map(at);
    put(
      "running_mean",
      first.mean,
      places(({ meanAt }) => meanAt),
      mean,
    );
    put(
      "running_var",
      first.variance,
      places(({ varianceAt }) => varianceAt),
      variance,
    );
  }
  for (const [node, inputs] of renamed.inputs) edits.rewriteNodes.push({ node, inputs });
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
