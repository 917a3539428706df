/**
 * Coefficients that differ prove no difference of the functions: what they change may be lost on the way (a gain of zero, a
 * shift that Softmax does not see), or a later operator may make up for it. So a *different* stands only where an input shows it.
 * For a value v of the second file that should be α and is β, in float64 and on the same inputs,
 *
 *   e = |b(v := β) − b(v := α)|      what this place alone does to an output of the second file: no rounding is in it
 *   d = |a − b|                      what the two files really differ by there
 *
 * and the place is shown to matter when e > 2⁻⁴⁰ |output| and d ≥ e/4. α and β come from the first file's own values, by the
 * relations of the proof, so that nothing before v is held against it.
 *
 * In d is also what the rounding of all other constants makes. Where numbers do not contradict by themselves, and e is not plainly more
 * than that, element by element
 *
 *   Δ = b(v := β) − b(v := α)        r = a − b(v := α)        q = Σ r Δ / Σ Δ²        s = √(Σ r² Δ²) / Σ Δ²
 *
 * tell them apart: q is 0 up to its standard error s where nothing makes up for Δ, 1 where something does. Shown are q ≤ 1/2 and s ≤ 1/16.
 */
import { applied, isPlain } from "../../affine/gauge.ts";
import { BnfoldError, inputError } from "../../diag/error.ts";
import type { GraphNode, GraphValue, GraphView, Scope } from "../../graph/view.ts";
import { isFloat } from "../../onnx/dtype.ts";
import type { GraphRecord, Model } from "../../onnx/records.ts";
import { asFloat64, type Tensor } from "../../onnx/tensor.ts";
import { isTensor, type Value } from "../../ops/define.ts";
import { runNode } from "../../run/session.ts";
import { compareValues } from "../compare.ts";
import { generateInputs, type Sample } from "../inputs.ts";
import { type Feeds, plain, runVariant, withStreamsOf } from "../runs.ts";
import type { Side } from "./classes.ts";
import type { Relation } from "./relation.ts";

/** What a node makes of values that are related, directly or through nodes between. */
export interface Made {
  readonly node: GraphNode;
  readonly from: ReadonlyMap<GraphValue, Relation>;
}

/** A value of the second file that is not what it should be. */
export interface Claim {
  readonly value: GraphValue;
  /** What it is: a map of the first file's value, or what its node makes of maps of such values. */
  readonly actual: Relation | Made;
  readonly target: Relation;
  /** True where it is not numbers that contradict, but what comes of them: as if no rewriting unknown here explained that. */
  readonly inferred?: boolean;
}

/** What inputs show of a claim: that it matters, that something else makes up for it, that no output notices, or nothing. */
export interface Weighed {
  readonly outcome: "shown" | "made-up-for" | "unreached" | "unknown";
  /** Why it was not shown. */
  readonly because?: string;
}

const SAMPLES = 4;
const SEED = 1;
const NOISE = 2 ** -40;
/** Part of its own effect that must be left when everything else has had its say. */
const LEFT = 1 / 4;
/** Part of an output that no rounding of constants makes. */
const PLAIN = 1 / 16;

/**
 * Multiply-adds that all claims about two files may take: seconds, where large networks with many places would take hours. Counted, not timed:
 * what is said of two files is the same on every machine.
 */
const WORK = 2 ** 34;

/** What is left of it. */
export class Budget {
  private left = WORK;

  readonly spend = (multiplyAdds: number): void => {
    this.left -= multiplyAdds;
  };

  get isSpent(): boolean {
    return this.left <= 0;
  }
}

const SHOWN: Weighed = { outcome: "shown" };
const UNREACHED: Weighed = { outcome: "unreached", because: "no output changed by it on the inputs tried" };
const UNTRIED: Weighed = { outcome: "unknown", because: "whether an output changes by it would take too long to evaluate" };
const MADE_UP_FOR: Weighed = { outcome: "made-up-for", because: "on the inputs tried the outputs agree all the same" };
const UNTOLD: Weighed = {
  outcome: "made-up-for",
  because: "on the inputs tried it is no more than what rounding other constants makes",
};

/** What a claim does to an output. */
interface Effect {
  readonly rms: number;
  readonly scale: number;
  readonly is: Value | undefined;
  readonly should: Value | undefined;
}

/** One set of inputs, with what the two files make of it. */
interface Trial {
  readonly sample: Sample;
  readonly inner: Feeds;
  readonly distance: ReadonlyMap<string, number>;
}

/** Weighs claims, for each scope they are made in on one set of runs. */
export class Effects {
  private readonly grounds = new Map<string, Ground>();

  constructor(
    private readonly a: Side,
    private readonly b: Side,
    private readonly claims: readonly Claim[],
    private readonly budget: Budget,
  ) {}

  /** Does what differs at this place reach an output, and is it still there? */
  weigh(claim: Claim): Weighed {
    if (this.budget.isSpent) return UNTRIED;
    try {
      return this.ground(claim.value.scope).weigh(claim);
    } catch (error) {
      const { message } = inputError(error);
      return { outcome: "unknown", because: `whether an output changes by it could not be evaluated (${message})` };
    }
  }

  private ground(scope: Scope): Ground {
    const known = this.grounds.get(scope.path);
    if (known !== undefined) return known;
    const claims = this.claims.filter(({ value }) => value.scope === scope);
    const made = new Ground(this.a, this.b, scope.path, [...new Set(claims.flatMap(coresOf))], this.budget);
    this.grounds.set(scope.path, made);
    return made;
  }
}

class Ground {
  private readonly trials: Trial[] = [];
  private readonly names: readonly string[];
  private readonly first: Model;
  private readonly second: Model;
  private readonly wanted: readonly string[];
  private samples: readonly Sample[] | undefined;

  constructor(
    private readonly a: Side,
    private readonly b: Side,
    path: string,
    cores: readonly GraphValue[],
    private readonly budget: Budget,
  ) {
    this.names = a.view.model.graph.outputs.map(({ name }) => name).filter((name) => b.view.main.values.has(name));
    this.first = opened(a.view, path);
    this.second = withStreamsOf(this.first, opened(b.view, path));
    const inner = cores.filter((value) => value.producer !== undefined).map(({ name }) => name);
    this.wanted = [...new Set([...this.names, ...inner])];
  }

  /** @throws BnfoldError when the files cannot be run. */
  weigh(claim: Claim): Weighed {
    let found = UNREACHED;
    for (let i = 0; ; i++) {
      const trial = i > 0 && this.budget.isSpent ? undefined : this.trial(i);
      if (trial === undefined) return found;
      for (const [name, { rms, scale, is, should }] of this.effect(claim, trial)) {
        if (found === UNREACHED) found = MADE_UP_FOR;
        if ((trial.distance.get(name) ?? 0) < LEFT * rms) continue;
        found = UNTOLD;
        if (!claim.inferred || rms > PLAIN * scale || tells(trial.inner.get(name), is, should)) return SHOWN;
      }
    }
  }

  /** The first file's values on inputs it can be run on, and how far the second is from them: made when they are asked for. */
  private trial(i: number): Trial | undefined {
    const known = this.trials[i];
    if (known !== undefined) return known;
    const { sample, inner } = this.before(i) ?? {};
    if (sample === undefined || inner === undefined) return undefined;
    // Where the first file runs, the second has to: other sizes would not say more, and large ones take long.
    const { spend } = this.budget;
    const outputs = runVariant(plain(this.second), sample.feeds, { seed: SEED, only: this.names, spend });
    const distance = new Map(this.names.map((name) => [name, apart(inner.get(name), outputs.get(name)).rms]));
    const made = { sample, inner, distance };
    this.trials.push(made);
    return made;
  }

  private before(i: number): { sample: Sample; inner: Feeds } | undefined {
    const run = (sample: Sample) => ({
      sample,
      inner: runVariant(plain(this.first), sample.feeds, { seed: SEED, only: this.wanted, spend: this.budget.spend }),
    });
    if (this.samples !== undefined) return this.samples[i] && run(this.samples[i]);
    let problem = new BnfoldError("model", "no inputs can be made up for it");
    for (let attempt = 0; ; attempt++) {
      const samples = generateInputs(this.a.view.model, { samples: SAMPLES, seed: SEED, attempt });
      if (samples === undefined) throw problem;
      try {
        const made = run(samples[i]);
        this.samples = samples;
        return made;
      } catch (error) {
        problem = inputError(error);
      }
    }
  }

  /** By how much each output changes that does, and what it is with either. */
  private effect({ value, actual, target }: Claim, trial: Trial): Map<string, Effect> {
    const should = this.valueOf(target, trial);
    const is = "node" in actual ? this.evaluated(actual, value, trial) : this.valueOf(actual, trial);
    const run = (given: Value) =>
      runVariant(plain(this.second), trial.sample.feeds, {
        seed: SEED,
        only: this.names,
        held: new Map([[value.name, given]]),
        spend: this.budget.spend,
      });
    const [left, right] = [run(is), run(should)];
    const found = new Map<string, Effect>();
    for (const name of this.names) {
      const { rms, scale } = apart(left.get(name), right.get(name));
      if (rms > NOISE * scale) found.set(name, { rms, scale, is: left.get(name), should: right.get(name) });
    }
    return found;
  }

  private valueOf({ core, scale, shift }: Relation, { sample, inner }: Trial): Tensor {
    const { name } = core.value;
    const value = inner.get(name) ?? sample.feeds.get(name) ?? (core.value.initializer && this.a.constants.tensor(core.value));
    if (value === undefined || !isTensor(value))
      throw new BnfoldError("model", `"${name}" has no value of its own`, { tensor: name });
    if (isPlain({ scale, shift })) return value;
    if (!isFloat(value.dtype) || value.dims.length !== scale.dims.length)
      throw new BnfoldError("model", `"${name}" has another rank than was taken for granted`, { tensor: name });
    const { dims, data } = applied({ dims: value.dims, data: asFloat64(value) }, { scale, shift });
    return { dtype: value.dtype, dims, data };
  }

  private evaluated({ node, from }: Made, value: GraphValue, trial: Trial): Value {
    const given = node.inputs.map((input) => {
      const relation = input && from.get(input);
      if (relation !== undefined) return this.valueOf(relation, trial);
      if (input === undefined || this.b.constants.has(input)) return input && this.b.constants.tensor(input);
      if (input.producer === undefined)
        throw new BnfoldError("model", `"${input.name}" is related to no value`, { tensor: input.name });
      return this.evaluated({ node: input.producer, from }, input, trial);
    });
    const made = runNode(node.record, node.version, given, { seed: SEED, model: this.b.view.model })[value.outputIndex];
    if (made === undefined) throw new BnfoldError("model", `"${value.name}" was not computed`, { tensor: value.name });
    return made;
  }
}

/**
 * The model with the branches of If that lead to a scope taken: their nodes stand in the main graph.
 * @throws BnfoldError when the scope is inside something else, or a name would mean two things.
 */
function opened(view: GraphView, path: string): Model {
  let scope = view.scopes.find((one) => one.path === path);
  let graph = scope?.record as GraphRecord;
  for (; scope !== undefined && scope.kind !== "main"; scope = scope.parent) {
    const inner = scope;
    const holder = inner.parent?.nodes.find((node) => node.bodies.includes(inner));
    if (holder === undefined || holder.opType !== "If" || holder.domain !== "")
      throw new BnfoldError("model", "it stands in a loop or a function");
    const outer = holder.scope.record as GraphRecord;
    if ([...inner.values.keys()].some((name) => holder.scope.values.has(name)))
      throw new BnfoldError("model", "a name inside its branch means something else outside");
    const plainNode = { ...holder.record, opType: "Identity", attributes: new Map() };
    const results = graph.outputs.map(({ name }, i) => ({ ...plainNode, inputs: [name], outputs: [holder.record.outputs[i]] }));
    graph = {
      ...outer,
      initializers: [...outer.initializers, ...graph.initializers],
      sparseInitializers: [...outer.sparseInitializers, ...graph.sparseInitializers],
      nodes: [...outer.nodes.filter((node) => node !== holder.record), ...graph.nodes, ...results],
    };
  }
  if (scope === undefined) throw new BnfoldError("model", "it stands in a function");
  return { ...view.model, graph };
}

/** What a node makes, as things stand: the related values it is reached from. */
export function madeBy(node: GraphNode, related: ReadonlyMap<GraphValue, Relation>, constants: Side["constants"]): Made {
  const from = new Map<GraphValue, Relation>();
  const open = [node];
  const seen = new Set(open);
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const value of next.inputs) {
      if (value === undefined || constants.has(value)) continue;
      const relation = related.get(value);
      if (relation !== undefined) from.set(value, relation);
      else if (value.producer !== undefined && !seen.has(value.producer)) {
        seen.add(value.producer);
        open.push(value.producer);
      }
    }
  }
  return { node, from };
}

const coresOf = ({ actual, target }: Claim): GraphValue[] => {
  const relations = "node" in actual ? [...actual.from.values()] : [actual];
  return [...relations, target].map((relation) => relation.core.value);
};

/** True where what an output changes by is still there, and no other rounding looks like it. */
function tells(wanted: Value | undefined, is: Value | undefined, should: Value | undefined): boolean {
  const [a, x, y] = [wanted, is, should].map((value) => value && isTensor(value) && asFloat64(value));
  if (!a || !x || !y || a.length !== x.length || a.length !== y.length) return false;
  let [sum, squares, spread] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [change, rest] = [x[i] - y[i], a[i] - y[i]];
    sum += rest * change;
    squares += change * change;
    spread += (rest * change) ** 2;
  }
  return sum <= squares / 2 && Math.sqrt(spread) <= squares / 16;
}

/** Root mean square distance of two results; what is no finite float in both counts as infinitely far. */
function apart(x: Value | undefined, y: Value | undefined): { rms: number; scale: number } {
  if (x === undefined || y === undefined) return { rms: 0, scale: 0 };
  const { rms, scale, mismatches } = compareValues(x, y);
  return { rms: mismatches > 0 ? Number.MAX_VALUE : rms, scale };
}
