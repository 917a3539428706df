import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { write } from "../../src/onnx/write.ts";
import {
  BuiltInEngine,
  formatMoments,
  type MomentsHeader,
  mergeMomentsFiles,
  momentsFile,
  parseMoments,
  type RecalibrateOptions,
  Recalibration,
  useMoments,
} from "../../src/train/index.ts";
import { f, float32, float64, type ModelSpec, model, modelBytes, node } from "../helpers/build.ts";
import { numbers, rows, twoLayers } from "./nets.ts";

const N = 37;
const X = numbers(2 * N, 9);
const EPSILON = Math.fround(1e-5);

const column = (matrix: readonly (readonly number[])[], c: number) => matrix.map((row) => row[c]);
const meanOf = (v: readonly number[]) => v.reduce((a, b) => a + b, 0) / v.length;
const varOf = (v: readonly number[], less = 0) => v.reduce((a, b) => a + (b - meanOf(v)) ** 2, 0) / (v.length - less);

/** The two-layer network written out, with the statistics that `correct` makes of the first layer's inputs. */
function reference(less = 0, corrected = true) {
  const spec = twoLayers();
  const get = (name: string) => Array.from(spec.initializers?.[name].values as ArrayLike<number>);
  const gemm = (x: readonly number[][], w: number[], inner: number, outer: number) =>
    x.map((row) => Array.from({ length: outer }, (_, o) => row.reduce((sum, v, i) => sum + v * w[i * outer + o], 0 * inner)));
  const x = Array.from({ length: N }, (_, i) => X.slice(2 * i, 2 * i + 2));
  const a1 = gemm(x, get("w1"), 2, 4);
  const m1 = [0, 1, 2, 3].map((c) => meanOf(column(a1, c)));
  const v1 = [0, 1, 2, 3].map((c) => varOf(column(a1, c), less));
  const [m, v] = corrected ? [m1, v1] : [get("m1"), get("v1")];
  const [g, b] = [get("g1"), get("b1")];
  const r1 = a1.map((row) => row.map((value, c) => Math.max(0, (g[c] * (value - m[c])) / Math.sqrt(v[c] + EPSILON) + b[c])));
  const a2 = gemm(r1, get("w2"), 4, 3);
  const m2 = [0, 1, 2].map((c) => meanOf(column(a2, c)));
  const v2 = [0, 1, 2].map((c) => varOf(column(a2, c), less));
  return { m1, v1, m2, v2 };
}

async function recalibrated(spec: ModelSpec, options: RecalibrateOptions = {}, block = 8, memory?: number) {
  const original = model(spec);
  const recalibration = new Recalibration(original, options);
  const engine = new BuiltInEngine(original, recalibration.targets, { memory });
  await recalibration.run(rows(X, 2, block), engine);
  const bytes = collect(write(original, recalibration.edits()).main);
  return { recalibration, bytes, result: read(memorySource(bytes)), original };
}

const stored = (from: Model, name: string): number[] => {
  const tensor = from.graph.initializers.find((t) => t.name === name);
  if (tensor === undefined) throw new Error(`no ${name}`);
  return [...asFloat64(decode(tensor))];
};

const expectNear = (found: readonly number[], expected: readonly number[]) =>
  found.forEach((v, i) => expect(Math.abs(v - expected[i])).toBeLessThanOrEqual(1e-12 * Math.max(1, Math.abs(expected[i]))));

describe("recalibrate", () => {
  it.each([
    ["layer after layer", {}, 0, true],
    ["unbiased", { unbiased: true }, 1, true],
    ["all at once", { order: "at-once" as const }, 0, false],
  ])("%s: the statistics are those of the formulas to 1e-12", async (_name, options, less, corrected) => {
    const { result } = await recalibrated(twoLayers(), options);
    const expected = reference(less, corrected);
    for (const name of ["m1", "v1", "m2", "v2"] as const) expectNear(stored(result, name), expected[name]);
  });

  it("differs between the two orders, so the test above can tell them apart", () => {
    expect(Math.abs(reference(0, true).m2[0] - reference(0, false).m2[0])).toBeGreaterThan(1e-3);
  });

  it("gives the same bytes with and without values kept between passes", async () => {
    const kept = await recalibrated(twoLayers());
    const fresh = await recalibrated(twoLayers(), {}, 8, 0);
    const some = await recalibrated(twoLayers(), {}, 8, 700);
    expect(fresh.bytes).toEqual(kept.bytes);
    expect(some.bytes).toEqual(kept.bytes);
  });

  it("changes the bytes of the statistics and no other", async () => {
    const { bytes, original, result } = await recalibrated(twoLayers());
    const before = modelBytes(twoLayers());
    expect(bytes.length).toBe(before.length);
    const spans = original.graph.initializers
      .filter(({ name }) => /^[mv]\d/.test(name))
      .map(({ raw }) => raw as { start: number; end: number });
    expect(spans.length).toBe(4);
    bytes.forEach((byte, i) => {
      if (byte !== before[i]) expect(spans.some(({ start, end }) => i >= start && i < end)).toBe(true);
    });
    expect(stored(result, "g1")).toEqual(stored(original, "g1"));
  });

  it("restricts itself to the layers asked for", async () => {
    const { result, original, recalibration } = await recalibrated(twoLayers(), { select: (name) => name === "bn2" });
    for (const name of ["m1", "v1"]) expect(stored(result, name)).toEqual(stored(original, name));
    expectNear(stored(result, "m2"), reference(0, false).m2);
    expect(recalibration.skipped.map(({ reason }) => reason)).toEqual(["not asked for"]);
  });

  it("gives layers that share a tensor tensors of their own", async () => {
    const spec = twoLayers();
    const { m2: _m, v2: _v, ...initializers } = spec.initializers ?? {};
    const square = {
      ...initializers,
      w2: float64([4, 4], numbers(16, 2)),
      g2: float64([4], numbers(4, 5)),
      b2: float64([4], numbers(4, 6)),
    };
    const nodes = spec.nodes.map((n) =>
      n.name === "bn2" ? node(n.op, ["a2", "g2", "b2", "m1", "v1"], ["y"], n.attributes, { name: "bn2" }) : n,
    );
    const outputs = [{ name: "y", dtype: "float64", dims: ["N", 4] }];
    const { result } = await recalibrated({ ...spec, nodes, outputs, initializers: square });
    const inputs = result.graph.nodes
      .filter(({ opType }) => opType === "BatchNormalization")
      .map(({ inputs: names }) => names[3]);
    expect(new Set(inputs).size).toBe(2);
    expectNear(stored(result, inputs[0]), reference().m1);
    expect(stored(result, "m1")).toEqual([0, 0.5, 0, 1]);
  });

  it("stores what the tensor's type can hold, and later layers see that", async () => {
    const spec = twoLayers();
    const half = Object.fromEntries(["m1", "v1"].map((name) => [name, float32([4], [0, 0, 0, 0])]));
    const { result } = await recalibrated({ ...spec, initializers: { ...spec.initializers, ...half } });
    const expected = reference();
    expect(stored(result, "m1")).toEqual(expected.m1.map(Math.fround));
    const off = stored(result, "m2").map((v, i) => Math.abs(v - expected.m2[i]));
    expect(Math.max(...off)).toBeGreaterThan(0);
    expect(Math.max(...off)).toBeLessThan(1e-5);
  });

  it("says how far every layer moved", async () => {
    const { recalibration } = await recalibrated(twoLayers());
    const [first] = recalibration.drift();
    const { m1, v1 } = reference();
    const moved = m1.map((m, c) => Math.abs(m - [0, 0.5, 0, 1][c]) / Math.sqrt([1, 2, 1, 4][c] + EPSILON));
    expect(first.elements).toBe(N);
    expect(first.meanDrift.max).toBeCloseTo(Math.max(...moved), 10);
    expect(first.deviationRatio.min).toBeCloseTo(
      Math.min(...v1.map((v, c) => Math.sqrt((v + EPSILON) / ([1, 2, 1, 4][c] + EPSILON)))),
      10,
    );
    const [change] = recalibration.outputChange([rows(X, 2, 8).load(0)]);
    expect(change.rms).toBeGreaterThan(0.01);
  });

  it("normalizes its own data: afterwards each layer's output has mean beta and deviation |gamma|", async () => {
    const { result } = await recalibrated(twoLayers());
    const again = new Recalibration(result);
    await again.run(rows(X, 2, 8), new BuiltInEngine(result, again.targets));
    for (const { meanDrift, deviationRatio } of again.drift()) {
      expect(meanDrift.max).toBeLessThan(1e-12);
      expect(Math.abs(deviationRatio.min - 1) + Math.abs(deviationRatio.max - 1)).toBeLessThan(1e-12);
    }
  });

  it("refuses models that train, data that is not finite, and models without norms", async () => {
    const spec = twoLayers();
    const nodes = spec.nodes.map((n) =>
      n.name === "bn1" ? { ...n, attributes: { training_mode: 1 }, outputs: ["n1", "rm", "rv"] } : n,
    );
    expect(() => new Recalibration(model({ ...spec, nodes }))).toThrow(/training mode/);
    expect(() => new Recalibration(model({ ...spec, nodes: [node("Gemm", ["x", "w1"], ["y"])] }))).toThrow(/the model has none/);
    const original = model(spec);
    const recalibration = new Recalibration(original);
    const bad = rows([...X.slice(0, 40), Number.NaN, ...X.slice(41)], 2, 8);
    await expect(recalibration.run(bad, new BuiltInEngine(original, recalibration.targets))).rejects.toThrow(
      /not finite.*block 2/,
    );
  });
});

describe("moments files", () => {
  const source = rows(X, 2, 4);
  const header = (order: "layers" | "at-once"): MomentsHeader => ({
    model: "m",
    samples: N,
    block: 4,
    order,
    variance: "population",
    engine: "float64",
  });

  /** Every round on every shard, through text. */
  async function sharded(order: "layers" | "at-once", cuts: readonly number[]): Promise<string> {
    let merged: string | undefined;
    for (;;) {
      const texts: string[] = [];
      for (let i = 1; i < cuts.length; i++) {
        const original = model(twoLayers());
        const recalibration = new Recalibration(original, { order });
        if (merged !== undefined) useMoments(recalibration, parseMoments(merged, "merged"), "merged");
        if (recalibration.done) return merged as string;
        const blocks = Array.from({ length: cuts[i] - cuts[i - 1] }, (_, k) => cuts[i - 1] + k);
        const parts = await recalibration.collect(source, new BuiltInEngine(original, recalibration.targets), blocks);
        texts.push(formatMoments(momentsFile(header(order), recalibration, parts)));
      }
      merged = formatMoments(
        mergeMomentsFiles(texts.reverse().map((text, i) => ({ name: `${i}`, file: parseMoments(text, `${i}`) }))),
      );
    }
  }

  it.each(["layers", "at-once"] as const)("%s: the same bytes for any shards", async (order) => {
    const one = await sharded(order, [0, 10]);
    expect(await sharded(order, [0, 3, 4, 10])).toBe(one);
    expect(await sharded(order, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toBe(one);
    const original = model(twoLayers());
    const whole = new Recalibration(original, { order });
    await whole.run(source, new BuiltInEngine(original, whole.targets));
    expect(formatMoments(momentsFile(header(order), whole))).toBe(one);
  });

  it("refuses what does not belong together, is incomplete, or is no such file", async () => {
    const original = model(twoLayers());
    const recalibration = new Recalibration(original, { order: "at-once" });
    const parts = await recalibration.collect(source, new BuiltInEngine(original, recalibration.targets), [0, 1, 2]);
    const file = momentsFile(header("at-once"), recalibration, parts);
    const pair = (other: object) =>
      mergeMomentsFiles([
        { name: "a", file },
        { name: "b", file: { ...file, ...other } },
      ]);
    expect(() => pair({ samples: 5 })).toThrow(/samples is 37 in a and 5 in b/);
    expect(() => pair({ model: "other" })).toThrow(/model/);
    expect(() => pair({})).toThrow(/more than one/);
    expect(() => useMoments(recalibration, file, "a")).toThrow(/lack blocks 3 to 9 of 10/);
    expect(() => parseMoments("{}", "x")).toThrow(/does not hold moments/);
    expect(() => parseMoments("not json", "x")).toThrow(/does not hold moments/);
    expect(() => parseMoments(formatMoments(file).replace('"count":8', '"count":"8"'), "x")).toThrow(/count, mean and m2/);
    expect(parseMoments(formatMoments(file), "x")).toEqual(file);
  });
});

/** Two inputs go through one Gemm and one BatchNormalization, whose outputs are subtracted. */
function siamese(
  more: { readonly mean?: readonly number[]; readonly front?: "w1" | "w3"; readonly copies?: boolean } = {},
): ModelSpec {
  const { mean = [0, 0.5, 0, 1], front = "w1", copies = false } = more;
  const names = (i: number) => ["g1", "b1", "m1", "v1"].map((name) => (copies && i === 2 ? `${name}_copy` : name));
  const bn = (i: number) =>
    node("BatchNormalization", [`a${i}`, ...names(i)], [`n${i}`], { epsilon: f(1e-5) }, { name: `bn_${i}` });
  const start = mean.every((v) => v === 0);
  const four = (values: readonly number[], at: number) => float64([4], start ? [at, at, at, at] : values);
  return {
    nodes: [
      ...(copies ? ["g1", "b1", "m1", "v1"].map((name) => node("Identity", [name], [`${name}_copy`])) : []),
      node("Gemm", ["x", "w1"], ["a1"]),
      node("Neg", ["x"], ["t"]),
      node("Gemm", ["t", front], ["a2"]),
      bn(1),
      bn(2),
      node("Sub", ["n1", "n2"], ["y"]),
    ],
    initializers: {
      w1: float64([2, 4], numbers(8, 1)),
      w3: float64([2, 4], numbers(8, 7)),
      ...{ g1: four(numbers(4, 3), 1), b1: four(numbers(4, 4), 0), m1: four(mean, 0), v1: four([1, 2, 1, 4], 1) },
    },
    inputs: [{ name: "x", dtype: "float64", dims: ["N", 2] }],
    outputs: [{ name: "y", dtype: "float64", dims: ["N", 4] }],
    opset: 17,
  };
}

/** What the layer sees over both uses, by the other weight in the second one where `front` says so. */
function pooledReference(front: "w1" | "w3" = "w1"): { mean: number[]; variance: number[] } {
  const weights = siamese().initializers ?? {};
  const columns = [0, 1, 2, 3].map((c) =>
    ["w1", front].flatMap((name, use) => {
      const w = Array.from(weights[name].values as ArrayLike<number>);
      return Array.from({ length: N }, (_, i) => (use === 0 ? 1 : -1) * (X[2 * i] * w[c] + X[2 * i + 1] * w[4 + c]));
    }),
  );
  return { mean: columns.map(meanOf), variance: columns.map((v) => varOf(v)) };
}

describe("a layer that is gone through several times", () => {
  const parameters = (result: Model) =>
    result.graph.nodes.filter(({ opType }) => opType === "BatchNormalization").map(({ inputs }) => inputs.slice(1).join());

  it.each([
    ["with numbers of its own", {}],
    ["as it starts, behind one layer", { mean: [0, 0, 0, 0] }],
    ["behind other layers", { front: "w3" as const }],
    ["in tensors that go through Identity, behind one layer", { copies: true }],
  ])("%s: statistics over all uses, in the tensors they share", async (_name, more) => {
    const { result, recalibration } = await recalibrated(siamese(more));
    const { mean, variance } = pooledReference("front" in more ? more.front : "w1");
    expectNear(stored(result, "m1"), mean);
    expectNear(stored(result, "v1"), variance);
    expect(result.graph.initializers.map(({ name }) => name)).toEqual(["w1", "w3", "g1", "b1", "m1", "v1"]);
    expect(recalibration.drift().map(({ uses, elements }) => [uses, elements])).toEqual([
      [2, 2 * N],
      [2, 2 * N],
    ]);
  });

  it("different layers whose tensors are merely equal at the start are parted", async () => {
    for (const more of [
      { mean: [0, 0, 0, 0], front: "w3" as const },
      { mean: [0, 0, 0, 0], front: "w3" as const, copies: true },
    ]) {
      const { result } = await recalibrated(siamese(more));
      expect(new Set(parameters(result)).size).toBe(2);
    }
  });

  it("--untie parts them; one of them alone is left", async () => {
    const untied = await recalibrated(siamese(), { untie: true });
    expect(new Set(parameters(untied.result)).size).toBe(2);
    expect(untied.recalibration.drift().map(({ uses }) => uses)).toEqual([undefined, undefined]);
    expect(() => new Recalibration(model(siamese()), { select: (name) => name === "bn_1" })).toThrow(
      /one layer with BatchNormalization "bn_2", which is left alone; --untie/,
    );
  });

  it("whose tensors others read: the layer gets tensors of its own, in common", async () => {
    const spec = siamese();
    const nodes = [...spec.nodes, node("Add", ["m1", "v1"], ["z"])];
    const outputs = [...(spec.outputs ?? []), { name: "z", dtype: "float64", dims: [4] }];
    const { result } = await recalibrated({ ...spec, nodes, outputs });
    expect(new Set(parameters(result)).size).toBe(1);
    expect(stored(result, "m1")).toEqual([0, 0.5, 0, 1]);
    const own = result.graph.nodes.find(({ opType }) => opType === "BatchNormalization")?.inputs[3] ?? "";
    expectNear(stored(result, own), pooledReference().mean);
  });

  it("that its own output comes back to takes its statistics in one pass", async () => {
    const spec = siamese();
    const nodes = [
      node("Gemm", ["x", "w1"], ["a1"]),
      spec.nodes.find(({ name }) => name === "bn_1") as (typeof spec.nodes)[number],
      node("Identity", ["n1"], ["a2"]),
      spec.nodes.find(({ name }) => name === "bn_2") as (typeof spec.nodes)[number],
      node("Identity", ["n2"], ["y"]),
    ];
    const { result, recalibration } = await recalibrated({ ...spec, nodes });
    expect(new Set(recalibration.targets.map(({ level }) => level))).toEqual(new Set([0]));
    expect(new Set(parameters(result)).size).toBe(1);
  });
});
