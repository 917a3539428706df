/**
 * Layers that ONNX Runtime fuses with what follows.
 *
 *   com.microsoft FusedConv(x, W, b, z)      activation(Conv(x, W, b) + z)
 *   com.microsoft FusedGemm(a, b, c)         activation(Gemm(a, b, c))
 *
 *   com.microsoft FusedMatMul(a, b; α)       α · MatMul(a, b), a and b with their last two axes exchanged, or the first
 *                                            of them put behind the others but the last, where told
 *   com.microsoft BiasGelu(x, b)             Gelu(x + b)
 *   com.microsoft SkipLayerNormalization     LayerNormalization(x + z + b)
 *   com.microsoft DynamicQuantizeMatMul(x, B, s, z, b)
 *                                            Cast(MatMulInteger(q, B, p, z)) · (t · s) + b, with q, t, p = DynamicQuantizeLinear(x)
 *   com.microsoft MatMulIntegerToFloat       the same of a q, t and p that are given
 *   com.microsoft QGemm(a, b, c; α)          Cast(MatMulInteger(a, b)) · (sa · sb · α) + Cast(c) · (sa · sb · α), where it gives real numbers
 *
 * Exact over the reals. An activation that is not known leaves the operator as it is, and so does a second output that is read.
 */
import { intAttr, stringAttr } from "../../../graph/attributes.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { inner, make, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** The activation a fused operator ends with; undefined for one that is not known. */
function activated(node: GraphNode, from: string, parameters: readonly number[]): NodeRecord[] | undefined {
  const name = stringAttr(node.record, "activation", "");
  const out = outputOf(node);
  const [first, second] = parameters;
  if (["Relu", "Sigmoid", "Tanh", "Softplus", "Softsign"].includes(name)) return [make(node, name, [from], out)];
  if (name === "LeakyRelu") return [make(node, name, [from], out, { alpha: { f: first ?? Math.fround(0.01) } })];
  if (name === "HardSigmoid")
    return [make(node, name, [from], out, { alpha: { f: first ?? Math.fround(0.2) }, beta: { f: second ?? 0.5 } })];
  if (name === "Clip" && first !== undefined && second !== undefined) {
    const [low, high] = ["low", "high"].map((part) => inner(node, part));
    return [
      make(node, "Constant", [], low, { value_float: { f: first } }),
      make(node, "Constant", [], high, { value_float: { f: second } }),
      make(node, "Clip", [from, low, high], out),
    ];
  }
  return undefined;
}

const fused: Rewrite = (node) => {
  const { record } = node;
  if (node.domain !== "com.microsoft" || (node.opType !== "FusedConv" && node.opType !== "FusedGemm")) return undefined;
  const conv = node.opType === "FusedConv";
  const parameters = conv
    ? (record.attributes.get("activation_params")?.floats ?? [])
    : ["activation_alpha", "activation_beta"].flatMap((name) => record.attributes.get(name)?.f ?? []);
  const [whole, sum] = [inner(node, "linear"), inner(node, "sum")];
  const added = conv ? record.inputs[3] : undefined;
  const after = activated(node, added ? sum : whole, parameters);
  if (after === undefined) return undefined;
  const attributes = new Map([...record.attributes].filter(([name]) => !name.startsWith("activation")));
  const linear = make(node, conv ? "Conv" : "Gemm", record.inputs.slice(0, 3), whole);
  return [{ ...linear, attributes }, ...(added ? [make(node, "Add", [whole, added], sum)] : []), ...after];
};

const isMicrosoft = (node: GraphNode, opType: string): boolean => node.domain === "com.microsoft" && node.opType === opType;

/** The axes of an operand as a product of matrices has them: its rows may lie before the batch, and rows and columns be exchanged. */
function orderOf(rank: number, turned: boolean, batched: boolean): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  const [batch, rows] = batched ? [axes.slice(1, -1), 0] : [axes.slice(0, -2), rank - 2];
  return turned ? [...batch, rank - 1, rows] : [...batch, rows, rank - 1];
}

const matmul: Rewrite = (node, { facts }) => {
  if (!isMicrosoft(node, "FusedMatMul") && !isMicrosoft(node, "TransposeMatMul")) return undefined;
  const { record } = node;
  const parts: NodeRecord[] = [];
  const operands: string[] = [];
  for (const [i, letter] of ["A", "B"].entries()) {
    const [turn, batch] = [`trans${letter}`, `transBatch${letter}`].map((flag) => intAttr(record, flag, 0) !== 0);
    const rank = facts.rank(node.inputs[i]);
    if ((turn || batch) && (rank === undefined || rank < (batch ? 3 : 2))) return undefined;
    const name = turn || batch ? inner(node, letter) : record.inputs[i];
    if (name !== record.inputs[i])
      parts.push(make(node, "Transpose", [record.inputs[i]], name, { perm: { ints: orderOf(rank as number, turn, batch) } }));
    operands.push(name);
  }
  const alpha = record.attributes.get("alpha")?.f ?? 1;
  if (alpha === 1) return [...parts, make(node, "MatMul", operands, outputOf(node))];
  const [product, factor] = [inner(node, "product"), inner(node, "alpha")];
  return [
    ...parts,
    make(node, "MatMul", operands, product),
    make(node, "Constant", [], factor, { value_float: { f: alpha } }),
    make(node, "Mul", [product, factor], outputOf(node)),
  ];
};

const biasGelu: Rewrite = (node) => {
  if (!isMicrosoft(node, "BiasGelu")) return undefined;
  const sum = inner(node, "sum");
  return [make(node, "Add", node.record.inputs, sum), { ...node.record, opType: "Gelu", inputs: [sum] }];
};

const skipped: Rewrite = (node) => {
  const { record } = node;
  if (!isMicrosoft(node, "SkipLayerNormalization") || record.inputs.length < 3) return undefined;
  if (node.outputs.slice(1, 3).some((value) => value !== undefined && value.uses.length > 0)) return undefined;
  const [x, skip, gamma, beta, bias] = record.inputs;
  const [sum, moved] = [record.outputs[3] || inner(node, "sum"), inner(node, "moved")];
  const epsilon = record.attributes.get("epsilon")?.f ?? Math.fround(1e-12);
  return [
    ...(bias
      ? [make(node, "Add", [x, skip], moved), make(node, "Add", [moved, bias], sum)]
      : [make(node, "Add", [x, skip], sum)]),
    make(node, "LayerNormalization", beta ? [sum, gamma, beta] : [sum, gamma], outputOf(node), {
      axis: { i: -1 },
      epsilon: { f: epsilon },
    }),
  ];
};

/** Codes, scales and zero points of a product of integers, and what is added. */
interface Codes {
  readonly a: readonly [codes: string, scale: string, zero: string | undefined];
  readonly b: readonly [codes: string, scale: string, zero: string | undefined];
  readonly bias: string | undefined;
}

function dequantized(node: GraphNode, { a, b, bias }: Codes): NodeRecord[] {
  const [sums, real, scale, scaled] = ["sums", "real", "scale", "scaled"].map((part) => inner(node, part));
  const zeros = b[2] ? [a[2] ?? "", b[2]] : a[2] ? [a[2]] : [];
  return [
    make(node, "MatMulInteger", [a[0], b[0], ...zeros], sums),
    make(node, "Cast", [sums], real, { to: { i: 1 } }),
    make(node, "Mul", [a[1], b[1]], scale),
    make(node, "Mul", [real, scale], bias ? scaled : outputOf(node)),
    ...(bias ? [make(node, "Add", [scaled, bias], outputOf(node))] : []),
  ];
}

const quantizedProduct: Rewrite = (node) => {
  const { inputs } = node.record;
  if (isMicrosoft(node, "DynamicQuantizeMatMul")) {
    const [q, scale, zero] = ["codes", "codes/scale", "codes/zero"].map((part) => inner(node, part));
    const first = { ...make(node, "DynamicQuantizeLinear", [inputs[0]], q), outputs: [q, scale, zero] };
    return [first, ...dequantized(node, { a: [q, scale, zero], b: [inputs[1], inputs[2], inputs[3]], bias: inputs[4] })];
  }
  if (!isMicrosoft(node, "MatMulIntegerToFloat")) return undefined;
  return dequantized(node, { a: [inputs[0], inputs[2], inputs[4]], b: [inputs[1], inputs[3], inputs[5]], bias: inputs[6] });
};

/** A and B turned where told, as they are multiplied; what is added counts in the same steps. */
const quantizedGemm: Rewrite = (node, side) => {
  const { record } = node;
  if (!isMicrosoft(node, "QGemm") || record.inputs[7]) return undefined;
  const [codesA, scaleA, zeroA, codesB, scaleB, zeroB, added] = record.inputs;
  const parts: NodeRecord[] = [];
  const turned = (codes: string, flag: string): string => {
    if (intAttr(record, flag, 0) === 0) return codes;
    parts.push(make(node, "Transpose", [codes], inner(node, flag), { perm: { ints: [1, 0] } }));
    return inner(node, flag);
  };
  const [a, b] = [turned(codesA, "transA"), turned(codesB, "transB")];
  // One zero point for each column is one for all where they are alike.
  const numbers = numbersOf(node.inputs[5], side);
  const single = numbers !== undefined && numbers.length > 1 && numbers.every((z) => z === numbers[0]);
  const one = single ? inner(node, "zero") : zeroB;
  if (single) {
    const [wide, most] = [inner(node, "zero/wide"), inner(node, "zero/most")];
    parts.push(
      make(node, "Cast", [zeroB], wide, { to: { i: 1 } }),
      make(node, "ReduceMax", [wide], most, { keepdims: { i: 0 } }),
      make(node, "Cast", [most], one, { to: { i: side.facts.of(node.inputs[5]).dtype } }),
    );
  }
  const [sums, real, both, alpha, scale, scaled, bias, shift] = [
    ...["sums", "real", "scales", "alpha", "scale", "scaled", "bias", "shift"],
  ].map((part) => inner(node, part));
  const behind = [
    make(node, "Cast", [added], bias, { to: { i: 1 } }),
    make(node, "Mul", [bias, scale], shift),
    make(node, "Add", [scaled, shift], outputOf(node)),
  ];
  return [
    ...parts,
    make(node, "MatMulInteger", [a, b, zeroA, one], sums),
    make(node, "Cast", [sums], real, { to: { i: 1 } }),
    make(node, "Mul", [scaleA, scaleB], both),
    make(node, "Constant", [], alpha, { value_float: { f: record.attributes.get("alpha")?.f ?? 1 } }),
    make(node, "Mul", [both, alpha], scale),
    make(node, "Mul", [real, scale], added ? scaled : outputOf(node)),
    ...(added ? behind : []),
  ];
};

export const CONTRIBUTED: readonly Rewriting[] = [
  { equation: ["FusedMatMul(a, b; α)", "α · MatMul(a, b)"], rewrite: matmul },
  { equation: ["BiasGelu(x, b)", "Gelu(x + b)"], rewrite: biasGelu },
  { equation: ["SkipLayerNormalization(x, z, γ, β, b)", "LayerNormalization(x + z + b, γ, β)"], rewrite: skipped },
  { equation: ["DynamicQuantizeMatMul, MatMulIntegerToFloat", "Cast(MatMulInteger) · scale + b"], rewrite: quantizedProduct },
  { equation: ["QGemm(a, b, c; α)", "(Cast(MatMulInteger(a, b)) + Cast(c)) · scale"], rewrite: quantizedGemm },
];

export const FUSED: Rewriting = { equation: ["FusedConv, FusedGemm", "activation(Conv + z), activation(Gemm)"], rewrite: fused };
