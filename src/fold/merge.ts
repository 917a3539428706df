/**
 * Parallel linear branches become one layer. A region that is a sum of linear maps of a few tensors,
 *   y = Σ_s M_s(x_s)    each M_s one convolution (or one matrix), or plus or minus the tensor itself,
 * is rewritten with one layer per tensor and one Add between them, when multiply-adds do not grow and nodes get fewer. Layers
 * of the region become the merged ones; everything else in it goes.
 */

import { type Kernel, kernelCost, kernelOf } from "../affine/kernel.ts";
import { affine, isIdentity } from "../affine/linear-map.ts";
import type { Steps } from "../diag/steps.ts";
import { hasTrait } from "../graph/operators.ts";
import type { GraphNode, GraphValue, GraphView, Scope, Use } from "../graph/view.ts";
import type { Draft } from "../laws/draft.ts";
import {
  type AffineStep,
  type Axes,
  type Expression,
  isLayer,
  mayBeLinear,
  nodesOf,
  Reader,
  type Surroundings,
  type Term,
} from "../laws/region.ts";
import { isRefused, type Param } from "../rules/types.ts";
import { refOf } from "./describe.ts";
import type { Found, Part } from "./parts.ts";
import { rebuild, takesBias } from "./rebuild.ts";
import type { Merge, NodeRef } from "./types.ts";

export interface MergeResult {
  readonly merges: readonly Merge[];
  /** Linear regions left alone, because one layer would cost more or its numbers do not fit. */
  readonly unmerged: readonly Unmerged[];
  readonly removed: readonly { readonly node: GraphNode; readonly host: GraphNode }[];
  /** Nodes that stay, but only add up merged layers now. */
  readonly reused: readonly { readonly node: GraphNode; readonly host: GraphNode }[];
  /** Values that operators which stay no longer read. */
  readonly orphans: readonly GraphValue[];
}

export interface Unmerged {
  readonly nodes: readonly NodeRef[];
  readonly reason: string;
  readonly multiplyAdds: readonly [before: number, after: number];
}

/** A region whose merged layers would cost more. */
interface Costly {
  readonly costly: string;
  readonly expression: Expression;
  readonly cost: readonly [before: number, after: number];
}

/** A region that is left alone. */
interface Stays {
  readonly nodes: ReadonlySet<GraphNode>;
  readonly reason: string;
  readonly cost: readonly [before: number, after: number];
}

/** What the planner lets the merger know and do. */
export interface MergeOptions {
  readonly affineOf: (node: GraphNode) => AffineStep | undefined;
  readonly allowed: (node: GraphNode) => boolean;
  /** Values nobody can feed or compute at run time. */
  readonly isConstant: (value: GraphValue) => boolean;
}

/** Operators of the file in one region; larger ones are cut. */
const LIMIT = 64;
/** A merged layer may merge again with what is around it now. */
const MAX_ROUNDS = 16;

/** Merges every region of the graph, in steps; edits the view and the draft. */
export function mergeRegions(view: GraphView, draft: Draft, options: MergeOptions): Steps<MergeResult> {
  return new Merger(view, draft, options).run();
}

class Merger {
  private readonly merges = new Map<GraphNode, Merge & { readonly hosts: readonly GraphNode[] }>();
  private readonly removed: { node: GraphNode; host: GraphNode }[] = [];
  private readonly reused: { node: GraphNode; host: GraphNode }[] = [];
  private readonly orphans = new Set<GraphValue>();
  private readonly steps = new Map<GraphNode, AffineStep | undefined>();
  private unmerged: Unmerged[] = [];
  private id = 0;

  constructor(
    private readonly view: GraphView,
    private readonly draft: Draft,
    private readonly options: MergeOptions,
  ) {}

  *run(): Steps<MergeResult> {
    let open: GraphNode[] = [];
    for (const node of this.view.nodes) {
      if (this.isLinear(node)) open.push(node);
      yield;
    }
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.unmerged = [];
      open = open.filter((node) => !node.removed);
      if (!(yield* this.pass(open))) break;
    }
    const found = [...new Set(this.merges.values())].sort((a, b) => a.hosts[0].order - b.hosts[0].order);
    const merges = found.map(({ hosts: _, ...merge }, i) => ({ ...merge, id: i + 1 }));
    return { merges, unmerged: this.unmerged.reverse(), removed: this.removed, reused: this.reused, orphans: [...this.orphans] };
  }

  /** Read by one node of its own graph, and beyond that only for what makes that node's constants. */
  private isPrivate({ uses, scope, producer, isOutput, isAnnotated, isBound }: GraphValue): boolean {
    if (isOutput || isAnnotated || isBound || producer?.scope !== scope) return false;
    let reader = uses.length === 1 ? uses[0].node : undefined;
    if (uses.length > 1) {
      for (const { node } of uses) {
        if (this.isMade(node)) continue;
        if (reader !== undefined) return false;
        reader = node;
      }
    }
    return reader?.scope === scope && (uses.length === 1 || this.servesOnly(uses, reader));
  }

  /** True of a node whose outputs are constants although it reads a computed value: it measures a type or a shape. */
  private isMade(node: GraphNode): boolean {
    return node.outputs.every((value) => value === undefined || this.options.isConstant(value));
  }

  /** True when all that the constants among the readers lead to is `node`: they go when it gets other ones. */
  private servesOnly(uses: readonly Use[], node: GraphNode): boolean {
    const found = new Set<GraphNode>();
    const open = [...uses];
    for (let use = open.pop(); use !== undefined; use = open.pop()) {
      if (use.node === node || found.has(use.node)) continue;
      if (found.size >= LIMIT || use.node.scope !== node.scope || !this.isMade(use.node)) return false;
      found.add(use.node);
      for (const value of use.node.outputs) {
        if (value === undefined) continue;
        if (value.isOutput || value.isAnnotated || value.isBound) return false;
        for (const next of value.uses) open.push(next);
      }
    }
    return true;
  }

  private affine(node: GraphNode): AffineStep | undefined {
    if (!this.steps.has(node)) this.steps.set(node, this.options.affineOf(node));
    return this.steps.get(node);
  }

  private isLinear(node: GraphNode): boolean {
    const output = node.outputs[0];
    if (node.removed || output === undefined || this.options.isConstant(output)) return false;
    if (this.affine(node) !== undefined) return true;
    return mayBeLinear(node) || (node.domain === "" && node.opType === "Identity");
  }

  /** One round over the graph as it is; true when something merged. */
  private *pass(nodes: readonly GraphNode[]): Steps<boolean> {
    const { facts } = this.draft;
    const around: Surroundings = {
      at: (node) => this.draft.at(node),
      affine: (node) => this.affine(node),
      follow: (value) => this.isPrivate(value) && this.options.allowed(value.producer as GraphNode),
      size: (value, axis) => (this.options.isConstant(value) ? undefined : facts.size(value, axis)),
      rank: (value) => facts.rank(value),
    };
    const readers = (["spatial", "features"] as const).flatMap((axes) =>
      [true, false].map((eager) => ({ axes, reader: new Reader(around, { axes, eager, limit: LIMIT }) })),
    );
    for (const node of nodes) {
      for (const { reader } of readers) reader.made(node.outputs[0] as GraphValue);
      yield;
    }
    const before = this.id;
    const taken = new Set<GraphNode>();
    const reported = new Set<GraphNode>();
    for (const root of nodes.toReversed()) {
      if (root.removed || taken.has(root) || !(hasTrait(root, "adds") || isLayer(root))) continue;
      if (!this.options.allowed(root)) continue;
      const left = this.settle(root, readers, taken);
      yield;
      // A part of what is already reported says nothing new.
      if (left === undefined || reported.has(root)) continue;
      for (const node of left.nodes) reported.add(node);
      this.unmerged.push({ nodes: listed(left.nodes), reason: left.reason, multiplyAdds: left.cost });
    }
    return this.id > before;
  }

  /** Merges the region that ends at `root`; when it stays, why. */
  private settle(root: GraphNode, readers: readonly { axes: Axes; reader: Reader }[], taken: Set<GraphNode>): Stays | undefined {
    let first: Stays | undefined;
    for (const { axes, reader } of readers) {
      const expression = reader.made(root.outputs[0] as GraphValue);
      const found = expression && expression.size > 1 ? this.mergeable(root, axes, expression) : undefined;
      if (found === undefined) continue;
      if ("costly" in found) {
        const [before, after] = found.cost;
        const reason = `one ${found.costly} would take ${after} multiply-adds at each position instead of ${before}`;
        first ??= { nodes: nodesOf(found.expression), reason, cost: found.cost };
        continue;
      }
      const reason = this.take(found, taken);
      if (reason === undefined) return undefined;
      // Parts of a region whose numbers do not fit are not tried one by one.
      for (const node of found.nodes) taken.add(node);
      return { nodes: found.nodes, reason, cost: found.cost };
    }
    return first;
  }

  /** Merges one region, or says why not. */
  private take(found: Found, taken: Set<GraphNode>): string | undefined {
    const hosts = found.parts.flatMap(({ host }) => host ?? []);
    const nodes = listed(found.nodes);
    const held = [...found.nodes].reduce((n, node) => n + parameters(node, this.draft), 0);
    const made = rebuild(found, this.draft, this.view);
    if ("refused" in made) return made.refused;
    const stay = new Set<GraphNode>([...hosts, ...found.adds]);
    this.record(found, hosts, nodes, [held, made.parameters]);
    for (const value of made.orphans) this.orphans.add(value);
    for (const node of stay) taken.add(node);
    for (const node of found.adds) {
      this.steps.delete(node);
      this.reused.push({ node, host: hosts[0] });
    }
    for (const node of found.nodes) if (!stay.has(node)) this.removed.push({ node, host: hosts[0] });
    return undefined;
  }

  /** Notes a merge; earlier ones it swallowed become part of it. */
  private record(
    { nodes, cost }: Found,
    hosts: readonly GraphNode[],
    refs: readonly NodeRef[],
    parameters: readonly [number, number],
  ): void {
    const earlier = new Set([...nodes].flatMap((node) => this.merges.get(node) ?? []));
    const all = new Map(
      [...refs, ...[...earlier].flatMap((merge) => merge.nodes)].map((ref) => [`${ref.scope}\u0000${ref.index}`, ref]),
    );
    let [before, held] = [cost[0], parameters[0]];
    for (const merge of earlier) {
      before += merge.multiplyAdds[0] - merge.multiplyAdds[1];
      held += merge.parameters[0] - merge.parameters[1];
      for (const host of merge.hosts) this.merges.delete(host);
    }
    const merge = {
      id: ++this.id,
      nodes: [...all.values()].sort((a, b) => a.index - b.index),
      into: refOf(hosts[0]),
      multiplyAdds: [before, cost[1]] as const,
      parameters: [held, parameters[1]] as const,
      hosts,
    };
    for (const host of hosts) this.merges.set(host, merge);
  }

  /** The region as it would be rewritten, or what that would cost; undefined when it cannot be, or nothing would be gained. */
  private mergeable(root: GraphNode, axes: Axes, expression: Expression): Found | Costly | undefined {
    const { terms, size } = expression;
    const layers = terms.flatMap((term) => term.layers);
    const hosts = terms.filter((term) => term.layers.length > 0).length;
    const nodes = axes === "spatial" ? undefined : nodesOf(expression);
    const biased = [...(nodes ?? [])].filter((node) => this.draft.state(node).bias !== undefined).length;
    if (hosts === 0 || hosts + terms.length - 1 >= size + biased) return undefined;
    // To lose an Identity alone is no gain: it computes nothing.
    const all = nodes ?? nodesOf(expression);
    const before = biased + [...all].filter((node) => node.opType !== "Identity").length;
    if (hosts + terms.length - 1 >= before) return undefined;
    const cost = terms.reduce((n, { map }) => n + map.cost, 0);
    const kernels = terms.map((term) => (term.layers.length > 0 ? kernelOf(term.map) : undefined));
    const after = kernels.reduce((n, kernel) => n + (kernel === undefined ? 0 : kernelCost(kernel)), 0);
    if (after > cost) return { costly: layers[0].opType, expression, cost: [cost, after] };
    const types = new Set(layers.map((node) => (this.draft.at(node).param(1) as Param).dtype));
    if (types.size !== 1) return undefined;
    const parts = terms.map((term, i) => this.part(root, term, kernels[i]));
    if (parts.some((part) => part === undefined)) return undefined;
    const whole = gathered(parts as Part[]);
    const adds = order(root, whole, all);
    if (adds === undefined) return undefined;
    const biases =
      axes === "spatial"
        ? 0
        : whole.filter(({ host, map }) => host !== undefined && map.biased && !takesBias(host, this.draft)).length;
    if (hosts + adds.length + biases >= before) return undefined;
    return { root, axes, nodes: all, parts: whole, adds, cost: [cost, after] };
  }

  private part(root: GraphNode, { source, map, layers }: Term, kernel: Kernel | undefined): Part | undefined {
    if (this.options.isConstant(source)) return undefined;
    if (kernel !== undefined) return { source, map, kernel, host: this.host(layers, kernel), sign: 1 };
    const same = isIdentity(map);
    if (same === false || root.version < 7) return undefined;
    return { source, map, kernel: undefined, host: undefined, sign: same ? 1 : -1 };
  }

  /** The layer that looks most like the result keeps its name: same kernel first, then the largest. */
  private host(layers: readonly GraphNode[], kernel: Kernel): GraphNode {
    const size = (node: GraphNode): number => {
      const w = this.draft.at(node).param(1) as Param;
      return (String(w.dims) === String(kernel.dims) ? 1e15 : 0) + w.dims.reduce((a, b) => a * b, 1);
    };
    return layers.toSorted((a, b) => size(b) - size(a) || a.order - b.order)[0];
  }
}

const listed = (nodes: ReadonlySet<GraphNode>): NodeRef[] =>
  [...nodes].sort((a, b) => a.record.index - b.record.index).map(refOf);

/** Shifts of summands that are the tensor itself go to one that has a layer. */
function gathered(parts: readonly Part[]): Part[] {
  const at = parts.findIndex(({ host }) => host !== undefined);
  const { map } = parts[at];
  const shift = new Float64Array(map.outputs);
  for (const part of parts) {
    if (part.host !== undefined || !part.map.biased) continue;
    for (const [o, v] of part.map.bias().entries()) shift[o] += v;
  }
  const ones = new Float64Array(map.outputs).fill(1);
  return parts.map((part, i) => (i === at ? { ...part, map: affine(part.map, ones, shift) } : part));
}

const sorted = new WeakMap<Scope, boolean>();

/** Whether each node of a graph stands behind what it reads, as it should in a file. */
function isSorted(scope: Scope): boolean {
  const known = sorted.get(scope);
  if (known !== undefined) return known;
  const before = (node: GraphNode, { producer }: GraphValue) =>
    producer === undefined || producer.scope !== scope || producer.record.index < node.record.index;
  const is = scope.nodes.every((node) => node.inputs.every((value) => value === undefined || before(node, value)));
  sorted.set(scope, is);
  return is;
}

/** Where a node stands in the file; in a file whose nodes are in no order, where it would stand if they were. */
const placeOf = (node: GraphNode): number => (isSorted(node.scope) ? node.record.index : node.order);

/** The place of what makes a summand; −1 where it is there from the start. */
const positionOf = ({ host, source }: Part, root: GraphNode): number => {
  const maker = host ?? source.producer;
  return maker === undefined || maker.scope !== root.scope ? -1 : placeOf(maker);
};

/**
 * Which sums of the region stay to add the parts up: the last ones of the file, so that each comes after what it adds.
 * Sorts `parts` into the order in which they are added. Undefined when that is not possible.
 */
function order(root: GraphNode, parts: Part[], nodes: ReadonlySet<GraphNode>): GraphNode[] | undefined {
  if (parts.length === 1) return [];
  parts.sort((a, b) => positionOf(a, root) - positionOf(b, root));
  if (parts[0].sign < 0)
    parts.unshift(
      ...parts.splice(
        parts.findIndex(({ sign }) => sign > 0),
        1,
      ),
    );
  const sums = [...nodes].filter((node) => hasTrait(node, "adds") && node.version >= 7).sort((a, b) => placeOf(a) - placeOf(b));
  const adds = sums.slice(1 - parts.length);
  if (adds.length !== parts.length - 1 || adds[adds.length - 1] !== root) return undefined;
  let latest = positionOf(parts[0], root);
  for (const [i, node] of adds.entries()) {
    latest = Math.max(latest, positionOf(parts[i + 1], root));
    if (placeOf(node) <= latest) return undefined;
    latest = placeOf(node);
  }
  return adds;
}

/** Numbers a node holds in its constant float operands. */
function parameters(node: GraphNode, draft: Draft): number {
  const at = draft.at(node);
  const bias = at.state.bias?.dims.reduce((a, b) => a * b, 1) ?? 0;
  return [...new Set([...node.inputs.keys(), ...at.state.params.keys()])].reduce((n, i) => {
    if (!at.isConstant(i) || !at.has(i)) return n;
    const param = at.param(i);
    return isRefused(param) ? n : n + param.dims.reduce((a, b) => a * b, 1);
  }, bias);
}
