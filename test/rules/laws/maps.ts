/** Concrete maps for a tensor: the same everywhere, along each axis, along two, along all; gains of each pattern of signs. */
import type { Spread } from "../../../src/affine/spread.ts";
import type { Kind } from "../../../src/rules/types.ts";

const product = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

/** Powers of two, so that gains and their inverses are exact; no two neighbours are alike. */
const SCALES: readonly (readonly number[])[] = [
  [2, 0.5, 4, 1, 8],
  [2, -0.5, 4, -1, 1],
  [-2, -0.5, -4, -1, -8],
  [2, 0, 4, 0.5, 1],
];
const SHIFTS: readonly (readonly number[])[] = [[1, -2, 3, 0, 5]];
/** Along one axis, for operators that bring several indices together: neighbours alike, and a pattern that repeats. */
const TOGETHER: readonly ((k: number, n: number) => number)[] = [
  (k) => k >> 1,
  (k) => k & 1,
  (k, n) => k % (n >> 1),
  (k, n) => (2 * k < n ? 0 : 1),
];
const UNIFORM = { scale: [2, 0.25, -1, -4, 0], shift: [3, -1] } as const;

/** Sets of axes a map may vary on. */
function axisSets(rank: number): number[][] {
  const all = Array.from({ length: rank }, (_, i) => i);
  const pairs = all.flatMap((a) => all.slice(a + 1).map((b) => [a, b]));
  return [...all.map((a) => [a]), ...pairs, ...(rank > 2 ? [all] : [])];
}

/** Maps of a tensor of shape `dims`; with `few` one along each axis and one along all. */
export function mapsOf(dims: readonly number[], kind: Kind, few = false): Spread[] {
  return few
    ? allMaps(dims, kind).filter(({ data }, i, all) => i === 0 || all.findIndex((m) => m.data.length === data.length) === i)
    : allMaps(dims, kind);
}

function allMaps(dims: readonly number[], kind: Kind): Spread[] {
  const list: Spread[] = UNIFORM[kind].map((v) => ({ dims: dims.map(() => 1), data: Float64Array.of(v) }));
  for (const axes of axisSets(dims.length)) {
    if (axes.some((a) => dims[a] < 2)) continue;
    const own = dims.map((d, a) => (axes.includes(a) ? d : 1));
    for (const values of kind === "scale" ? SCALES : SHIFTS) {
      // One axis: the pattern in turn. More: the product of both, so that the map is no outer product of equal rows.
      const data = Float64Array.from(
        { length: product(own) },
        (_, k) => values[(k + Math.floor(k / (own[axes[axes.length - 1]] || 1))) % values.length],
      );
      list.push({ dims: own, data });
    }
    const n = dims[axes[0]];
    if (axes.length > 1 || n < 4 || n % 2 === 1) continue;
    for (const values of kind === "scale" ? SCALES.slice(0, 2) : SHIFTS) {
      for (const place of TOGETHER)
        list.push({ dims: own, data: Float64Array.from({ length: n }, (_, k) => values[place(k, n) % values.length]) });
    }
  }
  return list;
}
