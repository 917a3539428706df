/** Copies of models that killed workers left behind. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { scratchOf, sweepScratch } from "../../src/cli/scratch.ts";
import { folder } from "./bnfold.ts";

describe("the folder of a process's jobs", () => {
  const ended = (): number => spawnSync(process.execPath, ["--version"]).pid;

  it("goes a day after a process that is no more, and no other does", async () => {
    const home = folder();
    const [dead, young] = [ended(), ended()];
    const made = (name: string, hours: number): string => {
      const path = join(home, name);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, "in.onnx"), "model");
      const then = new Date(Date.now() - 3_600_000 * hours);
      utimesSync(path, then, then);
      return path;
    };
    const left = made(`bnfold-${dead}-fold-1`, 25);
    const others = [
      made(`bnfold-${young}-fold-2`, 23),
      made(`bnfold-${process.pid}-fold-3`, 25),
      made(`bnfold-test-${dead}`, 25),
      made(`models-${dead}-x`, 25),
    ];
    await sweepScratch(home);
    expect(existsSync(left)).toBe(false);
    expect(others.filter((path) => !existsSync(path))).toEqual([]);
    await sweepScratch(join(home, "nowhere"));
  });

  it("is one for each job", () => {
    const of = scratchOf("/somewhere");
    expect(of("a")).toBe(join("/somewhere", `bnfold-${process.pid}-a`));
    expect(of("b")).not.toBe(of("a"));
  });
});
