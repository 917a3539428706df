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

import type { Steps } from "../../diag/steps.ts";
import type { Contradiction } from "../../graph/facts.ts";
import { hasTrait } from "../../graph/operators.ts";
import { shapeClash } from "../../graph/shape-clash.ts";
import { typeClash } from "../../graph/type-clash.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { isLayer } from "../../laws/region.ts";
import type { SharedValue } from "../cuts.ts";
import { draws } from "../runs.ts";
import type { Proof, RegionProof } from "../types.ts";
import { isMistaken, suspicionsOf } from "./blame.ts";
import { losesDigits } from "./casts.ts";
import { affineOf, Classes, type Side } from "./classes.ts";
import { Comparison } from "./compare.ts";
import { composed } from "./composed.ts";
import { lostByTheFirst, narrowed, roundedThere } from "./digits.ts";
import { type Budget, madeBy } from "./effect.ts";
import { compareOutputs, relatedInputs } from "./ends.ts";
import { Findings } from "./findings.ts";
import { leftOut } from "./left-out.ts";
import { familyOf, knownElements } from "./match.ts";
import { leadsOn, mergedPair } from "./merged.ts";
import { failed, type Outcome } from "./outcome.ts";
import { exact, memberOf, type Relation, type Suspicion } from "./relation.ts";
import type { Tolerance } from "./rows.ts";
import { alignScopes, areAligned } from "./scopes.ts";
import { sharedValues } from "./shared.ts";

export interface Contradicted extends Contradiction {
  readonly file: "first" | "second";
}

interface Suspect {
  readonly value: GraphValue;
  readonly relation: Relation;
  readonly suspicions: readonly Suspicion[];
}

export class Prover {
  private readonly classes: Classes;
  private readonly related = new Map<GraphValue, Relation>();
  readonly findings = new Findings();
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
    /** The files are in their normal form. */
    readonly rewritten = false,
    prepare?: (classes: Classes) => void,
  ) {
    alignScopes(a.view, b.view);
    this.classes = new Classes(a);
    prepare?.(this.classes);
    this.comparison = new Comparison(a, b, this.classes, this.related, tolerance);
  }

  /** Goes through the second file; nothing that differs is doubted yet. */
  *walk(onProgress?: (done: number, total: number) => void): Steps<Proof> {
    for (const [value, relation] of relatedInputs(this.a, this.b, this.classes)) this.related.set(value, relation);
    const nodes = this.b.view.nodes.filter((node) =>
      node.outputs.some((value) => value !== undefined && !this.b.constants.has(value)),
    );
    for (const [i, node] of nodes.entries()) {
      onProgress?.(i, nodes.length);
      yield;
      if (!this.visit(node)) this.accuse(node);
    }
    this.clashes();
    this.resume([...this.postponed]);
    const { a, b, classes, related } = this;
    const { settled } = this.comparison;
    const walked = { a, b, classes, related, settled, isDoubtful: (value: GraphValue) => this.doubtful.has(value) };
    compareOutputs(walked, this.findings);
    if (this.findings.proof().outcome !== "equal") lostByTheFirst(walked, this.findings);
    return this.findings.proof();
  }

  /** Operators of the second file whose operands do not go together compute nothing, where all of the first file's do. */
  private clashes(): void {
    const said = (node: GraphNode, side: Side): string | undefined => {
      const types = typeClash(node, side.facts);
      if (types !== undefined) return `operands of ${types.join(" and ")}`;
      return shapeClash(node, side.recomputed());
    };
    const found = this.b.view.nodes.flatMap((node) => {
      const clash = said(node, this.b);
      return clash === undefined ? [] : [{ node, clash }];
    });
    if (found.length === 0 || this.a.view.nodes.some((node) => said(node, this.a) !== undefined)) return;
    for (const { node, clash } of found) {
      const reason = `${node.label} has ${clash}, which ONNX does not allow: no runtime takes the file`;
      const name = node.record.name || node.record.outputs[0];
      const value = node.outputs[0]?.name ?? "";
      this.findings.face({ outcome: "different", nodes: [name], value, worstHalfUlps: 0, coefficients: 0, reason });
    }
  }

  /** The outcome of a walk once the places that differ have been asked to show it. */
  settled(budget: Budget): Proof {
    return this.findings.settled(this.a, this.b, budget);
  }

  /**
   * A node that could not be matched. Where it reads a value that is not what its counterpart reads, and the map between the
   * two cannot pass, the other values of that class are tried in its place: if the node then matches, the numbers of the
   * operator that made the map are what differs.
   */
  private accuse(node: GraphNode): void {
    const before = this.findings.of(node) as RegionProof;
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
          this.findings.accuse(suspect.relation.blame?.node ?? suspect.value.producer ?? node, suspicion, {
            value: suspect.value,
            actual: suspect.relation,
            target: exact(suspicion.core, suspicion.member),
            inferred: true,
          });
        for (const value of node.outputs) if (value !== undefined) this.doubtful.delete(value);
        return;
      }
      for (const { suspect } of trial) this.related.set(suspect.value, suspect.relation);
    }
    this.findings.restore(node, before);
    this.assume(node);
  }

  /** What the files declare of values inside that their operators do not give: each with the file it stands in. */
  contradicted(): readonly Contradicted[] {
    const of = ({ facts }: Side, file: Contradicted["file"]) => facts.contradictions.map((one) => ({ ...one, file }));
    return [...of(this.a, "first"), ...of(this.b, "second")];
  }

  /** What values of the main graph were found to be (shared.ts). */
  shared(): Steps<Map<string, SharedValue>> {
    return sharedValues({
      a: this.a.view.main,
      b: this.b.view.main,
      related: this.related,
      isDoubtful: (value) => this.doubtful.has(value),
      rewritten: this.rewritten,
    });
  }

  private isDoubtful(node: GraphNode): boolean {
    return node.inputs.some((value) => value !== undefined && this.doubtful.has(value));
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
    if (node.inputs.some((value) => value !== undefined && this.isUnknown(value))) return true;
    const affine = affineOf(this.b, node);
    const out = node.outputs[0];
    const from = affine && this.related.get(node.inputs[affine.input] as GraphValue);
    if (this.isDoubtful(node)) for (const value of node.outputs) if (value !== undefined) this.doubtful.add(value);
    if (affine !== undefined && from !== undefined && out !== undefined) {
      const { relation, ...found } = composed(this.b, node, from, affine.map, this.tolerance);
      this.related.set(out, roundedThere(this.a, this.b, this.classes, node, relation) ?? relation);
      if (found.worst > 0) this.findings.note(node, "equal", found);
      return true;
    }
    const summed = this.standsForSum(node);
    const early = summed ? this.region(node) : undefined;
    const single = early?.ok === true ? early : this.counterpart(node);
    const named = single.ok && this.isNamed(node, single);
    const region = summed || named ? early : this.region(node);
    const outcome = this.better(single, region);
    if (outcome.ok && outcome === single && this.leadsElsewhere(node, single)) {
      this.postponed.add(node);
      return true;
    }
    if (outcome.ok) {
      for (const [i, relation] of outcome.outputs.entries()) {
        const value = node.outputs[i];
        if (relation !== undefined && value !== undefined) this.related.set(value, this.traced(node, relation, region));
      }
      if (outcome.coefficients > 0)
        this.findings.note(node, "equal", { worst: outcome.worst, coefficients: outcome.coefficients });
      else this.findings.identical(node);
      return true;
    }
    if (!this.alone.has(node) && leadsOn(this.b, node)) {
      this.postponed.add(node);
      return true;
    }
    const narrow = narrowed(this.a, this.b, node, node.inputs[0] && this.related.get(node.inputs[0]));
    if (narrow !== undefined && out !== undefined) {
      this.related.set(out, narrow);
      this.findings.identical(node);
      return true;
    }
    const decided = outcome.misfit !== undefined && !this.isDoubtful(node);
    // What shapes alone determine is compared where it is read.
    if (node.outputs.every((value) => value === undefined || knownElements(this.b, value) !== undefined)) {
      this.findings.identical(node);
      return true;
    }
    const instead = outcome.instead;
    const contradicts = !decided && (instead !== undefined || (outcome.misfit !== undefined && !this.comparison.isLinear(node)));
    const actual = decided || contradicts ? madeBy(node, this.related, this.b.constants) : undefined;
    const uncertain = this.isDoubtful(node);
    if (outcome.impassable === true) this.impassable.add(node);
    if (!decided) for (const value of node.outputs) if (value !== undefined) this.doubtful.add(value);
    // Later places are judged on their own: this one counts as if it were right.
    const meant = outcome.likely ?? outcome.meant;
    if (meant !== undefined && out !== undefined) this.related.set(out, meant);
    else this.assume(node);
    if (out !== undefined && instead !== undefined && !this.related.has(out)) this.related.set(out, instead);
    const target = out && this.related.get(out);
    const claim = actual && target && out && { value: out, actual, target };
    const { reason, misfit } = outcome;
    this.findings.note(node, !decided || claim === undefined ? "not-decided" : "different", {
      reason,
      misfit,
      ...(decided ? { claim } : {}),
    });
    if (contradicts || (decided && claim === undefined)) this.findings.contradict(node, claim, uncertain);
    // A run in float64 has all digits: it says nothing of those that are lost.
    else if (losesDigits(this.b.facts, node)) this.findings.contradict(node, undefined, uncertain);
    return false;
  }

  /** Neither constant, nor related to the first file, nor determined by shapes. */
  private isUnknown(value: GraphValue): boolean {
    return !this.b.constants.has(value) && !this.related.has(value) && knownElements(this.b, value) === undefined;
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
      this.findings.identical(other);
    }
    const [relation, value] = [outputs[0], node.outputs[0]];
    if (relation !== undefined && value !== undefined) this.related.set(value, relation);
    this.findings.note(node, "equal", { worst, coefficients });
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

  /** True when the first file adds up what this layer computes: branches that became one have no counterpart. */
  private standsForSum(node: GraphNode): boolean {
    const scope = this.a.view.scopes.find((s) => s.path === node.scope.path);
    const twin = scope?.values.get(node.outputs[0]?.name ?? "");
    // An Add of a constant is a bias: what it adds to is the value it belongs to, and is compared far cheaper on its own.
    const makers = [twin?.producer, twin && this.classes.of(twin)?.core.value.producer];
    return isLayer(node) && makers.every((maker) => maker !== undefined && hasTrait(maker, "adds"));
  }

  /** True when the relation found does not contradict the first file's value of the same name. */
  private isNamed(node: GraphNode, { outputs }: Outcome & { ok: true }): boolean {
    const twin = this.a.view.scopes.find((s) => s.path === node.scope.path)?.values.get(node.outputs[0]?.name ?? "");
    const known = twin && this.classes.of(twin);
    return known === undefined || outputs[0]?.core === known.core;
  }

  /**
   * True when a layer that could be any map of what its counterpart gives is part of a region that stands for another value: rows of
   * one coefficient are a map of one another, whatever they are.
   */
  private leadsElsewhere(node: GraphNode, { outputs: [relation] }: Outcome & { ok: true }): boolean {
    if (!isLayer(node) || this.alone.has(node) || relation === undefined || memberOf(relation) !== undefined) return false;
    const scope = this.a.view.scopes.find((s) => s.path === node.scope.path);
    for (let last = node; ; ) {
      const twin = scope?.values.get(last.outputs[0]?.name ?? "");
      if (twin !== undefined) return last !== node && this.classes.of(twin)?.core !== relation.core;
      if (!leadsOn(this.b, last)) return false;
      last = (last.outputs[0] as GraphValue).uses[0].node;
    }
  }

  private better(single: Outcome, region: Outcome | undefined): Outcome {
    return region?.ok === true || (!single.ok && region !== undefined && region.misfit !== undefined) ? region : single;
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

  /** A linear region of the second file, this operator its last, that stands for one of the first. */
  private region(node: GraphNode): Outcome | undefined {
    const pair = mergedPair(this.a, this.classes, this.b, this.related, node, this.tolerance.foreign);
    return pair && this.comparison.layers.match(pair.value, pair.rows, pair.stored, this.tolerance);
  }

  /** The operator of the first file that this one is, and how its outputs relate. */
  private counterpart(node: GraphNode): Outcome {
    const candidates = this.candidates(node);
    let best: Outcome | undefined;
    for (const other of candidates) {
      const orders =
        hasTrait(node, "commutes") && node.inputs.length === 2
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
    return (
      best ??
      leftOut(this.a, this.b, this.classes, this.related, node) ??
      failed(`no ${node.opType} of the first file reads what ${node.label} reads`)
    );
  }

  /** True of an operator of chance that another one stands for already: two draws are not one. */
  private isDrawn(other: GraphNode, node: GraphNode): boolean {
    return draws(other.record) && (this.used.get(other) ?? node) !== node;
  }

  private candidates(node: GraphNode): GraphNode[] {
    const family = familyOf(node);
    const dynamic =
      node.inputs.find((value) => value !== undefined && this.related.has(value)) ??
      node.inputs.find((value) => value !== undefined && !this.b.constants.has(value));
    const core = dynamic && this.related.get(dynamic)?.core;
    const pool =
      core === undefined ? this.a.view.nodes.filter((n) => n.outputs[0]?.name === node.outputs[0]?.name) : core.readers;
    const fitting = pool.filter(
      (n) => familyOf(n) === family && n.scope.path === node.scope.path && areAligned(node, n) && !this.isDrawn(n, node),
    );
    const isNamesake = (n: GraphNode) =>
      (n.record.name === node.record.name && n.record.name !== "") || n.outputs[0]?.name === node.outputs[0]?.name;
    const rank = (n: GraphNode) => (this.used.has(n) ? 2 : 0) + (isNamesake(n) ? 0 : 1);
    return fitting.length < 2 ? fitting : fitting.toSorted((x, y) => rank(x) - rank(y));
  }
}
