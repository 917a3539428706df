/**
 * Add, Sub, Sum, Mean, Mul, Div, Neg, between computed values or with a constant c.
 *   x + c, x − c, c − x   scale: c·s and on to x;      shift: into c (back), through to the other side (forward)
 *   x · c, x / c          scale: into c;               shift: t/c and on (back, c ≠ 0), t·c and on (forward)
 *   Mean                  as Sum; a shift of one of n operands counts 1/n, and constants keep out of it
 *   x + z, x − z, Sum     back: s to every operand, t to one of them; forward: equal s in all, t's add up
 *   x · z, x / z          back: s to one operand, where its axes allow; a shift never passes
 *                         an operand smaller than s, such as the one scale of a dynamically quantised layer, grows to the size
 *                         of s where a product with a constant makes it: (x · c) becomes x · (c ⊙ s)
 *   Cast(n) · z           n the sums of a ConvInteger or MatMulInteger: the last operator of a layer quantised as it runs. A shift becomes its
 *                         bias, an Add that follows
 *   c / x                 scale: into c (back c·s, forward c/s, s ≠ 0); a shift never passes
 * A constant operand may be smaller than the tensor (broadcast); it is spread out only as far as the map needs.
 * ONNX 1, 6 (legacy.ts says where their second operand lies), 7, 13, 14.
 */
import {
  every,
  invert,
  map,
  negate,
  operand,
  plus,
  type Spread,
  sameSpread,
  simplify,
  times,
  together,
} from "../affine/spread.ts";
import type { Shape } from "../graph/dims.ts";
import type { GraphNode } from "../graph/view.ts";
import { dtypeOf, isStorageFloat } from "../onnx/dtype.ts";
import { putBack as back, laidOut as constant } from "./legacy.ts";
import { fresh, leading, scaled, shifted, trimmed } from "./params.ts";
import {
  absorb,
  alike,
  isRefused,
  type Move,
  type NodeState,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  type Step,
} from "./types.ts";

const nonZero = (s: Spread): boolean => every(s, (v) => v !== 0);

/** Position of the only constant operand; undefined when none or all are constant. */
function constantIndex(at: RuleNode): number | undefined {
  const list = at.node.inputs.flatMap((_, i) => (at.isConstant(i) ? [i] : []));
  return list.length === 1 && at.node.inputs.length === 2 ? list[0] : undefined;
}

/** True when the map's shape fits operand `i` as it is: the operand is not broadcast on any axis the map varies on. */
function fits(at: RuleNode, i: number, by: Spread): boolean {
  const shape = at.inShape(i);
  if (shape === undefined || shape.length !== by.dims.length) return false;
  return by.dims.every((d, axis) => d === 1 || shape[axis] === d);
}

const misfit = (at: RuleNode, i: number): Refused =>
  refuse("broadcast-grows", `broadcasts operand ${i} along an axis of the map, or its shape is unknown`, {
    value: at.node.inputs[i],
  });

const taken = (state: NodeState | Refused): Move => (isRefused(state) ? state : absorb(state));

function sumBackScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const list: (Spread | undefined)[] = [];
  let { state } = at;
  for (let i = 0; i < at.node.inputs.length; i++) {
    if (at.isConstant(i)) {
      const c = constant(at, i, s.dims.length);
      if (isRefused(c)) return c;
      const next = back(at, state, i, scaled(c, s));
      if (isRefused(next)) return next;
      state = next;
      list.push(undefined);
    } else {
      if (!fits(at, i, s)) return misfit(at, i);
      list.push(s);
    }
  }
  return [{ pass: list, state }];
}

/** Sign with which operand `i` enters. */
const sign = (at: RuleNode, i: number): number => (at.node.opType === "Sub" && i === 1 ? -1 : 1);

/** Mean is a Sum of n operands divided by n: a shift of one operand counts 1/n. */
const share = (at: RuleNode): number => (at.node.opType === "Mean" ? at.node.inputs.length : 1);

function sumBackShift(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const t = by as Spread;
  const steps: Step[] = [];
  let last: Refused | undefined;
  for (let i = 0; i < at.node.inputs.length; i++) {
    const mine = map(t, (v) => v * sign(at, i) * share(at));
    if (at.isConstant(i)) {
      if (at.node.opType === "Mean") continue;
      const c = constant(at, i, t.dims.length);
      const state = isRefused(c) ? c : back(at, at.state, i, shifted(c, mine));
      if (isRefused(state)) last = state;
      else steps.unshift({ pass: [], state });
    } else if (fits(at, i, mine)) {
      const list = new Array<Spread | undefined>(i + 1).fill(undefined);
      list[i] = mine;
      steps.push({ pass: list });
    } else last = misfit(at, i);
  }
  return steps.length > 0 ? steps : (last ?? refuse("operator-blocks", "has no operand"));
}

function sumForwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const s = by.find((m) => m !== undefined) as Spread;
  if (at.outShape(0)?.length !== s.dims.length) return misfit(at, by.indexOf(s));
  let { state } = at;
  for (let i = 0; i < at.node.inputs.length; i++) {
    if (at.isConstant(i)) {
      if (!nonZero(s)) return refuse("sign-blocks", "adds a constant that would have to be divided by a gain of zero");
      const c = constant(at, i, s.dims.length);
      if (isRefused(c)) return c;
      const next = back(at, state, i, scaled(c, invert(s)));
      if (isRefused(next)) return next;
      state = next;
    } else if (by[i] === undefined || !sameSpread(by[i] as Spread, s)) {
      return refuse("other-reader", "adds another value that does not carry the same gain", { value: at.node.inputs[i] });
    }
  }
  return [{ pass: [s], state }];
}

function sumForwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  let total: Spread | undefined;
  for (let i = 0; i < by.length; i++) {
    const t = by[i];
    if (t === undefined) continue;
    const mine = sign(at, i) < 0 ? negate(t) : t;
    const rank = at.outShape(0)?.length;
    if (rank !== mine.dims.length) return misfit(at, i);
    total = total === undefined ? mine : plus(total, mine);
  }
  const t = simplify(total as Spread);
  const i = constantIndex(at);
  if (i === undefined || at.node.opType === "Mean") return [{ pass: [map(t, (v) => v / share(at))] }];
  const c = constant(at, i, t.dims.length);
  if (isRefused(c)) return c;
  return taken(back(at, at.state, i, shifted(c, sign(at, i) < 0 ? negate(t) : t)));
}

const sumLike = {
  backScale: sumBackScale,
  backShift: sumBackShift,
  forwardScale: sumForwardScale,
  forwardShift: sumForwardShift,
};

function productBackScale(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const s = by as Spread;
  const divide = at.node.opType === "Div";
  const i = constantIndex(at);
  if (i !== undefined) {
    const c = constant(at, i, s.dims.length);
    if (isRefused(c)) return c;
    if (divide && i === 1 && !nonZero(s))
      return refuse("sign-blocks", "divides by a constant that a gain of zero would make infinite");
    const next = back(at, at.state, i, scaled(c, divide && i === 1 ? invert(s) : s));
    return taken(!isRefused(next) && outgrows(at, s) ? { ...next, grown: true } : next);
  }
  const { bias } = at.state;
  const own = bias === undefined ? at.state : { ...at.state, bias: biasWith(at, s, bias, scaled) };
  const state = outgrows(at, s) ? { ...own, grown: true } : bias === undefined ? undefined : own;
  const [steps, growing]: [Step[], Step[]] = [[], []];
  for (let k = 0; k < (divide ? 1 : at.node.inputs.length); k++) {
    const mine = at.version < 7 ? s : shortened(s, at.inShape(k)?.length);
    const pass = new Array<Spread | undefined>(k + 1).fill(undefined).with(k, mine);
    if (fits(at, k, mine)) steps.push({ pass, state });
    else if (grows(at, k, mine)) growing.push({ pass, state });
  }
  return steps.length + growing.length > 0 ? [...steps, ...growing] : misfit(at, 0);
}

/** The map over `rank` axes, as far as those before them have one number. */
function shortened(s: Spread, rank = s.dims.length): Spread {
  let dims = s.dims;
  while (dims.length > rank && dims[0] === 1) dims = dims.slice(1);
  return dims === s.dims ? s : { dims, data: s.data };
}

/** True when a result that takes the map has more elements than it had. */
function outgrows(at: RuleNode, s: Spread): boolean {
  const shape = at.outShape(0);
  return shape !== undefined && (s.dims.length > shape.length || !coversAll(shape, s));
}

const coversAll = (shape: Shape, s: Spread): boolean =>
  s.dims.every((d, i) => d === 1 || shape[shape.length - s.dims.length + i] === d);

/** True when operand `k` is smaller than the map and a product that can become as large as the map, and no larger, makes it. */
function grows(at: RuleNode, k: number, s: Spread): boolean {
  const [shape, producer] = [at.inShape(k), at.node.inputs[k]?.producer];
  if (shape === undefined || producer?.domain !== "" || !["Mul", "Div"].includes(producer.opType) || producer.version < 7)
    return false;
  const rank = Math.max(shape.length, s.dims.length);
  let size = 1;
  for (let i = 1; i <= rank; i++) {
    const [d, own] = [s.dims[s.dims.length - i] ?? 1, shape[shape.length - i] ?? 1];
    if (typeof own !== "number" || (own !== 1 && d !== 1 && own !== d)) return false;
    size *= together(d, own);
  }
  return size === s.data.length;
}

const PRODUCT = "multiplies two computed values; a shift does not pass";

/** True of a Mul that makes real numbers of the whole ones a quantised layer has summed. */
export function isLayer({ domain, opType, inputs, version }: GraphNode): boolean {
  if (domain !== "" || opType !== "Mul" || version < 7) return false;
  return inputs.some((value) => {
    const [cast, layer] = [value?.producer, value?.producer?.inputs[0]?.producer];
    if (cast?.domain !== "" || cast.opType !== "Cast" || layer?.domain !== "") return false;
    return layer.opType === "ConvInteger" || layer.opType === "MatMulInteger";
  });
}

/** The bias over the axes of the result, changed, and as short as it was. */
const biasWith = (at: RuleNode, by: Spread, bias: Param, change: typeof scaled): Param =>
  trimmed(change(leading(bias, at.outShape(0)?.length ?? by.dims.length), by), bias.dims.length);

function addBias(at: RuleNode, t: Spread): Move {
  const [dtype, shape] = [dtypeOf(at.facts.of(at.node.outputs[0]).dtype), at.outShape(0)];
  if (dtype === undefined || !isStorageFloat(dtype) || shape?.length !== t.dims.length || !coversAll(shape, t))
    return refuse("shape-unknown", "has a result of unknown shape or type");
  const { bias } = at.state;
  if (bias !== undefined) return absorb({ ...at.state, bias: biasWith(at, t, bias, shifted) });
  const made = fresh(dtype, t.dims, () => t.data.slice());
  return absorb({ ...at.state, bias: trimmed(made, 1) });
}

function productBackShift(at: RuleNode, [by]: readonly (Spread | undefined)[]): Move {
  const t = by as Spread;
  const i = constantIndex(at);
  if (i === undefined) return isLayer(at.node) ? addBias(at, t) : refuse("shift-blocks", PRODUCT);
  if (at.node.opType === "Div" && i === 0)
    return refuse("operator-blocks", "divides a constant by its input, which is not affine");
  const c = constant(at, i, t.dims.length);
  if (isRefused(c)) return c;
  const factors = operand(c.values(), c.dims, t.dims.length) as Spread;
  if (at.node.opType === "Mul" && !nonZero(factors))
    return refuse("sign-blocks", "multiplies by zero on some channel, which a shift cannot cross");
  const other = 1 - i;
  const passed = times(t, at.node.opType === "Div" ? factors : invert(factors));
  if (!fits(at, other, passed)) return misfit(at, other);
  const list = new Array<Spread | undefined>(other + 1).fill(undefined);
  list[other] = passed;
  return [{ pass: list }];
}

function productForwardScale(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const i = constantIndex(at);
  const divide = at.node.opType === "Div";
  if (i !== undefined) {
    const s = by[1 - i] as Spread;
    const c = constant(at, i, s.dims.length);
    if (isRefused(c)) return c;
    if (divide && !nonZero(s)) return refuse("sign-blocks", "would have a constant divided by a gain of zero");
    return taken(back(at, at.state, i, scaled(c, divide ? invert(s) : s)));
  }
  if (at.state.bias !== undefined) return refuse("shift-blocks", "has a bias that the gain may not touch");
  let total: Spread | undefined;
  const rank = at.outShape(0)?.length;
  for (let k = 0; k < by.length; k++) {
    const s = by[k];
    if (s === undefined) continue;
    if (s.dims.length !== rank) return misfit(at, k);
    if (divide && k === 1 && !nonZero(s)) return refuse("sign-blocks", "divides by a value with a gain of zero");
    const mine = divide && k === 1 ? invert(s) : s;
    total = total === undefined ? mine : times(total, mine);
  }
  return [{ pass: [simplify(total as Spread)] }];
}

function productForwardShift(at: RuleNode, by: readonly (Spread | undefined)[]): Move {
  const i = constantIndex(at);
  if (i === undefined || (at.node.opType === "Div" && i === 0)) return refuse("shift-blocks", PRODUCT);
  const t = by[1 - i] as Spread;
  const c = constant(at, i, t.dims.length);
  if (isRefused(c)) return c;
  const factors = operand(c.values(), c.dims, t.dims.length) as Spread;
  return [{ pass: [times(t, at.node.opType === "Div" ? invert(factors) : factors)] }];
}

const productLike = {
  backScale: productBackScale,
  backShift: productBackShift,
  forwardScale: productForwardScale,
  forwardShift: productForwardShift,
};

const straight = (_at: RuleNode, by: readonly (Spread | undefined)[]): Move => [{ pass: [by[0]] }];
const reversed = (_at: RuleNode, by: readonly (Spread | undefined)[]): Move => [{ pass: [negate(by[0] as Spread)] }];

export const arithmetic: readonly Rule[] = [
  ...alike("Add Sub", sumLike),
  ...alike("Sum Mean", { ...sumLike, handsOn: "forward", together: "scale" }),
  ...alike("Mul Div", productLike),
  { type: "Neg", backScale: straight, forwardScale: straight, backShift: reversed, forwardShift: reversed },
];
