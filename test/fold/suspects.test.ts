/** Which decisions of a plan a finding of the check may be about. */
import { describe, expect, it } from "vitest";
import { type NodeRef, type PlanData, suspects } from "../../src/fold/index.ts";

const ref = (index: number, name: string, output: string): NodeRef => ({ scope: "", index, opType: "Conv", name, output });
const [a, b, c, d] = [ref(0, "a", "va"), ref(1, "", "vb"), ref(2, "c", "vc"), ref(3, "d", "vd")];

const plan = {
  folds: [
    { node: a, through: [], into: [{ node: b, tensors: [] }] },
    { node: c, through: [d], into: [] },
  ],
  merges: [{ nodes: [b, d], into: b }],
} as unknown as PlanData;
const weights = [
  { node: a, changed: true },
  { node: c, changed: false },
];
const found = (data: PlanData, ...names: string[]) => suspects(data, new Set(names));

describe("what a finding concerns", () => {
  it("is named by a node or by its output: what left, what was crossed and what took it", () => {
    expect(found(plan, "a")).toEqual(["#0"]);
    expect(found(plan, "va")).toEqual(["#0"]);
    expect(found(plan, "vd")).toEqual(["#2", "#1"]);
    expect(found(plan, "d", "vc")).toEqual(["#2", "#1"]);
    // What has no name is not meant by one that is empty.
    expect(found(plan, "")).toEqual([]);
    expect(found(plan, "vb")).toEqual(["#0", "#1"]);
    expect(found(plan, "elsewhere")).toEqual([]);
  });

  it("is a scaled weight before anything else, where it was changed", () => {
    const equalized = { ...plan, equalized: { weights } } as unknown as PlanData;
    expect(found(equalized, "a")).toEqual(["#0"]);
    expect(found(equalized, "vc")).toEqual(["#2"]);
    expect(found(equalized, "va", "vc", "vb")).toEqual(["#0"]);
    expect(found(equalized, "vb")).toEqual(["#0", "#1"]);
  });
});
