/**
 * Every law of src/rules/ on numbers, per operator and version, by the executor alone (laws/law.ts). What a rule refuses is counted, so
 * that no law holds because it is never used: `laws/accepted.json` says how many maps each move of each operator takes at least.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Spread } from "../../src/affine/spread.ts";
import { operators } from "../../src/ops/index.ts";
import { ruleOf } from "../../src/rules/index.ts";
import type { Kind, MoveFn, Rule } from "../../src/rules/types.ts";
import { pass } from "../../src/rules/types.ts";
import { subjects } from "./laws/all.ts";
import { checkMove, type Direction, noticed, places, type Scene, scene } from "./laws/law.ts";
import { mapsOf } from "./laws/maps.ts";
import { c, labelOf, type Subject, versionsOf, x } from "./laws/subject.ts";

const file = new URL("laws/accepted.json", import.meta.url);
const accepted = JSON.parse(readFileSync(file, "utf8")) as Record<string, Record<string, number>>;

const MOVES: readonly (readonly [name: string, kind: Kind, direction: Direction, of: (rule: Rule) => MoveFn | undefined])[] = [
  ["backScale", "scale", "back", (rule) => rule.backScale],
  ["backShift", "shift", "back", (rule) => rule.backShift],
  ["forwardScale", "scale", "forward", (rule) => rule.forwardScale],
  ["forwardShift", "shift", "forward", (rule) => rule.forwardShift],
  ["forwardShift, retyped", "shift", "forward", (rule) => rule.retyped?.forwardShift],
];

/** Operators that have moves for a shift only to say why it does not pass. */
const REFUSE_SHIFTS = new Set(["RoiAlign", "MaxRoiPool", "Trilu"]);

/** Maps on one place after the other, and on all of them at once. */
function* assignments(s: Scene, kind: Kind, direction: Direction): Generator<(Spread | undefined)[]> {
  const found = places(s, direction);
  const maps = found.map(({ dims }) => mapsOf(dims, kind, s.it.few));
  const length = direction === "back" ? (s.it.outputs ?? 1) : s.it.inputs.length;
  const on = (list: readonly (readonly [number, Spread])[]) => {
    const by = new Array<Spread | undefined>(length).fill(undefined);
    for (const [index, map] of list) by[index] = map;
    return by;
  };
  for (const [k, { index }] of found.entries()) for (const map of maps[k]) yield on([[index, map]]);
  if (found.length < 2) return;
  const shortest = Math.min(...maps.map((list) => list.length));
  for (let i = 0; i < shortest; i++) yield on(found.map(({ index }, k) => [index, maps[k][i]] as const));
}

const shown = (by: readonly (Spread | undefined)[]): string =>
  by.map((s) => (s === undefined ? "-" : `[${s.dims}]{${s.data.slice(0, 8)}}`)).join(" ");

interface Tally {
  readonly taken: Record<string, number>;
  readonly problems: string[];
}

/** All moves of one case at one version. */
function checkCase(s: Scene, rule: Rule, label: string, { taken, problems }: Tally): void {
  for (const [name, kind, direction, of] of MOVES) {
    const move = of(rule);
    if (move === undefined) continue;
    for (const by of assignments(s, kind, direction)) {
      const outcome = checkMove(s, move(s.at, by), kind, direction, by);
      if (outcome === "refused") continue;
      taken[name] = (taken[name] ?? 0) + 1;
      if (outcome !== "holds") problems.push(`${label}: ${name} by ${shown(by)}: ${outcome.wrong}`);
    }
  }
  if (rule.ignores === undefined) return;
  for (const kind of ["scale", "shift"] as const) {
    for (const { index, dims } of places(s, "forward")) {
      for (const by of mapsOf(dims, kind)) {
        if (!rule.ignores(s.at, index, kind, by)) continue;
        taken.ignores = (taken.ignores ?? 0) + 1;
        const said = noticed(s, index, kind, by);
        if (said !== undefined) problems.push(`${label}: ignores a ${kind} by ${shown([by])}: ${said}`);
      }
    }
  }
}

function tallyOf(it: Subject): Tally {
  const tally: Tally = { taken: {}, problems: [] };
  const rule = ruleOf(it.op) as Rule;
  for (const each of it.cases) {
    for (const version of versionsOf(it, each)) {
      const label = `${labelOf(it.op, each)} (version ${version})`;
      try {
        checkCase(scene(it.op, version, each), rule, label, tally);
      } catch (error) {
        tally.problems.push(`${label}: ${(error as Error).stack}`);
      }
    }
  }
  return tally;
}

describe("the laws, on numbers:", () => {
  const counts: Record<string, Record<string, number>> = {};
  it.each(subjects.map((s) => [s.op, s] as const))("%s", (op, s) => {
    const { taken, problems } = tallyOf(s);
    expect(problems.slice(0, 20)).toEqual([]);
    counts[op] = taken;
    const rule = ruleOf(op) as Rule;
    const unused = MOVES.filter(
      ([name, , , of]) =>
        of(rule) !== undefined && taken[name] === undefined && !(REFUSE_SHIFTS.has(op) && name.endsWith("Shift")),
    ).map(([name]) => name);
    expect(unused).toEqual([]);
    if (process.env.BNFOLD_UPDATE !== undefined) return;
    // What a rule took it goes on taking. When it rightly takes less, or more, write the counts anew: BNFOLD_UPDATE=1 npx vitest run test/rules/laws.test.ts
    const fewer = Object.entries(accepted[op] ?? {}).filter(([name, n]) => !((taken[name] ?? 0) >= n));
    expect(fewer.map(([name, n]) => `${name}: ${taken[name] ?? 0} instead of ${n}`)).toEqual([]);
    expect(Object.keys(taken).filter((name) => accepted[op]?.[name] === undefined)).toEqual([]);
  });

  it("writes the counts when told to", ({ skip }) => {
    if (process.env.BNFOLD_UPDATE === undefined) return skip();
    writeFileSync(file, `${JSON.stringify(counts, undefined, 2)}\n`);
  });
});

describe("the table of laws", () => {
  it("has every operator with a rule, in every version with a meaning of its own here", () => {
    const gaps = operators().flatMap(({ domain, type, since }) => {
      if (domain !== "" || ruleOf(type) === undefined) return [];
      const tried = new Set(
        subjects.filter(({ op }) => op === type).flatMap((s) => s.cases.flatMap((each) => versionsOf(s, each))),
      );
      if (tried.size === 0) return [type];
      return since
        .filter((v, i) => ![...tried].some((t) => t >= v && t < (since[i + 1] ?? Number.POSITIVE_INFINITY)))
        .map((v) => `${type} ${v}`);
    });
    expect(gaps).toEqual([]);
  });

  it("sees a law that does not hold", () => {
    const s = scene("Conv", 22, { inputs: [x(1, 2, 4), c([2, 2, 1])] });
    const by: Spread = { dims: [1, 2, 1], data: Float64Array.of(2, 4) };
    // A gain handed on to other channels than it came from, and one that is dropped.
    expect(checkMove(s, pass(by), "scale", "back", [by])).toHaveProperty("wrong");
    expect(checkMove(s, [{ pass: [] }], "scale", "back", [by])).toHaveProperty("wrong");
    expect(checkMove(s, [{ pass: [] }], "shift", "forward", [by])).toHaveProperty("wrong");
    expect(noticed(s, 0, "shift", by)).toBeDefined();
  });
});
