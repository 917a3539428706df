/**
 * Maps that pass an operator. With x' = k·x + d at an input, the rules of `rules/` say what the constants become and which map
 * (s, t) comes out: f(x') = s ⊙ f'(x) + t. What rounding leaves open of k and d is pushed through in the same way.
 */
import {
  combine as combineSpread,
  factors,
  isZero,
  map,
  plus,
  type Spread,
  simplify,
  times,
  uniform,
} from "../../affine/spread.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode } from "../../graph/view.ts";
import { type ConstantChannels, constantChannels } from "../../laws/constant-channels.ts";
import type { Draft } from "../../laws/draft.ts";
import { dtypeOf, isStorageFloat } from "../../onnx/dtype.ts";
import { ruleOf } from "../../rules/index.ts";
import { isNeutral } from "../../rules/params.ts";
import { isRefused, type MoveFn, type Rule } from "../../rules/types.ts";
import { borderMisfit, isFinal } from "./blame.ts";
import type { Slack } from "./operands.ts";
import type { Outcome } from "./outcome.ts";
import { type Budget, type InputMap, NOISE, noiseOf, type Relation, snap } from "./relation.ts";

const abs = (x: Spread): Spread => map(x, Math.abs);

/** α_out = s·f(β) + t was compared with f(β): the other file's output is (α_out − t)/s. `slack` is what is open of s and t. */
export function uncarry(
  relation: Relation,
  scale: Spread | undefined,
  shift: Spread | undefined,
  slack?: { readonly scale: Spread; readonly shift: Spread },
): Relation | undefined {
  if (scale === undefined && shift === undefined) return relation;
  const rank = relation.scale.dims.length;
  const [s, t] = [scale ?? uniform(rank, 1), shift ?? uniform(rank, 0)];
  if (s.data.some((v) => v === 0)) return undefined;
  const over = (x: Spread) => combineSpread(x, s, (p, q) => p / q);
  const k = simplify(over(relation.scale));
  const spread = (x: Spread) => (x.dims.length === rank ? x : uniform(rank, x.data[0]));
  const loose = slack && times(abs(k), spread(slack.scale));
  const slackK = loose === undefined ? abs(over(relation.slackScale)) : plus(abs(over(relation.slackScale)), loose);
  const moved = times(t, k);
  const own = slack === undefined || isZero(t) ? undefined : times(abs(k), spread(slack.shift));
  const open = plus(plus(relation.slackShift, times(slackK, abs(t))), own ?? uniform(rank, 0));
  return snap({
    ...relation,
    scale: k,
    shift: simplify(combineSpread(relation.shift, moved, (p, q) => p - q)),
    slackScale: slackK,
    slackShift: plus(open, noiseOf(relation.shift, moved)),
  }).relation;
}

/** What float64 leaves open of sums of products. */
const ulps = (x: Spread): Spread => map(x, (v) => 2 ** -50 * Math.abs(v));

/** True of shifts that may cancel each other, and leave what float64 left open of each. */
export const meetingShifts = (maps: readonly (InputMap | undefined)[]): boolean =>
  maps.filter((by) => by !== undefined && !isZero(by.shift)).length > 1;

/** Slack of the inputs at output i: pushed through like the maps themselves, or the largest of it everywhere. */
export function carriedSlack(
  maps: readonly (InputMap | undefined)[],
  i: number,
  push: (maps: (InputMap | undefined)[]) => ReturnType<typeof passThrough>,
): { scale: Spread; shift: Spread } {
  const meet = meetingShifts(maps);
  const along = (kind: "scale" | "shift", plain: number): Spread => {
    const list = maps.map((by) => by && slackMap(meet ? { ...by, slackShift: plus(by.slackShift, ulps(by.shift)) } : by, kind));
    const most = list.map((by) => by?.[kind].data.reduce((m, v) => Math.max(m, Math.abs(v - plain)), 0) ?? 0);
    const pushed = (some: (InputMap | undefined)[], otherwise: number): Spread => {
      const carried = push(some);
      if ("ok" in carried) return uniform(0, otherwise);
      const out = carried[kind][i];
      return out === undefined ? uniform(0, 0) : map(out, (v) => Math.abs(v - plain));
    };
    const open = most.flatMap((m, k) => (m === 0 ? [] : [k]));
    if (open.length === 0) return uniform(0, 0);
    if (kind === "scale") return pushed(widest(list), Math.max(...most));
    // Shifts add up, whatever their signs are.
    const parts = open.map((k) =>
      pushed(
        list.map((by, at) => (at === k ? by : undefined)),
        most[k],
      ),
    );
    const rank = Math.max(...parts.map(({ dims }) => dims.length));
    return parts.map((s) => (s.dims.length === rank ? s : uniform(rank, s.data[0]))).reduce(plus);
  };
  return { scale: along("scale", 1), shift: along("shift", 0) };
}

/** Gains that may have to be one: each is the largest there is at its place. */
function widest(list: (InputMap | undefined)[]): (InputMap | undefined)[] {
  const scales = list.flatMap((by) => (by === undefined ? [] : [by.scale]));
  if (scales.some(({ dims }) => String(dims) !== String(scales[0].dims))) return list;
  const scale = scales.reduce((x, y) => combineSpread(x, y, Math.max));
  return list.map((by) => by && { ...by, scale });
}

/** The output after the maps that came out of the operator, with what slack came with them. */
export function carry(
  relation: Relation,
  scale: Spread | undefined,
  shift: Spread | undefined,
  slack: { readonly scale: Spread; readonly shift: Spread },
): Relation {
  const rank = relation.scale.dims.length;
  const [s, t] = [scale ?? uniform(rank, 1), shift ?? uniform(rank, 0)];
  const spread = (x: Spread) => (x.dims.length === rank ? x : uniform(rank, x.data[0]));
  const scaled = times(s, relation.shift);
  const open = plus(times(abs(t), spread(slack.scale)), plus(spread(slack.shift), noiseOf(scaled, t)));
  const moved: Relation = {
    ...relation,
    scale: simplify(times(s, relation.scale)),
    shift: simplify(plus(scaled, t)),
    slackScale: plus(times(abs(s), relation.slackScale), times(times(abs(s), abs(relation.scale)), spread(slack.scale))),
    slackShift: plus(times(abs(s), relation.slackShift), isZero(t) ? uniform(rank, 0) : open),
  };
  return snap(moved).relation;
}

/**
 * What the maps of an operator's inputs leave open: relative for gains, absolute for shifts. A bound that is divided by a gain
 * has its rounding divided, too.
 */
export function slackOf(maps: readonly (InputMap | undefined)[]): Slack {
  let [gain, shift, grown] = [0, 0, 1];
  for (const by of maps) {
    if (by === undefined || by.identity) continue;
    const { scale, slackScale, slackShift } = by;
    for (const [i, slack] of slackScale.data.entries()) {
      const s = scale.data[scale.data.length === slackScale.data.length ? i : 0];
      if (s !== 0) gain = Math.max(gain, slack / Math.abs(s));
    }
    for (const s of scale.data) if (s !== 0) grown = Math.max(grown, 1 / Math.abs(s));
    for (const slack of slackShift.data) shift = Math.max(shift, slack);
  }
  return { gain, shift, grown, budget: budgetOf(maps) };
}

/** What computed constants leave open of maps that are known exactly but for that. */
export function budgetSlack(maps: readonly (InputMap | undefined)[]): Slack {
  const budget = budgetOf(maps);
  return { ...budget, grown: 1, budget };
}

function budgetOf(maps: readonly (InputMap | undefined)[]): Budget {
  const list = maps.flatMap((by) => by?.budget ?? []);
  return { gain: Math.max(0, ...list.map(({ gain }) => gain)), shift: Math.max(0, ...list.map(({ shift }) => shift)) };
}

/** Maps of several inputs that an operator needs equal and that are equal within their slack become equal. */
function agree(
  list: readonly (Spread | undefined)[],
  maps: readonly (InputMap | undefined)[],
  kind: "scale" | "shift",
): (Spread | undefined)[] {
  const first = list.findIndex((by) => by !== undefined);
  const slackOf = (i: number, rank: number) => {
    const by = maps[i];
    return by && ofRank(kind === "scale" ? by.slackScale : by.slackShift, rank);
  };
  return list.map((by, i) => {
    if (by === undefined || i === first) return by;
    const rank = by.dims.length;
    const [lead, p, q] = [ofRank(list[first] as Spread, rank), slackOf(first, rank), slackOf(i, rank)];
    if (lead === undefined || p === undefined || q === undefined) return by;
    // What was computed in two ways differs by the rounding of float64.
    const close = combineSpread(
      combineSpread(by, lead, (x, y) => Math.abs(x - y) - NOISE * Math.max(Math.abs(x), Math.abs(y))),
      plus(p, q),
      (e, s) => (e <= s ? 1 : 0),
    );
    return close.data.every((v) => v === 1) ? lead : by;
  });
}

/** A spread over the last axes of a tensor of another rank; undefined where it varies over others. */
function ofRank(s: Spread, rank: number): Spread | undefined {
  const more = rank - s.dims.length;
  if (more >= 0) return { dims: [...new Array<number>(more).fill(1), ...s.dims], data: s.data };
  return s.dims.slice(0, -more).every((d) => d === 1) ? { dims: s.dims.slice(-more), data: s.data } : undefined;
}

/** The slack of a map as a map: gains of 1 + δ, or shifts of δ. */
function slackMap(by: InputMap, kind: "scale" | "shift"): InputMap {
  const rank = by.scale.dims.length;
  // A slack has none of its own: two of them that differ are not the same one.
  if (kind === "shift") return { ...by, scale: uniform(rank, 1), shift: simplify(by.slackShift), slackShift: uniform(rank, 0) };
  const scale = combineSpread(by.slackScale, by.scale, (slack, s) => 1 + slack / Math.max(Math.abs(s), 2 ** -1000));
  return { ...by, scale: simplify(scale), shift: uniform(rank, 0) };
}

/** The maps of an operator's outputs. */
export interface Carried {
  readonly scale: readonly (Spread | undefined)[];
  readonly shift: readonly (Spread | undefined)[];
  /** What rounding the operator's own numbers leaves open of the gain of output 0. */
  readonly open?: Spread;
}

const through: MoveFn = (_at, by) => [{ pass: [by[0]] }];
const same: Rule = { type: "Cast", forwardScale: through, forwardShift: through };

/** The law of an operator. Numbers are real numbers here: a Cast to a narrower float, where no fold may move a map, passes it. */
function ruleIn(draft: Draft, node: GraphNode): Rule | undefined {
  const casts = node.domain === "" && (node.opType === "Cast" || node.opType === "CastLike");
  const floats = [node.inputs[0], node.outputs[0]].every((value) => {
    const dtype = dtypeOf(draft.facts.of(value).dtype);
    return dtype !== undefined && isStorageFloat(dtype);
  });
  return casts && floats ? same : ruleOf(node.opType, node.domain);
}

/**
 * A gain that varies over several axes at once, taken as gains along one axis each, one after the other: a matrix product sums over
 * one of them and lets the other pass. Undefined where one of them does not pass.
 */
function inParts(
  draft: Draft,
  node: GraphNode,
  move: MoveFn,
  list: readonly (Spread | undefined)[],
): Carried["scale"] | undefined {
  const inputs = list.flatMap((by, i) => (by === undefined ? [] : [i]));
  const parts = inputs.length === 1 ? factors(list[inputs[0]] as Spread, NOISE) : undefined;
  if (parts === undefined) return undefined;
  const mark = draft.mark();
  let passed: Carried["scale"] = [];
  for (const part of parts) {
    const steps = move(
      draft.at(node),
      list.map((by) => by && part),
    );
    const step = isRefused(steps) ? undefined : steps[0];
    if (step === undefined || step.open !== undefined) {
      draft.undo(mark);
      return undefined;
    }
    if (step.state !== undefined) draft.set(node, step.state);
    const before = passed;
    passed = Array.from({ length: node.outputs.length }, (_, i) => product(before[i], step.pass[i]));
  }
  return passed;
}

const product = (x: Spread | undefined, y: Spread | undefined): Spread | undefined =>
  x === undefined || y === undefined ? (x ?? y) : times(x, y);

/** Its constant channels are as one of the others: what lets that one pass lets them pass. */
function alive(by: InputMap, { live }: ConstantChannels): InputMap {
  const first = live.data.indexOf(1);
  const like = (s: Spread, plain: number): Spread => {
    const whole = combineSpread(live, s, (_, v) => v);
    const fill = first < 0 ? plain : whole.data[first];
    return simplify(combineSpread(live, whole, (m, v) => (m === 0 ? fill : v)));
  };
  return { ...by, scale: like(by.scale, 1), shift: like(by.shift, 0) };
}

/** What came of the other channels, and what the constant ones become. */
function withConstants({ live, made }: ConstantChannels, passed: ReturnType<typeof passThrough>): ReturnType<typeof passThrough> {
  if ("ok" in passed) return passed;
  const [scale, shift] = [passed.scale[0] ?? live, passed.shift[0]];
  return { ...passed, scale: [times(scale, live)], shift: [shift === undefined ? made : plus(times(shift, live), made)] };
}

/**
 * Pushes shifts, then gains, forward through an operator in a draft; returns the maps that come out.
 * @param ones Its input has a channel of ones beside it, which may take the shift.
 */
export function passThrough(
  draft: Draft,
  node: GraphNode,
  maps: readonly (InputMap | undefined)[],
  ones = false,
): Carried | (Outcome & { ok: false }) {
  const fixed = maps[0] && constantChannels(node, maps[0], draft.constants);
  if (fixed !== undefined) return withConstants(fixed, passThrough(draft, node, [alive(maps[0] as InputMap, fixed)], ones));
  const rule = ruleIn(draft, node);
  const carried: { -readonly [K in keyof Carried]: Carried[K] } = { scale: [], shift: [] };
  for (const kind of ["shift", "scale"] as const) {
    const list = maps.map((by) => (by === undefined || isNeutral(kind, by[kind]) ? undefined : simplify(by[kind])));
    if (list.every((by) => by === undefined)) continue;
    const full = Array.from({ length: node.inputs.length }, (_, i) => list[i]);
    const move = kind === "scale" ? rule?.forwardScale : ((ones ? rule?.ones : rule)?.forwardShift ?? rule?.forwardShift);
    const steps = move?.(draft.at(node), hasTrait(node, "unison") ? agree(full, maps, kind) : full);
    const parts =
      kind === "scale" && steps !== undefined && isRefused(steps) ? inParts(draft, node, move as MoveFn, full) : undefined;
    if (parts !== undefined) {
      carried.scale = parts;
      continue;
    }
    if (steps === undefined)
      return {
        ok: false,
        reason: `a ${kind === "scale" ? "gain" : "shift"} cannot pass ${node.label}`,
        impassable: hasTrait(node, "nonlinear"),
      };
    if (isRefused(steps))
      return {
        ok: false,
        reason: `${node.label} ${steps.because}`,
        impassable: isFinal(node, steps),
        misfit: borderMisfit(draft.at(node), kind === "shift" ? maps[0]?.shift : undefined, steps),
      };
    const [step] = steps;
    if (step.state !== undefined) draft.set(node, step.state);
    carried[kind] = step.pass;
    if (step.open !== undefined) carried.open = step.open;
  }
  return carried;
}
