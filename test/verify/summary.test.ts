/** What a verdict says in words, of figures that are given. */
import { describe, expect, it } from "vitest";
import type { OutputComparison, Proof, RegionProof, RegionRun, SampleRun, Witness } from "../../src/verify/types.ts";
import { combine } from "../../src/verify/verdict.ts";

const output = (more: Partial<OutputComparison> = {}): OutputComparison => ({
  ...{ name: "y", dtype: "float32", dims: [1, 2], maxDifference: 0, rmsDifference: 0, rounding: 0, ratio: 0, rms: 1 },
  ...{ nonFinite: 0, ok: true },
  ...more,
});
const sample = (outputs: OutputComparison[], shapes?: SampleRun["shapes"]): SampleRun => ({
  ...{ kind: "normal", seed: 1, outputs, ok: true },
  ...(shapes === undefined ? {} : { shapes }),
});
const witness = (samples: SampleRun[], more: Partial<Witness> = {}): Witness => ({ outcome: "equal", samples, ...more });
const place = (more: Partial<RegionProof> = {}): RegionProof => ({
  ...{ outcome: "not-decided", nodes: ["n"], value: "v", worstHalfUlps: 0, coefficients: 3 },
  ...more,
});
const open = (...regions: RegionProof[]): Proof => ({ outcome: "not-decided", regions, identicalNodes: 0 });

describe("the sizes that were run", () => {
  const said = (shapes?: SampleRun["shapes"]) => combine([], undefined, witness([sample([output()], shapes)])).summary;
  it("are said, three of them, with how many more there are", () => {
    expect(said({ a: [1, 2], b: [3] })).toContain("in float64 at a=[1,2] b=[3], on 1 input (normal)");
    expect(said({ a: [1], b: [2], c: [3], d: [4], e: [5] })).toContain("at a=[1] b=[2] c=[3] and 2 more,");
  });
  it("are not, where there are none, or nothing but numbers without axes", () => {
    expect(said()).toContain("in float64, on 1 input");
    expect(said({ a: [] })).toContain("in float64, on 1 input");
  });
});

describe("a run alone", () => {
  it("proves nothing for other inputs", () => {
    const { outcome, summary } = combine([], undefined, witness([sample([output()])]));
    expect(outcome).toBe("equivalent");
    expect(summary).toContain("Nothing was proven for others.");
  });
  it("says nothing where each sample ends in other numbers that rounding makes as well", () => {
    const far = output({ rms: 1, rmsDifference: 0.5, rounding: 0.5, ratio: 1 });
    expect(combine([], open(place()), witness([sample([far])])).outcome).toBe("undecided");
    expect(combine([], open(place()), witness([sample([far]), sample([output()])])).outcome).toBe("equivalent");
  });
  it("that was not made says why, as far as that is known", () => {
    const none = (reason?: string) => witness([], { outcome: "not-run", ...(reason === undefined ? {} : { reason }) });
    expect(combine([], open(place()), none("it needs a file")).summary).toContain("Run: not made: it needs a file.");
    expect(combine([], open(place()), none()).summary).toContain("Run: not made: no reason is known.");
  });
  it("of regions names the largest size", () => {
    const region = (sizes: string[]): RegionRun => ({
      ...{ value: "v", operators: [1, 1], sizes, inputs: ["normal"], maxDifference: 0, rmsDifference: 0, rounding: 0, ratio: 0 },
      ok: true,
    });
    const regions = [region(["1×3×8", "2×2"]), region(["4×4×4"]), region([])];
    expect(combine([], undefined, witness([], { regions })).summary).toContain("of up to 4×4×4: without any difference.");
    expect(combine([], undefined, witness([], { regions: [] })).summary).toContain("no operator of the two files differs");
  });
});

describe("what both files round", () => {
  const stored = (name: string, rms: number, after: number) =>
    output({ name, rms, storageErrorBefore: 0.25, storageErrorAfter: after });
  const said = (...outputs: OutputComparison[]) => combine([], undefined, witness([sample(outputs)]), true).summary;
  it("is said of the output that is off by the largest part of itself", () => {
    expect(said(stored("a", 100, 0.5), stored("b", 1, 0.125), stored("c", 1000, 2))).toContain(
      'the output "b" (root mean square 1)',
    );
    expect(said(stored("a", 1, 0.5), stored("b", 1, 0.125))).toContain('the output "a"');
  });
  it("is not, where it was not run", () => {
    expect(said(output())).not.toContain("Rounding:");
  });
});
