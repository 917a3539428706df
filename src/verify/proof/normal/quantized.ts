/**
 * Codes that a QuantizeLinear makes for DequantizeLinears alone, without a sign.
 *
 *   DequantizeLinear(QuantizeLinear(x, s, z), s', z), z int8      the same with z + 128, uint8
 *
 * Exact: clamp(round(x / s) + z, −128, 127) + 128 = clamp(round(x / s) + z + 128, 0, 255), and (q + 128) − (z + 128) = q − z. Every
 * reader of the codes is a DequantizeLinear whose zero point is a constant, and the codes are no output.
 */
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import { dtypeOf } from "../../../onnx/dtype.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { inner, make, type Rewrite, type Rewriting } from "./rewriting.ts";

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
