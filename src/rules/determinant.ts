/**
 * Det over matrices X [..., n, n]; no shift passes.
 *   forward   det(diag(r)·X) = det(X·diag(r)) = ∏ r · det X     gains of rows, or of columns; one for all gives sⁿ
 *   back      s·det X = det(diag(s, 1, …, 1)·X)                 one row takes the gain of its matrix
 * The product of gains needs room in the type (powers.ts). ONNX Det 11, 22.
 */
import type { Spread } from "../affine/spread.ts";
import { cramped } from "./powers.ts";
import { type MoveFn, type Refused, type Rule, type RuleNode, refuse } from "./types.ts";

function sizeOf(at: RuleNode): number | Refused {
  const shape = at.inShape(0);
  const n = shape?.[shape.length - 1];
  return typeof n === "number" ? n : refuse("shape-unknown", "has matrices of unknown size", { value: at.node.inputs[0] });
}

const forward: MoveFn = (at, by) => {
  const { dims, data } = by[0] as Spread;
  const n = sizeOf(at);
  if (typeof n !== "number") return n;
  const [rows, columns] = dims.slice(-2);
  if (rows > 1 && columns > 1) return refuse("axis-blocks", "takes gains of rows or of columns, not of both");
  const width = rows * columns;
  const outer = dims.slice(0, -2);
  const products = Float64Array.from({ length: data.length / width }, (_, b) => {
    if (width === 1) return data[b] ** n;
    return data.subarray(b * width, (b + 1) * width).reduce((product, v) => product * v, 1);
  });
  const made: Spread = { dims: outer, data: products };
  return cramped(at, made) ?? [{ pass: [made] }];
};

const back: MoveFn = (at, by) => {
  const { dims, data } = by[0] as Spread;
  const n = sizeOf(at);
  if (typeof n !== "number") return n;
  const first = Float64Array.from({ length: data.length * n }, (_, i) => (i % n === 0 ? data[i / n] : 1));
  return [{ pass: [{ dims: [...dims, n, 1], data: first }] }];
};

export const determinant: Rule = { type: "Det", backScale: back, forwardScale: forward };
