/** Builders of operators that move, pick or combine elements. */
import { f } from "../helpers/build.ts";
import type { Growing, Value } from "./graphs.ts";
import type { Build } from "./operators.ts";

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
const done = (made: readonly Value[] | undefined): boolean => made !== undefined;

function shuffled(g: Growing, n: number): number[] {
  const list = Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = g.random.below(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

const transpose: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const rank = x.dims.length;
  const perm = g.chance(0.2) ? undefined : g.symbolic ? [0, ...shuffled(g, rank - 1).map((i) => i + 1)] : shuffled(g, rank);
  if (perm === undefined && g.symbolic) return false;
  const order = perm ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  return done(g.node("Transpose", [x.name], [order.map((p) => x.dims[p])], perm === undefined ? {} : { perm }));
};

/** Merges or splits axes; with a symbolic batch the first axis is kept, spelled 0 or −1. */
const reshape: Build = (g) => {
  const x = g.some((d) => d.length >= 1);
  if (x === undefined) return false;
  const from = g.symbolic ? 1 : 0;
  let dims = x.dims.slice(from);
  for (let i = g.between(1, 2); i > 0; i--) {
    const axis = g.random.below(Math.max(1, dims.length));
    if (g.chance(0.5) && dims.length > 1 && axis + 1 < dims.length)
      dims = [...dims.slice(0, axis), dims[axis] * dims[axis + 1], ...dims.slice(axis + 2)];
    else if (dims[axis] !== undefined) {
      const factor = g.pick([2, 3, 1]);
      if (dims[axis] % factor === 0)
        dims = [
          ...dims.slice(0, axis),
          ...(g.chance(0.5) ? [factor, dims[axis] / factor] : [dims[axis] / factor, factor]),
          ...dims.slice(axis + 1),
        ];
    }
  }
  if (g.chance(0.15)) dims = [size(dims)];
  const out = [...x.dims.slice(0, from), ...dims];
  const target = [...out];
  if (g.symbolic) target[0] = g.pick([0, -1]);
  else if (g.chance(0.3)) target[g.random.below(target.length)] = -1;
  return done(g.node("Reshape", [x.name, g.integers(target)], [out]));
};

const flatten: Build = (g) => {
  const x = g.some((d) => d.length >= 1);
  if (x === undefined) return false;
  const axis = g.symbolic ? 1 : g.between(0, x.dims.length);
  const spelled = g.opset >= 11 && axis < x.dims.length && axis > 0 && g.chance(0.2) ? axis - x.dims.length : axis;
  return done(
    g.node(
      "Flatten",
      [x.name],
      [[size(x.dims.slice(0, axis)), size(x.dims.slice(axis))]],
      spelled === 1 && g.chance(0.5) ? {} : { axis: spelled },
    ),
  );
};

const withAxes = (
  g: Growing,
  x: Value,
  axes: readonly number[],
  since: number,
): { inputs: string[]; attributes: Record<string, readonly number[]> } =>
  g.opset >= since ? { inputs: [x.name, g.integers(axes)], attributes: {} } : { inputs: [x.name], attributes: { axes } };

const squeeze: Build = (g) => {
  if (g.chance(0.5)) {
    const x = g.some((d) => d.length < 5);
    if (x === undefined) return false;
    const axis = g.between(1, x.dims.length);
    const { inputs, attributes } = withAxes(g, x, [axis], 13);
    return done(g.node("Unsqueeze", inputs, [x.dims.toSpliced(axis, 0, 1)], attributes));
  }
  const x = g.some((d) => d.slice(1).includes(1));
  if (x === undefined) return false;
  const axis = x.dims.indexOf(1, 1);
  const { inputs, attributes } = withAxes(g, x, [axis], 13);
  return done(g.node("Squeeze", inputs, [x.dims.toSpliced(axis, 1)], attributes));
};

const depth: Build = (g) => {
  const x = g.some((d) => d.length === 4 && (d[1] % 4 === 0 || (d[2] % 2 === 0 && d[3] % 2 === 0)));
  if (x === undefined) return false;
  const [n, c, h, w] = x.dims;
  if (c % 4 === 0)
    return done(
      g.node("DepthToSpace", [x.name], [[n, c / 4, 2 * h, 2 * w]], {
        blocksize: 2,
        ...(g.opset >= 11 && g.chance(0.5) ? { mode: "CRD" } : {}),
      }),
    );
  return done(g.node("SpaceToDepth", [x.name], [[n, 4 * c, h / 2, w / 2]], { blocksize: 2 }));
};

const repeated: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const axis = g.between(1, x.dims.length - 1);
  if (g.chance(0.5)) {
    const repeats = x.dims.map((_, i) => (i === axis ? 2 : 1));
    return done(g.node("Tile", [x.name, g.integers(repeats)], [x.dims.map((d, i) => d * repeats[i])]));
  }
  if (g.opset < 8 || x.dims[axis] !== 1) return false;
  return done(g.node("Expand", [x.name, g.integers(x.dims.map((_, i) => (i === axis ? 3 : 1)))], [x.dims.with(axis, 3)]));
};

const concat: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const axis = g.chance(0.7) ? 1 : g.between(1, x.dims.length - 1);
  const fits = (d: readonly number[]) => d.length === x.dims.length && d.every((e, i) => i === axis || e === x.dims[i]);
  const list = [x];
  for (let i = g.between(1, 2); i > 0; i--) list.push(g.some((d) => fits(d)) ?? x);
  const names = list.map((v) => v.name);
  let total = list.reduce((n, v) => n + v.dims[axis], 0);
  if (!g.symbolic && g.chance(0.2)) {
    names.push(g.constant(x.dims));
    total += x.dims[axis];
  }
  return done(g.node("Concat", names, [x.dims.with(axis, total)], { axis: g.chance(0.2) ? axis - x.dims.length : axis }));
};

const split: Build = (g) => {
  const x = g.some((d) => d.length >= 2 && d.some((e, i) => i > 0 && e > 1));
  if (x === undefined) return false;
  const axes = x.dims.flatMap((d, i) => (i > 0 && d > 1 ? [i] : []));
  const axis = g.pick(axes);
  const first = g.between(1, x.dims[axis] - 1);
  const parts = [first, x.dims[axis] - first];
  const sizes =
    g.opset >= 13 ? { inputs: [x.name, g.integers(parts)], attributes: {} } : { inputs: [x.name], attributes: { split: parts } };
  return done(
    g.node(
      "Split",
      sizes.inputs,
      parts.map((p) => x.dims.with(axis, p)),
      { axis, ...sizes.attributes },
    ),
  );
};

const slice: Build = (g) => {
  const x = g.some((d) => d.length >= 2 && d.some((e, i) => i > 0 && e > 1));
  if (x === undefined) return false;
  const axis = g.pick(x.dims.flatMap((d, i) => (i > 0 && d > 1 ? [i] : [])));
  const d = x.dims[axis];
  if (g.opset >= 10 && g.chance(0.3)) {
    return done(
      g.node("Slice", [x.name, g.integers([-1]), g.integers([-(2 ** 31)]), g.integers([axis]), g.integers([-1])], [x.dims]),
    );
  }
  const [start, end] = [g.between(0, d - 1), g.pick([d, 2 ** 31 - 1])];
  const out = [x.dims.with(axis, d - start)];
  if (g.opset < 10) return done(g.node("Slice", [x.name], out, { starts: [start], ends: [end], axes: [axis] }));
  return done(g.node("Slice", [x.name, g.integers([start]), g.integers([end]), g.integers([axis])], out));
};

const gather: Build = (g) => {
  if (g.chance(0.25) && !g.symbolic) {
    const [rows, width] = [3, g.pick([2, 3])];
    const indices = g.name("n");
    g.inputs.push({ name: indices, dtype: "int64", dims: [2, 3] });
    return done(g.node("Gather", [g.constant([rows, width]), indices], [[2, 3, width]]));
  }
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const axis = g.between(1, x.dims.length - 1);
  const shape = g.pick([[], [2], [3], [1], [2, 2]]);
  const indices = g.integers(
    Array.from({ length: size(shape) }, () => g.between(-x.dims[axis], x.dims[axis] - 1)),
    shape,
  );
  return done(g.node("Gather", [x.name, indices], [[...x.dims.slice(0, axis), ...shape, ...x.dims.slice(axis + 1)]], { axis }));
};

const pool: Build = (g) => {
  const x = g.some((d) => d.length >= 3);
  if (x === undefined) return false;
  const op = g.pick(["MaxPool", "AveragePool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"]);
  const [n, c, ...spatial] = x.dims;
  if (op.startsWith("Global")) return done(g.node(op, [x.name], [[n, c, ...spatial.map(() => 1)]]));
  const kernel = spatial.map((d) => g.between(1, Math.min(2, d)));
  const strides = spatial.map(() => g.between(1, 2));
  const pads = g.chance(0.3)
    ? [...kernel, ...kernel].map((k) => (k > 1 ? g.between(0, 1) : 0))
    : [...kernel, ...kernel].map(() => 0);
  const ceil = op !== "LpPool" && g.opset >= 10 && g.chance(0.2);
  const out = spatial.map((d, i) => {
    const [begin, span] = [pads[i], (d + pads[i] + pads[i + kernel.length] - kernel[i]) / strides[i]];
    const o = (ceil ? Math.ceil(span) : Math.floor(span)) + 1;
    return ceil && (o - 1) * strides[i] >= d + begin ? o - 1 : o;
  });
  if (out.some((d) => d < 1)) return false;
  const attributes = {
    kernel_shape: kernel,
    strides,
    ...(pads.some((p) => p > 0) ? { pads } : {}),
    ...(ceil ? { ceil_mode: 1 } : {}),
  };
  return done(
    g.node(op, [x.name], [[n, c, ...out]], {
      ...attributes,
      ...(op === "AveragePool" && g.chance(0.3) ? { count_include_pad: 1 } : {}),
    }),
  );
};

const reduce: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined) return false;
  const op = g.pick(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2"]);
  const axes = x.dims.flatMap((_, i) => (i > 0 && g.chance(0.5) ? [i] : []));
  if (axes.length === 0) return false;
  const keep = g.chance(0.6);
  const out = keep ? x.dims.map((d, i) => (axes.includes(i) ? 1 : d)) : x.dims.filter((_, i) => !axes.includes(i));
  const spelled = axes.map((a) => (g.opset >= 11 && g.chance(0.2) ? a - x.dims.length : a));
  const { inputs, attributes } = withAxes(g, x, spelled, op === "ReduceSum" ? 13 : 18);
  return done(g.node(op, inputs, [out], { ...attributes, ...(keep && g.chance(0.5) ? {} : { keepdims: keep ? 1 : 0 }) }));
};

const cumSum: Build = (g) => {
  const x = g.some((d) => d.length >= 2);
  if (x === undefined || g.opset < 11) return false;
  const axis = g.integers([g.between(1, x.dims.length - 1)], []);
  return done(g.node("CumSum", [x.name, axis], [x.dims], g.chance(0.3) ? { reverse: 1 } : {}));
};

const pad: Build = (g) => {
  const x = g.some((d) => d.length >= 3 && d.slice(2).every((e) => e > 1));
  if (x === undefined) return false;
  const rank = x.dims.length;
  const mode = g.pick(["constant", "constant", "constant", "reflect", "edge"]);
  const channel = g.chance(0.15) && mode === "constant";
  const amounts = Array.from({ length: 2 * rank }, (_, i) =>
    i % rank >= 2 || (channel && i % rank === 1) ? g.between(0, 1) : 0,
  );
  const out = x.dims.map((d, i) => d + amounts[i] + amounts[i + rank]);
  const value = g.chance(0.5) ? g.number() : 0;
  const attributes = g.chance(0.5) || mode !== "constant" ? { mode } : {};
  if (g.opset < 11)
    return done(
      g.node("Pad", [x.name], [out], { ...attributes, pads: amounts, ...(mode === "constant" ? { value: f(value) } : {}) }),
    );
  const given = mode === "constant" && g.chance(0.7) ? [g.constant([], () => value, false)] : [];
  return done(g.node("Pad", [x.name, g.integers(amounts), ...given], [out], attributes));
};

const resize: Build = (g) => {
  const x = g.some((d) => d.length === 3 || d.length === 4);
  if (x === undefined || g.opset < 9) return false;
  const factors = x.dims.map((_, i) => (i < 2 ? 1 : g.pick([1, 2])));
  const out = x.dims.map((d, i) => d * factors[i]);
  const scales = g.name("s");
  g.initializers[scales] = { dtype: "float32", dims: [factors.length], values: factors };
  const mode = g.pick(["nearest", "linear"]);
  if (g.opset === 9) return done(g.node("Upsample", [x.name, scales], [out], { mode }));
  if (g.opset === 10) return done(g.node("Resize", [x.name, scales], [out], { mode }));
  const coordinates = g.pick(["half_pixel", "asymmetric", "align_corners"]);
  return done(g.node("Resize", [x.name, "", scales], [out], { mode, coordinate_transformation_mode: coordinates }));
};

export const movers: readonly Build[] = [
  ...[transpose, transpose, transpose, reshape, reshape, reshape, reshape, flatten, flatten, squeeze, squeeze],
  ...[depth, repeated, concat, concat, concat, split, slice, gather, gather],
  ...[pool, pool, pool, reduce, reduce, cumSum, pad, pad, resize],
];
