/**
 *   f(M(x), z) element by element      M(f(x, z')), z' = z with M undone
 *
 *   BatchNormalization(M(x))           M(x ⊙ g' + h'), g = γ / √(σ² + ε), h = β − μ · g
 *
 * x is the first made of the operands that are as large as the result. An axis of z that the result spreads out stays one: M undone has to
 * keep its atoms together, or z is a constant and spread out first, or x is taken atom by atom.
 */
import { intAttr } from "../../../graph/attributes.ts";
import { type Dim, type Shape, sameDim } from "../../../graph/dims.ts";
import { hasTrait, traitsOf } from "../../../graph/operators.ts";
import type { GraphNode, GraphValue } from "../../../graph/view.ts";
import { Body } from "../normal/body.ts";
import { make } from "../normal/rewriting.ts";
import { coreName, type Draft, type Held, heldShape } from "./held.ts";
import { chained, counted, idsOf, isStill, type Move, reshaped, sameMove, still } from "./move.ts";

export const isElementwise = (node: GraphNode): boolean =>
  node.domain === "" && node.outputs.length === 1 && hasTrait(node, "basic", "function", "pointwise", "broadcasts");

/** Spelled out to the rank of what it stands beside; undefined where it has more axes, or others. */
function spelledOut(shape: Shape, beside: Shape): Shape | undefined {
  const lead = beside.length - shape.length;
  if (lead < 0) return undefined;
  const full = beside.map((_, axis) => shape[axis - lead] ?? 1);
  return full.every((d, axis) => d === 1 || sameDim(d, beside[axis])) ? full : undefined;
}

/** Constants are spread out up to this many numbers. */
const MOST = 2 ** 20;

/** An operand as it stands beside the core of another: its name, or "atoms" where that has to be taken apart first. */
export function beside(draft: Draft, node: GraphNode, z: Held, by: Move, shape: Shape): string | "atoms" | undefined {
  const own = heldShape(z);
  if (own.every((d) => d === 1) && own.length <= by.from.length) return draft.name(node, z.core, z.move);
  const full = spelledOut(own, shape);
  const given = full && reshaped(z.move, full);
  if (full === undefined || given === undefined) return undefined;
  const has = new Set(by.joins.flatMap((join, axis) => (full[axis] === 1 ? [] : join)));
  const atoms = by.splits.flat();
  const axes = idsOf(by);
  const order = by.joins.flat().filter((i) => has.has(i));
  const splits = by.joins.map((join) => join.filter((i) => has.has(i)).map((i) => atoms[i]));
  const place = (i: number) => order.indexOf(i);
  const mixed = axes.filter((list) => list.some((i) => has.has(i)) && list.some((i) => !has.has(i)));
  if (mixed.length === 0) {
    const move = chained(given, { from: full, splits, joins: axes.map((list) => list.filter((i) => has.has(i)).map(place)) });
    return move && draft.name(node, z.core, move);
  }
  const size = atoms.reduce<number>((n, d) => n * (typeof d === "number" ? d : Number.POSITIVE_INFINITY), 1);
  if (!draft.isFixed(z.core) || size > MOST) return "atoms";
  // A constant: spread out where an axis of the core needs all of its atoms.
  const flat = chained(given, { from: full, splits, joins: atoms.map((_, i) => (has.has(i) ? [place(i)] : [])) });
  const narrow = flat && draft.name(node, z.core, flat);
  if (narrow === undefined) return undefined;
  const wide = atoms.map((d, i): Dim => (has.has(i) || mixed.some((list) => list.includes(i)) ? d : 1));
  const name = `${narrow}/wide${draft.nodes.length}`;
  draft.nodes.push(make(node, "Expand", [narrow, draft.list(node, wide as number[])], name));
  draft.fix(name);
  const parts = wide.map((d) => (d === 1 ? [] : [d]));
  const ids = counted(parts);
  return draft.name(node, name, { from: wide, splits: parts, joins: axes.map((list) => list.flatMap((i) => ids[i])) });
}

/** What only says which type, or which one number. */
const isAside = (draft: Draft, node: GraphNode, i: number): boolean =>
  traitsOf(node)?.sees?.[i] !== undefined || node.inputs[i] === undefined || draft.side.facts.rank(node.inputs[i]) === 0;

/** The operand that gives the result its axes: the first that was made of those as large as it. */
function anchorOf(draft: Draft, node: GraphNode, shape: Shape): Held | undefined {
  const full = node.inputs.flatMap((value, i): Held[] => {
    const held = isAside(draft, node, i) || draft.isConstant(value) ? undefined : draft.of(value);
    return held !== undefined && draft.narrow(value) === undefined && sameShapes(heldShape(held), shape) ? [held] : [];
  });
  return full.reduce<Held | undefined>((first, one) => (first === undefined || one.order < first.order ? one : first), undefined);
}

const sameShapes = (p: Shape, q: Shape): boolean => p.length === q.length && p.every((d, i) => sameDim(d, q[i]));

/** Writes an operator down before what moves its operands. */
export function elementwise(draft: Draft, node: GraphNode): boolean {
  const [out] = node.outputs;
  const shape = draft.side.facts.shape(out);
  if (!isElementwise(node) || out === undefined || shape === undefined || (node.inputs.length > 1 && node.version < 7))
    return false;
  const byAxis = node.opType === "QuantizeLinear" || node.opType === "DequantizeLinear";
  const anchor = anchorOf(draft, node, shape);
  if (anchor === undefined || (byAxis && node.inputs.some((_, i) => i > 0 && !isAside(draft, node, i)))) return false;
  for (const by of [anchor, draft.atoms(node, anchor)]) {
    const names = by && operandsBeside(draft, node, by, shape);
    if (by === undefined || names === undefined) return false;
    if (names === "atoms") continue;
    const core = coreName(node, by.move);
    if (!draft.hold(out, core, by.move, by.order)) return false;
    draft.core({ ...node.record, inputs: names, outputs: [core] }, by.move.from);
    return true;
  }
  return false;
}

function operandsBeside(draft: Draft, node: GraphNode, by: Held, shape: Shape): string[] | "atoms" | undefined {
  const names: string[] = [];
  for (const [i, value] of node.inputs.entries()) {
    // What is spread out to the result is so by the operator itself.
    const held = draft.narrow(value) ?? draft.of(value);
    if (isAside(draft, node, i) || (isStill(by.move) && draft.isConstant(value))) names.push(draft.operand(value, node));
    else if (held !== undefined && sameMove(held.move, by.move)) names.push(held.core);
    else {
      const name = held && beside(draft, node, held, by.move, shape);
      if (name === "atoms" || name === undefined) return name;
      names.push(name);
    }
  }
  return names;
}

/** A frozen normalization of what is moved, as what it does to each element; of float32, as its ε is. */
export function normalized(draft: Draft, node: GraphNode): boolean {
  const [[x, scale], [out, more]] = [node.inputs, node.outputs];
  const [held, shape] = [draft.of(x), draft.side.facts.shape(out)];
  if (node.domain !== "" || node.opType !== "BatchNormalization" || node.version < 9 || out === undefined || more) return false;
  if (held === undefined || shape === undefined || isStill(held.move) || !node.inputs.slice(1).every((v) => draft.isConstant(v)))
    return false;
  const [own, { attributes }] = [draft.side.facts.shape(scale), node.record];
  if (own?.length !== 1 || draft.side.facts.of(x).dtype !== 1 || intAttr(node.record, "training_mode", 0) !== 0) return false;
  const body = new Body(node);
  const [, gamma, beta, mean, variance] = node.inputs.map((value) => draft.operand(value, node));
  const open = body.step("open", "Add", [variance, body.number("epsilon", attributes.get("epsilon")?.f ?? Math.fround(1e-5))]);
  const gain = body.step("gain", "Div", [gamma, body.step("deviation", "Sqrt", [open])]);
  const shift = body.step("shift", "Sub", [beta, body.step("moved", "Mul", [mean, gain])]);
  const along = reshaped(still(own) as Move, [own[0], ...shape.slice(2).map(() => 1)]);
  if (along === undefined) return false;
  for (const name of [gain, shift]) draft.fix(name);
  draft.nodes.push(...body.nodes);
  for (const by of [held, draft.atoms(node, held)]) {
    if (by === undefined) return false;
    const [g, h] = [gain, shift].map((core) => beside(draft, node, { core, move: along, order: -1 }, by.move, shape));
    if (g === undefined || h === undefined) return false;
    if (g === "atoms" || h === "atoms") continue;
    const core = coreName(node, by.move);
    if (!draft.hold(out, core, by.move, by.order)) return false;
    draft.core(make(node, "Mul", [by.core, g], `${core}/scaled`), by.move.from);
    draft.core(make(node, "Add", [`${core}/scaled`, h], core), by.move.from);
    return true;
  }
  return false;
}

/** Adds a constant, of a shape of its own, to what a layer made. */
export function added(
  draft: Draft,
  node: GraphNode,
  product: Held,
  value: GraphValue | undefined,
  to: Shape,
  shape: Shape,
): Held | undefined {
  const own = draft.of(value);
  const move = own && reshaped(own.move, to);
  const name = own && move && beside(draft, node, { ...own, move }, product.move, shape);
  if (name === undefined || name === "atoms") return undefined;
  const core = `${product.core}/sum`;
  draft.core(make(node, "Add", [product.core, name], core), product.move.from);
  return { ...product, core };
}
