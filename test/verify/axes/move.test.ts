/** A move as numbers have it: chains of Reshapes and Transposes against the executor of indices below. */
import { describe, expect, it } from "vitest";
import type { Shape } from "../../../src/graph/dims.ts";
import {
  chained,
  inverse,
  isStill,
  type Move,
  permuted,
  reshaped,
  shapeOf,
  split,
  stepsOf,
  still,
  unsplit,
} from "../../../src/verify/proof/axes/move.ts";
import { randomOf } from "../../../src/verify/random.ts";

interface Numbers {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

function turned({ dims, data }: Numbers, perm: readonly number[]): Numbers {
  const to = perm.map((axis) => dims[axis]);
  const out = Array.from({ length: data.length }, (_, flat) => {
    const at = new Array<number>(dims.length).fill(0);
    for (let k = to.length - 1, rest = flat; k >= 0; k--) {
      at[perm[k]] = rest % to[k];
      rest = Math.floor(rest / to[k]);
    }
    return data[at.reduce((n, i, axis) => n * dims[axis] + i, 0)];
  });
  return { dims: to, data: out };
}

/** What the steps of a move make of numbers. */
function made(x: Numbers, move: Move): Numbers {
  return (stepsOf(move) ?? []).reduce<Numbers>(
    (y, step) =>
      "perm" in step ? turned(y, step.perm) : { dims: step.sizes.map((d, i) => (d === 0 ? y.dims[i] : d)), data: y.data },
    x,
  );
}

const counting = (dims: readonly number[]): Numbers => ({ dims, data: Array.from({ length: size(dims) }, (_, i) => i) });

describe("moves", () => {
  it("do what their Reshapes and Transposes do, in any order", () => {
    const random = randomOf("moves");
    const next = () => random.uniform();
    const pick = (n: number) => Math.floor(next() * n);
    let long = 0;
    for (let trial = 0; trial < 500; trial++) {
      const factors = Array.from({ length: 2 + pick(4) }, () => [1, 2, 2, 3, 4, 5][pick(6)]);
      const grouped = (list: readonly number[]): number[] => {
        const dims: number[] = [];
        for (const d of list) {
          if (dims.length > 0 && next() < 0.4) dims[dims.length - 1] *= d;
          else dims.push(d);
          if (next() < 0.15) dims.push(1);
        }
        return dims;
      };
      let x = counting(grouped(factors));
      const from = x;
      let move = still(x.dims) as Move;
      let second = move;
      for (let step = 0; step < 6; step++) {
        if (next() < 0.5) {
          const perm = x.dims.map((_, i) => i).toSorted(() => next() - 0.5);
          x = turned(x, perm);
          move = permuted(move, perm);
          second = permuted(second, perm);
        } else {
          const dims = grouped(next() < 0.5 ? factors : x.dims);
          const moved = reshaped(move, dims);
          const other = reshaped(second, dims);
          if (moved === undefined || other === undefined) continue;
          x = { dims, data: x.data };
          [move, second] = [moved, other];
          long++;
        }
        // From here on two moves, of which the second begins anew.
        if (step === 2) second = still(x.dims) as Move;
        expect(shapeOf(move)).toEqual(x.dims);
        expect(made(from, move)).toEqual(x);
      }
      const back = inverse(move);
      expect(made(x, back)).toEqual(from);
      expect(isStill(chained(move, back) as Move)).toBe(true);
      const apart = made(from, split(move));
      expect(made(apart, unsplit(move))).toEqual(x);
    }
    expect(long).toBeGreaterThan(300);
  });

  it("know symbols that divide, and no others", () => {
    const n = { factor: 1, symbols: ["N"] };
    const shape: Shape = [n, 6, { factor: 2, symbols: ["L"] }];
    const move = still(shape) as Move;
    expect(reshaped(move, [n, 2, 3, 2, { factor: 1, symbols: ["L"] }])).toBeDefined();
    expect(
      reshaped(move, [
        { factor: 6, symbols: ["N"] },
        { factor: 2, symbols: ["L"] },
      ]),
    ).toBeDefined();
    expect(reshaped(move, [n, 4, { factor: 3, symbols: ["L"] }])).toBeUndefined();
    expect(reshaped(move, [{ factor: 2, symbols: ["L"] }, 6, n])).toBeUndefined();
  });
});
