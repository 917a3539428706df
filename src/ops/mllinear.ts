/**
 * ai.onnx.ml models linear in X or in a kernel: LinearRegressor, LinearClassifier, SVMRegressor.
 * Kernels: LINEAR a·b; POLY (γ a·b + c)^d; RBF e^(−γ|a − b|²); SIGMOID tanh(γ a·b + c).
 */
import { asFloat64, int64s, type Tensor } from "../onnx/tensor.ts";
import type { OpContext, OpDef } from "./define.ts";
import { float32, mlOp } from "./mltables.ts";
import { postTransform } from "./mltransform.ts";

export function rowsOf(input: Tensor): Float64Array[] {
  const x = asFloat64(input);
  const width = input.dims[input.dims.length - 1];
  return Array.from({ length: x.length / width }, (_, n) => x.subarray(n * width, (n + 1) * width));
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>, from = 0): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[from + i];
  return sum;
}

export function matrix(rows: readonly ArrayLike<number>[]): Tensor {
  const width = rows[0]?.length ?? 0;
  return float32([rows.length, width], Float64Array.from(rows.flatMap((row) => Array.from(row))));
}

/** Scores [N, E]: one row of coefficients for each of E targets. */
function linear(context: OpContext, input: Tensor): Float64Array[] {
  const coefficients = context.floats("coefficients") ?? [];
  const intercepts = context.floats("intercepts") ?? [];
  return rowsOf(input).map((row) =>
    Float64Array.from(
      { length: coefficients.length / row.length },
      (_, e) => dot(row, coefficients, e * row.length) + (intercepts[e] ?? 0),
    ),
  );
}

export const labels = (context: OpContext): readonly (string | number)[] => {
  const strings = context.strings("classlabels_strings") ?? [];
  return strings.length > 0 ? strings : (context.ints("classlabels_ints") ?? []);
};

export function labelTensor(list: readonly (string | number)[]): Tensor {
  if (typeof list[0] === "string") return { dtype: "string", dims: [list.length], data: list as string[] };
  return int64s(list as number[]);
}

export const largest = (row: ArrayLike<number>) =>
  Array.from(row).reduce((top, value, i, all) => (value > all[top] ? i : top), 0);

function linearClassifier(context: OpContext, input: Tensor): Tensor[] {
  const classes = labels(context);
  const transform = context.string("post_transform", "NONE");
  const scores = linear(context, input)
    .map((row) => (row.length === 1 && classes.length === 2 ? Float64Array.of(-row[0], row[0]) : row))
    .map((row) => postTransform(context, row, transform));
  const threshold = transform === "NONE" ? 0 : 0.5;
  const found = scores.map((row) => {
    if (row.length > 1) return classes[largest(row)] ?? largest(row);
    return row[0] >= threshold ? (classes[0] ?? 1) : typeof classes[0] === "string" ? "" : 0;
  });
  return [labelTensor(found), matrix(scores)];
}

export type Kernel = (a: Float64Array, b: Float64Array) => number;

export function kernel(context: OpContext): Kernel {
  const [gamma = 0, constant = 0, degree = 0] = context.floats("kernel_params") ?? [];
  const type = context.string("kernel_type", "LINEAR");
  switch (type) {
    case "LINEAR":
      return (a, b) => dot(a, b);
    case "POLY":
      return (a, b) => (gamma * dot(a, b) + constant) ** degree;
    case "RBF":
      return (a, b) => Math.exp(-gamma * a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0));
    case "SIGMOID":
      return (a, b) => Math.tanh(gamma * dot(a, b) + constant);
    default:
      throw context.fail(`the kernel_type "${type}" does not exist`);
  }
}

export function supportVectors(context: OpContext, count: number): Float64Array[] {
  const all = Float64Array.from(context.floats("support_vectors") ?? []);
  const width = all.length / count;
  return Array.from({ length: count }, (_, i) => all.subarray(i * width, (i + 1) * width));
}

function svmRegressor(context: OpContext, input: Tensor): Tensor {
  const coefficients = Float64Array.from(context.floats("coefficients") ?? []);
  const count = context.int("n_supports", 0);
  const vectors = supportVectors(context, Math.max(count, 1));
  const k = kernel(context);
  const rho = context.floats("rho")?.[0] ?? 0;
  const oneClass = context.int("one_class", 0) !== 0;
  const transform = context.string("post_transform", "NONE");
  const rows = rowsOf(input).map((row) => {
    const sum =
      count > 0 ? vectors.reduce((total, v, j) => total + coefficients[j] * k(row, v), rho) : rho + dot(row, coefficients);
    return postTransform(context, Float64Array.of(oneClass ? (sum > 0 ? 1 : -1) : sum), transform);
  });
  return matrix(rows);
}

export const mlLinearOps: readonly OpDef[] = [
  mlOp("LinearRegressor", 1, 1, (context, input) => {
    const transform = context.string("post_transform", "NONE");
    return [matrix(linear(context, input).map((row) => postTransform(context, row, transform)))];
  }),
  mlOp("LinearClassifier", 1, 1, (context, input) => linearClassifier(context, input)),
  mlOp("SVMRegressor", 1, 1, (context, input) => [svmRegressor(context, input)]),
];
