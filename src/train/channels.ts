/**
 * What the parameters of each BatchNormalization say of its channels.
 *
 *   gain = γ/√(v + ε), shift = β − μ·gain;   y = gain·x + shift
 *
 * A channel is off when |gain| ≤ 1e-4 of the layer's largest: dead when its shift is as small against the layer's largest output,
 * or not positive in front of a Relu; else constant, and shift·W can move into the next bias. Folded into the layer in front, row
 * c of its weight becomes gain_c·W_c. A float16 weight overflows above 65504. A quantiser with one scale for the whole tensor
 * spends max_c|gain_c·W_c| on every row: rows far above the median of those that are not off widen the range for all others.
 */
import { normalMap } from "../affine/normal.ts";
import type { NodeRef } from "../fold/types.ts";
import { intAttr } from "../graph/attributes.ts";
import { type GraphNode, type GraphValue, viewOf } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64 } from "../onnx/tensor.ts";
import { CHANNEL_FLAGS, type ChannelFlag } from "./flags.ts";
import { layersOf, type NormLayer, PARAMETERS, type Parameter, parameterOf, storedTensor } from "./layers.ts";
import { type WrittenNorm, writtenNorms } from "./written-norms.ts";

export const FLOAT16_MAX = 65504;
/** Share of the layer's largest below which a gain or shift counts as nothing. */
const NOTHING = 1e-4;
/** A row this many times the median row widens the range that all rows share. */
const WIDE = 8;

/** How numbers are spread: quartiles by linear interpolation. */
export interface Distribution {
  readonly min: number;
  readonly lowerQuartile: number;
  readonly median: number;
  readonly upperQuartile: number;
  readonly max: number;
  readonly mean: number;
}

/** One channel of a normalization: its parameters, and gain and shift of the map y = gain·x + shift they make. */
export interface Channel {
  readonly scale: number;
  readonly bias: number;
  readonly mean: number;
  readonly variance: number;
  readonly gain: number;
  readonly shift: number;
  /** Largest |weight| of the row in front that makes this channel, before and after folding; absent without such a layer. */
  readonly weight?: number;
  readonly folded?: number;
  readonly flags: readonly ChannelFlag[];
}

/** What `inspectChannels` says of one BatchNormalization. */
export interface ChannelReport {
  readonly node: NodeRef;
  readonly epsilon: number;
  /** The layer in front whose weight would take the gains. */
  readonly producer?: string;
  /** Weights of one channel in that layer: what removing the channel saves there. */
  readonly weightsPerChannel?: number;
  /** A Relu is the only reader: what is not positive ends there. */
  readonly beforeRelu: boolean;
  readonly distributions: Readonly<Record<"scale" | "bias" | "mean" | "variance" | "gain", Distribution>>;
  /** Largest row over median row of the weight in front, before and after folding. */
  readonly range?: { readonly before: number; readonly after: number };
  readonly counts: Readonly<Record<ChannelFlag, number>>;
  readonly channels: readonly Channel[];
}

/** A normalization written as arithmetic: its gain and shift are all that can be known. */
export interface WrittenReport {
  /** The first of its nodes. */
  readonly node: NodeRef;
  /** Operators it is written as. */
  readonly operators: readonly string[];
  readonly producer?: string;
  readonly distributions: Readonly<Record<"gain" | "shift", Distribution>>;
  readonly range?: { readonly before: number; readonly after: number };
  readonly counts: Readonly<Record<ChannelFlag, number>>;
  readonly channels: readonly Omit<Channel, "scale" | "bias" | "mean" | "variance">[];
}

/** Channels that carry nothing, over all layers. */
export interface PruningSummary {
  readonly channels: number;
  readonly dead: number;
  readonly constant: number;
  /** Weights of the layers in front that make dead or constant channels, and of all layers in front. */
  readonly removableWeights: number;
  readonly weights: number;
}

/** What `inspectChannels` found. */
export interface ChannelInspection {
  readonly layers: readonly ChannelReport[];
  /** Normalizations written as arithmetic. */
  readonly written: readonly WrittenReport[];
  /** Layers whose parameters are computed at run time. */
  readonly unread: readonly NodeRef[];
  readonly pruning: PruningSummary;
}

/** Quantiles by linear interpolation. */
export function distributionOf(values: ArrayLike<number>): Distribution {
  const sorted = Float64Array.from(values).sort();
  const at = (q: number): number => {
    const place = q * (sorted.length - 1);
    const low = Math.floor(place);
    const a = sorted[low] ?? Number.NaN;
    return low === place ? a : a + (sorted[low + 1] - a) * (place - low);
  };
  const mean = sorted.reduce((sum, v) => sum + v, 0) / sorted.length;
  return { min: at(0), lowerQuartile: at(0.25), median: at(0.5), upperQuartile: at(0.75), max: at(1), mean };
}

/** Reads the parameters of every normalization whose name `select` accepts, and marks what is odd about their channels. */
export function inspectChannels(model: Model, select: (name: string) => boolean = () => true): ChannelInspection {
  const layers: ChannelReport[] = [];
  const unread: NodeRef[] = [];
  const view = viewOf(model);
  for (const layer of layersOf(view)) {
    if (!select(layer.ref.name || layer.ref.output)) continue;
    const parts = PARAMETERS.map((name: Parameter) => parameterOf(layer, name));
    const size = parts[0]?.length;
    if (size === undefined || parts.some((part) => part?.length !== size)) unread.push(layer.ref);
    else layers.push(reportOf(layer, parts as Float64Array[]));
  }
  const written = writtenNorms(model, view)
    .filter(({ ref }) => select(ref.name || ref.output))
    .map(writtenReport);
  return { layers, written, unread, pruning: summarize(layers) };
}

/** What is read of any normalization: the weight in front, who follows, its gains and shifts. */
interface Affine {
  readonly input: GraphValue | undefined;
  readonly last: GraphNode;
  readonly gain: Float64Array;
  readonly shift: Float64Array;
  /** The largest output that is no exception. */
  readonly typicalOutput: number;
  /** Marks of a channel's variance. */
  readonly varianceFlags: (c: number) => ChannelFlag[];
}

type Marked = Omit<Channel, "scale" | "bias" | "mean" | "variance">;

function marked({ input, last, gain, shift, typicalOutput, varianceFlags }: Affine) {
  const rows = rowsInFront(input, gain.length);
  const folded = rows?.largest.map((w, c) => w * Math.abs(gain[c]));
  const [output] = last.outputs;
  const readers = output?.uses ?? [];
  const beforeRelu = readers.length > 0 && readers.every((use) => use.node.opType === "Relu") && output?.isOutput === false;
  const largestGain = largest(gain);
  const largestOutput = Math.max(largest(shift), typicalOutput);
  const isOff = (c: number) => Math.abs(gain[c]) <= NOTHING * largestGain;
  const typical = distributionOf((folded ?? new Float64Array()).filter((_, c) => !isOff(c))).median;
  const channels = Array.from(gain, (_, c): Marked => {
    const flags: ChannelFlag[] = [];
    if (isOff(c)) {
      const silent = Math.abs(shift[c]) <= NOTHING * largestOutput || (beforeRelu && shift[c] <= 0);
      flags.push(silent ? "dead" : "constant");
    }
    if (gain[c] < 0) flags.push("negative-gain");
    flags.push(...varianceFlags(c));
    if (Math.max(folded?.[c] ?? 0, Math.abs(gain[c]), Math.abs(shift[c])) > FLOAT16_MAX) flags.push("float16-overflow");
    if (folded !== undefined && folded[c] > WIDE * typical && typical > 0) flags.push("widens-range");
    const own = { gain: gain[c], shift: shift[c], flags };
    return rows === undefined ? own : { ...own, weight: rows.largest[c], folded: folded?.[c] };
  });
  const counts = Object.fromEntries(
    CHANNEL_FLAGS.map((flag) => [flag, channels.filter(({ flags }) => flags.includes(flag)).length]),
  ) as Record<ChannelFlag, number>;
  const range =
    rows === undefined || folded === undefined ? {} : { range: { before: spreadOf(rows.largest), after: spreadOf(folded) } };
  return { rows, beforeRelu, channels, counts, range };
}

function writtenReport({ nodes, ref, input, gain, shift }: WrittenNorm): WrittenReport {
  const ends = { input, last: nodes[nodes.length - 1] };
  const { rows, counts, channels, range } = marked({ ...ends, gain, shift, typicalOutput: 0, varianceFlags: () => [] });
  return {
    node: ref,
    operators: nodes.map(({ opType }) => opType),
    ...(rows === undefined ? {} : { producer: rows.name }),
    distributions: { gain: distributionOf(gain), shift: distributionOf(shift) },
    ...range,
    counts,
    channels,
  };
}

function reportOf(layer: NormLayer, [scale, bias, mean, variance]: readonly Float64Array[]): ChannelReport {
  const { epsilon, ref, node } = layer;
  const { scale: gain, shift } = normalMap(scale, bias, mean, variance, epsilon);
  const varianceFlags = (c: number): ChannelFlag[] => {
    if (!(variance[c] > 0) || !(variance[c] + epsilon > 0)) return ["bad-variance"];
    return variance[c] < epsilon ? ["tiny-variance"] : [];
  };
  const typicalOutput = largest(scale);
  const { rows, beforeRelu, counts, channels, range } = marked({
    ...{ input: node.inputs[0], last: node, gain, shift, typicalOutput, varianceFlags },
  });
  return {
    node: ref,
    epsilon,
    ...(rows === undefined ? {} : { producer: rows.name, weightsPerChannel: rows.perChannel }),
    beforeRelu,
    distributions: {
      scale: distributionOf(scale),
      bias: distributionOf(bias),
      mean: distributionOf(mean),
      variance: distributionOf(variance),
      gain: distributionOf(gain),
    },
    ...range,
    counts,
    channels: channels.map((channel, c) => ({
      ...{ scale: scale[c], bias: bias[c], mean: mean[c], variance: variance[c] },
      ...channel,
    })),
  };
}

const largest = (values: Float64Array): number =>
  values.reduce((most, v) => Math.max(most, Number.isFinite(v) ? Math.abs(v) : 0), 0);

/** Largest row over median row, among rows that are not zero. */
function spreadOf(rows: Float64Array): number {
  const { median, max } = distributionOf(rows.filter((row) => row > 0));
  return max > 0 ? max / median : 1;
}

interface Rows {
  readonly name: string;
  /** Largest |weight| for each output channel. */
  readonly largest: Float64Array;
  readonly perChannel: number;
}

/** The weight of the Conv, ConvTranspose, Gemm or MatMul in front, by output channel. */
function rowsInFront(x: GraphValue | undefined, channels: number): Rows | undefined {
  const producer = x?.producer;
  if (producer === undefined || producer.domain !== "" || x?.uses.length !== 1 || x.isOutput) return undefined;
  const stored = storedTensor(producer.inputs[1]);
  const at = stored && channelIndex(producer, stored.tensor.dims);
  if (stored === undefined || at === undefined) return undefined;
  const weight = asFloat64(decode(stored.tensor));
  const most = new Float64Array(channels);
  for (let i = 0; i < weight.length; i++) {
    const c = at(i);
    if (c >= channels) return undefined;
    const size = Math.abs(weight[i]);
    if (size > most[c]) most[c] = size;
  }
  return { name: producer.record.name || producer.record.outputs[0], largest: most, perChannel: weight.length / channels };
}

/** Which output channel an element of a weight belongs to. */
function channelIndex(producer: GraphNode, dims: readonly number[]): ((i: number) => number) | undefined {
  const along = (axis: number) => {
    const inner = dims.slice(axis + 1).reduce((n, d) => n * d, 1);
    return (i: number) => Math.floor(i / inner) % dims[axis];
  };
  switch (producer.opType) {
    case "Conv":
      return along(0);
    case "ConvTranspose": {
      const perGroup = along(1);
      const group = intAttr(producer.record, "group", 1);
      const size = dims.reduce((n, d) => n * d, 1) / group;
      return (i) => Math.floor(i / size) * dims[1] + perGroup(i);
    }
    case "Gemm":
      return along(intAttr(producer.record, "transB", 0) !== 0 ? 0 : 1);
    case "MatMul":
      return dims.length === 2 ? along(1) : undefined;
    default:
      return undefined;
  }
}

function summarize(layers: readonly ChannelReport[]): PruningSummary {
  let [channels, dead, constant, removableWeights, weights] = [0, 0, 0, 0, 0];
  for (const layer of layers) {
    const off = layer.counts.dead + layer.counts.constant;
    channels += layer.channels.length;
    dead += layer.counts.dead;
    constant += layer.counts.constant;
    removableWeights += off * (layer.weightsPerChannel ?? 0);
    weights += layer.channels.length * (layer.weightsPerChannel ?? 0);
  }
  return { channels, dead, constant, removableWeights, weights };
}
