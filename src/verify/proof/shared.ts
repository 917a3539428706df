/**
 * What values of the second file's main graph are of the first's: the same, or an exact map of one. Where both graphs are cut between them
 * (cuts.ts) each part is run on its own, so the value is told that nothing goes round: one of the same name, else of the same operator,
 * else any; and of an affine chain the one that others read, too.
 */
import type { Steps } from "../../diag/steps.ts";
import type { GraphValue, Scope } from "../../graph/view.ts";
import type { SharedValue } from "../cuts.ts";
import type { Member } from "./classes.ts";
import { isExact, type Relation, relative } from "./relation.ts";

/** What a walk over the second file related. */
export interface Related {
  /** The main graphs. */
  readonly a: Scope;
  readonly b: Scope;
  readonly related: ReadonlyMap<GraphValue, Relation>;
  /** True of a value that is taken for the first file's although that could not be shown. */
  readonly isDoubtful: (value: GraphValue) => boolean;
  /** In a normal form, where values are no longer what the files call so, only equal ones are told. */
  readonly rewritten: boolean;
}

/** By the second file's names. */
export function* sharedValues(walked: Related): Steps<Map<string, SharedValue>> {
  const found = new Map<string, SharedValue>();
  for (const [value, relation] of walked.related) {
    if (value.scope !== walked.b || walked.isDoubtful(value)) continue;
    yield;
    const shared = sharedValue(value, relation, walked);
    if (shared !== undefined) found.set(value.name, shared);
  }
  return found;
}

function sharedValue(value: GraphValue, relation: Relation, walked: Related): SharedValue | undefined {
  const members = relation.core.members.filter((m) => m.proposed !== true && m.value.scope === walked.a);
  const known = new Map<Member, boolean>();
  const isSame = (m: Member): boolean => {
    const same = known.get(m) ?? relative(relation, m)?.identity === true;
    known.set(m, same);
    return same;
  };
  // The likeliest first: maps of large values take their time.
  const named = members.find((m) => m.value.name === value.name);
  const best =
    (named && isSame(named) ? named : undefined) ??
    members.find((m) => m.value.producer?.opType === value.producer?.opType && isSame(m)) ??
    members.find(isSame);
  const plain = best && { name: best.value.name };
  if (!isExact(relation) || walked.rewritten) return plain;
  const cut = trunkOf(best ?? named, members, walked) ?? best ?? named;
  const map = cut === undefined || cut === best || cut.open !== undefined ? undefined : relative(relation, cut);
  if (cut === undefined || map === undefined) return plain;
  return { name: cut.value.name, ...(map.identity ? {} : { map: { scale: map.scale, shift: map.shift } }) };
}

/**
 * What a member comes out of, where others read that, too: a cut at one of its readers would leave the way to the others open.
 * Undefined where the second file has that value itself.
 */
function trunkOf(member: Member | undefined, members: readonly Member[], { b, related }: Related): Member | undefined {
  const inside = new Map(members.map((m) => [m.value, m]));
  let found: Member | undefined;
  for (let value = member?.value; value !== undefined; ) {
    value = value.producer?.inputs.find((read) => read !== undefined && inside.has(read));
    const own = value && b.values.get(value.name);
    if (value === undefined || value.readerCount < 2 || (own !== undefined && related.has(own))) continue;
    found = inside.get(value);
  }
  return found;
}
