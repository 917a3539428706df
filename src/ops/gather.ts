/** Gather and scatter by index: Gather, GatherElements, GatherND, Scatter*, TensorScatter, OneHot. */
import { asNumbers, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { blankLike, copyRun, normalizeAxis, show, splitAt, withDims } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { takeAxis } from "./slice.ts";

/** Indices in [−n, n) as ones in [0, n). */
function checked(context: OpContext, indices: Tensor, n: number): number[] {
  return asNumbers(indices).map((i) => {
    if (i < -n || i >= n) throw context.fail(`index ${i} is outside [${-n}, ${n - 1}]`);
    return i < 0 ? i + n : i;
  });
}

function gather(context: OpContext, input: Tensor, indices: Tensor): Tensor {
  const axis = normalizeAxis(context.int("axis", 0), input.dims.length);
  const taken = takeAxis(input, axis, checked(context, indices, input.dims[axis]));
  return withDims(taken, [...input.dims.slice(0, axis), ...indices.dims, ...input.dims.slice(axis + 1)]);
}

/** For every element of `indices`, the position in `dims` it points at: its own coordinates with the axis replaced. */
function elementPositions(context: OpContext, dims: readonly number[], indices: Tensor, axis: number): Float64Array {
  const rank = dims.length;
  if (indices.dims.length !== rank || indices.dims.some((d, i) => i !== axis && d > dims[i])) {
    throw context.fail(`indices of shape ${show(indices.dims)} do not fit into ${show(dims)}`);
  }
  const at = checked(context, indices, dims[axis]);
  const strides = stridesOf(dims);
  const own = stridesOf(indices.dims);
  const out = new Float64Array(at.length);
  for (let i = 0; i < at.length; i++) {
    let rest = i;
    let to = at[i] * strides[axis];
    for (let k = 0; k < rank; k++) {
      const c = Math.floor(rest / own[k]);
      rest -= c * own[k];
      if (k !== axis) to += c * strides[k];
    }
    out[i] = to;
  }
  return out;
}

function gatherElements(context: OpContext, input: Tensor, indices: Tensor): Tensor {
  const axis = normalizeAxis(context.int("axis", 0), input.dims.length);
  const at = elementPositions(context, input.dims, indices, axis);
  const data = blankLike(input.data, at.length) as unknown[];
  for (let i = 0; i < at.length; i++) data[i] = input.data[at[i]];
  return { dtype: input.dtype, dims: indices.dims, data: data as unknown as Tensor["data"] };
}

/** Start of the slice each index tuple names, and the size of a slice; tuples index the axes after `batch`. */
function slicePositions(
  context: OpContext,
  dims: readonly number[],
  indices: Tensor,
  batch: number,
): { at: number[]; size: number } {
  const width = indices.dims[indices.dims.length - 1];
  if (indices.dims.length === 0 || batch + width > dims.length) {
    throw context.fail(`indices of shape ${show(indices.dims)} do not fit into rank ${dims.length}`);
  }
  const values = asNumbers(indices);
  const strides = stridesOf(dims);
  const tuples = sizeOf(indices.dims.slice(0, -1));
  const batches = sizeOf(dims.slice(0, batch));
  const perBatch = tuples / batches;
  const size = sizeOf(dims.slice(batch + width));
  const at = Array.from({ length: tuples }, (_, t) => {
    let to = batches === 1 ? 0 : Math.floor(t / perBatch) * sizeOf(dims.slice(batch));
    for (let k = 0; k < width; k++) {
      const n = dims[batch + k];
      const i = values[t * width + k];
      if (i < -n || i >= n) throw context.fail(`index ${i} is outside [${-n}, ${n - 1}]`);
      to += (i < 0 ? i + n : i) * strides[batch + k];
    }
    return to;
  });
  return { at, size };
}

function gatherND(context: OpContext, input: Tensor, indices: Tensor): Tensor {
  const batch = context.int("batch_dims", 0);
  const { at, size } = slicePositions(context, input.dims, indices, batch);
  const data = blankLike(input.data, at.length * size);
  for (let t = 0; t < at.length; t++) copyRun(data, t * size, input.data, at[t], size);
  const width = indices.dims[indices.dims.length - 1];
  return { dtype: input.dtype, dims: [...indices.dims.slice(0, -1), ...input.dims.slice(batch + width)], data };
}

type Reduce = (old: never, update: never) => unknown;

const reductions: Record<string, Reduce> = {
  none: (_: unknown, y: unknown) => y,
  add: (x: number, y: number) => x + y,
  mul: (x: number, y: number) => x * y,
  min: (x: number, y: number) => (Number.isNaN(x) || x < y ? x : y),
  max: (x: number, y: number) => (Number.isNaN(x) || x > y ? x : y),
};

function reduction(context: OpContext): (old: unknown, update: unknown) => unknown {
  const name = context.string("reduction", "none");
  const found = reductions[name];
  if (found === undefined) throw context.fail(`the reduction "${name}" does not exist`);
  return found as (old: unknown, update: unknown) => unknown;
}

const copyOf = (data: Tensor["data"]) => (data as Float64Array).slice() as unknown as unknown[];

function scatterElements(context: OpContext, input: Tensor, indices: Tensor, updates: Tensor): Tensor {
  const axis = normalizeAxis(context.int("axis", 0), input.dims.length);
  const at = elementPositions(context, input.dims, indices, axis);
  if (updates.data.length !== at.length) throw context.fail("indices and updates differ in shape");
  const reduce = reduction(context);
  const data = copyOf(input.data);
  for (let i = 0; i < at.length; i++) data[at[i]] = reduce(data[at[i]], updates.data[i]);
  return { ...input, data: data as unknown as Tensor["data"] };
}

function scatterND(context: OpContext, input: Tensor, indices: Tensor, updates: Tensor): Tensor {
  const { at, size } = slicePositions(context, input.dims, indices, 0);
  if (updates.data.length !== at.length * size) throw context.fail("updates do not have the shape that the indices ask for");
  const reduce = reduction(context);
  const data = copyOf(input.data);
  at.forEach((to, t) => {
    for (let k = 0; k < size; k++) data[to + k] = reduce(data[to + k], updates.data[t * size + k]);
  });
  return { ...input, data: data as unknown as Tensor["data"] };
}

/** Writes `update` into the cache along the sequence axis, from `write_indices[b]` on in batch b. */
function tensorScatter(context: OpContext, cache: Tensor, update: Tensor, writes?: Tensor): Tensor {
  const axis = normalizeAxis(context.int("axis", -2), cache.dims.length);
  if (axis === 0) throw context.fail("the axis cannot be the batch axis");
  const circular = context.string("mode", "linear") === "circular";
  const { outer, n, inner } = splitAt(cache.dims, axis);
  const steps = update.dims[axis];
  const perBatch = outer / cache.dims[0];
  const starts = writes === undefined ? undefined : asNumbers(writes);
  const data = copyOf(cache.data);
  for (let o = 0; o < outer; o++) {
    const start = starts?.[Math.floor(o / perBatch)] ?? 0;
    if (!circular && (start < 0 || start + steps > n)) throw context.fail(`writing ${steps} steps from ${start} runs past ${n}`);
    for (let s = 0; s < steps; s++) {
      const to = (o * n + ((start + s) % n)) * inner;
      for (let k = 0; k < inner; k++) data[to + k] = update.data[(o * steps + s) * inner + k];
    }
  }
  return { ...cache, data: data as unknown as Tensor["data"] };
}

/** `values` = [off, on]; an index outside [−depth, depth) makes a row of off values. */
function oneHot(context: OpContext, indices: Tensor, depthTensor: Tensor, values: Tensor): Tensor {
  const depth = Math.trunc(Number(depthTensor.data[0]));
  const rank = indices.dims.length + 1;
  const axis = normalizeAxis(context.int("axis", -1), rank);
  const dims = [...indices.dims.slice(0, axis), depth, ...indices.dims.slice(axis)];
  const { outer, inner } = splitAt(dims, axis);
  const data = blankLike(values.data, sizeOf(dims)) as unknown[];
  data.fill(values.data[0]);
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      const raw = Math.trunc(Number(indices.data[o * inner + k]));
      const i = raw < 0 ? raw + depth : raw;
      if (i >= 0 && i < depth) data[(o * depth + i) * inner + k] = values.data[1];
    }
  }
  return { dtype: values.dtype, dims, data: data as unknown as Tensor["data"] };
}

export const gatherOps: readonly OpDef[] = [
  tensorOp("Gather", 1, 2, (context, input, indices) => [gather(context, input, indices)]),
  tensorOp("GatherElements", 11, 2, (context, input, indices) => [gatherElements(context, input, indices)]),
  tensorOp("GatherND", 11, 2, (context, input, indices) => [gatherND(context, input, indices)]),
  tensorOp("Scatter", 9, 3, (context, input, indices, updates) => [scatterElements(context, input, indices, updates)]),
  tensorOp("ScatterElements", 11, 3, (context, input, indices, updates) => [scatterElements(context, input, indices, updates)]),
  tensorOp("ScatterND", 11, 3, (context, input, indices, updates) => [scatterND(context, input, indices, updates)]),
  tensorOp("TensorScatter", 24, 2, (context, cache, update, writes) => [tensorScatter(context, cache, update, writes)]),
  tensorOp("OneHot", 9, 3, (context, indices, depth, values) => [oneHot(context, indices, depth, values)]),
];
