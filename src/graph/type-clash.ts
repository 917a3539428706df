/**
 * Operands that ONNX wants of one element type and that have two: no runtime takes such a node, so it computes nothing.
 * Type constraints of the ONNX operator specification, all opsets.
 */
import { dtypeOf } from "../onnx/dtype.ts";
import type { KnownFacts } from "./inference.ts";
import { traitsOf } from "./operators.ts";
import type { GraphNode } from "./view.ts";

/** The two element types that meet where there may be one; undefined when there is none, or a type is not known. */
export function typeClash(node: GraphNode, facts: KnownFacts): readonly [string, string] | undefined {
  const groups = traitsOf(node)?.oneType?.(node.inputs.length, node.version);
  for (const group of groups ?? []) {
    const types = group.map((i) => facts.of(node.inputs[i]).dtype).filter((dtype) => dtype !== 0);
    const other = types.find((dtype) => dtype !== types[0]);
    if (other === undefined) continue;
    const [p, q] = [types[0], other].map((code) => dtypeOf(code) ?? `type ${code}`);
    return [p, q];
  }
  return undefined;
}
