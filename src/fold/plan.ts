/**
 * Finds the folds of a model. Every constant affine node y = s ⊙ x + t is tried, in topological order and again until
 * nothing moves, in four ways: all of it backward; all of it forward; the scale backward and the shift forward; the shift
 * backward (as t/s) and the scale forward. The first way in which constants absorb everything, no node is added beyond the
 * one removed, and every changed constant fits its storage type, is taken.
 */
import { every, map, numberOf, type Spread, simplify, times, uniform } from "../affine/spread.ts";
import { BnfoldError } from "../diag/error.ts";
import { Facts } from "../graph/facts.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../graph/view.ts";
import type { Model } from "../onnx/records.ts";
import { fresh, isOne, isZero, trimmed } from "../rules/params.ts";
import { isRefused, type Kind, type NodeState, type Refused, refuse, withParam } from "../rules/types.ts";
import { type Candidate, candidateOf, type Rejected } from "./candidates.ts";
import { Constants } from "./constants.ts";
import { type Attempt, countNodes, keptBecause, refOf } from "./describe.ts";
import { Draft } from "./draft.ts";
import { mergeRegions } from "./merge.ts";
import { type Direction, Push, type Pushed, untouchable } from "./push.ts";
import { checkRange } from "./range.ts";
import type { Counts, Fold, Kept, NodeRef, PlanData } from "./types.ts";

export interface PlanOptions {
  /** Node names (or first outputs) to fold; everything when absent. */
  readonly only?: (name: string) => boolean;
  readonly skip?: (name: string) => boolean;
  /** Nodes (by `nodeKey`) whose folds a check did not accept: they and the merges they host are left alone. */
  readonly unproven?: ReadonlySet<string>;
  /** Treats initializers that are also graph inputs as constants (IR ≥ 4). */
  readonly assumeConstant?: boolean;
  /** Allows a batch normalization to be replaced by one Add when only its gain can be absorbed. */
  readonly partial?: boolean;
  /** Merges parallel linear branches into one convolution (default true). */
  readonly merge?: boolean;
  /** Reads every changed constant to check its range; otherwise large float32 weights under ordinary gains are checked when written. */
  readonly exactRanges?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What the planner hands to the patcher: the graph as it shall be. */
export interface PlanDraft {
  readonly view: GraphView;
  readonly draft: Draft;
  readonly removed: readonly GraphNode[];
  /** Constants that operators which stay no longer read. */
  readonly orphans: readonly GraphValue[];
  readonly data: Omit<PlanData, "after">;
  /** Node counts of the graph as it is now, with nodes the patch inserts: call it when it has dropped what nobody reads any more. */
  readonly count: (inserted: readonly string[]) => Counts;
  /** For each fold, the operators that absorbed it. */
  readonly absorbers: readonly (readonly GraphNode[])[];
}

/** A node of the file as a key: its graph and its place there. */
export const nodeKey = ({ scope, index }: Pick<NodeRef, "scope" | "index">): string => `${scope}#${index}`;

/** Rounds over the open candidates; each further round only follows progress. */
const MAX_ROUNDS = 32;

/**
 * Plans the folds of a model.
 * @throws BnfoldError of kind "model" when the graph is broken: a cycle, or a value nobody makes.
 */
export function planDraft(model: Model, options: PlanOptions = {}): PlanDraft {
  const view = viewOf(model);
  checkGraph(view);
  return new Planner(view, options).run();
}

function checkGraph(view: GraphView): void {
  for (const node of view.cyclic) {
    throw new BnfoldError(
      "model",
      "the graph has a cycle",
      { file: view.model.files.main.name, node: node.label },
      "Run ONNX's checker on the file.",
    );
  }
  for (const node of view.nodes) {
    const at = node.inputs.findIndex((value, i) => value === undefined && node.record.inputs[i] !== "");
    if (
      at < 0 &&
      !node.inputs.some(
        (v) => v !== undefined && !v.isInput && v.producer === undefined && v.initializer === undefined && v.sparse === undefined,
      )
    )
      continue;
    const missing = node.record.inputs[Math.max(at, 0)];
    throw new BnfoldError(
      "model",
      `input ${Math.max(at, 0)} "${missing}" is neither an initializer, nor a graph input, nor the output of a node`,
      { file: view.model.files.main.name, node: node.label, tensor: missing },
      "Run ONNX's checker on the file.",
    );
  }
  const loose = view.model.graph.outputs.find(({ name }) => {
    const value = view.main.values.get(name);
    return value === undefined || (!value.isInput && !value.producer && !value.initializer && !value.sparse);
  });
  if (loose === undefined) return;
  throw new BnfoldError(
    "model",
    `the graph's output "${loose.name}" is neither the output of a node, nor an initializer, nor a graph input`,
    { file: view.model.files.main.name, tensor: loose.name },
    "Run ONNX's checker on the file.",
  );
}

const isNorm = ({ domain, opType }: GraphNode): boolean => domain === "" && opType === "BatchNormalization";

class Planner {
  private readonly facts: Facts;
  private readonly constants: Constants;
  private readonly draft: Draft;
  private readonly folds: Fold[] = [];
  private readonly removed: GraphNode[] = [];
  private readonly orphans: GraphValue[] = [];
  private readonly absorbers: GraphNode[][] = [];

  constructor(
    private readonly view: GraphView,
    private readonly options: PlanOptions,
  ) {
    this.facts = new Facts(view);
    this.constants = new Constants(view, this.facts, options.assumeConstant);
    this.draft = new Draft(this.facts, this.constants);
  }

  run(): PlanDraft {
    const { view } = this;
    // A batch normalization is one of them, whatever its parameters are: they are read when it is considered.
    const found = view.nodes.filter((node) => isNorm(node) || this.find(node) !== undefined);
    const affines = found.filter((node) => node.opType !== "BatchNormalization").length;
    const before = countNodes(view, affines);
    let kept = this.settle(found);
    const { merges, unmerged, merged } = this.merge(kept);
    if (merged.size > 0) kept = this.settle([...kept.keys()].filter((node) => !node.removed));
    const data = { folds: this.folds, kept: [...kept.values()], merges, unmerged, before };
    return {
      view,
      draft: this.draft,
      removed: this.removed,
      orphans: this.orphans,
      absorbers: this.absorbers,
      data,
      count: (inserted) => this.count(affines, inserted),
    };
  }

  private count(affines: number, inserted: readonly string[]): Counts {
    const counted = countNodes(this.view, affines - this.folds.filter((fold) => fold.kind === "affine").length);
    const operators = { ...counted.operators };
    for (const type of inserted) operators[type] = (operators[type] ?? 0) + 1;
    return this.retyped({ ...counted, nodes: counted.nodes + inserted.length, operators });
  }

  /** Tries nodes again and again until nothing moves; what is left, each with its reason, in topological order. */
  private settle(nodes: readonly GraphNode[]): Map<GraphNode, Kept> {
    let open = nodes;
    let kept = new Map<GraphNode, Kept>();
    for (let round = 0; round < MAX_ROUNDS && open.length > 0; round++) {
      const left: GraphNode[] = [];
      const reasons = new Map<GraphNode, Kept>();
      // Every other round goes against the flow, so that chains resolve from either end.
      for (const [i, node] of (round % 2 === 0 ? open : open.toReversed()).entries()) {
        const reason = this.consider(node);
        this.options.onProgress?.(i + 1, open.length);
        if (reason === undefined) continue;
        left.push(node);
        reasons.set(node, reason);
      }
      const progress = left.length < open.length;
      open = left.toSorted((a, b) => a.order - b.order);
      kept = reasons;
      if (!progress) break;
    }
    return new Map(open.map((node) => [node, kept.get(node) as Kept]));
  }

  /** Merges parallel linear branches; the affine nodes inside them are folded with them. */
  private merge(kept: ReadonlyMap<GraphNode, Kept>) {
    const merged = new Set<GraphNode>();
    if (this.options.merge === false) return { merges: [], unmerged: [], merged };
    const known = new Map<GraphNode, Candidate>();
    const affineOf = (node: GraphNode): Candidate | undefined => {
      const found = this.candidate(node);
      if (found === undefined || "refusal" in found || !found.proven || this.draft.state(node).opType !== node.opType)
        return undefined;
      const current = this.current(found);
      if (isRefused(current)) return undefined;
      known.set(node, current);
      return current;
    };
    const isConstant = (value: GraphValue) => this.constants.has(value);
    const result = mergeRegions(this.view, this.draft, { affineOf, isConstant, allowed: (node) => !this.isExcluded(node) });
    const { merges, unmerged, removed, reused } = result;
    this.orphans.push(...result.orphans);
    for (const { node, host } of [...removed, ...reused]) {
      merged.add(node);
      const candidate = kept.has(node) ? known.get(node) : undefined;
      if (candidate !== undefined)
        this.folds.push(this.describe(candidate, { direction: "merged", visited: [host], touched: new Set([host]) }));
    }
    for (const { node } of removed) this.removed.push(node);
    this.forward(new Map(removed.map(({ node, host }) => [node, host])));
    return { merges, unmerged, merged };
  }

  /** What went into a layer that has merged since is in the merged one now. */
  private forward(hosts: ReadonlyMap<GraphNode, GraphNode>): void {
    const last = (node: GraphNode): GraphNode => {
      const host = hosts.get(node);
      return host === undefined ? node : last(host);
    };
    for (const [i, fold] of this.folds.entries()) {
      if (!this.absorbers[i].some((node) => hosts.has(node))) continue;
      this.absorbers[i] = [...new Set(this.absorbers[i].map(last))];
      this.folds[i] = { ...fold, into: this.absorbers[i].map((node) => ({ node: refOf(node), tensors: [] })) };
    }
  }

  private isExcluded(node: GraphNode): boolean {
    const name = node.record.name || node.record.outputs[0];
    const unproven = this.options.unproven?.has(nodeKey(refOf(node))) === true;
    return unproven || this.options.only?.(name) === false || this.options.skip?.(name) === true;
  }

  /** Counts with operators that changed their type (MatMul that became Gemm). */
  private retyped(counts: Counts): Counts {
    const operators = { ...counts.operators };
    for (const [node, state] of this.draft.changed()) {
      if (state.opType === node.opType || node.removed) continue;
      operators[node.opType]--;
      if (operators[node.opType] === 0) delete operators[node.opType];
      operators[state.opType] = (operators[state.opType] ?? 0) + 1;
    }
    const batchNormalizations = operators.BatchNormalization ?? 0;
    return { ...counts, batchNormalizations, operators };
  }

  private find(node: GraphNode): Candidate | Rejected | undefined {
    const found = this.candidate(node);
    return found !== undefined && !("refusal" in found) && this.isBias(found) ? undefined : found;
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

  /** The Add right after a linear layer that has no bias of its own is that layer's bias, not something to fold. */
  private isBias({ node, input, kind, scale }: Candidate): boolean {
    if (kind !== "affine" || !isOne(scale)) return false;
    const producer = node.inputs[input]?.producer;
    if (producer?.opType !== "MatMul" || producer.domain !== "" || this.draft.state(producer).bias !== undefined) return false;
    const weight = [0, 1].some((i) => producer.inputs[i] !== undefined && this.constants.has(producer.inputs[i]));
    return weight && this.facts.rank(producer.outputs[0]) !== 2;
  }

  /** Folds a node, or says why not. */
  private consider(node: GraphNode): Kept | undefined {
    const found = this.find(node);
    if (found === undefined) return undefined;
    if (this.isConstant(node) && !this.isExcluded(node)) return this.evaluate(found);
    if ("refusal" in found) return keptBecause(found, found.refusal);
    if (this.options.unproven?.has(nodeKey(refOf(node))) === true) {
      return keptBecause(found, refuse("not-proven", "could be folded, but the result was not shown to be equivalent"));
    }
    if (this.isExcluded(node)) {
      return keptBecause(found, refuse("excluded-by-user", "is excluded by --only or --skip"));
    }
    const current = this.current(found);
    if (isRefused(current)) return keptBecause(found, current);
    const outcome = this.attempt(current);
    if ("direction" in outcome) {
      this.commit(current, outcome);
      return undefined;
    }
    return keptBecause(found, outcome);
  }

  /** A batch normalization of a constant (a standardised weight) is a constant itself, in training mode too. */
  private isConstant({ opType, outputs }: GraphNode): boolean {
    const [output, ...rest] = outputs;
    if (opType !== "BatchNormalization" || output === undefined || output.isOutput || !this.constants.has(output)) return false;
    return rest.every((value) => value === undefined || (value.uses.length === 0 && !value.isOutput));
  }

  /** Gives every reader of a constant batch normalization the numbers it makes. */
  private evaluate({ node, kind }: Candidate | Rejected): Kept | undefined {
    const output = node.outputs[0] as GraphValue;
    const param = this.constants.param(output);
    if (isRefused(param)) return keptBecause({ node, kind, refusal: param }, param);
    const mark = this.draft.mark();
    for (const { node: reader, index } of output.uses) this.draft.set(reader, withParam(this.draft.state(reader), index, param));
    node.removed = true;
    this.removed.push(node);
    const rank = param.dims.length;
    const map = {
      scale: uniform(rank, 1),
      shift: uniform(rank, 0),
      notes: ["its input is constant, so it was computed once and for all"],
    };
    const touched = new Set(this.draft.since(mark).keys());
    this.folds.push(
      this.describe({ node, kind, input: 0, proven: true, ...map }, { direction: "evaluated", visited: [...touched], touched }),
    );
    return undefined;
  }

  /** The candidate with what earlier folds moved into it. */
  private current(found: Candidate): Candidate | Refused {
    const state = this.draft.state(found.node);
    if (state.params.size === 0) return found;
    const at = this.draft.at(found.node);
    const numbers: Float64Array[] = [];
    if (found.kind === "batch-normalization") {
      for (const i of [1, 2, 3, 4]) {
        const param = at.param(i);
        if (isRefused(param)) return param;
        numbers.push(param.values());
      }
      const [gamma, beta, mean, variance] = numbers;
      const epsilon = at.float("epsilon", Math.fround(1e-5));
      const scale = gamma.map((g, c) => g / Math.sqrt(variance[c] + epsilon));
      const shift = beta.map((b, c) => b - mean[c] * scale[c]);
      const dims = found.scale.dims.map((_, axis) => (axis === 1 || found.scale.dims.length === 1 ? scale.length : 1));
      return { ...found, scale: { dims, data: scale }, shift: { dims, data: shift } };
    }
    return { ...found, ...this.operandMap(found) };
  }

  /** Scale and shift of an arithmetic node whose constant was changed. */
  private operandMap(found: Candidate): Pick<Candidate, "scale" | "shift"> {
    const index = 1 - found.input;
    const param = this.draft.state(found.node).params.get(index);
    if (param === undefined) return found;
    const rank = found.scale.dims.length;
    const dims = [...new Array<number>(rank - param.dims.length).fill(1), ...param.dims];
    const c = simplify({ dims, data: param.values() });
    const { opType } = found.node;
    if (opType === "Mul") return { scale: c, shift: found.shift };
    if (opType === "Div") return { scale: map(c, (v) => 1 / v), shift: found.shift };
    return { scale: found.scale, shift: opType === "Sub" && index === 1 ? map(c, (v) => -v) : c };
  }

  private attempt(found: Candidate): Attempt | Success {
    const mark = this.draft.mark();
    const ways: readonly (() => Refused | Success)[] = [
      () =>
        this.way(
          found,
          "backward",
          [
            ["scale", "backward"],
            ["shift", "backward"],
          ],
          mark,
        ),
      () =>
        this.way(
          found,
          "forward",
          [
            ["shift", "forward"],
            ["scale", "forward"],
          ],
          mark,
        ),
      () =>
        this.way(
          found,
          "both",
          [
            ["scale", "backward"],
            ["shift", "forward"],
          ],
          mark,
        ),
      () =>
        this.way(
          found,
          "both",
          [
            ["shift", "backward"],
            ["scale", "forward"],
          ],
          mark,
        ),
    ];
    const refusals: Refused[] = [];
    const mixed = !isOne(found.scale) && !isZero(found.shift);
    for (const way of mixed ? ways : ways.slice(0, 2)) {
      const result = way();
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
      refusals.push(result);
    }
    if (this.options.partial === true && mixed && found.kind === "batch-normalization") {
      const result = this.partly(found, mark);
      if (!isRefused(result)) return result;
      this.draft.undo(mark);
    }
    return { backward: refusals[0], forward: refusals[1] };
  }

  /** Only the gain leaves, backward or forward; the normalization becomes the Add of its shift. */
  private partly(found: Candidate, mark: number): Refused | Success {
    const { node, scale, shift } = found;
    if (node.version < 7) return refuse("operator-blocks", "is of an opset before 7, where Add does not broadcast");
    for (const to of ["backward", "forward"] as const) {
      const pushed = this.move(found, "scale", to, []);
      if (isRefused(pushed)) {
        this.draft.undo(mark);
        continue;
      }
      const left =
        to === "backward"
          ? shift
          : times(
              shift,
              map(scale, (v) => 1 / v),
            );
      const gamma = this.constants.param(node.inputs[1]);
      if (isRefused(gamma) || !left.data.every(Number.isFinite))
        return refuse("sign-blocks", "has a gain of zero, below which a shift cannot go");
      const constant = trimmed(
        fresh(gamma.dtype, left.dims, () => left.data.slice()),
        1,
      );
      this.draft.set(node, { ...this.draft.state(node), opType: "Add", params: new Map([[1, constant]]) });
      const touched = this.draft.since(mark);
      const refused = this.checkTouched(found, touched);
      if (refused !== undefined) return refused;
      return { direction: to, visited: [...pushed.visited, node], touched: new Set(touched.keys()), stays: true };
    }
    return refuse("operator-blocks", "has no neighbour that takes its gain");
  }

  private way(
    found: Candidate,
    direction: Fold["direction"],
    moves: readonly (readonly [Kind, Direction])[],
    mark: number,
  ): Refused | Success {
    const nothing = this.identity(found, direction);
    if (nothing !== undefined) return nothing;
    const visited = new Set<GraphNode>();
    for (const [kind, to] of moves) {
      if (to === "forward" && !found.proven)
        return refuse("shape-unknown", "may broadcast its input along an axis of unknown size");
      const pushed = this.move(found, kind, to, moves);
      if (isRefused(pushed)) return pushed;
      for (const node of pushed.visited) visited.add(node);
    }
    const touched = this.draft.since(mark);
    return this.checkTouched(found, touched) ?? { direction, visited: [...visited], touched: new Set(touched.keys()) };
  }

  /** A map that changes nothing needs no one to take it, but one of its two names has to be free to go. */
  private identity({ node, input, scale, shift, proven }: Candidate, direction: Fold["direction"]): Refused | undefined {
    if (!isOne(scale) || !isZero(shift)) return undefined;
    const [x, y] = [node.inputs[input], node.outputs[0]];
    if (x === undefined || y === undefined) return refuse("malformed-graph", "lacks its input or output");
    if (!proven) return refuse("shape-unknown", "may broadcast its input along an axis of unknown size");
    if (direction === "forward") return untouchable(y);
    if (x.scope !== y.scope) return refuse("captured-by-subgraph", `reads "${x.name}" from the graph around it`, { value: x });
    return x.producer === undefined
      ? refuse("is-graph-input", `reads the graph input "${x.name}"`, { value: x })
      : untouchable(x);
  }

  private move(found: Candidate, kind: Kind, to: Direction, moves: readonly (readonly [Kind, Direction])[]): Pushed | Refused {
    const { node, scale, shift } = found;
    const push = new Push(this.draft, kind, to);
    if (kind === "scale") {
      if (isOne(scale)) return { visited: [] };
      return to === "backward" ? this.back(push, found, scale) : push.forward(node.outputs[0] as never, scale);
    }
    if (isZero(shift)) return { visited: [] };
    if (to === "forward") return push.forward(node.outputs[0] as never, shift);
    const first = moves[0][0] === "shift";
    if (!first) return this.back(push, found, shift);
    // The shift goes below the gain: x + t/s.
    if (!every(scale, (v) => v !== 0)) return refuse("sign-blocks", "has a gain of zero, below which a shift cannot go");
    return this.back(
      push,
      found,
      times(
        shift,
        map(scale, (v) => 1 / v),
      ),
    );
  }

  private back(push: Push, { node, input }: Candidate, by: Spread): Pushed | Refused {
    const x = node.inputs[input];
    if (x === undefined) return refuse("malformed-graph", "lacks its input");
    if (x.scope !== node.scope) return refuse("captured-by-subgraph", `reads "${x.name}" from the graph around it`, { value: x });
    return push.backward(x, by, node, input);
  }

  /** Node count and storage ranges of what an attempt changed. */
  private checkTouched(found: Candidate, touched: ReadonlyMap<GraphNode, NodeState | undefined>): Refused | undefined {
    let inserted = 0;
    for (const [node, before] of touched) {
      const state = this.draft.state(node);
      if (state.bias !== undefined && before?.bias === undefined) inserted++;
      const params = state.bias === undefined ? [...state.params.values()] : [...state.params.values(), state.bias];
      for (const param of params) {
        const refused = checkRange(param, this.options.exactRanges ?? false);
        if (refused !== undefined) return { node, ...refused };
      }
    }
    const allowed = found.kind === "batch-normalization" ? 1 : 0;
    return inserted > allowed
      ? refuse("needs-new-node", `would need ${inserted} new Add ${inserted === 1 ? "node" : "nodes"} for its shift`, {
          facts: { inserted },
        })
      : undefined;
  }

  private commit(found: Candidate, success: Success): void {
    const { node } = found;
    this.folds.push(this.describe(found, success));
    if (success.stays === true) {
      for (const value of node.inputs.splice(1)) {
        if (value === undefined) continue;
        value.uses = value.uses.filter((use) => use.node !== node);
        this.orphans.push(value);
      }
      return;
    }
    this.bypass(node, found.input, success.direction);
    this.removed.push(node);
  }

  /** Takes a node out of the graph: its input and its output become one value, under the name that more readers know. */
  private bypass(node: GraphNode, input: number, direction: Fold["direction"]): void {
    const x = node.inputs[input];
    const y = node.outputs[0];
    if (x === undefined || y === undefined) return;
    node.removed = true;
    for (const value of node.inputs) value?.release();
    const producer = x.producer;
    if (direction !== "forward" && producer !== undefined && x.scope === y.scope) {
      const others = x.uses;
      producer.outputs[x.outputIndex] = y;
      y.producer = producer;
      y.outputIndex = x.outputIndex;
      for (const use of others) use.node.inputs[use.index] = y;
      y.adopt(others);
      x.producer = undefined;
      x.uses = [];
      return;
    }
    for (const use of y.uses) use.node.inputs[use.index] = x;
    x.adopt(y.uses);
    y.uses = [];
    y.producer = undefined;
  }

  private describe(found: Candidate, { direction, visited, touched }: Success): Fold {
    const into = visited.filter((node) => touched.has(node));
    this.absorbers.push(into);
    return {
      id: this.folds.length + 1,
      node: refOf(found.node),
      kind: found.kind,
      direction,
      through: visited.filter((node) => !touched.has(node)).map(refOf),
      into: into.map((node) => ({ node: refOf(node), tensors: [] })),
      scaleRange: rangeOf(found.scale),
      shiftRange: rangeOf(found.shift),
      notes: found.notes,
    };
  }
}

interface Success {
  readonly direction: Fold["direction"];
  readonly visited: readonly GraphNode[];
  readonly touched: ReadonlySet<GraphNode>;
  /** The node itself stays, as the Add of its shift. */
  readonly stays?: boolean;
}

function rangeOf(spread: Spread): [number, number] {
  const only = numberOf(spread);
  if (only !== undefined) return [only, only];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const v of spread.data) {
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  return [low, high];
}
