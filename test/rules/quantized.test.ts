import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { f, float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, type Checked, check, floats, integers, operators, whole } from "./check.ts";

const ints = (dims: number[], dtype = "int8"): TensorSpec => ({
  dtype,
  dims,
  values: integers(
    dims.reduce((n, d) => n * d, 1),
    3,
    0,
    9,
  ),
});
const powers = (n: number) =>
  float32(
    [n],
    Array.from({ length: n }, (_, i) => [0.5, 0.25, 1, 2][i % 4]),
  );
const zeros = (n: number[], value = 0): TensorSpec => ({
  dtype: "int8",
  dims: n,
  values: new Array(n.reduce((a, b) => a * b, 1)).fill(value),
});

const net = (nodes: NodeSpec[], initializers: Record<string, TensorSpec>, dims: number[], opset = 21): ModelSpec => ({
  opset,
  irVersion: 10,
  nodes,
  initializers,
  inputs: [floats("x", dims)],
  outputs: [floats("y")],
});
const dq = (inputs: string[], attributes = {}) => node("DequantizeLinear", inputs, ["w"], attributes);
const conv = (inputs = ["x", "w"]) => node("Conv", inputs, ["c"], { pads: [1, 1, 1, 1] });
const after = batchNorm("c", "y", 4, { positive: true });

describe("a gain after a layer with quantized weights goes into the scales", () => {
  it("per axis; integers and zero points stay", () => {
    const done = check(
      net(
        [dq(["q", "s", "z"], { axis: 0 }), conv(), after.node],
        { q: ints([4, 2, 3, 3]), s: powers(4), z: zeros([4], 2), ...after.initializers },
        [1, 2, 5, 5],
      ),
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["DequantizeLinear", "Conv"]);
    expect(done.data.folds[0].into.map((into) => into.node.opType)).toEqual(["Conv", "DequantizeLinear"]);
  });

  it("one scale becomes one per output channel, on the axis the layer needs", () => {
    const convolution = check(
      net(
        [dq(["q", "s", "z"]), conv(), after.node],
        { q: ints([4, 2, 3, 3]), s: float32([], [0.5]), z: zeros([]), ...after.initializers },
        [1, 2, 5, 5],
      ),
      { folds: 1 },
    );
    const [first] = convolution.after.graph.nodes;
    expect([first.inputs.length, first.attributes.get("axis")?.i]).toEqual([2, 0n]);
    expect(convolution.after.graph.initializers.map((t) => t.name)).not.toContain("z");
    const mul = node("Mul", ["c", "k"], ["y"]);
    check(
      net(
        [dq(["q", "s"]), node("MatMul", ["x", "w"], ["c"]), mul],
        { q: ints([3, 4]), s: float32([], [0.5]), k: powers(4) },
        [2, 3],
      ),
      { folds: 1 },
    );
    check(
      net(
        [dq(["q", "s"]), node("Gemm", ["x", "w"], ["c"], { transB: 1 }), mul],
        { q: ints([4, 3]), s: float32([1], [0.5]), k: powers(4) },
        [2, 3],
      ),
      { folds: 1 },
    );
    check(
      net(
        [dq(["q", "s"]), node("ConvTranspose", ["x", "w"], ["c"]), after.node],
        { q: ints([2, 4, 3, 3]), s: float32([], [0.5]), ...after.initializers },
        [1, 2, 5, 5],
      ),
      { folds: 1 },
    );
  });

  it("through a Transpose of the dequantized weight", () => {
    const nodes = [
      node("DequantizeLinear", ["q", "s"], ["d"], { axis: 0 }),
      node("Transpose", ["d"], ["w"], { perm: [1, 0] }),
      node("MatMul", ["x", "w"], ["c"]),
      node("Mul", ["c", "k"], ["y"]),
    ];
    check(net(nodes, { q: ints([4, 3]), s: powers(4), k: powers(4) }, [2, 3]), { folds: 1 });
  });

  it("blocks of rows", () => {
    const blocked = dq(["q", "s"], { axis: 0, block_size: 2 });
    check(
      net(
        [blocked, node("MatMul", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])],
        { q: ints([4, 3]), s: whole([2, 3]), k: powers(3) },
        [2, 4],
      ),
      { folds: 1 },
    );
    const wrong = dq(["q", "s"], { axis: 1, block_size: 2 });
    check(
      net(
        [wrong, node("MatMul", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])],
        { q: ints([3, 4]), s: whole([3, 2]), k: powers(4) },
        [2, 3],
      ),
      { folds: 0, refused: "quantized" },
    );
  });

  it("declines: another axis, old opset, a shared weight, an activation", () => {
    const q = { q: ints([4, 2, 3, 3]), s: powers(4) };
    check(net([dq(["q", "s"], { axis: 1 }), conv(), after.node], { ...q, s: powers(2), ...after.initializers }, [1, 2, 5, 5]), {
      folds: 0,
      refused: "quantized",
    });
    check(net([dq(["q", "s"]), conv(), after.node], { ...q, s: float32([], [0.5]), ...after.initializers }, [1, 2, 5, 5], 11), {
      folds: 0,
      refused: "quantized",
    });
    const two = net(
      [dq(["q", "s"], { axis: 0 }), conv(), after.node, node("Conv", ["x", "w"], ["y2"])],
      { ...q, ...after.initializers },
      [1, 2, 5, 5],
    );
    check({ ...two, outputs: [floats("y"), floats("y2")] }, { folds: 0, refused: "other-reader" });
    const activation = [node("QuantizeLinear", ["x", "a"], ["i"]), node("DequantizeLinear", ["i", "a"], ["c"]), after.node];
    check(net(activation, { a: float32([], [0.375]), ...after.initializers }, [1, 4, 5, 5]), { folds: 0, refused: "quantized" });
  });

  it("float bias and float shift beside it", () => {
    check(
      net(
        [dq(["q", "s"], { axis: 0 }), conv(["x", "w", "b"]), after.node],
        { q: ints([4, 2, 3, 3]), s: powers(4), b: whole([4]), ...after.initializers },
        [1, 2, 5, 5],
      ),
      { folds: 1 },
    );
  });

  it("scales that round are proven and run within their rounding", () => {
    const odd = float32([4], [0.1, 0.3, 0.7, 1.1]);
    const bn = { y_scale: float32([4], [0.9, 1.3, 0.3, 2.1]), y_B: odd, y_mean: odd, y_var: odd };
    const { before, after: folded } = check(
      net([dq(["q", "s"], { axis: 0 }), conv(), after.node], { q: ints([4, 2, 3, 3]), s: odd, ...bn }, [1, 2, 5, 5]),
      { folds: 1, tolerance: 1e-6 },
    );
    expect(verifyModels(before, folded, { foreign: false }).outcome).toBe("equivalent");
    expect(plan(folded).data.folds).toEqual([]);
  });
});

/** The codes a DequantizeLinear reads, as a runtime sees them. */
const codesOf = (done: Checked, name: string): number[] => {
  const record = done.after.graph.initializers.find((t) => t.name === name);
  if (record === undefined) throw new Error(`no tensor ${name}`);
  return [...asFloat64(decode(record))];
};

describe("a negative gain turns the codes of its channel about their zero point", () => {
  const negative = batchNorm("c", "y", 4, { gain: [2, -1, 0.5, -4] });
  const codes = (dtype: string, values: number[]): TensorSpec => ({ dtype, dims: [4, 1, 1, 2], values });
  const layer = (q: TensorSpec, more: Record<string, TensorSpec>, inputs = ["q", "s"]) =>
    net(
      [dq(inputs, { axis: 0 }), node("Conv", ["x", "w"], ["c"]), negative.node],
      { q, ...more, ...negative.initializers },
      [1, 1, 5, 5],
    );

  it("signed codes change sign, other channels stay", () => {
    const done = check(layer(codes("int8", [3, -128, 5, -127, -128, 7, 0, 127]), { s: powers(4) }), { folds: 1 });
    expect(codesOf(done, "q")).toEqual([3, -128, -5, 127, -128, 7, 0, -127]);
    expect(operators(done)).toEqual(["DequantizeLinear", "Conv"]);
  });

  it.each([
    ["uint8", 128, [3, 200, 5, 255, 0, 7, 1, 127], [3, 200, 251, 1, 0, 7, 255, 129]],
    ["int16", -3, [9, 8, 7, 6, 5, 4, 3, 2], [9, 8, -13, -12, 5, 4, -9, -8]],
    ["int4", 0, [-8, 7, -7, 6, 5, 4, 3, 2], [-8, 7, 7, -6, 5, 4, -3, -2]],
  ])("%s about a zero point of %i for each channel", (dtype, zero, before, after) => {
    const z: TensorSpec = { dtype, dims: [4], values: new Array(4).fill(zero) };
    expect(codesOf(check(layer(codes(dtype, before), { s: powers(4), z }, ["q", "s", "z"]), { folds: 1 }), "q")).toEqual(after);
  });

  it("one zero point is repeated for the scales a gain makes of one", () => {
    const z: TensorSpec = { dtype: "uint8", dims: [], values: [100] };
    const done = check(layer(codes("uint8", [99, 98, 97, 96, 95, 94, 93, 92]), { s: float32([], [0.5]), z }, ["q", "s", "z"]), {
      folds: 1,
    });
    expect(codesOf(done, "z")).toEqual([100, 100, 100, 100]);
    expect(codesOf(done, "q")).toEqual([99, 98, 103, 104, 95, 94, 107, 108]);
  });

  it("a gain of zero makes codes of zero, and scales stay positive", () => {
    const dead = batchNorm("c", "y", 4, { gain: [2, 0, 1, 1] });
    const spec = layer(codes("int8", [3, 2, 5, 7, 1, 7, 4, 6]), { s: powers(4) });
    const done = check({ ...spec, initializers: { ...spec.initializers, ...dead.initializers } }, { folds: 1 });
    expect(codesOf(done, "q")).toEqual([3, 2, 0, 0, 1, 7, 4, 6]);
    expect(codesOf(done, "s").every((v) => v > 0)).toBe(true);
  });

  it("blocks, features of a MatMul, codes that another layer reads too", () => {
    const k = float32([3], [2, -1, 0.5]);
    const product = [node("MatMul", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])];
    const q = ints([4, 3]);
    check(net([dq(["q", "s"], { axis: 0, block_size: 2 }), ...product], { q, s: whole([2, 3]), k }, [2, 4]), { folds: 1 });
    const z: TensorSpec = { dtype: "int8", dims: [2, 3], values: [1, 2, 3, 4, 5, 6] };
    check(net([dq(["q", "s", "z"], { axis: 0, block_size: 2 }), ...product], { q, s: whole([2, 3]), z, k }, [2, 4]), {
      folds: 1,
    });
    const other = [node("DequantizeLinear", ["q", "s"], ["v"], { axis: 1 }), node("MatMul", ["x", "v"], ["y2"])];
    const two = net([dq(["q", "s"], { axis: 1 }), ...product, ...other], { q, s: powers(3), k }, [2, 4]);
    const done = check({ ...two, outputs: [floats("y"), floats("y2")] }, { folds: 1 });
    expect(codesOf(done, "q")).toEqual((q.values as number[]).map(Number));
  });

  it("declines where a code has no mirror image, and says which", () => {
    const refused = { folds: 0, refused: "sign-blocks", because: /code -128 where gain 1 is negative, and 128.* no int8/ };
    check(layer(codes("int8", [3, -128, 5, -128, 4, 7, 0, 127]), { s: powers(4) }), refused);
    check(layer(codes("uint8", [3, 8, 5, 1, 4, 7, 0, 127]), { s: powers(4) }), { folds: 0, refused: "sign-blocks" });
    const computed = net(
      [node("Cast", ["x"], ["zc"], { to: 3 }), node("ReduceMax", ["zc"], ["z"], { keepdims: 0 })],
      {},
      [1, 1, 5, 5],
    ).nodes;
    const spec = layer(codes("int8", [3, 1, 5, 1, 4, 7, 0, 127]), { s: float32([], [0.5]) }, ["q", "s", "z"]);
    check({ ...spec, nodes: [...(computed ?? []), ...(spec.nodes ?? [])] }, { folds: 0, refused: "weight-not-constant" });
  });
});

describe("weights that training with fake quantisation leaves as floats", () => {
  const fake = [
    node("QuantizeLinear", ["v", "s", "z"], ["q"], { axis: 0 }),
    node("DequantizeLinear", ["q", "s", "z"], ["w"], { axis: 0 }),
  ];
  const weights = float32(
    [4, 2, 3, 3],
    integers(72, 5, -90, 90).map((v) => v / 8),
  );
  const z = zeros([4]);

  it("the DequantizeLinear gets scales of its own; what is quantized, and with what, stays", () => {
    const done = check(net([...fake, conv(), after.node], { v: weights, s: powers(4), z, ...after.initializers }, [1, 2, 5, 5]), {
      folds: 1,
    });
    const [q, d] = done.after.graph.nodes;
    expect([q.opType, q.inputs]).toEqual(["QuantizeLinear", ["v", "s", "z"]]);
    expect(d.inputs).toEqual(["q", "s_1", "z"]);
  });

  it("one scale for all, behind a Transpose, into a Gemm with alpha and a bias", () => {
    const nodes = [
      node("QuantizeLinear", ["v", "s"], ["q"]),
      node("DequantizeLinear", ["q", "s"], ["d"]),
      node("Transpose", ["d"], ["w"], { perm: [1, 0] }),
      node("Gemm", ["x", "w", "b"], ["c"], { alpha: f(2) }),
      node("Mul", ["c", "k"], ["y"]),
    ];
    const v = float32(
      [4, 3],
      integers(12, 5, 0, 90).map((n) => n / 8),
    );
    check(net(nodes, { v, s: float32([], [0.5]), b: whole([4]), k: powers(4) }, [2, 3]), { folds: 1 });
  });

  it("a negative gain writes the codes out, turned", () => {
    const negative = batchNorm("c", "y", 4, { gain: [2, -1, 0.5, -4] });
    const done = check(
      net([...fake, conv(), negative.node], { v: weights, s: powers(4), z, ...negative.initializers }, [1, 2, 5, 5]),
      { folds: 1 },
    );
    expect(operators(done)).toEqual(["DequantizeLinear", "Conv"]);
    expect(done.after.graph.initializers.map(({ name }) => name)).not.toContain("v");
    const [scales, per] = [[0.5, 0.25, 1, 2], 18];
    const seen = (weights.values as number[]).map((w, i) => {
      const code = roundEven(Math.fround(w) / scales[Math.floor(i / per)]);
      return Math.max(-128, Math.min(127, code)) * (Math.floor(i / per) % 2 === 1 ? -1 : 1) + 0;
    });
    expect(codesOf(done, done.after.graph.nodes[0].inputs[0])).toEqual(seen);
  });
});

/** To the nearest whole number, ties to even, as QuantizeLinear rounds. */
const roundEven = (x: number): number => {
  const floor = Math.floor(x);
  const rest = x - floor;
  return (rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1) + 0;
};

describe("layers whose activations are quantized as they run", () => {
  const weights = { q: ints([4, 2, 3, 3]) };
  const layer = (scale: NodeSpec[], dims: number[], rest: NodeSpec[], more: Record<string, TensorSpec>) =>
    ({
      ...net([node("DynamicQuantizeLinear", ["x"], ["xq", "xs", "xz"]), ...scale, ...rest], more, dims),
      valueInfos: [floats("xs", []), floats("f", dims.length === 2 ? [2, 4] : [1, 4, 5, 5])],
    }) satisfies ModelSpec;
  const convolution = [
    node("ConvInteger", ["xq", "q", "xz"], ["i"], { pads: [1, 1, 1, 1] }),
    node("Cast", ["i"], ["f"], { to: 1 }),
  ];
  const odd = batchNorm("d", "y", 4, { gain: [2, -1, 0.5, -4] });
  const product = node("Mul", ["xs", "ws"], ["sc"]);
  const plain = { ...weights, ...odd.initializers, ws: float32([], [0.5]), b: whole([1, 4, 1, 1]) };
  // The scale of x is a quotient by 255: what float64 makes of it is not exact.
  const rounding = { folds: 1, tolerance: 1e-13 };

  it.each([
    ["scale last", [product, node("Mul", ["f", "sc"], ["c"])]],
    ["scale first", [product, node("Mul", ["sc", "f"], ["c"])]],
    ["a division", [node("Div", ["xs", "ws2"], ["sc"]), node("Mul", ["f", "sc"], ["c"])]],
  ])("the gain makes the one scale of the weights one per channel, the shift goes into the bias: %s", (_, nodes) => {
    const spec = layer([], [1, 2, 5, 5], [...convolution, ...nodes, node("Add", ["c", "b"], ["d"]), odd.node], {
      ...plain,
      ws2: float32([], [2]),
    });
    const done = check({ ...spec, valueInfos: [...spec.valueInfos, floats("sc", [])] }, rounding);
    expect(operators(done)).not.toContain("BatchNormalization");
    // What the file said of the scale that grew is not so any more.
    expect(done.after.graph.valueInfos.map(({ name }) => name)).not.toContain("sc");
  });

  it("scales that are one per channel already; a matrix product; a gain alone", () => {
    check(
      layer(
        [product],
        [1, 2, 5, 5],
        [...convolution, node("Mul", ["f", "sc"], ["c"]), node("Add", ["c", "b"], ["d"]), odd.node],
        {
          ...plain,
          ws: float32([4, 1, 1], [0.5, 1, 2, 0.25]),
        },
      ),
      rounding,
    );
    const matrix = [
      node("MatMulInteger", ["xq", "q", "xz"], ["i"]),
      node("Cast", ["i"], ["f"], { to: 1 }),
      node("Mul", ["f", "sc"], ["c"]),
    ];
    const k = float32([4], [2, -1, 0.5, -4]);
    check(layer([product], [2, 3], [...matrix, node("Mul", ["c", "k"], ["y"])], { q: ints([3, 4]), ws: float32([], [0.5]), k }), {
      ...rounding,
      folds: 1,
    });
  });

  it("declines where the scale would grow beyond the map, or is read elsewhere", () => {
    const rows = [
      node("MatMulInteger", ["xq", "q", "xz"], ["i"]),
      node("Cast", ["i"], ["f"], { to: 1 }),
      node("Mul", ["r", "ws"], ["sc"]),
      node("Mul", ["f", "sc"], ["c"]),
      node("Mul", ["c", "k"], ["y"]),
    ];
    const k = float32([4], [2, -1, 0.5, -4]);
    const spec = layer([], [2, 3], rows, { q: ints([3, 4]), ws: float32([], [0.5]), k });
    const grown = check({ ...spec, inputs: [...(spec.inputs ?? []), floats("r", [2, 1])] }, { folds: 1, tolerance: 1e-13 });
    expect(operators(grown)).not.toContain("BatchNormalization");
    const two = layer([product], [2, 3], [...rows.slice(0, 2), node("Mul", ["f", "sc"], ["c"]), node("Mul", ["c", "k"], ["y"])], {
      q: ints([3, 4]),
      ws: float32([], [0.5]),
      k,
    });
    check({ ...two, outputs: [floats("y"), floats("sc")] }, { folds: 0 });
  });
});
