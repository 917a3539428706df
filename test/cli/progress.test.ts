import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ManyProgress } from "../../src/cli/many-progress.ts";
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
    expect(written).toMatch(/proof, pass 2 \[=+ +\] 5\/50$/);
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

describe("ManyProgress", () => {
  it("tells what is left by the bytes of what is done, and less as time goes by", () => {
    process.stderr.isTTY = true;
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    const folder = mkdtempSync(join(tmpdir(), "bnfold-many-"));
    try {
      // Weights 4 + 4, 4 + 12 and, with the file beside it, 4 + 20 million: 8 of 48 are done after 8 s.
      const sizes = { "a.onnx": 4e6, "b.onnx": 12e6, "c.onnx": 1e6, "c.onnx.data": 19e6 };
      for (const [name, size] of Object.entries(sizes)) {
        writeFileSync(join(folder, name), "");
        truncateSync(join(folder, name), size);
      }
      const progress = new ManyProgress(
        "folding",
        ["a.onnx", "b.onnx", "c.onnx"].map((name) => ({ name, files: [join(folder, name)] })),
      );
      progress.start("a.onnx");
      progress.start("b.onnx");
      now += 8000;
      progress.finish("a.onnx");
      expect(written).toMatch(/folding \[=+ +\] 1\/3 about 40 s left {2}b\.onnx$/);
      now += 30_000;
      vi.advanceTimersByTime(500);
      expect(written).toMatch(/1\/3 about 10 s left {2}b\.onnx$/);
      now += 20_000;
      vi.advanceTimersByTime(500);
      expect(written).toMatch(/1\/3 {2}b\.onnx$/);
      progress.end();
      expect(written.endsWith("\r\u001b[K")).toBe(true);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
      rmSync(folder, { recursive: true });
    }
  });
});
