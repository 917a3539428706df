import { describe, expect, it } from "vitest";
import { evaluate, evaluateAll, ints, list, noisy, real } from "./evaluate.ts";

const ones = (n: number): number[] => new Array<number>(n).fill(1);
const counting = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("Conv", () => {
  it("splits the padding of SAME_UPPER and SAME_LOWER as the operator says", () => {
    const [x, w] = [real([1, 1, 4], [1, 2, 3, 4]), real([1, 1, 2], [1, 10])];
    expect(list(evaluate("Conv", 22, [x, w], { auto_pad: "SAME_UPPER" }))).toEqual([21, 32, 43, 4]);
    expect(list(evaluate("Conv", 22, [x, w], { auto_pad: "SAME_LOWER" }))).toEqual([10, 21, 32, 43]);
    expect(list(evaluate("Conv", 22, [x, w], { auto_pad: "VALID" }))).toEqual([21, 32, 43]);
    expect(evaluate("Conv", 22, [x, w], { auto_pad: "SAME_UPPER", strides: [3] }).dims).toEqual([1, 1, 2]);
  });

  it("keeps groups apart and adds the bias", () => {
    const x = real([1, 4, 1, 2], [1, 2, 3, 4, 5, 6, 7, 8]);
    const w = real([2, 2, 1, 1], [1, 10, 100, 1000]);
    const y = evaluate("Conv", 11, [x, w, real([2], [0.5, -0.5])], { group: 2 });
    expect(y.dims).toEqual([1, 2, 1, 2]);
    expect(list(y)).toEqual([31.5, 42.5, 7499.5, 8599.5]);
  });

  it("accepts a kernel of any rank", () => {
    const y = evaluate("Conv", 22, [real([1, 1, 2, 2, 2, 2], ones(16)), real([1, 1, 2, 2, 2, 2], counting(16))]);
    expect(list(y)).toEqual([120]);
  });

  it("says what does not fit", () => {
    const w = real([1, 3, 1], [1, 1, 1]);
    expect(() => evaluate("Conv", 22, [real([1, 2, 3], counting(6)), w])).toThrow(/2 channels do not fit/);
    expect(() => evaluate("Conv", 22, [real([1, 3, 1], counting(3)), w], { auto_pad: "SAME" })).toThrow(/auto_pad SAME/);
    expect(() => evaluate("Conv", 22, [real([1, 3, 1], counting(3)), w], { pads: [1] })).toThrow(/pads has 1 entries/);
  });

  it("integers are exact, zero points subtracted before padding", () => {
    const x = ints("uint8", [1, 1, 2, 2], [10, 11, 12, 13]);
    const w = ints("uint8", [1, 1, 2, 2], [2, 2, 2, 3]);
    const zero = (v: number) => ints("uint8", [], [v]);
    const y = evaluate("ConvInteger", 10, [x, w, zero(10), zero(1)], { pads: [1, 1, 0, 0] });
    expect(y.dtype).toBe("int32");
    expect(list(y)).toEqual([0, 2, 4, 9]);
    const scale = (v: number) => real([], [v]);
    const q = evaluate("QLinearConv", 10, [x, scale(0.5), zero(10), w, scale(0.5), zero(1), scale(0.5), zero(3)], {
      pads: [1, 1, 0, 0],
    });
    // 0, 1, 2, 4.5: ties go to even, then the zero point is added.
    expect(list(q)).toEqual([3, 4, 5, 7]);
  });

  it("scales per output channel", () => {
    const x = ints("uint8", [1, 1, 1], [10]);
    const w = ints("int8", [2, 1, 1], [3, 3]);
    const inputs = [x, real([], [1]), ints("uint8", [], [0]), w, real([2], [1, 2]), ints("int8", [2], [0, 1]), real([], [1])];
    expect(list(evaluate("QLinearConv", 10, [...inputs, ints("uint8", [], [1])]))).toEqual([31, 41]);
  });
});

describe("ConvTranspose", () => {
  const [x, w] = [real([1, 1, 3], [1, 2, 3]), real([1, 1, 2], [1, 10])];

  it("spreads each input over its taps", () => {
    expect(list(evaluate("ConvTranspose", 22, [x, w]))).toEqual([1, 12, 23, 30]);
    expect(list(evaluate("ConvTranspose", 22, [x, w], { strides: [3] }))).toEqual([1, 10, 0, 2, 20, 0, 3, 30]);
    expect(list(evaluate("ConvTranspose", 22, [x, w], { strides: [3], output_padding: [1] }))).toEqual([
      1, 10, 0, 2, 20, 0, 3, 30, 0,
    ]);
    expect(list(evaluate("ConvTranspose", 22, [x, w, real([1], [5])], { dilations: [2] }))).toEqual([6, 7, 18, 25, 35]);
  });

  it("derives the padding from output_shape and auto_pad", () => {
    expect(list(evaluate("ConvTranspose", 22, [x, w], { output_shape: [3] }))).toEqual([12, 23, 30]);
    expect(list(evaluate("ConvTranspose", 22, [x, w], { output_shape: [3], auto_pad: "SAME_UPPER" }))).toEqual([1, 12, 23]);
    expect(list(evaluate("ConvTranspose", 22, [x, w], { auto_pad: "SAME_LOWER" }))).toEqual([12, 23, 30]);
    expect(list(evaluate("ConvTranspose", 22, [x, w], { pads: [1, 1] }))).toEqual([12, 23]);
  });

  it("is Conv's adjoint for groups and two axes", () => {
    const inner = (a: ArrayLike<unknown>, b: ArrayLike<unknown>): number =>
      Array.from(a, Number).reduce((sum, v, i) => sum + v * Number(b[i]), 0);
    const attributes = { group: 2, strides: [2, 3], pads: [1, 0, 0, 2], dilations: [1, 2] };
    const weight = noisy([4, 3, 3, 2], 3);
    const image = noisy([2, 4, 4, 5], 4);
    const up = evaluate("ConvTranspose", 22, [image, weight], attributes);
    const probe = noisy(up.dims, 5);
    const down = evaluate("Conv", 22, [probe, weight], attributes);
    expect(down.dims).toEqual(image.dims);
    expect(inner(up.data, probe.data)).toBeCloseTo(inner(image.data, down.data), 9);
  });
});

describe("DeformConv", () => {
  const attributes = { strides: [2, 1], pads: [1, 1, 0, 2], dilations: [1, 2], group: 2 };
  const [x, w, b] = [noisy([2, 4, 6, 7], 1), noisy([6, 2, 2, 3], 2), noisy([6], 3)];
  const plain = evaluate("Conv", 22, [x, w, b], attributes);
  const [, , oh, ow] = plain.dims;

  it("is Conv when nothing is shifted", () => {
    const offset = real([2, 24, oh, ow], new Array(2 * 24 * oh * ow).fill(0));
    const y = evaluate("DeformConv", 19, [x, w, offset, b], { ...attributes, offset_group: 2 });
    list(y).forEach((v, i) => {
      expect(v).toBeCloseTo(plain.data[i] as number, 12);
    });
  });

  it("moves by whole elements, and the mask scales", () => {
    const shift = [0, 1];
    const offset = real(
      [2, 12, oh, ow],
      Array.from({ length: 2 * 12 * oh * ow }, (_, i) => shift[Math.floor(i / (oh * ow)) % 2]),
    );
    const mask = real([2, 6, oh, ow], new Array(2 * 6 * oh * ow).fill(0.5));
    const y = evaluate("DeformConv", 22, [x, w, offset, undefined, mask], attributes);
    const moved = evaluate("Conv", 22, [x, w], { ...attributes, pads: [1, 0, 0, 3] });
    list(y).forEach((v, i) => {
      expect(v).toBeCloseTo(0.5 * (moved.data[i] as number), 12);
    });
  });
});

describe("Col2Im", () => {
  it("counts how many blocks cover an element", () => {
    const y = evaluateAll("Col2Im", 18, [
      real([1, 4, 4], ones(16)),
      { dtype: "int64", dims: [2], data: BigInt64Array.of(3n, 3n) },
      { dtype: "int64", dims: [2], data: BigInt64Array.of(2n, 2n) },
    ])[0];
    expect(y?.dims).toEqual([1, 1, 3, 3]);
    expect(list(y)).toEqual([1, 2, 1, 2, 4, 2, 1, 2, 1]);
  });
});
