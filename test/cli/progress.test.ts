import { performance } from "node:perf_hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { left, Progress } from "../../src/cli/progress.ts";

let now = 0;
let written = "";
const { isTTY } = process.stderr;

beforeEach(() => {
  [now, written] = [1000, ""];
  vi.spyOn(performance, "now").mockImplementation(() => now);
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    written += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  process.stderr.isTTY = isTTY;
});

function stages(terminal: boolean): void {
  process.stderr.isTTY = terminal;
  const progress = new Progress();
  progress.begin("reading");
  now += 100;
  progress.begin("proof");
  now += 700;
  progress.step(3, 6);
  now += 500;
  progress.end();
  progress.end();
}

describe("Progress", () => {
  it("leaves one plain line for a stage of more than half a second when nobody watches", () => {
    stages(false);
    expect(written).toBe("bnfold: proof, 1.20 s\n");
  });
  it("shows the stage and a bar on a terminal, and clears them", () => {
    stages(true);
    expect(written).toContain("reading");
    expect(written).toContain("proof [============            ] 3/6");
    expect(written.endsWith("\r\u001b[K")).toBe(true);
    expect(written).not.toContain("\n");
  });
  it("says what is left once that is known, and that a stage begins anew", () => {
    process.stderr.isTTY = true;
    const progress = new Progress();
    progress.begin("proof");
    now += 1000;
    progress.step(10, 100);
    expect(written).not.toContain("left");
    now += 2000;
    progress.step(20, 100);
    expect(written).toMatch(/proof \[=+ +\] 20\/100 about 12 s left$/);
    now += 200;
    progress.step(5, 50);
    expect(written).toMatch(/proof, pass 2 \[=+ +\] 5\/50 $/);
    progress.end();
  });
  it.each([
    [1, 1000, 5000, ""],
    [500, 1000, 5000, "about 5 s left"],
    [200, 1000, 10_000, "about 40 s left"],
    [100, 1000, 60_000, "about 9 min left"],
    [100, 1000, 3_600_000, "about 9 h left"],
    [1000, 1000, 5000, ""],
    [0, 0, 5000, ""],
  ])("%i of %i in %i ms: %j", (done, total, ms, words) => expect(left(done, total, ms)).toBe(words));
});
