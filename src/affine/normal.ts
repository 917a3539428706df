/**
 * Batch normalization with fixed statistics is one affine map per channel:
 *
 *   γ·(x − μ)/√(v + ε) + β = s·x + t,   s = γ/√(v + ε),   t = β − μ·s
 *
 * Where v + ε is not positive s is not finite; callers judge that.
 */

/** s and t of every channel, float64, fresh. All vectors have one length. */
export function normalMap(
  gamma: Float64Array,
  beta: Float64Array,
  mean: Float64Array,
  variance: Float64Array,
  epsilon: number,
): { scale: Float64Array; shift: Float64Array } {
  const scale = gamma.map((g, c) => g / Math.sqrt(variance[c] + epsilon));
  return { scale, shift: beta.map((b, c) => b - mean[c] * scale[c]) };
}
