/** A linear map as a convolution: the kernel that it takes, and its coefficients laid out as the weight. */
import { gcd, type LinearMap } from "./linear-map.ts";

export interface Kernel {
  /** [O, I/g, k…]. */
  readonly dims: readonly number[];
  readonly groups: number;
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  /** Where each tap of the map stands in the kernel, row-major. */
  readonly places: readonly number[];
}

/** The smallest convolution that is the map: the bounding kernel, dilated where all taps lie on a coarser lattice. */
export function kernelOf(m: LinearMap): Kernel {
  const n = m.strides.length;
  const [kernel, dilations, low, pads]: number[][] = [[], [], [], []];
  for (let a = 0; a < n; a++) {
    const at = m.offsets.map((o) => o[a]);
    low[a] = Math.min(...at);
    let high = Math.max(...at);
    // Pads may not be negative: a window that starts late or ends early gets taps of zero.
    low[a] = Math.min(low[a], 0);
    high = Math.max(high, -1 - m.span[a]);
    const step = Math.max(
      1,
      at.reduce((g, v) => gcd(g, v - low[a]), high - low[a]),
    );
    dilations[a] = step;
    kernel[a] = (high - low[a]) / step + 1;
    pads[a] = -low[a];
    pads[a + n] = m.span[a] + high + 1;
  }
  const places = m.offsets.map((offset) => offset.reduce((index, v, a) => index * kernel[a] + (v - low[a]) / dilations[a], 0));
  return { dims: [m.outputs, m.inputs / m.groups, ...kernel], groups: m.groups, strides: m.strides, dilations, pads, places };
}

/** Matrices laid out as a kernel's weight [O, I/g, k…]. */
export function weightsOf(m: LinearMap, kernel: Kernel, matrices = m.matrices()): Float64Array {
  const [, , ...spatial] = kernel.dims;
  const taps = spatial.reduce((a, b) => a * b, 1);
  const size = kernel.dims[0] * kernel.dims[1];
  const out = new Float64Array(size * taps);
  for (const [tap, matrix] of matrices.entries()) for (let k = 0; k < size; k++) out[k * taps + kernel.places[tap]] += matrix[k];
  return out;
}

/** Multiply-adds per output position of the convolution that is the map. */
export const kernelCost = (kernel: Kernel): number => kernel.dims.reduce((a, b) => a * b, 1);
