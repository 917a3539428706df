import { describe, expect, it } from "vitest";
import { broadcastDims, merge, strided, transpose } from "../../src/ops/broadcast.ts";
import { f, fs, is } from "../helpers/build.ts";
import { evaluate, evaluateAll, list, longs, noisy, real } from "./evaluate.ts";

const ramp = (...dims: number[]) =>
  real(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => i),
  );
const shape = (...values: number[]) => longs([values.length], values.map(BigInt));

describe("broadcasting", () => {
  it("aligns at the last axis and refuses what does not fit", () => {
    expect(broadcastDims([3, 1], [4], [])).toEqual([3, 4]);
    expect(broadcastDims([0, 1], [1, 5])).toEqual([0, 5]);
    expect(() => broadcastDims([2, 3], [2])).toThrow(/\[2, 3\] and \[2\]/);
  });

  it("merges axes that move alike", () => {
    expect(merge([2, 3, 4], [[12, 4, 1]])).toEqual({ dims: [24], strides: [[1]] });
    expect(
      merge(
        [2, 3, 4],
        [
          [12, 4, 1],
          [0, 0, 1],
        ],
      ).dims,
    ).toEqual([6, 4]);
    expect(merge([], [[]])).toEqual({ dims: [1], strides: [[0]] });
  });

  it("copies complex numbers whole", () => {
    const z = { dtype: "complex128" as const, dims: [2], data: Float64Array.of(1, 2, 3, 4) };
    expect(Array.from(strided(z, [2], [-1], 1).data as Float64Array)).toEqual([3, 4, 1, 2]);
  });
});

describe("transposed copies", () => {
  const cases = [
    { dims: [70, 45], perm: [1, 0] },
    { dims: [3, 33, 40], perm: [0, 2, 1] },
    { dims: [5, 6, 7, 8], perm: [3, 1, 2, 0] },
    { dims: [2, 3, 4, 5], perm: [2, 3, 1, 0] },
  ];
  it.each(["float32", "float64", "int64", "string"] as const)(
    "of %s are those of the definition, small and in squares",
    (dtype) => {
      for (const { dims, perm } of cases) {
        const n = dims.reduce((a, b) => a * b, 1);
        const numbers = Array.from({ length: n }, (_, i) => i);
        const data = {
          float32: () => Float32Array.from(numbers),
          float64: () => Float64Array.from(numbers),
          int64: () => BigInt64Array.from(numbers, BigInt),
          string: () => numbers.map(String),
        }[dtype]();
        const out = transpose({ dtype, dims, data }, perm);
        expect(out.dims).toEqual(perm.map((p) => dims[p]));
        const strides = dims.map((_, i) => dims.slice(i + 1).reduce((a, b) => a * b, 1));
        Array.from(out.data as ArrayLike<number | bigint | string>).forEach((v, at) => {
          let [rest, from] = [at, 0];
          for (let axis = perm.length - 1; axis >= 0; axis--) {
            from += (rest % out.dims[axis]) * strides[perm[axis]];
            rest = Math.floor(rest / out.dims[axis]);
          }
          expect(Number(v)).toBe(from);
        });
      }
    },
  );
});

describe("shapes", () => {
  it("Reshape: 0 copies, -1 is the rest, allowzero keeps 0", () => {
    expect(evaluate("Reshape", 21, [ramp(2, 3, 4), shape(0, -1)]).dims).toEqual([2, 12]);
    expect(evaluate("Reshape", 21, [ramp(0, 3), shape(3, 0)], { allowzero: 1 }).dims).toEqual([3, 0]);
    expect(evaluate("Reshape", 4, [ramp(2, 3)], { shape: [3, 2] }).dims).toEqual([3, 2]);
    expect(() => evaluate("Reshape", 21, [ramp(2, 3), shape(4, -1)])).toThrow(/does not fit/);
    expect(() => evaluate("Reshape", 21, [ramp(2, 3), shape(7)])).toThrow(/6 elements/);
  });

  it("Squeeze and Unsqueeze take axes as attribute and, from 13 on, as input", () => {
    expect(evaluate("Squeeze", 11, [ramp(1, 3, 1)], { axes: [0] }).dims).toEqual([3, 1]);
    expect(evaluate("Squeeze", 13, [ramp(1, 3, 1)]).dims).toEqual([3]);
    expect(evaluate("Unsqueeze", 13, [ramp(3), shape(-1, 0)]).dims).toEqual([1, 3, 1]);
    expect(() => evaluate("Squeeze", 13, [ramp(2, 3), shape(0)])).toThrow(/size 2, expected 1/);
  });

  it("Flatten, Expand, Tile (both forms), Shape", () => {
    expect(evaluate("Flatten", 21, [ramp(2, 3, 4)], { axis: 2 }).dims).toEqual([6, 4]);
    expect(list(evaluate("Expand", 21, [ramp(2, 1), shape(1, 2, 2)]))).toEqual([0, 0, 1, 1]);
    expect(list(evaluate("Tile", 21, [ramp(1, 2), shape(2, 2)]))).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    expect(list(evaluate("Tile", 5, [ramp(2, 1), real([], [2]), real([], [1])]))).toEqual([0, 0, 1, 1]);
    expect(list(evaluate("Shape", 21, [ramp(2, 3, 4)], { start: -2 }))).toEqual([3n, 4n]);
  });

  it("Transpose moves every element where its indices say", () => {
    const x = noisy([2, 3, 4, 5], 3);
    const y = evaluate("Transpose", 21, [x], { perm: [2, 0, 3, 1] });
    expect(y.dims).toEqual([4, 2, 5, 3]);
    for (const [a, b, c, d] of [
      [0, 0, 0, 0],
      [1, 2, 3, 4],
      [1, 0, 2, 3],
      [0, 2, 1, 4],
    ]) {
      expect(y.data[((c * 2 + a) * 5 + d) * 3 + b]).toBe(x.data[((a * 3 + b) * 4 + c) * 5 + d]);
    }
  });

  it("DepthToSpace and SpaceToDepth undo each other in both modes", () => {
    const x = noisy([1, 8, 2, 3], 4);
    for (const mode of ["DCR", "CRD"]) {
      const deep = evaluate("SpaceToDepth", 21, [evaluate("DepthToSpace", 21, [x], { blocksize: 2, mode })], {
        blocksize: 2,
        mode,
      });
      expect(list(deep)).toEqual(list(x));
    }
  });
});

describe("pieces", () => {
  it("Split by attribute, by input, in equal parts and (18) with a smaller last one", () => {
    const dims = (version: number, inputs: Parameters<typeof evaluateAll>[2], attributes = {}) =>
      evaluateAll("Split", version, inputs, attributes, { outputs: 3 }).map((t) => t?.dims[0]);
    expect(dims(2, [ramp(6)], { split: [1, 2, 3] })).toEqual([1, 2, 3]);
    expect(dims(13, [ramp(6), shape(3, 0, 3)])).toEqual([3, 0, 3]);
    expect(dims(11, [ramp(6)])).toEqual([2, 2, 2]);
    expect(dims(18, [ramp(7)], { num_outputs: 3 })).toEqual([3, 3, 1]);
    expect(() => dims(13, [ramp(7)])).toThrow(/3 equal parts/);
  });

  it("Concat and Split undo each other; Concat before 4 runs along axis 1", () => {
    const x = noisy([2, 5, 3], 5);
    const parts = evaluateAll("Split", 13, [x, shape(2, 3)], { axis: 1 }, { outputs: 2 });
    expect(list(evaluate("Concat", 13, parts, { axis: -2 }))).toEqual(list(x));
    expect(evaluate("Concat", 3, [ramp(2, 1), ramp(2, 2)]).dims).toEqual([2, 3]);
    expect(() => evaluate("Concat", 13, [ramp(2, 1), ramp(3, 1)], { axis: 1 })).toThrow(/agree/);
  });

  it("Slice clamps, counts from the end and steps backwards", () => {
    const slice = (...inputs: Parameters<typeof evaluate>[2]) => list(evaluate("Slice", 13, inputs));
    expect(slice(ramp(6), shape(-3), shape(100))).toEqual([3, 4, 5]);
    expect(slice(ramp(6), shape(10), shape(-100), shape(0), shape(-2))).toEqual([5, 3, 1]);
    expect(slice(ramp(2, 3), shape(1, 2), shape(-100, 0), shape(0, 1), shape(-1, -1))).toEqual([5, 4, 2, 1]);
    expect(slice(ramp(6), shape(4), shape(2))).toEqual([]);
    expect(list(evaluate("Slice", 1, [ramp(2, 3)], { starts: [1], ends: [3], axes: [1] }))).toEqual([1, 2, 4, 5]);
  });

  it("Pad in each mode, by attributes and inputs, negative pads crop", () => {
    const pad = (mode: string, ...pads: number[]) => list(evaluate("Pad", 19, [ramp(3), shape(...pads)], { mode }));
    expect(pad("constant", 1, 2)).toEqual([0, 0, 1, 2, 0, 0]);
    expect(pad("edge", 2, 1)).toEqual([0, 0, 0, 1, 2, 2]);
    expect(pad("reflect", 2, 2)).toEqual([2, 1, 0, 1, 2, 1, 0]);
    expect(pad("wrap", 2, 2)).toEqual([1, 2, 0, 1, 2, 0, 1]);
    expect(pad("constant", -1, 0)).toEqual([1, 2]);
    expect(list(evaluate("Pad", 2, [ramp(2)], { pads: [1, 0], value: f(7) }))).toEqual([7, 0, 1]);
    expect(list(evaluate("Pad", 1, [ramp(2)], { paddings: [0, 1] }))).toEqual([0, 1, 0]);
    expect(evaluate("Pad", 18, [ramp(2, 2), shape(1, 1), real([], [9]), shape(-1)]).dims).toEqual([2, 4]);
  });
});

describe("making tensors", () => {
  it("Constant in each form", () => {
    const constant = (attributes: Parameters<typeof evaluate>[3]) => evaluate("Constant", 13, [], attributes);
    expect(constant({ value_int: 9007199254740993n }).data[0]).toBe(9007199254740993n);
    expect(constant({ value_ints: is([]) })).toMatchObject({ dtype: "int64", dims: [0] });
    expect(constant({ value_floats: fs([1, 2]) })).toMatchObject({ dtype: "float32", dims: [2] });
    expect(constant({ value_string: "é" }).data).toEqual(["é"]);
    expect(constant({ value: { dtype: "bool", dims: [1], values: [1] } })).toMatchObject({ dtype: "bool", dims: [1] });
  });

  it("Range counts by ⌈(limit − start) / delta⌉ in floats and 64-bit integers", () => {
    expect(list(evaluate("Range", 21, [real([], [1]), real([], [2]), real([], [0.4])]))).toEqual([1, 1.4, 1.8]);
    const long = (v: bigint) => longs([], [v]);
    expect(list(evaluate("Range", 21, [long(5n), long(0n), long(-2n)]))).toEqual([5n, 3n, 1n]);
    expect(list(evaluate("Range", 21, [long(0n), long(4n), long(2n)]))).toEqual([0n, 2n]);
    expect(list(evaluate("Range", 21, [long(0n), long(4n), long(-2n)]))).toEqual([]);
  });

  it("EyeLike and Trilu put the diagonal at k", () => {
    expect(list(evaluate("EyeLike", 21, [ramp(2, 3)], { k: 1 }))).toEqual([0, 1, 0, 0, 0, 1]);
    expect(list(evaluate("Trilu", 21, [ramp(2, 3), longs([], [1n])]))).toEqual([0, 1, 2, 0, 0, 5]);
    expect(list(evaluate("Trilu", 21, [ramp(2, 3), longs([], [-1n])], { upper: 0 }))).toEqual([0, 0, 0, 3, 0, 0]);
  });
});
