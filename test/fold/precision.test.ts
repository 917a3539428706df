/**
 * What a fold costs in the files' own precision: the estimate against runs in storage precision near the statistics, the limit, and
 * what cannot be seen. The oracle is the executor: float64 is the truth, storage precision what a runtime makes of either file.
 */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { shiftBits } from "../../src/fold/precision.ts";
import type { Model } from "../../src/onnx/records.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { createSession } from "../../src/run/session.ts";
import { randomOf } from "../../src/verify/random.ts";
import { float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { decisions, folded } from "../helpers/fold.ts";

const C = 4;
const O = 6;
const N = 64;
const FREE = { maxBitsLost: Number.POSITIVE_INFINITY };

type Half = "float32" | "float16";
const of = (dtype: Half, dims: readonly number[], values: readonly number[]): TensorSpec => ({ dtype, dims, values });

function normals(count: number, ...seed: readonly (string | number)[]): number[] {
  const random = randomOf(1, ...seed.map(String));
  return Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform()),
  );
}

/** Numbers with a mean and a deviation for each of C channels, [N, C] or [N, C, 1, 1]. */
interface Data {
  readonly dtype: Half;
  readonly mean: number;
  readonly deviation: number;
}

type Build = (data: Data) => ModelSpec;

const weight = (dtype: Half, dims: readonly number[]): TensorSpec => of(dtype, dims, normals(O * C, "weight"));

function net({ dtype }: Data, nodes: readonly NodeSpec[], initializers: Record<string, TensorSpec>, image: boolean): ModelSpec {
  return {
    nodes,
    initializers,
    inputs: [{ name: "x", dtype, dims: image ? [N, C, 1, 1] : [N, C] }],
    outputs: [{ name: "y", dtype }],
  };
}

const layers: Record<
  string,
  (x: string, dtype: Half) => { nodes: NodeSpec[]; initializers: Record<string, TensorSpec>; image: boolean }
> = {
  Conv: (x, dtype) => ({ nodes: [node("Conv", [x, "w"], ["y"])], initializers: { w: weight(dtype, [O, C, 1, 1]) }, image: true }),
  Gemm: (x, dtype) => ({ nodes: [node("Gemm", [x, "w"], ["y"])], initializers: { w: weight(dtype, [C, O]) }, image: false }),
  MatMul: (x, dtype) => ({ nodes: [node("MatMul", [x, "w"], ["y"])], initializers: { w: weight(dtype, [C, O]) }, image: false }),
};

/** The ways to take away a mean and divide by a deviation, in front of a layer. */
const before: Record<string, (data: Data) => { nodes: NodeSpec[]; initializers: Record<string, TensorSpec> }> = {
  "Sub, Mul": ({ dtype, mean, deviation }) => ({
    nodes: [node("Sub", ["x", "m"], ["a"]), node("Mul", ["a", "k"], ["b"])],
    initializers: { m: of(dtype, [], [mean]), k: of(dtype, [], [1 / deviation]) },
  }),
  "Add, Div": ({ dtype, mean, deviation }) => ({
    nodes: [node("Add", ["m", "x"], ["a"]), node("Div", ["a", "k"], ["b"])],
    initializers: { m: of(dtype, [], [-mean]), k: of(dtype, [], [deviation]) },
  }),
  BatchNormalization: ({ dtype, mean, deviation }) => {
    const per = (value: number) => of(dtype, [C], new Array(C).fill(value));
    return {
      nodes: [node("BatchNormalization", ["x", "g", "s", "m", "v"], ["b"])],
      initializers: { g: per(1), s: per(0), m: per(mean), v: per(deviation ** 2) },
    };
  },
};

const builds: [string, Build][] = Object.entries(before).flatMap(([how, front]) =>
  Object.entries(layers).map(([layer, behind]): [string, Build] => [
    `${how}, ${layer}`,
    (data) => {
      const [a, b] = [front(data), behind("b", data.dtype)];
      return net(data, [...a.nodes, ...b.nodes], { ...a.initializers, ...b.initializers }, b.image);
    },
  ]),
);

/** Root of the mean square of y's distance from the float64 run of the first model. */
function errors(first: Model, models: readonly Model[], { dtype, mean, deviation }: Data, dims: readonly number[]): number[] {
  const data = Float64Array.from(normals(N * C, "data", mean), (v) => mean + deviation * v);
  // What a caller feeds is in the type of the input, exactly.
  const x = createSession(
    model({ nodes: [node("Identity", ["x"], ["y"])], inputs: [{ name: "x", dtype, dims }], outputs: [{ name: "y", dtype }] }),
    {
      mode: "storage",
    },
  ).run(new Map([["x", { dtype, dims, data }]]));
  const feeds = new Map([["x", x.get("y") as Tensor]]);
  const y = (m: Model, mode: "float64" | "storage") => asFloat64(createSession(m, { mode }).run(feeds).get("y") as Tensor);
  const truth = y(first, "float64");
  return models.map((m) => {
    const got = y(m, "storage");
    return Math.sqrt(got.reduce((sum, v, i) => sum + (v - truth[i]) ** 2, 0) / got.length);
  });
}

describe("the estimate is what a run in storage precision shows", () => {
  const datas: Data[] = [
    { dtype: "float16", mean: 130, deviation: 15 },
    { dtype: "float16", mean: 1000, deviation: 3 },
    { dtype: "float32", mean: 101325, deviation: 97 },
    { dtype: "float32", mean: 1e6, deviation: 0.7 },
  ];
  for (const [name, build] of builds) {
    it.each(datas)(`${name} in $dtype near $mean`, (data) => {
      const spec = build(data);
      const first = model(spec);
      const after = folded(first, FREE);
      expect(decisions(after.data).filter((line) => line.startsWith("keep"))).toEqual([]);
      const [was, is] = errors(first, [first, after.model], data, spec.inputs?.[0].dims as number[]);
      const measured = Math.log2(is / was);
      const estimate = Math.max(...after.data.folds.map(({ bitsLost }) => bitsLost));
      // The worst row against the mean of all, and random roundings that may be lucky: two bits either way.
      expect(estimate).toBeGreaterThan(measured - 2);
      expect(estimate).toBeLessThan(Math.max(measured, 0) + 3);
    });
  }
});

describe("the limit", () => {
  const data: Data = { dtype: "float32", mean: 101325, deviation: 97 };
  const codes = (spec: ModelSpec, options = {}) => plan(model(spec), options).data.kept.map(({ code }) => code);

  it.each(builds)("%s is kept by default and folded when asked", (_name, build) => {
    const kept = plan(model(build(data))).data.kept.filter(({ code }) => code === "precision-loss");
    expect(kept).toHaveLength(1);
    const bits = kept[0].facts.bits as number;
    expect(bits).toBeGreaterThan(9);
    expect(kept[0].message).toContain(`costs ${bits} bits of precision (the limit is 4)`);
    // The advice is true: the number it names lets the fold pass, and one bit less does not.
    expect(codes(build(data), { maxBitsLost: bits })).toEqual([]);
    expect(codes(build(data), { maxBitsLost: bits - 1 })).toContain("precision-loss");
  });

  it("nothing is lost of a value that was computed, however far its mean is from 0", () => {
    for (const [name, build] of builds) {
      const spec = build(data);
      // A Sigmoid passes nothing on, so the node behind it has only its layer to go to.
      const nodes = [node("Sigmoid", ["u"], ["x"]), ...spec.nodes];
      const { folds, kept } = plan(model({ ...spec, nodes, inputs: [{ ...(spec.inputs ?? [])[0], name: "u" }] })).data;
      expect({ name, kept: kept.length, bits: Math.max(...folds.map(({ bitsLost }) => bitsLost)) <= 1 }).toEqual({
        name,
        kept: 0,
        bits: true,
      });
    }
  });

  it("an exact value stays so through what only moves it, and knows its scale from behind that", () => {
    const turn = node("Transpose", ["a"], ["t"], { perm: [0, 3, 1, 2] });
    const spec = (through: NodeSpec, deviation: number): ModelSpec => ({
      nodes: [node("Sub", ["x", "m"], ["a"]), through, node("Mul", ["t", "k"], ["b"]), node("Conv", ["b", "w"], ["y"])],
      initializers: { m: float32([], [127.5]), k: float32([], [1 / deviation]), w: weight("float32", [O, C, 1, 1]) },
      inputs: [{ name: "x", dims: through === turn ? [1, 3, 3, C] : [1, C, 3, 3] }],
      outputs: [{ name: "y" }],
    });
    const pool = node("MaxPool", ["a"], ["t"], { kernel_shape: [2, 2] });
    for (const through of [turn, pool]) {
      expect(decisions(plan(model(spec(through, 64))).data).filter((line) => line.startsWith("keep"))).toEqual([]);
      expect(codes(spec(through, 1))).toEqual(["precision-loss"]);
    }
  });

  it("is not evaded by a merge", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Sub", ["x", "m"], ["a"]),
        node("Conv", ["a", "w"], ["b"]),
        node("Conv", ["a", "u"], ["c"]),
        node("Add", ["b", "c"], ["y"]),
      ],
      initializers: { m: float32([], [1e5]), w: weight("float32", [O, C, 1, 1]), u: weight("float32", [O, C, 1, 1]) },
      inputs: [{ name: "x", dims: [1, C, 3, 3] }],
      outputs: [{ name: "y" }],
    };
    expect(codes(spec)).toEqual(["precision-loss"]);
    expect(codes(spec, { ...FREE, maxGrowth: 1000 })).toEqual([]);
  });

  it("a bias that cancels the sum costs bits in a half type, none where the sum was rounded at that size", () => {
    const spec = (dtype: Half): ModelSpec => {
      const per = (value: number) => of(dtype, [O], new Array(O).fill(value));
      return {
        nodes: [node("Conv", ["x", "w", "b"], ["c"]), node("BatchNormalization", ["c", "g", "s", "m", "v"], ["y"])],
        initializers: { w: weight(dtype, [O, C, 1, 1]), b: per(-1000), g: per(1), s: per(0), m: per(0), v: per(4) },
        inputs: [{ name: "x", dtype, dims: [N, C, 1, 1] }],
        outputs: [{ name: "y", dtype }],
      };
    };
    expect(codes(spec("float16"))).toEqual(["precision-loss"]);
    expect(codes(spec("float32"))).toEqual([]);
  });

  it("is what the formula says of a bias that hardly cancels, by hand", () => {
    const per = (value: number) => of("float16", [O], new Array(O).fill(value));
    const spec: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w", "b"], ["c"]),
        node("BatchNormalization", ["c", "g", "s", "m", "v"], ["y"], { epsilon: { kind: "float", value: 0 } }),
      ],
      initializers: { w: weight("float16", [O, C, 1, 1]), b: per(-21.125), g: per(3), s: per(5), m: per(1), v: per(16) },
      inputs: [{ name: "x", dtype: "float16", dims: [N, C, 1, 1] }],
      outputs: [{ name: "y", dtype: "float16" }],
    };
    // A gain of ¾: the bias becomes ¾·(−21.125 − 1) + 5, what it is added to is 5 less that, with a deviation of 3.
    const after = 16.59375 ** 2 + 3 ** 2 + 11.59375 ** 2 + 5 ** 2 + 3 ** 2;
    const before = (1 ** 2 + 4 ** 2) * 0.75 ** 2 + 5 ** 2 + 3 ** 2;
    const { folds } = plan(model(spec)).data;
    expect(folds).toHaveLength(1);
    // 1.189 bits, told in tenths and never as less.
    expect(folds[0].bitsLost).toBe(Math.ceil(5 * Math.log2(after / (2 * before))) / 10);
  });

  it("a normalization takes a large gain into its mean", () => {
    const per = (value: number) => float32([C], new Array(C).fill(value));
    const spec: ModelSpec = {
      nodes: [node("Mul", ["x", "k"], ["a"]), node("BatchNormalization", ["a", "g", "s", "m", "v"], ["y"])],
      initializers: { k: float32([], [1e9]), g: per(2), s: per(1), m: per(3e9), v: per(1e18) },
      inputs: [{ name: "x", dims: [N, C] }],
      outputs: [{ name: "y" }],
    };
    const { data } = folded(model(spec));
    expect(data.kept.map((entry) => entry.node.opType)).toEqual(["BatchNormalization"]);
    expect(data.folds[0].bitsLost).toBeLessThan(1);
  });
});

describe("what cannot be seen is no reason", () => {
  const spec = (
    dtype: string,
    { scale, tiny, bias, alive }: { scale: number; tiny: number; bias: number; alive: boolean },
  ): ModelSpec => {
    const rows = alive ? 2 : 1;
    const per = (dead: number, other: number): TensorSpec => ({ dtype, dims: [rows], values: alive ? [dead, other] : [dead] });
    return {
      nodes: [node("Conv", ["x", "w"], ["c"]), node("BatchNormalization", ["c", "g", "s", "m", "v"], ["y"])],
      initializers: {
        w: { dtype, dims: [rows, 3, 1, 1], values: [tiny, -tiny, tiny, 0.5, -1, 2].slice(0, 3 * rows) },
        g: per(scale, 1),
        s: per(bias, 0.5),
        m: per(0, 0.1),
        v: per(0, 1),
      },
      inputs: [{ name: "x", dtype, dims: [1, 3, 2, 2] }],
      outputs: [{ name: "y", dtype }],
    };
  };
  const code = (s: ModelSpec) => plan(model(s)).data.kept[0]?.code;

  it("a dead channel beside others, beside its bias, and alone", () => {
    for (const dtype of ["float32", "bfloat16"]) {
      expect(code(spec(dtype, { scale: 3e-39, tiny: 1e-39, bias: 6e-39, alive: true }))).toBeUndefined();
      expect(code(spec(dtype, { scale: 1e-30, tiny: 1e-12, bias: 0.5, alive: false }))).toBeUndefined();
      expect(code(spec(dtype, { scale: 1e-39, tiny: 1e-39, bias: 0, alive: false }))).toBeUndefined();
    }
    expect(code(spec("float16", { scale: 6e-8, tiny: 6e-8, bias: 0, alive: true }))).toBeUndefined();
  });

  it("in float16 a row that others could see stays", () => {
    expect(code(spec("float16", { scale: 1e-6, tiny: 0.004, bias: 0, alive: true }))).toBe("storage-precision");
    expect(code(spec("float16", { scale: 1e-6, tiny: 0.004, bias: 0.5, alive: true }))).toBeUndefined();
  });

  it("a row is what makes one output, on whichever axis of the weight", () => {
    const gemm = (transB: number): ModelSpec => {
      const [K, M] = [3, 2];
      const w = Array.from({ length: K * M }, (_, i) => ((transB === 1 ? Math.floor(i / K) : i % M) === 0 ? 0.0023 : 0.5));
      return {
        nodes: [node("Gemm", ["x", "w"], ["c"], { transB }), node("Mul", ["c", "k"], ["y"])],
        initializers: {
          w: { dtype: "float16", dims: transB === 1 ? [M, K] : [K, M], values: w },
          k: { dtype: "float16", dims: [M], values: [0.0003, 1] },
        },
        inputs: [{ name: "x", dtype: "float16", dims: [2, K] }],
        outputs: [{ name: "y", dtype: "float16" }],
      };
    };
    expect([code(gemm(0)), code(gemm(1))]).toEqual(["storage-precision", "storage-precision"]);
  });
});

describe("a value that others read", () => {
  it("loses log2 of the shift over its deviation", () => {
    const one = (v: number) => ({ dims: [1], data: Float64Array.of(v) });
    expect(shiftBits({ mean: one(0), deviation: one(1) }, one(16))).toBeCloseTo(4, 1);
    expect(shiftBits({ mean: one(16), deviation: one(1) }, one(-16))).toBe(0);
  });
});
