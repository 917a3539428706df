/** ai.onnx.ml operators that look values up or rescale them: LabelEncoder, OneHotEncoder, Scaler, Imputer and their kin. */
import type { DType } from "../onnx/dtype.ts";
import { asFloat64, asNumbers, sizeOf, type Tensor } from "../onnx/tensor.ts";
import { blank, normalizeAxis, withDims } from "./broadcast.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";
import { concat } from "./shape.ts";
import { takeAxis } from "./slice.ts";

const domain = "ai.onnx.ml";

export const mlOp = (
  type: string,
  since: number,
  required: number,
  run: (context: OpContext, ...inputs: Tensor[]) => Tensor[],
): OpDef => ({
  ...tensorOp(type, since, required, run),
  domain,
});

export const float32 = (dims: readonly number[], data: Float64Array): Tensor => ({ dtype: "float32", dims, data });

/** What identifies a value in a table: -0 is 0, every NaN is one, 5 and 5n are different only by type of table. */
const keyOf = (value: unknown): string => (Object.is(value, -0) ? "0" : String(value));

/** The table under `prefix` in any of its typed attributes. */
function column(context: OpContext, prefix: string): Tensor | undefined {
  const tensor = context.tensor(`${prefix}_tensor`);
  if (tensor !== undefined) return tensor;
  const strings = context.strings(`${prefix}_strings`);
  if (strings?.length) return { dtype: "string", dims: [strings.length], data: strings };
  const ints = context.attribute(`${prefix}_int64s`)?.ints;
  if (ints?.length) return { dtype: "int64", dims: [ints.length], data: BigInt64Array.from(ints) };
  const floats = context.floats(`${prefix}_floats`);
  return floats === undefined ? undefined : float32([floats.length], Float64Array.from(floats));
}

function fallbackOf(context: OpContext, dtype: DType): unknown {
  const tensor = context.tensor("default_tensor");
  if (tensor !== undefined) return tensor.data[0];
  if (dtype === "string") return context.string("default_string", "_Unused");
  if (dtype === "int64") return context.attribute("default_int64")?.i ?? -1n;
  if (dtype === "float32" || dtype === "float64") return context.float("default_float", -0);
  return -1;
}

function lookUp(input: Tensor, keys: Tensor, values: Tensor, fallback: unknown): Tensor {
  const table = new Map<string, unknown>();
  for (let i = 0; i < keys.data.length; i++) table.set(keyOf(keys.data[i]), values.data[i]);
  const data = blank(values.dtype, input.data.length) as unknown[];
  for (let i = 0; i < data.length; i++) {
    const key = keyOf(input.data[i]);
    data[i] = table.has(key) ? table.get(key) : fallback;
  }
  return { dtype: values.dtype, dims: input.dims, data: data as unknown as Tensor["data"] };
}

function labelEncoder(context: OpContext, input: Tensor): Tensor {
  const keys = column(context, "keys");
  const values = column(context, "values");
  if (keys === undefined || values === undefined) throw context.fail("keys or values are missing");
  if (keys.data.length !== values.data.length) throw context.fail(`${keys.data.length} keys but ${values.data.length} values`);
  return lookUp(input, keys, values, fallbackOf(context, values.dtype));
}

/** Strings to numbers or numbers to strings, by two lists: CategoryMapper, and LabelEncoder before version 2. */
function mapped(context: OpContext, input: Tensor, strings: readonly string[], ints: readonly bigint[]): Tensor {
  const words: Tensor = { dtype: "string", dims: [strings.length], data: strings };
  const numbers: Tensor = { dtype: "int64", dims: [ints.length], data: BigInt64Array.from(ints) };
  const toText = input.dtype !== "string";
  const values = toText ? words : numbers;
  return lookUp(input, toText ? numbers : words, values, fallbackOf(context, values.dtype));
}

function oneHotEncoder(context: OpContext, input: Tensor): Tensor {
  const strings = context.strings("cats_strings") ?? [];
  const list: readonly unknown[] = strings.length > 0 ? strings : (context.ints("cats_int64s") ?? []);
  const table = new Map(list.map((value, i) => [keyOf(value), i]));
  const data = new Float64Array(input.data.length * list.length);
  for (let i = 0; i < input.data.length; i++) {
    const value = input.data[i];
    const at = table.get(keyOf(typeof value === "number" ? Math.trunc(value) : value));
    if (at !== undefined) data[i * list.length + at] = 1;
    else if (context.int("zeros", 1) === 0) throw context.fail(`${String(value)} is no category`);
  }
  return float32([...input.dims, list.length], data);
}

function scaler(context: OpContext, input: Tensor): Tensor {
  const n = input.dims[input.dims.length - 1] ?? 1;
  const parameter = (name: string, fallback: number) => {
    const list = context.floats(name) ?? [fallback];
    if (list.length !== 1 && list.length !== n) throw context.fail(`${name} has ${list.length} values for ${n} features`);
    return (i: number) => list[list.length === 1 ? 0 : i % n];
  };
  const offset = parameter("offset", 0);
  const scale = parameter("scale", 1);
  return float32(
    input.dims,
    asFloat64(input).map((x, i) => (x - offset(i)) * scale(i)),
  );
}

/** Each row over its norm (MAX: its largest value, which may be negative); a norm of 0 leaves the row as it is. */
function normalizer(context: OpContext, input: Tensor): Tensor {
  const norm = context.string("norm", "MAX");
  const n = input.dims[input.dims.length - 1] ?? 1;
  const out = Float64Array.from(asFloat64(input));
  for (let at = 0; at < out.length; at += n) {
    const row = out.subarray(at, at + n);
    let size = norm === "MAX" ? Number.NEGATIVE_INFINITY : 0;
    for (const x of row) {
      if (norm === "L1") size += Math.abs(x);
      else if (norm === "L2") size += x * x;
      else size = Math.max(size, x);
    }
    if (norm === "L2") size = Math.sqrt(size);
    if (size !== 0) for (let i = 0; i < row.length; i++) row[i] /= size;
  }
  return float32(input.dims, out);
}

function imputer(context: OpContext, input: Tensor): Tensor {
  const floats = context.floats("imputed_value_floats") ?? [];
  const ints = context.attribute("imputed_value_int64s")?.ints ?? [];
  const values: readonly (number | bigint)[] = floats.length > 0 ? floats : ints;
  const wanted =
    floats.length > 0 ? context.float("replaced_value_float", 0) : (context.attribute("replaced_value_int64")?.i ?? 0n);
  const n = input.dims[input.dims.length - 1] ?? 1;
  if (values.length !== 1 && values.length !== n) throw context.fail(`${values.length} imputed values for ${n} features`);
  const data = (input.data as Float64Array).slice() as unknown as (number | bigint)[];
  for (let i = 0; i < data.length; i++) {
    if (keyOf(data[i]) === keyOf(wanted)) data[i] = values[values.length === 1 ? 0 : i % n];
  }
  return { ...input, data: data as unknown as Tensor["data"] };
}

function binarizer(context: OpContext, input: Tensor): Tensor {
  const threshold = context.float("threshold", 0);
  return { ...input, data: (input.data as Float64Array).map((x) => Number(x > threshold)) };
}

/** Columns of the last axis; a vector counts as one row. */
function arrayFeatureExtractor(input: Tensor, indices: Tensor): Tensor {
  const rows = input.dims.length === 1 ? withDims(input, [1, ...input.dims]) : input;
  const axis = normalizeAxis(-1, rows.dims.length);
  return takeAxis(
    rows,
    axis,
    asNumbers(indices).map((i) => normalizeAxis(i, rows.dims[axis])),
  );
}

function featureVectorizer(context: OpContext, inputs: readonly Tensor[]): Tensor {
  const widths = context.ints("inputdimensions");
  const parts = inputs.map((input, i) => {
    const rows = input.dims.length < 2 ? 1 : input.dims[0];
    const width = sizeOf(input.dims) / rows;
    if (widths !== undefined && widths[i] !== width)
      throw context.fail(`input ${i} has ${width} features, inputdimensions says ${widths[i]}`);
    return float32([rows, width], asFloat64(input));
  });
  return concat(parts, 1);
}

export const mlTableOps: readonly OpDef[] = [
  mlOp("ArrayFeatureExtractor", 1, 2, (_, input, indices) => [arrayFeatureExtractor(input, indices)]),
  mlOp("Binarizer", 1, 1, (context, input) => [binarizer(context, input)]),
  mlOp("CategoryMapper", 1, 1, (context, input) => {
    return [mapped(context, input, context.strings("cats_strings") ?? [], context.attribute("cats_int64s")?.ints ?? [])];
  }),
  mlOp("FeatureVectorizer", 1, 1, (context, ...inputs) => [featureVectorizer(context, inputs)]),
  mlOp("Imputer", 1, 1, (context, input) => [imputer(context, input)]),
  mlOp("LabelEncoder", 1, 1, (context, input) => {
    const classes = context.strings("classes_strings") ?? [];
    return [
      mapped(
        context,
        input,
        classes,
        classes.map((_, i) => BigInt(i)),
      ),
    ];
  }),
  mlOp("LabelEncoder", 2, 1, (context, input) => [labelEncoder(context, input)]),
  mlOp("Normalizer", 1, 1, (context, input) => [normalizer(context, input)]),
  mlOp("OneHotEncoder", 1, 1, (context, input) => [oneHotEncoder(context, input)]),
  mlOp("Scaler", 1, 1, (context, input) => [scaler(context, input)]),
];
