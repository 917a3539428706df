/**
 * Which calls of model-local functions have to be written out, so that what a call gives its function can be folded.
 *
 * The model is planned as it is, and with every call written out. A fold (or merge) of the second plan needs the calls whose
 * copies hold an operator it touches, unless the function's own body, with every call it has, allows the same fold. Calls
 * that no fold needs stay calls, byte for byte; if the rest then folds less (a body tells a shape), all are written out. Functions that call others
 * are looked at first in the same way: a fold that a body allows is made there once, not in each copy of it.
 */
import { says } from "../diag/codes.ts";
import type { Steps } from "../diag/steps.ts";
import { allNodes, expandedSize, Functions, functionLabel, reachable } from "../graph/functions.ts";
import { type Inlined, inline, type Root, type Site } from "../graph/inline.ts";
import { type Objection, objections } from "../graph/objections.ts";
import type { FunctionRecord, Model } from "../onnx/records.ts";
import { nodeKey } from "./describe.ts";
import type { PlanOptions } from "./options.ts";
import { planDraft } from "./plan.ts";
import type { PlanDraft } from "./plan-draft.ts";
import type { InlinedFunction, Kept, NodeRef, PlanData } from "./types.ts";

/** Models that would be larger than this with every call written out are planned as they are. */
const MAX_NODES = 2 ** 18;

export interface Settled {
  /** The model with calls written out, where the plan is of that. */
  readonly base: Model | undefined;
  readonly draft: PlanDraft;
  /** A node of `base` by its place in the model given, as the decisions name it. */
  readonly placeInFile: (ref: NodeRef) => NodeRef;
  /** Decisions on `base` as decisions on the model given. */
  readonly inFile: <T extends PlanData>(data: T) => T;
}

/**
 * Plans the folds of a model, calls of its functions written out where a fold needs it.
 * @throws BnfoldError of kind "model" when the graph is broken, or a function calls itself.
 */
export function* planCalls(model: Model, options: PlanOptions): Steps<Settled> {
  const functions = new Functions(model.functions);
  const called = model.functions.length === 0 || options.fold === false ? new Set<FunctionRecord>() : reachable(model, functions);
  const size = called.size === 0 ? 0 : expandedSize(model, functions)(model.graph.nodes);
  const plain = yield* planDraft(model, options);
  if (called.size === 0) return { base: undefined, draft: plain, placeInFile: (ref) => ref, inFile: (data) => data };
  if (size > MAX_NODES) {
    const because = `calls functions that come to ${size} nodes when they are written out, more than ${MAX_NODES}`;
    const reasons = new Map([...called].map((fn) => [functionLabel(fn), `The model ${because}.`]));
    return {
      base: undefined,
      draft: plain,
      placeInFile: (ref) => ref,
      inFile: (data) => ({ ...data, kept: data.kept.map((kept) => boundary(kept, reasons)) }),
    };
  }
  return yield* new Calls(model, functions, options, plain).settle(
    [...called].some((fn) => [...allNodes(fn.nodes)].some(isCall(functions))),
  );
}

const isCall = (functions: Functions) => (node: Parameters<Functions["called"]>[0]) => functions.called(node) !== undefined;

/** A fold or merge by the nodes it touches. */
interface Rewrite {
  /** What is folded, and the same seen from each function on the way: keys of the plans of their own bodies. */
  readonly key: string;
  readonly inner: readonly string[];
  readonly sites: readonly Site[];
}

interface Planned {
  readonly inlined: Inlined | undefined;
  readonly draft: PlanDraft;
  readonly rewrites: readonly Rewrite[];
}

const keyOf = ({ chain }: Site): string => chain.join(">");

class Calls {
  private readonly objection: Objection;
  /** Why calls of a function stay, by its label. */
  private readonly reasons = new Map<string, string>();
  /** Why nodes stay when all calls are written out, by the node's key. */
  private readonly keptInCopies = new Map<string, Kept>();

  constructor(
    private readonly model: Model,
    private readonly functions: Functions,
    private readonly options: PlanOptions,
    private readonly plain: PlanDraft,
  ) {
    this.objection = objections(model, functions);
  }

  *settle(nested: boolean): Steps<Settled> {
    const plain: Planned = { inlined: undefined, draft: this.plain, rewrites: rewritesOf(this.plain.data, undefined) };
    const inBodies = nested ? yield* this.settleFrom(plain, (root) => root.isFunction, new Set()) : plain;
    const done = new Set((inBodies.inlined?.sites ?? []).map(keyOf));
    const { inlined, draft } = yield* this.settleFrom(inBodies, (root) => !root.isFunction, done);
    return {
      base: inlined?.model,
      draft,
      placeInFile: (ref) => (inlined === undefined ? ref : placeInFile(ref, inlined)),
      inFile: (data) => {
        const own = inlined === undefined ? data : inFile(data, inlined);
        return { ...own, kept: own.kept.map((kept) => boundary(kept, this.reasons, this.keptInCopies)) };
      },
    };
  }

  /** The best plan with calls of some roots written out, besides those that are `done`. */
  private *settleFrom(base: Planned, roots: (root: Root) => boolean, done: ReadonlySet<string>): Steps<Planned> {
    const inPlace = new Set(base.rewrites.map(({ key }) => key));
    const choose = (wanted: (site: Site) => boolean) =>
      this.plan((site, root) => done.has(keyOf(site)) || (roots(root) && wanted(site) && this.canInline(site, root)));
    const all = yield* choose(() => true);
    let best = all;
    this.noteKept(all);
    if (covers(base, all)) return base;
    let needed = neededFor(all, inPlace);
    for (
      let round = 0;
      round < 2 && best.inlined?.sites.some((site) => !needed.has(keyOf(site)) && !done.has(keyOf(site)));
      round++
    ) {
      const fewer = yield* choose((site) => needed.has(keyOf(site)));
      if (!covers(fewer, best)) break;
      best = fewer;
      needed = neededFor(best, inPlace);
    }
    return best;
  }

  /** Why nodes of bodies stay in their copies. */
  private noteKept({ inlined, draft }: Planned): void {
    if (inlined === undefined) return;
    const kept = inFile({ ...draft.data, after: draft.data.before }, inlined).kept;
    for (const [i, { node }] of draft.data.kept.entries()) {
      const own = inlined.origins.get(nodeKey(node))?.chain.at(-1);
      if (own !== undefined && !this.keptInCopies.has(own)) this.keptInCopies.set(own, kept[i]);
    }
  }

  /** Whether a call can be written out; notes why not. */
  private canInline(site: Site, root: Root): boolean {
    const because = this.objection(site, root);
    const label = functionLabel(site.callee);
    if (because !== undefined && !this.reasons.has(label))
      this.reasons.set(label, `The call "${site.path}" of ${label} cannot be written out: it ${because}.`);
    return because === undefined;
  }

  private *plan(choose: (site: Site, root: Root) => boolean): Steps<Planned> {
    const inlined = inline(this.model, this.functions, choose);
    if (inlined.sites.length === 0)
      return { inlined: undefined, draft: this.plain, rewrites: rewritesOf(this.plain.data, undefined) };
    const draft = yield* planDraft(inlined.model, optionsFor(this.options, inlined));
    return { inlined, draft, rewrites: rewritesOf(draft.data, inlined) };
  }
}

/** The options of a plan, in terms of the file, for the model with calls written out. */
function optionsFor(options: PlanOptions, { origins, names }: Inlined): PlanOptions {
  const { only, skip, unproven } = options;
  const either = (test: (name: string) => boolean) => (name: string) => {
    const own = names.get(name);
    return test(name) || (own !== undefined && test(own));
  };
  const isUnproven = ({ scope, index, chain }: { scope: string; index: number; chain: readonly string[] }) =>
    unproven?.has(nodeKey({ scope, index })) === true || unproven?.has(chain[chain.length - 1]) === true;
  return {
    ...options,
    ...(only !== undefined ? { only: either(only) } : {}),
    ...(skip !== undefined ? { skip: either(skip) } : {}),
    ...(unproven !== undefined && unproven.size > 0
      ? { unproven: new Set([...origins].flatMap(([key, origin]) => (isUnproven(origin) ? [key] : []))) }
      : {}),
  };
}

function rewritesOf({ folds, merges }: Pick<PlanData, "folds" | "merges">, inlined: Inlined | undefined): Rewrite[] {
  const rewrite = (kind: string, main: NodeRef, touched: readonly NodeRef[]): Rewrite => {
    const origin = inlined?.origins.get(nodeKey(main));
    const chain = origin?.chain ?? [nodeKey(main)];
    const sites = [main, ...touched].flatMap((ref) => {
      const site = inlined?.origins.get(nodeKey(ref))?.site;
      return site === undefined ? [] : [site];
    });
    const keys = chain.map((_, i) => `${kind} ${chain.slice(i).join(">")}`);
    return { key: keys[0], inner: keys.slice(1), sites };
  };
  return [
    ...folds.map(({ node, through, into }) => rewrite("fold", node, [...through, ...into.map((entry) => entry.node)])),
    ...merges.map(({ into, nodes }) => rewrite("merge", into, nodes)),
  ];
}

/** The calls, by key, that some fold needs: not those of folds that a body on the way allows by itself. */
function neededFor({ rewrites }: Planned, inPlace: ReadonlySet<string>): Set<string> {
  const needed = new Set<string>();
  for (const { key, inner, sites } of rewrites) {
    if (inPlace.has(key) || inner.some((k) => inPlace.has(k))) continue;
    for (const site of sites)
      for (let at: Site | undefined = site; at !== undefined && !needed.has(keyOf(at)); at = at.within) needed.add(keyOf(at));
  }
  return needed;
}

/** True when a plan folds all that another one does, in a copy or in the body it is a copy of. */
function covers(plan: Planned, other: Planned): boolean {
  const made = new Set(plan.rewrites.map(({ key }) => key));
  return other.rewrites.every(({ key, inner }) => made.has(key) || inner.some((k) => made.has(k)));
}

function placeInFile(ref: NodeRef, { origins }: Pick<Inlined, "origins">): NodeRef {
  const origin = origins.get(nodeKey(ref));
  return origin === undefined ? ref : { ...ref, scope: origin.scope, index: origin.index };
}

/** Decisions on a model with calls written out, as decisions on the file. */
function inFile<T extends PlanData>(data: T, { origins, sites, dropped }: Inlined): T {
  const placed = (ref: NodeRef): NodeRef => placeInFile(ref, { origins });
  const byFunction = new Map<string, string[]>();
  for (const { callee, path } of sites) {
    const label = functionLabel(callee);
    byFunction.set(label, [...(byFunction.get(label) ?? []), path]);
  }
  const inlined = [...byFunction].map(
    ([label, calls]): InlinedFunction => ({
      function: label,
      calls,
      dropped: dropped.includes(label),
    }),
  );
  return {
    ...data,
    folds: data.folds.map((fold) => ({
      ...fold,
      node: placed(fold.node),
      through: fold.through.map(placed),
      into: fold.into.map((entry) => ({ ...entry, node: placed(entry.node) })),
    })),
    kept: data.kept.map((kept) => ({
      ...kept,
      node: placed(kept.node),
      ...(kept.blocker !== undefined ? { blocker: placed(kept.blocker) } : {}),
    })),
    merges: data.merges.map((merge) => ({ ...merge, nodes: merge.nodes.map(placed), into: placed(merge.into) })),
    unmerged: data.unmerged.map((entry) => ({ ...entry, nodes: entry.nodes.map(placed) })),
    inlined,
  };
}

/**
 * A node at the boundary of a function. Where its calls cannot be written out, that is the reason a person can act on; where
 * they can, and it brings nothing, the reason is what stops the node then.
 */
function boundary(kept: Kept, reasons: ReadonlyMap<string, string>, copies: ReadonlyMap<string, Kept> = new Map()): Kept {
  if (!says(kept.code, "boundary")) return kept;
  const { scope } = kept.node;
  for (const [label, because] of kept.code === "operator-blocks" ? [] : reasons)
    if (scope === label || scope.startsWith(`${label}/`))
      return { ...kept, code: "call-stays", message: `${kept.message} ${because}` };
  const copy = copies.get(nodeKey(kept.node));
  return copy === undefined ? kept : { ...copy, node: kept.node };
}
