import { performance } from "node:perf_hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Progress } from "../../src/cli/progress.ts";

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
});
