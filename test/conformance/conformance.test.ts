import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { listCases, runCase } from "./harness.ts";

/** Folders `node` and `simple` of ONNX's backend test data: fixtures/scripts/conformance.py makes the second. */
const PLACES = ["../../../shared/conformance", "../../.conformance"].map((at) => fileURLToPath(new URL(at, import.meta.url)));
const root = PLACES.find((at) => existsSync(at)) ?? "";
const known = JSON.parse(readFileSync(new URL("known-failures.json", import.meta.url), "utf8")) as Record<
  string,
  Record<string, string>
>;

describe.skipIf(root === "")("ONNX's node tests (skipped without their data: fixtures/scripts/conformance.py makes it)", () => {
  for (const folder of ["node", "simple"]) {
    it(folder, () => {
      const at = join(root, folder);
      const expectedToFail = known[folder] ?? {};
      const cases = listCases(at);
      const results = cases.map((name) => runCase(at, name));
      const failed = results.filter((r) => r.status === "failed");
      const surprises = [
        ...failed.filter(({ name }) => !(name in expectedToFail)).map(({ name, reason }) => `${name} fails: ${reason}`),
        ...results
          .filter(({ name, status }) => status !== "failed" && name in expectedToFail)
          .map(({ name }) => `${name} passes: take it off known-failures.json`),
        ...Object.keys(expectedToFail)
          .filter((name) => !cases.includes(name))
          .map((name) => `${name} is listed as a known failure but there is no such case`),
      ];
      expect(surprises).toEqual([]);
      expect(results.length).toBeGreaterThan(0);
      expect(results.filter((r) => r.status === "shape-only").length).toBeLessThanOrEqual(6);
    }, 300_000);
  }
});
