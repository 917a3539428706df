/**
 *   Gemm(Reshape(x), W, b) of all axes but the last      Reshape(MatMul(x, W) + b)
 *   MatMul(Reshape(x), W), Reshape(x) + b                Reshape(MatMul(x, W)), Reshape(x + b)      the last axis kept, W and b constant
 *   f(Reshape(x)), f(Reshape(x), Reshape(z)), f(Reshape(x), c)      Reshape(f(x, z)) element by element, c one number, x and z of one shape
 *   Reshape of a Reshape; to the shape that is there     one Reshape; x
 *   integers that shapes alone determine                 a Constant
 *
 * Exact: the rows of a matrix are multiplied one by one, in whatever order they lie.
 */
import { intAttr } from "../../../graph/attributes.ts";
import { type Shape, sameShape } from "../../../graph/dims.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { isByAxis } from "./orders.ts";
import { inner, make, makerOf, outputOf, type Rewrite, type Rewriting, type Setting } from "./rewriting.ts";

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

/** A layer, or its bias, on rows that a Reshape made of others: the Reshape goes behind it. */
const rowwise: Rewrite = (node, { facts, constants }) => {
  if (node.domain !== "" || node.inputs.length !== 2 || node.version < 7) return undefined;
  const at = node.inputs.findIndex((value) => value !== undefined && constants.has(value));
  const before = at < 0 ? undefined : makerOf(node.inputs[1 - at], node);
  if (!isReshape(before) || !(node.opType === "MatMul" ? at === 1 : node.opType === "Add")) return undefined;
  const [x, flat] = [before.inputs[0], node.inputs[1 - at]].map((value) => facts.shape(value));
  const own = facts.shape(node.inputs[at]);
  const target = sizesOf(facts.shape(node.outputs[0]));
  if (x === undefined || flat === undefined || target === undefined || x.length < 2 || flat.length < 2) return undefined;
  const last = x[x.length - 1];
  if (own?.length !== (node.opType === "MatMul" ? 2 : 1) || typeof own[0] !== "number") return undefined;
  if (last !== flat[flat.length - 1]) return node.opType === "MatMul" ? flattened(node, before, flat, own[0], target) : undefined;
  if (typeof last !== "number") return undefined;
  // A bias of one number per column, or of one.
  if (node.opType === "Add" && own[0] !== last && own[0] !== 1) return undefined;
  const [made, rows] = [inner(node, "made"), inner(node, "rows")];
  const inputs = node.record.inputs.with(1 - at, before.record.inputs[0]);
  return [
    make(node, node.opType, inputs, made),
    make(node, "Constant", [], rows, { value_ints: { ints: target } }),
    make(node, "Reshape", [made, rows], outputOf(node)),
  ];
};

/** What is done to each element: the Reshape goes behind it. */
const elementwise: Rewrite = (node, { facts, constants }) => {
  if (node.domain !== "" || node.outputs.length !== 1 || (node.inputs.length > 1 && node.version < 7)) return undefined;
  if (!hasTrait(node, "basic", "function", "pointwise", "broadcasts")) return undefined;
  const found = node.inputs.map((value) => {
    const maker = makerOf(value, node);
    return isReshape(maker) ? maker : undefined;
  });
  const before = found.find((maker) => maker !== undefined);
  const [flat, from] = [facts.shape(before?.outputs[0]), facts.shape(before?.inputs[0])];
  if (before === undefined || from === undefined || !sameShape(flat, facts.shape(node.outputs[0]))) return undefined;
  const inputs = node.inputs.map((value, i): string | undefined => {
    const [name, maker, shape] = [node.record.inputs[i], found[i], facts.shape(value)];
    if (maker !== undefined && sameShape(shape, flat) && sameShape(facts.shape(maker.inputs[0]), from))
      return maker.record.inputs[0];
    if (value === undefined) return name;
    // More axes than x has would be more of the result.
    const most = isByAxis(node) ? 0 : Math.min(from.length, flat?.length ?? 0);
    return constants.has(value) && shape?.every((d) => d === 1) && shape.length <= most ? name : undefined;
  });
  if (inputs.some((name) => name === undefined)) return undefined;
  const core = inner(node, "flat");
  const still = { ...node.record, inputs: inputs as string[], outputs: [core] };
  return [still, { ...before.record, inputs: [core, ...before.record.inputs.slice(1)], outputs: [outputOf(node)] }];
};

/** A product with rows that a Reshape made of other ones: those of a matrix. */
function flattened(
  node: GraphNode,
  before: GraphNode,
  flat: Shape,
  width: number,
  target: readonly number[],
): NodeRecord[] | undefined {
  if (flat.length < 3 || flat[flat.length - 1] !== width) return undefined;
  const [to, matrix, made, rows] = ["matrix_rows", "matrix", "made", "rows"].map((part) => inner(node, part));
  return [
    make(node, "Constant", [], to, { value_ints: { ints: [-1, width] } }),
    make(node, "Reshape", [before.record.inputs[0], to], matrix),
    make(node, "MatMul", [matrix, node.record.inputs[1]], made),
    make(node, "Constant", [], rows, { value_ints: { ints: target } }),
    make(node, "Reshape", [made, rows], outputOf(node)),
  ];
}

/** A shape as a Reshape asks for it: numbers, and −1 for one size that is none; undefined where there are more, or a size of 0. */
function sizesOf(shape: Shape | undefined): number[] | undefined {
  const sizes = shape?.map((d) => (typeof d === "number" ? d : -1));
  return sizes === undefined || sizes.filter((d) => d === -1).length > 1 || sizes.includes(0) ? undefined : sizes;
}

/** Integers that shapes alone determine, where a file computes them: from values that are then read no more. */
const measured: Rewrite = (node, { facts, constants }) => {
  const [value, more] = node.outputs;
  if (value === undefined || more !== undefined || facts.of(value).dtype !== INT64) return undefined;
  if (node.inputs.every((input) => input === undefined || constants.has(input))) return undefined;
  const [numbers, rank] = [facts.numbers(value), facts.rank(value)];
  if (numbers === undefined || (rank !== 0 && rank !== 1) || (rank === 0 && numbers.length !== 1)) return undefined;
  const setting: Readonly<Record<string, Setting>> =
    rank === 0 ? { value_int: { i: numbers[0] } } : { value_ints: { ints: numbers } };
  return numbers.every(Number.isSafeInteger) ? [make(node, "Constant", [], outputOf(node), setting)] : undefined;
};

const INT64 = 7;

/** A Reshape of a Reshape, or to the shape that is there already. */
const reshaped: Rewrite = (node, { facts }) => {
  if (!isReshape(node)) return undefined;
  const [input] = node.inputs;
  if (sameShape(facts.shape(input), facts.shape(node.outputs[0])))
    return [make(node, "Identity", [node.record.inputs[0]], outputOf(node))];
  const before = makerOf(input, node);
  if (!isReshape(before)) return undefined;
  const target = node.opType === "Reshape" ? facts.elements(node.inputs[1]) : undefined;
  if (target?.every((d) => d !== undefined && d !== 0))
    return [{ ...node.record, inputs: [before.record.inputs[0], ...node.record.inputs.slice(1)] }];
  const sizes = sizesOf(facts.shape(node.outputs[0]));
  if (sizes === undefined || node.version < 5) return undefined;
  const rows = inner(node, "rows");
  return [
    make(node, "Constant", [], rows, { value_ints: { ints: sizes } }),
    make(node, "Reshape", [before.record.inputs[0], rows], outputOf(node)),
  ];
};

export const LAYERED: Rewriting = { equation: ["Gemm(Reshape(x), W, b)", "Reshape(MatMul(x, W) + b)"], rewrite: layered };

export const ROWWISE: Rewriting = {
  equation: ["MatMul(Reshape(x), W), Reshape(x) + b", "Reshape(MatMul(x, W)), Reshape(x + b)"],
  rewrite: rowwise,
  where: ["Reshape", "Gemm"],
};

export const UNSHAPED: Rewriting = {
  equation: ["f(Reshape(x))", "Reshape(f(x))"],
  rewrite: elementwise,
  where: ["Reshape", "Gemm", "Flatten", "Squeeze", "Unsqueeze"],
};

export const MEASURED: Rewriting = { equation: ["integers that shapes determine", "a Constant"], rewrite: measured };

export const RESHAPED: Rewriting = { equation: ["Reshape(Reshape(x))", "Reshape(x)"], rewrite: reshaped };
