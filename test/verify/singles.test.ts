import { describe, expect, it } from "vitest";
import type { Layout } from "../../src/verify/proof/rows.ts";
import { type Stored32, singlesFit } from "../../src/verify/proof/singles.ts";

const [ROWS, COLUMNS] = ["rows", "columns"] as const;

/** Numbers by row and position, laid out either way. */
const stored = (layout: Layout, count: number, width: number, of: (row: number, i: number) => number): Stored32 => {
  const data = new Float32Array(count * width);
  for (let o = 0; o < count; o++)
    for (let i = 0; i < width; i++) data[layout === "rows" ? o * width + i : i * count + o] = of(o, i);
  return { layout, read: (start, out) => out.set(data.subarray(start, start + out.length)) };
};

/** More than 2¹⁶ numbers, in lines shorter and longer than that: one tile does not hold them. */
const sizes = [
  [3, 5],
  [70_000, 2],
  [2, 70_000],
  [300, 300],
] as const;
const layouts = [ROWS, COLUMNS].flatMap((x) => [ROWS, COLUMNS].map((y) => [x, y] as const));

describe.each(layouts)("float32 numbers, %s beside %s", (first, second) => {
  it.each(sizes)("%i times %i are compared each with its own", (count, width) => {
    const x = (o: number, i: number) => 1 + ((o * 7 + i * 3) % 11);
    const gains = Float64Array.from({ length: count }, (_, o) => [2, -1, 0.5][o % 3]);
    const worst = (y: (o: number, i: number) => number, weight = 1, theirs = x) =>
      singlesFit(stored(first, count, width, theirs), stored(second, count, width, y), { count, width }, gains, weight);
    const right = (o: number, i: number) => gains[o] * x(o, i);
    expect(worst(right)).toBe(0);
    // A float32 number and the next are two half-ulps apart.
    for (const [row, at] of [
      [0, 0],
      [count - 1, width - 1],
      [count >> 1, width >> 1],
    ]) {
      const ulp = 2 ** (Math.floor(Math.log2(Math.abs(right(row, at)))) - 23);
      const next = (o: number, i: number) => right(o, i) + (o === row && i === at ? ulp * Math.sign(gains[row]) : 0);
      expect(worst(next), `${row}, ${at}`).toBeUndefined();
      expect(worst(next, 2), `${row}, ${at}`).toBe(2);
    }
    // Of a row that is all zeros any gain is right; one number in it is enough for one.
    const last = (o: number, i: number) => (o === count - 1 ? (i === width - 1 ? 1 : 0) : x(o, i));
    expect(worst((o, i) => gains[o] * last(o, i), 1, last)).toBe(0);
    const dead = (o: number, i: number) => (o === count - 1 ? 0 : x(o, i));
    expect(worst((o, i) => gains[o] * dead(o, i), 1, dead)).toBeUndefined();
  });
});

describe("half a unit in the last place", () => {
  const one = (x: number, y: number, gain: number, weight: number) =>
    singlesFit(
      stored(ROWS, 1, 1, () => x),
      stored(ROWS, 1, 1, () => y),
      { count: 1, width: 1 },
      Float64Array.of(gain),
      weight,
    );

  it("is that of numbers below the smallest normal, too", () => {
    // They lie 2⁻¹⁴⁹ apart.
    expect(one(1, 3 * 2 ** -149, 2.5 * 2 ** -149, 1)).toBe(1);
    expect(one(1, 3 * 2 ** -149, 2.25 * 2 ** -149, 1)).toBeUndefined();
    expect(one(1, 0, 2 ** -150, 1)).toBe(1);
  });

  it("doubles at each power of two, and nothing is near NaN or an infinity", () => {
    expect(one(1, 2, 2 + 2 ** -23, 1)).toBe(1);
    expect(one(1, 2 - 2 ** -23, 2 - 1.5 * 2 ** -23, 1)).toBe(1);
    expect(one(1, 2 - 2 ** -23, 2 - 3 * 2 ** -23, 1)).toBeUndefined();
    const [lowest, largest] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (const [x, y] of [
      [1, Number.NaN],
      [Number.NaN, 1],
      [1, largest],
      [largest, 1],
      [lowest, largest],
    ])
      expect(one(x, y, 1, 1)).toBeUndefined();
  });
});
