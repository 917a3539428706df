/**
 * Sequences whose elements are known, as tensors.
 *
 *   SequenceAt(s, i)                      the element i of s
 *   SequenceLength(s)                     how many there are
 *   ConcatFromSequence(s; axis)           Concat of the elements, each with a new axis where told
 *
 *   SequenceEmpty, SequenceConstruct(x₁ …), SequenceInsert, SequenceErase     their elements as listed
 *   SplitToSequence(x, n; axis)           Slices of x: of the sizes n, or of n each and a rest, or of one (without its axis where told)
 *
 * Exact: numbers are moved. Positions and sizes are constant, and within what is there. All of it stands in one graph.
 */
import { intAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { axisOf, type Bounds, taken } from "./parts.ts";
import { integers, make, makerOf, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** A tensor that has a name, or a part of one. */
interface Element {
  readonly x: string;
  readonly part?: Bounds;
  /** Without the axis it was taken along. */
  readonly squeezed?: boolean;
}

/** What a sequence consists of, as seen from a node of the same graph; undefined where that is computed. */
function elementsOf(value: GraphValue | undefined, node: GraphNode, side: Side): readonly Element[] | undefined {
  const maker = makerOf(value, node);
  if (maker?.domain !== "") return undefined;
  const { inputs } = maker.record;
  if (maker.opType === "SequenceEmpty") return [];
  if (maker.opType === "SequenceConstruct") return inputs.map((x) => ({ x }));
  if (maker.opType === "SplitToSequence") return partsOf(maker, side);
  if (maker.opType !== "SequenceInsert" && maker.opType !== "SequenceErase") return undefined;
  const list = elementsOf(maker.inputs[0], maker, side);
  const inserts = maker.opType === "SequenceInsert";
  const operand = maker.inputs[inserts ? 2 : 1];
  const given = operand === undefined ? [inserts ? (list?.length ?? 0) : -1] : numbersOf(operand, side);
  const at = list && positionIn(given, inserts ? list.length + 1 : list.length, list.length);
  if (list === undefined || at === undefined) return undefined;
  return inserts ? list.toSpliced(at, 0, { x: inputs[1] }) : list.toSpliced(at, 1);
}

/** A position of `count` ones, counted from the end of `length` where negative; undefined for one that is not there. */
function positionIn(given: readonly number[] | undefined, count: number, length = count): number | undefined {
  if (given?.length !== 1) return undefined;
  const at = given[0] < 0 ? given[0] + length : given[0];
  return at >= 0 && at < count ? at : undefined;
}

function partsOf(node: GraphNode, side: Side): readonly Element[] | undefined {
  const axis = axisOf(node, side);
  const size = axis === undefined ? undefined : side.facts.size(node.inputs[0], axis);
  const [, operand] = node.inputs;
  const rank = operand === undefined ? 0 : side.facts.rank(operand);
  const given = operand === undefined ? [1] : numbersOf(operand, side);
  if (axis === undefined || given === undefined || rank === undefined) return undefined;
  const sizes = rank === 1 ? given : chunks(size, given[0]);
  if (sizes === undefined || sizes.some((n) => n < 0)) return undefined;
  if (size !== undefined && sizes.reduce((n, s) => n + s, 0) !== size) return undefined;
  const squeezed = operand === undefined && intAttr(node.record, "keepdims", 1) === 0;
  let start = 0;
  return sizes.map((n) => {
    const part = { axis, start, end: start + n };
    start += n;
    return { x: node.record.inputs[0], part, squeezed };
  });
}

/** More elements than anybody would write down. */
const MANY = 4096;

function chunks(size: number | undefined, each: number): number[] | undefined {
  if (size === undefined || !(each > 0) || size > MANY * each) return undefined;
  return Array.from({ length: Math.ceil(size / each) }, (_, i) => Math.min(each, size - i * each));
}

/** An element under a name of its own. */
function written(node: GraphNode, { x, part, squeezed }: Element, output: string): NodeRecord[] {
  if (part === undefined) return [make(node, "Identity", [x], output)];
  if (squeezed !== true) return taken(node, x, part, output);
  // Since opset 13 the axes are an operand.
  const operand = node.version >= 13;
  const squeeze = make(
    node,
    "Squeeze",
    operand ? [`${output}/kept`, `${output}/axis`] : [`${output}/kept`],
    output,
    operand ? {} : { axes: { ints: [part.axis] } },
  );
  const cut = taken(node, x, part, `${output}/kept`);
  return operand
    ? [...cut, make(node, "Constant", [], `${output}/axis`, { value_ints: { ints: [part.axis] } }), squeeze]
    : [...cut, squeeze];
}

const at: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "SequenceAt") return undefined;
  const list = elementsOf(node.inputs[0], node, side);
  const position = list && positionIn(numbersOf(node.inputs[1], side), list.length);
  return list === undefined || position === undefined ? undefined : written(node, list[position], outputOf(node));
};

const length: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "SequenceLength") return undefined;
  const list = elementsOf(node.inputs[0], node, side);
  return list && [make(node, "Constant", [], outputOf(node), { value_int: { i: list.length } })];
};

const joined: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "ConcatFromSequence") return undefined;
  const list = elementsOf(node.inputs[0], node, side);
  const axis = node.record.attributes.get("axis")?.i;
  if (list === undefined || list.length === 0 || axis === undefined) return undefined;
  const stacks = intAttr(node.record, "new_axis", 0) !== 0;
  // A Concat of other shapes than a stack allows would pass unnoticed; so would an axis that is none.
  if (stacks && node.version < 13) return undefined;
  const names = list.map((_, i) => `${outputOf(node)}/element${i}`);
  const parts = list.flatMap((element, i) => written(node, element, stacks ? `${names[i]}/flat` : names[i]));
  const along = stacks ? [integers(node, "stacked", [Number(axis)])] : [];
  const stacked = stacks ? names.map((name) => make(node, "Unsqueeze", [`${name}/flat`, along[0].outputs[0]], name)) : [];
  return [...parts, ...along, ...stacked, make(node, "Concat", names, outputOf(node), { axis: { i: Number(axis) } })];
};

export const SEQUENCES: readonly Rewriting[] = [
  { equation: ["SequenceAt(s, i)", "the element"], rewrite: at },
  { equation: ["SequenceLength(s)", "a Constant"], rewrite: length },
  { equation: ["ConcatFromSequence(s)", "Concat of the elements"], rewrite: joined },
];
