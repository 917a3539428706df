/**
 * Operators that join or pick along an axis: Concat, Split, Slice, Gather with constant indices.
 *   Concat  back: each input takes its part of the map; forward: the parts are joined, identity for inputs without one
 *   Split   back: the parts are joined, identity for outputs nobody maps; forward: each output takes its part
 *   Slice, Gather  back: the map is scattered into the full axis, identity elsewhere; forward: it is picked
 * A Gather whose data is constant (an embedding table) absorbs the map instead: E' = E·s + t.
 */
import { axesOf, join, operand, type Spread, stretch, take, together, uniform } from "../affine/spread.ts";
import type { Shape } from "../graph/dims.ts";
import { sliceRange, sliceSpec, takesAll } from "../graph/infer.ts";
import { leading, scaled, shifted } from "./params.ts";
import {
  absorb,
  isRefused,
  type Kind,
  type Move,
  type MoveFn,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  type Step,
  withParam,
} from "./types.ts";

const neutral = (kind: Kind): number => (kind === "scale" ? 1 : 0);
const axisOf = (at: RuleNode, fallback: number, rank: number): number => {
  const axis = at.int("axis", fallback);
  return axis < 0 ? axis + rank : axis;
};
const unknown = (at: RuleNode): Refused => refuse("shape-unknown", "has parts of unknown size", { value: at.node.inputs[0] });

/** Sizes of shapes along an axis, when all are numbers. */
function sizes(shapes: readonly (Shape | undefined)[], axis: number): number[] | undefined {
  const list = shapes.map((s) => s?.[axis]);
  return list.every((d) => typeof d === "number") ? (list as number[]) : undefined;
}

const cut = (by: Spread, axis: number, parts: readonly number[]): Spread[] => {
  if (by.dims[axis] === 1) return parts.map(() => by);
  let first = 0;
  return parts.map((n) => {
    const indices = Array.from({ length: n }, (_, i) => first + i);
    first += n;
    return take(by, axis, indices);
  });
};

function concatBack(kind: Kind): MoveFn {
  return (at, [by]) => {
    const s = by as Spread;
    const axis = axisOf(at, 1, s.dims.length);
    const inputs = at.node.inputs.map((_, i) => at.inShape(i));
    const parts = s.dims[axis] === 1 ? inputs.map(() => 1) : sizes(inputs, axis);
    if (parts === undefined || (s.dims[axis] > 1 && parts.reduce((a, b) => a + b, 0) !== s.dims[axis])) return unknown(at);
    let { state } = at;
    const list: (Spread | undefined)[] = [];
    for (const [i, part] of cut(s, axis, parts).entries()) {
      if (!at.isConstant(i)) {
        list.push(part);
        continue;
      }
      const c = at.param(i);
      if (isRefused(c)) return c;
      const next = kind === "scale" ? scaled(c, part) : shifted(c, part);
      if (next.dims.some((d, a) => d !== c.dims[a]))
        return refuse("broadcast-grows", "joins a constant that the map would widen");
      state = withParam(state, i, next);
      list.push(undefined);
    }
    return [{ pass: list, state }];
  };
}

function concatForward(kind: Kind): MoveFn {
  return (at, by) => {
    const rank = (by.find((m) => m !== undefined) as Spread).dims.length;
    const axis = axisOf(at, 1, rank);
    const parts = sizes(
      at.node.inputs.map((_, i) => at.inShape(i)),
      axis,
    );
    if (parts === undefined) return unknown(at);
    const list = at.node.inputs.map((_, i) => by[i] ?? uniform(rank, neutral(kind)));
    const others = Array.from({ length: rank }, (_, a) => list.reduce((size, s) => together(size, s.dims[a]), 1));
    if (list.some((s) => s.dims.some((d, a) => a !== axis && d !== 1 && d !== others[a]))) return unknown(at);
    return [{ pass: [join(list, axis, parts)] }];
  };
}

function splitBack(kind: Kind): MoveFn {
  return (at, by) => {
    const rank = (by.find((m) => m !== undefined) as Spread).dims.length;
    const axis = axisOf(at, 0, rank);
    const parts = sizes(
      at.node.outputs.map((_, i) => at.outShape(i)),
      axis,
    );
    if (parts === undefined) return unknown(at);
    return [
      {
        pass: [
          join(
            parts.map((_, i) => by[i] ?? uniform(rank, neutral(kind))),
            axis,
            parts,
          ),
        ],
      },
    ];
  };
}

const splitForward: MoveFn = (at, by) => {
  const s = by[0];
  if (s === undefined) return refuse("operator-blocks", "takes the map on its sizes");
  const axis = axisOf(at, 0, s.dims.length);
  const parts = sizes(
    at.node.outputs.map((_, i) => at.outShape(i)),
    axis,
  );
  return parts === undefined && s.dims[axis] > 1 ? unknown(at) : [{ pass: cut(s, axis, parts ?? at.node.outputs.map(() => 1)) }];
};

interface Picked {
  readonly axis: number;
  /** Indices taken along `axis`, in order. */
  readonly indices: readonly number[];
}

/** What a Slice or Gather picks on each axis it touches; undefined when that is not known. */
function picks(at: RuleNode, axes: readonly number[]): Picked[] | Refused {
  const shape = at.inShape(0);
  if (shape === undefined) return unknown(at);
  const list: Picked[] = [];
  if (at.node.opType === "Gather") {
    const axis = axisOf(at, 0, shape.length);
    if (!axes.includes(axis)) return [];
    const [size, values] = [shape[axis], at.facts.numbers(at.node.inputs[1])];
    if (typeof size !== "number" || values === undefined)
      return refuse("weight-not-constant", "picks channels by an index computed at run time");
    return [{ axis, indices: values.map((i) => (i < 0 ? i + size : i)) }];
  }
  const spec = sliceSpec(at.node, at.facts, shape.length);
  if (spec === undefined) return unknown(at);
  for (const [k, axis] of spec.axes.entries()) {
    if (!axes.includes(axis)) continue;
    const [size, start, end] = [shape[axis], spec.starts?.[k], spec.ends?.[k]];
    if (takesAll(start, end, spec.steps[k])) continue;
    if (typeof size !== "number" || start === undefined || end === undefined) return unknown(at);
    const { first, count } = sliceRange(size, start, end, spec.steps[k]);
    list.push({ axis, indices: Array.from({ length: count }, (_, i) => first + i * spec.steps[k]) });
  }
  return list;
}

const rankKept = (at: RuleNode): boolean =>
  at.inShape(0)?.length !== undefined && at.inShape(0)?.length === at.outShape(0)?.length;

function pickBack(kind: Kind): MoveFn {
  return (at, [by]) => {
    if (at.node.opType === "Gather" && at.isConstant(0)) return table(at, kind, by as Spread);
    const s = unpicked(at, by as Spread);
    if (isRefused(s)) return s;
    const found = picks(
      at,
      Array.from({ length: s.dims.length }, (_, i) => i),
    );
    if (isRefused(found)) {
      // The map does not vary along what is picked: it may cover the whole axis.
      const touched = picks(at, axesOf(s));
      return isRefused(touched) || touched.length > 0 ? found : [{ pass: [s] }];
    }
    // Where the map does not vary it may cover the whole axis; other readers may want it only where this one picks.
    const varied = found.filter(({ axis }) => s.dims[axis] > 1);
    const shared = varied.length < found.length && (at.node.inputs[0]?.uses.length ?? 0) > 1;
    const steps: Step[] = [];
    for (const list of shared ? [varied, found] : [varied]) {
      const out = scattered(at, kind, s, list);
      if (isRefused(out)) return out;
      steps.push({ pass: [out] });
    }
    return steps;
  };
}

/** The map of the output with the axes of a Gather's indices (none for a scalar) as the one axis they are picked from. */
function unpicked(at: RuleNode, s: Spread): Spread | Refused {
  if (rankKept(at)) return s;
  const [x, indices] = [at.inShape(0), at.inShape(1)];
  if (x === undefined || indices === undefined || at.node.opType !== "Gather") return unknown(at);
  const axis = axisOf(at, 0, x.length);
  const after = axis + indices.length;
  let out = s;
  if (s.dims.slice(axis, after).some((d) => d !== 1)) {
    for (const [i, size] of indices.entries()) {
      if (typeof size !== "number") return unknown(at);
      out = stretch(out, axis + i, size);
    }
  }
  const middle = out.dims.slice(axis, after).reduce((n, d) => n * d, 1);
  return { dims: [...out.dims.slice(0, axis), middle, ...out.dims.slice(after)], data: out.data };
}

/** The map on the full axes, identity where nothing is picked. */
function scattered(at: RuleNode, kind: Kind, s: Spread, found: readonly Picked[]): Spread | Refused {
  let out = s;
  for (const { axis, indices } of found) {
    const size = at.inShape(0)?.[axis] as number;
    const part = stretch(out, axis, indices.length);
    const slots = new Array<number>(size).fill(-1);
    for (const [i, index] of indices.entries()) {
      if (slots[index] >= 0 && !equalAt(part, axis, slots[index], i))
        return refuse("axis-blocks", "picks one channel twice with different gains");
      slots[index] = i;
    }
    const padded = join([part, uniform(part.dims.length, neutral(kind))], axis, [indices.length, 1]);
    out = take(
      padded,
      axis,
      slots.map((i) => (i < 0 ? indices.length : i)),
    );
  }
  return out;
}

const equalAt = (s: Spread, axis: number, i: number, j: number): boolean => {
  const [a, b] = [take(s, axis, [i]), take(s, axis, [j])];
  return a.data.every((v, k) => v === b.data[k]);
};

const pickForward: MoveFn = (at, by) => {
  const s = by[0];
  if (s === undefined || by.slice(1).some((m) => m !== undefined))
    return refuse("operator-blocks", "takes the map on its indices");
  const found = picks(at, axesOf(s));
  if (isRefused(found)) return found;
  let out = s;
  for (const { axis, indices } of found) out = take(out, axis, indices);
  if (rankKept(at)) return [{ pass: [out] }];
  const [x, indices] = [at.inShape(0), at.inShape(1)];
  if (x === undefined || indices === undefined || at.node.opType !== "Gather") return unknown(at);
  const axis = axisOf(at, 0, x.length);
  // The picked axis becomes the axes of the indices.
  const middle = out.dims[axis] === 1 ? indices.map(() => 1) : indices.map(Number);
  return [{ pass: [{ dims: [...out.dims.slice(0, axis), ...middle, ...out.dims.slice(axis + 1)], data: out.data }] }];
};

/** Gather(E [V, D…], indices) on axis 0: the map lies on table axes, which are the last ones of the output. */
function table(at: RuleNode, kind: Kind, by: Spread): Move {
  const e = at.param(0);
  if (isRefused(e)) return e;
  if (axisOf(at, 0, e.dims.length) !== 0) return refuse("axis-blocks", "looks up another axis than the first of its table");
  const own = e.dims.length - 1;
  const lead = by.dims.length - own;
  if (by.dims.slice(0, lead).some((d) => d !== 1))
    return refuse("axis-blocks", "looks up whole rows, but the map varies over positions");
  const spread = operand(by.data, by.dims.slice(lead), e.dims.length) as Spread;
  if (spread.dims.some((d, a) => d !== 1 && d !== e.dims[a]))
    return refuse("axis-blocks", "has a table of another width than the map");
  const grown = leading(e, e.dims.length);
  return absorb(withParam(at.state, 0, kind === "scale" ? scaled(grown, spread) : shifted(grown, spread)));
}

/** A Slice, Gather or Split that picks only channels the map leaves alone does not see the change. */
function untouched(at: RuleNode, index: number, kind: Kind, by: Spread): boolean {
  if (index !== 0) return false;
  const found = picks(at, axesOf(by));
  if (isRefused(found)) return false;
  let out = by;
  for (const { axis, indices } of found) if (out.dims[axis] > 1) out = take(out, axis, indices);
  return out.data.every((v) => v === neutral(kind));
}

export const select: readonly Rule[] = [
  {
    type: "Concat",
    backScale: concatBack("scale"),
    backShift: concatBack("shift"),
    forwardScale: concatForward("scale"),
    forwardShift: concatForward("shift"),
    handsOn: "forward",
  },
  {
    type: "Split",
    backScale: splitBack("scale"),
    backShift: splitBack("shift"),
    forwardScale: splitForward,
    forwardShift: splitForward,
    handsOn: "backward",
  },
  ...["Slice", "Gather"].map((type) => ({
    type,
    backScale: pickBack("scale"),
    backShift: pickBack("shift"),
    forwardScale: pickForward,
    forwardShift: pickForward,
    ignores: untouched,
  })),
];
