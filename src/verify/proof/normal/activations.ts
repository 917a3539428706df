/**
 * Activations as the operators they are made of.
 *
 *   HardSwish(x)                       x · HardSigmoid(x; 1/6, 1/2)             (its function body in ONNX)
 *   HardSigmoid(x; α, β)               Min(Relu(α·x + β), 1)                   (its function body in ONNX), in float32
 *   Mish(x)                            x · Tanh(Softplus(x))                    (its function body in ONNX)
 *   Gelu(x), com.microsoft Gelu(x)     x · (1 + erf(x / √2)) · ½               (where it is not approximated)
 *   Gelu(x; tanh), com.microsoft FastGelu(x, b)      x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) · ½      of x + b
 *   com.microsoft QuickGelu(x; α)      x · Sigmoid(α·x)
 *   y / (1 + exp(−x)), log(1 + exp(x)) y · Sigmoid(x), Softplus(x)
 *
 * Exact over the reals, the constants being those the schemas give, in float32.
 */
import { stringAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { Body } from "./body.ts";
import { isReal, numberBeside } from "./powers.ts";
import { inner, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const hardSwish: Rewrite = (node) => {
  if (node.domain !== "" || node.opType !== "HardSwish") return undefined;
  const [[x], gate] = [node.record.inputs, inner(node, "gate")];
  const settings = { alpha: { f: Math.fround(1 / 6) }, beta: { f: 0.5 } };
  return [make(node, "HardSigmoid", [x], gate, settings), make(node, "Mul", [x, gate], outputOf(node))];
};

const mish: Rewrite = (node) => {
  if (node.domain !== "" || node.opType !== "Mish") return undefined;
  const [[x], soft, gate] = [node.record.inputs, inner(node, "soft"), inner(node, "gate")];
  return [make(node, "Softplus", [x], soft), make(node, "Tanh", [soft], gate), make(node, "Mul", [x, gate], outputOf(node))];
};

const gelu: Rewrite = (node) => {
  const standard = node.domain === "" && node.opType === "Gelu";
  if (!standard && (node.domain !== "com.microsoft" || node.opType !== "Gelu")) return undefined;
  if (standard && stringAttr(node.record, "approximate", "none") !== "none") return undefined;
  const [x] = node.record.inputs;
  const name = (part: string) => inner(node, part);
  // Of the standard operator the type may be another: its numbers then are.
  const number = (part: string, f: number): NodeRecord[] => [
    make(node, "Constant", [], standard ? name(`${part}/float`) : name(part), { value_float: { f: Math.fround(f) } }),
    ...(standard ? [make(node, "CastLike", [name(`${part}/float`), x], name(part))] : []),
  ];
  return [
    ...number("root", Math.SQRT2),
    ...number("one", 1),
    ...number("half", 0.5),
    make(node, "Div", [x, name("root")], name("scaled")),
    make(node, "Erf", [name("scaled")], name("erf")),
    make(node, "Add", [name("erf"), name("one")], name("gate")),
    make(node, "Mul", [x, name("gate")], name("twice")),
    make(node, "Mul", [name("twice"), name("half")], outputOf(node)),
  ];
};

/** The approximation by a hyperbolic tangent, in float32. */
const byTangent: Rewrite = (node, { facts }) => {
  const fast = node.domain === "com.microsoft" && node.opType === "FastGelu";
  const standard = node.domain === "" && node.opType === "Gelu" && stringAttr(node.record, "approximate", "none") === "tanh";
  if ((!fast && !standard) || facts.of(node.inputs[0]).dtype !== 1) return undefined;
  const body = new Body(node);
  const [given, bias] = node.record.inputs;
  const x = bias ? body.step("sum", "Add", [given, bias]) : given;
  const cube = body.step("cube", "Mul", [body.step("square", "Mul", [x, x]), x]);
  const bent = body.step("bent", "Mul", [cube, body.number("bend", Math.fround(0.044715))]);
  const line = body.step("line", "Add", [x, bent]);
  const root = body.number("root", Math.fround(Math.sqrt(2 / Math.PI)));
  const curve = body.step("curve", "Tanh", [body.step("scaled", "Mul", [line, root])]);
  const gate = body.step("gate", "Add", [curve, body.number("one", 1)]);
  return body.last("Mul", [body.step("twice", "Mul", [x, gate]), body.number("half", 0.5)]);
};

/** What is added to one, where a value is that. */
export function besideOne(value: GraphValue | undefined, node: GraphNode, side: Side): GraphNode | undefined {
  const sum = makerOf(value, node);
  if (sum === undefined || !isReal(sum, "Add", side)) return undefined;
  const at = sum.inputs.findIndex((one, i) => numberBeside(one, sum.inputs[1 - i], side) === 1);
  const power = at < 0 ? undefined : makerOf(sum.inputs[1 - at], node);
  return power !== undefined && isReal(power, "Exp", side) ? power : undefined;
}

const sigmoid: Rewrite = (node, side) => {
  const power =
    isReal(node, "Div", side) || isReal(node, "Reciprocal", side) ? besideOne(node.inputs.at(-1), node, side) : undefined;
  const negative = power && makerOf(power.inputs[0], node);
  if (negative === undefined || !isReal(negative, "Neg", side)) return undefined;
  const single = node.opType === "Reciprocal" || numberBeside(node.inputs[0], node.inputs[1], side) === 1;
  const gate = make(node, "Sigmoid", negative.record.inputs, single ? outputOf(node) : inner(node, "gate"));
  return single ? [gate] : [gate, make(node, "Mul", [node.record.inputs[0], inner(node, "gate")], outputOf(node))];
};

const softplus: Rewrite = (node, side) => {
  const power = isReal(node, "Log", side) ? besideOne(node.inputs[0], node, side) : undefined;
  return power && [make(node, "Softplus", power.record.inputs, outputOf(node))];
};

const quickGelu: Rewrite = (node) => {
  if (node.domain !== "com.microsoft" || node.opType !== "QuickGelu") return undefined;
  const [x] = node.record.inputs;
  const alpha = node.record.attributes.get("alpha")?.f ?? Math.fround(1.702);
  const [factor, scaled, gate] = ["factor", "scaled", "gate"].map((part) => inner(node, part));
  const before = [make(node, "Constant", [], factor, { value_float: { f: alpha } }), make(node, "Mul", [x, factor], scaled)];
  return [
    ...(alpha === 1 ? [] : before),
    make(node, "Sigmoid", [alpha === 1 ? x : scaled], gate),
    make(node, "Mul", [x, gate], outputOf(node)),
  ];
};

/** What lies between 0 and 1 of a line. */
const hardSigmoid: Rewrite = (node, { facts }) => {
  // A number of float32 beside another type is none that ONNX allows.
  if (node.domain !== "" || node.opType !== "HardSigmoid" || node.version < 7 || facts.of(node.inputs[0]).dtype !== 1)
    return undefined;
  const [[x], { attributes }] = [node.record.inputs, node.record];
  const name = (part: string) => inner(node, part);
  const number = (part: string, f: number) => make(node, "Constant", [], name(part), { value_float: { f } });
  return [
    number("slope", attributes.get("alpha")?.f ?? Math.fround(0.2)),
    number("middle", attributes.get("beta")?.f ?? 0.5),
    number("one", 1),
    make(node, "Mul", [x, name("slope")], name("scaled")),
    make(node, "Add", [name("scaled"), name("middle")], name("line")),
    make(node, "Relu", [name("line")], name("above")),
    make(node, "Min", [name("above"), name("one")], outputOf(node)),
  ];
};

export const HARDSIGMOID: Rewriting = {
  equation: ["HardSigmoid(x; α, β)", "Min(Relu(α·x + β), 1)"],
  rewrite: hardSigmoid,
  where: ["HardSigmoid", "HardSwish"],
};

export const HARDSWISH: Rewriting = { equation: ["HardSwish(x)", "x · HardSigmoid(x)"], rewrite: hardSwish };

export const MISH: Rewriting = { equation: ["Mish(x)", "x · Tanh(Softplus(x))"], rewrite: mish };

export const GELU: Rewriting = { equation: ["Gelu(x)", "x · (1 + erf(x / √2)) · ½"], rewrite: gelu };

export const CURVES: readonly Rewriting[] = [
  { equation: ["Gelu(x; tanh), FastGelu(x, b)", "x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) · ½"], rewrite: byTangent },
  { equation: ["y / (1 + exp(−x))", "y · Sigmoid(x)"], rewrite: sigmoid },
  { equation: ["log(1 + exp(x))", "Softplus(x)"], rewrite: softplus },
];

export const QUICKGELU: Rewriting = { equation: ["QuickGelu(x)", "x · Sigmoid(α·x)"], rewrite: quickGelu };
