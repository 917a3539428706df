/** Biases stored as whole numbers of steps of x_scale · w_scale, as ONNX Runtime's quantiser writes them, with a normalization behind the layer. */
import { describe, expect, it } from "vitest";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { f, float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, type Checked, check, floats, integers, operators } from "./check.ts";

const int = (dtype: string, dims: number[], values: number[]): TensorSpec => ({ dtype, dims, values });
const weights = int("int8", [4, 2, 3, 3], integers(72, 3, -9, 9));
const [SCALES, STEPS] = [
  [0.5, 0.25, 1, 2],
  [0.125, 0.0625, 0.25, 0.5],
];
/** The input has the scale 1/4. */
const per = { q: weights, s: float32([4], SCALES), qb: int("int32", [4], [40, -7, 3, 1000]), sb: float32([4], STEPS) };
const one = { ...per, s: float32([], [0.5]), sb: float32([], [0.125]) };
const onAxis = (initializers: Record<string, TensorSpec>): Record<string, number> =>
  initializers.s.dims.length > 0 ? { axis: 0 } : {};

const net = (nodes: NodeSpec[], initializers: Record<string, TensorSpec>, dims: number[], opset = 21): ModelSpec => ({
  opset,
  irVersion: 10,
  nodes: [
    node("DequantizeLinear", ["q", "s"], ["w"], onAxis(initializers)),
    node("DequantizeLinear", ["qb", "sb"], ["b"], onAxis(initializers)),
    ...nodes,
  ],
  initializers,
  inputs: [floats("x", dims)],
  outputs: [floats("y")],
});
const conv = (attributes = {}) => node("Conv", ["x", "w", "b"], ["c"], { pads: [1, 1, 1, 1], ...attributes });

const numbers = ({ after }: Checked, input: number): number[] => {
  const bias = after.graph.nodes.filter(({ opType }) => opType === "DequantizeLinear")[1];
  const record = after.graph.initializers.find(({ name }) => name === bias.inputs[input]);
  if (record === undefined) throw new Error("no such constant");
  return [...asFloat64(decode(record))];
};

describe("a bias that a DequantizeLinear makes of whole numbers", () => {
  const gains = [2, -1, 0.5, -4];
  const scaling = batchNorm("c", "y", 4, { gain: gains, shift: [0, 0, 0, 0] });

  it.each([
    ["a scale for each channel", per],
    ["one scale", one],
  ])("takes gains of any sign into its scales, %s", (_what, initializers) => {
    const done = check(net([conv(), scaling.node], { ...initializers, ...scaling.initializers }, [1, 2, 5, 5]), { folds: 1 });
    expect(operators(done)).toEqual(["DequantizeLinear", "DequantizeLinear", "Conv"]);
    expect(numbers(done, 0)).toEqual([40, 7, 3, -1000]);
    const steps = initializers === per ? STEPS : [0.125, 0.125, 0.125, 0.125];
    expect(numbers(done, 1)).toEqual(steps.map((s, c) => s * Math.abs(gains[c])));
  });

  it("takes shifts of whole numbers of steps into its codes: steps are those after the gain", () => {
    // Steps after the gain are 1/4, 1/16, 1/8, 2.
    const both = batchNorm("c", "y", 4, { gain: gains, shift: [1.5, -0.125, 0, -6] });
    const done = check(net([conv(), both.node], { ...per, ...both.initializers }, [1, 2, 5, 5]), { folds: 1 });
    expect(numbers(done, 0)).toEqual([46, 5, 3, -1003]);
  });

  it("keeps the normalization where a shift is no whole number of steps, and says what rounding it would be off by", () => {
    const both = batchNorm("c", "y", 4, { gain: gains, shift: [1.5, -0.125, 0.3125, -6] });
    const spec = net([conv(), both.node], { ...per, ...both.initializers }, [1, 2, 5, 5]);
    const done = check(spec, {
      folds: 0,
      refused: "quantized",
      because: /code 3 on channel 2 moved by 2\.5 steps, which is no whole number: rounded, it would be off by 0\.0625/,
    });
    expect(operators(done)).toContain("BatchNormalization");
    // Its gain alone can go: what stays is an Add.
    expect(operators(check(spec, { folds: 1, options: { partial: true } }))).toEqual([
      ...["DequantizeLinear", "DequantizeLinear", "Conv", "Add"],
    ]);
  });

  it("takes any shift where its codes have as many digits as a float: rounding them is what rounding the bias is", () => {
    const many = { ...per, qb: int("int32", [4], [1 << 28, -(1 << 27), 1 << 28, 1 << 29]) };
    const both = batchNorm("c", "y", 4, { gain: gains, shift: [0.3, 0.7, -0.1, 1.1] });
    const done = check(net([conv(), both.node], { ...many, ...both.initializers }, [1, 2, 5, 5]), { folds: 1, tolerance: 1e-7 });
    expect(operators(done)).toEqual(["DequantizeLinear", "DequantizeLinear", "Conv"]);
  });

  it("keeps the normalization where a code would leave int32, or has no mirror image", () => {
    const end = 2 ** 31 - 1;
    const shifts = batchNorm("c", "y", 4, { gain: [1, 1, 1, 1], shift: [0, 0, 0, 1] });
    check(net([conv(), shifts.node], { ...per, qb: int("int32", [4], [0, 0, 0, end]), ...shifts.initializers }, [1, 2, 5, 5]), {
      ...{ folds: 0, refused: "quantized", because: /the code 2147483649 on channel 3, which is no int32/ },
    });
    const least = { ...per, qb: int("int32", [4], [0, -(2 ** 31), 0, 0]) };
    check(net([conv(), scaling.node], { ...least, ...scaling.initializers }, [1, 2, 5, 5]), {
      ...{ folds: 0, refused: "sign-blocks", because: /code -2147483648 where gain 1 is negative/ },
    });
  });

  it("of a ConvTranspose, of a layer with groups, of a Gemm with beta", () => {
    const both = batchNorm("c", "y", 4, { gain: gains, shift: [1.5, -0.125, 0, -6] });
    const transposed = { ...one, q: int("int8", [2, 4, 3, 3], integers(72, 3, -9, 9)) };
    const uniform = batchNorm("c", "y", 4, { gain: gains, shift: [1.5, -0.125, 0, -5] });
    check(
      net(
        [node("ConvTranspose", ["x", "w", "b"], ["c"]), uniform.node],
        { ...transposed, ...uniform.initializers },
        [1, 2, 5, 5],
      ),
      { folds: 1 },
    );
    const grouped = { ...per, q: int("int8", [4, 1, 3, 3], integers(36, 3, -9, 9)) };
    check(net([conv({ group: 2 }), both.node], { ...grouped, ...both.initializers }, [1, 2, 5, 5]), { folds: 1 });
    const gemm = [
      node("Gemm", ["x", "w", "b"], ["c"], { transB: 1, beta: f(0.5) }),
      node("Mul", ["c", "k"], ["m"]),
      node("Add", ["m", "t"], ["y"]),
    ];
    const rows = { ...per, q: int("int8", [4, 3], integers(12, 3, -9, 9)), k: float32([4], gains) };
    // Half the steps, as beta is a half.
    const done = check(net(gemm, { ...rows, t: float32([4], [0.75, 0, 0.125, 2]) }, [2, 3]), { folds: 2 });
    expect(numbers(done, 0)).toEqual([46, 7, 5, -998]);
    check(net(gemm, { ...rows, t: float32([4], [0.75, 0, 0.09375, 2]) }, [2, 3]), { folds: 1, refused: "quantized" });
  });

  it("that another layer reads, too, stays; that layer's weight as it is", () => {
    const spec = net(
      [conv(), scaling.node, node("Conv", ["x", "v", "b"], ["y2"])],
      { ...per, ...scaling.initializers },
      [1, 2, 5, 5],
    );
    const v = float32([4, 2, 1, 1], integers(8, 9));
    check(
      { ...spec, initializers: { ...spec.initializers, v }, outputs: [floats("y"), floats("y2")] },
      { folds: 0, refused: "other-reader" },
    );
  });
});
