/**
 * TfIdfVectorizer: how often each n-gram of the pool occurs in a row, items s + 1 apart for each skip s up to max_skip_count
 * (single items once only). TF: the count; IDF: the n-gram's weight when it occurs at all; TFIDF: count × weight.
 */
import type { Tensor } from "../onnx/tensor.ts";
import { type OpContext, type OpDef, tensorOp } from "./define.ts";

/** n-gram → its number in the pool. Lengths stand one after the other; `ngram_counts` says where each begins. */
function pool(context: OpContext): Map<string, number> {
  const items: readonly unknown[] = context.strings("pool_strings") ?? context.ints("pool_int64s") ?? [];
  const starts = context.ints("ngram_counts") ?? [];
  const grams = new Map<string, number>();
  starts.forEach((start, k) => {
    const n = k + 1;
    for (let at = start; at + n <= (starts[k + 1] ?? items.length); at += n)
      grams.set(JSON.stringify(items.slice(at, at + n)), grams.size);
  });
  return grams;
}

function vectorize(context: OpContext, input: Tensor): Tensor {
  const grams = pool(context);
  const columns = context.ints("ngram_indexes") ?? [];
  const mode = context.string("mode", "TF");
  const weights = context.floats("weights");
  const [shortest, longest] = [context.int("min_gram_length", 1), context.int("max_gram_length", 1)];
  const skips = context.int("max_skip_count", 0);
  const length = input.dims[input.dims.length - 1] ?? 1;
  const rows = length === 0 ? 1 : input.data.length / length;
  const width = columns.reduce((most, column) => Math.max(most, column + 1), 0);
  const data = new Float64Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const row = Array.from(input.data.slice(r * length, (r + 1) * length) as ArrayLike<unknown>, (x) =>
      typeof x === "bigint" ? Number(x) : x,
    );
    for (let n = shortest; n <= longest; n++) {
      for (let step = 1; step <= (n === 1 ? 1 : skips + 1); step++) {
        for (let i = 0; i + (n - 1) * step < length; i++) {
          const gram = grams.get(JSON.stringify(Array.from({ length: n }, (_, k) => row[i + k * step])));
          if (gram === undefined) continue;
          const at = r * width + columns[gram];
          const weight = mode === "TF" ? 1 : (weights?.[gram] ?? 1);
          data[at] = mode === "IDF" ? weight : data[at] + weight;
        }
      }
    }
  }
  return { dtype: "float32", dims: input.dims.length === 2 ? [rows, width] : [width], data };
}

export const tfidfOps: readonly OpDef[] = [tensorOp("TfIdfVectorizer", 9, 1, (context, input) => [vectorize(context, input)])];
