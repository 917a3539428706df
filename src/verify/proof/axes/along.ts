/**
 * Operators along axes, before what moves their operand:
 *
 *   Reduce(M(x); A)                       M'(Reduce(x; the axes of x whose atoms A has)), its axes dropped; global pools likewise
 *   ReduceSum(x · z)                      the product of contract.ts
 *   Softmax, LogSoftmax, Hardmax(M(x))    M'(f(x with the atoms it works along as its last axis))
 *   Slice(M(x); a)                        M'(Slice(x)): along the axis of x that is a, or whose first atom a is, in steps of 1
 *   Slice(Einsum(x, W) + b)               Einsum(x, Slice(W)) + Slice(b), where only W has the axis
 *   Concat(M(x), M(z) …; a)               M(Concat(x, z …)) along the axis of x that is a
 *
 * An axis of x of which only some atoms are meant is taken apart first. Bounds and sizes along a are numbers.
 */
import { intAttr } from "../../../graph/attributes.ts";
import { type Dim, product, sameShape } from "../../../graph/dims.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import type { NodeRecord } from "../../../onnx/records.ts";
import { type Cut, cutsOf } from "../normal/pieces.ts";
import { attribute, listAt, make } from "../normal/rewriting.ts";
import { contracted, factorsOf } from "./contract.ts";
import { coreName, type Draft, type Held } from "./held.ts";
import { chained, counted, idsOf, inverse, isStill, type Move, reshaped, sameMove, shapeOf, simplified } from "./move.ts";

/** The operand with none of its core's axes only partly among some atoms; `over` are the atoms then. */
function aligned(
  draft: Draft,
  node: GraphNode,
  held: Held,
  axes: readonly number[],
): { held: Held; over: Set<number> } | undefined {
  const overOf = ({ move }: Held) => new Set(axes.flatMap((axis) => move.joins[axis] ?? []));
  const over = overOf(held);
  const partly = idsOf(held.move).some((list) => list.some((i) => over.has(i)) && !list.every((i) => over.has(i)));
  const whole = partly ? draft.atoms(node, held) : held;
  return over.size === 0 || whole === undefined ? undefined : { held: whole, over: overOf(whole) };
}

const GLOBAL: Readonly<Record<string, string>> = { GlobalAveragePool: "ReduceMean", GlobalMaxPool: "ReduceMax" };

/** The axes a reduction works along, from the front. */
function reducedAxes(draft: Draft, node: GraphNode): number[] | undefined {
  const rank = draft.side.facts.rank(node.inputs[0]);
  if (rank === undefined) return undefined;
  if (node.opType in GLOBAL) return Array.from({ length: rank }, (_, i) => i).slice(2);
  const axes = listAt(node, 1, "axes", draft.side);
  return axes === undefined || axes.length === 0 ? undefined : axes.map((axis) => (axis < 0 ? axis + rank : axis));
}

/** Reductions have their axes as an operand since then. */
const operandSince = (opType: string): number => (opType === "ReduceSum" ? 13 : 18);

export function reduced(draft: Draft, node: GraphNode): boolean {
  const pool = GLOBAL[node.opType];
  const [out, more] = node.outputs;
  if (node.domain !== "" || out === undefined || more || (pool === undefined && !/^Reduce/.test(node.opType))) return false;
  const [given, axes] = [draft.of(node.inputs[0]), reducedAxes(draft, node)];
  if (given === undefined || axes === undefined) return false;
  const found = aligned(draft, node, given, axes);
  const shape = draft.side.facts.shape(out);
  if (found === undefined) {
    const move = /(Mean|Sum|Max|Min|Prod|Pool)$/.test(node.opType) ? shape && reshaped(given.move, shape) : undefined;
    return move !== undefined && draft.hold(out, given.core, move, given.order);
  }
  const { held, over } = found;
  const { move } = held;
  const ids = idsOf(move);
  // Axes of 1 may as well go.
  const gone = ids.flatMap((list, k) => (list.length === 0 || over.has(list[0]) ? [k] : []));
  const kept = ids.flatMap((_, k) => (gone.includes(k) ? [] : [k]));
  const order = kept.flatMap((k) => ids[k]);
  const keeps = pool !== undefined || intAttr(node.record, "keepdims", 1) === 1;
  const joins = move.joins.flatMap((join, axis) =>
    axes.includes(axis) ? (keeps ? [[]] : []) : [join.map((i) => order.indexOf(i))],
  );
  const after: Move = { from: kept.map((k) => move.from[k]), splits: kept.map((k) => move.splits[k]), joins };
  const core = coreName(node, after);
  if (!draft.hold(out, core, after, held.order)) return false;
  const type = pool ?? node.opType;
  if (type === "ReduceSum" && sumOfProducts(draft, node, out, held, gone, after)) return true;
  const operand = node.version >= operandSince(type);
  const list = operand ? [draft.list(node, gone)] : [];
  const settings = { keepdims: { i: 0 }, ...(operand ? {} : { axes: { ints: gone } }) };
  draft.core(make(node, type, [held.core, ...list], core, settings), after.from);
  return true;
}

/** A sum of products of two values, or of one with a constant: what contract.ts makes of such. */
function sumOfProducts(
  draft: Draft,
  node: GraphNode,
  out: GraphValue,
  { core }: Held,
  gone: readonly number[],
  after: Move,
): boolean {
  const maker = draft.makers.get(core);
  const shape = draft.shape(core);
  if (maker?.opType !== "Mul" || maker.inputs[0] === maker.inputs[1] || shape === undefined) return false;
  const names = draft.isFixed(maker.inputs[0]) ? maker.inputs.toReversed() : maker.inputs;
  const held = names.map((name) => draft.named(name));
  if (!held.every((one) => one !== undefined)) return false;
  const labels = shape.map((_, axis) => `a${axis}`);
  const operands = held.map(({ move }) => labels.slice(labels.length - move.joins.length));
  const factors = factorsOf(held, operands, draft);
  const kept = labels.filter((_, axis) => !gone.includes(axis));
  const made = factors && contracted(draft, node, factors, kept);
  const move = made && chained(made.move, after);
  return made !== undefined && move !== undefined && draft.hold(out, made.core, move, node.order);
}

/** Before, what it works along is the last of two axes that all others are joined to. */
const ALONG_ONE = 13;

export function soft(draft: Draft, node: GraphNode): boolean {
  if (node.domain !== "" || !/^(Log)?Softmax$|^Hardmax$/.test(node.opType)) return false;
  const [given, [out]] = [draft.of(node.inputs[0]), node.outputs];
  const rank = given?.move.joins.length;
  if (given === undefined || rank === undefined || out === undefined) return false;
  const one = node.version >= ALONG_ONE;
  const axis = intAttr(node.record, "axis", one ? -1 : 1);
  const first = axis < 0 ? axis + rank : axis;
  const axes = one ? [first] : given.move.joins.map((_, i) => i).slice(first);
  const found = aligned(draft, node, given, axes);
  if (found === undefined) return false;
  const { held, over } = found;
  const rest = idsOf(held.move).filter((list) => list.length > 0 && !over.has(list[0]));
  const last = held.move.joins.flat().filter((i) => over.has(i));
  const before: Move = { ...held.move, joins: [...rest, last] };
  const operand = draft.name(node, held.core, simplified(before));
  const after = chained(inverse(before), held.move);
  if (operand === undefined || after === undefined) return false;
  const core = coreName(node, after);
  if (!draft.hold(out, core, after, held.order)) return false;
  const attributes = new Map(node.record.attributes).set("axis", attribute(node, "axis", { i: rest.length }));
  draft.core({ ...node.record, attributes, inputs: [operand], outputs: [core] }, after.from);
  return true;
}

/** The axis of a core that is an axis of what it is moved to; undefined where it is none, or has other atoms. */
function ownAxis({ move }: Held, axis: number): number | undefined {
  const [join, ids] = [move.joins[axis], idsOf(move)];
  return join?.length === 1 ? ids.findIndex((list) => list.length === 1 && list[0] === join[0]) : undefined;
}

/** A move whose core has another size along one axis, which is not split. */
function resized(move: Move, axis: number, size: Dim): Move {
  const splits = move.splits.with(axis, size === 1 ? [] : [size]);
  const [old, now] = [idsOf(move), counted(splits)];
  const renamed = new Map(old.flatMap((list, k) => list.map((i, j) => [i, now[k][j]] as const)));
  const joins = move.joins.map((join) => join.flatMap((i) => renamed.get(i) ?? []));
  return { from: move.from.with(axis, size), splits, joins };
}

/** Along an axis of the core, or of its atoms. */
function along(draft: Draft, node: GraphNode, held: Held, axis: number): { held: Held; own: number } | undefined {
  const direct = ownAxis(held, axis);
  if (direct !== undefined && direct >= 0) return { held, own: direct };
  const apart = held.move.joins[axis]?.length === 1 ? draft.atoms(node, held) : undefined;
  const own = apart && ownAxis(apart, axis);
  return apart !== undefined && own !== undefined && own >= 0 ? { held: apart, own } : undefined;
}

export function sliced(draft: Draft, node: GraphNode): boolean {
  const cuts = cutsOf(node, draft.side);
  const [given, [out]] = [draft.of(node.inputs[0]), node.outputs];
  if (cuts?.length !== 1 || given === undefined || out === undefined) return false;
  const [{ axis, start, end, step }] = cuts;
  const size = draft.side.facts.size(node.inputs[0], axis);
  const count = draft.side.facts.size(out, axis);
  if (size === undefined || count === undefined || count === 0) return false;
  const at = (v: number) => Math.min(Math.max(v < 0 ? v + size : v, 0), size);
  // The first atom of an axis: a run of its numbers.
  const [first] = given.move.joins[axis] ?? [];
  const k = idsOf(given.move).findIndex((list) => list.length > 1 && list[0] === first);
  const inner = k < 0 ? undefined : product(given.move.splits[k].slice(1));
  if (given.move.joins[axis]?.length === 1 && typeof inner === "number" && step === 1) {
    const bounds = { axis: k, start: at(start) * inner, end: at(end) * inner, step };
    return slice(draft, node, given, shortened(given.move, k, count, inner), bounds);
  }
  const found = along(draft, node, given, axis);
  if (found === undefined) return false;
  const bounds = step > 0 ? { axis: found.own, start: at(start), end: at(end), step } : { axis: found.own, start, end, step };
  return slice(draft, node, found.held, resized(found.held.move, found.own, count), bounds);
}

/** A move whose core has fewer places along the first atom of an axis. */
function shortened(move: Move, axis: number, count: number, inner: number): Move {
  const gone = count === 1 ? 1 : 0;
  const rest = move.splits[axis].slice(1);
  const splits = move.splits.with(axis, gone === 1 ? rest : [count, ...rest]);
  const [old, now] = [idsOf(move), counted(splits)];
  const renamed = new Map(old.flatMap((list, k) => list.slice(k === axis ? gone : 0).map((i, j) => [i, now[k][j]] as const)));
  const joins = move.joins.map((join) => join.flatMap((i) => renamed.get(i) ?? []));
  return { from: move.from.with(axis, count * inner), splits, joins };
}

function slice(draft: Draft, node: GraphNode, held: Held, after: Move, cut: Cut): boolean {
  const [out] = node.outputs;
  const core = coreName(node, after);
  if (out === undefined || !draft.hold(out, core, after, held.order)) return false;
  const before = cutBefore(draft, node, held.core, cut, core);
  if (before === undefined) draft.core(cutFrom(draft, node, held.core, cut, core), after.from);
  return true;
}

const cutFrom = (draft: Draft, node: GraphNode, core: string, { axis, start, end, step }: Cut, to: string): NodeRecord =>
  make(node, "Slice", [core, ...[start, end, axis, step].map((v) => draft.list(node, [v]))], to);

/** What is cut from a layer: the layer of what is cut from its constants. */
function cutBefore(draft: Draft, node: GraphNode, core: string, cut: Cut, to: string): string | undefined {
  const [maker, shape] = [draft.makers.get(core), draft.shape(core)];
  if (maker === undefined || shape === undefined || maker.inputs.length !== 2 || cut.step !== 1) return undefined;
  const made = shape.with(cut.axis, cut.end - cut.start);
  const constant = (name: string, axis: number): string => {
    const part = `${name}/cut${axis},${cut.start},${cut.end}`;
    if (draft.isFixed(part)) return part;
    draft.nodes.push(cutFrom(draft, node, name, { ...cut, axis }, part));
    draft.fix(part);
    return part;
  };
  if (["Add", "Sub", "Mul", "Div"].includes(maker.opType) && !maker.inputs.some((name) => draft.isFixed(name))) {
    if (!maker.inputs.every((name) => sameShape(draft.shape(name), shape))) return undefined;
    const parts = maker.inputs.map((name, i) => cutBefore(draft, node, name, cut, `${to}/part${i}`));
    if (!parts.every((part) => part !== undefined)) return undefined;
    draft.core({ ...maker, inputs: parts, outputs: [to] }, made);
    return to;
  }
  const at = maker.inputs.findIndex((name) => draft.isFixed(name));
  const [w, x] = [maker.inputs[at], maker.inputs[1 - at]];
  const own = at < 0 ? undefined : draft.shape(w);
  if (own === undefined) return undefined;
  if (maker.opType === "Einsum" && at === 1) {
    const [operands, output] = new TextDecoder().decode(maker.attributes.get("equation")?.s).split("->");
    const [left, right] = operands.split(",");
    const label = output[cut.axis];
    if (left.includes(label)) return undefined;
    draft.core({ ...maker, inputs: [x, constant(w, right.indexOf(label))], outputs: [to] }, made);
    return to;
  }
  if (!["Add", "Sub", "Mul", "Div"].includes(maker.opType) || !sameShape(draft.shape(x), shape)) return undefined;
  const inside = cutBefore(draft, node, x, cut, `${to}/within`);
  const axis = cut.axis - shape.length + own.length;
  if (inside === undefined) return undefined;
  const part = axis < 0 || own[axis] === 1 ? w : constant(w, axis);
  draft.core({ ...maker, inputs: at === 0 ? [part, inside] : [inside, part], outputs: [to] }, made);
  return to;
}

export function joined(draft: Draft, node: GraphNode): boolean {
  if (node.domain !== "" || node.opType !== "Concat" || node.version < 5) return false;
  const [out] = node.outputs;
  const rank = draft.side.facts.rank(out);
  const held = node.inputs.map((value) => draft.of(value));
  const at = node.inputs.findIndex((value) => !draft.isConstant(value));
  const first = held[at];
  if (out === undefined || rank === undefined || first === undefined || isStill(first.move)) return false;
  const given = intAttr(node.record, "axis", 0);
  const axis = given < 0 ? given + rank : given;
  const found = along(draft, node, first, axis);
  if (found === undefined) return false;
  const { own } = found;
  const names: string[] = [];
  let total = 0;
  for (const [i, one] of held.entries()) {
    const size = draft.side.facts.size(node.inputs[i], axis);
    if (one === undefined || size === undefined) return false;
    total += size;
    const move = resized(found.held.move, own, size);
    const back = sameMove(one.move, move) ? undefined : backOf(one.move, move);
    const name = sameMove(one.move, move) ? one.core : back && draft.name(node, one.core, back);
    if (name === undefined) return false;
    names.push(name);
  }
  const after = resized(found.held.move, own, total);
  const core = coreName(node, after);
  if (!draft.hold(out, core, after, found.held.order)) return false;
  draft.core(withAxis(node, own, names, core), after.from);
  return true;
}

const backOf = (one: Move, move: Move): Move | undefined =>
  sameShape(shapeOf(one), shapeOf(move)) ? chained(one, inverse(move)) : undefined;

const withAxis = (node: GraphNode, axis: number, inputs: readonly string[], output: string): NodeRecord => ({
  ...node.record,
  attributes: new Map(node.record.attributes).set("axis", attribute(node, "axis", { i: axis })),
  inputs,
  outputs: [output],
});
