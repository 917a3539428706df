/**
 * Index arithmetic shared by the operators: NumPy broadcasting, axes, strided copies.
 *
 * Broadcasting: shapes are aligned at their last axis; two sizes agree when they are equal or one is 1. An operand steps by
 * 0 along an axis it is stretched over. Neighbouring axes over which every operand moves alike are merged first, so equal
 * shapes, scalars and trailing vectors all become one or two plain loops.
 */
import { BnfoldError } from "../diag/error.ts";
import { type DType, dtypeInfo } from "../onnx/dtype.ts";
import { allocate, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";

export type NumericArray = Exclude<Tensor["data"], readonly string[]>;

export const show = (dims: readonly number[]): string => `[${dims.join(", ")}]`;

/** The common shape of all operands. */
export function broadcastDims(...shapes: readonly (readonly number[])[]): number[] {
  const rank = shapes.reduce((most, s) => Math.max(most, s.length), 0);
  const out = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    const skip = rank - shape.length;
    for (let i = 0; i < shape.length; i++) {
      const d = shape[i];
      if (d === 1 || d === out[skip + i]) continue;
      if (out[skip + i] !== 1)
        throw new BnfoldError("model", `shapes ${shapes.map(show).join(" and ")} cannot be broadcast together`);
      out[skip + i] = d;
    }
  }
  return out;
}

/** Strides of an operand of shape `dims` walked over `out`: 0 where it is stretched. */
export function broadcastStrides(dims: readonly number[], out: readonly number[]): number[] {
  const own = stridesOf(dims);
  const skip = out.length - dims.length;
  return out.map((_, i) => (i < skip || dims[i - skip] === 1 ? 0 : own[i - skip]));
}

export interface Walk {
  readonly dims: readonly number[];
  /** Per operand, a stride per (merged) axis. */
  readonly strides: readonly (readonly number[])[];
}

/** Drops axes of size 1 and merges neighbours over which every operand moves alike. Never yields rank 0. */
export function merge(dims: readonly number[], strides: readonly (readonly number[])[]): Walk {
  const sizes: number[] = [];
  const steps: number[][] = strides.map(() => []);
  for (let i = 0; i < dims.length; i++) {
    if (dims[i] === 1) continue;
    const last = sizes.length - 1;
    if (last >= 0 && strides.every((s, k) => steps[k][last] === s[i] * dims[i])) {
      sizes[last] *= dims[i];
      strides.forEach((s, k) => {
        steps[k][last] = s[i];
      });
    } else {
      sizes.push(dims[i]);
      strides.forEach((s, k) => {
        steps[k].push(s[i]);
      });
    }
  }
  if (sizes.length === 0) {
    sizes.push(1);
    for (const s of steps) s.push(0);
  }
  return { dims: sizes, strides: steps };
}

/**
 * Calls `visit(at, offsets)` for each innermost run of the walk, in row-major order: `at` is the output position of its
 * first element, `offsets[k]` that of operand k. The run is `dims.at(-1)` long with steps `strides[k].at(-1)`.
 */
export function forEachRun(
  walk: Walk,
  visit: (at: number, offsets: readonly number[]) => void,
  start: readonly number[] = [],
): void {
  const { dims, strides } = walk;
  const inner = dims[dims.length - 1];
  const total = sizeOf(dims);
  if (total === 0) return;
  const outer = dims.length - 1;
  const index = new Array<number>(outer).fill(0);
  const offsets = strides.map((_, k) => start[k] ?? 0);
  for (let at = 0; at < total; at += inner) {
    visit(at, offsets);
    for (let i = outer - 1; i >= 0; i--) {
      if (++index[i] < dims[i]) {
        for (let k = 0; k < offsets.length; k++) offsets[k] += strides[k][i];
        break;
      }
      index[i] = 0;
      for (let k = 0; k < offsets.length; k++) offsets[k] -= strides[k][i] * (dims[i] - 1);
    }
  }
}

export const isBig = (data: Tensor["data"]): data is BigInt64Array | BigUint64Array =>
  data instanceof BigInt64Array || data instanceof BigUint64Array;

const noBig = (dtype: DType) => new BnfoldError("operator", `the operation is not defined for ${dtype}`);

/**
 * `fn(x, y)` over the broadcast of two numeric tensors. 64-bit integers go through `big`, whose result is a bigint when
 * `dtype` is a 64-bit integer and a number otherwise (comparisons).
 */
export function binary(
  a: Tensor,
  b: Tensor,
  dtype: DType,
  fn: (x: number, y: number) => number,
  big?: (x: bigint, y: bigint) => bigint | number,
): Tensor {
  let f = fn;
  if (isBig(a.data) || isBig(b.data)) {
    if (big === undefined || !isBig(a.data) || !isBig(b.data)) throw noBig(isBig(a.data) ? a.dtype : b.dtype);
    f = big as unknown as typeof fn;
  }
  const dims = broadcastDims(a.dims, b.dims);
  const out = allocate(dtype, sizeOf(dims)) as Float64Array;
  const x = a.data as Float64Array;
  const y = b.data as Float64Array;
  const walk = merge(dims, [broadcastStrides(a.dims, dims), broadcastStrides(b.dims, dims)]);
  const n = walk.dims[walk.dims.length - 1];
  const sx = walk.strides[0][walk.dims.length - 1];
  const sy = walk.strides[1][walk.dims.length - 1];
  forEachRun(walk, (at, [ox, oy]) => {
    for (let i = 0, p = ox, q = oy; i < n; i++, p += sx, q += sy) out[at + i] = f(x[p], y[q]);
  });
  return { dtype, dims, data: out };
}

/** `fn(x)` element by element; 64-bit integers go through `big`. */
export function unary(a: Tensor, dtype: DType, fn: (x: number) => number, big?: (x: bigint) => bigint | number): Tensor {
  let f = fn;
  if (isBig(a.data)) {
    if (big === undefined) throw noBig(a.dtype);
    f = big as unknown as typeof fn;
  }
  const x = a.data as Float64Array;
  const out = allocate(dtype, x.length) as Float64Array;
  for (let i = 0; i < x.length; i++) out[i] = f(x[i]);
  return { dtype, dims: a.dims, data: out };
}

/** Elements of `data` that make one tensor element: two for complex numbers. */
export const lanes = (dtype: DType): number => (dtypeInfo(dtype).holder === "complex" ? 2 : 1);

/** Blank data of the kind of `data` (a Float32Array stays one), for `n` elements of `data`. */
export function blankLike(data: Tensor["data"], n: number): NumericArray | string[] {
  if (Array.isArray(data)) return new Array<string>(n).fill("");
  return new (data.constructor as new (n: number) => NumericArray)(n);
}

/** Blank data for `n` elements of `dtype`, strings included. */
export function blank(dtype: DType, n: number): NumericArray | string[] {
  return dtypeInfo(dtype).holder === "string" ? new Array<string>(n).fill("") : allocate(dtype, n);
}

/** Copies `from[start, start + n)` to `to` at `at`, whatever they hold. */
export function copyRun(to: NumericArray | string[], at: number, from: Tensor["data"], start: number, n: number): void {
  if (n >= 16 && !Array.isArray(to)) {
    (to as Float64Array).set((from as Float64Array).subarray(start, start + n), at);
    return;
  }
  const target = to as unknown[];
  for (let i = 0; i < n; i++) target[at + i] = from[start + i];
}

/**
 * The tensor of shape `dims` whose element i reads `source` at `offset + Σ i·strides` (strides in elements, possibly 0 or
 * negative): transposition, slicing, expansion and tiling are all this copy.
 */
export function strided(source: Tensor, dims: readonly number[], strides: readonly number[], offset = 0): Tensor {
  const wide = lanes(source.dtype);
  if (wide > 1) {
    const parts = { dtype: "float64", dims: [...source.dims, wide], data: source.data } as const;
    const copy = strided(parts, [...dims, wide], [...strides.map((s) => s * wide), 1], offset * wide);
    return { dtype: source.dtype, dims, data: copy.data };
  }
  const { data } = source;
  const out = blankLike(data, sizeOf(dims));
  const walk = merge(dims, [strides]);
  if (turned(out, data, walk, offset)) return { dtype: source.dtype, dims, data: out };
  const n = walk.dims[walk.dims.length - 1];
  const step = walk.strides[0][walk.dims.length - 1];
  const visit =
    step === 1
      ? (at: number, [from]: readonly number[]) => copyRun(out, at, data, from, n)
      : (at: number, [from]: readonly number[]) => {
          const target = out as unknown[];
          for (let i = 0, p = from; i < n; i++, p += step) target[at + i] = data[p];
        };
  forEachRun(walk, visit, [offset]);
  return { dtype: source.dtype, dims, data: out };
}

/** Side of the squares in which matrices are turned: their lines stay in a processor's own cache. */
const SQUARE = 32;

/** A matrix of `rows` × `cols` of `out` from where it lies otherwise in `from`. */
interface Turn {
  readonly at: number;
  readonly start: number;
  readonly rows: number;
  readonly cols: number;
  readonly down: number;
  readonly right: number;
}

/** Copies whose innermost axis is not that of the source, of float numbers; false where it is none. */
function turned(out: Tensor["data"], from: Tensor["data"], { dims, strides }: Walk, offset: number): boolean {
  const axes = dims.length;
  if (axes < 2 || strides[0][axes - 1] <= 1 || !isFloats(out) || !isFloats(from)) return false;
  const [rows, cols] = [dims[axes - 2], dims[axes - 1]];
  if (rows < 4 || cols < 4) return false;
  const [down, right] = [strides[0][axes - 2], strides[0][axes - 1]];
  // Each run of the outer axes is one matrix.
  const outer = { dims: [...dims.slice(0, -2), rows * cols], strides: [[...strides[0].slice(0, -2), 0]] };
  forEachRun(outer, (at, [start]) => turn(out, from, { at, start, rows, cols, down, right }), [offset]);
  return true;
}

type Floats = Float32Array | Float64Array;

const isFloats = (data: Tensor["data"]): data is Floats => data instanceof Float32Array || data instanceof Float64Array;

function turn(out: Floats, from: Floats, { at, start, rows, cols, down, right }: Turn): void {
  for (let top = 0; top < rows; top += SQUARE) {
    for (let left = 0; left < cols; left += SQUARE) {
      const [bottom, end] = [Math.min(rows, top + SQUARE), Math.min(cols, left + SQUARE)];
      for (let r = top; r < bottom; r++)
        for (let c = left, p = start + r * down + c * right; c < end; c++, p += right) out[at + r * cols + c] = from[p];
    }
  }
}

/** The tensor stretched to `dims`; itself when nothing changes. */
export function broadcastTo(tensor: Tensor, dims: readonly number[]): Tensor {
  if (tensor.dims.length === dims.length && tensor.dims.every((d, i) => d === dims[i])) return tensor;
  return strided(tensor, dims, broadcastStrides(tensor.dims, dims));
}

/** The same elements under another shape; memory is shared. */
export function withDims(tensor: Tensor, dims: readonly number[]): Tensor {
  return { dtype: tensor.dtype, dims, data: tensor.data };
}

/** Axes permuted as in NumPy's transpose: axis i of the result is axis `perm[i]` of the operand. */
export function transpose(tensor: Tensor, perm: readonly number[]): Tensor {
  const strides = stridesOf(tensor.dims);
  return strided(
    tensor,
    perm.map((p) => tensor.dims[p]),
    perm.map((p) => strides[p]),
  );
}

/** An axis in [−rank, rank) as one in [0, rank). */
export function normalizeAxis(axis: number, rank: number): number {
  const out = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(out) || out < 0 || out >= rank) {
    throw new BnfoldError("model", `axis ${axis} is outside [${-rank}, ${rank - 1}] of a rank-${rank} tensor`);
  }
  return out;
}

export function normalizeAxes(axes: readonly number[], rank: number): number[] {
  const out = axes.map((a) => normalizeAxis(a, rank));
  if (new Set(out).size !== out.length) throw new BnfoldError("model", `axes ${show(axes)} name one axis twice`);
  return out;
}

export interface AxisSplit {
  /** Elements before, along and after the axis: element (o, i, k) stands at (o·n + i)·inner + k. */
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
}

/** `dims` seen as [outer, n, inner] around an axis (already normalised). */
export function splitAt(dims: readonly number[], axis: number): AxisSplit {
  return { outer: sizeOf(dims.slice(0, axis)), n: dims[axis], inner: sizeOf(dims.slice(axis + 1)) };
}
