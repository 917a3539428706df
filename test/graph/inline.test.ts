import { describe, expect, it } from "vitest";
import { BnfoldError } from "../../src/diag/error.ts";
import { expandedSize, Functions } from "../../src/graph/functions.ts";
import { type Inlined, inline } from "../../src/graph/inline.ts";
import { objections } from "../../src/graph/objections.ts";
import { meansTheSame } from "../../src/graph/op-versions.ts";
import type { Model, NodeRecord } from "../../src/onnx/records.ts";
import { f, float32, type ModelSpec, model, node, ref, textField } from "../helpers/build.ts";

const local = { domain: "loc" };
const x = { name: "x", dims: [2] };
const y = { name: "y", dims: [2] };

/** A model that imports the domain of its functions. */
const spec = (more: Partial<ModelSpec> & Pick<ModelSpec, "nodes" | "functions">): Model =>
  model({ opsets: { "": 21, loc: 1 }, inputs: [x], outputs: [y], ...more });

const fn = (
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: ModelSpec["nodes"],
  more: object = {},
) => ({
  ...{ name, inputs, outputs, nodes, domain: "loc" },
  ...more,
});

/** Every call written out that may be. */
function all(of: Model): Inlined {
  const functions = new Functions(of.functions);
  const objection = objections(of, functions);
  return inline(of, functions, (site, root) => objection(site, root) === undefined);
}

const line = ({ opType, inputs, outputs, name }: NodeRecord) => `${name}: ${opType}(${inputs}) -> ${outputs}`;
const lines = ({ graph }: Model) => graph.nodes.map(line);
const inner = ({ graph }: Model, i: number, attribute: string) => graph.nodes[i].attributes.get(attribute)?.g;
const bytes = (of: Model, { frame }: NodeRecord) => Buffer.from(of.files.main.read(frame.tagAt, frame.end));

describe("inline", () => {
  it("gives formals the values of the call and everything else a fresh name", () => {
    const { model: made, dropped } = all(
      spec({
        nodes: [node("F", ["x"], ["b/t"], {}, local), node("F", ["b/t"], ["y"], {}, { ...local, name: "b" })],
        functions: [fn("F", ["p"], ["r"], [node("Neg", ["p"], ["t"], {}, { name: "n" }), node("Abs", ["t"], ["r"])])],
      }),
    );
    expect(lines(made)).toEqual(["b/t/n: Neg(x) -> b/t/t", ": Abs(b/t/t) -> b/t", "b/n: Neg(b/t) -> b/t_1", ": Abs(b/t_1) -> y"]);
    expect(dropped).toEqual(["loc:F"]);
    expect(made.functions).toEqual([]);
  });

  it("leaves absent inputs absent, drops trailing ones, and reads unused outputs under a name of their own", () => {
    const { model: made } = all(
      spec({
        nodes: [node("F", ["x", "", "x"], ["", "y"], {}, { ...local, name: "c" })],
        functions: [
          fn("F", ["p", "q", "r", "s"], ["u", "v"], [node("Clip", ["p", "q", "r"], ["u"]), node("Clip", ["r", "q", "s"], ["v"])]),
        ],
      }),
    );
    expect(lines(made)).toEqual([": Clip(x,,x) -> c/u", ": Clip(x) -> y"]);
  });

  it("copies an input that is returned, and an output that is returned twice", () => {
    const { model: made } = all(
      spec({
        nodes: [node("F", ["x"], ["a", "b", "c"], {}, { ...local, name: "k" }), node("Sum", ["a", "b", "c"], ["y"])],
        functions: [fn("F", ["p"], ["p", "r", "r"], [node("Neg", ["p"], ["r"])])],
      }),
    );
    expect(lines(made)).toEqual([": Neg(x) -> b", ": Identity(x) -> a", ": Identity(b) -> c", ": Sum(a,b,c) -> y"]);
  });

  it("puts attributes in: those of the call, defaults, none; through two calls", () => {
    const clip = node("LeakyRelu", ["p"], ["a"], { alpha: ref("alpha") });
    const of = spec({
      nodes: [
        node("G", ["x"], ["a"], { alpha: f(0.5) }, local),
        node("G", ["a"], ["b"], {}, local),
        node("F", ["b"], ["y"], {}, local),
      ],
      functions: [
        fn("F", ["p"], ["a"], [clip], { attributes: ["alpha"] }),
        fn("G", ["p"], ["a"], [node("F", ["p"], ["a"], { alpha: ref("slope") }, local)], {
          defaults: { alpha: f(0.25), slope: f(0.75) },
        }),
      ],
    });
    const { model: made } = all(of);
    expect(made.graph.nodes.map(({ attributes }) => attributes.get("alpha")?.f)).toEqual([0.75, 0.75, undefined]);
    expect(made.graph.nodes.map(({ attributes }) => attributes.get("alpha")?.refAttrName)).toEqual(["", "", undefined]);
    expect(made.graph.nodes.map(({ attributes }) => attributes.get("alpha")?.type)).toEqual([1, 1, undefined]);
  });

  it("keeps a reference to an attribute of the function the call stands in", () => {
    const of = spec({
      nodes: [node("G", ["x"], ["y"], { slope: f(0.5) }, local)],
      functions: [
        fn("F", ["p"], ["a"], [node("LeakyRelu", ["p"], ["a"], { alpha: ref("alpha") })], { attributes: ["alpha"] }),
        fn("G", ["p"], ["a"], [node("F", ["p"], ["a"], { alpha: ref("slope") }, local)], { attributes: ["slope"] }),
      ],
    });
    const { model: made, dropped } = inline(of, new Functions(of.functions), (_, root) => root.isFunction);
    expect(dropped).toEqual(["loc:F"]);
    expect(made.functions.map(({ name, nodes }) => [name, nodes.map(line)])).toEqual([["G", [": LeakyRelu(p) -> a"]]]);
    expect(made.functions[0].nodes[0].attributes.get("alpha")?.refAttrName).toBe("slope");
  });

  it("renames inside graphs: captured formals, own values of the same name, what both branches call alike", () => {
    const branch = (op: string, more: object = {}) => ({
      nodes: [node(op, ["p"], ["v"]), node("Mul", ["v", "k"], ["w"])],
      initializers: { k: float32([1], [2]) },
      outputs: [{ name: "w", dims: [2] }],
      valueInfos: [{ name: "v", dims: [2] }],
      ...more,
    });
    const of = spec({
      inputs: [x, { name: "c", dtype: "bool", dims: [] }],
      nodes: [node("F", ["x", "c"], ["y"], {}, { ...local, name: "g" })],
      functions: [
        fn(
          "F",
          ["p", "q"],
          ["r"],
          [node("If", ["q"], ["r"], { then_branch: branch("Neg"), else_branch: branch("Abs") }, { name: "if" })],
        ),
      ],
    });
    const { model: made } = all(of);
    expect(lines(made)).toEqual(["g/if: If(c) -> y"]);
    const [yes, no] = [inner(made, 0, "then_branch"), inner(made, 0, "else_branch")];
    expect(yes?.nodes.map(line)).toEqual([": Neg(x) -> g/v", ": Mul(g/v,g/k) -> g/w"]);
    expect(no?.nodes.map(line)).toEqual([": Abs(x) -> g/v_1", ": Mul(g/v_1,g/k_1) -> g/w_1"]);
    expect([yes?.outputs[0].name, yes?.initializers[0].name, yes?.valueInfos[0].name]).toEqual(["g/w", "g/k", "g/v"]);
    expect(no?.outputs[0].name).toBe("g/w_1");
  });

  it("writes out calls inside graphs, in the file and in a copy", () => {
    const branch = (call: string, input: string) => ({
      nodes: [node(call, [input], [`${call}${input}`], {}, local)],
      outputs: [{ name: `${call}${input}`, dims: [2] }],
    });
    const cond = { then_branch: branch("F", "x"), else_branch: branch("G", "x") };
    const of = spec({
      inputs: [x, { name: "c", dtype: "bool", dims: [] }],
      nodes: [node("If", ["c"], ["y"], cond, { name: "if" })],
      functions: [
        fn("F", ["p"], ["r"], [node("Neg", ["p"], ["r"])]),
        fn(
          "G",
          ["x"],
          ["r"],
          [node("Not", ["x"], ["n"]), node("If", ["n"], ["r"], { then_branch: branch("F", "x"), else_branch: branch("F", "n") })],
        ),
      ],
    });
    const { model: made, origins } = all(of);
    expect(inner(made, 0, "then_branch")?.nodes.map(line)).toEqual([": Neg(x) -> Fx"]);
    const other = inner(made, 0, "else_branch");
    expect(other?.nodes.map(line)).toEqual([": Not(x) -> Gx/n", ": If(Gx/n) -> Gx"]);
    expect(other?.nodes[1].attributes.get("then_branch")?.g?.nodes.map(line)).toEqual([": Neg(x) -> Gx/Fx"]);
    expect(other?.nodes[1].attributes.get("else_branch")?.g?.nodes.map(line)).toEqual([": Neg(Gx/n) -> Gx/Fn"]);
    expect(origins.get("if/else_branch/Gx/else_branch#0")).toMatchObject({
      scope: "if/else_branch/Gx/r/else_branch/Fn",
      index: 0,
    });
    expect(made.functions).toEqual([]);
  });

  it("keeps fields nobody knows, and the types a body declares unless they name a size", () => {
    const extra = textField(77, "what later versions say");
    const of = spec({
      irVersion: 10,
      nodes: [node("F", ["x"], ["y"], {}, { ...local, name: "c" })],
      functions: [
        fn("F", ["p"], ["r"], [node("Neg", ["p"], ["t"], {}, { extra }), node("Abs", ["t"], ["u"]), node("Neg", ["u"], ["r"])], {
          valueInfos: [
            { name: "t", dims: [2] },
            { name: "u", dims: ["N"] },
            { name: "p", dims: [2] },
            { name: "r", dims: [2] },
          ],
        }),
      ],
    });
    const { model: made } = all(of);
    expect(bytes(made, made.graph.nodes[0]).includes(Buffer.from(extra))).toBe(true);
    expect(made.graph.valueInfos.map(({ name, type }) => [name, type.shape])).toEqual([["c/t", [2]]]);
  });

  it("tells overloads apart", () => {
    const of = spec({
      nodes: [node("F", ["x"], ["a"], {}, { ...local, overload: "1" }), node("F", ["a"], ["y"], {}, local)],
      functions: [
        fn("F", ["p"], ["r"], [node("Neg", ["p"], ["r"])]),
        fn("F", ["p"], ["r"], [node("Abs", ["p"], ["r"])], { overload: "1" }),
      ],
    });
    expect(lines(all(of).model)).toEqual([": Abs(x) -> a", ": Neg(a) -> y"]);
  });

  it("leaves calls that are not chosen byte for byte, with their functions, and functions nobody called", () => {
    const of = spec({
      nodes: [node("F", ["x"], ["a"], {}, local), node("G", ["a"], ["y"], {}, local)],
      functions: [
        fn("F", ["p"], ["r"], [node("H", ["p"], ["r"], {}, local)]),
        fn("G", ["p"], ["r"], [node("Neg", ["p"], ["r"])]),
        fn("H", ["p"], ["r"], [node("Abs", ["p"], ["r"])]),
        fn("U", ["p"], ["r"], [node("G", ["p"], ["r"], {}, local)]),
      ],
    });
    const { model: made, dropped } = inline(
      of,
      new Functions(of.functions),
      ({ callee, home }) => callee.name === "G" && home === "",
    );
    expect(lines(made)).toEqual([": F(x) -> a", ": Neg(a) -> y"]);
    expect(bytes(made, made.graph.nodes[0])).toEqual(bytes(of, of.graph.nodes[0]));
    expect(dropped).toEqual([]);
    const functionBytes = (m: Model) => m.functions.map(({ frame }) => Buffer.from(m.files.main.read(frame.tagAt, frame.end)));
    expect(functionBytes(made)).toEqual(functionBytes(of));
  });

  it("imports a domain that only the body needs", () => {
    const of = spec({
      nodes: [node("F", ["x"], ["y"], {}, local)],
      functions: [
        fn("F", ["p"], ["r"], [node("Gelu", ["p"], ["r"], {}, { domain: "com.microsoft" })], {
          opsets: { "": 21, "com.microsoft": 1 },
        }),
      ],
    });
    expect([...all(of).model.opsets]).toEqual([
      ["", 21],
      ["loc", 1],
      ["com.microsoft", 1],
    ]);
  });
});

describe("what cannot be written out", () => {
  const because = (of: Model, i = 0) => {
    const functions = new Functions(of.functions);
    const call = of.graph.nodes[i];
    const callee = functions.called(call);
    if (callee === undefined) return "no call";
    return objections(of, functions)({ call, callee }, { opsets: of.opsets });
  };
  const with_ = (
    body: ModelSpec["nodes"],
    more: object = {},
    call: ModelSpec["nodes"][number] = node("F", ["x"], ["y"], {}, local),
  ) => spec({ nodes: [call], functions: [fn("F", ["p"], ["r"], body, more)] });

  it("a body of another operator set, where that makes a difference", () => {
    const old = { opsets: { "": 12 } };
    expect(because(with_([node("Relu", ["p"], ["r"])], old))).toBeUndefined();
    expect(because(with_([node("Softmax", ["p"], ["r"])], old))).toContain("opset 12, which is another operator in opset 21");
    expect(because(with_([node("Conv", ["p", "p"], ["r"])], { opsets: { "": 22 } }))).toContain("Conv");
    expect(because(with_([node("Gelu", ["p"], ["r"], {}, { domain: "loc" })], { opsets: { loc: 2 } }))).toContain("loc opset 2");
  });

  it("calls and bodies that do not fit", () => {
    expect(because(with_([node("Neg", ["p"], ["q"])]))).toContain('does not make its output "r"');
    expect(because(with_([node("Neg", ["p"], ["r"])], {}, node("F", ["x", "x"], ["y"], {}, local)))).toContain("more inputs");
    expect(because(with_([node("Neg", ["p"], ["r"]), node("Neg", ["r"], ["p"])]))).toContain("one of its own inputs");
    const graph = { nodes: [], outputs: [{ name: "x" }] };
    expect(because(with_([node("Neg", ["p"], ["r"])], {}, node("F", ["x"], ["y"], { body: graph }, local)))).toContain(
      'attribute "body"',
    );
    const passes = spec({ nodes: [node("F", [""], ["y"], {}, local)], functions: [fn("F", ["p"], ["p"], [])] });
    expect(because(passes)).toContain("an input that is not given");
  });

  it("a function of a standard operator's name: runtimes differ in what its nodes are", () => {
    const functions = [{ ...fn("Relu", ["p"], ["r"], [node("Neg", ["p"], ["r"])]), domain: "" }];
    expect(because(spec({ nodes: [node("Relu", ["x"], ["y"])], functions }))).toBe("no call");
    expect(
      new Functions(spec({ nodes: [], functions }).functions).isAmbiguous(
        spec({ nodes: [node("Relu", ["x"], ["y"])], functions }).graph.nodes[0],
      ),
    ).toBe(true);
  });

  it("functions that call themselves", () => {
    const of = spec({
      nodes: [node("F", ["x"], ["y"], {}, local)],
      functions: [
        fn("F", ["p"], ["r"], [node("G", ["p"], ["r"], {}, local)]),
        fn("G", ["p"], ["r"], [node("F", ["p"], ["r"], {}, local)]),
      ],
    });
    expect(() => expandedSize(of, new Functions(of.functions))(of.graph.nodes)).toThrow(BnfoldError);
    expect(() => expandedSize(of, new Functions(of.functions))(of.graph.nodes)).toThrow(
      "loc:F calls itself (loc:F → loc:G → loc:F)",
    );
  });
});

describe("operator versions", () => {
  it("know where an operator changed", () => {
    expect(meansTheSame("Conv", 11, 21)).toBe(true);
    expect(meansTheSame("Conv", 1, 22)).toBe(true);
    expect(meansTheSame("Conv", 22, 21)).toBe(false);
    expect(meansTheSame("Softmax", 11, 13)).toBe(false);
    expect(meansTheSame("Dropout", 7, 10)).toBe(false);
    expect(meansTheSame("BatchNormalization", 9, 14)).toBe(false);
    expect(meansTheSame("BatchNormalization", 14, 21)).toBe(true);
    expect(meansTheSame("ReduceMean", 13, 18)).toBe(false);
    expect(meansTheSame("NoSuchOperator", 13, 18)).toBe(false);
    expect(meansTheSame("NoSuchOperator", 13, 13)).toBe(true);
  });
});
