/** Folds that leave the range of a half type, made possible by powers of two that neighbours take back; and near misses. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { decode } from "../../src/onnx/codec.ts";
import { asFloat64 } from "../../src/onnx/tensor.ts";
import { prove } from "../../src/verify/index.ts";
import { type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, operators } from "../rules/check.ts";

const half = (dims: number[], values: number[], dtype = "float16"): TensorSpec => ({ dtype, dims, values });
const w = [1, 0.5, -0.25, 2, 1.5, 3, -1, 0.75];
const v = [1, -2, 0.5, 1, 2, 1, -1, 0.5];
const norm = (gain: number[], shift = [1, -2, 0.5, 3]) => {
  const { node: bn, initializers } = batchNorm("c", "n", 4, { gain, shift });
  // Deviations of 1, so that parameters themselves stay in range.
  return {
    bn,
    initializers: {
      ...initializers,
      n_scale: half([4], gain),
      n_B: half([4], shift),
      n_mean: half([4], [0, 0, 0, 0]),
      n_var: half([4], [1, 1, 1, 1]),
    },
  };
};
const net = (between: NodeSpec[], gain: number[], more: Partial<ModelSpec> = {}, scale = 1, last = "r"): ModelSpec => {
  const { bn, initializers } = norm(gain);
  return {
    nodes: [node("Conv", ["x", "w"], ["c"]), bn, ...between, node("Conv", [last, "v"], ["y"])],
    initializers: {
      w: half(
        [4, 2, 1, 1],
        w.map((e) => e * scale),
      ),
      v: half(
        [2, 4, 1, 1],
        v.map((e) => e * 32),
      ),
      ...initializers,
      ...more.initializers,
    },
    inputs: [{ name: "x", dtype: "float16", dims: [1, 2, 4, 4] }],
    outputs: [{ name: "y", dtype: "float16" }],
  };
};
const relu = [node("Relu", ["n"], ["r"])];
const feeds = {
  x: { dtype: "float16" as const, dims: [1, 2, 4, 4], data: Float64Array.from({ length: 32 }, (_, i) => ((i * 7) % 11) - 5) },
};
const weights = (done: ReturnType<typeof check>, index: number): number[] => {
  const name = done.after.graph.nodes.filter((n) => n.opType === "Conv")[index].inputs[1];
  return [...asFloat64(decode(done.after.graph.initializers.find((t) => t.name === name) ?? done.after.graph.initializers[0]))];
};

describe("weights that would be beyond the largest float16", () => {
  it("are divided by a power of two a row, which the next layer takes through a Relu", () => {
    const done = check(net(relu, [2, 512, 1, 4096], {}, 256), { folds: 1, feeds });
    expect(operators(done)).toEqual(["Conv", "Relu", "Conv"]);
    expect(weights(done, 0).every(Number.isFinite)).toBe(true);
    // Rows that fit are left alone.
    expect(weights(done, 0).slice(0, 2)).toEqual([512, 256]);
    expect(done.data.folds[0].notes.join()).toMatch(/powers of two/);
  });

  it("through a pool; through a Clip whose bounds move, as one number for all", () => {
    const pool = [...relu, node("MaxPool", ["r"], ["p"], { kernel_shape: [2, 2] })];
    check(net(pool, [2, 512, 1, 4096], {}, 256, "p"), { folds: 1, feeds });
    const clip = [node("Clip", ["n", "low", "high"], ["r"])];
    const bounds = { initializers: { low: half([], [0]), high: half([], [6]) } };
    const done = check(net(clip, [2, 512, 1, 4096], bounds, 256), { folds: 1, feeds });
    expect(operators(done)).toEqual(["Conv", "Clip", "Conv"]);
  });

  it("stay where nothing takes the power of two: an output, a Sigmoid, a reader that is none", () => {
    const sigmoid = net([node("Sigmoid", ["n"], ["r"])], [2, 512, 1, 4096], {}, 256);
    expect(plan(model(sigmoid)).data.kept[0]).toMatchObject({ code: "storage-overflow" });
    const spec = net(relu, [2, 512, 1, 4096], {}, 256);
    const seen = { ...spec, outputs: [...spec.outputs, { name: "n", dtype: "float16" }] };
    expect(plan(model(seen)).data.folds).toEqual([]);
  });
});

describe("weights that would vanish", () => {
  it("are multiplied by a power of two a row", () => {
    const tiny = 2 ** -16;
    const odd = (values: number[], by: number) =>
      half(
        [values.length / 4, 4, 1, 1],
        values.map((e) => e * by * 1.37),
      );
    const spec = net(relu, [tiny, tiny, tiny, tiny]);
    // Without shifts nothing hides what is lost.
    const initializers = {
      ...spec.initializers,
      n_B: half([4], [0, 0, 0, 0]),
      v: odd(v.map(Math.abs), 2 ** -6),
      w: { ...odd(w, 2 ** -8), dims: [4, 2, 1, 1] },
    };
    const done = check({ ...spec, initializers }, { folds: 1, feeds, tolerance: 2 ** -7 });
    expect(done.data.folds[0].notes.join()).toMatch(/powers of two/);
    expect(Math.min(...weights(done, 0).map(Math.abs))).toBeGreaterThan(2 ** -14);
  });
});

describe("several layers that would all be beyond the largest float16", () => {
  const C = 4;
  /** Layers with a normalization and a Relu behind each, then one that can take `room`, the factor its weights are below 1 by. */
  const chain = (depth: number, room: number): ModelSpec => {
    const [nodes, initializers]: [NodeSpec[], Record<string, TensorSpec>] = [[], {}];
    let x = "x";
    for (let k = 0; k < depth; k++) {
      const values = Array.from({ length: C * C }, (_, i) => ((((i * 7 + k) % 11) - 5) / 4) * 256);
      const parameters = [
        [2, 512, 1, 4096],
        [1, -2, 0.5, 3],
        [0, 0, 0, 0],
        [1, 1, 1, 1],
      ];
      initializers[`w${k}`] = half([C, C, 1, 1], values);
      const names = parameters.map((numbers, i) => {
        initializers[`p${k}${i}`] = half([C], numbers);
        return `p${k}${i}`;
      });
      nodes.push(node("Conv", [x, `w${k}`], [`c${k}`]), node("BatchNormalization", [`c${k}`, ...names], [`n${k}`]));
      nodes.push(node("Relu", [`n${k}`], [`r${k}`]));
      x = `r${k}`;
    }
    initializers.last = half(
      [2, C, 1, 1],
      [1, 2, 3, 4, -1, -2, 1, 2].map((e) => e * room),
    );
    nodes.push(node("Conv", [x, "last"], ["y"]));
    const inputs = [{ name: "x", dtype: "float16", dims: [1, C, 3, 3] }];
    return { nodes, initializers, inputs, outputs: [{ name: "y", dtype: "float16" }] };
  };
  const data = Float64Array.from({ length: 36 }, (_, i) => (((i * 7) % 11) - 5) / 4);

  it.each([2, 3])("%i of them: what one hands on, the next hands on with its own", (depth) => {
    const spec = chain(depth, 2 ** -4);
    const done = check(spec, {
      folds: depth,
      feeds: { x: { dtype: "float16", dims: [1, C, 3, 3], data } },
      tolerance: 2 ** -9,
    });
    expect(operators(done)).not.toContain("BatchNormalization");
    for (let k = 0; k <= depth; k++) expect(weights(done, k).every(Number.isFinite)).toBe(true);
  });
  it("stay where the last layer cannot take what is handed to it", () => {
    const { folds, kept } = plan(model(chain(3, 4096))).data;
    expect(folds.length).toBeLessThan(3);
    expect(kept[0].code).toBe("storage-overflow");
  });
});

it("a wrong power of two, or one that is not taken back, is different", () => {
  const spec = net(relu, [2, 512, 1, 4096], {}, 256);
  const gains = [2, 512, 1, 4096].map((g) => g * 256);
  const folded = (by: number[], back: number[]): ModelSpec => ({
    nodes: [node("Conv", ["x", "w", "b"], ["c"]), node("Relu", ["c"], ["r"]), node("Conv", ["r", "v"], ["y"])],
    initializers: {
      w: half(
        [4, 2, 1, 1],
        w.map((e, i) => e * gains[i >> 1] * by[i >> 1]),
      ),
      b: half(
        [4],
        [1, -2, 0.5, 3].map((t, o) => t * by[o]),
      ),
      v: half(
        [2, 4, 1, 1],
        v.map((e, i) => e * 32 * back[i % 4]),
      ),
    },
    inputs: spec.inputs,
    outputs: spec.outputs,
  });
  const outcome = (other: ModelSpec) => prove(model(spec), model(other), { foreign: false }).outcome;
  const by = [1, 2 ** -4, 1, 2 ** -6];
  expect(
    outcome(
      folded(
        by,
        by.map((p) => 1 / p),
      ),
    ),
  ).toBe("equal");
  expect(outcome(folded(by, [1, 16, 1, 32]))).toBe("different");
  expect(outcome(folded(by, [1, 1, 1, 1]))).toBe("different");
});

describe("rows are scaled only where", () => {
  it("the layer is right in front of what leaves: not with a Relu between them", () => {
    const { bn, initializers } = norm([512, 2, 512, 512], [0, 0, 0, 0]);
    const spec: ModelSpec = {
      nodes: [node("Conv", ["x", "w"], ["r"]), node("Relu", ["r"], ["c"]), bn, node("Sigmoid", ["n"], ["y"])],
      initializers: {
        w: half(
          [4, 2, 1, 1],
          w.map((e) => e * 256),
        ),
        ...initializers,
      },
      inputs: [{ name: "x", dtype: "float16", dims: [1, 2, 4, 4] }],
      outputs: [{ name: "y", dtype: "float16" }],
    };
    const done = check(spec, { folds: 0, refused: "storage-overflow", feeds });
    expect(operators(done)).toEqual(["Conv", "Relu", "BatchNormalization", "Sigmoid"]);
  });

  it("the channels of a matrix product are its last axis", () => {
    const { bn, initializers } = norm([2, 512, 1, 4096]);
    const spec: ModelSpec = {
      nodes: [node("MatMul", ["x", "w"], ["c"]), bn, node("Relu", ["n"], ["r"]), node("MatMul", ["r", "v"], ["y"])],
      initializers: {
        w: half(
          [2, 4],
          w.map((e) => e * 256),
        ),
        v: half(
          [4, 2],
          v.map((e) => e * 32),
        ),
        ...initializers,
      },
      inputs: [{ name: "x", dtype: "float16", dims: [3, 2] }],
      outputs: [{ name: "y", dtype: "float16" }],
    };
    const done = check(spec, {
      folds: 1,
      feeds: { x: { dtype: "float16", dims: [3, 2], data: Float64Array.of(1, -2, 0, 3, 2, 1) } },
    });
    expect(done.after.graph.initializers.every((t) => asFloat64(decode(t)).every(Number.isFinite))).toBe(true);
    expect(done.data.folds[0].notes.join()).toContain("powers of two");
  });
});
