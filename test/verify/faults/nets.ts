/**
 * Networks with random statistics in each storage type: what the fixtures lack in float16, and the shapes in which a fold
 * goes wrong most easily (square weights, groups, transposed weights, normalizations before the operator).
 */
import type { Model } from "../../../src/onnx/records.ts";
import { randomOf } from "../../../src/verify/random.ts";
import { f, model, type NodeSpec, node, type TensorSpec } from "../../helpers/build.ts";
import { rounded } from "./round.ts";

export type Stored = "float32" | "float16";

export class Net {
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, TensorSpec> = {};
  private readonly random;

  constructor(
    readonly dtype: Stored,
    seed: number,
    /** Multiplies means and biases. */
    readonly offset = 1,
    readonly variance = (u: number): number => 0.2 + u,
    readonly gain = 1,
  ) {
    this.random = randomOf(seed, "faults");
  }

  tensor(name: string, dims: readonly number[], value: () => number): string {
    const values = Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => rounded(this.dtype, value()));
    this.initializers[name] = { dtype: this.dtype, dims, values };
    return name;
  }

  normal = (): number => this.random.normal();

  /** γ of both signs, one channel nearly dead. */
  norm(x: string, y: string, channels: number): this {
    let c = 0;
    const gamma = () => {
      const g = this.gain * (0.5 + this.random.uniform()) * (this.random.uniform() < 0.25 ? -1 : 1);
      return c++ === channels - 1 ? g * 1e-3 : g;
    };
    const names = [
      this.tensor(`${y}.gamma`, [channels], gamma),
      this.tensor(`${y}.beta`, [channels], () => 0.3 * this.normal()),
      this.tensor(`${y}.mean`, [channels], () => 0.3 * this.offset * this.normal()),
      this.tensor(`${y}.variance`, [channels], () => this.variance(this.random.uniform())),
    ];
    this.nodes.push(node("BatchNormalization", [x, ...names], [y], { epsilon: f(1e-5) }, { name: `norm ${y}` }));
    return this;
  }

  linear(
    op: string,
    x: string,
    y: string,
    dims: readonly number[],
    bias: number | undefined,
    attributes: NodeSpec["attributes"] = {},
  ): this {
    const fan = op === "Conv" ? dims.slice(1).reduce((a, b) => a * b, 1) : dims[0];
    const inputs = [x, this.tensor(`${y}.weight`, dims, () => this.normal() / Math.sqrt(fan))];
    if (bias !== undefined) inputs.push(this.tensor(`${y}.bias`, [bias], () => 0.1 * this.offset * this.normal()));
    this.nodes.push(node(op, inputs, [y], attributes, { name: `${op} ${y}` }));
    return this;
  }

  next(op: string, inputs: readonly string[], y: string, attributes: NodeSpec["attributes"] = {}): this {
    this.nodes.push(node(op, inputs, [y], attributes, { name: `${op} ${y}` }));
    return this;
  }

  done(dims: readonly (number | string)[]): Model {
    return model({
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [{ name: "x", dtype: this.dtype, dims }],
      outputs: [{ name: "y", dtype: this.dtype }],
    });
  }
}

const SAME = { pads: [1, 1, 1, 1] };

/** Each takes an empty net and fills it. */
export const SHAPES: Readonly<Record<string, (net: Net) => Model>> = {
  "square convolutions": (net) =>
    net
      .linear("Conv", "x", "a", [6, 3, 3, 3], 6, SAME)
      .norm("a", "an", 6)
      .next("Relu", ["an"], "ar")
      .linear("Conv", "ar", "b", [6, 6, 3, 3], 6, SAME)
      .norm("b", "bn", 6)
      .next("Relu", ["bn"], "br")
      .linear("Conv", "br", "c", [6, 6, 1, 1], 6)
      .norm("c", "y", 6)
      .done(["n", 3, 7, 7]),
  "residual blocks": (net) =>
    net
      .linear("Conv", "x", "a", [4, 4, 3, 3], undefined, SAME)
      .norm("a", "an", 4)
      .next("Relu", ["an"], "ar")
      .linear("Conv", "ar", "b", [4, 4, 3, 3], undefined, SAME)
      .norm("b", "bn", 4)
      .next("Add", ["bn", "x"], "s")
      .next("Relu", ["s"], "sr")
      .linear("Conv", "sr", "c", [4, 4, 3, 3], 4, SAME)
      .norm("c", "cn", 4)
      .next("Add", ["cn", "sr"], "t")
      .next("Relu", ["t"], "y")
      .done([2, 4, 6, 6]),
  "grouped and depthwise": (net) =>
    net
      .linear("Conv", "x", "a", [8, 2, 1, 1], 8, { group: 2 })
      .norm("a", "an", 8)
      .next("Relu", ["an"], "ar")
      .linear("Conv", "ar", "b", [8, 1, 3, 3], 8, { group: 8, ...SAME })
      .norm("b", "bn", 8)
      .next("Relu", ["bn"], "br")
      .linear("Conv", "br", "c", [8, 4, 1, 1], 8, { group: 2 })
      .norm("c", "y", 8)
      .done([1, 4, 5, 5]),
  transposed: (net) =>
    net
      .linear("ConvTranspose", "x", "a", [4, 4, 2, 2], 4, { strides: [2, 2] })
      .norm("a", "an", 4)
      .next("Relu", ["an"], "ar")
      .linear("ConvTranspose", "ar", "b", [4, 2, 2, 2], 4, { group: 2, strides: [2, 2] })
      .norm("b", "y", 4)
      .done([1, 4, 3, 3]),
  dense: (net) =>
    net
      .linear("Gemm", "x", "a", [8, 8], 8, { transB: 1 })
      .norm("a", "an", 8)
      .next("Relu", ["an"], "ar")
      .linear("Gemm", "ar", "b", [8, 8], 8)
      .norm("b", "bn", 8)
      .next("Relu", ["bn"], "br")
      .linear("Gemm", "br", "c", [8, 4], 4)
      .norm("c", "y", 4)
      .done(["n", 8]),
  "normalized before": (net) =>
    net
      .norm("x", "xn", 4)
      .linear("Conv", "xn", "a", [4, 4, 3, 3], 4)
      .norm("a", "an", 4)
      .linear("Conv", "an", "b", [4, 4, 1, 1], 4)
      .next("Relu", ["b"], "br")
      .norm("br", "brn", 4)
      .linear("Conv", "brn", "y", [6, 4, 2, 2], 6)
      .done([2, 4, 6, 6]),
  sequences: (net) =>
    net
      .linear("Conv", "x", "a", [6, 6, 3], 6, { pads: [1, 1] })
      .norm("a", "an", 6)
      .next("LeakyRelu", ["an"], "ar", { alpha: f(0.1) })
      .linear("Conv", "ar", "b", [6, 6, 1], 6)
      .norm("b", "bn", 6)
      .next("Transpose", ["bn"], "t", { perm: [0, 2, 1] })
      .linear("MatMul", "t", "y", [6, 6], undefined)
      .done([1, 6, 9]),
};
