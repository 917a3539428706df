/**
 * What the affine operators of the first file would make of the values before them. A fold may carry a map back through
 * Reshapes, pixel shuffles, sums and products before a layer absorbs it; read off that layer's coefficients alone it is known
 * only within their rounding, and an embedding table has no coefficients to read it off. Each map is therefore brought back by
 * the laws that folding uses, and joins the class of every value it comes by. A proposal proves nothing: constants have to
 * agree with it like with any other member.
 */
import { isPlain } from "../../affine/gauge.ts";
import { isOne, isZero, map, type Spread, sameSpread, simplify, uniform } from "../../affine/spread.ts";
import { resultsOf } from "../../graph/branches.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode } from "../../graph/view.ts";
import { Draft } from "../../laws/draft.ts";
import { ruleOf } from "../../rules/index.ts";
import { isRefused, type Kind, type Step } from "../../rules/types.ts";
import { type AffineMap, type Classes, composeMaps, type Member } from "./classes.ts";

/** Proposals in one class, and ways through one operator. */
const MOST = 8;
const WAYS = 3;
/** Operators of more inputs or outputs are left out: what one output proposes would be asked of all. */
const WIDEST = 64;

/** Adds to the classes of a file what later operators propose. */
export function foresee(classes: Classes): void {
  const { view, facts, constants } = classes.side;
  const draft = new Draft(facts, constants);
  for (const node of view.nodes.toReversed()) {
    const branches = hasTrait(node, "branches");
    if (node.domain !== "" || (node.bodies.length > 0 && !branches)) continue;
    if (Math.max(node.inputs.length, node.outputs.length) > WIDEST) continue;
    for (const [i, value] of node.outputs.entries()) {
      const known = value && classes.of(value);
      // What makes another member of a class is affine: its map is in the members after it already.
      if (known === undefined || known.core.value !== value) continue;
      for (const member of known.core.members.filter((one) => !isPlain(one))) {
        if (branches) proposeToBranches(classes, node, i, member);
        else propose(classes, draft, node, i, member);
      }
    }
  }
}

/** What is made of the result of an If may have been made of what each branch gives. */
function proposeToBranches(classes: Classes, node: GraphNode, index: number, member: Member): void {
  for (const value of resultsOf(node, index)) {
    const from = value && classes.of(value);
    if (from === undefined || from.scale.dims.length !== member.scale.dims.length) continue;
    const { scale, shift } = member;
    const made = plain(composeMaps(member, from));
    join(from.core.members, { ...made, value: member.value, proposed: true, over: [{ from, scale, shift }] });
  }
}

/** Brings the map of output `index` back to the inputs. */
function propose(classes: Classes, draft: Draft, node: GraphNode, index: number, member: Member): void {
  const mark = draft.mark();
  const none: Step = { pass: [] };
  const scales = isOne(member.scale) ? [none] : (back(draft, node, index, "scale", member.scale) ?? []);
  for (const scaled of scales) {
    if (scaled.state !== undefined) draft.set(node, scaled.state);
    const shifts = isZero(member.shift) ? [none] : (back(draft, node, index, "shift", member.shift) ?? [none]);
    const sizes = isZero(member.shift) ? [] : (back(draft, node, index, "shift", member.magnitude) ?? []);
    for (const [way, shifted] of shifts.entries()) {
      for (const [i, value] of node.inputs.entries()) {
        const [scale, shift, size] = [scaled.pass[i], shifted.pass[i], sizes[way]?.pass[i]];
        const from = value && classes.of(value);
        const rank = (scale ?? shift)?.dims.length;
        if (from === undefined || rank === undefined || rank !== from.scale.dims.length) continue;
        const by = { scale: scale ?? uniform(rank, 1), shift: shift ?? uniform(rank, 0) };
        const made = composeMaps({ ...by, magnitude: map(size ?? by.shift, Math.abs) }, from);
        const proposal = { ...plain(made), value: member.value, proposed: true, over: [{ from, ...by }] };
        join(from.core.members, proposal);
        // The shift may have stayed behind, in another constant on the way.
        join(from.core.members, { ...proposal, over: [], shift: uniform(rank, 0), magnitude: uniform(rank, 0) });
      }
    }
    draft.undo(mark);
  }
}

const plain = ({ scale, shift, magnitude, open }: AffineMap): AffineMap => ({
  scale: simplify(scale),
  shift: simplify(shift),
  magnitude,
  ...(open === undefined ? {} : { open }),
});

function join(members: Member[], made: Member): void {
  if (members.filter(({ proposed }) => proposed).length >= MOST) return;
  if (!made.scale.data.every(Number.isFinite) || !made.shift.data.every(Number.isFinite)) return;
  const twin = members.find(({ scale, shift }) => sameSpread(scale, made.scale) && sameSpread(shift, made.shift));
  if (twin === undefined) members.push(made);
  else if (made.over !== undefined) twin.over?.push(...made.over);
}

function back(draft: Draft, node: GraphNode, index: number, kind: Kind, by: Spread): readonly Step[] | undefined {
  const rule = ruleOf(node.opType, node.domain);
  const list = new Array<Spread | undefined>(node.outputs.length).fill(undefined);
  list[index] = simplify(by);
  const move = (kind === "scale" ? rule?.backScale : rule?.backShift)?.(draft.at(node), list);
  return move === undefined || isRefused(move) ? undefined : move.slice(0, WAYS);
}
