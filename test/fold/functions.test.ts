/** Folds across the boundaries of model-local functions and of the bodies of If, Loop and Scan. */
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { nodeKey, type PlanOptions } from "../../src/fold/index.ts";
import { allNodes, Functions } from "../../src/graph/functions.ts";
import { read } from "../../src/onnx/read.ts";
import type { Model, NodeRecord } from "../../src/onnx/records.ts";
import { memorySource } from "../../src/onnx/source.ts";
import { isEmpty } from "../../src/onnx/write.ts";
import { prove } from "../../src/verify/proof.ts";
import { witness } from "../../src/verify/witness.ts";
import {
  type FunctionSpec,
  f,
  float32,
  type GraphSpec,
  int64,
  type ModelSpec,
  model,
  type NodeSpec,
  node,
  ref,
} from "../helpers/build.ts";
import { decisions, type Folded, folded } from "../helpers/fold.ts";

const local = { domain: "local" };
const C = 3;
const count = (dims: readonly number[]) => dims.reduce((n, d) => n * d, 1);
const numbers = (dims: readonly number[], seed: number) =>
  float32(
    dims,
    Array.from({ length: count(dims) }, (_, i) => Math.fround(Math.sin(7 * seed + i) + (dims.length === 1 ? 1.5 : 0))),
  );
const x = { name: "x", dims: [2, C, 4, 4] };

/** Weights w0, w1 and the parameters s0 b0 m0 v0, s1 … of norms. */
const stored = (...sets: readonly number[]): ModelSpec["initializers"] =>
  Object.fromEntries(
    sets.flatMap((k) => [
      [`w${k}`, numbers([C, C, 1, 1], k)],
      ...["s", "b", "m", "v"].map((name, i) => [`${name}${k}`, numbers([C], 5 * k + i)]),
    ]),
  );
const norm = (k: number | "") => ["s", "b", "m", "v"].map((name) => `${name}${k}`);
const bn = (from: string, k: number | "", to: string, more: { attributes?: NodeSpec["attributes"]; name?: string } = {}) =>
  node("BatchNormalization", [from, ...norm(k)], [to], more.attributes, more.name === undefined ? {} : { name: more.name });
const conv = (from: string, k: number | "", to: string) => node("Conv", [from, `w${k}`], [to]);

const fn = (
  name: string,
  inputs: readonly string[],
  nodes: readonly NodeSpec[],
  more: Partial<FunctionSpec> = {},
): FunctionSpec => ({
  ...{ name, inputs, nodes, domain: "local", outputs: ["r"] },
  ...more,
});
const CONV_BN = fn(
  "ConvBN",
  ["x", "w", ...norm("")],
  [conv("x", "", "c"), bn("c", "", "n", { name: "bn" }), node("Relu", ["n"], ["r"])],
);
const call = (
  name: string,
  inputs: readonly string[],
  to: string,
  more: { attributes?: NodeSpec["attributes"]; name?: string } = {},
) => node(name, inputs, [to], more.attributes, more.name === undefined ? local : { ...local, name: more.name });
const block = (from: string, k: number, to: string, name?: string) =>
  call("ConvBN", [from, `w${k}`, ...norm(k)], to, name === undefined ? {} : { name });

const net = (nodes: readonly NodeSpec[], more: Partial<ModelSpec> = {}): Model =>
  model({
    opsets: { "": 21, local: 1 },
    ...{ inputs: [x], outputs: [{ name: "y", dims: [2, C, 4, 4] }], functions: [CONV_BN], initializers: stored(0, 1) },
    ...more,
    nodes,
  });

/** Normalizations that run: those of a function once for each call. */
function running({ graph, functions }: Model): number {
  const known = new Functions(functions);
  const of = (nodes: readonly NodeRecord[]): number =>
    [...allNodes(nodes)].reduce((n, each) => {
      const callee = known.called(each);
      return n + (callee === undefined ? Number(each.opType === "BatchNormalization") : of(callee.nodes));
    }, 0);
  return of(graph.nodes);
}

/** Folds, and requires that the result is shown to be the same function and runs like the original. */
function shown(before: Model, options: PlanOptions = {}): Folded {
  const after = folded(before, options);
  const proof = prove(before, after.model, { foreign: false });
  expect(proof.regions.filter(({ outcome }) => outcome !== "equal")).toEqual([]);
  expect(witness(before, after.model, { samples: 2, storage: false }).outcome).toBe("equal");
  const { data } = after;
  const norms = (list: readonly { kind: string }[]) => list.filter(({ kind }) => kind === "batch-normalization").length;
  expect(norms(data.folds) + norms(data.kept)).toBe(data.before.batchNormalizations);
  expect(data.after.batchNormalizations).toBe(
    [after.model.graph, ...after.model.functions].reduce(
      (n, { nodes }) => n + [...allNodes(nodes)].filter(({ opType }) => opType === "BatchNormalization").length,
      0,
    ),
  );
  return after;
}

const types = ({ graph }: Model) => graph.nodes.map(({ opType }) => opType);
const kept = ({ data }: Folded) => data.kept.map(({ code }) => code);

describe("parameters that calls give", () => {
  it("fold in place of each call; the function that lost its calls goes", () => {
    const after = shown(net([block("x", 0, "a", "first"), block("a", 1, "y", "second")]));
    expect(types(after.model)).toEqual(["Conv", "Relu", "Conv", "Relu"]);
    expect(after.data.inlined).toEqual([{ function: "local:ConvBN", calls: ["first", "second"], dropped: true }]);
    expect(after.data.folds.map(({ node: { scope, index, name } }) => [scope, index, name])).toEqual([
      ["first", 1, "first/bn"],
      ["second", 1, "second/bn"],
    ]);
    expect(after.model.functions).toEqual([]);
  });

  it("only at the calls that give constants; the others stay byte for byte", () => {
    const inputs = [x, ...norm(1).map((name) => ({ name, dims: [C] }))];
    const initializers = { ...stored(0), w1: numbers([C, C, 1, 1], 1) };
    const before = net([block("x", 1, "a", "open"), block("a", 0, "y", "closed")], { inputs, initializers });
    const after = shown(before);
    expect(types(after.model)).toEqual(["ConvBN", "Conv", "Relu"]);
    expect(after.data.inlined).toEqual([{ function: "local:ConvBN", calls: ["closed"], dropped: false }]);
    const bytes = (of: Model, { frame }: { frame: { tagAt: number; end: number } }) =>
      Buffer.from(of.files.main.read(frame.tagAt, frame.end));
    expect(bytes(after.model, after.model.graph.nodes[0])).toEqual(bytes(before, before.graph.nodes[0]));
    expect(bytes(after.model, after.model.functions[0])).toEqual(bytes(before, before.functions[0]));
  });

  it("nothing changes when no call brings a fold", () => {
    const open = fn("Open", ["x", ...norm("")], [node("Sigmoid", ["x"], ["p"]), bn("p", "", "q"), node("Sigmoid", ["q"], ["r"])]);
    const after = folded(net([call("Open", ["x", ...norm(0)], "y")], { functions: [open] }));
    expect(isEmpty(after.edits)).toBe(true);
    expect(after.data.inlined).toBeUndefined();
    // The reason is what stops it in a copy, not that the body alone does not know its parameters.
    expect(after.data.kept.map(({ node: at, code }) => [at.scope, code])).toEqual([["local:Open", "operator-blocks"]]);
  });

  it("fold with a layer around the call, on either side", () => {
    const only = fn("Norm", ["x", ...norm("")], [bn("x", "", "r")]);
    const layer = fn("Layer", ["x", "w"], [conv("x", "", "r")]);
    const act = fn("Act", ["x"], [node("LeakyRelu", ["x"], ["r"])]);
    const positive = { ...stored(0, 1), s0: float32([C], [1, 2, 3]), v0: float32([C], [1, 2, 3]) };
    const options = { functions: [only, layer, act], initializers: positive };
    expect(types(shown(net([conv("x", 0, "a"), call("Norm", ["a", ...norm(0)], "y")], options)).model)).toEqual(["Conv"]);
    expect(types(shown(net([call("Layer", ["x", "w0"], "a"), bn("a", 0, "y")], options)).model)).toEqual(["Conv"]);
    expect(types(shown(net([bn("x", 0, "a"), call("Layer", ["a", "w0"], "y")], options)).model)).toEqual(["Conv"]);
    const scaled = { ...options, initializers: { ...positive, k: float32([C, 1, 1], [1, 2, 3]) } };
    const through = [conv("x", 0, "a"), call("Act", ["a"], "b"), node("Mul", ["b", "k"], ["y"])];
    expect(types(shown(net(through, scaled)).model)).toEqual(["Conv", "LeakyRelu"]);
  });

  it("fold where only the body tells the shape", () => {
    const shape = node("Constant", [], ["shape"], { value: int64([4], [2, C, 4, 4]) });
    const cut = fn("Cut", ["x"], [shape, node("Reshape", ["x", "shape"], ["r"])]);
    const nodes = [call("Cut", ["x"], "a"), node("Mul", ["a", "k"], ["b"]), conv("b", 0, "y")];
    const more = { functions: [cut], initializers: { ...stored(0), k: float32([C, 1, 1], [1, 2, 3]) } };
    const after = shown(net(nodes, { ...more, inputs: [{ name: "x", dims: [2 * C * 16] }] }));
    expect(types(after.model)).toEqual(["Constant", "Reshape", "Conv"]);
  });

  it("reads attributes of the call, not defaults of the operator", () => {
    const own = Object.entries(stored(0) ?? {}).map(([name, value]) => node("Constant", [], [name], { value }));
    const eps = fn("Eps", ["x"], [...own, conv("x", 0, "c"), bn("c", 0, "r", { attributes: { epsilon: ref("eps") } })], {
      attributes: ["eps"],
    });
    const after = shown(
      net([call("Eps", ["x"], "a", { attributes: { eps: f(1) } }), call("Eps", ["a"], "y", { attributes: { eps: f(4) } })], {
        functions: [eps],
      }),
    );
    expect(after.data.folds.length).toBe(2);
    const one = shown(net([call("Eps", ["x"], "y", {})], { functions: [{ ...eps, attributes: [], defaults: { eps: f(9) } }] }));
    expect(one.data.folds.length).toBe(1);
  });

  it("respects initializers that callers may override", () => {
    const inputs = [x, { name: "s0", dims: [C] }];
    expect(kept(folded(net([block("x", 0, "y")], { inputs })))).toEqual(["parameter-is-input"]);
    expect(shown(net([block("x", 0, "y")], { inputs, irVersion: 3, functions: [CONV_BN] })).data.folds.length).toBe(1);
    expect(folded(net([block("x", 0, "y")], { inputs }), { assumeConstant: true }).data.folds.length).toBe(1);
  });

  it("copies parameters and weights that calls share", () => {
    const after = shown(net([block("x", 0, "a"), block("a", 0, "b"), call("ConvBN", ["b", "w0", ...norm(1)], "y")]));
    expect(after.data.folds.length).toBe(3);
    // The first two share their parameters too: one changed weight serves both.
    expect(new Set(after.model.graph.nodes.filter(({ opType }) => opType === "Conv").map(({ inputs }) => inputs[1])).size).toBe(
      2,
    );
  });

  it("obeys --only, --skip and what a check declined, by the copy's name or the body's", () => {
    const before = net([block("x", 0, "a", "first"), block("a", 1, "y", "second")]);
    const names = (options: PlanOptions) => folded(before, options).data.folds.map(({ node: at }) => at.name);
    expect(names({ only: (name) => name === "bn" })).toEqual(["first/bn", "second/bn"]);
    expect(names({ skip: (name) => name === "first/bn" })).toEqual(["second/bn"]);
    expect(names({ skip: (name) => name === "bn" })).toEqual([]);
    const unproven = (i: number) => new Set([nodeKey(folded(before).data.folds[i].node)]);
    expect(names({ unproven: unproven(0) })).toEqual(["second/bn"]);
    expect(folded(before, { unproven: unproven(1) }).data.inlined).toEqual([
      { function: "local:ConvBN", calls: ["first"], dropped: false },
    ]);
  });
});

describe("functions of functions", () => {
  const outer = fn(
    "Outer",
    ["x", "w", ...norm("")],
    [call("ConvBN", ["x", "w", ...norm("")], "a", { name: "inner" }), call("Act", ["a"], "r")],
    { opsets: { "": 21, local: 1 } },
  );
  const act = fn("Act", ["x"], [node("Sigmoid", ["x"], ["r"])]);

  it("are written out as deep as a fold needs, and no deeper", () => {
    const after = shown(net([call("Outer", ["x", "w0", ...norm(0)], "y", { name: "o" })], { functions: [CONV_BN, outer, act] }));
    expect(types(after.model)).toEqual(["Conv", "Relu", "Act"]);
    expect(after.data.inlined).toEqual([
      { function: "local:Outer", calls: ["o"], dropped: true },
      { function: "local:ConvBN", calls: ["o/inner"], dropped: true },
    ]);
    expect(after.model.functions.map(({ name }) => name)).toEqual(["Act"]);
  });

  it("fold where the constants are: in the body of the function that holds them, once", () => {
    const own = Object.entries(stored(0) ?? {}).map(([name, value]) => node("Constant", [], [name], { value }));
    const holder = fn("Holder", ["x"], [...own, block("x", 0, "r", "inner")], { opsets: { "": 21, local: 1 } });
    const before = net([call("Holder", ["x"], "a"), call("Holder", ["a"], "y")], { functions: [holder, CONV_BN] });
    const after = shown(before);
    expect(types(after.model)).toEqual(["Holder", "Holder"]);
    expect(after.data.inlined).toEqual([{ function: "local:ConvBN", calls: ["local:Holder/inner"], dropped: true }]);
    expect(running(after.model)).toBe(0);
    expect(after.data.folds.map(({ node: at }) => at.scope)).toEqual(["local:Holder/inner"]);
  });

  it("stay when their own body allows the fold", () => {
    const own = Object.entries(stored(0) ?? {}).map(([name, value]) => node("Constant", [], [name], { value }));
    const whole = fn("Whole", ["x"], [...own, conv("x", 0, "c"), bn("c", 0, "r")]);
    const nodes = [call("Whole", ["x"], "a"), node("Sigmoid", ["a"], ["b"]), call("Whole", ["b"], "y")];
    const after = shown(net(nodes, { functions: [whole] }));
    expect(types(after.model)).toEqual(["Whole", "Sigmoid", "Whole"]);
    expect(after.data.inlined).toBeUndefined();
    expect(running(after.model)).toBe(0);
  });

  it("may return an input", () => {
    const skip = fn("Skip", ["x", "w", ...norm("")], [conv("x", "", "c"), bn("c", "", "r")], { outputs: ["x", "r"] });
    const nodes = [node("Skip", ["x", "w0", ...norm(0)], ["a", "b"], {}, local), node("Add", ["a", "b"], ["y"])];
    expect(shown(net(nodes, { functions: [skip] })).data.folds.length).toBe(1);
  });
});

describe("calls that have to stay", () => {
  it("name the operator that means something else", () => {
    const old = fn(
      "Old",
      ["x", ...norm("")],
      [bn("x", "", "n"), node("ReduceMean", ["n"], ["q"], { axes: [2, 3] }), node("Add", ["n", "q"], ["r"])],
      {
        opsets: { "": 15 },
      },
    );
    const after = folded(net([conv("x", 0, "a"), call("Old", ["a", ...norm(0)], "y")], { functions: [old] }));
    expect(isEmpty(after.edits)).toBe(true);
    expect(kept(after)).toEqual(["call-stays"]);
    expect(after.data.kept[0].message).toContain("ReduceMean of opset 15, which is another operator in opset 21");
  });

  it("say so where they come to more nodes than anyone writes out", () => {
    const levels = 19;
    const twice = (k: number) => node(`F${k + 1}`, ["x"], ["a"], {}, local);
    const functions = Array.from({ length: levels }, (_, k) =>
      fn(`F${k}`, ["x"], [twice(k), node(`F${k + 1}`, ["a"], ["r"], {}, local)]),
    );
    const last = fn(`F${levels}`, ["x"], [node("Relu", ["x"], ["h"]), bn("h", "", "r")], {});
    const params = Object.entries({ s: [2, 1, 1], b: [1, 0, 0], m: [0, 0, 0], v: [1, 1, 1] });
    const held = params.map(([name, values]) => node("Constant", [], [name], { value: float32([C], values) }));
    const before = model({
      nodes: [node("F0", ["x"], ["y"], {}, local)],
      functions: [...functions, { ...last, nodes: [...held, ...last.nodes] }],
      inputs: [x],
      outputs: [{ name: "y" }],
      opsets: { "": 17, local: 1 },
    });
    const { data } = folded(before);
    expect(data.folds).toEqual([]);
    expect(data.kept.map(({ code }) => code)).toEqual(["call-stays"]);
    expect(data.kept[0].message).toMatch(/come to \d+ nodes when they are written out, more than 262144/);
  });

  it("functions that call themselves are an error", () => {
    const again = fn("Again", ["x"], [call("Again", ["x"], "r")], { opsets: { "": 21, local: 1 } });
    expect(() => folded(net([call("Again", ["x"], "y")], { functions: [again] }))).toThrow("local:Again calls itself");
  });

  it("a function of a standard operator's name is neither", () => {
    const relu: FunctionSpec = { name: "Relu", domain: "", inputs: ["x"], outputs: ["r"], nodes: [node("Neg", ["x"], ["r"])] };
    const positive = { ...stored(0), k: float32([C, 1, 1], [1, 2, 3]) };
    const nodes = [conv("x", 0, "a"), node("Relu", ["a"], ["b"]), node("Mul", ["b", "k"], ["y"])];
    expect(folded(net(nodes, { initializers: positive, functions: [] })).data.folds.length).toBe(1);
    expect(kept(folded(net(nodes, { initializers: positive, functions: [relu] })))).toEqual(["shape-unknown"]);
  });
});

describe("bodies of If, Loop and Scan", () => {
  const c = { name: "c", dtype: "bool", dims: [] };
  const out = (name: string) => ({ name, dims: [2, C, 4, 4] });
  const graph = (nodes: readonly NodeSpec[], output: string, more: Partial<GraphSpec> = {}): GraphSpec => ({
    nodes,
    outputs: [out(output)],
    ...more,
  });
  const branches = (then_branch: GraphSpec, else_branch: GraphSpec, to = "y") =>
    node("If", ["c"], [to], { then_branch, else_branch }, { name: "if" });
  const inputs = [x, c];

  it("a norm in a branch that reads a captured layer stays when the other branch reads it too", () => {
    const after = shown(
      net([conv("x", 0, "a"), branches(graph([bn("a", 0, "t")], "t"), graph([node("Neg", ["a"], ["t"])], "t"))], { inputs }),
    );
    expect(after.data.folds.length).toBe(0);
    expect(kept(after)).toContain("captured-by-subgraph");
  });

  it("folds with layers and parameters that a branch captures, and with initializers of its own", () => {
    const own = graph([conv("x", 1, "v"), bn("v", 1, "t")], "t", { initializers: stored(1) });
    const after = shown(
      net([branches(graph([conv("x", 0, "v"), bn("v", 0, "t")], "t"), own)], { inputs, initializers: stored(0), functions: [] }),
    );
    expect(decisions(after.data).length).toBe(2);
    expect(running(after.model)).toBe(0);
  });

  it("knows the shape both branches give", () => {
    const then = graph([conv("x", 0, "v"), node("Relu", ["v"], ["t"])], "t", { outputs: [{ name: "t" }] });
    const other = graph([conv("x", 0, "t")], "t", { outputs: [{ name: "t" }] });
    const nodes = [branches(then, other, "h"), node("Mul", ["h", "k"], ["a"]), conv("a", 1, "y")];
    const after = shown(
      net(nodes, { inputs, functions: [], initializers: { ...stored(0, 1), k: float32([C, 1, 1], [1, 2, 3]) } }),
    );
    expect(types(after.model)).toEqual(["If", "Conv"]);
  });

  it("tells an inner value from an outer one of the same name", () => {
    // "s0" of the branch hides the outer one; "v" is another value in each branch.
    const hides = graph([conv("x", 0, "v"), bn("v", 0, "t")], "t", { initializers: { s0: numbers([C], 77) } });
    const after = shown(net([branches(hides, graph([conv("x", 0, "v"), bn("v", 0, "t")], "t"))], { inputs }));
    expect(running(after.model)).toBe(0);
  });

  it("folds calls in branches, with a graph of its own around each", () => {
    const branch = (k: number) => graph([block("x", k, "t")], "t");
    const after = shown(net([branches(branch(0), branch(1))], { inputs }));
    expect(running(after.model)).toBe(0);
    expect(after.data.inlined).toEqual([
      { function: "local:ConvBN", calls: ["if/then_branch/t", "if/else_branch/t"], dropped: true },
    ]);
  });

  it("folds in functions that hold branches which capture what the call gives", () => {
    const cond = fn(
      "Cond",
      ["x", "w", ...norm(""), "c"],
      [branches(graph([conv("x", "", "k"), bn("k", "", "t")], "t"), graph([conv("x", "", "t")], "t"), "r")],
    );
    const after = shown(
      net([call("Cond", ["x", "w0", ...norm(0), "c"], "a"), call("Cond", ["a", "w0", ...norm(1), "c"], "y")], {
        inputs,
        functions: [cond],
      }),
    );
    expect(running(after.model)).toBe(0);
  });

  it("folds in a Loop that carries a value and scans another out, calls included", () => {
    const body: GraphSpec = {
      inputs: [{ name: "i", dtype: "int64", dims: [] }, { name: "go", dtype: "bool", dims: [] }, out("h")],
      nodes: [
        node("Identity", ["go"], ["on"]),
        conv("h", 0, "v"),
        bn("v", 0, "n"),
        node("Tanh", ["n"], ["h2"]),
        block("h2", 1, "o"),
      ],
      outputs: [{ name: "on", dtype: "bool", dims: [] }, out("h2"), out("o")],
    };
    const initializers = { ...stored(0, 1), trips: int64([], [3]) };
    const nodes = [
      node("Loop", ["trips", "", "x"], ["last", "all"], { body }),
      node("ReduceSum", ["all", "zero"], ["sum"], { keepdims: 0 }),
      node("Add", ["last", "sum"], ["y"]),
    ];
    const after = shown(net(nodes, { initializers: { ...initializers, zero: int64([1], [0]) } }));
    expect(running(after.model)).toBe(0);
  });

  it("folds in a Scan", () => {
    const body: GraphSpec = {
      inputs: [
        { name: "h", dims: [C, 4, 4] },
        { name: "e", dims: [C, 4, 4] },
      ],
      nodes: [
        node("Unsqueeze", ["e", "zero"], ["e1"]),
        block("e1", 0, "n"),
        node("Squeeze", ["n", "zero"], ["n1"]),
        node("Add", ["h", "n1"], ["h2"]),
        node("Identity", ["n1"], ["o"]),
      ],
      outputs: [
        { name: "h2", dims: [C, 4, 4] },
        { name: "o", dims: [C, 4, 4] },
      ],
    };
    const initializers = { ...stored(0), zero: int64([1], [0]), start: numbers([C, 4, 4], 3) };
    const nodes = [
      node("Scan", ["start", "x"], ["end", "each"], { body, num_scan_inputs: 1 }),
      node("Add", ["each", "end"], ["y"]),
    ];
    const after = shown(net(nodes, { initializers }));
    expect(running(after.model)).toBe(0);
  });
});

describe("networks of random blocks", () => {
  const folder = new URL("../../fixtures/functions/", import.meta.url);
  const open = (name: string) => read(memorySource(readFileSync(new URL(name, folder)), name));
  const names = readdirSync(folder).filter((name) => /^\d+\.onnx$/.test(name));

  // The inliner leaves out default values of attributes: only how much folds is compared with it, not the numbers.
  it.each(names)("%s folds as far as what ONNX's own inliner makes of it", (name) => {
    const [before, written] = [open(name), open(name.replace(".onnx", "-inlined.onnx"))];
    expect(running(before)).toBe(running(written));
    const [after, other] = [shown(before), folded(written)];
    expect(running(after.model)).toBe(running(other.model));
  });
});
