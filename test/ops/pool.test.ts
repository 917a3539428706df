import { describe, expect, it } from "vitest";
import { int64s } from "../../src/onnx/tensor.ts";
import { f } from "../helpers/build.ts";
import { evaluate, evaluateAll, ints, list, noisy, real } from "./evaluate.ts";

const counting = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

describe("MaxPool", () => {
  it("gives the place of the first largest element, in either order", () => {
    const x = real([1, 2, 2, 3], [1, 5, 5, 2, 5, 0, 9, 8, 7, 6, 5, 4]);
    const [y, rows] = evaluateAll("MaxPool", 12, [x], { kernel_shape: [2, 2] }, { outputs: 2 });
    expect(list(y)).toEqual([5, 5, 9, 8]);
    expect(list(rows)).toEqual([1n, 1n, 6n, 7n]);
    const [, columns] = evaluateAll("MaxPool", 12, [x], { kernel_shape: [2, 2], storage_order: 1 }, { outputs: 2 });
    expect(list(columns)).toEqual([2n, 2n, 6n, 8n]);
  });

  it("ceil_mode adds a window only if it starts inside", () => {
    const x = real([1, 1, 4], [4, 3, 2, 1]);
    expect(list(evaluate("MaxPool", 12, [x], { kernel_shape: [3], strides: [2], ceil_mode: 1 }))).toEqual([4, 2]);
    expect(list(evaluate("MaxPool", 12, [x], { kernel_shape: [3], strides: [2] }))).toEqual([4]);
    expect(list(evaluate("MaxPool", 12, [x], { kernel_shape: [1], strides: [2], ceil_mode: 1, pads: [0, 1] }))).toHaveLength(2);
  });

  it("never takes padding, knows dilation, bytes and NaN", () => {
    expect(list(evaluate("MaxPool", 12, [real([1, 1, 2], [-3, -4])], { kernel_shape: [3], pads: [1, 1] }))).toEqual([-3, -3]);
    expect(list(evaluate("MaxPool", 12, [real([1, 1, 5], [1, 9, 2, 8, 3])], { kernel_shape: [2], dilations: [2] }))).toEqual([
      2, 9, 3,
    ]);
    const bytes = evaluate("MaxPool", 12, [ints("int8", [1, 1, 3], [-128, -127, -128])], { kernel_shape: [2] });
    expect(bytes.data).toEqual(Int8Array.of(-127, -127));
    const x = real([1, 1, 3], [Number.NaN, 1, 2]);
    const [y, at] = evaluateAll("MaxPool", 12, [x], { kernel_shape: [2] }, { outputs: 2 });
    expect(list(y)).toEqual([Number.NaN, 2]);
    expect(list(at)).toEqual([0n, 2n]);
  });

  it("MaxUnpool puts the elements back", () => {
    const x = noisy([2, 3, 6, 8], 3);
    const [y, at] = evaluateAll("MaxPool", 12, [x], { kernel_shape: [2, 2], strides: [2, 2] }, { outputs: 2 });
    const back = evaluate("MaxUnpool", 11, [y, at], { kernel_shape: [2, 2], strides: [2, 2] });
    expect(back.dims).toEqual(x.dims);
    const kept = list(back).filter((v, i) => v !== 0 && v === x.data[i]);
    expect(kept).toHaveLength(y?.data.length as number);
    const wide = evaluate("MaxUnpool", 11, [y, at, int64s([2, 3, 6, 9])], { kernel_shape: [2, 2], strides: [2, 2] });
    expect(wide.dims).toEqual([2, 3, 6, 9]);
  });
});

describe("AveragePool", () => {
  const x = real([1, 1, 4], [1, 2, 3, 4]);

  it("divides by what it covers, or by the padded extent too, never by the overhang of ceil_mode", () => {
    const base = { kernel_shape: [3], strides: [2], pads: [1, 1] };
    expect(list(evaluate("AveragePool", 11, [x], base))).toEqual([1.5, 3]);
    expect(list(evaluate("AveragePool", 11, [x], { ...base, count_include_pad: 1 }))).toEqual([1, 3]);
    const over = { ...base, ceil_mode: 1 };
    expect(list(evaluate("AveragePool", 11, [x], over))).toEqual([1.5, 3, 4]);
    expect(list(evaluate("AveragePool", 11, [x], { ...over, count_include_pad: 1 }))).toEqual([1, 3, 2]);
  });

  it("works over three axes with dilation", () => {
    const y = evaluate("AveragePool", 19, [real([1, 1, 3, 3, 3], counting(27))], {
      kernel_shape: [2, 2, 2],
      dilations: [2, 2, 2],
    });
    expect(list(y)).toEqual([13]);
  });
});

describe("LpPool and the global pools", () => {
  it("are norms, means and maxima of planes", () => {
    const x = real([1, 2, 2, 2], [3, -4, 0, 0, 1, 1, 1, 1]);
    expect(list(evaluate("LpPool", 18, [x], { kernel_shape: [2, 2] }))).toEqual([5, 2]);
    expect(list(evaluate("LpPool", 18, [x], { kernel_shape: [2, 2], p: 1 }))).toEqual([7, 4]);
    expect(list(evaluate("GlobalLpPool", 2, [x], { p: 2 }))).toEqual([5, 2]);
    expect(list(evaluate("GlobalAveragePool", 1, [x]))).toEqual([-0.25, 1]);
    expect(evaluate("GlobalMaxPool", 1, [x]).dims).toEqual([1, 2, 1, 1]);
    expect(list(evaluate("GlobalMaxPool", 1, [x]))).toEqual([3, 1]);
  });
});

describe("regions", () => {
  const ramp = real([1, 1, 4, 4], counting(16));

  it("MaxRoiPool takes the largest element of each cell", () => {
    const y = evaluate("MaxRoiPool", 1, [ramp, real([1, 5], [0, 0, 0, 3, 3])], { pooled_shape: [2, 2] });
    expect(list(y)).toEqual([5, 7, 13, 15]);
  });

  it("RoiAlign reads a plane's linear ramp at the centres of its cells", () => {
    const rois = real([1, 4], [0.5, 0.5, 2.5, 2.5]);
    const y = evaluate("RoiAlign", 16, [ramp, rois, int64s([0])], { output_height: 2, output_width: 2, sampling_ratio: 2 });
    expect(list(y)).toEqual([2.5, 3.5, 6.5, 7.5]);
    const old = evaluate("RoiAlign", 10, [ramp, rois, int64s([0])], {
      output_height: 1,
      output_width: 1,
      sampling_ratio: 1,
      spatial_scale: f(1),
    });
    expect(list(old)).toEqual([7.5]);
  });
});
