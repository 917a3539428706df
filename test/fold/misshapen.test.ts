/** Layers whose constants do not fit them: a file that contradicts itself is left as it is, with the reason. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { f, float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";

const filled = (...dims: number[]) =>
  float32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => 1 + (i % 3)),
  );
const norm = { g: filled(6), be: filled(6), mu: filled(6), va: filled(6) };
const behind = (
  layer: NodeSpec,
  initializers: Record<string, TensorSpec>,
  dims: number[],
  rank: (number | string)[],
): ModelSpec => ({
  opsets: { "": 17 },
  nodes: [layer, node("BatchNormalization", ["c", "g", "be", "mu", "va"], ["y"], { epsilon: f(1e-5) })],
  initializers: { ...norm, ...initializers },
  inputs: [{ name: "x", dims }],
  outputs: [{ name: "y", dims: rank }],
});
const image = [2, 4, 5, 5];
const conv = (initializers: Record<string, TensorSpec>, attributes: NodeSpec["attributes"] = {}) =>
  behind(node("Conv", ["x", "w", "b"], ["c"], attributes), initializers, image, ["N", 6, "H", "W"]);
const turned = (initializers: Record<string, TensorSpec>) =>
  behind(node("ConvTranspose", ["x", "w", "b"], ["c"]), initializers, image, ["N", 6, "H", "W"]);
const gemm = (initializers: Record<string, TensorSpec>) =>
  behind(node("Gemm", ["x", "w", "b"], ["c"]), initializers, [2, 4], ["N", 6]);

const broken: Record<string, ModelSpec> = {
  "Conv: a bias of two axes": conv({ w: filled(6, 4, 3, 3), b: filled(6, 2) }),
  "Conv: a bias of three for six": conv({ w: filled(6, 4, 3, 3), b: filled(3) }),
  "Conv: a weight of two axes": conv({ w: filled(6, 4), b: filled(6) }),
  "Conv: a weight of an axis too many": conv({ w: filled(6, 4, 3, 3, 2), b: filled(6) }),
  "Conv: pads of one axis": conv({ w: filled(6, 4, 3, 3), b: filled(6) }, { pads: [1, 1] }),
  "Conv: channels that are not there": conv({ w: filled(6, 3, 3, 3), b: filled(6) }),
  "ConvTranspose: a bias of two axes": turned({ w: filled(4, 6, 3, 3), b: filled(6, 1) }),
  "ConvTranspose: a weight of one axis": turned({ w: filled(4), b: filled(6) }),
  "Gemm: a bias of three axes": gemm({ w: filled(4, 6), b: filled(1, 1, 6) }),
  "Gemm: a bias of three for six": gemm({ w: filled(4, 6), b: filled(3) }),
  "Gemm: a weight of three axes": gemm({ w: filled(4, 6, 2), b: filled(6) }),
};

describe("a normalization behind a layer that is broken", () => {
  it.each(Object.entries(broken))("%s", (_name, spec) => {
    const { folds, merges, kept } = plan(model(spec)).data;
    expect([folds.length, merges.length, kept.map(({ code }) => code)]).toEqual([0, 0, ["parameter-shape"]]);
  });

  it("that is another normalization", () => {
    const spec = behind(
      node("BatchNormalization", ["x", "g", "wrong", "mu", "va"], ["c"], { epsilon: f(1e-5) }),
      { wrong: filled(6, 2) },
      [2, 6, 5, 5],
      ["N", 6, 5, 5],
    );
    expect(plan(model(spec)).data.folds).toEqual([]);
  });
});

describe("a gain in front of an Add of operator set 6", () => {
  it("that lays its constant over axes there are not stays", () => {
    const spec: ModelSpec = {
      opsets: { "": 6 },
      nodes: [
        node("Mul", ["x", "k"], ["m"], { broadcast: 1, axis: 1 }),
        node("Add", ["m", "c"], ["a"], { broadcast: 1, axis: 4 }),
        node("Conv", ["a", "w"], ["y"]),
      ],
      initializers: { k: filled(4), c: filled(4), w: filled(6, 4, 3, 3) },
      inputs: [{ name: "x", dims: image }],
      outputs: [{ name: "y", dims: [2, 6, 3, 3] }],
    };
    const { folds, kept } = plan(model(spec)).data;
    expect([folds.length, kept.map(({ message }) => message)]).toEqual([
      0,
      [expect.stringContaining("has a constant of higher rank than its other operand")],
    ]);
  });
});
