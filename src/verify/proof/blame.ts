/**
 * Whose fault it is when a place cannot be matched. An operator whose coefficients give a map that is none of the first
 * file's values is a suspect: when all goes on as if its map were that of such a value, and not otherwise, then its
 * coefficients are what differs, and how they differ is known number by number.
 */
import { plus, type Spread } from "../../affine/spread.ts";
import { says } from "../../diag/codes.ts";
import { hasTrait } from "../../graph/operators.ts";
import type { GraphNode } from "../../graph/view.ts";
import { isRefused, type Refused, type RuleNode } from "../../rules/types.ts";
import { memberOf, type Relation, type Suspicion } from "./relation.ts";
import type { Misfit } from "./rows.ts";

/** True for a refusal that says the map does not pass, and not only that too little is known. */
export const isFinal = (node: GraphNode, { refused }: Refused): boolean =>
  node.domain === "" &&
  ((hasTrait(node, "nonlinear") && !says(refused, "open")) ||
    says(refused, "impassable") ||
    (hasTrait(node, "products") && (refused === "weight-not-constant" || refused === "axis-blocks")));

/** True for a map of another value than its operator was meant to compute. */
export const isMistaken = (relation: Relation | undefined): boolean =>
  relation?.blame?.suspicions.some(({ core }) => core !== relation.core) ?? false;

/**
 * A shift of one channel before a convolution that pads with zeros adds Σ w·t inside, and less where taps fall outside: no
 * bias makes up for both. Undefined where every output is alike (one position) or no tap reads a shifted channel.
 */
export function borderMisfit(at: RuleNode, shift: Spread | undefined, refused: Refused): Misfit | undefined {
  const weight = at.state.opType === "Conv" && refused.refused === "padding-blocks" ? at.param(1) : undefined;
  const positions = at.outShape(0)?.slice(2);
  if (
    shift === undefined ||
    weight === undefined ||
    isRefused(weight) ||
    positions === undefined ||
    positions.every((d) => d === 1)
  )
    return undefined;
  const [, inner, ...kernel] = weight.dims;
  const taps = kernel.reduce((n, d) => n * d, 1);
  const values = weight.values();
  const perGroup = weight.dims[0] / at.int("group", 1);
  const channels = inner * at.int("group", 1);
  for (let o = 0; o < weight.dims[0]; o++) {
    for (let i = 0; i < inner; i++) {
      const channel = Math.floor(o / perGroup) * inner + i;
      const t = shift.data[shift.data.length === channels ? channel : 0];
      const w = values.subarray((o * inner + i) * taps, (o * inner + i + 1) * taps);
      // The first tap is the one that falls outside in the first corner.
      if (t !== 0 && w[0] !== 0)
        return {
          tensor: `${weight.source?.name ?? ""} at the border`,
          index: [o, i],
          expected: w.reduce((a, b) => a + b, 0) * t,
          got: 0,
        };
    }
  }
  return undefined;
}

/** Most numbers right first: what an operator almost computes is what it was meant to compute. */
export const bySimilarity = (list: readonly (Suspicion & { readonly matching: number })[]): Suspicion[] =>
  list.toSorted((x, y) => y.matching - x.matching).map(({ core, member, misfit }) => ({ core, member, misfit }));

/** What a map may have been meant to be, with how it differs; what its operator was accused of comes first. */
export function suspicionsOf(made: Relation, tensor: string): Suspicion[] {
  const { core, blame } = made;
  const known = blame?.suspicions ?? [];
  const own = memberOf(made);
  const others = core.members.filter(
    (member) =>
      member !== own &&
      !member.proposed &&
      member.scale.dims.length === made.scale.dims.length &&
      !known.some((s) => s.member === member),
  );
  const found = others.flatMap((member) => {
    const [openScale, openShift] = [member.open?.scale, member.open?.shift];
    const scale = difference(made.scale, member.scale, openScale ? plus(made.slackScale, openScale) : made.slackScale);
    const shift = difference(made.shift, member.shift, openShift ? plus(made.slackShift, openShift) : made.slackShift);
    const first = scale.first ?? shift.first;
    const what = scale.first === undefined ? "shift" : "gain";
    return first === undefined
      ? []
      : [{ core, member, misfit: { tensor: `${tensor} (${what})`, ...first }, matching: scale.matching + shift.matching }];
  });
  return [...known.filter((s) => s.core === core), ...bySimilarity(found), ...known.filter((s) => s.core !== core)];
}

/** The first number of x that is off, and how many are not; spreads of other axes are compared where they are numbers. */
function difference(
  x: Spread,
  y: Spread,
  slack: Spread,
): { first: { index: number[]; expected: number; got: number } | undefined; matching: number } {
  const n = Math.max(x.data.length, y.data.length);
  let first: { index: number[]; expected: number; got: number } | undefined;
  let matching = 0;
  const pick = ({ data }: Spread, i: number) => data[data.length === n ? i : 0];
  for (let i = 0; i < n; i++) {
    const [got, expected] = [pick(x, i), pick(y, i)];
    if (Math.abs(got - expected) <= pick(slack, i) + 2 ** -46 * Math.abs(expected)) matching++;
    else first ??= { index: [i], expected, got };
  }
  return { first, matching: matching / Math.max(1, n) };
}
