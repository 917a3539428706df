/**
 * What an If gives, from what its branches give: where each branch's result is m(α), of its counterpart's α in the first file, the
 * result of the If is m of its counterpart's. Whichever branch is taken, it is the same in both files, for its condition is.
 */
import { isPlain } from "../../affine/gauge.ts";
import { combine, every, plus, simplify } from "../../affine/spread.ts";
import { resultOf } from "../../graph/branches.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { type AffineMap, type Classes, composeMaps } from "./classes.ts";
import { exact, type InputMap, type Relation, relative, snap } from "./relation.ts";

interface Result {
  readonly value: GraphValue;
  readonly beta: Relation;
  readonly alpha: AffineMap;
}

export interface Chosen {
  readonly relation: Relation;
  /** The branches' results, which need not be those of the first file. */
  readonly settled: readonly GraphValue[];
}

/** Output `index` of an If beside that of its counterpart, `plain`; undefined where its branches do not give one map. */
export function chosen(
  node: GraphNode,
  other: GraphNode,
  index: number,
  plain: Relation,
  related: ReadonlyMap<GraphValue, Relation>,
  classes: Classes,
): Chosen | undefined {
  if (!isPlain(plain) || node.bodies.length === 0) return undefined;
  const results: Result[] = [];
  for (const body of node.bodies) {
    const twin = other.bodies.find(({ path }) => path === body.path);
    const [value, theirs] = [resultOf(body, index), twin && resultOf(twin, index)];
    const [beta, alpha] = [value && related.get(value), theirs && classes.of(theirs)];
    if (value === undefined || beta === undefined || alpha === undefined || beta.core !== alpha.core) return undefined;
    results.push({ value, beta, alpha });
  }
  const settled = results.map(({ value }) => value);
  const member = plain.core.members.find((one) =>
    results.every(({ beta, alpha }) => relative(beta, composeMaps(one, alpha))?.identity === true),
  );
  if (member !== undefined) return { relation: exact(plain.core, member), settled };
  const maps = results.map(({ beta, alpha }) => relative(beta, alpha));
  const one = maps.reduce((p, q) => p && q && common(p, q));
  if (one === undefined || one.scale.dims.length !== plain.scale.dims.length) return undefined;
  const { scale, shift, slackScale, slackShift } = one;
  return { relation: snap({ core: plain.core, scale, shift, slackScale, slackShift }).relation, settled };
}

/** Two maps that slack allows to be one: the first, with the slack of both. */
function common(p: InputMap, q: InputMap): InputMap | undefined {
  if (p.scale.dims.length !== q.scale.dims.length || p.budget !== undefined || q.budget !== undefined) return undefined;
  const meet = (kind: "scale" | "shift", slack: "slackScale" | "slackShift") => {
    const apart = combine(p[kind], q[kind], (x, y) => Math.abs(x - y));
    const room = plus(p[slack], q[slack]);
    const over = combine(apart, room, (d, r) => (d > r ? 1 : 0));
    return every(over, (v) => v === 0) ? simplify(plus(room, apart)) : undefined;
  };
  const [slackScale, slackShift] = [meet("scale", "slackScale"), meet("shift", "slackShift")];
  if (slackScale === undefined || slackShift === undefined) return undefined;
  return { ...p, slackScale, slackShift, identity: p.identity && q.identity };
}
