/**
 * Normalizations by statistics of the data, y = γ ⊙ n(x) + β, as what they are: n, which both files must compute alike, and an
 * affine map after it, so that γ and β may stand in the operator of one file and in what reads it in the other. Where a gain is
 * zero the class of y has n for its core: nothing of n is lost.
 */
import { combine, every, map, plus, type Spread, times, uniform } from "../../affine/spread.ts";
import { Draft } from "../../fold/draft.ts";
import type { GraphNode } from "../../graph/view.ts";
import { ownMap } from "../../rules/norms.ts";
import { fresh } from "../../rules/params.ts";
import { isRefused, type Param, withParam } from "../../rules/types.ts";
import type { AffineMap, Core, Side } from "./classes.ts";
import { linearOf } from "./linear.ts";
import type { Relation } from "./relation.ts";

/** γ and β of a normalization that can be compared as rows of coefficients; undefined for any other operator. */
export function normMap({ facts, constants }: Side, node: GraphNode): AffineMap | undefined {
  const at = new Draft(facts, constants).at(node);
  const own = ownMap(at);
  if (own === undefined || isRefused(own) || linearOf(at) === undefined) return undefined;
  return { ...own, magnitude: map(own.shift, Math.abs) };
}

/** Makes a normalization of a draft n itself: γ = 1, β = 0. */
export function bare(draft: Draft, node: GraphNode): void {
  const at = draft.at(node);
  let { state } = at;
  for (const [index, value] of [
    [1, 1],
    [2, 0],
  ] as const) {
    const param = at.has(index) ? at.param(index) : undefined;
    if (param === undefined || isRefused(param)) continue;
    state = withParam(state, index, filled(param, value));
  }
  draft.set(node, state);
}

function filled({ dtype, dims }: Param, value: number): Param {
  const size = dims.reduce((n, d) => n * d, 1);
  return fresh(dtype, dims, () => new Float64Array(size).fill(value));
}

/** n as a map of its own core. */
export const bareMap = (core: Core, rank: number): AffineMap & { core: Core } => ({
  core,
  scale: uniform(rank, 1),
  shift: uniform(rank, 0),
  magnitude: uniform(rank, 0),
});

/** A map with what rounding leaves open of it. */
type Open = Pick<Relation, "scale" | "shift" | "slackScale" | "slackShift">;

/** Ones (of either sign, where the input's went into them) and zeros are not rounded, and a gain or a shift that may be that of the first file is that: nothing is open then. */
function settle({ scale, shift, slackScale, slackShift }: Open, own: AffineMap): Open {
  const none = (s: Spread) => uniform(s.dims.length, 0);
  const one = (x: Spread, slack: Spread, mine: Spread, plain: number): [Spread, Spread] => {
    if (every(x, (v) => Math.abs(v) === plain)) return [x, none(x)];
    const off = combine(
      combine(x, mine, (v, m) => Math.abs(v - m)),
      slack,
      (e, s) => e - s,
    );
    return every(off, (e) => e <= 0) ? [mine, none(mine)] : [x, slack];
  };
  const [k, openK] = one(scale, slackScale, own.scale, 1);
  const [d, openD] = one(shift, slackShift, own.shift, 0);
  return { scale: k, shift: d, slackScale: openK, slackShift: openD };
}

/**
 * A map of n as a map of the core of y = γ ⊙ n + β: n itself is the core where a gain is zero (`lost`), else y is, and
 * k ⊙ n + d = (k/γ) ⊙ y + (d − (k/γ) ⊙ β).
 */
export function overCore(made: Open, own: AffineMap, lost: boolean): Open {
  const settled = settle(made, own);
  if (lost) return settled;
  const over = (x: Spread) => combine(x, own.scale, (v, g) => v / g);
  const abs = (x: Spread) => map(x, Math.abs);
  const scale = over(settled.scale);
  const slackScale = abs(over(settled.slackScale));
  return {
    scale,
    shift: combine(settled.shift, times(scale, own.shift), (d, m) => d - m),
    slackScale,
    slackShift: plus(settled.slackShift, times(slackScale, abs(own.shift))),
  };
}
