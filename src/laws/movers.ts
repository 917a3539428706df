/**
 * What has to hold for a candidate y = s ⊙ x + t to go, as equations of the gauges v_old = a ⊙ v_new + b on its two sides:
 *   a_y = s·a_x,   b_y − s·b_x = t        on each channel whose gain is not zero; one with a gain of zero asks for nothing (released.ts)
 */
import type { GraphNode, GraphValue } from "../graph/view.ts";
import type { Candidate } from "./candidates.ts";
import type { Reading } from "./reach.ts";
import { type Released, released } from "./released.ts";
import { Demand, each, filled, over, type Ratio, type Wire } from "./wires.ts";

/** A candidate as the search sees it. */
export interface Mover {
  readonly found: Candidate;
  /** False for one that only takes from its neighbours: a bias, one with a gain of zero that something else still needs. */
  readonly may: boolean;
  readonly demand: Demand;
  /** What holds instead when it stays: of −x and c − x, which turn signs only when they go. */
  readonly stays?: readonly Ratio[];
  /** Where its channels with a gain of zero end, if it goes. */
  readonly released?: Released;
}

/** −x and c − x. */
export const turns = ({ opType }: GraphNode, input: number): boolean => opType === "Neg" || (opType === "Sub" && input === 1);

/** False for a node that reads the value of a graph around its own. */
const isLocal = ({ node, input }: Candidate): boolean => node.inputs[input]?.scope === node.scope;

/** What a candidate between two gauges asks for. `open`: it may go; `lax`: for a bound, where a gain of zero is never released. */
export function moverOf(
  read: Reading,
  found: Candidate,
  [from, to]: readonly [Wire, Wire],
  { open, lax }: { readonly open: boolean; readonly lax: boolean },
): Mover {
  const { node, input, scale } = found;
  const free = open && found.proven && isLocal(found);
  const dead = scale.data.includes(0);
  const none = free && dead && !lax ? released(read, found) : undefined;
  const may = free && (none !== undefined || !dead);
  const demand = may ? demandOf(found, from, to) : new Demand();
  const made = { found, may, demand, ...(may && none !== undefined ? { released: none } : {}) };
  if (!turns(node, input) || lax) return made;
  const stays: Ratio[] = [];
  each(to.scale, from.scale, (x, y) => stays.push({ x, y, by: 1 }));
  return { ...made, stays };
}

function demandOf({ scale, shift }: Candidate, from: Wire, to: Wire): Demand {
  const demand = new Demand();
  const gains = over(from.scale, to.scale, scale);
  const s = filled(scale, gains).data;
  each(filled(to.scale, gains), filled(from.scale, gains), (x, y, k) => {
    if (s[k] !== 0) demand.gain(x, y, s[k]);
  });
  const shifts = over(from.shift, to.shift, scale, shift);
  const [by, t] = [filled(scale, shifts).data, filled(shift, shifts).data];
  each(filled(to.shift, shifts), filled(from.shift, shifts), (x, y, k) => {
    if (by[k] !== 0) demand.shift(x, y, by[k], t[k]);
  });
  return demand;
}

/** True where all that constant channels pass has a law, and the layers behind are open to change. */
export function isLookedThrough(
  { released }: Mover,
  wires: ReadonlyMap<GraphValue, Wire>,
  absorbers: ReadonlySet<GraphNode>,
): boolean {
  if (released === undefined) return true;
  const known = [...released.values.keys()].every((value) => wires.has(value));
  return known && [...released.layers].every((node) => absorbers.has(node));
}
