/**
 * Curves of two branches, and what exponentials make of each other.
 *
 *   Where(x > 0, x, 0)                                    Relu(x)                        slopes.ts says which comparisons
 *   Where(x > 0, x, α · (exp(z) − 1)), z = x or Min(x, 0)      Elu(x; α)
 *   Elu(x; α)                                             Relu(x) + α · (exp(Min(x, 0)) − 1)
 *   Selu(x; α, γ), Celu(x; α)                             γ · Elu(x; α), α · Elu(x / α)
 *   PRelu(x, s)                                           Relu(x) + (−s) · Relu(−x)
 *   Softsign(x)                                           x / (1 + |x|)
 *   exp(x) / (1 + exp(x)), log(Sigmoid(x))                Sigmoid(x), −Softplus(−x)
 *   Relu(x) + Softplus(−|x|)                              Softplus(x)
 *   Tanh(x)                                               2 · Sigmoid(2x) − 1
 *
 * Exact over the reals: log(1 + exp(x)) = x + log(1 + exp(−x)). In float32, α and γ as attributes hold them. Those that take an operator apart
 * only where one file has more of it.
 */
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { Side } from "../classes.ts";
import { besideOne } from "./activations.ts";
import { Body } from "./body.ts";
import { besideNumber, isReal, made, numberBeside } from "./powers.ts";
import { make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";
import { branchesOf } from "./slopes.ts";

const FLOAT = 1;
/** Constants are operands of their own type since then. */
const SINCE = 7;

const isFloat32 = (node: GraphNode, opType: string, { facts }: Side): boolean =>
  node.domain === "" &&
  node.opType === opType &&
  node.version >= (opType === "PRelu" ? SINCE : 1) &&
  facts.of(node.inputs[0]).dtype === FLOAT;

/** The α of α · (exp(z) − 1), where z is x below zero. */
function alphaOf(value: GraphValue | undefined, x: GraphValue, node: GraphNode, side: Side): number | undefined {
  const product = besideNumber(made(value, "Mul", node, side), side);
  const less = product?.x ?? value;
  const sub = made(less, "Sub", node, side);
  const add = besideNumber(made(less, "Add", node, side), side);
  const one = sub === undefined ? add?.number === -1 : numberBeside(sub.inputs[1], sub.inputs[0], side) === 1;
  const power = made(sub === undefined ? add?.x : sub.inputs[0], "Exp", node, side);
  const min = besideNumber(made(power?.inputs[0], "Min", node, side), side);
  const same = power?.inputs[0] === x || (min?.x === x && min.number === 0);
  const alpha = product?.number ?? 1;
  return one && power !== undefined && same && Math.fround(alpha) === alpha ? alpha : undefined;
}

const chosen: Rewrite = (node, side) => {
  const found = branchesOf(node, side);
  if (found === undefined) return undefined;
  const { x, name, below } = found;
  if (numberBeside(below, x, side) === 0) return [make(node, "Relu", [name], outputOf(node))];
  const alpha = alphaOf(below, x, node, side);
  return alpha === undefined ? undefined : [make(node, "Elu", [name], outputOf(node), { alpha: { f: alpha } })];
};

const elu: Rewrite = (node, side) => {
  if (!isFloat32(node, "Elu", side)) return undefined;
  const body = new Body(node);
  const [x] = node.record.inputs;
  const alpha = node.record.attributes.get("alpha")?.f ?? 1;
  const low = body.step("low", "Min", [x, body.number("zero", 0)]);
  const less = body.step("less", "Sub", [body.step("power", "Exp", [low]), body.number("one", 1)]);
  const scaled = alpha === 1 ? less : body.step("scaled", "Mul", [less, body.number("alpha", alpha)]);
  return body.last("Add", [body.step("above", "Relu", [x]), scaled]);
};

const selu: Rewrite = (node, side) => {
  if (!isFloat32(node, "Selu", side)) return undefined;
  const body = new Body(node);
  const { attributes, inputs } = node.record;
  // The numbers of opset 1 are others: there, both have to be given.
  const [alpha, gamma] = [attributes.get("alpha")?.f, attributes.get("gamma")?.f];
  if (node.version < 6 && (alpha === undefined || gamma === undefined)) return undefined;
  const bent = body.step("elu", "Elu", inputs, { alpha: { f: alpha ?? Math.fround(1.6732632423543772) } });
  return body.last("Mul", [bent, body.number("gamma", gamma ?? Math.fround(1.0507009873554805))]);
};

const celu: Rewrite = (node, side) => {
  if (!isFloat32(node, "Celu", side)) return undefined;
  const body = new Body(node);
  const alpha = body.number("alpha", node.record.attributes.get("alpha")?.f ?? 1);
  const bent = body.step("elu", "Elu", [body.step("scaled", "Div", [node.record.inputs[0], alpha])], { alpha: { f: 1 } });
  return body.last("Mul", [bent, alpha]);
};

const prelu: Rewrite = (node, side) => {
  if (!isFloat32(node, "PRelu", side)) return undefined;
  const body = new Body(node);
  const [x, slope] = node.record.inputs;
  const below = body.step("below", "Relu", [body.step("turned", "Neg", [x])]);
  const scaled = body.step("scaled", "Mul", [below, body.step("slope", "Neg", [slope])]);
  return body.last("Add", [body.step("above", "Relu", [x]), scaled]);
};

const softsign: Rewrite = (node, side) => {
  if (!isFloat32(node, "Softsign", side)) return undefined;
  const body = new Body(node);
  const [x] = node.record.inputs;
  return body.last("Div", [x, body.step("more", "Add", [body.step("size", "Abs", [x]), body.number("one", 1)])]);
};

const sigmoid: Rewrite = (node, side) => {
  const above = isReal(node, "Div", side) ? made(node.inputs[0], "Exp", node, side) : undefined;
  const below = above && besideOne(node.inputs[1], node, side);
  return below !== undefined && above !== undefined && below.inputs[0] === above.inputs[0]
    ? [make(node, "Sigmoid", above.record.inputs, outputOf(node))]
    : undefined;
};

const logarithm: Rewrite = (node, side) => {
  const gate = isReal(node, "Log", side) ? made(node.inputs[0], "Sigmoid", node, side) : undefined;
  if (gate === undefined) return undefined;
  const body = new Body(node);
  return body.last("Neg", [body.step("soft", "Softplus", [body.step("turned", "Neg", gate.record.inputs)])]);
};

const softplus: Rewrite = (node, side) => {
  if (!isReal(node, "Add", side)) return undefined;
  for (const i of [0, 1]) {
    const [above, soft] = [made(node.inputs[i], "Relu", node, side), made(node.inputs[1 - i], "Softplus", node, side)];
    const size = made(made(soft?.inputs[0], "Neg", node, side)?.inputs[0], "Abs", node, side);
    if (above !== undefined && size !== undefined && size.inputs[0] === above.inputs[0])
      return [make(node, "Softplus", above.record.inputs, outputOf(node))];
  }
  return undefined;
};

const tangent: Rewrite = (node, side) => {
  if (!isFloat32(node, "Tanh", side) || node.version < 6) return undefined;
  const body = new Body(node);
  const two = body.number("two", 2);
  const gate = body.step("gate", "Sigmoid", [body.step("double", "Mul", [node.record.inputs[0], two])]);
  return body.last("Sub", [body.step("twice", "Mul", [gate, two]), body.number("one", 1)]);
};

const apart = (opType: string, to: string, rewrite: Rewrite): Rewriting => ({
  equation: [`${opType}(x)`, to],
  rewrite,
  where: [opType],
});

export const BRANCHES: readonly Rewriting[] = [
  { equation: ["Where(x > 0, x, α · (exp(x) − 1))", "Elu(x; α)"], rewrite: chosen, where: ["Where"] },
  { equation: ["exp(x) / (1 + exp(x))", "Sigmoid(x)"], rewrite: sigmoid, where: ["Exp"] },
  { equation: ["log(Sigmoid(x))", "−Softplus(−x)"], rewrite: logarithm, where: ["Log"] },
  { equation: ["Relu(x) + Softplus(−|x|)", "Softplus(x)"], rewrite: softplus, where: ["Softplus", "Log"] },
  apart("Selu", "γ · Elu(x; α)", selu),
  apart("Celu", "α · Elu(x / α)", celu),
  { ...apart("Elu", "Relu(x) + α · (exp(Min(x, 0)) − 1)", elu), where: ["Elu", "Selu", "Celu"] },
  apart("PRelu", "Relu(x) + (−s) · Relu(−x)", prelu),
  apart("Softsign", "x / (1 + |x|)", softsign),
  apart("Tanh", "2 · Sigmoid(2x) − 1", tangent),
];
