/** What every command prints with --json, against the published schema. Needs dist/, which `npm test` builds first. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatNpy } from "../../src/run/npy.ts";
import { f, node } from "../helpers/build.ts";
import { expectValid, type validators } from "../report/schema.ts";
import { numbers, twoLayers } from "../train/nets.ts";
import { bnfold, convNet, folder, root, writeModel } from "./bnfold.ts";

const dir = folder();
const at = (name: string) => join(dir, name);
const fixture = (name: string) => join(root, "fixtures", "models", name, "model.onnx");

const model = writeModel(at("model.onnx"), convNet({ kept: true }));
const dead = writeModel(at("dead.onnx"), convNet({ variance: [0, 1, Number.NaN] }));
const stale = writeModel(at("stale.onnx"), twoLayers());
writeFileSync(at("x.npy"), formatNpy({ dtype: "float64", dims: [16, 2], data: Float64Array.from(numbers(32, 3)) }));
bnfold(["fold", fixture("repvgg-ts17"), "-o", at("folded.onnx")]);

/** A momentum and an epsilon that are no numbers. */
const odd = () => {
  const spec = convNet();
  const nodes = spec.nodes.map((n) =>
    n.name === "norm" ? node(n.op, n.inputs, n.outputs, { epsilon: f(Number.NaN), momentum: f(7) }, { name: n.name }) : n,
  );
  return writeModel(at("odd.onnx"), { ...spec, nodes });
};

mkdirSync(at("many"));
writeModel(at("many/one.onnx"), convNet());
writeFileSync(at("many/two.onnx"), "no model");

const trains = fixture("training-ts17");
const data = ["--data", at("x.npy")];

type Kind = keyof typeof validators;
const CASES: readonly (readonly [kind: Kind, code: number, args: readonly string[]])[] = [
  ["fold", 0, ["fold", model, "-o", at("model-folded.onnx")]],
  ["fold", 0, ["fold", fixture("repghost-ts11"), "--dry-run"]],
  ["fold", 0, ["fold", dead, "--dry-run", "--no-check"]],
  ["fold", 0, ["fold", fixture("token-mlp-dynamo-external"), "-o", at("external.onnx"), "--runtime", "onnxruntime"]],
  ["fold", 5, ["fold", model, "--dry-run", "--strict"]],
  ["fold", 0, ["fold", fixture("dense-ts13"), "--dry-run", "--certificate", at("dense.json")]],
  ["certify", 0, ["certify", fixture("dense-ts13"), at("dense.json")]],
  ["certify", 1, ["certify", fixture("resnet-ts9"), at("dense.json")]],
  ["verify", 0, ["verify", fixture("repvgg-ts17"), at("folded.onnx")]],
  ["verify", 1, ["verify", model, dead, "--bisect"]],
  ["inspect", 0, ["inspect", fixture("repghost-ts11")]],
  ["inspect", 0, ["inspect", odd()]],
  ["inspect", 0, ["inspect", trains]],
  ["channels", 0, ["inspect", fixture("preact-ts11"), "--channels"]],
  ["channels", 0, ["inspect", dead, "--channels"]],
  ["run", 0, ["run", model, "--profile", "--dump", "*", "-o", at("ran")]],
  ["run", 0, ["run", fixture("resnet-ts9"), "--storage", "--input", join(fixture("resnet-ts9"), "..")]],
  ["run", 0, ["run", dead]],
  ["momentum", 0, ["momentum", "0.1", "--from", "pytorch", "--to", "keras"]],
  ["momentum", 0, ["momentum", "None", "--from", "pytorch", "--to", "onnx"]],
  ["momentum", 0, ["momentum", "1", "--from", "onnx", "--to", "mxnet"]],
  ["momentumModel", 0, ["momentum", model, "--to", "keras"]],
  ["momentumModel", 0, ["momentum", odd()]],
  ["momentumModel", 0, ["momentum", model, "--write", "--set-epsilon", "0.001", "-o", at("epsilon.onnx")]],
  ["freeze", 0, ["freeze", trains, "-o", at("frozen.onnx")]],
  ["freeze", 0, ["freeze", model, "--dry-run"]],
  ["recalibrate", 0, ["recalibrate", stale, ...data, "-o", at("fresh.onnx")]],
  ["recalibrate", 0, ["recalibrate", stale, ...data, "--only", "bn1", "--unbiased", "--dry-run", "--moments", at("m.json")]],
  ["recalibrate", 0, ["recalibrate", stale, "--only", "bn1", "--unbiased", "--from-moments", at("m.json"), "--dry-run"]],
  ["batch", 6, ["fold", at("many"), "-o", at("out"), "--jobs", "1"]],
  ["batch", 6, ["fold", at("many"), "--dry-run", "--jobs", "1"]],
  ["merge", 6, ["report", "merge", at("out/bnfold-report.jsonl"), "-o", at("merged.jsonl")]],
  ["merge", 6, ["report", "merge", at("out/bnfold-report.jsonl")]],
];

const named = CASES.map(
  ([kind, code, args]) => [args.map((arg) => arg.replace(/^.*[\\/]/, "")).join(" "), kind, code, args] as const,
);

describe("--json", () => {
  it.each(named)("%s", (_name, kind, code, args) => {
    const ran = bnfold([...args, "--json"]);
    expect([ran.code, ran.stderr]).toEqual([code, ""]);
    expectValid(kind, JSON.parse(ran.stdout));
  });

  it("of many models: every line of the report", () => {
    for (const file of ["out/bnfold-report.jsonl", "merged.jsonl"]) {
      const lines = readFileSync(at(file), "utf8").trim().split("\n");
      expect(lines.length).toBe(2);
      for (const line of lines) expectValid("batchLine", JSON.parse(line));
    }
  });
});
