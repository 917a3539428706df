/** What a rewriting of the normal form is, and the nodes it is made of. */
import { intsAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { AttributeRecord, NodeRecord } from "../../../onnx/records.ts";
import { asNumbers } from "../../../onnx/tensor.ts";
import type { Side } from "../classes.ts";

export type Setting =
  | { readonly s: string }
  | { readonly floats: readonly number[] }
  | { readonly f: number }
  | { readonly i: number }
  | { readonly ints: readonly number[] };

/** What stands in the place of a node, or undefined where the rewriting does not apply. */
export type Rewrite = (node: GraphNode, side: Side) => NodeRecord[] | undefined;

export interface Rewriting {
  /** The equation, as documented: what is written, and what is written in its place. */
  readonly equation: readonly [from: string, to: string];
  readonly rewrite: Rewrite;
  /**
   * Operators taken apart only where one file has more of them than the other, as "Split" or "com.microsoft:Gelu": what both files
   * write alike is compared as it is, by the laws that hold for it.
   */
  readonly where?: readonly string[];
}

export function attribute(node: GraphNode, name: string, setting: Setting): AttributeRecord {
  const { frame } = node.record;
  return {
    frame,
    name,
    type: "f" in setting ? 1 : "i" in setting ? 2 : "s" in setting ? 3 : "floats" in setting ? 6 : 7,
    refAttrName: "",
    f: "f" in setting ? setting.f : undefined,
    i: "i" in setting ? BigInt(setting.i) : undefined,
    s: "s" in setting ? new TextEncoder().encode(setting.s) : undefined,
    t: undefined,
    g: undefined,
    sparseTensor: undefined,
    typeProto: undefined,
    floats: "floats" in setting ? [...setting.floats] : [],
    // An end that says "to the last" is the largest number there is, which no double is.
    ints: "ints" in setting ? setting.ints.map((v) => (v >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(v))) : [],
    strings: [],
    tensors: [],
    graphs: [],
  };
}

/** A node of the standard domain in the place of another. */
export function make(
  node: GraphNode,
  opType: string,
  inputs: readonly string[],
  output: string,
  settings: Readonly<Record<string, Setting>> = {},
): NodeRecord {
  const attributes = new Map(Object.entries(settings).map(([name, setting]) => [name, attribute(node, name, setting)]));
  return { ...node.record, opType, domain: "", overload: "", inputs, outputs: [output], attributes };
}

export const outputOf = (node: GraphNode): string => node.record.outputs[0];

export const inner = (node: GraphNode, part: string): string => `${outputOf(node)}/${part}`;

/** The numbers of a small constant. */
export function numbersOf(value: GraphValue | undefined, { constants, facts }: Side): readonly number[] | undefined {
  if (value === undefined) return undefined;
  return facts.numbers(value) ?? (constants.has(value) ? asNumbers(constants.tensor(value)) : undefined);
}

/** A node of the standard domain with another type in the place of one, its attributes kept. */
export const renamed = (node: GraphNode, opType: string, inputs: readonly string[], output: string): NodeRecord => ({
  ...make(node, opType, inputs, output),
  attributes: node.record.attributes,
});

/** An int64 vector under the name of a part of a node. */
export const integers = (node: GraphNode, part: string, ints: readonly number[]): NodeRecord =>
  make(node, "Constant", [], inner(node, part), { value_ints: { ints } });

/** The numbers of an operand that newer versions have as an input, older ones as an attribute; undefined where they are computed. */
export const listAt = (node: GraphNode, index: number, name: string, side: Side): readonly number[] | undefined =>
  node.inputs[index] === undefined ? intsAttr(node.record, name) : numbersOf(node.inputs[index], side);

/** The operator of the same graph that makes a value, whatever copies lie between. */
export function makerOf(value: GraphValue | undefined, node: GraphNode): GraphNode | undefined {
  let maker = value?.producer;
  while (maker?.domain === "" && maker.opType === "Identity") maker = maker.inputs[0]?.producer;
  return maker?.scope === node.scope ? maker : undefined;
}
