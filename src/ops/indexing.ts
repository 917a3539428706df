/** Operators that select by value: Where, NonZero, TopK, Unique, CumSum, CumProd, NonMaxSuppression. */
import { allocate, asFloat64, asNumbers, int64s, sizeOf, stridesOf, type Tensor } from "../onnx/tensor.ts";
import { blankLike, broadcastDims, broadcastTo, isBig, lanes, normalizeAxis, splitAt, withDims } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { takeAxis } from "./slice.ts";

function where(condition: Tensor, x: Tensor, y: Tensor): Tensor {
  const dims = broadcastDims(condition.dims, x.dims, y.dims);
  const [c, a, b] = [condition, x, y].map((t) => broadcastTo(t, dims).data);
  const same = a.constructor === b.constructor;
  const data = (same ? blankLike(a, a.length) : allocate(x.dtype, sizeOf(dims))) as unknown[];
  const width = lanes(x.dtype);
  for (let i = 0; i < c.length; i++) {
    const from = c[i] ? a : b;
    for (let k = i * width; k < (i + 1) * width; k++) data[k] = from[k];
  }
  return { dtype: x.dtype, dims, data: data as unknown as Tensor["data"] };
}

function nonZero(input: Tensor): Tensor {
  const { data, dims } = input;
  const found: number[] = [];
  for (let i = 0; i < data.length; i++) if (Number(data[i] === "" ? 0 : (data[i] as number)) !== 0) found.push(i);
  // A scalar counts as one axis of size 1.
  const strides = dims.length === 0 ? [1] : stridesOf(dims);
  const sizes = dims.length === 0 ? [1] : dims;
  const out = new BigInt64Array(sizes.length * found.length);
  strides.forEach((s, k) => {
    for (let i = 0; i < found.length; i++) out[k * found.length + i] = BigInt(Math.floor(found[i] / s) % sizes[k]);
  });
  return { dtype: "int64", dims: [sizes.length, found.length], data: out };
}

/** Order of numbers or strings, NaN last and equal to NaN. */
function ascending(a: number | bigint | string, b: number | bigint | string): number {
  if (a < b) return -1;
  if (a > b) return 1;
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
}

/** The k largest (or smallest) along an axis; of equal ones the lower index comes first, NaN counts as largest. */
function topK(context: OpContext, input: Tensor, k: number): [Tensor, Tensor] {
  const axis = normalizeAxis(context.int("axis", -1), input.dims.length);
  const { outer, n, inner } = splitAt(input.dims, axis);
  if (!(k >= 0 && k <= n)) throw context.fail(`k is ${k} but the axis has ${n} elements`);
  const sign = context.int("largest", 1) !== 0 ? -1 : 1;
  const { data } = input;
  const dims = input.dims.map((d, i) => (i === axis ? k : d));
  const values = blankLike(data, sizeOf(dims)) as unknown[];
  const indices = new BigInt64Array(sizeOf(dims));
  for (let o = 0; o < outer; o++) {
    for (let r = 0; r < inner; r++) {
      const at = (i: number) => data[(o * n + i) * inner + r] as number;
      const ranked = Array.from({ length: n }, (_, i) => i).sort((a, b) => sign * ascending(at(a), at(b)) || a - b);
      for (let i = 0; i < k; i++) {
        values[(o * k + i) * inner + r] = at(ranked[i]);
        indices[(o * k + i) * inner + r] = BigInt(ranked[i]);
      }
    }
  }
  return [
    { dtype: input.dtype, dims, data: values as unknown as Tensor["data"] },
    { dtype: "int64", dims, data: indices },
  ];
}

/** Distinct slices along an axis (or elements), their first positions, for each slice its number, and how often each occurs. */
function unique(context: OpContext, input: Tensor): Tensor[] {
  const whole = context.attribute("axis") === undefined;
  const flat = whole ? withDims(input, [sizeOf(input.dims)]) : input;
  const axis = whole ? 0 : normalizeAxis(context.int("axis", 0), input.dims.length);
  const { outer, n, inner } = splitAt(flat.dims, axis);
  const { data } = flat;
  const read = (i: number, e: number) => data[(Math.floor(e / inner) * n + i) * inner + (e % inner)] as number;
  const compare = (a: number, b: number) => {
    for (let e = 0; e < outer * inner; e++) {
      const order = ascending(read(a, e), read(b, e));
      if (order !== 0) return order;
    }
    return 0;
  };
  const ranked = Array.from({ length: n }, (_, i) => i).sort((a, b) => compare(a, b) || a - b);
  const groups: number[][] = [];
  ranked.forEach((i, at) => {
    if (at > 0 && compare(ranked[at - 1], i) === 0) groups[groups.length - 1].push(i);
    else groups.push([i]);
  });
  if (context.int("sorted", 1) === 0) groups.sort((a, b) => a[0] - b[0]);
  const inverse = new Array<number>(n);
  groups.forEach((group, g) => {
    for (const i of group) inverse[i] = g;
  });
  const first = groups.map((group) => group[0]);
  return [takeAxis(flat, axis, first), int64s(first), int64s(inverse), int64s(groups.map((group) => group.length))];
}

/** Running sum or product along an axis; `exclusive` leaves the element itself out, `reverse` runs from the end. */
function cumulative(context: OpContext, input: Tensor, axisTensor: Tensor, product: boolean): Tensor {
  const axis = normalizeAxis(asNumbers(axisTensor)[0], input.dims.length);
  const { outer, n, inner } = splitAt(input.dims, axis);
  const exclusive = context.int("exclusive", 0) !== 0;
  const reverse = context.int("reverse", 0) !== 0;
  const x = input.data as Float64Array;
  const out = allocate(input.dtype, x.length) as Float64Array;
  const unit = (isBig(input.data) ? BigInt(Number(product)) : Number(product)) as number;
  for (let o = 0; o < outer; o++) {
    for (let k = 0; k < inner; k++) {
      let total = unit;
      for (let i = 0; i < n; i++) {
        const at = (o * n + (reverse ? n - 1 - i : i)) * inner + k;
        if (exclusive) out[at] = total;
        total = product ? total * x[at] : total + x[at];
        if (!exclusive) out[at] = total;
      }
    }
  }
  return { dtype: input.dtype, dims: input.dims, data: out };
}

type Box = readonly [y1: number, x1: number, y2: number, x2: number];

function overlap(a: Box, b: Box): number {
  const height = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const width = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (height <= 0 || width <= 0) return 0;
  const common = height * width;
  const area = (box: Box) => (box[2] - box[0]) * (box[3] - box[1]);
  const union = area(a) + area(b) - common;
  return union <= 0 ? 0 : common / union;
}

/** Per batch and class: boxes by falling score, each dropped when it overlaps a kept one by more than the threshold. */
function nonMaxSuppression(context: OpContext, boxes: Tensor, scores: Tensor, ...limits: (Tensor | undefined)[]): Tensor {
  const [most, maxOverlap, minScore] = limits.map((t) => (t === undefined ? undefined : Number(t.data[0])));
  const [batches, n] = boxes.dims;
  const classes = scores.dims[1];
  const center = context.int("center_point_box", 0) !== 0;
  const b = asFloat64(boxes);
  const s = asFloat64(scores);
  const boxAt = (batch: number, i: number): Box => {
    const [p, q, r, t] = b.subarray((batch * n + i) * 4, (batch * n + i) * 4 + 4);
    if (center) return [q - t / 2, p - r / 2, q + t / 2, p + r / 2];
    return [Math.min(p, r), Math.min(q, t), Math.max(p, r), Math.max(q, t)];
  };
  const found: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    for (let c = 0; c < classes; c++) {
      const score = (i: number) => s[(batch * classes + c) * n + i];
      const ranked = Array.from({ length: n }, (_, i) => i)
        .filter((i) => minScore === undefined || score(i) > minScore)
        .sort((x, y) => score(y) - score(x) || x - y);
      const kept: Box[] = [];
      for (const i of ranked) {
        if (kept.length >= (most ?? 0)) break;
        const box = boxAt(batch, i);
        if (kept.some((other) => overlap(box, other) > (maxOverlap ?? 0))) continue;
        kept.push(box);
        found.push(batch, c, i);
      }
    }
  }
  return int64s(found, [found.length / 3, 3]);
}

export const indexingOps: readonly OpDef[] = [
  tensorOp("Where", 9, 3, (_, condition, x, y) => [where(condition, x, y)]),
  tensorOp("NonZero", 9, 1, (_, input) => [nonZero(input)]),
  tensorOp("TopK", 1, 1, (context, input) => topK(context, input, context.int("k", 0))),
  tensorOp("TopK", 10, 2, (context, input, k) => topK(context, input, asNumbers(k)[0])),
  tensorOp("Unique", 11, 1, (context, input) => unique(context, input)),
  tensorOp("CumSum", 11, 2, (context, input, axis) => [cumulative(context, input, axis, false)]),
  tensorOp("CumProd", 26, 2, (context, input, axis) => [cumulative(context, input, axis, true)]),
  tensorOp("NonMaxSuppression", 10, 2, (context, boxes, scores, ...limits) => [
    nonMaxSuppression(context, boxes, scores, ...limits),
  ]),
];
