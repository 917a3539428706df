import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  blockMoments,
  joinSubtrees,
  MomentsTree,
  mergeMoments,
  type Subtree,
  totalMoments,
  varianceOf,
} from "../../src/train/moments.ts";
import { numbers } from "./nets.ts";

/** Mean and variance over exact fractions: the numbers are multiples of 2⁻¹⁰, so bigints hold every sum. */
function exact(values: readonly number[]): { mean: number; variance: number } {
  const units = values.map((v) => BigInt(Math.round(v * 1024)));
  const n = BigInt(values.length);
  const sum = units.reduce((a, b) => a + b, 0n);
  const squares = units.reduce((a, b) => a + b * b, 0n);
  const over = n * squares - sum * sum;
  return { mean: Number(sum) / Number(n) / 1024, variance: Number(over) / Number(n * n) / 1024 ** 2 };
}

const dyadic = fc.integer({ min: -(2 ** 20), max: 2 ** 20 }).map((i) => i / 1024);
const block = (values: readonly number[]) =>
  blockMoments(Float64Array.from(values), { batch: values.length, channels: 1, inner: 1 });

describe("blockMoments", () => {
  it("is mean and population variance to 1e-12", () => {
    fc.assert(
      fc.property(fc.array(dyadic, { minLength: 2, maxLength: 60 }), (values) => {
        const { mean, variance } = exact(values);
        const found = block(values);
        expect(Math.abs(found.mean[0] - mean)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(mean)));
        expect(Math.abs(varianceOf(found)[0] - variance)).toBeLessThanOrEqual(1e-12 * Math.max(1e-6, variance));
      }),
    );
  });

  it("loses nothing to an offset a billion times the spread", () => {
    const values = [4, 7, 13, 16].map((v) => 1e9 + v);
    expect(block(values).mean[0]).toBe(1e9 + 10);
    expect(varianceOf(block(values), true)[0]).toBe(30);
    expect(varianceOf(block(values))[0]).toBe(22.5);
  });

  it("keeps channels apart", () => {
    const x = Float64Array.from([1, 2, 10, 20, 3, 4, 30, 40]);
    const found = blockMoments(x, { batch: 2, channels: 2, inner: 2 });
    expect([...found.mean]).toEqual([2.5, 25]);
    expect([...varianceOf(found)]).toEqual([1.25, 125]);
  });
});

describe("mergeMoments", () => {
  it("weighs parts by their elements", () => {
    fc.assert(
      fc.property(
        fc.array(dyadic, { minLength: 1, maxLength: 40 }),
        fc.array(dyadic, { minLength: 1, maxLength: 40 }),
        (a, b) => {
          const { mean, variance } = exact([...a, ...b]);
          const merged = mergeMoments(block(a), block(b));
          expect(merged.count).toBe(a.length + b.length);
          expect(Math.abs(merged.mean[0] - mean)).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(mean)));
          expect(Math.abs(varianceOf(merged)[0] - variance)).toBeLessThanOrEqual(1e-12 * Math.max(1e-6, variance));
        },
      ),
    );
  });
});

describe("the fixed tree", () => {
  const leaves = (n: number) => Array.from({ length: n }, (_, i) => block(numbers(1 + (i % 5), i + 1)));
  const bits = (m: { count: number; mean: Float64Array; m2: Float64Array }) => [m.count, m.mean[0], m.m2[0]];
  const shard = (all: ReturnType<typeof leaves>, from: number, to: number): readonly Subtree[] => {
    const tree = new MomentsTree();
    for (let i = from; i < to; i++) tree.add(i, all[i]);
    return tree.subtrees;
  };

  it("gives the same bits for any number of shards in any order", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.integer({ min: 0, max: 50 })), fc.integer(), (n, cuts, seed) => {
        const all = leaves(n);
        const edges = [...new Set([0, ...cuts.filter((cut) => cut < n), n])].sort((a, b) => a - b);
        const shards = edges.slice(1).map((end, i) => shard(all, edges[i], end));
        const order = numbers(shards.length, seed >>> 0);
        const shuffled = shards.map((part, i) => ({ part, at: order[i] })).sort((a, b) => a.at - b.at);
        const merged = totalMoments(
          shuffled.flatMap(({ part }) => part),
          n,
        );
        expect(bits(merged)).toEqual(bits(totalMoments(shard(all, 0, n), n)));
      }),
    );
  });

  it("is a tree of the shape it says", () => {
    const [a, b, c, d, e, f] = leaves(6);
    const whole = mergeMoments(mergeMoments(mergeMoments(a, b), mergeMoments(c, d)), mergeMoments(e, f));
    expect(bits(totalMoments(shard(leaves(6), 0, 6), 6))).toEqual(bits(whole));
    const seven = leaves(7);
    const last = mergeMoments(mergeMoments(seven[4], seven[5]), seven[6]);
    const left = mergeMoments(mergeMoments(seven[0], seven[1]), mergeMoments(seven[2], seven[3]));
    expect(bits(totalMoments(shard(seven, 0, 7), 7))).toEqual(bits(mergeMoments(left, last)));
  });

  it("holds few subtrees while blocks come in order", () => {
    const tree = new MomentsTree();
    for (let i = 0; i < 1000; i++) tree.add(i, block([i]));
    expect(tree.subtrees.length).toBeLessThanOrEqual(10);
  });

  it("refuses a block that comes twice and one that never comes", () => {
    const all = leaves(5);
    expect(() => joinSubtrees([...shard(all, 0, 3), ...shard(all, 2, 5)])).toThrow(/more than one/);
    expect(() => totalMoments([...shard(all, 0, 2), ...shard(all, 3, 5)], 5)).toThrow(/blocks 2 to 2 of 5/);
    expect(() => totalMoments(shard(all, 0, 4), 5)).toThrow(/blocks 4 to 4 of 5/);
    expect(() => totalMoments([], 0)).toThrow(/missing/);
  });
});
