import { describe, expect, it } from "vitest";
import { finish } from "../../src/diag/steps.ts";
import { viewOf } from "../../src/graph/view.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { createSession } from "../../src/run/session.ts";
import type { Stored } from "../../src/verify/noise.ts";
import { Decoded } from "../../src/verify/parts.ts";
import { runOf } from "../../src/verify/run.ts";
import { SomeChannels } from "../../src/verify/some-channels.ts";
import { float32, type GraphSpec, model, type NodeSpec, node } from "../helpers/build.ts";

const CHANNELS = 256;
const K = 64;
const wave = (n: number, at: number) => Array.from({ length: n }, (_, i) => Math.fround(Math.sin(at + 1.7 * i)));

interface Layer {
  readonly op: NodeSpec;
  readonly weight: readonly number[];
  readonly bias?: readonly number[];
  readonly x: readonly number[];
}

const LAYERS: Readonly<Record<string, Layer>> = {
  Conv: { op: node("Conv", ["x", "w"], ["y"]), weight: [CHANNELS, K, 1, 1], x: [1, K, 2, 1] },
  "Conv with a bias": { op: node("Conv", ["x", "w", "b"], ["y"]), weight: [CHANNELS, K, 1], bias: [CHANNELS], x: [2, K, 3] },
  Gemm: { op: node("Gemm", ["x", "w", "b"], ["y"]), weight: [K, CHANNELS], bias: [CHANNELS], x: [3, K] },
  "Gemm, turned": { op: node("Gemm", ["x", "w"], ["y"], { transB: 1 }), weight: [CHANNELS, K], x: [3, K] },
  MatMul: { op: node("MatMul", ["x", "w"], ["y"]), weight: [K, CHANNELS], x: [2, 3, K] },
};

const OTHERS: Readonly<Record<string, Layer>> = {
  "in groups": { op: node("Conv", ["x", "w"], ["y"], { group: 2 }), weight: [CHANNELS, K, 1], x: [1, 2 * K, 1] },
  "with few channels": { op: node("MatMul", ["x", "w"], ["y"]), weight: [K * 16, 16], x: [1, K * 16] },
  "with few numbers": { op: node("MatMul", ["x", "w"], ["y"]), weight: [4, CHANNELS], x: [1, 4] },
  "on a batch of weights": { op: node("MatMul", ["x", "w"], ["y"]), weight: [2, K, CHANNELS], x: [2, 1, K] },
  "with a bias for each row": { op: node("Gemm", ["x", "w", "b"], ["y"]), weight: [K, CHANNELS], bias: [2, CHANNELS], x: [2, K] },
  "of another domain": { op: node("MatMul", ["x", "w"], ["y"], {}, { domain: "my" }), weight: [K, CHANNELS], x: [1, K] },
};

const size = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);

function madeOf({ op, weight, bias, x }: Layer) {
  const made = model({
    nodes: [op],
    initializers: {
      w: float32(weight, wave(size(weight), 1)),
      ...(bias === undefined ? {} : { b: float32(bias, wave(size(bias), 2)) }),
    },
    inputs: [{ name: "x", dims: x }],
    outputs: [{ name: "y" }],
  });
  const view = viewOf(made);
  const stored: Stored[] = made.graph.initializers.map((record) => {
    const value = view.main.values.get(record.name);
    if (value === undefined) throw new Error(record.name);
    return { value, record };
  });
  const feeds = new Map<string, Tensor>([["x", { dtype: "float32", dims: x, data: Float64Array.from(wave(size(x), 3)) }]]);
  const { constants } = new Decoded(stored);
  return { made, stored, feeds, some: SomeChannels.of(view.nodes, made, stored, constants, 1) };
}

describe("some channels of a layer", () => {
  it.each(Object.keys(LAYERS))("are those of its result, moved by at most what rounding may do: %s", (name) => {
    const { made, stored, feeds, some } = madeOf(LAYERS[name]);
    if (some === undefined) throw new Error("no part of it");
    const whole = createSession(made).run(feeds).get("y");
    if (whole === undefined) throw new Error("no result");
    const part = some.of(whole) as Tensor;
    expect(part.data).toHaveLength(size((whole as Tensor).dims) / 8);
    const drawn = finish(some.drawn(1, 1, feeds, "y")) as Tensor;
    expect(drawn.dims).toEqual(part.dims);
    // |x| ≤ 1 and |w| < 1: each of the K products moves by at most ½ ulp of a number below 1, the bias likewise.
    const bound = (K + stored.length - 1) * 2 ** -25;
    const [after, before] = [asFloat64(drawn), asFloat64(part)];
    const moved = Array.from(after, (y, i) => Math.abs(y - before[i]));
    expect(Math.max(...moved)).toBeLessThanOrEqual(bound);
    expect(moved.every((m) => m > 0)).toBe(true);
    // Another draw moves them otherwise, the same draw the same.
    expect((finish(some.drawn(1, 2, feeds, "y")) as Tensor).data).not.toEqual(drawn.data);
    expect((finish(some.drawn(1, 1, feeds, "y")) as Tensor).data).toEqual(drawn.data);
  });

  it.each(Object.keys(OTHERS))("are not taken of a layer %s", (name) => {
    expect(madeOf(OTHERS[name]).some).toBeUndefined();
  });

  it("are not taken where a constant of the layer was not folded", () => {
    const { made, stored } = madeOf(LAYERS.Gemm);
    const { constants } = new Decoded(stored);
    expect(SomeChannels.of(viewOf(made).nodes, made, stored.slice(0, 1), constants, 1)).toBeUndefined();
  });
});

describe("a layer of which one channel is a million times the others", () => {
  const [w, gain] = [wave(CHANNELS * K, 1), wave(CHANNELS, 5).map((g, i) => (i === 77 ? 1e6 : g))];
  const product = w.map((x, i) => Math.fround(x * gain[Math.floor(i / K)]));
  const made = (nodes: readonly NodeSpec[], initializers: GraphSpec["initializers"]) =>
    model({ nodes, initializers, inputs: [{ name: "x", dims: [1, K, 2] }], outputs: [{ name: "y" }] });
  const first = made([node("Conv", ["x", "w"], ["c"]), node("Mul", ["c", "g"], ["y"])], {
    w: float32([CHANNELS, K, 1], w),
    g: float32([CHANNELS, 1], gain),
  });
  const second = (weights: readonly number[]) =>
    made([node("Conv", ["x", "v"], ["y"])], { v: float32([CHANNELS, K, 1], weights) });
  const run = (weights: readonly number[], seed: number) =>
    runOf(first, second(weights), { outcome: "equal", regions: [], identicalNodes: 0 }, new Map([["y", { name: "y" }]]), {
      seed,
    });

  it.each([1, 2, 3, 4, 5, 6])("is right when it is, whichever channels are chosen: seed %i", (seed) => {
    expect(run(product, seed)).toMatchObject({ outcome: "equal", samples: [] });
  });

  it("is wrong when that channel is", () => {
    const wrong = product.map((x, i) => (Math.floor(i / K) === 77 ? Math.fround(x * (1 + 2 ** -18)) : x));
    expect(run(wrong, 1).outcome).toBe("different");
  });
});
