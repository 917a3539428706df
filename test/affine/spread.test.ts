import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  along,
  axesOf,
  combine,
  factors,
  fitsInto,
  invert,
  isOne,
  isZero,
  join,
  negate,
  numberOf,
  operand,
  permute,
  plus,
  type Spread,
  sameSpread,
  scaleInPlace,
  simplify,
  stretch,
  take,
  times,
  uniform,
} from "../../src/affine/spread.ts";

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
const number = fc.integer({ min: -8, max: 8 });
const filledShape = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
const shape = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 4 });
/** A spread over part of the axes of a shape. */
const over = (dims: readonly number[]): fc.Arbitrary<Spread> =>
  fc.array(fc.boolean(), { minLength: dims.length, maxLength: dims.length }).chain((on) => {
    const own = dims.map((d, i) => (on[i] ? d : 1));
    return fc
      .array(number, { minLength: size(own), maxLength: size(own) })
      .map((data) => ({ dims: own, data: Float64Array.from(data) }));
  });
const several = (n: number, sizes = shape) =>
  sizes.chain((dims) => fc.tuple(fc.constant(dims), ...Array.from({ length: n }, () => over(dims))));
const full = (s: Spread, dims: readonly number[]): Spread => dims.reduce((out, d, i) => stretch(out, i, d), s);
const equal = (a: Spread, b: Spread, dims: readonly number[]) =>
  expect([...full(a, dims).data].map((v) => v + 0)).toEqual([...full(b, dims).data].map((v) => v + 0));

describe("element-wise combination", () => {
  it("is commutative and associative for sums and products, and distributes", () => {
    fc.assert(
      fc.property(several(3), ([dims, a, b, c]) => {
        equal(plus(a, b), plus(b, a), dims);
        equal(times(a, b), times(b, a), dims);
        equal(plus(plus(a, b), c), plus(a, plus(b, c)), dims);
        equal(times(times(a, b), c), times(a, times(b, c)), dims);
        equal(times(a, plus(b, c)), plus(times(a, b), times(a, c)), dims);
        equal(plus(a, negate(a)), uniform(dims.length, 0), dims);
      }),
    );
  });

  it("is what it is on full tensors", () => {
    fc.assert(
      fc.property(several(2), ([dims, a, b]) => {
        const [x, y] = [full(a, dims), full(b, dims)];
        equal(
          combine(a, b, (p, q) => 3 * p - q),
          { dims, data: x.data.map((v, i) => 3 * v - y.data[i]) },
          dims,
        );
      }),
    );
  });

  it("composes affine maps associatively, with the identity on either side", () => {
    const compose = ([s2, t2]: Spread[], [s1, t1]: Spread[]) => [times(s2, s1), plus(times(s2, t1), t2)];
    fc.assert(
      fc.property(several(6), ([dims, ...list]) => {
        const [f, g, h] = [list.slice(0, 2), list.slice(2, 4), list.slice(4, 6)];
        const [left, right] = [compose(compose(f, g), h), compose(f, compose(g, h))];
        const one = [uniform(dims.length, 1), uniform(dims.length, 0)];
        for (const i of [0, 1]) {
          equal(left[i], right[i], dims);
          equal(compose(one, f)[i], f[i], dims);
          equal(compose(f, one)[i], f[i], dims);
        }
      }),
    );
  });
});

describe("moving numbers", () => {
  it("permutes back and forth", () => {
    fc.assert(
      fc.property(
        several(1).chain(([dims, s]) =>
          fc.tuple(
            fc.constant(dims),
            fc.constant(s),
            fc.shuffledSubarray(
              dims.map((_, i) => i),
              { minLength: dims.length, maxLength: dims.length },
            ),
          ),
        ),
        ([, s, perm]) => {
          const inverse = perm.map((_, i) => perm.indexOf(i));
          const there = permute(s, perm);
          expect(there.dims).toEqual(perm.map((p) => s.dims[p]));
          expect(permute(there, inverse)).toEqual(s);
        },
      ),
    );
  });

  it("takes apart what it joins", () => {
    fc.assert(
      fc.property(
        shape
          .chain((dims) => fc.tuple(fc.constant(dims), fc.nat(dims.length - 1), fc.integer({ min: 1, max: 3 })))
          .chain(([dims, axis, n]) => {
            const parts = Array.from({ length: n }, (_, k) => dims.with(axis, ((dims[axis] + k) % 3) + 1));
            return fc.tuple(fc.constant(axis), fc.constant(parts), fc.tuple(...parts.map(over)));
          }),
        ([axis, parts, list]) => {
          const joined = join(
            list,
            axis,
            parts.map((d) => d[axis]),
          );
          let first = 0;
          for (const [k, dims] of parts.entries()) {
            const part = take(
              joined,
              axis,
              Array.from({ length: dims[axis] }, (_, i) => first + i),
            );
            equal(part, list[k], dims);
            first += dims[axis];
          }
        },
      ),
    );
  });

  it("simplifies to the fewest axes without changing anything", () => {
    fc.assert(
      fc.property(several(2, filledShape), ([dims, a, b]) => {
        const s = simplify(a);
        equal(s, a, dims);
        for (const axis of axesOf(s)) expect(simplify(s).dims[axis]).toBeGreaterThan(1);
        expect(sameSpread(full(a, dims), s)).toBe(true);
        expect(sameSpread(a, b)).toBe(full(a, dims).data.every((v, i) => v === full(b, dims).data[i]));
      }),
    );
  });

  it("does not take spreads of different ranks for the same", () => {
    expect(sameSpread(along(1, 0, Float64Array.of(1, 2)), along(2, 0, Float64Array.of(1, 2)))).toBe(false);
    expect(sameSpread(uniform(1, 2), uniform(3, 2))).toBe(false);
  });

  it("scales a tensor in place as broadcasting does", () => {
    fc.assert(
      fc.property(several(1), ([dims, s]) => {
        const values = Float64Array.from({ length: size(dims) }, (_, i) => i - 3);
        const wanted = full(s, dims).data.map((v, i) => v * values[i]);
        expect([...scaleInPlace(values.slice(), dims, s)].map((v) => v + 0)).toEqual([...wanted].map((v) => v + 0));
      }),
    );
  });

  it("aligns operands to the right", () => {
    expect(operand(Float64Array.of(1, 2, 3), [3], 3)?.dims).toEqual([1, 1, 3]);
    expect(operand(Float64Array.of(2, 2, 2), [3], 3)?.dims).toEqual([1, 1, 1]);
    expect(operand(Float64Array.of(1), [1, 1], 1)).toBeUndefined();
  });
});

describe("what fits into a tensor", () => {
  const of = (...dims: number[]) => ({ dims, data: new Float64Array(dims.reduce((n, d) => n * d, 1)) });
  it("has its rank, and on each axis one number or as many as it has", () => {
    expect([of(1, 3, 1), of(2, 3, 4), of(1, 1, 1)].map((s) => fitsInto(s, [2, 3, 4]))).toEqual([true, true, true]);
    expect([of(3, 1), of(1, 2, 1), of(4, 3, 2)].map((s) => fitsInto(s, [2, 3, 4]))).toEqual([false, false, false]);
  });
});

describe("a product of spreads over one axis each", () => {
  it("is found, with the size in the first, and multiplies to the spread", () => {
    const s = { dims: [1, 2, 3], data: Float64Array.of(2, 4, 6, -4, -8, -12) };
    const found = factors(s, 0) as Spread[];
    expect(found.map(({ dims }) => dims)).toEqual([
      [1, 2, 1],
      [1, 1, 3],
    ]);
    expect([...found.reduce(times).data]).toEqual([...s.data]);
    expect([...found[1].data].every((v) => Math.abs(v) <= 1)).toBe(true);
  });
  it("is none of one axis, of nothing but zeros, of what is not finite, and of what is no product", () => {
    const one = (dims: number[], ...data: number[]) => factors({ dims, data: Float64Array.from(data) }, 0);
    expect(one([1, 3], 1, 2, 3)).toBeUndefined();
    expect(one([2, 2], 0, 0, 0, 0)).toBeUndefined();
    expect(one([2, 2], 1, Number.POSITIVE_INFINITY, 1, 1)).toBeUndefined();
    expect(one([2, 2], 1, 1, 1, 2)).toBeUndefined();
    expect(factors({ dims: [2, 2], data: Float64Array.of(1, 1, 1, 1 + 2 ** -30) }, 2 ** -29)).toBeDefined();
  });
});

describe("one number for all", () => {
  const of = (...data: number[]) => along(2, 1, Float64Array.from(data));
  it("is read where there is one, and only there", () => {
    expect([numberOf(uniform(3, 7)), numberOf(of(0)), numberOf(of(2, 2))]).toEqual([7, 0, undefined]);
  });
  it("is a gain of one or a shift of zero where all numbers are", () => {
    expect([isOne(of(1, 1)), isOne(of(1, 2)), isOne(of(0, 0))]).toEqual([true, false, false]);
    expect([isZero(of(0, -0)), isZero(of(0, 1)), isZero(of(1, 1))]).toEqual([true, false, false]);
  });
  it("is inverted, as each number is", () => {
    expect([...invert(of(2, -4, 0.5)).data]).toEqual([0.5, -0.25, 2]);
  });
});
