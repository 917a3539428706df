import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openModel } from "../../src/node/files.ts";
import type { Model } from "../../src/onnx/records.ts";
import type { Value } from "../../src/ops/define.ts";
import { createSession } from "../../src/run/session.ts";
import { compareValues } from "../../src/verify/compare.ts";
import { generateInputs } from "../../src/verify/inputs.ts";
import { prove } from "../../src/verify/proof.ts";
import type { Proof } from "../../src/verify/types.ts";
import { witness } from "../../src/verify/witness.ts";
import { type FaultCase, faultsOf, foldOf } from "./faults/cases.ts";
import { hardFolds } from "./faults/hard.ts";
import { CONSTANTS, STATISTICS } from "./faults/kinds.ts";
import { Net, SHAPES, type Stored } from "./faults/nets.ts";
import { structuralFaults } from "./faults/structural.ts";

const folder = fileURLToPath(new URL("../../fixtures/models", import.meta.url));
const fixtures = readdirSync(folder).map((name): [string, () => Model] => [
  name,
  () => openModel(join(folder, name, "model.onnx")).model,
]);
const TYPES: readonly Stored[] = ["float32", "float16"];
const nets = TYPES.flatMap((dtype) =>
  Object.entries(SHAPES).map(([name, make]): [string, () => Model] => [`${name}, ${dtype}`, () => make(new Net(dtype, 1))]),
);

/**
 * What no check of the constants can tell from rounding. Own folds are rounded once, so a constant at most one ulp from the
 * right fold's may itself be right. Other tools round at every step: 6 half-ulps from the exact value, so 3.5 ulps from the
 * right fold's, as much again where the next operator's own rounding can take up a gain, and 4 u Σ|terms| for a bias.
 */
const insideOwn = ({ weightUlps, biasUlps }: FaultCase) => weightUlps <= 1 && biasUlps <= 1;
const insideForeign = ({ weightUlps, biasTerms }: FaultCase) => weightUlps <= 7 && biasTerms <= 1;

/** What float64 arithmetic itself leaves open, relative to an output. */
const NOISE = 1e-12;

/** True when a fault changes an output: a shift of attention's keys does not, as Softmax takes it out again. */
function changesOutputs(right: Model, wrong: Model): boolean {
  return generateInputs(right, { samples: 6 }).some(({ feeds }) => {
    const [x, y] = [right, wrong].map((model) => createSession(model).run(feeds));
    return [...x].some(([name, value]) => {
      const { rms, scale, mismatches } = compareValues(value, y.get(name) as Value);
      return mismatches > 0 || rms > NOISE * scale;
    });
  });
}

const silent = new Set<string>();

/** Faults that move no output by more than 10⁻¹² of it in float64, on any of six inputs: nobody can say more than "not decided". */
const HIDDEN = [
  "dense, float32: mean of the weakest channel left out",
  "grouped and depthwise, float32: mean of the weakest channel left out",
  "mobileone-ts13: one channel takes its neighbour's mean",
  "volume-ts17: one bias off by 1e-4",
  "volume-ts17: one channel takes its neighbour's gain",
  "volume-ts17: one channel takes its neighbour's mean",
];

const where = ({ regions }: Proof) => regions.find(({ outcome }) => outcome === "different");
const seen = new Set<string>();

describe.each([...fixtures, ...nets])("%s", (name, load) => {
  it("is proven equal to its fold, and different from every wrong one", () => {
    const original = load();
    const right = foldOf(original);
    for (const foreign of [false, true]) expect(prove(original, right.model, { foreign }).outcome).toBe("equal");
    // Where readers of a value make up for each other, a wrong number among them is one more change of it: it is never equal, but
    // whether something else makes up for it may be left open.
    const refuted = (proof: Proof, about: string) =>
      right.gauged ? expect(proof.outcome, about).not.toBe("equal") : expect(proof.outcome, about).toBe("different");
    for (const fault of faultsOf(original)) {
      seen.add(fault.kind);
      const own = prove(original, fault.wrong, { foreign: false });
      const foreign = prove(original, fault.wrong);
      const about = `${fault.kind}: weights off by ${fault.weightUlps} ulps, biases by ${fault.biasUlps} or ${fault.biasTerms} of what their terms allow`;
      if (own.outcome === "not-decided" && !changesOutputs(right.model, fault.wrong)) {
        // A difference nobody can see is none, though the constants are not the same.
        expect(foreign.outcome, about).not.toBe("different");
        silent.add(`${name}: ${fault.kind}`);
        continue;
      }
      if (!insideOwn(fault)) {
        refuted(own, about);
        const at = where(own)?.at;
        if (at !== undefined) expect(at.got, about).not.toBe(at.expected);
      }
      if (!insideForeign(fault)) refuted(foreign, about);
      if (right.gauged) continue;
      // Nothing is left open: what is not different is equal.
      expect(["equal", "different"], about).toContain(own.outcome);
      expect(["equal", "different"], about).toContain(foreign.outcome);
    }
  });
});

describe("the suite", () => {
  it("has used every kind of fault", () => {
    for (const kind of [...Object.keys(STATISTICS), ...Object.keys(CONSTANTS), "two normalizations exchanged"])
      expect(seen).toContain(kind);
  });

  it("is of faults that change something, but for a few that no output shows", () => {
    expect([...silent].sort()).toEqual(HIDDEN);
  });

  it("says which channel and tap is wrong, and both values", () => {
    const original = SHAPES["square convolutions"](new Net("float32", 1));
    const [fault] = faultsOf(original, (kind) => kind === "one weight off by 1e-3");
    const region = where(prove(original, fault.wrong));
    expect(region?.nodes).toEqual(["Conv b"]);
    expect(region?.at?.tensor).toBe("b.weight");
    // The weight in the middle of [6, 6, 3, 3]: channel 3, tap 0.
    expect(region?.at?.index).toEqual([3, 0]);
    expect(region?.at?.got).toBeCloseTo(1.001 * (region?.at?.expected ?? 0), 5);
  });

  it("names the operator behind an activation that a shift cannot pass", () => {
    const original = SHAPES["square convolutions"](new Net("float32", 2));
    const [fault] = faultsOf(original, (kind) => kind === "mean left out");
    const region = where(prove(original, fault.wrong));
    expect(region?.nodes).toEqual(["Conv b"]);
    expect(region?.at?.tensor).toBe("b.bias");
  });
});

describe.each(TYPES)("structure, %s", (dtype) => {
  it.each(structuralFaults(dtype).map((fault) => [fault.kind, fault] as const))("%s", (_kind, { original, wrong }) => {
    for (const foreign of [false, true]) expect(prove(original, wrong, { foreign }).outcome).toBe("different");
    expect(witness(original, wrong, { samples: 2 }).outcome).toBe("different");
  });
});

describe.each(TYPES)("good but hard folds, %s", (dtype) => {
  it.each(hardFolds(dtype).map((fold) => [fold.name, fold] as const))("%s", (_name, { original, folded, foreign }) => {
    expect(prove(original, folded, { foreign })).toMatchObject({ outcome: "equal" });
    // A fold computed in float16 throughout is rounded at every step: 3 p is made for one rounding.
    if (!(foreign && dtype === "float16")) expect(witness(original, folded, { samples: 3 }).outcome).toBe("equal");
  });
});
