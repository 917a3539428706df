import { describe, expect, it } from "vitest";
import { fillWith, randomOf } from "../../src/verify/random.ts";

describe("numbers that come again", () => {
  const filled = (length: number, turn?: (drawn: Float64Array) => ArrayLike<number>) => {
    const data = new Float64Array(length);
    let next = 0;
    fillWith(data, () => next++, turn);
    return data;
  };

  it("are drawn one by one as far as that is few", () => {
    expect([...filled(5)]).toEqual([0, 1, 2, 3, 4]);
    expect(filled(0).length).toBe(0);
  });

  it("come again in the same order, after a prime number of them", () => {
    const data = filled(20_000);
    expect(data.every((x, i) => x === i % 8191)).toBe(true);
  });

  it("are turned before they come again", () => {
    const data = filled(9000, (drawn) => drawn.map((x) => -x));
    expect(data.every((x, i) => x === -(i % 8191))).toBe(true);
  });
});

describe("a stream", () => {
  it("is the same for the same path, and another for another", () => {
    const of = (...path: (string | number)[]) =>
      Array.from({ length: 4 }, () => 0).map(
        (() => {
          const r = randomOf(...path);
          return () => r.uniform();
        })(),
      );
    expect(of(1, "x")).toEqual(of(1, "x"));
    expect(of(1, "x")).not.toEqual(of(1, "y"));
    expect(of(1, "x")).not.toEqual(of(2, "x"));
  });
});
