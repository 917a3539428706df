/**
 *   y · (x · c), y · (x / c)      (y · x) · c, (y · x) / c
 *   MatMul(x · c, z)              MatMul(x, z) · c      z on either side, c one number
 *
 * Exact over the reals, of floating-point types: what c scales is then the whole product, however small it was.
 */
import { dtypeOf, isFloat } from "../../../onnx/dtype.ts";
import { inner, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** A constant factor inside a product goes last, so that what it scales is the whole product, however small it was. */
const factored: Rewrite = (node, { constants, facts }) => {
  if (node.domain !== "" || node.opType !== "Mul" || node.version < 7 || node.inputs.length !== 2) return undefined;
  if (node.inputs.some((value) => value === undefined || constants.has(value))) return undefined;
  const dtype = dtypeOf(facts.of(node.outputs[0]).dtype);
  if (dtype === undefined || !isFloat(dtype)) return undefined;
  for (const k of [0, 1]) {
    const within = makerOf(node.inputs[k], node);
    if (within?.domain !== "" || !["Mul", "Div"].includes(within.opType) || within.version < 7) continue;
    const at = within.inputs.findIndex((value) => value !== undefined && constants.has(value));
    if (at < 0 || (within.opType === "Div" && at === 0)) continue;
    const product = inner(node, "product");
    const [factor, other] = [within.record.inputs[at], within.record.inputs[1 - at]];
    return [
      make(node, "Mul", [node.record.inputs[1 - k], other], product),
      make(node, within.opType, [product, factor], outputOf(node)),
    ];
  }
  return undefined;
};

const scaled: Rewrite = (node, { constants, facts }) => {
  if (node.domain !== "" || node.opType !== "MatMul" || node.inputs.some((value) => value && constants.has(value)))
    return undefined;
  const dtype = dtypeOf(facts.of(node.outputs[0]).dtype);
  const rank = facts.rank(node.outputs[0]);
  if (dtype === undefined || !isFloat(dtype) || rank === undefined) return undefined;
  for (const k of [0, 1]) {
    const within = makerOf(node.inputs[k], node);
    if (within?.domain !== "" || !["Mul", "Div"].includes(within.opType) || within.version < 7) continue;
    const at = within.inputs.findIndex((value) => value !== undefined && constants.has(value));
    const shape = facts.shape(within.inputs[at]);
    const own = facts.rank(within.inputs[1 - at]);
    if (at < 0 || (within.opType === "Div" && at === 0) || shape === undefined || own === undefined) continue;
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
