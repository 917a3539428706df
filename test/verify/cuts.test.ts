/** Where two graphs are cut: a node is the same in both only where all it is made of is, and else its result is looked at. */
import { describe, expect, it } from "vitest";
import { viewOf } from "../../src/graph/view.ts";
import { Cuts, type Shared } from "../../src/verify/cuts.ts";
import {
  type AttributeSpec,
  type FunctionSpec,
  f,
  float32,
  type GraphSpec,
  type ModelSpec,
  model,
  type NodeSpec,
  node,
} from "../helpers/build.ts";

const spec = (nodes: readonly NodeSpec[], more: Partial<ModelSpec> = {}): ModelSpec => ({
  nodes: [...nodes],
  initializers: { c: float32([2], [1, 2]), flag: { dtype: "bool", dims: [], values: [1] } },
  inputs: [{ name: "x", dims: [2] }],
  outputs: [{ name: "y" }],
  ...more,
});
/** What is to be looked at when every value of one name is claimed to be the same. */
function targets(a: ModelSpec, b: ModelSpec): (string | undefined)[] {
  const shared: Shared = new Map(b.nodes.flatMap(({ outputs }) => outputs.map((name) => [name, { name }])));
  const cuts = new Cuts(
    viewOf(model(a)),
    viewOf(model(b)),
    shared,
    () => 1,
    () => 1,
  );
  return cuts.targets().map((cut) => cut.b.name);
}

/** A constant that is computed in some steps, and added to what is read. */
const chain = (change: (nodes: NodeSpec[]) => NodeSpec[] = (nodes) => nodes, more: Partial<ModelSpec> = {}) =>
  spec(
    [
      ...change([
        node("Constant", [], ["k"], { value: float32([2], [3, 4]) }),
        node("Mul", ["k", "c"], ["m"]),
        node("Clip", ["m", "", "k"], ["l"]),
      ]),
      node("Add", ["x", "l"], ["y"]),
    ],
    more,
  );
const replace = (i: number, by: NodeSpec) => (nodes: NodeSpec[]) => nodes.with(i, by);

describe("computed constants", () => {
  it("made in the same way are the same", () => {
    expect(targets(chain(), chain())).toEqual([]);
    const named = chain((nodes) => nodes.map((n) => ({ ...n, name: "other" })));
    expect(targets(chain(), named)).toEqual([]);
  });

  it.each<[string, ModelSpec]>([
    ["of other numbers", chain(replace(0, node("Constant", [], ["k"], { value: float32([2], [3, 5]) })))],
    ["of other numbers in the file", chain(undefined, { initializers: { c: float32([2], [1, 3]) } })],
    [
      "of a constant that is stored in one of the files",
      chain((nodes) => nodes.slice(1), { initializers: { c: float32([2], [1, 2]), k: float32([2], [3, 4]) } }),
    ],
    ["by another operator", chain(replace(1, node("Add", ["k", "c"], ["m"])))],
    ["by a function of the same name", chain(replace(1, node("Mul", ["k", "c"], ["m"], {}, { domain: "own" })))],
    ["of fewer operands", chain(replace(2, node("Clip", ["m"], ["l"])))],
    ["of other operands", chain(replace(2, node("Clip", ["m", "k", ""], ["l"])))],
    ["with another attribute", chain(replace(1, node("Mul", ["k", "c"], ["m"], { axis: 1 })))],
    [
      "by more steps",
      chain((nodes) => [...nodes.slice(0, 2), node("Clip", ["m", "", "k"], ["i"]), node("Identity", ["i"], ["l"])]),
    ],
  ])("%s are others", (_name, other) => {
    expect(targets(chain(), other)).toEqual(["y"]);
    expect(targets(other, chain())).toEqual(["y"]);
  });

  it("of another output of one operator are others", () => {
    const part = (i: number) =>
      spec([node("Split", ["c"], ["p0", "p1"], { num_outputs: 2 }), node("Add", ["x", `p${i}`], ["y"])]);
    expect(targets(part(0), part(0))).toEqual([]);
    expect(targets(part(0), part(1))).toEqual(["y"]);
  });
});

describe("attributes", () => {
  const one = (attributes: Record<string, AttributeSpec>) => spec([node("Own", ["x"], ["y"], attributes)]);
  const values: readonly (readonly [AttributeSpec, AttributeSpec])[] = [
    [1, 2],
    [f(1), f(2)],
    ["a", "b"],
    [
      [1, 2],
      [1, 3],
    ],
    [
      ["a", "b"],
      ["a", "c"],
    ],
    [float32([1], [1]), float32([1], [2])],
    [1, f(1)],
  ];
  it.each(values)("%j is itself, and not %j", (p, q) => {
    expect(targets(one({ v: p }), one({ v: p }))).toEqual([]);
    expect(targets(one({ v: p }), one({ v: q }))).toEqual(["y"]);
    expect(targets(one({ v: p }), one({}))).toEqual(["y"]);
    expect(targets(one({ v: p }), one({ w: p }))).toEqual(["y"]);
  });
});

describe("operators with graphs inside", () => {
  const branch = (op: string, constant: string): GraphSpec => ({
    nodes: [node(op, ["x", constant], ["r"])],
    outputs: [{ name: "r" }],
  });
  const choice = (
    inner: string,
    constant = "c",
    front: NodeSpec[] = [node("Identity", ["x"], ["i"])],
    more: Partial<ModelSpec> = {},
  ) =>
    spec(
      [...front, node("If", ["flag"], ["y"], { then_branch: branch(inner, constant), else_branch: branch("Sub", "i") })],
      more,
    );
  it("are the same where their bytes and what they read of outside are", () => {
    expect(targets(choice("Add"), choice("Add"))).toEqual([]);
    expect(targets(choice("Add"), choice("Mul"))).toEqual(["y"]);
    const initializers = { c: float32([2], [1, 5]), flag: { dtype: "bool", dims: [], values: [1] } };
    expect(targets(choice("Add"), choice("Add", "c", undefined, { initializers }))).toEqual(["y"]);
    expect(targets(choice("Add"), choice("Add", "c", [node("Neg", ["x"], ["i"])]))).toEqual(["i"]);
    const computed = (value: number) => [
      node("Identity", ["x"], ["i"]),
      node("Constant", [], ["k"], { value: float32([1], [value]) }),
    ];
    expect(targets(choice("Add", "k", computed(1)), choice("Add", "k", computed(1)))).toEqual([]);
    expect(targets(choice("Add", "k", computed(1)), choice("Add", "k", computed(2)))).toEqual(["y"]);
  });
});

describe("functions", () => {
  const body = (op: string): FunctionSpec => ({
    name: "F",
    domain: "own",
    inputs: ["a"],
    outputs: ["b"],
    nodes: [node(op, ["a"], ["b"])],
  });
  const call = (functions: readonly FunctionSpec[], inside = false) => {
    const called = (from: string, to: string) => node("F", [from], [to], {}, { domain: "own" });
    const branch: GraphSpec = { nodes: [called("x", "r")], outputs: [{ name: "r" }] };
    const nodes = inside ? [node("If", ["flag"], ["y"], { then_branch: branch, else_branch: branch })] : [called("x", "y")];
    return spec(nodes, { functions, opsets: { "": 21, own: 1 } });
  };
  it("are the same where all functions of both files are", () => {
    for (const inside of [false, true]) {
      expect(targets(call([body("Neg")], inside), call([body("Neg")], inside))).toEqual([]);
      expect(targets(call([body("Neg")], inside), call([body("Abs")], inside))).toEqual(["y"]);
      const two = [body("Neg"), { ...body("Neg"), name: "G" }];
      expect(targets(call([body("Neg")], inside), call(two, inside))).toEqual(["y"]);
    }
    // What calls none is the same whatever they are.
    const plain = (op: string) => ({ ...call([body(op)]), nodes: [node("Neg", ["x"], ["y"])] });
    expect(targets(plain("Neg"), plain("Abs"))).toEqual([]);
  });
});

it("random operators are never the same", () => {
  const random = spec([node("RandomNormalLike", ["x"], ["r"]), node("Add", ["x", "r"], ["y"])]);
  expect(targets(random, random)).toEqual(["r"]);
});
