/**
 * Codes that a QuantizeLinear makes for DequantizeLinears alone, without a sign; what quantises and dequantises values as the graph runs, as
 * arithmetic on either side of the rounding, where maps are compared like any others.
 *
 *   DequantizeLinear(QuantizeLinear(x, s, z), s', z), z int8      the same with z + 128, uint8
 *
 * Exact: clamp(round(x / s) + z, −128, 127) + 128 = clamp(round(x / s) + z + 128, 0, 255), and (q + 128) − (z + 128) = q − z. Every
 * reader of the codes is a DequantizeLinear whose zero point is a constant, and the codes are no output.
 *
 *   com.microsoft QuantizeLinear, DequantizeLinear     the standard operators
 *   DequantizeLinear(q, s, z)                          (Cast(q) − Cast(z)) · s, both laid along the axis
 *   QuantizeLinear(x, s, z)                            QuantizeLinear(x / s + 2⌊z/2⌋, 1, z − 2⌊z/2⌋)
 *
 * Exact over the reals: ⌊v⌉ + 2n = ⌊v + 2n⌉ with ties to even. Scales and zero points are constants, without blocks, in float32.
 */
import { intAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import { dtypeOf } from "../../../onnx/dtype.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { inner, integers, make, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

const isInt8 = (value: GraphValue | undefined, { facts, constants }: Side): boolean =>
  value !== undefined && constants.has(value) && dtypeOf(facts.of(value).dtype) === "int8";

const isPlain = (node: GraphNode | undefined, opType: string, side: Side): node is GraphNode =>
  node?.domain === "" && node.opType === opType && isInt8(node.inputs[2], side) && !node.record.attributes.has("output_dtype");

/** True of a QuantizeLinear whose codes nobody sees. */
const isHidden = (node: GraphNode | undefined, side: Side): boolean =>
  isPlain(node, "QuantizeLinear", side) &&
  node.outputs[0]?.isOutput === false &&
  node.outputs[0].uses.every(
    (use) => use.index === 0 && use.node.scope === node.scope && isPlain(use.node, "DequantizeLinear", side),
  );

/** z + 128 as uint8. */
function shifted(node: GraphNode): NodeRecord[] {
  const [wide, offset, sum, zero] = ["zero/wide", "zero/offset", "zero/sum", "zero"].map((part) => inner(node, part));
  return [
    make(node, "Cast", [node.record.inputs[2]], wide, { to: { i: 7 } }),
    make(node, "Constant", [], offset, { value_int: { i: 128 } }),
    make(node, "Add", [wide, offset], sum),
    make(node, "Cast", [sum], zero, { to: { i: 2 } }),
  ];
}

const unsigned: Rewrite = (node, side) => {
  const first = node.opType === "QuantizeLinear" ? node : node.inputs[0]?.producer;
  if (node.domain !== "" || !(node === first || node.opType === "DequantizeLinear") || !isHidden(first, side)) return undefined;
  const { record } = node;
  return [...shifted(node), { ...record, inputs: [record.inputs[0], record.inputs[1], inner(node, "zero")] }];
};

export const UNSIGNED: Rewriting = {
  equation: ["DequantizeLinear(QuantizeLinear(x, s, z: int8), s, z)", "the same with z + 128: uint8"],
  rewrite: unsigned,
};

const FLOAT = 1;

/** The parts of a QuantizeLinear or DequantizeLinear of computed values in float32; undefined where they cannot be taken apart. */
interface Parts {
  readonly scale: string;
  readonly zero: string | undefined;
  /** Numbers of the scale, and of the zero point. */
  readonly scales: readonly number[];
  readonly zeros: readonly number[];
  /** A vector along the axis, laid over the axes behind; another number of its own name for each. */
  laid(name: string, part: string): readonly [name: string, nodes: NodeRecord[]];
}

function partsOf(node: GraphNode, opType: string, side: Side): Parts | undefined {
  if (node.domain !== "" || node.opType !== opType) return undefined;
  const { record } = node;
  const [x, scale, zero] = node.inputs;
  const { constants, facts } = side;
  const rank = facts.rank(x);
  if (x === undefined || constants.has(x) || scale === undefined || rank === undefined || rank === 0) return undefined;
  if (intAttr(record, "block_size", 0) > 0 || ["output_dtype", "precision"].some((name) => record.attributes.has(name)))
    return undefined;
  if (!constants.has(scale) || facts.of(scale).dtype !== FLOAT) return undefined;
  if (zero !== undefined && !constants.has(zero)) return undefined;
  const [scales, zeros] = [numbersOf(scale, side), zero === undefined ? undefined : numbersOf(zero, side)];
  if (scales === undefined || (zero !== undefined && zeros?.length !== scales.length)) return undefined;
  const axis = intAttr(record, "axis", 1);
  const behind = rank - 1 - (axis < 0 ? axis + rank : axis);
  const laid = (name: string, part: string): readonly [string, NodeRecord[]] => {
    if (scales.length === 1) return [name, []];
    const dims = integers(node, `${part}/dims`, [scales.length, ...new Array<number>(behind).fill(1)]);
    return [inner(node, part), [dims, make(node, "Reshape", [name, dims.outputs[0]], inner(node, part))]];
  };
  return { scale: record.inputs[1], zero: zero && record.inputs[2], scales, zeros: zeros ?? [0], laid };
}

const dequantized: Rewrite = (node, side) => {
  const parts = partsOf(node, "DequantizeLinear", side);
  const dtype = dtypeOf(side.facts.of(node.inputs[0]).dtype);
  if (parts === undefined || dtype === undefined || !/^u?int(4|8|16|32)$/.test(dtype)) return undefined;
  const [real, wide, centred] = ["real", "zero/real", "centred"].map((part) => inner(node, part));
  const [scale, over] = parts.laid(parts.scale, "scale/laid");
  const whole = make(node, "Cast", [node.record.inputs[0]], real, { to: { i: FLOAT } });
  if (parts.zero === undefined) return [whole, ...over, make(node, "Mul", [real, scale], outputOf(node))];
  const [zero, laid] = parts.laid(wide, "zero/laid");
  return [
    whole,
    make(node, "Cast", [parts.zero], wide, { to: { i: FLOAT } }),
    ...over,
    ...laid,
    make(node, "Sub", [real, zero], centred),
    make(node, "Mul", [centred, scale], outputOf(node)),
  ];
};

const quantized: Rewrite = (node, side) => {
  const parts = partsOf(node, "QuantizeLinear", side);
  const code = node.inputs[2] === undefined ? undefined : side.facts.of(node.inputs[2]).dtype;
  const dtype = code === undefined ? undefined : dtypeOf(code);
  if (parts?.zero === undefined || dtype === undefined || !/^u?int(4|8|16)$/.test(dtype)) return undefined;
  const { scales, zeros } = parts;
  if (side.facts.of(node.inputs[0]).dtype !== FLOAT) return undefined;
  if (scales.every((s) => s === 1) && zeros.every((z) => z === 0 || z === 1)) return undefined;
  const names = ["real", "half", "halved", "floor", "even", "rest", "zero", "over", "steps", "one", "most"];
  const [real, half, halved, floor, even, rest, zero, over, steps, one, most] = names.map((part) => inner(node, `code/${part}`));
  const [scale, laidScale] = parts.laid(parts.scale, "code/scale");
  const [shift, laidShift] = parts.laid(even, "code/shift");
  // One number for all is written as one, however many there were.
  const alike = zeros.every((z) => Math.abs(z % 2) === Math.abs(zeros[0] % 2));
  const single = alike && zeros.length > 1;
  const attributes = new Map([...node.record.attributes].filter(([name]) => !(alike && name === "axis")));
  const made = make(node, "QuantizeLinear", [steps, one, zero], outputOf(node));
  return [
    make(node, "Cast", [parts.zero], real, { to: { i: FLOAT } }),
    make(node, "Constant", [], half, { value_float: { f: 0.5 } }),
    make(node, "Mul", [real, half], halved),
    make(node, "Floor", [halved], floor),
    make(node, "Add", [floor, floor], even),
    make(node, "Sub", [real, even], rest),
    ...(single ? [make(node, "ReduceMax", [rest], most, { keepdims: { i: 0 } })] : []),
    make(node, "Cast", [single ? most : rest], zero, { to: { i: code as number } }),
    ...laidScale,
    ...laidShift,
    make(node, "Div", [node.record.inputs[0], scale], over),
    make(node, "Add", [over, shift], steps),
    alike ? make(node, "Constant", [], one, { value_float: { f: 1 } }) : make(node, "Div", [parts.scale, parts.scale], one),
    { ...made, attributes },
  ];
};

/** ONNX Runtime's own operators of these names do what the standard ones of the latest version do. */
const standard: Rewrite = (node) =>
  node.domain === "com.microsoft" && (node.opType === "QuantizeLinear" || node.opType === "DequantizeLinear")
    ? [{ ...node.record, domain: "" }]
    : undefined;

export const STANDARD: Rewriting = {
  equation: ["com.microsoft QuantizeLinear, DequantizeLinear", "QuantizeLinear, DequantizeLinear"],
  rewrite: standard,
};
export const DEQUANTIZED: Rewriting = {
  equation: ["DequantizeLinear(q, s, z)", "(Cast(q) − Cast(z)) · s"],
  rewrite: dequantized,
};
export const QUANTIZED: Rewriting = {
  equation: ["QuantizeLinear(x, s, z)", "QuantizeLinear(x / s + 2⌊z/2⌋, 1, z − 2⌊z/2⌋)"],
  rewrite: quantized,
};
