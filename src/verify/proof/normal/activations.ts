/**
 * Activations as the operators they are made of.
 *
 *   HardSwish(x)                       x · HardSigmoid(x; 1/6, 1/2)             (its function body in ONNX)
 *   Mish(x)                            x · Tanh(Softplus(x))                    (its function body in ONNX)
 *   com.microsoft Gelu(x)              x · (1 + erf(x / √2)) · ½
 *   com.microsoft QuickGelu(x; α)      x · Sigmoid(α·x)
 *
 * Exact over the reals, the constants being those the schemas give, in float32.
 */
import { inner, make, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

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
  if (node.domain !== "com.microsoft" || node.opType !== "Gelu") return undefined;
  const [x] = node.record.inputs;
  const name = (part: string) => inner(node, part);
  const number = (part: string, f: number) => make(node, "Constant", [], name(part), { value_float: { f: Math.fround(f) } });
  return [
    number("root", Math.SQRT2),
    number("one", 1),
    number("half", 0.5),
    make(node, "Div", [x, name("root")], name("scaled")),
    make(node, "Erf", [name("scaled")], name("erf")),
    make(node, "Add", [name("erf"), name("one")], name("gate")),
    make(node, "Mul", [x, name("gate")], name("twice")),
    make(node, "Mul", [name("twice"), name("half")], outputOf(node)),
  ];
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

export const HARDSWISH: Rewriting = { equation: ["HardSwish(x)", "x · HardSigmoid(x)"], rewrite: hardSwish };

export const MISH: Rewriting = { equation: ["Mish(x)", "x · Tanh(Softplus(x))"], rewrite: mish };

export const GELU: Rewriting = { equation: ["Gelu(x)", "x · (1 + erf(x / √2)) · ½"], rewrite: gelu };

export const QUICKGELU: Rewriting = { equation: ["QuickGelu(x)", "x · Sigmoid(α·x)"], rewrite: quickGelu };
