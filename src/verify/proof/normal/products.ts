/**
 *   y · (x · c), y · (x / c), y · (c / x)      (y · x) · c, (y · x) / c, (y / x) · c
 *   MatMul(x · c, z)              MatMul(x, z) · c      z on either side, c one number
 *   c · x + d · x · z …           x · (c + d · z …)      c and d one number each, or none
 *   x · r + (b − m · r)           (x − m) · r + b
 *
 * Exact over the reals, of floating-point types: what c scales is then the whole product, however small it was.
 */
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { Body } from "./body.ts";
import { isReal, made, numberBeside } from "./powers.ts";
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
  for (const k of [0, 1]) {
    const over = makerOf(node.inputs[k], node);
    const [c] = over?.inputs ?? [];
    if (over === undefined || c === undefined || !isReal(over, "Div", side) || !side.constants.has(c)) continue;
    const quotient = inner(node, "quotient");
    return [
      make(node, "Div", [node.record.inputs[1 - k], over.record.inputs[1]], quotient),
      make(node, "Mul", [quotient, over.record.inputs[0]], outputOf(node)),
    ];
  }
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

interface Product {
  readonly factors: readonly string[];
  readonly constant: string | undefined;
}

/** Factors of a product of four at most that are computed, and its one number. */
function productOf(value: GraphValue | undefined, node: GraphNode, side: Side, far = 4): Product | undefined {
  const maker = value && makerOf(value, node);
  if (value === undefined || side.constants.has(value)) return undefined;
  if (maker === undefined || far === 0 || !isReal(maker, "Mul", side)) return { factors: [value.name], constant: undefined };
  const [p, q] = maker.inputs;
  for (const [x, c, i] of [[p, q, 1] as const, [q, p, 0] as const]) {
    if (numberBeside(c, x, side) === undefined) continue;
    const rest = productOf(x, node, side, far - 1);
    return rest?.constant === undefined ? rest && { ...rest, constant: maker.record.inputs[i] } : undefined;
  }
  const [x, y] = [p, q].map((one) => productOf(one, node, side, far - 1));
  if (x === undefined || y === undefined || (x.constant !== undefined && y.constant !== undefined)) return undefined;
  return { factors: [...x.factors, ...y.factors], constant: x.constant ?? y.constant };
}

const FLOAT = 1;

/** A sum of a value and a product that it is a factor of. */
const common: Rewrite = (node, side) => {
  if (!isReal(node, "Add", side)) return undefined;
  const products = node.inputs.map((value) => productOf(value, node, side));
  for (const [p, q] of [products, products.toReversed()]) {
    const [x] = p?.factors ?? [];
    const at = q?.factors.indexOf(x) ?? -1;
    if (p === undefined || q === undefined || p.factors.length !== 1 || q.factors.length < 2 || at < 0) continue;
    if (p.constant === undefined && side.facts.of(node.outputs[0]).dtype !== FLOAT) continue;
    const body = new Body(node);
    const [first, ...more] = q.factors.toSpliced(at, 1);
    let rest = first;
    for (const [i, factor] of more.entries()) rest = body.step(`rest${i}`, "Mul", [rest, factor]);
    if (q.constant !== undefined) rest = body.step("weighed", "Mul", [rest, q.constant]);
    const one = p.constant ?? body.number("one", 1);
    return body.last("Mul", [x, body.step("sum", "Add", [rest, one])]);
  }
  return undefined;
};

/** What is centred only after it was scaled. */
const centred: Rewrite = (node, side) => {
  const add = isReal(node, "Add", side);
  if (!add && !isReal(node, "Sub", side)) return undefined;
  for (const k of add ? [0, 1] : [0]) {
    const [scaled, rest] = [made(node.inputs[k], "Mul", node, side), made(node.inputs[1 - k], "Sub", node, side)];
    const shift = rest && made(rest.inputs[add ? 1 : 0], "Mul", node, side);
    if (scaled === undefined || rest === undefined || shift === undefined) continue;
    for (const i of [0, 1]) {
      const at = shift.inputs.indexOf(scaled.inputs[i]);
      const r = scaled.inputs[i];
      if (at < 0 || r === undefined || side.constants.has(r)) continue;
      const body = new Body(node);
      const gain = scaled.record.inputs[i];
      const distance = body.step("distance", "Sub", [scaled.record.inputs[1 - i], shift.record.inputs[1 - at]]);
      return body.last("Add", [body.step("scaled", "Mul", [distance, gain]), rest.record.inputs[add ? 0 : 1]]);
    }
  }
  return undefined;
};

export const COMMON: readonly Rewriting[] = [
  { equation: ["x · r + (b − m · r)", "(x − m) · r + b"], rewrite: centred, where: ["Sub", "Mul"] },
  { equation: ["c · x + d · x · z", "x · (c + d · z)"], rewrite: common, where: ["Pow", "Mul", "Add"] },
];

export const SCALED: Rewriting = { equation: ["MatMul(x · c, z)", "MatMul(x, z) · c"], rewrite: scaled, where: ["Mul", "Div"] };

export const FACTORED: Rewriting = { equation: ["y · (x · c)", "(y · x) · c"], rewrite: factored };
