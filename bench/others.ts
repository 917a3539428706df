/**
 * The verdict on right files of other tools (bench/others.py makes them): how many the proof finds equal, leaves open or calls different.
 *
 *   npm run bench -- others <folder> [part of a name ...] [--run] [--list]
 *
 * --run adds the float64 run, as `bnfold verify` does; --list names every file that is not proven equal, with the reason.
 */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { openModel } from "../src/node/files.ts";
import { prove, verifyModels } from "../src/verify/index.ts";
import type { Proof } from "../src/verify/types.ts";

interface Entry {
  readonly a: string;
  readonly b: string;
  readonly tool: string;
  readonly failed?: string;
  readonly right?: boolean;
  readonly distance?: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { run: { type: "boolean" }, list: { type: "boolean" } },
});
const [, folder, ...wanted] = positionals;
if (folder === undefined) throw new Error("usage: npm run bench -- others <folder> [part of a name ...] [--run] [--list]");
const entries = (JSON.parse(readFileSync(join(folder, "others.json"), "utf8")) as Entry[]).filter(
  ({ b }) => wanted.length === 0 || wanted.some((part) => basename(b).includes(part)),
);

const OUTCOMES = ["equal", "not-decided", "different", "fails"] as const;
type Count = Record<(typeof OUTCOMES)[number] | "wrong" | "no file" | "by the run", number>;
const none = (): Count => ({ equal: 0, "not-decided": 0, different: 0, fails: 0, wrong: 0, "no file": 0, "by the run": 0 });
const tools = new Map<string, Count>();

function judged(a: string, b: string): { proof: Proof | undefined; byRun: boolean; error?: string } {
  const [first, second] = [openModel(a), openModel(b)];
  try {
    if (!values.run) return { proof: prove(first.model, second.model), byRun: false };
    const { proof, run } = verifyModels(first.model, second.model);
    return { proof, byRun: run?.outcome === "different" };
  } catch (error) {
    return { proof: undefined, byRun: false, error: (error as Error).message };
  } finally {
    first.close();
    second.close();
  }
}

for (const { a, b, tool, failed, right } of entries) {
  const count = tools.get(tool) ?? none();
  tools.set(tool, count);
  if (failed !== undefined) count["no file"]++;
  else if (right !== true) count.wrong++;
  else {
    const { proof, byRun, error } = judged(a, b);
    const outcome = proof?.outcome ?? "fails";
    count[outcome]++;
    if (byRun) count["by the run"]++;
    if (values.list && (outcome !== "equal" || byRun)) {
      const region = proof?.regions.find((r) => r.outcome === outcome);
      const why = error ?? `${region?.nodes[0] ?? ""}: ${region?.reason ?? ""}`;
      process.stdout.write(`${outcome}${byRun ? ", different by the run" : ""}\t${basename(b)}\t${why}\n`);
    }
  }
}

const columns = ["equal", "not-decided", "different", "by the run", "fails", "wrong", "no file"] as const;
const rows = [...tools].map(([tool, count]) => [tool, ...columns.map((column) => String(count[column]))]);
const total = columns.map((column) => String([...tools.values()].reduce((sum, count) => sum + count[column], 0)));
for (const row of [["tool", ...columns], ["--", ...columns.map(() => "--:")], ...rows, ["all", ...total]])
  process.stdout.write(`| ${row.join(" | ")} |\n`);
