/**
 *   Relu(x), Abs(x), LeakyRelu(x), PRelu(x, c), Elu(x), Celu(x)      x      where x ≥ 0 whatever comes in
 *
 * Exact over the reals. Never negative are what Relu, Sigmoid, Exp and their like give, and what only moves, chooses, averages, adds up or
 * multiplies such values.
 */
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphValue } from "../../../graph/view.ts";
import { asFloat64 } from "../../../onnx/tensor.ts";
import type { Side } from "../classes.ts";
import { make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Identity where their input is not negative. */
const BENT = new Set(["Relu", "Abs", "LeakyRelu", "PRelu", "Elu", "Celu"]);

const FAR = 16;

function isNonNegative(value: GraphValue | undefined, side: Side, far = FAR): boolean {
  if (value === undefined || far === 0) return false;
  if (side.constants.has(value)) return asFloat64(side.constants.tensor(value)).every((v) => v >= 0);
  const node = value.producer;
  if (node === undefined || node.domain !== "") return false;
  const { opType } = node;
  const read = (input: GraphValue | undefined) => isNonNegative(input, side, far - 1);
  if (hasTrait(node, "nonNegative")) return true;
  if (hasTrait(node, "keepsNonNegative")) return (value.outputIndex === 0 || opType === "Split") && read(node.inputs[0]);
  if (hasTrait(node, "joinsNonNegative")) return node.inputs.length > 0 && node.inputs.every(read);
  return opType === "Max" && node.inputs.some(read);
}

const bent: Rewrite = (node, side) =>
  node.domain === "" && BENT.has(node.opType) && isNonNegative(node.inputs[0], side)
    ? [make(node, "Identity", [node.record.inputs[0]], outputOf(node))]
    : undefined;

export const UNBENT: Rewriting = { equation: ["Relu(x), Abs(x), x ≥ 0", "x"], rewrite: bent };
