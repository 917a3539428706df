/**
 *   Max(x, c)      c + Relu(x − c)
 *   Min(x, c)      c − Relu(c − x)
 *
 * Exact over the reals, c finite.
 */
import type { GraphValue } from "../../../graph/view.ts";
import { asNumbers } from "../../../onnx/tensor.ts";
import { inner, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

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
