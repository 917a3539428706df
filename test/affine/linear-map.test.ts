/**
 * The laws of LinearMap on random small integers, where float64 is exact: a map evaluated straight from its formula equals
 * the executor's operator, and sums, scalings and compositions of maps equal those of their results.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { kernelCost, kernelOf, weightsOf } from "../../src/affine/kernel.ts";
import {
  add,
  affine,
  averagePool,
  common,
  compose,
  convolution,
  identity,
  isIdentity,
  isMisfit,
  type LinearMap,
  linearLayer,
  rowsOver,
} from "../../src/affine/linear-map.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { isTensor } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { integers } from "../rules/check.ts";

const SEED = 20240611;
const property = <T>(name: string, arbitrary: fc.Arbitrary<T>, check: (value: T) => void, numRuns = 150): void => {
  it(`${name} (seed ${SEED})`, () => fc.assert(fc.property(arbitrary, check), { seed: SEED, numRuns }));
};

const count = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

/** Every index of a box, row-major. */
const box = (dims: readonly number[]): number[][] =>
  dims.reduce<number[][]>((list, d) => list.flatMap((head) => Array.from({ length: d }, (_, i) => [...head, i])), [[]]);

/** The formula of LinearMap, term by term. */
function evaluate(m: LinearMap, x: Tensor): { dims: number[]; data: number[] } {
  const [batch, channels, ...sizes] = x.dims;
  expect(channels).toBe(m.inputs);
  const inner = m.inputs / m.groups;
  const out = sizes.map((d, a) => Math.floor((d + m.span[a]) / m.strides[a]) + 1);
  const [matrices, bias, values] = [m.matrices(), m.bias(), asFloat64(x)];
  const data: number[] = [];
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < m.outputs; o++) {
      const first = Math.floor(o / (m.outputs / m.groups)) * inner;
      for (const p of box(out)) {
        let sum = bias[o];
        for (const [tap, offset] of m.offsets.entries()) {
          const at = p.map((v, a) => v * m.strides[a] + offset[a]);
          if (at.some((v, a) => v < 0 || v >= sizes[a])) continue;
          for (let i = 0; i < inner; i++) {
            const place = [n, first + i, ...at].reduce((index, v, axis) => index * x.dims[axis] + v, 0);
            sum += matrices[tap][o * inner + i] * values[place];
          }
        }
        data.push(sum);
      }
    }
  }
  return { dims: [batch, m.outputs, ...out], data };
}

const double = (dims: readonly number[], values: TensorSpec["values"]): TensorSpec => ({ dtype: "float64", dims, values });
const tensor = (dims: readonly number[], seed: number): Tensor => ({
  dtype: "float64",
  dims,
  data: Float64Array.from(integers(count(dims), seed)),
});

/** One operator, or several, by the executor. */
function run(
  nodes: readonly NodeSpec[],
  initializers: Readonly<Record<string, TensorSpec>>,
  x: Tensor,
): { dims: number[]; data: number[] } {
  const net = model({
    inputs: [{ name: "x", dtype: "float64", dims: x.dims }],
    outputs: [{ name: "y", dtype: "float64" }],
    nodes,
    initializers,
  });
  const y = createSession(net)
    .run(new Map([["x", x]]))
    .get("y");
  if (!isTensor(y)) throw new Error("no tensor");
  return { dims: [...y.dims], data: [...asFloat64(y)] };
}

interface Layer {
  readonly map: LinearMap;
  readonly node: (from: string, to: string, tag: string) => { node: NodeSpec; constants: Record<string, TensorSpec> };
  readonly extent: readonly number[];
}

interface Shape {
  readonly kernel: number[];
  readonly strides: number[];
  readonly dilations: number[];
  readonly pads: number[];
}

const windows = (n: number, kernelMax: number, padMax: number, strideMax: number): fc.Arbitrary<Shape> => {
  const list = (min: number, max: number, length = n) =>
    fc.array(fc.integer({ min, max }), { minLength: length, maxLength: length });
  return fc.record({
    kernel: list(1, kernelMax),
    strides: list(1, strideMax),
    dilations: list(1, 2),
    pads: list(0, padMax, 2 * n),
  });
};

const extentOf = ({ kernel, dilations }: Shape): number[] => kernel.map((k, a) => (k - 1) * dilations[a] + 1);

function conv(shape: Shape, inputs: number, outputs: number, groups: number, biased: boolean, seed: number): Layer {
  const { kernel, strides, dilations, pads } = shape;
  const dims = [outputs, inputs / groups, ...kernel];
  const [w, b] = [integers(count(dims), seed), integers(outputs, seed + 1)];
  const map = convolution({
    dims,
    groups,
    strides,
    dilations,
    pads,
    weights: () => Float64Array.from(w),
    bias: biased ? () => Float64Array.from(b) : undefined,
  });
  return {
    map,
    extent: extentOf(shape),
    node: (from, to, tag) => ({
      node: node("Conv", [from, `${tag}_w`, ...(biased ? [`${tag}_b`] : [])], [to], {
        kernel_shape: kernel,
        strides,
        dilations,
        pads,
        group: groups,
      }),
      constants: { [`${tag}_w`]: double(dims, w), [`${tag}_b`]: double([outputs], b) },
    }),
  };
}

const seeds = fc.integer({ min: 1, max: 1e6 });
const ranks = fc.constantFrom(1, 2, 3);

/** A random convolution of 1 to 3 axes with its input. */
const someConv = ranks.chain((n) =>
  fc.record({
    shape: windows(n, n === 3 ? 2 : 3, 2, 2),
    groups: fc.constantFrom(1, 2, 3),
    wide: fc.constantFrom(1, 2),
    narrow: fc.constantFrom(1, 2),
    biased: fc.boolean(),
    seed: seeds,
    more: fc.integer({ min: 0, max: 3 }),
  }),
);

const inputFor = (extent: readonly number[], channels: number, more: number, seed: number): Tensor =>
  tensor([2, channels, ...extent.map((e, a) => e + more + a)], seed);

describe("maps of operators", () => {
  property(
    "Conv, 1-D to 3-D, groups, strides, dilations, uneven pads",
    someConv,
    ({ shape, groups, wide, narrow, biased, seed, more }) => {
      const layer = conv(shape, groups * wide, groups * narrow, groups, biased, seed);
      const x = inputFor(layer.extent, groups * wide, more, seed + 2);
      const { node: made, constants } = layer.node("x", "y", "c");
      expect(evaluate(layer.map, x)).toEqual(run([made], constants, x));
    },
  );

  property(
    "AveragePool with a fixed divisor",
    fc
      .tuple(fc.constantFrom(1, 2), fc.boolean(), seeds)
      .chain(([n, padded, seed]) => fc.tuple(windows(n, 2, padded ? 1 : 0, 2), fc.constant(seed))),
    ([shape, seed]) => {
      // Windows of 1, 2 and 4: dividing by them is exact.
      const pads = shape.pads.map((p, i) => Math.min(p, shape.kernel[i % shape.kernel.length] - 1));
      const map = averagePool(3, shape.kernel, { ...shape, pads });
      const x = inputFor(extentOf(shape), 3, 1, seed);
      const { kernel, strides, dilations } = shape;
      expect(evaluate(map, x)).toEqual(
        run([node("AveragePool", ["x"], ["y"], { kernel_shape: kernel, strides, dilations, pads, count_include_pad: 1 })], {}, x),
      );
    },
  );

  property("BatchNormalization, scale and shift", seeds, (seed) => {
    const [gamma, beta, mean] = [0, 1, 2].map((i) => integers(3, seed + i));
    const map = affine(
      identity(3, 2),
      Float64Array.from(gamma),
      Float64Array.from(beta, (b, c) => b - mean[c] * gamma[c]),
    );
    const x = tensor([2, 3, 2, 3], seed + 5);
    const spec = { g: double([3], gamma), b: double([3], beta), m: double([3], mean), v: double([3], [1, 1, 1]) };
    expect(evaluate(map, x)).toEqual(
      run([node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], { epsilon: { kind: "float", value: 0 } })], spec, x),
    );
  });

  property(
    "MatMul on the last axis",
    fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), seeds),
    ([inputs, outputs, seed]) => {
      const [w, b] = [integers(inputs * outputs, seed), integers(outputs, seed + 1)];
      const matrix = () => Float64Array.from({ length: w.length }, (_, i) => w[(i % inputs) * outputs + Math.floor(i / inputs)]);
      const map = linearLayer(outputs, inputs, matrix, () => Float64Array.from(b));
      const x = tensor([5, inputs], seed + 2);
      const nodes = [node("MatMul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["y"])];
      expect(evaluate(map, x)).toEqual(run(nodes, { w: double([inputs, outputs], w), b: double([outputs], b) }, x));
    },
  );
});

/** Two convolutions whose outputs have the same size everywhere. */
const branches = ranks.chain((n) =>
  fc.record({
    shape: windows(n, 3, 2, 2),
    groups: fc.constantFrom([1, 1], [2, 1], [1, 4], [4, 2], [4, 4]),
    trim: fc.boolean(),
    biased: fc.boolean(),
    seed: seeds,
    sign: fc.constantFrom(1, -1),
  }),
);

/** The same output size with a smaller window: pads shrink with the extent. */
function smaller({ kernel, strides, dilations, pads }: Shape): Shape {
  const n = kernel.length;
  const next = pads.slice();
  const small = kernel.map((k, a) => {
    const less = k > 1 && pads[a] >= dilations[a] ? 1 : 0;
    next[a] -= less * dilations[a];
    return k - less;
  });
  return { kernel: small, strides, dilations, pads: next.map((p, i) => (i < n ? p : pads[i])) };
}

describe("sums", () => {
  property(
    "a ± b is the sum of what they make, on finest common groups, and a convolution again",
    branches,
    ({ shape, groups, trim, biased, seed, sign }) => {
      const a = conv(shape, 4, 4, groups[0], biased, seed);
      const b = conv(trim ? smaller(shape) : shape, 4, 4, groups[1], true, seed + 7);
      const sum = add(a.map, b.map, sign) as LinearMap;
      expect(isMisfit(sum)).toBe(false);
      expect([...groups].every((g) => g % sum.groups === 0)).toBe(true);
      const x = inputFor(a.extent, 4, 1, seed + 3);
      const [p, q] = [a.node("x", "p", "a"), b.node("x", "q", "b")];
      const expected = run(
        [p.node, q.node, node(sign > 0 ? "Add" : "Sub", ["p", "q"], ["y"])],
        { ...p.constants, ...q.constants },
        x,
      );
      expect(evaluate(sum, x)).toEqual(expected);
      expect(asConv(sum, x)).toEqual(expected);
      expect(sum.cost).toBe(a.map.cost + b.map.cost);
    },
  );

  property("x + a, and what cancels is zero", seeds, (seed) => {
    const same: Shape = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] };
    const a = conv(same, 3, 3, 1, true, seed);
    const x = tensor([1, 3, 4, 5], seed + 1);
    const { node: made, constants } = a.node("x", "p", "a");
    const sum = add(identity(3, 2), a.map) as LinearMap;
    expect(evaluate(sum, x)).toEqual(run([made, node("Add", ["x", "p"], ["y"])], constants, x));
    expect(evaluate(add(a.map, a.map, -1) as LinearMap, x).data.every((v) => v === 0)).toBe(true);
    expect(isIdentity(add(sum, a.map, -1) as LinearMap)).toBe(false);
    expect(isIdentity(identity(3, 2))).toBe(true);
    expect(isIdentity(affine(identity(3, 2), Float64Array.of(-1, -1, -1), new Float64Array(3)))).toBe(undefined);
  });

  it("refuses branches that do not fit", () => {
    const of = (shape: Partial<Shape>, channels = 4): LinearMap =>
      conv({ kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1], ...shape }, 4, channels, 1, false, 1).map;
    const whole = of({});
    for (const other of [
      of({ strides: [2, 1] }),
      of({ pads: [0, 0, 0, 0] }),
      of({ kernel: [1, 1] }),
      of({ pads: [1, 1, 1, 0] }),
      of({}, 5),
    ]) {
      expect(isMisfit(add(whole, other))).toBe(true);
      expect(isMisfit(common(whole, other))).toBe(true);
    }
    expect(isMisfit(add(whole, identity(4, 2)))).toBe(false);
    expect(isMisfit(add(of({ strides: [2, 2] }), identity(4, 2)))).toBe(true);
  });
});

/** The map as the convolution `kernelOf` and `weightsOf` say it is. */
function asConv(m: LinearMap, x: Tensor): { dims: number[]; data: number[] } {
  const { dims, groups, strides, dilations, pads } = kernelOf(m);
  const kernel = kernelOf(m);
  expect(kernelCost(kernel)).toBe(count(dims));
  const attributes = { kernel_shape: dims.slice(2), strides, dilations, pads, group: groups };
  return run(
    [node("Conv", ["x", "w", "b"], ["y"], attributes)],
    { w: double(dims, weightsOf(m, kernel)), b: double([m.outputs], m.bias()) },
    x,
  );
}

describe("per-channel maps", () => {
  property("s ⊙ map + t", fc.tuple(someConv), ([{ shape, groups, wide, narrow, biased, seed, more }]) => {
    const { map, extent } = conv(shape, groups * wide, groups * narrow, groups, biased, seed);
    const [s, t] = [1, 2].map((i) => Float64Array.from(integers(map.outputs, seed + i)));
    const x = inputFor(extent, map.inputs, more, seed + 3);
    const plain = evaluate(map, x);
    const per = count(plain.dims.slice(2));
    const channel = (i: number) => Math.floor(i / per) % map.outputs;
    expect(evaluate(affine(map, s, t), x).data).toEqual(plain.data.map((v, i) => v * s[channel(i)] + t[channel(i)]));
  });
});

const chains = fc.constantFrom(1, 2).chain((n) =>
  fc.record({
    outer: windows(n, 2, 1, 2),
    inner: windows(n, 2, 1, 2),
    groups: fc.constantFrom([1, 1], [2, 2], [2, 1], [4, 2], [4, 4], [1, 4]),
    plain: fc.constantFrom("outer", "inner", "none"),
    biased: fc.boolean(),
    seed: seeds,
  }),
);

describe("compositions", () => {
  property(
    "outer ∘ inner is one after the other wherever it is not refused",
    chains,
    ({ outer, inner, groups, plain, biased, seed }) => {
      const n = outer.kernel.length;
      const point: Shape = {
        kernel: outer.kernel.map(() => 1),
        strides: outer.kernel.map(() => 1),
        dilations: outer.kernel.map(() => 1),
        pads: new Array(2 * n).fill(0),
      };
      const unpadded = { ...outer, pads: new Array(2 * n).fill(0) };
      const second = conv(
        plain === "outer" ? { ...point, strides: outer.strides } : plain === "none" ? unpadded : outer,
        4,
        4,
        groups[0],
        true,
        seed,
      );
      const first = conv(plain === "inner" ? point : inner, 4, 4, groups[1], biased, seed + 9);
      const whole = compose(second.map, first.map);
      if (isMisfit(whole)) {
        expect(plain).toBe("inner");
        expect(biased).toBe(true);
        return;
      }
      const x = inputFor(first.extent, 4, 6, seed + 2);
      const [p, q] = [first.node("x", "p", "a"), second.node("p", "y", "b")];
      const expected = run([p.node, q.node], { ...p.constants, ...q.constants }, x);
      expect(evaluate(whole, x)).toEqual(expected);
      expect(asConv(whole, x)).toEqual(expected);
    },
    250,
  );

  it("refuses what padding makes inexact", () => {
    const padded: Shape = { kernel: [3, 3], strides: [1, 1], dilations: [1, 1], pads: [1, 1, 1, 1] };
    const point: Shape = { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] };
    const of = (shape: Shape, biased: boolean): LinearMap => conv(shape, 4, 4, 1, biased, 3).map;
    expect(isMisfit(compose(of(padded, false), of(point, true)))).toBe(true);
    expect(isMisfit(compose(of(padded, false), of(padded, false)))).toBe(true);
    expect(isMisfit(compose(of(padded, false), of({ ...point, strides: [2, 2] }, false)))).toBe(true);
    expect(isMisfit(compose(of(padded, true), of(point, false)))).toBe(false);
    expect(isMisfit(compose(of({ ...padded, pads: [0, 0, 0, 0] }, true), of(point, true)))).toBe(false);
    expect(isMisfit(compose(of(point, true), of(padded, true)))).toBe(false);
    expect(
      isMisfit(
        compose(
          of(point, true),
          linearLayer(3, 4, () => new Float64Array(12), undefined),
        ),
      ),
    ).toBe(true);
  });

  it("counts the inner map at every position the outer one can read", () => {
    const strided: Shape = { kernel: [1, 1], strides: [2, 2], dilations: [1, 1], pads: [0, 0, 0, 0] };
    const one = conv({ ...strided, strides: [1, 1] }, 4, 4, 1, false, 1).map;
    expect((compose(conv(strided, 4, 4, 1, false, 2).map, one) as LinearMap).cost).toBe(16 + 4 * 16);
  });
});

describe("kernels and rows", () => {
  property("the bounding kernel is as coarse as its taps allow", someConv, ({ shape, groups, wide, narrow, seed, more }) => {
    const { map, extent } = conv(shape, groups * wide, groups * narrow, groups, true, seed);
    const kernel = kernelOf(map);
    for (const [a, k] of shape.kernel.entries()) {
      // A window that lies wholly before or after the edge grows zeros up to it; else nothing is added.
      if (shape.pads[a] === 0 || k > 1) expect(kernel.dims[a + 2]).toBeGreaterThanOrEqual(1);
      if (k > 1 && shape.pads[a] % shape.dilations[a] === 0 && (k - 1) * shape.dilations[a] >= shape.pads[a])
        expect(kernel.dims[a + 2]).toBe(k);
    }
    expect(kernel.pads.every((p) => p >= 0)).toBe(true);
    const x = inputFor(extent, map.inputs, more, seed + 4);
    expect(asConv(map, x)).toEqual(evaluate(map, x));
  });

  const along = (taps: number, dilation: number, pads: readonly [number, number]): LinearMap =>
    convolution({
      ...{ dims: [1, 1, taps], groups: 1, strides: [1], dilations: [dilation], pads },
      ...{ weights: () => Float64Array.from({ length: taps }, (_, i) => i + 1), bias: undefined },
    });

  it("taps that lie around the middle unevenly are as far apart as they were", () => {
    expect(kernelOf(along(2, 3, [1, 1]))).toMatchObject({ dims: [1, 1, 2], dilations: [3], pads: [1, 1], places: [0, 1] });
    expect(kernelOf(along(3, 2, [1, 3]))).toMatchObject({ dims: [1, 1, 3], dilations: [2], pads: [1, 3], places: [0, 1, 2] });
  });

  it("a window that starts behind the edge, or ends before it, gets taps of zero up to there", () => {
    const late = along(2, 1, [-1, 0]);
    expect(kernelOf(late)).toMatchObject({ dims: [1, 1, 3], dilations: [1], places: [1, 2] });
    expect([...weightsOf(late, kernelOf(late))]).toEqual([0, 1, 2]);
    const early = along(2, 1, [0, -1]);
    expect(kernelOf(early)).toMatchObject({ dims: [1, 1, 3], dilations: [1], places: [0, 1] });
    for (const { pads } of [late, early].map(kernelOf)) expect(pads.map(Math.abs)).toEqual([0, 0]);
    expect([...weightsOf(early, kernelOf(early))]).toEqual([1, 2, 0]);
  });

  property("rows over a common layout hold every coefficient once", branches, ({ shape, groups, trim, seed }) => {
    const [a, b] = [
      conv(shape, 4, 4, groups[0], true, seed).map,
      conv(trim ? smaller(shape) : shape, 4, 4, groups[1], true, seed + 7).map,
    ];
    const layout = common(a, b);
    if (isMisfit(layout)) throw new Error(layout.misfit);
    const [p, q, sum] = [rowsOver(a, layout), rowsOver(b, layout), rowsOver(add(a, b) as LinearMap, layout)];
    expect(sum).toEqual(p.map((v, i) => v + q[i]));
    const total = (list: Iterable<number>) => [...list].reduce((n, v) => n + Math.abs(v), 0);
    expect(total(p)).toBe(a.matrices().reduce((n, m) => n + total(m), 0));
  });

  property("magnitudes bound the coefficients", branches, ({ shape, groups, seed, sign }) => {
    const [a, b] = [conv(shape, 4, 4, groups[0], true, seed).map, conv(shape, 4, 4, groups[1], true, seed + 7).map];
    const sum = add(a, b, sign) as LinearMap;
    const [values, sizes] = [sum.matrices(), sum.magnitudes()];
    for (const [tap, m] of values.entries())
      for (const [i, v] of m.entries()) expect(Math.abs(v)).toBeLessThanOrEqual(sizes[tap][i]);
    for (const [o, v] of sum.bias().entries()) expect(Math.abs(v)).toBeLessThanOrEqual(sum.biasMagnitude()[o]);
  });
});

it("windows of many taps are not multiplied out", () => {
  const window = (height: number, width: number) =>
    convolution({
      dims: [1, 1, height, width],
      groups: 1,
      strides: [1, 1],
      dilations: [1, 1],
      pads: [0, 0, 0, 0],
      weights: () => new Float64Array(height * width).fill(1),
      bias: undefined,
    });
  expect(isMisfit(compose(window(16, 1), window(1, 16)))).toBe(false);
  expect(compose(window(17, 1), window(1, 16))).toEqual({ misfit: "windows of too many taps" });
  // One tap multiplies nothing.
  expect(isMisfit(compose(window(1, 1), window(17, 17)))).toBe(false);
});
