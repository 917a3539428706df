/**
 * Shapes of what picks, counts and lists: NonZero, Range, TopK, ArgMax, GatherND, OneHot, NonMaxSuppression. Where a length
 * hangs on the data, the rank and the other axes do not.
 */
import { intAttr } from "./attributes.ts";
import type { Dim } from "./dims.ts";
import { type Infer, norm } from "./inference.ts";

const INT64 = 7;
const BOOL = 9;

export const nonZero: Infer = ({ shapes, unknown }) => {
  const [x] = shapes;
  // A scalar counts as one element on one axis.
  return [{ dtype: INT64, shape: [x === undefined ? unknown() : Math.max(1, x.length), unknown()] }];
};

export const range: Infer = ({ node, facts, dtype, unknown }) => {
  const [start, limit, delta] = node.inputs.map((value) => facts.numbers(value)?.[0]);
  const known = start !== undefined && limit !== undefined && delta !== undefined && delta !== 0;
  return [{ dtype, shape: [known ? Math.max(0, Math.ceil((limit - start) / delta)) : unknown()] }];
};

export const topK: Infer = ({ node, facts, shapes, dtype, unknown }) => {
  const [x] = shapes;
  if (x === undefined) return undefined;
  const axis = norm(intAttr(node.record, "axis", -1), x.length);
  const k: Dim = (node.version < 10 ? intAttr(node.record, "k", 0) : facts.elements(node.inputs[1])?.[0]) ?? unknown();
  const shape = x.map((d, i) => (i === axis ? k : d));
  return [
    { dtype, shape },
    { dtype: INT64, shape },
  ];
};

export const argument: Infer = ({ node, shapes }) => {
  const [x] = shapes;
  if (x === undefined) return [{ dtype: INT64 }];
  const axis = norm(intAttr(node.record, "axis", 0), x.length);
  const keep = intAttr(node.record, "keepdims", 1) === 1;
  return [{ dtype: INT64, shape: keep ? x.map((d, i) => (i === axis ? 1 : d)) : x.filter((_, i) => i !== axis) }];
};

export const gatherND: Infer = ({ node, shapes, dtype }) => {
  const [x, indices] = shapes;
  const width = indices?.[indices.length - 1];
  if (x === undefined || indices === undefined || typeof width !== "number") return undefined;
  return [{ dtype, shape: [...indices.slice(0, -1), ...x.slice(intAttr(node.record, "batch_dims", 0) + width)] }];
};

export const oneHot: Infer = ({ node, facts, shapes, unknown }) => {
  const [x] = shapes;
  const { dtype } = facts.of(node.inputs[2]);
  if (x === undefined) return [{ dtype }];
  const axis = norm(intAttr(node.record, "axis", -1), x.length + 1);
  return [{ dtype, shape: [...x.slice(0, axis), facts.elements(node.inputs[1])?.[0] ?? unknown(), ...x.slice(axis)] }];
};

export const test: Infer = ({ shapes }) => [{ dtype: BOOL, shape: shapes[0] }];

export const selected: Infer = ({ unknown }) => [{ dtype: INT64, shape: [unknown(), 3] }];
