/**
 * Places along one axis, in the order in which they are wanted: x[…, i₁ … iₙ, …].
 *
 *   Gather(x; i), evenly spaced; all of an axis of 1      Slice(x), Expand(x)
 *   Concat of selections of x along its axis              one selection
 *   a selection of a selection, along one axis            one selection; along two axes, the first axis first
 *   Pad(x; reflect, edge, wrap)                           a selection along each axis that is padded
 *
 * Exact: numbers are moved. A selection is a Slice along one axis, a Gather by a constant list, an Expand or Tile of one axis. Sizes along the
 * axis and all bounds are numbers.
 */
import { stringAttr } from "../../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import type { Side } from "../classes.ts";
import { axisOf } from "./parts.ts";
import { cutsOf } from "./pieces.ts";
import { inner, integers, listAt, make, makerOf, numbersOf, outputOf, type Rewrite, type Rewriting } from "./rewriting.ts";

interface Selection {
  readonly x: GraphValue;
  readonly name: string;
  readonly axis: number;
  readonly list: readonly number[];
}

/** Longest list that is written down. */
const LONGEST = 2 ** 12;

const counted = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The places a Slice takes. */
function cutPlaces(size: number, start: number, end: number, step: number): number[] {
  const clamp = (v: number, low: number, high: number) => Math.min(Math.max(v < 0 ? v + size : v, low), high);
  const [from, to] =
    step > 0 ? [clamp(start, 0, size), clamp(end, 0, size)] : [clamp(start, 0, size - 1), clamp(end, -1, size - 1)];
  return counted(Math.max(0, Math.ceil((to - from) / step))).map((i) => from + i * step);
}

/** What a node selects along the one axis that it changes. */
function selectionBy(node: GraphNode | undefined, side: Side): Selection | undefined {
  const x = node?.inputs[0];
  if (node?.domain !== "" || x === undefined || side.constants.has(x)) return undefined;
  const found = (axis: number, list: readonly number[] | undefined): Selection | undefined =>
    list === undefined || list.length === 0 || list.length > LONGEST ? undefined : { x, name: node.record.inputs[0], axis, list };
  if (node.opType === "Slice") {
    const cuts = cutsOf(node, side);
    const size = cuts?.length === 1 ? side.facts.size(x, cuts[0].axis) : undefined;
    if (cuts === undefined || size === undefined || size > LONGEST) return undefined;
    const [{ axis, start, end, step }] = cuts;
    return found(axis, cutPlaces(size, start, end, step));
  }
  if (node.opType === "Gather") {
    const [axis, list] = [axisOf(node, side), numbersOf(node.inputs[1], side)];
    const size = axis === undefined ? undefined : side.facts.size(x, axis);
    if (axis === undefined || list === undefined || size === undefined || side.facts.rank(node.inputs[1]) !== 1) return undefined;
    const places = list.map((i) => (i < 0 ? i + size : i));
    return places.every((i) => i >= 0 && i < size) ? found(axis, places) : undefined;
  }
  const [from, to] = [side.facts.shape(x), side.facts.shape(node.outputs[0])];
  if ((node.opType !== "Expand" && node.opType !== "Tile") || node.version < 6 || from?.length !== to?.length) return undefined;
  const changed = (from ?? []).flatMap((d, axis) => (d === to?.[axis] ? [] : [axis]));
  const [size, all] = [from, to].map((shape) => shape?.[changed[0]]);
  if (changed.length !== 1 || typeof size !== "number" || typeof all !== "number" || size === 0) return undefined;
  return found(
    changed[0],
    counted(all).map((i) => i % size),
  );
}

/** A selection as one operator. */
function written(node: GraphNode, x: string, axis: number, list: readonly number[], size: number, output: string): NodeRecord[] {
  const name = (part: string) => `${output}/${part}`;
  const numbers = (part: string, ints: readonly number[]) => make(node, "Constant", [], name(part), { value_ints: { ints } });
  if (list.length === size && list.every((v, i) => v === i)) return [make(node, "Identity", [x], output)];
  const [first, last] = [list[0], list[list.length - 1]];
  const step = list.length === 1 ? 1 : list[1] - first;
  if (step !== 0 && list.every((v, i) => v === first + i * step)) {
    const end = step > 0 ? last + 1 : last === 0 ? -size - 1 : last - 1;
    const bounds = Object.entries({ start: first, end, axis, step }).map(([part, v]) => numbers(part, [v]));
    return [...bounds, make(node, "Slice", [x, ...bounds.map(({ outputs }) => outputs[0])], output)];
  }
  const places = numbers("places", list);
  return [places, make(node, "Gather", [x, places.outputs[0]], output, { axis: { i: axis } })];
}

const gathered: Rewrite = (node, side) => {
  const own = node.opType === "Gather" && node.version >= 13 ? selectionBy(node, side) : undefined;
  const size = own && side.facts.size(own.x, own.axis);
  const rank = side.facts.rank(node.inputs[0]);
  if (own === undefined || size === undefined || rank === undefined) return undefined;
  const output = outputOf(node);
  if (size === 1) {
    const shape = integers(node, "wanted", new Array<number>(rank).fill(1).with(own.axis, own.list.length));
    return [shape, make(node, "Expand", [own.name, shape.outputs[0]], output)];
  }
  const made = written(node, own.name, own.axis, own.list, size, output);
  return made.some(({ opType }) => opType === "Gather") ? undefined : made;
};

/** A selection of a selection. */
const nested: Rewrite = (node, side) => {
  if ((node.opType !== "Gather" || node.version < 13) && (node.opType !== "Slice" || node.version < 10)) return undefined;
  const outer = selectionBy(node, side);
  const maker = outer && makerOf(outer.x, node);
  const within = maker && ["Slice", "Gather"].includes(maker.opType) ? selectionBy(maker, side) : undefined;
  const size = within && side.facts.size(within.x, within.axis);
  if (outer === undefined || within === undefined || size === undefined) return undefined;
  if (outer.axis === within.axis) {
    const list = outer.list.map((i) => within.list[i]);
    return written(node, within.name, within.axis, list, size, outputOf(node));
  }
  const own = side.facts.size(within.x, outer.axis);
  if (outer.axis > within.axis || own === undefined) return undefined;
  const first = inner(node, "first");
  return [
    ...written(node, within.name, outer.axis, outer.list, own, first),
    ...written(node, first, within.axis, within.list, size, outputOf(node)),
  ];
};

/** What a value is a selection of along an axis: of itself, of what its operator reads, and so on. */
function chainOf(value: GraphValue | undefined, axis: number, node: GraphNode, side: Side): Selection[] {
  const size = side.facts.size(value, axis);
  if (value === undefined || size === undefined || size === 0 || size > LONGEST || side.constants.has(value)) return [];
  const chain: Selection[] = [{ x: value, name: value.name, axis, list: counted(size) }];
  for (let i = 0; i < 4; i++) {
    const { x, list } = chain[i];
    const next = selectionBy(makerOf(x, node), side);
    if (next?.axis !== axis) break;
    chain.push({ ...next, list: list.map((k) => next.list[k]) });
  }
  return chain;
}

const concat: Rewrite = (node, side) => {
  if (node.domain !== "" || node.opType !== "Concat" || node.version < 13 || node.inputs.length < 2) return undefined;
  const axis = axisOf(node, side);
  if (axis === undefined) return undefined;
  const chains = node.inputs.map((value) => chainOf(value, axis, node, side));
  for (const { x, name, list: first } of chains[0]) {
    const lists = chains.map((chain) => chain.find((one) => one.x === x)?.list);
    const size = side.facts.size(x, axis);
    if (size === undefined || !lists.every((list) => list !== undefined)) continue;
    // The same twice is no selection, but where it is one place.
    if (size > 1 && lists.every((list) => list === first || String(list) === String(counted(size))) && first.length === size)
      return undefined;
    return written(node, name, axis, lists.flat(), size, outputOf(node));
  }
  return undefined;
};

/** Where the places of a padded axis come from. */
const SOURCES: Readonly<Record<string, (i: number, size: number) => number>> = {
  edge: (i, size) => Math.min(Math.max(i, 0), size - 1),
  reflect: (i, size) => (i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i),
  wrap: (i, size) => (i + size) % size,
};

const padded: Rewrite = (node, side) => {
  const source = SOURCES[stringAttr(node.record, "mode", "constant")];
  const x = node.inputs[0];
  if (node.domain !== "" || node.opType !== "Pad" || node.version < 13 || source === undefined || node.inputs[3] !== undefined)
    return undefined;
  const [pads, rank] = [listAt(node, 1, "pads", side), side.facts.rank(x)];
  if (x === undefined || side.constants.has(x) || rank === undefined || pads?.length !== 2 * rank) return undefined;
  const axes = counted(rank).filter((axis) => pads[axis] !== 0 || pads[axis + rank] !== 0);
  let from = node.record.inputs[0];
  const made: NodeRecord[] = [];
  for (const axis of axes) {
    const [size, before, after] = [side.facts.size(x, axis), pads[axis], pads[axis + rank]];
    if (size === undefined || size > LONGEST || Math.min(before, after) < 0 || Math.max(before, after) >= size) return undefined;
    const list = counted(before + size + after).map((i) => source(i - before, size));
    const to = axis === axes.at(-1) ? outputOf(node) : inner(node, `along${axis}`);
    made.push(...written(node, from, axis, list, size, to));
    from = to;
  }
  return made.length === 0 ? undefined : made;
};

const where = ["Gather", "Slice", "Concat", "Pad", "Split", "Expand"];

export const SELECTIONS: readonly Rewriting[] = [
  { equation: ["Pad(x; reflect, edge, wrap)", "a Gather along each axis"], rewrite: padded, where },
  { equation: ["Gather(x; evenly spaced)", "Slice(x)"], rewrite: gathered, where },
  { equation: ["a selection of a selection", "one selection along each axis"], rewrite: nested, where },
  { equation: ["Concat of selections of x", "one selection"], rewrite: concat, where },
];
