/**
 *   an axis counted from the end, or left out      the same from the front
 *
 * Exact. Needs the rank.
 */
import { intAttr } from "../../../graph/attributes.ts";
import { hasTrait } from "../../../graph/operators.ts";
import { attribute, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Axes are counted from the front. */
const counted: Rewrite = (node, { facts }) => {
  const rank = facts.rank(node.inputs[0]);
  if (!hasTrait(node, "axis") || rank === undefined) return undefined;
  const soft = /Softmax$|^Hardmax$/.test(node.opType);
  const given = node.record.attributes.get("axis");
  const axis = intAttr(
    node.record,
    "axis",
    soft && node.version < 13 ? 1 : soft || node.opType === "LayerNormalization" ? -1 : 0,
  );
  if (given?.refAttrName !== undefined && given.refAttrName !== "") return undefined;
  if (axis >= 0 && (given !== undefined || !soft)) return undefined;
  const attributes = new Map(node.record.attributes).set("axis", attribute(node, "axis", { i: axis < 0 ? axis + rank : axis }));
  return [{ ...node.record, attributes }];
};

export const COUNTED: Rewriting = { equation: ["axis −k", "axis rank − k"], rewrite: counted };
