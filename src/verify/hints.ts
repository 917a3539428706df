/**
 * What the nodes that first read an input say about it: rank, sizes, layout, the table it indexes. Found by following the
 * input through operators that keep its shape (or permute it), without running anything.
 */
import { hasTrait, keepsShape, traitsOf } from "../graph/operators.ts";
import { storedRecord } from "../graph/stored.ts";
import type { GraphNode, GraphValue, GraphView } from "../graph/view.ts";
import { decode } from "../onnx/codec.ts";
import { asNumbers, sizeOf } from "../onnx/tensor.ts";

export interface Hint {
  rank?: number;
  /** Known sizes, by axis. */
  readonly sizes: Map<number, number>;
  /** First spatial axis and number of spatial axes, when a convolution or pooling reads it. */
  spatial?: { readonly first: number; readonly count: number };
  /** Number of rows of the smallest table it indexes. */
  rows?: number;
}

/** Dimensions of a constant: an initializer, a Constant node, or one of them dequantised, cast or passed on. */
export function constantDims(value: GraphValue | undefined): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const stored = storedRecord(value);
  if (stored !== undefined) return stored.dims;
  const node = value.producer;
  if (node === undefined) return undefined;
  if (["Identity", "Cast", "DequantizeLinear"].includes(node.opType)) return constantDims(node.inputs[0]);
  if (node.opType === "Transpose") {
    const dims = constantDims(node.inputs[0]);
    const perm = node.record.attributes.get("perm")?.ints.map(Number) ?? dims?.map((_, i) => dims.length - 1 - i);
    return dims && perm?.map((axis) => dims[axis]);
  }
  return undefined;
}

const int = (node: GraphNode, name: string, fallback: number): number => Number(node.record.attributes.get(name)?.i ?? fallback);

/** Axis `i` of the followed value is axis `axes[i]` of the input; undefined entries were added on the way. */
type Axes = readonly number[] | undefined;

class Follower {
  readonly hint: Hint = { sizes: new Map() };
  private readonly seen = new Set<GraphValue>();

  size(axes: Axes, axis: number, rank: number, size: number | undefined): void {
    const at = axes === undefined ? axis : axes[axis];
    this.hint.rank ??= rank;
    if (size !== undefined && at !== undefined && !this.hint.sizes.has(at)) this.hint.sizes.set(at, size);
  }

  follow(value: GraphValue, axes: Axes, steps: number): void {
    if (steps === 0 || this.seen.has(value)) return;
    this.seen.add(value);
    for (const { node, index } of value.uses) {
      this.read(node, index, axes);
      const [output] = node.outputs;
      if (output === undefined) continue;
      if (keepsShape(node, index)) this.follow(output, axes, steps - 1);
      else if (node.opType === "Pad" && index === 0) this.follow(output, axes, steps - 1);
      else if (node.opType === "Transpose") {
        const perm = node.record.attributes.get("perm")?.ints.map(Number);
        if (perm !== undefined)
          this.follow(
            output,
            perm.map((axis) => (axes === undefined ? axis : axes[axis])),
            steps - 1,
          );
      }
    }
  }

  private read(node: GraphNode, index: number, axes: Axes): void {
    const weight = (at: number) => constantDims(node.inputs[at]);
    const { product, weights } = traitsOf(node) ?? {};
    const transposed = product === "transposed";
    if (weights !== undefined && (product === "convolution" || transposed)) {
      const w = index === 0 ? weight(weights[0]) : undefined;
      if (w === undefined) return;
      this.size(axes, 1, w.length, transposed ? w[0] : w[1] * int(node, "group", 1));
      this.spatial(axes, w.length);
      return;
    }
    if (weights !== undefined && product === "recurrent") {
      if (index === 0) this.size(axes, 2, 3, weight(weights[0])?.[2]);
      return;
    }
    switch (node.opType) {
      case "MaxPool":
      case "AveragePool":
      case "LpPool": {
        const kernel = node.record.attributes.get("kernel_shape")?.ints.length;
        if (kernel !== undefined) this.spatial(axes, kernel + 2);
        return;
      }
      case "Gemm": {
        const other = weight(index === 0 ? 1 : 0);
        if (index > 1 || other === undefined) return;
        const transposed = int(node, index === 0 ? "transA" : "transB", 0) !== 0;
        const otherTransposed = int(node, index === 0 ? "transB" : "transA", 0) !== 0;
        const inner = index === 0 ? other[otherTransposed ? 1 : 0] : other[otherTransposed ? 0 : 1];
        const axis = index === 0 ? (transposed ? 0 : 1) : transposed ? 1 : 0;
        this.size(axes, axis, 2, inner);
        return;
      }
      case "MatMul": {
        const other = weight(1 - index);
        if (other === undefined || other.length < 2) return;
        const rank = this.hint.rank ?? axes?.length;
        if (index === 0 && rank !== undefined) this.size(axes, rank - 1, rank, other[other.length - 2]);
        else if (index === 0) this.size(axes, 1, 2, other[0]);
        else if (rank !== undefined && rank > 1) this.size(axes, rank - 2, rank, other[other.length - 1]);
        return;
      }
      case "BatchNormalization":
      case "InstanceNormalization": {
        const scale = weight(1);
        if (index === 0 && scale !== undefined && this.hint.rank !== undefined) this.size(axes, 1, this.hint.rank, scale[0]);
        return;
      }
      case "LayerNormalization": {
        const [rank, scale] = [this.hint.rank, weight(1)];
        if (index === 0 && rank !== undefined && scale?.length === 1) this.size(axes, rank - 1, rank, scale[0]);
        return;
      }
      case "Add":
      case "Sub":
      case "Mul":
      case "Div": {
        const other = weight(1 - index);
        const rank = this.hint.rank ?? axes?.length;
        if (other === undefined || rank === undefined || other.length > rank) return;
        other.forEach((d, i) => {
          if (d !== 1) this.size(axes, rank - other.length + i, rank, d);
        });
      }
    }
  }

  private spatial(axes: Axes, rank: number): void {
    this.hint.rank ??= rank;
    const first = axes === undefined ? 2 : Math.min(...axes.slice(2));
    if (Number.isFinite(first)) this.hint.spatial ??= { first, count: rank - 2 };
  }
}

/** What the readers of a graph input tell. `rank` is what the file declares, when it does. */
export function hintOf(value: GraphValue, rank: number | undefined): Hint {
  const follower = new Follower();
  follower.hint.rank = rank;
  follower.follow(value, undefined, 8);
  const { hint } = follower;
  hint.rows = tableRows(value);
  return hint;
}

/** Rows of the smallest table (Gather on an axis of a constant, OneHot depth) that the value indexes. */
function tableRows(value: GraphValue): number | undefined {
  let rows: number | undefined;
  const seen = new Set<GraphValue>();
  const visit = (at: GraphValue, steps: number): void => {
    if (steps === 0 || seen.has(at)) return;
    seen.add(at);
    for (const { node, index } of at.uses) {
      const size = indexed(node, index);
      if (size !== undefined && size > 0) rows = Math.min(rows ?? size, size);
      if (hasTrait(node, "moves", "casts") && (index === 0 || node.opType === "Concat") && node.outputs[0] !== undefined) {
        visit(node.outputs[0], steps - 1);
      }
    }
  };
  visit(value, 12);
  return rows;
}

function indexed(node: GraphNode, index: number): number | undefined {
  if ((node.opType === "Gather" || node.opType === "GatherElements") && index === 1) {
    const table = constantDims(node.inputs[0]);
    const axis = int(node, "axis", 0);
    return table?.[axis < 0 ? axis + table.length : axis];
  }
  if (node.opType === "OneHot" && index === 0) {
    const depth = storedRecord(node.inputs[1]);
    if (depth !== undefined && sizeOf(depth.dims) === 1) return asNumbers(decode(depth))[0];
  }
  return undefined;
}

/**
 * The product of the strides on the way with the most of them: an image smaller than this shrinks to nothing. Upsampling is
 * not credited: an image may be larger than needed, never smaller.
 */
export function totalStride(view: GraphView): number {
  const reached = new Map<GraphValue, number>();
  let most = 1;
  for (const node of view.nodes) {
    let stride = 1;
    for (const input of node.inputs) stride = Math.max(stride, (input && reached.get(input)) ?? 1);
    if (hasTrait(node, "strides")) {
      stride *= Math.max(1, ...(node.record.attributes.get("strides")?.ints.map(Number) ?? []));
    }
    for (const output of node.outputs) if (output !== undefined) reached.set(output, stride);
    most = Math.max(most, stride);
  }
  return most;
}
