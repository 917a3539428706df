/**
 *   Max(x, c)      c + Relu(x − c)
 *   Min(x, c)      c − Relu(c − x)
 *
 *   Clip(x; a, b)  Min(Max(x, a), b)          a and b constant, left out where they are none; Max(x, 0) is Relu(x)
 *
 * Exact over the reals, c finite.
 */
import type { GraphValue } from "../../../graph/view.ts";
import { dtypeOf, isStorageFloat } from "../../../onnx/dtype.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { asNumbers } from "../../../onnx/tensor.ts";
import { inner, make, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Max and Min with a constant as Relu between its shifts. */
const rectified: Rewrite = (node, { constants }) => {
  const max = node.opType === "Max";
  if (node.domain !== "" || (!max && node.opType !== "Min") || node.version < 8 || node.inputs.length !== 2) return undefined;
  const fixed = node.inputs.map((value) => value !== undefined && constants.has(value));
  if (fixed[0] === fixed[1]) return undefined;
  const c = node.inputs[fixed[0] ? 0 : 1] as GraphValue;
  if (!asNumbers(constants.tensor(c)).every(Number.isFinite)) return undefined;
  const [x, threshold] = fixed[0] ? node.record.inputs.toReversed() : node.record.inputs;
  const [beyond, kept] = [inner(node, "beyond"), inner(node, "kept")];
  return [
    make(node, "Sub", max ? [x, threshold] : [threshold, x], beyond),
    make(node, "Relu", [beyond], kept),
    make(node, max ? "Add" : "Sub", [threshold, kept], outputOf(node)),
  ];
};

export const RECTIFIED: Rewriting = {
  equation: ["Max(x, c), Min(x, c)", "c + Relu(x − c), c − Relu(c − x)"],
  rewrite: rectified,
};

/** Largest number of float32: as an attribute, a bound of this size is none. */
const UNBOUNDED = 3.4028234663852886e38;

/** Clip with constant bounds, floats only: from below a Relu or Max, from above a Min. */
const clipped: Rewrite = (node, side) => {
  const dtype = dtypeOf(side.facts.of(node.inputs[0]).dtype);
  if (node.domain !== "" || node.opType !== "Clip" || node.version < 8 || dtype === undefined || !isStorageFloat(dtype))
    return undefined;
  const { record } = node;
  const parts: NodeRecord[] = [];
  const bounds: (readonly [name: string, number: number] | undefined)[] = [];
  for (const [i, key] of ["min", "max"].entries()) {
    const named = node.version >= 11;
    const operand = node.inputs[i + 1];
    const number = named ? numbersOf(operand, side)?.[0] : record.attributes.get(key)?.f;
    if (named && operand !== undefined && number === undefined) return undefined;
    if (number === undefined || Math.abs(number) >= UNBOUNDED) {
      bounds.push(undefined);
      continue;
    }
    if (!named && dtype !== "float32") return undefined;
    if (!named) parts.push(make(node, "Constant", [], inner(node, key), { value_float: { f: number } }));
    bounds.push([named ? record.inputs[i + 1] : inner(node, key), number]);
  }
  const [low, high] = bounds;
  const [x, out] = [record.inputs[0], outputOf(node)];
  const middle = low === undefined ? x : high === undefined ? out : inner(node, "above");
  if (low !== undefined) parts.push(low[1] === 0 ? make(node, "Relu", [x], middle) : make(node, "Max", [x, low[0]], middle));
  if (high !== undefined) parts.push(make(node, "Min", [middle, high[0]], out));
  return low === undefined && high === undefined ? [make(node, "Identity", [x], out)] : parts;
};

export const CLIPPED: Rewriting = {
  equation: ["Clip(x; a, b)", "Min(Max(x, a), b), Relu(x) for Max(x, 0)"],
  rewrite: clipped,
};
