import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { editDistance, nearest } from "../../src/cli/suggest.ts";

describe("editDistance", () => {
  it.each([
    ["", "", 0],
    ["fold", "fold", 0],
    ["flod", "fold", 1],
    ["sampels", "samples", 1],
    ["kitten", "sitting", 3],
    ["", "abc", 3],
  ])("%s to %s is %i", (a, b, n) => expect(editDistance(a, b)).toBe(n));

  it("is symmetric, zero only for equal words, and never more than the longer word", () => {
    const word = fc.string({ maxLength: 8, unit: fc.constantFrom("a", "b", "c", "-") });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const d = editDistance(a, b);
        expect(d).toBe(editDistance(b, a));
        expect(d === 0).toBe(a === b);
        expect(d).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

describe("nearest", () => {
  const words = ["samples", "seed", "shape", "strict", "skip"];
  it("finds what was meant", () => {
    expect(nearest("sampels", words)).toBe("samples");
    expect(nearest("sample", words)).toBe("samples");
    expect(nearest("stric", words)).toBe("strict");
  });
  it("says nothing about words that are far from all", () => {
    expect(nearest("quantize", words)).toBeUndefined();
    expect(nearest("xy", words)).toBeUndefined();
  });
});
