/**
 * Folds that reach their layer through other operators: what the layer's coefficients say of the map is known within their
 * rounding only, or not at all, so that the proof has to know what the first file does with the value later.
 */
import { describe, expect, it } from "vitest";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { prove } from "../../src/verify/proof.ts";
import { randomOf } from "../../src/verify/random.ts";
import { f, float32, int64, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { decisions, folded } from "../helpers/fold.ts";

const random = randomOf(20261124);
const numbers = (n: number, low = -1, high = 1) =>
  Array.from({ length: n }, () => Math.fround(low + (high - low) * random.uniform()));
const tensor = (...dims: number[]) =>
  float32(
    dims,
    numbers(
      dims.reduce((a, b) => a * b, 1),
      -1,
      1,
    ),
  );

/** A batch normalization of `channels`; every gain but those at `dead` is another one. */
function norm(name: string, channels: number, dead: readonly number[] = []): Record<string, TensorSpec> {
  const gains = numbers(channels, 0.5, 1.5).map((g, c) => (dead.includes(c) ? 0 : c % 3 === 1 ? -g : g));
  return {
    [`${name}g`]: float32([channels], gains),
    [`${name}b`]: tensor(channels),
    [`${name}m`]: tensor(channels),
    [`${name}v`]: float32([channels], numbers(channels, 0.2, 2)),
  };
}
const bn = (name: string, input: string, output: string) =>
  node(
    "BatchNormalization",
    [input, ..."gbmv"].map((p, i) => (i === 0 ? p : `${name}${p}`)),
    [output],
    { epsilon: f(1e-5) },
  );

const image = { name: "x", dims: ["N", 4, 6, 6] };
const net = (
  nodes: NodeSpec[],
  initializers: Record<string, TensorSpec>,
  inputs: ModelSpec["inputs"],
  dims: (number | string)[],
  dtype = "float32",
): ModelSpec => ({
  opsets: { "": 17 },
  nodes,
  initializers,
  inputs,
  outputs: [{ name: "y", dims, dtype }],
});
const tokens = { name: "i", dtype: "int64", dims: ["N", 5] };

const models: Record<string, ModelSpec> = {
  "an embedding table, through a Transpose": net(
    [
      node("Gather", ["table", "i"], ["e"]),
      node("Transpose", ["e"], ["t"], { perm: [0, 2, 1] }),
      bn("p", "t", "n"),
      node("Relu", ["n"], ["y"]),
    ],
    { table: tensor(7, 6), ...norm("p", 6) },
    [tokens],
    ["N", 6, 5],
  ),
  "an embedding table and the positions added to it": net(
    [
      node("Gather", ["table", "i"], ["e"]),
      node("Add", ["e", "at"], ["a"]),
      node("Transpose", ["a"], ["t"], { perm: [0, 2, 1] }),
      bn("p", "t", "n"),
      node("Relu", ["n"], ["y"]),
    ],
    { table: tensor(7, 6), at: tensor(1, 5, 6), ...norm("p", 6) },
    [tokens],
    ["N", 6, 5],
  ),
  "tables beside each other": net(
    [
      node("Gather", ["table", "i"], ["e"]),
      node("Gather", ["other", "i"], ["o"]),
      node("Concat", ["e", "o"], ["c"], { axis: 1 }),
      bn("p", "c", "n"),
      node("Relu", ["n"], ["y"]),
    ],
    { table: tensor(7, 3), other: tensor(9, 4), ...norm("p", 7) },
    [{ name: "i", dtype: "int64", dims: ["N"] }],
    ["N", 7],
  ),
  "a pixel shuffle": net(
    [
      node("Conv", ["x", "w", "b"], ["c"]),
      node("DepthToSpace", ["c"], ["d"], { blocksize: 2, mode: "CRD" }),
      bn("p", "d", "n"),
      node("Relu", ["n"], ["y"]),
    ],
    { w: tensor(12, 4, 1, 1), b: tensor(12), ...norm("p", 3) },
    [image],
    ["N", 3, 12, 12],
  ),
  "a pixel shuffle of a norm with a dead channel": net(
    [
      node("Conv", ["x", "w", "b"], ["c"]),
      bn("q", "c", "c1"),
      node("DepthToSpace", ["c1"], ["d"], { blocksize: 2, mode: "CRD" }),
      bn("p", "d", "n"),
      node("Relu", ["n"], ["y"]),
    ],
    { w: tensor(12, 4, 1, 1), b: tensor(12), ...norm("q", 12, [4]), ...norm("p", 3) },
    [image],
    ["N", 3, 12, 12],
  ),
  "the scale of an attention, beside a dead channel": net(
    [
      node("Conv", ["x", "wq"], ["q0"]),
      bn("q", "q0", "q1"),
      node("Conv", ["x", "wk"], ["k0"]),
      node("Reshape", ["q1", "rows"], ["q2"]),
      node("Reshape", ["k0", "rows"], ["k2"]),
      node("Transpose", ["q2"], ["q3"], { perm: [0, 2, 1] }),
      node("MatMul", ["q3", "k2"], ["m"]),
      node("Mul", ["m", "s"], ["l"]),
      node("Softmax", ["l"], ["y"], { axis: -1 }),
    ],
    {
      wq: tensor(8, 4, 1, 1),
      wk: tensor(8, 4, 1, 1),
      rows: int64([3], [0, 0, -1]),
      s: float32([], [Math.fround(8 ** -0.5)]),
      ...norm("q", 8, [3]),
    },
    [image],
    ["N", 36, 36],
  ),
  "a Cast to a narrower float": net(
    [node("Conv", ["x", "w", "b"], ["c"]), node("Cast", ["c"], ["h"], { to: 10 }), bn("p", "h", "n"), node("Relu", ["n"], ["y"])],
    {
      w: tensor(6, 4, 1, 1),
      b: tensor(6),
      ...Object.fromEntries(Object.entries(norm("p", 6)).map(([name, spec]) => [name, { ...spec, dtype: "float16" }])),
    },
    [image],
    ["N", 6, 6, 6],
    "float16",
  ),
  "gated branches that one norm follows": net(
    [
      ...["a", "b"].flatMap((p) => [
        node("Conv", ["x", `${p}w`], [`${p}c`]),
        bn(p, `${p}c`, `${p}n`),
        node("Mul", [`${p}n`, p === "a" ? "u" : "v"], [`${p}y`]),
      ]),
      node("Add", ["ay", "c0"], ["a1"]),
      node("Add", ["a1", "by"], ["s"]),
      bn("p", "s", "n"),
      node("Relu", ["n"], ["y"]),
    ],
    {
      aw: tensor(5, 4, 1, 1),
      bw: tensor(5, 4, 1, 1),
      c0: float32([1, 5, 1, 1], [0, 0, 0, 0, 0]),
      ...norm("a", 5, [2]),
      ...norm("b", 5),
      ...norm("p", 5),
    },
    [image, { name: "u", dims: ["N", 1, 1, 1] }, { name: "v", dims: ["N", 1, 1, 1] }],
    ["N", 5, 6, 6],
  ),
};

describe("a fold that is proven through", () => {
  it.each(Object.entries(models))("%s", (_name, spec) => {
    const before = model(spec);
    const { data, model: after } = folded(before);
    expect(data.kept.filter(({ kind }) => kind === "batch-normalization").length, decisions(data).join("\n")).toBe(0);
    const { outcome, regions } = prove(before, after, { foreign: false });
    expect(regions.filter((region) => region.outcome !== "equal")).toEqual([]);
    expect(outcome).toBe("equal");
  });

  it.each(Object.entries(models))("%s: not with one number off", (_name, spec) => {
    const before = model(spec);
    const { bytes, model: after } = folded(before);
    const { raw } = after.graph.initializers.find((t) => t.dataType === 1 && t.raw !== undefined) ?? {};
    expect(raw).toBeDefined();
    if (raw === undefined) return;
    // The exponent of the first number.
    const off = bytes.slice();
    off[raw.start + 3] ^= 1;
    expect(prove(before, read(memorySource(off, "off.onnx")), { foreign: false }).outcome).not.toBe("equal");
  });
});
