/**
 * Concat with constant parts, in both files: the whole is k ⊙ (the first file's) + d for a member (k, d) of its class when each
 * computed part is mapped by the member's own part and each constant part c' is k·c + d within its rounding.
 */
import { combine, every, map, plus, type Spread, stretch, take, times } from "../../affine/spread.ts";
import { intAttr } from "../../graph/attributes.ts";
import type { GraphNode, GraphValue } from "../../graph/view.ts";
import { halfUlp, STORAGE_FLOATS } from "../../onnx/dtype.ts";
import { isRefused } from "../../rules/types.ts";
import type { AffineMap, Core, Member, Side } from "./classes.ts";
import type { InputMap } from "./relation.ts";
import { allows, distance, type Tolerance } from "./rows.ts";

const NOISE = 2 ** -46;

export interface Joined {
  readonly member: Member;
  readonly worst: number;
  readonly coefficients: number;
}

/** The member of `core` that `node` of the second file is, next to `other` of the first. */
export function joinedMember(
  a: Side,
  other: GraphNode,
  b: Side,
  node: GraphNode,
  maps: readonly (InputMap | undefined)[],
  known: (value: GraphValue) => AffineMap | undefined,
  core: Core,
  tolerance: Tolerance,
): Joined | undefined {
  const rank = a.facts.rank(other.outputs[0]);
  if (rank === undefined || node.inputs.length !== other.inputs.length) return undefined;
  const [axis, same] = [other, node].map(({ record }) => intAttr(record, "axis", 1)).map((v) => (v < 0 ? v + rank : v));
  if (axis !== same) return undefined;
  for (const member of core.members) {
    if (member.scale.dims.length !== rank) continue;
    let [first, worst, coefficients] = [0, 0, 0];
    let fits = true;
    for (const [i, value] of other.inputs.entries()) {
      const size = a.facts.shape(value)?.[axis];
      const varies = member.scale.dims[axis] > 1 || member.shift.dims[axis] > 1;
      if (varies && typeof size !== "number") return undefined;
      const part = (s: Spread) =>
        s.dims[axis] === 1
          ? s
          : take(
              s,
              axis,
              Array.from({ length: size as number }, (_, k) => first + k),
            );
      const by = maps[i];
      const mapped = by && { by, alpha: value && known(value) };
      const error = partError(a, value, b, node.inputs[i], mapped, [member.scale, member.shift].map(part), tolerance);
      if (typeof size === "number") first += size;
      if (error === undefined) {
        fits = false;
        break;
      }
      worst = Math.max(worst, error.worst);
      coefficients += error.count;
    }
    if (fits) return { member, worst, coefficients };
  }
  return undefined;
}

/** How far a part is off; undefined when it is another one. */
function partError(
  a: Side,
  x: GraphValue | undefined,
  b: Side,
  y: GraphValue | undefined,
  mapped: { readonly by: InputMap; readonly alpha: AffineMap | undefined } | undefined,
  [k, d]: readonly Spread[],
  tolerance: Tolerance,
): { worst: number; count: number } | undefined {
  if (mapped !== undefined) {
    const { by, alpha } = mapped;
    const near = (p: Spread, q: Spread, slack: Spread) =>
      every(
        combine(
          combine(p, q, (u, v) => Math.abs(u - v) - NOISE * Math.abs(v)),
          slack,
          (e, s) => (e <= s ? 1 : 0),
        ),
        (ok) => ok === 1,
      );
    if (alpha === undefined || alpha.scale.dims.length !== k.dims.length || every(alpha.scale, (v) => v !== 0))
      return near(by.scale, k, by.slackScale) && near(by.shift, d, by.slackShift) ? { worst: 0, count: 0 } : undefined;
    // A channel that is constant has any gain: there the constants are what has to agree.
    const live = map(alpha.scale, (v) => (v === 0 ? 0 : 1));
    const only = (s: Spread) => times(s, live);
    const fixed = (gain: Spread, shift: Spread) =>
      times(
        plus(times(gain, alpha.shift), shift),
        map(live, (v) => 1 - v),
      );
    const same =
      near(only(by.scale), only(k), by.slackScale) &&
      near(only(by.shift), only(d), by.slackShift) &&
      near(fixed(by.scale, by.shift), fixed(k, d), plus(by.slackShift, times(by.slackScale, map(alpha.shift, Math.abs))));
    return same ? { worst: 0, count: 0 } : undefined;
  }
  if (x === undefined || y === undefined || !a.constants.has(x) || !b.constants.has(y)) return undefined;
  const [p, q] = [a.constants.param(x, true), b.constants.param(y, true)];
  if (isRefused(p) || isRefused(q) || p.dims.length !== k.dims.length || p.dims.some((n, i) => n !== q.dims[i])) return undefined;
  const full = (s: Spread) => p.dims.reduce((out, n, i) => stretch(out, i, n), s);
  const [c, got] = [{ dims: p.dims, data: p.values() }, q.values()];
  const scaled = times(c, full(k));
  const expected = plus(scaled, full(d)).data;
  const terms = plus(map(scaled, Math.abs), map(full(d), Math.abs)).data;
  let worst = 0;
  const [openA, openB] = [a.budgets?.of(x), b.budgets?.of(y)];
  const gains = openA && full(k).data;
  for (let i = 0; i < got.length; i++) {
    const half = halfUlp(got[i], q.dtype);
    const error = distance(got[i], expected[i]);
    const budget =
      (openB?.[i] ?? 0) + (openA === undefined ? 0 : openA[i] * Math.abs(gains?.[gains.length === got.length ? i : 0] ?? 0));
    const noise = terms[i] * (tolerance.foreign ? 4 * STORAGE_FLOATS[q.dtype].unitRoundoff : NOISE);
    if (error !== 0 && !allows(1.01 * half + noise + budget, error)) return undefined;
    worst = Math.max(worst, error / half);
  }
  return { worst, count: got.length };
}
