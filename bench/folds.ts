/**
 * Own folds of a folder of networks (bench/exports.py, bench/networks.py, or one's own): each is folded with the proof as `bnfold fold`
 * does it. A line for each: what went, what stays and why, bytes, seconds of planning and proving. A fold that is not
 * proven, or that makes its file larger (by a quarter, where a batch normalization may ask for it), ends the whole with 1.
 *
 *   npm run bench -- folds <folder> [part of a name ...] [--run]
 *
 * Each network has a process of its own: memory is given back, and one that fails does not end the others.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Report } from "../src/report/report.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { run: { type: "boolean" } } });
const [, folder, ...wanted] = positionals;
if (folder === undefined) throw new Error("usage: npm run bench -- folds <folder> [part of a name ...] [--run]");
const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".onnx") && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .sort();
const scratch = mkdtempSync(join(tmpdir(), "bnfold-folds-"));

/** Reasons of nodes that stay, with how many each keeps. */
function reasons(kept: Report["kept"]): string {
  const counts = new Map<string, number>();
  for (const { code } of kept) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].map(([code, n]) => `${code} ${n}`).join(", ");
}

function line(file: string): { text: string; bad: boolean } {
  const json = join(scratch, "report.json");
  const args = [
    resolve("bin/bnfold.js"),
    "fold",
    join(folder, file),
    "-o",
    join(scratch, "out.onnx"),
    "--report",
    json,
    "--quiet",
  ];
  try {
    execFileSync(process.execPath, values.run === true ? args : [...args, "--no-run"], { stdio: "pipe" });
  } catch (error) {
    const { status } = error as { status?: number };
    if (status !== 1) return { text: `${file}: fails with ${status}`, bad: true };
  }
  const {
    batchNormalization: norms,
    affine,
    kept,
    input,
    output,
    verdict,
    timings,
  } = JSON.parse(readFileSync(json, "utf8")) as Report;
  const unproven = kept.filter(({ code }) => code.startsWith("not-")).length;
  const growth = output === null || output === undefined ? 0 : output.bytes - input.bytes;
  const larger = growth > (norms.folded === 0 ? 0 : input.bytes / 4);
  const bad = unproven > 0 || larger || verdict.outcome === "different";
  const seconds = (ms: number | undefined) => ((ms ?? 0) / 1000).toFixed(1);
  const text =
    `${bad ? "LOOK " : ""}${file}: ${norms.folded} of ${norms.before} BN, ${affine.folded} others; ${verdict.outcome}; ` +
    `${growth > 0 ? "+" : ""}${growth} bytes; plan ${seconds(timings.planMs)} s, proof ${seconds(timings.proofMs)} s` +
    (kept.length === 0 ? "" : `; stays: ${reasons(kept)}`);
  return { text, bad };
}

let looks = 0;
try {
  for (const file of files) {
    const { text, bad } = line(file);
    if (bad) looks++;
    console.log(text);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
console.log(`${files.length} networks, ${looks} to look at`);
process.exitCode = looks > 0 ? 1 : 0;
