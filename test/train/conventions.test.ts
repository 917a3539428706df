import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { type ModelEdits, write } from "../../src/onnx/write.ts";
import { remaining } from "../../src/train/half-life.ts";
import {
  convertMomentum,
  convertVariance,
  FRAMEWORKS,
  fadingCurve,
  frameworkOf,
  halfLife,
  normLayers,
  rewriteAttributes,
  rewriteVariance,
  STATISTICS,
  suspectEpsilons,
  varianceFormula,
} from "../../src/train/index.ts";
import { f, float32, type ModelSpec, model, modelBytes, node } from "../helpers/build.ts";

const framework = fc.constantFrom(...FRAMEWORKS);

describe("convertVariance", () => {
  it("returns to the same float32 through any chain of frameworks", () => {
    const value = fc.float({ min: Math.fround(1e-30), max: Math.fround(1e30), noNaN: true });
    fc.assert(
      fc.property(
        fc.array(value, { minLength: 1 }),
        fc.integer({ min: 2, max: 1e9 }),
        fc.array(framework),
        (values, count, stops) => {
          let [now, at] = [Float64Array.from(values), "pytorch" as (typeof FRAMEWORKS)[number]];
          for (const next of [...stops, "onnx" as const, "keras" as const, "pytorch" as const]) {
            now = convertVariance(now, STATISTICS[at].variance, STATISTICS[next].variance, count) as Float64Array<ArrayBuffer>;
            at = next;
          }
          expect([...now].map(Math.fround)).toEqual(values);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("is Bessel's correction", () => {
    expect([...convertVariance([3], "biased", "unbiased", 4)]).toEqual([4]);
    expect([...convertVariance([4], "unbiased", "biased", 4)]).toEqual([3]);
    expect(varianceFormula("unbiased", "biased", 32)).toBe("biased variance = unbiased variance * 31 / 32");
    expect([...convertVariance([3], "biased", "biased", 1)]).toEqual([3]);
  });

  it.each([1, 0, 2.5, Number.NaN])("refuses a count of %s", (count) => {
    expect(() => convertVariance([1], "biased", "unbiased", count)).toThrow(/at least 2/);
  });
});

describe("a whole layer from PyTorch to ONNX to Keras and back", () => {
  it("reproduces momentum, epsilon and variance exactly", () => {
    const momentum = fc.integer({ min: 0, max: 10_000_000 }).map((n) => Math.fround(n / 1e7));
    const variance = fc.float({ min: Math.fround(1e-6), max: Math.fround(1e6), noNaN: true });
    fc.assert(
      fc.property(momentum, variance, fc.integer({ min: 2, max: 1e7 }), (m, v, count) => {
        const chain = ["pytorch", "onnx", "keras", "pytorch"] as const;
        let [mNow, vNow] = [m, Float64Array.of(v)];
        for (let i = 1; i < chain.length; i++) {
          mNow = convertMomentum(mNow, chain[i - 1], chain[i]) as number;
          vNow = convertVariance(
            vNow,
            STATISTICS[chain[i - 1]].variance,
            STATISTICS[chain[i]].variance,
            count,
          ) as Float64Array<ArrayBuffer>;
        }
        expect(mNow).toBe(m);
        expect(Math.fround(vNow[0])).toBe(v);
      }),
    );
  });
});

describe("half-life", () => {
  it("is ln w / ln m", () => {
    const { half, hundredth } = halfLife(Math.fround(0.9), "onnx");
    expect(half).toBeCloseTo(6.578813, 5);
    expect(hundredth).toBeCloseTo(43.70869, 4);
    expect(halfLife(Math.fround(0.1), "pytorch").half).toBe(half);
    expect(halfLife(0.99, "keras").half).toBeCloseTo(68.9676, 3);
  });
  it("is the number of batches after which the old weight is that", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 0.9999, noNaN: true }), (m) => {
        const life = halfLife(m, "onnx");
        expect(remaining(life, life.half)).toBeCloseTo(0.5, 9);
        expect(remaining(life, life.hundredth)).toBeCloseTo(0.01, 9);
      }),
    );
  });
  it("has ends: at once, and never", () => {
    expect(halfLife(0, "onnx")).toEqual({ old: 0, half: 0, hundredth: 0 });
    expect(halfLife(1, "onnx").half).toBe(Number.POSITIVE_INFINITY);
    expect(halfLife(1, "pytorch").half).toBe(0);
  });
  it("falls from full to the lowest block", () => {
    const curve = fadingCurve(halfLife(0.9, "onnx"), 20);
    expect([...curve].length).toBe(20);
    expect([curve[0], [...curve].at(-1)]).toEqual(["█", "▁"]);
    // One axis for all: what fades ten times as slowly is drawn a third of the width further on.
    const [fast, slow] = [0.9, 0.99].map((m) => [...fadingCurve(halfLife(m, "onnx"), 31)].filter((c) => c > "▄").length);
    expect(slow - fast).toBe(10);
    expect(new Set(fadingCurve(halfLife(0, "onnx"), 5))).toEqual(new Set(["▁"]));
    expect([...curve].every((c, i, all) => i === 0 || c <= all[i - 1])).toBe(true);
    expect(new Set(fadingCurve(halfLife(1, "onnx"), 5))).toEqual(new Set(["█"]));
  });
});

describe("suspectEpsilons", () => {
  const list = (...epsilons: number[]) => epsilons.map((epsilon, i) => ({ name: `bn${i}`, epsilon: Math.fround(epsilon) }));
  it("is silent about a model that agrees with itself and its framework", () => {
    expect(suspectEpsilons(list(1e-5, 1e-5), "pytorch")).toEqual([]);
    expect(suspectEpsilons(list(1e-3), "keras")).toEqual([]);
    expect(suspectEpsilons([])).toEqual([]);
  });
  it("names the layers of a mixture", () => {
    const [mixed] = suspectEpsilons(list(1e-5, 1e-5, 1e-3));
    expect(mixed).toMatch(/mixed: 0\.00001 \(2: bn0, bn1\); 0\.001 \(1: bn2\)/);
  });
  it("sees another framework's default, zero, and nonsense", () => {
    expect(suspectEpsilons(list(1e-3), "pytorch")[0]).toMatch(/default of Keras.*comes from PyTorch/);
    expect(suspectEpsilons(list(0))[0]).toMatch(/variance 0/);
    expect(suspectEpsilons(list(2))[0]).toMatch(/far from/);
  });
  it("knows frameworks by their exporters", () => {
    expect(["pytorch", "tf2onnx", "keras2onnx", "mystery"].map(frameworkOf)).toEqual([
      "pytorch",
      "tensorflow",
      "keras",
      undefined,
    ]);
  });
});

describe("rewriting a file", () => {
  const net = (attributes: ModelSpec["nodes"][number]["attributes"], variance = [2, 3]): ModelSpec => ({
    nodes: [node("BatchNormalization", ["x", "g", "b", "m", "v"], ["y"], attributes, { name: "bn" })],
    initializers: { g: float32([2], [1, 2]), b: float32([2], [0, 0]), m: float32([2], [0, 0]), v: float32([2], variance) },
    inputs: [{ name: "x", dims: ["N", 2, 3, 4] }],
    outputs: [{ name: "y", dims: ["N", 2, 3, 4] }],
    opset: 17,
  });
  const written = (spec: ModelSpec, edit: (m: ReturnType<typeof model>) => { edits: ModelEdits }) => {
    const original = model(spec);
    return collect(write(original, edit(original).edits).main);
  };

  it("changes the attribute where it stands and nothing else", () => {
    const bytes = written(net({ epsilon: f(1e-3), momentum: f(0.1) }), (m) =>
      rewriteAttributes(m, { momentum: (v) => convertMomentum(v, "pytorch", "onnx") as number }),
    );
    expect(bytes).toEqual(modelBytes(net({ epsilon: f(1e-3), momentum: f(0.9) })));
  });
  it("adds an attribute that was at its default, and leaves what does not change", () => {
    expect(written(net({}), (m) => rewriteAttributes(m, { epsilon: () => 1e-3 }))).toEqual(modelBytes(net({ epsilon: f(1e-3) })));
    const same = rewriteAttributes(model(net({ momentum: f(0.9) })), { momentum: () => 0.9 });
    expect(same.changes).toEqual([]);
    expect(written(net({}), (m) => rewriteAttributes(m, { epsilon: () => 1e-3 }, () => false))).toEqual(modelBytes(net({})));
  });
  it("reads defaults as the float32 numbers they are", () => {
    expect(normLayers(model(net({})))[0]).toMatchObject({ epsilon: Math.fround(1e-5), momentum: Math.fround(0.9) });
  });
  it("converts variances in place, by count or by batch and spatial size", () => {
    const spec = net({}, [23, 46]);
    const byCount = written(spec, (m) => rewriteVariance(m, "biased", "unbiased", { count: 24 }));
    const byBatch = written(spec, (m) => rewriteVariance(m, "biased", "unbiased", { batch: 2 }));
    expect(byCount).toEqual(modelBytes(net({}, [24, 48])));
    expect(byBatch).toEqual(byCount);
    const back = written(net({}, [24, 48]), (m) => rewriteVariance(m, "unbiased", "biased", { count: 24 }));
    expect(asFloat64(decode(read(memorySource(back)).graph.initializers[3]))).toEqual(Float64Array.of(23, 46));
  });
  it("refuses a variance that something else reads, and an unknown size", () => {
    const spec = net({});
    const shared = { ...spec, nodes: [...spec.nodes, node("Neg", ["v"], ["z"])] };
    expect(() => rewriteVariance(model(shared), "biased", "unbiased", { count: 4 })).toThrow(/something else/);
    const open = { ...spec, inputs: [{ name: "x", dims: ["N", 2, "H", 4] }] };
    expect(() => rewriteVariance(model(open), "biased", "unbiased", { batch: 4 })).toThrow(/spatial size/);
  });
});
