/**
 * Operands that ONNX wants of one element type and that have two: no runtime takes such a node, so it computes nothing.
 * Type constraints of the ONNX operator specification, all opsets.
 */
import { dtypeOf } from "../onnx/dtype.ts";
import type { Facts } from "./facts.ts";
import type { GraphNode } from "./view.ts";

/** Positions of inputs that share a type, for a node of `inputs` inputs under `version`. */
type Groups = (inputs: number, version: number) => readonly (readonly number[])[];

const all: Groups = (inputs) => [Array.from({ length: inputs }, (_, i) => i)];
const these =
  (...group: number[]): Groups =>
  () => [group];

const rows = new Map<string, Groups>();
const row = (names: string, groups: Groups) => {
  for (const name of names.split(" ")) rows.set(name, groups);
};
row("Add Sub Mul Div Mod Min Max Sum Mean MatMul Gemm Conv ConvTranspose Concat PRelu Einsum Clip", all);
row("Equal Greater Less GreaterOrEqual LessOrEqual And Or Xor BitShift BitwiseAnd BitwiseOr BitwiseXor", all);
row("InstanceNormalization GroupNormalization LayerNormalization Range", all);
row("Where", these(1, 2));
row("Pad ScatterElements ScatterND", these(0, 2));
row("LSTM GRU RNN", these(0, 1, 2, 3, 5, 6, 7));
row("Pow", (_, version) => (version < 12 ? [[0, 1]] : []));
row("BatchNormalization", (_, version) => {
  if (version < 14) return [[0, 1, 2, 3, 4]];
  return version === 14
    ? [
        [0, 1, 2],
        [3, 4],
      ]
    : [
        [1, 2],
        [3, 4],
      ];
});

/** The two element types that meet where there may be one; undefined when there is none, or a type is not known. */
export function typeClash(node: GraphNode, facts: Facts): readonly [string, string] | undefined {
  const groups = node.domain === "" ? rows.get(node.opType)?.(node.inputs.length, node.version) : undefined;
  for (const group of groups ?? []) {
    const types = group.map((i) => facts.of(node.inputs[i]).dtype).filter((dtype) => dtype !== 0);
    const other = types.find((dtype) => dtype !== types[0]);
    if (other === undefined) continue;
    const [p, q] = [types[0], other].map((code) => dtypeOf(code) ?? `type ${code}`);
    return [p, q];
  }
  return undefined;
}
