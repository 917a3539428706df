/**
 * Quantised operators of ONNX Runtime's own domain, as its quantiser writes them.
 *   QLinearX(x, sx, zx, …, sy, zy)   q = saturate(⌊X((x − zx)·sx, …) / sy⌉ + zy) with X the float operator
 *   QGemm                            α·sa·sb·(Σ (a − za)(b − zb) + c), as it is or as codes like those
 *   MatMulIntegerToFloat             sa·sb·Σ (a − za)(b − zb) + bias; DynamicQuantizeMatMul the same of a = DynamicQuantizeLinear(A)
 * Scales and zero points of weights hold for all or for each column. Definitions: docs/ContribOperators.md of ONNX Runtime 1.31.
 */

import { asFloat64, type Tensor } from "../onnx/tensor.ts";
import { activationOps } from "./activation.ts";
import { arithmetic } from "./arithmetic.ts";
import { broadcastDims, broadcastTo, transpose } from "./broadcast.ts";
import { isTensor, microsoft, type OpContext, type OpDef, tensorOp } from "./define.ts";
import { floatProduct, productOf } from "./matmul.ts";
import { poolOps } from "./pool.ts";
import { centred, requantize } from "./qlinear.ts";
import { dynamicQuantize } from "./quantize.ts";
import { softmaxOps } from "./softmax.ts";

const ZERO: Tensor = { dtype: "uint8", dims: [], data: Uint8Array.of(0) };

/** (x − z)·s in float64. */
function real(x: Tensor, scale: Tensor, zero: Tensor | undefined): Tensor {
  const s = asFloat64(scale)[0];
  return { dtype: "float32", dims: x.dims, data: centred(x, zero, "all").map((v) => v * s) };
}

function codes(y: Tensor, scale: Tensor, zero: Tensor | undefined): Tensor[] {
  const s = asFloat64(scale)[0];
  return [requantize(asFloat64(y), y.dims, () => 1 / s, zero ?? ZERO)];
}

/** The standard operator of a name, in a version. */
function float(ops: readonly OpDef[], type: string, version: number): (context: OpContext, x: Tensor) => Tensor {
  const found = ops.filter((op) => op.type === type && op.since <= version).sort((a, b) => b.since - a.since)[0];
  return (context, x) => {
    const [y] = found.run(Object.create(context, { version: { value: version } }) as OpContext, [x]);
    if (!isTensor(y)) throw context.fail("its float operator gives no tensor");
    return y;
  };
}

type Unary = (context: OpContext, x: Tensor) => Tensor;

/** An operator on one value, its channels last where told. */
const unary = (type: string, of: Unary): OpDef =>
  tensorOp(type, 1, 2, (context, x, sx, zx, sy, zy) => {
    const rank = x.dims.length;
    const last = context.int("channels_last", 0) !== 0 && rank > 2;
    const axes = Array.from({ length: rank }, (_, i) => i);
    const value = real(x, sx, zx);
    if (!last) return codes(of(context, value), sy, zy);
    const front = transpose(value, [0, rank - 1, ...axes.slice(1, -1)]);
    return codes(transpose(of(context, front), [0, ...axes.slice(2), 1]), sy, zy);
  });

const binary = (type: string, kind: "Add" | "Mul"): OpDef =>
  tensorOp(type, 1, 7, (_context, a, sa, za, b, sb, zb, sy, zy) =>
    codes(arithmetic(kind, real(a, sa, za), real(b, sb, zb)), sy, zy),
  );

function concatenated(context: OpContext, sy: Tensor, zy: Tensor, ...parts: Tensor[]): Tensor[] {
  const values = parts.flatMap((x, i) => (i % 3 === 0 ? [real(x, parts[i + 1], parts[i + 2])] : []));
  const given = context.int("axis", 1);
  const rank = values[0].dims.length;
  const axis = given < 0 ? given + rank : given;
  const dims = values[0].dims.with(
    axis,
    values.reduce((n, { dims: own }) => n + own[axis], 0),
  );
  const outer = dims.slice(0, axis).reduce((n, d) => n * d, 1);
  const data = new Float64Array(dims.reduce((n, d) => n * d, 1));
  for (let o = 0, to = 0; o < outer; o++)
    for (const { data: from } of values) {
      const n = from.length / outer;
      data.set((from as Float64Array).subarray(o * n, (o + 1) * n), to);
      to += n;
    }
  return codes({ dtype: "float32", dims, data }, sy, zy);
}

function chosen(_context: OpContext, ...inputs: Tensor[]): Tensor[] {
  const [condition, x, sx, zx, y, sy, zy, sz, zz] = inputs;
  const dims = broadcastDims(condition.dims, x.dims, y.dims);
  const [c, p, q] = [condition, real(x, sx, zx), real(y, sy, zy)].map((t) => asFloat64(broadcastTo(t, dims)));
  return codes({ dtype: "float32", dims, data: p.map((v, i) => (c[i] !== 0 ? v : q[i])) }, sz, zz);
}

/** One number for all, or one for each column. */
const perColumn = (scale: Tensor, columns: number): ((i: number) => number) => {
  const s = asFloat64(scale);
  return s.length === 1 ? () => s[0] : (i) => s[i % columns];
};

function gemm(context: OpContext, ...inputs: Tensor[]): Tensor[] {
  const [a, sa, za, b, sb, zb, c, sy, zy] = inputs;
  const turned = (x: Tensor, name: string) => (context.int(name, 0) === 0 ? x : transpose(x, [1, 0]));
  const [p, q] = [turned(a, "transA"), turned(b, "transB")];
  const product = productOf(context, p.dims, q.dims);
  const { n } = product;
  const sums = floatProduct(centred(p, za, "all"), centred(q, zb, "last"), product);
  const bias = c === undefined ? undefined : asFloat64(broadcastTo(c, product.dims));
  const [alpha, x] = [context.float("alpha", 1), asFloat64(sa)[0]];
  const s = perColumn(sb, n);
  const factor = (i: number): number => alpha * x * s(i);
  if (bias !== undefined) for (let i = 0; i < sums.length; i++) sums[i] += bias[i];
  if (sy === undefined) return [{ dtype: "float32", dims: product.dims, data: sums.map((v, i) => v * factor(i)) }];
  const by = asFloat64(sy)[0];
  return [requantize(sums, product.dims, (i) => factor(i) / by, zy ?? ZERO)];
}

interface Product {
  readonly a: readonly [codes: Tensor, scale: Tensor, zero: Tensor | undefined];
  readonly b: readonly [codes: Tensor, scale: Tensor, zero: Tensor | undefined];
  readonly bias: Tensor | undefined;
}

function product(context: OpContext, { a, b, bias }: Product): Tensor[] {
  const made = productOf(context, a[0].dims, b[0].dims);
  const sums = floatProduct(centred(a[0], a[2], "all"), centred(b[0], b[2], "last"), made);
  const x = perColumn(a[1], made.n);
  const s = perColumn(b[1], made.n);
  const data = sums.map((v, i) => v * (x(i) * s(i)));
  const y: Tensor = { dtype: "float32", dims: made.dims, data };
  return [bias === undefined ? y : arithmetic("Add", y, { ...bias, data: asFloat64(bias) })];
}

export const contributedOps: readonly OpDef[] = [
  unary("QLinearLeakyRelu", (context, x) => {
    const alpha = context.float("alpha", Math.fround(0.01));
    return { ...x, data: asFloat64(x).map((v) => (v < 0 ? alpha * v : v)) };
  }),
  unary("QLinearSigmoid", float(activationOps, "Sigmoid", 13)),
  unary("QLinearGlobalAveragePool", float(poolOps, "GlobalAveragePool", 13)),
  unary("QLinearAveragePool", float(poolOps, "AveragePool", 13)),
  unary("QLinearSoftmax", (context, x) => float(softmaxOps, "Softmax", context.int("opset", 13))(context, x)),
  binary("QLinearAdd", "Add"),
  binary("QLinearMul", "Mul"),
  tensorOp("QLinearConcat", 1, 5, concatenated),
  tensorOp("QLinearWhere", 1, 9, chosen),
  tensorOp("QGemm", 1, 6, gemm),
  tensorOp("MatMulIntegerToFloat", 1, 4, (context, a, b, sa, sb, za, zb, bias) =>
    product(context, { a: [a, sa, za], b: [b, sb, zb], bias }),
  ),
  tensorOp("DynamicQuantizeMatMul", 1, 3, (context, x, b, sb, zb, bias) => {
    const [a, sa, za] = dynamicQuantize(context, x);
    return product(context, { a: [a, sa, za], b: [b, sb, zb], bias });
  }),
].map(microsoft);
