/**
 * A linear operator on the channels of a tensor x [N, I, D1…Dn] that looks at a few neighbours:
 *
 *   y[n, o, p] = bias[o] + Σ_τ Σ_i M_τ[o, i] · x[n, q(o)·I/g + i, p·stride + τ]      x is zero outside
 *
 * with taps τ at integer offsets, a matrix M_τ [O, I/g] for each, and g groups. A convolution is such a map (offset =
 * tap·dilation − pad), and so are a per-channel gain, the identity and an average pool. Sums, per-channel maps of the output
 * and, where padding allows, compositions of such maps are such maps again: parallel branches become one convolution.
 *
 * `span` is what fixes the output size on every axis: size = ⌊(D + span) / stride⌋ + 1. Numbers are computed on demand, in
 * float64; what the map looks like is known without them.
 */
export interface LinearMap {
  readonly inputs: number;
  readonly outputs: number;
  readonly groups: number;
  readonly strides: readonly number[];
  readonly span: readonly number[];
  /** Distinct offsets, each of spatial rank n. */
  readonly offsets: readonly (readonly number[])[];
  /** Multiply-adds per output position of the operators it stands for. */
  readonly cost: number;
  /** False when the bias is known to be zero. */
  readonly biased: boolean;
  /** One matrix [O, I/g] per offset, in order. Fresh arrays. */
  matrices(): Float64Array[];
  /** [O]. Fresh. */
  bias(): Float64Array;
  /** Σ of absolute values of what was added up in each coefficient: the scale of float64 rounding. Fresh. */
  magnitudes(): Float64Array[];
  /** The same for the bias. Fresh. */
  biasMagnitude(): Float64Array;
}

export interface Misfit {
  readonly misfit: string;
}

export const isMisfit = (x: object): x is Misfit => "misfit" in x;

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((v, i) => v === b[i]);
const zeros = (n: number): number[] => new Array<number>(n).fill(0);

/** x itself. */
export function identity(channels: number, rank: number): LinearMap {
  const ones = () => [new Float64Array(channels).fill(1)];
  return {
    inputs: channels,
    outputs: channels,
    groups: channels,
    strides: zeros(rank).map(() => 1),
    span: zeros(rank).map(() => -1),
    offsets: [zeros(rank)],
    cost: 0,
    biased: false,
    matrices: ones,
    magnitudes: ones,
    bias: () => new Float64Array(channels),
    biasMagnitude: () => new Float64Array(channels),
  };
}

export interface ConvSpec {
  /** [O, I/g, k…]. */
  readonly dims: readonly number[];
  readonly groups: number;
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begin of every axis, then end of every axis. */
  readonly pads: readonly number[];
  readonly weights: () => Float64Array;
  readonly bias: (() => Float64Array) | undefined;
}

/** Every position of a kernel, row-major. */
function positions(kernel: readonly number[]): number[][] {
  let list: number[][] = [[]];
  for (const k of kernel) list = list.flatMap((head) => Array.from({ length: k }, (_, i) => [...head, i]));
  return list;
}

/** [matrix, taps] → one matrix per tap. `w` may be handed on. */
function byTap(w: Float64Array, taps: number): Float64Array[] {
  if (taps === 1) return [w];
  const out = Array.from({ length: taps }, () => new Float64Array(w.length / taps));
  for (let tap = 0; tap < taps; tap++) {
    const to = out[tap];
    for (let m = 0, k = tap; m < to.length; m++, k += taps) to[m] = w[k];
  }
  return out;
}

/** In place. */
function absolute(x: Float64Array): Float64Array {
  for (let i = 0; i < x.length; i++) x[i] = Math.abs(x[i]);
  return x;
}

/** A convolution. */
export function convolution(spec: ConvSpec): LinearMap {
  const [outputs, inner, ...kernel] = spec.dims;
  const n = kernel.length;
  const taps = positions(kernel);
  const split = (w: Float64Array): Float64Array[] => byTap(w, taps.length);
  return {
    inputs: inner * spec.groups,
    outputs,
    groups: spec.groups,
    strides: spec.strides,
    span: kernel.map((k, a) => spec.pads[a] + spec.pads[a + n] - ((k - 1) * spec.dilations[a] + 1)),
    offsets: taps.map((tap) => tap.map((t, a) => t * spec.dilations[a] - spec.pads[a])),
    cost: outputs * inner * taps.length,
    biased: spec.bias !== undefined,
    matrices: () => split(spec.weights()),
    magnitudes: () => split(spec.weights()).map(absolute),
    bias: () => spec.bias?.() ?? new Float64Array(outputs),
    biasMagnitude: () => spec.bias?.().map(Math.abs) ?? new Float64Array(outputs),
  };
}

/** Mean over a window, channel by channel; the divisor is the whole window everywhere. */
export function averagePool(
  channels: number,
  kernel: readonly number[],
  window: Pick<ConvSpec, "strides" | "dilations" | "pads">,
): LinearMap {
  const size = kernel.reduce((a, b) => a * b, 1);
  const weights = () => new Float64Array(channels * size).fill(1 / size);
  return convolution({ ...window, dims: [channels, 1, ...kernel], groups: channels, weights, bias: undefined });
}

/** y = M·x + b on the last axis: a map without spatial axes. `matrix` gives [outputs, inputs]. */
export function linearLayer(
  outputs: number,
  inputs: number,
  matrix: () => Float64Array,
  bias: (() => Float64Array) | undefined,
): LinearMap {
  return convolution({ dims: [outputs, inputs], groups: 1, strides: [], dilations: [], pads: [], weights: matrix, bias });
}

/** s ⊙ map + t, per output channel. */
export function affine(m: LinearMap, s: Float64Array, t: Float64Array): LinearMap {
  const inner = m.inputs / m.groups;
  const scaled = (list: Float64Array[], factors: Float64Array): Float64Array[] => {
    for (const matrix of list) {
      for (let o = 0, k = 0; o < m.outputs; o++) {
        const factor = factors[o];
        for (const end = k + inner; k < end; k++) matrix[k] *= factor;
      }
    }
    return list;
  };
  return {
    ...m,
    biased: m.biased || t.some((v) => v !== 0),
    matrices: () => scaled(m.matrices(), s),
    magnitudes: () => scaled(m.magnitudes(), s.map(Math.abs)),
    bias: () => m.bias().map((b, o) => s[o] * b + t[o]),
    biasMagnitude: () => m.biasMagnitude().map((b, o) => Math.abs(s[o]) * b + Math.abs(t[o])),
  };
}

export const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));

/**
 * Adds factor times a matrix of a map to one for fewer, larger groups, [O, I/groups]: blocks on the diagonal. Rows stand `step`
 * apart, from `from` on.
 */
function addBlocks(
  to: Float64Array,
  matrix: Float64Array,
  m: LinearMap,
  groups: number,
  factor = 1,
  from = 0,
  step = m.inputs / groups,
): void {
  const inner = m.inputs / m.groups;
  const [mine, theirs] = [m.outputs / m.groups, m.outputs / groups];
  for (let o = 0, k = 0; o < m.outputs; o++) {
    const first = Math.floor(o / mine) * inner - Math.floor(o / theirs) * (m.inputs / groups);
    for (let at = from + o * step + first, end = at + inner; at < end; at++, k++) to[at] += factor * matrix[k];
  }
}

/** Offsets without repetition, and for each of the list its place among them. */
function distinct(list: readonly (readonly number[])[]): { offsets: (readonly number[])[]; slots: number[] } {
  const known = new Map<string, number>();
  const offsets: (readonly number[])[] = [];
  const slots = list.map((offset) => {
    const key = String(offset);
    const at = known.get(key) ?? offsets.length;
    if (at === offsets.length) {
      known.set(key, at);
      offsets.push(offset);
    }
    return at;
  });
  return { offsets, slots };
}

/** a + sign·b. Both must see the same tensor with the same strides and make the same sizes. */
export function add(a: LinearMap, b: LinearMap, sign = 1): LinearMap | Misfit {
  if (a.inputs !== b.inputs || a.outputs !== b.outputs)
    return { misfit: `${a.inputs}→${a.outputs} channels beside ${b.inputs}→${b.outputs}` };
  if (!same(a.strides, b.strides)) return { misfit: `strides [${a.strides}] beside [${b.strides}]` };
  if (!same(a.span, b.span)) return { misfit: "branches that make different sizes" };
  const groups = gcd(a.groups, b.groups);
  const { offsets, slots } = distinct([...a.offsets, ...b.offsets]);
  const total = (p: Float64Array[], q: Float64Array[], factor: number): Float64Array[] => {
    const out = new Array<Float64Array | undefined>(offsets.length);
    for (const [tap, matrix] of [...p, ...q].entries()) {
      const [map, f] = tap < p.length ? [a, 1] : [b, factor];
      const slot = slots[tap];
      // A matrix that is laid out like the sum becomes its first part.
      if (out[slot] === undefined && f === 1 && map.groups === groups) out[slot] = matrix;
      else {
        out[slot] ??= new Float64Array((a.outputs * a.inputs) / groups);
        addBlocks(out[slot], matrix, map, groups, f);
      }
    }
    return out as Float64Array[];
  };
  return {
    ...a,
    groups,
    offsets,
    cost: a.cost + b.cost,
    biased: a.biased || b.biased,
    matrices: () => total(a.matrices(), b.matrices(), sign),
    magnitudes: () => total(a.magnitudes(), b.magnitudes(), 1),
    bias: () => {
      const [p, q] = [a.bias(), b.bias()];
      return p.map((v, o) => v + sign * q[o]);
    },
    biasMagnitude: () => {
      const [p, q] = [a.biasMagnitude(), b.biasMagnitude()];
      return p.map((v, o) => v + q[o]);
    },
  };
}

/**
 * Adds M2·M1 to `to` [O, I/groups], for one pair of taps. A row of M1 stands for as many inputs as its own group has, so that
 * a map channel by channel costs no more than a gain.
 */
function multiply(
  to: Float64Array,
  outer: LinearMap,
  m2: Float64Array,
  inner: LinearMap,
  m1: Float64Array,
  groups: number,
): void {
  const [mid, narrow, wide] = [outer.inputs / outer.groups, inner.inputs / inner.groups, inner.inputs / groups];
  const [far, near, common] = [outer.outputs / outer.groups, inner.outputs / inner.groups, outer.outputs / groups];
  for (let o = 0; o < outer.outputs; o++) {
    const first = Math.floor(o / far) * mid;
    const base = (o - Math.floor(o / common)) * wide;
    for (let c = 0; c < mid; c++) {
      const factor = m2[o * mid + c];
      if (factor === 0) continue;
      let at = base + Math.floor((first + c) / near) * narrow;
      for (let k = (first + c) * narrow, end = k + narrow; k < end; k++, at++) to[at] += factor * m1[k];
    }
  }
}

/** Looks at one position only, without padding. */
const isPointwise = (m: LinearMap): boolean =>
  m.offsets.length === 1 && m.offsets[0].every((v) => v === 0) && m.span.every((v) => v === -1);

/** True when some window of the map reaches over the edge of its input, whatever the input's size. */
function isPadded({ offsets, span }: LinearMap): boolean {
  return span.some((s, a) => {
    const at = offsets.map((offset) => offset[a]);
    return Math.min(...at) < 0 || s > -1 - Math.max(...at);
  });
}

/** The same map without its bias: what it makes of a second summand. */
export const unbiased = (m: LinearMap): LinearMap => ({
  ...m,
  biased: false,
  bias: () => new Float64Array(m.outputs),
  biasMagnitude: () => new Float64Array(m.outputs),
});

/** Products of two windows beyond this many pairs of taps are not formed. */
const MAX_PAIRS = 256;

/**
 * outer ∘ inner: position p·s₂ + τ₂ of the inner output is position p·s₂·s₁ + τ₂·s₁ + τ₁ of the input. Exact where the outer map
 * never reaches over the edge of the inner output; also where the inner one looks at one position only, at stride 1, and has no
 * bias, so that it makes zeros of the zeros outside.
 *   size = ⌊(⌊(D + span₁)/s₁⌋ + 1 + span₂)/s₂⌋ + 1 = ⌊(D + span₁ + (1 + span₂)·s₁)/(s₁·s₂)⌋ + 1
 */
export function compose(outer: LinearMap, inner: LinearMap): LinearMap | Misfit {
  if (outer.inputs !== inner.outputs) return { misfit: "channels that do not fit" };
  if (isPadded(outer)) {
    const plain = isPointwise(inner) && inner.strides.every((v) => v === 1);
    if (!plain) return { misfit: "a padded window after another" };
    if (inner.biased) return { misfit: "a bias before a padded window" };
  }
  const [p, q] = [outer.offsets.length, inner.offsets.length];
  if (p > 1 && q > 1 && p * q > MAX_PAIRS) return { misfit: "windows of too many taps" };
  // Both are block-diagonal over as many blocks.
  const groups = gcd(outer.groups, inner.groups);
  const pairs = outer.offsets.flatMap((far) => inner.offsets.map((near) => far.map((v, a) => v * inner.strides[a] + near[a])));
  const { offsets, slots } = distinct(pairs);
  const product = (second: Float64Array[], first: Float64Array[]): Float64Array[] => {
    const out = offsets.map(() => new Float64Array((outer.outputs * inner.inputs) / groups));
    for (const [i, slot] of slots.entries()) multiply(out[slot], outer, second[Math.floor(i / q)], inner, first[i % q], groups);
    return out;
  };
  return {
    inputs: inner.inputs,
    outputs: outer.outputs,
    groups,
    strides: outer.strides.map((v, a) => v * inner.strides[a]),
    span: outer.span.map((v, a) => inner.span[a] + (1 + v) * inner.strides[a]),
    offsets,
    // The inner map is evaluated at every position the outer one can read.
    cost: outer.cost + inner.cost * outer.strides.reduce((n, v) => n * v, 1),
    biased: outer.biased || inner.biased,
    matrices: () => product(outer.matrices(), inner.matrices()),
    magnitudes: () => product(outer.magnitudes(), inner.magnitudes()),
    bias: () => through(outer, outer.matrices(), outer.bias(), inner.bias()),
    biasMagnitude: () => through(outer, outer.magnitudes(), outer.biasMagnitude(), inner.biasMagnitude()),
  };
}

/** out + Σ_τ M_τ·b: what a constant input adds to the bias where every tap sees it. */
function through(m: LinearMap, matrices: readonly Float64Array[], out: Float64Array, b: Float64Array): Float64Array {
  const mid = m.inputs / m.groups;
  for (const matrix of matrices) {
    for (let o = 0; o < m.outputs; o++) {
      const first = Math.floor(o / (m.outputs / m.groups)) * mid;
      for (let c = 0; c < mid; c++) out[o] += matrix[o * mid + c] * b[first + c];
    }
  }
  return out;
}

/** True for x, false for anything else; undefined for −x. Looks at numbers only where the shape allows it. */
export function isIdentity(m: LinearMap): boolean | undefined {
  if (!isPointwise(m) || m.groups !== m.inputs || m.inputs !== m.outputs || m.strides.some((v) => v !== 1)) return false;
  const [gains] = m.matrices();
  if (gains.every((v) => v === 1)) return true;
  return gains.every((v) => v === -1) ? undefined : false;
}

/** Offsets and groups over which several maps can be laid out. */
export interface Layout {
  readonly groups: number;
  readonly offsets: readonly (readonly number[])[];
}

/** A layout for two maps that may be compared tap by tap; a misfit when they cannot be equal. */
export function common(a: LinearMap, b: LinearMap): Layout | Misfit {
  const sum = add(a, b);
  return isMisfit(sum) ? sum : { groups: sum.groups, offsets: sum.offsets };
}

/** Coefficients of a map as rows [O, taps · I/g] over given offsets and groups. */
export function rowsOver(m: LinearMap, { groups, offsets }: Layout, matrices = m.matrices()): Float64Array {
  const inner = m.inputs / groups;
  const out = new Float64Array(m.outputs * offsets.length * inner);
  const at = new Map(offsets.map((offset, i) => [String(offset), i]));
  for (const [tap, matrix] of matrices.entries()) {
    const slot = at.get(String(m.offsets[tap])) as number;
    addBlocks(out, matrix, m, groups, 1, slot * inner, offsets.length * inner);
  }
  return out;
}
