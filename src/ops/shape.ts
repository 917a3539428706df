/** Operators that move elements without looking at them: Reshape, Transpose, Concat, Split, Expand, Tile and their kin. */
import { asNumbers, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import {
  blank,
  blankLike,
  broadcastDims,
  broadcastTo,
  copyRun,
  lanes,
  normalizeAxes,
  normalizeAxis,
  show,
  splitAt,
  strided,
  transpose,
  withDims,
} from "./broadcast.ts";
import { type OpContext, type OpDef, owning, tensorOp } from "./define.ts";

function reshape(context: OpContext, input: Tensor, shape: readonly number[]): Tensor {
  const keepZero = context.int("allowzero", 0) !== 0;
  const dims = shape.map((d, i) => {
    if (d !== 0 || keepZero) return d;
    if (i >= input.dims.length)
      throw context.fail(`the new shape ${show(shape)} copies axis ${i}, which the input does not have`);
    return input.dims[i];
  });
  const n = sizeOf(input.dims);
  const open = dims.indexOf(-1);
  if (open >= 0) {
    const rest = sizeOf(dims.filter((_, i) => i !== open));
    if (dims.lastIndexOf(-1) !== open || rest === 0 || n % rest !== 0)
      throw context.fail(`the shape ${show(shape)} does not fit`);
    dims[open] = n / rest;
  }
  if (sizeOf(dims) !== n || dims.some((d) => d < 0)) throw context.fail(`${n} elements do not fit into the shape ${show(shape)}`);
  return withDims(input, dims);
}

function flatten(context: OpContext, input: Tensor): Tensor {
  const rank = input.dims.length;
  const given = context.int("axis", 1);
  const axis = given < 0 ? given + rank : given;
  if (axis < 0 || axis > rank) throw context.fail(`axis ${given} is outside [${-rank}, ${rank}]`);
  return withDims(input, [sizeOf(input.dims.slice(0, axis)), sizeOf(input.dims.slice(axis))]);
}

function squeeze(context: OpContext, input: Tensor, given: readonly number[] | undefined): Tensor {
  const { dims } = input;
  const axes = given === undefined ? dims.flatMap((d, i) => (d === 1 ? i : [])) : normalizeAxes(given, dims.length);
  const wrong = axes.find((a) => dims[a] !== 1);
  if (wrong !== undefined) throw context.fail(`axis ${wrong} has size ${dims[wrong]}, expected 1`);
  return withDims(
    input,
    dims.filter((_, i) => !axes.includes(i)),
  );
}

function unsqueeze(context: OpContext, input: Tensor, given: readonly number[] | undefined): Tensor {
  if (given === undefined) throw context.fail("axes are missing");
  const rank = input.dims.length + given.length;
  const axes = new Set(normalizeAxes(given, rank));
  const rest = input.dims[Symbol.iterator]();
  return withDims(
    input,
    Array.from({ length: rank }, (_, i) => (axes.has(i) ? 1 : (rest.next().value as number))),
  );
}

function permute(context: OpContext, input: Tensor): Tensor {
  const rank = input.dims.length;
  const perm = context.ints("perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (perm.length !== rank || new Set(normalizeAxes(perm, rank)).size !== rank) {
    throw context.fail(`perm ${show(perm)} is no permutation of ${rank} axes`);
  }
  return transpose(input, normalizeAxes(perm, rank));
}

export function concat(inputs: readonly Tensor[], axis: number): Tensor {
  const [first] = inputs;
  const same = inputs.every(({ data }) => data.constructor === first.data.constructor);
  const n = inputs.reduce((sum, t) => sum + t.dims[axis], 0);
  const dims = first.dims.map((d, i) => (i === axis ? n : d));
  const width = lanes(first.dtype);
  const data = same ? blankLike(first.data, sizeOf(dims) * width) : blank(first.dtype, sizeOf(dims));
  const { outer, inner } = splitAt(dims, axis);
  let at = 0;
  for (const part of inputs) {
    const run = part.dims[axis] * inner * width;
    for (let o = 0; o < outer; o++) copyRun(data, o * n * inner * width + at, part.data, o * run, run);
    at += run;
  }
  return { dtype: first.dtype, dims, data };
}

/** Inputs of Concat and ConcatFromSequence, checked. */
export function checkedConcat(context: OpContext, inputs: readonly Tensor[], given: number): Tensor {
  if (inputs.length === 0) throw context.fail("there is nothing to concatenate");
  const [first] = inputs;
  const axis = normalizeAxis(given, first.dims.length);
  for (const { dims, dtype } of inputs) {
    if (dtype !== first.dtype || dims.length !== first.dims.length || dims.some((d, i) => i !== axis && d !== first.dims[i])) {
      throw context.fail(`inputs do not agree outside axis ${axis}`);
    }
  }
  return inputs.length === 1 ? first : concat(inputs, axis);
}

/** Pieces of the given sizes along an axis. */
export function split(input: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  const strides = stridesOf(input.dims);
  let start = 0;
  return sizes.map((size) => {
    const piece = strided(
      input,
      input.dims.map((d, i) => (i === axis ? size : d)),
      strides,
      start * strides[axis],
    );
    start += size;
    return piece;
  });
}

function splitOp(context: OpContext, input: Tensor, given: readonly number[] | undefined): Tensor[] {
  const axis = normalizeAxis(context.int("axis", 0), input.dims.length);
  const n = input.dims[axis];
  let sizes = given;
  if (sizes === undefined) {
    const parts = context.int("num_outputs", context.node.outputs.length);
    const size = Math.ceil(n / parts);
    if (context.version < 18 && n % parts !== 0)
      throw context.fail(`axis ${axis} of size ${n} does not split into ${parts} equal parts`);
    sizes = Array.from({ length: parts }, (_, i) => Math.max(0, Math.min(size, n - i * size)));
  }
  if (sizes.reduce((a, b) => a + b, 0) !== n || sizes.some((s) => s < 0)) {
    throw context.fail(`parts ${show(sizes)} do not add up to ${n}, the size of axis ${axis}`);
  }
  return split(input, axis, sizes);
}

function tile(context: OpContext, input: Tensor, repeats: readonly number[]): Tensor {
  if (repeats.length !== input.dims.length || repeats.some((r) => r < 0)) {
    throw context.fail(`repeats ${show(repeats)} do not fit rank ${input.dims.length}`);
  }
  const strides = stridesOf(input.dims);
  const copy = strided(
    input,
    input.dims.flatMap((d, i) => [repeats[i], d]),
    strides.flatMap((s) => [0, s]),
  );
  return withDims(
    copy,
    input.dims.map((d, i) => d * repeats[i]),
  );
}

/** Tile before opset 6: scalars `tiles` and `axis`. */
function tileOnce(context: OpContext, input: Tensor, tiles: Tensor, along: Tensor): Tensor {
  const axis = normalizeAxis(Number(along.data[0]), input.dims.length);
  return tile(
    context,
    input,
    input.dims.map((_, i) => (i === axis ? Number(tiles.data[0]) : 1)),
  );
}

function blocks(context: OpContext, input: Tensor): { n: number; c: number; h: number; w: number; b: number; crd: boolean } {
  if (input.dims.length !== 4) throw context.fail("the input must have rank 4");
  const [n, c, h, w] = input.dims;
  const b = context.int("blocksize", 0);
  if (b < 1) throw context.fail(`blocksize is ${b}`);
  return { n, c, h, w, b, crd: context.string("mode", "DCR") === "CRD" };
}

function depthToSpace(context: OpContext, input: Tensor): Tensor {
  const { n, c, h, w, b, crd } = blocks(context, input);
  const depth = c / (b * b);
  if (!Number.isInteger(depth)) throw context.fail(`${c} channels are not a multiple of ${b * b}`);
  const split = crd
    ? transpose(withDims(input, [n, depth, b, b, h, w]), [0, 1, 4, 2, 5, 3])
    : transpose(withDims(input, [n, b, b, depth, h, w]), [0, 3, 4, 1, 5, 2]);
  return withDims(split, [n, depth, h * b, w * b]);
}

function spaceToDepth(context: OpContext, input: Tensor): Tensor {
  const { n, c, h, w, b, crd } = blocks(context, input);
  if (h % b !== 0 || w % b !== 0) throw context.fail(`height ${h} and width ${w} are not multiples of ${b}`);
  const split = transpose(withDims(input, [n, c, h / b, b, w / b, b]), crd ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]);
  return withDims(split, [n, c * b * b, h / b, w / b]);
}

function trilu(context: OpContext, input: Tensor, diagonal?: Tensor): Tensor {
  const rank = input.dims.length;
  if (rank < 2) throw context.fail("the input must have rank 2 or more");
  const [rows, columns] = input.dims.slice(-2);
  const k = diagonal === undefined ? 0 : Number(diagonal.data[0]);
  const upper = context.int("upper", 1) !== 0;
  const { data } = input;
  const out = blankLike(data, data.length) as unknown[];
  for (let at = 0; at < data.length; at += columns) {
    const edge = ((at / columns) % rows) + k; // column of the diagonal in this row
    const from = upper ? Math.max(0, edge) : 0;
    const to = upper ? columns : Math.min(columns, edge + 1);
    for (let i = from; i < to; i++) out[at + i] = data[at + i];
  }
  return { ...input, data: out as unknown as Tensor["data"] };
}

const numbers = (tensor: Tensor | undefined) => (tensor === undefined ? undefined : asNumbers(tensor));

export const shapeOps: readonly OpDef[] = [
  { type: "Identity", since: 1, run: (_, [input]) => [input] },
  tensorOp("Reshape", 1, 1, (context, input) => [reshape(context, input, context.ints("shape") ?? [])]),
  tensorOp("Reshape", 5, 2, (context, input, shape) => [reshape(context, input, asNumbers(shape))]),
  tensorOp("Flatten", 1, 1, (context, input) => [flatten(context, input)]),
  tensorOp("Squeeze", 1, 1, (context, input) => [squeeze(context, input, context.ints("axes"))]),
  tensorOp("Squeeze", 13, 1, (context, input, axes) => [squeeze(context, input, numbers(axes))]),
  tensorOp("Unsqueeze", 1, 1, (context, input) => [unsqueeze(context, input, context.ints("axes"))]),
  tensorOp("Unsqueeze", 13, 2, (context, input, axes) => [unsqueeze(context, input, numbers(axes))]),
  tensorOp("Transpose", 1, 1, (context, input) => [permute(context, input)]),
  ...owning(tensorOp("Concat", 1, 1, (context, ...inputs) => [checkedConcat(context, inputs, context.int("axis", 1))])),
  tensorOp("Split", 1, 1, (context, input, sizes) => splitOp(context, input, numbers(sizes) ?? context.ints("split"))),
  tensorOp("Split", 13, 1, (context, input, sizes) => splitOp(context, input, numbers(sizes))),
  tensorOp("Expand", 8, 2, (_, input, shape) => [broadcastTo(input, broadcastDims(input.dims, asNumbers(shape)))]),
  tensorOp("Tile", 1, 3, (context, input, tiles, axis) => [tileOnce(context, input, tiles, axis)]),
  tensorOp("Tile", 6, 2, (context, input, repeats) => [tile(context, input, asNumbers(repeats))]),
  tensorOp("DepthToSpace", 1, 1, (context, input) => [depthToSpace(context, input)]),
  tensorOp("SpaceToDepth", 1, 1, (context, input) => [spaceToDepth(context, input)]),
  tensorOp("Trilu", 14, 1, (context, input, k) => [trilu(context, input, k)]),
];
