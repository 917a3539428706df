/**
 * Numbers spread over the axes of a tensor: the coefficients of a diagonal affine map `y = scale ⊙ x + shift`.
 * A spread has the tensor's rank; each of its dimensions is 1 (the same number all along that axis) or the tensor's own
 * size. A per-channel vector of an NCHW tensor is [1, C, 1, 1]; a per-tensor number is all ones. All arithmetic is float64.
 */
export interface Spread {
  readonly dims: readonly number[];
  /** Row-major, product(dims) elements. */
  readonly data: Float64Array;
}

const count = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

/** The size of an axis on which two tensors are broadcast together: 1 gives way to the other size, 0 included. */
export const together = (d: number, other: number): number => (d === 1 ? other : d);

/** One number for the whole tensor. */
export const uniform = (rank: number, value: number): Spread => ({ dims: new Array(rank).fill(1), data: Float64Array.of(value) });

/** One number per position of `axis`. */
export function along(rank: number, axis: number, data: Float64Array): Spread {
  const dims = new Array<number>(rank).fill(1);
  dims[axis] = data.length;
  return { dims, data };
}

/** Axes on which the spread has more than one number. */
export const axesOf = (s: Spread): number[] => s.dims.flatMap((d, i) => (d === 1 ? [] : [i]));

/** The single number of a uniform spread, else undefined. */
export const numberOf = (s: Spread): number | undefined => (s.data.length === 1 ? s.data[0] : undefined);

/** True where a spread can be broadcast to a tensor of these dimensions. */
export const fitsInto = ({ dims: own }: Spread, dims: readonly number[]): boolean =>
  own.length === dims.length && own.every((d, i) => d === 1 || d === dims[i]);

// Loops, and no methods of typed arrays: their callbacks are never inlined, and each number they hand over is an object.
export function every({ data }: Spread, test: (v: number) => boolean): boolean {
  for (let i = 0; i < data.length; i++) if (!test(data[i])) return false;
  return true;
}

export const isZero = (s: Spread): boolean => every(s, (v) => v === 0);
export const isOne = (s: Spread): boolean => every(s, (v) => v === 1);

export function map({ dims, data }: Spread, f: (v: number) => number): Spread {
  const made = new Float64Array(data.length);
  for (let i = 0; i < data.length; i++) made[i] = f(data[i]);
  return { dims, data: made };
}

/** First position whose number fails the test, for messages; -1 when none does. */
export const firstFailing = (s: Spread, test: (v: number) => boolean): number => s.data.findIndex((v) => !test(v));

/** A stretch of n numbers of the result, from `at` on: of the operands from `i` and `j` on, in steps of 1, or of 0 where one number stands for all. */
type Stretch = (
  out: Float64Array,
  at: number,
  n: number,
  a: Float64Array,
  i: number,
  di: number,
  b: Float64Array,
  j: number,
  dj: number,
) => void;

const multiplied: Stretch = (out, at, n, a, i, di, b, j, dj) => {
  for (let k = 0; k < n; k++) out[at + k] = a[i + k * di] * b[j + k * dj];
};
const added: Stretch = (out, at, n, a, i, di, b, j, dj) => {
  for (let k = 0; k < n; k++) out[at + k] = a[i + k * di] + b[j + k * dj];
};

/** Element-wise combination of two spreads of one rank; dimensions broadcast. */
export const combine = (a: Spread, b: Spread, f: (x: number, y: number) => number): Spread =>
  stretched(a, b, (out, at, n, x, i, di, y, j, dj) => {
    for (let k = 0; k < n; k++) out[at + k] = f(x[i + k * di], y[j + k * dj]);
  });

/** Axes that broadcast alike are walked as one; the last such group is a stretch. */
function stretched(a: Spread, b: Spread, stretch: Stretch): Spread {
  const dims = a.dims.map((d, i) => together(d, b.dims[i]));
  const data = new Float64Array(count(dims));
  const groups: { n: number; da: number; db: number }[] = [];
  const [sa, sb] = [steps(a.dims), steps(b.dims)];
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    const [n, da, db] = [dims[axis], sa[axis], sb[axis]];
    if (n === 1) continue;
    const last = groups.at(-1);
    const alike = last !== undefined && (da === 0) === (last.da === 0) && (db === 0) === (last.db === 0);
    if (alike) last.n *= n;
    else groups.push({ n, da, db });
  }
  const [inner = { n: 1, da: 1, db: 1 }, ...outer] = groups;
  const index = new Array<number>(outer.length).fill(0);
  let [i, j] = [0, 0];
  for (let at = 0; at < data.length; at += inner.n) {
    stretch(data, at, inner.n, a.data, i, inner.da, b.data, j, inner.db);
    for (let g = 0; g < outer.length; g++) {
      const { n, da, db } = outer[g];
      i += da;
      j += db;
      if (++index[g] < n) break;
      i -= da * n;
      j -= db * n;
      index[g] = 0;
    }
  }
  return { dims, data };
}

/** Strides with 0 on broadcast axes. */
function steps(dims: readonly number[]): number[] {
  const out = new Array<number>(dims.length);
  let n = 1;
  for (let i = dims.length - 1; i >= 0; i--) {
    out[i] = dims[i] === 1 ? 0 : n;
    n *= dims[i];
  }
  return out;
}

export const times = (a: Spread, b: Spread): Spread => stretched(a, b, multiplied);
export const plus = (a: Spread, b: Spread): Spread => stretched(a, b, added);
export const negate = (a: Spread): Spread => map(a, (v) => -v);
export const invert = (a: Spread): Spread => map(a, (v) => 1 / v);

/** Drops axes along which the number never changes: equal coefficients are found equal, however they were spread. */
export function simplify(s: Spread): Spread {
  let out = s;
  for (const axis of axesOf(s)) {
    const [outer, n, inner] = blocks(out.dims, axis);
    const { data } = out;
    let flat = n > 0;
    for (let o = 0; flat && o < outer; o++) {
      for (let k = 1; flat && k < n; k++) {
        for (let i = 0; i < inner; i++) {
          if (data[(o * n + k) * inner + i] !== data[o * n * inner + i]) {
            flat = false;
            break;
          }
        }
      }
    }
    if (flat) out = take(out, axis, [0]);
  }
  return out;
}

/** Row-major block sizes around an axis: [elements before, the axis, elements after]. */
export const blocks = (dims: readonly number[], axis: number): [number, number, number] => [
  count(dims.slice(0, axis)),
  dims[axis],
  count(dims.slice(axis + 1)),
];

/** The numbers at `indices` of an axis. */
export function take(s: Spread, axis: number, indices: readonly number[]): Spread {
  const [outer, n, inner] = blocks(s.dims, axis);
  const dims = s.dims.with(axis, indices.length);
  const data = new Float64Array(count(dims));
  for (let o = 0, to = 0; o < outer; o++) {
    for (const k of indices) {
      for (let from = (o * n + k) * inner, end = from + inner; from < end; from++) data[to++] = s.data[from];
    }
  }
  return { dims, data };
}

/** The spread with its axis stretched to `size` positions (it must have one number there). */
export function stretch(s: Spread, axis: number, size: number): Spread {
  return s.dims[axis] === size ? s : take(s, axis, new Array(size).fill(0));
}

/** Axis `i` of the result is axis `perm[i]` of the input. */
export function permute(s: Spread, perm: readonly number[]): Spread {
  const dims = perm.map((p) => s.dims[p]);
  const from = steps(s.dims);
  return gather(
    dims,
    perm.map((p) => from[p]),
    s.data,
  );
}

function gather(dims: readonly number[], strides: readonly number[], source: Float64Array): Spread {
  const data = new Float64Array(count(dims));
  const index = new Array<number>(dims.length).fill(0);
  let at = 0;
  for (let k = 0; k < data.length; k++) {
    data[k] = source[at];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < dims[axis]) break;
      at -= strides[axis] * dims[axis];
      index[axis] = 0;
    }
  }
  return { dims, data };
}

/** Joins spreads along `axis`, each stretched to its size there. */
export function join(list: readonly Spread[], axis: number, sizes: readonly number[]): Spread {
  const rank = list[0].dims.length;
  const others = Array.from({ length: rank }, (_, i) =>
    i === axis ? 1 : list.reduce((size, s) => together(size, s.dims[i]), 1),
  );
  const full = list.map((s, k) => {
    let out = s;
    for (let i = 0; i < rank; i++) out = stretch(out, i, i === axis ? sizes[k] : others[i]);
    return out;
  });
  const dims = others.with(
    axis,
    sizes.reduce((a, b) => a + b, 0),
  );
  const data = new Float64Array(count(dims));
  const [outer, total, inner] = blocks(dims, axis);
  let offset = 0;
  for (const [k, s] of full.entries()) {
    const width = sizes[k] * inner;
    for (let o = 0; o < outer; o++) data.set(s.data.subarray(o * width, (o + 1) * width), o * total * inner + offset);
    offset += width;
  }
  return { dims, data };
}

/**
 * A spread over several axes as a product of spreads over one axis each, exact to `noise` of each number; undefined where it is none.
 * Its first factor carries the size.
 */
export function factors(s: Spread, noise: number): Spread[] | undefined {
  const axes = axesOf(s);
  const at = s.data.reduce((best, v, i) => (Math.abs(v) > Math.abs(s.data[best]) ? i : best), 0);
  const pivot = s.data[at];
  if (axes.length < 2 || !Number.isFinite(pivot) || pivot === 0) return undefined;
  const found = axes.map((axis, n) => {
    const [, size, inner] = blocks(s.dims, axis);
    const first = at - (Math.floor(at / inner) % size) * inner;
    const line = Float64Array.from({ length: size }, (_, k) => s.data[first + k * inner] / (n === 0 ? 1 : pivot));
    return along(s.dims.length, axis, line);
  });
  const apart = combine(found.reduce(times), s, (x, y) => Math.abs(x - y) - noise * Math.abs(y));
  return every(apart, (v) => v <= 0) ? found : undefined;
}

export function sameSpread(a: Spread, b: Spread): boolean {
  const [x, y] = [simplify(a), simplify(b)];
  if (x.dims.length !== y.dims.length || x.dims.some((d, i) => d !== y.dims[i])) return false;
  for (let i = 0; i < x.data.length; i++) if (x.data[i] !== y.data[i]) return false;
  return true;
}

/**
 * A constant operand of a broadcasting operator as a spread over a tensor of rank `rank`: right-aligned, as ONNX does.
 * Undefined when the operand has more axes than the tensor (the result would have another rank).
 */
export function operand(data: Float64Array, dims: readonly number[], rank: number): Spread | undefined {
  const extra = dims.length - rank;
  if (extra > 0) return undefined;
  return simplify({ dims: [...new Array<number>(-extra).fill(1), ...dims], data });
}

/** values ⊙ spread, in place; `dims` are those of `values`, every spread dimension is 1 or equal. */
export function scaleInPlace(values: Float64Array, dims: readonly number[], by: Spread): Float64Array {
  const only = numberOf(by);
  if (only !== undefined) {
    for (let i = 0; i < values.length; i++) values[i] *= only;
    return values;
  }
  const axes = axesOf(by);
  const [first, last] = [axes[0], axes[axes.length - 1]];
  const inner = count(dims.slice(last + 1));
  // Between its first and last axis the spread is filled out, so that one run of numbers covers the block.
  let block = by;
  for (let axis = first; axis <= last; axis++) block = stretch(block, axis, dims[axis]);
  const { data } = block;
  for (let base = 0; base < values.length; ) {
    if (inner === 1) {
      for (let k = 0; k < data.length; k++) values[base++] *= data[k];
      continue;
    }
    for (let k = 0; k < data.length; k++) {
      const factor = data[k];
      for (const end = base + inner; base < end; base++) values[base] *= factor;
    }
  }
  return values;
}
