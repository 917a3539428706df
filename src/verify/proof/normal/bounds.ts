/**
 *   Max(x, c)      c + Relu(x − c)
 *   Min(x, c)      c − Relu(c − x)
 *
 *   Max(x, 0)      Relu(x)
 *   Max(Relu(x), c)        Max(x, c)          c ≥ 0
 *   Max(Min(x, b), a)      Min(Max(x, a), b)          a ≤ b
 *
 *   Clip(x; a, b)  Min(Max(x, a), b)          a and b constant, left out where they are none
 *
 * Exact over the reals, c finite.
 */
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import { dtypeOf, isStorageFloat } from "../../../onnx/dtype.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { asNumbers } from "../../../onnx/tensor.ts";
import type { Side } from "../classes.ts";
import { besideNumber, isReal, made, numberBeside } from "./powers.ts";
import { inner, make, makerOf, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** What Relus read that make an operand: a bound that is not below zero does what they do. */
function beforeRelu(node: GraphNode, index: number): string {
  let name = node.record.inputs[index];
  let maker = makerOf(node.inputs[index], node);
  for (; maker?.domain === "" && maker.opType === "Relu"; maker = makerOf(maker.inputs[0], node)) name = maker.record.inputs[0];
  return name;
}

/** Max and Min with a constant as Relu between its shifts. */
const rectified: Rewrite = (node, side) => {
  const { constants } = side;
  const max = node.opType === "Max";
  if (node.domain !== "" || (!max && node.opType !== "Min") || node.version < 8 || node.inputs.length !== 2) return undefined;
  const fixed = node.inputs.map((value) => value !== undefined && constants.has(value));
  if (fixed[0] === fixed[1]) return undefined;
  const c = node.inputs[fixed[0] ? 0 : 1] as GraphValue;
  const bounds = asNumbers(constants.tensor(c));
  if (!bounds.every(Number.isFinite)) return undefined;
  const [value, threshold] = fixed[0] ? node.record.inputs.toReversed() : node.record.inputs;
  const x = max && bounds.every((v) => v >= 0) ? beforeRelu(node, fixed[0] ? 1 : 0) : value;
  if (max && numberBeside(c, node.inputs[fixed[0] ? 1 : 0], side) === 0) return [make(node, "Relu", [x], outputOf(node))];
  const [beyond, kept] = [inner(node, "beyond"), inner(node, "kept")];
  return [
    make(node, "Sub", max ? [x, threshold] : [threshold, x], beyond),
    make(node, "Relu", [beyond], kept),
    make(node, max ? "Add" : "Sub", [threshold, kept], outputOf(node)),
  ];
};

/** Bounded from above and then from below, where the bounds leave something between them. */
const turned: Rewrite = (node, side) => {
  const low = isReal(node, "Max", side) ? bounded(node, side) : undefined;
  const maker = low && made(low.x, "Min", node, side);
  const high = maker && bounded(maker, side);
  if (low === undefined || high === undefined || low.number > high.number) return undefined;
  const above = inner(node, "above");
  return [make(node, "Max", [high.name, low.bound], above), make(node, "Min", [above, high.bound], outputOf(node))];
};

/** What a Max or Min of two bounds by one number. */
function bounded(node: GraphNode, side: Side) {
  const found = node.inputs.length === 2 ? besideNumber(node, side) : undefined;
  if (found === undefined || side.constants.has(found.x)) return undefined;
  const { inputs } = node.record;
  return { ...found, name: inputs[found.at], bound: inputs[1 - found.at] };
}

export const TURNED: Rewriting = {
  equation: ["Max(Min(x, b), a), a ≤ b", "Min(Max(x, a), b)"],
  rewrite: turned,
  where: ["Max", "Min", "Clip", "HardSigmoid"],
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
  const [x, out] = [low?.[1] === 0 ? beforeRelu(node, 0) : record.inputs[0], outputOf(node)];
  const middle = low === undefined ? x : high === undefined ? out : inner(node, "above");
  if (low !== undefined) parts.push(low[1] === 0 ? make(node, "Relu", [x], middle) : make(node, "Max", [x, low[0]], middle));
  if (high !== undefined) parts.push(make(node, "Min", [middle, high[0]], out));
  return low === undefined && high === undefined ? [make(node, "Identity", [x], out)] : parts;
};

export const CLIPPED: Rewriting = {
  equation: ["Clip(x; a, b)", "Min(Max(x, a), b), Relu(x) for Max(x, 0)"],
  rewrite: clipped,
};
