/**
 * Operators that cut values off: Clip(x; a, b) = min(max(x, a), b), Max(x, c), Min(x, c).
 *
 *   Clip, one bound for the whole tensor, one map:    s·Clip(x; a, b) + t = Clip(s·x + t; s·a + t, s·b + t)     s > 0
 *                                                     the same with the two bounds exchanged                     s < 0
 *   Max, Min with constants of any shape:             s·Max(x, c) + t = Max(s·x + t, s·c + t)                    s ≥ 0 per channel
 *                                                     s·Max(x, c) = Min(s·x, s·c)                                s < 0 on all
 *
 * Forward with the inverse map. A channel of gain 0 passes Max forward where c ≤ 0 (Min: c ≥ 0): max(0·x, c) = 0 = 0·max(x, 0).
 *
 * Asked to, a Relu takes a shift and becomes a Max:   Relu(x + t) = Max(x, −t) + t
 * With a gain behind it that is Relu(s·x + t) = s·Max(x, −t/s) + t for s > 0, with Min for s < 0: a normalization before a Relu that nothing before it
 * can absorb goes on into what reads the Relu.
 */
import { map, numberOf, type Spread } from "../affine/spread.ts";
import { dtypeOf, isStorageFloat } from "../onnx/dtype.ts";
import { mirrored } from "./mirror.ts";
import { floatAttribute, fresh, leading, mapped, scaled, shifted, trimmed } from "./params.ts";
import {
  alike,
  isRefused,
  type Move,
  type MoveFn,
  type NodeState,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withoutParam,
  withParam,
} from "./types.ts";

/** What "no bound" is where bounds are attributes. */
const LOWEST = -3.4028234663852886e38;
const NAMES = ["min", "max"] as const;
const NONE = [LOWEST, -LOWEST] as const;

/** Of bounds that cross, the upper one is all that comes out: which is which matters. */
const CROSSED = refuse("sign-blocks", "has bounds that cross, which a negative gain would have to exchange");

/** The bounds of a Clip that are attributes. */
function attributes(at: RuleNode, move: (bound: number) => number, flips: boolean): NodeState | Refused {
  const old = NAMES.map((name, i) => at.float(name, NONE[i]));
  if (flips && !(old[0] <= old[1])) return CROSSED;
  let { state } = at;
  for (const [i, name] of NAMES.entries()) {
    const from = flips ? 1 - i : i;
    const next = old[from] === NONE[from] ? NONE[i] : move(old[from]);
    if (next === old[i]) continue;
    const changed = floatAttribute(at, state, name, next);
    if (isRefused(changed)) return changed;
    state = changed;
  }
  return state;
}

/** The bounds of a Clip that are operands. */
function inputs(at: RuleNode, move: (bound: number) => number, flips: boolean): NodeState | Refused {
  const bounds: (Param | undefined)[] = [];
  for (const i of [1, 2]) {
    const bound = at.has(i) ? at.param(i) : undefined;
    if (bound !== undefined && isRefused(bound)) return bound;
    bounds.push(bound);
  }
  const [low, high] = bounds.map((bound) => (flips ? bound?.values()[0] : undefined));
  if (low !== undefined && high !== undefined && !(low <= high)) return CROSSED;
  let { state } = at;
  for (const i of [0, 1]) {
    const [from, own] = [bounds[flips ? 1 - i : i], bounds[i]];
    // Each stays in its place in the file.
    const place = own === undefined ? {} : { dims: own.dims, source: own.source };
    if (from !== undefined) state = withParam(state, i + 1, { ...mapped(from, move), ...place });
    else if (own !== undefined) state = withoutParam(state, i + 1);
  }
  return state;
}

const clipped = (scale: boolean, back: boolean): MoveFn => {
  return (at, by) => {
    const demanded = by[0];
    if (demanded === undefined || by.slice(1).some((m) => m !== undefined))
      return refuse("operator-blocks", "takes the map on a bound");
    const v = numberOf(demanded);
    if (v === undefined)
      return refuse("axis-blocks", "has one bound for the whole tensor, so only a map that is the same everywhere passes");
    if (scale && !(Math.abs(v) > 0)) return refuse("sign-blocks", "has bounds that a gain of zero would bring together");
    const move = scale ? (b: number) => (back ? b * v : b / v) : (b: number) => (back ? b + v : b - v);
    const state = (at.version < 11 ? attributes : inputs)(at, move, scale && v < 0);
    return isRefused(state) ? state : [{ pass: [demanded], state }];
  };
};

/** The operands of a Max or Min that are computed, and the constant ones. */
function operands(at: RuleNode): { open: number[]; fixed: number[] } {
  const count = [...at.state.params.keys()].reduce((most, i) => Math.max(most, i + 1), at.node.inputs.length);
  const all = Array.from({ length: count }, (_, i) => i);
  return { open: all.filter((i) => !at.isConstant(i)), fixed: all.filter((i) => at.isConstant(i)) };
}

/** A constant, moved; undefined where a gain of zero leaves something behind. */
function moved(at: RuleNode, bound: Param, by: Spread, scale: boolean, back: boolean): Param | undefined {
  if (!scale) return shifted(bound, back ? by : map(by, (t) => -t));
  if (back) return scaled(bound, by);
  if (by.data.some((s) => s === 0) && !vanishes(at, bound, by)) return undefined;
  return scaled(
    bound,
    map(by, (s) => (s === 0 ? 0 : 1 / s)),
  );
}

/** Whether nothing is left of the constant where the gain is zero. Of a Relu with a shift, a constant channel is not that of a Max. */
function vanishes(at: RuleNode, bound: Param, by: Spread): boolean {
  if (at.node.opType === "Relu") return false;
  const met = scaled(
    bound,
    map(by, (s) => (s === 0 ? 1 : 0)),
  ).values();
  return !met.some((c) => (at.state.opType === "Max" ? c > 0 : c < 0));
}

const compared = (scale: boolean, back: boolean): MoveFn => {
  return (at, by) => {
    const demanded = by.find((m) => m !== undefined) as Spread;
    const rank = demanded.dims.length;
    const { open, fixed } = operands(at);
    if (open.length !== 1) return refuse("operator-blocks", "compares several computed values");
    const [data] = open;
    const shape = at.inShape(data);
    if (shape?.length !== rank) return refuse("shape-unknown", "changes the rank, or has an operand of unknown rank");
    const turns = scale && demanded.data.every((s) => s < 0);
    if (scale && !turns && demanded.data.some((s) => !(s >= 0)))
      return refuse("sign-blocks", "would become Max on some channels and Min on others");
    // A constant may be of the map's size along an axis only where the data is.
    if (demanded.dims.some((d, axis) => d !== 1 && shape[axis] !== d))
      return refuse("broadcast-grows", "broadcasts its input along the map");
    let state = turns ? (mirrored(at.state) as NodeState) : at.state;
    for (const i of fixed) {
      const bound = at.param(i);
      if (isRefused(bound)) return bound;
      if (bound.dims.length > rank) return refuse("broadcast-grows", "has a constant of higher rank than its input");
      const next = moved(at, leading(bound, rank), demanded, scale, back);
      if (next === undefined) return refuse("sign-blocks", "cuts off what a gain of zero makes of its input");
      state = withParam(state, i, trimmed(next, bound.dims.length));
    }
    const pass: (Spread | undefined)[] = [];
    pass[back ? data : 0] = demanded;
    return [{ pass: Array.from(pass), state }];
  };
};

/** Relu(x + t) as Max(x, −t) + t. */
export const reluAsMax: MoveFn = (at, by): Move => {
  const t = by[0] as Spread;
  const dtype = dtypeOf(at.facts.of(at.node.inputs[0]).dtype);
  if (at.version < 8 || dtype === undefined || !isStorageFloat(dtype))
    return refuse("operator-blocks", "cannot become a Max with a constant per channel in this opset");
  const threshold = trimmed(
    fresh(dtype, t.dims, () => t.data.map((v) => -v)),
    1,
  );
  return [{ pass: [t], state: withParam({ ...at.state, opType: "Max" }, 1, threshold) }];
};

const moves = (move: (scale: boolean, back: boolean) => MoveFn): Omit<Rule, "type"> => ({
  backScale: move(true, true),
  backShift: move(false, true),
  forwardScale: move(true, false),
  forwardShift: move(false, false),
});

export const bounds: readonly Rule[] = [{ type: "Clip", ...moves(clipped) }, ...alike("Max Min", moves(compared))];

/**
 * A Clip whose result was multiplied by 1/s > 0 on each channel, and its input with it: Clip(x; a, b) = s·min(max(x/s, a/s), b/s).
 * From below 0 it is a Relu, and what is above becomes a Min behind it; a bound that is one number for all channels stays one.
 */
export function clipPerChannel(at: RuleNode, s: Spread): NodeState | Refused {
  if (at.version < 8) return refuse("operator-blocks", "has one bound for the whole tensor, and this opset knows no other");
  const dtype = dtypeOf(at.facts.of(at.node.inputs[0]).dtype);
  if (dtype === undefined || !isStorageFloat(dtype)) return refuse("operator-blocks", "clips something else than floats");
  const [low, high] = NAMES.map((name, i) => limit(at, name, i));
  if (low === undefined || high === undefined) return refuse("weight-not-constant", "has a bound that is computed");
  const over = (bound: number): Param =>
    trimmed(
      fresh(dtype, s.dims, () => s.data.map((a) => bound / a)),
      1,
    );
  const none = (bound: number) => !Number.isFinite(bound) || Math.abs(bound) === -LOWEST;
  const still = (bound: number) => bound === 0 || none(bound);
  if (still(low) && still(high)) return at.state;
  const bare: NodeState = { ...at.state, attributes: {}, dropped: [1, 2].filter((i) => at.has(i)), params: new Map() };
  if (none(low)) return withParam({ ...bare, opType: "Min" }, 1, over(high));
  const below: NodeState = low === 0 ? { ...bare, opType: "Relu" } : withParam({ ...bare, opType: "Max" }, 1, over(low));
  return none(high) ? below : { ...below, ceiling: over(high) };
}

/** A bound of a Clip, infinite where it has none; undefined when it is computed. */
function limit(at: RuleNode, name: (typeof NAMES)[number], i: number): number | undefined {
  const none = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY][i];
  if (at.version < 11) return at.float(name, none);
  if (!at.has(i + 1)) return none;
  const bound = at.param(i + 1);
  return isRefused(bound) ? undefined : bound.values()[0];
}
