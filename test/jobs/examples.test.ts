/** The files of examples/, run with the variables that Slurm and Kubernetes would set. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { bin, bnfold, convNet, folder, root } from "../cli/bnfold.ts";
import { modelBytes } from "../helpers/build.ts";
import { contents } from "./cluster.ts";

const dir = folder();
const tools = join(dir, "tools");
const [zoo, reference] = [join(dir, "zoo"), join(dir, "reference")];
const isModel = (name: string): boolean => name.endsWith(".onnx");

const tool = (name: string, script: string): void => {
  writeFileSync(join(tools, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(tools, name), 0o755);
};

beforeAll(() => {
  mkdirSync(tools);
  mkdirSync(zoo);
  tool("bnfold", `exec "${process.execPath}" "${bin}" "$@"`);
  tool("scontrol", `echo "$@" >> "${dir}/requeued"`);
  for (let i = 0; i < 7; i++) writeFileSync(join(zoo, `m${i}.onnx`), modelBytes(convNet({ variance: [1 + i, 2, 3] })));
  expect(bnfold(["fold", zoo, "-o", reference]).code).toBe(0);
});

const shell = (args: readonly string[], env: Readonly<Record<string, string>>, path = tools) =>
  spawnSync("bash", [...args], {
    encoding: "utf8",
    env: { ...process.env, ...env, PATH: `${path}:${tools}:${process.env.PATH}` },
  });

const task = (i: number, of: number) => ({
  ...{ SLURM_ARRAY_JOB_ID: "77", SLURM_ARRAY_TASK_ID: String(i), SLURM_ARRAY_TASK_COUNT: String(of) },
});

describe("slurm-fold.sh", () => {
  const script = join(root, "examples/slurm-fold.sh");

  it("folds every model once over the tasks of an array", () => {
    const out = join(dir, "slurm");
    for (const i of [1, 2, 3]) expect(shell([script, zoo, out], task(i, 3)).status).toBe(0);
    expect(contents(out, isModel)).toEqual(contents(reference, isModel));
    const merged = bnfold(["report", "merge", ...[1, 2, 3].map((i) => join(out, `bnfold-report.${i}-of-3.jsonl`))]);
    expect(merged.stdout).toContain("7 of 7 models done");
  });

  it.each([
    ["a model that is bad is not tried again", 6, 0, ""],
    ["a full disk is tried again", 75, 0, "requeue 77_2\n"],
    ["a lack of memory is tried again", 137, 0, "requeue 77_2\n"],
    ["a defect is told", 70, 70, ""],
  ])("%s", (_what, code, status, requeued) => {
    const fake = join(dir, `fake-${code}`);
    mkdirSync(fake);
    writeFileSync(join(fake, "bnfold"), `#!/bin/sh\nexit ${code}\n`);
    chmodSync(join(fake, "bnfold"), 0o755);
    writeFileSync(join(dir, "requeued"), "");
    expect(shell([script, zoo, join(dir, "x")], task(2, 3), fake).status).toBe(status);
    expect(readFileSync(join(dir, "requeued"), "utf8")).toBe(requeued);
    expect(shell([script, zoo, join(dir, "x")], { ...task(2, 3), SLURM_RESTART_COUNT: "5" }, fake).status).toBe(
      code === 6 ? 0 : code,
    );
    expect(readFileSync(join(dir, "requeued"), "utf8")).toBe(requeued);
  });
});

it("slurm-recalibrate.sh gives the bytes of one machine", () => {
  const script = join(root, "examples/slurm-recalibrate.sh");
  const fixture = join(root, "fixtures/models/mlp-ts17");
  const [model, data] = [join(fixture, "model.onnx"), join(fixture, "test_data_set_0/input_0.pb")];
  const alone = join(dir, "alone.onnx");
  expect(bnfold(["recalibrate", model, "--data", data, "--at-once", "-o", alone]).code).toBe(0);
  const moments = join(dir, "moments");
  for (const i of [2, 1]) expect(shell([script, "part", model, data, moments], task(i, 2)).status).toBe(0);
  const out = join(dir, "fresh.onnx");
  const ran = shell([script, "merge", model, data, moments, out], {});
  expect(ran.status, ran.stderr).toBe(0);
  expect(readFileSync(out).equals(readFileSync(alone))).toBe(true);
});

describe("kubernetes", () => {
  it("kubernetes-fold.yaml folds every model once over the indexes of a job", () => {
    const yaml = readFileSync(join(root, "examples/kubernetes-fold.yaml"), "utf8");
    const [, command] = /args:\n\s+- \|\n(\s+exec .*)\n/.exec(yaml) ?? [];
    const home = join(dir, "cluster");
    mkdirSync(home);
    spawnSync("cp", ["-r", zoo, join(home, "models")]);
    for (const index of [0, 1]) {
      const ran = shell(["-c", command.trim()], { ZOO: home, SHARDS: "2", JOB_COMPLETION_INDEX: String(index) });
      expect(ran.status, ran.stderr).toBe(0);
    }
    expect(contents(join(home, "folded"), isModel)).toEqual(contents(reference, isModel));
  });

  it("gives up an index for the codes that another try would not change, and for no other", () => {
    const yaml = readFileSync(join(root, "examples/kubernetes-fold.yaml"), "utf8");
    const given = /values: \[([\d, ]+)\]/.exec(yaml)?.[1].split(",").map(Number);
    const help = bnfold(["fold", "--help"]).stdout.split("Exit codes:")[1];
    const codes = [...help.matchAll(/^ {2}(\d+) /gm)].map(([, code]) => Number(code));
    expect(given).toEqual([...codes.filter((code) => ![0, 4, 75].includes(code)), 70]);
  });

  it("kubernetes-worker.yaml calls the worker with options it has", () => {
    const yaml = readFileSync(join(root, "examples/kubernetes-worker.yaml"), "utf8");
    const args = (/args:\s*\[([^\]]*)\]/.exec(yaml)?.[1] ?? "").split(",").map((arg) => arg.trim().replace(/^"|"$/g, ""));
    const ran = bnfold([
      ...args
        .filter((arg) => arg !== "")
        .map((arg) => (arg.startsWith("s3:") ? dir : arg))
        .map((arg) => (arg === "/scratch" ? dir : arg)),
    ]);
    // All but the queue, which comes from a secret.
    expect(ran.stderr).toContain("a worker needs a queue");
    expect(existsSync(join(dir, ".bnfold/store.json"))).toBe(true);
  });
});
