/** The smallest set that meets all conflicts: against every subset there is. */
import { describe, expect, it } from "vitest";
import { hittingSet, packing } from "../../src/fold/gauge/cover.ts";

/** Sets of `size` numbers below n, the same for the same seed. */
function conflicts(n: number, count: number, size: number, seed: number): Set<number>[] {
  let state = seed;
  const random = (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  return Array.from({ length: count }, () => new Set(Array.from({ length: size }, () => random(n))));
}

const meets = (set: ReadonlySet<number>, core: ReadonlySet<number>) => [...core].some((x) => set.has(x));

/** The least number of elements that meet all, by trying all sets. */
function fewest(n: number, cores: readonly ReadonlySet<number>[]): number {
  const masks = cores.map((core) => [...core].reduce((mask, x) => mask | (1 << x), 0));
  let best = n;
  for (let chosen = 0; chosen < 1 << n; chosen++) {
    let [size, left] = [0, chosen];
    for (; left !== 0; left &= left - 1) size++;
    if (size < best && masks.every((mask) => (mask & chosen) !== 0)) best = size;
  }
  return best;
}

describe("a set that meets every conflict", () => {
  it.each([1, 2, 3, 4])("is the smallest there is, of conflicts of up to %i", (size) => {
    for (let seed = 1; seed <= 40; seed++) {
      const cores = conflicts(12, 4 + (seed % 17), size, seed);
      const { set, exact } = hittingSet(cores);
      expect(exact).toBe(true);
      expect(cores.every((core) => meets(set, core))).toBe(true);
      expect(set.size, `seed ${seed}`).toBe(fewest(12, cores));
      expect(packing(cores)).toBeLessThanOrEqual(set.size);
    }
  });

  it("is one, and said not to be known as the smallest, where there are too many to try", () => {
    const cores = conflicts(150, 900, 3, 7);
    const { set, exact } = hittingSet(cores);
    expect(exact).toBe(false);
    expect(cores.every((core) => meets(set, core))).toBe(true);
    expect(set.size).toBeLessThan(150);
  });

  it("is empty where there is no conflict", () => {
    expect(hittingSet([])).toEqual({ set: new Set(), exact: true });
  });
});
