/**
 * Shapes and types of quantised layers: those of the layer they stand for, in the integer type that comes out.
 * ONNX ConvInteger 10, MatMulInteger 10, QLinearConv 10, QLinearMatMul 10 and 21, DynamicQuantizeLinear 11.
 */
import type { Shape } from "./dims.ts";
import { conv, matmul } from "./infer-layers.ts";
import type { At, Infer } from "./inference.ts";

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
