/**
 * Operators that end what may change: readers that take any gain and shift of their input into constants while nothing comes through to
 * their outputs, and makers whose output is free while their input stays.
 *   LSTM, GRU, RNN                               take the features of their sequence (rules/recurrent.ts)
 *   Gather of a constant table                   makes the table's own axes (rules/select.ts)
 *   LayerNormalization, InstanceNormalization    make what their gain and shift have numbers for (rules/norms.ts)
 */
import { isRefused, type RuleNode } from "../rules/types.ts";
import type { Port } from "./linear.ts";

/** Where a reader that ends everything takes a gauge, on its first input. */
export function takerOf(at: RuleNode): Port | undefined {
  if (!["LSTM", "GRU", "RNN"].includes(at.node.opType) || at.isConstant(0)) return undefined;
  const w = at.isConstant(1) ? at.param(1) : undefined;
  if (w === undefined || isRefused(w) || w.dims.length !== 3 || at.inShape(0)?.length !== 3) return undefined;
  // A gain goes into the weight; a shift needs the bias to be one that is stored.
  const isBiasOpen = at.has(3) && (!at.isConstant(3) || isRefused(at.param(3)));
  return { axis: 2, size: w.dims[2], shifts: !isBiasOpen };
}

/** The port of a first output that is free whatever comes in. */
export function makerOf(at: RuleNode): Port | undefined {
  const rank = at.outShape(0)?.length;
  if (rank === undefined) return undefined;
  switch (at.node.opType) {
    case "Gather": {
      const table = at.isConstant(0) && !at.isConstant(1) ? at.param(0) : undefined;
      if (table === undefined || isRefused(table) || table.dims.length !== 2 || at.int("axis", 0) !== 0) return undefined;
      return { axis: rank - 1, size: table.dims[1], shifts: true };
    }
    case "LayerNormalization":
      return normalized(at, rank - 1, rank);
    case "InstanceNormalization":
      return normalized(at, 1, rank);
    default:
      return undefined;
  }
}

/** One gain and one shift for each place on an axis, both there and constant. */
function normalized(at: RuleNode, axis: number, rank: number): Port | undefined {
  const [gain, shift] = [1, 2].map((i) => (at.has(i) && at.isConstant(i) ? at.param(i) : undefined));
  if (gain === undefined || shift === undefined || isRefused(gain) || isRefused(shift)) return undefined;
  if (gain.dims.length !== 1 || shift.dims.length !== 1 || gain.dims[0] !== shift.dims[0] || rank < 2) return undefined;
  return { axis, size: gain.dims[0], shifts: true };
}
