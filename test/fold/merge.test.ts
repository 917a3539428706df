/**
 * Parallel linear branches: what merges, what must not, and that the merged graph computes the same. Models are float64 with
 * small whole numbers unless said otherwise, so that a wrong coefficient shows.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PlanOptions } from "../../src/fold/index.ts";
import { openModel } from "../../src/node/files.ts";
import type { Model } from "../../src/onnx/records.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { isTensor } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/proof.ts";
import { type Random, randomOf } from "../../src/verify/random.ts";
import { root } from "../cli/bnfold.ts";
import {
  type AttributeSpec,
  f,
  type ModelSpec,
  model,
  type NodeSpec,
  node,
  type TensorSpec,
  type ValueSpec,
} from "../helpers/build.ts";
import { decisions, type Folded, folded } from "../helpers/fold.ts";
import { integers } from "../rules/check.ts";

const count = (dims: readonly number[]): number => dims.reduce((n, d) => n * d, 1);

/** Sizes for symbols in tests. */
const SIZE = 5;

function outputsOf(net: Model, feeds: ReadonlyMap<string, Tensor>): Map<string, Float64Array> {
  const found = new Map<string, Float64Array>();
  for (const [name, value] of createSession(net).run(feeds)) if (isTensor(value)) found.set(name, asFloat64(value));
  return found;
}

/** Largest difference between two models on one random input, as a part of the largest output. */
function difference(a: Model, b: Model, feeds: ReadonlyMap<string, Tensor>): number {
  const [x, y] = [outputsOf(a, feeds), outputsOf(b, feeds)];
  let worst = 0;
  for (const [name, values] of x) {
    const other = y.get(name) as Float64Array;
    expect(other.length).toBe(values.length);
    const largest = values.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-300);
    for (const [i, v] of values.entries()) worst = Math.max(worst, Math.abs(v - other[i]) / largest);
  }
  return worst;
}

const feedsOf = (spec: ModelSpec, seed = 3): Map<string, Tensor> =>
  new Map(
    (spec.inputs ?? [])
      .filter(({ name }) => spec.initializers?.[name] === undefined)
      .map(({ name, dtype = "float32", dims = [] }, i): [string, Tensor] => {
        const shape = dims.map((d) => (typeof d === "number" ? d : SIZE));
        const values = integers(count(shape), seed + i);
        if (dtype === "bool") return [name, { dtype: "bool", dims: shape, data: Uint8Array.from(values, (v) => v & 1) }];
        return [
          name,
          {
            dtype: dtype as "float64",
            dims: shape,
            data: dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values),
          },
        ];
      }),
  );

/** Producers stand before readers in every node list, as ONNX's checker wants it. */
function expectSorted(net: Model): void {
  const known = new Set([...net.graph.inputs, ...net.graph.initializers].map(({ name }) => name));
  const made = new Set(net.graph.nodes.flatMap(({ outputs }) => outputs));
  for (const { inputs, outputs } of net.graph.nodes) {
    for (const name of inputs)
      expect(name === "" || known.has(name) || !made.has(name), `${name} is read before it is made`).toBe(true);
    for (const name of outputs) known.add(name);
  }
  for (const { name } of net.graph.valueInfos) expect(known.has(name), `value_info of "${name}", which is gone`).toBe(true);
}

interface Outcome extends Folded {
  readonly before: Model;
  readonly operators: Readonly<Record<string, number>>;
}

/** Folds, runs both, proves, and checks the order of nodes. */
function merged(spec: ModelSpec, options: PlanOptions = {}, tolerance = 1e-12): Outcome {
  const before = model(spec);
  const result = folded(before, options);
  expectSorted(result.model);
  expect(difference(before, result.model, feedsOf(spec)), decisions(result.data).join("\n")).toBeLessThanOrEqual(tolerance);
  const proof = prove(before, result.model, { foreign: false });
  expect(proof.regions.filter(({ outcome }) => outcome !== "equal")).toEqual([]);
  expect(proof.outcome).toBe("equal");
  const { operators, nodes } = result.data.after;
  expect(nodes).toBe(result.model.graph.nodes.length + inner(result.model));
  // What is merged stays merged: a second run finds nothing.
  expect(folded(result.model, options).data.merges).toEqual([]);
  return { ...result, before, operators };
}

const bodies = (net: Model) => net.graph.nodes.flatMap(({ attributes }) => [...attributes.values()].flatMap(({ g }) => g ?? []));
const inner = (net: Model): number =>
  bodies(net).reduce((n, g) => n + g.nodes.length, 0) + net.functions.reduce((n, fn) => n + fn.nodes.length, 0);

/** Builds graphs over an image x [2, C, H, W]. */
class Net {
  readonly nodes: NodeSpec[] = [];
  readonly initializers: Record<string, TensorSpec> = {};
  private seed = 1;
  dtype = "float64";
  /** The number a constant gets. */
  number: (seed: number, dims: readonly number[]) => number[] = (seed, dims) => integers(count(dims), seed);

  constant(dims: readonly number[], values?: readonly number[]): string {
    const name = `c${++this.seed}`;
    this.initializers[name] = { dtype: this.dtype, dims, values: values ?? this.number(this.seed, dims) };
    return name;
  }

  add(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeSpec>> = {},
    output = `v${this.nodes.length}`,
  ): string {
    this.nodes.push(node(op, inputs, [output], attributes, { name: `${op}_${this.nodes.length}` }));
    return output;
  }

  conv(x: string, dims: readonly number[], attributes: Readonly<Record<string, AttributeSpec>> = {}, biased = true): string {
    const k = dims.slice(2);
    const pads = [...k, ...k].map((d) => Math.floor(d / 2));
    return this.add("Conv", [x, this.constant(dims), ...(biased ? [this.constant([dims[0]])] : [])], { pads, ...attributes });
  }

  bn(x: string, channels: number): string {
    const [g, b, m] = [0, 1, 2].map(() => this.constant([channels]));
    const v = this.constant([channels], new Array(channels).fill(4));
    return this.add("BatchNormalization", [x, g, b, m, v], { epsilon: f(0) });
  }

  matmul(x: string, inputs: number, outputs: number): string {
    return this.add("MatMul", [x, this.constant([inputs, outputs])]);
  }

  spec(y: string, more: Partial<ModelSpec> = {}, dims: ValueSpec["dims"] = [2, 4, SIZE, SIZE + 1]): ModelSpec {
    const out = this.add("Relu", [y], {}, "y");
    const input: ValueSpec = { name: "x", dtype: this.dtype, dims };
    return {
      opset: 17,
      nodes: this.nodes,
      initializers: this.initializers,
      inputs: [input],
      outputs: [{ name: out, dtype: this.dtype }],
      ...more,
    };
  }
}

const build = (make: (net: Net) => string, more: Partial<ModelSpec> = {}, dims?: ValueSpec["dims"]): ModelSpec => {
  const net = new Net();
  return net.spec(make(net), more, dims);
};

const W = [4, 4, 3, 3] as const;
const P = [4, 4, 1, 1] as const;

describe("regions that merge", () => {
  const cases: Record<string, [spec: () => ModelSpec, operators: Record<string, number>]> = {
    "3x3 + 1x1 + norm": [
      () =>
        build((n) =>
          n.add("Add", [n.add("Add", [n.bn(n.conv("x", W, {}, false), 4), n.bn(n.conv("x", P, {}, false), 4)]), n.bn("x", 4)]),
        ),
      { Conv: 1, Relu: 1 },
    ],
    "residual of a difference with layer scale": [
      () =>
        build((n) =>
          n.add("Add", [
            "x",
            n.add("Mul", [n.constant([4, 1, 1]), n.add("Sub", [n.conv("x", [4, 1, 3, 3], { group: 4 }), n.bn("x", 4)])]),
          ]),
        ),
      { Conv: 1, Relu: 1 },
    ],
    "a sum of four, one negated": [
      () => build((n) => n.add("Sum", [n.conv("x", W), n.add("Neg", [n.conv("x", P)]), "x", n.conv("x", W)])),
      { Conv: 1, Relu: 1 },
    ],
    "uneven kernels": [
      () => build((n) => n.add("Add", [n.add("Add", [n.conv("x", W), n.conv("x", [4, 4, 1, 3])]), n.conv("x", [4, 4, 3, 1])])),
      { Conv: 1, Relu: 1 },
    ],
    "dilated 3x3 in a 5x5": [
      () => build((n) => n.add("Add", [n.conv("x", [4, 4, 5, 5]), n.conv("x", W, { dilations: [2, 2], pads: [2, 2, 2, 2] })])),
      { Conv: 1, Relu: 1 },
    ],
    "a strided block": [
      () => build((n) => n.add("Add", [n.conv("x", W, { strides: [2, 2] }), n.conv("x", P, { strides: [2, 2] })])),
      { Conv: 1, Relu: 1 },
    ],
    "auto_pad beside explicit pads": [
      () => build((n) => n.add("Add", [n.add("Conv", ["x", n.constant(W)], { auto_pad: "SAME_UPPER" }), n.conv("x", P)])),
      { Conv: 1, Relu: 1 },
    ],
    "auto_pad with a stride and a known size": [
      () =>
        build((n) =>
          n.add("Add", [
            n.add("Conv", ["x", n.constant([4, 4, 2, 2])], { auto_pad: "SAME_LOWER", strides: [2, 2] }),
            n.conv("x", [4, 4, 2, 2], { strides: [2, 2], pads: [1, 0, 0, 0] }),
          ]),
        ),
      { Conv: 1, Relu: 1 },
    ],
    "an average pool that counts its pads": [
      () =>
        build((n) =>
          n.add("Add", [
            n.conv("x", W),
            n.add("AveragePool", ["x"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 }),
          ]),
        ),
      { Conv: 1, Relu: 1 },
    ],
    "groups 2 and 4 make 2": [
      () => build((n) => n.add("Add", [n.conv("x", [4, 2, 3, 3], { group: 2 }), n.conv("x", [4, 1, 3, 3], { group: 4 })])),
      { Conv: 1, Relu: 1 },
    ],
    "1x1 then 3x3 beside 3x3": [
      () => build((n) => n.add("Add", [n.conv(n.conv("x", P, {}, false), W), n.conv("x", W)])),
      { Conv: 1, Relu: 1 },
    ],
    "3x3 then 1x1": [() => build((n) => n.conv(n.conv("x", W), P)), { Conv: 1, Relu: 1 }],
    "a bottleneck that is free beside a full kernel": [
      () => build((n) => n.add("Add", [n.conv(n.conv("x", [1, 4, 1, 1], {}, false), [4, 1, 3, 3]), n.conv("x", W)])),
      { Conv: 1, Relu: 1 },
    ],
    "1-D": [() => build((n) => n.add("Add", [n.conv("x", [4, 4, 3]), n.bn("x", 4)]), {}, [2, 4, "T"]), { Conv: 1, Relu: 1 }],
    "3-D": [
      () => build((n) => n.add("Add", [n.conv("x", [4, 4, 3, 3, 3]), n.conv("x", [4, 4, 1, 1, 1])]), {}, [1, 4, 3, 4, 5]),
      { Conv: 1, Relu: 1 },
    ],
    "sizes unknown": [
      () => build((n) => n.add("Add", [n.conv("x", W), n.add("Add", ["x", n.conv("x", P)])]), {}, ["N", 4, "H", "W"]),
      { Conv: 1, Relu: 1 },
    ],
    "Gemm and MatMul of one matrix": [
      () =>
        build(
          (n) =>
            n.add("Add", [
              n.add("Gemm", ["x", n.constant([4, 4]), n.constant([4])], { transB: 1, alpha: f(2), beta: f(3) }),
              n.add("Add", [n.matmul("x", 4, 4), "x"]),
            ]),
          {},
          ["N", 4],
        ),
      { Gemm: 1, Relu: 1 },
    ],
    "MatMuls of three axes with biases": [
      () =>
        build(
          (n) =>
            n.add("Add", [
              n.add("Add", [n.matmul("x", 4, 4), n.constant([4])]),
              n.add("Add", [n.matmul("x", 4, 4), n.constant([4])]),
            ]),
          {},
          ["N", 3, 4],
        ),
      { MatMul: 1, Add: 1, Relu: 1 },
    ],
    "MatMuls of three axes without biases, and the input": [
      () => build((n) => n.add("Sub", [n.add("Add", [n.matmul("x", 4, 4), n.matmul("x", 4, 4)]), "x"]), {}, ["N", 3, 4]),
      { MatMul: 1, Relu: 1 },
    ],
    "a low-rank update beside its matrix": [
      () => build((n) => n.add("Add", [n.matmul("x", 4, 4), n.matmul(n.matmul("x", 4, 1), 1, 4)]), {}, ["N", 3, 4]),
      { MatMul: 1, Relu: 1 },
    ],
  };
  it.each(Object.entries(cases))("%s", (_, [spec, operators]) => {
    const result = merged(spec());
    expect(result.operators).toEqual(operators);
    expect(result.data.merges.length).toBe(1);
    const [{ multiplyAdds }] = result.data.merges;
    expect(multiplyAdds[1]).toBeLessThanOrEqual(multiplyAdds[0]);
  });

  it("keeps weights shared that several layers share and merge alike, and copies them where one merges otherwise", () => {
    const shared = (last: (n: Net, y: string, conv: string) => string) =>
      build((n) => {
        const [w, b] = [n.constant([4, 1, 3, 3]), n.constant([4])];
        const layer = (x: string) => n.add("Conv", [x, w, b], { group: 4, pads: [1, 1, 1, 1] });
        const residual = (x: string) => n.add("Relu", [n.add("Add", [layer(x), x])]);
        const y = residual(residual("x"));
        return last(n, y, layer(y));
      });
    const alike = merged(shared((n, y, conv) => n.add("Add", [conv, y])));
    expect(alike.model.graph.initializers.map(({ name }) => name)).toEqual(["c2", "c3"]);
    expect(alike.bytes.length).toBeLessThan(alike.before.files.main.size);
    const other = merged(shared((n, y, conv) => n.add("Sub", [conv, y])));
    expect(other.model.graph.initializers.length).toBe(3);
  });

  it("keeps dilation where every tap lies on it", () => {
    const wide = { dilations: [2, 2], pads: [2, 2, 2, 2] };
    const { model: after } = merged(build((n) => n.add("Add", [n.conv("x", W, wide), n.conv("x", P)])));
    const conv = after.graph.nodes.find(({ opType }) => opType === "Conv");
    expect(conv?.attributes.get("dilations")?.ints.map(Number)).toEqual([2, 2]);
    expect(after.graph.initializers.find(({ name }) => name === conv?.inputs[1])?.dims).toEqual([4, 4, 3, 3]);
  });

  it("reports what was merged", () => {
    const { data } = merged(build((n) => n.add("Add", [n.bn(n.conv("x", W, {}, false), 4), n.bn("x", 4)])));
    const [merge] = data.merges;
    expect(merge.nodes.map(({ opType }) => opType)).toEqual(["Conv", "BatchNormalization", "Add"]);
    expect([merge.into.opType, merge.multiplyAdds, merge.parameters]).toEqual(["Conv", [144, 144], [164, 148]]);
    expect(data.folds.map(({ direction }) => direction).sort()).toEqual(["backward", "merged"]);
    expect(data.folds.every(({ into }) => into.every(({ node: n }) => n.output === merge.into.output))).toBe(true);
  });
});

describe("several tensors", () => {
  const two: ModelSpec["inputs"] = ["x", "z"].map((name) => ({ name, dtype: "float64", dims: [2, 4, SIZE, SIZE + 1] }));

  it("merges the branches of x in conv1(x) + z + conv2(x)", () => {
    const result = merged(build((n) => n.add("Add", [n.add("Add", [n.conv("x", W), "z"]), n.conv("x", P)]), { inputs: two }));
    expect(result.operators).toEqual({ Conv: 1, Add: 1, Relu: 1 });
  });

  it("merges both tensors' branches, with a bias from a norm of z", () => {
    const result = merged(
      build(
        (n) => {
          const left = n.add("Add", [n.conv("x", W), n.conv("z", W)]);
          return n.add("Sub", [n.add("Add", [left, n.bn("x", 4)]), n.bn("z", 4)]);
        },
        { inputs: two },
      ),
    );
    expect(result.operators).toEqual({ Conv: 2, Add: 1, Relu: 1 });
  });

  it("subtracts a tensor that was subtracted", () => {
    const result = merged(build((n) => n.add("Sub", [n.add("Sub", [n.conv("x", W), "z"]), n.conv("x", P)]), { inputs: two }));
    expect(result.operators).toEqual({ Conv: 1, Sub: 1, Relu: 1 });
  });

  it("keeps the order of the file when z comes late", () => {
    const result = merged(
      build(
        (n) => {
          const late = () => n.add("Sigmoid", ["z"]);
          const first = n.conv("x", W);
          const second = n.conv("x", P);
          const sum = n.add("Add", [first, second]);
          return n.add("Add", [n.add("Add", [sum, late()]), n.conv("x", P)]);
        },
        { inputs: two },
      ),
    );
    expect(result.operators).toEqual({ Conv: 1, Add: 1, Sigmoid: 1, Relu: 1 });
  });

  it("lets z broadcast", () => {
    const inputs: ModelSpec["inputs"] = [two[0], { name: "z", dtype: "float64", dims: [1, 4, 1, 1] }];
    const result = merged(build((n) => n.add("Add", [n.add("Add", [n.conv("x", W), "z"]), n.conv("x", P)]), { inputs }));
    expect(result.operators).toEqual({ Conv: 1, Add: 1, Relu: 1 });
  });

  it("leaves a scaled z: that would take a node more", () => {
    const result = merged(
      build((n) => n.add("Add", [n.add("Mul", ["z", n.constant([4, 1, 1])]), n.add("Add", [n.conv("x", W), n.conv("x", P)])]), {
        inputs: two,
      }),
    );
    expect(result.operators).toEqual({ Conv: 1, Mul: 1, Add: 1, Relu: 1 });
  });

  it("merges matrices of two inputs", () => {
    const inputs: ModelSpec["inputs"] = ["x", "z"].map((name) => ({ name, dtype: "float64", dims: ["N", 3, 4] }));
    const result = merged(
      build(
        (n) => n.add("Add", [n.add("Add", [n.matmul("x", 4, 4), n.matmul("z", 4, 4)]), n.add("Add", [n.matmul("x", 4, 4), "z"])]),
        { inputs },
      ),
    );
    expect(result.operators).toEqual({ MatMul: 2, Add: 1, Relu: 1 });
  });
});

describe("alike, but not the same", () => {
  const other: ValueSpec = { name: "z", dtype: "float64", dims: [2, 4, SIZE, SIZE + 1] };
  const image: ValueSpec = { name: "x", dtype: "float64", dims: [2, 4, SIZE, SIZE + 1] };
  const cases: Record<string, () => ModelSpec> = {
    "different strides (broadcast)": () =>
      build((n) => n.add("Add", [n.conv("x", P, { strides: [2, 2] }), n.conv("x", P)]), {}, [2, 4, 1, 1]),
    "other pads, the same size by broadcasting": () =>
      build((n) => n.add("Add", [n.conv("x", W), n.conv("x", W, { pads: [0, 0, 0, 0] })]), {}, [2, 4, 3, 3]),
    "an activation inside a branch": () => build((n) => n.add("Add", [n.add("Tanh", [n.conv("x", W)]), n.conv("x", W)])),
    "an activation between two layers": () => build((n) => n.conv(n.add("Tanh", [n.conv("x", P)]), W)),
    "a name for the operand of a layer": () =>
      build((n) => n.add("Add", ["x", n.conv(n.add("Identity", [n.add("Tanh", ["x"])]), W)])),
    "a bias before a padded layer": () => build((n) => n.conv(n.conv("x", P), W)),
    "different inputs": () => build((n) => n.add("Add", [n.conv("x", W), n.conv("z", W)]), { inputs: [image, other] }),
    "reflection before one branch": () =>
      build(
        (n) =>
          n.add("Add", [n.conv(n.add("Pad", ["x", "around"], { mode: "reflect" }), W, { pads: [0, 0, 0, 0] }), n.conv("x", W)]),
        {},
      ),
    "edge padding before one branch": () =>
      build(
        (n) => n.add("Add", [n.conv(n.add("Pad", ["x", "around"], { mode: "edge" }), W, { pads: [0, 0, 0, 0] }), n.conv("x", W)]),
        {},
      ),
    "a pool that rounds up": () =>
      build((n) =>
        n.add("Add", [
          n.conv("x", [4, 4, 2, 2], { strides: [2, 2], pads: [0, 0, 1, 0] }),
          n.add("AveragePool", ["x"], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 }),
        ]),
      ),
    "a pool that does not count its pads": () =>
      build((n) => n.add("Add", [n.conv("x", W), n.add("AveragePool", ["x"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })])),
    "a maximum": () =>
      build((n) => n.add("Add", [n.conv("x", W), n.add("MaxPool", ["x"], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] })])),
    "a weight from outside": () =>
      build((n) => n.add("Add", [n.conv("x", W), n.add("Conv", ["x", "w"], { pads: [1, 1, 1, 1] })]), {
        inputs: [image, { name: "w", dtype: "float64", dims: W }],
      }),
    "a gain per position": () =>
      build((n) => n.add("Add", [n.add("Mul", [n.conv("x", W), n.constant([SIZE, SIZE + 1])]), n.conv("x", W)])),
    "a product of two branches": () => build((n) => n.add("Mul", [n.conv("x", W), n.conv("x", W)])),
    "MatMul from the left": () =>
      build((n) => n.add("Add", [n.matmul("x", 4, 4), n.add("MatMul", [n.constant([4, 4]), "x"])]), {}, [2, 4, 4]),
    "a Gemm with a bias per row": () =>
      build((n) => n.add("Add", [n.add("Gemm", ["x", n.constant([4, 4]), n.constant([2, 1])]), n.matmul("x", 4, 4)]), {}, [2, 4]),
    "a Gemm of a turned input": () =>
      build((n) => n.add("Add", [n.add("Gemm", ["x", n.constant([4, 4])], { transA: 1 }), n.matmul("x", 4, 4)]), {}, [4, 4]),
    "layers on different axes": () => build((n) => n.add("Add", [n.matmul("x", 6, 6), n.conv("x", P)])),
  };
  it.each(Object.entries(cases))("%s", (name, make) => {
    const spec = make();
    const around: Record<string, TensorSpec> = spec.nodes.some(({ op }) => op === "Pad")
      ? { around: { dtype: "int64", dims: [8], values: [0, 0, 1, 1, 0, 0, 1, 1] } }
      : {};
    const result = merged({ ...spec, initializers: { ...spec.initializers, ...around } });
    expect(result.data.merges, name).toEqual([]);
    expect(result.operators).toEqual(result.data.before.operators);
  });

  it("a branch that is read elsewhere, or is an output", () => {
    const branch = (n: Net, read: (a: string) => string) => {
      const a = n.conv("x", W);
      return n.add("Add", [n.add("Add", [a, n.conv("x", P)]), read(a)]);
    };
    const elsewhere = merged(build((n) => branch(n, (a) => n.add("Tanh", [a]))));
    expect(elsewhere.data.merges).toEqual([]);
    const net = new Net();
    const y = branch(net, () => "x");
    const a = net.nodes[0].outputs[0];
    const spec = net.spec(y);
    const output = merged({ ...spec, outputs: [...spec.outputs, { name: a, dtype: "float64" }] });
    // The 1x1 and the residual around what stays.
    expect(output.operators.Conv).toBe(2);
    expect(output.model.graph.outputs.map(({ name }) => name)).toEqual(["y", a]);
  });

  it("a branch that an inner graph reads", () => {
    const net = new Net();
    const a = net.conv("x", W);
    const sum = net.add("Add", [a, net.conv("x", W)]);
    const body = (value: string) => ({
      nodes: [node("Neg", [value], ["inner"])],
      outputs: [{ name: "inner", dtype: "float64" }],
    });
    const chosen = net.add("If", ["c"], { then_branch: body(a), else_branch: body(sum) });
    const spec = net.spec(net.add("Add", [sum, chosen]));
    const result = merged({ ...spec, inputs: [...(spec.inputs ?? []), { name: "c", dtype: "bool", dims: [] }] });
    expect(result.data.merges).toEqual([]);
  });

  it("sizes that only agree for some H", () => {
    // At H = 3 the second branch is 1x1 and would broadcast.
    const result = merged(
      build((n) => n.add("Add", [n.conv("x", W), n.conv("x", [4, 4, 5, 5], { pads: [0, 0, 0, 0] })]), {}, ["N", 4, "H", "W"]),
      {},
      1,
    );
    expect(result.data.merges).toEqual([]);
  });

  it("weights of two types", () => {
    const net = new Net();
    const wide = net.add("Cast", [net.conv("x", W)], { to: 1 });
    net.dtype = "float32";
    const narrow = net.conv(net.add("Cast", ["x"], { to: 1 }), W);
    net.dtype = "float64";
    expect(merged(net.spec(net.add("Cast", [net.add("Add", [wide, narrow])], { to: 11 })), {}, 1e-6).data.merges).toEqual([]);
  });

  it("a layer a caller may override", () => {
    const net = new Net();
    const spec = net.spec(net.add("Add", [net.conv("x", W), net.conv("x", W)]));
    const weight: ValueSpec = { name: net.nodes[0].inputs[1], dtype: "float64", dims: W };
    const open = { ...spec, inputs: [...(spec.inputs ?? []), weight] };
    expect(merged(open).data.merges).toEqual([]);
    expect(merged({ ...open, irVersion: 3, opset: 8 }).operators.Conv).toBe(1);
  });
});

describe("what would cost more", () => {
  it("stays, with the reason and both costs", () => {
    const { data } = merged(build((n) => n.conv(n.conv("x", [4, 1, 3, 3], { group: 4 }), [8, 4, 1, 1])));
    expect(data.merges).toEqual([]);
    expect(data.unmerged.map(({ reason, multiplyAdds, nodes }) => [reason, multiplyAdds, nodes.map((n) => n.opType)])).toEqual([
      ["one Conv would take 288 multiply-adds at each position instead of 68", [68, 288], ["Conv", "Conv"]],
    ]);
  });

  it("is reported once, for the largest region, and its parts merge where they can", () => {
    const { data } = merged(build((n) => n.conv(n.add("Add", [n.conv("x", [4, 1, 3, 3], { group: 4 }), "x"]), [8, 4, 1, 1])));
    expect(data.merges.length).toBe(1);
    expect(data.unmerged.length).toBe(1);
  });
});

describe("where graphs are special", () => {
  it("merges inside the bodies of an If, what they read from outside included", () => {
    const net = new Net();
    const outer = net.add("Tanh", ["x"], {}, "outer");
    const body = (tag: string) => {
      const part = new Net();
      const sum = part.add("Add", [part.conv(outer, W), part.conv(outer, P)]);
      const rename = (name: string) => (name === outer ? name : `${tag}${name}`);
      return {
        nodes: part.nodes.map((n) => ({ ...n, inputs: n.inputs.map(rename), outputs: n.outputs.map(rename) })),
        initializers: Object.fromEntries(Object.entries(part.initializers).map(([name, value]) => [rename(name), value])),
        outputs: [{ name: rename(sum), dtype: "float64" }],
      };
    };
    const spec = net.spec(net.add("If", ["c"], { then_branch: body("a"), else_branch: body("b") }));
    const result = merged({ ...spec, inputs: [...(spec.inputs ?? []), { name: "c", dtype: "bool", dims: [] }] });
    expect(result.operators.Conv).toBe(2);
    expect(result.data.merges.map(({ into }) => into.scope)).toEqual(["If_1/then_branch", "If_1/else_branch"]);
  });

  it("merges a function's Conv whose group comes from the call in place of the call", () => {
    const constant = (name: string, dims: readonly number[], seed: number) =>
      node("Constant", [], [name], { value: { dtype: "float64", dims, values: integers(count(dims), seed) } });
    const body = (group: NodeSpec["attributes"]) => [
      constant("w", W, 1),
      constant("u", W, 2),
      node("Conv", ["a", "w"], ["p"], { pads: [1, 1, 1, 1], ...group }),
      node("Conv", ["a", "u"], ["q"], { pads: [1, 1, 1, 1] }),
      node("Add", ["p", "q"], ["b"]),
    ];
    const spec = (group: NodeSpec["attributes"], attributes: NodeSpec["attributes"]): ModelSpec => ({
      inputs: [{ name: "x", dtype: "float64", dims: [1, 4, 3, 3] }],
      outputs: [{ name: "y", dtype: "float64" }],
      nodes: [node("Block", ["x"], ["y"], attributes, { domain: "local" })],
      opsets: { "": 17, local: 1 },
      functions: [
        {
          name: "Block",
          domain: "local",
          inputs: ["a"],
          outputs: ["b"],
          attributes: Object.keys(attributes ?? {}),
          nodes: body(group),
          opsets: { "": 17 },
        },
      ],
    });
    expect(merged(spec({}, {})).data.merges.length).toBe(1);
    const open = merged(spec({ group: { kind: "ref", value: "g" } }, { g: 1 }));
    expect(open.data.merges.map(({ into }) => into.scope)).toEqual(["y"]);
    expect(open.data.inlined).toEqual([{ function: "local:Block", calls: ["y"], dropped: true }]);
  });

  it("drops the declarations of values that are gone", () => {
    const net = new Net();
    const spec = net.spec(net.add("Add", [net.add("Add", [net.conv("x", W), "z"]), net.conv("x", P)]));
    const declared: ValueSpec[] = net.nodes.map(({ outputs }) => ({
      name: outputs[0],
      dtype: "float64",
      dims: [2, 4, SIZE, SIZE + 1],
    }));
    const z: ValueSpec = { name: "z", dtype: "float64", dims: [2, 4, SIZE, SIZE + 1] };
    merged({ ...spec, inputs: [...(spec.inputs ?? []), z], valueInfos: declared.slice(0, -1) });
  });

  it("looks through what reads a value for its type only, to make a constant of the reader", () => {
    const n = new Net();
    const first = n.conv("x", [3, 3, 1, 1]);
    const zero = n.add("CastLike", [n.constant([1], [0]), first]);
    const bias = n.add("Expand", [zero, "four"]);
    n.add("Conv", [first, n.constant([4, 3, 1, 1]), bias], {}, "y");
    const spec: ModelSpec = {
      opsets: { "": 17 },
      nodes: n.nodes,
      initializers: { ...n.initializers, four: { dtype: "int64", dims: [1], values: [4n] } },
      inputs: [{ name: "x", dtype: "float64", dims: [2, 3, 5, 5] }],
      outputs: [{ name: "y", dtype: "float64", dims: [2, 4, 5, 5] }],
    };
    expect(merged(spec).operators).toEqual({ Conv: 1 });
    // One that the value's type goes elsewhere from, too, stays.
    const read: ModelSpec = { ...spec, outputs: [...spec.outputs, { name: bias, dtype: "float64", dims: [4] }] };
    expect(merged(read).operators.Conv).toBe(2);
  });

  it("makes a bias a node in files of IR 3", () => {
    const net = new Net();
    const spec = net.spec(net.add("Add", [net.conv("x", W, {}, false), net.bn("x", 4)]), { irVersion: 3, opset: 8 });
    const inputs = [
      ...(spec.inputs ?? []),
      ...Object.entries(net.initializers).map(([name, { dims }]) => ({ name, dtype: "float64", dims })),
    ];
    const result = merged({ ...spec, inputs });
    expect(result.operators).toEqual({ Conv: 1, Relu: 1, Constant: 1 });
  });

  it("copies weights that others read", () => {
    const result = merged(
      build((n) => {
        const sum = n.add("Add", [n.conv("x", W), n.conv("x", P)]);
        const shared = n.nodes[0].inputs.slice(1);
        return n.add("Mul", [sum, n.add("Conv", ["x", ...shared], { pads: [1, 1, 1, 1] })]);
      }),
    );
    expect(result.operators.Conv).toBe(2);
  });

  it("heeds --skip, --only and --no-merge", () => {
    const spec = build((n) => n.add("Add", [n.add("Add", [n.conv("x", W), n.conv("x", P)]), n.bn("x", 4)]));
    expect(merged(spec, { merge: false }).data.merges).toEqual([]);
    // Without the norm the two convolutions still merge.
    expect(merged(spec, { skip: (name) => name.startsWith("Batch") }).operators).toEqual({
      Conv: 1,
      BatchNormalization: 1,
      Add: 1,
      Relu: 1,
    });
    expect(
      merged(spec, { skip: (name) => name === "Conv_0" }).data.merges.every(({ nodes }) =>
        nodes.every(({ name }) => name !== "Conv_0"),
      ),
    ).toBe(true);
    expect(merged(spec, { only: (name) => name.startsWith("Batch") }).data.merges).toEqual([]);
  });

  it("refuses numbers float16 cannot hold", () => {
    const net = new Net();
    net.dtype = "float16";
    net.number = (_, dims) => new Array<number>(count(dims)).fill(60000);
    const { data } = folded(model(net.spec(net.add("Add", [net.conv("x", W), net.conv("x", W)]))));
    expect(data.merges).toEqual([]);
    expect(data.unmerged[0].reason).toMatch(/^the merged Conv would hold 1\.2\d*e\+5, beyond the largest float16/);
  });

  it("cuts regions that are too large", () => {
    const result = merged(
      build((n) => {
        let sum = n.conv("x", P);
        for (let i = 0; i < 99; i++) sum = n.add("Add", [sum, n.conv("x", P)]);
        return sum;
      }),
    );
    expect(result.operators).toEqual({ Conv: 1, Relu: 1 });
  });
});

describe("time", () => {
  /** Milliseconds of planning a net of `n` nodes. */
  const time = (n: number, step: (net: Net, x: string, i: number) => string, channels = 2): number => {
    const net = new Net();
    const [w, u] = [net.constant([channels, channels, 3, 3]), net.constant([channels, channels, 1, 1])];
    let x = "x";
    for (let i = 0; i < n; i++) x = step(Object.assign(net, { w, u }), x, i);
    const before = model(net.spec(x, {}, [1, channels, "H", "W"]));
    const start = performance.now();
    folded(before);
    return performance.now() - start;
  };
  const nets: Record<string, (net: Net, x: string) => string> = {
    "a chain of convolutions": (net, x) => net.add("Conv", [x, "c2"], { pads: [1, 1, 1, 1] }),
    "residual sums": (net, x) => net.add("Add", [x, net.add("Conv", [x, "c2"], { pads: [1, 1, 1, 1] })]),
    "a sum of many inputs' branches": (net, x) => net.add("Add", [x, net.add("Conv", ["x", "c3"])]),
    "a chain of 1x1 convolutions": (net, x) => net.add("Conv", [x, "c3"]),
  };
  it.each(Object.entries(nets))(
    "%s grows no faster than its length",
    (_, step) => {
      const [short, long] = [time(1250, step), time(20000, step)];
      // Sixteen times the nodes; room for noise on a busy machine.
      expect(long).toBeLessThan(64 * Math.max(short, 40));
    },
    120_000,
  );
});

/** A random block of branches of x, in double: convolutions of every kind, pools, norms, scales, nested sums. */
function randomBlock(random: Random): ModelSpec {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const n = pick([1, 2, 2, 2, 3]);
  const channels = pick([2, 4]);
  const stride = pick([1, 1, 2]);
  const reach = pick([1, 1, 2]);
  const out = pick([channels, channels, 2 * channels]);
  const net = new Net();
  net.number = (seed, dims) => {
    const own = randomOf(seed + 1000 * random.below(1000), "numbers");
    return Array.from({ length: count(dims) }, () => own.uniform() * 2 - 1);
  };
  const axes = (value: number, length = n) => new Array<number>(length).fill(value);
  const window = (): { kernel: number[]; attributes: Record<string, number[]> } => {
    const [kernel, dilations, begin, end]: number[][] = [[], [], [], []];
    for (let a = 0; a < n; a++) {
      const d = pick(reach === 2 ? [1, 2] : [1]);
      const k = 1 + 2 * random.below(reach / d + 1);
      const pad = (d * (k - 1)) / 2;
      kernel.push(k);
      dilations.push(d);
      begin.push(pad);
      end.push(pad);
    }
    return { kernel, attributes: { strides: axes(stride), dilations, pads: [...begin, ...end] } };
  };
  const leaf = (): string => {
    const kind = random.uniform();
    const { kernel, attributes } = window();
    if (kind < 0.15 && stride === 1 && out === channels) return pick([() => "x", () => net.bn("x", channels)])();
    if (kind < 0.3 && out === channels) {
      const { strides, pads } = attributes;
      return net.add("AveragePool", ["x"], {
        kernel_shape: kernel,
        strides,
        pads: pads.map((_, i) => (kernel[i % n] - 1) / 2),
        count_include_pad: 1,
      });
    }
    if (kind < 0.45) {
      const first = net.conv("x", [channels, channels, ...axes(1)], { pads: axes(0, 2 * n) }, random.uniform() < 0.3);
      return net.conv(first, [out, channels, ...kernel], attributes);
    }
    const group = pick(out === channels ? [1, 1, 2, channels] : [1, 2]);
    return net.conv("x", [out, channels / group, ...kernel], { ...attributes, group }, random.uniform() < 0.5);
  };
  const tree = (depth: number): string => {
    const kind = random.uniform();
    if (depth === 0 || kind < 0.25) return leaf();
    if (kind < 0.4) return net.bn(tree(depth - 1), out);
    if (kind < 0.5) return net.add("Mul", [tree(depth - 1), net.constant([out, ...axes(1)])]);
    if (kind < 0.55) return net.add("Neg", [tree(depth - 1)]);
    if (kind < 0.6) return net.add("Relu", [tree(depth - 1)]);
    if (kind < 0.7) return net.add("Sum", [tree(depth - 1), tree(depth - 1), tree(depth - 1)]);
    return net.add(pick(["Add", "Add", "Sub"]), [tree(depth - 1), tree(depth - 1)]);
  };
  const sizes = Array.from({ length: n }, (_, a) => 5 + a);
  return net.spec(tree(3), {}, [1, channels, ...(random.uniform() < 0.5 ? sizes : sizes.map((_, a) => `D${a}`))]);
}

describe("random blocks", () => {
  const SEEDS = 200;
  it(`compute the same and are proven, seeds 1 to ${SEEDS}`, () => {
    let merges = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const spec = randomBlock(randomOf(seed, "block"));
      const before = model(spec);
      const result = folded(before);
      merges += result.data.merges.length;
      const told = `seed ${seed}\n${decisions(result.data).join("\n")}`;
      expectSorted(result.model);
      expect(difference(before, result.model, feedsOf(spec, seed)), told).toBeLessThanOrEqual(1e-9);
      const proof = prove(before, result.model, { foreign: false });
      expect([proof.outcome, proof.regions.filter(({ outcome }) => outcome !== "equal")], told).toEqual(["equal", []]);
    }
    expect(merges).toBeGreaterThan(SEEDS / 2);
  }, 120_000);
});

it("regions of a file whose nodes are in no order merge like those of one in order", () => {
  const square = (seed: number): TensorSpec => ({ dtype: "float64", dims: [3, 3], values: integers(9, seed, -3, 3) });
  const rows = (name: string): ValueSpec => ({ name, dtype: "float64", dims: [2, 3] });
  const nodes = [
    node("MatMul", ["x", "u"], ["p"]),
    node("MatMul", ["z", "v"], ["q"]),
    node("Add", ["p", "q"], ["r"]),
    node("MatMul", ["x", "w"], ["s"]),
    node("Add", ["r", "s"], ["y"]),
  ];
  const initializers = { u: square(1), v: square(2), w: square(3) };
  const merges = [nodes, nodes.toReversed()].map((order) => {
    const before = model({ nodes: order, initializers, inputs: [rows("x"), rows("z")], outputs: [rows("y")] });
    const { data, model: after } = folded(before);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
    return [data.merges.length, data.after.nodes];
  });
  expect(merges).toEqual([
    [1, 3],
    [1, 3],
  ]);
});

describe("exported models", () => {
  interface Entry {
    readonly name: string;
    readonly left: number;
    readonly conv?: number;
    readonly convMerged?: number;
    readonly leftUnmerged?: number;
  }
  const manifest = JSON.parse(readFileSync(join(root, "fixtures", "manifest.json"), "utf8")) as readonly Entry[];
  const branched = manifest.filter(({ convMerged }) => convMerged !== undefined);

  it("cover every family", () => {
    const families = ["repvgg", "mobileone", "repghost", "fastvit", "acnet", "diverse-branch"];
    expect(families.filter((family) => !branched.some(({ name }) => name.startsWith(family)))).toEqual([]);
  });

  it.each(branched)("$name collapses to $convMerged Conv", ({ name, left, conv, convMerged, leftUnmerged }) => {
    const before = openModel(join(root, "fixtures", "models", name, "model.onnx")).model;
    const { data, model: after } = folded(before);
    expect([data.after.operators.Conv, data.after.batchNormalizations]).toEqual([convMerged, left]);
    expectSorted(after);
    expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
    if (conv === undefined) return;
    const plain = folded(before, { merge: false }).data;
    expect([plain.after.operators.Conv, plain.after.batchNormalizations, plain.merges]).toEqual([conv, leftUnmerged, []]);
  });

  const repvgg = join(root, "..", "shared", "corpus", "exports", "repvgg_a0-torchscript", "model.onnx");
  it.skipIf(!existsSync(repvgg))(
    "repvgg_a0: one Conv per block",
    () => {
      const before = openModel(repvgg).model;
      const { data, model: after } = folded(before);
      expect([data.before.batchNormalizations, data.after.batchNormalizations]).toEqual([61, 0]);
      expect(data.after.operators).toEqual({ Conv: 22, Relu: 22, GlobalAveragePool: 1, Flatten: 1, Gemm: 1 });
      expect(data.merges.length).toBe(22);
      expect(prove(before, after, { foreign: false }).outcome).toBe("equal");
    },
    60_000,
  );
});
