/** Parts of a tensor along one axis, as Slices. */
import { intAttr } from "../../../graph/attributes.ts";
import type { GraphNode } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { make } from "./rewriting.ts";

/** Slices take their bounds as inputs since then. */
export const SINCE = 10;

/** The axis an operator works along, from the front. */
export function axisOf(node: GraphNode, { facts }: Side): number | undefined {
  const [rank, axis] = [facts.rank(node.inputs[0]), intAttr(node.record, "axis", 0)];
  const given = node.record.attributes.get("axis");
  if (rank === undefined || (given !== undefined && given.refAttrName !== "")) return undefined;
  return axis < 0 ? axis + rank : axis;
}

export interface Bounds {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

/** Nodes that take x from `start` to `end` along `axis`, under the name `output`. */
export function taken(node: GraphNode, x: string, { axis, start, end }: Bounds, output: string): NodeRecord[] {
  const name = (label: string) => `${output}/${label}`;
  const number = (label: string, v: number) => make(node, "Constant", [], name(label), { value_ints: { ints: [v] } });
  return [
    number("start", start),
    number("end", end),
    number("axis", axis),
    make(node, "Slice", [x, name("start"), name("end"), name("axis")], output),
  ];
}
