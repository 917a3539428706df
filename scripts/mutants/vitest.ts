/** Runs tests in a process of their own, as an `Order` says, and reads what came of them. */
import { spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Order } from "./vitest.config.ts";

export interface Came {
  /** The first test that failed, or the file that could not be loaded. */
  readonly failed?: string;
  readonly passed: number;
  /** It did not end within the limit. */
  readonly endless: boolean;
}

interface Json {
  readonly numPassedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/**
 * @param scratch where files of this run go: a path without an ending
 * @param limit in milliseconds
 * @throws when the tests did not run at all, which says nothing about a mutant
 */
export async function runTests(order: Order, scratch: string, limit: number, bail: boolean): Promise<Came> {
  const [told, answer] = [`${scratch}.order.json`, `${scratch}.answer.json`];
  writeFileSync(told, JSON.stringify(order));
  const args = ["run", "--config", "scripts/mutants/vitest.config.ts", "--reporter", "json", "--outputFile", answer];
  if (bail) args.push("--bail", "1");
  let [endless, said] = [false, ""];
  const code = await new Promise<number | null>((resolve, reject) => {
    const child = spawn(process.execPath, [join(order.root, "node_modules/vitest/vitest.mjs"), ...args], {
      cwd: order.root,
      env: { BNFOLD_RANDOM: "200", ...process.env, BNFOLD_MUTANT: told },
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
    });
    child.stderr.on("data", (chunk: Buffer) => {
      said = (said + chunk).slice(-4000);
    });
    const timer = setTimeout(() => {
      endless = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, limit);
    child.once("error", reject);
    child.once("exit", (exit) => {
      clearTimeout(timer);
      resolve(exit);
    });
  });
  if (endless) return { failed: "nothing: it did not end", passed: 0, endless };
  let json: Json;
  try {
    json = JSON.parse(readFileSync(answer, "utf8")) as Json;
  } catch {
    throw new Error(`vitest gave no answer (exit ${code}): ${said}`);
  } finally {
    for (const file of [told, answer]) rmSync(file, { force: true });
  }
  let failed: string | undefined;
  for (const file of json.testResults) {
    const short = file.name.slice(order.root.length + 1);
    const test = file.assertionResults.find(({ status }) => status === "failed");
    if (test !== undefined) failed ??= `${short}: ${test.fullName}`;
    else if (file.status === "failed") failed ??= `${short}: could not be loaded`;
  }
  if (failed === undefined && code !== 0)
    failed = json.numPassedTests === 0 ? undefined : `an error outside of a test: ${said.slice(0, 200)}`;
  if (failed === undefined && json.numPassedTests === 0) throw new Error(`no test ran (exit ${code}): ${said}`);
  return { failed, passed: json.numPassedTests, endless };
}
