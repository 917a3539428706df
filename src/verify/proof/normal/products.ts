/**
 *   y · (x · c), y · (x / c)      (y · x) · c, (y · x) / c
 *
 * Exact over the reals: what c scales is then the whole product, however small it was.
 */
import { inner, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** A constant factor inside a product goes last, so that what it scales is the whole product, however small it was. */
const factored: Rewrite = (node, { constants }) => {
  if (node.domain !== "" || node.opType !== "Mul" || node.version < 7 || node.inputs.length !== 2) return undefined;
  if (node.inputs.some((value) => value === undefined || constants.has(value))) return undefined;
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

export const FACTORED: Rewriting = { equation: ["y · (x · c)", "(y · x) · c"], rewrite: factored };
