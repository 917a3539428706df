/**
 * Finds the folds of a model. Every constant affine node y = s ⊙ x + t is tried, in topological order and again until
 * nothing moves (attempt.ts has the ways out of one node); then parallel linear branches merge, and what that opened is tried.
 */
import type { Gauge, Gauges } from "../affine/gauge.ts";
import { uniform } from "../affine/spread.ts";
import { BnfoldError } from "../diag/error.ts";
import type { Steps } from "../diag/steps.ts";
import { checkGraph } from "../graph/check.ts";
import type { Facts } from "../graph/facts.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import { isConstantNorm, measuredIn } from "../laws/affines.ts";
import { isLayerBias } from "../laws/biases.ts";
import { type Candidate, candidateOf, dataInput, type Rejected } from "../laws/candidates.ts";
import { Constants } from "../laws/constants.ts";
import { Draft } from "../laws/draft.ts";
import { Magnitudes } from "../laws/magnitudes.ts";
import type { Model } from "../onnx/records.ts";
import { isRefused, type Param, type Refused, refuse, withParam } from "../rules/types.ts";
import { factsOf } from "../run/facts.ts";
import { type AttemptOptions, Attempts, type Success } from "./attempt.ts";
import { moveBiases } from "./biases.ts";
import { currentMap } from "./current.ts";
import { countNodes, countPlanned, nodeKey, refOf } from "./describe.ts";
import type { Equalization } from "./equalize/told.ts";
import { gauged } from "./gauge/index.ts";
import { canGoTogether, groupsOf } from "./groups.ts";
import type { MaxGrowth } from "./growth.ts";
import { type Attempt, keptBecause, orCarried, orPartly } from "./kept.ts";
import { Ledger } from "./ledger.ts";
import { depthwise } from "./lone.ts";
import { type MergeResult, mergeRegions } from "./merge.ts";
import { Norms } from "./norms.ts";
import { MAX_BITS_LOST, Precision } from "./precision.ts";
import type { Counts, Kept, PlanData } from "./types.ts";
import { type ComputedWeight, computedWeights, laidOut, settled } from "./weights.ts";

/** Options of `plan`: what is folded, and how far. */
export interface PlanOptions extends AttemptOptions {
  /** Node names (or first outputs) to fold; everything when absent. */
  readonly only?: (name: string) => boolean;
  readonly skip?: (name: string) => boolean;
  /** Nodes (by `nodeKey`) whose folds a check did not accept: they and the merges they host are left alone. */
  readonly unproven?: ReadonlySet<string>;
  /** Nodes (by `nodeKey`) that are left alone although they could be folded, each with the reason. */
  readonly held?: ReadonlyMap<string, Refused>;
  /** Bytes (or a part of the file: "10%") by which folding affine nodes other than normalizations may make the file larger (default 0). */
  readonly maxGrowth?: MaxGrowth;
  /** Nodes (by `nodeKey`) that cost too many bits in an earlier plan: they are not solved for. */
  readonly costly?: ReadonlySet<string>;
  /** Nodes (by `nodeKey`) that stay in an earlier plan: solving for all at once looks at what they can reach. Default: all. */
  readonly open?: ReadonlySet<string>;
  /** Treats initializers that are also graph inputs as constants (IR ≥ 4). */
  readonly assumeConstant?: boolean;
  /** Lets what nothing else absorbs pass a Relu, which becomes a Max with one threshold per channel (default false). */
  readonly reluToMax?: boolean;
  /** Writes a normalization that nothing absorbs as a depthwise 1×1 Conv, on tensors of rank 3 to 5 (default false). */
  readonly bnToConv?: boolean;
  /** Merges parallel linear branches into one convolution (default true). */
  readonly merge?: boolean;
  /** Also empties the normalizations by statistics of the data and writes out weights that constants compute (default false). */
  readonly norms?: boolean;
  /** False: nothing is folded or merged (for what comes after a fold). Default true. */
  readonly fold?: boolean;
  /** After folding, scales channels between layers by powers of two where that lowers the noise of quantised weights: `equalization()`. */
  readonly equalize?: Equalization;
  /** Where the work begins: against the flow of the graph, along it, or with all candidates at once. By default all are tried where something stays. */
  readonly from?: Start;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What the planner hands to the patcher: the graph as it shall be. */
export interface PlanDraft {
  /** The end the first round began at. */
  readonly from: Start;
  readonly view: GraphView;
  readonly draft: Draft;
  readonly removed: readonly GraphNode[];
  /** Constants that operators which stay no longer read. */
  readonly orphans: readonly GraphValue[];
  /** Computed weights that become initializers. */
  readonly settled: ReadonlyMap<GraphValue, Param>;
  readonly data: Omit<PlanData, "after">;
  /** Node counts of the graph as it is now, with nodes the patch inserts: call it when it has dropped what nobody reads any more. */
  readonly count: (inserted: readonly string[]) => Counts;
  /** For each fold, the operators that absorbed it. */
  readonly absorbers: readonly (readonly GraphNode[])[];
  /** What values of the file were, in terms of what they are in the file that is written: for its check. */
  readonly gauges: Gauges;
  /** Nodes (by `nodeKey`) that stay and for which another plan may be worth its time: not those that compute with shapes alone. */
  readonly open: ReadonlySet<string>;
  /** The plan with what an option could do for the nodes it keeps: asked only of the best plan, because it reads weights. */
  readonly advised: () => PlanDraft;
  /** True where nothing was folded by solving for all candidates at once, but it is known why not. */
  readonly explains: boolean;
}

/** This many nodes around one operator are tried together first. */
const MANY = 32;

/** Where something stays, graphs up to this size are planned from the other end too, and the plan that saves more is taken. */
const MAX_NODES_TWICE = 4096;

/** What stays is asked so often whether its gain alone has a way out, which takes its time: it is advice. */
const PARTLY = 64;

/** Rounds over the open candidates; each further round only follows progress. */
const MAX_ROUNDS = 32;

/** Where the work of a plan begins: along the flow of the graph, against it, or with all candidates at once. */
export type Start = "along" | "against" | "gauges";

/**
 * Plans the folds of a model.
 * @throws BnfoldError of kind "model" when the graph is broken: a cycle, or a value nobody makes.
 */
export function* planDraft(model: Model, options: PlanOptions = {}): Steps<PlanDraft> {
  return (yield* bestDraft(model, options)).advised();
}

function* bestDraft(model: Model, options: PlanOptions): Steps<PlanDraft> {
  if (options.fold === false) return yield* planFrom(model, options, "along");
  if (options.from !== undefined) return yield* planFrom(model, options, options.from);
  if (options.bnToConv === true || options.constantChannel === true) {
    // Only what the best plan keeps becomes a convolution, or is carried through padding.
    const best = yield* bestDraft(model, { ...options, bnToConv: false, constantChannel: false });
    return yield* planFrom(model, options, best.from);
  }
  // Operators become others last: readers that make up for each other come before that.
  const [first, ...others]: Start[] =
    options.reluToMax === true ? ["gauges", "against", "along"] : ["against", "gauges", "along"];
  let best = yield* planFrom(model, options, first);
  for (const start of others) {
    if (best.open.size === 0) return best;
    if (start === "along" && best.view.nodes.length > MAX_NODES_TWICE) return best;
    const dear = best.data.kept.filter(({ code }) => code === "precision-loss").map(({ node }) => nodeKey(node));
    const other = yield* planFrom(model, { ...options, costly: new Set(dear), open: best.open }, start);
    const more = gain(other) - gain(best);
    const same = more === 0 && (normsGone(other) > normsGone(best) || (other.explains && normsGone(other) === normsGone(best)));
    if (more > 0 || same) best = other;
    // What was solved for all at once leaves nothing to the other direction.
    if (more > 0 && start === "gauges") return best;
  }
  return best;
}

function* planFrom(model: Model, options: PlanOptions, start: Start): Steps<PlanDraft> {
  const view = viewOf(model);
  checkGraph(view);
  yield;
  return yield* new Planner(view, options, start).run();
}

/** Nodes a plan saves. */
const gain = ({ removed, draft }: PlanDraft): number =>
  removed.length - [...draft.changed()].filter(([node, { bias }]) => bias !== undefined && !node.removed).length;

/** Of plans that save as many nodes the one is taken that leaves fewer normalizations. */
const normsGone = ({ data }: PlanDraft): number => data.folds.filter(({ kind }) => kind === "batch-normalization").length;

/** What went into a layer that has merged since is in the merged one now. */
function lastHosts(hosts: ReadonlyMap<GraphNode, GraphNode>): Map<GraphNode, GraphNode[]> {
  const last = (node: GraphNode): GraphNode => {
    const host = hosts.get(node);
    return host === undefined ? node : last(host);
  };
  return new Map([...hosts.keys()].map((node) => [node, [last(node)]]));
}

/** By graph and name; what a merge has made anew has no counterpart. */
export function gaugesOf(draft: Draft): Gauges {
  const made = new Map<string, Map<string, Gauge>>();
  for (const [value, gauge] of draft.gauges()) {
    if (gauge === undefined || value.producer === undefined || value.producer.removed) continue;
    const list = made.get(value.scope.path) ?? new Map<string, Gauge>();
    made.set(value.scope.path, list.set(value.name, gauge));
  }
  return made;
}

const isNorm = ({ domain, opType }: GraphNode): boolean => domain === "" && opType === "BatchNormalization";

class Planner {
  private readonly facts: Facts;
  private readonly constants: Constants;
  private readonly draft: Draft;
  private readonly precision: Precision;
  private readonly attempts: Attempts;
  private readonly ledger = new Ledger();
  /** Something was left for the next round. */
  private deferred = false;
  private readonly settled = new Map<GraphValue, Param>();
  private readonly norms: Norms;

  constructor(
    private readonly view: GraphView,
    private readonly options: PlanOptions,
    private readonly start: Start,
  ) {
    this.facts = factsOf(view);
    this.constants = new Constants(view, this.facts, options.assumeConstant);
    this.draft = new Draft(this.facts, this.constants);
    const magnitudes = new Magnitudes(view, this.facts, (node) => {
      const found = this.candidate(node);
      return found === undefined || "refusal" in found ? undefined : found;
    });
    this.precision = new Precision(this.draft, magnitudes);
    this.attempts = new Attempts(this.draft, options, this.precision);
    this.norms = new Norms(this.draft, (found, touched) => this.attempts.checkTouched([found], touched));
  }

  *run(): Steps<PlanDraft> {
    const { view } = this;
    const initial = countNodes(view, 0);
    // A batch normalization is one of them, whatever its parameters are: they are read when it is considered.
    const found: GraphNode[] = [];
    const layerBiases: GraphNode[] = [];
    for (const node of view.nodes) {
      const candidate = isNorm(node) ? undefined : this.candidate(node);
      if (candidate !== undefined && this.isBias(candidate)) layerBiases.push(node);
      else if (isNorm(node) || candidate !== undefined) found.push(node);
    }
    if (this.options.fold === false) return this.untouched(initial);
    const measured = measuredIn(view, this.constants);
    if (this.start === "gauges") yield* this.solve([...found, ...layerBiases].filter((node) => !measured.has(node)));
    let kept = yield* this.settle(found.filter((node) => !node.removed));
    const { merges, unmerged, merged } = yield* this.merge(kept);
    if (merged.size > 0) kept = yield* this.settle([...kept.keys()].filter((node) => !node.removed));
    const open = layerBiases.filter((node) => !node.removed);
    const biases = yield* this.settleBiases(open, kept);
    if (biases.folded > 0) kept = yield* this.settle([...kept.keys()]);
    if (this.options.reluToMax === true) {
      this.attempts.retypes = true;
      kept = yield* this.settle([...kept.keys()]);
    }
    if (this.options.constantChannel === true) {
      this.attempts.ones = true;
      kept = yield* this.settle([...kept.keys()]);
    }
    if (this.options.bnToConv === true) this.convolve(kept);
    const moved = moveBiases(this.draft, this.attempts, (node) => !this.isExcluded(node));
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
      const found = node && this.movable(node);
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
      const found = this.movable(node);
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
      const candidate = isConstantNorm(node, this.constants) ? undefined : this.candidate(node);
      return candidate === undefined || "refusal" in candidate ? [] : [candidate];
    });
    const made = yield* gauged(this.view, this.draft, found, {
      may: (candidate) => !this.isExcluded(candidate.node) && !this.isBias(candidate) && !this.isDear(candidate),
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
    if (this.isExcluded(node)) return kept;
    const refused = this.conflicts.get(node);
    const told = refused === undefined ? kept : this.stays({ ...kept, node, refusal: refused }, refused);
    const isAsked = this.options.partial !== true && told.code !== "needs-new-node" && this.partly++ < PARTLY;
    const found = isAsked ? this.movable(node) : undefined;
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
    const left = (node: GraphNode) => !node.removed && this.candidate(node) === undefined;
    let kept: Kept[];
    let folds: number;
    // What leaves one of them may come to another that had nothing to give before.
    do {
      folds = this.ledger.length;
      const open = this.view.nodes.filter((node) => left(node) && this.norms.applies(node));
      kept = [...(yield* this.settle(open)).values()];
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
    const own = this.excluded(node) ?? settled(weight, this.draft, this.options.exactRanges ?? false);
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

  /** Tries nodes, alone and together, until nothing moves; what is left, each with its reason, in topological order. */
  private *settle(nodes: readonly GraphNode[]): Steps<Map<GraphNode, Kept>> {
    // Many nodes around one operator go fastest together.
    let kept = yield* this.settleAlone(yield* this.settleTogether(nodes, MANY));
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const left = yield* this.settleTogether([...kept.keys()], 2);
      if (left.length === kept.size) break;
      kept = yield* this.settleAlone(left);
    }
    return kept;
  }

  /** Tries groups of at least `least` nodes; the nodes that are left. */
  private *settleTogether(nodes: readonly GraphNode[], least: number): Steps<readonly GraphNode[]> {
    const inputOf = (node: GraphNode) => dataInput(node, this.constants);
    let any = false;
    for (const group of groupsOf(nodes, inputOf, least)) {
      yield;
      const members = group.filter((node) => !node.removed).flatMap((node) => this.movable(node) ?? []);
      const success = members.length >= least && canGoTogether(members) ? this.attempts.together(members) : undefined;
      if (success === undefined) continue;
      for (const member of members) this.ledger.commit(member, success);
      any = true;
    }
    return any ? nodes.filter((node) => !node.removed) : nodes;
  }

  /** The map of a node that may be moved away, as it is now. */
  private movable(node: GraphNode): Candidate | undefined {
    const found = this.find(node);
    if (found === undefined || "refusal" in found || isConstantNorm(node, this.constants) || this.isExcluded(node))
      return undefined;
    const current = currentMap(found, this.draft);
    return isRefused(current) ? undefined : current;
  }

  /** Tries nodes one by one. */
  private *settleAlone(nodes: readonly GraphNode[]): Steps<Map<GraphNode, Kept>> {
    let open = nodes;
    let kept = new Map<GraphNode, Kept>();
    for (let round = 0; round < MAX_ROUNDS && open.length > 0; round++) {
      const left: GraphNode[] = [];
      const reasons = new Map<GraphNode, Kept>();
      // Rounds go against the flow and along it by turns, so that chains resolve from either end: against it first, for then each
      // node of a long chain has the next one to go into.
      for (const [i, node] of ((round + (this.start === "along" ? 0 : 1)) % 2 === 0 ? open : open.toReversed()).entries()) {
        yield;
        const reason = this.consider(node, { later: round === 0 });
        this.options.onProgress?.(i + 1, open.length);
        if (reason === undefined) continue;
        left.push(node);
        reasons.set(node, reason);
      }
      const progress = left.length < open.length || this.deferred;
      this.deferred = false;
      open = left.toSorted((a, b) => a.order - b.order);
      kept = reasons;
      if (!progress) break;
    }
    return new Map(open.map((node) => [node, kept.get(node) as Kept]));
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
      else if (this.find(node) !== undefined) {
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
      const found = this.candidate(node);
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
      allowed: (node) => !this.isExcluded(node),
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

  private isExcluded(node: GraphNode): boolean {
    const name = node.record.name || node.record.outputs[0];
    const unproven = this.options.unproven?.has(nodeKey(refOf(node))) === true;
    const held = this.options.held?.has(nodeKey(refOf(node))) === true;
    return unproven || held || this.options.only?.(name) === false || this.options.skip?.(name) === true;
  }

  private find(node: GraphNode): Candidate | Rejected | undefined {
    const found = this.candidate(node);
    return found !== undefined && this.isBias(found) ? undefined : found;
  }

  private candidate(node: GraphNode): Candidate | Rejected | undefined {
    try {
      return candidateOf(node, this.facts, this.constants);
    } catch (error) {
      if (!(error instanceof BnfoldError) || error.kind === "file") throw error;
      const kind = node.opType === "BatchNormalization" ? "batch-normalization" : "affine";
      return { node, kind, refusal: refuse("malformed-graph", `has an operand that cannot be read (${error.message})`) };
    }
  }

  private isBias(found: Candidate | Rejected): boolean {
    return !("refusal" in found) && isLayerBias(this.draft, found);
  }

  /** Folds a node, or says why not. */
  private consider(node: GraphNode, { bias = false, later = false } = {}): Kept | undefined {
    const found = bias ? this.candidate(node) : (this.find(node) ?? this.norms.candidate(node));
    if (found === undefined) return undefined;
    if (isConstantNorm(node, this.constants) && !this.isExcluded(node)) return this.evaluate(found);
    if ("refusal" in found) return this.stays(found, found.refusal);
    const excluded = this.excluded(node);
    if (excluded !== undefined) return this.stays(found, excluded);
    const norm = found.kind === "norm";
    const current = norm ? found : currentMap(found, this.draft);
    if (isRefused(current)) return this.stays(found, current);
    const mark = this.draft.mark();
    const outcome = norm ? this.norms.empty(current) : this.attempts.attempt(current);
    if ("direction" in outcome) {
      if (later && this.onlyMoves(current, outcome)) {
        this.draft.undo(mark);
        this.deferred = true;
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
      const found = this.find(node);
      return found !== undefined && !("refusal" in found) && found.kind === "affine";
    });
  }

  /** Why a node is left alone that could be folded. */
  private excluded(node: GraphNode): Refused | undefined {
    if (this.options.unproven?.has(nodeKey(refOf(node))) === true)
      return refuse("not-proven", "could be folded, but the result was not shown to be equivalent");
    const held = this.options.held?.get(nodeKey(refOf(node)));
    if (held !== undefined) return held;
    return this.isExcluded(node) ? refuse("excluded-by-user", "is excluded by --only or --skip") : undefined;
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
