/**
 *   y · (x · c), y · (x / c)      (y · x) · c, (y · x) / c
 *   MatMul(x · c, z)              MatMul(x, z) · c      z on either side, c one number
 *
 * Exact over the reals, of floating-point types: what c scales is then the whole product, however small it was.
 */
import type { GraphNode } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { isReal } from "./powers.ts";
import { inner, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** An operand that is a product with a constant, or a quotient by one. */
interface Scaled {
  /** Which operand, the Mul or Div that makes it, and which of its inputs is the constant. */
  readonly k: number;
  readonly within: GraphNode;
  readonly at: number;
}

/** Operands that a constant scales, in their order. */
function* scaledOperands(node: GraphNode, { constants }: Side): Generator<Scaled> {
  for (const k of [0, 1]) {
    const within = makerOf(node.inputs[k], node);
    if (within?.domain !== "" || !["Mul", "Div"].includes(within.opType) || within.version < 7) continue;
    const at = within.inputs.findIndex((value) => value !== undefined && constants.has(value));
    if (at >= 0 && (within.opType === "Mul" || at === 1)) yield { k, within, at };
  }
}

/** A constant factor inside a product goes last, so that what it scales is the whole product, however small it was. */
const factored: Rewrite = (node, side) => {
  if (!isReal(node, "Mul", side) || node.inputs.length !== 2) return undefined;
  if (node.inputs.some((value) => value === undefined || side.constants.has(value))) return undefined;
  for (const { k, within, at } of scaledOperands(node, side)) {
    const product = inner(node, "product");
    const [factor, other] = [within.record.inputs[at], within.record.inputs[1 - at]];
    return [
      make(node, "Mul", [node.record.inputs[1 - k], other], product),
      make(node, within.opType, [product, factor], outputOf(node)),
    ];
  }
  return undefined;
};

const scaled: Rewrite = (node, side) => {
  const { constants, facts } = side;
  const rank = facts.rank(node.outputs[0]);
  if (!isReal(node, "MatMul", side) || rank === undefined) return undefined;
  if (node.inputs.some((value) => value && constants.has(value))) return undefined;
  for (const { k, within, at } of scaledOperands(node, side)) {
    const shape = facts.shape(within.inputs[at]);
    const own = facts.rank(within.inputs[1 - at]);
    if (shape === undefined || own === undefined) continue;
    if (shape.some((d) => d !== 1) || shape.length > Math.min(own, rank)) continue;
    const product = inner(node, "product");
    return [
      make(node, "MatMul", node.record.inputs.with(k, within.record.inputs[1 - at]), product),
      make(node, within.opType, [product, within.record.inputs[at]], outputOf(node)),
    ];
  }
  return undefined;
};

export const SCALED: Rewriting = { equation: ["MatMul(x · c, z)", "MatMul(x, z) · c"], rewrite: scaled, where: ["Mul", "Div"] };

export const FACTORED: Rewriting = { equation: ["y · (x · c)", "(y · x) · c"], rewrite: factored };
