/** docs/executor.md says what the executor is: its operators and its known failures. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { WASM_BASE64 } from "../../src/kernels/wasm-bytes.ts";
import { operators } from "../../src/ops/index.ts";

const text = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const page = text("docs/executor.md");

it("lists every operator with its versions", async () => {
  const { withOperators } = (await import("../../scripts/operators.mjs" as string)) as {
    withOperators(page: string, list: ReturnType<typeof operators>): string;
  };
  expect(withOperators(page, operators())).toBe(page);
  expect(operators().length).toBeGreaterThan(190);
});

it("counts the known failures", () => {
  const known = JSON.parse(text("test/conformance/known-failures.json")) as Record<string, Record<string, string>>;
  const total = Object.values(known).reduce((n, list) => n + Object.keys(list).length, 0);
  const section = page.slice(page.indexOf("## Conformance"), page.indexOf("## Limits"));
  const rows = [...section.matchAll(/^\| +(\d+) \|/gm)].map(([, n]) => Number(n));
  expect(rows.reduce((a, b) => a + b, 0)).toBe(total);
  expect(section).toContain(`1,${(910 - total).toString()} pass`);
});

it("says the size of the kernels", () => {
  expect(page).toContain(`${((WASM_BASE64.length * 0.75) / 1000).toFixed(1)} kB`);
});
