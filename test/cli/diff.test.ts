import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { expectValid } from "../report/schema.ts";
import { bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const plain = writeModel(join(dir, "plain.onnx"), convNet());
const other = writeModel(join(dir, "other.onnx"), convNet({ variance: [0.5, 1, 3] }));
const folded = join(dir, "folded.onnx");

describe("bnfold diff", () => {
  it("says what a fold changed, and that it makes no difference", () => {
    expect(bnfold(["fold", plain, "-o", folded]).code).toBe(0);
    const ran = bnfold(["diff", plain, folded, "--verify"]);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    expect(ran.stdout).toMatch(/^\d+ changes\. nodes: 1 removed, 2 changed; tensors: 4 removed, 1 added, 1 changed/m);
    expect(ran.stdout).toMatch(/^- node "norm" BatchNormalization$/m);
    expect(ran.stdout).toMatch(/^~ tensor "w" float32\[3, 2, 3, 3\]: 53 of 54 elements, by up to /m);
    expect(ran.stdout).toContain("Equivalent: proven on the constants");
  });

  it("ends with 0, or with 1 for changes where it is asked to, like git", () => {
    expect(bnfold(["diff", plain, other]).code).toBe(0);
    expect(bnfold(["diff", plain, other, "--exit-code", "-q"])).toMatchObject({ code: 1, stdout: "" });
    expect(bnfold(["diff", plain, plain, "--exit-code"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("No change."),
    });
  });

  it("writes JSON that fits its schema, Markdown and CSV, and shows the JSON again", () => {
    const [json, md, csv] = ["json", "md", "csv"].map((extension) => join(dir, `d.${extension}`));
    const ran = bnfold(["diff", plain, other, "--verify", ...[json, md, csv].flatMap((file) => ["--report", file])]);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    const report = JSON.parse(readFileSync(json, "utf8"));
    expectValid("diff", report);
    expect([report.diff.changes, report.verdict.outcome]).toEqual([1, "different"]);
    expect(readFileSync(md, "utf8")).toMatch(
      /^\| tensor \| changed \| `var` +\| `float32\[3\]` +\| `1 of 3 elements, by up to 1, /m,
    );
    expect(readFileSync(csv, "utf8")).toContain('tensor,changed,var,,float32[3],"1 of 3 elements');
    expect(bnfold(["report", "show", json]).stdout.split("\n").slice(2)).toEqual(ran.stdout.split("\n").slice(2));
    expect(bnfold(["diff", plain, other, "--format", "sarif"]).code).toBe(2);
  });
});
