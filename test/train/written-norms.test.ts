import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { write } from "../../src/onnx/write.ts";
import { BuiltInEngine, inspectChannels, Recalibration, writtenNorms } from "../../src/train/index.ts";
import { float64, type ModelSpec, model, node } from "../helpers/build.ts";
import { numbers, rows } from "./nets.ts";

const C = 4;
const N = 23;
const X = numbers(2 * N, 9);
const [GAMMA, BETA, MEAN, VARIANCE] = [numbers(C, 3), numbers(C, 4), numbers(C, 5), [1, 2, 0.5, 4]];
const EPSILON = 1e-3;
const GAIN = GAMMA.map((g, c) => g / Math.sqrt(VARIANCE[c] + EPSILON));
const vector = (values: readonly number[], dims = [C]) => float64(dims, [...values]);

type Nodes = ModelSpec["nodes"];

/** x [N, 2] → MatMul → what is given, from "a" to "y". */
function net(nodes: Nodes, initializers: ModelSpec["initializers"]): ModelSpec {
  return {
    nodes: [node("MatMul", ["x", "w"], ["a"], {}, { name: "dense" }), ...nodes],
    initializers: { w: float64([2, C], numbers(2 * C, 1)), ...initializers },
    inputs: [{ name: "x", dtype: "float64", dims: ["N", 2] }],
    outputs: [{ name: "y", dtype: "float64", dims: ["N", C] }],
    opset: 17,
  };
}

const parameters = {
  gamma: vector(GAMMA),
  beta: vector(BETA),
  mean: vector(MEAN),
  var: vector(VARIANCE),
  eps: float64([], [EPSILON]),
};
const root = [node("Add", ["var", "eps"], ["ve"]), node("Sqrt", ["ve"], ["sd"])];
/** All of the same function, with as much computed in the file as the name says. */
const FORMS: Readonly<Record<string, { spec: ModelSpec; operators: string[]; parts: boolean }>> = {
  "Mul and Add": {
    spec: net([node("Mul", ["a", "g"], ["m"], {}, { name: "mul" }), node("Add", ["m", "s"], ["y"])], {
      g: vector(GAIN, [1, C]),
      s: vector(BETA.map((b, c) => b - MEAN[c] * GAIN[c])),
    }),
    operators: ["Mul", "Add"],
    parts: false,
  },
  "constants in front, Mul and Sub": {
    spec: net([node("Mul", ["g", "a"], ["m"], {}, { name: "mul" }), node("Sub", ["m", "s"], ["y"])], {
      g: vector(GAIN),
      s: vector(BETA.map((b, c) => MEAN[c] * GAIN[c] - b)),
    }),
    operators: ["Mul", "Sub"],
    parts: false,
  },
  "Sub, Mul and Add": {
    spec: net(
      [node("Sub", ["a", "mean"], ["d"], {}, { name: "sub" }), node("Mul", ["d", "g"], ["m"]), node("Add", ["m", "beta"], ["y"])],
      { g: vector(GAIN), mean: parameters.mean, beta: parameters.beta },
    ),
    operators: ["Sub", "Mul", "Add"],
    parts: false,
  },
  "every step": {
    spec: net(
      [
        ...root,
        node("Sub", ["a", "mean"], ["d"], {}, { name: "sub" }),
        node("Div", ["d", "sd"], ["n"]),
        node("Mul", ["n", "gamma"], ["m"]),
        node("Add", ["m", "beta"], ["y"]),
      ],
      parameters,
    ),
    operators: ["Sub", "Div", "Mul", "Add"],
    parts: true,
  },
  "constants computed as TensorFlow does": {
    spec: net(
      [
        ...root,
        node("Reciprocal", ["sd"], ["rsd"]),
        node("Mul", ["rsd", "gamma"], ["g"]),
        node("Mul", ["mean", "g"], ["mg"]),
        node("Sub", ["beta", "mg"], ["s"]),
        node("Mul", ["a", "g"], ["m"], {}, { name: "mul" }),
        node("Add", ["m", "s"], ["y"]),
      ],
      parameters,
    ),
    operators: ["Mul", "Add"],
    parts: true,
  },
};

describe("a normalization written as arithmetic", () => {
  it.each(Object.entries(FORMS))("%s: gain and shift are read", (_name, { spec, operators, parts }) => {
    const [norm, ...rest] = writtenNorms(model(spec));
    expect(rest).toEqual([]);
    expect(norm.nodes.map(({ opType }) => opType)).toEqual(operators);
    norm.gain.forEach((v, c) => expect(v).toBeCloseTo(GAIN[c], 12));
    norm.shift.forEach((v, c) => expect(v).toBeCloseTo(BETA[c] - MEAN[c] * GAIN[c], 12));
    expect(norm.statistics !== undefined).toBe(parts);
    const { written } = inspectChannels(model(spec));
    expect(written[0]).toMatchObject({ operators, producer: "dense" });
    expect(written[0].channels.map(({ flags }) => flags.includes("negative-gain"))).toEqual(GAIN.map((g) => g < 0));
  });

  it.each(Object.entries(FORMS))(
    "%s: statistics are put in where they can be told apart, else refused",
    async (_name, { spec, parts }) => {
      const original = model(spec);
      if (!parts) {
        expect(() => new Recalibration(original)).toThrow(/its gain and shift are in the file, its mean and variance are not/);
        return;
      }
      const recalibration = new Recalibration(original);
      await recalibration.run(rows(X, 2, 8), new BuiltInEngine(original, recalibration.targets));
      const result = read(memorySource(collect(write(original, recalibration.edits()).main)));
      const w = numbers(2 * C, 1);
      for (let c = 0; c < C; c++) {
        const column = Array.from({ length: N }, (_, i) => X[2 * i] * w[c] + X[2 * i + 1] * w[C + c]);
        const mean = column.reduce((a, b) => a + b, 0) / N;
        const variance = column.reduce((a, b) => a + (b - mean) ** 2, 0) / N;
        const found = (name: string) => asFloat64(decode(result.graph.initializers.find((t) => t.name === name) as never))[c];
        expect(found("mean")).toBeCloseTo(mean, 12);
        expect(found("var")).toBeCloseTo(variance, 12);
        expect(found("gamma")).toBe(GAMMA[c]);
      }
    },
  );

  it("several behind one another are several", () => {
    const again = [node("Mul", ["n", "g"], ["m2"], {}, { name: "two" }), node("Add", ["m2", "s"], ["y"])];
    const first = [node("Mul", ["a", "g"], ["m"], {}, { name: "one" }), node("Add", ["m", "s"], ["n"])];
    const found = writtenNorms(model(net([...first, ...again], { g: vector(GAIN), s: vector(BETA) })));
    expect(found.map(({ ref }) => ref.name)).toEqual(["one", "two"]);
  });

  it.each<[string, Nodes]>([
    ["only a gain", [node("Mul", ["a", "g"], ["y"])]],
    ["only a bias", [node("Add", ["a", "s"], ["y"])]],
    ["one number for all channels", [node("Mul", ["a", "one"], ["m"]), node("Add", ["m", "s"], ["y"])]],
    ["a value read in between", [node("Mul", ["a", "g"], ["m"]), node("Add", ["m", "s"], ["p"]), node("Add", ["m", "p"], ["y"])]],
    [
      "gain and shift of a LayerNormalization written out",
      [
        node("Mul", ["a", "a"], ["sq"]),
        node("ReduceMean", ["sq"], ["ms"]),
        node("Sqrt", ["ms"], ["rms"]),
        node("Div", ["a", "rms"], ["n"]),
        node("Mul", ["n", "g"], ["m"]),
        node("Add", ["m", "s"], ["y"]),
      ],
    ],
  ])("%s is none", (_name, nodes) => {
    const spec = net(nodes, { g: vector(GAIN), s: vector(BETA), one: float64([], [2]) });
    expect(writtenNorms(model(spec))).toEqual([]);
  });
});
