import { join } from "node:path";
import { expect, it } from "vitest";
import { bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "m.onnx"), convNet());

it("--max-memory leaves out what does not fit, and says so", { timeout: 60_000 }, () => {
  const out = join(dir, "out.onnx");
  const proofOnly = bnfold(["fold", model, "-o", out, "--max-memory", "250M"]);
  expect(proofOnly.code, proofOnly.stderr).toBe(0);
  expect(proofOnly.stderr).toMatch(/the run is left out: it needs about .*, more than --max-memory 250 MB/);
  expect(proofOnly.stdout).toContain("It was not confirmed by a run.");
  const both = bnfold(["fold", model, "-o", out, "--max-memory", "2G"]);
  expect(both.stderr).toBe("");
  expect(both.stdout).toContain("confirmed by running both");
});

it("refuses what is no size, and less than the program itself takes", { timeout: 60_000 }, () => {
  for (const size of ["much", "10M", "-1G", "1X"])
    expect(bnfold(["fold", model, "--dry-run", "--max-memory", size]).code, size).toBe(2);
});

it("--no-run proves only", { timeout: 60_000 }, () => {
  const ran = bnfold(["fold", model, "--dry-run", "--no-run"]);
  expect(ran.code).toBe(0);
  expect(ran.stdout).toContain("It was not confirmed by a run.");
});

it("--external says what it takes", { timeout: 60_000 }, () => {
  for (const mode of ["keep", "copy", "inline", "split", "split=5"]) {
    expect(bnfold(["fold", model, "-o", join(dir, `${mode}.onnx`), "--no-check", "--external", mode]).code, mode).toBe(0);
  }
  for (const mode of ["none", "split=", "split=0", "split=x"])
    expect(bnfold(["fold", model, "--dry-run", "--external", mode]).code, mode).toBe(2);
});
