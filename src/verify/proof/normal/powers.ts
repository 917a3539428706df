/**
 * Powers, quotients and variances in one way of writing.
 *
 *   Pow(x, 2), Pow(x, 3); Pow(x, ½)          x · x, x · x · x; Sqrt(x)
 *   Pow(x, −1), Pow(x, −½)                   Reciprocal(x), Reciprocal(Sqrt(x))
 *   y · Reciprocal(x), y · (1 / x)           y / x
 *   ReduceSumSquare(x)                       ReduceSum(x · x)
 *   ReduceL2(x)                              Sqrt(ReduceSum(x · x))
 *   mean(x · x) − mean(x) · mean(x)          mean(d · d), d = x − mean(x)      over the same axes
 *
 * Exact over the reals: E[x²] − (E x)² = E[(x − E x)²].
 */
import { intAttr, intsAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import { dtypeOf, isFloat } from "../../../onnx/dtype.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { inner, integers, listAt, make, makerOf, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Before, operands of two shapes take attributes to meet. */
const BROADCASTS = 7;

/** The one number of a constant that spreads nothing out beside x. */
export function numberBeside(value: GraphValue | undefined, x: GraphValue | undefined, side: Side): number | undefined {
  const numbers = value !== undefined && side.constants.has(value) ? numbersOf(value, side) : undefined;
  const [rank, most] = [side.facts.rank(value), side.facts.rank(x)];
  return numbers?.length === 1 && rank !== undefined && (rank === 0 || (most !== undefined && rank <= most))
    ? numbers[0]
    : undefined;
}

/** What a commutative operator does to the one number beside it: `at` is where x stands. */
export function besideNumber(
  node: GraphNode | undefined,
  side: Side,
): { readonly x: GraphValue; readonly at: number; readonly number: number } | undefined {
  for (const at of [0, 1]) {
    const [x, number] = [node?.inputs[at], numberBeside(node?.inputs[1 - at], node?.inputs[at], side)];
    if (x !== undefined && number !== undefined) return { x, at, number };
  }
  return undefined;
}

/** An operator of real numbers: whole ones are divided otherwise. */
export function isReal(node: GraphNode, opType: string, { facts }: Side): boolean {
  const dtype = dtypeOf(facts.of(node.outputs[0]).dtype);
  return node.domain === "" && node.opType === opType && node.version >= BROADCASTS && dtype !== undefined && isFloat(dtype);
}

/** The operator of this type that makes a value. */
export function made(value: GraphValue | undefined, opType: string, node: GraphNode, side: Side): GraphNode | undefined {
  const maker = makerOf(value, node);
  return maker !== undefined && isReal(maker, opType, side) ? maker : undefined;
}

const power: Rewrite = (node, side) => {
  if (!isReal(node, "Pow", side)) return undefined;
  const exponent = numberBeside(node.inputs[1], node.inputs[0], side);
  const [[x], output] = [node.record.inputs, outputOf(node)];
  if (exponent === 2) return [make(node, "Mul", [x, x], output)];
  const within = inner(node, "within");
  if (exponent === 3) return [make(node, "Mul", [x, x], within), make(node, "Mul", [within, x], output)];
  if (exponent === 0.5) return [make(node, "Sqrt", [x], output)];
  if (exponent === -0.5) return [make(node, "Sqrt", [x], within), make(node, "Reciprocal", [within], output)];
  return exponent === -1 ? [make(node, "Reciprocal", [x], output)] : undefined;
};

/** What a value is one over of. */
function reciprocal(value: GraphValue | undefined, node: GraphNode, side: Side): string | undefined {
  const over = made(value, "Div", node, side);
  if (over !== undefined) return numberBeside(over.inputs[0], over.inputs[1], side) === 1 ? over.record.inputs[1] : undefined;
  return made(value, "Reciprocal", node, side)?.record.inputs[0];
}

const quotient: Rewrite = (node, side) => {
  if (!isReal(node, "Mul", side)) return undefined;
  for (const i of [1, 0]) {
    const x = reciprocal(node.inputs[i], node, side);
    if (x !== undefined) return [make(node, "Div", [node.record.inputs[1 - i], x], outputOf(node))];
  }
  return undefined;
};

/** ReduceSum has its axes as an operand since then, the others later. */
const SUM_SINCE = 13;

const squares: Rewrite = (node, side) => {
  if (!isReal(node, "ReduceSumSquare", side) && !isReal(node, "ReduceL2", side)) return undefined;
  const { inputs, attributes } = node.record;
  if (intAttr(node.record, "noop_with_empty_axes", 0) !== 0) return undefined;
  const list = inputs[1] ? undefined : intsAttr(node.record, "axes");
  const moves = list !== undefined && node.version >= SUM_SINCE;
  const [square, sum] = [inner(node, "square"), node.opType === "ReduceL2" ? inner(node, "sum") : outputOf(node)];
  const kept = new Map([...attributes].filter(([name]) => !moves || name !== "axes"));
  const over = moves ? [inner(node, "axes")] : inputs.slice(1);
  return [
    make(node, "Mul", [inputs[0], inputs[0]], square),
    ...(moves ? [integers(node, "axes", list)] : []),
    { ...make(node, "ReduceSum", [square, ...over], sum), attributes: kept },
    ...(node.opType === "ReduceL2" ? [make(node, "Sqrt", [sum], outputOf(node))] : []),
  ];
};

/** What a value is the square of. */
function rootOf(value: GraphValue | undefined, node: GraphNode, side: Side): GraphValue | undefined {
  const maker = made(value, "Mul", node, side);
  return maker?.inputs[0] === maker?.inputs[1] ? maker?.inputs[0] : undefined;
}

/** The axes a mean is taken over, as one text; undefined where they are computed. */
function axesOf(node: GraphNode, side: Side): string | undefined {
  const [axes, rank] = [listAt(node, 1, "axes", side), side.facts.rank(node.inputs[0])];
  if (rank === undefined || (axes === undefined && node.inputs[1] !== undefined)) return undefined;
  const over = (axes ?? []).map((axis) => (axis < 0 ? axis + rank : axis)).sort((p, q) => p - q);
  return over.length > 0 ? over.join() : intAttr(node.record, "noop_with_empty_axes", 0) === 0 ? "all" : undefined;
}

const variance: Rewrite = (node, side) => {
  if (!isReal(node, "Sub", side)) return undefined;
  const of = made(node.inputs[0], "ReduceMean", node, side);
  const mean = made(rootOf(node.inputs[1], node, side), "ReduceMean", node, side);
  const x = mean?.inputs[0];
  if (of === undefined || mean === undefined || x === undefined) return undefined;
  const axes = axesOf(mean, side);
  if (rootOf(of.inputs[0], node, side) !== x || axes === undefined || axesOf(of, side) !== axes) return undefined;
  if (intAttr(of.record, "keepdims", 1) !== intAttr(mean.record, "keepdims", 1)) return undefined;
  const [broad, centred, square] = ["mean", "centred", "square"].map((part) => inner(node, part));
  const [name, ...over] = mean.record.inputs;
  const attributes = new Map(mean.record.attributes);
  attributes.delete("keepdims");
  const means = (from: string, output: string, kept: NodeRecord["attributes"]): NodeRecord => ({
    ...mean.record,
    inputs: [from, ...over],
    outputs: [output],
    attributes: kept,
  });
  return [
    means(name, broad, attributes),
    make(node, "Sub", [name, broad], centred),
    make(node, "Mul", [centred, centred], square),
    means(square, outputOf(node), mean.record.attributes),
  ];
};

export const POWERS: readonly Rewriting[] = [
  { equation: ["Pow(x, n)", "products, Sqrt(x), Reciprocal(x)"], rewrite: power },
  { equation: ["y · Reciprocal(x)", "y / x"], rewrite: quotient },
  { equation: ["ReduceSumSquare(x), ReduceL2(x)", "ReduceSum(x · x), Sqrt(ReduceSum(x · x))"], rewrite: squares },
  { equation: ["mean(x · x) − mean(x) · mean(x)", "mean(d · d), d = x − mean(x)"], rewrite: variance },
];
