/**
 * Comparison, boolean and bitwise operators. Comparisons give bool tensors; with a NaN operand all of them are false.
 * Shifts by less than 0 or by the width and more shift every bit out: 0, or −1 for a negative number moved right.
 */
import { dtypeInfo } from "../onnx/dtype.ts";
import { allocate, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { alignLegacy } from "./arithmetic.ts";
import { binary, broadcastDims, broadcastStrides, forEachRun, merge, unary } from "./broadcast.ts";
import { type OpDef, tensorOp } from "./define.ts";

type Compare = (x: number | bigint, y: number | bigint) => boolean;

const COMPARISONS: readonly (readonly [type: string, since: number, holds: Compare])[] = [
  ["Equal", 1, (x, y) => x === y],
  ["Less", 1, (x, y) => x < y],
  ["LessOrEqual", 12, (x, y) => x <= y],
  ["Greater", 1, (x, y) => x > y],
  ["GreaterOrEqual", 12, (x, y) => x >= y],
];

const BOOLEANS: readonly (readonly [type: string, fn: (x: number, y: number) => number])[] = [
  ["And", (x, y) => x & y],
  ["Or", (x, y) => x | y],
  ["Xor", (x, y) => x ^ y],
];

const BITWISE: readonly (readonly [type: string, fn: (x: number, y: number) => number, big: (x: bigint, y: bigint) => bigint])[] =
  [
    ["BitwiseAnd", (x, y) => x & y, (x, y) => x & y],
    ["BitwiseOr", (x, y) => x | y, (x, y) => x | y],
    ["BitwiseXor", (x, y) => x ^ y, (x, y) => x ^ y],
  ];

function equalStrings(a: Tensor, b: Tensor): Tensor {
  const dims = broadcastDims(a.dims, b.dims);
  const out = allocate("bool", sizeOf(dims)) as Uint8Array;
  const x = a.data as readonly string[];
  const y = b.data as readonly string[];
  const walk = merge(dims, [broadcastStrides(a.dims, dims), broadcastStrides(b.dims, dims)]);
  const last = walk.dims.length - 1;
  const [sx, sy] = walk.strides.map((s) => s[last]);
  forEachRun(walk, (at, offsets) => {
    for (let i = 0; i < walk.dims[last]; i++) out[at + i] = x[offsets[0] + i * sx] === y[offsets[1] + i * sy] ? 1 : 0;
  });
  return { dtype: "bool", dims, data: out };
}

function shift(a: Tensor, b: Tensor, left: boolean): Tensor {
  const { bits } = dtypeInfo(a.dtype);
  const out = (y: number) => y < 0 || y >= bits;
  const wide = BigInt(bits);
  const outBig = (y: bigint) => y < 0n || y >= wide;
  if (left)
    return binary(
      a,
      b,
      a.dtype,
      (x, y) => (out(y) ? 0 : x << y),
      (x, y) => (outBig(y) ? 0n : x << y),
    );
  const fill = (x: number) => (x < 0 ? -1 : 0);
  const right = a.dtype === "uint32" ? (x: number, y: number) => x >>> y : (x: number, y: number) => x >> y;
  return binary(
    a,
    b,
    a.dtype,
    (x, y) => (out(y) ? fill(x) : right(x, y)),
    (x, y) => (outBig(y) ? (x < 0n ? -1n : 0n) : x >> y),
  );
}

export const logicOps: readonly OpDef[] = [
  ...COMPARISONS.map(([type, since, holds]) =>
    tensorOp(type, since, 2, (context, a, b0) => {
      const b = alignLegacy(context, a, b0);
      if (type === "Equal" && a.dtype === "string") return [equalStrings(a, b)];
      const fn = (x: number | bigint, y: number | bigint) => (holds(x, y) ? 1 : 0);
      return [binary(a, b, "bool", fn, fn)];
    }),
  ),
  ...BOOLEANS.map(([type, fn]) => tensorOp(type, 1, 2, (context, a, b) => [binary(a, alignLegacy(context, a, b), "bool", fn)])),
  ...BITWISE.map(([type, fn, big]) => tensorOp(type, 18, 2, (_, a, b) => [binary(a, b, a.dtype, fn, big)])),
  tensorOp("Not", 1, 1, (_, x) => [unary(x, "bool", (v) => v ^ 1)]),
  tensorOp("BitwiseNot", 18, 1, (_, x) => [
    unary(
      x,
      x.dtype,
      (v) => ~v,
      (v) => ~v,
    ),
  ]),
  tensorOp("BitShift", 11, 2, (context, a, b) => {
    const direction = context.string("direction", "");
    if (direction !== "LEFT" && direction !== "RIGHT") throw context.fail(`direction is "${direction}", not LEFT or RIGHT`);
    return [shift(a, b, direction === "LEFT")];
  }),
  tensorOp("IsNaN", 9, 1, (_, x) => [unary(x, "bool", (v) => (Number.isNaN(v) ? 1 : 0))]),
  tensorOp("IsInf", 10, 1, (context, x) => {
    const positive = context.int("detect_positive", 1) !== 0;
    const negative = context.int("detect_negative", 1) !== 0;
    return [
      unary(x, "bool", (v) =>
        (positive && v === Number.POSITIVE_INFINITY) || (negative && v === Number.NEGATIVE_INFINITY) ? 1 : 0,
      ),
    ];
  }),
];
