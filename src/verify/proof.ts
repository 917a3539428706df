/**
 * Whether two files compute the same function, for every input and every shape: the second is walked (proof/prover.ts) as it is,
 * with the maps of later operators brought back (proof/foresight.ts), and in a normal form of both (proof/normal.ts). Where the
 * maker of the second file says how its values changed (proof/certificate.ts), that is checked first. Channels of constant 1 that only
 * carry a shift through padding are taken out of both before (proof/ones.ts).
 */
import { type Gauges, invertGauge } from "../affine/gauge.ts";
import { finish, type Steps } from "../diag/steps.ts";
import { dtypeOf } from "../onnx/dtype.ts";
import type { Model } from "../onnx/records.ts";
import type { Shared, SharedValue } from "./cuts.ts";
import { alignCalls } from "./proof/calls.ts";
import { certify } from "./proof/certificate.ts";
import { sideOf } from "./proof/classes.ts";
import { Budget } from "./proof/effect.ts";
import { foresee } from "./proof/foresight.ts";
import { movedForm, normalForm, normalForms } from "./proof/normal.ts";
import { type Narrowed, narrowed } from "./proof/ones.ts";
import { type Contradicted, Prover } from "./proof/prover.ts";
import { FOREIGN, OWN, type Tolerance } from "./proof/rows.ts";
import { requiredInputs } from "./shapes.ts";
import type { Proof } from "./types.ts";

/** Options of `prove`. */
export interface ProveOptions {
  /** Told of each operator of the second file that was looked at; where a first look does not suffice, the count begins anew. */
  readonly onProgress?: (done: number, total: number) => void;
  /** True (default) when the second file was made by another tool: coefficients may carry its staged rounding. */
  readonly foreign?: boolean;
  /**
   * What values of `a` are in terms of those of `b` with the same names, where whoever made `b` can tell. Nothing is taken on trust:
   * each operator is compared with its counterpart as always, only that the maps need not be inferred first.
   */
  readonly gauges?: Gauges;
}

/**
 * Proves or refutes that `b` computes what `a` computes.
 * @throws BnfoldError when a file is broken beyond reading.
 */
export const prove = (a: Model, b: Model, options: ProveOptions = {}): Proof => finish(proveSteps(a, b, options));

/** The same in steps. */
export function* proveSteps(a: Model, b: Model, options: ProveOptions = {}): Steps<Proof> {
  const [first, second] = alignCalls(settled(a, b), settled(b, a)).map(narrowed);
  const [x, y] = [first.model, second.model];
  const tolerance = options.foreign === false && !storesDoubles(y) ? OWN : FOREIGN;
  const { gauges } = options;
  for (const look of certified(x, y, tolerance, gauges)) {
    yield;
    const proof = yield* look.walk(options.onProgress);
    if (proof.outcome === "equal") return yield* found(proof, look, [first, second]);
  }
  const tried: Prover[] = [];
  // Where the first file has fewer operators, it may be what was made of the second.
  const isPlainer = x.graph.nodes.length < y.graph.nodes.length;
  const mirrored = looks(y, x, tolerance);
  for (const look of looks(x, y, tolerance)) {
    yield;
    const walk = look.walk(options.onProgress);
    let isTurned = false;
    let step = walk.next();
    for (; step.done !== true; step = walk.next()) {
      yield;
      if (isTurned || !look.findings.mayBeTurned(isPlainer)) continue;
      isTurned = true;
      const turned = mirrored.next();
      const back = turned.done === true ? undefined : yield* turned.value.walk(options.onProgress);
      if (back?.outcome === "equal") return yield* found(back, turned.value as Prover, [second, first], true);
    }
    if (step.value.outcome === "equal") return yield* found(step.value, look, [first, second]);
    tried.push(look);
  }
  // Nothing shows them equal: what was found to differ has to show it, on inputs.
  const budget = new Budget();
  const proofs: { look: Prover; proof: Proof }[] = [];
  for (const look of tried) {
    yield;
    const proof = look.settled(budget);
    contradicted.set(proof, look.contradicted());
    if (proof.outcome === "different") return proof;
    proofs.push({ look, proof });
  }
  // What is still open is said of the files as they are.
  const said = proofs.filter(({ look }) => !look.rewritten).map(({ proof }) => proof);
  return said.reduce((least, proof) => (open(proof) < open(least) ? proof : least));
}

/** Who stores what float64 computes rounds at every step as much as when storing, and is no different from tools that always do. */
const storesDoubles = ({ graph }: Model): boolean =>
  graph.initializers.some(({ dataType, dims }) => dims.length > 0 && dtypeOf(dataType) === "float64");

/** A model whose inputs with defaults are constants where the other file has no such input: nobody can give both files one. */
function settled(model: Model, other: Model): Model {
  const { graph } = model;
  const required = new Set(requiredInputs(model));
  const theirs = new Set(other.graph.inputs.map(({ name }) => name));
  const inputs = graph.inputs.filter((input) => required.has(input) || theirs.has(input.name));
  return inputs.length === graph.inputs.length ? model : { ...model, graph: { ...graph, inputs } };
}

/** What a proof is not itself, but found on the way. */
const shared = new WeakMap<Proof, Shared>();

/** The values a proof of `equal` found the same in both files, or exact maps of one another; undefined of one made elsewhere. */
export const sharedOf = (proof: Proof): Shared | undefined => shared.get(proof);

const contradicted = new WeakMap<Proof, readonly Contradicted[]>();

/** What the files declare of values inside that their operators do not give; empty of a proof made elsewhere. */
export const contradictionsOf = (proof: Proof | undefined): readonly Contradicted[] =>
  (proof === undefined ? undefined : contradicted.get(proof)) ?? [];

/** @param turned The second file was taken for the first. */
function* found(proof: Proof, look: Prover, [a, b]: readonly Narrowed[], turned = false): Steps<Proof> {
  const told = new Map<string, SharedValue>();
  for (const [name, value] of yield* look.shared()) {
    // The file's own value has one channel more than what was compared.
    const [inA, inB] = [a.values.has(value.name), b.values.has(name)];
    if (turned) {
      const back = value.map && invertGauge(value.map);
      const known = told.get(value.name);
      if (inA !== inB || (value.map !== undefined && back === undefined)) continue;
      if (known === undefined || (back === undefined && (known.map !== undefined || name === value.name)))
        told.set(value.name, { name, ...(back === undefined ? {} : { map: back }) });
    } else if (inA === inB ? !inA || value.map === undefined : inB)
      told.set(name, inB && !inA ? { ...value, ones: true } : value);
  }
  shared.set(proof, told);
  const other = { first: "second", second: "first" } as const;
  contradicted.set(
    proof,
    look.contradicted().map((one) => (turned ? { ...one, file: other[one.file] } : one)),
  );
  return proof;
}

/** Looks with gauges that somebody gave: at the files as they are, or where the second has other operators, at their normal forms. */
function* certified(a: Model, b: Model, tolerance: Tolerance, gauges: Gauges | undefined): Generator<Prover> {
  if (gauges === undefined || gauges.size === 0) return;
  const look = (p: Model, q: Model, rewritten: boolean) =>
    new Prover(sideOf(p, tolerance.foreign), sideOf(q, tolerance.foreign), tolerance, rewritten, (classes) =>
      certify(classes, gauges),
    );
  if (newTypes(a, b) > 0) {
    const forms = [normalForm(a), normalForm(b)] as const;
    if (newTypes(...forms) < newTypes(a, b)) yield look(...forms, true);
  }
  yield look(a, b, false);
}

/** The ways to look at two files, the likeliest first. */
function* looks(a: Model, b: Model, tolerance: Tolerance): Generator<Prover> {
  const forms = () => normalForms(a, b);
  const rewritten = (p: Model, q: Model) =>
    new Prover(sideOf(p, tolerance.foreign), sideOf(q, tolerance.foreign), tolerance, true, foresee);
  const added = newTypes(a, b);
  // Only what brings operators that the first file has not can look closer in another form.
  let normal = added === 0 ? undefined : forms();
  const early = normal !== undefined && newTypes(...normal) < added;
  if (normal !== undefined && early) yield rewritten(...normal);
  const sides = [sideOf(a, tolerance.foreign), sideOf(b, tolerance.foreign)] as const;
  yield new Prover(...sides, tolerance);
  yield new Prover(...sides, tolerance, false, foresee);
  normal ??= forms();
  if (!early && (normal[0] !== a || normal[1] !== b)) yield rewritten(...normal);
  // What both write alike may hide, or keep apart, what only one of them has.
  const [p, q] = normalForms(a, b, true);
  yield rewritten(p, q);
  yield rewritten(movedForm(p), movedForm(q));
}

/** How many types of operators the second file has that the first has not. */
function newTypes(a: Model, b: Model): number {
  const [p, q] = [a, b].map(({ graph }) => new Set(graph.nodes.map(({ domain, opType }) => `${domain}:${opType}`)));
  return [...q].filter((type) => !p.has(type)).length;
}

const open = ({ regions }: Proof): number => regions.filter((region) => region.outcome === "not-decided").length;
