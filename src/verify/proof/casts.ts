/**
 * Casts between floats. Over the reals every one of them is the identity; what it does to numbers is its rounding, and that counts:
 *   to a type with no fewer digits            nothing is rounded: the identity
 *   back to a type the number came from       the same
 *   to fewer digits                           an operator of its own, which the other file must have as well, unless what the
 *                                             first file has there is stored with no more digits (narrowed, prover.ts)
 */
import type { Facts } from "../../graph/facts.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { dtypeOf, isStorageFloat, STORAGE_FLOATS, type StorageFloat } from "../../onnx/dtype.ts";

/** The unit roundoff of a value's type; undefined for what is no float or not known. */
export function roundoffOf(facts: Facts, value: GraphValue | undefined): number | undefined {
  const dtype = value && dtypeOf(facts.of(value).dtype);
  return dtype !== undefined && isStorageFloat(dtype) ? STORAGE_FLOATS[dtype].unitRoundoff : undefined;
}

export const isCast = (node: GraphNode): boolean => hasTrait(node, "casts");

/** A Cast that rounds nothing. */
export function isLossless(facts: Facts, node: GraphNode): boolean {
  if (!isCast(node)) return false;
  const to = roundoffOf(facts, node.outputs[0]);
  if (to === undefined) return false;
  for (let value = node.inputs[0]; value !== undefined; ) {
    const from = roundoffOf(facts, value);
    if (from === undefined) return false;
    if (from >= to) return true;
    // Numbers that were widened before are those of the narrower type still.
    const before: GraphNode | undefined = value.producer;
    value = before !== undefined && before.scope === node.scope && passes(before) ? before.inputs[0] : undefined;
  }
  return false;
}

/** A Cast between floats that rounds to fewer digits what may have more. */
export function losesDigits(facts: Facts, node: GraphNode): boolean {
  const [from, to] = [node.inputs[0], node.outputs[0]].map((value) => roundoffOf(facts, value));
  return isCast(node) && from !== undefined && to !== undefined && to > from && !isLossless(facts, node);
}

const passes = (node: GraphNode): boolean => isCast(node) || (node.domain === "" && node.opType === "Identity");

/** The type a constant is rounded to where it stands in the file, or is computed, whatever it is cast to before it is read. */
export function storedType(facts: Facts, value: GraphValue | undefined, read: StorageFloat): StorageFloat {
  let type = read;
  for (let at = value; at !== undefined; ) {
    const dtype = dtypeOf(facts.of(at).dtype);
    if (dtype === undefined || !isStorageFloat(dtype)) break;
    if (STORAGE_FLOATS[dtype].unitRoundoff > STORAGE_FLOATS[type].unitRoundoff) type = dtype;
    const before: GraphNode | undefined = at.producer;
    at = before !== undefined && hasTrait(before, "moves", "casts") ? before.inputs[0] : undefined;
  }
  return type;
}
