/**
 * What Reshapes and Transposes do to a tensor, in one way of writing: each axis is split into atoms, the atoms are put in another
 * order, and those side by side are joined to axes.
 *
 *   y = Join(Transpose(Split(x)))      every chain of them is one, where sizes divide
 *
 * No atom is 1 long, and two that stay side by side are one. Sizes may be symbols: they divide where they do for every value.
 */
import { type Dim, divide, product, type Shape, sameDim } from "../../../graph/dims.ts";

export interface Move {
  /** The shape of what is moved. */
  readonly from: Shape;
  /** The atoms of each of its axes, counted through in this order. */
  readonly splits: readonly Shape[];
  /** The atoms of each axis of what comes out. */
  readonly joins: readonly (readonly number[])[];
}

const atomsOf = ({ splits }: Move): Shape => splits.flat();

export const shapeOf = (move: Move): Shape => {
  const atoms = atomsOf(move);
  return move.joins.map((join) => product(join.map((i) => atoms[i])));
};

/** Numbers atoms list by list. */
export function counted(lists: readonly Shape[]): number[][] {
  let next = 0;
  return lists.map((list) => list.map(() => next++));
}

const axesOf = (shape: Shape): Shape[] => shape.map((d) => (d === 1 ? [] : [d]));

/** The move that does nothing; undefined of a shape with an axis of none. */
export function still(shape: Shape): Move | undefined {
  const splits = axesOf(shape);
  return shape.includes(0) ? undefined : { from: shape, splits, joins: counted(splits) };
}

export const isStill = ({ from, splits, joins }: Move): boolean =>
  joins.length === from.length && splits.every((list) => list.length < 2) && String(joins) === String(counted(splits));

/** The atoms of the axes of `move`, by axis. */
export const idsOf = ({ splits }: Move): number[][] => counted(splits);

export const sameMove = (p: Move, q: Move): boolean =>
  JSON.stringify([p.joins, p.from, p.splits]) === JSON.stringify([q.joins, q.from, q.splits]);

/** A piece that two lists of sizes with one product have in common: where it lies in either. */
interface Piece {
  readonly size: Dim;
  readonly p: number;
  readonly q: number;
}

/** Both lists cut so that they are one; undefined where their sizes do not divide. */
export function refined(ps: Shape, qs: Shape): Piece[] | undefined {
  const pieces: Piece[] = [];
  let [p, q] = [0, 0];
  let [left, right]: [Dim, Dim] = [ps[0] ?? 1, qs[0] ?? 1];
  while (p < ps.length && q < qs.length) {
    const [over, under] = [divide(left, right), divide(right, left)];
    const size = over !== undefined ? right : left;
    if (over === undefined && under === undefined) return undefined;
    pieces.push({ size, p, q });
    [left, right] = [over ?? 1, over !== undefined ? 1 : (under as Dim)];
    if (sameDim(left, 1)) left = ps[++p] ?? 1;
    if (sameDim(right, 1)) right = qs[++q] ?? 1;
  }
  return p === ps.length && q === qs.length ? pieces : undefined;
}

/** The same move, its atoms cut as told: the sizes each one becomes. */
export function cut(move: Move, sizes: readonly Shape[]): Move {
  const ids = counted(sizes);
  let next = 0;
  return {
    from: move.from,
    splits: move.splits.map((list) => list.flatMap(() => sizes[next++])),
    joins: move.joins.map((join) => join.flatMap((i) => ids[i])),
  };
}

/** Atoms that stay side by side as one. */
export function simplified(move: Move): Move {
  const atoms = atomsOf(move);
  const axis = move.splits.flatMap((list, k) => list.map(() => k));
  const follows = new Set(
    move.joins.flatMap((join) => join.filter((id, i) => i > 0 && join[i - 1] === id - 1 && axis[id] === axis[id - 1])),
  );
  const heads = atoms.map((_, i) => i).filter((i) => !follows.has(i));
  const size = (head: number): Dim => {
    let whole = atoms[head];
    for (let i = head + 1; follows.has(i); i++) whole = product([whole, atoms[i]]);
    return whole;
  };
  let next = 0;
  return {
    from: move.from,
    splits: move.splits.map((list) => list.flatMap(() => (follows.has(next++) ? [] : [size(next - 1)]))),
    joins: move.joins.map((join) => join.filter((i) => !follows.has(i)).map((i) => heads.indexOf(i))),
  };
}

/** A move, and what comes out in another shape. */
export function reshaped(move: Move, to: Shape): Move | undefined {
  if (to.includes(0)) return undefined;
  const [atoms, order] = [atomsOf(move), move.joins.flat()];
  const long = to.flatMap((d, axis) => (d === 1 ? [] : [axis]));
  const pieces = refined(
    order.map((i) => atoms[i]),
    long.map((axis) => to[axis]),
  );
  if (pieces === undefined) return undefined;
  const sizes = atoms.map((_, i) => pieces.filter(({ p }) => order[p] === i).map(({ size }) => size));
  const whole = cut(move, sizes);
  const flat = whole.joins.flat();
  return simplified({ ...whole, joins: to.map((_, axis) => flat.filter((_, k) => long[pieces[k].q] === axis)) });
}

export const permuted = (move: Move, perm: readonly number[]): Move =>
  simplified({ ...move, joins: perm.map((axis) => move.joins[axis]) });

/** What undoes a move. */
export function inverse(move: Move): Move {
  const atoms = atomsOf(move);
  const order = move.joins.flat();
  const splits = move.joins.map((join) => join.map((i) => atoms[i]));
  return { from: shapeOf(move), splits, joins: counted(move.splits).map((list) => list.map((i) => order.indexOf(i))) };
}

/** One move after another. */
export function chained(first: Move, second: Move): Move | undefined {
  const [p, q] = [atomsOf(first), atomsOf(second)];
  const ids = counted(second.splits);
  const [own, others]: [Dim[][], Dim[][]] = [p.map(() => []), q.map(() => [])];
  for (const [axis, join] of first.joins.entries()) {
    const pieces = refined(
      join.map((i) => p[i]),
      second.splits[axis],
    );
    if (pieces === undefined) return undefined;
    for (const piece of pieces) {
      own[join[piece.p]].push(piece.size);
      others[ids[axis][piece.q]].push(piece.size);
    }
  }
  const [x, y] = [cut(first, own), cut(second, others)];
  const middle = x.joins.flat();
  return simplified({ from: first.from, splits: x.splits, joins: y.joins.map((join) => join.map((i) => middle[i])) });
}

/** Only the splits of a move: one axis for each atom, none of 1. */
export const split = (move: Move): Move => ({ ...move, joins: atomsOf(move).map((_, i) => [i]) });

/** What is left of a move once its splits are made. */
export const unsplit = (move: Move): Move => ({ from: atomsOf(move), splits: atomsOf(move).map((d) => [d]), joins: move.joins });

/** The sizes a Reshape asks for: 0 for one that stays, −1 for one that is none; undefined where there are more. */
export function asked(from: Shape, to: Shape): number[] | undefined {
  const dims = to.map((d, i) => (typeof d === "number" ? d : sameDim(d, from[i]) ? 0 : -1));
  return dims.filter((d) => d === -1).length > 1 ? undefined : dims;
}

/** Steps that make a move: shapes for a Reshape, orders for a Transpose; undefined where no Reshape can ask for the sizes. */
export type Step = { readonly sizes: readonly number[] } | { readonly perm: readonly number[] };

export function stepsOf(move: Move): readonly Step[] | undefined {
  if (isStill(move)) return [];
  const [atoms, order, to] = [atomsOf(move), move.joins.flat(), shapeOf(move)];
  if (order.every((i, k) => i === k)) {
    const sizes = asked(move.from, to);
    return sizes && [{ sizes }];
  }
  const [before, middle] = [asked(move.from, atoms), order.map((i) => atoms[i])];
  const after = asked(middle, to);
  if (before === undefined || after === undefined) return undefined;
  const pure = move.from.length === atoms.length && move.splits.every((list) => list.length === 1);
  const joined = move.joins.some((join) => join.length !== 1);
  return [...(pure ? [] : [{ sizes: before }]), { perm: order }, ...(joined ? [{ sizes: after }] : [])];
}
