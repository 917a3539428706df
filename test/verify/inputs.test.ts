import { describe, expect, it } from "vitest";
import type { Model } from "../../src/onnx/records.ts";
import { asNumbers, type Tensor } from "../../src/onnx/tensor.ts";
import type { Value } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { compareFaces } from "../../src/verify/faces.ts";
import { generateInputs, KINDS, type Sample, shapesOf, shapesText } from "../../src/verify/inputs.ts";
import { randomOf } from "../../src/verify/random.ts";
import { float32, int64, model, node, type ValueSpec } from "../helpers/build.ts";

const simple = (...inputs: ValueSpec[]): Model =>
  model({
    nodes: inputs.map(({ name }) => node("Identity", [name], [`${name}_out`])),
    inputs,
    outputs: [{ name: `${inputs[0].name}_out` }],
  });
const tensorOf = (sample: Sample, name: string): Tensor => sample.feeds.get(name) as Tensor;
const dimsOf = (m: Model, name: string, options = {}) => tensorOf(generateInputs(m, options)[0], name).dims;

describe("random numbers", () => {
  it("are the same on every machine", () => {
    const random = randomOf(1, 0, "x");
    const again = randomOf(1, 0, "x");
    const first = Array.from({ length: 5 }, () => random.uniform());
    expect(Array.from({ length: 5 }, () => again.uniform())).toEqual(first);
    expect(first).toEqual(FIRST);
  });

  it("differ from path to path", () => {
    expect(randomOf(1, 0, "x").uniform()).not.toBe(randomOf(1, 1, "x").uniform());
    expect(randomOf(1, 0, "x").uniform()).not.toBe(randomOf(1, 0, "y").uniform());
    expect(randomOf(11, "").uniform()).not.toBe(randomOf(1, "1").uniform());
  });

  it("have the moments of a standard normal, and of a uniform", () => {
    const random = randomOf("moments");
    const n = 50_000;
    let [sum, squares, uniform] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const x = random.normal();
      sum += x;
      squares += x * x;
      uniform += random.uniform();
      expect(Math.abs(x)).toBeLessThanOrEqual(6);
    }
    // Five standard errors.
    expect(Math.abs(sum / n)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(squares / n - 1)).toBeLessThan((5 * Math.SQRT2) / Math.sqrt(n));
    expect(Math.abs(uniform / n - 0.5)).toBeLessThan(5 / Math.sqrt(12 * n));
  });
});

/** From a second implementation of xoshiro128** in exact integers, in another language. */
const FIRST = [0.9720609994704298, 0.840155649176653, 0.8906275014919584, 0.9614918381454889, 0.6283283801080607];

describe("shapes", () => {
  it("take what the file says, one size per symbol, and small sizes for the rest", () => {
    const m = simple(
      { name: "a", dims: ["batch", 7] },
      { name: "b", dims: ["batch", "length", 5] },
      { name: "c", dims: ["length"] },
    );
    const [sample] = generateInputs(m);
    expect(tensorOf(sample, "a").dims).toEqual([2, 7]);
    expect(tensorOf(sample, "b").dims).toEqual([2, 8, 5]);
    expect(tensorOf(sample, "c").dims).toEqual([8]);
  });

  it("follow readers: channels of a Conv, columns of a Gemm, sides a network of stride 64 can take", () => {
    const conv = model({
      nodes: [
        node("Relu", ["x"], ["r"]),
        node("Conv", ["r", "W"], ["c"], { strides: [8, 8], group: 2 }),
        node("MaxPool", ["c"], ["y"], { kernel_shape: [1, 1], strides: [8, 8] }),
      ],
      initializers: { W: float32([4, 3, 1, 1], new Array(12).fill(1)) },
      inputs: [{ name: "x" }],
      outputs: [{ name: "y" }],
    });
    expect(dimsOf(conv, "x")).toEqual([2, 6, 128, 128]);
    const gemm = model({
      nodes: [node("Gemm", ["x", "B"], ["y"], { transB: 1 })],
      initializers: { B: float32([4, 11], new Array(44).fill(1)) },
      inputs: [{ name: "x", dims: [undefined, undefined] }],
      outputs: [{ name: "y" }],
    });
    expect(dimsOf(gemm, "x")).toEqual([2, 11]);
  });

  it("follow a transposition from channels-last", () => {
    const nhwc = model({
      nodes: [node("Transpose", ["x"], ["t"], { perm: [0, 3, 1, 2] }), node("Conv", ["t", "W"], ["y"])],
      initializers: { W: float32([1, 5, 1, 1], new Array(5).fill(1)) },
      inputs: [{ name: "x", dims: ["n", undefined, undefined, undefined] }],
      outputs: [{ name: "y" }],
    });
    expect(dimsOf(nhwc, "x")).toEqual([2, 32, 32, 5]);
  });

  it("let the user decide, and bind the symbol for the other inputs", () => {
    const m = simple({ name: "a", dims: ["n", "k"] }, { name: "b", dims: ["k", 3] });
    const shapes = new Map([["a", [-1, 17]]]);
    expect(dimsOf(m, "a", { shapes })).toEqual([2, 17]);
    expect(dimsOf(m, "b", { shapes })).toEqual([17, 3]);
    expect(() => generateInputs(m, { shapes: new Map([["b", [17, 4]]]) })).toThrow(/contradicts/);
    expect(() => generateInputs(m, { shapes: new Map([["z", [1]]]) })).toThrow(/no input/);
  });

  it("an initializer that is also an input is not fed; a second list changes only open sizes", () => {
    const m = model({
      nodes: [node("Add", ["x", "w"], ["y"])],
      initializers: { w: float32([3], [1, 2, 3]) },
      inputs: [
        { name: "x", dims: [4, 3] },
        { name: "w", dims: [3] },
      ],
      outputs: [{ name: "y" }],
    });
    expect([...generateInputs(m)[0].feeds.keys()]).toEqual(["x"]);
    expect(generateInputs(m, { attempt: 1 })).toBeUndefined();
  });

  it("a batch that one input leaves open is that of another, where two and one will not do", () => {
    const m = model({
      nodes: [node("Gather", ["t", "i"], ["e"]), node("Concat", ["x", "e"], ["y"], { axis: 1 })],
      initializers: { t: float32([5, 2], new Array(10).fill(1)) },
      inputs: [
        { name: "x", dims: ["N", 4] },
        { name: "i", dtype: "int64", dims: [7] },
      ],
      outputs: [{ name: "y" }],
    });
    const batches = [0, 1, 2].map((attempt) => dimsOf(m, "x", { attempt })[0]);
    expect(batches).toEqual([2, 1, 7]);
  });
});

describe("values", () => {
  it("are the same for the same seed, and others for another", () => {
    const m = simple({ name: "x", dims: [3, 4] });
    expect(generateInputs(m, { seed: 5, samples: 9 })).toEqual(generateInputs(m, { seed: 5, samples: 9 }));
    expect(generateInputs(m, { seed: 5 })).not.toEqual(generateInputs(m, { seed: 6 }));
  });

  it("hold what each kind says", () => {
    const m = simple({ name: "x", dims: [2, 3, 10, 10] });
    const samples = generateInputs(m, { samples: KINDS.length });
    expect(samples.map((sample) => sample.kind)).toEqual([...KINDS]);
    const of = (kind: string) => asNumbers(tensorOf(samples.find((sample) => sample.kind === kind) as Sample, "x"));
    const rms = (values: number[]) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    expect(rms(of("normal"))).toBeGreaterThan(0.8);
    expect(rms(of("large"))).toBeGreaterThan(8);
    expect(rms(of("large"))).toBeLessThan(120);
    expect(rms(of("small"))).toBeLessThan(2e-3);
    expect(Math.max(...of("negative"))).toBeLessThan(0);
    expect(Math.min(...of("image"))).toBeGreaterThanOrEqual(0);
    expect(of("zero").every((v) => v === 0)).toBe(true);
    const onBorder = (i: number) => [0, 9].includes(i % 10) || [0, 9].includes(Math.floor(i / 10) % 10);
    of("border").forEach((v, i) => expect(v !== 0, `${i}`).toBe(onBorder(i)));
    of("inside").forEach((v, i) => expect(v !== 0, `${i}`).toBe(!onBorder(i)));
    const zeros = of("sparse").filter((v) => v === 0).length / 600;
    expect(zeros).toBeGreaterThan(0.8);
  });

  it("are numbers of the declared type", () => {
    const m = simple(
      { name: "h", dtype: "float16", dims: [50] },
      { name: "s", dims: [50] },
      { name: "q", dtype: "int8", dims: [9] },
      { name: "t", dtype: "string", dims: [2] },
    );
    const [sample] = generateInputs(m);
    expect(asNumbers(tensorOf(sample, "s")).every((v) => v === Math.fround(v))).toBe(true);
    expect(asNumbers(tensorOf(sample, "h")).every((v) => (v * 2 ** 24) % 1 === 0)).toBe(true);
    expect(tensorOf(sample, "q").data).toBeInstanceOf(Int8Array);
    expect((tensorOf(sample, "t").data as string[]).every((v) => typeof v === "string")).toBe(true);
  });

  it("index no row a table does not have", () => {
    const m = model({
      nodes: [
        node("Cast", ["ids"], ["wide"], { to: 7 }),
        node("Reshape", ["wide", "flat"], ["r"]),
        node("Gather", ["large", "r"], ["p"]),
        node("Gather", ["small", "r"], ["q"]),
      ],
      initializers: {
        flat: int64([1], [-1]),
        large: float32([90, 2], new Array(180).fill(1)),
        small: float32([37, 2], new Array(74).fill(1)),
      },
      inputs: [{ name: "ids", dtype: "int32", dims: ["batch", 64] }],
      outputs: [{ name: "p" }, { name: "q" }],
    });
    const ids = asNumbers(tensorOf(generateInputs(m)[0], "ids"));
    expect(Math.max(...ids)).toBeLessThan(37);
    expect(Math.max(...ids)).toBeGreaterThan(20);
    expect(Math.min(...ids)).toBeGreaterThanOrEqual(0);
  });

  it("make masks of zeros and ones that begin with one, and choices by flags of every kind", () => {
    const m = simple({ name: "attention_mask", dtype: "int64", dims: [4, 16] }, { name: "keep", dtype: "bool", dims: [4, 16] });
    const isMask = (flags: readonly number[]) => flags.every((flag, i) => (i % 16 === 0 ? flag === 1 : flag <= flags[i - 1]));
    const samples = generateInputs(m, { samples: 6 });
    const of = (name: string) => samples.map((sample) => isMask(asNumbers(tensorOf(sample, name))));
    expect(of("attention_mask")).toEqual([true, true, true, true, true, true]);
    // An operator may choose by a flag that no mask begins with.
    expect(of("keep")).toEqual([true, false, false, true, false, false]);
  });

  it("are more of a small model where nothing else is known, and as many as ever of a large one", () => {
    const small = simple({ name: "x", dims: [1, 4] });
    const large = model({
      nodes: [node("Mul", ["x", "w"], ["y"])],
      initializers: { w: float32([4096], new Array(4096).fill(1)) },
      inputs: [{ name: "x", dims: [1, 4096] }],
      outputs: [{ name: "y" }],
    });
    const counts = (m: typeof small) => [generateInputs(m).length, generateInputs(m, { thorough: true }).length];
    expect([counts(small), counts(large)]).toEqual([
      [4, 32],
      [4, 4],
    ]);
    expect(generateInputs(small, { thorough: true, samples: 2 })).toHaveLength(2);
  });

  it("fill sequences and optionals, and refuse what cannot be made up", () => {
    const m = simple({ name: "s", dims: [2], kind: "sequence" }, { name: "o", dims: [2], kind: "optional" });
    const [sample] = generateInputs(m);
    expect(sample.feeds.get("s")).toMatchObject({ kind: "sequence", items: [{ dims: [2] }, { dims: [2] }] });
    expect(sample.feeds.get("o")).toMatchObject({ kind: "optional", item: { dims: [2] } });
  });

  it("take what the user gives", () => {
    const m = simple({ name: "a", dims: ["n", 2] }, { name: "b", dims: ["n"] });
    const a: Value = { dtype: "float32", dims: [5, 2], data: new Float64Array(10) };
    const samples = generateInputs(m, { fixed: new Map([["a", a]]) });
    expect(samples).toHaveLength(4);
    expect(samples.every((sample) => sample.feeds.get("a") === a)).toBe(true);
    expect(tensorOf(samples[0], "b").dims).toEqual([5]);
    const both = generateInputs(m, {
      fixed: new Map([
        ["a", a],
        ["b", { ...a, dims: [5], data: new Float64Array(5) }],
      ]),
    });
    expect(both.map((sample) => sample.kind)).toEqual(["given"]);
  });
});

describe("sizes of -1", () => {
  // PaddlePaddle's exporter writes its own word for "unknown" into dim_value.
  const spec = {
    nodes: [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])],
    initializers: { w: float32([2, 3, 1, 1], [1, 2, 3, 4, 5, 6]) },
    inputs: [{ name: "x", dims: [-1, 3, -1, -1] }],
    outputs: [{ name: "y", dims: [-1, 2, -1, -1] }],
  };

  it("are unknown sizes: the model runs on inputs made up for it, and on given ones", () => {
    const m = model(spec);
    expect(m.graph.inputs[0].type.shape).toEqual([undefined, 3, undefined, undefined]);
    const [sample] = generateInputs(m, { samples: 1 });
    expect(createSession(m, { mode: "float64" }).run(sample.feeds).get("y")).toMatchObject({ dims: [2, 2, 32, 32] });
    const shapes = new Map([["x", [1, 3, 5, 7]]]);
    const [given] = generateInputs(m, { samples: 1, shapes });
    expect(createSession(m, { mode: "float64" }).run(given.feeds).get("y")).toMatchObject({ dims: [1, 2, 5, 7] });
  });

  it("are the same as no size between two files", () => {
    const open = { ...spec, inputs: [{ name: "x", dims: [undefined, 3, undefined, undefined] }] };
    expect(compareFaces(model(spec), model(open))).toEqual([]);
  });
});

describe("a scalar of whole numbers", () => {
  it("is one: a factor, an axis, a number of steps", () => {
    for (const dtype of ["int32", "int64", "uint8"] as const)
      for (const sample of generateInputs(simple({ name: "k", dtype, dims: [] })))
        expect([...asNumbers(tensorOf(sample, "k"))].map(Number), dtype).toEqual([1]);
  });
});

describe("values that are made up", () => {
  const every = (input: ValueSpec) => generateInputs(simple(input), { samples: KINDS.length });
  const rangeOf = (sample: Sample, name: string): [number, number] => {
    const data = asNumbers(tensorOf(sample, name));
    return [Math.min(...data), Math.max(...data)];
  };

  it("of small whole numbers fill their type, but for kinds that say otherwise", () => {
    for (const [dtype, low, high] of [
      ["int8", -128, 127],
      ["uint8", 0, 255],
    ] as const) {
      for (const sample of every({ name: "x", dtype, dims: [2000] })) {
        const [least, most] = rangeOf(sample, "x");
        if (sample.kind === "zero") expect([least, most]).toEqual([0, 0]);
        else if (sample.kind === "small") expect([least, most]).toEqual([Math.max(low, -1), 1]);
        else if (sample.kind === "negative" && low < 0) expect([least, most]).toEqual([low, -1]);
        else expect([least < low + 5, most > high - 5], sample.kind).toEqual([true, true]);
      }
    }
  });

  it("of counts are at least one, and few", () => {
    for (const dims of [[], [50]]) {
      for (const sample of every({ name: "num_steps", dtype: "int64", dims })) {
        const [least, most] = rangeOf(sample, "num_steps");
        expect([least >= 1, most <= (sample.kind === "large" ? 4 : 2)], sample.kind).toEqual([true, true]);
      }
    }
    for (const sample of every({ name: "i", dtype: "int64", dims: [500] })) {
      expect(rangeOf(sample, "i")).toEqual(sample.kind === "zero" ? [1, 1] : [0, sample.kind === "large" ? 7 : 1]);
    }
  });

  it("of complex numbers have two parts each", () => {
    for (const dtype of ["complex64", "complex128"]) {
      const [sample] = generateInputs(simple({ name: "x", dtype, dims: [3, 4] }));
      expect([tensorOf(sample, "x").dims, tensorOf(sample, "x").data.length]).toEqual([[3, 4], 24]);
    }
  });

  it("are told by their shapes", () => {
    const [sample] = generateInputs(simple({ name: "x", dims: [2, 3] }, { name: "s", kind: "sequence", dims: [2] }));
    expect(shapesText(sample.feeds)).toBe("x [2, 3], s sequence");
    expect(shapesOf(sample.feeds)).toEqual({ x: [2, 3] });
    expect(shapesText(new Map())).toBe("no inputs");
  });

  it("leave alone what is given, which must be an input", () => {
    const given = (name: string, value: Value) => new Map([[name, value]]);
    const list: Value = { kind: "sequence", items: [], of: { kind: "tensor", elemType: 1 } };
    const two = simple({ name: "x", dims: [2] }, { name: "s", kind: "sequence" });
    const [sample] = generateInputs(two, { fixed: given("s", list) });
    expect(sample.feeds.get("s")).toBe(list);
    expect(tensorOf(sample, "x").dims).toEqual([2]);
    expect(() => generateInputs(two, { fixed: given("z", list) })).toThrow(
      expect.objectContaining({ kind: "usage", message: expect.stringContaining('"z", which is no input') }),
    );
    const closed = model({ nodes: [node("Constant", [], ["y"], { value_int: 1 })], inputs: [], outputs: [{ name: "y" }] });
    for (const options of [{ fixed: given("z", list) }, { shapes: new Map([["z", [1]]]) }])
      expect(() => generateInputs(closed, options)).toThrow(expect.objectContaining({ hint: "Inputs: none." }));
  });

  it("are of the size that the name of an axis asks for", () => {
    const m = simple({ name: "x", dims: ["c", "width", "foo", "bar"] }, { name: "z", dims: ["batch", "other", "seq", "bar"] });
    const [x, z] = ["x", "z"].map((name) => dimsOf(m, name));
    const plain = dimsOf(simple({ name: "p", dims: [undefined, undefined, undefined, undefined] }), "p");
    expect([x[0], x[1]]).toEqual([plain[1], plain[2]]);
    expect([z[0], z[1], z[3]]).toEqual([plain[0], plain[1], x[3]]);
  });
});
