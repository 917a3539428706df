/**
 * Cross-layer equalisation by powers of two: a channel between two layers is divided by 2^e in the weights that make it and multiplied
 * by 2^e in those that read it, so that a quantiser that has one scale for a whole tensor wastes less of it. In binary floating point
 * such products round nothing: every number of the new file is 2^e times that of the old one, bit for bit, as long as none leaves the
 * normal range of its type. Constants are looked at for that; computed values keep it where they lie at least 20 powers of two inside
 * the range, for no exponent is larger.
 *
 * What counts is what is felt of the noise a quantiser makes (noise.ts): measured, and weighed by what it adds to the outputs of the
 * layers that read it. To first order the noise of all tensors adds up, so the sum over the weights and over the values that layers
 * read, where their ranges are known, has to fall. Channels of one value, and of values tied to it, are settled together; where the sum
 * around them does not fall enough, they stay as they are.
 */
import { type Gauge, plainGauge } from "../../affine/gauge.ts";
import { numberOf, type Spread, simplify } from "../../affine/spread.ts";
import type { Steps } from "../../diag/steps.ts";
import type { GraphNode, GraphValue, GraphView } from "../../graph/view.ts";
import { type Candidate, candidateOf } from "../../laws/candidates.ts";
import type { Draft } from "../../laws/draft.ts";
import { type Laws, lawsOfGains } from "../../laws/laws.ts";
import { layerOf, mayBeLayer } from "../../laws/linear.ts";
import { filled } from "../../laws/wires.ts";
import { roundArray } from "../../onnx/codec.ts";
import { clipPerChannel } from "../../rules/bounds.ts";
import { ruleOf } from "../../rules/index.ts";
import { isRefused, type NodeState, type Param, type Refused, refuse } from "../../rules/types.ts";
import { currentMap } from "../current.ts";
import { settleLayer } from "../gauge/settle.ts";
import type { EqualizedData } from "./data.ts";
import { type Classes, classesOf, type Group, type LayerWeight } from "./layers.ts";
import {
  type ChannelRanges,
  energies,
  type MeasuredValue,
  type Noise,
  noiseOf,
  type Stakes,
  survey,
  valueNoise,
} from "./noise.ts";
import { searchSteps } from "./search.ts";
import { decibels, type Equalization, toldOf } from "./told.ts";

export type { EqualizedData, EqualizedValue, EqualizedWeight } from "./data.ts";
export type { ChannelRanges } from "./noise.ts";
export type { Equalization } from "./told.ts";

/** Options of `equalization`. */
export interface EqualizeOptions {
  /** Measured numbers of values of the main graph, by name: channels along the axis that layers read them by (`activationRanges`). */
  readonly ranges?: ReadonlyMap<string, ChannelRanges>;
}

/** Sweeps over all groups: each may have changed what the next one sees. */
const SWEEPS = 4;
/** Part of a group's noise that has to go for it to move: 0.2 dB, or 1 dB where operators are added for bounds on each channel. */
const LEAST = 0.05;
const LEAST_ADDED = 0.2;

/** What `PlanOptions.equalize` takes; apart from the planner, so that who does not ask for it does not load it. */
export const equalization = (options: EqualizeOptions = {}): Equalization => ({
  run: (view, draft, fixed) => equalized(view, draft, options, fixed),
});

function* equalized(
  view: GraphView,
  draft: Draft,
  options: EqualizeOptions,
  isFixed: (node: GraphNode) => boolean,
): Steps<EqualizedData> {
  const nodes = view.nodes.filter((node) => !node.removed);
  const found = nodes.flatMap((node): Candidate[] => {
    if (draft.state(node).opType !== node.opType) return [];
    const candidate = candidateOf(node, draft.facts, draft.constants);
    if (candidate === undefined || "refusal" in candidate) return [];
    const current = currentMap(candidate, draft);
    return isRefused(current) ? [] : [current];
  });
  const fixed = (node: GraphNode) => node.removed || isFixed(node) || sharesWeight(draft, node);
  const laws = yield* lawsOfGains(view, draft, found, fixed);
  yield;
  const work = new Equalizer(draft, laws, classesOf(draft, laws), options);
  return yield* work.run();
}

/** A weight that several operators read would have to be copied for each. */
function sharesWeight(draft: Draft, node: GraphNode): boolean {
  if (!mayBeLayer(node.domain, node.opType)) return false;
  return node.inputs
    .slice(0, 2)
    .some((v, i) => v !== undefined && v.readerCount > 1 && draft.constants.has(v) && !draft.state(node).params.has(i));
}

class Equalizer {
  private readonly exponents: Int32Array;
  private readonly noises = new Map<LayerWeight, Noise>();
  private readonly stakes: ReadonlyMap<LayerWeight, Stakes>;
  private readonly measured: ReadonlyMap<GraphValue, MeasuredValue>;

  constructor(
    private readonly draft: Draft,
    private readonly laws: Laws,
    private readonly classes: Classes,
    private readonly options: EqualizeOptions,
  ) {
    this.exponents = new Int32Array(classes.count);
    const ranges = this.ranges();
    this.stakes = this.weigh(ranges);
    const of = new Map(classes.layers.map((layer) => [layer.input, layer]));
    this.measured = new Map(
      [...ranges].map(([value, own]) => {
        const { inputs } = of.get(value) as LayerWeight;
        return [value, { classes: inputs, ranges: own, stakes: this.stakeOf(value) }];
      }),
    );
  }

  /** Σ w² of each channel of a value over the layers that read it, each by what its outputs are. */
  private readonly read = new Map<GraphValue, Float64Array>();

  private stakeOf(value: GraphValue): Float64Array {
    return this.read.get(value) ?? new Float64Array(0);
  }

  /** What the numbers around each layer count for. */
  private weigh(ranges: ReadonlyMap<GraphValue, ChannelRanges>): Map<LayerWeight, Stakes> {
    const { layers, count } = this.classes;
    const squares = layers.map(({ input, inputs }) => ranges.get(input)?.meanSquare ?? new Float64Array(inputs.length).fill(1));
    const own = layers.map((layer, k) => energies(layer, squares[k]));
    const wholes = own.map(({ outputs }) => outputs.reduce((n, e) => n + e, 0) || 1);
    const byClass = new Float64Array(count);
    for (const [k, { input, inputs }] of layers.entries()) {
      const list = this.read.get(input) ?? new Float64Array(inputs.length);
      this.read.set(input, list);
      for (const [i, c] of inputs.entries()) {
        const stake = own[k].inputs[i] / wholes[k];
        list[i] += stake;
        if (c >= 0) byClass[c] += stake;
      }
    }
    return new Map(
      layers.map((layer, k) => [
        layer,
        {
          inputs: squares[k],
          outputs: Float64Array.from(layer.outputs, (c) => (c >= 0 && byClass[c] > 0 ? byClass[c] : 1 / wholes[k])),
        },
      ]),
    );
  }

  private noise(layer: LayerWeight, exponents: Int32Array): Noise {
    return noiseOf(layer, exponents, this.stakes.get(layer) as Stakes);
  }

  *run(): Steps<EqualizedData> {
    const { layers, groups } = this.classes;
    const before = new Map<LayerWeight, Noise>();
    for (const layer of layers) {
      yield;
      before.set(layer, this.noise(layer, this.exponents));
    }
    for (const [layer, noise] of before) this.noises.set(layer, noise);
    const moved = new Set<Group>();
    for (let sweep = 0; sweep < SWEEPS; sweep++) {
      let any = false;
      for (const group of groups) {
        yield;
        if (!this.improve(group)) continue;
        moved.add(group);
        any = true;
      }
      if (!any) break;
    }
    this.settle(moved);
    yield;
    const still = new Int32Array(this.exponents.length);
    const values = [...this.measured.values()];
    const sum = (noises: Iterable<Noise>, exponents: Int32Array) =>
      [...noises].reduce((n, { felt }) => n + felt, 0) + values.reduce((n, value) => n + valueNoise(value, exponents), 0);
    return toldOf({
      groups: groups.filter((group) => moved.has(group)),
      left: groups.length - moved.size,
      exponents: this.exponents,
      weights: layers.map((layer) => ({
        layer,
        before: before.get(layer) as Noise,
        after: this.noises.get(layer) as Noise,
      })),
      snr: [decibels(sum(before.values(), still)), decibels(sum(this.noises.values(), this.exponents))],
      activations: this.measured.size,
    });
  }

  /** Measured values that layers read, in terms of what they are in the draft. */
  private ranges(): Map<GraphValue, ChannelRanges> {
    const { draft, classes, options } = this;
    const was = new Map(draft.gauges());
    const found = new Map<GraphValue, ChannelRanges>();
    for (const { input: x, port, inputs } of classes.layers) {
      const given = x.scope.kind === "main" ? options.ranges?.get(x.name) : undefined;
      if (given === undefined || given.low.length !== inputs.length) continue;
      const now = was.has(x) ? movedRanges(given, was.get(x), port) : given;
      if (now !== undefined) found.set(x, now);
    }
    return found;
  }

  /** Tries other exponents for the classes of a group; true when what is felt of the noise around it falls by enough. */
  private improve(group: Group): boolean {
    const { exponents } = this;
    const values = [...this.measured].flatMap(([value, measured]) => (group.values.includes(value) ? [measured] : []));
    const steps = searchSteps(
      survey(group, exponents, values, (layer) => this.stakes.get(layer) as Stakes),
      group.classes.length,
    );
    if (steps.every((d) => d === 0)) return false;
    const now = this.sum(group.layers, values, this.noises);
    const tried = exponents.slice();
    for (const [i, c] of group.classes.entries()) tried[c] += steps[i];
    const noises = new Map(group.layers.map((layer) => [layer, this.noise(layer, tried)]));
    const then = this.sum(group.layers, values, noises, tried);
    const differ = group.clips > 0 && new Set(group.classes.map((c) => tried[c])).size > 1;
    if (!(then <= now * (1 - (differ ? LEAST_ADDED : LEAST)))) return false;
    exponents.set(tried);
    for (const [layer, noise] of noises) this.noises.set(layer, noise);
    return true;
  }

  private sum(
    layers: readonly LayerWeight[],
    values: readonly MeasuredValue[],
    noises: ReadonlyMap<LayerWeight, Noise>,
    exponents = this.exponents,
  ): number {
    const weights = layers.reduce((n, layer) => n + (noises.get(layer) as Noise).felt, 0);
    return weights + values.reduce((n, value) => n + valueNoise(value, exponents), 0);
  }

  /** Writes what was found into the draft; groups that would round a number are taken back. */
  private settle(moved: Set<Group>): void {
    for (;;) {
      const gauges = this.gauges();
      const mark = this.draft.mark();
      const odd = this.laws.absorbers.filter((node) => this.absorb(node, gauges) !== undefined);
      for (const [node, state] of this.draft.since(mark)) if (!isExact(this.draft, node, state)) odd.push(node);
      const stopped = [...moved].filter((group) => odd.some((node) => touches(group, node)));
      if (stopped.length === 0) {
        for (const [value, gauge] of gauges) this.draft.move(value, gauge);
        return;
      }
      this.draft.undo(mark);
      for (const group of stopped) {
        moved.delete(group);
        for (const c of group.classes) this.exponents[c] = 0;
      }
      for (const group of stopped) for (const layer of group.layers) this.noises.set(layer, this.noise(layer, this.exponents));
    }
  }

  private gauges(): Map<GraphValue, Gauge> {
    const made = new Map<GraphValue, Gauge>();
    for (const value of this.laws.wires.keys()) {
      const classes = this.classes.of(value);
      if (classes === undefined) continue;
      const data = classes.data.map((c) => (c < 0 ? 1 : 2 ** this.exponents[c]));
      if (data.every((a) => a === 1)) continue;
      made.set(value, { ...plainGauge(classes.dims.length), scale: simplify({ dims: classes.dims, data }) });
    }
    return made;
  }

  private absorb(node: GraphNode, gauges: ReadonlyMap<GraphValue, Gauge>): Refused | undefined {
    const { draft } = this;
    const open = node.inputs.findIndex((value) => value !== undefined && !draft.constants.has(value));
    const [x, y] = [node.inputs[open], node.outputs[0]];
    const [from, to] = [x && gauges.get(x), y && gauges.get(y)];
    const rank = (from ?? to)?.scale.dims.length;
    if (rank === undefined) return undefined;
    if (["Clip", "Max", "Min"].includes(node.opType)) return from && this.bound(node, open, from.scale);
    const plain = (value: GraphValue | undefined) => plainGauge(draft.facts.rank(value) ?? rank);
    if (["Add", "Sub", "Mul", "Div"].includes(node.opType)) return from && this.added(node, open, from.scale);
    return settleLayer(draft, node, open, from ?? plain(x), to ?? plain(y));
  }

  /** What is added to a value takes its gain; a factor stays. */
  private added(node: GraphNode, open: number, s: Spread): Refused | undefined {
    if (node.opType === "Mul" || node.opType === "Div") return undefined;
    return this.take(node, open, s);
  }

  private bound(node: GraphNode, open: number, s: Spread): Refused | undefined {
    const at = this.draft.at(node);
    if (node.opType === "Clip" && numberOf(s) === undefined) {
      const state = clipPerChannel(at, s);
      if (isRefused(state)) return { node, ...state };
      if (state !== at.state) this.draft.set(node, state);
      return undefined;
    }
    return this.take(node, open, s);
  }

  /** What an operator does to its constants when it hands a gain of an input on. */
  private take(node: GraphNode, open: number, s: Spread): Refused | undefined {
    const by = Array.from({ length: open + 1 }, (_, i) => (i === open ? s : undefined));
    const steps = ruleOf(node.opType)?.forwardScale?.(this.draft.at(node), by);
    if (steps === undefined) return refuse("operator-blocks", "does not take it", { node });
    if (isRefused(steps)) return { node, ...steps };
    const [{ state }] = steps;
    if (state !== undefined) this.draft.set(node, state);
    return undefined;
  }
}

const touches = (group: Group, node: GraphNode): boolean =>
  group.layers.some((layer) => layer.node === node) ||
  [...node.inputs, ...node.outputs].some((value) => value !== undefined && group.values.includes(value));

/** Ranges of a value that folds have moved: v_now = (v_was − b) / a. */
function movedRanges(
  { low, high, meanSquare, mean }: ChannelRanges,
  gauge: Gauge | undefined,
  { axis, size }: { readonly axis: number; readonly size: number },
): ChannelRanges | undefined {
  if (gauge === undefined || axis >= gauge.scale.dims.length) return undefined;
  const dims = gauge.scale.dims.map((_, i) => (i === axis ? size : 1));
  if ([gauge.scale, gauge.shift].some((s) => s.dims.some((d, i) => d !== 1 && d !== dims[i]))) return undefined;
  const [a, b] = [filled(gauge.scale, dims).data, filled(gauge.shift, dims).data];
  const at = (v: Float64Array) => v.map((x, c) => (x - b[c]) / a[c]);
  const [p, q] = [at(low), at(high)];
  return {
    low: p.map((x, c) => Math.min(x, q[c])),
    high: p.map((x, c) => Math.max(x, q[c])),
    mean: at(mean),
    meanSquare: meanSquare.map((x, c) => Math.max(0, x - 2 * b[c] * mean[c] + b[c] ** 2) / a[c] ** 2),
  };
}

/** True when every stored number of an operator is a power of two times what it was, and what it gained is stored as it is. */
function isExact(draft: Draft, node: GraphNode, was: NodeState | undefined): boolean {
  const { params, ceiling } = draft.state(node);
  const exactly = (param: Param) => {
    const values = param.values();
    return sameNumbers(roundArray(param.dtype, values), values);
  };
  if (ceiling !== undefined && !exactly(ceiling)) return false;
  for (const [index, param] of params) {
    const value = node.inputs[index];
    const before = was?.params.get(index) ?? (value && draft.constants.has(value) ? draft.constants.param(value) : undefined);
    if (before === param) continue;
    if (before === undefined || isRefused(before) || String(before.dims) !== String(param.dims)) {
      if (!exactly(param)) return false;
      continue;
    }
    const [old, next] = [before.values(), param.values()];
    const [a, b] = [roundArray(param.dtype, old), roundArray(param.dtype, next)];
    for (let i = 0; i < next.length; i++)
      if (old[i] === 0 ? next[i] !== 0 : b[i] !== a[i] * (next[i] / old[i]) || !Number.isFinite(b[i])) return false;
  }
  return true;
}

function sameNumbers(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

/** The values that layers of a model read, each with the axis of its channels: what `ranges` is wanted of. */
export function layerInputs(view: GraphView, draft: Draft): Map<string, number> {
  const found = new Map<string, number>();
  for (const node of view.nodes) {
    if (node.scope !== view.main || node.domain !== "") continue;
    const layer = layerOf(draft.at(node));
    const x = layer && node.inputs[layer.index];
    if (layer !== undefined && x !== undefined) found.set(x.name, layer.input.axis);
  }
  return found;
}
