/**
 * The laws where less is known: the cases of the laws with an operand that is no constant, with sizes and with ranks that nobody tells.
 * A rule may refuse then; what it takes holds all the same, by the executor.
 */
import { describe, expect, it } from "vitest";
import type { Spread } from "../../src/affine/spread.ts";
import { ruleOf } from "../../src/rules/index.ts";
import type { Kind, MoveFn, Rule } from "../../src/rules/types.ts";
import { subjects } from "./laws/all.ts";
import { checkMove, type Direction, noticed, places, type Scene, scene } from "./laws/law.ts";
import { mapsOf } from "./laws/maps.ts";
import { type Case, labelOf, type Subject, versionsOf } from "./laws/subject.ts";

const MOVES: readonly (readonly [kind: Kind, direction: Direction, of: (rule: Rule) => readonly (MoveFn | undefined)[]])[] = [
  ["scale", "back", (rule) => [rule.backScale]],
  ["shift", "back", (rule) => [rule.backShift]],
  ["scale", "forward", (rule) => [rule.forwardScale]],
  ["shift", "forward", (rule) => [rule.forwardShift, rule.retyped?.forwardShift]],
];

/** The case with one thing less known of it. */
function* less(it: Case): Generator<Case> {
  yield { ...it, shapes: "ranks" };
  yield { ...it, shapes: "nothing" };
  for (const [i, operand] of it.inputs.entries()) {
    if (typeof operand === "string" || "open" in operand || "fed" in operand) continue;
    yield { ...it, inputs: it.inputs.with(i, { fed: operand }) };
  }
}

/** One map on each place, and one on all of them. */
function* assignments(s: Scene, kind: Kind, direction: Direction): Generator<(Spread | undefined)[]> {
  const found = places(s, direction);
  const maps = found.map(({ dims }) => mapsOf(dims, kind, true));
  const length = direction === "back" ? (s.it.outputs ?? 1) : s.it.inputs.length;
  const none = new Array<Spread | undefined>(length).fill(undefined);
  for (const [k, { index }] of found.entries()) for (const map of maps[k]) yield none.with(index, map);
  if (found.length > 1) yield found.reduce((by, { index }, k) => by.with(index, maps[k].at(-1)), none);
}

function problemsOf(it: Subject): string[] {
  const rule = ruleOf(it.op) as Rule;
  const problems: string[] = [];
  for (const each of it.cases.flatMap((one) => [...less(one)])) {
    const version = versionsOf(it, each).at(-1) as number;
    const label = `${labelOf(it.op, each)} (version ${version}, ${each.shapes ?? "one fed"})`;
    const s = scene(it.op, version, each);
    for (const [kind, direction, of] of MOVES) {
      for (const by of assignments(s, kind, direction)) {
        for (const move of of(rule)) {
          const outcome = move === undefined ? "refused" : checkMove(s, move(s.at, by), kind, direction, by);
          if (typeof outcome !== "string") problems.push(`${label}: ${kind} ${direction}: ${outcome.wrong}`);
        }
        const index = by.findIndex((one) => one !== undefined);
        const map = by[index] as Spread;
        if (direction === "back" || rule.ignores?.(s.at, index, kind, map) !== true) continue;
        const said = noticed(s, index, kind, map);
        if (said !== undefined) problems.push(`${label}: ignores a ${kind}: ${said}`);
      }
    }
  }
  return problems;
}

describe("the laws, with less known:", () => {
  it.each(subjects.map((s) => [s.op, s] as const))("%s", (_op, s) => {
    expect(problemsOf(s).slice(0, 20)).toEqual([]);
  });
});
