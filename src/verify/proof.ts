/**
 * The algebraic proof that two files compute the same function, for every input and every shape.
 *
 * Walks the second file in topological order and expresses each value as a diagonal affine map of a value of the first
 * (`Relation`). Graph inputs are related by name. A constant affine operator composes; any other operator must have a
 * counterpart in the first file that reads the same cores: the maps of its inputs are pushed through it (the laws of
 * `rules/`), and what remains must be the counterpart up to a map of the output. For linear operators that map is read off
 * the coefficients, within the rounding of their storage type; for all others the constants must agree. Outputs must be
 * related by the identity. Nothing of the planner's decisions is used: only the bytes of the two files.
 */
import { combine as combineSpread, map, type Spread, simplify, uniform } from "../affine/spread.ts";
import type { GraphNode, GraphValue, Scope } from "../graph/view.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../onnx/dtype.ts";
import type { Model } from "../onnx/records.ts";
import { isOne, isZero } from "../rules/params.ts";
import { isMistaken, memberOf, type Suspicion, suspicionsOf } from "./proof/blame.ts";
import { type AffineMap, affineOf, Classes, type Side, sideOf } from "./proof/classes.ts";
import { Comparison } from "./proof/compare.ts";
import { FOREIGN, type Misfit, OWN, type Tolerance } from "./proof/linear.ts";
import { COMMUTATIVE, familyOf, sameConstant } from "./proof/match.ts";
import { leadsOn, mergedPair } from "./proof/merged.ts";
import { failed, type Outcome } from "./proof/outcome.ts";
import { exact, type Relation, relative, snap } from "./proof/relation.ts";
import type { Proof, RegionProof } from "./types.ts";

export interface ProveOptions {
  /** True (default) when the second file was made by another tool: coefficients may carry its staged rounding. */
  readonly foreign?: boolean;
}

/**
 * Proves or refutes that `b` computes what `a` computes.
 * @throws BnfoldError when a file is broken beyond reading.
 */
export function prove(a: Model, b: Model, options: ProveOptions = {}): Proof {
  const [x, y, tolerance] = [sideOf(a), sideOf(b), options.foreign === false ? OWN : FOREIGN];
  const first = new Prover(x, y, tolerance, false).run();
  if (first.outcome === "equal") return first;
  // Gains of zero lose channels of the first file that the second may still have: a second look follows them, and has to confirm
  // a difference.
  const again = new Prover(x, y, tolerance, true);
  const second = again.hasLost ? again.run() : first;
  return second.outcome === "equal" || (first.outcome === "different" && second.outcome === "not-decided") ? second : first;
}

interface Suspect {
  readonly value: GraphValue;
  readonly relation: Relation;
  readonly suspicions: readonly Suspicion[];
}

class Prover {
  private readonly classes: Classes;
  private readonly related = new Map<GraphValue, Relation>();
  /** What each node turned out to be, and what the outputs did. */
  private readonly found = new Map<GraphNode, RegionProof | "identical">();
  private readonly faces: RegionProof[] = [];
  /** Values that are taken for the first file's although that could not be shown: what follows from them proves no difference. */
  private readonly doubtful = new Set<GraphValue>();
  private readonly comparison: Comparison;
  private readonly impassable = new Set<GraphNode>();
  /** Linear operators that correspond to none of the first file: a later one may complete them to a region that does. */
  private readonly postponed = new Set<GraphNode>();
  /** Those that no later one completed. */
  private readonly alone = new Set<GraphNode>();
  /** Each operator of the first file answers for one of the second only once, while others are free. */
  private readonly used = new Map<GraphNode, GraphNode>();

  constructor(
    private readonly a: Side,
    private readonly b: Side,
    private readonly tolerance: Tolerance,
    followLost: boolean,
  ) {
    this.classes = new Classes(a, followLost);
    this.comparison = new Comparison(a, b, this.classes, this.related, tolerance);
  }

  get hasLost(): boolean {
    return this.classes.hasLost;
  }

  run(): Proof {
    this.inputs();
    const nodes = this.b.view.nodes.filter((node) =>
      node.outputs.some((value) => value !== undefined && !this.b.constants.has(value)),
    );
    for (const node of nodes) if (!this.visit(node)) this.accuse(node);
    this.resume([...this.postponed]);
    this.outputs();
    const regions = [...[...this.found.values()].filter((r) => r !== "identical"), ...this.faces];
    const outcome = regions.some((r) => r.outcome === "different")
      ? "different"
      : regions.some((r) => r.outcome === "not-decided")
        ? "not-decided"
        : "equal";
    return { outcome, regions, identicalNodes: this.found.size - regions.length + this.faces.length };
  }

  /**
   * A node that could not be matched. Where it reads a value that is not what its counterpart reads, and the map between the
   * two cannot pass, the other values of that class are tried in its place: if the node then matches, the numbers of the
   * operator that made the map are what differs.
   */
  private accuse(node: GraphNode): void {
    const before = this.found.get(node) as RegionProof;
    // The value may also be right for what its operator was taken for, and wrong for what it stands for.
    const mistaken = node.inputs.some((value) => value !== undefined && isMistaken(this.related.get(value)));
    if ((!this.impassable.has(node) && !mistaken) || this.isDoubtful(node)) return;
    const suspects = [...new Set(node.inputs)].flatMap((value): Suspect[] => {
      const relation = value && this.related.get(value);
      const suspicions = relation === undefined ? [] : suspicionsOf(relation, (value as GraphValue).name);
      return suspicions.length === 0 ? [] : [{ value: value as GraphValue, relation: relation as Relation, suspicions }];
    });
    const trials = suspects.flatMap((suspect) => suspect.suspicions.map((suspicion) => [{ suspect, suspicion }]));
    if (suspects.length > 1) trials.push(suspects.map((suspect) => ({ suspect, suspicion: suspect.suspicions[0] })));
    for (const trial of trials) {
      for (const { suspect, suspicion } of trial) this.related.set(suspect.value, exact(suspicion.core, suspicion.member));
      if (this.visit(node)) {
        for (const { suspect, suspicion } of trial)
          this.accused(suspect.relation.blame?.node ?? suspect.value.producer ?? node, suspicion);
        for (const value of node.outputs) if (value !== undefined) this.doubtful.delete(value);
        return;
      }
      for (const { suspect } of trial) this.related.set(suspect.value, suspect.relation);
    }
    this.found.set(node, before);
    this.assume(node);
  }

  private isDoubtful(node: GraphNode): boolean {
    return node.inputs.some((value) => value !== undefined && this.doubtful.has(value));
  }

  /** What has no producer is related by scope and name; formal inputs of inner graphs and functions by position. */
  private inputs(): void {
    const scopes = new Map(this.a.view.scopes.map((scope) => [scope.path, scope]));
    for (const scope of this.b.view.scopes) {
      const other = scopes.get(scope.path);
      const twins =
        scope.kind === "main" ? new Map() : new Map(inputNames(scope).map((name, i) => [name, other && inputNames(other)[i]]));
      for (const value of scope.values.values()) {
        if (value.producer !== undefined || this.b.constants.has(value)) continue;
        const twin = other?.values.get(twins.get(value.name) ?? value.name);
        const known = twin && this.classes.of(twin);
        if (known !== undefined) this.related.set(value, exact(known.core, known));
      }
    }
  }

  /** Outputs of the model are compared by name, those of inner graphs and functions by position. */
  private outputs(): void {
    const scopes = new Map(this.a.view.scopes.map((scope) => [scope.path, scope]));
    for (const scope of this.b.view.scopes) {
      const other = scopes.get(scope.path);
      const [mine, theirs] = [outputNames(scope), other === undefined ? [] : outputNames(other)];
      const missing = scope.kind === "main" ? theirs.filter((name) => !mine.includes(name)) : theirs.slice(mine.length);
      for (const [i, name] of [...mine, ...missing].entries()) {
        const twin = scope.kind === "main" ? theirs.find((other) => other === name) : theirs[i];
        const [x, y] = [twin === undefined ? undefined : other?.resolve(twin), i < mine.length ? scope.resolve(name) : undefined];
        const region = (outcome: RegionProof["outcome"], reason: string): void => {
          this.faces.push({ outcome, nodes: [name], value: name, worstHalfUlps: 0, coefficients: 0, reason });
        };
        if (x === undefined || y === undefined) region("different", `output "${name}" is missing in one of the files`);
        else if (this.a.constants.has(x) && this.b.constants.has(y)) {
          if (!sameConstant(this.a, x, this.b, y)) region("different", `output "${name}" is another constant`);
        } else {
          const [beta, alpha] = [this.related.get(y), this.classes.of(x)];
          if (beta === undefined || alpha === undefined) {
            if (![...this.found.values()].some((r) => r !== "identical" && r.outcome !== "equal"))
              region("not-decided", `output "${name}" could not be traced to the first file`);
          } else if (beta.core !== alpha.core) region("not-decided", `output "${name}" is computed from another value`);
          else if (relative(beta, alpha)?.identity !== true) {
            if (this.doubtful.has(y))
              region("not-decided", `output "${name}" differs by a gain or shift, after a place that is not decided`);
            else this.offset(name, beta, alpha, region);
          }
        }
      }
    }
  }

  /** An output that is another map of the right value: the operator that made it so is named. */
  private offset(name: string, beta: Relation, alpha: AffineMap, region: (outcome: "different", reason: string) => void): void {
    const { node, suspicions } = beta.blame ?? {};
    const suspicion = suspicions?.find(({ member }) => member.scale === alpha.scale && member.shift === alpha.shift);
    if (node === undefined || suspicion === undefined)
      region("different", `output "${name}" differs from the first file's by a gain or shift beyond rounding`);
    else this.note(node, "different", { reason: `output "${name}" is off because of ${node.label}`, misfit: suspicion.misfit });
  }

  /** Relates the outputs of a node; false when it could not be matched. */
  private visit(node: GraphNode): boolean {
    const waiting = node.inputs.flatMap((value) =>
      value?.producer !== undefined && this.postponed.has(value.producer) ? [value.producer] : [],
    );
    if (waiting.length > 0) {
      const whole = this.region(node);
      if (whole?.ok === true) return this.together(node, whole, waiting);
      if (leadsOn(this.b, node)) {
        this.postponed.add(node);
        return true;
      }
      this.resume(waiting);
    }
    if (node.inputs.some((value) => value !== undefined && !this.b.constants.has(value) && !this.related.has(value))) return true;
    const affine = affineOf(this.b, node);
    const out = node.outputs[0];
    const from = affine && this.related.get(node.inputs[affine.input] as GraphValue);
    if (this.isDoubtful(node)) for (const value of node.outputs) if (value !== undefined) this.doubtful.add(value);
    if (affine !== undefined && from !== undefined && out !== undefined) {
      this.related.set(out, this.composed(node, from, affine.map.scale, affine.map.shift));
      return true;
    }
    const single = this.counterpart(node);
    const named = single.ok && this.isNamed(node, single);
    const region = named ? undefined : this.region(node);
    const outcome = this.better(single, region);
    if (outcome.ok) {
      for (const [i, relation] of outcome.outputs.entries()) {
        const value = node.outputs[i];
        if (relation !== undefined && value !== undefined) this.related.set(value, this.traced(node, relation, region));
      }
      if (outcome.coefficients > 0) this.note(node, "equal", { worst: outcome.worst, coefficients: outcome.coefficients });
      else this.found.set(node, "identical");
      return true;
    }
    if (!this.alone.has(node) && leadsOn(this.b, node)) {
      this.postponed.add(node);
      return true;
    }
    const decided = outcome.misfit !== undefined && !this.isDoubtful(node);
    this.note(node, decided ? "different" : "not-decided", { reason: outcome.reason, misfit: outcome.misfit });
    if (outcome.impassable === true) this.impassable.add(node);
    if (!decided) for (const value of node.outputs) if (value !== undefined) this.doubtful.add(value);
    // Later places are judged on their own: this one counts as if it were right.
    if (outcome.meant !== undefined && out !== undefined) this.related.set(out, outcome.meant);
    else this.assume(node);
    return false;
  }

  /** The postponed operators a region of the second file is made of, the latest first. */
  private behind(nodes: readonly GraphNode[]): GraphNode[] {
    const found = new Set<GraphNode>();
    const open = [...nodes];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (!this.postponed.has(node) || found.has(node)) continue;
      found.add(node);
      for (const value of node.inputs) if (value?.producer !== undefined) open.push(value.producer);
    }
    return [...found];
  }

  /** An operator that completes a region of the first file, with those that waited for it. */
  private together(
    node: GraphNode,
    { outputs, worst, coefficients }: Outcome & { ok: true },
    waiting: readonly GraphNode[],
  ): true {
    for (const other of this.behind(waiting)) {
      this.postponed.delete(other);
      this.found.set(other, "identical");
    }
    const [relation, value] = [outputs[0], node.outputs[0]];
    if (relation !== undefined && value !== undefined) this.related.set(value, relation);
    this.note(node, "equal", { worst, coefficients });
    return true;
  }

  /** Judges operators on their own that no later one completed to a region. */
  private resume(nodes: readonly GraphNode[]): void {
    for (const node of this.behind(nodes).sort((p, q) => p.order - q.order)) {
      this.postponed.delete(node);
      this.alone.add(node);
      if (!this.visit(node)) this.accuse(node);
    }
  }

  private accused(node: GraphNode, { misfit, member }: Suspicion): void {
    const known = this.found.get(node);
    if (known !== undefined && known !== "identical" && known.outcome === "different") return;
    this.note(node, "different", { reason: `${node.label} does not give "${member.value.name}"`, misfit });
  }

  /** A map that is no value of the first file, or not the one that is meant, with where it came from. */
  private traced(node: GraphNode, relation: Relation, region: Outcome | undefined): Relation {
    if (region?.ok === false && region.meant !== undefined && region.misfit !== undefined) {
      const { core } = region.meant;
      const member = memberOf(region.meant);
      return member === undefined
        ? relation
        : { ...relation, blame: { node, suspicions: [{ core, member, misfit: region.misfit }] } };
    }
    if (relation.blame !== undefined || memberOf(relation) !== undefined) return relation;
    const blame = node.inputs.map((value) => value && this.related.get(value)?.blame).find((b) => b !== undefined);
    return blame === undefined ? relation : { ...relation, blame };
  }

  /** True when the relation found does not contradict the first file's value of the same name. */
  private isNamed(node: GraphNode, { outputs }: Outcome & { ok: true }): boolean {
    const twin = this.a.view.scopes.find((s) => s.path === node.scope.path)?.values.get(node.outputs[0]?.name ?? "");
    const known = twin && this.classes.of(twin);
    return known === undefined || outputs[0]?.core === known.core;
  }

  private better(single: Outcome, region: Outcome | undefined): Outcome {
    return region?.ok === true || (!single.ok && region !== undefined && region.misfit !== undefined) ? region : single;
  }

  private note(
    node: GraphNode,
    outcome: RegionProof["outcome"],
    more: { worst?: number; coefficients?: number; reason?: string; misfit?: Misfit },
  ): void {
    const value = node.outputs.find((v) => v !== undefined)?.name ?? "";
    this.found.set(node, {
      outcome,
      nodes: [node.record.name || value],
      value,
      worstHalfUlps: more.worst ?? 0,
      coefficients: more.coefficients ?? 0,
      ...(more.reason !== undefined ? { reason: more.reason } : {}),
      ...(more.misfit !== undefined ? { at: more.misfit } : {}),
    });
  }

  /** Relates a node's outputs to the first file's values of the same name. */
  private assume(node: GraphNode): void {
    const scope = this.a.view.scopes.find((s) => s.path === node.scope.path);
    for (const value of node.outputs) {
      const twin = value && scope?.values.get(value.name);
      const known = twin && this.classes.of(twin);
      if (value !== undefined && known !== undefined) this.related.set(value, exact(known.core, known));
    }
  }

  /** A constant affine operator of the second file on top of a relation; its stored constants carry their own rounding. */
  private composed(node: GraphNode, from: Relation, scale: Spread, shift: Spread): Relation {
    const [relS, absT] = this.storedSlack(node, scale, shift);
    const mul = (x: Spread, y: Spread) => combineSpread(x, y, (p, q) => p * q);
    const add = (x: Spread, y: Spread) => combineSpread(x, y, (p, q) => p + q);
    const abs = (x: Spread) => map(x, Math.abs);
    const made: Relation = {
      core: from.core,
      scale: simplify(mul(scale, from.scale)),
      shift: simplify(add(mul(scale, from.shift), shift)),
      slackScale: add(mul(abs(scale), from.slackScale), mul(relS, abs(from.scale))),
      slackShift: add(add(mul(abs(scale), from.slackShift), mul(relS, abs(from.shift))), absT),
    };
    const { relation, member } = snap(made);
    if (member) return relation;
    return { ...relation, blame: from.blame ?? { node, suspicions: suspicionsOf(made, node.label) } };
  }

  /** Half a unit in the last place of every constant of an affine operator, as slack of its scale and shift. */
  private storedSlack(node: GraphNode, scale: Spread, shift: Spread): [Spread, Spread] {
    const dtype = dtypeOf(this.b.facts.of(node.inputs[node.opType === "BatchNormalization" ? 1 : 0]).dtype);
    const type: StorageFloat = dtype !== undefined && isStorageFloat(dtype) ? dtype : "float32";
    const rank = scale.dims.length;
    if (node.opType === "Identity" || node.opType === "Dropout" || node.opType === "Neg")
      return [uniform(rank, 0), uniform(rank, 0)];
    const factor = this.tolerance.weight;
    // Half an ulp of the stored number is at most u of it, and the coefficient is proportional to it.
    const half = (v: number) => factor * STORAGE_FLOATS[type].unitRoundoff * Math.abs(v);
    const slackS = isOne(scale) ? uniform(rank, 0) : map(scale, half);
    const slackT = isZero(shift) ? uniform(rank, 0) : map(shift, half);
    return [slackS, node.opType === "BatchNormalization" ? combineSpread(slackT, slackS, (t, s) => 2 * t + s) : slackT];
  }

  /** A linear region of the second file, this operator its last, that stands for one of the first. */
  private region(node: GraphNode): Outcome | undefined {
    const pair = mergedPair(this.a, this.classes, this.b, this.related, node, this.tolerance.foreign);
    return pair && this.comparison.match(pair.value, pair.rows, pair.stored, this.tolerance);
  }

  /** The operator of the first file that this one is, and how its outputs relate. */
  private counterpart(node: GraphNode): Outcome {
    const candidates = this.candidates(node);
    let best: Outcome | undefined;
    for (const other of candidates) {
      const orders =
        COMMUTATIVE.has(node.opType) && node.inputs.length === 2
          ? [
              [0, 1],
              [1, 0],
            ]
          : [node.inputs.map((_, i) => i)];
      for (const order of orders) {
        const outcome = this.comparison.compare(node, other, order);
        if (outcome.ok) {
          this.used.set(other, node);
          return outcome;
        }
        // The most telling failure: numbers that differ say more than attributes that do.
        if (best === undefined || (!best.ok && best.misfit === undefined && outcome.misfit !== undefined)) best = outcome;
      }
    }
    return best ?? failed(`no operator of the first file corresponds to ${node.label}`);
  }

  private candidates(node: GraphNode): GraphNode[] {
    const family = familyOf(node);
    const dynamic = node.inputs.find((value) => value !== undefined && !this.b.constants.has(value));
    const core = dynamic && this.related.get(dynamic)?.core;
    const pool =
      core === undefined ? this.a.view.nodes.filter((n) => n.outputs[0]?.name === node.outputs[0]?.name) : core.readers;
    const fitting = pool.filter((n) => familyOf(n) === family && n.scope.path === node.scope.path);
    const rank = (n: GraphNode) =>
      (this.used.has(n) ? 2 : 0) + (n.record.name === node.record.name && n.record.name !== "" ? 0 : 1);
    return fitting.length < 2 ? fitting : fitting.toSorted((x, y) => rank(x) - rank(y));
  }
}

const namesOf = (list: readonly (string | { readonly name: string })[]): string[] =>
  list.map((item) => (typeof item === "string" ? item : item.name));
const inputNames = (scope: Scope): string[] => namesOf(scope.record.inputs);
const outputNames = (scope: Scope): string[] => namesOf(scope.record.outputs);
