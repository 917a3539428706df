/** What bnfold inspect promises is what bnfold fold does. Needs dist/, which `npm test` builds first. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bnfold, root } from "./bnfold.ts";

const fixture = (name: string) => join(root, "fixtures", "models", name, "model.onnx");
const json = (args: readonly string[]) => JSON.parse(bnfold([...args, "--json"]).stdout);

describe("bnfold inspect", () => {
  it.each(["repvgg-ts17", "repghost-ts11", "fastvit-ts17", "dense-ts13"])("says of %s what fold reports", (name) => {
    const seen = json(["inspect", fixture(name)]);
    const done = json(["fold", fixture(name), "--dry-run", "--no-check"]);
    for (const part of ["merges", "unmerged", "affine"]) expect(seen[part]).toEqual(done[part]);
    const folds = seen.batchNormalizations.filter((bn: { fold: { action: string } }) => bn.fold.action === "fold");
    expect([seen.batchNormalizations.length, folds.length]).toEqual([
      done.batchNormalization.before,
      done.batchNormalization.folded,
    ]);
  });

  it("lists branches that can be merged and those that are left, with their costs", () => {
    const { stdout } = bnfold(["inspect", fixture("repghost-ts11")]);
    expect(stdout).toMatch(/^Parallel branches that can be merged \(2 regions\)\n- 3 nodes -> Conv ".*" \(.*parameters\)$/m);
    expect(stdout).toMatch(/^Parallel branches left \(1 region\)\n- Conv ".*" and Conv ".*": one Conv would take 864 /m);
    const apart = bnfold(["inspect", fixture("repghost-ts11"), "--no-merge"]).stdout;
    expect(apart).not.toContain("Parallel branches");
  });

  it("gives the reason and the advice for each node that stays", () => {
    const { stdout } = bnfold(["inspect", fixture("dense-ts13")]);
    expect(stdout).toMatch(/^Kept \(2 nodes\)\n- BatchNormalization ".*" \[other-reader\] .*make up for the change\. .*\.$/m);
  });

  it("wants one form at a time", () => {
    const { code, stderr } = bnfold(["inspect", fixture("dense-ts13"), "--channels", "--csv", "--json"]);
    expect([code, stderr]).toEqual([2, "bnfold: --csv and --json are two forms of the same; give one\n"]);
  });
});
