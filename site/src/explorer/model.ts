/**
 * What the explorer shows, as plain data. Every number is computed by the library: operators by its executor, moments and
 * conventions by src/train, the fold by the maps that folding and merging use.
 */

import { affine, compose, convolution, identity, isMisfit, type LinearMap } from "../../../src/affine/linear-map.ts";
import { normalMap } from "../../../src/affine/normal.ts";
import type { RefusalCode } from "../../../src/diag/codes.ts";
import { asFloat64, type Tensor } from "../../../src/onnx/tensor.ts";
import { blend } from "../../../src/ops/batchnorm.ts";
import { convertVariance, STATISTICS } from "../../../src/train/conventions.ts";
import { blockMoments, varianceOf } from "../../../src/train/moments.ts";
import { CONVENTIONS, complementMomentum, convertMomentum, type Framework, updateFormula } from "../../../src/train/momentum.ts";
import { compute, floats } from "./compute.ts";
import { type State, statisticsOf } from "./state.ts";

const numbers = (t: Tensor): number[] => Array.from(asFloat64(t));
const one = (v: number): Tensor => floats([1], [v]);
const float32 = (list: Iterable<number>): number[] => Array.from(list, Math.fround);

/** Normal numbers as a file would hold them. */
const drawn = (seed: number, n: number, mean = 0, scale = 1): number[] =>
  float32(numbers(compute("RandomNormal", { seed, mean, scale, shape: [n] })[0]));

/** Mean and standard deviation of the data; of a channel of a model, counted from its statistics. */
function dataOf(state: State): { mean: number; sigma: number } {
  const { mean, variance } = statisticsOf(state) ?? { mean: 0, variance: 1 };
  const unit = Math.sqrt(variance);
  return { mean: mean + state.center * unit, sigma: 10 ** state.spread * unit };
}

/** The data of batch `i`, the first being 0. */
export function batchOf(state: State, i: number): number[] {
  const { mean, sigma } = dataOf(state);
  return drawn(state.seed * 1000 + i, state.n, mean + state.drift * sigma * i, sigma);
}

/** Spread of values about their mean, by N. */
const deviation = (values: readonly number[]): number =>
  Math.sqrt(varianceOf(blockMoments(Float64Array.from(values), { batch: values.length, channels: 1, inner: 1 }))[0]);

export interface Running {
  readonly mean: number;
  /** With the batch variance by N, as ONNX and Keras update it. */
  readonly biased: number;
  /** With N − 1, as PyTorch does. */
  readonly unbiased: number;
}

export interface Step extends Running {
  readonly batchMean: number;
  readonly batchVariance: number;
}

/** Running statistics before the first batch: the model's, else mean 0 and variance 1. */
export function startOf(state: State): Running {
  const { mean, variance } = statisticsOf(state) ?? { mean: 0, variance: 1 };
  return { mean, biased: variance, unbiased: variance };
}

/** What inference and fold use: the statistics of the model, else those that training came to. */
export const runningOf = (state: State, steps: readonly Step[]): Running =>
  statisticsOf(state) === undefined ? steps[steps.length - 1] : startOf(state);

/** Training of one layer: one update for each batch. */
export function training(state: State): Step[] {
  const old = complementMomentum(state.momentum);
  const steps: Step[] = [];
  let now = startOf(state);
  for (let i = 0; i < state.batches; i++) {
    const x = floats([state.n, 1], batchOf(state, i));
    const layer = { epsilon: state.epsilon, momentum: old, training_mode: 1 };
    const [, mean, biased] = compute("BatchNormalization", layer, x, one(1), one(0), one(now.mean), one(now.biased));
    const moments = blockMoments(asFloat64(x), { batch: state.n, channels: 1, inner: 1 });
    const by = convertVariance(varianceOf(moments), "biased", "unbiased", state.n);
    const unbiased = blend(Float64Array.of(now.unbiased), by, old)[0];
    now = { mean: numbers(mean)[0], biased: numbers(biased)[0], unbiased };
    steps.push({ ...now, batchMean: moments.mean[0], batchVariance: varianceOf(moments)[0] });
  }
  return steps;
}

export interface Normalized {
  readonly x: readonly number[];
  readonly standard: readonly number[];
  readonly y: readonly number[];
  readonly mean: number;
  readonly biased: number;
  readonly unbiased: number;
  /** 1/√(variance + ε). */
  readonly gain: number;
}

/** The last batch, normalized by its own statistics. */
export function normalized(state: State): Normalized {
  const x = batchOf(state, state.batches - 1);
  const run = (gamma: number, beta: number) => numbers(trained(floats([state.n, 1], x), state.epsilon, one(gamma), one(beta)));
  const moments = blockMoments(Float64Array.from(x), { batch: state.n, channels: 1, inner: 1 });
  const biased = varianceOf(moments)[0];
  return {
    x,
    standard: run(1, 0),
    y: run(state.gamma, state.beta),
    mean: moments.mean[0],
    biased,
    unbiased: varianceOf(moments, true)[0],
    gain: gain(biased, state.epsilon),
  };
}

function trained(x: Tensor, epsilon: number, gamma: Tensor, beta: Tensor): Tensor {
  const [zero, unit] = [0, 1].map((v) => floats(gamma.dims, new Array(gamma.data.length).fill(v)));
  return compute("BatchNormalization", { epsilon, training_mode: 1 }, x, gamma, beta, zero, unit)[0];
}

const gain = (variance: number, epsilon: number): number =>
  normalMap(Float64Array.of(1), Float64Array.of(0), Float64Array.of(0), Float64Array.of(variance), Math.fround(epsilon)).scale[0];

/** Spread of x̂ for data of a variance: 1 would be a perfect normalization. */
export const spreadAfter = (variance: number, epsilon: number): number => Math.sqrt(variance) * gain(variance, epsilon);

/** Powers of ten at which the curves are drawn. */
export const EXPONENTS: readonly number[] = Array.from({ length: 41 }, (_, i) => -8 + i * 0.25);

export function epsilons(state: State) {
  const { biased, x } = normalized(state);
  return {
    variance: biased,
    rows: [1e-3, 1e-5].map((epsilon) => ({
      epsilon,
      gain: gain(biased, epsilon),
      spread: deviation(numbers(trained(floats([state.n, 1], x), epsilon, one(1), one(0)))),
    })),
    curve: EXPONENTS.map((e) => ({ variance: 10 ** e, large: spreadAfter(10 ** e, 1e-3), small: spreadAfter(10 ** e, 1e-5) })),
  };
}

/** The same update as each framework writes it. */
export const conventions = ({ momentum }: State) =>
  (["pytorch", "keras", "onnx"] as const satisfies readonly Framework[]).map((framework) => {
    const m = convertMomentum(momentum, "pytorch", framework) as number;
    const { label } = CONVENTIONS[framework];
    return { label, momentum: m, formula: updateFormula(framework, m), ...STATISTICS[framework] };
  });

/** The last batch by its own statistics and by the running ones. */
export function gap(state: State, running: Running) {
  const { x, y } = normalized(state);
  const { gamma, beta, epsilon } = state;
  const inputs = [gamma, beta, running.mean, running.biased].map(one);
  const inference = numbers(compute("BatchNormalization", { epsilon }, floats([state.n, 1], x), ...inputs)[0]);
  return { x, training: y, inference, largest: largest(y, inference) };
}

const largest = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), 0);

/** [batch, channels, positions] of the block the normalizations are shown on. */
export const BLOCK = [2, 4, 3] as const;

export interface Norm {
  readonly name: string;
  readonly over: string;
  /** Which elements change the first one's result. */
  readonly shares: readonly boolean[];
  readonly y: readonly number[];
}

/** Normalizations of one block. Who shares statistics is found by changing each element. */
export function norms(state: State): Norm[] {
  const [batch, channels, inner] = BLOCK;
  const size = batch * channels * inner;
  const { mean, sigma } = dataOf(state);
  const x = drawn(state.seed, size, mean, sigma);
  const { epsilon, groups } = state;
  const [unit, zero] = [floats([channels], new Array(channels).fill(1)), floats([channels], new Array(channels).fill(0))];
  const whole = floats([channels, inner], new Array(channels * inner).fill(1));
  const list: readonly [name: string, over: string, run: (x: Tensor) => Tensor][] = [
    ["BatchNorm", "N and positions; one pair of statistics for each channel", (t) => trained(t, epsilon, unit, zero)],
    [
      "LayerNorm",
      "channels and positions, for each sample",
      (t) => compute("LayerNormalization", { epsilon, axis: 1 }, t, whole)[0],
    ],
    [
      `GroupNorm, ${groups} ${groups === 1 ? "group" : "groups"}`,
      `${channels / groups} neighbouring channels and positions, for each sample`,
      (t) => compute("GroupNormalization", { epsilon, num_groups: groups }, t, unit, zero)[0],
    ],
    [
      "InstanceNorm",
      "positions, for each sample and channel",
      (t) => compute("InstanceNormalization", { epsilon }, t, unit, zero)[0],
    ],
    ["RMSNorm", "as LayerNorm, without a mean", (t) => compute("RMSNormalization", { epsilon, axis: 1 }, t, whole)[0]],
  ];
  return list.map(([name, over, run]) => {
    const of = (values: readonly number[]) => numbers(run(floats(BLOCK, values)));
    const y = of(x);
    const changed = (i: number) => of(x.map((v, k) => (k === i ? v + (sigma || 1) : v)))[0];
    return { name, over, y, shares: x.map((_, i) => changed(i) !== y[0]) };
  });
}

/** The convolution of the fold: two channels in, two out, three taps, eight positions. */
export const SHAPE = { outputs: 2, inputs: 2, taps: 3, length: 8 } as const;

export interface Network {
  readonly x: readonly number[];
  /** [outputs, inputs, taps] and [outputs]. */
  readonly weight: readonly number[];
  readonly bias: readonly number[];
  readonly gamma: readonly number[];
  readonly beta: readonly number[];
  readonly mean: readonly number[];
  readonly variance: readonly number[];
}

/** float32 numbers as a file holds them. The first channel has the controls' γ and β and the running statistics. */
export function network(state: State, running: Running): Network {
  const { outputs, inputs, taps, length } = SHAPE;
  const others = drawn(state.seed + 11_000, 4);
  return {
    x: drawn(state.seed + 12_000, inputs * length),
    weight: drawn(state.seed + 13_000, outputs * inputs * taps),
    bias: drawn(state.seed + 14_000, outputs),
    gamma: float32([state.gamma, Math.abs(others[0]) + 0.5]),
    beta: float32([state.beta, others[1]]),
    mean: float32([running.mean, others[2]]),
    variance: float32([running.biased, Math.abs(others[3]) + 0.25]),
  };
}

export interface FoldShown {
  readonly network: Network;
  /** s = γ/√(v + ε) and t = β − μ·s. */
  readonly scale: readonly number[];
  readonly shift: readonly number[];
  readonly weight: readonly number[];
  readonly bias: readonly number[];
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Largest difference with W′ and b′ in float64, and rounded to float32 as a file holds them. */
  readonly difference: number;
  readonly stored: number;
  /** Why bnfold leaves the node; undefined where the algebra allows the fold. What float32 loses may still speak against it. */
  readonly reason: RefusalCode | undefined;
}

/** [O, I, k] from one matrix per tap. */
const flattened = (m: LinearMap): number[] => {
  const taps = m.matrices();
  return Array.from(taps[0]).flatMap((_, i) => taps.map((matrix) => matrix[i]));
};

/** The formula carried out whether or not it is allowed there, and whether the algebra allows it. */
export function folding(state: State, running: Running): FoldShown {
  const { outputs, inputs, taps, length } = SHAPE;
  const { order } = state;
  const net = network(state, running);
  const pads = [state.pads, state.pads];
  const wide = [outputs, inputs, taps];
  const epsilon = Math.fround(state.epsilon);
  const vectors = [net.gamma, net.beta, net.mean, net.variance];
  const [gamma, beta, mean, variance] = vectors.map((v) => Float64Array.from(v));
  const { scale, shift } = normalMap(gamma, beta, mean, variance, epsilon);

  const conv = (x: Tensor, w: readonly number[], b: readonly number[]) =>
    compute("Conv", { pads }, x, floats(wide, w), floats([outputs], b))[0];
  const norm = (x: Tensor) => compute("BatchNormalization", { epsilon }, x, ...vectors.map((v) => floats([v.length], v)))[0];
  const relu = (x: Tensor) => compute("Relu", {}, x)[0];
  const x = floats([1, inputs, length], net.x);
  const first = (t: Tensor) => conv(t, net.weight, net.bias);
  const before = numbers(order === "bn-conv" ? first(norm(x)) : norm(order === "relu-bn" ? relu(first(x)) : first(x)));

  const map = (edge: readonly number[]) =>
    convolution({
      dims: wide,
      groups: 1,
      strides: [1],
      dilations: [1],
      pads: edge,
      weights: () => Float64Array.from(net.weight),
      bias: () => Float64Array.from(net.bias),
    });
  const zero = new Float64Array(outputs);
  // Behind Relu only a gain may go back; the shift stays where it is, as an Add.
  const behindRelu = order === "relu-bn";
  const inner = affine(identity(inputs, 1), scale, shift);
  const taken = order === "bn-conv" ? compose(map([0, 0]), inner) : affine(map(pads), scale, behindRelu ? zero : shift);
  if (isMisfit(taken)) throw new Error(`internal: ${taken.misfit}`);
  const [weight, bias] = [flattened(taken), Array.from(taken.bias())];
  const made = (w: readonly number[], b: readonly number[]): number[] => {
    const y = conv(x, w, b);
    if (!behindRelu) return numbers(y);
    const unit = floats([outputs], new Array(outputs).fill(1));
    const nothing = floats([outputs], zero);
    // The Add that stays: γ = 1, β = t, statistics that change nothing.
    return numbers(compute("BatchNormalization", { epsilon: 0 }, relu(y), unit, floats([outputs], shift), nothing, unit)[0]);
  };
  const after = made(weight, bias);
  return {
    network: net,
    scale: Array.from(scale),
    shift: Array.from(shift),
    weight,
    bias,
    before,
    after,
    difference: largest(before, after),
    stored: largest(before, made(float32(weight), float32(bias))),
    reason: reasonOf(order, scale, () => compose(map(pads), inner)),
  };
}

function reasonOf(
  order: State["order"],
  scale: Float64Array,
  composed: () => LinearMap | { misfit: string },
): RefusalCode | undefined {
  if (order === "conv-bn") return undefined;
  if (order === "bn-conv") return isMisfit(composed()) ? "padding-blocks" : undefined;
  return scale.some((s) => s < 0) ? "sign-blocks" : undefined;
}
