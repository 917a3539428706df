import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Dim, derived, dimText, divide, multiply, product, sameDim, sameShape, symbol } from "../../src/graph/dims.ts";

const NAMES = ["N", "H", "W"];
const dim: fc.Arbitrary<Dim> = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }))
  .map(([factor, names]) => names.reduce<Dim>((d, name) => multiply(d, symbol(name)), factor));
const sizes = fc.record({
  N: fc.integer({ min: 1, max: 5 }),
  H: fc.integer({ min: 1, max: 5 }),
  W: fc.integer({ min: 1, max: 5 }),
});
const at = (d: Dim, env: Record<string, number>): number =>
  typeof d === "number" ? d : d.symbols.reduce((n, s) => n * env[s], d.factor);

describe("symbolic sizes", () => {
  it("multiply and divide like the numbers they stand for", () => {
    fc.assert(
      fc.property(dim, dim, dim, sizes, (a, b, c, env) => {
        expect(at(multiply(a, b), env)).toBe(at(a, env) * at(b, env));
        expect(sameDim(multiply(a, b), multiply(b, a))).toBe(true);
        expect(sameDim(multiply(multiply(a, b), c), multiply(a, multiply(b, c)))).toBe(true);
        expect(sameDim(divide(multiply(a, b), b), a)).toBe(true);
        const q = divide(a, b);
        if (q !== undefined) expect(at(q, env) * at(b, env)).toBe(at(a, env));
        expect(at(product([a, b, c]), env)).toBe(at(a, env) * at(b, env) * at(c, env));
      }),
    );
  });

  it("are the same only when they are for every size", () => {
    fc.assert(
      fc.property(dim, dim, sizes, (a, b, env) => {
        if (sameDim(a, b)) expect(at(a, env)).toBe(at(b, env));
        expect(sameDim(a, a)).toBe(true);
        expect(dimText(a) === dimText(b)).toBe(sameDim(a, b));
      }),
    );
    expect(sameDim(undefined, undefined)).toBe(false);
    expect(sameShape(undefined, undefined)).toBe(false);
    expect(sameShape([1, symbol("N")], [1, symbol("N")])).toBe(true);
    expect(sameShape([1], [1, 1])).toBe(false);
  });

  it("divide by zero and by what is not a factor never", () => {
    expect(divide(4, 0)).toBeUndefined();
    expect(divide(4, 3)).toBeUndefined();
    expect(divide(symbol("N"), symbol("M"))).toBeUndefined();
    expect(multiply(symbol("N"), 0)).toBe(0);
  });

  it("name a formula after its inputs", () => {
    expect(derived("half", [6], (v) => v / 2)).toBe(3);
    expect(
      sameDim(
        derived("half", [symbol("N")], (v) => v / 2),
        derived("half", [symbol("N")], (v) => v / 2),
      ),
    ).toBe(true);
    expect(
      sameDim(
        derived("half", [symbol("N")], (v) => v / 2),
        derived("half", [symbol("M")], (v) => v / 2),
      ),
    ).toBe(false);
  });
});
