/** What can be done about a node that stays is true of this node, and not only of most that have its reason. */
import { describe, expect, it } from "vitest";
import { adviceFor } from "../../src/diag/codes.ts";
import { plan } from "../../src/fold/index.ts";
import type { Kept } from "../../src/fold/types.ts";
import { float32, is, type ModelSpec, model, node } from "../helpers/build.ts";

const parameters = {
  g: float32([2], [2, -0.5]),
  b: float32([2], [0.25, 0.5]),
  m: float32([2], [0.5, 0]),
  v: float32([2], [1, 2]),
};
const w = { w: float32([2, 2, 1, 1], [1, 2, 3, 4]) };
const bn = (x: string, names: readonly string[] = ["g", "b", "m", "v"], y = "y", attributes = {}) =>
  node("BatchNormalization", [x, ...names], [y], attributes, { name: "bn" });
const conv = node("Conv", ["x", "w"], ["c"], {});
const input = { name: "x", dims: ["N", 2, 4, 4] };
const net = (spec: Partial<ModelSpec> & Pick<ModelSpec, "nodes">): ModelSpec => ({
  initializers: { ...parameters, ...w },
  inputs: [input],
  outputs: [{ name: "y" }],
  ...spec,
});
const adviceOn = (spec: ModelSpec, name = "bn"): [Kept["code"] | undefined, string] => {
  const kept = plan(model(spec)).data.kept.find((entry) => entry.node.name === name);
  return [kept?.code, kept === undefined ? "" : adviceFor(kept)];
};

describe("a parameter that is no constant", () => {
  const mean = node("ReduceMean", ["c"], ["mean"], { axes: is([0, 2, 3]), keepdims: 0 });
  it("is computed from the node's own input, as batch statistics are", () => {
    const [code, advice] = adviceOn(net({ opset: 17, nodes: [conv, mean, bn("c", ["g", "b", "mean", "v"])] }));
    expect([code, advice]).toEqual([
      "parameter-not-constant",
      expect.stringMatching(/^Nothing to do: it normalizes by statistics/),
    ]);
  });
  it("is computed from another input", () => {
    const other = node("ReduceMean", ["z"], ["mean"], { axes: is([0, 2, 3]), keepdims: 0 });
    const inputs = [input, { name: "z", dims: ["N", 2, 4, 4] }];
    const [, advice] = adviceOn(net({ opset: 17, inputs, nodes: [conv, other, bn("c", ["g", "b", "mean", "v"])] }));
    expect(advice).toMatch(/^Nothing to do while it is computed from what the model is fed/);
  });
  it("is fed: no option makes it constant", () => {
    const inputs = [input, { name: "fed", dims: [2] }];
    const [code, advice] = adviceOn(net({ inputs, nodes: [conv, bn("c", ["fed", "b", "m", "v"])] }));
    expect([code, advice]).toEqual(["parameter-not-constant", expect.stringContaining("belongs into an initializer")]);
    expect(advice).not.toContain("--assume-constant");
  });
});

describe("a weight that is no constant", () => {
  const fedWeight = net({
    inputs: [input, { name: "k", dims: [2, 2, 1, 1] }],
    nodes: [node("Conv", ["x", "k"], ["c"], {}), bn("c")],
  });
  it("is fed", () => {
    const [code, advice] = adviceOn(fedWeight);
    expect([code, advice]).toEqual(["weight-not-constant", expect.stringContaining("Callers feed it in every run")]);
    expect(advice).not.toContain("--assume-constant");
  });
});

describe("a gain that could go without its shift", () => {
  const padded = net({
    initializers: {
      ...parameters,
      ...w,
      k: float32(
        [2, 2, 3, 3],
        Array.from({ length: 36 }, (_, i) => i - 18),
      ),
    },
    nodes: [bn("x", undefined, "n"), node("Conv", ["n", "k"], ["y"], { pads: is([1, 1, 1, 1]) })],
  });
  it("--partial is named, and does it", () => {
    const [code, advice] = adviceOn(padded);
    expect(code).toBe("padding-blocks");
    expect(advice).toContain("--partial moves its gain and leaves its shift as an Add.");
    expect(plan(model(padded), { partial: true }).data.kept).toEqual([]);
  });
  it("--partial is not named where the gain has no way either, or is one already", () => {
    const lone = net({ nodes: [bn("x")] });
    expect(adviceOn(lone)[1]).not.toContain("--partial");
    const excluded = plan(model(padded), { only: () => false }).data.kept[0];
    expect(adviceFor(excluded)).not.toContain("--partial");
  });
});

describe("a shape that is not known", () => {
  const custom = node("Sparse", ["x"], ["c"], {}, { domain: "their", name: "sparse" });
  const opsets = { "": 17, their: 1 };
  it("behind an operator that ONNX does not define: where to declare it", () => {
    const nodes = [custom, bn("c", undefined, "n"), node("Conv", ["n", "w"], ["y"], {})];
    const spec = net({ opsets, nodes });
    const [code, advice] = adviceOn(spec);
    expect(code).toBe("shape-unknown");
    expect(advice).toContain('declare the shape of "c" in the file (value_info)');
    // Which helps.
    const declared = { ...spec, valueInfos: [{ name: "c", dims: ["N", 2, 4, 4] }] };
    expect(plan(model(declared)).data.kept).toEqual([]);
  });
  it("between two of them: nothing helps", () => {
    const nodes = [
      custom,
      bn("c", undefined, "n"),
      node("Relu", ["n"], ["r"]),
      node("Sparse", ["r"], ["y"], {}, { domain: "their" }),
    ];
    const [code, advice] = adviceOn(net({ opsets, nodes }));
    expect([code, advice]).toEqual(["shape-unknown", expect.stringMatching(/^Nothing to do: neither Sparse "sparse" of their/)]);
  });
  it("of an input", () => {
    const [code, advice] = adviceOn(
      net({ inputs: [{ name: "x" }], nodes: [bn("x", undefined, "n"), node("Conv", ["n", "w"], ["y"], {})] }),
    );
    expect([code, advice]).toEqual(["shape-unknown", 'Declare the shape of the input "x" in the file.']);
  });
});

describe("spatial=0", () => {
  const each = Object.fromEntries(
    Object.keys(parameters).map((name) => [
      name,
      float32(
        [2, 4, 4],
        Array.from({ length: 32 }, (_, i) => 1 + i),
      ),
    ]),
  );
  it("is named where each activation has statistics of its own", () => {
    const spec = net({ opset: 7, initializers: { ...each, ...w }, nodes: [conv, bn("c", undefined, "y", { spatial: 0 })] });
    const [code, advice] = adviceOn(spec);
    expect([code, advice]).toEqual([
      "axis-blocks",
      expect.stringContaining("with spatial=0 each activation has statistics of its own"),
    ]);
  });
  it("is named where the parameters are for channels all the same", () => {
    const spec = net({ opset: 7, nodes: [conv, bn("c", undefined, "y", { spatial: 0 })] });
    const [code, advice] = adviceOn(spec);
    expect([code, advice]).toEqual(["parameter-shape", expect.stringContaining("remove the attribute")]);
  });
});

describe("a shape that is lost", () => {
  const lost = (domain: string, behind = "Relu") =>
    net({
      nodes: [
        node("Odd", ["x"], ["o"], {}, { domain }),
        node(behind, ["o"], ["h"]),
        bn("h", ["g", "b", "m", "v"], "n"),
        node("Conv", ["n", "w"], ["y"]),
      ],
      opsets: { "": 17, ...(domain === "" ? {} : { [domain]: 1 }) },
    });
  it("behind an operator that ONNX does not define, of its own domain or another", () => {
    const [code, own] = adviceOn(lost("", "Relu"));
    const [, other] = adviceOn(lost("other"));
    expect(code).toBe("shape-unknown");
    expect(own).toBe('Shape inference sees nothing behind Odd "o": declare the shape of "o" in the file (value_info).');
    expect(other).toBe(
      'Shape inference sees nothing behind Odd "o" of other: declare the shape of "o" in the file (value_info).',
    );
  });
});

describe("a parameter that is computed from what is left out", () => {
  it("is told as what it is: operands that are not there lead nowhere", () => {
    const clip = node("Clip", ["m", "", "top"], ["mean"]);
    const inputs = [input, { name: "top", dims: [] }];
    const [code, advice] = adviceOn(net({ inputs, nodes: [conv, clip, bn("c", ["g", "b", "mean", "v"])] }));
    expect([code, advice]).toEqual([
      "parameter-not-constant",
      expect.stringMatching(/^Nothing to do while it is computed from what the model is fed/),
    ]);
  });
});
