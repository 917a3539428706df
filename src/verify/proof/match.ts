/** When two operators of two files may be the same operator, and when two values hold the same numbers. */
import { intsAttr } from "../../graph/attributes.ts";
import { type Dim, type Shape, sameShape } from "../../graph/dims.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { comparePayloads, firstDifference } from "../../onnx/pieces.ts";
import type { Tensor } from "../../onnx/tensor.ts";
import { pairOf } from "../../rules/mirror.ts";
import type { Side } from "./classes.ts";

/** Operators that differ in name only, given that their shapes or matrices agree; a gain may turn one of a pair into the other. */
const FAMILY: Record<string, string> = {
  Reshape: "reshape",
  Flatten: "reshape",
  Squeeze: "reshape",
  Unsqueeze: "reshape",
  Gemm: "linear",
  MatMul: "linear",
};

export const familyOf = (node: GraphNode): string =>
  node.domain === "" ? (FAMILY[node.opType] ?? pairOf(node.opType)) : `${node.domain}:${node.opType}:${node.record.overload}`;

/** The elements of a small integer value that shapes alone determine, the same in every file; undefined when they do not. */
export function knownElements({ facts }: Known, value: GraphValue | undefined): readonly Dim[] | undefined {
  const elements = facts.elements(value);
  return elements?.every((e) => e !== undefined && fresh([e]).length === 0) ? (elements as readonly Dim[]) : undefined;
}

/** True when two integer values are determined by shapes, and are the same. */
export const sameElements = (a: Side, x: GraphValue | undefined, b: Side, y: GraphValue | undefined): boolean =>
  holds(a, b, (p, q) => sameShape(knownElements(p, x), knownElements(q, y)) && sameShape(p.facts.shape(x), q.facts.shape(y)));

type Known = Pick<Side, "facts">;

/** True of what is known of two files, and of what is known without their own word for it. */
const holds = (a: Side, b: Side, test: (p: Known, q: Known) => boolean): boolean =>
  test(a, b) && (!(a.facts.told || b.facts.told) || test({ facts: a.recomputed() }, { facts: b.recomputed() }));

/** Symbols made up for sizes nobody knows mean something only inside one file. */
const fresh = (shape: Shape | undefined): string[] =>
  (shape ?? []).flatMap((d) => (typeof d === "number" ? [] : d.symbols.filter((s) => s.includes("?"))));

/**
 * Two Reshape-like nodes do the same when their outputs have the same shape, whatever operands say so. Sizes nobody knows
 * count as the same only where both inputs, which are one value, have them in the same places.
 */
export const sameReshape = (a: Side, nodeA: GraphNode, b: Side, nodeB: GraphNode): boolean =>
  holds(a, b, (p, q) => reshapesAlike(p, nodeA, q, nodeB));

function reshapesAlike(a: Known, nodeA: GraphNode, b: Known, nodeB: GraphNode): boolean {
  const [x, y] = [a.facts.shape(nodeA.outputs[0]), b.facts.shape(nodeB.outputs[0])];
  if (!sameShape(x, y)) return false;
  const unknown = fresh(x);
  if (unknown.length === 0) return true;
  const [from, other] = [a.facts.shape(nodeA.inputs[0]), b.facts.shape(nodeB.inputs[0])];
  const known = new Set(fresh(from));
  return sameShape(from, other) && unknown.every((s) => known.has(s));
}

/** True when two constants hold the same numbers: byte for byte where they are stored alike, or laid out alike from what is. */
export function sameConstant(a: Side, x: GraphValue, b: Side, y: GraphValue): boolean {
  const laid = laidOut(a, x, b, y);
  if (laid !== undefined) return sameConstant(a, laid[0], b, laid[1]);
  const bytes = x.initializer && y.initializer && comparePayloads(x.initializer, y.initializer);
  if (bytes !== undefined) return bytes === "same";
  const [p, q] = [a.constants.tensor(x, true), b.constants.tensor(y, true)];
  if (p.dtype !== q.dtype || p.data.length !== q.data.length) return false;
  if (p.dims.length !== q.dims.length || p.dims.some((d, i) => d !== q.dims[i])) return false;
  return sameNumbers(p.data, q.data);
}

/** Number by number, a NaN like any other. Of one type the bytes tell first, many times as fast. */
function sameNumbers(x: Tensor["data"], y: Tensor["data"]): boolean {
  const alike = [Float64Array, Float32Array].some((type) => x instanceof type && y instanceof type);
  if (alike && firstDifference(bytesOf(x as Float64Array), bytesOf(y as Float64Array)) < 0) return true;
  for (let i = 0; i < x.length; i++) if (!Object.is(x[i], y[i])) return false;
  return true;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** What two constants are made of, each number once, in one and the same order. */
function laidOut(a: Side, x: GraphValue, b: Side, y: GraphValue): readonly [GraphValue, GraphValue] | undefined {
  const [p, q] = [x.producer, y.producer];
  if (p === undefined || q === undefined || p.domain !== "" || p.opType !== q.opType || q.domain !== "") return undefined;
  const [from, other] = [p.inputs[0], q.inputs[0]];
  if (from === undefined || other === undefined || !a.constants.has(from) || !b.constants.has(other)) return undefined;
  if (!sameShape(a.facts.shape(from), b.facts.shape(other)) || !sameShape(a.facts.shape(x), b.facts.shape(y))) return undefined;
  const perms = [p, q].map(({ record }) => intsAttr(record, "perm")?.join());
  const alike = hasTrait(p, "reshapes") || (p.opType === "Transpose" && perms[0] === perms[1]);
  return alike ? [from, other] : undefined;
}
