/** Training mode is said by every command that meets it, and what can be done about it works. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { f, float32, type ModelSpec, node } from "../helpers/build.ts";
import { expectValid } from "../report/schema.ts";
import { bnfold, convNet, folder, root, writeModel } from "./bnfold.ts";

const dir = folder();
const trained = join(root, "fixtures/models/training-ts17/model.onnx");

/** x → Dropout, told to train by a constant → y */
const dropout = (ratio = 0.5): ModelSpec => ({
  nodes: [node("Dropout", ["x", "ratio", "on"], ["y"], {}, { name: "drop" })],
  initializers: { ratio: float32([], [ratio]), on: { dtype: "bool", dims: [], values: [1] } },
  inputs: [{ name: "x", dims: ["N", 2] }],
  outputs: [{ name: "y", dims: ["N", 2] }],
});

const active = writeModel(join(dir, "active.onnx"), dropout());
const idle = writeModel(join(dir, "idle.onnx"), dropout(0));

describe("training mode", () => {
  it("is the first thing fold, inspect and verify say, and 5 under --strict", () => {
    const warning = /^! Training mode: 2 BatchNormalization use batch statistics\.\n {2}The outputs depend on the batch\./;
    for (const args of [
      ["fold", trained, "--dry-run"],
      ["inspect", trained],
      ["verify", trained, trained],
    ]) {
      const plain = bnfold(args);
      expect(plain.stdout, args[0]).toMatch(warning);
      expect(plain.code, args[0]).toBe(0);
      expect(bnfold([...args, "--strict"]).code, args[0]).toBe(5);
    }
  });

  it("a Dropout that is active counts, one that drops nothing does not", () => {
    const { stdout } = bnfold(["fold", active, "--dry-run", "--no-check"]);
    expect(stdout).toMatch(/^! Training mode: 1 Dropout is active\.\n {2}The outputs depend on chance\./);
    expect(stdout).toMatch(/bnfold freeze .*active\.onnx -o eval\.onnx/);
    expect(bnfold(["fold", active, "--dry-run", "--no-check", "--strict"]).code).toBe(5);
    expect(bnfold(["fold", idle, "--dry-run", "--no-check", "--strict"])).toMatchObject({ code: 0 });
    expect(bnfold(["inspect", idle]).stdout).not.toContain("Training mode");
    const frozen = bnfold(["freeze", active, "-o", join(dir, "frozen.onnx")]);
    expect(frozen.stdout).toContain("The numbers change: Dropout passes its input on.");
  });

  it("fold --freeze does both, and gives what freeze and fold give one after the other", () => {
    const [one, two, frozen] = ["one.onnx", "two.onnx", "eval.onnx"].map((name) => join(dir, name));
    const both = bnfold(["fold", trained, "--freeze", "-o", one, "--strict"]);
    expect(both.stdout).toMatch(/^! Training mode: 2 nodes were given inference semantics first, which changes what/);
    expect(both.stdout).toContain("Equivalent. 2 of 2 BatchNormalization folded");
    expect(both.stdout).toContain("Frozen (2 nodes)");
    expect(both.code).toBe(0);
    bnfold(["freeze", trained, "-o", frozen]);
    bnfold(["fold", frozen, "-o", two]);
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    const report = JSON.parse(bnfold(["fold", trained, "--freeze", "--dry-run", "--json"]).stdout);
    expectValid("fold", report);
    expect(report.frozen).toHaveLength(2);
    expect(report.input.training).toEqual({ batchNormalization: 2, dropout: 0 });
  });

  it("fold --freeze of a model that does not train is fold", () => {
    const model = writeModel(join(dir, "plain.onnx"), convNet());
    const [one, two] = ["a.onnx", "b.onnx"].map((name) => join(dir, name));
    expect(bnfold(["fold", model, "--freeze", "-o", one]).code).toBe(0);
    expect(bnfold(["fold", model, "-o", two]).code).toBe(0);
    expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
    // With nothing to fold what is written is the frozen model, and nobody says that it is the input.
    const out = join(dir, "only-frozen.onnx");
    const { stdout } = bnfold(["fold", active, "--freeze", "-o", out]);
    expect(stdout).not.toContain("is the input's bytes");
    expect(existsSync(out)).toBe(true);
    expect(bnfold(["inspect", out, "--strict"]).code).toBe(0);
  });

  it("running statistics that are outputs go where it is asked for", () => {
    const spec: ModelSpec = {
      nodes: [
        node("Conv", ["x", "w"], ["c"], {}, { name: "conv" }),
        node(
          "BatchNormalization",
          ["c", "g", "b", "m", "v"],
          ["y", "mean", "var"],
          { epsilon: f(1e-5), training_mode: 1 },
          { name: "bn" },
        ),
      ],
      initializers: {
        w: float32([2, 1, 1, 1], [1, 2]),
        ...{ g: float32([2], [1, 2]), b: float32([2], [0, 1]), m: float32([2], [0, 1]), v: float32([2], [1, 2]) },
      },
      inputs: [{ name: "x", dims: [1, 1, 2, 2] }],
      outputs: [
        { name: "y", dims: [1, 2, 2, 2] },
        { name: "mean", dims: [2] },
        { name: "var", dims: [2] },
      ],
      opset: 17,
    };
    const model = writeModel(join(dir, "outputs.onnx"), spec);
    const refused = bnfold(["fold", model, "--freeze", "--dry-run"]);
    expect(refused.stderr).toContain("Pass --drop-outputs");
    expect(refused.code).toBe(3);
    expect(bnfold(["fold", model, "--freeze", "--drop-outputs", "--dry-run"]).stdout).toContain(
      "1 of 1 BatchNormalization folded",
    );
    expect(bnfold(["fold", model, "--drop-outputs", "--dry-run"]).code).toBe(2);
  });
});
