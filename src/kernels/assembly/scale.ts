/**
 * WebAssembly SIMD for rewriting weights (AssemblyScript; compiled by scripts/kernels.mjs into ../scale-bytes.ts).
 *
 *   scale:  to[i] = float32(from[i] · factor)     from and to in float32, the product in float64, one rounding
 *
 * Returns 1 when a product of something other than zero is not between `low` and `high` in magnitude (or is no number).
 */
export function scale(from: usize, to: usize, n: i32, factor: f64, low: f32, high: f32): i32 {
  const by = f64x2.splat(factor);
  const lows = f32x4.splat(low);
  const highs = f32x4.splat(high);
  const zeros = f32x4.splat(0);
  let odd = i32x4.splat(0);
  const end = from + ((n as usize) << 2);
  const blocks = from + (((n & ~3) as usize) << 2);
  while (from < blocks) {
    const x = v128.load(from);
    const a = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.promote_low_f32x4(x), by));
    const b = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i32>(x, x, 2, 3, 2, 3)), by));
    const y = v128.shuffle<i32>(a, b, 0, 1, 4, 5);
    v128.store(to, y);
    const size = f32x4.abs(y);
    const fine = v128.or(v128.and(f32x4.ge(size, lows), f32x4.le(size, highs)), f32x4.eq(x, zeros));
    odd = v128.or(odd, v128.not(fine));
    from += 16;
    to += 16;
  }
  let rest: i32 = 0;
  while (from < end) {
    const x = load<f32>(from);
    const y = ((x as f64) * factor) as f32;
    store<f32>(to, y);
    const size = abs(y);
    if (!(size >= low && size <= high) && x != 0) rest = 1;
    from += 4;
    to += 4;
  }
  return (v128.any_true(odd) as i32) | rest;
}
