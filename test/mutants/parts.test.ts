/** What the runner of mutants believes of the tests hangs on these: which part of a text is where, and that each notes that it ran. */
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { mutantsOf, mutated, parses } from "../../scripts/mutants/mutate.ts";
import { partAround, partsOf, traced } from "../../scripts/mutants/parts.ts";

const TEXT = `
const twice = (x) => x * 2;
function sign(x) {
  if (x < 0) return -1;
  else if (x === 0) { return 0; }
  return x > 10 ? (y => y)(big(x)) : 1;
}
const big = function (x) { return x > 20 && twice(x) || x; };
class Box { constructor(v) { this.v = v ?? 7; } get half() { return this.v / 2; } }
`;

/** The parts that ran, by their text. */
function ran(call: string): string[] {
  const global = globalThis as { __ran?: number[] };
  global.__ran = [];
  new Function(`${ts.transpile(traced(TEXT, 100), { target: ts.ScriptTarget.ES2022 })};${call}`)();
  const parts = partsOf(TEXT);
  return Object.keys(global.__ran).map((n) => TEXT.slice(parts[Number(n) - 100].start, parts[Number(n) - 100].end));
}

describe("parts of a source", () => {
  it("note that they ran, and no other does", () => {
    expect(ran("twice(1)")).toEqual(["x * 2"]);
    expect(ran("sign(-1)").slice(1)).toEqual(["return -1;"]);
    expect(ran("sign(0)").slice(2)).toEqual(["{ return 0; }"]);
    expect(ran("sign(1)").slice(2)).toEqual(["1"]);
    expect(ran("sign(11)")).toContain("(y => y)(big(x))");
    expect(ran("sign(11)")).toEqual(expect.arrayContaining(["y", "x"]));
    expect(ran("sign(11)")).not.toContain("twice(x)");
    expect(ran("sign(21)")).toEqual(expect.arrayContaining(["twice(x)", "x * 2"]));
    expect(ran("new Box(1).half")).not.toContain("7");
    expect(ran("new Box().half")).toEqual(["{ this.v = v ?? 7; }", "7", "{ return this.v / 2; }"]);
  });

  it("leave what a text computes as it is", () => {
    const results = (text: string) =>
      new Function(`${text}; return [-3, 0, 5, 11, 30].map((x) => [sign(x), twice(x), big(x), new Box(x).half])`)() as unknown;
    (globalThis as { __ran?: number[] }).__ran = [];
    expect(results(traced(TEXT, 0))).toEqual(results(TEXT));
  });

  it("stand around each mutant, the innermost of them", () => {
    const parts = partsOf(TEXT);
    const around = mutantsOf(TEXT).map((mutant) => {
      const part = partAround(parts, mutant);
      return `${mutated(TEXT, mutant).slice(mutant.start, mutant.start + mutant.replacement.length)} in ${part === undefined ? "" : TEXT.slice(parts[part].start, parts[part].end).slice(0, 12)}`;
    });
    expect(around).toContain("!(x < 0) in {\n  if (x < ");
    expect(around).toContain("/ in x * 2");
    expect(around).toContain("8 in 7");
    expect(around).toContain("&& in { return x >");
  });

  it("are of programs: what is none is no mutant", () => {
    expect(parses("const a = b || c;")).toBe(true);
    expect(parses("const a = b ?? c || d;")).toBe(false);
  });
});
