/**
 * The post_transform of ai.onnx.ml scores: LOGISTIC 1 / (1 + e^−x), SOFTMAX, SOFTMAX_ZERO (zeros stay out of the softmax's
 * exponentials), PROBIT √2 · erf⁻¹(2x − 1).
 */
import type { OpContext } from "./define.ts";

const logistic = (x: number) => 1 / (1 + Math.exp(-x));

/** erf⁻¹ by Winitzki's approximation with a = 0.147, the one runtimes use. */
function erfInverse(x: number): number {
  const rest = (1 - x) * (1 + x);
  if (rest === 0) return 0;
  const log = Math.log(rest);
  const v = 2 / (Math.PI * 0.147) + 0.5 * log;
  return Math.sign(x) * Math.sqrt(-v + Math.sqrt(v * v - log / 0.147));
}

function softmax(row: Float64Array, keepZeros: boolean): Float64Array {
  const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const out = row.map((x) => (keepZeros && Math.abs(x) <= 1e-7 ? x * Math.exp(-top) : Math.exp(x - top)));
  const total = out.reduce((a, b) => a + b, 0);
  return out.map((x) => (total === 0 ? 0.5 : x / total));
}

export function postTransform(context: OpContext, row: Float64Array, name: string): Float64Array {
  switch (name) {
    case "NONE":
      return row;
    case "LOGISTIC":
      return row.map(logistic);
    case "SOFTMAX":
      return softmax(row, false);
    case "SOFTMAX_ZERO":
      return softmax(row, true);
    case "PROBIT":
      return row.map((x) => Math.SQRT2 * erfInverse(2 * x - 1));
    default:
      throw context.fail(`the post_transform "${name}" does not exist`);
  }
}
