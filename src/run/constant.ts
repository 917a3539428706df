/**
 * Operators computed on constants while a model is read, planned or proven: the one place that says how large what they make may be.
 * A result may have twice the elements of what it is made of, or GROWS_TO where that is more, and never more than MAX_COMPUTED.
 * How much an operator makes whose result hangs on numbers it reads (growth.ts) is known before anything is allocated.
 */
import { BnfoldError } from "../diag/error.ts";
import type { NodeRecord } from "../onnx/records.ts";
import { asNumbers, type Tensor } from "../onnx/tensor.ts";
import { isTensor, type Value } from "../ops/define.ts";
import { canGrow, elementsMade } from "./growth.ts";
import { type RunNodeOptions, runNode } from "./session.ts";

/** 32 MB in float64. */
const GROWS_TO = 2 ** 22;
/** A constant computed by the graph is not followed beyond this many elements: it is a table, not a parameter. */
const MAX_COMPUTED = 2 ** 27;
/** Operands that say how large a result is have few elements. */
const SMALL_OPERAND = 64;

/** True where a result of `size` elements may be made of `from` elements. */
export const isBounded = (size: number, from: number): boolean => size <= Math.min(MAX_COMPUTED, Math.max(GROWS_TO, 2 * from));

/** True of an operand that may say how large a result is, by its dimensions; false where they are not known. */
export const maySaySizes = (dims: readonly number[] | undefined): boolean =>
  dims !== undefined && dims.reduce((n, d) => n * d, 1) <= SMALL_OPERAND;

/** The numbers of an operand that may say how large a result is; undefined where it is too large for that. */
export const sizesIn = (value: Tensor): readonly number[] | undefined =>
  value.dtype !== "string" && maySaySizes(value.dims) ? asNumbers(value) : undefined;

/**
 * What an operator makes of constants.
 * @throws BnfoldError of kind "model" when it fails, or would make more than constants may become.
 */
export function computed(
  node: NodeRecord,
  version: number,
  inputs: readonly (Value | undefined)[],
  options: RunNodeOptions = {},
): readonly (Value | undefined)[] {
  if (canGrow(node)) {
    const tensors = inputs.map((value) => (isTensor(value) ? value : undefined));
    const from = tensors.reduce((n, value) => n + (value?.data.length ?? 0), 0);
    const made = elementsMade(node, {
      numbers: (i) => tensors[i] && sizesIn(tensors[i]),
      dims: (i) => tensors[i]?.dims,
    });
    if (made === undefined || !isBounded(made, from))
      throw new BnfoldError("model", `${node.opType} would make ${made ?? "nobody knows how many"} numbers of ${from}`, {
        node: node.name,
      });
  }
  return runNode(node, version, inputs, options);
}
