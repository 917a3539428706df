/** The library where code from strings is not allowed, as under a page's content security policy. Needs dist/. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { folder, root } from "./cli/bnfold.ts";

const PROGRAM = `
import { readFileSync } from "node:fs";
import * as bnfold from ${JSON.stringify(join(root, "dist/index.js"))};
try { new Function(""); throw new TypeError("allowed"); } catch (error) { if (!(error instanceof EvalError)) throw error; }
const open = (name) => bnfold.read(bnfold.memorySource(new Uint8Array(readFileSync(${JSON.stringify(`${root}fixtures/models/`)} + name + "/model.onnx"))));
const model = open("repvgg-ts17");
const { data, edits } = bnfold.plan(model);
const folded = bnfold.read(bnfold.memorySource(bnfold.collect(bnfold.write(model, edits).main)));
const verdict = bnfold.verifyModels(model, folded);
const [sample] = bnfold.generateInputs(model);
const outputs = bnfold.createSession(folded).run(sample.feeds);
const training = open("training-ts17");
const recalibration = new bnfold.Recalibration(model);
const samples = bnfold.generateInputs(model, { samples: 2 });
await recalibration.run({ blocks: 2, load: (k) => samples[k].feeds }, new bnfold.BuiltInEngine(model, recalibration.targets));
console.log(data.folds.length, verdict.outcome, outputs.size, recalibration.drift().length > 0, bnfold.freeze(training).data.frozen.length > 0);
`;

it("folds, verifies, runs and recalibrates without making code from strings", () => {
  const file = join(folder(), "strict.mjs");
  writeFileSync(file, PROGRAM);
  const { stdout, stderr } = spawnSync(process.execPath, ["--disallow-code-generation-from-strings", file], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout.trim()).toBe("8 equivalent 1 true true");
});

it("so does the command line", () => {
  const args = ["--disallow-code-generation-from-strings", join(root, "bin/bnfold.js"), "fold"];
  const model = join(root, "fixtures/models/mobilenet-keras/model.onnx");
  const { stdout, stderr } = spawnSync(process.execPath, [...args, model, "--dry-run"], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(stdout).toMatch(/^Equivalent\. /m);
});
