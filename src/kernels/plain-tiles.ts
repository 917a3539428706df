/** Convolution over tiles in plain TypeScript: the specification of `tiles` in assembly/kernels.ts, bit for bit. Formulas: winograd.ts. */
import { framed } from "./plain-frame.ts";
import type { Part, Tiling } from "./types.ts";

/** One of the three transforms along an axis: [outer][R][inner] numbers to [outer][S][inner]. */
type Turn = (from: Float64Array, to: Float64Array, outer: number, inner: number) => void;

const turnWeights: Turn = (from, to, outer, inner) => {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const p = 3 * o * inner + i;
      const q = 4 * o * inner + i;
      const g1 = from[p + inner];
      const sum = from[p] + from[p + 2 * inner];
      to[q] = from[p];
      to[q + inner] = 0.5 * (sum + g1);
      to[q + 2 * inner] = 0.5 * (sum - g1);
      to[q + 3 * inner] = from[p + 2 * inner];
    }
  }
};

const turnInput: Turn = (from, to, outer, inner) => {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const p = 4 * o * inner + i;
      const d1 = from[p + inner];
      const d2 = from[p + 2 * inner];
      to[p] = from[p] - d2;
      to[p + inner] = d1 + d2;
      to[p + 2 * inner] = d2 - d1;
      to[p + 3 * inner] = d1 - from[p + 3 * inner];
    }
  }
};

const turnOutput: Turn = (from, to, outer, inner) => {
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const p = 4 * o * inner + i;
      const q = 2 * o * inner + i;
      const m1 = from[p + inner];
      const m2 = from[p + 2 * inner];
      to[q] = from[p] + m1 + m2;
      to[q + inner] = m1 - m2 - from[p + 3 * inner];
    }
  }
};

/** `turn` along each axis, the first first; the numbers are in `from`, the results in the array given back. */
function turned(turn: Turn, axes: number, before: number, after: number, from: Float64Array, to: Float64Array): Float64Array {
  let [source, target] = [from, to];
  for (let axis = 0; axis < axes; axis++) {
    turn(source, target, after ** axis, before ** (axes - 1 - axis));
    [source, target] = [target, source];
  }
  return source;
}

/** Transformed kernels, [point][m][k]. */
function weights({ m, k, axes, a, aBase }: Tiling): Float64Array {
  const points = 4 ** axes;
  const taps = 3 ** axes;
  const u = new Float64Array(points * m * k);
  const [one, other] = [new Float64Array(points), new Float64Array(points)];
  for (let i = 0; i < m * k; i++) {
    for (let t = 0; t < taps; t++) one[t] = a[aBase + i * taps + t];
    const line = turned(turnWeights, axes, 3, 4, one, other);
    for (let p = 0; p < points; p++) u[p * m * k + i] = line[p];
  }
  return u;
}

/** Whether the weights are tame is asked of `tame`. */
export function plainTiles(job: Tiling, tame: (x: Tiling["a"]) => boolean): boolean {
  const size = job.m * job.k * 3 ** job.axes;
  if (!tame(job.a.subarray(job.aBase, job.aBase + size))) return false;
  const u = weights(job);
  const { frame } = job;
  const planes = frame ? new Float64Array(frame.planes * frame.plane) : undefined;
  for (const part of job.parts) {
    if (planes && frame) framed(job.x, frame, part.from, planes);
    tilesOf(job, u, planes ?? job.x, planes ? 0 : part.from, part);
  }
  return true;
}

function tilesOf(job: Tiling, u: Float64Array, x: Tiling["x"], from: number, part: Part): void {
  const { m, k, axes, tap, tile, point, init, initBase, out, outRow, outAt, place, mask } = job;
  const points = 4 ** axes;
  const v = new Float64Array(points * k);
  const [one, other] = [new Float64Array(points), new Float64Array(points)];
  for (let t = 0; t < tile.length; t++) {
    for (let c = 0; c < k; c++) {
      const base = from + tap[c] + tile[t];
      for (let p = 0; p < points; p++) one[p] = x[base + point[p]];
      const line = turned(turnInput, axes, 4, 4, one, other);
      for (let p = 0; p < points; p++) v[p * k + c] = line[p];
    }
    for (let i = 0; i < m; i++) {
      for (let p = 0; p < points; p++) {
        let sum = 0;
        for (let c = 0, w = (p * m + i) * k, d = p * k; c < k; c++) sum += u[w + c] * v[d + c];
        one[p] = sum;
      }
      const line = turned(turnOutput, axes, 4, 2, one, other);
      const start = init ? init[initBase + i] : 0;
      const target = part.to + i * outRow + outAt[t];
      for (let q = 0; q < place.length; q++) if ((mask[t] >> q) & 1) out[target + place[q]] = line[q] + start;
    }
  }
}
