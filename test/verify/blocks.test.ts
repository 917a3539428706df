import { describe, expect, it } from "vitest";
import { payloadSpan } from "../../src/onnx/codec.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { prove } from "../../src/verify/proof.ts";
import { float32, model, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const [OUT, IN] = [1100, 1000];
const numbers = (n: number, of: (i: number) => number): number[] => Array.from({ length: n }, (_, i) => of(i));
const bn = (x: string, y: string, i: string) => node("BatchNormalization", [x, `s${i}`, `b${i}`, `m${i}`, `v${i}`], [y]);
const vectors = (n: number, i: string) => ({
  [`s${i}`]: float32(
    [n],
    numbers(n, (k) => 0.5 + (k % 7) / 4),
  ),
  [`b${i}`]: float32(
    [n],
    numbers(n, (k) => Math.sin(k)),
  ),
  [`m${i}`]: float32(
    [n],
    numbers(n, (k) => Math.cos(k) / 4),
  ),
  [`v${i}`]: float32(
    [n],
    numbers(n, (k) => 0.5 + (k % 5) / 3),
  ),
});

/** More coefficients than are compared at once: norms on both sides of the layer go into it. */
const large = () =>
  model({
    nodes: [bn("x", "n", "0"), node("Conv", ["n", "w"], ["c"]), bn("c", "d", "1"), node("Relu", ["d"], ["y"])],
    initializers: {
      w: float32(
        [OUT, IN, 1, 1],
        numbers(OUT * IN, (k) => Math.sin(k * 0.37) / 16),
      ),
      ...vectors(IN, "0"),
      ...vectors(OUT, "1"),
    },
    inputs: [{ name: "x", dims: [1, IN, 2, 2] }],
    outputs: [{ name: "y", dims: [1, OUT, 2, 2] }],
  });

describe("a layer that is compared block by block", () => {
  const before = large();
  const after = folded(before);
  /** The folded file with float32 number `index` of a constant replaced. */
  const changed = (name: string, index: number, by: (v: number) => number) => {
    const bytes = after.bytes.slice();
    const span = payloadSpan(after.model.graph.initializers.find((t) => t.name === name) as never);
    const view = new DataView(bytes.buffer, bytes.byteOffset + (span?.start as number) + 4 * index, 4);
    view.setFloat32(0, by(view.getFloat32(0, true)), true);
    return prove(before, read(memorySource(bytes)));
  };
  const names = after.model.graph.initializers.map(({ name }) => name);

  it("is proven with all its coefficients, as it stands and after what went into it", () => {
    expect(after.model.graph.nodes.map(({ opType }) => opType)).toEqual(["Conv", "Relu"]);
    const proof = prove(before, after.model);
    expect(proof.outcome).toBe("equal");
    const [region] = proof.regions;
    expect(region.coefficients).toBe(OUT * IN + OUT);
    expect(region.worstHalfUlps).toBeGreaterThan(0.5);
    expect(region.worstHalfUlps).toBeLessThanOrEqual(1.01);
  });

  it("is not proven with one number off, wherever it stands", { timeout: 120_000 }, () => {
    for (const index of [0, OUT * IN - 1]) {
      const proof = changed("w", index, (v) => (v === 0 ? 1e-3 : v * (1 + 2 ** -20)));
      expect(proof.outcome, `weight ${index}`).not.toBe("equal");
    }
    const bias = names.find((name) => name.includes("bias")) as string;
    expect(changed(bias, OUT - 1, (v) => v + 0.01).outcome).not.toBe("equal");
  });
});

describe("a matrix that is compared as it is read", () => {
  /** x·W with a norm behind it: rows of W lie side by side. */
  const matrix = (opType: "MatMul" | "Gemm", [k, n]: readonly [number, number], of: (i: number) => number) =>
    model({
      nodes: [
        opType === "MatMul" ? node("MatMul", ["x", "w"], ["c"]) : node("Gemm", ["x", "w", "zero"], ["c"]),
        bn("c", "d", "1"),
        node("Relu", ["d"], ["y"]),
      ],
      initializers: {
        w: float32([k, n], numbers(k * n, of)),
        zero: float32(
          [n],
          numbers(n, () => 0),
        ),
        ...vectors(n, "1"),
      },
      inputs: [{ name: "x", dims: [2, k] }],
      outputs: [{ name: "y", dims: [2, n] }],
    });
  const shapes = [
    [100, 70],
    [3, 70_000],
    [70_000, 3],
  ] as const;

  it.each(shapes)("is proven, and with one number off it is not: %i times %i", (k, n) => {
    for (const opType of ["MatMul", "Gemm"] as const) {
      const before = matrix(opType, [k, n], (i) => Math.sin(i * 0.37) + 2);
      const after = folded(before);
      expect(after.model.graph.nodes.map((each) => each.opType)).toEqual(["Gemm", "Relu"]);
      for (const foreign of [true, false]) {
        const proof = prove(before, after.model, { foreign });
        expect([proof.outcome, proof.regions[0].coefficients]).toEqual(["equal", k * n + n]);
        expect(proof.regions[0].worstHalfUlps).toBeLessThanOrEqual(1.01);
      }
      const span = payloadSpan(after.model.graph.initializers.find((t) => t.dims.length === 2) as never);
      // Where in a file of many blocks is asked of singles.test.ts.
      for (const index of opType === "Gemm" ? [k * n - 1] : [Math.floor((k * n) / 2)]) {
        const bytes = after.bytes.slice();
        const view = new DataView(bytes.buffer, bytes.byteOffset + (span?.start as number) + 4 * index, 4);
        view.setFloat32(0, view.getFloat32(0, true) * (1 + 2 ** -20), true);
        for (const foreign of [true, false])
          expect(prove(before, read(memorySource(bytes)), { foreign }).outcome, `${opType} ${index}`).not.toBe("equal");
      }
    }
  });

  it("whose column is all zeros is looked at whole, and proven", () => {
    const before = matrix("MatMul", [100, 70], (i) => (i % 70 === 69 ? 0 : Math.cos(i)));
    expect(prove(before, folded(before).model).outcome).toBe("equal");
  });
});
