import { describe, expect, it } from "vitest";
import { compareFaces } from "../../src/verify/faces.ts";
import { verifyModels } from "../../src/verify/index.ts";
import type { Proof, RegionProof } from "../../src/verify/types.ts";
import { model, node } from "../helpers/build.ts";
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
