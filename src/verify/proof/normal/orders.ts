/** Orders of axes, as Transposes give them. */
import { intsAttr } from "../../../graph/attributes.ts";
import type { Shape } from "../../../graph/dims.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { AttributeRecord, NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { attribute, inner, integers, make, makerOf, outputOf } from "./rewriting.ts";

/** The axes of x in the order in which a Transpose has them. */
export function permOf(node: GraphNode, { facts }: Side): readonly number[] | undefined {
  const rank = facts.rank(node.inputs[0]);
  const perm = intsAttr(node.record, "perm");
  if (node.domain !== "" || node.opType !== "Transpose" || rank === undefined) return undefined;
  const axes = Array.from({ length: rank }, (_, i) => i);
  if (perm === undefined) return axes.toReversed();
  return perm.length === rank && axes.every((axis) => perm.includes(axis)) ? perm : undefined;
}

/** What a Transpose in front of `node` reads, and its order. */
export function before(
  value: GraphValue | undefined,
  node: GraphNode,
  side: Side,
): { x: string; perm: readonly number[] } | undefined {
  const maker = makerOf(value, node);
  const perm = maker && permOf(maker, side);
  return perm && { x: (maker as GraphNode).record.inputs[0], perm };
}

export const transposed = (node: GraphNode, x: string, perm: readonly number[]): NodeRecord =>
  make(node, "Transpose", [x], outputOf(node), { perm: { ints: perm } });

/** The order of the axes that are left when some go. */
export const left = (perm: readonly number[], gone: ReadonlySet<number>): number[] => {
  const kept = perm.filter((axis) => !gone.has(axis));
  const order = kept.toSorted((p, q) => p - q);
  return kept.map((axis) => order.indexOf(axis));
};

export const inOrder = (perm: readonly number[]): boolean => perm.every((axis, i) => axis === i);

/** A constant operand i as it is beside a tensor whose axes are in their own order, spelled out to its rank. */
export function turnedBack(
  node: GraphNode,
  i: number,
  shape: readonly number[],
  perm: readonly number[],
): readonly [nodes: NodeRecord[], name: string] {
  const [dims, full, moved] = ["/dims", "/full", ""].map((part) => inner(node, `constant${i}${part}`));
  const sizes = [...new Array<number>(perm.length - shape.length).fill(1), ...shape];
  // Axis p[i] of x is axis i of its transpose.
  const back = sizes.map((_, axis) => perm.indexOf(axis));
  return [
    [
      integers(node, `constant${i}/dims`, sizes),
      make(node, "Reshape", [node.record.inputs[i], dims], full),
      make(node, "Transpose", [full], moved, { perm: { ints: back } }),
    ],
    moved,
  ];
}

/** The attributes of a node, along another axis. */
export const withAxis = (node: GraphNode, axis: number): Map<string, AttributeRecord> =>
  new Map(node.record.attributes).set("axis", attribute(node, "axis", { i: axis }));

/** Operands of more than one number lie along the axis an attribute counts, not along the last ones. */
export const isByAxis = ({ opType }: GraphNode): boolean => opType === "DequantizeLinear" || opType === "QuantizeLinear";

export interface Group {
  /** Axes longer than 1 side by side, counted among such axes, and the sizes they become. */
  readonly axes: number[];
  readonly sizes: number[];
}

/** The axes a Reshape joins or splits, those it does not touch each on its own. */
export function groupsOf(from: readonly number[], to: readonly number[]): readonly Group[] | undefined {
  const long = from.filter((d) => d !== 1);
  const groups: Group[] = [];
  let [i, j] = [0, 0];
  while (i < long.length && j < to.length) {
    const group: Group = { axes: [i], sizes: [to[j]] };
    for (let [p, q] = [long[i++], to[j++]]; p !== q; ) {
      if ((p < q ? long.length - i : to.length - j) === 0) return undefined;
      if (p < q) {
        group.axes.push(i);
        p *= long[i++];
      } else {
        group.sizes.push(to[j]);
        q *= to[j++];
      }
    }
    groups.push(group);
  }
  if (groups.length === 0 || i < long.length) return undefined;
  groups[groups.length - 1].sizes.push(...to.slice(j));
  return groups;
}

/** Sizes that are all known, and none of them 0. */
export const sizesOf = (shape: Shape | undefined): readonly number[] | undefined =>
  shape?.every((d) => typeof d === "number" && d > 0) ? (shape as readonly number[]) : undefined;
