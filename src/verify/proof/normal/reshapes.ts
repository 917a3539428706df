/**
 *   Gemm(Reshape(x), W, b) of all axes but the last      Reshape(MatMul(x, W) + b)
 *   Reshape of a Reshape; to the shape that is there     one Reshape; x
 *
 * Exact: the rows of a matrix are multiplied one by one, in whatever order they lie.
 */
import { intAttr } from "../../../graph/attributes.ts";
import { sameShape } from "../../../graph/dims.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode } from "../../../graph/view.ts";
import { inner, make, makerOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

export const isReshape = (node: GraphNode | undefined): node is GraphNode => node !== undefined && hasTrait(node, "reshapes");

/** Gemm on rows that a Reshape made of all axes but the last: the matrix goes before the Reshape. */
const layered: Rewrite = (node, { facts, constants }) => {
  const before = makerOf(node.inputs[0], node);
  // Before opset 7 an Add does not broadcast the bias (before 5 no Reshape takes a shape).
  if (node.domain !== "" || node.opType !== "Gemm" || node.version < 7) return undefined;
  if (!isReshape(before)) return undefined;
  const [x, flat] = [before.inputs[0], node.inputs[0]].map((value) => facts.shape(value));
  const [weight, bias] = [node.inputs[1], node.inputs[2]];
  const matrix = facts.shape(weight);
  const scaled = ["alpha", "beta"].some((name) => (node.record.attributes.get(name)?.f ?? 1) !== 1);
  if (scaled || intAttr(node.record, "transA", 0) !== 0 || matrix?.length !== 2 || weight === undefined || !constants.has(weight))
    return undefined;
  if (bias !== undefined && (!constants.has(bias) || facts.rank(bias) !== 1)) return undefined;
  const turned = intAttr(node.record, "transB", 0) !== 0;
  const [inputs, outputs] = turned ? [matrix[1], matrix[0]] : matrix;
  if (x === undefined || x.length < 3 || flat?.length !== 2 || x[x.length - 1] !== inputs || flat[1] !== inputs) return undefined;
  const [operand, product, sum, rows] = ["matrix", "product", "sum", "rows"].map((part) => inner(node, part));
  return [
    ...(turned ? [make(node, "Transpose", [node.record.inputs[1]], operand)] : []),
    make(node, "MatMul", [before.record.inputs[0], turned ? operand : node.record.inputs[1]], product),
    ...(bias === undefined ? [] : [make(node, "Add", [product, node.record.inputs[2]], sum)]),
    make(node, "Constant", [], rows, { value_ints: { ints: [-1, outputs as number] } }),
    make(node, "Reshape", [bias === undefined ? product : sum, rows], outputOf(node)),
  ];
};

/** A Reshape of a Reshape, or to the shape that is there already. */
const reshaped: Rewrite = (node, { facts }) => {
  if (!isReshape(node)) return undefined;
  const [input] = node.inputs;
  if (sameShape(facts.shape(input), facts.shape(node.outputs[0])))
    return [make(node, "Identity", [node.record.inputs[0]], outputOf(node))];
  const before = makerOf(input, node);
  const target = node.opType === "Reshape" ? facts.elements(node.inputs[1]) : undefined;
  if (!isReshape(before) || target === undefined || target.some((d) => d === undefined || d === 0)) return undefined;
  return [{ ...node.record, inputs: [before.record.inputs[0], ...node.record.inputs.slice(1)] }];
};

export const LAYERED: Rewriting = { equation: ["Gemm(Reshape(x), W, b)", "Reshape(MatMul(x, W) + b)"], rewrite: layered };

export const RESHAPED: Rewriting = { equation: ["Reshape(Reshape(x))", "Reshape(x)"], rewrite: reshaped };
