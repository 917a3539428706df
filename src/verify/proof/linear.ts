/**
 * Linear operators as rows of coefficients, one row per output channel: what Conv, ConvTranspose, Gemm and MatMul are (norms,
 * Einsum and batches of matrices: producers.ts). Rows of two operators are compared by fit.ts.
 */
import { together } from "../../affine/spread.ts";
import { sideBySide } from "../../onnx/tensor.ts";
import { ONES, readsOnes, termsOf } from "../../rules/conv.ts";
import { expand } from "../../rules/params.ts";
import { isRefused, type Param, type RuleNode } from "../../rules/types.ts";
import type { Side } from "./classes.ts";
import { openParam } from "./operands.ts";
import { batchedOf, diagonalOf, einsumOf, quotientOf, scaledGemmOf } from "./producers.ts";
import type { Linear, Rows } from "./rows.ts";

const spatial = (at: RuleNode): string => {
  const w = at.inShape(1);
  const n = (w?.length ?? 2) - 2;
  const list = (name: string, value: number, length = n) => (at.ints(name) ?? new Array(length).fill(value)).join(",");
  const auto = at.string("auto_pad", "NOTSET") || "NOTSET";
  const pads = auto === "NOTSET" ? list("pads", 0, 2 * n) : auto;
  // A kernel_shape that is not the weight's is no geometry at all: it equals itself only.
  const kernel = at.ints("kernel_shape") ?? [];
  const contradicts = kernel.some((d, i) => d !== w?.[i + 2]);
  return [list("strides", 1), list("dilations", 1), pads, at.int("group", 1), contradicts ? `kernel ${kernel}` : ""].join("|");
};

/** The numbers of an operator as rows, with what is open of them. */
export function rowsWith(side: Side, linear: Linear): Rows {
  const rows = linear.rowsOf(linear.weight.values(), linear.bias?.values());
  const [weight, bias] = [openParam(side, linear.weight), openParam(side, linear.bias)];
  if (weight === undefined && bias === undefined) return rows;
  const zeros = (x: Param): Float64Array => new Float64Array(x.values().length);
  const open = linear.rowsOf((weight ?? linear.weight).values(), linear.bias && (bias?.values() ?? zeros(linear.bias)));
  return {
    ...rows,
    ...(weight === undefined ? {} : { open: open.weights.map(Math.abs) }),
    ...(bias === undefined ? {} : { biasOpen: open.bias.map(Math.abs) }),
  };
}

/** The operator as rows, when it is linear with constant coefficients and a bias per row. */
export function linearOf(at: RuleNode): Linear | undefined {
  switch (at.state.opType) {
    case "Conv":
    case "DeformConv":
      return convolution(at, at.node.opType === "DeformConv" ? 3 : 2);
    case "ConvTranspose":
      return transposed(at);
    case "Div":
      return quotientOf(at);
    case "Gemm":
      return gemm(at) ?? scaledGemmOf(at);
    case "MatMul":
      return matmul(at) ?? batchedOf(at);
    default:
      return diagonalOf(at) ?? einsumOf(at);
  }
}

const param = (at: RuleNode, i: number): Param | undefined => {
  if (!at.has(i)) return undefined;
  const own = at.param(i);
  const p = isRefused(own) && own.refused === "quantized" ? at.stored(i) : own;
  return isRefused(p) ? undefined : p;
};
const named = (p: Param | undefined): string => p?.source?.name ?? "";

function make(
  at: RuleNode,
  index: number,
  biasIndex: number,
  key: string,
  axis: number,
  count: number,
  order: (w: Float64Array) => Float64Array,
): Linear | undefined {
  const weight = param(at, index);
  const bias = param(at, biasIndex);
  if (weight === undefined || (bias === undefined && at.has(biasIndex))) return undefined;
  return {
    key,
    weightIndex: index,
    weight,
    bias,
    dequantized: isRefused(at.param(index)),
    rowsOf: (w, b) => ({
      axis,
      count,
      width: count === 0 ? 0 : w.length / count,
      // Biases alone may be asked for (blocks.ts).
      weights: w.length === 0 ? w : order(w),
      bias: b ?? new Float64Array(count),
      weight: named(weight),
      biasName: named(bias),
    }),
  };
}

/** True of a bias of one number per channel, and where there is none. */
const isVector = (bias: Param | undefined, size: number): boolean =>
  bias === undefined || (bias.dims.length === 1 && bias.dims[0] === size);

function convolution(at: RuleNode, biasIndex: number): Linear | undefined {
  const w = param(at, 1);
  if (w === undefined) return undefined;
  const key = `${at.state.opType}|${spatial(at)}|${w.dims.slice(1)}|${at.int("offset_group", 1)}`;
  if (!isVector(param(at, biasIndex), w.dims[0])) return undefined;
  if (readsOnes(at)) return besideOnes(at, w, key);
  const made = make(at, 1, biasIndex, key, 1, w.dims[0], (x) => x);
  return made && { ...made, layout: "rows" };
}

/** A Conv that reads a channel of ones as well: each of its rows goes on with the weights of that channel. */
function besideOnes(at: RuleNode, w: Param, key: string): Linear | undefined {
  const [ones, [count]] = [param(at, ONES), w.dims];
  if (ones === undefined) return undefined;
  const joined = () => sideBySide(w.values(), ones.values(), count);
  const made = make(at, 1, 2, `${key}|ones`, 1, count, (x) => x);
  const sized = () => sideBySide(w.values().map(Math.abs), termsOf(ones), count);
  const dims = w.dims.with(1, w.dims[1] + 1);
  // Its rows are those of the file's own constant, of which ones.ts took parts.
  const whole = named(w).replace(/(\[(:, )*\d+:\d+\]'*)+$/, "");
  // The chain of what it was changed by belongs to the weight alone.
  const weight = { ...w, dims, values: joined };
  return (
    made && {
      ...made,
      weight,
      ones: () => termsOf(ones),
      rowsOf: (x, b) => ({ ...made.rowsOf(x, b), magnitude: sized, weight: whole }),
    }
  );
}

function transposed(at: RuleNode): Linear | undefined {
  const w = param(at, 1);
  if (w === undefined) return undefined;
  const groups = at.int("group", 1);
  const [inputs, perGroup] = w.dims;
  if (!isVector(param(at, 2), perGroup * groups)) return undefined;
  const taps = w.dims.slice(2).reduce((a, b) => a * b, 1);
  const inner = inputs / groups;
  const padding = at.ints("output_padding") ?? w.dims.slice(2).map(() => 0);
  const key = `ConvTranspose|${spatial(at)}|${w.dims}|${padding}|${at.ints("output_shape")}`;
  return make(at, 1, 2, key, 1, perGroup * groups, (x) => {
    const out = new Float64Array(x.length);
    let k = 0;
    for (let q = 0; q < groups; q++) {
      for (let j = 0; j < perGroup; j++) {
        for (let i = 0; i < inner; i++) {
          const from = ((q * inner + i) * perGroup + j) * taps;
          for (let t = 0; t < taps; t++) out[k++] = x[from + t];
        }
      }
    }
    return out;
  });
}

const TILE = 32;

/** [rows, cols] turned so that output features are rows. */
const turned = (x: Float64Array, rows: number, cols: number): Float64Array => {
  const out = new Float64Array(x.length);
  // In squares that stay near.
  for (let top = 0; top < rows; top += TILE) {
    for (let left = 0; left < cols; left += TILE) {
      const [bottom, right] = [Math.min(rows, top + TILE), Math.min(cols, left + TILE)];
      for (let c = left; c < right; c++) for (let r = top; r < bottom; r++) out[c * rows + r] = x[r * cols + c];
    }
  }
  return out;
};

/** The matrix at `index` as seen after its transposition flag: [rows, cols], and whether it is stored the other way. */
function matrixOf(at: RuleNode, index: number): { rows: number; cols: number; swapped: boolean } | undefined {
  const w = at.isConstant(index) ? param(at, index) : undefined;
  if (w === undefined || w.dims.length !== 2) return undefined;
  const swapped = at.int(index === 0 ? "transA" : "transB", 0) !== 0;
  return { rows: w.dims[swapped ? 1 : 0], cols: w.dims[swapped ? 0 : 1], swapped };
}

function gemm(at: RuleNode): Linear | undefined {
  const index = at.isConstant(1) ? 1 : 0;
  const matrix = matrixOf(at, index);
  const c = param(at, 2);
  if (matrix === undefined || at.isConstant(1 - index)) return undefined;
  const { rows, cols, swapped } = matrix;
  const [axis, count, inner] = index === 1 ? [1, cols, rows] : [0, rows, cols];
  // A bias with one number per row of coefficients, or one for all.
  const dims = c && [...new Array<number>(2 - c.dims.length).fill(1), ...c.dims];
  if (dims?.some((d, i) => d !== 1 && (i !== axis || d !== count))) return undefined;
  const other = at.int(index === 1 ? "transA" : "transB", 0) === 0 ? "" : "|transposed";
  const [alpha, beta] = [at.float("alpha", 1), at.float("beta", 1)];
  const found = make(at, index, 2, `${index === 1 ? "linear" : "left"}|${inner}|2${other}`, axis, count, (x) => {
    const list = (index === 1) === swapped ? x.slice() : index === 1 ? turned(x, rows, cols) : turned(x, cols, rows);
    if (alpha !== 1) for (let i = 0; i < list.length; i++) list[i] *= alpha;
    return list;
  });
  if (found === undefined) return undefined;
  return {
    ...found,
    ...(alpha === 1 && beta === 1 ? { layout: (index === 1) === swapped ? "rows" : "columns" } : {}),
    rowsOf: (w, bias) => {
      const full = bias === undefined ? undefined : bias.length === count ? bias.slice() : new Float64Array(count).fill(bias[0]);
      if (full !== undefined && beta !== 1) for (let i = 0; i < count; i++) full[i] *= beta;
      return { ...found.rowsOf(w, full), ...(alpha === 1 && beta === 1 ? {} : { factors: { weights: alpha, bias: beta } }) };
    },
  };
}

function matmul(at: RuleNode): Linear | undefined {
  const rank = at.outShape(0)?.length;
  if (rank === undefined || rank < 2) return undefined;
  for (const index of [1, 0]) {
    const w = at.isConstant(index) ? param(at, index) : undefined;
    if (w === undefined || w.dims.length !== 2 || at.inShape(1 - index)?.length !== rank) continue;
    const [rows, cols] = w.dims;
    const made =
      index === 1
        ? make(at, 1, 2, `linear|${rows}|${rank}`, rank - 1, cols, (x) => turned(x, rows, cols))
        : make(at, 0, 2, `left|${cols}|${rank}`, rank - 2, rows, (x) => x);
    return made && { ...made, layout: index === 1 ? "columns" : "rows" };
  }
  return undefined;
}

/** Two lists of rows over the places of both: where the coefficients of one do not vary, it has the same row again. */
export function alongside(x: Rows, y: Rows): readonly [Rows, Rows] {
  if (x.dims === undefined || y.dims === undefined || x.dims.length !== y.dims.length) return [x, y];
  const dims = x.dims.map((d, i) => together(d, y.dims?.[i] ?? 1));
  return [over(x, x.dims, dims), over(y, y.dims, dims)];
}

function over(rows: Rows, own: readonly number[], dims: readonly number[]): Rows {
  if (own.some((d, i) => d !== 1 && d !== dims[i]) || own.every((d, i) => d === dims[i])) return rows;
  const spread = (values: Float64Array, width: number) => expand(values, [...own, width], [...dims, width]);
  const count = dims.reduce((n, d) => n * d, 1);
  return {
    ...rows,
    dims,
    count,
    weights: spread(rows.weights, rows.width),
    bias: spread(rows.bias, 1),
    ...(rows.open === undefined ? {} : { open: spread(rows.open, rows.width) }),
    ...(rows.biasOpen === undefined ? {} : { biasOpen: spread(rows.biasOpen, 1) }),
  };
}

/** Rows of nothing but zeros: channels that are constant. */
export function zeroRows({ weights, count, width }: Rows): number[] {
  const found: number[] = [];
  for (let o = 0; o < count; o++) {
    let i = o * width;
    while (i < (o + 1) * width && weights[i] === 0) i++;
    if (i === (o + 1) * width) found.push(o);
  }
  return found;
}
