/**
 * Mean and variance of every BatchNormalization, computed anew from data.
 *
 *   mean = Σ x / N, variance = Σ (x − mean)²/N (or /(N − 1)), over all N elements of a channel in all samples (moments.ts)
 *
 * In order of layers (the default) a layer's statistics are taken with the new ones, as they will be stored, in all layers
 * before it; all at once they are taken in the model as it is. Data comes in blocks; blocks are the leaves of the fixed tree.
 */
import { BnfoldError } from "../diag/error.ts";
import { nameOf } from "../fold/describe.ts";
import type { NodeRef } from "../fold/types.ts";
import type { Model } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { type ModelEdits, NO_EDITS } from "../onnx/write.ts";
import { createSession } from "../run/session.ts";
import { compareValues } from "../verify/compare.ts";
import type { Engine, Feeds } from "./engine.ts";
import {
  blockMoments,
  type ChannelLayout,
  type Moments,
  MomentsTree,
  mergeMoments,
  type Subtree,
  totalMoments,
  varianceOf,
} from "./moments.ts";
import {
  constantsFor,
  poolsOf,
  roundToStored,
  type SkippedLayer,
  type Statistics,
  statisticsEdits,
  storedStatistics,
  type Target,
  type Targets,
  targetsOf,
  withOwnStatistics,
} from "./targets.ts";

/** Samples in blocks of a fixed size, cut by their position alone. */
export interface BlockSource {
  readonly blocks: number;
  /** The inputs of a block, from 0; asked for again in each pass. */
  load(block: number): Feeds;
}

/** Options of `Recalibration`. */
export interface RecalibrateOptions {
  /** "layers": later layers see corrected inputs (default). "at-once": one pass in the model as it is. */
  readonly order?: "layers" | "at-once";
  /** Variance by N − 1 in place of N. */
  readonly unbiased?: boolean;
  /** Layers that share all their tensors are one layer, whose statistics are taken over all its uses; true parts them. */
  readonly untie?: boolean;
  /** Layers to recalibrate, by name. Default: all. */
  readonly select?: (name: string) => boolean;
}

/** Told after each block of a pass. */
export type OnBlock = (done: number, total: number) => void;

/** Smallest, root mean square and largest over the channels of a layer. */
export interface LayerDrift {
  readonly node: NodeRef;
  readonly channels: number;
  /** Elements per channel the new statistics were taken over, those of all uses together. */
  readonly elements: number;
  /** How often the network goes through the layer, where it is more than once. */
  readonly uses?: number;
  /** |new mean − old mean| in old standard deviations √(variance + ε): root mean square and largest over the channels. */
  readonly meanDrift: { readonly rms: number; readonly max: number };
  /** new/old standard deviation √(variance + ε): smallest and largest over the channels. */
  readonly deviationRatio: { readonly min: number; readonly max: number };
}

/** How far an output of the model moved on some data. */
export interface OutputChange {
  readonly name: string;
  readonly rms: number;
  readonly max: number;
  /** Root mean square of the original output. */
  readonly scale: number;
}

/** New running statistics for a model: mean and variance over all elements of blocks of data. */
export class Recalibration {
  readonly targets: readonly Target[];
  readonly skipped: readonly SkippedLayer[];
  readonly order: "layers" | "at-once";
  readonly unbiased: boolean;
  private readonly found: Targets;
  private readonly moments = new Map<Target, Moments>();

  /** @throws BnfoldError of kind "model" when the model trains, or has nothing to recalibrate. */
  constructor(
    readonly model: Model,
    options: RecalibrateOptions = {},
  ) {
    this.found = targetsOf(model, options.select, options.untie);
    this.targets = this.found.targets;
    this.skipped = this.found.skipped;
    this.order = options.order ?? "layers";
    this.unbiased = options.unbiased ?? false;
    if (this.targets.length > 0) return;
    const why = [...new Set(this.skipped.map(({ reason }) => reason))].join("; ");
    throw new BnfoldError("model", `no BatchNormalization can be recalibrated: ${why === "" ? "the model has none" : why}`);
  }

  /** Layers that one pass over the data serves next; none when all are done. */
  get next(): readonly Target[] {
    const open = this.targets.filter((target) => !this.moments.has(target));
    if (this.order === "at-once" || open.length === 0) return open;
    return open.filter(({ level }) => level === open[0].level);
  }

  /** True when every layer has its new statistics. */
  get done(): boolean {
    return this.moments.size === this.targets.length;
  }

  /** Final moments of a layer, from a pass or from elsewhere. */
  set(target: Target, moments: Moments): void {
    if (moments.mean.length !== target.channels) {
      throw new BnfoldError(
        "usage",
        `the moments given for "${target.name}" have ${moments.mean.length} channels, the layer has ${target.channels}`,
        {
          node: target.name,
        },
      );
    }
    this.moments.set(target, moments);
  }

  /** What was measured of a layer; undefined before. */
  momentsOf(target: Target): Moments | undefined {
    return this.moments.get(target);
  }

  /** One pass over some blocks: the moments of the next layers, as subtrees. */
  async collect(
    source: BlockSource,
    engine: Engine,
    blocks: Iterable<number>,
    onBlock?: OnBlock,
  ): Promise<Map<Target, readonly Subtree[]>> {
    const { next } = this;
    const numbers = [...blocks];
    const pass = await engine.pass(this.order === "layers" ? this.statistics() : new Map(), [
      ...new Set(next.map(({ input }) => input)),
    ]);
    const trees = new Map(next.map((target) => [target, new MomentsTree()]));
    let done = 0;
    for (const block of numbers) {
      onBlock?.(done++, numbers.length);
      const values = await pass(block, () => source.load(block));
      for (const [target, tree] of trees) {
        const x = values.get(target.input) as Tensor;
        tree.add(block, finite(target, blockMoments(asFloat64(x), layoutOf(target, x.dims)), block));
      }
    }
    onBlock?.(numbers.length, numbers.length);
    return new Map([...trees].map(([target, tree]) => [target, tree.subtrees]));
  }

  /** Passes until every layer is done. */
  async run(source: BlockSource, engine: Engine, onBlock?: (done: number, total: number, pass: number) => void): Promise<void> {
    const { blocks } = source;
    for (let pass = 1; !this.done; pass++) {
      const numbers = Array.from({ length: blocks }, (_, i) => i);
      const parts = await this.collect(source, engine, numbers, (done, total) => onBlock?.(done, total, pass));
      for (const [target, subtrees] of parts) this.set(target, totalMoments(subtrees, blocks));
    }
  }

  /** Moments of the finished layers, over all uses of each, in the order of the file. */
  private pooled(): Map<Target, Moments> {
    return new Map(
      poolsOf(this.targets).flatMap((members) => {
        const parts = members.flatMap((target) => this.moments.get(target) ?? []);
        if (parts.length < members.length) return [];
        const all = parts.reduce(mergeMoments);
        return members.map((target): [Target, Moments] => [target, all]);
      }),
    );
  }

  /** Statistics of the finished layers, before rounding. */
  exact(): Map<Target, Statistics> {
    return new Map([...this.pooled()].map(([target, m]) => [target, { mean: m.mean, variance: varianceOf(m, this.unbiased) }]));
  }

  /** Statistics of the finished layers, as the file will hold them. */
  statistics(): Map<Target, Statistics> {
    return new Map([...this.exact()].map(([target, statistics]) => [target, roundToStored(target, statistics)]));
  }

  /** Edits that put the new statistics into the model. */
  edits(): ModelEdits {
    return { ...NO_EDITS, ...statisticsEdits(this.model, this.found.view, this.statistics()) };
  }

  /** How far the new statistics are from the old ones, for each layer that has them. */
  drift(): LayerDrift[] {
    const [now, moments] = [this.exact(), this.pooled()];
    const uses = (pool: number) => this.targets.filter((target) => target.pool === pool).length;
    return this.targets.flatMap((target) => {
      const [statistics, all] = [now.get(target), moments.get(target)];
      return statistics && all ? [driftOf(target, statistics, all, uses(target.pool))] : [];
    });
  }

  /** What the new statistics change in the model's outputs on these inputs. */
  outputChange(feeds: Iterable<Feeds>): OutputChange[] {
    const model = withOwnStatistics(this.model, this.targets);
    const after = createSession(model, { constants: constantsFor(this.statistics()) });
    return changeBetween(createSession(this.model), after, feeds);
  }
}

interface Runs {
  readonly outputs: readonly { readonly name: string }[];
  run(feeds: Feeds): ReadonlyMap<string, Parameters<typeof compareValues>[0]>;
}

/** Differences of the outputs of two models, pooled over the inputs; outputs the second one lacks are left out. */
export function changeBetween(before: Runs, after: Runs, inputs: Iterable<Feeds>): OutputChange[] {
  const names = before.outputs.map(({ name }) => name).filter((name) => after.outputs.some((output) => output.name === name));
  const sums = names.map((name) => ({ name, squares: 0, reference: 0, elements: 0, max: 0 }));
  for (const feeds of inputs) {
    const [a, b] = [before.run(feeds), after.run(feeds)];
    for (const sum of sums) {
      const [x, y] = [a.get(sum.name), b.get(sum.name)];
      if (x === undefined || y === undefined) continue;
      const { rms, max, scale, elements } = compareValues(x, y);
      sum.squares += rms ** 2 * elements;
      sum.reference += scale ** 2 * elements;
      sum.elements += elements;
      sum.max = Math.max(sum.max, max);
    }
  }
  return sums.map(({ name, squares, reference, elements, max }) => {
    const n = Math.max(1, elements);
    return { name, rms: Math.sqrt(squares / n), max, scale: Math.sqrt(reference / n) };
  });
}

/** The channel axis of a layer's input. */
function layoutOf(target: Target, dims: readonly number[]): ChannelLayout {
  const { channels, axis, perActivation } = target;
  const fits =
    dims.length <= axis ? channels === 1 : perActivation ? sizeOf(dims.slice(1)) === channels : dims[axis] === channels;
  if (!fits) {
    throw new BnfoldError(
      "model",
      `${nameOf(target.layer.node)} has ${channels} channels, its input has the shape [${dims.join(", ")}]`,
      {
        node: target.layer.node.label,
      },
    );
  }
  if (dims.length <= axis) return { batch: sizeOf(dims), channels, inner: 1 };
  if (perActivation) return { batch: dims[0], channels, inner: 1 };
  return { batch: sizeOf(dims.slice(0, axis)), channels, inner: sizeOf(dims.slice(axis + 1)) };
}

function finite(target: Target, moments: Moments, block: number): Moments {
  const bad = moments.m2.findIndex((m, c) => !Number.isFinite(m) || !Number.isFinite(moments.mean[c]));
  if (bad < 0) return moments;
  throw new BnfoldError(
    "model",
    `the input of ${nameOf(target.layer.node)} is not finite on channel ${bad} in block ${block} of the data`,
    { node: target.layer.node.label, tensor: target.input },
    "Look for NaN or very large values in the data.",
  );
}

function driftOf(target: Target, now: Statistics, { count }: Moments, uses: number): LayerDrift {
  const old = storedStatistics(target);
  const { epsilon, ref } = target.layer;
  let [squares, most, low, high] = [0, 0, Number.POSITIVE_INFINITY, 0];
  for (let c = 0; c < target.channels; c++) {
    const before = Math.sqrt(old.variance[c] + epsilon);
    const moved = Math.abs(now.mean[c] - old.mean[c]) / before;
    const ratio = Math.sqrt(now.variance[c] + epsilon) / before;
    squares += moved * moved;
    most = Math.max(most, moved);
    low = Math.min(low, ratio);
    high = Math.max(high, ratio);
  }
  return {
    node: ref,
    channels: target.channels,
    elements: count,
    ...(uses > 1 ? { uses } : {}),
    meanDrift: { rms: Math.sqrt(squares / Math.max(1, target.channels)), max: most },
    deviationRatio: { min: low, max: high },
  };
}
