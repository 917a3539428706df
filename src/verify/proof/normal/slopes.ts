/**
 * What has one slope above zero and another below, as the operator for it.
 *
 *   Where(x < 0, c · x, x), Where(x ≤ 0, c · x, x)      LeakyRelu(x; c)          (its function body in ONNX)
 *   Where(x > 0, x, c · x), Where(x ≥ 0, x, c · x)      LeakyRelu(x; c)
 *   Max(x, c · x), c ≤ 1                                LeakyRelu(x; c)
 *
 * Exact over the reals: at zero both are zero. c is one number, and a float32, as the attribute is.
 */
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { isReal, made, numberBeside } from "./powers.ts";
import { make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** The number that one value is a multiple of another by. */
function slopeOf(value: GraphValue | undefined, x: GraphValue, node: GraphNode, side: Side): number | undefined {
  const maker = made(value, "Mul", node, side);
  if (maker === undefined) return undefined;
  const at = maker.inputs.indexOf(x);
  const slope = at < 0 ? undefined : numberBeside(maker.inputs[1 - at], x, side);
  return slope !== undefined && Math.fround(slope) === slope ? slope : undefined;
}

/** By comparison with zero on the right, whether it is true of negative numbers. */
const BELOW: Readonly<Record<string, boolean>> = { Less: true, LessOrEqual: true, Greater: false, GreaterOrEqual: false };

/** A choice between x itself, where it is above zero, and something else where it is below. */
export function branchesOf(
  node: GraphNode,
  side: Side,
): { x: GraphValue; name: string; below: GraphValue | undefined } | undefined {
  if (!isReal(node, "Where", side)) return undefined;
  const [condition, yes, no] = node.inputs;
  const test = makerOf(condition, node);
  if (test?.domain !== "" || !Object.hasOwn(BELOW, test.opType) || test.version < 7) return undefined;
  const turned = side.constants.has(test.inputs[0] as GraphValue);
  const [x, zero] = turned ? test.inputs.toReversed() : test.inputs;
  const below = BELOW[test.opType] !== turned;
  if (x === undefined || (below ? no : yes) !== x || numberBeside(zero, x, side) !== 0) return undefined;
  return { x, name: node.record.inputs[below ? 2 : 1], below: below ? yes : no };
}

const chosen: Rewrite = (node, side) => {
  const found = branchesOf(node, side);
  const slope = found && slopeOf(found.below, found.x, node, side);
  if (found === undefined || slope === undefined) return undefined;
  return [make(node, "LeakyRelu", [found.name], outputOf(node), { alpha: { f: slope } })];
};

const larger: Rewrite = (node, side) => {
  if (!isReal(node, "Max", side) || node.inputs.length !== 2) return undefined;
  for (const i of [0, 1]) {
    const x = node.inputs[i];
    const slope = x && slopeOf(node.inputs[1 - i], x, node, side);
    if (slope !== undefined && slope <= 1)
      return [make(node, "LeakyRelu", [node.record.inputs[i]], outputOf(node), { alpha: { f: slope } })];
  }
  return undefined;
};

export const SLOPES: readonly Rewriting[] = [
  { equation: ["Where(x < 0, c · x, x)", "LeakyRelu(x; c)"], rewrite: chosen },
  { equation: ["Max(x, c · x)", "LeakyRelu(x; c)"], rewrite: larger },
];
