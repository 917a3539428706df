/** Maps that run in float32 between Casts: they stay, with what rounding them to a half type would cost, unless that is allowed. */
import { describe, expect, it } from "vitest";
import { foldChecked } from "../../src/engine/fold.ts";
import { plan } from "../../src/fold/index.ts";
import { prove } from "../../src/verify/index.ts";
import { float32, type ModelSpec, model, type NodeSpec, node, type TensorSpec } from "../helpers/build.ts";
import { batchNorm, check, operators } from "../rules/check.ts";

const TYPES = { float16: 10, bfloat16: 16 } as const;
type Half = keyof typeof TYPES;

const weight = (dtype: string): TensorSpec => ({
  dtype,
  dims: [4, 2, 1, 1],
  values: [1, 0.5, -0.25, 2, 1.5, 3, -1, 0.75],
});
const cast = (from: string, to: string, type: number) => node("Cast", [from], [to], { to: type });
const bn = batchNorm("f", "n", 4, { gain: [2, 1, 0.5, -4], shift: [1, -2, 0.5, 3] });

const net = (half: Half, nodes: NodeSpec[], more: Record<string, TensorSpec> = {}): ModelSpec => ({
  nodes,
  initializers: { w: weight(half), ...bn.initializers, ...more },
  inputs: [{ name: "x", dtype: half, dims: [1, 2, 3, 3] }],
  outputs: [{ name: "y", dtype: half }],
});
const conv = node("Conv", ["x", "w"], ["c"]);
const between = (half: Half) =>
  net(half, [conv, cast("c", "f", 1), bn.node, cast("n", "h", TYPES[half]), node("Relu", ["h"], ["y"])]);
const relu = (half: Half) =>
  net(half, [conv, cast("c", "f", 1), bn.node, node("Relu", ["n"], ["r"]), cast("r", "y", TYPES[half])]);

const ALLOWED = { options: { allowRounding: "half" } } as const;
const feeds = (half: Half) => ({
  x: { dtype: half, dims: [1, 2, 3, 3], data: Float64Array.from({ length: 18 }, (_, i) => ((i * 7) % 11) - 5) },
});

describe.each(["float16", "bfloat16"] as const)("a normalization in float32 behind a layer of %s", (half) => {
  it("stays, and the reason says what it would cost and what folds it", () => {
    for (const spec of [between(half), relu(half)]) {
      const { kept, folds } = plan(model(spec)).data;
      expect(folds).toEqual([]);
      expect(kept[0].code).toBe("storage-precision");
      expect(kept[0].message).toMatch(
        new RegExp(`run in ${half} instead of float32, which would cost [0-9.]+ bits .*--allow-rounding half`),
      );
      expect(kept[0].facts.bits).toBeGreaterThan(0);
      expect(kept[0].facts.bits).toBeLessThan(2);
    }
  });

  it("folds where it is allowed, and is proven", () => {
    for (const spec of [between(half), relu(half)]) {
      const done = check(spec, { folds: 1, ...ALLOWED, feeds: feeds(half) });
      expect(operators(done)).not.toContain("BatchNormalization");
    }
  });

  it("stays in front of a layer whose Cast would have nothing to round any more, allowed or not, and says so", () => {
    const pre = batchNorm("f", "n", 2, { gain: [2, -4], shift: [1, 3] });
    const nodes = [cast("x", "f", 1), pre.node, cast("n", "h", TYPES[half]), node("Conv", ["h", "w"], ["y"])];
    const because = /nothing to round any more: what is cast to b?float16 would be of that type already/;
    for (const options of [{}, ALLOWED.options]) {
      const done = check(net(half, nodes, pre.initializers), { folds: 0, refused: "storage-precision", because, options });
      expect(done.data.kept[0].message).not.toContain("half folds it");
    }
    // Numbers of more digits are rounded in front of the layer, if not by the map's Cast.
    const wide = net(half, [pre.node, ...nodes.slice(2)], pre.initializers);
    const floats = { ...wide, inputs: [{ name: "f", dims: [1, 2, 3, 3] }] };
    check(floats, { folds: 1, ...ALLOWED });
  });

  it("folds by itself where its own values are of the half type, whatever its parameters are", () => {
    const own = { ...bn.node, inputs: ["c", ...bn.node.inputs.slice(1)] };
    check(net(half, [conv, own, node("Relu", ["n"], ["y"])]), { folds: 1, feeds: feeds(half) });
  });

  it("folds into a layer behind", () => {
    const nodes = [{ ...bn.node }, cast("n", "h", TYPES[half]), node("Conv", ["h", "v"], ["y"])];
    const spec = {
      ...net(half, nodes, { v: { ...weight(half), dims: [2, 4, 1, 1] } }),
      inputs: [{ name: "f", dims: [1, 4, 3, 3] }],
    };
    const { w: _, ...initializers } = spec.initializers ?? {};
    const given = { ...spec, initializers };
    expect(plan(model(given)).data.kept[0].message).toMatch(/which would cost [0-9.]+ bits/);
    check(given, { folds: 1, ...ALLOWED });
  });
});

describe("what is not allowed with it", () => {
  it("float64 to float32 is no half type", () => {
    const w = { ...weight("float32") };
    const double = Object.fromEntries(Object.entries(bn.initializers).map(([name, t]) => [name, { ...t, dtype: "float64" }]));
    const spec: ModelSpec = {
      nodes: [conv, cast("c", "f", 11), bn.node, cast("n", "y", 1)],
      initializers: { w, ...double },
      inputs: [{ name: "x", dims: [1, 2, 3, 3] }],
      outputs: [{ name: "y" }],
    };
    const { kept } = plan(model(spec), { allowRounding: "half" }).data;
    expect(kept[0].message).toMatch(/run in float32 instead of float64; forward/);
  });

  it("a fold that costs more than the limit", () => {
    const far = batchNorm("f", "n", 4, { gain: [1, 1, 1, 1], shift: [1, 1, 1, 1] });
    const initializers = { ...far.initializers, n_mean: float32([4], [4000, 1, 1, 1]), n_B: float32([4], [0, 1, 1, 1]) };
    const spec = net("float16", between("float16").nodes as NodeSpec[], initializers);
    const { kept, folds } = plan(model(spec), { allowRounding: "half", maxBitsLost: 0.2 }).data;
    expect(folds).toEqual([]);
    expect(kept[0].code).toBe("precision-loss");
  });

  it("wrong neighbours are different: another weight, another bias, a rounding that the first file has not", () => {
    const before = between("float16");
    const b = { dtype: "float16", dims: [4], values: [1, -2, 0.5, 3] };
    const gains = [2, 1, 0.5, -4];
    const scaled = (weight("float16").values as number[]).map((v, i) => v * gains[i >> 1]);
    const folded = (values: number[], bias: number[]) =>
      net("float16", [node("Conv", ["x", "w", "b"], ["c"]), cast("c", "f", 1), cast("f", "h", 10), node("Relu", ["h"], ["y"])], {
        w: { ...weight("float16"), values },
        b: { ...b, values: bias },
      });
    const outcome = (spec: ModelSpec) => prove(model(before), model(spec), { foreign: false }).outcome;
    expect(outcome(folded(scaled, [1, -2, 0.5, 3]))).toBe("equal");
    expect(outcome(folded(scaled.with(3, 1), [1, -2, 0.5, 3]))).toBe("different");
    expect(outcome(folded(scaled, [1, -2, 0.5, 2]))).not.toBe("equal");
    const rounded = net("float16", [
      conv,
      cast("c", "f", 1),
      bn.node,
      cast("n", "m", 16),
      cast("m", "h", 10),
      node("Relu", ["h"], ["y"]),
    ]);
    expect(outcome(rounded)).not.toBe("equal");
  });
});

it("the verdict says by how much both files are off in their own precision", async () => {
  const odd = float32([4], [0.9, 1.3, 0.3, 2.1]);
  const spec = net("float16", between("float16").nodes as NodeSpec[], { n_scale: odd, n_B: odd, n_mean: odd, n_var: odd });
  const { accepted, report } = await foldChecked(model(spec), { allowRounding: "half" });
  expect(accepted).toBe(true);
  expect(report.verdict.summary).toMatch(
    /Rounding: in their own precision the output "y" \(root mean square [^)]+\) is off by \S+, where the original itself is off by \S+\./,
  );
});
