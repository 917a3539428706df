/** The explorer's numbers against the library on whole model files, and its address. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BLOCK,
  batchOf,
  folding,
  gap,
  type Network,
  normalized,
  norms,
  runningOf,
  SHAPE,
  training,
} from "../../site/src/explorer/model.ts";
import {
  CHOICES,
  type ChannelParameters,
  channelHash,
  fromHash,
  INITIAL,
  ofChannel,
  PRESETS,
  RANGES,
  type State,
  toHash,
} from "../../site/src/explorer/state.ts";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import type { Value } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { convertMomentum } from "../../src/train/momentum.ts";
import { f, float32, model, type NodeSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

/** What this run draws; the number repeats it. */
const SEED = Number(process.env.BNFOLD_SEED ?? Date.now() % 1_000_000);

const settings: fc.Arbitrary<State> = fc.record({
  ...Object.fromEntries(
    Object.entries(RANGES).map(([name, range]) => [
      name,
      "whole" in range
        ? fc.integer({ min: range.from, max: range.to })
        : fc.double({ min: range.from, max: range.to, noNaN: true }).map((v) => v + 0),
    ]),
  ),
  ...Object.fromEntries(Object.entries(CHOICES).map(([name, list]) => [name, fc.constantFrom<string | number>(...list)])),
}) as unknown as fc.Arbitrary<State>;

const single = (max: number) => fc.float({ min: -max, max, noNaN: true, noDefaultInfinity: true }).map((v) => v + 0);
/** What a file may say of a channel: float32 numbers. */
const channels: fc.Arbitrary<ChannelParameters> = fc.record({
  gamma: single(64),
  beta: single(64),
  mean: single(64),
  variance: fc.float({ min: 0, max: 1024, noNaN: true, noDefaultInfinity: true }).map((v) => v + 0),
  epsilon: fc.constantFrom(1e-5, 1e-3, 2e-5).map(Math.fround),
});

const hundred = () => fc.sample(settings, { numRuns: 100, seed: SEED });

/** Every preset with the node in every place. */
const presets = (): State[] =>
  PRESETS.flatMap(({ state }) =>
    CHOICES.order.flatMap((order) => CHOICES.pads.map((pads) => ({ ...INITIAL, ...state, order, pads }))),
  );

/** Without the sign of zeros, which a sum with 0 loses. */
const unsigned = (list: Iterable<number>): number[] => Array.from(list, (v) => v + 0);

const value = (dims: readonly number[], values: readonly number[]): Tensor => ({
  dtype: "float32",
  dims,
  data: Float64Array.from(values),
});

/** Nodes run on x as a file would be: the outputs y, and any others named. */
function run(
  nodes: readonly NodeSpec[],
  x: Tensor,
  constants: Readonly<Record<string, readonly [dims: readonly number[], values: readonly number[]]>>,
  outputs: readonly string[] = ["y"],
): number[][] {
  const made = model({
    opset: 23,
    inputs: [{ name: "x", dims: x.dims }],
    outputs: outputs.map((name) => ({ name })),
    initializers: Object.fromEntries(Object.entries(constants).map(([name, [dims, v]]) => [name, float32(dims, v)])),
    nodes,
  });
  const results = createSession(made).run(new Map<string, Value>([["x", x]]));
  return outputs.map((name) => Array.from(asFloat64(results.get(name) as Tensor)));
}

describe(`the explorer against the library on files, BNFOLD_SEED=${SEED}`, () => {
  it("normalizes a batch, keeps running statistics and infers as a model does, at 100 settings", () => {
    for (const state of hundred()) {
      const old = convertMomentum(state.momentum, "pytorch", "onnx") as number;
      const node = (training: number): NodeSpec => ({
        op: "BatchNormalization",
        inputs: ["x", "g", "b", "m", "v"],
        outputs: training === 1 ? ["y", "mean", "variance"] : ["y"],
        attributes: { epsilon: f(state.epsilon), momentum: f(old), training_mode: training },
      });
      const layer = (gamma: number, beta: number, mean: number, variance: number) =>
        ({ g: [[1], [gamma]], b: [[1], [beta]], m: [[1], [mean]], v: [[1], [variance]] }) as const;
      // A file holds float32 numbers; so do the states that are compared.
      const exact = { ...state, gamma: Math.fround(state.gamma), beta: Math.fround(state.beta) };
      const steps = training(exact);
      const last = steps[steps.length - 1];
      const x = value([state.n, 1], batchOf(exact, state.batches - 1));
      const [y, mean, variance] = run([node(1)], x, layer(exact.gamma, exact.beta, 0, 1), ["y", "mean", "variance"]);
      expect(normalized(exact).y).toEqual(y);
      if (steps.length === 1) expect([last.mean, last.biased]).toEqual([mean[0], variance[0]]);
      const rounded = { ...last, mean: Math.fround(last.mean), biased: Math.fround(last.biased) };
      const [inferred] = run([node(0)], x, layer(exact.gamma, exact.beta, rounded.mean, rounded.biased));
      expect(gap(exact, rounded).inference).toEqual(inferred);
      expect(normalized(exact).unbiased).toBeCloseTo((normalized(exact).biased * state.n) / (state.n - 1), 10);
    }
  });

  it("updates running statistics by (1 − m)·old + m·batch, PyTorch's by N − 1", () => {
    for (const state of hundred()) {
      const m = Math.fround(state.momentum);
      let [mean, biased, unbiased] = [0, 1, 1];
      for (const step of training(state)) {
        mean = (1 - m) * mean + m * step.batchMean;
        biased = (1 - m) * biased + m * step.batchVariance;
        unbiased = (1 - m) * unbiased + (m * step.batchVariance * state.n) / (state.n - 1);
        // The momentum in ONNX's sense is 1 − m rounded to float32: each step may differ by 2⁻²⁴ of the numbers blended.
        const bound = (v: number) =>
          2 ** -23 * state.batches * (1 + Math.abs(v) + step.batchVariance * 2 + Math.abs(step.batchMean));
        for (const [got, expected] of [
          [step.mean, mean],
          [step.biased, biased],
          [step.unbiased, unbiased],
        ])
          expect(Math.abs(got - expected)).toBeLessThanOrEqual(bound(expected));
      }
    }
  });

  it("finds which axes each normalization takes, and its numbers", () => {
    const [batch, channels, inner] = BLOCK;
    const size = batch * channels * inner;
    for (const state of hundred()) {
      const at = (i: number) => [Math.floor(i / (channels * inner)), Math.floor(i / inner) % channels];
      const sharing: readonly ((i: number) => boolean)[] = [
        (i) => at(i)[1] === 0,
        (i) => at(i)[0] === 0,
        (i) => at(i)[0] === 0 && at(i)[1] < channels / state.groups,
        (i) => at(i)[0] === 0 && at(i)[1] === 0,
        (i) => at(i)[0] === 0,
      ];
      const shown = norms(state);
      shown.forEach(({ name, shares, y }, k) => {
        expect([name, shares]).toEqual([name, Array.from({ length: size }, (_, i) => sharing[k](i))]);
        if (name === "RMSNorm") return;
        // Those that share statistics have mean 0 after it.
        const mine = y.filter((_, i) => shares[i]);
        expect(Math.abs(mine.reduce((a, b) => a + b, 0) / mine.length)).toBeLessThan(1e-9);
      });
    }
  });

  it("folds into the numbers that fold writes, and keeps what fold keeps, for its reason", () => {
    const { outputs, inputs, taps, length } = SHAPE;
    let kept = 0;
    for (const state of [...hundred(), ...presets()]) {
      const steps = training(state);
      const shown = folding(state, steps[steps.length - 1]);
      const before = model(fileOf(state, shown.network));
      // Behind Relu the shift stays: what --partial allows. What float32 loses is another question than what algebra allows.
      const { data, model: after } = folded(before, {
        partial: state.order === "relu-bn",
        maxBitsLost: Number.POSITIVE_INFINITY,
      });
      expect([state, data.kept[0]?.code]).toEqual([state, shown.reason]);
      const feeds = new Map<string, Value>([["x", value([1, inputs, length], shown.network.x)]]);
      const [y] = createSession(before).run(feeds).values();
      expect(shown.before).toEqual(Array.from(asFloat64(y as Tensor)));
      if (shown.reason !== undefined) {
        kept++;
        continue;
      }
      const written = after.graph.initializers.map((record) => decode(record));
      const find = (dims: string) => written.find((t) => String(t.dims) === dims) as Tensor;
      expect(unsigned(asFloat64(find(`${outputs},${inputs},${taps}`)))).toEqual(unsigned(shown.weight.map(Math.fround)));
      expect(unsigned(asFloat64(find(`${outputs}`)))).toEqual(unsigned(shown.bias.map(Math.fround)));
      const size = Math.max(1, ...shown.before.map(Math.abs), ...shown.weight.map(Math.abs), ...shown.bias.map(Math.abs));
      expect(shown.difference).toBeLessThan(size * 1e-12);
    }
    expect(kept).toBeGreaterThan(0);
  });

  it("shows a model's channel with its own numbers: in inference, in the fold, and data drawn as its statistics say", () => {
    for (const channel of fc.sample(channels, { numRuns: 100, seed: SEED })) {
      const state = ofChannel(channel);
      const { gamma, beta, mean, variance, epsilon } = channel;
      const running = runningOf(state, training(state));
      expect([running.mean, running.biased]).toEqual([mean, variance]);
      const x = value([state.n, 1], batchOf(state, state.batches - 1));
      const node = {
        op: "BatchNormalization",
        inputs: ["x", "g", "b", "m", "v"],
        outputs: ["y"],
        attributes: { epsilon: f(epsilon) },
      };
      const [y] = run([node], x, { g: [[1], [gamma]], b: [[1], [beta]], m: [[1], [mean]], v: [[1], [variance]] });
      expect(gap(state, running).inference).toEqual(y);
      const { network, reason, difference, before } = folding(state, running);
      expect([network.gamma[0], network.beta[0], network.mean[0], network.variance[0]]).toEqual([gamma, beta, mean, variance]);
      expect(reason).toBeUndefined();
      const size = Math.max(1, ...before.map(Math.abs));
      expect(difference).toBeLessThan(size * 1e-11);
      const batch = Math.max(...batchOf(state, 0).map((v) => Math.abs(v - mean)));
      expect(batch).toBeLessThanOrEqual(7 * Math.sqrt(variance) + 2 ** -22 * Math.abs(mean));
    }
  });

  it("shows that the formula is wrong where the node is kept for its sign or for padding", () => {
    const wrong = PRESETS.map(({ state }) => ({ ...INITIAL, ...state })).filter(({ order }) => order !== "conv-bn");
    expect(wrong).toHaveLength(2);
    for (const state of wrong) {
      const steps = training(state);
      const { difference, reason } = folding(state, steps[steps.length - 1]);
      expect(reason).toBe(state.order === "bn-conv" ? "padding-blocks" : "sign-blocks");
      expect(difference).toBeGreaterThan(0.01);
    }
  });
});

function fileOf({ order, pads, epsilon }: State, { weight, bias, gamma, beta, mean, variance }: Network) {
  const { outputs, inputs, taps, length } = SHAPE;
  const size = length + 2 * pads - taps + 1;
  const conv = (x: string, y: string): NodeSpec => ({
    op: "Conv",
    inputs: [x, "w", "c"],
    outputs: [y],
    attributes: { pads: [pads, pads] },
  });
  const norm = (x: string, y: string): NodeSpec => ({
    op: "BatchNormalization",
    inputs: [x, "g", "b", "m", "v"],
    outputs: [y],
    attributes: { epsilon: f(epsilon) },
  });
  const relu: NodeSpec = { op: "Relu", inputs: ["p"], outputs: ["q"] };
  const orders = {
    "conv-bn": [conv("x", "p"), norm("p", "y")],
    "bn-conv": [norm("x", "p"), conv("p", "y")],
    "relu-bn": [conv("x", "p"), relu, norm("q", "y")],
  };
  return {
    opset: 17,
    inputs: [{ name: "x", dims: [1, inputs, length] }],
    outputs: [{ name: "y", dims: [1, outputs, size] }],
    initializers: {
      w: float32([outputs, inputs, taps], weight),
      c: float32([outputs], bias),
      ...Object.fromEntries(
        Object.entries({ g: gamma, b: beta, m: mean, v: variance }).map(([k, v]) => [k, float32([outputs], v)]),
      ),
    },
    nodes: orders[order],
  };
}

describe("the explorer's address", () => {
  it("stands for a channel of a model, whatever its numbers, and for none whose numbers make no normalization", () => {
    fc.assert(
      fc.property(channels, settings, (channel, state) => {
        expect(fromHash(channelHash(channel) ?? "")).toEqual(ofChannel(channel));
        expect(fromHash(toHash({ ...state, ...channel }))).toEqual({ ...state, ...channel });
      }),
    );
    const plain = { gamma: 1, beta: 0, mean: 0, variance: 1, epsilon: 1e-5 };
    for (const wrong of [
      { variance: -1 },
      { variance: 0, epsilon: 0 },
      { gamma: Number.NaN },
      { mean: Number.POSITIVE_INFINITY },
    ])
      expect(channelHash({ ...plain, ...wrong })).toBeUndefined();
    expect(fromHash("#explorer?mean=1&variance=-3")).toEqual(INITIAL);
    expect(fromHash("#explorer?mean=1")).toEqual(INITIAL);
  });

  it("stands for the state it was made from", () => {
    fc.assert(
      fc.property(settings, (state) => {
        expect(fromHash(toHash(state))).toEqual(state);
      }),
    );
    expect(toHash(INITIAL)).toBe("#explorer");
  });

  it("always stands for a valid state", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(INITIAL)), fc.string(), (name, text) => {
        const state = fromHash(`#explorer?${name}=${encodeURIComponent(text)}`);
        for (const [key, { from, to }] of Object.entries(RANGES)) {
          const v = state[key as keyof typeof RANGES];
          expect(v >= from && v <= to).toBe(true);
        }
        for (const [key, list] of Object.entries(CHOICES)) expect(list).toContain(state[key as keyof typeof CHOICES]);
      }),
    );
  });
});
