/**
 * Discrete Fourier transform of any length: X[k] = Σ_n x[n]·e^(∓2πi·kn/N), by splitting N into its prime factors (Cooley and
 * Tukey); a prime p costs p² a line. Twiddle factors come from one table of N exact arguments.
 */

export interface Complex {
  readonly re: Float64Array;
  readonly im: Float64Array;
}

const smallestFactor = (n: number): number => {
  for (let p = 2; p * p <= n; p++) if (n % p === 0) return p;
  return n;
};

/** A transform of length n, to be used on many lines; `inverse` conjugates the factors and does not divide. */
export function fourier(n: number, inverse: boolean): (x: Complex) => Complex {
  const cos = new Float64Array(n);
  const sin = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    const turn = (2 * Math.PI * k) / n;
    // Exact where the angle is a multiple of a right angle.
    const quarter = (4 * k) / n;
    cos[k] = Number.isInteger(quarter) ? [1, 0, -1, 0][quarter] : Math.cos(turn);
    sin[k] = (inverse ? 1 : -1) * (Number.isInteger(quarter) ? [0, 1, 0, -1][quarter] : Math.sin(turn));
  }

  /** Transforms x[from + i·step], i < size; one step in the size-`size` table is n / size steps in the table of n. */
  function transform({ re, im }: Complex, from: number, step: number, size: number): Complex {
    if (size === 1) return { re: Float64Array.of(re[from]), im: Float64Array.of(im[from]) };
    const p = smallestFactor(size);
    const q = size / p;
    const parts = Array.from({ length: p }, (_, r) => transform({ re, im }, from + r * step, step * p, q));
    const out = { re: new Float64Array(size), im: new Float64Array(size) };
    const stride = n / size;
    for (let k = 0; k < size; k++) {
      let a = 0;
      let b = 0;
      for (let r = 0; r < p; r++) {
        const at = ((r * k) % size) * stride;
        const [x, y] = [parts[r].re[k % q], parts[r].im[k % q]];
        a += x * cos[at] - y * sin[at];
        b += x * sin[at] + y * cos[at];
      }
      out.re[k] = a;
      out.im[k] = b;
    }
    return out;
  }

  return (x) => transform(x, 0, 1, n);
}
