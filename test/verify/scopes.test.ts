import { expect, it } from "vitest";
import { plan } from "../../src/fold/index.ts";
import { viewOf } from "../../src/graph/view.ts";
import { read } from "../../src/onnx/read.ts";
import type { AttributeRecord } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { collect } from "../../src/onnx/splice.ts";
import { write } from "../../src/onnx/write.ts";
import { prove } from "../../src/verify/index.ts";
import { float32, model, type NodeSpec, node } from "../helpers/build.ts";
import { floats } from "../rules/check.ts";

/** If without a name, whose output is multiplied afterwards. */
const spec = (branch: NodeSpec[], out: string, after: NodeSpec[] = []) =>
  model({
    opset: 13,
    nodes: [
      {
        op: "If",
        inputs: ["c"],
        outputs: [out],
        attributes: {
          then_branch: { nodes: branch, outputs: [floats("t")] },
          else_branch: { nodes: [node("Neg", ["x"], ["e"])], outputs: [floats("e")] },
        },
      },
      ...after,
      node("Relu", [after.length > 0 ? "m" : out], ["y"]),
    ],
    initializers: { k: float32([], [2]) },
    inputs: [floats("x", [2, 3]), { name: "c", dtype: "bool", dims: [] }],
    outputs: [floats("y")],
  });

it("inner graphs correspond although the node that holds them gives another name", () => {
  const a = spec([node("Abs", ["x"], ["t"])], "v");
  const b = spec([node("Abs", ["x"], ["t"])], "w");
  expect(prove(a, b).outcome).toBe("equal");
  expect(prove(a, spec([node("Neg", ["x"], ["t"])], "w")).outcome).not.toBe("equal");
});

it("a map that goes into the branches leaves the If another output", () => {
  const a = spec([node("Abs", ["x"], ["t"])], "v", [node("Mul", ["v", "k"], ["m"])]);
  const { edits } = plan(a);
  const b = read(memorySource(collect(write(a, edits).main), "b.onnx"));
  expect(prove(a, b, { foreign: false }).outcome).toBe("equal");
});

it("bodies correspond by the attribute that has them, in whatever order a file lists them", () => {
  const a = spec([node("Abs", ["x"], ["t"])], "v");
  const [holder] = a.graph.nodes;
  const turned = (flip: boolean) => {
    const [then, other] = ["then_branch", "else_branch"].map((name) => holder.attributes.get(name) as AttributeRecord);
    const attributes = new Map([
      ["else_branch", flip ? { ...then, name: "else_branch" } : other],
      ["then_branch", flip ? { ...other, name: "then_branch" } : then],
    ]);
    const nodes = a.graph.nodes.map((one) => (one === holder ? { ...one, attributes } : one));
    return { ...a, graph: { ...a.graph, nodes } };
  };
  expect(prove(a, turned(false)).outcome).toBe("equal");
  expect(prove(a, turned(true)).outcome).not.toBe("equal");
});

/** u = If(c, convs), v = If(c, other convs), y = u − v, in any order; bodies by the letter of their weights. */
const two = (order: readonly string[], operands: readonly string[], bodies: Record<string, string>, name = "") => {
  const weights = (k: number) => float32([2, 2, 1, 1], [k, 2 * k, -k, 3]);
  const conv = (w: string) => ({ nodes: [node("Conv", ["x", w], [`${w}_y`])], outputs: [floats(`${w}_y`)] });
  const holder = (out: string): NodeSpec => ({
    op: "If",
    name,
    inputs: ["c"],
    outputs: [out],
    attributes: { then_branch: conv(`t${bodies[out]}`), else_branch: conv(`e${bodies[out]}`) },
  });
  return model({
    nodes: [...order.map(holder), node("Sub", operands, ["y"])],
    initializers: { tu: weights(1), eu: weights(-2), tv: weights(3), ev: weights(0.5) },
    inputs: [floats("x", [1, 2, 3, 3]), { name: "c", dtype: "bool", dims: [] }],
    outputs: [floats("y")],
  });
};

it.each(["", "one name"])('a node is compared with the one whose graphs its own are compared with, if named "%s"', (name) => {
  const own = { u: "u", v: "v" };
  const a = two(["u", "v"], ["u", "v"], own, name);
  const outcome = (...b: Parameters<typeof two>) => prove(a, two(...b)).outcome;
  expect(outcome(["v", "u"], ["u", "v"], own, name)).toBe("equal");
  expect(outcome(["v", "u"], ["v", "u"], own, name)).not.toBe("equal");
  expect(outcome(["u", "v"], ["v", "u"], own, name)).not.toBe("equal");
  expect(outcome(["u", "v"], ["u", "v"], { u: "v", v: "v" }, name)).not.toBe("equal");
  expect(outcome(["u", "v"], ["u", "v"], { u: "u", v: "u" }, name)).not.toBe("equal");
  expect(outcome(["u", "v"], ["u", "v"], { u: "v", v: "u" }, name)).not.toBe("equal");
});

it("every graph has a path of its own, whatever the names on the way to it", () => {
  const inner = (nodes: NodeSpec[]) => ({ nodes, outputs: [floats("z")] });
  const holder = (name: string, out: string, nodes: NodeSpec[]): NodeSpec => ({
    op: "If",
    name,
    inputs: ["c"],
    outputs: [out],
    attributes: { then_branch: inner(nodes), else_branch: inner([node("Neg", ["x"], ["z"])]) },
  });
  const m = model({
    nodes: [
      holder("a", "u", [holder("b", "z", [node("Abs", ["x"], ["z"])])]),
      holder("a/then_branch/b", "v", [node("Relu", ["x"], ["z"])]),
      node("Add", ["u", "v"], ["y"]),
    ],
    inputs: [floats("x", [2]), { name: "c", dtype: "bool", dims: [] }],
    outputs: [floats("y")],
  });
  const paths = viewOf(m).scopes.map(({ path }) => path);
  expect(new Set(paths).size).toBe(paths.length);
});

/** If of two results, of which something reads the first alone. */
const results = (branches: readonly (readonly string[])[], outputs: string[]) =>
  model({
    opset: 13,
    nodes: [
      {
        op: "If",
        inputs: ["c"],
        outputs,
        attributes: Object.fromEntries(
          ["then_branch", "else_branch"].map((name, i) => {
            const list = ["Abs", "Neg", "Relu"].map((op) => node(op, ["x"], [`${op}${i}`]));
            return [name, { nodes: list, outputs: branches[i].map((op) => floats(`${op}${i}`)) }];
          }),
        ),
      },
      node("Sigmoid", ["r"], ["y"]),
    ],
    inputs: [floats("x", [2, 3]), { name: "c", dtype: "bool", dims: [] }],
    outputs: [floats("y")],
  });

it("a result of an If that nobody reads may be left out, wherever it stands", () => {
  const last = results(
    [
      ["Abs", "Neg"],
      ["Neg", "Relu"],
    ],
    ["r", "s"],
  );
  const first = results(
    [
      ["Neg", "Abs"],
      ["Relu", "Neg"],
    ],
    ["s", "r"],
  );
  const alone = results([["Abs"], ["Neg"]], ["r"]);
  for (const one of [last, first]) {
    expect(prove(one, alone).outcome).toBe("equal");
    expect(prove(alone, one).outcome).toBe("equal");
    expect(prove(one, results([["Abs"], ["Relu"]], ["r"])).outcome).not.toBe("equal");
  }
});

it("what a Loop collects and nobody reads may be left out", () => {
  const loop = (collected: string[], bodies: string[], op = "Abs") =>
    model({
      opset: 13,
      nodes: [
        {
          op: "Loop",
          inputs: ["n", "", "x"],
          outputs: ["r", ...collected],
          attributes: {
            body: {
              inputs: [{ name: "i", dtype: "int64", dims: [] }, { name: "on", dtype: "bool", dims: [] }, floats("v", [3])],
              nodes: [
                node("Identity", ["on"], ["go"]),
                node(op, ["v"], ["w"]),
                node("Sin", ["v"], ["p"]),
                node("Cos", ["v"], ["q"]),
              ],
              outputs: [{ name: "go", dtype: "bool" }, floats("w"), ...bodies.map((name) => floats(name))],
            },
          },
        },
        node("Add", ["r", "k"], ["y"]),
      ],
      initializers: { k: float32([], [2]), n: { dtype: "int64", dims: [], values: [3] } },
      inputs: [floats("x", [3])],
      outputs: [floats("y")],
    });
  expect(prove(loop(["s", "t"], ["p", "q"]), loop([], [])).outcome).toBe("equal");
  expect(prove(loop([], []), loop(["t"], ["q"])).outcome).toBe("equal");
  expect(prove(loop(["s"], ["p"]), loop([], [], "Neg")).outcome).not.toBe("equal");
});
