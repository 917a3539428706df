/** Runs ONNX's node tests of one folder and prints a table per operator and the failures. */
import { writeSync } from "node:fs";
import { type CaseResult, listCases, runCase } from "../test/conformance/harness.ts";

const args = process.argv.slice(2);
const folder = args.find((arg) => !arg.startsWith("--") && args[args.indexOf(arg) - 1] !== "--filter");
const at = args.indexOf("--filter");
const filter = new RegExp(at < 0 ? "" : (args[at + 1] ?? ""));
if (folder === undefined) {
  writeSync(2, "usage: npm run conformance -- <folder> [--filter <regular expression>] [--quiet]\n");
  process.exit(2);
}

const results: CaseResult[] = listCases(folder)
  .filter((name) => filter.test(name))
  .map((name) => runCase(folder, name));

const byOperator = new Map<string, CaseResult[]>();
for (const result of results) byOperator.set(result.operator, [...(byOperator.get(result.operator) ?? []), result]);
const count = (list: readonly CaseResult[], status: CaseResult["status"]) => list.filter((r) => r.status === status).length;
const lines: string[] = [];
if (!args.includes("--quiet")) {
  const width = Math.max(8, ...[...byOperator.keys()].map((k) => k.length));
  lines.push(`${"operator".padEnd(width)}  passed  shape only  failed`);
  for (const [operator, list] of [...byOperator].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const cells = [count(list, "passed"), count(list, "shape-only"), count(list, "failed")];
    lines.push(
      `${operator.padEnd(width)}  ${String(cells[0]).padStart(6)}  ${String(cells[1]).padStart(10)}  ${String(cells[2]).padStart(6)}`,
    );
  }
  lines.push("");
}
for (const { name, reason } of results.filter((r) => r.status === "failed")) lines.push(`FAILED ${name}: ${reason}`);
const slow = [...results].sort((a, b) => b.milliseconds - a.milliseconds)[0];
lines.push(
  `${results.length} cases: ${count(results, "passed")} passed, ${count(results, "shape-only")} passed by shape only, ` +
    `${count(results, "failed")} failed${slow === undefined ? "" : `; slowest ${slow.name} (${slow.milliseconds.toFixed(0)} ms)`}`,
);
let text = `${lines.join("\n")}\n`;
while (text.length > 0) text = text.slice(writeSync(1, text.slice(0, 16384)));
process.exitCode = count(results, "failed") > 0 ? 1 : 0;
