/**
 * Operators that read or write elements at computed places.
 *   GatherND                              both, back and forward; axes are renumbered
 *   ScatterElements, ScatterND, Scatter   both: data and updates take one map; constants of either take it in themselves
 *                                         (back: c·s, c + t; forward c/s, s ≠ 0, and c − t); only without a reduction
 *   MaxUnpool                             a gain: the places between are 0, so no shift. A place may lie anywhere in the
 *                                         tensor, so gains of each channel pass only where a MaxPool of that very shape gave it
 *   Col2Im                                a gain of each channel, back once for each element of the block, forward where all of
 *                                         a block have the same; blocks overlap and leave gaps, so no shift
 * Along the axes that places count, the map may not vary.
 * ONNX GatherND 11, 12, 13; ScatterElements 11, 13, 16, 18; ScatterND 11, 13, 16, 18; Scatter 9, 11; MaxUnpool 9, 11, 22; Col2Im 18.
 */
import { axesOf, every, invert, negate, type Spread, sameSpread, take } from "../affine/spread.ts";
import { type Dim, sameDim } from "../graph/dims.ts";
import { unpooled } from "../graph/infer-sampling.ts";
import { scaled, shifted } from "./params.ts";
import {
  alike,
  isRefused,
  type Kind,
  type Move,
  type MoveFn,
  type Param,
  type Refused,
  type Rule,
  type RuleNode,
  refuse,
  withParam,
} from "./types.ts";

const ones = (n: number): number[] => new Array<number>(n).fill(1);
const flat = (dims: readonly number[]): boolean => dims.every((d) => d === 1);
const unknown = (at: RuleNode): Refused =>
  refuse("shape-unknown", "has an input of unknown rank, or as many indices as are known at run time", {
    value: at.node.inputs[1],
  });
const along = (by: Spread): Refused =>
  refuse("axis-blocks", "picks places along an axis of the map", { facts: { map: by.dims } });

/** Axes of an operand: `batch` shared ones, then those the operator counts along, then the rest. */
interface Parts {
  readonly batch: number;
  readonly counted: number;
}

/** The map with its counted axes replaced by as many others; undefined where it varies along them. */
function renumbered(by: Spread, from: Parts, to: Parts): Spread | undefined {
  const [start, end] = [from.batch, from.batch + from.counted];
  if (!flat(by.dims.slice(start, end))) return undefined;
  return { dims: [...by.dims.slice(0, start), ...ones(to.counted), ...by.dims.slice(end)], data: by.data };
}

/** How the indices of a GatherND or ScatterND divide the axes of the data, and of what is gathered or written. */
function tuples(at: RuleNode): { readonly data: Parts; readonly rows: Parts } | Refused {
  const indices = at.inShape(1);
  const width = indices?.[indices.length - 1];
  if (indices === undefined || typeof width !== "number") return unknown(at);
  const batch = at.node.opType === "GatherND" ? at.int("batch_dims", 0) : 0;
  return { data: { batch, counted: width }, rows: { batch, counted: indices.length - 1 - batch } };
}

function gatherND(back: boolean): MoveFn {
  return (at, by) => {
    const s = by[0];
    if (s === undefined || by[1] !== undefined) return refuse("operator-blocks", "takes the map on its indices");
    const parts = tuples(at);
    if (isRefused(parts)) return parts;
    const [from, to, target] = back ? [parts.rows, parts.data, at.inShape(0)] : [parts.data, parts.rows, at.outShape(0)];
    const moved = renumbered(s, from, to);
    if (moved === undefined) return along(s);
    return moved.dims.length === target?.length ? [{ pass: [moved] }] : unknown(at);
  };
}

const DATA = 0;
const UPDATES = 2;

/** A map of the data as one of the updates (or, with `back`, the other way round). */
function ofUpdates(at: RuleNode, by: Spread, back = false): Spread | Refused {
  if (at.node.opType === "ScatterND") {
    const parts = tuples(at);
    if (isRefused(parts)) return parts;
    const [from, to] = back ? [parts.rows, parts.data] : [parts.data, parts.rows];
    return renumbered(by, from, to) ?? along(by);
  }
  const rank = by.dims.length;
  const given = at.int("axis", 0);
  const axis = given < 0 ? given + rank : given;
  const [data, updates] = [at.inShape(DATA), at.inShape(UPDATES)];
  // Updates of a part of an axis belong to its first positions.
  const own = axesOf(by).find((a) => a === axis || !sameDim(data?.[a], updates?.[a]));
  return own === undefined ? by : along(by);
}

/** The map of the data that brings `by` to the inputs that carry it. */
function common(at: RuleNode, by: readonly (Spread | undefined)[]): Spread | Refused {
  if (by.some((m, i) => m !== undefined && i !== DATA && i !== UPDATES))
    return refuse("operator-blocks", "takes the map on its indices");
  const [data, updates] = [by[DATA], by[UPDATES]];
  return data ?? ofUpdates(at, updates as Spread, true);
}

/** A constant operand with the map: back it becomes what it has to be behind it, forward what it has to be before it. */
function operandUnder(at: RuleNode, index: number, kind: Kind, back: boolean, by: Spread): Param | Refused {
  const c = at.param(index);
  if (isRefused(c)) return c;
  if (!back && kind === "scale" && !every(by, (v) => v !== 0))
    return refuse("sign-blocks", "has a constant that would have to be divided by a gain of zero");
  const next = kind === "scale" ? scaled(c, back ? by : invert(by)) : shifted(c, back ? by : negate(by));
  return next.dims.some((d, a) => d !== c.dims[a]) ? refuse("broadcast-grows", "has a constant that the map would widen") : next;
}

function scatter(kind: Kind, back: boolean): MoveFn {
  return (at, by): Move => {
    if (at.string("reduction", "none") !== "none") return refuse("operator-blocks", "combines what it writes with what is there");
    const s = back ? (by[0] as Spread) : common(at, by);
    if (isRefused(s)) return s;
    if (at.inShape(DATA)?.length !== s.dims.length) return unknown(at);
    const updates = ofUpdates(at, s);
    if (isRefused(updates)) return updates;
    const pass: (Spread | undefined)[] = [];
    let { state } = at;
    for (const [index, map] of [
      [DATA, s],
      [UPDATES, updates],
    ] as const) {
      if (at.isConstant(index)) {
        const next = operandUnder(at, index, kind, back, map);
        if (isRefused(next)) return next;
        state = withParam(state, index, next);
      } else if (back) pass[index] = map;
      else if (by[index] === undefined || !sameSpread(by[index], map))
        return refuse("other-reader", "writes into a value that does not carry the same map", { value: at.node.inputs[index] });
    }
    return [{ pass: back ? Array.from(pass) : [s], state }];
  };
}

/** True when the places of a MaxUnpool lie in the channel of their element: a MaxPool found them in a tensor of that shape. */
function staysInChannel(at: RuleNode): boolean {
  const indices = at.node.inputs[1];
  const pool = indices?.producer;
  if (pool?.opType !== "MaxPool" || pool.domain !== "" || pool.outputs[1] !== indices) return false;
  const [pooled, whole] = [at.facts.shape(pool.inputs[0]), unpooled(at.node, at.inShape(0))];
  return pooled !== undefined && pooled.length === whole?.length && whole.every((d, i) => i === 0 || sameDim(d, pooled[i]));
}

const maxUnpool: MoveFn = (at, by) => {
  const s = by[0];
  if (s === undefined || by.slice(1).some((m) => m !== undefined))
    return refuse("operator-blocks", "takes the map on another input than its data");
  const axes = axesOf(s);
  if (axes.some((a) => a >= 2)) return along(s);
  return axes.length === 0 || staysInChannel(at)
    ? [{ pass: [s] }]
    : refuse("axis-blocks", "may write an element into another channel");
};

/** Elements of a block, where that is known. */
const blockSize = (at: RuleNode): number | undefined => at.facts.numbers(at.node.inputs[2])?.reduce((n, d) => n * d, 1);

/** Each channel `n` times in a row. */
const repeated = (s: Spread, n: number): Spread =>
  take(
    s,
    1,
    Array.from({ length: s.dims[1] * n }, (_, i) => Math.floor(i / n)),
  );

/** The other way round; undefined where the `n` channels of a row differ. */
function firsts(s: Spread, n: number): Spread | undefined {
  if (s.dims[1] % n !== 0) return undefined;
  const first = take(
    s,
    1,
    Array.from({ length: s.dims[1] / n }, (_, i) => i * n),
  );
  return sameSpread(repeated(first, n), s) ? first : undefined;
}

function col2Im(back: boolean): MoveFn {
  return (at, by) => {
    const s = by[0];
    if (s === undefined || by.slice(1).some((m) => m !== undefined))
      return refuse("operator-blocks", "takes the map on another input than its columns");
    const taps = blockSize(at);
    const rank: Dim | undefined = back ? at.inShape(0)?.length : at.outShape(0)?.length;
    if (taps === undefined || taps === 0 || rank === undefined) return refuse("shape-unknown", "has blocks of unknown size");
    if (axesOf(s).some((a) => a >= 2)) return refuse("axis-blocks", "lays blocks along an axis of the map");
    const moved = s.dims[1] === 1 ? s : back ? repeated(s, taps) : firsts(s, taps);
    if (moved === undefined) return refuse("axis-blocks", "adds up elements with different gains");
    return [{ pass: [{ dims: [...moved.dims.slice(0, 2), ...ones(rank - 2)], data: moved.data }] }];
  };
}

export const scattering: readonly Rule[] = [
  {
    type: "GatherND",
    backScale: gatherND(true),
    backShift: gatherND(true),
    forwardScale: gatherND(false),
    forwardShift: gatherND(false),
  },
  ...alike("ScatterElements ScatterND Scatter", {
    backScale: scatter("scale", true),
    backShift: scatter("shift", true),
    forwardScale: scatter("scale", false),
    forwardShift: scatter("shift", false),
  }),
  { type: "MaxUnpool", backScale: maxUnpool, forwardScale: maxUnpool },
  { type: "Col2Im", backScale: col2Im(true), forwardScale: col2Im(false) },
];
