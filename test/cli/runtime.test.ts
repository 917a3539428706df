/** --runtime onnxruntime: a second opinion beside the verdict. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { RuntimeOpinion } from "../../src/report/runtime.ts";
import { float32, modelBytes } from "../helpers/build.ts";
import { expectValid } from "../report/schema.ts";
import { bnfold, convNet, folder, root, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "model.onnx"), convNet({ kept: true }));
const folded = join(dir, "folded.onnx");
bnfold(["fold", model, "-o", folded]);
const runtime = ["--runtime", "onnxruntime"];

const installed = (() => {
  try {
    return createRequire(import.meta.url).resolve("onnxruntime-node") !== "";
  } catch {
    return false;
  }
})();

describe.skipIf(!installed)("--runtime onnxruntime", () => {
  it("fold and verify print its distances, in words and as JSON", () => {
    for (const args of [
      ["fold", model, "--dry-run", ...runtime],
      ["verify", model, folded, ...runtime],
    ]) {
      const { code, stdout } = bnfold(args);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^For information: ONNX Runtime \d+\.\d+\.\d+, optimizations off, on 4 inputs/m);
      const report = JSON.parse(bnfold([...args, "--json"]).stdout);
      expectValid(args[0] as "fold" | "verify", report);
      const opinion = report.runtime as RuntimeOpinion;
      expect([opinion.outcome, opinion.notes, opinion.samples.length]).toEqual(["run", [], 4]);
      for (const { outputs } of opinion.samples) {
        for (const { difference, errorBefore, errorAfter, mismatches } of outputs) {
          expect(mismatches).toBe(0);
          // The run beside it has outputs of size 1 to 100 in float32.
          expect(difference.max).toBeLessThan(1e-3);
          expect(Math.max(errorBefore.rms, errorAfter.rms)).toBeGreaterThan(0);
          expect(difference.rms).toBeLessThanOrEqual(errorBefore.rms + errorAfter.rms + 1e-6);
        }
      }
    }
  });
  it("sees a wrong weight, and changes no verdict", () => {
    const spec = convNet({ kept: true });
    const wrong = Array.from(spec.initializers?.w.values as ArrayLike<number>);
    wrong[10] += 0.5;
    const other = join(dir, "wrong.onnx");
    writeFileSync(other, modelBytes({ ...spec, initializers: { ...spec.initializers, w: float32([3, 2, 3, 3], wrong) } }));
    const { code, stdout } = bnfold(["verify", model, other, ...runtime, "--json"]);
    const { outputs } = (JSON.parse(stdout).runtime as RuntimeOpinion).samples[0];
    expect(code).toBe(1);
    expect(outputs[0].difference.rms).toBeGreaterThan(100 * outputs[0].errorBefore.rms);
    expect(outputs[0].errorAfter.rms).toBeGreaterThan(100 * outputs[0].errorBefore.rms);
  });
  it("a model it cannot run is a note", () => {
    const double = join(root, "fixtures/models/double-ts17/model.onnx");
    const { code, stdout } = bnfold(["fold", double, "--dry-run", ...runtime]);
    expect(code).toBe(0);
    expect(stdout).toContain("did not run both models");
    expect(stdout).toMatch(/note: it cannot load the first model: .*Conv/);
  });
});

describe("--runtime", () => {
  it("needs the float64 run", () => {
    const { code, stderr } = bnfold(["fold", model, "--dry-run", "--no-run", ...runtime]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("--no-run")]);
  });
  it("says what to install when the package is missing", () => {
    const elsewhere = join(dir, "elsewhere");
    mkdirSync(elsewhere);
    for (const part of ["bin", "dist", "package.json"]) cpSync(join(root, part), join(elsewhere, part), { recursive: true });
    const { code, stderr } = bnfold(["verify", model, folded, ...runtime], {}, { at: elsewhere });
    expect(code).toBe(2);
    expect(stderr).toContain("onnxruntime-node is not installed");
    expect(stderr).toContain("npm install onnxruntime-node");
  });
});
