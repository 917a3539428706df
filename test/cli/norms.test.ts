/** --norms on the command line, on a file that PyTorch wrote; and what a report says of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openModel } from "../../src/node/files.ts";
import { asFloat64, type Tensor } from "../../src/onnx/tensor.ts";
import { parseTensorProto } from "../../src/run/proto-values.ts";
import { createSession } from "../../src/run/session.ts";
import { prove } from "../../src/verify/index.ts";
import { expectValid } from "../report/schema.ts";
import { bnfold, folder, root } from "./bnfold.ts";

const place = join(root, "fixtures/models/norms-dynamo-raw");
const model = join(place, "model.onnx");
const dir = folder();
const entry = JSON.parse(readFileSync(join(root, "fixtures/manifest.json"), "utf8")).find(
  ({ name }: { name: string }) => name === "norms-dynamo-raw",
);

describe("bnfold fold --norms", () => {
  const out = join(dir, "out.onnx");
  const { code, stdout } = bnfold(["fold", model, "-o", out, "--norms"]);

  it("empties, writes out, proves and says so", () => {
    expect(code, stdout).toBe(0);
    expect(stdout).toContain(
      `other normalizations with a gain or shift: ${entry.norms} before, ${entry.norms - entry.normsLeft} emptied, ${entry.normsLeft} kept`,
    );
    expect(stdout).toContain(`computed weights: ${entry.weights} before, ${entry.weights} written out, 0 kept`);
    expect(stdout).toContain("Emptied (4 normalizations)");
    expect(stdout).toContain("its shift stays, divided by the gain");
    expect(stdout).toContain("Written out (1 weight)");
    expect(stdout).toMatch(/^- LayerNormalization "node_layer_norm_1" \[other-reader\]/m);
    expect(stdout).toMatch(/^Equivalent/m);
  });

  it("gives what PyTorch gave, and has nothing left to do", () => {
    const [before, after] = [openModel(model), openModel(out)];
    try {
      expect(prove(before.model, after.model, { foreign: false }).outcome).toBe("equal");
      const stored = (name: string) => parseTensorProto(readFileSync(join(place, "test_data_set_0", name)), name);
      const [input] = after.model.graph.inputs;
      const result = createSession(after.model).run(new Map([[input.name, stored("input_0.pb")]]));
      const [got, wanted] = [[...result.values()][0] as Tensor, stored("output_0.pb")].map(asFloat64);
      const largest = Math.max(...wanted.map(Math.abs));
      expect(got.length).toBe(wanted.length);
      expect(Math.max(...got.map((v, i) => Math.abs(v - wanted[i])))).toBeLessThan(1e-5 * largest);
      const json = JSON.parse(bnfold(["fold", out, "-o", join(dir, "again.onnx"), "--norms", "--json"]).stdout);
      expect(json.folds).toEqual([]);
      expect(readFileSync(join(dir, "again.onnx"))).toEqual(readFileSync(out));
    } finally {
      before.close();
      after.close();
    }
  });

  it("reports it in JSON that fits the schema", () => {
    const report = JSON.parse(bnfold(["fold", model, "--dry-run", "--norms", "--json", "--no-run"]).stdout);
    expectValid("fold", report);
    expect(report.norm).toEqual({ before: 5, folded: 4, kept: 1 });
    expect(report.weight).toEqual({ before: 1, folded: 1, kept: 0 });
    const kinds = report.folds.map(({ kind }: { kind: string }) => kind);
    expect(kinds.filter((kind: string) => kind === "norm").length).toBe(4);
  });

  it("is silent without the option", () => {
    const report = JSON.parse(bnfold(["fold", model, "--dry-run", "--json", "--no-run"]).stdout);
    expectValid("fold", report);
    expect("norm" in report || "weight" in report).toBe(false);
    const kinds = new Set([...report.folds, ...report.kept].map(({ kind }: { kind: string }) => kind));
    expect([...kinds].sort()).toEqual(["affine", "batch-normalization"]);
    expect(bnfold(["fold", model, "--dry-run", "--no-run"]).stdout).not.toMatch(/Emptied|emptied|Written out|written out/);
  });
});

describe("bnfold inspect --norms", () => {
  it("shows the same", () => {
    const { code, stdout } = bnfold(["inspect", model, "--norms"]);
    expect(code).toBe(0);
    expect(stdout).toContain("other normalizations with a gain or shift: 5 before, 4 emptied, 1 kept");
    expect(stdout).toMatch(/\| LayerNormalization "node_layer_norm_1" +\| kept: other-reader/);
    const report = JSON.parse(bnfold(["inspect", model, "--norms", "--json"]).stdout);
    expectValid("inspect", report);
    expect(report.norms.map(({ kind, fold }: { kind: string; fold: { action: string } }) => [kind, fold.action])).toEqual(
      expect.arrayContaining([
        ["norm", "fold"],
        ["norm", "keep"],
        ["weight", "fold"],
      ]),
    );
    expect(report.norms.length).toBe(6);
  });

  it("says nothing of them without the option", () => {
    const report = JSON.parse(bnfold(["inspect", model, "--json"]).stdout);
    expectValid("inspect", report);
    expect("norms" in report).toBe(false);
    expect(bnfold(["inspect", model]).stdout).not.toContain("other normalizations");
  });
});
