/** Shapes and types of what operators make (the table is operators.ts); ONNX operator specification, all opsets. Undefined means unknown. */
import { intAttr, intsAttr, stringAttr } from "./attributes.ts";
import { type Dim, derived, divide, multiply, product, type Shape } from "./dims.ts";
import { type At, broadcastShapes, type Infer, type KnownFacts, norm, withShape } from "./inference.ts";
import { latestName } from "./op-versions.ts";
import type { GraphNode } from "./view.ts";

const INT64 = 7;
const BOOL = 9;
const UINT8 = 2;

export const same: Infer = ({ shapes, dtype }) => [{ shape: shapes[0], dtype }];

export const elementwise: Infer = (at) => {
  // Without broadcasting, or with only the second operand laid over the first, the result has the first one's shape.
  if (at.node.version < 7 && at.shapes[0] !== undefined) return same(at);
  const inputs = at.node.inputs.map((v, i) => (v === undefined ? [] : at.shapes[i]));
  return withShape(at, broadcastShapes(inputs, at.unknown));
};
export const comparison: Infer = (at) => [{ shape: elementwise(at)?.[0]?.shape, dtype: BOOL }];

/** An axes list from input `index` (newer opsets) or attribute `axes`; undefined when it cannot be known; null when absent. */
function axesOf({ node, facts }: At, index: number): number[] | null | undefined {
  if (node.inputs[index] !== undefined) return facts.numbers(node.inputs[index]);
  return intsAttr(node.record, "axes") ?? null;
}

export const reduce: Infer = (at) => {
  const shape = at.shapes[0];
  if (shape === undefined) return undefined;
  const axes = axesOf(at, 1);
  if (axes === undefined) return undefined;
  const keep = intAttr(at.node.record, "keepdims", 1) === 1;
  if ((axes === null || axes.length === 0) && intAttr(at.node.record, "noop_with_empty_axes", 0) === 1) return same(at);
  const list = axes === null || axes.length === 0 ? shape.map((_, i) => i) : axes.map((a) => norm(a, shape.length));
  return withShape(at, keep ? shape.map((d, i) => (list.includes(i) ? 1 : d)) : shape.filter((_, i) => !list.includes(i)));
};

export const reshape: Infer = (at) => {
  const x = at.shapes[0];
  const target = at.node.inputs[1] === undefined ? intsAttr(at.node.record, "shape") : at.facts.elements(at.node.inputs[1]);
  if (target === undefined) {
    const rank = at.facts.size(at.node.inputs[1], 0);
    return withShape(at, rank === undefined ? undefined : Array.from({ length: rank }, at.unknown));
  }
  const allowZero = intAttr(at.node.record, "allowzero", 0) === 1;
  const dims = target.map((d, i) => (d === 0 && !allowZero ? x?.[i] : d));
  const open = dims.indexOf(-1);
  const unknowns = dims.filter((d) => d === undefined).length;
  // One element unknown or -1 follows from the total; more cannot be settled.
  const free = open >= 0 ? open : unknowns === 1 ? dims.indexOf(undefined) : -1;
  if (free >= 0 && x !== undefined && unknowns === (open >= 0 ? 0 : 1)) {
    const rest = product(dims.filter((_, i) => i !== free) as Dim[]);
    dims[free] = divide(product(x), rest) ?? at.unknown();
  }
  return withShape(
    at,
    dims.map((d) => (d === undefined || d === -1 ? at.unknown() : d)),
  );
};

export const flatten: Infer = (at) => {
  const x = at.shapes[0];
  if (x === undefined) return withShape(at, [at.unknown(), at.unknown()]);
  const axis = norm(intAttr(at.node.record, "axis", 1), x.length);
  return withShape(at, [product(x.slice(0, axis)), product(x.slice(axis))]);
};

export const transpose: Infer = (at) => {
  const x = at.shapes[0];
  const perm = intsAttr(at.node.record, "perm") ?? x?.map((_, i) => x.length - 1 - i);
  return withShape(
    at,
    perm?.map((p) => x?.[p] ?? at.unknown()),
  );
};

export const squeeze: Infer = (at) => {
  const x = at.shapes[0];
  const axes = axesOf(at, 1);
  if (x === undefined || axes === undefined) return undefined;
  if (axes === null && x.some((d) => typeof d !== "number")) return undefined;
  const list = axes === null ? x.flatMap((d, i) => (d === 1 ? [i] : [])) : axes.map((a) => norm(a, x.length));
  return withShape(
    at,
    x.filter((_, i) => !list.includes(i)),
  );
};

export const unsqueeze: Infer = (at) => {
  const x = at.shapes[0];
  const axes = axesOf(at, 1);
  if (x === undefined || !axes) return undefined;
  const rank = x.length + axes.length;
  const list = axes.map((a) => norm(a, rank));
  let next = 0;
  return withShape(
    at,
    Array.from({ length: rank }, (_, i) => (list.includes(i) ? 1 : x[next++])),
  );
};

export const concat: Infer = (at) => {
  const first = at.shapes.find((s) => s !== undefined);
  if (first === undefined) return undefined;
  const axis = norm(intAttr(at.node.record, "axis", 1), first.length);
  const sizes = at.shapes.map((s) => s?.[axis]);
  const total = sizes.every((d) => typeof d === "number") ? (sizes as number[]).reduce((a, b) => a + b, 0) : at.unknown();
  return withShape(
    at,
    first.map((d, i) => (i === axis ? total : (at.shapes.map((s) => s?.[i]).find((e) => typeof e === "number") ?? d))),
  );
};

export const split: Infer = (at) => {
  const x = at.shapes[0];
  if (x === undefined) return undefined;
  const axis = norm(intAttr(at.node.record, "axis", 0), x.length);
  const n = at.node.outputs.length;
  let sizes = at.node.inputs[1] === undefined ? intsAttr(at.node.record, "split") : at.facts.numbers(at.node.inputs[1]);
  const total = x[axis];
  if (sizes === undefined && at.node.inputs[1] === undefined && typeof total === "number") {
    const chunk = Math.ceil(total / n);
    sizes = Array.from({ length: n }, (_, i) => Math.min(chunk, total - i * chunk));
  }
  return at.node.outputs.map((_, o) => ({
    dtype: at.dtype,
    shape: x.map((d, i) => (i === axis ? (sizes?.[o] ?? at.unknown()) : d)),
  }));
};

/** Starts, ends, axes and steps of a Slice, when known. */
export function sliceSpec(node: GraphNode, facts: KnownFacts, rank: number) {
  const list = (index: number, name: string) => {
    if (node.inputs[index] !== undefined) return facts.numbers(node.inputs[index]);
    return intsAttr(node.record, name) ?? null;
  };
  /** A bound may be computed on one axis and plain on another. */
  const bounds = (index: number, name: string): readonly (number | undefined)[] | undefined => {
    if (node.inputs[index] === undefined) return intsAttr(node.record, name);
    return facts.elements(node.inputs[index])?.map((d) => (typeof d === "number" ? d : undefined));
  };
  const [starts, ends, axes, steps] = [bounds(1, "starts"), bounds(2, "ends"), list(3, "axes"), list(4, "steps")];
  const n = axes?.length ?? starts?.length ?? ends?.length ?? facts.size(node.inputs[1], 0) ?? facts.size(node.inputs[2], 0);
  // Without axes the first ones are meant, as many as there are bounds.
  if (axes === undefined || steps === undefined || n === undefined) return undefined;
  const where = (axes ?? Array.from({ length: n }, (_, i) => i)).map((a) => norm(a, rank));
  return { starts, ends, axes: where, steps: steps ?? where.map(() => 1) };
}

/** A Slice from the first to the last, whatever the size: exporters write the largest integer for the end. */
export const takesAll = (start: number | undefined, end: number | undefined, step: number): boolean =>
  start === 0 && step === 1 && end !== undefined && end >= 2 ** 31 - 1;

/** Indices a Slice takes along an axis of known size. */
export function sliceRange(size: number, start: number, end: number, step: number): { first: number; count: number } {
  const clamp = (i: number, low: number, high: number) => Math.min(Math.max(i < 0 ? i + size : i, low), high);
  const first = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const last = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
}

export const slice: Infer = (at) => {
  const x = at.shapes[0];
  const spec = x && sliceSpec(at.node, at.facts, x.length);
  if (x === undefined) return undefined;
  if (spec === undefined) return withShape(at, x.map(at.unknown));
  return withShape(
    at,
    x.map((d, i) => {
      const k = spec.axes.indexOf(i);
      if (k < 0) return d;
      const [start, end, step] = [spec.starts?.[k], spec.ends?.[k], spec.steps[k]];
      if (takesAll(start, end, step)) return d;
      if (typeof d !== "number" || start === undefined || end === undefined) return at.unknown();
      return sliceRange(d, start, end, step).count;
    }),
  );
};

export const gather: Infer = (at) => {
  const [x, indices] = at.shapes;
  if (x === undefined || indices === undefined) return undefined;
  const axis = norm(intAttr(at.node.record, "axis", 0), x.length);
  return withShape(at, [...x.slice(0, axis), ...indices, ...x.slice(axis + 1)]);
};

export const pad: Infer = (at) => {
  const x = at.shapes[0];
  if (x === undefined) return undefined;
  const pads =
    at.node.inputs[1] === undefined
      ? (intsAttr(at.node.record, "pads") ?? intsAttr(at.node.record, "paddings"))
      : at.facts.numbers(at.node.inputs[1]);
  const axes =
    at.node.inputs[3] === undefined ? x.map((_, i) => i) : at.facts.numbers(at.node.inputs[3])?.map((a) => norm(a, x.length));
  if (pads === undefined || axes === undefined) return withShape(at, x.map(at.unknown));
  return withShape(
    at,
    x.map((d, i) => {
      const k = axes.indexOf(i);
      const by = k < 0 ? 0 : pads[k] + pads[k + axes.length];
      return by === 0 ? d : derived(`pad${by}`, [d], (v) => v + by);
    }),
  );
};

/** The shape that an input lists; of the same rank, but unknown sizes, where only its length is known. */
function listed(at: At, index: number): Shape | undefined {
  const value = at.node.inputs[index];
  const rank = at.facts.size(value, 0);
  const elements = at.facts.elements(value) ?? (rank === undefined ? undefined : new Array<undefined>(rank).fill(undefined));
  return elements?.map((d) => d ?? at.unknown());
}

export const expand: Infer = (at) => withShape(at, broadcastShapes([at.shapes[0], listed(at, 1)], at.unknown));

export const tile: Infer = (at) => {
  if (at.node.version < 6) {
    const [tiles, axis] = [1, 2].map((i) => at.facts.elements(at.node.inputs[i])?.[0]);
    return withShape(
      at,
      at.shapes[0]?.map((d, i) =>
        tiles === undefined || axis === undefined ? at.unknown() : i === axis ? multiply(d, tiles) : d,
      ),
    );
  }
  const repeats = at.facts.elements(at.node.inputs[1]);
  return withShape(
    at,
    at.shapes[0]?.map((d, i) => (repeats?.[i] === undefined ? at.unknown() : multiply(d, repeats[i] as Dim))),
  );
};

export const blocks: Infer = (at) => {
  const x = at.shapes[0];
  if (x?.length !== 4) return undefined;
  const b = intAttr(at.node.record, "blocksize", 1);
  const less = (d: Dim, by: number) => divide(d, by) ?? at.unknown();
  return withShape(
    at,
    at.node.opType === "DepthToSpace"
      ? [x[0], less(x[1], b * b), multiply(x[2], b), multiply(x[3], b)]
      : [x[0], multiply(x[1], b * b), less(x[2], b), less(x[3], b)],
  );
};

export const shapeOf: Infer = (at) => {
  const x = at.shapes[0];
  if (x === undefined) return [{ dtype: INT64, shape: [at.unknown()] }];
  const clamp = (i: number) => Math.min(Math.max(i < 0 ? i + x.length : i, 0), x.length);
  const n = clamp(intAttr(at.node.record, "end", x.length)) - clamp(intAttr(at.node.record, "start", 0));
  return [{ dtype: INT64, shape: [Math.max(0, n)] }];
};

export const constant: Infer = ({ node }) => {
  const { attributes } = node.record;
  const t = attributes.get("value")?.t;
  if (t !== undefined) return [{ dtype: t.dataType, shape: t.dims }];
  const sparse = attributes.get("sparse_value")?.sparseTensor;
  if (sparse !== undefined) return [{ dtype: sparse.values.dataType, shape: sparse.dims }];
  const rows = { value_float: 1, value_floats: 1, value_int: 7, value_ints: 7, value_string: 8, value_strings: 8 } as const;
  for (const [name, dtype] of Object.entries(rows)) {
    const a = attributes.get(name);
    if (a !== undefined)
      return [{ dtype, shape: name.endsWith("s") ? [a.floats.length + a.ints.length + a.strings.length] : [] }];
  }
  return undefined;
};

/** What was kept is marked in the numbers' own type first, then by booleans. */
export const dropout: Infer = ({ node, shapes, dtype }) => [
  { shape: shapes[0], dtype },
  { shape: shapes[0], dtype: node.version < 10 ? dtype : BOOL },
];

/** The type was a word first. */
export const cast: Infer = ({ node, shapes }) => {
  const { record, version } = node;
  const named = version < 6 ? Number(latestName("Cast", "to", version, stringAttr(record, "to", ""))) : 0;
  return [{ dtype: named || intAttr(record, "to", 0), shape: shapes[0] }];
};

export const filled: Infer = (at) => [{ dtype: at.node.record.attributes.get("value")?.t?.dataType ?? 1, shape: listed(at, 0) }];

/** The first input's shape, in the type of another one. */
const typedAs =
  (index: number): Infer =>
  ({ facts, node, shapes }) => [{ dtype: facts.of(node.inputs[index]).dtype, shape: shapes[0] }];
export const castLike = typedAs(1);
export const dequantized = typedAs(1);
export const rmsNorm = typedAs(1);
export const quantized: Infer = ({ facts, node, shapes }) => [
  { dtype: facts.of(node.inputs[2]).dtype || intAttr(node.record, "output_dtype", 0) || UINT8, shape: shapes[0] },
];

export const where: Infer = (at) => [
  { dtype: at.facts.of(at.node.inputs[1]).dtype, shape: broadcastShapes(at.shapes, at.unknown) },
];
