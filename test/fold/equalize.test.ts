/**
 * Equalisation by powers of two: every number of the new file is a power of two times that of the old one, the outputs are the
 * same bits, the proof shows it, and what a quantiser would make of the weights has less noise, computed here anew.
 */
import { createRequire } from "node:module";
import { describe, expect, it } from "vitest";
import { loadOrt, toOrt } from "../../src/cli/ort.ts";
import { activationRanges } from "../../src/engine/ranges.ts";
import { equalization } from "../../src/fold/equalize/index.ts";
import type { EqualizedWeight } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import type { Model } from "../../src/onnx/records.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { isEmpty } from "../../src/onnx/write.ts";
import { isTensor } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/index.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";
import { operators } from "../rules/check.ts";

/** Numbers between −1 and 1, float32, the same for the same seed. */
function numbers(n: number, seed: number): number[] {
  let state = (seed * 2654435761) >>> 0 || 1;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround((state / 2 ** 31 - 1) * 0.9 + 0.05);
  });
}

/** Powers of two from 1 to 2^−6, one for each channel, in no order. */
const spreadOut = (c: number, seed: number): number => 2 ** -((c * 5 + seed) % 7);

/** A weight whose index on `axis` says how large its numbers are. */
function uneven(dims: readonly number[], axis: number, seed: number): TensorSpec {
  const inner = dims.slice(axis + 1).reduce((n, d) => n * d, 1);
  const n = dims.reduce((a, b) => a * b, 1);
  const values = numbers(n, seed).map((v, k) => Math.fround(v * spreadOut(Math.floor(k / inner) % dims[axis], seed)));
  return float32(dims, values);
}

interface Net {
  readonly nodes: readonly NodeSpec[];
  readonly initializers: Readonly<Record<string, TensorSpec>>;
  readonly dims?: readonly number[];
  readonly opset?: number;
}

const C = 14;
const image = [1, 3, 8, 8];
const pads = [1, 1, 1, 1];
const first = {
  nodes: [node("Conv", ["x", "w0", "b0"], ["c0"], { pads }, { name: "first" })],
  initializers: { w0: uneven([C, 3, 3, 3], 0, 1), b0: uneven([C], 0, 1) },
};
const last = (input: string) => ({
  nodes: [node("Conv", [input, "w9"], ["y"], {}, { name: "last" })],
  // What is small where it is made is large where it is read, as normalizations leave it.
  initializers: {
    w9: float32(
      [4, C, 1, 1],
      numbers(4 * C, 9).map((v, k) => v / (64 * spreadOut(k % C, 1))),
    ),
  },
});
const between = (nodes: readonly NodeSpec[], initializers: Net["initializers"] = {}): Net => ({
  nodes: [...first.nodes, ...nodes, ...last("r").nodes],
  initializers: { ...first.initializers, ...initializers, ...last("r").initializers },
});
const bound = { lo: float32([], [0]), six: float32([], [6]), low: float32([], [-1.5]) };

const NETS: Readonly<Record<string, Net>> = {
  "two convolutions": between([node("Relu", ["c0"], ["r"])]),
  "a LeakyRelu": between([node("LeakyRelu", ["c0"], ["r"], { alpha: 0.25 })]),
  "a PRelu": between([node("PRelu", ["c0", "p"], ["r"])], { p: float32([C, 1, 1], numbers(C, 3)) }),
  pools: between([
    node("Relu", ["c0"], ["a"]),
    node("MaxPool", ["a"], ["m"], { kernel_shape: [2, 2] }),
    node("GlobalAveragePool", ["m"], ["r"]),
  ]),
  "a Clip from 0 to 6": between([node("Clip", ["c0", "lo", "six"], ["r"])], { lo: bound.lo, six: bound.six }),
  "a Clip on both sides": between([node("Clip", ["c0", "low", "six"], ["r"])], { low: bound.low, six: bound.six }),
  "a Clip from above": between([node("Clip", ["c0", "", "six"], ["r"])], { six: bound.six }),
  "a Clip with attributes": { ...between([node("Clip", ["c0"], ["r"], { min: f(0), max: f(6) })]), opset: 10 },
  "Max and Min": between([node("Max", ["c0", "low"], ["a"]), node("Min", ["six", "a"], ["r"])], {
    low: bound.low,
    six: bound.six,
  }),
  "a gate": between(
    [
      node("Relu", ["c0"], ["a"]),
      node("GlobalAveragePool", ["a"], ["g"]),
      node("Conv", ["g", "ws"], ["s"]),
      node("Sigmoid", ["s"], ["gate"]),
      node("Mul", ["a", "gate"], ["r"]),
    ],
    { ws: float32([C, C, 1, 1], numbers(C * C, 5)) },
  ),
  "an affine node that stays": between(
    [node("Mul", ["c0", "k"], ["a"]), node("Add", ["a", "t"], ["m"]), node("Relu", ["m"], ["r"])],
    {
      k: float32([C, 1, 1], numbers(C, 6)),
      t: float32([C, 1, 1], numbers(C, 7)),
    },
  ),
  "depthwise layers": between(
    [
      node("Clip", ["c0", "lo", "six"], ["a"]),
      node("Conv", ["a", "wd"], ["d"], { pads, group: C }),
      node("Clip", ["d", "lo", "six"], ["r"]),
    ],
    { wd: uneven([C, 1, 3, 3], 0, 4), lo: bound.lo, six: bound.six },
  ),
  "groups, and ConvTranspose": between(
    [
      node("Relu", ["c0"], ["a"]),
      node("Conv", ["a", "wg"], ["g"], { group: 2 }),
      node("Relu", ["g"], ["h"]),
      node("ConvTranspose", ["h", "wt"], ["t"], { group: 7 }),
      node("Relu", ["t"], ["r"]),
    ],
    { wg: uneven([C, C / 2, 1, 1], 0, 2), wt: uneven([C, 2, 2, 2], 0, 3) },
  ),
  "a residual stream": between(
    [
      node("Relu", ["c0"], ["s0"]),
      node("Conv", ["s0", "w1"], ["h1"]),
      node("Relu", ["h1"], ["a1"]),
      node("Conv", ["a1", "w2"], ["o1"]),
      node("Add", ["s0", "o1"], ["s1"]),
      node("Relu", ["s1"], ["r"]),
    ],
    {
      w1: float32(
        [C, C, 1, 1],
        numbers(C * C, 4).map((v, k) => v / (64 * spreadOut(k % C, 1))),
      ),
      w2: uneven([C, C, 1, 1], 0, 1),
    },
  ),
  "Gemm and MatMul": {
    nodes: [
      node("Gemm", ["x", "wa", "ba"], ["h"], { transB: 1 }),
      node("Relu", ["h"], ["a"]),
      node("MatMul", ["a", "wb"], ["m"]),
      node("Add", ["m", "bb"], ["n"]),
      node("Relu", ["n"], ["o"]),
      node("MatMul", ["o", "wc"], ["y"]),
    ],
    initializers: {
      wa: uneven([C, 5], 0, 1),
      ba: uneven([C], 0, 1),
      wb: uneven([C, C], 1, 2),
      bb: uneven([C], 0, 2),
      wc: float32([C, 3], numbers(3 * C, 8)),
    },
    dims: [2, 5],
  },
};

const spec = ({ nodes, initializers, dims = image, opset }: Net): ModelSpec => ({
  nodes,
  initializers,
  inputs: [{ name: "x", dims }],
  outputs: [{ name: "y" }],
  ...(opset === undefined ? {} : { opset }),
});

const feeds = ({ dims = image }: Net) => {
  const n = dims.reduce((a, b) => a * b, 1);
  return [1, 2].map((seed) => {
    const x: Tensor = { dtype: "float32", dims, data: Float32Array.from(numbers(n, 40 + seed), (v) => v * 3 ** seed) };
    return new Map([["x", x]]);
  });
};

const tensors = ({ graph }: Model) => new Map(graph.initializers.map((tensor) => [tensor.name, asFloat64(decode(tensor))]));

/** −10·log10 of noise over signal, as NumPy would: symmetric int8, one scale, half to even. */
function snrOf(values: Float64Array): number {
  const most = values.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const step = most / 127;
  let [noise, signal] = [0, 0];
  for (const w of values) {
    const quotient = w / step;
    const below = Math.floor(quotient);
    const rest = quotient - below;
    const code = rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
    noise += (w - code * step) ** 2;
    signal += w * w;
  }
  return 10 * Math.log10(signal / noise);
}

const equalize = (net: Net, more: object = {}) => {
  const before = model(spec(net));
  return { before, ...folded(before, { fold: false, equalize: equalization(), ...more }) };
};

describe("equalisation through", () => {
  it.each(Object.keys(NETS))("%s: the same bits, proven, with less noise", (name) => {
    const { before, model: after, data, gauges } = equalize(NETS[name]);
    const told = data.equalized;
    expect(told?.moved.length).toBeGreaterThan(0);
    const [was, now] = [tensors(before), tensors(after)];
    // Each number is a power of two times what it was; new ones are bounds.
    for (const [tensor, values] of now) {
      const old = was.get(tensor);
      if (old === undefined || old.length !== values.length) continue;
      for (const [i, v] of values.entries()) expect(Math.abs(old[i] === 0 ? v : Math.log2(v / old[i]) % 1)).toBe(0);
    }
    for (const weight of told?.weights ?? ([] as readonly EqualizedWeight[])) {
      const [old, next] = [was, now].map((list) => snrOf(list.get(weight.tensor) as Float64Array));
      expect(Math.abs(weight.snr[0] - old)).toBeLessThan(0.0051);
      expect(Math.abs(weight.snr[1] - next)).toBeLessThan(0.0051);
    }
    expect(told?.snr[1]).toBeGreaterThan((told?.snr[0] as number) + 0.2);
    for (const given of [gauges, undefined]) {
      const proof = prove(before, after, { foreign: false, gauges: given });
      expect(proof.outcome, JSON.stringify(proof.regions.filter((r) => r.outcome !== "equal"))).toBe("equal");
      expect(Math.max(0, ...proof.regions.map((r) => r.worstHalfUlps))).toBe(0);
    }
    for (const mode of ["float64", "storage"] as const) {
      const [p, q] = [before, after].map((m) => createSession(m, { mode }));
      for (const feed of feeds(NETS[name])) {
        const [a, b] = [p, q].map((session) => session.run(feed).get("y"));
        expect(b).toEqual(a);
      }
    }
  });

  const installed = (() => {
    try {
      return createRequire(import.meta.url).resolve("onnxruntime-node") !== "";
    } catch {
      return false;
    }
  })();

  it.skipIf(!installed).each(Object.keys(NETS))("%s: the same bits in ONNX Runtime", async (name) => {
    const ort = await loadOrt("skip these tests");
    const before = folded(model(spec(NETS[name])), { fold: false });
    const after = equalize(NETS[name]);
    for (const level of ["disabled", "all"] as const) {
      const open = (bytes: Uint8Array) => ort.InferenceSession.create(bytes, { graphOptimizationLevel: level });
      const [p, q] = [await open(before.bytes), await open(after.bytes)];
      for (const feed of feeds(NETS[name])) {
        const x = toOrt(ort, feed.get("x") as Tensor) as NonNullable<ReturnType<typeof toOrt>>;
        const [a, b] = [(await p.run({ x }, ["y"])).y, (await q.run({ x }, ["y"])).y];
        expect(b.data).toEqual(a.data);
      }
    }
  });
});

it("adds up what is felt of the noise, as its formula says", () => {
  const { before, model: after, data } = equalize(NETS["two convolutions"]);
  const [was, now] = [tensors(before), tensors(after)];
  const [w0, w9] = ["w0", "w9"].map((name) => was.get(name) as Float64Array);
  const squared = (w: Float64Array) => w.reduce((n, v) => n + v * v, 0);
  /** Σ of each row of 27, and of each column of [4, C]. */
  const columns = Array.from({ length: C }, (_, c) => [0, 1, 2, 3].reduce((n, o) => n + w9[o * C + c] ** 2, 0));
  const felt = (list: ReadonlyMap<string, Float64Array>): number => {
    const [p, q] = ["w0", "w9"].map((name) => list.get(name) as Float64Array);
    const noise = (w: Float64Array) => {
      const step = w.reduce((m, v) => Math.max(m, Math.abs(v)), 0) / 127;
      return w.map((v) => v - Math.round(v / step) * step);
    };
    const [n0, n9] = [noise(p), noise(q)];
    let sum = 0;
    // In the units of the first file: each number's noise times what the number was over what it is.
    for (const [k, n] of n0.entries()) sum += ((n * w0[k]) / p[k]) ** 2 * (columns[Math.floor(k / 27)] / squared(w9));
    for (const [k, n] of n9.entries()) sum += ((n * w9[k]) / q[k]) ** 2 / squared(w9);
    return sum;
  };
  expect(data.equalized?.snr[0]).toBeCloseTo(-10 * Math.log10(felt(was)), 1);
  expect(data.equalized?.snr[1]).toBeCloseTo(-10 * Math.log10(felt(now)), 1);
});

describe("equalisation leaves", () => {
  it("a model alone that gains nothing: not a byte is changed", () => {
    const full = (n: number, seed: number) => numbers(n, seed).map((v, k) => (k % 3 === 0 ? Math.sign(v) : v));
    const net = between([node("Relu", ["c0"], ["r"])], {
      w0: float32([C, 3, 3, 3], full(C * 27, 1)),
      b0: float32([C], numbers(C, 2)),
    });
    const even = { ...net, initializers: { ...net.initializers, w9: float32([4, C, 1, 1], full(4 * C, 9)) } };
    const { data, edits } = equalize(even);
    expect(data.equalized).toMatchObject({ moved: [], left: 1, snr: [data.equalized?.snr[1], data.equalized?.snr[1]] });
    expect(isEmpty(edits)).toBe(true);
  });

  it.each([
    ["a Sigmoid", [node("Sigmoid", ["c0"], ["r"])], {}],
    ["a Softmax over channels", [node("Softmax", ["c0"], ["r"], { axis: 1 })], {}],
    [
      "a bound that is computed",
      [node("Abs", ["x"], ["ax"]), node("ReduceMax", ["ax"], ["top"], { keepdims: 0 }), node("Clip", ["c0", "", "top"], ["r"])],
      {},
    ],
    ["an operator of another domain", [node("Relu", ["c0"], ["r"], {}, { domain: "other" })], {}],
  ] as const)("values around %s", (_name, nodes, initializers) => {
    const net = between(nodes, initializers);
    const { data, edits } = equalize(net, { fold: false });
    expect(data.equalized?.moved).toEqual([]);
    expect(isEmpty(edits)).toBe(true);
  });

  it("outputs of the graph, and weights that several layers read", () => {
    const net = NETS["two convolutions"];
    const twice = { ...net, nodes: [...net.nodes, node("Conv", ["x", "w0"], ["again"], { pads })] };
    const read = spec(twice);
    const told = folded(model({ ...read, outputs: [...read.outputs, { name: "again" }] }), {
      fold: false,
      equalize: equalization(),
    });
    expect(told.data.equalized?.moved).toEqual([]);
    const seen = folded(model({ ...spec(net), outputs: [{ name: "y" }, { name: "r" }] }), {
      fold: false,
      equalize: equalization(),
    });
    expect(seen.data.equalized?.moved).toEqual([]);
  });

  it("layers that are left out by name", () => {
    const { data } = equalize(NETS["two convolutions"], { skip: (name: string) => name === "last" });
    expect(data.equalized?.moved).toEqual([]);
  });
});

it("keeps numbers of a half type normal", () => {
  const half = (spec: TensorSpec): TensorSpec => ({ ...spec, dtype: "float16" });
  const net = between([node("Relu", ["c0"], ["r"])]);
  const tiny = Array.from(net.initializers.w0.values as number[], (v) => v * 2 ** -6);
  const initializers = {
    w0: half({ ...net.initializers.w0, values: tiny }),
    b0: half(net.initializers.b0),
    w9: half(net.initializers.w9),
  };
  const before = model({
    ...spec({ ...net, initializers }),
    inputs: [{ name: "x", dims: image, dtype: "float16" }],
    outputs: [{ name: "y", dtype: "float16" }],
  });
  const { data, model: after, gauges } = folded(before, { fold: false, equalize: equalization() });
  expect(data.equalized?.moved.length).toBe(1);
  const [was, now] = [tensors(before), tensors(after)];
  for (const [name, values] of now) {
    const old = was.get(name) as Float64Array;
    for (const [i, v] of values.entries()) expect(Math.abs(old[i] === 0 ? v : Math.log2(v / old[i]) % 1)).toBe(0);
  }
  expect(prove(before, after, { foreign: false, gauges }).outcome).toBe("equal");
});

it("writes a Relu and a Min with a bound for each channel", () => {
  const { model: after, data } = equalize(NETS["depthwise layers"]);
  const types = after.graph.nodes.map(({ opType }) => opType);
  expect(types).toEqual(["Conv", "Relu", "Min", "Conv", "Relu", "Min", "Conv"]);
  expect(data.after.operators).toEqual({ Conv: 3, Min: 2, Relu: 2 });
  expect(data.equalized?.moved.map(({ clips }) => clips)).toEqual([1, 1]);
});

it("goes on after a fold, in one plan", () => {
  const net = NETS["two convolutions"];
  const nodes = [
    ...first.nodes,
    node("BatchNormalization", ["c0", "g", "b", "mu", "v"], ["bn"]),
    node("Relu", ["bn"], ["r"]),
    ...last("r").nodes,
  ];
  const channel = (seed: number, low = 0.1) =>
    float32(
      [C],
      numbers(C, seed).map((v) => Math.fround(Math.abs(v) + low)),
    );
  const initializers = { ...net.initializers, g: channel(1), b: channel(2), mu: channel(3), v: channel(4) };
  const before = model(spec({ nodes, initializers }));
  const { data, model: after, gauges } = folded(before, { equalize: equalization() });
  expect(data.folds.length).toBe(1);
  expect(data.equalized?.moved.length).toBe(1);
  expect(operators({ before, after, data })).toEqual(["Conv", "Relu", "Conv"]);
  expect(prove(before, after, { foreign: false, gauges }).outcome).toBe("equal");
});

describe("measured activations", () => {
  const net = NETS["two convolutions"];
  const source = { blocks: 2, load: (k: number) => feeds(net)[k] };

  it("are those of the values that layers read, channel by channel", () => {
    const before = model(spec(net));
    const ranges = activationRanges(before, source);
    expect([...ranges.keys()].sort()).toEqual(["r", "x"]);
    const session = createSession(before, { only: ["r"] });
    const runs = feeds(net).map((feed) => session.run(feed).get("r"));
    const of = (c: number) =>
      runs.flatMap((r) => (r !== undefined && isTensor(r) ? Array.from(asFloat64(r).subarray(c * 64, c * 64 + 64)) : []));
    for (let c = 0; c < C; c++) {
      const list = of(c);
      expect(ranges.get("r")?.high[c]).toBe(Math.max(...list));
      expect(ranges.get("r")?.low[c]).toBe(Math.min(...list));
      expect(ranges.get("r")?.meanSquare[c]).toBeCloseTo(list.reduce((n, v) => n + v * v, 0) / list.length, 9);
    }
  });

  it("count beside the weights", () => {
    const ranges = activationRanges(model(spec(net)), source);
    const { data, before, model: after } = equalize(net, { equalize: equalization({ ranges }) });
    expect(data.equalized?.activations).toBe(2);
    expect(data.equalized?.snr[1]).toBeGreaterThan(data.equalized?.snr[0] as number);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
  });
});

describe("activations measured before a fold", () => {
  it("count as what the fold makes of them: as if they were measured behind it", () => {
    const channel = (seed: number, low = 0.1) =>
      float32(
        [C],
        numbers(C, seed).map((v) => Math.fround(Math.abs(v) + low)),
      );
    // Through the pool into the last layer: what that reads is (v − b) / a of what it read.
    const nodes = [
      ...first.nodes,
      node("Relu", ["c0"], ["a"]),
      node("BatchNormalization", ["a", "g", "b", "mu", "v"], ["bn"]),
      node("MaxPool", ["bn"], ["m"], { kernel_shape: [2, 2] }),
      ...last("m").nodes,
    ];
    const initializers = {
      ...{ ...first.initializers, ...last("m").initializers },
      ...{ g: channel(1), b: channel(2), mu: channel(3), v: channel(4) },
    };
    const before = model(spec({ nodes, initializers }));
    const source = { blocks: 2, load: (k: number) => feeds(NETS["two convolutions"])[k] };
    const plainly = folded(before);
    expect(plainly.data.folds[0].direction).toBe("forward");
    const at = (measured: Model) => ({ equalize: equalization({ ranges: activationRanges(measured, source) }) });
    const [once, twice] = [folded(before, at(before)), folded(plainly.model, { fold: false, ...at(plainly.model) })];
    const none = folded(before, { equalize: equalization() });
    expect(once.data.equalized?.activations).toBe(2);
    expect(twice.data.equalized?.activations).toBe(2);
    const felt = ({ data }: typeof once) => data.equalized?.snr as readonly number[];
    for (const i of [0, 1]) expect(felt(once)[i]).toBeCloseTo(felt(twice)[i], 6);
    expect(Math.abs(felt(once)[0] - felt(none)[0])).toBeGreaterThan(0.01);
    for (const [name, values] of tensors(once.model)) {
      if (name.startsWith("w9"))
        for (const [i, v] of (tensors(twice.model).get(name) ?? []).entries()) expect(values[i]).toBeCloseTo(v, 5);
    }
  });
});

describe("what is told of a group", () => {
  it("is how far its channels moved, least and most", () => {
    const { before, model: after, data } = equalize(NETS["two convolutions"]);
    const [was, now] = [tensors(before), tensors(after)].map((list) => list.get("w0") as Float64Array);
    const rows = Array.from({ length: C }, (_, c) => -Math.log2(now[c * 27] / was[c * 27]));
    expect(new Set(rows).size).toBeGreaterThan(1);
    expect(data.equalized?.moved[0].exponents.map(Math.abs).sort()).toEqual(
      [Math.min(...rows), Math.max(...rows)].map(Math.abs).sort(),
    );
  });
});

describe("numbers at the ends of their type", () => {
  /** The net with numbers put into a constant, `{ position: number }`. */
  const withNumbers = (net: Net, tensor: string, put: Readonly<Record<number, number>>): Net => {
    const old = net.initializers[tensor];
    const values = Array.from(old.values as ArrayLike<number>, (v, i) => put[i] ?? v);
    return { ...net, initializers: { ...net.initializers, [tensor]: { ...old, values } } };
  };
  const plain = NETS["two convolutions"];
  const affine = NETS["an affine node that stays"];
  /** Every channel of a vector. */
  const all = (value: number) => Object.fromEntries(Array.from({ length: C }, (_, c) => [c, value]));
  const clipped = between([node("Clip", ["c0", "lo", "six"], ["r"])], { lo: bound.lo, six: float32([], [3 * 2 ** -149]) });

  const nets: Readonly<Record<string, Net>> = {
    "a bias near the largest number": withNumbers(plain, "b0", all(1.5 * 2 ** 127)),
    "a bias of three times the smallest": withNumbers(plain, "b0", all(3 * 2 ** -149)),
    "a constant that is added, near the largest": withNumbers(affine, "t", all(1.5 * 2 ** 127)),
    "a constant that is added, of three times the smallest": withNumbers(affine, "t", all(3 * 2 ** -149)),
    "a bound of three times the smallest": clipped,
    "a bound near the largest": between([node("Clip", ["c0", "lo", "six"], ["r"])], {
      lo: bound.lo,
      six: float32([], [1.5 * 2 ** 127]),
    }),
  };

  it.each(Object.keys(nets))("%s: is moved by a power of two to a number of the type, or stays", (name) => {
    const { before, model: after, data } = equalize(nets[name]);
    const was = tensors(before);
    const moved = new Set<number>();
    for (const [tensor, values] of tensors(after)) {
      const old = was.get(tensor) ?? new Float64Array(values.length).fill(nets[name].initializers.six.values[0] as number);
      for (const [i, v] of values.entries()) {
        expect(Number.isFinite(v)).toBe(true);
        expect(Math.abs(old[i] === 0 ? v : Math.log2(v / old[i]) % 1)).toBe(0);
        moved.add(v / old[i]);
      }
    }
    expect(moved.size > 2).toBe((data.equalized?.moved.length as number) > 0);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
  });
});

describe("a layer of zeros", () => {
  it("has no noise, and what it reads may move for the others", () => {
    const net = NETS["two convolutions"];
    const nodes = [...net.nodes, node("Conv", ["r", "wz"], ["z"])];
    const initializers = { ...net.initializers, wz: float32([2, C, 1, 1], new Array<number>(2 * C).fill(0)) };
    const read = spec({ nodes, initializers });
    const before = model({ ...read, outputs: [...read.outputs, { name: "z" }] });
    const { data, model: after } = folded(before, { fold: false, equalize: equalization() });
    expect(data.equalized?.moved.length).toBe(1);
    expect(Number.isFinite(data.equalized?.snr[1])).toBe(true);
    expect(tensors(after).get("wz")).toEqual(new Float64Array(2 * C));
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
  });
});
