/** When two operators of two files are the same operator: type, version-independent attributes, constant operands. */
import { type Dim, type Shape, sameShape } from "../../graph/dims.ts";
import { attributeDefault } from "../../graph/op-defaults.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { decode } from "../../onnx/codec.ts";
import { samePayload } from "../../onnx/pieces.ts";
import type { AttributeRecord } from "../../onnx/records.ts";
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

export const COMMUTATIVE = new Set(["Add", "Mul", "Sum", "Max", "Min", "Mean", "And", "Or", "Xor", "Equal"]);

/** Attributes that carry no meaning for the numbers. */
const IGNORED = new Set(["consumed_inputs", "doc_string"]);

/** Operators whose kernel_shape only repeats the shape of their weight. */
const KERNEL_IN_WEIGHT = new Set(["Conv", "ConvTranspose", "DeformConv", "ConvInteger", "QLinearConv"]);

const utf8 = new TextDecoder();

function textOf(a: AttributeRecord): string {
  if (a.refAttrName !== "") return `@${a.refAttrName}`;
  if (a.t !== undefined) return tensorText(decode(a.t));
  if (a.s !== undefined) return utf8.decode(a.s);
  if (a.f !== undefined) return String(a.f);
  if (a.i !== undefined) return String(a.i);
  return `[${a.ints.length > 0 ? a.ints : a.floats.length > 0 ? a.floats : a.strings.map((s) => utf8.decode(s))}]`;
}

const tensorText = (t: Tensor): string => `${t.dtype}[${t.dims}]${Array.from(t.data, String).join(",")}`;

/** All-default lists (pads of zeros, strides of ones) equal an absent one. */
function isDefault(node: GraphNode, name: string, text: string): boolean {
  if (node.domain !== "") return false;
  if (name === "pads" || name === "output_padding") return /^\[(0,?)*\]$/.test(text);
  if (name === "strides" || name === "dilations") return /^\[(1,?)*\]$/.test(text);
  const value = attributeDefault(node.opType, name, node.version);
  if (value === undefined) return false;
  const plain = value.kind === "string" ? value.text : value.text.split(",").map(Number).join();
  return text === (value.list ? `[${plain}]` : plain);
}

/** The first attribute in which two nodes differ; undefined when none does. Subgraphs are compared by whoever walks them. */
export function attributeDifference(
  a: GraphNode,
  b: GraphNode,
  changed: Readonly<Record<string, unknown>> = {},
): string | undefined {
  const names = new Set([...a.record.attributes.keys(), ...b.record.attributes.keys()]);
  for (const name of names) {
    if (IGNORED.has(name) || name in changed) continue;
    if (name === "kernel_shape" && a.domain === "" && KERNEL_IN_WEIGHT.has(a.opType)) continue;
    const [x, y] = [a.record.attributes.get(name), b.record.attributes.get(name)];
    if (x?.g !== undefined || y?.g !== undefined || (x?.graphs.length ?? 0) > 0) {
      if (x === undefined || y === undefined) return name;
      continue;
    }
    const [p, q] = [x && textOf(x), y && textOf(y)];
    if (p === q) continue;
    if ((p === undefined || isDefault(a, name, p)) && (q === undefined || isDefault(b, name, q))) continue;
    return name;
  }
  return undefined;
}

/** The elements of a small integer value that shapes alone determine, the same in every file; undefined when they do not. */
export function knownElements({ facts }: Side, value: GraphValue | undefined): readonly Dim[] | undefined {
  const elements = facts.elements(value);
  return elements?.every((e) => e !== undefined && fresh([e]).length === 0) ? (elements as readonly Dim[]) : undefined;
}

/** True when two integer values are determined by shapes, and are the same. */
export function sameElements(a: Side, x: GraphValue | undefined, b: Side, y: GraphValue | undefined): boolean {
  const [p, q] = [knownElements(a, x), knownElements(b, y)];
  return sameShape(p, q) && sameShape(a.facts.shape(x), b.facts.shape(y));
}

/** Symbols made up for sizes nobody knows mean something only inside one file. */
const fresh = (shape: Shape | undefined): string[] =>
  (shape ?? []).flatMap((d) => (typeof d === "number" ? [] : d.symbols.filter((s) => s.includes("?"))));

/**
 * Two Reshape-like nodes do the same when their outputs have the same shape, whatever operands say so. Sizes nobody knows
 * count as the same only where both inputs, which are one value, have them in the same places.
 */
export function sameReshape(a: Side, nodeA: GraphNode, b: Side, nodeB: GraphNode): boolean {
  const [x, y] = [a.facts.shape(nodeA.outputs[0]), b.facts.shape(nodeB.outputs[0])];
  if (!sameShape(x, y)) return false;
  const unknown = fresh(x);
  if (unknown.length === 0) return true;
  const [from, other] = [a.facts.shape(nodeA.inputs[0]), b.facts.shape(nodeB.inputs[0])];
  const known = new Set(fresh(from));
  return sameShape(from, other) && unknown.every((s) => known.has(s));
}

/** True when two constants hold the same numbers: byte for byte where they are stored alike. */
export function sameConstant(a: Side, x: GraphValue, b: Side, y: GraphValue): boolean {
  if (x.initializer !== undefined && y.initializer !== undefined && samePayload(x.initializer, y.initializer)) return true;
  const [p, q] = [a.constants.tensor(x, true), b.constants.tensor(y, true)];
  if (p.dtype !== q.dtype || p.data.length !== q.data.length) return false;
  if (p.dims.length !== q.dims.length || p.dims.some((d, i) => d !== q.dims[i])) return false;
  for (let i = 0; i < p.data.length; i++) if (!Object.is(p.data[i], q.data[i])) return false;
  return true;
}
