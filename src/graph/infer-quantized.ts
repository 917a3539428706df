/**
 * Shapes and types of quantised layers: those of the layer they stand for, in the integer type that comes out.
 * ONNX ConvInteger 10, MatMulInteger 10, QLinearConv 10, QLinearMatMul 10 and 21, DynamicQuantizeLinear 11; com.microsoft's QGemm,
 * QLinearAdd and its kin, MatMulIntegerToFloat, DynamicQuantizeMatMul.
 */
import { intAttr } from "./attributes.ts";
import type { Shape } from "./dims.ts";
import { concat } from "./infer.ts";
import { conv, gemm, globalPool, matmul, pool } from "./infer-layers.ts";
import { type At, broadcastShapes, type Infer } from "./inference.ts";

const FLOAT = 1;
const UINT8 = 2;
const INT32 = 6;

/** The float layer on operands `a` and `b` of the node, giving elements of `dtype`. */
const like = (layer: Infer, a: number, b: number, dtype: (at: At) => number): Infer => {
  return (at) => {
    const [made] = layer({ ...at, shapes: [at.shapes[a], at.shapes[b]] }) ?? [];
    return [{ dtype: dtype(at), shape: made?.shape }];
  };
};
const int32 = () => INT32;
/** The type of the zero point of the result. */
const ofResult = ({ facts, node }: At) => facts.of(node.inputs[7]).dtype;

export const convInteger = like(conv, 0, 1, int32);
export const matmulInteger = like(matmul, 0, 1, int32);
export const qLinearConv = like(conv, 0, 3, ofResult);
export const qLinearMatMul = like(matmul, 0, 3, ofResult);
export const dynamicQuantized: Infer = ({ shapes }) => [
  { dtype: UINT8, shape: shapes[0] },
  { dtype: FLOAT, shape: [] as Shape },
  { dtype: UINT8, shape: [] as Shape },
];

/** The type of input `i`. */
const typeOf =
  (i: number) =>
  ({ facts, node }: At): number =>
    facts.of(node.inputs[i]).dtype;
/** The float operator on operands at these positions, giving elements of the type of input `typed`. */
const over =
  (positions: readonly number[], made: Infer, typed: number): Infer =>
  (at) => {
    const [first] = made({ ...at, shapes: positions.map((i) => at.shapes[i]) }) ?? [];
    return [{ dtype: typeOf(typed)(at), shape: first?.shape }];
  };
const spread: Infer = (at) => [{ dtype: at.dtype, shape: broadcastShapes(at.shapes, at.unknown) }];
const alike: Infer = (at) => [{ dtype: at.dtype, shape: at.shapes[0] }];

/** With channels last, axes stand elsewhere. */
const channelsFirst = (made: Infer): Infer => {
  return (at) =>
    intAttr(at.node.record, "channels_last", 0) === 0 ? made(at) : [{ dtype: at.dtype, shape: at.shapes[0]?.map(at.unknown) }];
};

export const qLinearBinary = over([0, 3], spread, 0);
export const qLinearUnary = over([0], alike, 0);
export const qLinearGlobalPool = over([0], channelsFirst(globalPool), 0);
export const qLinearPool = over([0], channelsFirst(pool), 0);
export const qLinearWhere = over([0, 1, 4], spread, 1);
/** Scale and zero point of the result, then three inputs for each part. */
export const qLinearConcat: Infer = (at) =>
  over(
    at.node.inputs.flatMap((_, i) => (i >= 2 && i % 3 === 2 ? [i] : [])),
    concat,
    1,
  )(at);
/** Real numbers where no scale is given for codes. */
export const qGemm: Infer = (at) => {
  const [made] = gemm({ ...at, shapes: [at.shapes[0], at.shapes[3]] }) ?? [];
  return [{ dtype: at.node.inputs[7] === undefined ? FLOAT : typeOf(8)(at), shape: made?.shape }];
};
export const integerProduct = like(matmul, 0, 1, () => FLOAT);
