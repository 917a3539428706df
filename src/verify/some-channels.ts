/**
 * p of a layer (judge.ts) from some of its output channels. Where the second side of a region is one Conv, Gemm or MatMul with a stored
 * weight, each channel of the result is made of numbers of its own: p² is the mean over channels of what rounding does to each. Channels
 * chosen by chance, all as likely, estimate it without bias at their share of the cost:
 *   p̂² = mean over the chosen channels, all positions, of (change)²,   E p̂² = p²,   p̂ ≤ √(channels / chosen) · p.
 * What is not clearly within the limit by this measure is drawn again with every channel (regions.ts).
 */
import type { Steps } from "../diag/steps.ts";
import { intAttr } from "../graph/attributes.ts";
import { storedRecord } from "../graph/stored.ts";
import type { GraphNode } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { type Stored, streamOf, turnIntoRounding } from "./noise.ts";
import { type Random, randomOf } from "./random.ts";
import { type Feeds, variantSteps } from "./runs.ts";

/** One channel of so many is chosen, and at least so many. */
const PART = 8;
const LEAST = 32;
/** Weights of fewer numbers are drawn whole. */
const WORTH = 1 << 14;

/** Where a layer keeps its output channels: axis of its weight, and of its result from the front or, if negative, the back. */
const LAYERS: Readonly<Record<string, (node: GraphNode) => { weight: number; result: number } | undefined>> = {
  Conv: ({ record }) => (intAttr(record, "group", 1) === 1 ? { weight: 0, result: 1 } : undefined),
  Gemm: ({ record }) => ({ weight: intAttr(record, "transB", 0) === 0 ? 1 : 0, result: -1 }),
  MatMul: () => ({ weight: 1, result: -1 }),
};

/** The chosen indices of one axis. */
function chosenOf({ dtype, dims, data }: Tensor, axis: number, channels: readonly number[]): Tensor {
  const inner = dims.slice(axis + 1).reduce((n, d) => n * d, 1);
  const outer = dims.slice(0, axis).reduce((n, d) => n * d, 1);
  const from = data as Float32Array | Float64Array;
  const out = new Float64Array(outer * channels.length * inner);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const channel of channels) {
      const start = (o * dims[axis] + channel) * inner;
      for (let i = 0; i < inner; i++) out[at++] = from[start + i];
    }
  }
  return { dtype, dims: dims.map((d, i) => (i === axis ? channels.length : d)), data: out };
}

/** `count` of `of` channels, ascending. */
function choice(random: Random, count: number, of: number): number[] {
  const all = Array.from({ length: of }, (_, i) => i);
  for (let i = 0; i < count; i++) {
    const j = i + random.below(of - i);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all.slice(0, count).sort((p, q) => p - q);
}

export class SomeChannels {
  private constructor(
    private readonly model: Model,
    private readonly parts: readonly { readonly stored: Stored; readonly tensor: Tensor }[],
    private readonly resultAxis: number,
    private readonly channels: readonly number[],
  ) {}

  /**
   * Undefined where the region's second side is no such layer or too small for it to pay. `constants` are those that were folded, as
   * they are stored; all that the layer reads beside its input must be among them.
   */
  static of(
    nodes: readonly GraphNode[],
    model: Model,
    folded: readonly Stored[],
    constants: ReadonlyMap<string, Tensor>,
    seed: number,
  ): SomeChannels | undefined {
    const [node] = nodes;
    if (nodes.length !== 1 || node.domain !== "" || node.outputs.length !== 1) return undefined;
    const [, ...read] = node.inputs;
    const axes = Object.hasOwn(LAYERS, node.opType) ? LAYERS[node.opType](node) : undefined;
    if (axes === undefined || read.length === 0 || storedRecord(node.inputs[0]) !== undefined) return undefined;
    const found = read.map((value) => {
      const stored = folded.find((one) => one.value === value);
      const tensor = value && constants.get(value.name);
      return stored === undefined || tensor === undefined ? undefined : { stored, tensor };
    });
    if (found.length !== folded.length || found.includes(undefined)) return undefined;
    const [weight, bias] = found as { stored: Stored; tensor: Tensor }[];
    const { dims, data } = weight.tensor;
    const count = Math.max(LEAST, Math.ceil(dims[axes.weight] / PART));
    const fits = dims.length >= 2 && (node.opType === "Conv" || dims.length === 2) && 2 * count <= dims[axes.weight];
    if (!fits || data.length < WORTH) return undefined;
    if (bias !== undefined && (bias.tensor.dims.length !== 1 || bias.tensor.dims[0] !== dims[axes.weight])) return undefined;
    const channels = choice(randomOf(seed, "channels", weight.stored.value.name), count, dims[axes.weight]);
    const parts = [{ ...weight, tensor: chosenOf(weight.tensor, axes.weight, channels) }];
    if (bias !== undefined) parts.push({ ...bias, tensor: chosenOf(bias.tensor, 0, channels) });
    return new SomeChannels(model, parts, axes.result, channels);
  }

  /** The chosen channels of the whole result. */
  of(result: Value): Value {
    if (!isTensor(result)) return result;
    const axis = this.resultAxis < 0 ? result.dims.length + this.resultAxis : this.resultAxis;
    return chosenOf({ ...result, data: asFloat64(result) }, axis, this.channels);
  }

  /** What they are after a rounding draw (noise.ts). */
  *drawn(seed: number, draw: number, feeds: Feeds, output: string): Steps<Value> {
    const constants = new Map<string, Tensor>();
    for (const { stored, tensor } of this.parts) {
      const numbers = tensor.data as Float64Array;
      const data = numbers.slice();
      turnIntoRounding(stored, data, streamOf(stored, seed, "region", draw));
      for (let i = 0; i < data.length; i++) data[i] += numbers[i];
      constants.set(stored.value.name, { ...tensor, data });
    }
    const variant = { model: this.model, constants };
    return (yield* variantSteps(variant, feeds, { seed })).get(output) as Value;
  }
}
