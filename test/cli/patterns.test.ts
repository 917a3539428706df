import { describe, expect, it } from "vitest";
import { planOptionsOf } from "../../src/cli/plan-options.ts";
import { nameMatcher } from "../../src/engine/written.ts";

describe("nameMatcher", () => {
  it.each([
    ["bn1", "bn1", true],
    ["bn1", "bn10", false],
    ["bn?", "bn1", true],
    ["bn?", "bn", false],
    ["/layer1/*", "/layer1/0/bn", true],
    ["/layer1/*", "/layer10/bn", false],
    ["*bn*", "a\nbn\nb", true],
    ["a.b", "axb", false],
    ["a(b)[c]", "a(b)[c]", true],
  ])("%s on %j is %s", (pattern, name, expected) => expect(nameMatcher(pattern)(name)).toBe(expected));

  it("refuses an empty pattern", () => expect(() => nameMatcher("")).toThrow(/need a pattern/));
});

describe("planOptionsOf", () => {
  it("takes what any --only names and leaves what any --skip names", () => {
    const { only, skip } = planOptionsOf({ _: [], $0: "", only: ["bn*", "x"], skip: "bn2" });
    expect(["bn1", "x", "conv"].map((name) => only?.(name))).toEqual([true, true, false]);
    expect(["bn1", "bn2"].map((name) => skip?.(name))).toEqual([false, true]);
  });
  it("leaves the planner alone when nothing is said", () => {
    expect(planOptionsOf({ _: [], $0: "" })).toEqual({
      bnToConv: false,
      constantChannel: false,
      only: undefined,
      skip: undefined,
      partial: false,
      norms: false,
      reluToMax: false,
      merge: true,
      assumeConstant: false,
    });
  });
});
