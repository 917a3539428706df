/**
 * Convolutions with kernel 3, stride 1 and dilation 1 by tiles of two outputs along each of the last two or three axes (Winograd 1980;
 * Lavin and Gray 2016, F(2, 3)): four products give two outputs that take six otherwise, along each axis anew.
 *
 *   input d₀…d₃      Bᵀ:  d₀ − d₂,  d₁ + d₂,  d₂ − d₁,  d₁ − d₃
 *   kernel g₀…g₂     G:   g₀,  ½·((g₀ + g₂) + g₁),  ½·((g₀ + g₂) − g₁),  g₂
 *   sums m₀…m₃       Aᵀ:  (m₀ + m₁) + m₂,  (m₁ − m₂) − m₃
 *
 * each along the first of the tiled axes, then the next. At every point of a tile a sum runs over the channels (and the taps of a leading
 * axis that is not tiled), k ascending from 0; the bias is added last. Which thread takes a tile changes no bit.
 *
 * The result differs from the direct sum's by roundings: a few units in the last place of the largest term under the tile, not only under the
 * window. Integers stay exact below 2^50. A NaN or infinity would spread over a tile, and numbers beyond 2^300 might overflow on the way: a
 * convolution that has any among its inputs or weights is summed directly.
 */
import { sizeOf, stridesOf } from "../onnx/tensor.ts";
import { backend } from "./backend.ts";
import { frameOf, lattice, padded, repeated, type Window } from "./grid.ts";
import type { Part } from "./types.ts";

/** What one number costs to transform and put in its place, in multiply-adds: of a kernel, of a tile's input, of its sums. */
const TURN_COST = 18;
/** How much cheaper tiles must be than direct sums. */
const GAIN = 0.85;

export interface Shape {
  readonly batch: number;
  readonly group: number;
  /** In one group. */
  readonly inputs: number;
  readonly outputs: number;
  readonly window: Window;
  readonly out: readonly number[];
}

/** On how many of the last axes tiles pay: 0 for none. Decided by shapes alone. */
export function tiledAxes({ batch, inputs, outputs, window, out }: Shape): 0 | 2 | 3 {
  const { kernel, strides, dilations } = window;
  let best: 0 | 2 | 3 = 0;
  let least = GAIN * sizeOf(kernel) * sizeOf(out) * batch * inputs * outputs;
  for (const axes of [2, 3] as const) {
    const first = kernel.length - axes;
    if (first < 0) continue;
    const fits = [kernel, strides, dilations].every((list, i) => list.slice(first).every((v) => v === (i === 0 ? 3 : 1)));
    if (!fits) continue;
    const points = 4 ** axes;
    const k = inputs * sizeOf(kernel.slice(0, first));
    const tiles = batch * out.reduce((n, d, i) => n * (i < first ? d : Math.ceil(d / 2)), 1);
    const cost = points * (tiles * outputs * k + TURN_COST * (k * outputs + tiles * (k + outputs)));
    if (cost < least) {
      least = cost;
      best = axes;
    }
  }
  return best;
}

export interface TiledConvolution extends Shape {
  readonly x: Float64Array | Float32Array;
  readonly w: Float64Array | Float32Array;
  readonly bias?: Float64Array | Float32Array;
  readonly spatial: readonly number[];
  readonly data: Float64Array;
}

/** False when some number is too large or none: the direct sums have to write every result. */
export function convolveTiles(job: TiledConvolution, axes: 2 | 3): boolean {
  const { x, w, bias, spatial, window, out, group, inputs, outputs, batch, data } = job;
  if (!backend().tame(x)) return false;
  const first = out.length - axes;
  const counts = out.map((d, i) => (i < first ? d : Math.ceil(d / 2)));
  // The last tile of an odd extent reaches one element further.
  const end = window.end.map((p, i) => p + (i < first ? 0 : 2 * counts[i] - out[i]));
  const outer = padded(spatial, window.begin, end);
  const strides = stridesOf(outer);
  const lead = lattice(
    window.kernel.slice(0, first),
    strides.slice(0, first).map((s, i) => s * window.dilations[i]),
  );
  const outStrides = stridesOf(out);
  const steps = (list: readonly number[], by: readonly number[]) => list.map((s, i) => s * (i < first ? by[i] : 2));
  const ones = out.map(() => 1);
  const [inPlane, outPlane] = [sizeOf(spatial), sizeOf(out)];
  const two = new Array<number>(axes).fill(2);
  const shared = {
    m: outputs,
    k: inputs * lead.length,
    axes,
    a: w,
    x,
    frame: frameOf(inputs, spatial, window.begin, end),
    tap: repeated(lead, inputs, sizeOf(outer)),
    tile: lattice(counts, steps(strides, window.strides)),
    point: lattice(
      two.map(() => 4),
      strides.slice(first),
    ),
    init: bias,
    out: data,
    outRow: outPlane,
    outAt: lattice(counts, steps(outStrides, ones)),
    place: lattice(two, outStrides.slice(first)),
    mask: masks(out, counts, first),
  };
  const taps = 3 ** axes;
  for (let g = 0; g < group; g++) {
    const parts: Part[] = Array.from({ length: batch }, (_, b) => ({
      from: (b * group + g) * inputs * inPlane,
      length: inputs * inPlane,
      to: (b * group + g) * outputs * outPlane,
    }));
    if (!backend().tiles({ ...shared, aBase: g * outputs * shared.k * taps, initBase: g * outputs, parts })) return false;
  }
  return true;
}

/** For each tile the bits of its outputs that exist: bit q for output q, the last axis fastest. */
function masks(out: readonly number[], counts: readonly number[], first: number): Int32Array {
  let list = [1];
  for (let axis = 0; axis < out.length; axis++) {
    if (axis < first) {
      const before = list;
      list = before.flatMap((mask) => new Array<number>(counts[axis]).fill(mask));
      continue;
    }
    list = list.flatMap((mask) =>
      Array.from({ length: counts[axis] }, (_, t) => {
        let wider = 0;
        for (let q = 0; mask >> q > 0; q++) if ((mask >> q) & 1) wider |= (2 * t + 1 < out[axis] ? 3 : 1) << (2 * q);
        return wider;
      }),
    );
  }
  return Int32Array.from(list);
}
