import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findModels, globMatcher, ofShard } from "../../src/cli/batch-files.ts";
import type { Line } from "../../src/cli/batch-lines.ts";
import { mergeLines } from "../../src/cli/report.ts";
import { modelBytes } from "../helpers/build.ts";
import { bin, bnfold, convNet, folder, writeModel } from "./bnfold.ts";

const dir = folder();
const lines = (path: string): Line[] =>
  readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

describe("many models", () => {
  const good = modelBytes(convNet());
  const many = join(dir, "many");
  const total = 500;
  const broken = new Map<string, string>();
  for (let i = 0; i < total; i++) {
    const place = join(many, `group${i % 7}`, i % 3 === 0 ? "deep/er" : "");
    mkdirSync(place, { recursive: true });
    const path = join(place, `m${i}.onnx`);
    const bad = i % 100 === 17;
    writeFileSync(path, bad ? (i % 200 === 17 ? "not a model" : good.subarray(0, good.length - 40)) : good);
    if (bad) broken.set(path.slice(many.length + 1), path);
  }
  writeFileSync(join(many, "notes.txt"), "no model");

  it("folds 500, on all workers, and lists the ones that fail", { timeout: 300_000 }, () => {
    const out = join(dir, "out");
    const ran = bnfold(["fold", many, "-o", out, "--jobs", "2", "--samples", "1"]);
    expect(ran.code, ran.stderr).toBe(6);
    const report = lines(join(out, "bnfold-report.jsonl"));
    expect(report).toHaveLength(total);
    const failed = report.filter(({ status }) => status === "failed");
    expect(failed.map(({ file }) => file).sort()).toEqual([...broken.keys()].sort());
    for (const { file, error, code } of failed) {
      expect(ran.stdout).toMatch(new RegExp(`^ {2}failed +${file} `, "m"));
      expect(error?.kind).toBe("format");
      expect(code).toBe(3);
      expect(existsSync(join(out, file))).toBe(false);
    }
    expect(ran.stdout).toContain(`${total - broken.size} of ${total} models done, ${broken.size} failed`);
    const written = readdirSync(out, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".onnx"));
    expect(written.sort()).toEqual(
      report
        .filter(({ status }) => status === "done")
        .map(({ file }) => file)
        .sort(),
    );
    for (const line of report.filter(({ status }) => status === "done")) expect(line.report?.verdict.outcome).toBe("equivalent");
    // Each worker did a fair part.
    const parts = [...new Set(report.map(({ worker }) => worker))].map(
      (id) => report.filter(({ worker }) => worker === id).length,
    );
    expect(parts).toHaveLength(2);
    expect(Math.min(...parts)).toBeGreaterThan(total / 5);
  });

  it("goes on where it was interrupted: only what changed is done again", { timeout: 300_000 }, () => {
    const out = join(dir, "out");
    const report = lines(join(out, "bnfold-report.jsonl"));
    const [first, second, third] = report.filter(({ status }) => status === "done").map(({ file }) => file);
    writeFileSync(join(many, first), modelBytes(convNet({ variance: [1, 2, 3] })));
    writeFileSync(join(out, second), "damaged");
    rmSync(join(out, third));
    const stamps = new Map(
      report
        .filter(({ status }) => status === "done")
        .map(({ file }) => [file, existsSync(join(out, file)) ? statSync(join(out, file)).mtimeMs : 0]),
    );
    const ran = bnfold(["fold", many, "-o", out, "--jobs", "2", "--samples", "1", "--resume"]);
    expect(ran.code).toBe(6);
    const again = lines(join(out, "bnfold-report.jsonl"));
    expect(again).toHaveLength(total);
    expect(
      again
        .filter(({ status, resumed }) => status === "done" && resumed !== true)
        .map(({ file }) => file)
        .sort(),
    ).toEqual([first, second, third].sort());
    for (const [file, stamp] of stamps)
      expect(statSync(join(out, file)).mtimeMs === stamp, file).toBe(![first, second, third].includes(file));
  });
});

describe("a few models", () => {
  const few = join(dir, "few");
  mkdirSync(join(few, "sub"), { recursive: true });
  for (const name of ["a.onnx", "b.onnx", "sub/c.onnx", "sub/d.onnx", "sub/e.onnx"]) writeModel(join(few, name), convNet());

  it("in shards, whose reports merge", { timeout: 60_000 }, () => {
    const out = join(dir, "shards");
    for (const i of [1, 2, 3]) expect(bnfold(["fold", few, "-o", out, "--shard", `${i}/3`, "--no-check"]).code).toBe(0);
    const reports = [1, 2, 3].map((i) => join(out, `bnfold-report.${i}-of-3.jsonl`));
    expect(reports.map((path) => lines(path).length)).toEqual([2, 2, 1]);
    const merged = join(out, "all.jsonl");
    const ran = bnfold(["report", "merge", ...reports, "-o", merged]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(lines(merged).map(({ file }) => file)).toEqual(["a.onnx", "b.onnx", "sub/c.onnx", "sub/d.onnx", "sub/e.onnx"]);
    expect(ran.stdout).toContain("5 of 5 models done, 0 failed");
    expect(bnfold(["report", "merge", reports[0], "-o", merged]).code).toBe(2);
    expect(bnfold(["report", "merge", join(few, "a.onnx")]).code).toBe(2);
  });

  it("by a pattern, or without writing", { timeout: 60_000 }, () => {
    const out = join(dir, "pattern");
    expect(bnfold(["fold", join(few, "**/[cd].onnx"), "-o", out]).code).toBe(4);
    expect(bnfold(["fold", join(few, "s*/?.onnx"), "-o", out, "--no-check", "--json"]).stdout).toContain('"models": 3');
    expect(readdirSync(out).sort()).toEqual(["bnfold-report.jsonl", "sub"]);
    const dry = bnfold(["fold", few, "--dry-run", "--no-check", "--verbose"]);
    expect(dry.code, dry.stderr).toBe(0);
    expect(dry.stdout).toContain("sub/c.onnx");
  });

  it("refuses what cannot be meant", { timeout: 60_000 }, () => {
    const model = join(few, "a.onnx");
    for (const args of [
      [few],
      [few, "-o", few],
      [few, "-o", model],
      [few, "--in-place"],
      [few, "-o", join(dir, "x"), "--shard", "3/2"],
      [few, "-o", join(dir, "x"), "--jobs", "0"],
      [model, "-o", join(dir, "x.onnx"), "--resume"],
    ])
      expect(bnfold(["fold", ...args]).code, args.join(" ")).toBe(2);
  });

  it("survives a worker that is killed", { timeout: 60_000 }, async () => {
    const out = join(dir, "killed");
    const child = spawn(process.execPath, [bin, "fold", join(dir, "many"), "-o", out, "--jobs", "2", "--no-check"], {
      stdio: "ignore",
    });
    const report = join(out, "bnfold-report.jsonl");
    const exit = new Promise((resolve) => child.once("exit", resolve));
    let worker: number | undefined;
    while (worker === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (existsSync(report) && readFileSync(report, "utf8").includes("\n"))
        worker = JSON.parse(readFileSync(report, "utf8").split("\n")[0]).worker;
    }
    process.kill(worker, "SIGKILL");
    expect(await exit).toBe(6);
    const all = lines(report);
    expect(all).toHaveLength(500);
    // The kill may have come between two models.
    expect(all.filter(({ error }) => error?.message.includes("SIGKILL")).length).toBeLessThanOrEqual(1);
    expect(new Set(all.map((line) => line.worker)).size).toBe(3);
  });
});

describe("the parts", () => {
  it("match patterns", () => {
    const matches = (pattern: string, path: string) => globMatcher(pattern)(path);
    for (const [pattern, path] of [
      ["*.onnx", "a.onnx"],
      ["**/*.onnx", "a.onnx"],
      ["**/*.onnx", "x/y/a.onnx"],
      ["x/**/a.onnx", "x/a.onnx"],
      ["x/**", "x/y/z"],
      ["**", "x/y"],
      ["m?.onnx", "m1.onnx"],
    ])
      expect(matches(pattern, path), `${pattern} ${path}`).toBe(true);
    for (const [pattern, path] of [
      ["*.onnx", "x/a.onnx"],
      ["*.onnx", "aonnx"],
      ["x/**/a.onnx", "xa.onnx"],
      ["m?.onnx", "m.onnx"],
      ["a+.onnx", "aa.onnx"],
    ])
      expect(matches(pattern, path), `${pattern} ${path}`).toBe(false);
  });

  it("leave the output folder out, and share files among shards without gap or overlap", () => {
    const tree = join(dir, "tree");
    mkdirSync(join(tree, "out"), { recursive: true });
    for (const name of ["a.onnx", "B.ONNX", ".hidden.onnx", "out/a.onnx"]) writeFileSync(join(tree, name), "");
    expect(findModels(tree, join(tree, "out")).files).toEqual(["B.ONNX", "a.onnx"]);
    const files = Array.from({ length: 11 }, (_, i) => String(i));
    expect([1, 2, 3, 4].flatMap((index) => ofShard(files, { index, of: 4 })).sort()).toEqual(files.toSorted());
  });

  it("keep what is done when reports disagree", () => {
    const line = (file: string, status: Line["status"], seconds: number) => ({ file, status, seconds }) as Line;
    const of = (...all: Line[]) => new Map(all.map((entry) => [entry.file, entry]));
    const merged = mergeLines([
      of(line("a", "done", 1), line("b", "failed", 1)),
      of(line("a", "failed", 2), line("b", "done", 2)),
    ]);
    expect(merged.map(({ file, status, seconds }) => [file, status, seconds])).toEqual([
      ["a", "done", 1],
      ["b", "done", 2],
    ]);
  });
});
