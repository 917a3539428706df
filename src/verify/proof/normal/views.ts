/**
 * What is the numbers of one tensor at other places, in one way of writing. Each number that comes out of Concats, Slices, Gathers, Pads and
 * their like stands somewhere in x, or is a zero of a Pad or of a constant:
 *
 *   all of x in another order, each place once or repeated      Reshape(Expand(Transpose(Reshape(x))))
 *   places along each axis on its own, zeros around them        Pad(Slice or Gather along each axis, the first axis first)
 *
 * Exact: numbers are moved. The places are found by moving them: the operators are run on the numbers 1 … n in the place of x, so that two
 * ways of writing are one where their places are. Sizes are numbers, but for one axis of x that nothing cuts: each operator keeps it whole,
 * so that what holds of three places holds of any. x is the nearest value that all is made of, for a selection also what that is made of.
 */
import { stringAttr } from "../../../graph/attributes.ts";
import { type Dim, type Shape, sameDim } from "../../../graph/dims.ts";
import { hasTrait } from "../../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { asFloat64, sizeOf, type Tensor } from "../../../onnx/tensor.ts";
import { isTensor } from "../../../ops/define.ts";
import { computed } from "../../../run/constant.ts";
import type { Side } from "../classes.ts";
import { Body } from "./body.ts";
import { axisOf } from "./parts.ts";
import { cutsOf } from "./pieces.ts";
import { makerOf, numbersOf, type Rewrite, type Rewriting } from "./rewriting.ts";

/** Most numbers that are followed, longest list that is written down, and what an axis of open size is taken for. */
const [MOST, LONGEST, OPEN] = [2 ** 21, 2 ** 12, 3];

const counted = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** True of an operator that moves the numbers of its first input, or of all of a Concat, by constants alone. */
const moves = (node: GraphNode): boolean =>
  node.domain === "" && ((hasTrait(node, "moves") && hasTrait(node, "carries")) || node.opType === "Pad");

const dataOf = (node: GraphNode): readonly (GraphValue | undefined)[] =>
  node.opType === "Concat" ? node.inputs : node.inputs.slice(0, 1);

class Views {
  private readonly chains = new Map<GraphValue, readonly GraphValue[]>();

  constructor(private readonly side: Side) {}

  /** What a value is made of: itself, what its operator moves, and so on; where that are several, what all of these are made of. */
  chain(value: GraphValue, node: GraphNode): readonly GraphValue[] {
    const known = this.chains.get(value);
    if (known !== undefined) return known;
    const maker = makerOf(value, node);
    const above = maker !== undefined && moves(maker) ? this.sources(maker) : [];
    const chain = [value, ...above];
    this.chains.set(value, chain);
    return chain;
  }

  /** What all operands of an operator are made of, the nearest first. */
  sources(node: GraphNode): readonly GraphValue[] {
    const data = dataOf(node).filter((value) => value === undefined || !this.side.constants.has(value));
    if (!data.every((value) => value !== undefined)) return [];
    const [first, ...others] = data.map((value) => this.chain(value, node));
    return (first ?? []).filter((value) => others.every((chain) => chain.includes(value)));
  }
}

const known = new WeakMap<Side, Views>();
function viewsOf(side: Side): Views {
  const views = known.get(side) ?? new Views(side);
  known.set(side, views);
  return views;
}

/** Numbers at places of x, counted from 1 on; 0 where there is a zero. */
type Places = Tensor & { readonly data: Float64Array };

/** The sizes of x or of what is made of it, and the axis of open size. */
interface Sizes {
  readonly dims: readonly number[];
  readonly open: number;
  readonly size: Dim;
}

function sizesOf(shape: Shape | undefined): Sizes | undefined {
  const open = shape?.findIndex((d) => typeof d !== "number") ?? -1;
  const dims = shape?.map((d, axis) => (axis === open ? OPEN : typeof d === "number" ? d : 0));
  return dims?.every((d) => d > 0) ? { dims, open, size: shape?.[open] ?? 1 } : undefined;
}

/** How many numbers lie before the axis of open size. */
const outside = ({ dims, open }: Sizes): number => sizeOf(dims.slice(0, Math.max(open, 0)));

/** The places of x that a value is made of; undefined where an operator on the way does more than move them. */
function placesOf(value: GraphValue, x: GraphValue, from: Sizes, side: Side, made: Map<GraphValue, Places>): Places | undefined {
  const done = made.get(value);
  if (done !== undefined) return done;
  const [node, to] = [value.producer, sizesOf(side.facts.shape(value))];
  if (node === undefined || to === undefined || !moves(node) || sizeOf(to.dims) > MOST || value.captured) return undefined;
  if (to.open < 0 !== from.open < 0 || !sameDim(to.size, from.size)) return undefined;
  const data = dataOf(node).map((one): Tensor | undefined => {
    if (one === undefined || !side.constants.has(one)) return one && placesOf(one, x, from, side, made);
    const tensor = side.constants.tensor(one);
    const numbers = asFloat64(tensor);
    return numbers.every((v) => v === 0) ? { ...tensor, dtype: "float64", data: numbers } : undefined;
  });
  const before = sizesOf(side.facts.shape(node.inputs[0]));
  if (before === undefined || !data.every((one) => one !== undefined) || !keepsOpen(node, before, to, side)) return undefined;
  const [given] = data as Places[];
  const result = hasTrait(node, "reshapes") ? { ...given, dims: to.dims } : ran(node, value, data, side);
  if (result === undefined || result.data.length !== sizeOf(to.dims) || result.dims.some((d, i) => d !== to.dims[i]))
    return undefined;
  made.set(value, result);
  return result;
}

/** True where the axis of open size goes through an operator as it is. */
function keepsOpen(node: GraphNode, from: Sizes, to: Sizes, side: Side): boolean {
  if (node.opType === "Pad") {
    const [mode, fill] = [stringAttr(node.record, "mode", "constant"), node.inputs[2] && numbersOf(node.inputs[2], side)];
    if (mode === "constant" && node.inputs[2] !== undefined && fill?.every((v) => v === 0) !== true) return false;
    if (numbersOf(node.inputs[1], side)?.every((p) => p >= 0) !== true || node.version < 11) return false;
  }
  if (from.open < 0) return true;
  if (hasTrait(node, "reshapes")) return outside(from) === outside(to);
  return node.opType !== "Slice" || cutsOf(node, side)?.every(({ axis }) => axis !== from.open) === true;
}

/** "To the last" is the largest number there is, which no double is. */
const within = (v: number): bigint => BigInt(Math.min(Math.max(v, -(2 ** 62)), 2 ** 62));

function ran(node: GraphNode, value: GraphValue, data: readonly (Tensor | undefined)[], side: Side): Places | undefined {
  const more = node.inputs.slice(data.length).map((one): Tensor | undefined => {
    const numbers = one && numbersOf(one, side);
    const dims = one && side.facts.shape(one);
    return numbers && { dtype: "int64", dims: (dims ?? [numbers.length]) as number[], data: BigInt64Array.from(numbers, within) };
  });
  if (more.some((one, i) => one === undefined && node.inputs[data.length + i] !== undefined)) return undefined;
  if (node.opType === "Pad" && more[1] !== undefined) more[1] = { dtype: "float64", dims: [], data: new Float64Array(1) };
  const result = computed(node.record, node.version, [...data, ...more])[value.outputIndex];
  return isTensor(result) && result.data instanceof Float64Array ? (result as Places) : undefined;
}

/** A run of numbers of an axis that lie one stride apart. */
interface Atom {
  readonly size: number;
  readonly stride: number;
}

/** What an axis is joined of; undefined where its steps are of no such kind. */
function atomsOf(steps: readonly number[]): Atom[] | undefined {
  if (steps.length === 1) return [];
  const stride = steps[1];
  const end = steps.findIndex((v, i) => v !== i * stride);
  const size = end < 0 ? steps.length : end;
  if (steps.length % size !== 0) return undefined;
  const heads = steps.filter((_, i) => i % size === 0);
  if (!steps.every((v, i) => v === heads[Math.floor(i / size)] + (i % size) * stride)) return undefined;
  const rest = atomsOf(heads);
  return rest && [...rest, { size, stride }];
}

/** The places along each axis through the one at `base`. */
function stepsOf({ dims, data }: Places, base: readonly number[]): number[][] {
  const strides = dims.map((_, axis) => sizeOf(dims.slice(axis + 1)));
  const at = base.reduce((n, i, axis) => n + i * strides[axis], 0);
  return dims.map((d, axis) => counted(d).map((i) => data[at + (i - base[axis]) * strides[axis]]));
}

/** True where a formula gives each place. */
function holds({ dims, data }: Places, formula: (at: readonly number[]) => number): boolean {
  const at = dims.map(() => 0);
  for (const place of data) {
    if (formula(at) !== place) return false;
    for (let axis = dims.length - 1; axis >= 0 && ++at[axis] === dims[axis]; axis--) at[axis] = 0;
  }
  return true;
}

/** What stands for a view of x. */
interface Written {
  readonly nodes: readonly NodeRecord[];
  /** Of a selection what each operator is and the axis it works along, the last first. */
  readonly said?: readonly string[];
}

/** All of x in another order. */
function reordered(node: GraphNode, x: string, from: Sizes, to: Sizes, places: Places): Written | undefined {
  const steps = stepsOf(
    places,
    to.dims.map(() => 0),
  ).map((list) => list.map((v) => v - 1));
  const axes = steps.map(atomsOf);
  if (places.data[0] !== 1 || !axes.every((list) => list !== undefined)) return undefined;
  const atoms = axes.flat();
  const own = atoms.filter(({ stride }) => stride !== 0).sort((p, q) => q.stride - p.stride);
  const total = own.reduceRight((whole, { size, stride }) => (stride === whole ? whole * size : Number.NaN), 1);
  if (total !== sizeOf(from.dims) || !holds(places, (at) => at.reduce((n, i, axis) => n + steps[axis][i], 1))) return undefined;
  const open = to.open < 0 ? undefined : axes[to.open][0];
  if (open !== undefined && open.stride !== sizeOf(from.dims.slice(from.open + 1))) return undefined;
  const sizes = (list: readonly Atom[]) => list.map((one) => (one === open ? -1 : one.stride === 0 ? 1 : one.size));
  const body = new Body(node);
  const shape = (part: string, from: string, dims: readonly number[]) =>
    body.step(part, "Reshape", [from, body.list(`${part}/shape`, dims)]);
  const perm = atoms.flatMap((one) => (one.stride === 0 ? [] : [own.indexOf(one)]));
  const turned = body.step("turned", "Transpose", [shape("split", x, sizes(own))], { perm: { ints: perm } });
  const wide = atoms.map(({ size, stride }) => (stride === 0 ? size : 1));
  const spread =
    own.length === atoms.length
      ? turned
      : body.step("spread", "Expand", [shape("apart", turned, sizes(atoms)), body.list("times", wide)]);
  const joined = body.list(
    "joined",
    to.dims.map((d, axis) => (axis === to.open ? -1 : d)),
  );
  return { nodes: body.last("Reshape", [spread, joined]) };
}

/** Places along each axis, and zeros around them. */
function selected(node: GraphNode, x: string, from: Sizes, to: Sizes, places: Places): Written | undefined {
  const rank = from.dims.length;
  const first = places.data.findIndex((v) => v !== 0);
  if (first < 0 || rank !== to.dims.length || from.open !== to.open) return undefined;
  const strides = from.dims.map((_, axis) => sizeOf(from.dims.slice(axis + 1)));
  const base = to.dims.map((d, axis) => Math.floor(first / sizeOf(to.dims.slice(axis + 1))) % d);
  const lists = stepsOf(places, base).map((list, axis) =>
    list.map((v) => (v === 0 ? -1 : Math.floor((v - 1) / strides[axis]) % from.dims[axis])),
  );
  const at = (axes: readonly number[]) => axes.map((i, axis) => lists[axis][i]);
  if (!holds(places, (i) => (at(i).includes(-1) ? 0 : at(i).reduce((n, k, axis) => n + k * strides[axis], 1)))) return undefined;
  const body = new Body(node);
  const said: string[] = [];
  let name = x;
  const pads = new Array<number>(2 * rank).fill(0);
  for (const [axis, list] of lists.entries()) {
    pads[axis] = list.findIndex((k) => k >= 0);
    pads[axis + rank] = list.length - 1 - list.findLastIndex((k) => k >= 0);
    const inside = list.slice(pads[axis], list.length - pads[axis + rank]);
    if (inside.includes(-1) || (axis === from.open && list.some((k, i) => k !== i))) return undefined;
    if (inside.length === from.dims[axis] && inside.every((k, i) => k === i)) continue;
    if (inside.length > LONGEST) return undefined;
    name = along(body, name, axis, inside, from.dims[axis]);
    said.unshift(`${body.nodes.at(-1)?.opType}${axis}`);
  }
  if (pads.some((p) => p > 0)) {
    said.unshift("Pad");
    return { nodes: body.last("Pad", [name, body.list("pads", pads)]), said };
  }
  return { nodes: body.last("Identity", [name]), said };
}

/** Places along one axis. */
function along(body: Body, x: string, axis: number, list: readonly number[], size: number): string {
  const part = `along${axis}`;
  const [first, last] = [list[0], list[list.length - 1]];
  const step = list.length === 1 ? 1 : list[1] - first;
  if (step !== 0 && list.every((v, i) => v === first + i * step)) {
    const end = step > 0 ? last + 1 : last === 0 ? -size - 1 : last - 1;
    const bounds = [first, end, axis, step].map((v, i) => body.list(`${part}/${i}`, [v]));
    return body.step(part, "Slice", [x, ...bounds]);
  }
  return body.step(part, "Gather", [x, body.list(`${part}/list`, list)], { axis: { i: axis } });
}

/** Places in no order that axes have. */
function listed(node: GraphNode, x: string, from: Sizes, to: Sizes, { data }: Places): Written | undefined {
  if (from.open >= 0 || data.length > LONGEST || data.includes(0)) return undefined;
  const body = new Body(node);
  const flat = body.step("flat", "Reshape", [x, body.list("all", [-1])]);
  const list = body.list(
    "places",
    Array.from(data, (v) => v - 1),
  );
  return {
    nodes: body.last("Reshape", [body.step("taken", "Gather", [flat, list], { axis: { i: 0 } }), body.list("shape", to.dims)]),
  };
}

const SELECTS = ["Slice", "Gather", "Pad"];

/** The axes a selection works along. */
const axesOf = (node: GraphNode, side: Side): readonly number[] =>
  (node.opType === "Slice"
    ? cutsOf(node, side)?.map(({ axis }) => axis)
    : node.opType === "Gather"
      ? [axisOf(node, side) ?? 0]
      : undefined) ?? [];

/** What the operators from a node up to x are, as a selection says it. */
function standing(node: GraphNode, x: GraphValue, side: Side): string[] {
  const said: string[] = [];
  for (let at: GraphNode | undefined = node; at !== undefined; at = makerOf(at.inputs[0], at)) {
    said.push(`${at.opType}${axesOf(at, side)}`);
    if (at.inputs[0] === x) break;
  }
  return said;
}

/** How many of the values it is made of a node may be a view of: none where it is written already as it would be. */
function reach(node: GraphNode, side: Side): number {
  if (node.opType === "Concat") return node.inputs.length > 1 ? 1 : 0;
  const list = node.opType === "Gather" ? numbersOf(node.inputs[1], side) : undefined;
  const rank = side.facts.rank(node.inputs[1]) ?? 0;
  // One place is a part (pieces.ts).
  if (!SELECTS.includes(node.opType) || (node.opType === "Gather" && rank === 0)) return 0;
  const maker = makerOf(node.inputs[0], node);
  const [own, before] = [
    axesOf(node, side),
    maker?.domain === "" && SELECTS.includes(maker.opType) ? axesOf(maker, side) : undefined,
  ];
  const pads = node.opType === "Pad";
  if (
    before !== undefined &&
    (pads ? before.length === 0 : before.length === 0 || own.some((axis) => axis <= Math.max(...before)))
  )
    return 2;
  if (pads) return stringAttr(node.record, "mode", "constant") === "constant" ? 0 : 1;
  // A list in no order is one already.
  return list !== undefined && (rank > 1 || atomsOf(list.map((v) => v - list[0])) !== undefined) ? 1 : 0;
}

const OPSET = 11;

const viewed: Rewrite = (node, side) => {
  const far = node.domain === "" ? reach(node, side) : 0;
  const [out] = node.outputs;
  const to = far === 0 ? undefined : sizesOf(side.facts.shape(out));
  if (out === undefined || to === undefined || sizeOf(to.dims) > MOST) return undefined;
  if ((side.view.model.opsets.get("") ?? 0) < OPSET) return undefined;
  for (const x of viewsOf(side).sources(node).slice(0, far).reverse()) {
    const from = sizesOf(side.facts.shape(x));
    if (from === undefined || sizeOf(from.dims) > MOST) continue;
    const places = placesOf(out, x, from, side, new Map([[x, whole(from)]]));
    const found =
      places &&
      [reordered, selected, listed].reduce<Written | undefined>(
        (f, form) => f ?? form(node, x.name, from, to, places),
        undefined,
      );
    if (found !== undefined && String(found.said) !== String(standing(node, x, side))) return [...found.nodes];
  }
  return undefined;
};

/** Each number of x at its own place. */
const whole = ({ dims }: Sizes): Places => ({
  dtype: "float64",
  dims,
  data: Float64Array.from({ length: sizeOf(dims) }, (_, i) => i + 1),
});

export const VIEWS: Rewriting = {
  equation: ["Concats, Slices, Gathers, Pads of x", "x in another order, or places along each axis and zeros around them"],
  rewrite: viewed,
  where: ["Gather", "Slice", "Concat", "Pad", "Split", "Expand", "SpaceToDepth", "Reshape"],
};
