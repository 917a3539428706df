/** Files that grow: equal changed constants are one tensor, and other nodes than normalizations pay for what they add. */
import { describe, expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { float32, int64, type ModelSpec, model, modelBytes, type NodeSpec, node } from "../helpers/build.ts";
import { folded } from "../helpers/fold.ts";

const numbers = (n: number) => Array.from({ length: n }, (_, i) => Math.sin(i + 1));
const STEPS = 5;

/** A normalization, and one weight that the layer of each time step reads. */
function unrolled(layer: (x: string, y: string) => NodeSpec): ModelSpec {
  const steps = Array.from({ length: STEPS }, (_, i) => i);
  return {
    nodes: [
      node("BatchNormalization", ["x", "g", "b", "m", "v"], ["n"]),
      ...steps.flatMap((i) => [
        node("Gather", ["n", `i${i}`], [`s${i}`], { axis: 2 }),
        layer(`s${i}`, `h${i}`),
        node("Tanh", [`h${i}`], [`a${i}`]),
      ]),
      node(
        "Sum",
        steps.map((i) => `a${i}`),
        ["y"],
      ),
    ],
    initializers: {
      w: float32([16, 32], numbers(512)),
      c: float32([32], numbers(32)),
      ...Object.fromEntries(steps.map((i) => [`i${i}`, int64([], [i])])),
      ...Object.fromEntries(
        "gbmv".split("").map((name) => [
          name,
          float32(
            [16],
            numbers(16).map((v) => v * v + 0.1),
          ),
        ]),
      ),
    },
    inputs: [{ name: "x", dims: ["N", 16, STEPS] }],
    outputs: [{ name: "y" }],
  };
}

describe("one constant changed alike by many", () => {
  const layers: Record<string, (x: string, y: string) => NodeSpec> = {
    Gemm: (x, y) => node("Gemm", [x, "w", "c"], [y]),
    MatMul: (x, y) => node("MatMul", [x, "w"], [y]),
  };
  for (const [name, layer] of Object.entries(layers)) {
    it(`is one tensor, in its old place: ${name}`, () => {
      const spec = unrolled(layer);
      const after = folded(model(spec));
      expect(after.data.folds).toHaveLength(1);
      expect(after.bytes.length).toBeLessThan(modelBytes(spec).length);
      expect(after.model.graph.initializers.filter(({ dims }) => dims.length === 2).map((t) => t.name)).toEqual(["w"]);
    });
  }

  it("is one copy where another reads the old one, and the report says what it took", () => {
    const spec = unrolled(layers.Gemm);
    const other = { ...spec, nodes: [...spec.nodes, node("Relu", ["w"], ["z"])], outputs: [{ name: "y" }, { name: "w" }] };
    const { data, edits } = plan(model(other));
    expect(edits.addTensors.filter(({ tensor }) => tensor.dims.length === 2)).toHaveLength(1);
    const copies = data.folds[0].into.flatMap(({ tensors }) => tensors.filter(({ from }) => from === "w"));
    expect(new Set(copies.map(({ copied }) => copied))).toEqual(new Set([512 * 4]));
  });
});

describe("nodes other than normalizations", () => {
  /** One filter bank, read by several layers; a node behind all but the last. */
  const bank = (behind: (x: string, y: string) => NodeSpec, count: number, size: number): ModelSpec => ({
    nodes: [
      ...Array.from({ length: count }, (_, i) => i).flatMap((i) => [
        node("Conv", ["x", "w"], [`c${i}`], { strides: [1, i + 1] }),
        behind(`c${i}`, `d${i}`),
        node("ReduceMax", [`d${i}`], [`r${i}`], { axes: [2, 3], keepdims: 0 }),
      ]),
      node("Conv", ["x", "w"], ["z"]),
    ],
    initializers: { w: float32([2, 1, 1, size], numbers(2 * size)), k: float32([], [3]) },
    inputs: [{ name: "x", dims: [1, 1, 1, 256] }],
    outputs: [...Array.from({ length: count }, (_, i) => ({ name: `r${i}` })), { name: "z" }],
    opset: 13,
  });
  const neg = (x: string, y: string) => node("Neg", [x], [y]);
  const mul = (x: string, y: string) => node("Mul", [x, "k"], [y]);

  it.each([
    ["Neg", neg],
    ["Mul", mul],
  ] as const)("%s: no copy that is larger than what goes", (_name, behind) => {
    const { data } = plan(model(bank(behind, 4, 100)));
    expect(data.kept.map(({ code }) => code)).toEqual(new Array(4).fill("would-grow"));
    const bytes = data.kept[0].facts.bytes as number;
    // The advice is true, and one copy serves all four.
    const asked = folded(model(bank(behind, 4, 100)), { maxGrowth: bytes });
    expect(asked.data.kept).toEqual([]);
    expect(asked.edits.addTensors).toHaveLength(1);
    expect(plan(model(bank(behind, 4, 100)), { maxGrowth: bytes - 1 }).data.folds).toEqual([]);
    expect(plan(model(bank(behind, 4, 100)), { maxGrowth: "100%" }).data.kept).toEqual([]);
  });

  it("several nodes pay for one copy that none could alone", () => {
    const spec = bank(neg, 6, 6);
    const after = folded(model(spec));
    expect(after.data.folds).toHaveLength(6);
    expect(after.bytes.length).toBeLessThanOrEqual(modelBytes(spec).length);
    expect(plan(model(bank(neg, 1, 6))).data.kept.map(({ code }) => code)).toEqual(["would-grow"]);
  });

  it("what a normalization saves pays for a copy that its node could not", () => {
    const alone = bank(neg, 1, 60);
    // One that stands behind a layer of its own: its four vectors and its node go, a bias comes.
    const channels = 40;
    const spec: ModelSpec = {
      ...alone,
      nodes: [
        ...alone.nodes,
        node("Conv", ["x", "v"], ["p"]),
        node("BatchNormalization", ["p", "scale", "shift", "mean", "variance"], ["q"]),
      ],
      initializers: {
        ...alone.initializers,
        v: float32([channels, 1, 1, 1], numbers(channels)),
        ...Object.fromEntries(
          ["scale", "shift", "mean", "variance"].map((name) => [name, float32([channels], new Array(channels).fill(1))]),
        ),
      },
      outputs: [...alone.outputs, { name: "q" }],
    };
    expect(plan(model(alone)).data.kept.map(({ code }) => code)).toEqual(["would-grow"]);
    const after = folded(model(spec));
    expect(after.data.kept).toEqual([]);
    expect(after.bytes.length).toBeLessThanOrEqual(modelBytes(spec).length);
  });

  it.each([
    ["an initializer", false],
    ["a Constant node", true],
  ] as const)("a constant of %s is not spread out for another that is added to it", (_name, isNode) => {
    const value = float32([64, 1, 7, 7], numbers(64 * 49));
    // A mask of windows and a bias of heads, as attention in windows adds them to one another.
    const spec: ModelSpec = {
      nodes: [
        ...(isNode ? [node("Constant", [], ["mask"], { value })] : []),
        node("Add", ["x", "bias"], ["b"]),
        node("Add", ["b", "mask"], ["y"]),
      ],
      initializers: { bias: float32([3, 7, 7], numbers(147)), ...(isNode ? {} : { mask: value }) },
      inputs: [{ name: "x", dims: [64, 3, 7, 7] }],
      outputs: [{ name: "y" }],
    };
    const { data } = plan(model(spec));
    expect([data.folds, new Set(data.kept.map(({ code }) => code))]).toEqual([[], new Set(["would-grow"])]);
    const after = folded(model(spec), { maxGrowth: "300%" });
    expect(after.data.folds).toHaveLength(1);
    expect(after.bytes.length - modelBytes(spec).length).toBeGreaterThan(20_000);
  });
});
