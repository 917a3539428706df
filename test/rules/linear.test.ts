/** Conv, ConvTranspose, Gemm and MatMul: maps into their constants from either side, and the nearest cases that must not fold. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { f, float16, float32, type ModelSpec, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, floats, integers, whole } from "./check.ts";
import { refuses, verdict } from "./helpers.ts";

const runs = { numRuns: 40, seed: 20260101 };

interface Layer {
  readonly spatial: number;
  readonly group: number;
  readonly inner: number;
  readonly per: number;
  readonly kernel: readonly number[];
  readonly stride: number;
  readonly dilation: number;
  readonly pads: readonly number[];
  readonly bias: boolean;
  readonly seed: number;
}
const layer: fc.Arbitrary<Layer> = fc.integer({ min: 1, max: 3 }).chain((spatial) =>
  fc.record({
    spatial: fc.constant(spatial),
    group: fc.integer({ min: 1, max: 3 }),
    inner: fc.integer({ min: 1, max: 3 }),
    per: fc.integer({ min: 1, max: 3 }),
    kernel: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: spatial, maxLength: spatial }),
    stride: fc.integer({ min: 1, max: 2 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    pads: fc.array(fc.nat(1), { minLength: 2 * spatial, maxLength: 2 * spatial }),
    bias: fc.boolean(),
    seed: fc.integer({ min: 1, max: 1000 }),
  }),
);

function network(op: "Conv" | "ConvTranspose", at: Layer, order: "before" | "after", padded: boolean): ModelSpec {
  const { spatial, group, inner, per, kernel, bias, seed } = at;
  const [into, out] = [group * inner, group * per];
  const dims = op === "Conv" ? [out, inner, ...kernel] : [into, per, ...kernel];
  const attributes = {
    group,
    strides: new Array<number>(spatial).fill(at.stride),
    dilations: new Array<number>(spatial).fill(at.dilation),
    ...(padded ? { pads: at.pads.map((p, i) => (kernel[i % spatial] > 1 ? p : 0)) } : {}),
  };
  const initializers: Record<string, TensorSpec> = { w: whole(dims, seed), ...(bias ? { b: whole([out], seed + 1) } : {}) };
  const operands = ["w", ...(bias ? ["b"] : [])];
  const norm = order === "after" ? batchNorm("c", "y", out) : batchNorm("x", "n", into);
  const nodes =
    order === "after"
      ? [node(op, ["x", ...operands], ["c"], attributes), norm.node]
      : [norm.node, node(op, ["n", ...operands], ["y"], attributes)];
  return {
    nodes,
    initializers: { ...initializers, ...norm.initializers },
    inputs: [floats("x", ["N", into, ...new Array<number>(spatial).fill(6)])],
    outputs: [floats("y")],
  };
}

describe("convolutions of any rank, group, padding, stride", () => {
  it("take a normalization after them", () => {
    fc.assert(
      fc.property(layer, (at) => void check(network("Conv", at, "after", true), { folds: 1 })),
      runs,
    );
    fc.assert(
      fc.property(layer, (at) => void check(network("ConvTranspose", at, "after", true), { folds: 1 })),
      runs,
    );
  });

  it("take a normalization before them when nothing is padded", () => {
    fc.assert(
      fc.property(layer, (at) => void check(network("Conv", at, "before", false), { folds: 1 })),
      runs,
    );
    const once = layer.map((at) => ({ ...at, kernel: at.kernel.map(() => 1), stride: 1 }));
    fc.assert(
      fc.property(once, (at) => void check(network("ConvTranspose", at, "before", false), { folds: 1 })),
      runs,
    );
  });

  it("take a gain before them whatever the padding", () => {
    fc.assert(
      fc.property(layer, fc.constantFrom("Conv" as const, "ConvTranspose" as const), (at, op) => {
        const spec = network(op, at, "before", true);
        const into = at.group * at.inner;
        const gain = node("Mul", ["x", "g"], ["n"]);
        const g = float32([into, ...new Array<number>(at.spatial).fill(1)], integers(into, at.seed, -3, 3));
        check({ ...spec, nodes: [gain, spec.nodes[1]], initializers: { ...spec.initializers, g } }, { folds: 1 });
      }),
      runs,
    );
  });
});

const conv = (
  attributes: NodeSpec["attributes"] = {},
  w = whole([4, 4, 3, 3]),
): Partial<ModelSpec> & { nodes: NodeSpec[]; initializers: Record<string, TensorSpec> } => ({
  nodes: [node("Conv", ["x", "w"], ["c"], attributes, { name: "conv" })],
  initializers: { w },
});
const around = (
  parts: { nodes: NodeSpec[]; initializers: Record<string, TensorSpec> },
  dims: (number | string)[] = ["N", 4, 4, 4],
  outputs = ["y"],
  more: Partial<ModelSpec> = {},
): ModelSpec => ({
  ...parts,
  inputs: [floats("x", dims)],
  outputs: outputs.map((name) => floats(name)),
  ...more,
});
const norm = batchNorm("c", "y", 4);
const normed = (attributes: NodeSpec["attributes"] = {}) => ({
  nodes: [...conv(attributes).nodes, norm.node],
  initializers: { ...conv().initializers, ...norm.initializers },
});

describe("a map after a Conv stays when", () => {
  it("it lies along the width, which is as long as the channels", () => {
    const same = { pads: [1, 1, 1, 1] };
    const mul = (dims: number[]) => ({
      nodes: [...conv(same).nodes, node("Mul", ["c", "k"], ["y"])],
      initializers: { ...conv().initializers, k: float32(dims, [1, 2, 3, 4]) },
    });
    refuses(around(mul([4])), "axis-blocks");
    refuses(around(mul([4, 1])), "axis-blocks");
    refuses(around(mul([1, 1, 1, 4])), "axis-blocks");
    check(around(mul([4, 1, 1])), { folds: 1 });
    check(around(mul([1, 4, 1, 1])), { folds: 1 });
  });

  it("it varies over the batch", () => {
    const spec = around(
      {
        nodes: [...conv().nodes, node("Mul", ["c", "k"], ["y"])],
        initializers: { ...conv().initializers, k: float32([4, 1, 1, 1], [1, 2, 3, 4]) },
      },
      [4, 4, 4, 4],
    );
    refuses(spec, "axis-blocks");
  });

  it("another node reads the Conv", () => {
    const { nodes, initializers } = normed();
    refuses(around({ nodes: [...nodes, node("Relu", ["c"], ["z"])], initializers }, undefined, ["y", "z"]), "other-reader");
  });

  it("the Conv's result is an output of the graph", () => {
    refuses(around(normed(), undefined, ["c", "y"]), "is-graph-output");
  });

  it("the weight is computed", () => {
    const { nodes, initializers } = normed();
    const { w: _w, ...rest } = initializers;
    refuses(
      { nodes, initializers: rest, inputs: [floats("x", ["N", 4, 4, 4]), floats("w", [4, 4, 3, 3])], outputs: [floats("y")] },
      "weight-not-constant",
    );
  });

  it("the weight or the normalization's mean may be overridden", () => {
    const spec = around(normed());
    refuses({ ...spec, inputs: [...(spec.inputs ?? []), floats("w", [4, 4, 3, 3])] }, "parameter-is-input");
    refuses({ ...spec, inputs: [...(spec.inputs ?? []), floats("y_mean", [4])] }, "parameter-is-input");
    check({ ...spec, irVersion: 3, inputs: [...(spec.inputs ?? []), floats("w", [4, 4, 3, 3])] }, { folds: 1 });
  });

  it("a branch reads it", () => {
    const { nodes, initializers } = normed();
    const body = (name: string, op: string) => ({ nodes: [node(op, ["c"], [name])], outputs: [floats(name)] });
    const spec = around(
      {
        nodes: [...nodes, node("If", ["p"], ["z"], { then_branch: body("t", "Relu"), else_branch: body("e", "Tanh") })],
        initializers,
      },
      undefined,
      ["y", "z"],
    );
    refuses({ ...spec, inputs: [...(spec.inputs ?? []), { name: "p", dtype: "bool", dims: [] }] }, "captured-by-subgraph");
  });

  it("float16 cannot hold the result", () => {
    const spec = (w: number, k: number): ModelSpec => ({
      nodes: [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])],
      initializers: { w: float16([1, 1, 1], [w]), k: float16([1, 1, 1], [k]) },
      inputs: [{ name: "x", dtype: "float16", dims: [1, 1, 4] }],
      outputs: [{ name: "y", dtype: "float16" }],
    });
    refuses(spec(1000, 100), "storage-overflow");
    refuses(spec(0.001, 0.0001), "storage-precision");
    check(spec(1000, 32), { folds: 1 });
  });

  it("the constant makes the tensor larger", () => {
    const spec: ModelSpec = {
      nodes: [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])],
      initializers: { w: whole([1, 4, 1, 1]), k: float32([3, 1, 1], [2, 3, 4]) },
      inputs: [floats("x", ["N", 4, 4, 4])],
      outputs: [floats("y")],
    };
    refuses(spec, "broadcast-grows");
    refuses({ ...spec, initializers: { ...spec.initializers, k: float32([3, 1, 1], [2, 2, 2]) } }, "broadcast-grows");
    refuses({ ...spec, initializers: { ...spec.initializers, k: float32([1, 1, 1, 1, 1], [2]) } }, "broadcast-grows");
    check({ ...spec, initializers: { ...spec.initializers, k: float32([1, 1, 1], [2]) } }, { folds: 1 });
  });

  it("an axis of unknown size might be broadcast, though the constant is the same everywhere", () => {
    const spec: ModelSpec = {
      nodes: [node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "k"], ["y"])],
      initializers: { w: whole([2, 4, 1]), k: float32([3], [2, 2, 2]) },
      inputs: [floats("x", ["N", 4, "L"])],
      outputs: [floats("y")],
    };
    refuses(spec, "shape-unknown");
  });

  it("k / x: that is not affine", () => {
    const spec = (inputs: string[]) =>
      around({
        nodes: [...conv().nodes, node("Div", inputs, ["y"])],
        initializers: { ...conv().initializers, k: float32([4, 1, 1], [1, 2, 4, 8]) },
      });
    check(spec(["c", "k"]), { folds: 1 });
    expect(verdict(spec(["k", "c"]))).toMatchObject({ folds: 0, codes: [] });
  });
});

describe("a map before a Conv stays when", () => {
  const unfolded = (attributes: NodeSpec["attributes"], dims: (number | string)[] = ["N", 4, 4, 4]) => {
    const n = batchNorm("x", "n", 4);
    return around(
      {
        nodes: [n.node, node("Conv", ["n", "w"], ["y"], attributes)],
        initializers: { w: whole([2, 4, 3, 3]), ...n.initializers },
      },
      dims,
    );
  };
  it("its shift meets padding, however it is spelled", () => {
    refuses(unfolded({ pads: [1, 1, 1, 1] }), "padding-blocks");
    refuses(unfolded({ pads: [0, 0, 0, 1] }), "padding-blocks");
    refuses(unfolded({ auto_pad: "SAME_UPPER" }), "padding-blocks");
    refuses(unfolded({ auto_pad: "SAME_LOWER" }), "padding-blocks");
    refuses(unfolded({ auto_pad: "SAME_UPPER", strides: [3, 3] }, ["N", 4, 4, 4]), "padding-blocks");
  });
  it("but not when nothing is padded after all", () => {
    check(unfolded({ auto_pad: "VALID" }), { folds: 1 });
    check(unfolded({ auto_pad: "VALID", pads: [1, 1, 1, 1] }), { folds: 1 });
    check(unfolded({ pads: [0, 0, 0, 0] }), { folds: 1 });
    check(unfolded({ auto_pad: "SAME_UPPER", strides: [3, 3] }, ["N", 4, 6, 6]), { folds: 1 });
  });
  it("its result is read twice, or is an output", () => {
    const spec = unfolded({});
    refuses(
      { ...spec, nodes: [...spec.nodes, node("Sigmoid", ["n"], ["z"])], outputs: [floats("y"), floats("z")] },
      "is-graph-input",
    );
    refuses({ ...spec, outputs: [floats("y"), floats("n")] }, "is-graph-input");
  });
  it("a transposed convolution sees some positions more often than others", () => {
    const n = batchNorm("x", "n", 4);
    const spec = around({
      nodes: [n.node, node("ConvTranspose", ["n", "w"], ["y"])],
      initializers: { w: whole([4, 2, 2, 2]), ...n.initializers },
    });
    refuses(spec, "padding-blocks");
  });
});

const matrix = (name: string, dims: (number | string)[] = ["N", 4]) => floats(name, dims);

describe("Gemm", () => {
  it("takes a normalization on either side, in every spelling", () => {
    const c = fc.constantFrom<number[] | undefined>(undefined, [], [1], [4], [1, 4], [3, 1], [3, 4]);
    fc.assert(
      fc.property(
        fc.boolean(),
        c,
        fc.constantFrom(1, 2, -0.5),
        fc.constantFrom(1, 0, 4, -0.25),
        fc.constantFrom("before", "after"),
        (transB, dims, alpha, beta, order) => {
          const n = order === "before" ? batchNorm("x", "n", 4) : batchNorm("g", "y", 4);
          const gemm = node(
            "Gemm",
            [order === "before" ? "n" : "x", "w", ...(dims ? ["c"] : [])],
            [order === "before" ? "y" : "g"],
            { alpha: f(alpha), beta: f(beta), ...(transB ? { transB: 1 } : {}) },
          );
          check(
            {
              nodes: order === "before" ? [n.node, gemm] : [gemm, n.node],
              initializers: { w: whole([4, 4]), ...(dims ? { c: whole(dims) } : {}), ...n.initializers },
              inputs: [matrix("x", [3, 4])],
              outputs: [floats("y")],
            },
            { folds: 1 },
          );
        },
      ),
      runs,
    );
  });

  it("takes a uniform gain into alpha and beta when its operands are computed", () => {
    const spec: ModelSpec = {
      nodes: [node("Gemm", ["p", "q", "r"], ["g"]), node("Mul", ["g", "k"], ["y"])],
      initializers: { k: float32([], [2]) },
      inputs: [matrix("p", [3, 4]), matrix("q", [4, 2]), matrix("r", [2])],
      outputs: [floats("y")],
    };
    check(spec, { folds: 1 });
    refuses({ ...spec, initializers: { k: float32([2], [2, 3]) } }, "weight-not-constant");
  });

  it("keeps a map along its rows, though the matrix is square", () => {
    const spec: ModelSpec = {
      nodes: [node("Gemm", ["x", "w"], ["g"]), node("Mul", ["g", "k"], ["y"])],
      initializers: { w: whole([4, 4]), k: float32([4, 1], [1, 2, 3, 4]) },
      inputs: [matrix("x", [4, 4])],
      outputs: [floats("y")],
    };
    refuses(spec, "weight-not-constant");
    check({ ...spec, initializers: { ...spec.initializers, k: float32([4], [1, 2, 3, 4]) } }, { folds: 1 });
    check({ ...spec, nodes: [node("Gemm", ["w", "x"], ["g"]), spec.nodes[1]] }, { folds: 1 });
  });
});

describe("MatMul", () => {
  const product = (left: boolean, dims: (number | string)[], k: TensorSpec, op = "Mul"): ModelSpec => ({
    nodes: [node("MatMul", left ? ["w", "x"] : ["x", "w"], ["m"]), node(op, ["m", "k"], ["y"])],
    initializers: { w: whole([4, 4]), k },
    inputs: [floats("x", dims)],
    outputs: [floats("y")],
  });
  const four = [1, 2, 3, 4];
  it("takes a map on the axis its constant makes, and on no other", () => {
    check(product(false, ["N", 4, 4], float32([4], four)), { folds: 1 });
    refuses(product(false, ["N", 4, 4], float32([4, 1], four)), "axis-blocks");
    check(product(true, ["N", 4, 4], float32([4, 1], four)), { folds: 1 });
    refuses(product(true, ["N", 4, 4], float32([4], four)), "axis-blocks");
  });

  it("takes a normalization of its rows only from a constant on the left", () => {
    const n = batchNorm("m", "y", 4);
    const spec = (left: boolean): ModelSpec => ({
      nodes: [node("MatMul", left ? ["w", "x"] : ["x", "w"], ["m"]), n.node],
      initializers: { w: whole([4, 4]), ...n.initializers },
      inputs: [floats("x", ["N", 4, 4])],
      outputs: [floats("y")],
    });
    check(spec(true), { folds: 1 });
    refuses(spec(false), "axis-blocks");
  });

  it("does not hand a gain along the batch to an operand that is broadcast there", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Mul", ["p", "g"], ["p1"]),
        node("Relu", ["p1"], ["p2"]),
        node("MatMul", ["p2", "q"], ["m"]),
        node("Mul", ["m", "k"], ["y"]),
      ],
      initializers: { k: float32([4, 1, 1], four), g: float32([1], [2]) },
      inputs: [floats("p", [1, 3, 4]), floats("q", [4, 4, 5])],
      outputs: [floats("y")],
    };
    check(spec, { folds: 1 });
  });
});

describe("a Gemm that takes a normalization keeps", () => {
  it("the attributes and the shape of the bias it had", () => {
    const norm = batchNorm("c", "y", 3);
    const { after } = check(
      {
        nodes: [node("Gemm", ["x", "w", "b"], ["c"]), norm.node],
        initializers: { w: whole([4, 3]), b: whole([3], 2), ...norm.initializers },
        inputs: [floats("x", [2, 4])],
        outputs: [floats("y")],
      },
      { folds: 1 },
    );
    const [gemm] = after.graph.nodes;
    expect([...gemm.attributes.keys()]).toEqual([]);
    expect(after.graph.initializers.find(({ name }) => name === gemm.inputs[2])?.dims).toEqual([3]);
  });
});

describe.each(["Conv", "ConvTranspose"])("a map on the computed bias or weight of a %s", (op) => {
  it.each([
    ["b", [3], [3]],
    ["w", [3, 3, 2, 2], [1, 3, 1, 1]],
  ] as const)("stays: %s", (name, dims, gains) => {
    const operands = { x: [1, 3, 3, 3], w: [3, 3, 2, 2], b: [3], [name]: dims };
    const nodes = ["Mul", "Add"].map((way, i) => ({
      nodes: [node(way, [name, "k"], ["m"]), node(op, ["x", name === "w" ? "m" : "w", name === "b" ? "m" : "b"], ["y"])],
      initializers: { k: whole(gains, 3 + i) },
      inputs: Object.entries(operands).map(([input, shape]) => floats(input, shape)),
      outputs: [floats("y")],
    }));
    for (const spec of nodes) check(spec, { folds: 0 });
    const constant = (spec: ModelSpec) => ({ ...spec, inputs: spec.inputs?.slice(0, 1), initializers: { ...spec.initializers } });
    for (const spec of nodes.map(constant)) {
      const others = Object.entries(operands).filter(([input]) => input !== "x" && input !== name);
      const initializers = { ...spec.initializers, ...Object.fromEntries(others.map(([input, shape]) => [input, whole(shape)])) };
      check({ ...spec, initializers, inputs: [...(spec.inputs ?? []), floats(name, dims)] }, { folds: 0 });
    }
  });
});
