/** Applies the faults of kinds.ts to a model: the right fold, and wrong ones. */
import { previewOf } from "../../../src/engine/preview.ts";
import { type Fold, plan } from "../../../src/fold/index.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../../../src/graph/view.ts";
import { decode } from "../../../src/onnx/codec.ts";
import { type DType, dtypeOf } from "../../../src/onnx/dtype.ts";
import type { Model, TensorRecord } from "../../../src/onnx/records.ts";
import { asFloat64 } from "../../../src/onnx/tensor.ts";
import { type ModelEdits, NO_EDITS, write } from "../../../src/onnx/write.ts";
import { CONSTANTS, STATISTICS, type Statistics, type Written } from "./kinds.ts";
import { rounded, roundoff, ulp } from "./round.ts";

export interface FaultCase {
  readonly kind: string;
  readonly original: Model;
  readonly wrong: Model;
  /**
   * How far the wrong fold's constants are from the right one's: weights in ulps of their type; biases in ulps, and beside
   * 4 u Σ|terms|, which is what files of other tools are allowed.
   */
  readonly weightUlps: number;
  readonly biasUlps: number;
  readonly biasTerms: number;
}

const written = (model: Model, edits: ModelEdits): Model =>
  previewOf(model, write(model, edits, { external: "inline" }), "made.onnx");

export interface Folded {
  readonly model: Model;
  readonly folds: readonly Fold[];
  /** Readers of one value make up for each other in it. */
  readonly gauged: boolean;
}

export function foldOf(model: Model): Folded {
  const { data, edits, gauges } = plan(model);
  return { model: written(model, edits), folds: data.folds, gauged: [...gauges.values()].some((of) => of.size > 0) };
}

const numbers = (record: TensorRecord): Float64Array => Float64Array.from(asFloat64(decode(record)));
const recordOf = (value: GraphValue | undefined): TensorRecord | undefined =>
  value?.scope.kind === "main" ? value.initializer : undefined;

/** The model with other numbers in some initializers. */
export function withTensors(model: Model, change: ReadonlyMap<TensorRecord, Float64Array>): Model {
  const replaceTensors = [...change].map(([tensor, values]) => {
    const dtype = dtypeOf(tensor.dataType) as string;
    return { tensor, values: () => values.map((v) => rounded(dtype, v)) };
  });
  return written(model, { ...NO_EDITS, replaceTensors });
}

/** The model with initializers in float64, so that statistics are exactly what a wrong formula makes of them. */
function withExact(model: Model, change: ReadonlyMap<TensorRecord, Float64Array>): Model {
  const dropTensors = [...change.keys()];
  const addTensors = [...change].map(([tensor, values]) => ({
    graph: model.graph,
    tensor: { name: tensor.name, dims: tensor.dims, dtype: "float64" as DType, values: () => values },
  }));
  return written(model, { ...NO_EDITS, dropTensors, addTensors });
}

interface Target {
  readonly fold: Fold;
  readonly node: GraphNode;
  readonly records: readonly TensorRecord[];
  readonly statistics: Statistics;
}

/** Batch normalizations that were folded and whose parameters stand in the main graph, each its own. */
function targetsOf(view: GraphView, folds: readonly Fold[]): Target[] {
  return folds.flatMap((fold): Target[] => {
    if (fold.kind !== "batch-normalization" || fold.node.scope !== "") return [];
    const node = view.nodes.find((n) => n.scope === view.main && n.record.index === fold.node.index);
    const records = node?.inputs.slice(1, 5).map(recordOf);
    if (node === undefined || records?.length !== 4 || records.includes(undefined)) return [];
    if (node.inputs.slice(1, 5).some((value) => value?.uses.length !== 1)) return [];
    const [gamma, beta, mean, variance] = (records as TensorRecord[]).map(numbers);
    const epsilon = node.record.attributes.get("epsilon")?.f ?? Math.fround(1e-5);
    const statistics = { gamma, beta, mean, variance, epsilon, bias: biasBefore(node, gamma.length) };
    return [{ fold, node, records: records as TensorRecord[], statistics }];
  });
}

function biasBefore(node: GraphNode, channels: number): Float64Array | undefined {
  const before = node.inputs[0]?.producer;
  if (before === undefined || !["Conv", "ConvTranspose", "Gemm"].includes(before.opType)) return undefined;
  if (before.inputs[2] === undefined) return new Float64Array(channels);
  const record = recordOf(before.inputs[2]);
  return record?.dims.length === 1 && record.dims[0] === channels ? numbers(record) : undefined;
}

function axisOf(node: GraphNode, weight: GraphValue): number {
  if (node.opType === "Gemm") return (node.record.attributes.get("transB")?.i ?? 0n) !== 0n ? 0 : 1;
  if (node.opType === "MatMul") return node.inputs[1] === weight ? (weight.initializer?.dims.length ?? 2) - 1 : 0;
  return node.opType === "ConvTranspose" ? 1 : 0;
}

interface Place {
  readonly weight: TensorRecord;
  readonly bias: TensorRecord | undefined;
  readonly before: Written;
}

/** The weight and bias a fold has written, in the written model. */
function placeOf(view: GraphView, original: GraphView, fold: Fold): Place | undefined {
  const tensors = fold.into[0]?.tensors ?? [];
  const value = (to: string) => view.main.values.get(to);
  const change = tensors.find((t) => t.dims.length >= 2 && value(t.to)?.initializer !== undefined);
  const weight = change && value(change.to);
  const node = weight?.uses[0]?.node;
  if (change === undefined || weight?.initializer === undefined || node === undefined) return undefined;
  const bias = tensors.map((t) => value(t.to)?.initializer).find((r) => r !== undefined && r.dims.length <= 1);
  const rows = axisOf(node, weight);
  // A forward fold scales what is read, not what is made.
  const axis = fold.direction === "forward" ? (rows === 0 ? 1 : rows - 1) : rows;
  const groups = Number(node.record.attributes.get("group")?.i ?? 1n);
  const was = original.main.values.get(change.from)?.initializer;
  const known = was !== undefined && String(was.dims) === String(weight.initializer.dims) && fold.direction !== "both";
  const before =
    known && !(groups > 1 && (node.opType === "ConvTranspose" || fold.direction === "forward")) ? numbers(was) : undefined;
  const { dims } = weight.initializer;
  return {
    weight: weight.initializer,
    bias,
    before: { weight: numbers(weight.initializer), axis, dims, groups, before, bias: bias && numbers(bias), dtype: change.dtype },
  };
}

/** How far apart the constants of two folds of one model are. */
function distance(
  right: Model,
  wrong: Model,
  fold: Fold,
  terms: number,
): Pick<FaultCase, "weightUlps" | "biasUlps" | "biasTerms"> {
  const others = new Map(wrong.graph.initializers.map((record) => [record.name, record]));
  const far = { weightUlps: Number.POSITIVE_INFINITY, biasUlps: Number.POSITIVE_INFINITY, biasTerms: Number.POSITIVE_INFINITY };
  const sequence = (model: Model) => model.graph.nodes.map((n) => `${n.opType}:${n.inputs}:${n.outputs}`).join(";");
  if (sequence(right) !== sequence(wrong)) return far;
  const apart = { weightUlps: 0, biasUlps: 0, biasTerms: 0 };
  const biases = new Set(fold.into.flatMap(({ tensors }) => tensors.filter((t) => t.dims.length <= 1).map((t) => t.to)));
  for (const record of right.graph.initializers) {
    const other = others.get(record.name);
    const dtype = dtypeOf(record.dataType) as string;
    if (other === undefined || !["float16", "float32", "float64"].includes(dtype)) continue;
    if (String(other.dims) !== String(record.dims)) return far;
    const [x, y] = [numbers(record), numbers(other)];
    x.forEach((v, i) => {
      const moved = Math.abs(v - y[i]);
      if (moved === 0) return;
      const ulps = moved / ulp(dtype, Math.max(Math.abs(v), Math.abs(y[i])));
      if (record.dims.length > 1) apart.weightUlps = Math.max(apart.weightUlps, ulps);
      else {
        apart.biasUlps = Math.max(apart.biasUlps, ulps);
        const sum = biases.has(record.name) ? Math.max(terms, Math.abs(v)) : Math.abs(v);
        apart.biasTerms = Math.max(apart.biasTerms, moved / (4 * roundoff(dtype) * sum + ulp(dtype, v)));
      }
    });
  }
  return apart;
}

const sameNumbers = (x: Float64Array | undefined, y: Float64Array | undefined) => x === y || String(x) === String(y);

/** Every fault that changes something, each on one fold from the middle of the model. */
export function faultsOf(original: Model, only: (kind: string) => boolean = () => true): FaultCase[] {
  const right = foldOf(original);
  const view = viewOf(original);
  const targets = targetsOf(view, right.folds);
  const cases: FaultCase[] = [];
  const target = targets[targets.length >> 1];
  if (target !== undefined) cases.push(...statisticsFaults(original, right, targets, target, only));
  const list = right.folds.filter((fold) => placeOf(viewOf(right.model), view, fold) !== undefined);
  const fold = list[list.length >> 1];
  const place = fold && placeOf(viewOf(right.model), view, fold);
  if (place === undefined) return cases;
  for (const [kind, spoil] of Object.entries(CONSTANTS)) {
    const spoilt = only(kind) ? spoil(place.before) : undefined;
    if (spoilt === undefined) continue;
    const change = new Map<TensorRecord, Float64Array>();
    if (spoilt.weight !== undefined) change.set(place.weight, spoilt.weight);
    if (spoilt.bias !== undefined && place.bias !== undefined) change.set(place.bias, spoilt.bias);
    const wrong = withTensors(right.model, change);
    const apart = distance(right.model, wrong, fold, 0);
    if (apart.weightUlps > 0 || apart.biasUlps > 0) cases.push({ kind, original, wrong, ...apart });
  }
  return cases;
}

function statisticsFaults(
  original: Model,
  right: Folded,
  targets: readonly Target[],
  target: Target,
  only: (kind: string) => boolean,
): FaultCase[] {
  const cases: FaultCase[] = [];
  const { records, statistics, fold } = target;
  const names = ["gamma", "beta", "mean", "variance"] as const;
  const add = (kind: string, change: Map<TensorRecord, Float64Array>) => {
    if (change.size === 0) return;
    const wrong = foldOf(withExact(original, change)).model;
    const apart = distance(right.model, wrong, fold, termsOf(statistics));
    if (apart.weightUlps > 0 || apart.biasUlps > 0) cases.push({ kind, original, wrong, ...apart });
  };
  for (const [kind, spoil] of Object.entries(STATISTICS)) {
    const spoilt = only(kind) ? spoil(statistics) : undefined;
    if (spoilt === undefined) continue;
    const change = new Map<TensorRecord, Float64Array>();
    names.forEach((name, i) => {
      const value = spoilt[name];
      if (value !== undefined && !sameNumbers(value, statistics[name])) change.set(records[i], value);
    });
    if ([...change.values()].some((list) => list.some((v) => !Number.isFinite(v)))) continue;
    // A variance below −ε is no fold anybody gets out of a program.
    if (spoilt.variance?.some((v) => v + statistics.epsilon <= 0)) continue;
    add(kind, change);
  }
  const twin = targets.find((other) => other !== target && other.statistics.gamma.length === statistics.gamma.length);
  if (twin !== undefined && only("two normalizations exchanged")) {
    const swapped = new Map<TensorRecord, Float64Array>();
    names.forEach((name, i) => swapped.set(records[i], twin.statistics[name]).set(twin.records[i], statistics[name]));
    add("two normalizations exchanged", swapped);
  }
  return cases;
}

/** Σ|terms| of the largest bias: |β| + |s μ| + |s b|. */
function termsOf({ gamma, beta, mean, variance, epsilon, bias }: Statistics): number {
  let most = 0;
  for (let c = 0; c < gamma.length; c++) {
    const s = Math.abs(gamma[c]) / Math.sqrt(variance[c] + epsilon);
    most = Math.max(most, Math.abs(beta[c]) + s * Math.abs(mean[c]) + s * Math.abs(bias?.[c] ?? 0));
  }
  return most;
}
