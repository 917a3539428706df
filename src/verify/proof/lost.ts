/**
 * Values of the first file on which channels are lost (a gain of zero), behind operators that only hand maps on. y = f(s ⊙ x + t)
 * is s' ⊙ f(x) + t', and its core is f(x): what another file computes from x before the map is then a map of it, too.
 */
import { every, map, type Spread, simplify, uniform } from "../../affine/spread.ts";
import { Draft } from "../../fold/draft.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { isZero } from "../../rules/params.ts";
import { passThrough } from "./carry.ts";
import type { AffineMap, Side } from "./classes.ts";
import { linearOf } from "./linear.ts";

/** The maps that come out of an operator of one computed input, whose map has lost something; undefined for any other. */
export function handedOn(
  { facts, constants }: Side,
  node: GraphNode,
  known: (value: GraphValue) => AffineMap | undefined,
): readonly AffineMap[] | undefined {
  const dynamic = node.inputs.flatMap((value, i) => (value === undefined || constants.has(value) ? [] : [{ value, i }]));
  const from = dynamic.length === 1 ? known(dynamic[0].value) : undefined;
  if (from === undefined || node.bodies.length > 0 || every(from.scale, (v) => v !== 0)) return undefined;
  if (linearOf(new Draft(facts, constants).at(node)) !== undefined) return undefined;
  const push = (scale: Spread, shift: Spread) => {
    const draft = new Draft(facts, constants);
    const none = uniform(scale.dims.length, 0);
    const maps = node.inputs.map((_, i) =>
      i === dynamic[0].i ? { scale, shift, slackScale: none, slackShift: none, identity: false } : undefined,
    );
    const carried = passThrough(draft, node, maps);
    return "ok" in carried || [...draft.changed()].length > 0 ? undefined : carried;
  };
  const one = uniform(from.scale.dims.length, 1);
  const [both, terms] = [push(from.scale, from.shift), isZero(from.magnitude) ? undefined : push(one, from.magnitude)];
  if (both === undefined || (terms === undefined && !isZero(from.magnitude))) return undefined;
  const out: AffineMap[] = [];
  for (const [i, value] of node.outputs.entries()) {
    const [scale, rank] = [both.scale[i], facts.rank(value)];
    if (value === undefined || scale === undefined || rank === undefined || scale.dims.length !== rank) return undefined;
    const zero = uniform(rank, 0);
    const shift = both.shift[i] ?? zero;
    const magnitude = terms?.shift[i] ?? zero;
    out.push({ scale: simplify(scale), shift: simplify(shift), magnitude: map(simplify(magnitude), Math.abs) });
  }
  return out;
}
