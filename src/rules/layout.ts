/**
 * Operators that only move elements about: Transpose, Reshape, Flatten, Squeeze, Unsqueeze, DepthToSpace, SpaceToDepth,
 * Expand, Tile. A map moves with the elements; where several positions become one axis it must be the same on them, and
 * where one axis becomes several the map spreads over the new ones.
 */
import { axesOf, blocks, permute, type Spread, simplify, stretch, take } from "../affine/spread.ts";
import { type Dim, multiply, type Shape, sameDim } from "../graph/dims.ts";
import { alike, type Move, type MoveFn, type Refused, type Rule, type RuleNode, refuse } from "./types.ts";

const both = (back: MoveFn, forward: MoveFn) => ({
  backScale: back,
  backShift: back,
  forwardScale: forward,
  forwardShift: forward,
});
const isSpread = (x: Spread | Refused): x is Spread => "data" in x;
const handOn = (x: Spread | Refused): Move => (isSpread(x) ? [{ pass: [x] }] : x);

/** Permutation of a Transpose: output axis i is input axis perm[i]. */
function permutation(at: RuleNode, rank: number): number[] {
  return at.ints("perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
}
const inverse = (perm: readonly number[]): number[] => perm.map((_, i) => perm.indexOf(i));
const transpose = both(
  (at, [by]) => {
    const s = by as Spread;
    const perm = permutation(at, s.dims.length);
    return perm.length === s.dims.length
      ? [{ pass: [permute(s, inverse(perm))] }]
      : refuse("malformed-graph", "permutes another number of axes");
  },
  (at, [by]) => {
    const s = by as Spread;
    const perm = permutation(at, s.dims.length);
    return perm.length === s.dims.length
      ? [{ pass: [permute(s, perm)] }]
      : refuse("malformed-graph", "permutes another number of axes");
  },
);

/**
 * Carries a map from one shape to another of the same elements in the same order. Both shapes are cut into the shortest
 * groups of axes with equal products; inside a group the map is filled out over the source axes and read off over the
 * target axes. Dimensions must be known to be equal, as symbols or as numbers.
 */
export function regroup(by: Spread, from: Shape, to: Shape): Spread | Refused {
  const unknown = refuse("shape-unknown", "changes the shape in a way that cannot be followed with symbolic sizes");
  let [i, j] = [0, 0];
  const pieces: { source: number[]; target: number[] }[] = [];
  while (i < from.length || j < to.length) {
    const group = { source: [] as number[], target: [] as number[] };
    let [p, q]: [Dim, Dim] = [1, 1];
    const takeSource = () => {
      p = multiply(p, from[i]);
      group.source.push(i++);
    };
    const takeTarget = () => {
      q = multiply(q, to[j]);
      group.target.push(j++);
    };
    if (i < from.length) takeSource();
    else takeTarget();
    while (!sameDim(p, q)) {
      const [size, other] = [sizeOf(p), sizeOf(q)];
      if (j < to.length && (size >= other || i >= from.length)) takeTarget();
      else if (i < from.length) takeSource();
      else return unknown;
    }
    pieces.push(group);
  }
  let data = by;
  // Work on the groups one by one, from the left: `data` has target axes before the group and source axes from it on.
  let done = 0;
  for (const { source, target } of pieces) {
    const varies = source.some((axis) => by.dims[axis] > 1);
    if (!varies) {
      data = reshapeAt(
        data,
        done,
        source.length,
        target.map(() => 1),
      );
    } else {
      const sizes = source.map((axis) => from[axis]);
      const outs = target.map((axis) => to[axis]);
      if (same(sizes, outs)) {
        done += target.length;
        continue;
      }
      const trimmedGroup = split(by, source, sizes, outs);
      if (trimmedGroup === undefined) return unknown;
      for (const [k, axis] of source.entries()) {
        const size = from[axis];
        if (typeof size === "number" && k >= trimmedGroup.firstSource) data = stretch(data, done + k, size);
      }
      data = reshapeAt(data, done, source.length, trimmedGroup.target);
    }
    done += target.length;
  }
  const result = simplify(data);
  return result.dims.every((d, a) => d === 1 || to[a] === d) ? result : unknown;
}

const sizeOf = (d: Dim): number => (typeof d === "number" ? d : d.factor * 1e6 ** d.symbols.length);
const same = (a: readonly Dim[], b: readonly Dim[]): boolean => a.length === b.length && a.every((d, i) => sameDim(d, b[i]));

/**
 * Inside one group: leading axes with symbolic sizes can stay 1 in the target when the map does not vary over them and the
 * known rest multiplies out. Returns the target's dimensions in the spread and the first source axis to fill out.
 */
function split(
  by: Spread,
  source: readonly number[],
  from: readonly Dim[],
  to: readonly Dim[],
): { firstSource: number; target: number[] } | undefined {
  // The shortest known suffix of the source that holds every varying axis.
  const firstVarying = source.findIndex((axis) => by.dims[axis] > 1);
  let tail = 1;
  for (let k = source.length - 1; k >= firstVarying; k--) {
    const d = from[k];
    if (typeof d !== "number") return undefined;
    tail *= d;
  }
  // A suffix of the target with the same product; it may need more source axes to meet it.
  let [need, k] = [tail, firstVarying];
  let product = 1;
  let t = to.length;
  while (product !== need) {
    if (product < need && t > 0) {
      const d = to[--t];
      if (typeof d !== "number") return undefined;
      product *= d;
    } else if (product > need && k > 0) {
      const d = from[--k];
      if (typeof d !== "number") return undefined;
      need *= d;
    } else return undefined;
  }
  return { firstSource: k, target: to.map((d, i) => (i < t ? 1 : (d as number))) };
}

/** Replaces `n` axes from `first` on by axes of the given sizes, keeping the elements. */
function reshapeAt(s: Spread, first: number, n: number, sizes: readonly number[]): Spread {
  return { dims: [...s.dims.slice(0, first), ...sizes, ...s.dims.slice(first + n)], data: s.data };
}

const reshape = both(
  (at, [by]) => {
    const [x, y] = [at.inShape(0), at.outShape(0)];
    if (x === undefined || y === undefined) return refuse("shape-unknown", "has an input or output of unknown shape");
    return handOn(regroup(by as Spread, y, x));
  },
  (at, by) => {
    const [x, y] = [at.inShape(0), at.outShape(0)];
    if (x === undefined || y === undefined || by[0] === undefined)
      return refuse("shape-unknown", "has an input or output of unknown shape");
    return handOn(regroup(by[0], x, y));
  },
);

/** Where each channel of the larger side comes from, as [block position, channel] order. */
function depth(at: RuleNode, by: Spread, merge: boolean): Spread | Refused {
  const b2 = at.int("blocksize", 1) ** 2;
  if (axesOf(by).some((axis) => axis !== 1)) return refuse("axis-blocks", "mixes height and width into channels");
  const crd = at.node.opType === "DepthToSpace" && at.string("mode", "DCR") === "CRD";
  if (by.dims[1] === 1) return by;
  if (!merge) {
    const c = by.dims[1];
    return take(
      by,
      1,
      Array.from({ length: c * b2 }, (_, k) => (crd ? Math.floor(k / b2) : k % c)),
    );
  }
  const c = by.dims[1] / b2;
  const first = take(
    by,
    1,
    Array.from({ length: c }, (_, k) => (crd ? k * b2 : k)),
  );
  const equal = by.data.every((v, k) => v === first.data[crd ? Math.floor(k / b2) : k % c]);
  return equal ? first : refuse("axis-blocks", "puts channels with different gains into one channel");
}
const depthToSpace = both(
  (at, [by]) => handOn(depth(at, by as Spread, false)),
  (at, [by]) => handOn(depth(at, by as Spread, true)),
);
const spaceToDepth = both(
  (at, [by]) => handOn(depth(at, by as Spread, true)),
  (at, [by]) => handOn(depth(at, by as Spread, false)),
);

/** Expand and Tile: an axis that is repeated from one element takes no varying map; Tile's needs a periodic one. */
const repeatBack: MoveFn = (at, [by]) => {
  const [x, y] = [at.inShape(0), at.outShape(0)];
  const s = by as Spread;
  if (x === undefined || y === undefined || y.length !== s.dims.length)
    return refuse("shape-unknown", "has an input or output of unknown shape");
  const drop = y.length - x.length;
  let out = s;
  for (const axis of axesOf(s)) {
    if (axis < drop || !sameDim(x[axis - drop], y[axis])) {
      const size = x[axis - drop];
      if (axis < drop || at.node.opType !== "Tile" || typeof size !== "number")
        return refuse("axis-blocks", "repeats its input along the axis of the map");
      const period = take(
        out,
        axis,
        Array.from({ length: size }, (_, i) => i),
      );
      const [, n] = blocks(out.dims, axis);
      const full = take(
        period,
        axis,
        Array.from({ length: n }, (_, i) => i % size),
      );
      if (!full.data.every((v, i) => v === out.data[i]))
        return refuse("axis-blocks", "repeats its input along the axis of the map, which is not periodic");
      out = period;
    }
  }
  return [{ pass: [{ dims: out.dims.slice(drop), data: out.data }] }];
};
const repeatForward: MoveFn = (at, by) => {
  const [x, y] = [at.inShape(0), at.outShape(0)];
  const s = by[0];
  if (x === undefined || y === undefined || s === undefined || x.length !== s.dims.length)
    return refuse("shape-unknown", "has an input or output of unknown shape");
  const lead = y.length - x.length;
  let out: Spread = { dims: [...new Array<number>(lead).fill(1), ...s.dims], data: s.data };
  for (const axis of axesOf(out)) {
    const [size, n] = [y[axis], out.dims[axis]];
    if (size === n) continue;
    if (typeof size !== "number" || size % n !== 0 || at.node.opType !== "Tile")
      return refuse("axis-blocks", "changes the axis of the map");
    out = take(
      out,
      axis,
      Array.from({ length: size }, (_, i) => i % n),
    );
  }
  return [{ pass: [out] }];
};

export const layout: readonly Rule[] = [
  { type: "Transpose", ...transpose },
  ...alike("Reshape Flatten Squeeze Unsqueeze", reshape),
  { type: "DepthToSpace", ...depthToSpace },
  { type: "SpaceToDepth", ...spaceToDepth },
  ...alike("Expand Tile", both(repeatBack, repeatForward)),
];
