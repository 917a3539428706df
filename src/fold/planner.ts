/**
 * Finds the folds of a model. Every constant affine node y = s ⊙ x + t is tried, in topological order and again until
 * nothing moves (attempt.ts has the ways out of one node); then parallel linear branches merge, and what that opened is tried.
 */
import { uniform } from "../affine/spread.ts";
import type { Steps } from "../diag/steps.ts";
import type { Facts } from "../graph/facts.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { isConstantNorm, measuredIn } from "../laws/affines.ts";
import type { Candidate, Rejected } from "../laws/candidates.ts";
import { Constants } from "../laws/constants.ts";
import { Draft } from "../laws/draft.ts";
import { Magnitudes } from "../laws/magnitudes.ts";
import { isRefused, type Param, type Refused, refuse, withParam } from "../rules/types.ts";
import { factsOf } from "../run/facts.ts";
import { Attempts, type Success } from "./attempt.ts";
import { moveBiases } from "./biases.ts";
import { Choice } from "./choice.ts";
import { currentMap } from "./current.ts";
import { countNodes, countPlanned, nodeKey, refOf } from "./describe.ts";
import { gauged } from "./gauge/index.ts";
import { type Attempt, keptBecause, orCarried, orPartly } from "./kept.ts";
import { Ledger } from "./ledger.ts";
import { depthwise } from "./lone.ts";
import { type MergeResult, mergeRegions } from "./merge.ts";
import { Norms } from "./norms.ts";
import type { PlanOptions, Start } from "./options.ts";
import { gaugesOf, type PlanDraft } from "./plan-draft.ts";
import { MAX_BITS_LOST, Precision } from "./precision.ts";
import { Rounds, type Turn } from "./rounds.ts";
import type { Counts, Kept } from "./types.ts";
import { type ComputedWeight, computedWeights, laidOut, settled } from "./weights.ts";

/** What stays is asked so often whether its gain alone has a way out, which takes its time: it is advice. */
const PARTLY = 64;

/** What went into a layer that has merged since is in the merged one now. */
function lastHosts(hosts: ReadonlyMap<GraphNode, GraphNode>): Map<GraphNode, GraphNode[]> {
  const last = (node: GraphNode): GraphNode => {
    const host = hosts.get(node);
    return host === undefined ? node : last(host);
  };
  return new Map([...hosts.keys()].map((node) => [node, [last(node)]]));
}

const isNorm = ({ domain, opType }: GraphNode): boolean => domain === "" && opType === "BatchNormalization";

export class Planner {
  private readonly facts: Facts;
  private readonly constants: Constants;
  private readonly draft: Draft;
  private readonly precision: Precision;
  private readonly attempts: Attempts;
  private readonly ledger = new Ledger();
  private readonly settled = new Map<GraphValue, Param>();
  private readonly norms: Norms;
  private readonly choice: Choice;
  private readonly rounds: Rounds;

  constructor(
    private readonly view: GraphView,
    private readonly options: PlanOptions,
    private readonly start: Start,
  ) {
    this.facts = factsOf(view);
    this.constants = new Constants(view, this.facts, options.assumeConstant);
    this.draft = new Draft(this.facts, this.constants);
    this.choice = new Choice(this.facts, this.constants, this.draft, options);
    const magnitudes = new Magnitudes(view, this.facts, (node) => {
      const found = this.choice.candidate(node);
      return found === undefined || "refusal" in found ? undefined : found;
    });
    this.precision = new Precision(this.draft, magnitudes);
    this.attempts = new Attempts(this.draft, options, this.precision);
    this.norms = new Norms(this.draft, (found, touched) => this.attempts.checkTouched([found], touched));
    const turn: Turn = {
      alone: (node, defer) => this.consider(node, { defer }),
      movable: (node) => this.choice.movable(node),
      together: (members) => this.together(members),
    };
    this.rounds = new Rounds(this.constants, start, turn, options.onProgress);
  }

  *run(): Steps<PlanDraft> {
    const { view } = this;
    const initial = countNodes(view, 0);
    // A batch normalization is one of them, whatever its parameters are: they are read when it is considered.
    const found: GraphNode[] = [];
    const layerBiases: GraphNode[] = [];
    for (const node of view.nodes) {
      const candidate = isNorm(node) ? undefined : this.choice.candidate(node);
      if (candidate !== undefined && this.choice.isBias(candidate)) layerBiases.push(node);
      else if (isNorm(node) || candidate !== undefined) found.push(node);
    }
    if (this.options.fold === false) return this.untouched(initial);
    const measured = measuredIn(view, this.constants);
    if (this.start === "gauges") yield* this.solve([...found, ...layerBiases].filter((node) => !measured.has(node)));
    let kept = yield* this.rounds.settle(found.filter((node) => !node.removed));
    const { merges, unmerged, merged } = yield* this.merge(kept);
    if (merged.size > 0) kept = yield* this.rounds.settle([...kept.keys()].filter((node) => !node.removed));
    const open = layerBiases.filter((node) => !node.removed);
    const biases = yield* this.settleBiases(open, kept);
    if (biases.folded > 0) kept = yield* this.rounds.settle([...kept.keys()]);
    if (this.options.reluToMax === true) {
      this.attempts.retypes = true;
      kept = yield* this.rounds.settle([...kept.keys()]);
    }
    if (this.options.constantChannel === true) {
      this.attempts.ones = true;
      kept = yield* this.rounds.settle([...kept.keys()]);
    }
    if (this.options.bnToConv === true) this.convolve(kept);
    const moved = moveBiases(this.draft, this.attempts, (node) => !this.choice.isExcluded(node));
    this.ledger.reassign(new Map(moved.map(({ host, into }) => [host, [host, ...into]])));
    const affines = found.filter((node) => node.opType !== "BatchNormalization").length + biases.folded + biases.kept;
    const before = { ...initial, affines };
    const more = this.options.norms === true ? yield* this.beyond() : undefined;
    const { folds, absorbers } = this.ledger.told(view);
    const data = {
      folds,
      kept: [...[...kept].map(([node, reason]) => this.explained(node, reason)), ...(more?.kept ?? [])],
      merges,
      unmerged,
      before: { ...before, ...more?.counts },
    };
    const { draft, settled, ledger } = this;
    const { removed, orphans } = ledger;
    const staying = affines - ledger.of("affine").length;
    const count = (inserted: readonly string[]) => countPlanned(view, draft, staying, inserted);
    const gauges = gaugesOf(draft);
    const explains = this.conflicts.size > 0 && !this.solved;
    const shapes = new Set([...measured].map((node) => nodeKey(refOf(node))));
    const left = new Set(data.kept.map(({ node }) => nodeKey(node)).filter((key) => !shapes.has(key)));
    const made = { from: this.start, view, draft, removed, orphans, settled, absorbers, count, gauges, open: left, explains };
    const plain: PlanDraft = { ...made, data, advised: () => plain };
    return { ...plain, advised: () => ({ ...plain, data: { ...data, kept: this.advised(data.kept, kept) } }) };
  }

  /** Reasons with the option that carries a shift through padding, where it would. */
  private advised(told: readonly Kept[], nodes: ReadonlyMap<GraphNode, Kept>): readonly Kept[] {
    const open = new Map([...nodes.keys()].slice(0, PARTLY).map((node) => [nodeKey(refOf(node)), node]));
    return told.map((one) => {
      const node = one.code === "needs-new-node" ? undefined : open.get(nodeKey(one.node));
      const found = node && this.choice.movable(node);
      return found !== undefined && this.attempts.canCarry(found) ? orCarried(one) : one;
    });
  }

  /** The graph as it is. */
  private untouched(before: Counts): PlanDraft {
    const { view, draft, settled, start } = this;
    const data = { folds: [], kept: [], merges: [], unmerged: [], before };
    const count = (inserted: readonly string[]) => countPlanned(view, draft, before.affines, inserted);
    const none = { removed: [], orphans: [], absorbers: [], gauges: new Map(), open: new Set<string>(), explains: false };
    const made: PlanDraft = { from: start, view, draft, settled, data, count, ...none, advised: () => made };
    return made;
  }

  /** What nothing takes becomes a Conv of its own. */
  private convolve(kept: Map<GraphNode, Kept>): void {
    for (const node of [...kept.keys()]) {
      const found = this.choice.movable(node);
      const state = found && depthwise(this.draft, found);
      if (found === undefined || state === undefined) continue;
      this.draft.set(node, state);
      const notes = ["a depthwise Conv now: nothing around it takes it"];
      this.ledger.commit(found, { direction: "backward", visited: [node], touched: new Set([node]), stays: true, notes });
      kept.delete(node);
    }
  }

  /** Folds what can go when readers of one value make up for each other. */
  private *solve(nodes: readonly GraphNode[]): Steps<void> {
    const found = nodes.flatMap((node): Candidate[] => {
      const candidate = isConstantNorm(node, this.constants) ? undefined : this.choice.candidate(node);
      return candidate === undefined || "refusal" in candidate ? [] : [candidate];
    });
    const made = yield* gauged(this.view, this.draft, found, {
      may: (candidate) => !this.choice.isExcluded(candidate.node) && !this.choice.isBias(candidate) && !this.isDear(candidate),
      from: ({ node }) => this.options.open?.has(nodeKey(refOf(node))) ?? true,
      check: (touched) => this.attempts.checkTouched([], touched),
    });
    if (made === undefined) return;
    this.conflicts = made.conflicts;
    this.solved = made.folds.length > 0;
    for (const [value, gauge] of made.gauges) this.draft.move(value, gauge);
    for (const { found: candidate, success } of made.folds) this.ledger.commit(candidate, success);
  }

  /** True where taking the shift of a node away costs too many digits, whoever takes it. */
  private isDear(found: Candidate): boolean {
    if (this.options.costly?.has(nodeKey(refOf(found.node))) === true) return true;
    return found.kind === "affine" && this.precision.costs(found) > (this.options.maxBitsLost ?? MAX_BITS_LOST);
  }

  private solved = false;
  /** Why nodes stay that cannot go along with others, or whose gauges do not fit. */
  private conflicts: ReadonlyMap<GraphNode, Refused> = new Map();

  /** Nodes of which it was asked whether their gain alone could go. */
  private partly = 0;

  private explained(node: GraphNode, kept: Kept): Kept {
    if (this.choice.isExcluded(node)) return kept;
    const refused = this.conflicts.get(node);
    const told = refused === undefined ? kept : this.stays({ ...kept, node, refusal: refused }, refused);
    const isAsked = this.options.partial !== true && told.code !== "needs-new-node" && this.partly++ < PARTLY;
    const found = isAsked ? this.choice.movable(node) : undefined;
    return found !== undefined && this.attempts.canSplit(found) ? orPartly(told) : told;
  }

  private stays(found: Candidate | Rejected, because: Attempt | Refused): Kept {
    return keptBecause(found, because, this.facts);
  }

  /**
   * Normalizations by statistics of the data, and computed weights. They come last: an affine node may still go back into a
   * normalization, and a weight that a fold has changed is written anyway.
   */
  private *beyond(): Steps<{ kept: Kept[]; counts: { norms: number; weights: number } }> {
    const left = (node: GraphNode) => !node.removed && this.choice.candidate(node) === undefined;
    let kept: Kept[];
    let folds: number;
    // What leaves one of them may come to another that had nothing to give before.
    do {
      folds = this.ledger.length;
      const open = this.view.nodes.filter((node) => left(node) && this.norms.applies(node));
      kept = [...(yield* this.rounds.settle(open)).values()];
    } while (this.ledger.length > folds);
    const emptied = this.ledger.of("norm");
    const keys = new Set(emptied.map(nodeKey));
    kept = kept.filter(({ node }) => !keys.has(nodeKey(node)));
    const norms = emptied.length + kept.length;
    const weights = computedWeights(this.view, this.draft);
    for (const weight of weights) kept.push(...this.settleWeight(weight));
    return { kept, counts: { norms, weights: weights.length } };
  }

  /** Writes out a computed weight, or says why not. */
  private settleWeight(weight: ComputedWeight): Kept[] {
    const { node, value, readers, operators } = weight;
    const own = this.choice.excluded(node) ?? settled(weight, this.draft, this.options.exactRanges ?? false);
    if ("refused" in own) return [this.stays({ node, kind: "weight", refusal: own }, own)];
    if ("refusal" in own) return [this.stays(own, own.refusal)];
    this.settled.set(value, own);
    const rank = own.dims.length;
    const notes = [`computed once and for all from ${operators} constant ${operators === 1 ? "operator" : "operators"}`];
    const map = { scale: uniform(rank, 1), shift: uniform(rank, 0), notes };
    const success = { direction: "evaluated" as const, visited: readers, touched: new Set(readers) };
    this.ledger.enter({ node, kind: "weight", ...map }, success);
    return [];
  }

  /**
   * The Adds that are biases of linear layers, once everything else has had its way with them: one that can go on into the next
   * layer's bias does. One that stays is nothing to report, unless its layer has another bias by now.
   */
  private *settleBiases(nodes: readonly GraphNode[], kept: Map<GraphNode, Kept>): Steps<{ folded: number; kept: number }> {
    const count = { folded: 0, kept: 0 };
    for (const node of nodes) {
      yield;
      const reason = this.consider(node, { bias: true });
      if (reason === undefined) count.folded++;
      else if (this.choice.find(node) !== undefined) {
        kept.set(node, reason);
        count.kept++;
      }
    }
    return count;
  }

  /** Merges parallel linear branches; the affine nodes inside them are folded with them. */
  private *merge(
    kept: ReadonlyMap<GraphNode, Kept>,
  ): Steps<Pick<MergeResult, "merges" | "unmerged"> & { merged: ReadonlySet<GraphNode> }> {
    const merged = new Set<GraphNode>();
    if (this.options.merge === false) return { merges: [], unmerged: [], merged };
    const known = new Map<GraphNode, Candidate>();
    const affineOf = (node: GraphNode): Candidate | undefined => {
      const found = this.choice.candidate(node);
      if (found === undefined || "refusal" in found || !found.proven || this.draft.state(node).opType !== node.opType)
        return undefined;
      const current = currentMap(found, this.draft);
      if (isRefused(current) || !this.attempts.isAffordable(current)) return undefined;
      known.set(node, current);
      return current;
    };
    const isConstant = (value: GraphValue) => this.constants.has(value);
    const result = yield* mergeRegions(this.view, this.draft, {
      affineOf,
      isConstant,
      allowed: (node) => !this.choice.isExcluded(node),
    });
    const { merges, unmerged, removed, reused } = result;
    for (const value of result.orphans) this.ledger.orphans.push(value);
    for (const { node, host } of [...removed, ...reused]) {
      merged.add(node);
      const candidate = kept.has(node) ? known.get(node) : undefined;
      if (candidate !== undefined)
        this.ledger.enter(candidate, { direction: "merged", visited: [host], touched: new Set([host]) });
    }
    for (const { node } of removed) this.ledger.removed.push(node);
    this.ledger.reassign(lastHosts(new Map(removed.map(({ node, host }) => [node, host]))));
    return { merges, unmerged, merged };
  }

  private together(members: readonly Candidate[]): Success | undefined {
    const success = this.attempts.together(members);
    if (success !== undefined) for (const member of members) this.ledger.commit(member, success);
    return success;
  }

  /** Folds a node, or says why not. */
  private consider(node: GraphNode, { bias = false, defer }: { bias?: boolean; defer?: () => void } = {}): Kept | undefined {
    const found = bias ? this.choice.candidate(node) : (this.choice.find(node) ?? this.norms.candidate(node));
    if (found === undefined) return undefined;
    if (isConstantNorm(node, this.constants) && !this.choice.isExcluded(node)) return this.evaluate(found);
    if ("refusal" in found) return this.stays(found, found.refusal);
    const excluded = this.choice.excluded(node);
    if (excluded !== undefined) return this.stays(found, excluded);
    const norm = found.kind === "norm";
    const current = norm ? found : currentMap(found, this.draft);
    if (isRefused(current)) return this.stays(found, current);
    const mark = this.draft.mark();
    const outcome = norm ? this.norms.empty(current) : this.attempts.attempt(current);
    if ("direction" in outcome) {
      if (defer !== undefined && this.onlyMoves(current, outcome)) {
        this.draft.undo(mark);
        defer();
        return this.stays(found, refuse("operator-blocks", "is followed by nodes that may go into it first"));
      }
      this.ledger.commit(current, outcome);
      return undefined;
    }
    return this.stays(found, outcome);
  }

  /**
   * True when a normalization would go into several arithmetic nodes behind it: should they have no way out, they had better go
   * into it, for then one node is left instead of them.
   */
  private onlyMoves({ kind }: Candidate, { direction, touched }: Success): boolean {
    if (kind !== "batch-normalization" || direction !== "forward" || touched.size < 2) return false;
    return [...touched.keys()].every((node) => {
      const found = this.choice.find(node);
      return found !== undefined && !("refusal" in found) && found.kind === "affine";
    });
  }

  /** Gives every reader of a constant batch normalization the numbers it makes. */
  private evaluate({ node, kind }: Candidate | Rejected): Kept | undefined {
    const output = laidOut(node.outputs[0] as GraphValue, this.constants);
    const param = this.constants.param(output);
    if (isRefused(param)) return this.stays({ node, kind, refusal: param }, param);
    const mark = this.draft.mark();
    for (const { node: reader, index } of output.uses) {
      const state = this.draft.state(reader);
      // What a fold has changed was computed from it.
      if (!state.params.has(index)) this.draft.set(reader, withParam(state, index, param));
    }
    node.removed = true;
    this.ledger.removed.push(node);
    const rank = param.dims.length;
    const map = {
      scale: uniform(rank, 1),
      shift: uniform(rank, 0),
      notes: ["its input is constant, so it was computed once and for all"],
    };
    const touched = new Set(this.draft.since(mark).keys());
    this.ledger.enter({ node, kind, ...map }, { direction: "evaluated", visited: [...touched], touched });
    return undefined;
  }
}
