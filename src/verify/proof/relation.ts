/**
 * What a value of the second file is in terms of the first: β = scale ⊙ core + shift, with slack for what rounding leaves
 * open. When a member of the core's class lies within the slack, the relation is that member, exactly.
 */
import { type Gauge, invertGauge } from "../../affine/gauge.ts";
import { blocks, combine, every, map, plus, type Spread, sameSpread, simplify, times, uniform } from "../../affine/spread.ts";
import type { GraphNode } from "../../graph/view.ts";
import { constantsOf, liveOf } from "../../laws/constant-channels.ts";
import type { AffineMap, Core, Member, Open } from "./classes.ts";
import { allows, type Misfit } from "./rows.ts";

export interface Relation {
  readonly core: Core;
  readonly scale: Spread;
  readonly shift: Spread;
  /** Absolute slack of each. */
  readonly slackScale: Spread;
  readonly slackShift: Spread;
  /** Where the map comes from when it is that of no value of the first file. */
  readonly blame?: Blame;
}

/** What the operator should compute, and the first number that is not as it should be. */
export interface Suspicion {
  readonly core: Core;
  readonly member: Member;
  readonly misfit: Misfit;
}

export interface Blame {
  readonly node: GraphNode;
  readonly suspicions: readonly Suspicion[];
}

/** The value of the first file that a relation is, exactly. */
export const memberOf = ({ core, scale, shift }: Relation): Member | undefined =>
  core.members.find((m) => m.scale === scale && m.shift === shift);

/** One input of an operator as a map of its counterpart's input. */
export interface InputMap {
  readonly scale: Spread;
  readonly shift: Spread;
  readonly slackScale: Spread;
  readonly slackShift: Spread;
  readonly identity: boolean;
  /** What computed constants leave open, at most: relative to the gain, and of a shift before the gain. */
  readonly budget?: Budget;
}

export interface Budget {
  readonly gain: number;
  readonly shift: number;
}

const abs = (s: Spread): Spread => map(s, Math.abs);

export const exact = (core: Core, { scale, shift }: Pick<AffineMap, "scale" | "shift">): Relation => ({
  core,
  scale,
  shift,
  slackScale: uniform(scale.dims.length, 0),
  slackShift: uniform(shift.dims.length, 0),
});

/** Relative distance within which two float64 computations of one number lie. */
export const NOISE = 2 ** -46;

const roomOf = (slack: number, size: number): number => slack * 1.000001 + size * NOISE;

const within = (x: Spread, y: Spread, slack: Spread, size: Spread): boolean => {
  // Most maps that are not one differ in their first number already: no other is then made.
  const isEmpty = [x, y, slack, size].some(({ data }) => data.length === 0);
  if (!isEmpty && !allows(roomOf(slack.data[0], size.data[0]), Math.abs(x.data[0] - y.data[0]))) return false;
  const room = combine(slack, size, roomOf);
  const apart = combine(x, y, (p, q) => Math.abs(p - q));
  return every(
    combine(apart, room, (e, r) => (allows(r, e) ? 1 : 0)),
    (ok) => ok === 1,
  );
};

/** What float64 leaves open of a sum of two shifts, relative to its terms: they are sums of products themselves. */
export const noiseOf = (x: Spread, y: Spread): Spread =>
  combine(x, y, (p, q) => (p === 0 || q === 0 ? 0 : 2 ** -50 * (Math.abs(p) + Math.abs(q))));

/** True where rounding may have made the one map of the other. */
const isWithin = (beta: Relation, alpha: AffineMap): boolean =>
  within(beta.scale, alpha.scale, opened(beta.slackScale, alpha.open?.scale), abs(alpha.scale)) &&
  within(beta.shift, alpha.shift, opened(beta.slackShift, alpha.open?.shift), plus(alpha.magnitude, abs(alpha.shift)));

/** Maps with nothing in the channels where `live` is zero. */
const masked = ({ scale, shift }: Pick<AffineMap, "scale" | "shift">, live: Spread) => ({
  scale: times(scale, live),
  shift: times(shift, live),
});

/** The member of the class a relation is, if it is one; of several that slack allows, the one called `name`, or the nearest. */
export function snap(relation: Relation, name?: string): { relation: Relation; member: boolean } {
  const { core, scale, shift } = relation;
  const rank = scale.dims.length;
  const found = core.members.filter((m) => m.scale.dims.length === rank && isWithin(relation, m));
  if (found.length === 0) return { relation, member: false };
  const off = (m: AffineMap) => apart(scale, m.scale) + apart(shift, m.shift);
  const named = found.find(({ value, proposed }) => proposed !== true && value.name === name);
  const nearest = named ?? found.reduce((best, m) => (off(m) < off(best) ? m : best));
  return { relation: exact(core, nearest), member: true };
}

const opened = (slack: Spread, open: Spread | undefined): Spread => (open === undefined ? slack : plus(slack, open));

const apart = (x: Spread, y: Spread): number =>
  combine(x, y, (p, q) => Math.abs(p - q)).data.reduce((most, v) => Math.max(most, v), 0);

/**
 * Numbers along an axis that may all be the same one, given their slack, become the same one: a map is as uniform as it can
 * be, so that it passes whatever lets a uniform map pass.
 */
export function collapse(values: Spread, slack: Spread): Spread {
  const room = combine(values, slack, (v, s) => s + Math.abs(v) * NOISE);
  let low = combine(values, room, (v, r) => v - r);
  let high = combine(values, room, (v, r) => v + r);
  let changed = false;
  for (let axis = 0; axis < low.dims.length; axis++) {
    if (low.dims[axis] === 1) continue;
    const [l, h] = [along(low, axis, Math.max), along(high, axis, Math.min)];
    if (l.data.some((v, i) => v > h.data[i])) continue;
    [low, high, changed] = [l, h, true];
  }
  return changed ? combine(low, high, (l, h) => (l + h) / 2) : values;
}

/** A spread with one axis reduced to one number. */
function along(s: Spread, axis: number, pick: (a: number, b: number) => number): Spread {
  const [outer, n, inner] = blocks(s.dims, axis);
  const data = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let v = s.data[o * n * inner + i];
      for (let k = 1; k < n; k++) v = pick(v, s.data[(o * n + k) * inner + i]);
      data[o * inner + i] = v;
    }
  }
  return { dims: s.dims.with(axis, 1), data };
}

/**
 * β as a map of α, both maps of one core: β = (s_β/s_α)·α + (t_β − t_α·s_β/s_α). Undefined where α has lost what β still
 * depends on (a gain of zero), or where the slack does not settle it.
 */
export function relative(beta: Relation, alpha: AffineMap): InputMap | undefined {
  const rank = beta.scale.dims.length;
  if (alpha.scale.dims.length !== rank) return undefined;
  const [one, zero] = [uniform(rank, 1), uniform(rank, 0)];
  if (sameSpread(beta.scale, alpha.scale) && sameSpread(beta.shift, alpha.shift))
    return { scale: one, shift: zero, slackScale: zero, slackShift: zero, identity: true };
  if (isWithin(beta, alpha)) return { scale: one, shift: zero, slackScale: zero, slackShift: zero, identity: true };
  const by = proposedOver(beta, alpha);
  if (by !== undefined)
    return { scale: simplify(by.scale), shift: simplify(by.shift), slackScale: zero, slackShift: zero, identity: false };
  const lost = combine(alpha.scale, beta.scale, (a, b) => (a === 0 && b !== 0 ? 1 : 0));
  if (!every(lost, (v) => v === 0)) return undefined;
  const ratio = ratioOf(beta, alpha);
  const open = openQuotient(ratio, memberOf(beta)?.open, alpha);
  const slackScale = opened(
    combine(beta.slackScale, alpha.scale, (s, a) => (a === 0 ? 0 : s / Math.abs(a))),
    open?.scale,
  );
  const moved = times(alpha.shift, ratio);
  const shift = combine(beta.shift, moved, (b, m) => b - m);
  const noise = map(plus(abs(beta.shift), abs(moved)), (v) => v * NOISE);
  const slackShift = opened(plus(plus(beta.slackShift, times(slackScale, abs(alpha.shift))), noise), open?.shift);
  if (![slackScale, slackShift].every((slack) => every(slack, Number.isFinite))) return undefined;
  // A shift that may be nothing is nothing: relations are kept as plain as the numbers allow.
  const plain = collapse(
    combine(shift, slackShift, (t, s) => (Math.abs(t) <= s ? 0 : t)),
    slackShift,
  );
  const plainScale = collapse(
    combine(ratio, slackScale, (k, s) => (Math.abs(k - 1) <= s + NOISE ? 1 : k)),
    slackScale,
  );
  return {
    scale: plainScale,
    shift: plain,
    slackScale,
    slackShift,
    identity: every(plainScale, (v) => v === 1) && every(plain, (v) => v === 0),
    ...budgetOf(open, ratio),
  };
}

/** What a proposed map was proposed as of one of the class: exact, where two large shifts of the core would cancel. */
const proposedOver = ({ core, scale, shift }: Relation, alpha: AffineMap): Gauge | undefined =>
  core.members.find((m) => m.scale === scale && m.shift === shift)?.over?.find(({ from }) => from === alpha);

/**
 * What computed constants leave open of k = s/s' and t − k·t', where s and t are those of one map, s' and t' of another: by first
 * order (δs + |k|·δs')/|s'| and δt + |k|·δt' (what k leaves open of k·t' is counted where k is).
 */
function openQuotient(k: Spread, over: Open | undefined, under: AffineMap): Open | undefined {
  if (over === undefined && under.open === undefined) return undefined;
  const none = uniform(k.dims.length, 0);
  const [p, q] = [over ?? { scale: none, shift: none }, under.open ?? { scale: none, shift: none }];
  const sum = plus(p.scale, times(abs(k), q.scale));
  return {
    scale: combine(sum, under.scale, (e, s) => (s === 0 ? 0 : e / Math.abs(s))),
    shift: plus(p.shift, times(abs(k), q.shift)),
  };
}

/** The largest of it, relative to the gains. */
function budgetOf(open: Open | undefined, k: Spread): { budget?: Budget } {
  if (open === undefined) return {};
  const largest = (s: Spread) =>
    combine(s, k, (e, by) => (by === 0 ? 0 : e / Math.abs(by))).data.reduce((m, v) => Math.max(m, v), 0);
  return { budget: { gain: largest(open.scale), shift: largest(open.shift) } };
}

/**
 * s_β/s_α. A channel that is constant in both has any ratio: the one that needs no shift where the others need none, else the
 * one the others have, so that the map is as plain as it can be.
 */
function ratioOf(beta: Relation, alpha: AffineMap): Spread {
  const ratio = combine(beta.scale, alpha.scale, (b, a) => (a === 0 ? Number.NaN : b / a));
  if (!ratio.data.some(Number.isNaN)) return ratio;
  const common = filled(ratio);
  const moved = combine(ratio, alpha.shift, (r, a) => r * a);
  const left = combine(beta.shift, moved, (b, m) => (Math.abs(b - m) > NOISE * (Math.abs(b) + Math.abs(m)) ? 1 : 0));
  if (left.data.includes(1)) return common;
  const kept = combine(beta.shift, alpha.shift, (b, a) => (a === 0 ? Number.NaN : b / a));
  const known = combine(ratio, kept, (r, k) => (Number.isNaN(r) ? k : r));
  return combine(known, common, (r, k) => (Number.isNaN(r) ? k : r));
}

/** The ratios of constant channels (NaN): what all others have, or all others along an axis; else 1. */
function filled(ratio: Spread): Spread {
  const fill = (by: Spread) => combine(ratio, by, (r, k) => (Number.isNaN(r) ? k : r));
  const rank = ratio.dims.length;
  // What lines of an axis have in common: NaN where that is nothing, infinite where they differ.
  const shared = (s: Spread, axis: number): Spread =>
    along(s, axis, (x, y) => (Number.isNaN(x) ? y : Number.isNaN(y) || alike(x, y) ? x : Number.POSITIVE_INFINITY));
  const axes = ratio.dims.map((_, axis) => axis);
  const ways = [axes.reduce(shared, ratio), ...axes.map((axis) => shared(ratio, axis))];
  for (const by of ways) if (by.data.every(Number.isFinite)) return fill(by);
  return fill(uniform(rank, 1));
}

const alike = (x: number, y: number): boolean => Math.abs(x - y) <= NOISE * Math.abs(y);

/** True when rounding leaves nothing open. */
export const isExact = ({ slackScale, slackShift }: Relation): boolean =>
  every(slackScale, (v) => v === 0) && every(slackShift, (v) => v === 0);

/**
 * The other way round: α as a map of β, when β is known exactly and has lost nothing.
 * @param loose Also when rounding leaves something open of β, which is then open of the map.
 */
export function inverse(beta: Relation, alpha: AffineMap, loose = false): InputMap | undefined {
  const rank = beta.scale.dims.length;
  if (alpha.scale.dims.length !== rank) return undefined;
  const none = uniform(rank, 0);
  if (isExact(beta) && sameSpread(beta.scale, alpha.scale) && sameSpread(beta.shift, alpha.shift)) {
    return { scale: uniform(rank, 1), shift: none, slackScale: none, slackShift: none, identity: true };
  }
  if (alpha.scale.data.includes(0)) {
    // Of a channel that α has lost, whatever β has there, α is the constant it is.
    const live = liveOf(alpha.scale);
    if (isWithin({ ...beta, ...masked(beta, live) }, { ...alpha, ...masked(alpha, live) }))
      return { scale: live, shift: constantsOf(live, alpha.shift), slackScale: none, slackShift: none, identity: false };
  }
  if (!every(beta.scale, (v) => v !== 0)) return undefined;
  if (!isExact(beta) && !(loose && [beta.slackScale, beta.slackShift].every((s) => every(s, Number.isFinite)))) return undefined;
  const by = alpha.open === undefined ? proposedOver(beta, alpha) : undefined;
  const back = by && invertGauge(by);
  if (back !== undefined) return { ...back, slackScale: none, slackShift: none, identity: false };
  const scale = combine(alpha.scale, beta.scale, (a, b) => a / b);
  const moved = times(beta.shift, scale);
  // Where two large shifts cancel, what is left is as uniform as their rounding allows.
  const noise = map(plus(abs(alpha.shift), abs(moved)), (v) => v * 2 ** -50);
  const left = combine(alpha.shift, moved, (a, m) => a - m);
  const zero = uniform(rank, 0);
  const own = isExact(beta) ? memberOf(beta)?.open : { scale: beta.slackScale, shift: beta.slackShift };
  const open = openQuotient(scale, alpha.open, { ...beta, magnitude: zero, open: own });
  const slackShift = open === undefined ? zero : plus(open.shift, times(open.scale, abs(beta.shift)));
  const room = isExact(beta) ? noise : plus(noise, slackShift);
  const shift = collapse(
    combine(left, room, (t, n) => (Math.abs(t) <= n ? 0 : t)),
    room,
  );
  return {
    scale,
    shift,
    slackScale: open?.scale ?? zero,
    slackShift,
    ...budgetOf(open, scale),
    identity: every(scale, (v) => v === 1) && every(shift, (v) => v === 0),
  };
}
