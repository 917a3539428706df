/**
 *   Relu(x), Abs(x), LeakyRelu(x), PRelu(x, c), Elu(x), Celu(x)      x      where x ≥ 0 whatever comes in
 *
 * Exact over the reals. Never negative are what Relu, Sigmoid, Exp and their like give, and what only moves, chooses, averages, adds up or
 * multiplies such values.
 */
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
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

/** A slope of more axes than what it bends would spread it out; no valid file has one, and a run takes it all the same. */
function keepsShape({ inputs: [x, slope] }: GraphNode, { facts }: Side): boolean {
  if (slope === undefined) return true;
  const [rank, most] = [facts.of(slope).shape?.length, facts.of(x).shape?.length];
  return rank !== undefined && most !== undefined && rank <= most;
}

const bent: Rewrite = (node, side) =>
  node.domain === "" && BENT.has(node.opType) && keepsShape(node, side) && isNonNegative(node.inputs[0], side)
    ? [make(node, "Identity", [node.record.inputs[0]], outputOf(node))]
    : undefined;

export const UNBENT: Rewriting = { equation: ["Relu(x), Abs(x), x ≥ 0", "x"], rewrite: bent };
