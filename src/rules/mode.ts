/** Whether a node computes what inference computes, in each opset's own way of saying so. */
import { intAttr } from "../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../graph/view.ts";

const present = (node: GraphNode, index: number): boolean => node.outputs[index] !== undefined;

/**
 * BatchNormalization: 1 and 6 say `is_test` (its default 0 means training); 7 and 9 have no attribute and are inference
 * when only the first output is there; 14 and 15 say `training_mode`.
 */
export function isInference(node: GraphNode): boolean {
  const { record, version } = node;
  // In a function body the caller may decide: an attribute that refers to one of the function's is not known here.
  if (["training_mode", "is_test"].some((name) => (record.attributes.get(name)?.refAttrName ?? "") !== "")) return false;
  if (version >= 14) return intAttr(record, "training_mode", 0) === 0;
  if (version < 7) return intAttr(record, "is_test", 0) !== 0;
  return !record.outputs.slice(1).some((_, i) => present(node, i + 1));
}

/** Outputs beyond the first that somebody reads. */
export const readExtraOutput = (node: GraphNode): GraphValue | undefined =>
  node.outputs.slice(1).find((value) => value !== undefined && (value.uses.length > 0 || value.isOutput));
