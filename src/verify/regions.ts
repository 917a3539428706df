/**
 * The witness by regions (cuts.ts): each part of the network that differs is run on its own in float64, both files on the same random
 * numbers, or their claimed maps, in the place of what they share, at small sizes (sizes.ts). What a region makes is judged by the law
 * of judge.ts, p being drawn from the constants of that region alone: nothing dilutes a fault on its way to the outputs.
 *
 * A region that differs is cut wider, in case its cuts can only be what made-up numbers are not (never negative after a Relu), and
 * then run on numbers the first file gives. Only what differs there as well is called different.
 */
import { applied } from "../affine/gauge.ts";
import { fitsInto } from "../affine/spread.ts";
import { BnfoldError } from "../diag/error.ts";
import type { Steps } from "../diag/steps.ts";
import type { Facts } from "../graph/facts.ts";
import { hasTrait } from "../graph/operators.ts";
import { storedRecord } from "../graph/stored.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { roundArray } from "../onnx/codec.ts";
import { dtypeOf, isFloat, isStorageFloat } from "../onnx/dtype.ts";
import type { Model, TensorRecord } from "../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor, withChannel } from "../onnx/tensor.ts";
import { isTensor, type NumericMode, type Value } from "../ops/define.ts";
import { factsOf } from "../run/facts.ts";
import { type Cut, Cuts, type Region, readsOf, type Shared } from "./cuts.ts";
import { DRAWS, Judgement } from "./judge.ts";
import { measuresOf } from "./measures.ts";
import { roundingDraw, type Stored, type Variant } from "./noise.ts";
import { Decoded, Parts } from "./parts.ts";
import { fillWith, randomOf } from "./random.ts";
import { type Feeds, movedSteps, plain, type RunPlan, variantSteps } from "./runs.ts";
import type { UserShapes } from "./shapes.ts";
import { NetworkSizes, type RegionSizes, sizesOf } from "./sizes.ts";
import { SomeChannels } from "./some-channels.ts";
import type { RegionRun } from "./types.ts";

export interface RegionOptions {
  readonly seed: number;
  /** Largest ratio that passes, for a region with these nodes of the second file. */
  readonly limit: (nodes: readonly GraphNode[]) => number;
  readonly shapes?: UserShapes;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

/** What came of it: every region agrees; some do not; or some could not be run, and why. */
export type RegionsFound =
  | { readonly outcome: "equal"; readonly runs: readonly RegionRun[] }
  | { readonly outcome: "different"; readonly runs: readonly RegionRun[]; readonly open: readonly Region[] }
  | { readonly outcome: "unable"; readonly reason: string };

/** Made-up numbers for the cuts. Linear regions show all they are on the first kind. */
const KINDS = ["normal", "large", "negative"] as const;
type Kind = (typeof KINDS)[number];

/** Inputs of more numbers are made of the first kind alone. */
const SMALL = 1 << 15;

/** How often a region that differs is cut wider, and how often each kind is then made up. */
const WIDER = 3;
const AGAIN = 4;

/** What the first file's region makes in float64, and what both make in their own precision. */
export interface InStorage {
  readonly truth: Value;
  readonly before: Value;
  readonly after: Value;
}

class Unable extends Error {}

/** The sizes do not fit the region. */
class Unfit extends Unable {}

/** Shared values of one element type: a number that one file rounds to another type on the way is no place to cut. */
function alike(shared: Shared, { a, b }: { a: GraphView; b: GraphView }, facts: Facts, others: Facts): Shared {
  return new Map(
    [...shared].filter(([mine, { name }]) => {
      const [x, y] = [a.main.values.get(name), b.main.values.get(mine)];
      const [p, q] = [x && facts.of(x).dtype, y && others.of(y).dtype];
      return p === undefined || q === undefined || p === 0 || q === 0 || p === q;
    }),
  );
}

export class RegionWitness {
  private readonly views: { readonly a: GraphView; readonly b: GraphView };
  private readonly cuts: Cuts;
  private readonly sizes: NetworkSizes;
  private readonly measures: ReadonlySet<GraphValue>;
  private readonly parts: { readonly a: Parts; readonly b: Parts };
  private readonly dtypes: (value: GraphValue) => number;

  constructor(
    a: Model,
    b: Model,
    shared: Shared,
    private readonly options: RegionOptions,
  ) {
    this.views = { a: viewOf(a), b: viewOf(b) };
    const [facts, others] = [factsOf(this.views.a), factsOf(this.views.b)];
    this.dtypes = (value) => facts.of(value).dtype;
    const cuttable = alike(shared, this.views, facts, others);
    this.cuts = new Cuts(this.views.a, this.views.b, cuttable, this.dtypes, (value) => others.of(value).dtype);
    this.sizes = new NetworkSizes(a, options.shapes);
    this.measures = new Set([...measuresOf(this.views.a), ...measuresOf(this.views.b)]);
    this.parts = { a: new Parts(a), b: new Parts(b) };
  }

  *run(): Steps<RegionsFound> {
    try {
      const targets = this.cuts.targets();
      const [runs, open]: [RegionRun[], Region[]] = [[], []];
      for (const [i, target] of targets.entries()) {
        this.options.onProgress?.("float64", i, targets.length);
        yield;
        const { run, region } = yield* this.settled(target);
        runs.push(run);
        if (!run.ok) open.push(region);
      }
      return open.length === 0 ? { outcome: "equal", runs } : { outcome: "different", runs, open };
    } catch (error) {
      if (error instanceof Unable) return { outcome: "unable", reason: error.message };
      throw error;
    }
  }

  /** A region on given values of its cuts, by the first file's names. */
  onValues(region: Region, values: ReadonlyMap<string, Value>): Steps<RegionRun> {
    return this.judged(region, { kind: "given", seed: this.options.seed, values: (cut) => values.get(cut.a.name) as Value });
  }

  /** The region of a cut; where it differs, a wider one that does not, if there is. */
  private *settled(target: Cut): Steps<{ run: RegionRun; region: Region }> {
    const less = new Set<GraphValue>();
    let first: { run: RegionRun; region: Region } | undefined;
    for (let width = 0; width <= WIDER; width++) {
      const region = this.cuts.region(target, less);
      if (region === undefined || !this.canRun(region)) {
        if (first !== undefined) return first;
        throw new Unable(`what "${target.b.name}" is computed from cannot be cut out`);
      }
      const run = yield* this.made(region, width > 0);
      if (run.ok) return { run, region };
      first ??= { run, region };
      const before = less.size;
      for (const { b } of region.inputs) if (b.producer !== undefined) less.add(b);
      if (less.size === before) break;
    }
    return first as { run: RegionRun; region: Region };
  }

  /** Changed graphs inside nodes, changed functions and chance are the business of a whole run. */
  private canRun({ nodesA, nodesB, changed }: Region): boolean {
    const called = new Set(this.views.b.model.functions.map(({ domain, name }) => `${domain}:${name}`));
    const whole = (node: GraphNode) => node.bodies.length > 0 || called.has(`${node.record.domain}:${node.opType}`);
    return ![...changed].some(whole) && ![...nodesA, ...nodesB].some(({ record }) => hasTrait(record, "random"));
  }

  /**
   * A region on made-up values of its cuts. A `thorough` one has to take back what a narrower one said, and is run on more: what
   * comes through a Relu is often nothing.
   */
  private *made(region: Region, thorough: boolean): Steps<RegionRun> {
    for (;;) {
      try {
        return yield* this.atSizes(region, thorough);
      } catch (error) {
        // Nor may the network run at sizes nobody said are its own.
        if (!(error instanceof Unfit) || !this.sizes.change()) throw error;
      }
    }
  }

  private *atSizes(region: Region, thorough: boolean): Steps<RegionRun> {
    const { seed } = this.options;
    const lists = sizesOf(region, this.sizes, this.measures);
    if (lists.length === 0) throw new Unable(`sizes of what "${region.target.b.name}" is computed from are not known`);
    const linear = [...region.nodesA, ...region.nodesB].every((node) => hasTrait(node, "linear", "moves", "casts"));
    let done: RegionRun | undefined;
    for (const tries of lists) {
      const { sizes, run } = yield* this.firstFit(region, tries, seed);
      done = done === undefined ? run : joined(done, run);
      const elements = [...sizes.values()].reduce((n, dims) => n + sizeOf(dims), 0);
      const kinds = !thorough && (linear || elements > SMALL) ? KINDS.slice(0, 1) : KINDS;
      const rounds = Array.from({ length: thorough ? AGAIN : 1 }, (_, again) => kinds.map((kind) => ({ kind, again }))).flat();
      for (const { kind, again } of rounds.slice(1)) {
        if (!done.ok) return done;
        done = joined(done, yield* this.onMadeUp(region, sizes, kind, seed + again));
      }
    }
    return done as RegionRun;
  }

  /** At the first sizes that fit the region, on numbers of the first kind. */
  private *firstFit(region: Region, tries: readonly RegionSizes[], seed: number): Steps<{ sizes: RegionSizes; run: RegionRun }> {
    let because = "";
    for (const sizes of tries) {
      try {
        return { sizes, run: yield* this.onMadeUp(region, sizes, KINDS[0], seed) };
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
        because = error.message;
      }
    }
    throw new Unfit(`what computes "${region.target.b.name}" cannot be run on its own: ${because}`);
  }

  private onMadeUp(region: Region, sizes: RegionSizes, kind: Kind, seed: number): Steps<RegionRun> {
    const values = (cut: Cut) => this.madeUp(cut, sizes.get(cut.a.name) as readonly number[], kind, seed);
    return this.judged(region, { kind, seed, values });
  }

  private madeUp({ a }: Cut, dims: readonly number[], kind: Kind, seed: number): Tensor {
    const dtype = dtypeOf(this.dtypes(a));
    if (dtype === undefined || !isFloat(dtype)) throw new Unable(`"${a.name}" is no tensor of floats`);
    const random = randomOf(seed, "cut", kind, a.name);
    const data = new Float64Array(sizeOf(dims));
    const scale = kind === "large" ? 20 : 1;
    const draw = () => scale * random.rough();
    fillWith(data, kind === "negative" ? () => -Math.abs(draw()) : draw, (drawn) => roundArray(dtype, drawn.slice()));
    return { dtype, dims, data };
  }

  private *judged(
    region: Region,
    { kind, seed, values }: { kind: string; seed: number; values: (cut: Cut) => Value },
  ): Steps<RegionRun> {
    const { target } = region;
    const { a, b, feedsA, feedsB } = this.sides(region, values);
    const folded = this.foldedIn(region);
    const stored = new Decoded(folded);
    const runB = (): Steps<Value> => outputOf({ model: b, constants: stored.constants }, feedsB, target.b, { seed });
    const before = mapped(yield* fitting(outputOf(plain(a), feedsA, target.a, { seed })), target);
    const after = yield* fitting(runB());
    const limit = this.options.limit(region.nodesB);
    let judgement = new Judgement(target.b.name, before, after, limit);
    if (judgement.difference.rms > 0 && judgement.difference.mismatches === 0 && folded.length > 0) {
      const some = SomeChannels.of(region.nodesB, b, folded, stored.constants, seed);
      if (some !== undefined) judgement.addDraw(yield* some.drawn(seed, 1, feedsB, target.b.name), some.of(after));
      if (some !== undefined && !judgement.clear) judgement = new Judgement(target.b.name, before, after, limit);
      for (let draw = 1; judgement.open(draw - 1, DRAWS); draw++) {
        const inner = stored.inner.length === 0 ? undefined : roundingDraw(b, folded, seed, draw);
        judgement.addDraw(
          yield* inner === undefined ? stored.drawn(seed, draw, runB) : outputOf(inner, feedsB, target.b, { seed }),
        );
      }
    }
    if (!judgement.ok) judgement.addLastRounding();
    if (!judgement.ok && judgement.difference.mismatches === 0) {
      const movedB = yield* movedSteps(b, { kind, seed, feeds: feedsB }, { seed });
      judgement.addEvaluation(movedB.get(target.b.name) as Value, after);
      if (!judgement.ok) {
        const movedA = yield* movedSteps(a, { kind, seed, feeds: feedsA }, { seed });
        judgement.addEvaluation(mapped(movedA.get(target.a.name) as Value, target), before);
      }
    }
    return {
      value: target.b.name,
      operators: [region.nodesA.length, region.nodesB.length],
      sizes: [...new Set([...feedsB.values()].flatMap((value) => ("kind" in value ? [] : [value.dims.join("×")])))],
      inputs: [kind],
      maxDifference: judgement.difference.max,
      rmsDifference: judgement.difference.rms,
      rounding: judgement.rounding,
      ratio: judgement.ratio,
      ok: judgement.ok,
      ...(judgement.difference.problem === undefined ? {} : { problem: judgement.difference.problem }),
    };
  }

  /** Both files' part of a region as models, with what they are given. */
  private sides({ target, inputs, nodesA, nodesB }: Region, values: (cut: Cut) => Value) {
    const [feedsA, feedsB] = [new Map<string, Value>(), new Map<string, Value>()];
    for (const cut of inputs) {
      const value = values(cut);
      feedsA.set(cut.a.name, value);
      feedsB.set(cut.b.name, mapped(value, cut));
    }
    const a = this.parts.a.cut(nodesA, feedsA, target.a.name);
    const b = this.parts.b.cut(nodesB, feedsB, target.b.name);
    return { a, b, feedsA, feedsB };
  }

  /** The regions that hold a node of the second file which makes one of these values. */
  holding(names: ReadonlySet<string>): Region[] {
    return this.cuts.targets().flatMap((target) => {
      const region = this.cuts.region(target);
      const holds = region?.nodesB.some(({ outputs }) => outputs.some((value) => value !== undefined && names.has(value.name)));
      return region !== undefined && holds === true && this.canRun(region) ? [region] : [];
    });
  }

  /**
   * A region run in the files' own precision and, in float64, as the truth of both: on `values`, at the smallest sizes that fit. Undefined
   * where it cannot be.
   */
  *inStorage(region: Region, values: (cut: Cut, dims: readonly number[]) => Tensor | undefined): Steps<InStorage | undefined> {
    const { seed } = this.options;
    const { target } = region;
    for (const sizes of sizesOf(region, this.sizes, this.measures)[0] ?? []) {
      const given = new Map(region.inputs.map((cut) => [cut, values(cut, sizes.get(cut.a.name) as readonly number[])]));
      if ([...given.values()].includes(undefined)) return undefined;
      try {
        const { a, b, feedsA, feedsB } = this.sides(region, (cut) => given.get(cut) as Tensor);
        const run = (model: Model, feeds: Feeds, value: GraphValue, mode: NumericMode) =>
          fitting(outputOf(plain(model), feeds, value, { seed, mode }));
        const truth = mapped(yield* run(a, feedsA, target.a, "float64"), target);
        const before = mapped(yield* run(a, feedsA, target.a, "storage"), target);
        return { truth, before, after: yield* run(b, feedsB, target.b, "storage") };
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
      }
    }
    return undefined;
  }

  /** Float constants that what is changed of a region reads, through operators on constants as well. */
  private foldedIn({ nodesB, changed }: Region): Stored[] {
    const found = new Map<TensorRecord, Stored>();
    const behind = new Set<GraphNode>();
    const inside = new Set(nodesB);
    const open = [...changed];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (behind.has(node)) continue;
      behind.add(node);
      for (const value of readsOf(node)) {
        const record = storedRecord(value);
        const dtype = record && dtypeOf(record.dataType);
        if (record !== undefined && dtype !== undefined && isStorageFloat(dtype) && !this.measures.has(value))
          found.set(record, { value, record });
        const maker = value.producer;
        if (maker !== undefined && inside.has(maker) && maker.inputs.every((input) => input?.initializer !== undefined))
          open.push(maker);
      }
    }
    return [...found.values()];
  }
}

/**
 * The second file's value of a cut, of the first's: β = scale ⊙ α + shift, in float64, with a channel of ones where it has one.
 * @throws Unfit when the map varies along an axis of which only a part is run.
 */
function mapped(value: Value, { map, a, ones }: Cut): Value {
  if (map === undefined && ones !== true) return value;
  if (!isTensor(value)) throw new Unfit(`"${a.name}" is no tensor`);
  const { dims } = value;
  const fits = map === undefined || (fitsInto(map.scale, dims) && fitsInto(map.shift, dims));
  if (!fits) throw new Unfit(`the map of "${a.name}" is one of other sizes`);
  const made = map === undefined ? value : { ...value, data: applied({ dims, data: asFloat64(value) }, map).data };
  return ones === true ? withChannel(made) : made;
}

/** One value of a run. */
function* outputOf(variant: Variant, feeds: Feeds, { name }: GraphValue, given: RunPlan): Steps<Value> {
  return (yield* variantSteps(variant, feeds, given)).get(name) as Value;
}

/** Errors of a model that does not fit its inputs say that these sizes were the wrong ones. */
function* fitting(run: Steps<Value>): Steps<Value> {
  try {
    return yield* run;
  } catch (error) {
    if (error instanceof BnfoldError) throw new Unfit(error.message);
    throw error;
  }
}

/** The worst of two runs of one region. */
function joined(p: RegionRun, q: RegionRun): RegionRun {
  const worst = q.ok && (!p.ok || p.ratio >= q.ratio) ? p : q;
  const both = <T>(x: readonly T[], y: readonly T[]) => [...new Set([...x, ...y])];
  return { ...worst, sizes: both(p.sizes, q.sizes), inputs: both(p.inputs, q.inputs) };
}
