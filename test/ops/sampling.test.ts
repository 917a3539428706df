import { describe, expect, it } from "vitest";
import { int64s } from "../../src/onnx/tensor.ts";
import { f, fs, type NodeSpec } from "../helpers/build.ts";
import { evaluate, ints, list, noisy, real } from "./evaluate.ts";

const counting = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const none = undefined;

describe("Resize", () => {
  const row = real([1, 1, 1, 4], [0, 1, 2, 3]);
  const linear = (scale: number, more = {}) =>
    list(evaluate("Resize", 19, [row, none, real([4], [1, 1, 1, scale])], { mode: "linear", ...more }));

  it("keeps a ramp a ramp in every coordinate transformation", () => {
    expect(linear(2)).toEqual([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]);
    expect(linear(2, { coordinate_transformation_mode: "asymmetric" })).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3]);
    const corners = linear(1.75, { coordinate_transformation_mode: "align_corners" });
    corners.forEach((v, i) => {
      expect(v).toBeCloseTo(i / 2, 12);
    });
    expect(linear(0.25, { coordinate_transformation_mode: "pytorch_half_pixel" })).toEqual([0]);
    expect(linear(0.25, { coordinate_transformation_mode: "half_pixel" })).toEqual([1.5]);
  });

  it("rounds nearest coordinates the four ways", () => {
    const nearest = (mode: string) =>
      list(
        evaluate("Resize", 19, [row, none, none, int64s([1, 1, 1, 8])], {
          nearest_mode: mode,
          coordinate_transformation_mode: "asymmetric",
        }),
      );
    expect(nearest("floor")).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(nearest("ceil")).toEqual([0, 1, 1, 2, 2, 3, 3, 3]);
    expect(nearest("round_prefer_floor")).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(nearest("round_prefer_ceil")).toEqual([0, 1, 1, 2, 2, 3, 3, 3]);
  });

  it("leaves a constant alone: weights sum to one", () => {
    const flat = real([1, 2, 5, 7], new Array(70).fill(3));
    const variants: NonNullable<NodeSpec["attributes"]>[] = [
      {},
      { antialias: 1 },
      { exclude_outside: 1 },
      { cubic_coeff_a: f(-0.5) },
    ];
    for (const mode of ["linear", "cubic"]) {
      for (const more of variants) {
        for (const sizes of [
          [1, 2, 3, 4],
          [1, 2, 9, 13],
          [1, 2, 2, 11],
        ]) {
          const y = evaluate("Resize", 19, [flat, none, none, int64s(sizes)], { mode, ...more });
          expect(y.dims).toEqual(sizes);
          for (const v of list(y)) expect(v).toBeCloseTo(3, 12);
        }
      }
    }
  });

  it("antialias averages what a shrinking step skips", () => {
    const x = real([1, 1, 1, 8], [1, 0, 1, 0, 1, 0, 1, 0]);
    const shrink = (antialias: number) =>
      list(evaluate("Resize", 19, [x, none, none, int64s([1, 1, 1, 2])], { mode: "linear", antialias })) as number[];
    expect(shrink(0)).toEqual([0.5, 0.5]);
    for (const v of shrink(1)) expect(Math.abs(v - 0.5)).toBeLessThan(0.1);
  });

  it("keeps the aspect ratio, on the axes named", () => {
    const x = noisy([1, 1, 4, 8], 1);
    const sizes = (policy: string) =>
      evaluate("Resize", 19, [x, none, none, int64s([6, 6])], { axes: [2, 3], keep_aspect_ratio_policy: policy }).dims;
    expect(sizes("stretch")).toEqual([1, 1, 6, 6]);
    expect(sizes("not_larger")).toEqual([1, 1, 3, 6]);
    expect(sizes("not_smaller")).toEqual([1, 1, 6, 12]);
  });

  it("crops and fills what lies outside", () => {
    const y = evaluate("Resize", 19, [row, real([2], [0, 2]), none, int64s([4])], {
      axes: [3],
      mode: "linear",
      coordinate_transformation_mode: "tf_crop_and_resize",
      extrapolation_value: f(9),
    });
    expect(list(y)).toEqual([0, 2, 9, 9]);
  });

  it("before version 11 takes the floor of o / scale, Upsample too", () => {
    const scales = real([4], [1, 1, 1, 2]);
    expect(list(evaluate("Resize", 10, [row, scales]))).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(list(evaluate("Upsample", 9, [row, scales], { mode: "linear" }))).toEqual([0, 0.5, 1, 1.5, 2, 2.5, 3, 3]);
    expect(list(evaluate("Upsample", 7, [row], { scales: fs([1, 1, 2, 1]) }))).toEqual([0, 1, 2, 3, 0, 1, 2, 3]);
  });

  it("saturates bytes and copies integers of any width", () => {
    const bytes = ints("uint8", [1, 1, 1, 4], [0, 255, 0, 255]);
    const y = evaluate("Resize", 19, [bytes, none, none, int64s([1, 1, 1, 7])], { mode: "cubic" });
    expect(Math.max(...(list(y) as number[]))).toBe(255);
    const longs = int64s([2 ** 53, 1], [1, 1, 1, 2]);
    expect(list(evaluate("Resize", 19, [longs, none, none, int64s([1, 1, 1, 4])]))).toEqual([2n ** 53n, 2n ** 53n, 1n, 1n]);
  });
});

describe("GridSample and AffineGrid", () => {
  const x = noisy([2, 3, 4, 5], 1);
  const grid = (align: number, rows: number[]) =>
    evaluate("AffineGrid", 20, [real([2, 2, 3], [...rows, ...rows]), int64s([2, 3, 4, 5])], { align_corners: align });

  it("the identity grid gives the image back, in every mode", () => {
    for (const align of [0, 1]) {
      for (const mode of ["linear", "cubic", "nearest"]) {
        const y = evaluate("GridSample", 20, [x, grid(align, [1, 0, 0, 0, 1, 0])], { mode, align_corners: align });
        list(y).forEach((v, i) => {
          expect(v).toBeCloseTo(x.data[i] as number, 9);
        });
      }
    }
  });

  it("a mirrored grid mirrors the last axis", () => {
    const y = evaluate("GridSample", 16, [x, grid(1, [-1, 0, 0, 0, 1, 0])], { align_corners: 1 });
    list(y).forEach((v, i) => {
      expect(v).toBeCloseTo(x.data[i - (i % 5) + 4 - (i % 5)] as number, 12);
    });
  });

  it("beyond the border reads zero, the border, or its mirror image", () => {
    const line = real([1, 1, 1, 4], [1, 2, 3, 4]);
    const points = real([1, 1, 3, 2], [-1.4, 0, 1.4, 0, 1.75, 0]);
    const at = (padding_mode: string) => list(evaluate("GridSample", 20, [line, points], { mode: "nearest", padding_mode }));
    expect(at("zeros")).toEqual([0, 0, 0]);
    expect(at("border")).toEqual([1, 4, 4]);
    expect(at("reflection")).toEqual([1, 4, 3]);
  });

  it("samples volumes", () => {
    const volume = real([1, 1, 2, 2, 2], counting(8));
    const y = evaluate("GridSample", 20, [volume, real([1, 1, 1, 2, 3], [0, 0, 0, 1, -1, 0])], { align_corners: 1 });
    expect(list(y)).toEqual([3.5, 3]);
  });
});
