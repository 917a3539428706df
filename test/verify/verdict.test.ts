import { describe, expect, it } from "vitest";
import { compareFaces } from "../../src/verify/faces.ts";
import { verifyModels } from "../../src/verify/index.ts";
import type { Proof, RegionProof } from "../../src/verify/types.ts";
import { f, float32, int64, model, node } from "../helpers/build.ts";
import { blocks, chain, type Fault } from "./nets.ts";

const region = (outcome: RegionProof["outcome"], more: Partial<RegionProof> = {}): RegionProof => ({
  outcome,
  nodes: ["conv0"],
  value: "n0",
  worstHalfUlps: 0.97,
  coefficients: 224,
  ...more,
});
const proof = (...outcomes: RegionProof[]): (() => Proof) => {
  const outcome = (["different", "not-decided", "equal"] as const).find((o) => outcomes.some((r) => r.outcome === o)) ?? "equal";
  return () => ({ outcome, regions: outcomes, identicalNodes: 3 });
};

const list = blocks("float32", 1);
const before = chain(list, "float32", false);
const good = chain(list, "float32", true);
const fault: Fault = (_, folded) => {
  folded.b[0] += 0.5;
};
const bad = chain(list, "float32", true, { fault });

describe("verifyModels", () => {
  it("proof and run equal: equivalent, with the figures", () => {
    const verdict = verifyModels(before, good, { prove: proof(region("equal")) });
    expect(verdict.outcome).toBe("equivalent");
    expect(verdict.summary).toMatch(/224 coefficients recomputed, the worst off by 0.97/);
    expect(verdict.summary).toMatch(/on 4 inputs \(normal, large, negative, border\)/);
    expect(verdict.run?.outcome).toBe("equal");
  });

  it("proof not decided, run equal: equivalent, and it says that only the run decided", () => {
    const verdict = verifyModels(before, good, {
      prove: proof(region("equal"), region("not-decided", { reason: "crosses a border" })),
    });
    expect(verdict.outcome).toBe("equivalent");
    expect(verdict.summary).toMatch(/for 1 place only the run decided/);
    expect(verdict.summary).toMatch(/crosses a border/);
  });

  it("proof equal, run different: different, and the two disagree", () => {
    const verdict = verifyModels(before, bad, { prove: proof(region("equal")) });
    expect(verdict.outcome).toBe("different");
    expect(verdict.summary).toMatch(/disagree.*report/);
    expect(verdict.summary).toMatch(/First at "n0"/);
  });

  it("proof different: different, whatever the run says", () => {
    const at = { tensor: "W0", index: [1, 2, 0, 0], expected: 0.25, got: 0.2500001 };
    const verdict = verifyModels(before, good, { prove: proof(region("different", { at })) });
    expect(verdict.outcome).toBe("different");
    expect(verdict.summary).toMatch(/The run did not see it/);
    expect(verdict.summary).toMatch(/"W0" at \[1, 2, 0, 0\]/);
  });

  it("without a run the proof decides alone; with neither it is undecided", () => {
    const custom = model({
      nodes: [node("Magic", ["x"], ["y"], {}, { domain: "my" })],
      inputs: [{ name: "x", dims: [2] }],
      outputs: [{ name: "y" }],
      opsets: { "": 21, my: 1 },
    });
    expect(verifyModels(custom, custom, { prove: proof(region("equal")) })).toMatchObject({
      outcome: "equivalent",
      summary: expect.stringContaining("not confirmed by a run"),
    });
    expect(verifyModels(custom, custom, { prove: proof(region("not-decided")) }).outcome).toBe("undecided");
    expect(verifyModels(custom, custom, { prove: false }).outcome).toBe("undecided");
    expect(verifyModels(before, good, { prove: false, run: false }).outcome).toBe("not-checked");
  });

  it("with the real proof: a good fold is equivalent, a spoiled one different", () => {
    expect(verifyModels(before, good)).toMatchObject({
      outcome: "equivalent",
      proof: { outcome: "equal" },
      run: { outcome: "equal" },
    });
    const spoiled = verifyModels(before, bad);
    expect(spoiled).toMatchObject({ outcome: "different", run: { outcome: "different" } });
    expect(spoiled.proof?.outcome).not.toBe("equal");
  });

  it("files that promise different things are different before anything is run", () => {
    const make = (name: string, dims: (number | string)[], opset = 21, dtype = "float32") =>
      model({ nodes: [node("Relu", ["x"], [name])], inputs: [{ name: "x", dims, dtype }], outputs: [{ name, dtype }], opset });
    const one = make("y", ["n", 3]);
    expect(verifyModels(one, make("z", ["n", 3]))).toMatchObject({
      outcome: "different",
      summary: expect.stringContaining('output "y" is missing'),
    });
    expect(verifyModels(one, make("y", ["n", 4])).outcome).toBe("different");
    expect(verifyModels(one, make("y", ["n", 3], 21, "float16")).outcome).toBe("different");
    const noted = verifyModels(one, make("y", ["batch", 3], 20));
    expect(noted.outcome).toBe("equivalent");
    expect(noted.summary).toMatch(/version 21 in the first file, 20 in the second/);
    expect(noted.summary).toMatch(/\[n, 3\] in the first file, float32 \[batch, 3\]/);
  });
});

describe("operator sets", () => {
  const using = (domain: string, version: number) =>
    model({
      nodes: [node("Relu", ["x"], ["r"]), node("Op", ["r"], ["y"], {}, { domain: "custom" })],
      inputs: [{ name: "x" }],
      outputs: [{ name: "y" }],
      opsets: { "": 21, custom: 1, [domain]: version },
    });

  it("are noted where a node uses them, and not where a tool only imports them", () => {
    expect(compareFaces(using("other", 1), using("other", 2))).toEqual([]);
    expect(compareFaces(using("custom", 1), using("custom", 2))).toMatchObject([{ weight: "note" }]);
  });
});

describe("what the inputs that were run do not show", () => {
  const x = { name: "x", dims: [2, 3] };
  const y = { name: "y", dims: [2, 3] };
  const clipped = (max: number, opset = 21) =>
    opset < 11
      ? model({ nodes: [node("Clip", ["x"], ["y"], { max: f(max) }, { name: "clip" })], inputs: [x], outputs: [y], opset })
      : model({
          nodes: [node("Clip", ["x", "", "hi"], ["y"], {}, { name: "clip" })],
          initializers: { hi: float32([], [max]) },
          inputs: [x],
          outputs: [y],
          opset,
        });

  it("is not decided where the proof finds another number, be it an operand or an attribute", () => {
    for (const opset of [6, 21]) {
      const verdict = verifyModels(clipped(1e6, opset), clipped(2e6, opset));
      expect(verdict).toMatchObject({ outcome: "undecided", run: { outcome: "equal" }, proof: { regions: [{ hidden: true }] } });
      expect(verdict.summary).toMatch(/in 1 place an operator has other numbers than its counterpart/);
      expect(verifyModels(clipped(1e6, opset), clipped(1e6, opset)).outcome).toBe("equivalent");
    }
    expect(verifyModels(clipped(1e6, 6), clipped(2e6)).outcome).toBe("undecided");
    expect(verifyModels(clipped(1e6, 6), clipped(1e6)).outcome).toBe("equivalent");
  });

  it("is so for integers, sizes and modes: a rounding of sizes that fit, an end that no input is long enough for", () => {
    const image = { name: "x", dims: [1, 1, undefined, undefined] };
    const pooled = (ceil: number) =>
      model({
        nodes: [node("MaxPool", ["x"], ["y"], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: ceil }, { name: "pool" })],
        inputs: [image],
        outputs: [{ name: "y" }],
      });
    expect(verifyModels(pooled(0), pooled(1)).outcome).toBe("undecided");
    const sliced = (end: number) =>
      model({
        nodes: [node("Slice", ["x", "s", "e", "a"], ["y"], {}, { name: "slice" })],
        initializers: { s: int64([1], [0]), e: int64([1], [end]), a: int64([1], [2]) },
        inputs: [image],
        outputs: [{ name: "y" }],
      });
    expect(verifyModels(sliced(1000), sliced(2000)).outcome).toBe("undecided");
    expect(verifyModels(sliced(1000), sliced(1000)).outcome).toBe("equivalent");
  });

  it("stays with the run where nothing but a rewrite is unknown", () => {
    const relu = model({ nodes: [node("Relu", ["x"], ["y"])], inputs: [x], outputs: [y] });
    const spelt = model({
      nodes: [node("Abs", ["x"], ["a"]), node("Add", ["x", "a"], ["b"]), node("Mul", ["b", "half"], ["y"])],
      initializers: { half: float32([], [0.5]) },
      inputs: [x],
      outputs: [y],
    });
    expect(verifyModels(relu, spelt)).toMatchObject({ outcome: "equivalent", proof: { outcome: "not-decided" } });
  });

  it("prints as many digits as tell two numbers apart", () => {
    const at = { tensor: "k", index: [0], expected: 1.00005, got: 1 };
    const verdict = verifyModels(before, good, { prove: proof(region("different", { at })) });
    expect(verdict.summary).toMatch(/should be 1\.00005 and is 1\./);
  });
});

describe("what the files promise", () => {
  const x = { name: "x", dims: [2] };
  const y = { name: "y", dims: [2] };
  const scaled = (by: readonly number[], more: { irVersion?: number; read?: boolean } = {}) =>
    model({
      nodes: [node("Mul", ["x", more.read === false ? "x" : "c"], ["y"])],
      initializers: { c: float32([2], by) },
      inputs: [x, { name: "c", dims: [2] }],
      outputs: [y],
      ...(more.irVersion === undefined ? {} : { irVersion: more.irVersion }),
    });

  it("is another default of an input", () => {
    const verdict = verifyModels(scaled([1, 2]), scaled([1, 200]));
    expect(verdict.outcome).toBe("different");
    expect(verdict.summary).toMatch(/default of input "c" is another: at \[1\] 2 in the first file, 200 in the second/);
    expect(verifyModels(scaled([1, 2]), scaled([1, 2])).outcome).toBe("equivalent");
    // Nobody reads it; nobody can feed it.
    expect(verifyModels(scaled([1, 2], { read: false }), scaled([1, 200], { read: false })).outcome).toBe("equivalent");
    expect(verifyModels(scaled([1, 2]), scaled([1, 200]), { assumeConstant: true }).summary).toMatch(/should be 2 and is 200/);
    expect(verifyModels(scaled([1, 2], { irVersion: 3 }), scaled([1, 200], { irVersion: 3 })).summary).toMatch(
      /should be 2 and is 200/,
    );
  });

  it("is an input with a default that only one file has, which is said: both are compared with that default", () => {
    const fixed = (by: readonly number[]) => {
      const spec = { nodes: [node("Mul", ["x", "c"], ["y"])], initializers: { c: float32([2], by) } };
      return model({ ...spec, inputs: [x], outputs: [y] });
    };
    for (const [a, b] of [
      [scaled([1, 2]), fixed([1, 2])],
      [fixed([1, 2]), scaled([1, 2])],
    ]) {
      const verdict = verifyModels(a, b);
      expect(verdict).toMatchObject({ outcome: "equivalent", proof: { outcome: "equal" } });
      expect(verdict.summary).toMatch(/input "c" is (missing from|only in) the second file/);
    }
    expect(verifyModels(scaled([1, 2]), fixed([1, 3])).outcome).toBe("different");
  });

  it("is an order of inputs, which is said", () => {
    const sum = (...names: string[]) =>
      model({ nodes: [node("Add", ["x", "z"], ["y"])], inputs: names.map((name) => ({ name, dims: [2] })), outputs: [y] });
    const verdict = verifyModels(sum("x", "z"), sum("z", "x"));
    expect(verdict.outcome).toBe("equivalent");
    expect(verdict.summary).toMatch(/the inputs are in another order \(z, x\)/);
  });

  it("is a valid file: one that is not is never equivalent to one that is", () => {
    const valid = model({
      nodes: [node("Relu", ["x"], ["a"], {}, { name: "r" }), node("Neg", ["a"], ["y"])],
      inputs: [x],
      outputs: [y],
    });
    const of = (nodes: readonly ReturnType<typeof node>[], more: object = {}) =>
      model({ nodes, inputs: [x], outputs: [y], ...more });
    const [relu, neg] = [node("Relu", ["x"], ["a"], {}, { name: "r" }), node("Neg", ["a"], ["y"])];
    const wrong: [RegExp, ReturnType<typeof model>, string][] = [
      [/reads "a" before it is made/, of([neg, relu]), "undecided"],
      [/reads "b", which nothing makes/, of([relu, neg, node("Abs", ["b"], ["c"])]), "different"],
      [/makes "a", which is there already/, of([relu, neg, node("Abs", ["x"], ["a"])]), "different"],
      [
        /has an attribute "alpha", which Relu \(14\) does not know/,
        of([node("Relu", ["x"], ["a"], { alpha: 1 }), neg]),
        "undecided",
      ],
      [/lacks the attribute "to"/, of([relu, neg, node("Cast", ["x"], ["c"])]), "different"],
      [/of type float, expected int/, of([relu, neg, node("Cast", ["x"], ["c"], { to: f(1) })]), "different"],
      [/has 2 inputs, expected at most 1/, of([node("Relu", ["x", "x"], ["a"]), neg]), "different"],
      [/lacks input 1 \("B"\)/, of([relu, neg, node("Add", ["x"], ["c"])]), "different"],
      [/is no operator of ai.onnx 13: it came with 20/, of([relu, neg, node("Gelu", ["x"], ["c"])], { opset: 13 }), "undecided"],
      [/is no operator of ai.onnx 21: it went with 10/, of([relu, neg, node("Upsample", ["x", "x"], ["c"])]), "undecided"],
      [/of which no operator set is imported/, of([relu, neg, node("Foo", ["x"], ["c"], {}, { domain: "acme" })]), "different"],
    ];
    for (const [message, file, outcome] of wrong) {
      const verdict = verifyModels(valid, file);
      expect(verdict.summary).toMatch(message);
      expect(verdict.summary).toMatch(/the second file is not valid/);
      expect(verdict.outcome, String(message)).toBe(outcome);
    }
    const first = verifyModels(of([neg, relu]), valid);
    expect(first.outcome).toBe("equivalent");
    expect(first.summary).toMatch(/the first file is not valid/);
    expect(verifyModels(of([neg, relu]), of([neg, relu])).outcome).toBe("equivalent");
  });
});
