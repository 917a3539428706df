/** Arithmetic on constant operands: each result remembers how to compute itself, in float64, when it is written. */
import { axesOf, isOne, isZero, numberOf, type Spread, scaleInPlace, simplify, stretch, together } from "../affine/spread.ts";
import type { StorageFloat } from "../onnx/dtype.ts";
import { sizeOf } from "../onnx/tensor.ts";
import { type Numbers, scaledStream } from "./stream.ts";
import { type Kind, type NodeState, type Param, type Refused, type RuleNode, refuse, withAttribute } from "./types.ts";

/** A constant that took this many changes keeps the numbers it has then: the chain of functions stays short. */
const LONGEST = 32;

/** `change` of what `from` gives. */
function after(from: Numbers, change: (values: Float64Array) => Float64Array): Numbers {
  const changes = (from.changes ?? 0) + 1;
  if (changes < LONGEST) return Object.assign(() => change(from()), { changes });
  let [first, kept]: [Numbers | undefined, Float64Array | undefined] = [from, undefined];
  return () => {
    kept ??= change((first as Numbers)());
    first = undefined;
    return kept.slice();
  };
}

interface Made {
  readonly how: unknown;
  readonly dims: readonly number[];
  readonly by: Spread;
  readonly values: Numbers;
}

/** What constants were changed into: the same change of the same constant is the same function again, and written once. */
const made = new WeakMap<Numbers, Made[]>();

export const sameNumbers = (a: ArrayLike<number>, b: ArrayLike<number>): boolean => {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
};

/** The numbers of `from`, of shape `dims`, changed by `by` as `how` says: made by `make`, unless they were before. */
function once(from: Numbers, how: unknown, dims: readonly number[], by: Spread, make: () => Numbers): Numbers {
  const list = made.get(from) ?? [];
  const known = list.find(
    (m) => m.how === how && sameNumbers(m.dims, dims) && sameNumbers(m.by.dims, by.dims) && sameNumbers(m.by.data, by.data),
  );
  if (known !== undefined) return known.values;
  const values = make();
  made.set(from, [...list, { how, dims, by, values }]);
  return values;
}

/** A new constant. */
export function fresh(dtype: StorageFloat, dims: readonly number[], values: () => Float64Array): Param {
  return { dtype, dims, source: undefined, values, gain: 1, smallest: 1, mixed: true };
}

/** param ⊙ by; `by` has the param's rank. */
export function scaled(param: Param, by: Spread): Param {
  const factors = simplify(by);
  const grown = param.dims.map((d, i) => together(d, factors.dims[i]));
  let [gain, smallest] = [0, Number.POSITIVE_INFINITY];
  for (const v of factors.data) {
    gain = Math.max(gain, Math.abs(v));
    if (v !== 0) smallest = Math.min(smallest, Math.abs(v));
  }
  const { dims } = param;
  const values = once(param.values, scaled, dims, factors, () => {
    const next = after(param.values, (v) => scaleInPlace(expand(v, dims, grown), grown, factors));
    const { stream } = param.values;
    const keeps = stream !== undefined && grown.every((d, i) => d === dims[i]);
    return keeps ? Object.assign(next, { stream: scaledStream(stream, dims, factors) }) : next;
  });
  return {
    ...param,
    dims: grown,
    gain: param.gain * gain,
    smallest: param.smallest * Math.min(smallest, 1e308),
    values,
  };
}

const sum = (v: number, t: number): number => v + t;

/** param + by; `by` has the param's rank. */
export const shifted = (param: Param, by: Spread): Param => combined(param, by, sum);

/** f(param, by), element by element; `by` has the param's rank. */
export function combined(param: Param, by: Spread, f: (v: number, by: number) => number): Param {
  const grown = param.dims.map((d, i) => together(d, by.dims[i]));
  const { dims } = param;
  return {
    ...param,
    dims: grown,
    mixed: true,
    values: once(param.values, f, dims, by, () =>
      after(param.values, (v) => {
        const out = expand(v, dims, grown);
        const other = expand(by.data, by.dims, grown);
        for (let i = 0; i < out.length; i++) out[i] = f(out[i], other[i]);
        return out;
      }),
    ),
  };
}

/** Element-wise function of a param. */
export const mapped = (param: Param, f: (v: number) => number): Param => ({
  ...param,
  mixed: true,
  values: after(param.values, (v) => v.map(f)),
});

/** The same numbers under more leading dimensions of 1. */
export const leading = (param: Param, rank: number): Param =>
  param.dims.length >= rank ? param : { ...param, dims: [...new Array<number>(rank - param.dims.length).fill(1), ...param.dims] };

/** Drops leading 1s down to `rank`: the smallest legal shape keeps files tidy. */
export function trimmed(param: Param, rank: number): Param {
  let dims = param.dims;
  while (dims.length > rank && dims[0] === 1) dims = dims.slice(1);
  return dims === param.dims ? param : { ...param, dims };
}

/** Numbers of shape `dims` repeated along the axes on which `to` is longer. */
export function expand(values: Float64Array, dims: readonly number[], to: readonly number[]): Float64Array {
  let s: Spread = { dims, data: values };
  for (let i = 0; i < to.length; i++) s = stretch(s, i, to[i]);
  return s.data === values && s.data.length === sizeOf(to) ? values : s.data;
}

/** A spread as a bare vector of `size` when only `axis` varies, else undefined. */
export function vectorOn(by: Spread, axis: number, size: number): Float64Array | undefined {
  const axes = axesOf(by);
  if (axes.length > 1 || (axes.length === 1 && axes[0] !== axis)) return undefined;
  const only = numberOf(by);
  if (only !== undefined) return new Float64Array(size).fill(only);
  return by.data.length === size ? by.data : undefined;
}

/** True of a gain of one, or a shift of zero. */
export const isNeutral = (kind: Kind, by: Spread): boolean => (kind === "scale" ? isOne(by) : isZero(by));

/** The numbers of a param as a spread of its own rank. */
export const spreadOf = (param: Param): Spread => ({ dims: param.dims, data: param.values() });

/**
 * The state with a float attribute changed. Attributes are float32: one rounding, as any float32 constant gets; beside
 * tensors of float64 only what is exact will do.
 */
export function floatAttribute(at: RuleNode, state: NodeState, name: string, value: number): NodeState | Refused {
  const rounded = Math.fround(value);
  const error = Math.abs(rounded - value);
  const double = at.facts.of(at.node.inputs[0]).dtype === 11;
  if (!Number.isFinite(rounded)) return refuse("storage-overflow", `would overflow its attribute ${name}`, { facts: { value } });
  if (error > (double ? 0 : 2 ** -24 * Math.abs(value)))
    return refuse("storage-precision", `cannot hold ${value} in its attribute ${name} precisely enough`, { facts: { value } });
  return withAttribute(state, name, { float: value });
}
