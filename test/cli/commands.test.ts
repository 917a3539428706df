import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { VERSION } from "../../src/report/version.ts";
import { float32, modelBytes } from "../helpers/build.ts";
import { expectValid } from "../report/schema.ts";
import { bin, bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const model = writeModel(join(dir, "model.onnx"), convNet({ kept: true }));
const folded = join(dir, "folded.onnx");
bnfold(["fold", model, "-o", folded]);

describe("help", () => {
  it("shows every command with examples and the exit codes", () => {
    const { code, stdout, stderr } = bnfold(["--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    for (const word of ["fold", "verify", "inspect", "momentum", "Examples:", "Exit codes:"]) expect(stdout).toContain(word);
  });
  it.each(["fold", "verify", "inspect", "momentum"])("%s --help has options and examples", (command) => {
    const { code, stdout, stderr } = bnfold([command, "--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`bnfold ${command}`);
    expect(stdout).toContain("Examples:");
    expect(stdout).toContain("--json");
    expect(bnfold(["help", command]).stdout).toBe(stdout);
  });
  it("without a command is wrong usage", () => expect(bnfold([]).code).toBe(2));
  it("--version is the package's", () => expect(bnfold(["--version"]).stdout).toBe(`${VERSION}\n`));
  it("starts in at most two and a half times the time of an empty program", () => {
    const time = (args: string[]) => {
      const start = performance.now();
      spawnSync(process.execPath, args);
      return performance.now() - start;
    };
    // The least of several, taken in turns: other work on the machine only ever adds.
    let [help, empty] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let i = 0; i < 12; i++) {
      help = Math.min(help, time([bin, "--help"]));
      empty = Math.min(empty, time(["-e", "0"]));
    }
    expect(help / empty).toBeLessThan(2.5);
  });
});

describe("bnfold verify", () => {
  it("finds a fold equivalent, in words and as JSON", () => {
    const { code, stdout } = bnfold(["verify", model, folded]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Equivalent/m);
    const report = JSON.parse(bnfold(["verify", model, folded, "--json"]).stdout);
    expectValid("verify", report);
    expect(report.verdict.outcome).toBe("equivalent");
    expect(report.a.sha256).not.toBe(report.b.sha256);
  });
  it("finds one wrong weight, says where, and exits with 1", () => {
    const spec = convNet({ kept: true });
    const wrong = Array.from(spec.initializers?.w.values as ArrayLike<number>);
    wrong[10] += 0.01;
    const other = join(dir, "wrong.onnx");
    writeFileSync(other, modelBytes({ ...spec, initializers: { ...spec.initializers, w: float32([3, 2, 3, 3], wrong) } }));
    const { code, stdout } = bnfold(["verify", model, other]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^Different/m);
    const report = JSON.parse(bnfold(["verify", model, other, "--json"]).stdout);
    expectValid("verify", report);
    expect(report.verdict.outcome).toBe("different");
    expect(stdout).toMatch(/the difference arises at "conv"; what reaches it agrees in both models: "x" \(identical\)/);
    const bisected = bnfold(["verify", model, other, "--bisect"]);
    expect(bisected.code).toBe(1);
    expect(bisected.stdout).toMatch(/^Bisection: with the numbers of the first file in 1 place of 1 the files agree/m);
    expect(bisected.stdout).toContain('- Conv "conv": w');
    const { bisection, ...rest } = JSON.parse(bnfold(["verify", model, other, "--bisect", "--json"]).stdout);
    expectValid("verify", { ...rest, bisection });
    expect(bisection.guilty).toEqual([{ nodes: ["conv"], operators: ["Conv"], tensors: ["w"] }]);
  });
});

describe("bnfold inspect", () => {
  it("lists every batch normalization and its future", () => {
    const { code, stdout } = bnfold(["inspect", model]);
    expect(code).toBe(0);
    expect(stdout).toContain("1 of 2 BatchNormalization can be folded");
    expect(stdout).toMatch(/^ {2}norms +2 BatchNormalization in inference mode, epsilon 1e-5, momentum 0\.9$/m);
    expect(stdout).toMatch(/^ {2}"norm" +3 +-> Conv "conv"/m);
    expect(stdout).toMatch(/^ {2}"late" .* kept: operator-blocks/m);
  });
  it("prints the same as JSON", () => {
    const report = JSON.parse(bnfold(["inspect", model, "--json"]).stdout);
    expectValid("inspect", report);
    expect(report.batchNormalizations.map((bn: { fold: { action: string } }) => bn.fold.action)).toEqual(["fold", "keep"]);
    expect(report.operators).toEqual({ BatchNormalization: 2, Conv: 1, Relu: 1, Sigmoid: 1 });
  });
});

describe("bnfold momentum", () => {
  it("prints the number first, then both formulas", () => {
    const { code, stdout } = bnfold(["momentum", "0.1", "--from", "pytorch", "--to", "keras"]);
    expect(code).toBe(0);
    expect(stdout.split("\n")[0]).toBe("0.9");
    expect(stdout).toContain("running = (1 - 0.1) * running + 0.1 * batch");
    expect(stdout).toContain("running = 0.9 * running + (1 - 0.9) * batch");
  });
  it("leaves None alone and says why", () => {
    const { code, stdout } = bnfold(["momentum", "None", "--from", "pytorch", "--to", "onnx"]);
    expect(code).toBe(0);
    expect(stdout.split("\n")[0]).toBe("None");
    expect(stdout).toContain("cumulative");
  });
  it("flags a value from the other side", () => {
    expect(bnfold(["momentum", "0.99", "--from", "pytorch", "--to", "keras"]).stdout).toMatch(
      /Check: 0\.99 is unusual for PyTorch/,
    );
  });
  it("prints JSON", () => {
    const value = JSON.parse(bnfold(["momentum", "0.01", "--from", "pytorch", "--to", "mxnet", "--json"]).stdout);
    expect([value.from.momentum, value.to.momentum]).toEqual([0.01, 0.99]);
  });
});
