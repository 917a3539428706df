/** Shapes of layers: convolutions, pools, matrix products, recurrent ones, normalizations. ONNX operator specification, all opsets. */
import { intAttr, intsAttr, stringAttr } from "./attributes.ts";
import { type Dim, derived, multiply, type Shape } from "./dims.ts";
import { type At, broadcastShapes, type Infer, norm, withShape } from "./inference.ts";

const INT64 = 7;

/** Output size of a sliding window along one axis (Conv and pools). */
function windows(at: At, kernel: readonly number[], spatial: Shape): Dim[] {
  const { record } = at.node;
  const n = spatial.length;
  const [strides, dilations] = [intsAttr(record, "strides"), intsAttr(record, "dilations")];
  const pads = intsAttr(record, "pads");
  const auto = stringAttr(record, "auto_pad", "NOTSET");
  const ceil = intAttr(record, "ceil_mode", 0) === 1;
  return spatial.map((d, i) => {
    const [stride, extent] = [strides?.[i] ?? 1, (kernel[i] - 1) * (dilations?.[i] ?? 1) + 1];
    if (auto === "SAME_UPPER" || auto === "SAME_LOWER")
      return stride === 1 ? d : derived(`ceil/${stride}`, [d], (x) => Math.ceil(x / stride));
    const [begin, end] = auto === "VALID" ? [0, 0] : [pads?.[i] ?? 0, pads?.[i + n] ?? 0];
    if (stride === 1 && extent === 1 + begin + end) return d;
    return derived(`win${extent},${stride},${begin + end},${ceil ? "c" : "f"}`, [d], (x) => {
      const span = x + begin + end - extent;
      if (!ceil) return Math.floor(span / stride) + 1;
      const out = Math.ceil(span / stride) + 1;
      return (out - 1) * stride >= x + begin ? out - 1 : out;
    });
  });
}

const numbers = (shape: Shape | undefined): number[] | undefined =>
  shape?.every((d) => typeof d === "number") ? (shape as number[]) : undefined;

export const conv: Infer = (at) => {
  const [x, w] = at.shapes;
  const kernel = intsAttr(at.node.record, "kernel_shape") ?? numbers(w?.slice(2));
  const rank = x?.length ?? w?.length;
  if (rank === undefined) return undefined;
  const out = w?.[0] ?? at.unknown();
  if (x === undefined || kernel === undefined)
    return withShape(at, [x?.[0] ?? at.unknown(), out, ...Array.from({ length: rank - 2 }, at.unknown)]);
  return withShape(at, [x[0], out, ...windows(at, kernel, x.slice(2))]);
};

export const convTranspose: Infer = (at) => {
  const [x, w] = at.shapes;
  const rank = x?.length ?? w?.length;
  if (rank === undefined) return undefined;
  const { record } = at.node;
  const out = w?.[1] === undefined ? at.unknown() : multiply(w[1], intAttr(record, "group", 1));
  const n = rank - 2;
  const kernel = intsAttr(record, "kernel_shape") ?? numbers(w?.slice(2));
  const given = intsAttr(record, "output_shape");
  const [strides, dilations, extra, pads] = ["strides", "dilations", "output_padding", "pads"].map((a) => intsAttr(record, a));
  const auto = stringAttr(record, "auto_pad", "NOTSET");
  const spatial = Array.from({ length: n }, (_, i): Dim => {
    if (given !== undefined) return given[given.length - n + i];
    const d = x?.[i + 2];
    if (d === undefined || kernel === undefined) return at.unknown();
    const stride = strides?.[i] ?? 1;
    if (auto.startsWith("SAME")) return multiply(d, stride);
    const rest =
      (extra?.[i] ?? 0) +
      (kernel[i] - 1) * (dilations?.[i] ?? 1) +
      1 -
      stride -
      (auto === "VALID" ? 0 : (pads?.[i] ?? 0) + (pads?.[i + n] ?? 0));
    return rest === 0 ? multiply(d, stride) : derived(`up${stride},${rest}`, [d], (v) => v * stride + rest);
  });
  return withShape(at, [x?.[0] ?? at.unknown(), out, ...spatial]);
};

export const pool: Infer = (at) => {
  const x = at.shapes[0];
  const kernel = intsAttr(at.node.record, "kernel_shape");
  if (x === undefined || kernel === undefined)
    return x === undefined ? undefined : withShape(at, [x[0], x[1], ...x.slice(2).map(at.unknown)]);
  const shape = [x[0], x[1], ...windows(at, kernel, x.slice(2))];
  return [
    { shape, dtype: at.dtype },
    { shape, dtype: INT64 },
  ];
};

export const globalPool: Infer = (at) =>
  withShape(
    at,
    at.shapes[0]?.map((d, i) => (i < 2 ? d : 1)),
  );

export const gemm: Infer = (at) => {
  const [a, b] = at.shapes;
  const m = a?.[intAttr(at.node.record, "transA", 0) ? 1 : 0] ?? at.unknown();
  const n = b?.[intAttr(at.node.record, "transB", 0) ? 0 : 1] ?? at.unknown();
  return withShape(at, [m, n]);
};

export const matmul: Infer = (at) => {
  const [a, b] = at.shapes;
  if (a === undefined || b === undefined || a.length === 0 || b.length === 0) return undefined;
  const batch = broadcastShapes([a.slice(0, -2), b.slice(0, -2)], at.unknown);
  if (batch === undefined) return undefined;
  const rows = a.length > 1 ? [a[a.length - 2]] : [];
  const cols = b.length > 1 ? [b[b.length - 1]] : [];
  return withShape(at, [...batch, ...rows, ...cols]);
};

/** The batch comes first with layout 1. */
export const recurrent: Infer = (at) => {
  const [x, , r] = at.shapes;
  if (x === undefined || r === undefined) return undefined;
  const [directions, hidden] = [r[0], r[2]];
  const batchFirst = intAttr(at.node.record, "layout", 0) !== 0;
  const state: Shape = batchFirst ? [x[0], directions, hidden] : [directions, x[1], hidden];
  return [
    { dtype: at.dtype, shape: batchFirst ? [x[0], x[1], directions, hidden] : [x[0], directions, x[1], hidden] },
    { dtype: at.dtype, shape: state },
    { dtype: at.dtype, shape: state },
  ];
};

/** Statistics of a batch come out beside it, one of each kind a channel. */
export const batchNorm: Infer = (at) => {
  const [mean, variance] = [3, 4].map((i) => at.facts.of(at.node.inputs[i]));
  return [{ shape: at.shapes[0], dtype: at.dtype }, mean, variance, mean, variance];
};

/** Mean and 1/deviation have one place along the axes they are taken over. */
export const layerNorm: Infer = (at) => {
  const [x] = at.shapes;
  const axis = norm(intAttr(at.node.record, "axis", -1), x?.length ?? 0);
  const statistics = { dtype: intAttr(at.node.record, "stash_type", 1), shape: x?.map((d, i) => (i < axis ? d : 1)) };
  return [{ shape: x, dtype: at.dtype }, statistics, statistics];
};
