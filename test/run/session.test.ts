import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { read } from "../../src/onnx/read.ts";
import { memorySource } from "../../src/onnx/source.ts";
import type { Tensor } from "../../src/onnx/tensor.ts";
import { isTensor, type Value } from "../../src/ops/define.ts";
import { plan } from "../../src/run/plan.ts";
import { createSession, runNode } from "../../src/run/session.ts";
import { bytesField, f, float16, float32, int64, intField, model, node, ref, tensorProto, textField } from "../helpers/build.ts";

const real = (...values: number[]): Tensor => ({ dtype: "float32", dims: [values.length], data: Float64Array.from(values) });
const bool = (value: boolean): Tensor => ({ dtype: "bool", dims: [], data: Uint8Array.of(Number(value)) });
const feeds = (entries: Record<string, Value>) => new Map(Object.entries(entries));
const numbers = (value: Value | undefined): number[] => {
  if (!isTensor(value)) throw new Error("not a tensor");
  return Array.from(value.data as ArrayLike<number | bigint>, Number);
};
const x = { name: "x", dims: [2] };
const y = { name: "y", dims: [2] };

function caught(run: () => unknown): BnfoldError {
  try {
    run();
  } catch (error) {
    if (error instanceof BnfoldError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("order", () => {
  it("runs nodes listed in any order", () => {
    const m = model({
      nodes: [node("Mul", ["b", "b"], ["y"]), node("Add", ["a", "x"], ["b"]), node("Neg", ["x"], ["a"])],
      inputs: [x],
      outputs: [y],
    });
    const seen: string[] = [];
    const session = createSession(m, { onNode: (e) => seen.push(`${e.node.opType} ${e.done}/${e.total}`) });
    expect(numbers(session.run(feeds({ x: real(3, 4) })).get("y"))).toEqual([0, 0]);
    expect(seen).toEqual(["Neg 1/3", "Add 2/3", "Mul 3/3"]);
  });

  it("names a cycle", () => {
    const m = model({
      nodes: [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"])],
      inputs: [x],
      outputs: [{ name: "b" }],
    });
    const error = caught(() => createSession(m));
    expect(error.kind).toBe("model");
    expect(error.message).toMatch(/cycle.*(Add|Neg)/);
  });

  it("names a value nobody gives, with its reader", () => {
    const m = model({ nodes: [node("Add", ["x", "ghost"], ["y"], {}, { name: "adder" })], inputs: [x], outputs: [y] });
    const error = caught(() => createSession(m));
    expect(error.message).toContain('"ghost"');
    expect(error.message).toContain("adder (Add)");
  });

  it("refuses a value computed twice", () => {
    const m = model({ nodes: [node("Neg", ["x"], ["y"]), node("Abs", ["x"], ["y"])], inputs: [x], outputs: [y] });
    expect(caught(() => createSession(m)).message).toContain('two nodes compute the value "y"');
  });

  it("frees each value after its last reader and keeps what is wanted", () => {
    const { graph } = model({
      nodes: [node("Neg", ["x"], ["a"]), node("Abs", ["a"], ["b"]), node("Add", ["a", "b"], ["y"]), node("Neg", ["b"], ["z"])],
      inputs: [x],
      outputs: [y, { name: "z" }],
    });
    expect(plan(graph.nodes, ["y", "z"]).steps.map((s) => [s.node.opType, [...s.frees].sort()])).toEqual([
      ["Neg", ["x"]],
      ["Abs", []],
      ["Add", ["a"]],
      ["Neg", ["b"]],
    ]);
  });
});

describe("what is run", () => {
  const m = model({
    nodes: [node("Neg", ["x"], ["a"]), node("Abs", ["a"], ["b"]), node("Unheard", ["b"], ["y"], {}, { domain: "some.where" })],
    inputs: [x],
    outputs: [y],
    opsets: { "": 21, "some.where": 3 },
  });

  it("is only what `only` needs", () => {
    const watched: string[] = [];
    const outputs = createSession(m, { only: ["b"] }).run(feeds({ x: real(1, -2) }), { watch: (name) => watched.push(name) });
    expect([...outputs.keys()]).toEqual(["b"]);
    expect(numbers(outputs.get("b"))).toEqual([1, 2]);
    expect(watched).toEqual(["a", "b"]);
  });

  it("names an operator nobody knows, its domain and opset", () => {
    const error = caught(() => createSession(m).run(feeds({ x: real(1, -2) })));
    expect(error.kind).toBe("operator");
    expect(error.message).toContain("Unheard (domain some.where, opset 3)");
    expect(error.place.node).toContain("Unheard");
  });
});

describe("feeds", () => {
  const m = model({
    nodes: [node("Add", ["x", "w"], ["s"]), node("Add", ["s", "t"], ["y"])],
    inputs: [x, { name: "w", dims: [2] }, { name: "t", dims: ["n"] }],
    initializers: { w: float32([2], [10, 20]) },
    outputs: [y],
  });

  it("are the inputs without initializer; an initializer that is an input can be fed", () => {
    const session = createSession(m);
    expect(session.inputs.map(({ name }) => name)).toEqual(["x", "t"]);
    expect(numbers(session.run(feeds({ x: real(1, 2), t: real(0, 0) })).get("y"))).toEqual([11, 22]);
    expect(numbers(session.run(feeds({ x: real(1, 2), t: real(0, 0), w: real(5, 5) })).get("y"))).toEqual([6, 7]);
  });

  it("that do not fit are all named at once", () => {
    const error = caught(() => createSession(m).run(feeds({ x: { ...real(1, 2), dtype: "float64" }, z: real(1) })));
    expect(error.kind).toBe("usage");
    expect(error.message).toContain('"x" should be float32 [2], got float64 [2]');
    expect(error.message).toContain('"t" (float32 [n]) is missing');
    expect(error.message).toContain('"z" is no input');
    expect(caught(() => createSession(m).run(feeds({ x: real(1, 2, 3), t: real(0) }))).message).toContain("got float32 [3]");
  });

  it("and constants: initializers can be replaced, other names not", () => {
    const session = createSession(m, { constants: new Map([["w", real(100, 200)]]) });
    expect(numbers(session.run(feeds({ x: real(1, 2), t: real(0, 0) })).get("y"))).toEqual([101, 202]);
    expect(caught(() => createSession(m, { constants: new Map([["x", real(1, 2)]]) })).kind).toBe("usage");
  });

  it("that a node cannot take give an error with the shapes", () => {
    const error = caught(() => createSession(m).run(feeds({ x: real(1, 2), t: real(1, 2, 3) })));
    expect(error.message).toMatch(/\[2\] and \[3\] cannot be broadcast/);
    expect(error.place.node).toBe("y (Add)");
  });
});

describe("numeric modes", () => {
  const tiny = 2 ** -30;
  const m = model({
    nodes: [node("Add", ["x", "c"], ["s"]), node("Sub", ["s", "x"], ["y"])],
    inputs: [x],
    initializers: { c: float32([2], [tiny, tiny]) },
    outputs: [y],
  });

  it("float64 keeps what float32 loses; storage loses it", () => {
    expect(
      numbers(
        createSession(m)
          .run(feeds({ x: real(1, 1) }))
          .get("y"),
      ),
    ).toEqual([tiny, tiny]);
    expect(
      numbers(
        createSession(m, { mode: "storage" })
          .run(feeds({ x: real(1, 1) }))
          .get("y"),
      ),
    ).toEqual([0, 0]);
  });

  it("storage rounds to float16 after each node, feeds included, and never writes to what it was given", () => {
    const half = model({
      nodes: [node("Add", ["x", "c"], ["y"])],
      inputs: [{ ...x, dtype: "float16" }],
      initializers: { c: float16([2], [2048, 1]) },
      outputs: [{ ...y, dtype: "float16" }],
    });
    const given: Tensor = { dtype: "float16", dims: [2], data: Float64Array.of(1, 0.1) };
    const out = createSession(half, { mode: "storage" })
      .run(feeds({ x: given }))
      .get("y");
    expect(numbers(out)).toEqual([2048, 1.099609375]);
    expect(Array.from(given.data as Float64Array)).toEqual([1, 0.1]);
    expect(
      numbers(
        createSession(half)
          .run(feeds({ x: given }))
          .get("y"),
      ),
    ).toEqual([2049, 1.1]);
  });
});

describe("subgraphs", () => {
  it("see values of every scope around them, which live long enough", () => {
    const inner = { nodes: [node("Add", ["acc", "outer"], ["t"]), node("Add", ["t", "step"], ["r"])], outputs: [{ name: "r" }] };
    const other = { nodes: [node("Identity", ["acc"], ["e"])], outputs: [{ name: "e" }] };
    const body = {
      nodes: [
        node("Cast", ["i"], ["step"], { to: 1 }),
        node("If", ["flag"], ["next"], { then_branch: inner, else_branch: other }),
        node("Identity", ["go"], ["more"]),
        node("Abs", ["next"], ["scan"]),
      ],
      inputs: [
        { name: "i", dtype: "int64", dims: [] },
        { name: "go", dtype: "bool", dims: [] },
        { name: "acc", dims: [2] },
      ],
      outputs: [
        { name: "more", dtype: "bool", dims: [] },
        { name: "next", dims: [2] },
        { name: "scan", dims: [2] },
      ],
    };
    const m = model({
      nodes: [node("Neg", ["x"], ["outer"]), node("Loop", ["count", "", "x"], ["y", "all"], { body })],
      inputs: [x, { name: "flag", dtype: "bool", dims: [] }],
      initializers: { count: int64([], [3]) },
      outputs: [y, { name: "all" }],
    });
    const on = createSession(m).run(feeds({ x: real(1, 2), flag: bool(true) }));
    // acc − x + i for i = 0, 1, 2
    expect(numbers(on.get("y"))).toEqual([1 - 3 + 3, 2 - 6 + 3]);
    expect((on.get("all") as Tensor).dims).toEqual([3, 2]);
    expect(numbers(on.get("all"))).toEqual([0, 0, 0, 1, 1, 1]);
    expect(
      numbers(
        createSession(m)
          .run(feeds({ x: real(1, 2), flag: bool(false) }))
          .get("y"),
      ),
    ).toEqual([1, 2]);
  });

  it("that never run leave an empty scan of the declared type", () => {
    const body = {
      nodes: [node("Identity", ["go"], ["more"]), node("Cast", ["i"], ["s"], { to: 11 })],
      inputs: [
        { name: "i", dtype: "int64", dims: [] },
        { name: "go", dtype: "bool", dims: [] },
      ],
      outputs: [
        { name: "more", dtype: "bool", dims: [] },
        { name: "s", dtype: "float64", dims: [4] },
      ],
    };
    const m = model({
      nodes: [node("Loop", ["n", ""], ["y"], { body })],
      initializers: { n: int64([], [0]) },
      outputs: [{ name: "y" }],
    });
    expect(createSession(m).run(new Map()).get("y")).toMatchObject({ dtype: "float64", dims: [0, 4] });
  });
});

describe("functions", () => {
  const scaled = {
    name: "Rotate",
    domain: "own",
    inputs: ["a", "b"],
    outputs: ["r"],
    attributes: ["by"],
    nodes: [node("Concat", ["a", "a"], ["r"], { axis: ref("by") })],
  };

  it("run with the attributes they are called with", () => {
    const m = model({
      nodes: [
        node("Rotate", ["x"], ["y"], { by: 0 }, { domain: "own" }),
        node("Rotate", ["m"], ["z"], { by: 1 }, { domain: "own" }),
      ],
      inputs: [x, { name: "m", dims: [1, 1] }],
      outputs: [
        { name: "y", dims: [4] },
        { name: "z", dims: [1, 2] },
      ],
      opsets: { "": 21, own: 1 },
      functions: [scaled],
    });
    const out = createSession(m).run(feeds({ x: real(1, 2), m: { ...real(7), dims: [1, 1] } }));
    expect(numbers(out.get("y"))).toEqual([1, 2, 1, 2]);
    expect((out.get("z") as Tensor).dims).toEqual([1, 2]);
  });

  it("that call themselves are refused", () => {
    const m = model({
      nodes: [node("Loop", ["x"], ["y"], {}, { domain: "own" })],
      inputs: [x],
      outputs: [y],
      opsets: { "": 21, own: 1 },
      functions: [
        {
          name: "Loop",
          domain: "own",
          inputs: ["a"],
          outputs: ["b"],
          nodes: [node("Loop", ["a"], ["b"], {}, { domain: "own" })],
          opsets: { own: 1 },
        },
      ],
    });
    expect(caught(() => createSession(m).run(feeds({ x: real(1, 2) }))).message).toContain("functions call each other");
  });

  it("use their own operator sets", () => {
    const m = model({
      nodes: [node("Half", ["x"], ["y"], {}, { domain: "own" })],
      inputs: [x],
      outputs: [y],
      opsets: { "": 21, own: 1 },
      functions: [
        // Opset 12: the axes of Unsqueeze and Squeeze are attributes.
        {
          name: "Half",
          domain: "own",
          inputs: ["a"],
          outputs: ["b"],
          nodes: [node("Unsqueeze", ["a"], ["t"], { axes: [0] }), node("Squeeze", ["t"], ["b"], { axes: [0] })],
          opsets: { "": 12 },
        },
      ],
    });
    expect(
      numbers(
        createSession(m)
          .run(feeds({ x: real(1, 2) }))
          .get("y"),
      ),
    ).toEqual([1, 2]);
  });
});

describe("what only bytes can say", () => {
  const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => Array.from(part)));
  const op = (type: string, inputs: string[], outputs: string[], ...rest: Uint8Array[]) =>
    bytesField(
      1,
      join(...inputs.map((n) => textField(1, n)), ...outputs.map((n) => textField(2, n)), textField(4, type), ...rest),
    );
  const value = (field: number, name: string) =>
    bytesField(field, join(textField(1, name), bytesField(2, bytesField(1, intField(1, 1)))));
  const opset = (domain: string, version: number) => bytesField(8, join(textField(1, domain), intField(2, version)));
  const parse = (graph: Uint8Array, ...rest: Uint8Array[]) =>
    read(memorySource(join(intField(1, 10), bytesField(7, graph), opset("", 21), opset("own", 1), ...rest)));

  it("sparse initializers are dense to their readers", () => {
    const sparse = join(
      bytesField(1, tensorProto("w", float32([2], [5, 7]))),
      bytesField(2, tensorProto("", int64([2, 2], [0, 1, 1, 0]))),
      intField(3, 2),
      intField(3, 2),
    );
    const m = parse(join(op("Neg", ["w"], ["y"]), bytesField(15, sparse), value(12, "y")));
    const out = createSession(m).run(new Map()).get("y") as Tensor;
    expect(out.dims).toEqual([2, 2]);
    expect(Array.from(out.data as Float64Array, Math.abs)).toEqual([0, 5, 7, 0]);
  });

  it("functions have overloads and attributes with defaults", () => {
    const int = (name: string, i: number) => join(textField(1, name), intField(3, i), intField(20, 2));
    const flatten = join(textField(1, "axis"), textField(21, "at"), intField(20, 2));
    const make = (overload: string, ...nodes: Uint8Array[]) =>
      bytesField(
        25,
        join(
          ...[textField(1, "F"), textField(4, "a"), textField(5, "r"), textField(10, "own"), textField(13, overload)],
          bytesField(11, int("at", 2)),
          bytesField(9, join(textField(1, ""), intField(2, 21))),
          ...nodes,
        ),
      );
    const call = (out: string, overload: string, ...rest: Uint8Array[]) =>
      op("F", ["x"], [out], textField(7, "own"), textField(8, overload), ...rest);
    const body = op("Flatten", ["a"], ["r"], bytesField(5, flatten));
    const moved = join(Uint8Array.of(58), body.subarray(1)); // a function's nodes are field 7
    const negated = join(Uint8Array.of(58), op("Neg", ["a"], ["r"]).subarray(1));
    const graph = join(
      ...[call("y", "one"), call("z", "one", bytesField(5, int("at", 1))), call("n", "two")],
      ...[value(11, "x"), value(12, "y"), value(12, "z"), value(12, "n")],
    );
    const m = parse(graph, make("one", moved), make("two", negated));
    const out = createSession(m).run(feeds({ x: { dtype: "float32", dims: [2, 3, 1], data: new Float64Array(6).fill(1) } }));
    expect((out.get("y") as Tensor).dims).toEqual([6, 1]);
    expect((out.get("z") as Tensor).dims).toEqual([2, 3]);
    expect(numbers(out.get("n"))).toEqual([-1, -1, -1, -1, -1, -1]);
  });
});

describe("random operators", () => {
  const m = (extra: boolean) =>
    model({
      nodes: [
        ...(extra ? [node("Neg", ["x"], ["unused"])] : []),
        node("RandomUniformLike", ["x"], ["r"]),
        node("Add", ["x", "r"], ["y"]),
      ],
      inputs: [x],
      outputs: [y],
    });
  const run = (seed: number, extra = false) =>
    numbers(
      createSession(m(extra), { seed })
        .run(feeds({ x: real(0, 0) }))
        .get("y"),
    );

  it("repeat with the seed, differ with another, and do not depend on other nodes", () => {
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
    expect(run(1, true)).toEqual(run(1));
    expect(run(1).every((v) => v >= 0 && v < 1)).toBe(true);
  });

  it("draw NumPy's numbers when the node has a seed", () => {
    const seeded = model({ nodes: [node("RandomUniform", [], ["y"], { shape: [3], seed: f(42) })], outputs: [{ name: "y" }] });
    // numpy.random.RandomState(42).random_sample(3)
    const expected = [0.3745401188473625, 0.9507143064099162, 0.7319939418114051];
    expect(numbers(createSession(seeded).run(new Map()).get("y"))).toEqual(expected);
  });
});

describe("runNode", () => {
  it("evaluates one node without a session", () => {
    const { graph } = model({ nodes: [node("Sqrt", ["v"], ["s"])], outputs: [{ name: "s" }] });
    expect(numbers(runNode(graph.nodes[0], 21, [real(4, 9)])[0])).toEqual([2, 3]);
  });

  it("refuses a node that reads the graph around it", () => {
    const branch = { nodes: [node("Neg", ["far"], ["n"])], outputs: [{ name: "n" }] };
    const { graph } = model({ nodes: [node("If", ["c"], ["y"], { then_branch: branch, else_branch: branch })], outputs: [y] });
    expect(caught(() => runNode(graph.nodes[0], 21, [bool(true)])).message).toContain('"far"');
  });
});
