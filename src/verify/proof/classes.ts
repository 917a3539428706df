/**
 * The first file, sorted into classes: every value is a diagonal affine map of a core, α = scale ⊙ core + shift. Constant
 * affine operators (batch normalizations among them), Identity and inference Dropout make members of their input's class;
 * any other operator makes new cores. All coefficients are float64, computed from the file's bytes.
 *
 * A channel that is a constant c whatever comes in (a gain of zero, a row of zero weights, and what passes on from there) has
 * as many maps as there are gains: k·c + d. The core of such a class is changed for one the constant is a map of with a gain
 * of zero, core' ↦ s ⊙ core' + t, so that every value has one map again.
 */
import { isPlain } from "../../affine/gauge.ts";
import { combine, fitsInto, isOne, map, plus, type Spread, simplify, times, together, uniform } from "../../affine/spread.ts";
import type { Facts } from "../../graph/facts.ts";
import { hasTrait } from "../../graph/operators.ts";
import { type GraphNode, type GraphValue, type GraphView, viewOf } from "../../graph/view.ts";
import { candidateOf } from "../../laws/candidates.ts";
import { constantChannels, constantsOf, liveOf } from "../../laws/constant-channels.ts";
import { Constants } from "../../laws/constants.ts";
import { Draft } from "../../laws/draft.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS } from "../../onnx/dtype.ts";
import type { Model } from "../../onnx/records.ts";
import { asFloat64 } from "../../onnx/tensor.ts";
import { ruleOf } from "../../rules/index.ts";
import { isRefused } from "../../rules/types.ts";
import { factsOf } from "../../run/facts.ts";
import { Budgets } from "./budgets.ts";
import { isLossless } from "./casts.ts";
import { FOREIGN } from "./rows.ts";
import { Twins } from "./twins.ts";

/** What each number of a map may be off, for the file computes it (budgets.ts). */
export interface Open {
  readonly scale: Spread;
  readonly shift: Spread;
}

/** y = scale ⊙ x + shift; `magnitude` is Σ|terms| that went into each shift, what its rounding is measured against. */
export interface AffineMap {
  readonly scale: Spread;
  readonly shift: Spread;
  readonly magnitude: Spread;
  readonly open?: Open;
}

export interface Member extends AffineMap {
  readonly value: GraphValue;
  /** True for a map that a later operator proposes (foresight.ts): `value` is that operator's, and no value of this class. */
  readonly proposed?: boolean;
  /** The maps it was proposed as, of values of this class: what its dead channels are mapped by is known from them alone. */
  readonly over?: { readonly from: AffineMap; readonly scale: Spread; readonly shift: Spread }[];
}

export interface Core {
  /** The value it was at first. */
  readonly value: GraphValue;
  readonly members: Member[];
  /** Operators of the first file that read a member and are not affine themselves. */
  readonly readers: GraphNode[];
}

export const identityMap = (rank: number): AffineMap => ({
  scale: uniform(rank, 1),
  shift: uniform(rank, 0),
  magnitude: uniform(rank, 0),
});

const abs = (s: Spread): Spread => map(s, Math.abs);

/** First `inner`, then `outer`. */
export const composeMaps = (outer: AffineMap, inner: AffineMap): AffineMap => ({
  scale: times(outer.scale, inner.scale),
  shift: plus(times(outer.scale, inner.shift), outer.shift),
  magnitude: plus(times(abs(outer.scale), inner.magnitude), outer.magnitude),
  ...openOf(outer, inner),
});

function openOf(outer: AffineMap, inner: AffineMap): { open?: Open } {
  if (outer.open === undefined && inner.open === undefined) return {};
  const none = uniform(outer.scale.dims.length, 0);
  const [p, q] = [outer.open ?? { scale: none, shift: none }, inner.open ?? { scale: none, shift: none }];
  const over = (s: Spread, inside: Spread) => plus(times(abs(outer.scale), s), times(p.scale, abs(inside)));
  return { open: { scale: over(q.scale, inner.scale), shift: plus(over(q.shift, inner.shift), p.shift) } };
}

/** One file with all that is known of it. */
export interface Side {
  readonly view: GraphView;
  readonly facts: Facts;
  readonly constants: Constants;
  /** Facts without what the file declares of values inside: that may be wrong, and decides nothing. */
  readonly recomputed: () => Facts;
  /** Asked only where another tool may have evaluated what the file computes. */
  readonly budgets?: Budgets;
}

export function sideOf(model: Model, foreign = false): Side {
  const view = viewOf(model);
  const facts = factsOf(view);
  const constants = new Constants(view, facts);
  let own: Facts | undefined;
  const recomputed = (): Facts => {
    own ??= facts.told ? factsOf(view, false) : facts;
    return own;
  };
  return { view, facts, recomputed, constants, ...(foreign ? { budgets: new Budgets(constants) } : {}) };
}

/** Numbers of a constant operand that is read as a map: two tables that were folded into one have the product of their sizes. */
const TABLE = 2 ** 22;

/** The affine map an operator is, with the input it maps; undefined when it is something else. */
export function affineOf(side: Side, node: GraphNode): { input: number; map: AffineMap } | undefined {
  const { facts, constants } = side;
  const rank = facts.rank(node.inputs[0]);
  if (rank !== undefined && isLossless(facts, node)) return { input: 0, map: identityMap(rank) };
  if (node.domain === "" && (node.opType === "Identity" || node.opType === "Dropout") && rank !== undefined) {
    const passes = ruleOf(node.opType)?.backShift?.(new Draft(facts, constants).at(node), [uniform(rank, 1)]);
    return passes === undefined || isRefused(passes) ? undefined : { input: 0, map: identityMap(rank) };
  }
  const found = candidateOf(node, facts, constants, TABLE);
  if (found === undefined || "refusal" in found || !found.proven) return undefined;
  const { scale, shift } = found;
  const magnitude = magnitudeOf(node, scale, shift, constants);
  const open = openMap(side, node, found);
  return { input: found.input, map: { scale, shift, magnitude, ...withTerms(side, node, magnitude, open) } };
}

/**
 * Other tools compute β − μ·s in the type that is stored: it may be off by roundings of its terms, as their biases may be (fit.ts). Where no
 * bias takes it, because a shift of another value makes up for it, that is all that is known of it.
 */
function withTerms({ budgets, facts }: Side, node: GraphNode, magnitude: Spread, { open }: { open?: Open }): { open?: Open } {
  const dtype = node.opType === "BatchNormalization" ? dtypeOf(facts.of(node.inputs[1]).dtype) : undefined;
  if (budgets === undefined || dtype === undefined || !isStorageFloat(dtype)) return open === undefined ? {} : { open };
  const terms = map(magnitude, (m) => 4 * STORAGE_FLOATS[dtype].unitRoundoff * m);
  return { open: added({ scale: uniform(magnitude.dims.length, 0), shift: terms }, open) };
}

/** What a map may be off because its constants are computed: the sum of what moving each of them does. */
function openMap({ facts, constants, budgets }: Side, node: GraphNode, { scale, shift }: Open): { open?: Open } {
  let open: Open | undefined;
  for (const value of new Set(node.inputs)) {
    const by = budgets?.of(value);
    if (value === undefined || by === undefined) continue;
    const tensor = constants.tensor(value);
    const moved = { ...tensor, data: asFloat64(tensor).map((v, i) => v + by[i]) };
    const found = candidateOf(node, facts, constants.replaced(value, moved), TABLE);
    if (found === undefined || "refusal" in found) continue;
    const off = (x: Spread, y: Spread) => combine(x, y, (p, q) => Math.abs(p - q));
    open = added({ scale: off(found.scale, scale), shift: off(found.shift, shift) }, open);
  }
  return open === undefined ? {} : { open };
}

/**
 * Other tools fold one operator after the other, and round what they store each time: a map of several steps is off by as many roundings.
 * One of them is in what they are judged by (rows.ts), and here is another one.
 */
function withStep({ budgets, facts }: Side, node: GraphNode, step: AffineMap, inner: AffineMap, made: AffineMap): AffineMap {
  const dtype = dtypeOf(facts.of(node.outputs[0]).dtype);
  if (budgets === undefined || dtype === undefined || !isStorageFloat(dtype) || isPlain(step) || isPlain(inner)) return made;
  const { unitRoundoff } = STORAGE_FLOATS[dtype];
  const scale = map(made.scale, (s) => (isOne(step.scale) ? 0 : FOREIGN.weight * unitRoundoff * Math.abs(s)));
  return { ...made, open: added({ scale, shift: map(made.magnitude, (m) => 4 * unitRoundoff * m) }, made.open) };
}

const added = (open: Open, more: Open | undefined): Open =>
  more === undefined ? open : { scale: plus(open.scale, more.scale), shift: plus(open.shift, more.shift) };

/** |β| + |μ·s| for a batch normalization, |t| otherwise. */
function magnitudeOf(node: GraphNode, scale: Spread, shift: Spread, constants: Constants): Spread {
  if (node.opType !== "BatchNormalization" || shift.data.length !== scale.data.length) return map(shift, Math.abs);
  const beta = node.inputs[2] && constants.param(node.inputs[2]);
  if (beta === undefined || isRefused(beta)) return map(shift, Math.abs);
  const b = beta.values();
  return b.length === shift.data.length
    ? { dims: shift.dims, data: shift.data.map((t, c) => Math.abs(b[c]) + Math.abs(t - b[c])) }
    : map(shift, Math.abs);
}

/** Maps that come out of an operator. */
export interface Passed {
  readonly scale: readonly (Spread | undefined)[];
  readonly shift: readonly (Spread | undefined)[];
}

export class Classes {
  private readonly known = new Map<GraphValue, AffineMap & { core: Core }>();
  private readonly based = new Set<Core>();
  private readonly settled = new Set<GraphNode>();

  constructor(readonly side: Side) {
    const { view, constants } = side;
    for (const scope of view.scopes) {
      for (const value of scope.values.values()) if (value.producer === undefined && !constants.has(value)) this.start(value);
    }
    const twins = new Twins(side);
    for (const node of view.nodes) {
      if (node.outputs.every((value) => value === undefined || constants.has(value))) continue;
      const twin = twins.of(node);
      const affine = affineOf(side, node);
      const from = affine && this.known.get(node.inputs[affine.input] as GraphValue);
      const out = node.outputs[0];
      if (affine !== undefined && from !== undefined && out !== undefined) {
        const made = withStep(side, node, affine.map, from, composeMaps(affine.map, from));
        this.known.set(out, { ...made, core: from.core });
        from.core.members.push({ ...made, value: out });
        continue;
      }
      for (const [i, value] of node.outputs.entries()) {
        if (value === undefined) continue;
        const same = twin?.outputs[i];
        if (same !== undefined) this.known.set(value, this.known.get(same) as AffineMap & { core: Core });
        else this.start(value);
      }
      // A twin counts as well: of two files alike each finds its own.
      const cores = new Set(node.inputs.map((value) => value && this.known.get(value)?.core));
      for (const core of cores) core?.readers.push(node);
    }
  }

  of(value: GraphValue): (AffineMap & { core: Core }) | undefined {
    return this.known.get(value);
  }

  /**
   * Makes the core of a class another: what was the core is now s ⊙ core + t. Nothing may be related to it by its old maps.
   * False when it is no longer the value it was.
   */
  rebase(value: GraphValue, s: Spread, t: Spread): boolean {
    const known = this.known.get(value);
    if (known === undefined || !isPlain(known)) return false;
    const { core } = known;
    for (const [i, { value: member, scale, shift, magnitude, open, proposed }] of core.members.entries()) {
      const moved = open && { scale: times(open.scale, abs(s)), shift: plus(times(open.scale, abs(t)), open.shift) };
      const made = {
        scale: simplify(times(scale, s)),
        shift: simplify(plus(times(scale, t), shift)),
        magnitude,
        ...(moved === undefined ? {} : { open: moved }),
      };
      core.members[i] = { ...made, value: member, proposed };
      if (!proposed) this.known.set(member, { ...made, core });
    }
    this.based.add(core);
    return true;
  }

  isRebased(core: Core): boolean {
    return this.based.has(core);
  }

  /** Sees to it that channels an operator makes constant, because its inputs are, have a gain of zero. */
  settle(node: GraphNode, push: (maps: readonly (AffineMap | undefined)[]) => Passed | undefined): void {
    if (this.settled.has(node) || node.domain !== "") return;
    this.settled.add(node);
    const maps = node.inputs.map((value) => value && this.known.get(value));
    if (!maps.some((by) => by?.scale.data.includes(0))) return;
    const [value] = node.outputs;
    if (value === undefined) return;
    if (hasTrait(node, "nonlinear")) {
      const fixed = maps[0] && constantChannels(node, maps[0], this.side.constants);
      if (fixed !== undefined) this.rebase(value, fixed.live, fixed.made);
      return;
    }
    // α = m ⊙ α + c with m zero where α is the constant c: what passes says the same of the output.
    const rank = maps.find((by) => by !== undefined)?.scale.dims.length ?? 0;
    if (maps.some((by) => by !== undefined && by.scale.dims.length !== rank)) return;
    const list = maps.filter((by) => by !== undefined).map(({ scale }) => liveOf(scale));
    // Parts of a Concat stand side by side; what else has several operands sees the same channels in all of them.
    const joins = node.opType === "Concat";
    const dims = list.reduce(
      (sizes, one) => sizes.map((d, axis) => together(d, one.dims[axis])),
      new Array<number>(rank).fill(1),
    );
    if (!joins && !list.every((one) => fitsInto(one, dims))) return;
    const common = joins ? undefined : list.reduce((x, y) => combine(x, y, Math.max));
    const passed = push(
      maps.map((by) => {
        if (by === undefined) return undefined;
        const live = common ?? liveOf(by.scale);
        return { scale: live, shift: constantsOf(live, by.shift), magnitude: by.magnitude };
      }),
    );
    const [s, t] = [passed?.scale[0], passed?.shift[0]];
    if (s !== undefined) this.rebase(value, s, t ?? uniform(s.dims.length, 0));
  }

  private start(value: GraphValue): void {
    const map = identityMap(this.side.facts.rank(value) ?? 0);
    const core: Core = { value, members: [{ ...map, value }], readers: [] };
    this.known.set(value, { ...map, core });
  }
}
