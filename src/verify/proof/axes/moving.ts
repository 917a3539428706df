/**
 * Operators that only move numbers, as moves:
 *
 *   Reshape, Flatten, Squeeze, Unsqueeze; Transpose; Identity
 *   DepthToSpace(x; b)      Reshape(Transpose(Reshape(x))) of [N, b, b, C, H, W], or of [N, C, b, b, H, W] where the mode is CRD
 *   SpaceToDepth(x; b)      the same backwards, of [N, C, H, b, W, b]
 */
import { intAttr, stringAttr } from "../../../graph/attributes.ts";
import { type Dim, divide, type Shape } from "../../../graph/dims.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode } from "../../../graph/view.ts";
import { permOf } from "../normal/orders.ts";
import type { Draft } from "./held.ts";
import { type Move, permuted, reshaped } from "./move.ts";

/** Blocks of b × b places as channels, or back: the shape between, and the order. */
function blocked(node: GraphNode, shape: Shape | undefined): { middle: Shape; perm: readonly number[] } | undefined {
  const b = intAttr(node.record, "blocksize", 0);
  if (shape?.length !== 4 || b < 1) return undefined;
  const [n, c, h, w] = shape;
  const over = (d: Dim, by: number) => divide(d, by);
  if (node.opType === "SpaceToDepth") {
    const [rows, columns] = [over(h, b), over(w, b)];
    return rows === undefined || columns === undefined
      ? undefined
      : { middle: [n, c, rows, b, columns, b], perm: [0, 3, 5, 1, 2, 4] };
  }
  const channels = over(c, b * b);
  if (channels === undefined) return undefined;
  return stringAttr(node.record, "mode", "DCR") === "CRD"
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

export function moving(draft: Draft, node: GraphNode): boolean {
  const held = node.domain === "" && node.outputs.length === 1 ? draft.of(node.inputs[0]) : undefined;
  const move = held && movedBy(draft, node, held.move);
  const [out] = node.outputs;
  return held !== undefined && move !== undefined && out !== undefined && draft.hold(out, held.core, move, held.order);
}
