/**
 * Operators that only move numbers, as moves:
 *
 *   Reshape, Flatten, Squeeze, Unsqueeze; Transpose; Identity
 *   DepthToSpace(x; b)      Reshape(Transpose(Reshape(x))) of [N, b, b, C, H, W], or of [N, C, b, b, H, W] where the mode is CRD
 *   SpaceToDepth(x; b)      the same backwards, of [N, C, H, b, W, b], its modes likewise
 *
 *   Expand(x), Tile(x), Resize(x) to the nearest, n times as large      a move of Expand(x) along axes of their own, before all others
 */
import { intAttr, stringAttr } from "../../../graph/attributes.ts";
import { type Dim, divide, type Shape } from "../../../graph/dims.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode } from "../../../graph/view.ts";
import { permOf } from "../normal/orders.ts";
import { make } from "../normal/rewriting.ts";
import type { Draft } from "./held.ts";
import { counted, type Move, permuted, reshaped } from "./move.ts";

/** Blocks of b × b places as channels, or back: the shape between, and the order. */
function blocked(node: GraphNode, shape: Shape | undefined): { middle: Shape; perm: readonly number[] } | undefined {
  const b = intAttr(node.record, "blocksize", 0);
  if (shape?.length !== 4 || b < 1) return undefined;
  const [n, c, h, w] = shape;
  const over = (d: Dim, by: number) => divide(d, by);
  const crd = stringAttr(node.record, "mode", "DCR") === "CRD";
  if (node.opType === "SpaceToDepth") {
    const [rows, columns] = [over(h, b), over(w, b)];
    return rows === undefined || columns === undefined
      ? undefined
      : { middle: [n, c, rows, b, columns, b], perm: crd ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4] };
  }
  const channels = over(c, b * b);
  if (channels === undefined) return undefined;
  return crd
    ? { middle: [n, channels, b, b, h, w], perm: [0, 1, 4, 2, 5, 3] }
    : { middle: [n, b, b, channels, h, w], perm: [0, 3, 4, 1, 5, 2] };
}

function movedBy(draft: Draft, node: GraphNode, move: Move): Move | undefined {
  const { facts } = draft.side;
  const shape = facts.shape(node.outputs[0]);
  if (node.opType === "Identity") return move;
  if (hasTrait(node, "reshapes")) return shape && reshaped(move, shape);
  if (node.opType === "Transpose") {
    const perm = permOf(node, draft.side);
    return perm && permuted(move, perm);
  }
  if (node.opType !== "DepthToSpace" && node.opType !== "SpaceToDepth") return undefined;
  const through = blocked(node, facts.shape(node.inputs[0]));
  const apart = through && shape && reshaped(move, through.middle);
  return through && shape && apart && reshaped(permuted(apart, through.perm), shape);
}

/** How often each axis of the result is repeated, and whether its places (true) or the whole of it; undefined where that is computed. */
function repeatsOf(draft: Draft, node: GraphNode): { times: readonly number[]; each: boolean } | undefined {
  const { facts } = draft.side;
  const [from, to] = [facts.shape(node.inputs[0]), facts.shape(node.outputs[0])];
  if (from === undefined || to === undefined || from.length > to.length) return undefined;
  const own = [...new Array<Dim>(to.length - from.length).fill(1), ...from];
  const times = to.map((d, axis) => divide(d, own[axis]));
  if (!times.every((n) => typeof n === "number" && n > 0)) return undefined;
  const whole = times as number[];
  // Where an Expand finds more than one, it leaves it.
  if (node.opType === "Expand")
    return whole.every((n, axis) => n === 1 || own[axis] === 1) ? { times: whole, each: false } : undefined;
  if (node.opType === "Tile" && node.version >= 6) return { times: whole, each: false };
  const nearest = node.opType === "Resize" && node.version >= 11 && stringAttr(node.record, "mode", "nearest") === "nearest";
  const mode = stringAttr(node.record, "coordinate_transformation_mode", "half_pixel");
  const rounding = stringAttr(node.record, "nearest_mode", "round_prefer_floor");
  const exact = (mode === "asymmetric" && rounding === "floor") || (mode === "half_pixel" && rounding.startsWith("round_prefer"));
  return nearest && exact ? { times: whole, each: true } : undefined;
}

/** Copies lie along axes of their own, before all others. */
function repeated(draft: Draft, node: GraphNode): boolean {
  const [held, [out]] = [draft.of(node.inputs[0]), node.outputs];
  const found = node.domain === "" && held ? repeatsOf(draft, node) : undefined;
  if (held === undefined || found === undefined || out === undefined) return false;
  const { times, each } = found;
  const axes = times.flatMap((n, axis) => (n === 1 ? [] : [axis]));
  if (axes.length === 0) return draft.hold(out, held.core, held.move, held.order);
  // Copies of copies are made at once, those first that come first in what is made.
  const before = draft.copies.get(held.core);
  const old =
    before !== undefined && held.move.splits.slice(0, before.count).every((list) => list.length === 1) ? before : undefined;
  const gone = old?.count ?? 0;
  const [from, splits] = [held.move.from.slice(gone), held.move.splits.slice(gone)];
  const sizes = [...axes.map((axis) => times[axis]), ...held.move.splits.slice(0, gone).flat()];
  const lead = times.length - held.move.joins.length;
  const given = times.map((_, axis) => {
    const own = (held.move.joins[axis - lead] ?? []).map((i) => i + axes.length);
    const copy = axes.includes(axis) ? [axes.indexOf(axis)] : [];
    return each ? [...own, ...copy] : [...copy, ...own];
  });
  const order = given.flat().filter((i) => i < sizes.length);
  const copies = order.map((i) => sizes[i]) as number[];
  const joins = given.map((join) => join.map((i) => (i < sizes.length ? order.indexOf(i) : i)));
  const core = `${node.record.outputs[0]}/axes/copies`;
  const ones = { from, splits, joins: [...copies.map(() => []), ...counted(splits)] };
  const laid = draft.name(node, old?.of ?? held.core, ones);
  const after: Move = { from: [...copies, ...from], splits: [...copies.map((n) => [n]), ...splits], joins };
  if (laid === undefined || !draft.hold(out, core, after, held.order)) return false;
  draft.copies.set(core, { of: old?.of ?? held.core, count: copies.length });
  draft.core(make(node, "Expand", [laid, draft.list(node, [...copies, ...from.map(() => 1)])], core), after.from);
  return true;
}

export const copied = (draft: Draft, node: GraphNode): boolean =>
  ["Expand", "Tile", "Resize"].includes(node.opType) && repeated(draft, node);

export function moving(draft: Draft, node: GraphNode): boolean {
  const held = node.domain === "" && node.outputs.length === 1 ? draft.of(node.inputs[0]) : undefined;
  const move = held && movedBy(draft, node, held.move);
  const [out] = node.outputs;
  return held !== undefined && move !== undefined && out !== undefined && draft.hold(out, held.core, move, held.order);
}
