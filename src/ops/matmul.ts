/**
 * MatMul 1, 9, 13; MatMulInteger 10; QLinearMatMul 10, 21: y[…, m, n] = Σ_k a[…, m, k]·b[…, k, n], batch axes broadcast, a
 * one-axis operand being a row on the left and a column on the right. 32-bit integers wrap, 64-bit ones too.
 */
import { type Matrix, multiply } from "../kernels/index.ts";
import { allocate, asFloat64, type BigArray, type FloatArray, type IntArray, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { broadcastDims, broadcastStrides, forEachRun, merge } from "./broadcast.ts";
import { type OpContext, type OpDef, owning, tensorOp } from "./define.ts";
import { centred, requantize } from "./qlinear.ts";

export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dims: number[];
  /** First elements of the matrices of each product, in elements of a, b and y. */
  readonly batches: readonly (readonly [number, number, number])[];
}

/** Shapes of a product in NumPy's sense. */
export function productOf(context: OpContext, aDims: readonly number[], bDims: readonly number[]): Product {
  if (aDims.length === 0 || bDims.length === 0) throw context.fail("an operand is a scalar");
  const left = aDims.length === 1 ? [1, aDims[0]] : aDims;
  const right = bDims.length === 1 ? [bDims[0], 1] : bDims;
  const [m, k] = left.slice(-2);
  const [k2, n] = right.slice(-2);
  if (k !== k2) throw context.fail(`inner sizes ${k} and ${k2} differ`);
  const leftBatch = left.slice(0, -2);
  const rightBatch = right.slice(0, -2);
  const batch = broadcastDims(leftBatch, rightBatch);
  const dims = [...batch, ...(aDims.length === 1 ? [] : [m]), ...(bDims.length === 1 ? [] : [n])];
  // One matrix on the right serves every row of the left: a single tall product.
  if (sizeOf(rightBatch) === 1 && leftBatch.length > 0) {
    return { m: m * sizeOf(leftBatch), n, k, dims, batches: [[0, 0, 0]] };
  }
  const batches: [number, number, number][] = [];
  const strides = [broadcastStrides(leftBatch, batch), broadcastStrides(rightBatch, batch)];
  const walk = merge(batch, strides);
  const last = walk.dims.length - 1;
  forEachRun(walk, (at, [p, q]) => {
    for (let i = 0; i < walk.dims[last]; i++) {
      batches.push([(p + i * walk.strides[0][last]) * m * k, (q + i * walk.strides[1][last]) * k * n, (at + i) * m * n]);
    }
  });
  return { m, n, k, dims, batches };
}

export function floatProduct(a: FloatArray, b: FloatArray, product: Product): Float64Array {
  const { m, n, k } = product;
  const out = new Float64Array(sizeOf(product.dims));
  for (const [p, q, to] of product.batches) {
    const left: Matrix = { data: a, base: p, row: k, column: 1 };
    multiply(m, n, k, left, { data: b, base: q, row: n, column: 1 }, out, to);
  }
  return out;
}

/** Products modulo 2^32. */
function wrapped(a: IntArray, b: IntArray, { m, n, k, batches }: Product, out: IntArray): void {
  for (const [p, q, to] of batches) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let t = 0; t < k; t++) sum = (sum + Math.imul(a[p + i * k + t], b[q + t * n + j])) | 0;
        out[to + i * n + j] = sum;
      }
    }
  }
}

/** Products modulo 2^64: the typed array keeps the low bits. */
function wrappedBig(a: BigArray, b: BigArray, { m, n, k, batches }: Product, out: BigArray): void {
  for (const [p, q, to] of batches) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0n;
        for (let t = 0; t < k; t++) sum += a[p + i * k + t] * b[q + t * n + j];
        out[to + i * n + j] = sum;
      }
    }
  }
}

function matmul(context: OpContext, a: Tensor, b: Tensor): Tensor[] {
  const product = productOf(context, a.dims, b.dims);
  const { dims } = product;
  if (a.data instanceof Float64Array || a.data instanceof Float32Array) {
    return [{ dtype: a.dtype, dims, data: floatProduct(a.data, b.data as FloatArray, product) }];
  }
  const data = allocate(a.dtype, sizeOf(dims));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    wrappedBig(a.data as BigArray, b.data as BigArray, product, data);
  } else {
    wrapped(a.data as IntArray, b.data as IntArray, product, data as IntArray);
  }
  return [{ dtype: a.dtype, dims, data }];
}

function matmulInteger(context: OpContext, a: Tensor, b: Tensor, aZero?: Tensor, bZero?: Tensor): Tensor[] {
  const product = productOf(context, a.dims, b.dims);
  const sums = floatProduct(centred(a, aZero, "rows"), centred(b, bZero, "last"), product);
  return [{ dtype: "int32", dims: product.dims, data: Int32Array.from(sums) }];
}

function qlinearMatmul(context: OpContext, ...inputs: Tensor[]): Tensor[] {
  const [a, aScale, aZero, b, bScale, bZero, yScale, yZero] = inputs;
  const product = productOf(context, a.dims, b.dims);
  const sums = floatProduct(centred(a, aZero, "rows"), centred(b, bZero, "last"), product);
  const [sa, sb, sy] = [aScale, bScale, yScale].map(asFloat64);
  const { n, m } = product;
  const factor = (i: number): number =>
    (sa[sa.length === 1 ? 0 : Math.floor(i / n) % m] * sb[sb.length === 1 ? 0 : i % n]) / sy[0];
  return [requantize(sums, product.dims, factor, yZero)];
}

export const matmulOps: readonly OpDef[] = [
  ...owning(tensorOp("MatMul", 1, 2, matmul)),
  tensorOp("MatMulInteger", 10, 2, matmulInteger),
  tensorOp("QLinearMatMul", 10, 8, qlinearMatmul),
];
