/**
 * Gemm 1, 6, 7, 9, 11, 13: y = alpha·A'·B' + beta·C, A' and B' transposed on request, C broadcast to y. With alpha = beta = 1 and
 * a C that is constant along one axis the sums start at C: bias first. Before version 7 C is broadcast only with `broadcast` = 1.
 */
import { type Matrix, multiply } from "../kernels/index.ts";
import { allocate, asFloat64, type BigArray, type FloatArray, type IntArray, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { broadcastDims, broadcastTo } from "./broadcast.ts";
import { type OpContext, type OpDef, owning, tensorOp } from "./define.ts";

/** C as the starts of the sums, when it is one number a row or a column. */
function startsOf(c: Tensor | undefined, m: number, n: number): { data: FloatArray; per: "row" | "column" } | undefined {
  if (c === undefined || c.dims.length > 2) return undefined;
  const [rows, columns] = c.dims.length === 2 ? c.dims : [1, c.dims[0] ?? 1];
  if (rows === 1 && columns === n) return { data: c.data as FloatArray, per: "column" };
  if (columns === 1 && rows === m) return { data: c.data as FloatArray, per: "row" };
  return undefined;
}

function gemm(context: OpContext, a: Tensor, b: Tensor, c?: Tensor): Tensor[] {
  if (a.dims.length !== 2 || b.dims.length !== 2) throw context.fail("A and B must be matrices");
  const [transA, transB] = [context.int("transA", 0) !== 0, context.int("transB", 0) !== 0];
  const [alpha, beta] = [context.float("alpha", 1), context.float("beta", 1)];
  const [m, k] = transA ? [a.dims[1], a.dims[0]] : a.dims;
  const [k2, n] = transB ? [b.dims[1], b.dims[0]] : b.dims;
  if (k !== k2) throw context.fail(`inner sizes ${k} and ${k2} differ`);
  const dims = [m, n];
  if (c !== undefined) {
    const legacy = context.version < 7 && context.int("broadcast", 0) === 0;
    if (legacy ? String(c.dims) !== String(dims) : String(broadcastDims(c.dims, dims)) !== String(dims)) {
      throw context.fail(`C cannot be ${legacy ? "added" : "broadcast"} to [${dims.join(", ")}]`);
    }
  }
  const float = a.data instanceof Float64Array || a.data instanceof Float32Array;
  if (!float) return [integerGemm(a, b, c, { m, n, k, transA, transB, alpha, beta })];
  const left: Matrix = { data: a.data as FloatArray, base: 0, row: transA ? 1 : k, column: transA ? m : 1 };
  const right: Matrix = { data: b.data as FloatArray, base: 0, row: transB ? 1 : n, column: transB ? k : 1 };
  const data = new Float64Array(m * n);
  const starts = alpha === 1 && beta === 1 ? startsOf(c, m, n) : undefined;
  multiply(m, n, k, left, right, data, 0, starts);
  if (alpha !== 1) for (let i = 0; i < data.length; i++) data[i] *= alpha;
  if (c !== undefined && starts === undefined && beta !== 0) {
    const added = asFloat64(broadcastTo(c, dims));
    for (let i = 0; i < data.length; i++) data[i] += beta * added[i];
  }
  return [{ dtype: a.dtype, dims, data }];
}

interface Shape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transA: boolean;
  readonly transB: boolean;
  readonly alpha: number;
  readonly beta: number;
}

/** Integers exactly (as bigint); a fractional alpha or beta is applied in float64 and truncated. */
function integerGemm(a: Tensor, b: Tensor, c: Tensor | undefined, shape: Shape): Tensor {
  const { m, n, k, transA, transB, alpha, beta } = shape;
  const x = Array.from(a.data as ArrayLike<number | bigint>, BigInt);
  const y = Array.from(b.data as ArrayLike<number | bigint>, BigInt);
  const z = c && Array.from(broadcastTo(c, [m, n]).data as ArrayLike<number | bigint>, BigInt);
  const scaled = (value: bigint, by: number): bigint =>
    Number.isInteger(by) ? value * BigInt(by) : BigInt(Math.trunc(Number(value) * by));
  const data = allocate(a.dtype, sizeOf([m, n])) as BigArray | IntArray;
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0n;
      for (let t = 0; t < k; t++) sum += x[transA ? t * m + i : i * k + t] * y[transB ? j * k + t : t * n + j];
      const value = scaled(sum, alpha) + (z ? scaled(z[i * n + j], beta) : 0n);
      if (big) (data as BigArray)[i * n + j] = value;
      else (data as IntArray)[i * n + j] = Number(BigInt.asIntN(32, value));
    }
  }
  return { dtype: a.dtype, dims: [m, n], data };
}

export const gemmOps: readonly OpDef[] = owning(tensorOp("Gemm", 1, 2, gemm));
