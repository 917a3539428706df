/**
 * What a node costs, from the shapes it was given. Multiply-adds of the operators that are sums of products:
 *   Conv           outputs · (channels / group) · ∏ kernel
 *   ConvTranspose  inputs · (outputs / group) · ∏ kernel
 *   Gemm, MatMul   outputs · inner size
 *   RNN, GRU, LSTM steps · batch · Σ elements of W and R
 * and of the quantised and deformed forms of the first three. Everything else counts 0.
 */
import { traitsOf } from "../graph/operators.ts";
import type { Product } from "../graph/traits.ts";
import type { NodeRecord } from "../onnx/records.ts";
import { sizeOf, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";

type Values = readonly (Value | undefined)[];

type Dims = readonly number[];

const dimsOf = (value: Value | undefined): Dims | undefined => (isTensor(value) ? value.dims : undefined);

/** The sums of products of each kind, from the sizes of its input, its weights (the first, and all there are) and its output. */
const COST: Readonly<Record<Product, (x: Dims, w: Dims, y: Dims, weights: readonly Dims[]) => number>> = {
  convolution: (_x, w, y) => sizeOf(y) * sizeOf(w.slice(1)),
  transposed: (x, w) => sizeOf(x) * sizeOf(w.slice(1)),
  gemm: (_x, w, y) => (y[1] === 0 ? 0 : sizeOf(y) * (sizeOf(w) / y[1])),
  matmul: (x, _w, y) => sizeOf(y) * (x[x.length - 1] ?? 0),
  recurrent: (x, _w, _y, weights) => x[0] * x[1] * weights.reduce((n, dims) => n + sizeOf(dims), 0),
};

export function multiplyAdds(node: NodeRecord, inputs: Values, outputs: Values): number {
  const { product, weights = [] } = traitsOf(node) ?? {};
  if (product === undefined) return 0;
  // Of two operands that may be weights, the first is the data.
  const all = weights.filter((i) => i > 0).map((i) => dimsOf(inputs[i]));
  const [x, w, y] = [dimsOf(inputs[0]), all[0], dimsOf(outputs.find((value) => value !== undefined))];
  if (x === undefined || w === undefined || y === undefined) return 0;
  return COST[product](
    x,
    w,
    y,
    all.filter((dims) => dims !== undefined),
  );
}

/** Bytes of the distinct buffers behind some values. */
export function bytesOf(values: Iterable<Value | undefined>): number {
  const seen = new Set<object>();
  let bytes = 0;
  const add = (value: Value | undefined): void => {
    if (value === undefined) return;
    if (!isTensor(value)) {
      if (value.kind === "sequence") value.items.forEach(add);
      else add(value.item);
      return;
    }
    const { data } = value;
    const memory = (data as Exclude<Tensor["data"], readonly string[]>).buffer ?? data;
    if (seen.has(memory)) return;
    seen.add(memory);
    bytes += "byteLength" in memory ? memory.byteLength : data.length * 8;
  };
  for (const value of values) add(value);
  return bytes;
}
