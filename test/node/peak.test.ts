import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { peakMemory } from "../../src/node/peak.ts";
import { root } from "../cli/bnfold.ts";

it("is at least what is held now", () => {
  const block = new Uint8Array(64 << 20).fill(1);
  expect(peakMemory()).toBeGreaterThan(block.length);
  expect(peakMemory()).toBeGreaterThanOrEqual(process.memoryUsage.rss() / 2);
});

it.skipIf(process.platform !== "linux")("does not count the process that started this one", () => {
  const model = join(root, "fixtures/models/repvgg-ts17/model.onnx");
  const block = new Uint8Array(600 << 20).fill(1);
  const { stdout } = spawnSync(process.execPath, [join(root, "bin/bnfold.js"), "fold", model, "--dry-run", "--json"], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  expect(block[block.length - 1]).toBe(1);
  expect(JSON.parse(stdout).peakMemoryBytes).toBeLessThan(400e6);
});
