/** Why a node stays when candidates were solved for all at once: what it asks for that others which go contradict. */
import { stretch, together } from "../../affine/spread.ts";
import type { Candidate } from "../../laws/candidates.ts";
import type { Mover } from "../../laws/movers.ts";
import { type Kind, type Refused, refuse } from "../../rules/types.ts";
import { nameOf } from "../describe.ts";
import type { Contradiction } from "./search.ts";

/** Names listed in one sentence. */
const NAMED = 4;

/** Why candidate k cannot go along with the others; undefined where it cannot go whatever they do. */
export function contradiction(movers: readonly Mover[], k: number, { core, kind, entry }: Contradiction): Refused | undefined {
  const own = movers[k].found;
  const others = [...core].filter((other) => other !== k).map((other) => movers[other].found);
  const [first] = others;
  if (first === undefined) return undefined;
  if (kind === "name") return undefined;
  const noun = kind === "scale" ? "gains" : "shifts";
  if (others.length > 1) {
    const named = others.slice(0, NAMED).map(({ node }) => nameOf(node));
    const rest = others.length > NAMED ? ` and ${others.length - NAMED} more` : "";
    return refuse("other-reader", `cannot go along with ${named.join(", ")}${rest}, whose ${noun} contradict its own`, {
      node: own.node,
    });
  }
  const value = own.node.inputs[own.input];
  const both = value !== undefined && first.node.inputs[first.input] === value;
  const [mine, theirs] = [asked(own, kind, entry), asked(first, kind, entry)];
  const numbers =
    mine === undefined || theirs === undefined || mine === theirs
      ? ""
      : ` (channel ${entry}: ${short(mine)} and ${short(theirs)})`;
  const because = both
    ? `can go only instead of ${nameOf(first.node)}: both read "${value.name}" and ask for different ${noun}${numbers}`
    : `can go only instead of ${nameOf(first.node)}: they ask for different ${noun} where their values meet`;
  return refuse("other-reader", because, { node: own.node, ...(both ? { value } : {}) });
}

/** What a node asks of the value it reads, at one place: the gain s, or the shift below it, t/s. */
function asked({ scale, shift }: Candidate, kind: Kind, entry: number): number | undefined {
  const dims = scale.dims.map((d, axis) => together(d, shift.dims[axis]));
  let [s, t] = [scale, shift];
  for (const [axis, d] of dims.entries()) [s, t] = [stretch(s, axis, d), stretch(t, axis, d)];
  const gain = s.data[s.data.length === 1 ? 0 : entry];
  return kind === "scale" ? gain : t.data[t.data.length === 1 ? 0 : entry] / gain;
}

const short = (x: number): string => String(Number(x.toPrecision(3)));
