/** A normalization of what an If gives goes into both branches, wherever its map can go in each. */
import { describe, expect, it } from "vitest";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/proof.ts";
import { float32, type GraphSpec, int64, type ModelSpec, model, modelBytes, type NodeSpec, node } from "../helpers/build.ts";
import { decisions, folded } from "../helpers/fold.ts";

const wave = (n: number, seed: number) => Array.from({ length: n }, (_, i) => Math.sin(seed + 1.7 * i));
const PARAMETERS = {
  gamma: float32([2], [1.5, -0.5]),
  beta: float32([2], [0.25, 1]),
  mean: float32([2], [0.5, -2]),
  variance: float32([2], [1, 4]),
};
const conv = (x: string, y: string, seed: number): Pick<GraphSpec, "nodes" | "initializers"> => ({
  nodes: [node("Conv", [x, `${y}_w`, `${y}_b`], [y])],
  initializers: { [`${y}_w`]: float32([2, 3, 1, 1], wave(6, seed)), [`${y}_b`]: float32([2], wave(2, seed)) },
});
const branch = (body: Pick<GraphSpec, "nodes" | "initializers">, ...outputs: string[]): GraphSpec => ({
  ...body,
  outputs: outputs.map((name) => ({ name })),
});
const norm = (x: string, y: string): NodeSpec => node("BatchNormalization", [x, ...Object.keys(PARAMETERS)], [y]);

/** `nodes` read the branch's result and make y. */
function net(then: GraphSpec, other: GraphSpec, nodes: readonly NodeSpec[] = [norm("z", "y")], before?: GraphSpec): ModelSpec {
  const outputs = then.outputs.map((_, i) => (i === 0 ? "z" : `z${i}`));
  return {
    nodes: [...(before?.nodes ?? []), node("If", ["c"], outputs, { then_branch: then, else_branch: other }), ...nodes],
    initializers: { ...before?.initializers, ...PARAMETERS },
    inputs: [
      { name: "c", dtype: "bool", dims: [] },
      { name: "x", dims: [1, 3, 2, 2] },
    ],
    outputs: [{ name: "y" }],
  };
}

const X: Tensor = { dtype: "float32", dims: [1, 3, 2, 2], data: Float64Array.from(wave(12, 5)) };

/** Results of both branches. */
const results = (spec: ReturnType<typeof model>): number[] =>
  [0, 1].flatMap((c) => {
    const condition: Tensor = { dtype: "bool", dims: [], data: Uint8Array.of(c) };
    const feeds = new Map([
      ["x", X],
      ["c", condition],
    ]);
    return [...asFloat64(createSession(spec, { mode: "float64" }).run(feeds).get("y") as Tensor)];
  });

function check(spec: ModelSpec, left: number): void {
  const before = model(spec);
  const result = folded(before);
  const { data } = result;
  expect(data.after.batchNormalizations, decisions(data).join("\n")).toBe(left);
  const [p, q] = [results(before), results(result.model)];
  // A rounding of a weight is 2⁻²⁴ of it; sums have three products, and no number is above 8.
  for (const [i, v] of p.entries()) expect(Math.abs(v - q[i])).toBeLessThan(64 * 2 ** -24);
  expect(prove(before, result.model, { gauges: result.gauges }).outcome).toBe("equal");
  expect(prove(before, result.model).outcome).toBe("equal");
  expect(prove(result.model, before).outcome).toBe("equal");
}

describe("a normalization behind an If", () => {
  it("goes into the layers of both branches", () =>
    check(net(branch(conv("x", "t", 1), "t"), branch(conv("x", "e", 2), "e")), 0));

  it("passes what lets it pass in each branch", () => {
    const turned = conv("x", "a", 2);
    const nodes = [...turned.nodes, node("Transpose", ["a"], ["e"], { perm: [0, 1, 3, 2] })];
    check(net(branch(conv("x", "t", 1), "t"), branch({ ...turned, nodes }, "e")), 0);
  });

  it("goes through an If inside a branch", () => {
    const inner = node("If", ["c"], ["e"], {
      then_branch: branch(conv("x", "f", 3), "f"),
      else_branch: branch(conv("x", "g", 4), "g"),
    });
    check(net(branch(conv("x", "t", 1), "t"), branch({ nodes: [inner] }, "e")), 0);
  });

  it("goes to a layer before the If that both branches read", () => {
    const same = (y: string, op: string): GraphSpec => branch({ nodes: [node(op, ["k"], [y])] }, y);
    const before = { ...conv("x", "k", 1), outputs: [] };
    check(net(same("t", "Identity"), same("e", "Identity"), [norm("z", "y")], before), 0);
  });

  it("goes alone where the If has another result", () => {
    const relu = (y: string, seed: number): GraphSpec => {
      const { nodes, initializers } = conv("x", y, seed);
      return branch({ nodes: [...nodes, node("Relu", ["x"], [`${y}r`])], initializers }, y, `${y}r`);
    };
    const nodes = [norm("z", "n"), node("ReduceMax", ["z1"], ["m"], { keepdims: 0 }), node("Add", ["n", "m"], ["y"])];
    check(net(relu("t", 1), relu("e", 2), nodes), 0);
  });

  it("stays where one branch does not take it, or gives what it does not compute", () => {
    const layer = branch(conv("x", "t", 1), "t");
    const slow = conv("x", "a", 2);
    const sigmoid = branch({ ...slow, nodes: [...slow.nodes, node("Sigmoid", ["a"], ["e"])] }, "e");
    check(net(layer, sigmoid), 1);
    const kept = folded(model(net(layer, sigmoid))).data.kept[0];
    expect(kept).toMatchObject({ code: "operator-blocks", blocker: { opType: "Sigmoid" } });
    const constant = branch({ nodes: [], initializers: { e: float32([1, 2, 2, 2], wave(8, 3)) } }, "e");
    check(net(layer, constant), 1);
  });

  it("stays where a quantization annotation describes what a branch gives", () => {
    const annotated = { ...branch(conv("x", "e", 2), "e"), annotations: ["e"] };
    check(net(branch(conv("x", "t", 1), "t"), annotated), 1);
    expect(folded(model(net(branch(conv("x", "t", 1), "t"), annotated))).data.kept[0].code).toBe("quantized");
  });

  it("stays where a branch gives one value twice, of which one is wanted as it is", () => {
    const twice = (y: string, seed: number): GraphSpec => branch(conv("x", y, seed), y, y);
    check(net(twice("t", 1), twice("e", 2), [norm("z", "n"), node("Add", ["n", "z1"], ["y"])]), 1);
  });
});

describe("a normalization that graphs inside nodes read", () => {
  /** Sigmoid lets nothing pass backward; the layers in the branches read n. */
  const inner = (then: GraphSpec, other: GraphSpec): ModelSpec => ({
    nodes: [
      node("Sigmoid", ["x"], ["s"]),
      node("BatchNormalization", ["s", "g", "b", "m", "v"], ["n"]),
      node("If", ["c"], ["y"], { then_branch: then, else_branch: other }),
    ],
    initializers: {
      g: float32([3], [1.5, -0.5, 2]),
      b: float32([3], [0.25, 1, -1]),
      m: float32([3], [0.5, -2, 0]),
      v: float32([3], [1, 4, 2]),
    },
    inputs: [
      { name: "c", dtype: "bool", dims: [] },
      { name: "x", dims: [1, 3, 2, 2] },
    ],
    outputs: [{ name: "y" }],
  });

  it("goes into the layers there", () => check(inner(branch(conv("n", "t", 1), "t"), branch(conv("n", "e", 2), "e")), 0));

  it("stays where one of them takes no map, or means something else by the name of what it normalizes", () => {
    const layer = branch(conv("n", "t", 1), "t");
    check(inner(layer, branch({ nodes: [node("Tanh", ["n"], ["e"])] }, "e")), 1);
    const { nodes, initializers } = conv("n", "e", 2);
    const shadow = branch({ nodes, initializers: { ...initializers, s: float32([1], [3]) } }, "e");
    check(inner(layer, shadow), 1);
    expect(folded(model(inner(layer, shadow))).data.kept[0].message).toMatch(/subgraph that has a "s" of its own/);
  });

  it("goes into a layer that a loop reads it with", () => {
    const { nodes, initializers } = conv("n", "d", 1);
    const body: GraphSpec = {
      nodes: [...nodes, node("Add", ["before", "d"], ["after"]), node("Identity", ["go"], ["on"])],
      initializers,
      inputs: [{ name: "i", dtype: "int64", dims: [] }, { name: "go", dtype: "bool", dims: [] }, { name: "before" }],
      outputs: [{ name: "on", dtype: "bool" }, { name: "after" }],
    };
    const spec = inner(branch(conv("n", "t", 1), "t"), branch(conv("n", "e", 2), "e"));
    const nodesOf = [...spec.nodes.slice(0, 2), node("Loop", ["three", "c", "zero"], ["y"], { body })];
    const zero = float32([1, 2, 2, 2], wave(8, 1));
    check({ ...spec, nodes: nodesOf, initializers: { ...spec.initializers, three: int64([], [3]), zero } }, 0);
  });
});

describe("branches that a fold changed", () => {
  const spec = net(branch(conv("x", "t", 1), "t"), branch(conv("x", "e", 2), "e"));
  const before = model(spec);
  const { bytes } = folded(before);

  it("are not equal where one of them is another, or was left as it was", () => {
    const right = read(memorySource(bytes, "right"));
    const inner = right.graph.nodes[0];
    expect(inner.opType).toBe("If");
    const bodies = [branch(conv("x", "t", 1), "t"), branch(conv("x", "e", 2), "e")];
    const done = (seed: number, y: string) => {
      const [w, b] = [wave(6, seed), wave(2, seed)];
      const s = [1.5 / Math.sqrt(1 + 1e-5), -0.5 / Math.sqrt(4 + 1e-5)];
      const t = [0.25 - 0.5 * s[0], 1 + 2 * s[1]];
      return branch(
        {
          ...conv("x", y, seed),
          initializers: {
            [`${y}_w`]: float32(
              [2, 3, 1, 1],
              w.map((v, i) => v * s[Math.floor(i / 3)]),
            ),
            [`${y}_b`]: float32(
              [2],
              b.map((v, i) => v * s[i] + t[i]),
            ),
          },
        },
        y,
      );
    };
    const written = (then: GraphSpec, other: GraphSpec) =>
      read(memorySource(modelBytes({ ...net(then, other, [node("Identity", ["z"], ["y"])]) }), "hand"));
    const outcome = (then: GraphSpec, other: GraphSpec) => prove(before, written(then, other)).outcome;
    expect(outcome(done(1, "t"), done(2, "e"))).toBe("equal");
    expect(outcome(done(1, "t"), bodies[1])).not.toBe("equal");
    expect(outcome(bodies[0], done(2, "e"))).not.toBe("equal");
    expect(outcome(bodies[0], bodies[1])).not.toBe("equal");
    expect(outcome(done(2, "t"), done(1, "e"))).not.toBe("equal");
    expect(outcome(done(1, "t"), done(3, "e"))).not.toBe("equal");
  });
});
