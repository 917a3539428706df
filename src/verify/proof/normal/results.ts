/**
 * What inner graphs give out and nobody reads, left out.
 *
 *   If, Loop with a result that nobody reads      the same without it, and without what its graphs give for it
 *
 * Exact: no number is computed. Of a Loop only what it collects can go; what it carries on it reads itself.
 */
import type { AttributeRecord } from "../../../onnx/records.ts";
import type { Rewrite, Rewriting } from "./rewriting.ts";

const read: Rewrite = ({ record, domain, opType, outputs }) => {
  if (domain !== "" || (opType !== "If" && opType !== "Loop")) return undefined;
  const carried = opType === "If" ? 0 : record.inputs.length - 2;
  const idle = new Set<number>();
  for (const [i, value] of outputs.entries())
    if (i >= carried && (value === undefined || (value.uses.length === 0 && !value.isOutput))) idle.add(i);
  if (idle.size === 0 || idle.size === outputs.length) return undefined;
  // A Loop's graph says first whether it goes on.
  const before = opType === "If" ? 0 : 1;
  const attributes = new Map<string, AttributeRecord>();
  for (const [name, one] of record.attributes)
    attributes.set(name, { ...one, g: one.g && { ...one.g, outputs: one.g.outputs.filter((_, i) => !idle.has(i - before)) } });
  return [{ ...record, attributes, outputs: record.outputs.filter((_, i) => !idle.has(i)) }];
};

export const READ: Rewriting = {
  equation: ["If, Loop with a result that nobody reads", "the same without it"],
  rewrite: read,
};
