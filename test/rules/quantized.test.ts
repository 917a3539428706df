import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { verifyModels } from "../../src/verify/index.ts";
import { float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, integers, operators, whole } from "./check.ts";

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

  it("declines: sign, another axis, old opset, a zero point of its own, a shared weight, an int32 bias, an activation", () => {
    const q = { q: ints([4, 2, 3, 3]), s: powers(4) };
    const negative = batchNorm("c", "y", 4);
    check(net([dq(["q", "s"], { axis: 0 }), conv(), negative.node], { ...q, ...negative.initializers }, [1, 2, 5, 5]), {
      folds: 0,
      refused: "sign-blocks",
    });
    check(net([dq(["q", "s"], { axis: 1 }), conv(), after.node], { ...q, s: powers(2), ...after.initializers }, [1, 2, 5, 5]), {
      folds: 0,
      refused: "quantized",
    });
    check(net([dq(["q", "s"]), conv(), after.node], { ...q, s: float32([], [0.5]), ...after.initializers }, [1, 2, 5, 5], 11), {
      folds: 0,
      refused: "quantized",
    });
    check(
      net(
        [dq(["q", "s", "z"]), conv(), after.node],
        { ...q, s: float32([], [0.5]), z: zeros([], 1), ...after.initializers },
        [1, 2, 5, 5],
      ),
      { folds: 0, refused: "quantized" },
    );
    const two = net(
      [dq(["q", "s"], { axis: 0 }), conv(), after.node, node("Conv", ["x", "w"], ["y2"])],
      { ...q, ...after.initializers },
      [1, 2, 5, 5],
    );
    check({ ...two, outputs: [floats("y"), floats("y2")] }, { folds: 0, refused: "other-reader" });
    const bias = [
      dq(["q", "s"], { axis: 0 }),
      node("DequantizeLinear", ["qb", "s"], ["b"], { axis: 0 }),
      conv(["x", "w", "b"]),
      after.node,
    ];
    check(net(bias, { ...q, qb: ints([4], "int32"), ...after.initializers }, [1, 2, 5, 5]), { folds: 0, refused: "quantized" });
    const activation = [node("QuantizeLinear", ["x", "a"], ["i"]), node("DequantizeLinear", ["i", "a"], ["c"]), after.node];
    check(net(activation, { a: float32([], [0.5]), ...after.initializers }, [1, 4, 5, 5]), { folds: 0, refused: "quantized" });
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
